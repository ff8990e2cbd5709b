"""The published code's scores, for the audit only: MRR upside down (D1), unpaired first k (D2), selection on test (D8).

Written anew from what the code does; the right scores are in `ranking/metrics.py`.
"""

from __future__ import annotations

import numpy as np


def upside_down_gain(ranks: np.ndarray, k: int) -> np.ndarray:
    """D1: what a target adds to the published MRR@k: 1/k at rank 1, 1/(k-1) at rank 2, ..., 1 at rank k, 0 behind.

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
    """D2: ids sorted by scores that stand beside them, whether these are theirs or not.

    Args:
        scores: float [n, k], the k highest scores of a row in any order.
        ids: int [n, k], the tracks that have them, in an order of their own.

    Returns:
        int [n, k], the ids, the one beside the highest score first.

    Tracks 7, 8, 9 score 0.3, 0.2, 0.1; in the row the ids stand in another order than the scores:

    >>> unpaired_order(np.array([[0.1, 0.3, 0.2]]), np.array([[9, 8, 7]])).tolist()
    [[8, 7, 9]]

    where 7, 8, 9 would be right.
    """
    return np.take_along_axis(ids, scores.argsort(axis=1)[:, ::-1], axis=1)


def unpaired_ranks(scores: np.ndarray, targets: np.ndarray, k: int) -> np.ndarray:
    """D2: the rank of a target where `partition` gives the first k scores and `argpartition`, apart from it, the ids.

    NumPy promises no order within a partition, so the two may disagree; who is among the first k stays right.

    Args:
        scores: float [n, items], more than k items.
        targets: int [n].
        k: cutoff.

    Returns:
        int64 [n], 1 to k, or k + 1 for whatever is not among the first k.
    """
    values = np.partition(scores, -k, axis=1)[:, -k:]
    ids = np.argpartition(scores, -k, axis=1)[:, -k:]
    hit = unpaired_order(values, ids) == targets[:, None]
    return np.where(hit.any(axis=1), hit.argmax(axis=1) + 1, k + 1)


def chosen_epoch(test: np.ndarray, validation: np.ndarray, on_test: bool) -> int:
    """D8: which epoch is reported: the best on the test set itself, or, as it should be, the best on validation.

    Args:
        test: float [epochs], scores on the test set.
        validation: float [epochs], on sessions that are in neither training nor test.
        on_test: true for the published choice.

    Returns:
        0 and more.

    >>> [chosen_epoch(np.array([0.2, 0.3]), np.array([0.4, 0.1]), on_test) for on_test in (True, False)]
    [1, 0]

    so the published score is 0.3 where 0.2 was earned.
    """
    return int(np.argmax(test if on_test else validation))


def recoverable_mrr(recall: float, published: float, k: int) -> tuple[float, float]:
    """Between which values the right MRR@k lies, given a recall and an upside-down MRR.

    A hit at rank r adds 1/(k+1-r) to the published score and 1/r to the right one, so the means over the hits are a
    point in the convex hull of the points (1/(k+1-r), 1/r), r = 1 to k: below it has the polygon through neighbouring
    points, above the line from r = 1 to r = k.

    Args:
        recall: Recall@k, above 0.
        published: upside-down MRR@k of the same run.
        k: cutoff.

    Returns:
        (lowest, highest).

    Raises:
        ValueError: no ranks give such a pair; the published score lies between recall / k and recall.

    With k = 2 a hit adds (1/2, 1) at rank 1 and (1, 1/2) at rank 2, so that everything is told: half the targets hit
    and 3/8 published mean that half the hits came first, and (1 + 1/2) / 2 * 1/2 is right.

    >>> recoverable_mrr(0.5, 0.375, k=2)
    (0.375, 0.375)
    """
    rank = np.arange(1, k + 1)
    mean, right = published / recall, 1 / rank
    if not 1 / k <= mean * (1 + 1e-12) or mean > 1 + 1e-12:
        raise ValueError(f"no ranks give Recall {recall} and upside-down MRR {published}")
    low, high = (np.interp(mean, x, y) for x, y in ((1 / (k + 1 - rank), right), ([1 / k, 1], [1, 1 / k])))
    return float(recall * low), float(recall * high)
