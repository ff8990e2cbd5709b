"""Compare all models of a study: scores with intervals, and tests of their differences."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
import pandas as pd

from gru4rec_lib.data.columns import Columns
from gru4rec_lib.evaluation.statistics import ALPHA, SCORES, SessionSums, differences, holm, intervals, quick_intervals
from gru4rec_lib.ranking.metrics import cold, gains

PARTS: dict[str, Callable[[pd.DataFrame], pd.DataFrame]] = {
    "known": lambda table: table[table["protocol"] == "known"],
    "open": lambda table: table[table["protocol"] == "open"],
    "popular": lambda table: table[table["protocol"] == "popular"],
    "cold": cold,
}


@dataclass(frozen=True)
class Ranked:
    """The ranks of every model of a study at the same test targets.

    Args:
        models: one row a model: Columns.MODEL, and its `seed` or how many `seeds`.
        targets: one row a target: Columns.TARGET.
        ranks: for each model float64 [targets, seeds], infinite for a miss.
        k: cutoff of its scores.
        cutoffs: every cutoff of the table `scored`, `k` among them.
    """

    models: pd.DataFrame
    targets: pd.DataFrame
    ranks: list[np.ndarray]
    k: int = 20
    cutoffs: tuple[int, ...] = (20,)

    def over_seeds(self) -> Ranked:
        """Combine runs that differ in their seed alone to one model, whose score is their mean.

        Intervals and tests then hold for other seeds too; see `statistics`.
        """
        by_model = self.models.groupby(Columns.MODEL, sort=False)
        models = by_model.size().rename("seeds").reset_index()
        runs = [np.flatnonzero(by_model.ngroup() == model) for model in range(len(models))]
        ranks = [np.concatenate([self.ranks[run] for run in own], axis=1) for own in runs]
        return replace(self, models=models, ranks=ranks)

    def sums(self, stratum: np.ndarray | None = None) -> SessionSums:
        """Sum the gains by session, for intervals and tests.

        Args:
            stratum: int [targets], 0 or more; None for one.
        """
        return SessionSums.of(self.targets["session"].to_numpy(), self.ranks, self.k, stratum)


def scored(ranked: Ranked) -> pd.DataFrame:
    """Compute recall and MRR of every model, 95 % intervals, and the models that do not differ from the best.

    The family of tests is every pair of models in both scores, because the same data chooses the best one.

    Args:
        ranked: ranks of one target or more.

    Returns:
        A row a model: the columns of `ranked.models`, protocol, n_candidates, n_targets, then for
        recall and mrr <score>_at_<k>, <score>_low, <score>_high, <score>_sd (over the seeds; empty for one), and
        <score>_with_best: true for the best and for those that do not differ from it by the test after Holm. Then
        recall, mrr and ndcg at the other cutoffs, and ndcg at k.
    """
    sums = ranked.sums()
    low, high = intervals(sums)
    spread = _between_seeds(ranked)
    of = ranked.targets.iloc[0]
    table = ranked.models.assign(
        protocol=of["protocol"], n_candidates=of["n_candidates"], n_targets=len(ranked.targets)
    )
    pairs = differences(sums, list(combinations(range(len(table)), 2)))
    for number, score in enumerate(SCORES):
        value = sums.scores[0, :, number]
        best = value.argmax()
        apart = pairs[(pairs["score"] == score) & (pairs["p_holm"] < ALPHA)]
        beaten = {*apart.loc[apart["first"] == best, "second"], *apart.loc[apart["second"] == best, "first"]}
        table[f"{score}_at_{ranked.k}"] = value
        table[f"{score}_low"], table[f"{score}_high"] = low[0, :, number], high[0, :, number]
        table[f"{score}_sd"] = spread[:, number]
        table[f"{score}_with_best"] = [model not in beaten for model in range(len(table))]
    for name in more_scores(ranked.cutoffs, ranked.k):
        score, _, cutoff = name.partition("_at_")
        table[name] = [gains(own, int(cutoff))[score].mean() for own in ranked.ranks]
    return table


def more_scores(cutoffs: Sequence[int], k: int) -> list[str]:
    """Name the scores of `scored` that have neither interval nor test, such as `recall_at_5` and `ndcg_at_20`.

    Args:
        cutoffs: rising.
        k: the one whose recall and MRR have intervals.
    """
    every = [(score, cutoff) for cutoff in cutoffs for score in (*SCORES, "ndcg")]
    return [f"{score}_at_{cutoff}" for score, cutoff in every if cutoff != k or score not in SCORES]


def against(ranked: Ranked, references: Mapping[str, int]) -> pd.DataFrame:
    """Compare every other model with a reference, with interval and test; see `statistics.differences`.

    Args:
        ranked: the ranks.
        references: for recall and mrr the row of the reference in `ranked.models`.

    Returns:
        For each score a row a model: the columns of `ranked.models`, `reference` (its name), score,
        difference, low, high, p, p_holm (corrected over both scores).
    """
    pairs = [(model, at) for at in {*references.values()} for model in range(len(ranked.models)) if model != at]
    table = differences(ranked.sums(), pairs)
    table = table[table["second"] == table["score"].map(references)].reset_index(drop=True)
    models = ranked.models.iloc[table["first"]].reset_index(drop=True)
    models["reference"] = ranked.models["model"].iloc[table["second"]].to_numpy()
    table["p_holm"] = holm(table["p"].to_numpy())
    return pd.concat([models, table.drop(columns=["first", "second"])], axis=1)


def is_baseline(model: pd.Series) -> pd.Series:
    """Whether each model is a baseline, and neither a network nor a blend.

    Args:
        model: names, the column `model` of a table.
    """
    return ~model.str.fullmatch(r"gru4rec|blend(-.*)?")


def best_baseline(ranked: Ranked, score: str) -> int:
    """Return the row of the baseline with the highest score: the hardest reference for the other models.

    Args:
        ranked: the ranks.
        score: `recall` or `mrr`; their best baselines may differ.
    """
    own = ranked.sums().scores[0, :, SCORES.index(score)]
    return int(np.where(is_baseline(ranked.models["model"]), own, -1).argmax())


def by_stratum(ranked: Ranked, strata: pd.DataFrame) -> pd.DataFrame:
    """Compute the scores of every model within parts of the targets.

    Args:
        ranked: the ranks.
        strata: a column a division, categorical [targets], such as of `target_groups.of_targets`.

    Returns:
        A row a division, stratum and model: by, stratum, the columns of `ranked.models`, protocol, n_targets, and for
        recall and mrr <score>_at_<k>, <score>_low, <score>_high.
    """
    parts = []
    for name, labels in strata.items():
        labels = labels.cat.remove_unused_categories()
        sums = ranked.sums(labels.cat.codes.to_numpy())
        shape = sums.scores.shape[:2]
        table = ranked.models.iloc[np.tile(np.arange(shape[1]), shape[0])].reset_index(drop=True)
        table.insert(0, "by", name)
        table.insert(1, "stratum", np.repeat(labels.cat.categories, shape[1]))
        table["protocol"] = ranked.targets["protocol"].iloc[0]
        table["n_targets"] = np.repeat(sums.counts.sum(axis=0).astype(int), shape[1])
        for score, columns in zip(SCORES, np.moveaxis([sums.scores, *quick_intervals(sums)], -1, 0), strict=True):
            for what, values in zip((f"at_{ranked.k}", "low", "high"), columns, strict=True):
                table[f"{score}_{what}"] = values.ravel()
        parts.append(table)
    return pd.concat(parts, ignore_index=True)


def _between_seeds(ranked: Ranked) -> np.ndarray:
    """float64 [models, 2], standard deviation of the scores over the seeds; NaN for one seed."""
    spread = []
    for own in ranked.ranks:
        gains = np.stack([own <= ranked.k, (own <= ranked.k) / own])
        per_seed = gains.mean(axis=1)
        spread.append(per_seed.std(axis=1, ddof=1) if own.shape[1] > 1 else np.full(len(SCORES), np.nan))
    return np.array(spread)
