"""The layers behind every item input: the recurrence, and the rows that score tracks."""

from __future__ import annotations

import zlib

import numpy as np

from gru4rec_lib.backend import keras, ops


class SeededLayer(keras.layers.Layer):
    """A layer whose weights start from a seed and their names alone.

    Args:
        seed: of the run.
        name: the layer's; two layers of a model need two names.
    """

    def __init__(self, seed: int, name: str):
        super().__init__(name=name)
        self.seed = seed

    def matrix(self, shape: tuple[int, int], name: str, fan: tuple[int, int] | None = None):
        """A weight, uniform within sqrt(6 / (rows + columns)): tables too, as the official code initialises them.

        Args:
            shape: rows, columns.
            name: the weight's.
            fan: rows and columns for the bound, where several matrices lie side by side in one; `shape` when None.
        """
        limit = float(np.sqrt(6.0 / sum(fan or shape)))
        seed = zlib.crc32(f"{self.seed}/{self.name}/{name}".encode())
        return self.add_weight(shape, keras.initializers.RandomUniform(-limit, limit, seed=seed), name=name)


class GRU(SeededLayer):
    """Keras' GRU equations with `reset_after=True`, on gate pre-activations.

    z, r = sigmoid(x_z + h U_z), sigmoid(x_r + h U_r);  c = tanh(x_c + r * (h U_c));  h' = z h + (1 - z) c
    (biases, two for each, left out)

    Args:
        units: hidden units H.
        below: width of the layer below, for upper layers, whose input is no track; None for the first.
        seed: of the run.
        name: the layer's.
    """

    gates = 3

    def __init__(self, units: int, below: int | None, seed: int, name: str):
        super().__init__(seed, name)
        self.units, self.below = units, below

    def build(self, input_shape=None):
        """Create recurrent kernel and biases, and the kernel of an upper layer."""
        width = self.gates * self.units
        self.recurrent_kernel = self.matrix((self.units, width), "recurrent_kernel", fan=(self.units, self.units))
        self.bias = self.add_weight((2, width), "zeros", name="bias")
        if self.below:
            self.kernel = self.matrix((self.below, width), "kernel", fan=(self.below, self.units))

    def call(self, inputs, hidden):
        """One step.

        Args:
            inputs: float [B, 3H], gate pre-activations; float [B, below] for an upper layer.
            hidden: float [B, H].

        Returns:
            float [B, H], the new hidden state.
        """
        inputs = ops.matmul(inputs, self.kernel) if self.below else inputs
        x_z, x_r, x_c = ops.split(inputs + self.bias[0], 3, axis=1)
        h_z, h_r, h_c = ops.split(ops.matmul(hidden, self.recurrent_kernel) + self.bias[1], 3, axis=1)
        update, reset = ops.sigmoid(x_z + h_z), ops.sigmoid(x_r + h_r)
        return update * hidden + (1 - update) * ops.tanh(x_c + reset * h_c)


class Scorer(SeededLayer):
    """A learned row and bias per track; the score of a track is hidden @ row + bias.

    `plays` counts the tracks in the sessions trained on: what the model falls back to before it has heard anything.
    """

    def __init__(self, n_items: int, units: int, seed: int):
        super().__init__(seed, "scorer")
        self.n_items, self.units = n_items, units

    def build(self, input_shape=None):
        """Create rows, biases and the count of plays."""
        self.table = self.matrix((self.n_items, self.units), "table")
        self.bias = self.add_weight((self.n_items,), "zeros", name="bias")
        self.plays = self.add_weight((self.n_items,), "zeros", dtype="int32", trainable=False, name="plays")


def zero_lanes(state, lanes):
    """State [layers, B, H] with the lanes of the mask [B] set to zero."""
    return ops.where(lanes[None, :, None], 0.0, state)
