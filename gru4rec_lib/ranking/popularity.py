"""Ranks and lists by plays; NumPy alone, so that a study is checked without loading TensorFlow."""

from __future__ import annotations

import numpy as np

from gru4rec_lib.utils.arguments import whole

# A miss: beyond every cutoff however few candidates there are, and of reciprocal 0.
NO_RANK = np.inf


def popularity_ranks(plays: np.ndarray, above: bool = False, n_candidates: int | None = None) -> np.ndarray:
    """Rank the tracks by plays.

    Args:
        plays: int [items].
        above: whether a tie counts for the track instead of against it.
        n_candidates: ranks are among the first so many tracks and the track itself; among all when None.

    Returns:
        int32 [items]: 1 + the number of other tracks with at least as many plays; with `above`, with more.

    >>> popularity_ranks(np.array([5, 2, 2, 1])).tolist()
    [1, 3, 3, 4]
    >>> popularity_ranks(np.array([5, 2, 2, 1]), n_candidates=2).tolist()
    [1, 2, 3, 3]
    """
    ordered = np.sort(plays[:n_candidates])
    ahead = len(ordered) - np.searchsorted(ordered, plays, side="right" if above else "left")
    counts_itself = (np.arange(len(plays)) < len(ordered)) & (not above)
    return (ahead + 1 - counts_itself).astype(np.int32)


def popularity_top(plays: np.ndarray, k: int, n_candidates: int | None = None) -> np.ndarray:
    """Return the most played tracks.

    Args:
        plays: int [items].
        k: how many, 1 or more.
        n_candidates: they are among the first so many tracks; among all when None.

    Returns:
        int32 [k], the most played first, of equal ones the lower number; -1 where there are fewer candidates.

    >>> popularity_top(np.array([2, 1, 5, 2]), k=5).tolist()
    [2, 0, 3, 1, -1]
    """
    k = whole(k, "k")
    order = np.argsort(-plays[:n_candidates], kind="stable")[:k]
    return np.pad(order, (0, k - len(order)), constant_values=-1).astype(np.int32)
