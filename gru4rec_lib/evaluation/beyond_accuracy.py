"""Measures of recommended lists beyond recall: catalogue coverage, popularity, diversity."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pandas as pd
from scipy import sparse

from gru4rec_lib.data.columns import Columns

MEASURES = ["n_lists", "n_items", "catalogue_coverage", "popularity_lift", "intra_list_diversity", "same_list"]


def catalogue_coverage(items: np.ndarray, n_items: int) -> float:
    """Return the share of the catalogue in at least one list (Ge et al., RecSys 2010).

    It grows with the number of lists, so compare only models with equally many: n lists of k tracks cover at most
    n * k / n_items.

    Args:
        items: int [n], the tracks of all lists.
        n_items: tracks that could be recommended.

    Returns:
        0 to 1.

    >>> catalogue_coverage(np.array([3, 1, 3]), n_items=8)
    0.25
    """
    return len(np.unique(items)) / n_items


def popularity_lift(items: np.ndarray, targets: np.ndarray, plays: np.ndarray) -> float:
    """Return how much more popular the recommended tracks are than the targets.

    The change of the group average popularity of Abdollahpouri et al. (arXiv 1907.13286), with all listeners as one
    group and the targets as its profile.

    Args:
        items: int [n], the tracks of all lists.
        targets: int [lists], the target of each list.
        plays: int [tracks], in training; above 0 for a target.

    Returns:
        Mean plays of the items / mean plays of the targets - 1: 0 is no bias, 1 twice as popular; at least -1.

    >>> popularity_lift(np.array([0, 0, 1]), np.array([1, 2]), plays=np.array([7, 4, 2]))
    1.0
    """
    return float(plays[items].mean() / plays[targets].mean() - 1)


def intra_list_diversity(which: np.ndarray, items: np.ndarray, numbers: np.ndarray, values: sparse.csr_array) -> float:
    """Return the mean of 1 - cosine over the pairs of a list, then over the lists.

    1 minus the mean intra-list similarity of Ziegler et al. (WWW 2005). Tracks without features form no pair.

    Args:
        which: int [n], 0 or more, the list of each item.
        items: int [n], the tracks of all lists.
        numbers: float [tracks, F], the first part of all tracks' vectors of length 1 or 0; see `vectors.unit_vectors`.
        values: float [tracks, V], the second part.

    Returns:
        0 (all alike) to 2; NaN where no list has a pair.
    """
    shape = (which.max(initial=-1) + 1, len(numbers))
    holds = sparse.csr_array((np.ones(len(items)), (which, items)), shape=shape)
    length = (numbers**2).sum(axis=1) + values.multiply(values).sum(axis=1)
    # The cosines of all ordered pairs, each track with itself included, add up to the squared length of the sum.
    total = ((holds @ numbers) ** 2).sum(axis=1) + (holds @ values).power(2).sum(axis=1) - holds @ length
    size = holds @ (length > 0)
    pairs = size * (size - 1)
    return float(np.mean(1 - total[pairs > 0] / pairs[pairs > 0])) if pairs.any() else float("nan")


def same_list(which: np.ndarray, items: np.ndarray) -> float:
    """Return the share of the lists that are equal to the most common list, tracks and order.

    A share near 1 shows a model that hardly reads the session, such as one that failed to train.

    Args:
        which: int [n], the list of each item; the items of a list follow each other.
        items: int [n], the tracks of all lists.

    Returns:
        0 to 1; NaN without lists.

    >>> same_list(np.array([0, 0, 1, 1, 2, 2]), np.array([5, 7, 7, 5, 5, 7]))
    0.6666666666666666
    """
    counts = Counter(own.tobytes() for own in np.split(items, np.flatnonzero(np.diff(which)) + 1))
    return max(counts.values()) / counts.total() if len(items) else float("nan")


def measures(lists: pd.DataFrame, n_items: int, plays: np.ndarray, vectors: tuple | None) -> dict[str, float]:
    """Compute all measures for the lists of one model.

    Args:
        lists: a lists.parquet (columns session, position, item) with the column `target`.
        n_items: training tracks.
        plays: int [tracks], in training.
        vectors: of `vectors.unit_vectors`; None where there are no features.

    Returns:
        MEASURES, by name; intra_list_diversity is NaN without features.
    """
    item, which = lists["item"].to_numpy(), lists.groupby(Columns.EVENT).ngroup().to_numpy()
    targets = lists.drop_duplicates(Columns.EVENT)["target"].to_numpy()
    found = (
        len(targets),
        n_items,
        catalogue_coverage(item, n_items),
        popularity_lift(item, targets, plays),
        intra_list_diversity(which, item, *vectors) if vectors else float("nan"),
        same_list(which, item),
    )
    return dict(zip(MEASURES, found, strict=True))
