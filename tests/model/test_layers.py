"""The recurrence equals that of Keras; initial weights depend only on (seed, name)."""

import numpy as np
import pytest

from gru4rec_lib.model.layers import GRU, LSTM, SeededLayer, gather_rows, zero_lanes
from gru4rec_lib.model.outputs import Scorer
from gru4rec_lib.utils.backend import keras, ops

RNG = np.random.default_rng(5)


def beside_keras(cell, reference, below, parts):
    """Return the states of our cell and of Keras' layer with the same weights over six steps, from a random state."""
    units, width, lanes = reference.units, 3, 5
    layer = cell(units, below, 1, "cell", keras.activations.serialize(reference.activation))
    layer.build()
    reference.build((lanes, 6, width))
    np.testing.assert_array_equal(layer.bias, reference.cell.bias)  # before any training
    kernel, recurrent, bias = (RNG.normal(size=w.shape).astype(np.float32) for w in reference.weights)
    reference.set_weights([kernel, recurrent, bias])
    layer.recurrent_kernel.assign(recurrent)
    layer.bias.assign(bias)
    if below:
        layer.kernel.assign(kernel)
    x = RNG.normal(size=(lanes, 6, width)).astype(np.float32)
    state = RNG.normal(size=(lanes, parts * units)).astype(np.float32)
    initial = [ops.convert_to_tensor(part) for part in np.split(state, parts, axis=1)]
    expected, *last = reference(x, initial_state=initial)
    found = []
    for step in range(6):
        state = layer(x[:, step] if below else x[:, step] @ kernel, state)
        found.append(state[:, :units])
    return (np.stack(found, axis=1), state), (expected, np.concatenate(last, axis=1))


@pytest.mark.parametrize("activation", ["tanh", "elu"])
@pytest.mark.parametrize("below", [None, 3])
def test_gru_equals_keras(below, activation):
    """The input of the first layer is x @ kernel; upper layers multiply x by their own kernels."""
    reference = keras.layers.GRU(4, activation, reset_after=True, return_sequences=True, return_state=True)
    found, expected = beside_keras(GRU, reference, below, 1)
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)


@pytest.mark.parametrize("activation", ["tanh", "elu"])
@pytest.mark.parametrize("below", [None, 3])
def test_lstm_equals_keras(below, activation):
    """The state is the hidden state beside the memory; the forget gate's bias starts at 1, as in Keras."""
    reference = keras.layers.LSTM(4, activation, return_sequences=True, return_state=True)
    found, expected = beside_keras(LSTM, reference, below, 2)
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_rows_missing_in_a_table_are_zeros():
    table = keras.Variable([[1.0, 2.0], [3.0, 4.0]])
    assert gather_rows(table, np.array([[1, 2], [0, 9]])).numpy().tolist() == [[[3, 4], [0, 0]], [[1, 2], [0, 0]]]
    assert gather_rows(keras.Variable([5, 6]), np.array([1, 2])).numpy().tolist() == [6, 0]


def test_gru_by_hand():
    """All kernels 0: h' = z h + (1 - z) tanh(x_c + r b), with z = r = 1/2, h = 1, b = 2, x_c = -1 gives h' = 1/2."""
    layer = GRU(1, None, seed=1, name="gru")
    layer.build()
    layer.recurrent_kernel.assign([[0.0, 0.0, 0.0]])
    layer.bias.assign([[0.0, 0.0, -1.0], [0.0, 0.0, 2.0]])
    assert layer(ops.zeros((1, 3)), ops.ones((1, 1))).numpy().tolist() == [[0.5]]


class Two(SeededLayer):
    def __init__(self, seed, name, backwards=False):
        super().__init__(seed, name)
        for weight in ("b", "a") if backwards else ("a", "b"):
            setattr(self, weight, self.matrix((4, 3), weight))


def test_weights_depend_only_on_seed_and_names():
    """They do not depend on the layers or weights created before."""
    one, other = Two(1, "layer"), Two(1, "layer", backwards=True)
    np.testing.assert_array_equal(one.a, other.a)
    np.testing.assert_array_equal(one.b, other.b)
    for different in (one.b, Two(2, "layer").a, Two(1, "another").a):
        assert not np.isclose(one.a, different).any()


@pytest.mark.parametrize(("fan", "limit"), [(None, (6 / 200) ** 0.5), ((100, 20), (6 / 120) ** 0.5)])
def test_weights_are_uniform_within_the_bound(fan, limit):
    values = SeededLayer(1, "layer").matrix((100, 100), "w", fan).numpy()
    assert 0.99 * limit < values.max() <= limit
    assert -limit <= values.min() < -0.99 * limit
    assert abs(values.std() - limit / 3**0.5) < 0.02 * limit


def test_each_gate_is_initialised_as_a_matrix():
    """Three gates are side by side in one array; the bound is that of one gate."""
    layer = GRU(50, 100, seed=1, name="gru")
    layer.build()
    assert 0.98 < np.abs(layer.recurrent_kernel).max() / (6 / 100) ** 0.5 <= 1
    assert 0.98 < np.abs(layer.kernel).max() / (6 / 150) ** 0.5 <= 1
    assert not layer.bias.numpy().any()


def test_scorer_has_a_row_and_a_bias_a_track_and_plays_that_do_not_train():
    scorer = Scorer(5, 3, seed=1)
    scorer.build()
    assert [tuple(w.shape) for w in scorer.trainable_weights] == [(5, 3), (5,)]
    assert [w.name for w in scorer.non_trainable_weights] == ["plays"]


def test_zero_lanes():
    state = ops.reshape(ops.arange(6.0), (3, 2)) + 1
    found = zero_lanes(state, ops.convert_to_tensor([True, False, True])).numpy()
    assert found.tolist() == [[0, 0], [3, 4], [0, 0]]
