"""What a baseline recommends, against its own ranks: every track takes its turn as the target."""

from types import SimpleNamespace

import numpy as np
import pytest
from helpers import ranks_of_all, top_by_rank
from hypothesis import given, settings
from hypothesis import strategies as st

from gru4rec_lib.baselines import content, session_knn
from gru4rec_lib.baselines.registry import BASELINES
from gru4rec_lib.data.features import Features
from gru4rec_lib.data.sessions import Sessions

ITEMS, CANDIDATES = 5, 7  # 5 and 6 are candidates that training never saw, -1 is no candidate
TRAIN = st.lists(st.lists(st.integers(0, ITEMS - 1), max_size=6), max_size=6)
TEST = st.lists(st.lists(st.integers(-1, CANDIDATES - 1), max_size=6), max_size=5)
ARTISTS = st.lists(st.integers(-1, 3), min_size=CANDIDATES, max_size=CANDIDATES)
NUMBERS = st.lists(st.tuples(*[st.sampled_from([-1.0, 0.0, 0.5, 2.0])] * 2), min_size=CANDIDATES, max_size=CANDIDATES)


@pytest.mark.slow
@pytest.mark.parametrize("name", BASELINES)
@settings(max_examples=25)
@given(TRAIN, TEST, ARTISTS, NUMBERS, st.sampled_from([2, ITEMS, CANDIDATES]), st.integers(1, 9), st.data())
def test_top_has_the_tracks_of_the_lowest_ranks(name, train, test, artists, numbers, n_candidates, k, data):
    artist = np.array(artists, np.int32)[:, None]
    features = Features(np.array(numbers, np.float32), {"artist": artist}, {"artist": 4})
    prepared = SimpleNamespace(features=features, ends=None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(content, "TARGETS", 2)
        patch.setattr(content, "CANDIDATES", 3)
        patch.setattr(session_knn, "TARGETS", 2)
        model = BASELINES[name](prepared).fit(Sessions.from_lists(train), ITEMS)
        sessions = Sessions.from_lists(test)
        n = len(sessions.items)
        chosen = np.array(data.draw(st.lists(st.booleans(), min_size=n, max_size=n)), bool)
        heard = [items[:place] for items in test for place in range(len(items))]
        heard = [tracks for tracks, asked in zip(heard, sessions.targets(chosen), strict=True) if asked]
        found = model.top(sessions, n_candidates, chosen, k)
        assert found.dtype == np.int32
        assert found.shape == (len(heard), k)
        expected = np.array(top_by_rank(model, heard, n_candidates, k), int).reshape(len(heard), k)
        if name == "content_knn":  # rounding may tell apart cosines that tie, though not which rank they have
            ranks = np.pad(ranks_of_all(model, heard, n_candidates), ((0, 0), (0, 1)))  # of -1: 0
            found, expected = (np.take_along_axis(ranks, lists, 1) for lists in (found, expected))
        np.testing.assert_array_equal(found, expected)
