"""Ranks and lists in sparse rows of scores, for models that score few tracks and give all others 0."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from gru4rec_lib.data.history import place_in_group
from gru4rec_lib.utils.arguments import whole


def sparse_ranks(
    scores: sparse.csr_array, rows: np.ndarray, targets: np.ndarray, n_candidates: int, above: bool = False
) -> np.ndarray:
    """Rank targets in rows of a sparse score matrix, absent scores being 0.

    Args:
        scores: float64 [rows, items], no entry below 0.
        rows: int [n].
        targets: int [n].
        n_candidates: ranks are among the first so many items and the target.
        above: whether a tie counts for the target instead of against it.

    Returns:
        int32 [n]: 1 + the number of other candidates that score at least as high as the target; with `above`, higher.
    """
    if not len(rows):
        return np.zeros(0, np.int32)  # SciPy's result for no index at all is of another kind
    levels = _levels(scores)
    own, width = levels[rows, targets], levels.data.max(initial=0) + 1
    row, _, level = _entries(levels, n_candidates)
    key, last = np.sort(row * width + level), np.cumsum(np.bincount(row, minlength=scores.shape[0]))
    if above:
        return (last[rows] - np.searchsorted(key, rows * width + own, side="right") + 1).astype(np.int32)
    at_least = last[rows] - np.searchsorted(key, rows * width + own)
    counts_itself = targets < n_candidates
    return np.where(own > 0, at_least, min(n_candidates, scores.shape[1])).astype(np.int32) + 1 - counts_itself


def sparse_top(scores: sparse.csr_array, rows: np.ndarray, n_candidates: int, k: int) -> np.ndarray:
    """Return the best items of rows of a sparse score matrix, absent scores being 0.

    Args:
        scores: float64 [rows, items], no entry below 0.
        rows: int [n].
        n_candidates: the candidates are the first so many items.
        k: how many, 1 and more.

    Returns:
        int32 [n, k], the best first, of equal ones the lower number; -1 where there are fewer candidates.
    """
    k = whole(k, "k")
    distinct, which = np.unique(rows, return_inverse=True)
    levels = _levels(scores.tocsr()[distinct])
    row, item, level = _entries(levels, n_candidates)
    # After the items with a score, a list has the first ones without: the first k hold enough of them.
    other_row, other_item = np.nonzero(levels[:, : min(k, n_candidates)].toarray() == 0)
    row, item = np.r_[row, other_row], np.r_[item, other_item]
    order = np.lexsort((item, -np.r_[level, np.zeros_like(other_row)], row))
    place = place_in_group(row[order])
    listed = place < k
    found = np.full((len(distinct), k), -1, np.int32)
    found[row[order][listed], place[listed]] = item[order][listed]
    return found[which]


def rounded_log(scores: np.ndarray) -> np.ndarray:
    """Return the logarithms of scores, rounded so that sums of the same numbers in another order tie.

    Args:
        scores: float64 [n], 0 or more.

    Returns:
        float64 [n]; -inf for 0.
    """
    with np.errstate(divide="ignore"):
        return np.round(np.log(scores), 9)


def _levels(scores: sparse.csr_array) -> sparse.csr_array:
    """Return whole numbers that rise with the scores, 0 for 0."""
    scores = scores.tocsr()
    _, level = np.unique(np.r_[-np.inf, rounded_log(scores.data)], return_inverse=True)
    return sparse.csr_array((level[1:], scores.indices, scores.indptr), shape=scores.shape)


def _entries(levels: sparse.csr_array, n_candidates: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return row, item and level of each candidate that has a score."""
    row = np.repeat(np.arange(levels.shape[0]), np.diff(levels.indptr))
    counts = (levels.indices < n_candidates) & (levels.data > 0)
    return row[counts], levels.indices[counts], levels.data[counts]
