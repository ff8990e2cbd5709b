"""The recurrent cells, the base of all layers, and functions of a step."""

from __future__ import annotations

import zlib

import numpy as np

from gru4rec_lib.utils.backend import FLOAT, keras, ops, tf

NEGATIVES = -1  # use of `random_key`: the negatives of a step; each dropout has a place, 0 and more
PLACES = 1000


def random_key(seed: int, use: int, step):
    """Return the key of the random numbers of one use in one step, its own for each use of a seed: int64 [2].

    Args:
        seed: of the run, 0 to below 2**31.
        use: NEGATIVES, or the place of a dropout, 0 to below PLACES.
        step: int, mini-batches before it.
    """
    # With seed 0, the first place of dropout would have the key of the negatives: 2**31 is no seed.
    stream = seed if use == NEGATIVES else (seed or 2**31) * PLACES + use
    return tf.stack([tf.cast(stream, tf.int64), tf.cast(step, tf.int64)])


class SeededLayer(keras.layers.Layer):
    """A layer whose weights start from a seed and their names alone.

    Args:
        seed: of the run.
        name: the layer's; two layers of a model need two names.
    """

    ops = ops  # of the equations; those of NumPy in a copy made by `numpy_network.in_numpy`

    def __init__(self, seed: int, name: str):
        super().__init__(name=name, dtype=FLOAT)  # whatever Keras' global settings are
        self.seed = seed

    def matrix(self, shape: tuple[int, int], name: str, fan: tuple[int, int] | None = None):
        """Add a weight, uniform within sqrt(6 / (rows + columns)): tables too, as the official code initialises them.

        Args:
            shape: rows, columns.
            name: the weight's.
            fan: rows and columns for the bound, where one weight holds several matrices; `shape` when None.

        Returns:
            Keras' variable, float32 of the shape.
        """
        limit = float(np.sqrt(6.0 / sum(fan or shape)))
        seed = zlib.crc32(f"{self.seed}/{self.name}/{name}".encode())
        return self.add_weight(shape, keras.initializers.RandomUniform(-limit, limit, seed=seed), name=name)


class Cell(SeededLayer):
    """The part common to both cells.

    Args:
        units: hidden units H.
        below: width of the layer below, for upper layers; None for the first, whose input is a track.
        seed: of the run.
        name: the layer's.
        activation: of the candidate state, and of an LSTM's output; a name of Keras.

    Raises:
        ValueError: Keras has no such activation.
    """

    gates: int  # pre-activations per hidden unit
    parts: int  # a state is so many vectors of H, the first of them the hidden state
    biases: tuple[int, ...]  # leading shape of the bias

    def __init__(self, units: int, below: int | None, seed: int, name: str, activation: str = "tanh"):
        super().__init__(seed, name)
        try:
            self.activation = keras.activations.get(activation)
        except ValueError:
            remedy = "give the name of an activation of Keras, such as tanh or relu"
            raise ValueError(f"hidden_activation is {activation!r}; {remedy}") from None
        self.units, self.below, self.state_width = units, below, self.parts * units

    def build(self, input_shape=None):
        """Keras' call: create recurrent kernel and biases, and the kernel of an upper layer."""
        width = self.gates * self.units
        self.recurrent_kernel = self.matrix((self.units, width), "recurrent_kernel", fan=(self.units, self.units))
        self.bias = self.add_weight((*self.biases, width), self._first_bias, name="bias")
        if self.below:
            self.kernel = self.matrix((self.below, width), "kernel", fan=(self.below, self.units))

    def _first_bias(self, shape, dtype=None):
        return ops.zeros(shape, dtype)

    def call(self, inputs, state):
        """Return the state after one step, its first H columns the hidden state: float [B, parts x H].

        Args:
            inputs: float [B, gates x H], pre-activations; float [B, below] for an upper layer.
            state: float [B, parts x H].
        """
        return self.step(self.project(inputs), state)

    def project(self, inputs):
        """Return the gate pre-activations of the cell's input: float [B, gates x H].

        Args:
            inputs: as for `call`.
        """
        return self.ops.matmul(inputs, self.kernel) if self.below else inputs


class GRU(Cell):
    """Keras' GRU equations with `reset_after=True`, on gate pre-activations (Cho et al., arXiv 1406.1078).

    z, r = sigmoid(x_z + h U_z), sigmoid(x_r + h U_r);  c = tanh(x_c + r * (h U_c));  h' = z h + (1 - z) c
    (biases, two for each, left out)
    """

    gates, parts, biases = 3, 1, (2,)

    def step(self, inputs, hidden):
        """See `Cell.call`, of which this is the part after the kernel of an upper layer.

        Args:
            inputs: float [B, 3 x H], pre-activations.
            hidden: float [B, H], the state.
        """
        x_z, x_r, x_c = self.ops.split(inputs + self.bias[0], 3, axis=1)
        h_z, h_r, h_c = self.ops.split(self.ops.matmul(hidden, self.recurrent_kernel) + self.bias[1], 3, axis=1)
        update, reset = self.ops.sigmoid(x_z + h_z), self.ops.sigmoid(x_r + h_r)
        return update * hidden + (1 - update) * self.activation(x_c + reset * h_c)


class LSTM(Cell):
    """Keras' LSTM equations, on gate pre-activations (Hochreiter & Schmidhuber, Neural Computation 1997).

    i, f, o = sigmoid(x + h U) for each;  c' = f c + i tanh(x_c + h U_c);  h' = o tanh(c')
    (biases left out; the forget gate's starts at 1, as in Keras: Jozefowicz et al., ICML 2015)
    """

    gates, parts, biases = 4, 2, ()

    def _first_bias(self, shape, dtype=None):
        return ops.where((ops.arange(shape[0]) // self.units) == 1, ops.ones(shape, dtype), 0.0)

    def step(self, inputs, state):
        """See `Cell.call`, of which this is the part after the kernel of an upper layer.

        Args:
            inputs: float [B, 4 x H], pre-activations.
            state: float [B, 2 x H], hidden state and memory.
        """
        hidden, memory = self.ops.split(state, 2, axis=1)
        i, f, c, o = self.ops.split(inputs + self.ops.matmul(hidden, self.recurrent_kernel) + self.bias, 4, axis=1)
        memory = self.ops.sigmoid(f) * memory + self.ops.sigmoid(i) * self.activation(c)
        return self.ops.concatenate([self.ops.sigmoid(o) * self.activation(memory), memory], axis=1)


CELLS = {"gru": GRU, "lstm": LSTM}


def take(table, ids):
    """Return rows of a table, in the shape of `ids` followed by that of a row.

    Args:
        table: variable or array [n, ...].
        ids: int [...], 0 to below n.
    """
    return table[ids] if isinstance(table, np.ndarray) else tf.gather(table.value, ids)


def gather_rows(table, ids):
    """Return rows of a table; zeros for ids that have none.

    Args:
        table: variable or array [n, ...].
        ids: int [...], 0 or more.

    Returns:
        The rows, in the shape of `ids` followed by that of a row.
    """
    known = ids < table.shape[0]
    if isinstance(table, np.ndarray):
        rows = table[np.where(known, ids, 0)]
        rows[~known] = 0
        return rows
    rows = tf.gather(table.value, tf.where(known, ids, 0))
    known = tf.reshape(known, tf.concat([tf.shape(ids), [1] * (len(table.shape) - 1)], axis=0))
    return tf.where(known, rows, tf.zeros((), rows.dtype))


def dropout(x, rate: float, key):
    """Drop units of x with probability `rate`, divide the others by 1 - rate; the same key drops the same.

    Args:
        x: float [...].
        rate: 0 to below 1.
        key: two whole numbers.

    Returns:
        float [...], of the shape of x.
    """
    if not rate:
        return x
    # XLA draws the same whole numbers as TensorFlow, but makes other fractions of them.
    bits = tf.random.stateless_uniform(tf.shape(x), key, None, None, tf.uint32)
    return tf.where(bits >= tf.constant(int(rate * 2**32), tf.uint32), x / (1 - rate), 0.0)


def zero_lanes(state, lanes):
    """Return the state with some lanes set to zero: float [B, width].

    Args:
        state: float [B, width].
        lanes: bool [B].
    """
    return ops.where(lanes[:, None], 0.0, state)
