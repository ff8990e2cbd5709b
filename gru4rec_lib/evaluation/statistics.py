"""Intervals and paired tests from ranks, over sessions and over the seeds of a model.

Sessions are sampled: the targets of one session depend on each other, and intervals that ignore this are too narrow.
Seeds are sampled too: another training gives other scores. The design is crossed, as every seed of every model has
ranked the same sessions. The variance of a score is that over sessions, of the mean over seeds, plus the variance
component of the seeds divided by their number (Searle, Casella & McCulloch, Variance Components, 1992, section 4.7). A
model with one seed has no such component: its intervals and tests hold for this one training only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from scipy.special import ndtri, stdtr, stdtrit

from gru4rec_lib.utils.arguments import whole

SCORES = ("recall", "mrr")
DRAWS, SEED = 2000, 1
ALPHA = 0.05  # of the tests; intervals are of 95 %
CELLS = 2**22  # sessions x draws processed together: 32 MB


@dataclass(frozen=True)
class SessionSums:
    """Sums of each session's gains, for every model and seed: the input of intervals and tests.

    Args:
        by_seed: for each model float64 [sessions, strata, seeds, 2], sums of hits and of reciprocal ranks over the
            session's targets.
        counts: float64 [sessions, strata], numbers of targets.
    """

    by_seed: Sequence[np.ndarray]
    counts: np.ndarray

    @classmethod
    def of(
        cls, session: np.ndarray, ranks: Sequence[np.ndarray], k: int, stratum: np.ndarray | None = None
    ) -> SessionSums:
        """Sum the gains of each session.

        Args:
            session: int [n], of each target.
            ranks: for each model float [n, seeds], infinite for a miss.
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

        def summed(values=None):
            return np.bincount(cell, values, shape[0] * shape[1]).reshape(shape)

        by_seed = []
        for own in ranks:
            within = own <= k
            gains = [[summed(column) for column in gain.T] for gain in (within, within / own)]
            by_seed.append(np.moveaxis(np.array(gains), (0, 1), (3, 2)))
        return cls(by_seed, summed().astype(np.float64))

    @property
    def seeds(self) -> np.ndarray:
        """Int [models], how many seeds each has."""
        return np.array([own.shape[2] for own in self.by_seed])

    @cached_property
    def gains(self) -> np.ndarray:
        """float64 [sessions, strata, models, 2], means over the seeds of a model."""
        return np.stack([own.mean(axis=2) for own in self.by_seed], axis=2)

    @cached_property
    def seed_variance(self) -> np.ndarray:
        """Variance of each score that another choice of seeds would add.

        The variance of the seeds' scores holds also what differs between the seeds from session to session, which
        `gains` shows already; its expectation is subtracted.

        Returns:
            float64 [strata, models, 2], 0 or more: the variance component of the seeds, divided by their number; 0 for
            one seed.
        """
        n, targets = len(self.counts), self.counts.sum(axis=0)[:, None]
        found = np.zeros(self.scores.shape)
        for model, own in enumerate(self.by_seed):
            seeds = own.shape[2]
            if seeds > 1 and n > 1:
                with np.errstate(invalid="ignore"):
                    scores = own.sum(axis=0) / targets[:, None]  # [strata, seeds, 2]
                    beside = scores - scores.mean(axis=1, keepdims=True)
                    rest = own - self.gains[:, :, model, None] - beside * self.counts[:, :, None, None]
                    noise = (rest**2).sum(axis=(0, 2)) * n / ((n - 1) * (seeds - 1) * targets**2)
                    found[:, model] = np.maximum(scores.var(axis=1, ddof=1) - noise, 0) / seeds
        return found

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
        """Scores of bootstrap samples of the sessions and the seeds.

        The sessions are resampled, the same for all models and strata. Two or three seeds are too few to resample:
        percentiles of them cover the mean of all seeds in 50 or 75 % of the cases. So the deviation of their mean is
        drawn from Student's t with their variance, independently for each model (a parametric bootstrap, Efron &
        Tibshirani 1993, section 6.5).

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
            drawn = sums[:, :-strata].reshape(-1, *self.gains.shape[1:]) / sums[:, -strata:, None, None]
        for model in np.flatnonzero(self.seeds > 1):
            levels = (np.random.default_rng([SEED, model]).permutation(DRAWS) + 0.5) / DRAWS
            deviation = stdtrit(self.seeds[model] - 1, levels)[:, None, None]
            drawn[:, :, model] += deviation * np.sqrt(self.seed_variance[:, model])
        return drawn


def intervals(sums: SessionSums) -> tuple[np.ndarray, np.ndarray]:
    """Compute percentile intervals from a bootstrap over sessions and seeds (Efron & Tibshirani 1993, section 13.3).

    Args:
        sums: of the sessions.

    Returns:
        float64 [strata, models, 2], the lower and the upper ends of 95 %, cut off at 0 and 1; NaN in a stratum whose
        targets are of fewer than two sessions.
    """
    low, high = _ends(sums.draws, sums.alone[:, None, None])
    return np.clip(low, 0, 1), np.clip(high, 0, 1)


def quick_intervals(sums: SessionSums) -> tuple[np.ndarray, np.ndarray]:
    """Compute intervals by the normal approximation of a ratio of sums over sessions (Cochran 1977, section 2.11).

    For many strata, where the bootstrap of `intervals` is slow. The variance of the seeds is added; Student's t with
    Satterthwaite's degrees of freedom (Biometrics Bulletin 1946) then takes the place of the normal distribution.

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
    error, freedom = _with_seeds(error, np.inf, [(sums.seed_variance, sums.seeds[:, None])])
    # The t-distribution of infinite freedom differs from the normal one in the last bit.
    half = np.where(np.isinf(freedom), ndtri(1 - ALPHA / 2), stdtrit(freedom, 1 - ALPHA / 2)) * error
    return np.clip(scores - half, 0, 1), np.clip(scores + half, 0, 1)


def differences(sums: SessionSums, pairs: Sequence[tuple[int, int]]) -> pd.DataFrame:
    """Compute differences of models in both scores, with intervals and tests.

    The interval is of the paired bootstrap. The test is the paired t-test of the sessions' sums: with thousands of
    sessions its error rate is that of bootstrap and permutation tests, while sign and Wilcoxon tests reject too often
    (Ihemelandu & Ekstrand, arXiv 2305.02461), and its p has no smallest step. With several seeds, the variances of the
    seeds of both models are added to that over sessions, and the degrees of freedom are Satterthwaite's (Biometrics
    Bulletin 1946): few where the seeds dominate, one less than sessions where they add nothing. The correction is
    Holm's (Scandinavian Journal of Statistics 1979) over all rows. Strata are added up.

    Args:
        sums: of the sessions.
        pairs: models to compare, by number: (first, second).

    Returns:
        For each pair a row for recall and one for mrr: first, second, score, difference (first - second), low, high
        (95 %; NaN where all targets are in one session), p, p_holm.
    """
    by_seed = [own.sum(axis=1, keepdims=True) for own in sums.by_seed]
    sums = SessionSums(by_seed, sums.counts.sum(axis=1, keepdims=True))
    first, second = np.array(pairs, int).reshape(-1, 2).T
    low, high = _ends(sums.draws[:, 0, first] - sums.draws[:, 0, second], sums.alone)
    scores = sums.scores[0]
    p = np.stack([_paired_p(sums, score, first, second) for score in range(len(SCORES))], axis=1)
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


def margin_p(sums: SessionSums, pairs: Sequence[tuple[int, int]], margin: float) -> np.ndarray:
    """Test differences against -margin: whether the first model is at most `margin` below the second.

    The test is that of `differences`, one-sided, with the first model's score raised by the margin. A p below 0.05 is a
    lower bound of 95 % above -margin where the difference is (non-inferiority; Wellek, Testing Statistical Hypotheses
    of Equivalence and Noninferiority, 2010, section 2.2), and an upper bound below -margin elsewhere.

    Args:
        sums: of the sessions.
        pairs: models to compare, by number: (first, second).
        margin: 0 or more, in units of the score.

    Returns:
        float64 [pairs, 2], one-sided p for recall and mrr, of the side of -margin on which the difference is.
    """
    raised = [own + margin * sums.counts[:, :, None, None] for own in sums.by_seed]
    both = SessionSums([*sums.by_seed, *raised], sums.counts)
    models = len(raised)
    found = differences(both, [(first + models, second) for first, second in pairs])
    return found["p"].to_numpy().reshape(-1, len(SCORES)) / 2


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


def _paired_p(sums: SessionSums, score: int, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the two-sided p of the paired test for many pairs of models, from their covariances over sessions.

    Args:
        sums: with one stratum.
        score: its number in SCORES.
        first: int [pairs].
        second: int [pairs].

    Returns:
        float64 [pairs]; 1 for equal sums or a single session.
    """
    gains, n = sums.gains[:, 0, :, score], len(sums.counts)
    mean = gains.mean(axis=0)
    difference = mean[first] - mean[second]
    if n < 2:
        return np.ones(len(difference))
    covariance = np.atleast_2d(np.cov(gains, rowvar=False))
    own = np.diag(covariance)
    error = np.sqrt(np.maximum(own[first] + own[second] - 2 * covariance[first, second], 0) / n)
    seeds = sums.seed_variance[0, :, score] * sums.counts.mean() ** 2
    error, freedom = _with_seeds(error, n - 1, [(seeds[model], sums.seeds[model]) for model in (first, second)])
    t = np.divide(np.abs(difference), error, out=np.where(difference == 0, 0, np.inf), where=error > 0)
    return 2 * stdtr(freedom, -np.where(difference == 0, 0, t))


def _with_seeds(error: np.ndarray, freedom: float, parts: Sequence[tuple]) -> tuple[np.ndarray, np.ndarray]:
    """Add the variances of seeds to a standard error over sessions.

    Args:
        error: float64, any shape.
        freedom: its degrees of freedom.
        parts: (variance, int number of seeds), each of a shape that broadcasts.

    Returns:
        The standard error, and Satterthwaite's degrees of freedom; both unchanged where the variances are 0.
    """
    added = sum(variance for variance, _ in parts)
    total = error**2 + added
    spread = error**4 / freedom + sum(variance**2 / np.maximum(seeds - 1, 1) for variance, seeds in parts)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(added > 0, np.sqrt(total), error), np.where(added > 0, total**2 / spread, freedom)
