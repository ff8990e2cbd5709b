"""The network in NumPy, for one session at a time: a call of TensorFlow takes longer than a step of one lane."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from gru4rec_lib.model.feature_table import FeatureRows, FeatureTable
from gru4rec_lib.model.layers import SeededLayer, gather_rows
from gru4rec_lib.model.network import Network
from gru4rec_lib.utils.backend import keras


class NumPyNetwork:
    """Compute the hidden state after a session by the layers' own equations, without TensorFlow.

    Args:
        network: its weights must not change afterwards.
    """

    def __init__(self, network: Network):
        scorer = in_numpy(network.scorer)
        self._input = in_numpy(network.item_input, scorer=lambda: scorer)
        self._cells = [in_numpy(cell, activation=_activation(cell.activation)) for cell in network.recurrence]

    def hidden(self, items: np.ndarray) -> np.ndarray:
        """Return the hidden state after a session, within 1e-6 of `Network.call`: float32 [H].

        Args:
            items: int [n], the oldest first; those that are no inputs of the form leave the state unchanged.
        """
        items = items[(items >= 0) & (items < self._input.n_inputs)]
        with np.errstate(all="ignore"):  # TensorFlow does not warn either
            rows = [gather_rows(*lookup) for lookup in self._input.lookups(items)]
            steps = self._input.project(self._input.vectors(rows))  # of all items at once
            for cell in self._cells:
                state = np.zeros((1, cell.state_width), np.float32)
                hidden = np.zeros((len(items) + 1, cell.units), np.float32)
                for number, step in enumerate(cell.project(steps), 1):
                    state = cell.step(step[None], state)
                    hidden[number] = state[0, : cell.units]
                steps = hidden[1:]
        return hidden[-1]


def in_numpy(part, **changes):
    """Return a copy of a layer whose weights are arrays and whose operations are NumPy's, so that its equations are.

    Only methods that compute with `self.ops` work: Keras' part of the layer is not copied.

    Args:
        part: a layer, or `FeatureRows`.
        **changes: attributes that the copy has instead of the layer's.
    """
    copy = object.__new__(type(part))
    public = {name: value for name, value in vars(part).items() if not name.startswith("_")}
    vars(copy).update({name: _converted(value) for name, value in public.items()}, ops=OPS, **changes)
    return copy


def as_array(weight: keras.Variable) -> np.ndarray:
    """Return a weight as an array; on the CPU it is the weight's own memory, not a copy.

    Args:
        weight: of a layer.
    """
    return np.asarray(weight.value.read_value())


def _converted(value):
    """Return weights as arrays, parts of a layer as copies of this kind, and others as given."""
    if isinstance(value, keras.Variable):
        return as_array(value)
    if isinstance(value, SeededLayer | FeatureTable | FeatureRows):
        return in_numpy(value)
    return [_converted(one) for one in value] if isinstance(value, list | tuple) else value


def _sigmoid(x):
    return 0.5 * np.tanh(0.5 * x) + 0.5  # `exp` would overflow


def _relu(x):
    return np.maximum(x, 0)


def _split(x, parts: int, axis: int):
    """Split along the last axis; `np.split` takes ten times as long."""
    width = x.shape[axis] // parts
    return [x[:, first : first + width] for first in range(0, parts * width, width)]


# The operations that layers use, as in `keras.ops`.
OPS = SimpleNamespace(
    concatenate=np.concatenate, matmul=np.matmul, relu=_relu, sigmoid=_sigmoid, split=_split, sum=np.sum
)
ACTIVATIONS = {
    "linear": lambda x: x,
    "relu": _relu,
    "leaky_relu": lambda x: np.maximum(x, np.float32(0.2) * x),
    "selu": lambda x: np.float32(1.05070098735) * np.where(x > 0, x, np.float32(1.67326324235) * np.expm1(x)),
    "tanh": np.tanh,
    "elu": lambda x: np.where(x > 0, x, np.expm1(x)),
}


def _activation(activation):
    """Return an activation of Keras in NumPy; one that is not in ACTIVATIONS still calls Keras, which is slower."""
    for name, function in ACTIVATIONS.items():
        if activation is keras.activations.get(name):
            return function
    return lambda x: np.asarray(activation(x))
