"""The Context Tree by hand."""

import numpy as np
import pytest

from gru4rec_lib.baselines import ContextTree
from gru4rec_lib.data.sessions import Sessions
from gru4rec_lib.ranking.exact import NO_RANK

ITEMS = 4
TRAIN = Sessions.from_lists([[0, 1, 2], [3, 1, 0], [2, 1, 0]])  # plays 3, 3, 2, 1


def test_scores_by_hand():
    model = ContextTree().fit(TRAIN, ITEMS)
    # After 1, the tracks 2, 0 and 0 follow; after 0 and 1 the track 2; there are 9 plays.
    scores, share = model._mixed(np.array([0, 1]), np.array([2]), np.array([2]))
    assert share == pytest.approx([(1 - 1 / 2) * (1 - 1 / 4) / (2 + 9)])
    assert scores.toarray()[0] == pytest.approx([3 / 4 * 1 / 2 * 2 / 5, 0, 3 / 4 * 1 / 2 * 1 / 5 + 1 / 4 * 1 / 3, 0])


def test_ranks_by_hand():
    sessions = Sessions.from_lists([[0, 1, target] for target in (2, 0, 1, 3, 5)])
    # Track 2 has 0.158 + 2 share, track 0 has 0.15 + 3 share; then by plays.
    assert ContextTree().fit(TRAIN, ITEMS).rank(sessions, 6)[1::2].tolist() == [2, 1, 3, 4, NO_RANK]
    assert ContextTree(depth=1).fit(TRAIN, ITEMS).rank(sessions, 6)[1::2].tolist() == [2, 1, 3, 4, NO_RANK]
    assert ContextTree().fit(TRAIN, ITEMS).top(sessions, 6, k=5)[1].tolist() == [0, 2, 1, 3, -1]
