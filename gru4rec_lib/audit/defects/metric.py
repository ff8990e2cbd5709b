"""The scores of the course paper's code, for the audit only: MRR upside down (D1), unpaired first k (D2), selection on
the test (D8).

A new implementation of that code's behaviour; the right scores are in `ranking/metrics.py`.
"""

from __future__ import annotations

import numpy as np


def upside_down_gain(ranks: np.ndarray, k: int) -> np.ndarray:
    """Compute what a target adds to MRR@k with D1: 1/k at rank 1, 1/(k-1) at rank 2, ..., 1 at rank k, 0 after k.

    The first k are sorted by rising score and weighted by 1, 1/2, ..., 1/k in that order.

    Args:
        ranks: int [n], 1 for the best.
        k: cutoff.

    Returns:
        float64 [n].

    >>> upside_down_gain(np.array([1, 2, 4, 5]), k=4).tolist()
    [0.25, 0.3333333333333333, 1.0, 0.0]
    """
    return np.where(ranks <= k, 1.0 / np.maximum(k + 1 - ranks, 1), 0.0)


def unpaired_order(scores: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """Sort ids by the scores at the same positions, which may belong to other ids (D2).

    Args:
        scores: float [n, k], the k highest scores of a row in any order.
        ids: int [n, k], the tracks with these scores, in another order.

    Returns:
        int [n, k], the ids, the one at the position of the highest score first.

    Tracks 7, 8, 9 score 0.3, 0.2, 0.1; the row has the ids in another order than the scores:

    >>> unpaired_order(np.array([[0.1, 0.3, 0.2]]), np.array([[9, 8, 7]])).tolist()
    [[8, 7, 9]]

    where 7, 8, 9 would be right.
    """
    return np.take_along_axis(ids, scores.argsort(axis=1)[:, ::-1], axis=1)


def unpaired_ranks(scores: np.ndarray, targets: np.ndarray, k: int) -> np.ndarray:
    """Rank targets with D2: `partition` gives the first k scores, and a separate `argpartition` the ids.

    NumPy promises no order within a partition, so the two may disagree; which items are among the first k stays right.

    Args:
        scores: float [n, items], more than k items.
        targets: int [n].
        k: cutoff.

    Returns:
        int64 [n], 1 to k, or k + 1 for a target that is not among the first k.
    """
    values = np.partition(scores, -k, axis=1)[:, -k:]
    ids = np.argpartition(scores, -k, axis=1)[:, -k:]
    hit = unpaired_order(values, ids) == targets[:, None]
    return np.where(hit.any(axis=1), hit.argmax(axis=1) + 1, k + 1)


def chosen_epoch(test: np.ndarray, validation: np.ndarray, on_test: bool) -> int:
    """Select the epoch to report: the best on the test set (D8), or the best on validation.

    Args:
        test: float [epochs], scores on the test set.
        validation: float [epochs], on sessions that are in neither training nor test.
        on_test: whether D8 is active.

    Returns:
        The epoch, 0 for the first.

    >>> [chosen_epoch(np.array([0.2, 0.3]), np.array([0.4, 0.1]), on_test) for on_test in (True, False)]
    [1, 0]

    so the paper would report 0.3 in place of 0.2.
    """
    return int(np.argmax(test if on_test else validation))


def recoverable_mrr(recall: float, upside_down: float, k: int) -> tuple[float, float]:
    """Bound the right MRR@k by a recall and an upside-down MRR.

    A hit at rank r adds 1/(k+1-r) to the upside-down score and 1/r to the right one, so the means over the hits are a
    point in the convex hull of the points (1/(k+1-r), 1/r), r = 1 to k. The hull's lower border is the polygon through
    neighbouring points, its upper border the line from r = 1 to r = k.

    Args:
        recall: Recall@k, above 0.
        upside_down: upside-down MRR@k of the same run.
        k: cutoff.

    Returns:
        (lowest, highest).

    Raises:
        ValueError: no ranks give such a pair; the upside-down MRR lies between recall / k and recall.

    With k = 2 a hit adds (1/2, 1) at rank 1 and (1, 1/2) at rank 2, so both scores determine
    the right one: a recall of 1/2 and an upside-down MRR of 3/8 mean that half the hits came first, and
    (1 + 1/2) / 2 * 1/2 is right.

    >>> recoverable_mrr(0.5, 0.375, k=2)
    (0.375, 0.375)
    """
    rank = np.arange(1, k + 1)
    mean, right = upside_down / recall, 1 / rank
    if not 1 / k <= mean * (1 + 1e-12) or mean > 1 + 1e-12:
        raise ValueError(f"no ranks give Recall {recall} and upside-down MRR {upside_down}")
    low, high = (np.interp(mean, x, y) for x, y in ((1 / (k + 1 - rank), right), ([1 / k, 1], [1, 1 / k])))
    return float(recall * low), float(recall * high)
