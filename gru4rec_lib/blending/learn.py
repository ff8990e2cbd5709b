"""Learn the session weights of a blend from validation targets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from scipy import optimize

from gru4rec_lib.blending.blend import Blend
from gru4rec_lib.blending.parts import Parts, Scores, fourth_root
from gru4rec_lib.blending.session_weights import SessionWeights, exponential, feature_names, features_of
from gru4rec_lib.blending.weights import choose
from gru4rec_lib.data.history import place_in_group
from gru4rec_lib.data.sessions import Sessions
from gru4rec_lib.ranking.exact import best

LISTED = 200  # candidates that each part gives for a target
RIDGE = 0.01
ITERATIONS = 150


@dataclass(frozen=True)
class Examples:
    """Validation targets with the candidates among which they are to be found.

    Args:
        parts: of the blend, fitted without the targets' sessions.
        event: int [n], the targets' places in `sessions.items`; those that no part lists are left out.
        features: float64 [n, features], of their sessions.
        row: int [m], 0..n-1, rising: the target of each candidate.
        values: float64 [m, parts], the fourth roots of the candidates' normalised scores.
        is_target: bool [m]; one true value in each row.
    """

    parts: Parts
    event: np.ndarray
    features: np.ndarray
    row: np.ndarray
    values: np.ndarray
    is_target: np.ndarray

    @classmethod
    def of(cls, parts: Parts, sessions: Sessions, chosen: np.ndarray | None = None) -> Self:
        """List the candidates of targets: the LISTED best tracks of each part.

        Args:
            parts: fitted without these sessions.
            sessions: validation sessions, of training tracks alone.
            chosen: bool [events], the targets; all when None.
        """
        found = [(np.zeros(0, int), np.zeros((0, len(feature_names(parts)))))]
        listed = [(np.zeros(0, int), np.zeros((0, len(parts.names))), np.zeros(0, bool))]
        for scores in parts.score(sessions, sessions.targets(chosen)):
            row, values, is_target = candidates(scores, parts.n_items)
            kept = np.bincount(row[is_target], minlength=len(scores.event)) > 0
            number = np.cumsum(kept) - 1 + sum(len(event) for event, _ in found)
            found.append((scores.event[kept], features_of(scores, sessions, parts.n_items)[kept]))
            listed.append((number[row], values, is_target, kept[row]))
        joined = [np.concatenate(part) for part in zip(*found, strict=True)]
        listed = [listed[0], *((row[of], values[of], is_target[of]) for row, values, is_target, of in listed[1:])]
        return cls(parts, *joined, *(np.concatenate(part) for part in zip(*listed, strict=True)))

    def take(self, chosen: np.ndarray) -> Examples:
        """Return the examples of some targets.

        Args:
            chosen: bool [n].
        """
        kept, number = chosen[self.row], np.cumsum(chosen) - 1
        rows = number[self.row[kept]], self.values[kept], self.is_target[kept]
        return Examples(self.parts, self.event[chosen], self.features[chosen], *rows)


def learn(examples: Examples) -> SessionWeights:
    """Find the session weights under which the targets are most likely.

    With s(j) the weighted sum of the fourth roots of j's normalised scores, a target t has the probability
    exp s(t) / sum over its candidates j of exp s(j) (conditional logit, McFadden 1974). The mean log likelihood, less
    RIDGE times the sum of the squared coefficients without the constants, is maximised by L-BFGS.

    Args:
        examples: on validation.

    Raises:
        ValueError: there is no example.
    """
    if not len(examples.event):
        raise ValueError(
            "no part of the blend lists any validation target, so its weights cannot be learned; give more sessions, "
            "or take `weights: fixed`"
        )
    means, scales = examples.features.mean(axis=0), examples.features.std(axis=0)
    means[0], scales[scales < 1e-9] = 0, 1
    features, values = (examples.features - means) / scales, examples.values
    start = np.searchsorted(examples.row, np.arange(len(features)))
    found = optimize.minimize(
        _loss,
        np.zeros(values.shape[1] * features.shape[1]),
        (features, values, examples.row, start, examples.is_target),
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": ITERATIONS},
    )
    names = tuple(examples.parts.names), feature_names(examples.parts)
    return SessionWeights(*names, means, scales, found.x.reshape(values.shape[1], -1))


def held_out_gains(examples: Examples, sessions: Sessions, chosen: np.ndarray | None = None, k: int = 20) -> np.ndarray:
    """Compute what each target adds to Recall@k and MRR@k under weights that were learned without its session.

    The weights for the sessions with an even number are learned from those with an odd one, and the other way round;
    where these have no example, all weights are 1.

    Args:
        examples: those of the targets.
        sessions: validation sessions.
        chosen: bool [events], the targets; all when None.
        k: cutoff.

    Returns:
        float64 [chosen targets, 2], in the order of `sessions.items`: 1 or 0, and the reciprocal rank or 0.
    """
    chosen, parts = sessions.targets(chosen), examples.parts
    even, found = sessions.session_of_event % 2 == 0, np.zeros((len(chosen), 2))
    for half in (even, ~even):
        if (chosen & half).any():
            others = examples.take(~half[examples.event])
            weights = learn(others) if len(others.event) else _equal(parts)
            ranks = Blend(parts.network, parts.baselines, weights).rank(sessions, parts.n_items, chosen & half)
            found[chosen & half] = np.stack([ranks <= k, (ranks <= k) / ranks], axis=1)
    return found[chosen]


def _equal(parts: Parts) -> SessionWeights:
    """Weights of 1 in every session, the most likely ones by the penalty alone."""
    names = feature_names(parts)
    flat = np.zeros(len(names))
    return SessionWeights(tuple(parts.names), names, flat, flat + 1, np.zeros((len(parts.names), len(names))))


def candidates(scores: Scores, n_items: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """List the LISTED best training tracks of each part.

    Args:
        scores: of the parts at n targets.
        n_items: number of training tracks.

    Returns:
        row (int [m], 0..n-1, rising), the fourth root of each part's normalised score (float64 [m, parts]), and whether
        it is the target (bool [m]).
    """
    n, k = len(scores.event), min(LISTED, n_items)
    keys = [(np.arange(n)[:, None] * n_items + best(scores.of_network(n_items), k)).ravel()]
    tables = [table.tocsr() for table in scores.columns]
    for table in tables:
        row = np.repeat(np.arange(n), np.diff(table.indptr))
        order = np.lexsort((table.indices, -table.data, row))
        order = order[place_in_group(row[order]) < k]
        keys.append(row[order] * n_items + table.indices[order])
    row, column = np.divmod(np.unique(np.concatenate(keys)), n_items)
    values = np.stack([np.zeros(len(row)), *(np.asarray(table[row, column]).ravel() for table in tables)], axis=1)
    order = np.argsort(column, kind="stable")
    for first, block in scores.of_network(n_items):
        here = order[slice(*np.searchsorted(column[order], [first, first + block.shape[1]]))]
        values[here, 0] = block[row[here], column[here] - first]
    return row, fourth_root(values), column == scores.target[row]


def _loss(flat, features, values, row, start, is_target):
    """The penalised mean negative log likelihood of the targets, and its gradient by the coefficients."""
    coefficients = flat.reshape(values.shape[1], -1)
    weights = exponential(features, coefficients)
    logits = np.einsum("mp,mp->m", values, weights[row])
    highest = np.maximum.reduceat(logits, start)
    shares = np.exp(logits - highest[row])
    total = np.add.reduceat(shares, start)
    n, own = len(start), is_target
    penalised = np.concatenate([np.zeros((len(coefficients), 1)), coefficients[:, 1:]], axis=1)
    loss = (highest + np.log(total) - logits[own]).mean() + RIDGE * (penalised**2).sum()
    by_logit = (shares / total[row] - own) / n
    by_weight = np.add.reduceat(by_logit[:, None] * values, start, axis=0) * weights
    return loss, (by_weight.T @ features + 2 * RIDGE * penalised).ravel()


# How a blend comes by its weights, from its parts and validation sessions.
LEARNING = {
    "fixed": lambda parts, sessions: choose(parts, sessions).weights,
    "by_session": lambda parts, sessions: learn(Examples.of(parts, sessions)),
}
