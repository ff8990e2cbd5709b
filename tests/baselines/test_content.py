"""Content baselines against naive loops over toy sessions and features, in both protocols, and by hand."""

import operator
from math import log, sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gru4rec_lib.baselines import content
from gru4rec_lib.baselines.content import ContentKNN, SameArtist
from gru4rec_lib.data.features import Features
from gru4rec_lib.data.sessions import Sessions
from gru4rec_lib.data.vectors import category_counts
from gru4rec_lib.ranking.exact import NO_RANK, rank_table

ITEMS, CANDIDATES = 5, 7  # 5 and 6 are candidates that training never saw, -1 is no candidate
POPULAR = 2  # so many tracks are candidates of the protocol `popular`
TRAIN = st.lists(st.lists(st.integers(0, ITEMS - 1), max_size=6), max_size=6)
TEST = st.lists(st.lists(st.integers(-1, CANDIDATES - 1), max_size=6), max_size=5)
TIES = st.sampled_from(["conservative", "standard"])
NUMBERS = st.lists(st.tuples(*[st.sampled_from([-1.0, 0.0, 0.5, 2.0])] * 2), min_size=CANDIDATES, max_size=CANDIDATES)


def codes(width):
    row = st.lists(st.integers(-1, 3), min_size=width, max_size=width)
    return st.lists(row, min_size=CANDIDATES, max_size=CANDIDATES).map(lambda rows: np.array(rows, np.int32))


def features(artist, tags=None, numbers=None):
    categories = {"artist": np.array(artist, np.int32).reshape(-1, 1)}
    if tags is not None:
        categories = {"tags": np.array(tags, np.int32)} | categories
    numbers = np.zeros((len(artist), 0)) if numbers is None else numbers
    return Features(np.array(numbers, np.float32), categories, dict.fromkeys(categories, 4))


def naive_table(score, train, test, ties):
    """(protocol, rank) of every target, as `rank_table` defines it; without a score, tracks are ranked by plays."""
    plays = [sum(items.count(item) for items in train) for item in range(CANDIDATES)]
    ahead, rows = operator.gt if ties == "standard" else operator.ge, []
    for protocol, n in (("known", ITEMS), ("open", CANDIDATES), ("popular", POPULAR)):
        for items in test:
            part = items if protocol == "open" else [item for item in items if 0 <= item < ITEMS]
            for place in range(1, len(part)):
                target, scores = part[place], score(part[:place], CANDIDATES, plays) if part[place] >= 0 else None
                n_scored = CANDIDATES if scores else ITEMS
                scores = scores or plays
                others = [item for item in range(min(n, n_scored)) if item != target]
                scored = 0 <= target < n_scored
                rank = 1 + sum(ahead(scores[item], scores[target]) for item in others) if scored else NO_RANK
                rows.append((protocol, rank))
    return rows


def table(model, test, ties):
    ranks = rank_table(model, Sessions.from_lists(test), ITEMS, CANDIDATES, ties=ties, popular=POPULAR)
    return list(ranks[["protocol", "rank"]].itertuples(index=False, name=None))


@given(TRAIN, TEST, TIES, codes(1), codes(2))
def test_same_artist_is_the_naive_loop(train, test, ties, artist, tags):
    def score(heard, n, plays):
        heard = [item for item in heard if item >= 0 and artist[item, 0] > 0]
        if not heard:
            return None
        group = [int(artist[item, 0] == artist[heard[-1], 0]) for item in range(n)]
        return [(2 * group[item] - (item == heard[-1]), plays[item]) for item in range(n)]

    model = SameArtist(features(artist, tags)).fit(Sessions.from_lists(train), ITEMS)
    assert table(model, test, ties) == naive_table(score, train, test, ties)


@settings(max_examples=60)
@given(TRAIN, TEST, TIES, codes(1), codes(2), NUMBERS)
def test_content_knn_is_the_naive_loop(train, test, ties, artist, tags, numbers):
    values = [
        [("tags", code) for code in tags[item] if code > 0] + [("artist", code) for code in artist[item] if code > 0]
        for item in range(CANDIDATES)
    ]
    names = [(feature, code) for feature in ("tags", "artist") for code in range(4)]
    seen_in = {name: sum(name in values[item] for item in range(ITEMS)) for name in names}
    weight = {name: log((1 + ITEMS) / (1 + seen_in[name])) + 1 for name in names}

    def unit(vector):
        length = sqrt(sum(x * x for x in vector))
        return [x / length for x in vector] if length else vector

    rows = []
    for item in range(CANDIDATES):
        bag = unit([values[item].count(name) * weight[name] for name in names])
        rows.append(unit(unit(list(numbers[item])) + bag))

    def score(heard, n, plays):
        heard = [rows[item] for item in heard if item >= 0 and any(rows[item])]
        if not heard:
            return None
        profile = unit([sum(column) for column in zip(*heard, strict=True)])
        # Rounded, for the library calls cosines within 1e-6 equal.
        return [round(sum(x * y for x, y in zip(profile, rows[item], strict=True)), 5) for item in range(n)]

    model = ContentKNN(features(artist, tags, numbers)).fit(Sessions.from_lists(train), ITEMS)
    assert table(model, test, ties) == naive_table(score, train, test, ties)


def test_same_artist_by_hand():
    # Plays 3, 2, 1, 1, 0 and 0, 0 for the unseen; artists 1, 1, 1, 2, unknown, 1 and none.
    model = SameArtist(features([1, 1, 1, 2, 0, 1, -1])).fit(Sessions.from_lists([[0, 1, 0], [0, 1, 2, 3]]), ITEMS)
    after_1 = Sessions.from_lists([[1, target] for target in (0, 2, 5, 1, 3, 4, 6, -1)])
    # Of artist 1 are 0, 2 and the unseen 5, then 1 itself; of the others only 3 was played, 4 and 6 tie.
    assert model.rank(after_1, CANDIDATES).tolist() == [1, 2, 3, 4, 5, 7, 7, NO_RANK]
    # No artist was heard: by plays. An unseen track of a known artist leads to others of that artist.
    assert model.rank(Sessions.from_lists([[4, 0], [6, 1], [5, 0], [5, 5]]), CANDIDATES).tolist() == [1, 2, 1, 4]
    assert model.rank(Sessions.from_lists([[1, 0], [1, 3], [1, 4]]), ITEMS).tolist() == [1, 4, 5]


def test_content_knn_by_hand():
    # 1 points as 0 does, 5 in between, 2 across, 3 to the other side; 4 and 6 have no numbers.
    numbers = [[1, 0], [2, 0], [0, 1], [-1, 0], [0, 0], [1, 1], [0, 0]]
    model = ContentKNN(features([-1] * 7, numbers=numbers)).fit(Sessions.from_lists([[2, 3, 2]]), ITEMS)
    sessions = Sessions.from_lists([[0, 0], [0, 1], [0, 5], [0, 2], [0, 6], [0, 3]])
    # Cosines 1, 1, 0.71, then 2, 4 and 6 with 0, at last -1.
    assert model.rank(sessions, CANDIDATES).tolist() == [2, 2, 3, 6, 6, 7]
    # After 0 and 2 the mean is 5's direction; 4 says nothing, so that what comes after it is ranked by plays.
    assert model.rank(Sessions.from_lists([[0, 2, 5], [4, 2], [4, 3]]), CANDIDATES).tolist() == [6, 1, 1, 2]


def test_a_rare_tag_tells_more_than_a_common_one():
    # Track 0 has tag 1, which every track but 3 has, and tag 2, which only 3 has beside it.
    tags = [[1, 2], [1, -1], [1, -1], [2, -1], [1, -1], [-1, -1], [-1, -1]]
    model = ContentKNN(features([-1] * 7, tags)).fit(Sessions.from_lists([[0, 1]]), ITEMS)
    assert model.rank(Sessions.from_lists([[0, 0], [0, 3], [0, 1]]), CANDIDATES).tolist() == [1, 2, 5]


@pytest.mark.parametrize("model", [SameArtist, ContentKNN])
def test_blocks_do_not_show(model, monkeypatch):
    rng = np.random.default_rng(1)
    n = 40
    made = features(rng.integers(-1, 4, n), rng.integers(-1, 4, (n, 2)), rng.normal(size=(n, 2)))
    train, test = ([list(rng.integers(0, n, 5)) for _ in range(9)] for _ in range(2))
    ranks = []
    for targets, candidates in ((256, 16384), (3, 7)):
        monkeypatch.setattr(content, "TARGETS", targets)
        monkeypatch.setattr(content, "CANDIDATES", candidates)
        ranks.append(model(made).fit(Sessions.from_lists(train), n).rank(Sessions.from_lists(test), n))
    assert ranks[0].dtype == np.float64
    assert ranks[0].tolist() == ranks[1].tolist()


def test_category_counts_by_hand():
    made = features([1, 0, -1], [[2, 2], [3, -1], [0, 1]])
    assert category_counts(made).toarray().tolist() == [
        [0, 0, 2, 0, 0, 1, 0, 0],
        [0, 0, 0, 1, 0, 0, 0, 0],
        [0, 1, 0, 0, 0, 0, 0, 0],
    ]


def test_without_what_they_need_they_say_so():
    tags = Features(np.zeros((2, 1), np.float32), {"tags": np.ones((2, 3), np.int32)}, {"tags": 2})
    for nothing in (None, tags):
        with pytest.raises(ValueError, match="same_artist needs a categorical feature"):
            SameArtist(nothing)
    with pytest.raises(ValueError, match="content_knn needs features"):
        ContentKNN(None)
