"""Learning session weights: candidates by hand, the gradient, what is found, and scores of sessions left out."""

import numpy as np
import pytest
from blending.test_blend import network_of
from scipy.optimize import check_grad

from gru4rec_lib.baselines import Markov, SessionRecent
from gru4rec_lib.blending import learn as module
from gru4rec_lib.blending.blend import Blend
from gru4rec_lib.blending.learn import Examples, candidates, held_out_gains, learn
from gru4rec_lib.blending.parts import Parts
from gru4rec_lib.data.sessions import Sessions

N = 12


@pytest.fixture
def parts():
    """The network prefers high numbers; one baseline follows n by n + 1, the other repeats."""
    following = Sessions.from_lists([[item, item + 1] for item in range(N - 1)])
    return Parts(network_of(np.arange(N) / 4), [one.fit(following, N) for one in (Markov(), SessionRecent())])


def test_candidates_by_hand(parts, monkeypatch):
    monkeypatch.setattr(module, "LISTED", 2)
    sessions = Sessions.from_lists([[3, 5, 4], [7, 8]])
    (scores,) = parts.score(sessions, np.array([0, 0, 1, 0, 1], bool))
    row, values, is_target = candidates(scores, N)
    # Of the network 10 and 11; of the rules 6 and 8; of the session 3 and 5, and 7.
    tracks = [[3, 5, 6, 10, 11], [7, 8, 10, 11]]
    assert row.tolist() == [0] * 5 + [1] * 4
    network = [np.exp((track - 11) / 16) for part in tracks for track in part]
    assert values[:, 0] == pytest.approx(network, rel=1e-6)
    assert values[:, 1].tolist() == [0, 0, 1, 0, 0, 0, 1, 0, 0]
    assert values[:, 2] == pytest.approx([0.5**0.25, 1, 0, 0, 0, 1, 0, 0, 0])
    assert is_target.tolist() == [False] * 6 + [True] + [False] * 2, "no part lists the first target"


def test_targets_that_no_part_lists_are_no_examples(parts, monkeypatch):
    monkeypatch.setattr(module, "LISTED", 2)
    sessions = Sessions.from_lists([[3, 5, 4], [7, 8], [2, 2]])
    examples = Examples.of(parts, sessions)
    assert examples.event.tolist() == [4, 6]
    assert np.bincount(examples.row[examples.is_target]).tolist() == [1, 1]
    one = examples.take(np.array([False, True]))
    assert one.event.tolist() == [6]
    assert set(one.row.tolist()) == {0}
    assert one.is_target.sum() == 1
    with pytest.raises(ValueError, match=r"no part of the blend lists any validation target"):
        learn(examples.take(np.zeros(2, bool)))


def test_the_gradient_is_that_of_the_loss(parts):
    examples = Examples.of(parts, Sessions.from_lists([[3, 4, 5], [7, 8], [2, 2, 3], [1, 9]]))
    start = np.searchsorted(examples.row, np.arange(len(examples.features)))
    given = examples.features, examples.values, examples.row, start, examples.is_target
    rng = np.random.default_rng(1)
    at = rng.normal(0, 0.3, examples.values.shape[1] * examples.features.shape[1])
    error = check_grad(lambda x: module._loss(x, *given)[0], lambda x: module._loss(x, *given)[1], at)
    assert error < 1e-5


def test_each_part_is_trusted_where_it_is_right(parts):
    # Short sessions go on with the next number, long ones repeat their first track.
    short = [[item, item + 1] for item in range(N - 1)] * 3
    long = [[item, (item + 3) % N, (item + 5) % N, (item + 1) % N, item] for item in range(N)] * 3
    sessions = Sessions.from_lists(short + long)
    last = np.zeros(len(sessions.items), bool)
    last[sessions.offsets[1:] - 1] = True
    examples = Examples.of(parts, sessions, last)
    weights = learn(examples).at(examples.features)
    is_short = sessions.lengths[sessions.session_of_event[examples.event]] == 2
    rules, repeats = weights[:, 1], weights[:, 2]
    assert rules[is_short].mean() > 2 * repeats[is_short].mean()
    assert repeats[~is_short].mean() > 2 * rules[~is_short].mean()


def test_scores_on_validation_are_of_weights_without_the_session(parts, monkeypatch):
    sessions = Sessions.from_lists([[3, 4], [7, 8, 8], [2, 3], [1, 1, 2]])
    seen = []

    def recorded(examples):
        seen.append({*sessions.session_of_event[examples.event].tolist()})
        return learn(examples)

    monkeypatch.setattr(module, "learn", recorded)
    examples = Examples.of(parts, sessions)
    found = held_out_gains(examples, sessions, k=5)
    assert seen == [{1, 3}, {0, 2}], "for the even sessions from the odd ones, and the other way round"
    assert found.shape == (6, 2)
    assert (found[:, 0] >= found[:, 1]).all()
    assert found[:, 0].max() == 1


def test_parts_count_alike_where_there_is_nothing_to_learn_from(parts):
    sessions = Sessions.from_lists([[7, 8, 8], [4], [3, 4]])
    found = held_out_gains(Examples.of(parts, sessions), sessions, k=5)
    blend = Blend(parts.network, parts.baselines, equal := module._equal(parts))
    ranks = blend.rank(sessions, N)
    assert equal.at(np.ones((2, len(equal.features)))).tolist() == [[1, 1, 1]] * 2
    assert found[:, 0].tolist() == (ranks <= 5).tolist(), "no odd session has a target"
