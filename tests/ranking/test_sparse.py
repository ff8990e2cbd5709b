"""Ranks and lists in sparse rows compared with those in dense rows."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from gru4rec_lib.ranking.sparse import sparse_ranks, sparse_top


@given(st.data(), st.integers(1, 4), st.integers(1, 6), st.integers(0, 7), st.booleans())
def test_sparse_ranks_are_dense_ranks(data, n_rows, n_items, n_candidates, above):
    values = st.sampled_from([0.0, 0.0, 1 / 3, 0.5, 1.0, 2.5])
    row = st.lists(values, min_size=n_items, max_size=n_items)
    dense = np.array(data.draw(st.lists(row, min_size=n_rows, max_size=n_rows)))
    pairs = data.draw(st.lists(st.tuples(st.integers(0, n_rows - 1), st.integers(0, n_items - 1))))
    rows, targets = np.array(pairs, np.int32).reshape(-1, 2).T
    scores = sparse.csr_array(dense)
    scores.data[::3] = 0  # stored zeros count as zeros
    dense = scores.toarray()
    found = sparse_ranks(scores, rows, targets, n_candidates, above)
    assert found.dtype == np.int32
    ahead = np.greater if above else np.greater_equal
    for (row, target), rank in zip(pairs, found, strict=True):
        others = np.delete(dense[row], target)[: n_candidates - (target < n_candidates)]
        assert rank == 1 + ahead(others, dense[row, target]).sum()


@given(st.data(), st.integers(1, 4), st.integers(1, 6), st.integers(1, 7), st.integers(1, 8))
def test_sparse_top_is_a_stable_sort_of_dense_rows(data, n_rows, n_items, n_candidates, k):
    values = st.sampled_from([0.0, 0.0, 1 / 3, 0.5, 1.0, 2.5])
    row = st.lists(values, min_size=n_items, max_size=n_items)
    scores = sparse.csr_array(np.array(data.draw(st.lists(row, min_size=n_rows, max_size=n_rows))))
    scores.data[::3] = 0  # stored zeros count as zeros
    rows = np.array(data.draw(st.lists(st.integers(0, n_rows - 1))), int)
    before = scores.copy()
    found = sparse_top(scores, rows, n_candidates, k)
    assert found.dtype == np.int32
    assert found.shape == (len(rows), k)
    for row, items in zip(scores.toarray()[rows, :n_candidates], found.tolist(), strict=True):
        order = np.argsort(-row, kind="stable")[:k].tolist()
        assert items == order + [-1] * (k - len(order))
    assert scores.indices.tolist() == before.indices.tolist(), "the given scores are not changed"


def test_scores_tie_by_their_ratio_at_any_scale():
    # The second differs from the first in its last bit, the third by a hundredth.
    for size in (1e-30, 1.0, 1e30):
        row = sparse.csr_array(np.array([[1 / 2 + 1 / 3 + 1 / 6, 1.0, 0.99, 0.0]]) * size)
        assert sparse_ranks(row, np.zeros(4, int), np.arange(4), 4).tolist() == [2, 2, 3, 4]
