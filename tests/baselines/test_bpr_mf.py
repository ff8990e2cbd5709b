"""BPR-MF: ranks under given factors by hand; what training learns, and that it is repeatable."""

import numpy as np
import pytest

from gru4rec_lib.baselines.bpr_mf import BPRMF
from gru4rec_lib.data.sessions import Sessions
from gru4rec_lib.ranking.exact import NO_RANK

ITEMS, CANDIDATES = 4, 6  # 4 and 5 are candidates that training never saw, -1 is no candidate
FACTORS = np.float32([[2, 0], [0, 2], [1, 1], [-1, 0]])
BIAS = np.float32([0, 0, -1, 3])


@pytest.fixture(scope="module")
def model():
    """Plays 3, 2, 1, 1; factors and biases are integers, so that every sum is exact."""
    found = BPRMF(factors=2, iterations=1).fit(Sessions.from_lists([[0, 1, 0], [0, 1], [2, 3]]), ITEMS)
    found._factors, found._bias = FACTORS, BIAS
    return found


def test_ranks_and_lists_by_hand(model):
    # After 0, the profile is (2, 0): scores 4, 0, 1, 1. After 0 and 1 it is (1, 1): scores 2, 2, 1, 2.
    sessions = Sessions.from_lists([[0, 1, 2], [0, 5, 3], [4, 1], [0, 4]])
    assert model.rank(sessions, CANDIDATES).tolist() == [4, 4, NO_RANK, 3, 2, NO_RANK]
    assert model.rank(sessions, CANDIDATES, above=True).tolist() == [4, 4, NO_RANK, 2, 2, NO_RANK]
    assert model.top(sessions, CANDIDATES, k=5)[:2].tolist() == [[0, 2, 3, 1, -1], [0, 1, 3, 2, -1]]
    assert model.top(Sessions.from_lists([[4, 1]]), CANDIDATES, k=2).tolist() == [[0, 1]]  # by plays


def test_tracks_of_the_same_sessions_are_similar_and_training_is_repeatable():
    rng = np.random.default_rng(0)
    groups = rng.integers(0, 5, 300)  # each session stays among ten of fifty tracks
    train = Sessions.from_lists([(rng.integers(0, 10, 6) + 10 * group).tolist() for group in groups])
    first, again, other = (BPRMF(factors=8, iterations=30, seed=seed).fit(train, 50) for seed in (1, 1, 2))
    assert (first.rank(train, 50) <= 10).mean() > 0.95
    assert first._factors.tobytes() == again._factors.tobytes() != other._factors.tobytes()
