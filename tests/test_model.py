"""What holds of GRU4Rec under every item input, one contract for all."""

import functools
import json
import math
import subprocess
import sys

import numpy as np
import pytest

from gru4rec_lib import model as model_module
from gru4rec_lib import ranking
from gru4rec_lib.backend import keras, ops, tf
from gru4rec_lib.features import Features
from gru4rec_lib.items import INPUTS
from gru4rec_lib.model import GRU4Rec
from gru4rec_lib.sessions import Sessions

RNG = np.random.default_rng(3)
N, CANDIDATES, UNITS = 9, 11, 4  # tracks 9 and 10 are unseen in training, 11 is no candidate
PLAYS = np.array([9, 7, 7, 5, 4, 3, 2, 2, 1])
FEATURES = Features(
    RNG.normal(size=(CANDIDATES, 2)).astype(np.float32),
    {"tags": RNG.integers(-1, 4, (CANDIDATES, 2)).astype(np.int32), "artist": RNG.integers(0, 3, (CANDIDATES, 1))},
    {"tags": 4, "artist": 3},
)
SESSIONS = Sessions.from_lists([[0, 1, 2, 8, 4], [3, 1], [4], [], [5, 5, 7], [8, 0]])
CASES = [(form, layers) for form in INPUTS for layers in (1, 2)]
contract = pytest.mark.parametrize(("form", "layers"), CASES)


@pytest.fixture(autouse=True)
def _small_shapes(monkeypatch):
    monkeypatch.setattr(model_module, "RANK_LANES", 3)
    monkeypatch.setattr(model_module, "RANK_STEPS", 4)


@pytest.fixture
def eager(monkeypatch):
    """No graphs and small blocks: a model lives for one rank here."""
    monkeypatch.setattr(ranking, "STATES", 8)
    monkeypatch.setattr(ranking, "BLOCK", 16)
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


def built(form, layers=1, seed=1):
    options = {"embedding_units": 3, "mlp_units": (5,), "features": FEATURES, "seed": seed}
    model = GRU4Rec(N, form, UNITS, layers, **options)
    model.scorer.plays.assign(PLAYS)
    return model


@functools.cache
def shared_model(form, layers):
    """One model for the tests that only look, with biases that are not 0."""
    model = built(form, layers)
    for layer in model.recurrence:
        layer.bias.assign(RNG.normal(size=layer.bias.shape))
    return model


def states(model, items):
    """The state to score with after each item of one session, float [len(items), H], one step at a time."""
    state, out = None, []
    for item in items:
        hidden, state = model(np.int32([item]), state)
        out.append(hidden[0])
    return np.array(out)


def rank_of(model, hidden, target):
    scores = model.scorer.table.numpy() @ hidden + model.scorer.bias.numpy()
    return 1 + sum(scores[j] >= scores[target] for j in range(N) if j != target)


@contract
@pytest.mark.usefixtures("eager")
def test_builds_at_once_and_from_its_config(form, layers):
    model = shared_model(form, layers)
    hidden, state = model(np.int32([0, 8]))
    assert (hidden.shape, state.shape) == ((2, UNITS), (layers, 2, UNITS))
    again = GRU4Rec.from_config(json.loads(json.dumps(model.get_config())))
    assert [w.shape for w in again.weights] == [w.shape for w in model.weights]
    again.set_weights(model.get_weights())
    np.testing.assert_array_equal(again.rank(SESSIONS, N), model.rank(SESSIONS, N))


def test_exact_ranks_by_hand():
    """One unit, gates z = r = 1/2: h' = h / 2 + c / 2.

    Track 0 gives c = 1/2, track 1 c = -1/2: h is 1/4 after [0], 1/8 - 1/4 = -1/8 after [0, 1].
    Scores h * row + bias of the tracks: [0.25, -0.15, 0.5], then [-0.125, 0.225, -0.25].
    """
    model = GRU4Rec(3, "one_hot", 1)
    model.item_input.table.assign([[0, 0, math.atanh(0.5)], [0, 0, math.atanh(-0.5)], [0, 0, 0]])
    model.recurrence[0].recurrent_kernel.assign([[0, 0, 0]])
    model.scorer.table.assign([[1], [-1], [2]])
    model.scorer.bias.assign([0, 0.1, 0])
    np.testing.assert_allclose(states(model, [0, 1]), [[1 / 4], [-1 / 8]], atol=1e-7)
    assert model.rank(Sessions.from_lists([[0, 1, 0], [0, 2], [0, 1, 2]]), 3).tolist() == [3, 2, 1, 3, 3]


@contract
@pytest.mark.usefixtures("eager")
def test_ranks_are_those_of_one_session_at_a_time_whatever_the_lanes(form, layers, monkeypatch):
    model = shared_model(form, layers)
    expected = []
    for items in (SESSIONS[s].tolist() for s in range(len(SESSIONS))):
        expected += [rank_of(model, h, target) for h, target in zip(states(model, items), items[1:], strict=False)]
    for lanes in (1, 8):
        monkeypatch.setattr(model_module, "RANK_LANES", lanes)
        assert model.rank(SESSIONS, N).tolist() == expected
    assert len(set(expected)) > 3


def test_an_upper_layer_hears_the_one_below_and_keeps_a_state_of_its_own():
    model = shared_model("embedding", 2)
    lower, upper, table, kernel = *model.recurrence, model.item_input.table.numpy(), model.item_input.kernel.numpy()
    a = b = ops.zeros((1, UNITS))
    for item, found in zip([3, 1, 4], states(model, [3, 1, 4]), strict=True):
        a = lower(table[[item]] @ kernel, a)
        b = upper(a, b)
        np.testing.assert_allclose(found, b[0], atol=1e-6)


@contract
def test_lanes_do_not_hear_each_other(form, layers):
    model = shared_model(form, layers)
    _, state = model(np.int32([0, 3, 5]))
    _, state = model(np.int32([1, 1, 7]), state)
    alone = [model(np.int32([second]), model(np.int32([first]))[1])[1] for first, second in ((0, 1), (3, 1), (5, 7))]
    np.testing.assert_allclose(state, ops.concatenate(alone, axis=1), atol=1e-6)


@contract
def test_a_reset_lane_is_a_fresh_session_and_the_others_go_on(form, layers):
    model, ids = shared_model(form, layers), np.int32([2, 2, 6])
    state = ops.convert_to_tensor(RNG.normal(size=(layers, 3, UNITS)).astype(np.float32))
    _, found = model(ids, state, np.array([True, False, True]))
    _, fresh = model(ids)
    _, gone_on = model(ids, state)
    np.testing.assert_array_equal(found, np.where(np.array([True, False, True])[:, None], fresh, gone_on))
    assert not np.isclose(fresh, gone_on).any()


@contract
def test_an_unknown_input_leaves_the_state_as_it_was(form, layers):
    model = shared_model(form, layers)
    _, before = model(np.int32([3, 3, 3, 3]))
    _, after = model(np.int32([-1, N, CANDIDATES - 1, CANDIDATES]), before)
    changed = (after.numpy() != before.numpy()).any(axis=(0, 2))
    assert changed.tolist() == ([False, True, True, False] if form.startswith(("content", "hybrid")) else [False] * 4)


@contract
@pytest.mark.usefixtures("eager")
def test_popularity_answers_until_something_known_is_heard(form, layers):
    model = shared_model(form, layers)
    first, then, later = model.rank(Sessions.from_lists([[11, -1, 4], [1, -1, 4], [11, 1, 4]]), 99)[[1, 3, 5]]
    assert first == 5, "the fifth by plays"
    hidden = states(model, [1])[0]
    assert then == later == rank_of(model, hidden, 4)
    unseen = model.rank(Sessions.from_lists([[9, 2]]), 99)
    if form.startswith(("content", "hybrid")):
        assert unseen == [rank_of(model, states(model, [9])[0], 2)], "content hears a track unseen in training"
    else:
        assert unseen == [3], "two tracks have 7 plays: the tie counts against the model"


@pytest.mark.usefixtures("eager")
def test_a_new_session_forgets_what_its_lane_has_heard(monkeypatch):
    monkeypatch.setattr(model_module, "RANK_LANES", 1)
    assert built("embedding").rank(Sessions.from_lists([[1, 4], [-1, 4]]), N)[1] == 5


@pytest.mark.usefixtures("eager")
def test_a_target_that_cannot_be_scored_is_a_miss():
    model = shared_model("content", 1)
    assert model.rank(Sessions.from_lists([[0, 9], [0, -1], [9, 11]]), 42).tolist() == [43] * 3


@contract
@pytest.mark.usefixtures("eager")
def test_the_seed_decides(form, layers):
    ranks = [built(form, layers, seed).rank(SESSIONS, N) for seed in (1, 1, 2)]
    assert (ranks[0] == ranks[1]).all()
    assert (ranks[0] != ranks[2]).any()


@pytest.mark.slow
@pytest.mark.parametrize("form", INPUTS)
def test_training_reaches_every_trainable_weight(form):
    model = built(form, layers=2)
    model.compile(negatives=("all",), jit=False)
    before = model.get_weights()
    model.fit(SESSIONS, 1, 4, verbose=0)
    for weight, old in zip(model.weights, before, strict=True):
        is_new = weight.trainable or weight is model.scorer.plays
        assert (weight.numpy() != old).any() == is_new, weight.path
    np.testing.assert_array_equal(model.scorer.plays, np.bincount(SESSIONS.items, minlength=N))


@pytest.mark.usefixtures("eager")
def test_evaluate_is_recall_and_mrr_of_the_ranks():
    model = shared_model("embedding", 1)
    ranks = model.rank(SESSIONS, N)
    assert model.evaluate(SESSIONS, 2) == {
        "recall_at_2": pytest.approx(sum(ranks <= 2) / len(ranks)),
        "mrr_at_2": pytest.approx(sum(1 / r for r in ranks if r <= 2) / len(ranks)),
    }


def test_what_cannot_be_built_is_named():
    with pytest.raises(ValueError, match="input_form is 'embeding'; known are one_hot, embedding"):
        GRU4Rec(3, "embeding")
    with pytest.raises(ValueError, match="'content_mlp' with output_form 'ids' needs `features`"):
        GRU4Rec(3, "content_mlp")
    with pytest.raises(ValueError, match="'one_hot' with output_form 'content' needs `features`"):
        GRU4Rec(3, "one_hot", output_form="content")
    with pytest.raises(ValueError, match="output_form is 'id'; known are ids, content, hybrid"):
        GRU4Rec(3, output_form="id")
    with pytest.raises(ValueError, match="cell is 'rnn'; known are gru, lstm"):
        GRU4Rec(3, cell="rnn")


def test_a_saved_model_holds_no_optimiser_state(tmp_path):
    """As large as one that was never compiled; the model in hand trains on."""
    model = built("embedding")
    model.save(tmp_path / "plain.keras")
    model.compile()
    model.save(tmp_path / "compiled.keras")
    assert (tmp_path / "plain.keras").stat().st_size == (tmp_path / "compiled.keras").stat().st_size
    assert model.optimizer is not None
    loaded = keras.saving.load_model(tmp_path / "compiled.keras")
    np.testing.assert_array_equal(loaded.rank(SESSIONS, N), model.rank(SESSIONS, N))


@pytest.mark.slow
@pytest.mark.usefixtures("eager")
def test_a_saved_model_ranks_the_same_in_another_process(tmp_path):
    paths = [str(tmp_path / f"{form}.keras") for form in INPUTS]
    for form, path in zip(INPUTS, paths, strict=True):
        shared_model(form, 2).save(path)
    program = """
import json, sys
from gru4rec_lib.model import GRU4Rec, keras
from gru4rec_lib.sessions import Sessions
sessions = Sessions.from_lists(json.loads(sys.argv[1]))
print(json.dumps([keras.saving.load_model(path).rank(sessions, 9).tolist() for path in sys.argv[2:]]))
"""
    lists = json.dumps([SESSIONS[s].tolist() for s in range(len(SESSIONS))])
    done = subprocess.run(
        [sys.executable, "-c", program, lists, *paths], capture_output=True, text=True, check=True, timeout=200
    )
    ranks = json.loads(done.stdout.splitlines()[-1])
    assert ranks == [shared_model(form, 2).rank(SESSIONS, N).tolist() for form in INPUTS]
