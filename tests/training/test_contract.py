"""The contract of input forms, cells and output forms, tested for every entry of their registries."""

import functools
import itertools
import json
from dataclasses import replace
from math import exp, tanh
from typing import NamedTuple

import numpy as np
import pytest
from helpers import states, top_by_rank

from gru4rec_lib.data.features import Features
from gru4rec_lib.data.sessions import Sessions
from gru4rec_lib.evaluation.feature_importance import permuted_ranks
from gru4rec_lib.model.forms import WITH_CONTENT
from gru4rec_lib.model.inputs import INPUTS
from gru4rec_lib.model.layers import CELLS
from gru4rec_lib.model.numpy_network import NumPyNetwork
from gru4rec_lib.model.outputs import OUTPUTS
from gru4rec_lib.ranking import exact
from gru4rec_lib.training import epochs as epoch
from gru4rec_lib.training import gru4rec as model_module
from gru4rec_lib.training.checkpoint import read_record
from gru4rec_lib.training.gru4rec import GRU4Rec
from gru4rec_lib.utils.backend import keras, ops

N, CANDIDATES, UNITS, ROW = 6, 8, 4, 3  # tracks 6 and 7 are unseen in training ("cold"), 8 is not a candidate
COLD, MISS = 7, exact.NO_RANK
PLAYS = np.array([9, 7, 7, 5, 3, 2])
FEATURES = Features(
    np.random.default_rng(3).normal(size=(CANDIDATES, 2)).astype(np.float32),
    {
        "tags": np.array([[1, 2], [3, -1], [-1, -1], [2, 3], [1, -1], [0, 3], [1, 3], [2, -1]], np.int32),
        "artist": np.array([[1], [2], [1], [2], [1], [2], [0], [1]], np.int32),
    },
    {"tags": 4, "artist": 3},
)
N_CATEGORIES = np.array([2, 2, 1, 2, 2, 2, 1, 2])  # known categories of each track
SESSIONS = Sessions.from_lists([[0, 3, 5], [3, 1], [], [4], [5, COLD]])
TRAINING = Sessions.from_lists([[0, 1, 2, 5, 4], [3, 1], [5, 5, 0], [4, 3], [2, 1]])


class Case(NamedTuple):
    input_form: str
    cell: str
    output_form: str
    layers: int  # 1: UNITS; 2: a narrower layer, then UNITS

    def __str__(self):
        return "-".join(map(str, self))

    @property
    def widths(self):
        return [UNITS - 1, UNITS][-self.layers :]

    @property
    def accepts_cold(self):
        """Whether a track unseen in training can be an input, by its features or a scoring row made of them."""
        return self.input_form.startswith(("content", "hybrid")) or (self.input_form == "shared" and self.scores_cold)

    @property
    def scores_cold(self):
        return self.output_form != "ids"

    @property
    def uses_features(self):
        return not WITH_CONTENT.isdisjoint((self.input_form, self.output_form))


def _cases():
    for (i, form), (j, cell) in itertools.product(enumerate(INPUTS), enumerate(CELLS)):
        yield Case(form, cell, "ids", 1 + (i + j) % 2)
    for i, output in enumerate(output for output in OUTPUTS if output != "ids"):
        for j, form in enumerate(("shared", "hybrid_gate")):
            yield Case(form, [*CELLS][(i + j) % len(CELLS)], output, 2 - i % 2)


CASES = list(_cases())
# TensorFlow warns that its data pipeline still runs as a graph; the pipeline is not part of the model.
pytestmark = pytest.mark.filterwarnings("ignore:Even though the .*run_functions_eagerly:UserWarning")


@pytest.fixture(params=CASES, ids=str)
def case(request):
    return request.param


@pytest.fixture
def model(case):
    """A model for tests that do not change it."""
    return cached_model(case)


@pytest.fixture(autouse=True)
def _eager_and_small(eager, monkeypatch):
    monkeypatch.setattr(model_module, "RANK_LANES", 3)
    monkeypatch.setattr(model_module, "RANK_STEPS", 2)
    monkeypatch.setattr(exact, "STATES", 4)
    monkeypatch.setattr(exact, "BLOCK", 8)
    monkeypatch.setattr(epoch, "TRAIN_STEPS", 2)
    monkeypatch.setattr(model_module, "TRAIN_STEPS", 2)


def built(case, **options):
    form, cell, output, _ = case
    options = {"embedding_units": ROW, "mlp_units": (5,), "features": FEATURES} | options
    model = GRU4Rec(N, form, case.widths, output, cell, **options)
    model.scorer.plays.assign(PLAYS)
    return model


@functools.cache
def cached_model(case):
    """A model whose biases are not 0."""
    model, random = built(case), np.random.default_rng(5)
    for weight in model.trainable_variables:
        if weight.name.endswith("bias"):
            weight.assign(random.normal(size=weight.shape))
    return model


def trained(case, sessions=TRAINING, lanes=2, checkpoint=None, callbacks=(), seed=1, dropout=0.0, **settings):
    model = built(case, seed=seed, dropout_input=dropout, dropout_hidden=dropout)
    model.compile(**{"negatives": ("all",), "jit": False} | settings)
    path = {} if checkpoint is None else {"checkpoint": checkpoint, "checkpoint_seconds": 0}
    model.fit(sessions, 2, lanes, verbose=0, callbacks=callbacks, **path)
    return model


def rank_of(model, hidden, target):
    """Return the rank by its definition, among all tracks that have a score."""
    rows, bias = model.scorer.scoring_rows()
    if target >= len(rows):
        return MISS
    scores = rows @ hidden + bias
    return 1 + sum(scores[j] >= scores[target] for j in range(len(rows)) if j != target)


# Construction and exact values


@pytest.mark.slow
@pytest.mark.parametrize("case", [case for case in CASES if case.uses_features], ids=str)
def test_input_and_output_see_permuted_features(case):
    named = replace(FEATURES, fitted={"numeric": ["tempo", "energy"]})
    model, sessions = built(case, features=named), Sessions.from_lists([[0, 3, 5, 1], [4, 2], [2, 0, 4]])
    ranks = model.rank(sessions, N)
    groups = {"numbers": ["tempo", "energy"], "artist": ["artist"], "all": ["tempo", "energy", "tags", "artist"]}
    permuted = permuted_ranks(model, named, groups, lambda: model.rank(sessions, N), permutations=2)
    for n in range(2):
        order = np.random.default_rng([1, 4, n]).permutation(N)
        for group, columns in groups.items():
            other = built(case, features=named.permuted(columns, order))  # of the same first weights
            np.testing.assert_array_equal(permuted[group][:, n], other.rank(sessions, N))
    assert (permuted["all"] != ranks[:, None]).any()
    np.testing.assert_array_equal(model.rank(sessions, N), ranks)


@pytest.mark.slow
def test_a_model_is_built_by_its_constructor_and_from_its_config(case, model):
    hidden, state = model(np.int32([0, 5]))
    assert (hidden.shape, state.shape) == ((2, UNITS), (2, model.recurrence[0].parts * sum(case.widths)))
    again = GRU4Rec.from_config(json.loads(json.dumps(model.get_config())))
    assert [w.shape for w in again.weights] == [w.shape for w in model.weights]
    again.set_weights(model.get_weights())
    np.testing.assert_array_equal(again(np.int32([0, 5]))[1], state)


def test_one_session_in_numpy_equals_the_steps_of_the_graph(model):
    network, random = NumPyNetwork(model), np.random.default_rng(2)
    for items in ([], [0, 3, -1, 5, 3], [COLD, 2, CANDIDATES], [-1], random.integers(-1, CANDIDATES + 1, 30)):
        hidden = np.zeros((1, UNITS))
        state = None
        for item in items:
            hidden, state = model.call(np.array([item], np.int32), state)
        np.testing.assert_allclose(network.hidden(np.array(items, np.int64)), hidden[0], rtol=0, atol=1e-6)


C = 0.1  # the value of every weight: each vector repeats one number, so that single numbers predict the model


def sigmoid(x):
    return 1 / (1 + exp(-x))


def features_sum(track):
    """Return the sum of the vector that `content` concatenates; an unknown category adds 0."""
    return float(FEATURES.numeric[track].sum()) + N_CATEGORIES[track] * ROW * C


def own(track):
    """Return a value of the track's own row, 0 for a cold track, which has none."""
    return C if track < N else 0.0


def scoring_value(output, track):
    by_features = C * (float(FEATURES.numeric[track].sum()) + N_CATEGORIES[track])
    return {"ids": own(track), "content": by_features, "hybrid": own(track) + by_features}[output]


def gated(identity, content):
    gate = sigmoid(ROW * C * (identity + content) + C)
    return ROW * C * (gate * identity + (1 - gate) * content)


PRE_ACTIVATION = {
    "one_hot": lambda track, output: C,
    "embedding": lambda track, output: ROW * C * C,
    "shared": lambda track, output: UNITS * C * scoring_value(output, track),
    "content": lambda track, output: C * features_sum(track),
    "content_mlp": lambda track, output: 5 * C * max(C * features_sum(track) + C, 0),
    "hybrid_concat": lambda track, output: C * (ROW * own(track) + features_sum(track)),
    "hybrid_gate": lambda track, output: gated(own(track), C * features_sum(track)),
}


def gru_by_numbers(x, state, units):
    (hidden,) = state
    gate, recurrent = sigmoid(x + C + units * C * hidden + C), units * C * hidden + C
    return (gate * hidden + (1 - gate) * tanh(x + C + gate * recurrent),)


def lstm_by_numbers(x, state, units):
    hidden, memory = state
    a = x + units * C * hidden + C
    memory = sigmoid(a) * memory + sigmoid(a) * tanh(a)
    return sigmoid(a) * tanh(memory), memory


CELL = {"gru": (gru_by_numbers, 1), "lstm": (lstm_by_numbers, 2)}


def test_exact_values_under_constant_weights(case):
    model = built(case)
    for weight in model.trainable_variables:
        weight.assign(np.full(weight.shape, C))
    cell, parts = CELL[case.cell]
    expected, state = [(0.0,) * parts] * case.layers, None
    for track in (3, COLD if case.accepts_cold else 5):
        x = PRE_ACTIVATION[case.input_form](track, case.output_form)
        for layer, units in enumerate(case.widths):
            expected[layer] = cell(x, expected[layer], units)
            x = units * C * expected[layer][0]
        hidden, state = model(np.int32([track]), state)
        np.testing.assert_allclose(hidden[0], [expected[-1][0]] * UNITS, rtol=1e-5)
        each = [np.repeat(values, units) for values, units in zip(expected, case.widths, strict=True)]
        np.testing.assert_allclose(state[0], np.concatenate(each), rtol=1e-5)
    values = [scoring_value(case.output_form, track) for track in range(CANDIDATES if case.scores_cold else N)]
    rows, bias = model.scorer.scoring_rows()
    np.testing.assert_allclose(np.c_[rows, bias], np.repeat(np.c_[values], UNITS + 1, axis=1), rtol=1e-5, atol=1e-7)


# State


@pytest.mark.slow
def test_lanes_are_independent(model):
    hidden, _ = model(np.int32([3, 5]), model(np.int32([0, 3]))[1])
    np.testing.assert_allclose(hidden[1], states(model, [3, 5])[1], atol=1e-6)


def test_a_reset_starts_a_session_in_its_lane_only(model):
    ids, reset = np.int32([2, 2, 5]), np.array([True, False, True])
    state = np.random.default_rng(1).normal(size=model.initial_state(3).shape).astype(np.float32)
    _, found = model(ids, ops.convert_to_tensor(state), reset)
    _, fresh = model(ids)
    _, continued = model(ids, ops.convert_to_tensor(state))
    np.testing.assert_array_equal(found, np.where(reset[:, None], fresh, continued))
    assert not np.isclose(fresh, continued).any()


def test_an_unknown_input_leaves_the_state_unchanged(case, model):
    _, before = model(np.int32([3, 3, 3]))
    _, after = model(np.int32([-1, COLD, CANDIDATES]), before)
    changed = (after.numpy() != before.numpy()).any(axis=1)
    assert changed.tolist() == [False, case.accepts_cold, False]


# Ranking


@pytest.mark.slow
def test_sessions_have_the_same_ranks_together_and_alone(model, monkeypatch):
    """Also with fewer sessions than lanes; among the sessions are ones of two tracks, of one, and of none."""
    expected = []
    for items in (SESSIONS[s].tolist() for s in range(len(SESSIONS))):
        expected += [rank_of(model, h, target) for h, target in zip(states(model, items), items[1:], strict=False)]
    for lanes in (2, 8):
        monkeypatch.setattr(model_module, "RANK_LANES", lanes)
        assert model.rank(SESSIONS, CANDIDATES).tolist() == expected


def test_a_cold_track_is_ranked_by_features_or_a_miss(case, model):
    found = model.rank(Sessions.from_lists([[0, COLD], [0, CANDIDATES], [0, -1]]), CANDIDATES)
    assert found.tolist() == [rank_of(model, states(model, [0])[0], COLD), MISS, MISS]
    assert (found[0] < MISS) == case.scores_cold


def test_popularity_ranks_until_the_first_known_input(case, model):
    first, then, cold = model.rank(Sessions.from_lists([[8, -1, 4], [8, 1, 4], [COLD, 2]]), CANDIDATES)[[1, 3, 4]]
    assert first == 5, "the fifth by plays"
    assert then == rank_of(model, states(model, [1])[0], 4)
    assert cold == (rank_of(model, states(model, [COLD])[0], 2) if case.accepts_cold else 3), "two have 7 plays: a tie"


@pytest.mark.parametrize("case", [case for case in CASES if case.input_form == "shared"], ids=str)
def test_top_has_the_tracks_of_the_lowest_ranks(model, monkeypatch):
    monkeypatch.setattr(model_module, "RANK_LANES", 40)
    lists = [[0, 3, 5], [3], [], [8, -1, 4], [COLD, 2]]
    heard = [items[:place] for items in lists for place in range(1, len(items))]
    for n_candidates, k in ((CANDIDATES, CANDIDATES), (N - 1, 3)):
        found = model.top(Sessions.from_lists(lists), n_candidates, k=k)
        assert found.tolist() == top_by_rank(model, heard, n_candidates, k)


# Training


@pytest.mark.slow
def test_training_changes_every_trainable_weight_and_no_other(case):
    before, model = built(case).weights, trained(case)
    for weight, old in zip(model.weights, before, strict=True):
        changed = weight.numpy() != old.numpy()
        if weight.trainable:
            # Each column, so all gates of a kernel or bias. A relu unit may be inactive on so few tracks.
            assert changed.any() if "mlp" in weight.name else changed.any(axis=0).all(), weight.path
        else:
            assert changed.any() == (weight is model.scorer.plays), weight.path
    np.testing.assert_array_equal(model.scorer.plays, np.bincount(TRAINING.items, minlength=N))


@pytest.mark.slow
def test_one_session_of_two_tracks_in_many_lanes(case):
    """The loss is cross-entropy; empty lanes count only in the number by which gradients are divided."""
    pair, start = Sessions.from_lists([[3, 1]]), built(case)
    rows, bias = (part[:N] for part in start.scorer.scoring_rows())
    scores = rows @ states(start, [3])[0] + bias
    few, many = (
        trained(case, pair, lanes, optimizer=keras.optimizers.SGD(0.1 * lanes), callbacks=[losses := Losses()])
        for lanes in (1, 5)
    )
    assert losses.seen[0] == pytest.approx(np.log(np.exp(scores).sum()) - scores[1], rel=1e-5)
    assert losses.seen[1] < losses.seen[0]
    for a, b in zip(few.trainable_variables, many.trainable_variables, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6, err_msg=a.path)


class Losses(keras.callbacks.Callback):
    """The loss of every epoch."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def on_epoch_end(self, epoch, logs=None):
        self.seen.append(logs["loss"])


ALL_RANDOM = {"negatives": ("in_batch", "sampled"), "samples": 3, "dropout": 0.3, "loss": "bpr_max", "momentum": 0.3}


@functools.cache
def trained_once(case):
    return trained(case, **ALL_RANDOM)


@pytest.mark.slow
def test_same_seed_same_ranks(case):
    one, same, other = trained_once(case), trained(case, **ALL_RANDOM), trained(case, seed=2, **ALL_RANDOM)
    for a, b in zip(one.weights, same.weights, strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(one.rank(TRAINING, CANDIDATES), same.rank(TRAINING, CANDIDATES))
    assert (one.rank(TRAINING, CANDIDATES) != other.rank(TRAINING, CANDIDATES)).any()


class InterruptionError(Exception):
    pass


class Interrupt(keras.callbacks.Callback):
    """End training within its second epoch."""

    def on_train_batch_end(self, batch, logs=None):
        if int(self.model.optimizer.iterations) > 8:
            raise InterruptionError


@pytest.mark.slow
def test_an_interrupted_training_gives_the_same_weights(case, tmp_path):
    whole, path = trained_once(case), tmp_path / "checkpoint.npz"
    with pytest.raises(InterruptionError):
        trained(case, checkpoint=path, callbacks=[Interrupt()], **ALL_RANDOM)
    assert read_record(path)["epoch"] == 1
    resumed = trained(case, checkpoint=path, **ALL_RANDOM)
    for a, b in zip(whole.weights, resumed.weights, strict=True):
        np.testing.assert_array_equal(a, b, err_msg=a.path)


# Saving

PROGRAM = """
import json, sys
from gru4rec_lib.data.sessions import Sessions
from gru4rec_lib.ranking import exact
from gru4rec_lib.training import gru4rec as model
model.RANK_LANES, model.RANK_STEPS, exact.STATES, exact.BLOCK = 3, 2, 4, 8
model.tf.config.run_functions_eagerly(True)
sessions = Sessions.from_lists(json.loads(sys.argv[1]))
for path in sys.argv[3:]:
    print(json.dumps(model.keras.saving.load_model(path).rank(sessions, int(sys.argv[2])).tolist()))
"""


@pytest.mark.slow
def test_saved_models_rank_the_same_in_another_process(tmp_path, loaded):
    paths = [str(tmp_path / f"{case}.keras") for case in CASES]
    for case, path in zip(CASES, paths, strict=True):
        cached_model(case).save(path)
    lists = json.dumps([SESSIONS[s].tolist() for s in range(len(SESSIONS))])
    done = loaded.run(PROGRAM, lists, CANDIDATES, *paths)
    assert done.returncode == 0, done.stderr
    ranks = [json.loads(line) for line in done.stdout.splitlines()[-len(CASES) :]]
    assert ranks == [cached_model(case).rank(SESSIONS, CANDIDATES).tolist() for case in CASES]
