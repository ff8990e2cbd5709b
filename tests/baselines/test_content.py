"""Content baselines by hand."""

import numpy as np
import pytest

from gru4rec_lib.baselines import content
from gru4rec_lib.baselines.content import ContentKNN, SameArtist
from gru4rec_lib.data.features import Features
from gru4rec_lib.data.sessions import Sessions
from gru4rec_lib.data.vectors import category_counts
from gru4rec_lib.ranking.exact import NO_RANK

ITEMS, CANDIDATES = 5, 7  # 5 and 6 are candidates that training never saw, -1 is no candidate


def features(artist, tags=None, numbers=None):
    categories = {"artist": np.array(artist, np.int32).reshape(-1, 1)}
    if tags is not None:
        categories = {"tags": np.array(tags, np.int32)} | categories
    numbers = np.zeros((len(artist), 0)) if numbers is None else numbers
    return Features(np.array(numbers, np.float32), categories, dict.fromkeys(categories, 4))


def test_same_artist_by_hand():
    # Plays 3, 2, 1, 1, 0 and 0, 0 for the unseen; artists 1, 1, 1, 2, unknown, 1 and none.
    model = SameArtist().fit(Sessions.from_lists([[0, 1, 0], [0, 1, 2, 3]]), ITEMS, features([1, 1, 1, 2, 0, 1, -1]))
    after_1 = Sessions.from_lists([[1, target] for target in (0, 2, 5, 1, 3, 4, 6, -1)])
    # Of artist 1 are 0, 2 and the unseen 5, then 1 itself; of the others only 3 was played, 4 and 6 tie.
    assert model.rank(after_1, CANDIDATES).tolist() == [1, 2, 3, 4, 5, 7, 7, NO_RANK]
    # Without a known artist: by plays. An unseen track of a known artist ranks other tracks of that artist first.
    assert model.rank(Sessions.from_lists([[4, 0], [6, 1], [5, 0], [5, 5]]), CANDIDATES).tolist() == [1, 2, 1, 4]
    assert model.rank(Sessions.from_lists([[1, 0], [1, 3], [1, 4]]), ITEMS).tolist() == [1, 4, 5]


def test_content_knn_by_hand():
    # 1 has the direction of 0, 5 is between, 2 orthogonal, 3 opposite; 4 and 6 have no numbers.
    numbers = [[1, 0], [2, 0], [0, 1], [-1, 0], [0, 0], [1, 1], [0, 0]]
    model = ContentKNN().fit(Sessions.from_lists([[2, 3, 2]]), ITEMS, features([-1] * 7, numbers=numbers))
    sessions = Sessions.from_lists([[0, 0], [0, 1], [0, 5], [0, 2], [0, 6], [0, 3]])
    # Cosines 1, 1, 0.71, then 2, 4 and 6 with 0, at last -1.
    assert model.rank(sessions, CANDIDATES).tolist() == [2, 2, 3, 6, 6, 7]
    # After 0 and 2 the mean has the direction of 5; 4 has no features, so the targets after it are ranked by plays.
    assert model.rank(Sessions.from_lists([[0, 2, 5], [4, 2], [4, 3]]), CANDIDATES).tolist() == [6, 1, 1, 2]


def test_a_rare_tag_weighs_more_than_a_common_one():
    # Track 0 has tag 1, which every track except 3 has, and tag 2, which only 3 also has.
    tags = [[1, 2], [1, -1], [1, -1], [2, -1], [1, -1], [-1, -1], [-1, -1]]
    model = ContentKNN().fit(Sessions.from_lists([[0, 1]]), ITEMS, features([-1] * 7, tags))
    assert model.rank(Sessions.from_lists([[0, 0], [0, 3], [0, 1]]), CANDIDATES).tolist() == [1, 2, 5]


@pytest.mark.parametrize("model", [SameArtist, ContentKNN])
def test_results_do_not_depend_on_the_block_size(model, monkeypatch):
    rng = np.random.default_rng(1)
    n = 40
    made = features(rng.integers(-1, 4, n), rng.integers(-1, 4, (n, 2)), rng.normal(size=(n, 2)))
    train, test = ([list(rng.integers(0, n, 5)) for _ in range(9)] for _ in range(2))
    ranks = []
    for targets, candidates in ((256, 16384), (3, 7)):
        monkeypatch.setattr(content, "TARGETS", targets)
        monkeypatch.setattr(content, "CANDIDATES", candidates)
        ranks.append(model().fit(Sessions.from_lists(train), n, made).rank(Sessions.from_lists(test), n))
    assert ranks[0].dtype == np.float64
    assert ranks[0].tolist() == ranks[1].tolist()


def test_category_counts_by_hand():
    made = features([1, 0, -1], [[2, 2], [3, -1], [0, 1]])
    assert category_counts(made).toarray().tolist() == [
        [0, 0, 2, 0, 0, 1, 0, 0],
        [0, 0, 0, 1, 0, 0, 0, 0],
        [0, 1, 0, 0, 0, 0, 0, 0],
    ]


def test_same_artist_needs_a_feature_with_one_value_an_item():
    tags = Features(np.zeros((2, 1), np.float32), {"tags": np.ones((2, 3), np.int32)}, {"tags": 2})
    with pytest.raises(ValueError, match="same_artist needs a categorical feature"):
        SameArtist().fit(Sessions.from_lists([[0, 1]]), 2, tags)
