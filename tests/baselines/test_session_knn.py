"""Session neighbours against naive loops over toy sessions, in both protocols, and by hand."""

from math import exp, log, sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gru4rec_lib.baselines import session_knn
from gru4rec_lib.baselines.session_knn import SKNN, STAN, VSKNN
from gru4rec_lib.data.sessions import Sessions
from gru4rec_lib.ranking.exact import NO_RANK, rank_table

ITEMS, CANDIDATES = 5, 7  # 5 and 6 are candidates that training never saw, -1 is no candidate
POPULAR = 2  # so many tracks are candidates of the protocol `popular`
TRAIN = st.lists(st.lists(st.integers(0, ITEMS - 1), min_size=1, max_size=6), max_size=8)
TEST = st.lists(st.lists(st.integers(-1, CANDIDATES - 1), max_size=6), max_size=5)
DAY = 86400


def last_place(items, item):
    return max(place for place, other in enumerate(items, 1) if other == item)


def naive_rank(kind, train, ends, k, sample):
    plays = [sum(items.count(item) for items in train) for item in range(ITEMS)]
    by_time = sorted(range(len(train)), key=lambda n: (n if ends is None else ends[n], n), reverse=True)

    def similarity(heard, session, newest):
        shared = sorted(set(heard) & set(train[session]))
        n, places = len(heard), [last_place(heard, item) for item in shared]
        if kind is VSKNN:
            return sum(place / n for place in places)
        if kind is SKNN:
            return len(shared) / sqrt(len(set(train[session])))
        age = 0 if ends is None else newest - ends[session]
        weight = exp(-age / (5 * DAY)) / sqrt(len(set(train[session])))
        return sum(exp(-(n - place) / 1.02) for place in places) * weight

    def score(heard, target):
        newest = max(ends) if ends else 0
        near = [n for n in by_time if set(heard) & set(train[n])][:sample]
        near = sorted(((round(similarity(heard, n, newest), 12), n) for n in near), key=lambda pair: -pair[0])[:k]
        total = 0
        for value, n in near:
            if target not in train[n]:
                continue
            shared = set(heard) & set(train[n])
            if kind is VSKNN:
                value /= 1 + len(heard) - max(last_place(heard, item) for item in shared)
            if kind is STAN:
                match = max(last_place(train[n], item) for item in shared)
                value *= exp(-abs(last_place(train[n], target) - match) / 2.05)
            total += value
        return log(total) if total else -1e9

    def rank(heard, target, n_candidates, ties):
        if not 0 <= target < ITEMS:
            return NO_RANK
        heard = [item for item in heard if 0 <= item < ITEMS]
        scores = [score(heard, item) if heard else plays[item] for item in range(ITEMS)]
        others = [value for item, value in enumerate(scores[:n_candidates]) if item != target]
        if ties == "standard":
            return 1 + sum(value > scores[target] + 1e-8 for value in others)
        return 1 + sum(value >= scores[target] - 1e-8 for value in others)

    return rank


@pytest.mark.slow
@pytest.mark.parametrize("kind", [SKNN, VSKNN, STAN])
@settings(max_examples=60, deadline=None)
@given(TRAIN, TEST, st.sampled_from(["conservative", "standard"]), st.integers(1, 4), st.integers(1, 6), st.data())
def test_neighbours_are_the_naive_loop(kind, train, test, ties, k, sample, data):
    times = st.lists(st.integers(0, 9).map(lambda days: days * DAY), min_size=len(train), max_size=len(train))
    ends = data.draw(st.none() | times)
    model = kind(ends, neighbours=k, sample=sample).fit(Sessions.from_lists(train), ITEMS)
    found = rank_table(model, Sessions.from_lists(test), ITEMS, CANDIDATES, ties=ties, popular=POPULAR)
    rank = naive_rank(kind, train, ends, k, sample)
    seen = [[item for item in items if 0 <= item < ITEMS] for items in test]
    assert list(found[["protocol", "rank"]].itertuples(index=False, name=None)) == [
        (protocol, rank(items[:place], items[place], candidates, ties))
        for protocol, part, candidates in (
            ("known", seen, ITEMS),
            ("open", test, CANDIDATES),
            ("popular", seen, POPULAR),
        )
        for items in part
        for place in range(1, len(items))
    ]


def scores(model, *heard):
    """The scores of all tracks after these."""
    heard, n = np.array(heard), len(heard)
    return model._scores(np.zeros(n, int), heard, np.arange(n, 0, -1), np.array([n])).toarray()[0]


TOY = Sessions.from_lists([[0, 1, 2], [1, 3], [0, 4, 1, 0]])


def test_sknn_by_hand():
    # Tracks 0 and 1 are both in the first and the last session, of 3 tracks each; track 1 alone in the second, of 2.
    both, one = 2 / sqrt(3), 1 / sqrt(2)
    model = SKNN().fit(TOY, ITEMS)
    assert scores(model, 0, 1) == pytest.approx([2 * both, 2 * both + one, both, one, both])
    ranks = model.rank(Sessions.from_lists([[0, 1, 1], [0, 1, 0], [0, 1, 2], [0, 1, 3], [0, 1, 6]]), CANDIDATES)
    assert ranks[1::2].tolist() == [1, 2, 4, 5, NO_RANK]
    # With one neighbour the more recent of the equal ones is it; with a sample of two the first is not compared.
    assert scores(SKNN(neighbours=1).fit(TOY, ITEMS), 0, 1) == pytest.approx([both, both, 0, 0, both])
    assert scores(SKNN(sample=2).fit(TOY, ITEMS), 0, 1) == pytest.approx([both, both + one, 0, one, both])
    assert scores(SKNN([3, 2, 1], sample=2).fit(TOY, ITEMS), 0, 1) == pytest.approx([both, both + one, both, one, 0])


def test_v_sknn_by_hand():
    # 0 weighs 1/3 and 2 weighs 2/3; what comes after 1 weighs 3/3, but the last match counts: 1/1 or, of 0 alone, 1/3.
    model = VSKNN().fit(TOY, ITEMS)
    assert scores(model, 0, 2, 1) == pytest.approx([2 + 4 / 3, 2 + 1 + 4 / 3, 2, 1, 4 / 3])
    assert scores(model, 0, 2, 2) == pytest.approx([4 / 3 + 1 / 9, 4 / 3 + 1 / 9, 4 / 3, 0, 1 / 9])


def test_stan_by_hand():
    # A day lies between the ends of the sessions. Only the last holds 4, at place 2; its own 0 was last at place 4.
    model = STAN([0, DAY, 2 * DAY]).fit(TOY, ITEMS)
    older, recent = exp(-2 / 5) / sqrt(3), 1 / sqrt(3)
    near = [exp(-distance / 2.05) for distance in range(4)]
    assert scores(model, 0) == pytest.approx(
        [older + recent, older * near[1] + recent * near[1], older * near[2], 0, recent * near[2]]
    )
    before = 1 + exp(-1 / 1.02)  # both tracks are shared, the earlier one counts less
    older, recent, middle = older * before, recent * before, exp(-1 / 5) / sqrt(2)
    assert scores(model, 0, 1) == pytest.approx(
        [
            older * near[1] + recent,
            older + middle + recent * near[1],
            older * near[1],
            middle * near[1],
            recent * near[2],
        ]
    )


def test_blocks_do_not_show(monkeypatch):
    rng = np.random.default_rng(1)
    train, test = ([list(rng.integers(0, 9, 4)) for _ in range(30)] for _ in range(2))
    ranks = []
    for targets in (64, 7):
        monkeypatch.setattr(session_knn, "TARGETS", targets)
        ranks.append(STAN().fit(Sessions.from_lists(train), 9).rank(Sessions.from_lists(test), 9).tolist())
    assert ranks[0] == ranks[1]
