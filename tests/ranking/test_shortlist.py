"""The shortlist equals a full sort, including ties and last bits, and reads few rows."""

from unittest import mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gru4rec_lib.ranking.shortlist import Shortlist


def full_sort(rows, bias, state, k):
    scores = (rows * state).sum(axis=1) + bias
    best = np.argsort(-scores, kind="stable")[:k]
    return best.tolist(), scores[best].tolist()


def best(rows, bias, state, k):
    found, scores = Shortlist(rows, bias).best(state, k)
    return found.tolist(), scores.tolist()


def example(n, width, seed=0):
    random = np.random.default_rng([seed, n, width])
    rows = random.normal(size=(n, width)) * random.random((n, 1)) ** 4 * np.arange(1, width + 1) ** -1.0
    return rows.astype(np.float32), random.normal(size=n).astype(np.float32) / 5, random


@given(st.integers(1, 300), st.integers(1, 20), st.data())
def test_whole_numbers_tie_and_are_sorted_by_index(n, width, data):
    random = np.random.default_rng(data.draw(st.integers(0, 99)))
    rows, bias, state = (random.integers(-1, 2, shape).astype(np.float32) for shape in ((n, width), n, width))
    k = data.draw(st.integers(1, n))
    assert best(rows, bias, state, k) == full_sort(rows, bias, state, k)


@pytest.mark.parametrize("k", [1, 20, 79, 5000])
def test_real_numbers_are_those_of_a_full_sort_to_the_last_bit(k):
    rows, bias, random = example(5000, 40)
    rows[[17, 4000]] = rows[4999]  # equal rows far apart
    bias[[17, 4000]] = bias[4999]
    for state in random.normal(size=(20, 40)).astype(np.float32):
        assert best(rows, bias, state, k) == full_sort(rows, bias, state, k)


@pytest.mark.parametrize("scale", [1e-15, 1.0, 1e15])
def test_scores_that_reach_their_bound(scale):
    """All rows are multiples of one row, so each score equals its bound except for rounding."""
    rows = np.tile(np.random.default_rng(0).normal(size=33), (200, 1)) * np.linspace(0.9, 1, 200)[:, None] * scale
    rows = rows.astype(np.float32)
    for state in (rows[0], -rows[3]):
        assert best(rows, np.zeros(200, np.float32), state, 20) == full_sort(rows, 0, state, 20)


def test_few_rows_are_read_and_fewer_scored(monkeypatch):
    rows, bias, random = example(20_000, 100)
    monkeypatch.setattr("gru4rec_lib.ranking.shortlist.FIRST", 500)
    shortlist, scored, bounded, left = Shortlist(rows, bias / 10), [], [], []
    score, bound, nearer = shortlist._scores, shortlist._bounds, shortlist._nearer
    monkeypatch.setattr(shortlist, "_scores", lambda items, state: scored.append(len(items)) or score(items, state))
    monkeypatch.setattr(shortlist, "_bounds", lambda *given: bounded.append(given[1]) or bound(*given))
    monkeypatch.setattr(shortlist, "_nearer", lambda *given: left.append(len(given[1])) or nearer(*given))
    shortlist.best(random.normal(size=100).astype(np.float32), 20)
    assert scored[0] == 160
    assert sum(scored) < sum(left) / 2 < 2500, (scored, left)
    blocks = [slice(0, 500), slice(500, 1000), slice(1000, 2000), slice(2000, 4000), slice(4000, 8000)]
    assert bounded == blocks[: len(bounded)]
    assert len(bounded) < 6, "the norms of the later rows are too small"


@pytest.mark.parametrize(("states", "bounds", "pairs"), [(64, 2**23, 2**16), (7, 600, 1000), (64, 100, 11)])
def test_many_states_get_the_same_as_one_by_one(monkeypatch, states, bounds, pairs):
    for name, value in (("FIRST", 100), ("STATES", states), ("BOUNDS", bounds), ("SCORES", pairs)):
        monkeypatch.setattr(f"gru4rec_lib.ranking.shortlist.{name}", value)
    rows, bias, random = example(3000, 40)
    shortlist, given = Shortlist(rows, bias), random.normal(size=(30, 40)).astype(np.float32)
    given[3] *= 1e4
    found, scores = shortlist.best_of_each(given, 20)
    for state, *pair in zip(given, found.tolist(), scores.tolist(), strict=True):
        assert tuple(pair) == full_sort(rows, bias, state, 20)
    assert [part.shape for part in shortlist.best_of_each(given[:0], 20)] == [(0, 20)] * 2


def test_a_state_that_is_not_finite_is_an_error():
    with pytest.raises(ValueError, match="the state is not finite"):
        best(*example(10, 3)[:2], np.float32([1, np.inf, 0]), 2)


@given(st.integers(1, 12), st.data())
def test_blocks_of_any_size_give_the_same(size, data):
    random = np.random.default_rng(data.draw(st.integers(0, 99)))
    rows = random.integers(-2, 3, (60, 3)).astype(np.float32) * random.integers(0, 2, (60, 1)).astype(np.float32)
    bias, state = random.integers(-1, 2, 60).astype(np.float32), random.integers(-2, 3, 3).astype(np.float32)
    with mock.patch("gru4rec_lib.ranking.shortlist.FIRST", size):
        assert best(rows, bias, state, 7) == full_sort(rows, bias, state, 7)
