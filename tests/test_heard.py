"""What was heard before a target against loops; ranks in sparse rows against dense ones."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from gru4rec_lib.heard import heard_before, last_heard, sparse_ranks
from gru4rec_lib.sessions import Sessions

SESSIONS = st.lists(st.lists(st.integers(-1, 6), max_size=6), max_size=5)


@given(st.data(), st.integers(1, 4), st.integers(1, 6), st.integers(0, 7), st.booleans())
def test_sparse_ranks_are_dense_ranks(data, n_rows, n_items, n_candidates, above):
    values = st.sampled_from([0.0, 0.0, 1 / 3, 0.5, 1.0, 2.5])
    row = st.lists(values, min_size=n_items, max_size=n_items)
    dense = np.array(data.draw(st.lists(row, min_size=n_rows, max_size=n_rows)))
    asked = data.draw(st.lists(st.tuples(st.integers(0, n_rows - 1), st.integers(0, n_items - 1))))
    rows, targets = np.array(asked, np.int32).reshape(-1, 2).T
    scores = sparse.csr_array(dense)
    scores.data[::3] = 0  # zeros that are stored are zeros all the same
    dense = scores.toarray()
    found = sparse_ranks(scores, rows, targets, n_candidates, above)
    assert found.dtype == np.int32
    ahead = np.greater if above else np.greater_equal
    for (row, target), rank in zip(asked, found, strict=True):
        others = np.delete(dense[row], target)[: n_candidates - (target < n_candidates)]
        assert rank == 1 + ahead(others, dense[row, target]).sum()


@given(SESSIONS, st.data())
def test_last_heard_and_heard_before_are_the_naive_loop(lists, data):
    sessions = Sessions.from_lists(lists)
    n = len(sessions.items)
    usable, chosen = (np.array(data.draw(st.lists(st.booleans(), min_size=n, max_size=n)), bool) for _ in range(2))
    last, before, event, target = [], [], 0, 0
    for items in lists:
        for place in range(len(items)):
            heard = [item for item, use in zip(items[:place], usable[event - place : event], strict=True) if use]
            last.append(heard[-1] if heard else -1)
            if place and chosen[event]:
                before += [(target, item, len(heard) - number) for number, item in enumerate(heard)]
                target += 1
            event += 1
    assert last_heard(sessions, usable).tolist() == last
    assert list(zip(*heard_before(sessions, sessions.targets(chosen), usable), strict=True)) == before


def test_scores_tie_by_their_ratio_whatever_their_size():
    # The second differs from the first in its last bit, the third by a hundredth.
    for size in (1e-30, 1.0, 1e30):
        row = sparse.csr_array(np.array([[1 / 2 + 1 / 3 + 1 / 6, 1.0, 0.99, 0.0]]) * size)
        assert sparse_ranks(row, np.zeros(4, int), np.arange(4), 4).tolist() == [2, 2, 3, 4]
