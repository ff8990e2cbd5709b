"""Intervals and paired tests from ranks. Sessions are the sampled units, so sessions are resampled.

The targets of one session depend on each other: intervals that ignore this are too narrow. Every model has ranked the
same targets, and every model gets the same draws.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from scipy.special import ndtri, stdtr

from gru4rec_lib.utils.arguments import whole

SCORES = ("recall", "mrr")
DRAWS, SEED = 2000, 1
ALPHA = 0.05  # of the tests; intervals are of 95 %
CELLS = 2**22  # sessions x draws processed together: 32 MB


@dataclass(frozen=True)
class SessionSums:
    """Sums of each session's gains, for every model: the input of intervals and tests.

    Args:
        gains: float64 [sessions, strata, models, 2], sums of hits and of reciprocal ranks over the session's targets.
        counts: float64 [sessions, strata], numbers of targets.
    """

    gains: np.ndarray
    counts: np.ndarray

    @classmethod
    def of(
        cls, session: np.ndarray, ranks: Sequence[np.ndarray], k: int, stratum: np.ndarray | None = None
    ) -> SessionSums:
        """Sum the gains of each session.

        Args:
            session: int [n], of each target.
            ranks: for each model float [n, seeds], infinite for a miss; its gain is the mean over its seeds.
            k: cutoff, 1 or more.
            stratum: int [n], 0 or more; one stratum when None.

        Returns:
            The sums, sessions by rising number.
        """
        k = whole(k, "k")
        distinct, session = np.unique(session, return_inverse=True)
        stratum = np.zeros(len(session), int) if stratum is None else stratum
        shape = len(distinct), int(stratum.max(initial=0)) + 1
        cell = session * shape[1] + stratum
        gains = np.empty((*shape, len(ranks), len(SCORES)))
        for model, own in enumerate(ranks):
            within = own <= k
            for score, gain in enumerate((within, within / own)):
                gains[:, :, model, score] = np.bincount(cell, gain.mean(axis=1), shape[0] * shape[1]).reshape(shape)
        return cls(gains, np.bincount(cell, minlength=shape[0] * shape[1]).reshape(shape).astype(np.float64))

    @property
    def scores(self) -> np.ndarray:
        """float64 [strata, models, 2]: Recall@k and MRR@k over all targets; NaN in an empty stratum."""
        with np.errstate(invalid="ignore"):
            return self.gains.sum(axis=0) / self.counts.sum(axis=0)[:, None, None]

    @property
    def alone(self) -> np.ndarray:
        """Bool [strata]: the targets are of fewer than two sessions, too few for an interval."""
        return (self.counts > 0).sum(axis=0) < 2

    @cached_property
    def draws(self) -> np.ndarray:
        """Scores of bootstrap samples of the sessions, the same samples for all models and strata.

        Returns:
            float64 [DRAWS, strata, models, 2]; NaN where a sample has no target of a stratum.
        """
        n = len(self.counts)
        flat = np.concatenate([self.gains.reshape(n, -1), self.counts], axis=1)
        rng, sums = np.random.default_rng(SEED), []
        block = max(1, CELLS // max(n, 1))
        for first in range(0, DRAWS, block):
            shape = min(block, DRAWS - first), n
            picked = rng.integers(n, size=shape) + n * np.arange(shape[0])[:, None]
            sums.append(np.bincount(picked.ravel(), minlength=picked.size).reshape(shape).astype(np.float64) @ flat)
        sums = np.concatenate(sums)
        strata = self.counts.shape[1]
        with np.errstate(invalid="ignore"):
            return sums[:, :-strata].reshape(-1, *self.gains.shape[1:]) / sums[:, -strata:, None, None]


def intervals(sums: SessionSums) -> tuple[np.ndarray, np.ndarray]:
    """Compute percentile intervals from a bootstrap over sessions (Efron & Tibshirani 1993, section 13.3).

    Args:
        sums: of the sessions.

    Returns:
        float64 [strata, models, 2], the lower and the upper ends of 95 %; NaN in a stratum whose targets are of fewer
        than two sessions.
    """
    return _ends(sums.draws, sums.alone[:, None, None])


def quick_intervals(sums: SessionSums) -> tuple[np.ndarray, np.ndarray]:
    """Compute intervals by the normal approximation of a ratio of sums over sessions (Cochran 1977, section 2.11).

    For many strata, where the bootstrap of `intervals` is slow.

    Args:
        sums: of the sessions.

    Returns:
        float64 [strata, models, 2], the lower and the upper ends of 95 %, cut off at 0 and 1; NaN as in `intervals`.
    """
    n, scores = len(sums.counts), sums.scores
    residuals = sums.gains - scores * sums.counts[:, :, None, None]
    with np.errstate(invalid="ignore"):
        error = np.sqrt((residuals**2).sum(axis=0) * n / max(n - 1, 1)) / sums.counts.sum(axis=0)[:, None, None]
    error[sums.alone] = np.nan
    half = ndtri(1 - ALPHA / 2) * error
    return np.clip(scores - half, 0, 1), np.clip(scores + half, 0, 1)


def differences(sums: SessionSums, pairs: Sequence[tuple[int, int]]) -> pd.DataFrame:
    """Compute differences of models in both scores, with intervals and tests.

    The interval is of the paired bootstrap. The test is the paired t-test of the sessions' sums: with thousands of
    sessions its error rate is that of bootstrap and permutation tests, while sign and Wilcoxon tests reject too often
    (Ihemelandu & Ekstrand, arXiv 2305.02461), and its p has no smallest step. The correction is Holm's (Scandinavian
    Journal of Statistics 1979) over all rows. Strata are added up.

    Args:
        sums: of the sessions.
        pairs: models to compare, by number: (first, second).

    Returns:
        For each pair a row for recall and one for mrr: first, second, score, difference (first - second), low, high
        (95 %; NaN where all targets are in one session), p, p_holm.
    """
    sums = SessionSums(sums.gains.sum(axis=1, keepdims=True), sums.counts.sum(axis=1, keepdims=True))
    first, second = np.array(pairs, int).reshape(-1, 2).T
    low, high = _ends(sums.draws[:, 0, first] - sums.draws[:, 0, second], sums.alone)
    scores = sums.scores[0]
    p = np.stack([_paired_p(sums.gains[:, 0, :, score], first, second) for score in range(len(SCORES))], axis=1)
    return pd.DataFrame(
        {
            "first": np.repeat(first, len(SCORES)),
            "second": np.repeat(second, len(SCORES)),
            "score": np.tile(SCORES, len(first)),
            "difference": (scores[first] - scores[second]).ravel(),
            "low": low.ravel(),
            "high": high.ravel(),
            "p": p.ravel(),
            "p_holm": holm(p.ravel()),
        }
    )


def holm(p: np.ndarray) -> np.ndarray:
    """Correct p by Holm's step-down rule: the smallest times n, the next times n - 1, ..., never falling, at most 1.

    Args:
        p: float [n], 0 to 1.

    Returns:
        float64 [n], corrected for n tests.

    >>> holm(np.array([0.01, 0.04, 0.03])).tolist()
    [0.03, 0.06, 0.06]
    """
    order = np.argsort(p, kind="stable")
    corrected = np.empty(len(p))
    corrected[order] = np.minimum(1, np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)))
    return corrected


def _ends(draws: np.ndarray, alone: np.ndarray) -> np.ndarray:
    """The lower and the upper ends of the draws, along their first axis; NaN where `alone`."""
    return np.where(alone, np.nan, np.nanquantile(draws, [ALPHA / 2, 1 - ALPHA / 2], axis=0))


def _paired_p(sums: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the two-sided p of the paired t-test for many pairs of columns, from their covariances.

    Args:
        sums: float64 [sessions, models].
        first: int [pairs].
        second: int [pairs].

    Returns:
        float64 [pairs]; 1 for equal sums or a single session.
    """
    n = len(sums)
    mean = sums.mean(axis=0)
    difference = mean[first] - mean[second]
    if n < 2:
        return np.ones(len(difference))
    covariance = np.atleast_2d(np.cov(sums, rowvar=False))
    own = np.diag(covariance)
    error = np.sqrt(np.maximum(own[first] + own[second] - 2 * covariance[first, second], 0) / n)
    t = np.divide(np.abs(difference), error, out=np.where(difference == 0, 0, np.inf), where=error > 0)
    return 2 * stdtr(n - 1, -np.where(difference == 0, 0, t))
