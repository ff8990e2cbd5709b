"""Intervals and paired tests from ranks. Sessions are what was sampled, so sessions are what is resampled.

Targets of one session are alike: whoever takes them for independent calls noise a difference. Every model has ranked
the same targets, and every model gets the same draws.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from scipy import stats

from gru4rec_lib.utils.arguments import whole

SCORES = ("recall", "mrr")
DRAWS, SEED = 2000, 1
ALPHA = 0.05  # intervals hold 95 %; a difference with a smaller p counts
CELLS = 2**22  # sessions x draws weighed together: 32 MB


@dataclass(frozen=True)
class SessionSums:
    """What a session adds to the scores of every model: all that intervals and tests need.

    Args:
        gains: float64 [sessions, strata, models, 2], sums of hits and of reciprocal ranks over the session's targets.
        counts: float64 [sessions, strata], the targets.
    """

    gains: np.ndarray
    counts: np.ndarray

    @classmethod
    def of(
        cls, session: np.ndarray, ranks: Sequence[np.ndarray], k: int, stratum: np.ndarray | None = None
    ) -> SessionSums:
        """Add up the targets of each session.

        Args:
            session: int [n], of each target.
            ranks: for each model float [n, seeds], infinite for a miss; its gain is the mean over its seeds.
            k: cutoff, 1 and more.
            stratum: int [n], 0 and more; one stratum when None.

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
        """Bool [strata]: the targets are of fewer than two sessions, so that no interval can be given."""
        return (self.counts > 0).sum(axis=0) < 2

    @cached_property
    def draws(self) -> np.ndarray:
        """Scores of as many sessions, drawn with replacement, the same ones for all models and strata.

        Returns:
            float64 [DRAWS, strata, models, 2]; NaN where a draw has no target of a stratum.
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
    """Percentile intervals from a bootstrap over sessions (Efron & Tibshirani 1993, section 13.3).

    Args:
        sums: of the sessions.

    Returns:
        float64 [strata, models, 2], the lower and the upper ends of 95 %; NaN in a stratum whose targets are of fewer
        than two sessions, as those tell nothing of others.
    """
    return _ends(sums.draws, sums.alone[:, None, None])


def quick_intervals(sums: SessionSums) -> tuple[np.ndarray, np.ndarray]:
    """As `intervals`, by the normal approximation of a ratio of sums over sessions (Cochran 1977, section 2.11).

    For many strata, where a bootstrap would weigh every session 2,000 times for each of them.

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
    half = stats.norm.ppf(1 - ALPHA / 2) * error
    return np.clip(scores - half, 0, 1), np.clip(scores + half, 0, 1)


def differences(sums: SessionSums, pairs: Sequence[tuple[int, int]]) -> pd.DataFrame:
    """Differences of models in both scores, each with its interval and its test.

    The interval is of the paired bootstrap. The test is the paired t-test of the sessions' sums: with thousands of
    sessions it errs as rarely as bootstrap and permutation tests, while sign and Wilcoxon tests find too much
    (Ihemelandu & Ekstrand, arXiv 2305.02461), and its p has no smallest step. The correction is Holm's (Scandinavian
    Journal of Statistics 1979) over all rows. All strata are taken together.

    Args:
        sums: of the sessions.
        pairs: models to compare, by number: (first, second).

    Returns:
        For each pair a row for recall and one for mrr: first, second, score, difference (first less second), low, high
        (95 %; NaN where all targets are of one session), p, p_holm.
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
    """Holm's step-down correction: the smallest p times n, the next times n - 1, ..., never falling, at most 1.

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
    """Two-sided p of the paired t-test for many pairs of columns at once, from their covariances.

    Args:
        sums: float64 [sessions, models].
        first: int [pairs].
        second: int [pairs].

    Returns:
        float64 [pairs]; 1 where nothing can be told: equal sums, or a single session.
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
    return 2 * stats.t.sf(np.where(difference == 0, 0, t), n - 1)
