"""Session weights: by hand, as dense sums, and as plain JSON."""

import json

import numpy as np
import pytest
from baselines.twins import ITEMS, TWINS
from blending.test_blend import BASELINES, CANDIDATES, FORM, NETWORKS, TEST, network_of, plays_of
from blending.test_blend import TRAIN as TRAINING
from helpers import states
from hypothesis import given, settings
from hypothesis import strategies as st

from gru4rec_lib.baselines import Markov, SessionRecent
from gru4rec_lib.blending import parts as parts_module
from gru4rec_lib.blending.blend import Blend
from gru4rec_lib.blending.parts import Parts
from gru4rec_lib.blending.session_weights import SessionWeights, as_json, feature_names, features_of, of_json
from gru4rec_lib.data.sessions import Sessions

COEFFICIENT = st.floats(-1, 1).map(lambda value: round(value, 3))


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(parts_module, "STATES", 3)


def weights_of(parts, coefficients):
    """Return session weights on features that are neither centred nor scaled."""
    n = len(feature_names(parts))
    coefficients = np.array(coefficients, float)
    return SessionWeights(tuple(parts.names), feature_names(parts), np.zeros(n), np.ones(n), coefficients)


def test_weights_by_hand():
    weights = SessionWeights(
        ("gru4rec", "markov"),
        ("constant", "plays"),
        np.array([0.0, 2.0]),
        np.array([1.0, 4.0]),
        np.array([[np.log(3), 0], [0, np.log(2)]]),
    )
    # At the mean of `plays` its coefficient does not matter; one standard deviation above it doubles the second weight.
    assert weights.at(np.array([[1, 2], [1, 6], [1, -2]])).round(12).tolist() == [[3, 1], [3, 2], [3, 0.5]]
    assert np.isfinite(weights.at(np.array([[1, 1e9]]))).all()


def test_the_features_of_sessions_by_hand():
    # Softmax 0.5, 0.3, 0.2; after 0, track 1 follows once and track 2 twice: 0, 0.5, 1 when divided by the maximum.
    rules = Markov().fit(Sessions.from_lists([[0, 2], [0, 1], [0, 2]]), 3)
    parts = Parts(network_of(np.log([5, 3, 2])), [rules])
    sessions = Sessions.from_lists([[0, 1, 0, 2], [0, 2], [-1, 2]])
    chosen = np.array([0, 0, 0, 1, 0, 1, 0, 1], bool)
    found = {}
    for scores in parts.score(sessions, chosen):
        found |= dict(zip(scores.event.tolist(), features_of(scores, sessions, 3).tolist(), strict=True))
    assert feature_names(parts) == (
        "constant", "plays", "repeats", "confidence", "scored by markov", "agreement with markov",
    )  # fmt: skip
    sure, scored, agreed = np.log(0.5), np.log(2.5), 0.3 * 0.5 + 0.2 * 1
    assert found[3] == pytest.approx([1, np.log(3), 1 / 3, sure, scored, agreed], abs=1e-6)
    assert found[5] == pytest.approx([1, 0, 0, sure, scored, agreed], abs=1e-6)
    assert found[7] == [1, 0, 0, 0, 0, 0], "nothing is known before the first track of training"


def test_tracks_unseen_in_training_change_nothing():
    rules = Markov().fit(Sessions.from_lists([[0, 2], [0, 1], [0, 2], [1, 1]]), 3)
    network = network_of(np.log([5, 3, 2]))
    weights = weights_of(Parts(network, [rules]), [[0, 3, 0, 0, 0, 0], [0, 0, 2, 0, 0, 0]])
    blend = Blend(network, [rules], weights)
    plain = blend.rank(Sessions.from_lists([[0, 1, 1, 2]]), 3)
    among_others = Sessions.from_lists([[-1, 0, -1, -1, 1, 1, -1, 2]])
    chosen = np.array([0, 0, 0, 0, 1, 1, 0, 1], bool)
    assert blend.rank(among_others, 3, chosen).tolist() == plain.tolist()
    scores = next(iter(blend.parts.score(among_others, chosen)))
    assert features_of(scores, among_others, 3)[:, 1].tolist() == [0, np.log(2), np.log(3)]


def dense_scores(form, weights, heard):
    """Return the sums of weighted fourth roots after some tracks as a list; None where no part has an input."""
    network, normal, has_input = NETWORKS[form], [], False
    rows, bias = network.scorer.scoring_rows()
    inputs = [item for item in heard if 0 <= item < network.item_input.n_inputs]
    scores = np.exp(np.float64(states(network, inputs)[-1]) @ rows.T + bias) if inputs else np.zeros(len(rows))
    normal.append(scores / (scores.max() or 1))
    has_input |= bool(inputs)
    for baseline in BASELINES:
        scores = TWINS[baseline.kind](baseline, TRAINING, None, None)(heard)
        has_input |= scores is not None
        scores = np.zeros(ITEMS) if scores is None else np.array(scores, float)
        if baseline.kind == "stan" and has_input and np.isfinite(scores).any() and (scores != 0).any():
            scores = np.exp(scores)  # its twin has logarithms
        normal.append(np.pad(scores / (scores.max() or 1), (0, len(rows) - ITEMS)))
    known = [item for item in heard if 0 <= item < ITEMS]
    softmax = normal[0][:ITEMS]
    total = softmax.sum()
    x = [1, np.log(len(heard)), (len(known) - len({*known})) / max(len(known), 1), -np.log(total or 1)]
    for part in normal[1:]:
        x += [np.log1p(part.sum()), (softmax * part[:ITEMS]).sum() / (total or 1)]
    at = np.exp(weights.coefficients @ x)
    return sum(w * part**0.25 for w, part in zip(at, normal, strict=True)).round(7).tolist() if has_input else None


@settings(max_examples=40, deadline=None)
@given(TEST, st.lists(COEFFICIENT, min_size=24, max_size=24), FORM, st.integers(1, CANDIDATES))
def test_ranks_and_lists_are_those_of_dense_sums(test, coefficients, form, n_candidates):
    parts = Parts(NETWORKS[form], BASELINES)
    weights = weights_of(parts, np.reshape(coefficients, (3, 8)))
    model, sessions = Blend(NETWORKS[form], BASELINES, weights), Sessions.from_lists(test)
    ranks, lists = model.rank(sessions, n_candidates), model.top(sessions, n_candidates, k=4)
    turns = [(items[:place], items[place]) for items in test for place in range(1, len(items))]
    for (heard, target), rank, found in zip(turns, ranks.tolist(), lists.tolist(), strict=True):
        n_scored = CANDIDATES if form == "content" else ITEMS
        scores = dense_scores(form, weights, heard) or [*plays_of(TRAINING), 0, 0][:n_scored]
        if 0 <= target < n_scored:
            others = [scores[item] for item in range(min(n_candidates, n_scored)) if item != target]
            clear = all(abs(one - scores[target]) > 1e-6 or one == scores[target] for one in others)
            assert not clear or rank == 1 + sum(one >= scores[target] for one in others)
        best = [scores[item] for item in found if item >= 0]
        assert best == pytest.approx(sorted(scores[: min(n_candidates, n_scored)], reverse=True)[:4], abs=1e-6)


@pytest.mark.parametrize(("weight", "ranks"), [(0.4, [1, 2, 3]), (0.6, [2, 1, 3])])
def test_constants_alone_weigh_every_session_alike(weight, ranks):
    network = network_of(np.log([16, 1, 1]))
    recent = SessionRecent().fit(Sessions.from_lists([[0, 2], [0, 1]]), 3)
    parts = Parts(network, [recent])
    coefficients = np.zeros((2, 6))
    coefficients[1, 0] = np.log(weight)
    model = Blend(network, [recent], weights_of(parts, coefficients))
    # The network's fourth roots are 1, 0.5, 0.5; after 1 the other part adds its weight to track 1.
    assert model.rank(Sessions.from_lists([[1, 0], [1, 1], [1, 2]]), 3).tolist() == ranks


def test_weights_are_plain_json_and_fit_their_parts_alone():
    network = network_of(np.zeros(3))
    rules = Markov().fit(Sessions.from_lists([[0, 2], [0, 1]]), 3)
    weights = weights_of(Parts(network, [rules]), np.arange(12).reshape(2, 6))
    again = of_json(json.loads(json.dumps(as_json(weights))))
    assert as_json(again) == as_json(weights)
    assert Blend(network, [rules], again).weights is again
    fixed = {"gru4rec": 0.25, "markov": 0.75}
    assert of_json(as_json(fixed)) == fixed
    other = SessionRecent().fit(Sessions.from_lists([[0, 2]]), 3)
    with pytest.raises(
        ValueError, match=r"weights are of gru4rec, markov, the parts are gru4rec, session_recent; learn"
    ):
        Blend(network, [other], weights)
