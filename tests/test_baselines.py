"""Baselines against naive loops over toy sessions, in both protocols; ranks in sparse rows against dense ones."""

from collections import Counter, defaultdict
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from gru4rec_lib.baselines import BASELINES, MostPopular, SequentialRules, last_known, sparse_ranks
from gru4rec_lib.config import BASELINES as NAMES
from gru4rec_lib.ranking import rank_table
from gru4rec_lib.sessions import Sessions

ITEMS, CANDIDATES = 5, 7  # 5 and 6 are candidates that training never saw, -1 is no candidate
TRAIN = st.lists(st.lists(st.integers(0, ITEMS - 1), max_size=6), max_size=6)
TEST = st.lists(st.lists(st.integers(-1, CANDIDATES - 1), max_size=6), max_size=5)


def naive_popular(train):
    plays = Counter(item for items in train for item in items)

    def rank(heard, target, n_candidates):
        if not 0 <= target < ITEMS:
            return n_candidates + 1
        return 1 + sum(plays[other] >= plays[target] for other in range(ITEMS) if other != target)

    return rank


def naive_rules(train, steps):
    weight = defaultdict(Fraction)
    for items in train:
        for late in range(len(items)):
            for early in range(max(0, late - steps), late):
                weight[items[early], items[late]] += Fraction(1, late - early)
    popular = naive_popular(train)

    def rank(heard, target, n_candidates):
        known = [item for item in heard if 0 <= item < ITEMS]
        if not known or not 0 <= target < ITEMS:
            return popular(heard, target, n_candidates)
        scores = [weight[known[-1], item] for item in range(ITEMS)]
        return 1 + sum(scores[other] >= scores[target] for other in range(ITEMS) if other != target)

    return rank


def naive_table(rank, test):
    """(protocol, rank) of every target: `known` without the events that training never saw, then `open`."""
    seen = [[item for item in items if 0 <= item < ITEMS] for items in test]
    return [
        (protocol, rank(items[:place], items[place], candidates))
        for protocol, part, candidates in (("known", seen, ITEMS), ("open", test, CANDIDATES))
        for items in part
        for place in range(1, len(items))
    ]


def table(model, test):
    ranks = rank_table(model, Sessions.from_lists(test), ITEMS, CANDIDATES)
    return list(ranks[["protocol", "rank"]].itertuples(index=False, name=None))


@given(TRAIN, TEST)
def test_most_popular_is_the_naive_loop(train, test):
    model = MostPopular().fit(Sessions.from_lists(train), ITEMS)
    assert table(model, test) == naive_table(naive_popular(train), test)


@settings(max_examples=60)
@given(TRAIN, TEST, st.sampled_from([1, 2, 10]))
def test_sequential_rules_are_the_naive_loop(train, test, steps):
    model = SequentialRules(steps).fit(Sessions.from_lists(train), ITEMS)
    assert table(model, test) == naive_table(naive_rules(train, steps), test)


def test_most_popular_by_hand():
    # Plays 3, 1, 1, 0, 0.
    model = MostPopular().fit(Sessions.from_lists([[0, 1, 0], [0, 2]]), ITEMS)
    ranks = model.rank(Sessions.from_lists([[6, 0, 1, 2, 3, 4, 5, -1], [0]]), CANDIDATES)
    assert ranks.tolist() == [1, 3, 3, 5, 5, 8, 8]
    assert ranks.dtype == np.int32


def test_sequential_rules_by_hand():
    # After 0: track 1 weighs 1 + 1, track 2 weighs 1/2, all others nothing; plays are 2, 2, 1, 0, 0.
    model = SequentialRules().fit(Sessions.from_lists([[0, 1, 2], [0, 1]]), ITEMS)
    assert model.rules.toarray()[0].tolist() == [0, 2, 0.5, 0, 0]
    assert model.rules.toarray()[1].tolist() == [0, 0, 1, 0, 0]
    ranks = model.rank(Sessions.from_lists([[0, 1], [0, 2], [0, 3], [0, 5], [0, 6, 2], [6, 0, 1], [3, 1]]), CANDIDATES)
    # Without a rule: last among the training tracks; unseen: a miss; an unseen input is passed over.
    assert ranks.tolist() == [1, 2, 5, 8, 8, 2, 2, 1, 5]
    assert ranks.dtype == np.int32


def test_rules_reach_as_far_as_their_steps():
    train = Sessions.from_lists([[0, 1, 2, 3]])
    assert SequentialRules(1).fit(train, ITEMS).rules.toarray()[0].tolist() == [0, 1, 0, 0, 0]
    assert SequentialRules(2).fit(train, ITEMS).rules.toarray()[0].tolist() == [0, 1, 0.5, 0, 0]
    assert SequentialRules(9).fit(train, ITEMS).rules.toarray()[0] == pytest.approx([0, 1, 1 / 2, 1 / 3, 0])


def test_sums_that_differ_in_their_last_bit_alone_tie():
    # After 0, track 1 weighs 1 and track 2 weighs 1/2 + 1/3 + 1/6; track 3 fills the places between.
    assert 1 / 2 + 1 / 3 + 1 / 6 != 1
    model = SequentialRules().fit(Sessions.from_lists([[0, 1], [0, 3, 2], [0, 3, 3, 2], [0, 3, 3, 3, 3, 3, 2]]), ITEMS)
    assert model.rank(Sessions.from_lists([[0, 1], [0, 2], [0, 3]]), CANDIDATES).tolist() == [3, 3, 1]


@given(st.data(), st.integers(1, 4), st.integers(1, 6))
def test_sparse_ranks_are_dense_ranks(data, n_rows, n_items):
    values = st.sampled_from([0.0, 0.0, 1 / 3, 0.5, 1.0, 2.5])
    row = st.lists(values, min_size=n_items, max_size=n_items)
    dense = np.array(data.draw(st.lists(row, min_size=n_rows, max_size=n_rows)))
    asked = data.draw(st.lists(st.tuples(st.integers(0, n_rows - 1), st.integers(0, n_items - 1))))
    rows, targets = np.array(asked, np.int32).reshape(-1, 2).T
    scores = sparse.csr_array(dense)
    scores.data[::3] = 0  # zeros that are stored are zeros all the same
    dense = scores.toarray()
    found = sparse_ranks(scores, rows, targets)
    assert found.dtype == np.int32
    assert found.tolist() == [int((dense[row] >= dense[row, target]).sum()) for row, target in asked]


@given(TEST)
def test_last_known_is_the_naive_loop(test):
    expected = [
        next((item for item in reversed(items[:place]) if 0 <= item < ITEMS), -1)
        for items in test
        for place in range(len(items))
    ]
    assert last_known(Sessions.from_lists(test), ITEMS).tolist() == expected


@pytest.mark.parametrize("name", BASELINES)
def test_contract(name):
    nothing = Sessions.from_lists([])
    model = BASELINES[name]()
    assert model.fit(Sessions.from_lists([[0, 1], [2, 0]]), ITEMS) is model
    assert model.rank(nothing, CANDIDATES).tolist() == []
    assert model.rank(Sessions.from_lists([[0], [], [1]]), CANDIDATES).tolist() == []
    untrained = BASELINES[name]().fit(nothing, ITEMS)
    assert untrained.rank(Sessions.from_lists([[0, 1], [0, 6]]), CANDIDATES).tolist() == [ITEMS, CANDIDATES + 1]


def test_the_config_knows_every_baseline():
    assert set(NAMES) == set(BASELINES)
