"""Permutation importance: how much a model loses when the values of features are exchanged among the items.

The importance of a group of features is the score of the model minus its score after a random permutation of their
values (Breiman, Random Forests, Machine Learning 45, 2001, section 10; Fisher, Rudin & Dominici, JMLR 20(177), 2019).
The model is not trained again. Features that depend on each other share their importance: where one is permuted, the
model still knows the other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import numpy as np
import pandas as pd

from gru4rec_lib.data.features import Features
from gru4rec_lib.evaluation.statistics import SessionSums, differences
from gru4rec_lib.utils.arguments import whole

PERMUTATIONS, SEED = 3, 1


def permuted_ranks(
    model,
    features: Features,
    groups: Mapping[str, Iterable[str]],
    rank: Callable[[], np.ndarray],
    permutations: int = PERMUTATIONS,
    seed: int = SEED,
) -> dict[str, np.ndarray]:
    """Rank targets with the features of each group permuted among the training items.

    Input form and output form both see the permuted values; afterwards the model has its own features again. The n-th
    permutation is the same for all groups: that of `numpy.random.default_rng([seed, 4, n])`.

    Args:
        model: a GRU4Rec with content.
        features: those of the model.
        groups: the columns of each group by name; they are permuted together.
        rank: returns the ranks of the targets by the model, float [targets].
        permutations: how many, 1 or more.
        seed: of the permutations.

    Returns:
        For each group float64 [targets, permutations].

    Raises:
        ValueError: no feature comes from a column, or `permutations` is no whole number above 0.
    """
    generators = (np.random.default_rng([seed, 4, n]) for n in range(whole(permutations, "permutations")))
    orders = [generator.permutation(model.n_items) for generator in generators]
    found = {}
    try:
        for group, columns in groups.items():
            ranks = []
            for order in orders:
                model.features.fill(features.permuted(columns, order))
                ranks.append(np.asarray(rank(), np.float64))
            found[group] = np.stack(ranks, axis=1)
    finally:
        model.features.fill(features)
    return found


def importance(session: np.ndarray, ranks: np.ndarray, permuted: Mapping[str, np.ndarray], k: int = 20) -> pd.DataFrame:
    """Compute the loss in Recall@k and MRR@k of each group, with 95 % intervals over sessions and permutations.

    Args:
        session: int [targets], of each target.
        ranks: float [targets], by the model as it is; infinite for a miss.
        permuted: of `permuted_ranks`.
        k: cutoff, 1 or more.

    Returns:
        A row a group and metric: group, metric (`recall` or `mrr`), value (of the model as it is), difference (value
        minus the mean over the permutations), low, high (95 %, as in `statistics.differences` with permutations in
        place of seeds), permutations.
    """
    sums = SessionSums.of(session, [ranks[:, None], *permuted.values()], k)
    losses = [sums.by_seed[0] - own for own in sums.by_seed[1:]]
    # The losses are compared with 0, so that a feature without effect has exactly 0.
    both = SessionSums([*losses, np.zeros_like(sums.by_seed[0])], sums.counts)
    table = differences(both, [(group, len(losses)) for group in range(len(losses))])
    return pd.DataFrame(
        {
            "group": np.array([*permuted], object)[table["first"]],
            "metric": table["score"],
            "value": np.tile(sums.scores[0, 0], len(losses)),
            **table[["difference", "low", "high"]],
            "permutations": sums.seeds[1:][table["first"]],
        }
    )
