"""Baselines against naive loops over toy sessions, in both protocols; ranks in sparse rows against dense ones."""

import operator
from collections import Counter, defaultdict
from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gru4rec_lib.baselines import item_rules
from gru4rec_lib.baselines.item_rules import ItemKNN, SequentialRules
from gru4rec_lib.baselines.popularity import MostPopular, Random, SessionPopular
from gru4rec_lib.baselines.registry import BASELINES
from gru4rec_lib.data.features import Features
from gru4rec_lib.data.sessions import Sessions
from gru4rec_lib.ranking.exact import NO_RANK, rank_table

ITEMS, CANDIDATES = 5, 7  # 5 and 6 are candidates that training never saw, -1 is no candidate
POPULAR = 2  # so many tracks are candidates of the protocol `popular`
TRAIN = st.lists(st.lists(st.integers(0, ITEMS - 1), max_size=6), max_size=6)
TEST = st.lists(st.lists(st.integers(-1, CANDIDATES - 1), max_size=6), max_size=5)
TIES = st.sampled_from(["conservative", "standard"])


def place_of(target, scores, ties, n_candidates):
    """1 + the number of other candidates that score at least as high; under `standard`, higher."""
    ahead = operator.gt if ties == "standard" else operator.ge
    others = [score for other, score in enumerate(scores[:n_candidates]) if other != target]
    return 1 + sum(ahead(score, scores[target]) for score in others)


def naive_popular(train):
    plays = Counter(item for items in train for item in items)

    def rank(heard, target, n_candidates, ties):
        if not 0 <= target < ITEMS:
            return NO_RANK
        return place_of(target, [plays[item] for item in range(ITEMS)], ties, n_candidates)

    return rank


def naive_rules(train, steps):
    weight = defaultdict(Fraction)
    for items in train:
        for late in range(len(items)):
            for early in range(max(0, late - steps), late):
                weight[items[early], items[late]] += Fraction(1, late - early)
    popular = naive_popular(train)

    def rank(heard, target, n_candidates, ties):
        known = [item for item in heard if 0 <= item < ITEMS]
        if not known or not 0 <= target < ITEMS:
            return popular(heard, target, n_candidates, ties)
        scores = [weight[known[-1], item] for item in range(ITEMS)]
        return place_of(target, scores, ties, n_candidates)

    return rank


def naive_session_popular(train):
    plays = Counter(item for items in train for item in items)

    def rank(heard, target, n_candidates, ties):
        if not 0 <= target < ITEMS:
            return NO_RANK
        scores = [(heard.count(item), plays[item]) for item in range(ITEMS)]
        return place_of(target, scores, ties, n_candidates)

    return rank


def naive_item_knn(train, neighbours, alpha):
    plays = Counter(item for items in train for item in items)
    similar = {}
    for one in range(ITEMS):
        values = {}
        for other in set(range(ITEMS)) - {one}:
            together = sum(items.count(one) for items in train if other in items)
            values[other] = round(together / ((plays[one] + 20) ** alpha * (plays[other] + 20) ** (1 - alpha)), 12)
        best = sorted((-value, other) for other, value in values.items())[:neighbours]
        similar[one] = {other: -value for value, other in best}
    popular = naive_popular(train)

    def rank(heard, target, n_candidates, ties):
        known = [item for item in heard if 0 <= item < ITEMS]
        if not known or not 0 <= target < ITEMS:
            return popular(heard, target, n_candidates, ties)
        scores = [similar[known[-1]].get(item, 0) for item in range(ITEMS)]
        return place_of(target, scores, ties, n_candidates)

    return rank


def naive_table(rank, test, ties):
    """(protocol, rank) of every target: `known` without the events that training never saw, `open`, `popular`."""
    seen = [[item for item in items if 0 <= item < ITEMS] for items in test]
    return [
        (protocol, rank(items[:place], items[place], candidates, ties))
        for protocol, part, candidates in (
            ("known", seen, ITEMS),
            ("open", test, CANDIDATES),
            ("popular", seen, POPULAR),
        )
        for items in part
        for place in range(1, len(items))
    ]


def table(model, test, ties):
    ranks = rank_table(model, Sessions.from_lists(test), ITEMS, CANDIDATES, ties=ties, popular=POPULAR)
    return list(ranks[["protocol", "rank"]].itertuples(index=False, name=None))


@pytest.mark.slow
@given(TRAIN, TEST, TIES)
def test_most_popular_is_the_naive_loop(train, test, ties):
    model = MostPopular().fit(Sessions.from_lists(train), ITEMS)
    assert table(model, test, ties) == naive_table(naive_popular(train), test, ties)


@settings(max_examples=60)
@given(TRAIN, TEST, TIES, st.sampled_from([1, 2, 10]))
def test_sequential_rules_are_the_naive_loop(train, test, ties, steps):
    model = SequentialRules(steps).fit(Sessions.from_lists(train), ITEMS)
    assert table(model, test, ties) == naive_table(naive_rules(train, steps), test, ties)


@given(TRAIN, TEST, TIES)
def test_session_popular_is_the_naive_loop(train, test, ties):
    model = SessionPopular().fit(Sessions.from_lists(train), ITEMS)
    assert table(model, test, ties) == naive_table(naive_session_popular(train), test, ties)


@settings(max_examples=60)
@given(TRAIN, TEST, TIES, st.integers(1, 4), st.sampled_from([0.5, 1.0, 0.3]), st.sampled_from([2, 2048]))
def test_item_knn_is_the_naive_loop(train, test, ties, neighbours, alpha, block):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(item_rules, "ITEMS", block)
        model = ItemKNN(neighbours, alpha=alpha).fit(Sessions.from_lists(train), ITEMS)
    assert table(model, test, ties) == naive_table(naive_item_knn(train, neighbours, alpha), test, ties)


def test_random_gives_each_training_track_a_rank_of_its_own():
    tracks = Sessions.from_lists([[0, target] for target in (*range(ITEMS), 6, -1)])
    ranks = [Random(seed).fit(Sessions.from_lists([]), ITEMS).rank(tracks, CANDIDATES).tolist() for seed in (1, 1, 2)]
    assert ranks[0] == ranks[1] != ranks[2]
    for found in ranks:
        assert sorted(found[:ITEMS]) == [1, 2, 3, 4, 5]
        assert found[ITEMS:] == [NO_RANK] * 2


def test_most_popular_by_hand():
    # Plays 3, 1, 1, 0, 0.
    model = MostPopular().fit(Sessions.from_lists([[0, 1, 0], [0, 2]]), ITEMS)
    ranks = model.rank(Sessions.from_lists([[6, 0, 1, 2, 3, 4, 5, -1], [0]]), CANDIDATES)
    assert ranks.tolist() == [1, 3, 3, 5, 5, NO_RANK, NO_RANK]
    assert ranks.dtype == np.float64


def test_sequential_rules_by_hand():
    # After 0: track 1 weighs 1 + 1, track 2 weighs 1/2, all others nothing; plays are 2, 2, 1, 0, 0.
    model = SequentialRules().fit(Sessions.from_lists([[0, 1, 2], [0, 1]]), ITEMS)
    assert model.rules.toarray()[0].tolist() == [0, 2, 0.5, 0, 0]
    assert model.rules.toarray()[1].tolist() == [0, 0, 1, 0, 0]
    ranks = model.rank(Sessions.from_lists([[0, 1], [0, 2], [0, 3], [0, 5], [0, 6, 2], [6, 0, 1], [3, 1]]), CANDIDATES)
    # Without a rule: last among the training tracks; unseen: a miss; an unseen input is passed over.
    assert ranks.tolist() == [1, 2, 5, NO_RANK, NO_RANK, 2, 2, 1, 5]
    assert ranks.dtype == np.float64


def test_session_popular_by_hand():
    # Plays 3, 2, 1, 1, 0. After 4, 3, 4: 4 was heard twice, 3 once, then 0, 1, 2.
    model = SessionPopular().fit(Sessions.from_lists([[0, 1, 0], [0, 1, 2, 3]]), ITEMS)
    lists = [[4, 3, 4, target] for target in (4, 3, 0, 1, 2, 6)]
    ranks = model.rank(Sessions.from_lists(lists), CANDIDATES)
    assert ranks.reshape(6, 3)[:, 2].tolist() == [1, 2, 3, 4, 5, NO_RANK]
    # 2 and 3 have one play each, in training and here, and so tie; unheard, they tie behind 0 and 1.
    assert model.rank(Sessions.from_lists([[2, 3, 3]]), CANDIDATES).tolist() == [4, 2]


def test_item_knn_by_hand():
    # Plays 3, 2, 1, 1, 0. Track 0 was played twice in a session with 1, once with 2, and once with 3.
    model = ItemKNN().fit(Sessions.from_lists([[0, 1, 0], [0, 2, 3], [1]]), ITEMS)
    found = model.similarity.toarray()
    assert found[0] == pytest.approx([0, 2 / (23 * 22) ** 0.5, 1 / (23 * 21) ** 0.5, 1 / (23 * 21) ** 0.5, 0])
    assert found[1] == pytest.approx([1 / (23 * 22) ** 0.5, 0, 0, 0, 0])  # 1 itself was played once in that session
    assert ItemKNN(neighbours=2).fit(Sessions.from_lists([[0, 1, 0], [0, 2, 3]]), ITEMS).similarity.toarray()[0, 3] == 0
    assert ItemKNN(alpha=1).fit(Sessions.from_lists([[0, 1]]), ITEMS).similarity.toarray()[0, 1] == pytest.approx(
        1 / 21
    )


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


@pytest.mark.parametrize("name", BASELINES)
def test_contract(name):
    features = Features(
        np.zeros((CANDIDATES, 0), np.float32), {"artist": np.zeros((CANDIDATES, 1), int)}, {"artist": 1}
    )
    prepared = SimpleNamespace(features=features, ends=None)
    nothing = Sessions.from_lists([])
    model = BASELINES[name](prepared)
    assert model.fit(Sessions.from_lists([[0, 1], [2, 0]]), ITEMS) is model
    assert model.rank(nothing, CANDIDATES).tolist() == []
    alone = model.rank(Sessions.from_lists([[0], [], [1]]), CANDIDATES)
    assert (alone.dtype, alone.tolist()) == (np.float64, [])
    untrained = BASELINES[name](prepared).fit(nothing, ITEMS)
    ranks = untrained.rank(Sessions.from_lists([[0, 1], [0, 6], [0, -1]]), CANDIDATES)
    assert (ranks.dtype, ranks.tolist()[1:]) == (np.float64, [NO_RANK, NO_RANK])
    assert name == "random" or ranks[0] == ITEMS, "all tie"
