"""Coverage, popularity and diversity of lists by hand, by their properties, and pair by pair."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from gru4rec_lib.evaluation.beyond_accuracy import (
    MEASURES,
    catalogue_coverage,
    intra_list_diversity,
    measures,
    popularity_lift,
    same_list,
)

N = 6
LISTS = st.lists(st.lists(st.integers(0, N - 1), min_size=1, max_size=4, unique=True), min_size=1, max_size=4)
ITEMS = LISTS.map(lambda lists: np.concatenate(lists))
VECTORS = st.lists(st.tuples(*[st.integers(-2, 2)] * 4), min_size=N, max_size=N)


def test_coverage_by_hand():
    assert catalogue_coverage(np.array([0, 1, 0, 5]), N) == 3 / 6
    assert catalogue_coverage(np.arange(N), N) == 1


@given(ITEMS, ITEMS)
def test_more_lists_never_cover_less(items, more):
    both = catalogue_coverage(np.r_[items, more], N)
    assert catalogue_coverage(items, N) <= both <= min(1, len(np.r_[items, more]) / N)


def test_popularity_lift_by_hand():
    plays = np.array([30, 10, 5, 1])
    assert popularity_lift(np.array([0, 1]), np.array([2, 2]), plays) == 20 / 5 - 1
    assert popularity_lift(np.array([3, 3, 3]), np.array([1]), plays) == pytest.approx(1 / 10 - 1)


@given(ITEMS)
def test_tracks_as_popular_as_the_targets_have_no_lift(items):
    assert popularity_lift(items, items, np.arange(1, 1 + N)) == pytest.approx(0)
    assert popularity_lift(np.repeat(items, 3), items, np.arange(1, 1 + N)) == pytest.approx(0)


@given(LISTS, VECTORS)
def test_diversity_is_the_mean_over_pairs(lists, vectors):
    vectors = np.array(vectors, float)
    length = np.sqrt((vectors**2).sum(axis=1))
    vectors = vectors / np.where(length > 0, length, 1)[:, None]
    expected = []
    for items in lists:
        described = [item for item in items if length[item]]
        pairs = [1 - vectors[a] @ vectors[b] for a in described for b in described if a < b]
        expected += [np.mean(pairs)] if pairs else []
    which, items = np.repeat(np.arange(len(lists)), [len(one) for one in lists]), np.concatenate(lists)
    found = intra_list_diversity(which, items, vectors[:, :3], sparse.csr_array(vectors[:, 3:]))
    assert found == pytest.approx(np.mean(expected) if expected else np.nan, nan_ok=True)


def test_all_measures_together():
    lists = pd.DataFrame(
        {"session": [0, 0, 0, 0], "position": [2, 2, 3, 3], "item": [0, 1, 0, 2], "target": [1, 1, 2, 2]}
    )
    vectors = np.array([[1, 0], [0, 1], [-1, 0], [0, 0]]), sparse.csr_array((4, 0))
    found = measures(lists, 4, np.array([6, 4, 2, 1]), vectors)
    # Mean plays 18 / 4 compared with 3; the pairs are orthogonal and opposite.
    assert found == dict(zip(MEASURES, (2, 4, 3 / 4, 4.5 / 3 - 1, (1 + 2) / 2, 1 / 2), strict=True))
    assert np.isnan(measures(lists, 4, np.array([6, 4, 2, 1]), None)["intra_list_diversity"])


def test_the_share_of_the_most_common_list_counts_order_and_length():
    which, items = np.array([0, 0, 1, 1, 2, 2, 3, 4, 4]), np.array([5, 7, 5, 7, 7, 5, 5, 5, 7])
    assert same_list(which, items) == 3 / 5
    assert np.isnan(same_list(which[:0], items[:0]))
