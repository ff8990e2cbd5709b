"""Baselines by plays and by pairs of tracks, by hand."""

import numpy as np
import pytest

from gru4rec_lib.baselines import ItemKNN, Markov, MostPopular, Random, SequentialRules, SessionPopular, item_rules
from gru4rec_lib.data.sessions import Sessions
from gru4rec_lib.ranking.exact import NO_RANK

ITEMS, CANDIDATES = 5, 7  # 5 and 6 are candidates that training never saw, -1 is no candidate


def test_random_gives_each_training_track_a_distinct_rank():
    tracks = Sessions.from_lists([[0, target] for target in (*range(ITEMS), 6, -1)])
    ranks = [
        Random(seed=seed).fit(Sessions.from_lists([]), ITEMS).rank(tracks, CANDIDATES).tolist() for seed in (1, 1, 2)
    ]
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
    assert model._rows.toarray()[0].tolist() == [0, 2, 0.5, 0, 0]
    assert model._rows.toarray()[1].tolist() == [0, 0, 1, 0, 0]
    ranks = model.rank(Sessions.from_lists([[0, 1], [0, 2], [0, 3], [0, 5], [0, 6, 2], [6, 0, 1], [3, 1]]), CANDIDATES)
    # A target without a rule is last among the training tracks, an unseen one is a miss; unseen inputs are ignored.
    assert ranks.tolist() == [1, 2, 5, NO_RANK, NO_RANK, 2, 2, 1, 5]
    assert ranks.dtype == np.float64


def test_session_popular_by_hand():
    # Plays 3, 2, 1, 1, 0. After 4, 3, 4: 4 was played twice, 3 once, then 0, 1, 2.
    model = SessionPopular().fit(Sessions.from_lists([[0, 1, 0], [0, 1, 2, 3]]), ITEMS)
    lists = [[4, 3, 4, target] for target in (4, 3, 0, 1, 2, 6)]
    ranks = model.rank(Sessions.from_lists(lists), CANDIDATES)
    assert ranks.reshape(6, 3)[:, 2].tolist() == [1, 2, 3, 4, 5, NO_RANK]
    # 2 and 3 have one play each, in training and here, so they tie; unplayed, they tie after 0 and 1.
    assert model.rank(Sessions.from_lists([[2, 3, 3]]), CANDIDATES).tolist() == [4, 2]


def test_item_knn_keeps_the_highest_of_rows_of_any_length(monkeypatch):
    random = np.random.default_rng(0)
    sessions = Sessions.from_lists([(30 * random.random(random.integers(1, 9)) ** 2).astype(int) for _ in range(60)])
    every = ItemKNN(neighbours=30, shrink=1).fit(sessions, 30)._rows.toarray()
    for room in (1, 70, 2**22):
        monkeypatch.setattr(item_rules, "ROOM", room)
        for n in (1, 2, 5, 17):
            found = ItemKNN(neighbours=n, shrink=1).fit(sessions, 30)._rows.toarray()
            for row, kept in zip(every, found, strict=True):
                best = np.lexsort((np.arange(30), -np.round(row, 12)))[:n]
                np.testing.assert_array_equal(np.flatnonzero(kept), np.sort(best[row[best] > 0]))


def test_item_knn_by_hand():
    # Plays 3, 2, 1, 1, 0. Track 0 was played twice in a session with 1, once with 2, and once with 3.
    model = ItemKNN().fit(Sessions.from_lists([[0, 1, 0], [0, 2, 3], [1]]), ITEMS)
    found = model._rows.toarray()
    assert found[0] == pytest.approx([0, 2 / (23 * 22) ** 0.5, 1 / (23 * 21) ** 0.5, 1 / (23 * 21) ** 0.5, 0])
    assert found[1] == pytest.approx([1 / (23 * 22) ** 0.5, 0, 0, 0, 0])  # 1 itself was played once in that session
    assert ItemKNN(neighbours=2).fit(Sessions.from_lists([[0, 1, 0], [0, 2, 3]]), ITEMS)._rows.toarray()[0, 3] == 0
    assert ItemKNN(alpha=1).fit(Sessions.from_lists([[0, 1]]), ITEMS)._rows.toarray()[0, 1] == pytest.approx(1 / 21)


def test_rules_have_at_most_the_given_distance():
    train = Sessions.from_lists([[0, 1, 2, 3]])
    assert SequentialRules(steps=1).fit(train, ITEMS)._rows.toarray()[0].tolist() == [0, 1, 0, 0, 0]
    assert SequentialRules(steps=2).fit(train, ITEMS)._rows.toarray()[0].tolist() == [0, 1, 0.5, 0, 0]
    assert SequentialRules(steps=9).fit(train, ITEMS)._rows.toarray()[0] == pytest.approx([0, 1, 1 / 2, 1 / 3, 0])


def test_sums_that_differ_in_their_last_bit_alone_tie():
    # After 0, track 1 weighs 1 and track 2 weighs 1/2 + 1/3 + 1/6; track 3 fills the places between.
    assert 1 / 2 + 1 / 3 + 1 / 6 != 1
    model = SequentialRules().fit(Sessions.from_lists([[0, 1], [0, 3, 2], [0, 3, 3, 2], [0, 3, 3, 3, 3, 3, 2]]), ITEMS)
    assert model.rank(Sessions.from_lists([[0, 1], [0, 2], [0, 3]]), CANDIDATES).tolist() == [3, 3, 1]


@pytest.mark.parametrize(
    ("weighting", "weights"),
    [
        ("same", [1, 1, 1]),
        ("div", [1, 1 / 2, 1 / 3]),
        ("linear", [0.9, 0.8, 0.7]),
        ("quadratic", [1, 1 / 4, 1 / 9]),
        ("log", [1 / np.log10(2.7), 1 / np.log10(3.7), 1 / np.log10(4.7)]),
    ],
)
def test_rules_are_weighted_by_distance(weighting, weights):
    train = Sessions.from_lists([[0, 1, 2, 3]])
    found = SequentialRules(weighting=weighting).fit(train, ITEMS)._rows.toarray()[0]
    assert found == pytest.approx([0, *weights, 0])


def test_a_markov_chain_has_rules_of_one_step():
    train = Sessions.from_lists([[0, 1, 2, 3]])
    assert Markov().fit(train, ITEMS)._rows.toarray()[0].tolist() == [0, 1, 0, 0, 0]


def test_the_linear_weight_never_falls_below_0():
    train = Sessions.from_lists([[0, *[1] * 11, 2]])
    assert SequentialRules(steps=20, weighting="linear").fit(train, ITEMS)._rows.toarray().min() == 0
