"""The network in NumPy equals the layers in TensorFlow; all forms are compared in tests/training/test_contract.py."""

import numpy as np
import pytest

from gru4rec_lib.model import feature_table, inputs, layers, outputs
from gru4rec_lib.model.network import Network
from gru4rec_lib.model.numpy_network import ACTIVATIONS, NumPyNetwork, as_array
from gru4rec_lib.training import settings

FEATURES = {"candidates": 7, "numeric": 1, "categories": {"tags": (4, 2)}}
ITEMS = np.array([1, 3, -1, 0, 9, 2])


def after(network, items):
    hidden, state = np.zeros((1, network.scorer.units)), None
    for item in items:
        hidden, state = network.call(np.array([item], np.int32), state)
    return np.asarray(hidden)[0]


@pytest.mark.parametrize("cell", ["gru", "lstm"])
@pytest.mark.parametrize("activation", [*ACTIVATIONS, "gelu", "softmax"])
def test_every_activation(cell, activation):
    network = Network(5, "one_hot", [3, 2], cell=cell, hidden_activation=activation)
    for weight in network.trainable_variables:
        weight.assign(np.random.default_rng(3).normal(size=weight.shape))
    np.testing.assert_allclose(NumPyNetwork(network).hidden(ITEMS), after(network, ITEMS), rtol=1e-6, atol=1e-6)


def test_the_activations_of_settings_are_those_in_numpy():
    assert {*settings.ACTIVATIONS} == {*ACTIVATIONS}


@pytest.mark.parametrize("form", inputs.INPUTS)
def test_tensorflow_is_not_called(form, monkeypatch):
    network = Network(5, form, 4, "hybrid", embedding_units=3, mlp_units=(3,), features=FEATURES)
    expected, in_numpy = after(network, ITEMS), NumPyNetwork(network)
    for module in (feature_table, inputs, layers, outputs):
        for name in {"tf", "ops", "keras"} & vars(module).keys():
            monkeypatch.setattr(module, name, None)
    np.testing.assert_allclose(in_numpy.hidden(ITEMS), expected, rtol=0, atol=1e-6)


def test_weights_are_not_copied():
    network = Network(5, "one_hot", 4)
    table = network.item_input.table
    assert np.shares_memory(NumPyNetwork(network)._input.table, as_array(table))
    np.testing.assert_array_equal(as_array(table), table.numpy())


def test_large_numbers_do_not_warn():
    network = Network(5, "one_hot", 4, hidden_activation="relu")
    for weight in network.trainable_variables:
        weight.assign(np.random.default_rng(3).normal(size=weight.shape) * 1e30)
    assert not np.isfinite(NumPyNetwork(network).hidden(ITEMS)).all()
