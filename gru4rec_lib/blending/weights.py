"""Choose the weights of a blend: the best of a grid on validation targets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from gru4rec_lib.blending.parts import Parts, Scores, in_columns
from gru4rec_lib.data.sessions import Sessions
from gru4rec_lib.utils.backend import tf

STEPS = 20  # a weight is a multiple of 1 / STEPS
COARSE = 2  # steps between two weights of the first grid


def grid(n_parts: int) -> np.ndarray:
    """Return all weights in steps of COARSE / STEPS that sum to 1: float64 [n, parts].

    Args:
        n_parts: 1 or more.

    >>> len(grid(2)), len(grid(3)), grid(2)[:3].tolist()
    (11, 66, [[1.0, 0.0], [0.9, 0.1], [0.8, 0.2]])
    """
    return np.array(list(_sums(STEPS // COARSE, n_parts))) * COARSE / STEPS


def around(weights: np.ndarray) -> np.ndarray:
    """Return the weights that differ by one step of 1 / STEPS in two parts: float64 [n, parts].

    Args:
        weights: float64 [parts].

    >>> around(np.array([0.9, 0.1, 0.0])).tolist()
    [[0.95, 0.05, 0.0], [0.85, 0.15, 0.0], [0.85, 0.1, 0.05], [0.9, 0.05, 0.05]]
    """
    steps, one = np.rint(weights * STEPS).astype(int), np.eye(len(weights), dtype=int)
    moved = np.array([steps + more - less for less in one[::-1] for more in one if (more != less).any()])
    moved = moved.reshape(-1, len(weights))
    return moved[(moved >= 0).all(axis=1)] / STEPS


def _sums(total: int, n: int) -> Iterator[tuple[int, ...]]:
    """Yield all tuples of n whole numbers, 0 or more, with this sum, the greatest first number first."""
    if n == 1:
        yield (total,)
        return
    for first in range(total, -1, -1):
        for rest in _sums(total - first, n - 1):
            yield first, *rest


def gains(parts: Parts, sessions: Sessions, chosen: np.ndarray | None, weights: np.ndarray, k: int = 20) -> np.ndarray:
    """Compute what each target adds to Recall@k and MRR@k under each of many weights.

    Ranks are among the training tracks, exact up to k. The parts' scores are computed once.

    Args:
        parts: fitted.
        sessions: of training tracks.
        chosen: bool [events], the targets; all when None.
        weights: float64 [n, parts].
        k: cutoff.

    Returns:
        float64 [chosen targets, n, 2], in the order of `sessions.items`: 1 or 0, and the reciprocal rank or 0.
    """
    chosen = sessions.targets(chosen)
    found, row = np.zeros((chosen.sum(), len(weights), 2)), np.cumsum(chosen) - 1
    for scores in parts.score(sessions, chosen):
        ranks = first_ranks(scores, weights, parts.n_items, k)
        hit = ranks <= k
        found[row[scores.event]] = np.stack([hit, hit / ranks], axis=2)
    return found


def first_ranks(scores: Scores, weights: np.ndarray, n_candidates: int, k: int) -> np.ndarray:
    """Rank the targets under each of many weights.

    The tracks without a score of a baseline are in the order of the network, whatever the weights: the k first of them
    decide whether a rank is at most k.

    Args:
        scores: of the parts.
        weights: float64 [m, parts].
        n_candidates: ranks are among the first so many tracks.
        k: ranks up to this are exact, others are greater than it.

    Returns:
        int64 [n, m], 1 is best; a tie counts against the target.
    """
    n = len(scores.event)
    row, column, listed = _listed(scores, n_candidates)
    order = np.argsort(column, kind="stable")
    sorted_column, at = column[order], np.zeros(len(column))
    rest = np.full((n, k), -1.0)
    for first, block in scores.of_network(n_candidates):
        part = order[slice(*np.searchsorted(sorted_column, [first, first + block.shape[1]]))]
        at[part] = block[row[part], column[part] - first]
        block[row[part], column[part] - first] = -1
        own = np.flatnonzero((scores.target >= first) & (scores.target < first + block.shape[1]))
        block[own, scores.target[own] - first] = -1
        best, _ = tf.math.top_k(np.concatenate([rest, block], axis=1), k)
        rest = best.numpy()
    is_other = column != scores.target[row]
    row, listed = row[is_other], [at[is_other], *(part[is_other] for part in listed)]
    ranks = np.empty((n, len(weights)), np.int64)
    for number, weight in enumerate(weights):
        own = scores.blended_own(weight)
        ahead = ((weight[0] * rest >= own[:, None]) & (rest >= 0)).sum(axis=1)
        blended = sum(w * part for w, part in zip(weight, listed, strict=True))
        ranks[:, number] = 1 + ahead + np.bincount(row[blended >= own[row]], minlength=n)
    return ranks


def _listed(scores: Scores, n_candidates: int) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
    """Row and column of each candidate that a baseline scores, and its scores by the baselines."""
    found = [in_columns(table, 0, n_candidates) for table in scores.columns]
    keys = [row * np.int64(n_candidates) + column for row, column, _ in found]
    every = np.unique(np.concatenate([np.zeros(0, np.int64), *keys]))
    listed = [np.zeros(len(every)) for _ in found]
    for part, key, (_, _, score) in zip(listed, keys, found, strict=True):
        part[np.searchsorted(every, key)] = score
    return *np.divmod(every, n_candidates), listed


@dataclass(frozen=True)
class Choice:
    """Weights that were tried on validation, and the best of them.

    The objective is the smaller of two ratios, Recall@20 and MRR@20 each divided by that of the best single part:
    above 1 where the weights lead in both.

    Args:
        names: of the parts.
        tried: float64 [n, parts], weights; the single parts among them.
        gains: float64 [targets, n, 2], of `gains`.
    """

    names: Sequence[str]
    tried: np.ndarray
    gains: np.ndarray

    @property
    def scores(self) -> np.ndarray:
        """float64 [n, 2], Recall@20 and MRR@20 under the tried weights."""
        return self.gains.mean(axis=0)

    @property
    def scale(self) -> np.ndarray:
        """float64 [2], the best Recall@20 and MRR@20 of a single part; 1 where that is 0."""
        best = self.scores[(self.tried == 1).any(axis=1)].max(axis=0)
        return np.where(best > 0, best, 1)

    @property
    def objective(self) -> np.ndarray:
        """float64 [n], of the tried weights."""
        return (self.scores / self.scale).min(axis=1)

    @property
    def best(self) -> np.ndarray:
        """float64 [parts], the best weights; of equal ones those that were tried first."""
        return self.tried[self._best]

    @property
    def best_scores(self) -> np.ndarray:
        """float64 [2], Recall@20 and MRR@20 under the best weights."""
        return self.scores[self._best]

    @property
    def _best(self) -> int:
        return np.round(self.objective, 12).argmax()

    @property
    def weights(self) -> dict[str, float]:
        """The best weights by the name of the part."""
        return dict(zip(self.names, self.best.tolist(), strict=True))

    @property
    def table(self) -> pd.DataFrame:
        """The weight of each part, chosen, validation_recall_at_20, validation_mrr_at_20, objective; one row each."""
        table = pd.DataFrame(self.tried, columns=self.names).assign(chosen=np.arange(len(self.tried)) == self._best)
        table[["validation_recall_at_20", "validation_mrr_at_20"]] = self.scores
        return table.assign(objective=self.objective)


def choose(parts: Parts, sessions: Sessions, chosen: np.ndarray | None = None) -> Choice:
    """Try a grid of weights, then smaller steps around its best.

    Args:
        parts: fitted without these sessions.
        sessions: validation sessions, of training tracks alone.
        chosen: bool [events], the targets; all when None.

    Raises:
        ValueError: there is no target.
    """
    chosen = sessions.targets(chosen)
    if not chosen.any():
        raise ValueError(
            "there is no validation target on which to choose the weights of a blend; give longer sessions"
        )
    tried = grid(len(parts.names))
    coarse = Choice(parts.names, tried, gains(parts, sessions, chosen, tried))
    finer = around(coarse.best)
    found = np.concatenate([coarse.gains, gains(parts, sessions, chosen, finer)], axis=1)
    return Choice(parts.names, np.concatenate([tried, finer]), found)
