"""Candidates without the tracks that a session has played: against plain loops over all scores."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gru4rec_lib.baselines import Markov, MostPopular, SequentialRules
from gru4rec_lib.data.sessions import Sessions
from gru4rec_lib.evaluation import protocols
from gru4rec_lib.evaluation.protocols import WithoutHeard
from gru4rec_lib.ranking.popularity import NO_RANK

N = 6
LISTS = st.lists(st.lists(st.integers(-1, N), max_size=6), min_size=1, max_size=5)


class Scored:
    """Scores each track by the last track played, with ties."""

    beyond_training = True

    def __init__(self, seed=0):
        self.scores = np.random.default_rng(seed).integers(0, 4, (N + 2, N))

    def rank(self, sessions, n_candidates, chosen=None, above=False):
        events = np.flatnonzero(sessions.targets(chosen))
        ranks = []
        for event in events:
            scores, target = self.scores[sessions.items[event - 1]], sessions.items[event]
            if not 0 <= target < N:
                ranks.append(np.inf)
                continue
            others = scores[[item for item in range(n_candidates) if item != target]]
            ranks.append(1 + (others > scores[target] if above else others >= scores[target]).sum())
        return np.array(ranks, float)

    def top(self, sessions, n_candidates, chosen=None, k=20):
        events = np.flatnonzero(sessions.targets(chosen))
        found = np.full((len(events), k), -1, np.int32)
        for row, event in enumerate(events):
            best = np.argsort(-self.scores[sessions.items[event - 1]][:n_candidates], kind="stable")[:k]
            found[row, : len(best)] = best
        return found


def by_loop(model, lists, n_candidates, above):
    """Rank every target among the candidates that its session has not played."""
    ranks = []
    for session in lists:
        for place in range(1, len(session)):
            target, played = session[place], set(session[:place])
            if target in played or not 0 <= target < N:
                ranks.append(np.inf)
                continue
            scores = model.scores[session[place - 1]]
            others = [scores[item] for item in range(n_candidates) if item not in played and item != target]
            own = scores[target]
            ranks.append(1 + sum(one > own if above else one >= own for one in others))
    return ranks


@given(LISTS, st.booleans(), st.sampled_from([3, N]), st.sampled_from([1, 2**18]))
def test_ranks_are_those_among_the_tracks_not_played(lists, above, n_candidates, together):
    old, protocols.EVENTS = protocols.EVENTS, together
    try:
        sessions, model = Sessions.from_lists(lists), Scored()
        found = WithoutHeard(model).rank(sessions, n_candidates, above=above)
    finally:
        protocols.EVENTS = old
    assert found.tolist() == by_loop(model, lists, n_candidates, above)


@given(LISTS, st.integers(1, N))
def test_lists_have_no_track_that_the_session_has_played(lists, k):
    sessions, model = Sessions.from_lists(lists), Scored()
    found = WithoutHeard(model).top(sessions, N, k=k)
    events = [(session, place) for session in lists for place in range(1, len(session))]
    assert found.shape == (len(events), k)
    for row, (session, place) in zip(found, events, strict=True):
        best = np.argsort(-model.scores[session[place - 1]], kind="stable")
        expected = [item for item in best.tolist() if item not in session[:place]][:k]
        assert [item for item in row.tolist() if item >= 0] == expected


def test_a_target_that_is_no_candidate_counts_in_no_rank_of_a_played_track():
    # After 0 the target 2 follows most often, and 0 itself less: nothing is ahead, and the played 0 is not taken away.
    model = Markov().fit(Sessions.from_lists([[0, 0], [0, 2], [0, 2], [1, 0], [1, 0]]), 3)
    sessions = Sessions.from_lists([[0, 2]])
    assert model.rank(sessions, 2).tolist() == WithoutHeard(model).rank(sessions, 2).tolist() == [1]


def test_only_chosen_targets_are_ranked():
    sessions, model = Sessions.from_lists([[0, 1, 2], [3, 4, 3]]), Scored()
    chosen = np.array([0, 0, 1, 0, 0, 1], bool)
    whole = WithoutHeard(model).rank(sessions, N)
    assert WithoutHeard(model).rank(sessions, N, chosen).tolist() == whole[[1, 3]].tolist()


@pytest.mark.parametrize("wrong", [0, -1, 1.5])
def test_candidates_and_lists_are_counted_from_1(wrong):
    sessions, model = Sessions.from_lists([[0, 1, 2]]), WithoutHeard(Scored())
    for use in (model.rank, model.top):
        with pytest.raises(ValueError, match=r"^n_candidates is .*; give "):
            use(sessions, wrong)
    with pytest.raises(ValueError, match=r"^k is .*; give "):
        model.top(sessions, N, k=wrong)


@pytest.mark.parametrize("baseline", [MostPopular, SequentialRules])
def test_a_baseline_ranks_without_the_played_tracks(baseline):
    model = baseline().fit(Sessions.from_lists([[0, 1, 2], [0, 1], [0, 3]]), 4)
    sessions = Sessions.from_lists([[0, 3, 1], [0, 1, 0]])
    plain, without = model.rank(sessions, 4), WithoutHeard(model).rank(sessions, 4)
    assert without[3] == NO_RANK, "a repeat is a miss"
    assert (without[:3] <= plain[:3]).all()
    assert (without[:3] < plain[:3]).any()
    assert WithoutHeard(model).beyond_training == model.beyond_training
