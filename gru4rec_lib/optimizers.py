"""Optimisers whose step costs what the step's rows cost.

A gradient that reaches a table through a lookup is a `tf.IndexedSlices`: some rows, possibly repeated. Repeated rows
are summed first (the gradient of a row is the sum over its uses; Adagrad squares that sum), then those rows alone are
updated. Keras' own Adagrad takes a square root over the whole table in every step.
"""

from __future__ import annotations

from gru4rec_lib.backend import keras, tf


def sum_repeats(slices: tf.IndexedSlices):
    """Bring together the rows of a sparse gradient that belong to the same row of the table.

    Args:
        slices: indices int [R], values [R, ...].

    Returns:
        (int [U], [U, ...]): each row once, in order of first appearance.
    """
    rows, place = tf.unique(slices.indices)
    return rows, tf.math.unsorted_segment_sum(slices.values, place, tf.size(rows))


@keras.saving.register_keras_serializable("gru4rec_lib")
class Adagrad(keras.optimizers.Optimizer):
    """Adagrad with momentum, row-wise for tables (Duchi et al., JMLR 2011; momentum as in the official GRU4Rec).

    accumulator += g^2;  step = rate * g / (sqrt(accumulator) + epsilon)
    velocity = momentum * velocity - step;  weight += velocity      (weight -= step without momentum)

    With momentum, a row's velocity acts only in steps that touch the row.

    Args:
        learning_rate: above 0, or a schedule.
        momentum: 0 to below 1.
        epsilon: keeps the division finite.
    """

    def __init__(self, learning_rate=0.05, momentum: float = 0.0, epsilon: float = 1e-6, name="adagrad", **options):
        super().__init__(learning_rate=learning_rate, name=name, **options)
        if not 0 <= momentum < 1:
            raise ValueError(f"momentum is {momentum}; it must lie in [0, 1)")
        self.momentum, self.epsilon = momentum, epsilon

    def build(self, variables):
        """Create the accumulators, and velocities where there is momentum."""
        if self.built:
            return
        super().build(variables)
        self._accumulators = [self.add_variable_from_reference(v, "accumulator") for v in variables]
        self._velocities = [self.add_variable_from_reference(v, "velocity") for v in variables if self.momentum]

    def update_step(self, gradient, variable, learning_rate):
        """Update one weight, or the rows of one table."""
        number = self._get_variable_index(variable)
        # Keras hands over TensorFlow's own variable here, not its wrapper.
        accumulator = self._accumulators[number].value
        velocity = self._velocities[number].value if self.momentum else None
        rate = tf.cast(learning_rate, variable.dtype)
        if not isinstance(gradient, tf.IndexedSlices):
            accumulator.assign_add(tf.square(gradient))
            move = -rate * gradient / (tf.sqrt(accumulator) + self.epsilon)
            variable.assign_add(velocity.assign(self.momentum * velocity + move) if self.momentum else move)
            return
        rows, gradient = sum_repeats(gradient)
        if not self.momentum:
            tf.raw_ops.ResourceSparseApplyAdagradV2(
                var=variable.handle,
                accum=accumulator.handle,
                lr=rate,
                epsilon=tf.constant(self.epsilon, variable.dtype),
                grad=gradient,
                indices=rows,
            )
            return
        accumulator.scatter_add(tf.IndexedSlices(tf.square(gradient), rows))
        move = -rate * gradient / (tf.sqrt(tf.gather(accumulator, rows)) + self.epsilon)
        move += self.momentum * tf.gather(velocity, rows)
        velocity.scatter_update(tf.IndexedSlices(move, rows))
        variable.scatter_add(tf.IndexedSlices(move, rows))

    def get_config(self):
        """The arguments, for saving."""
        return super().get_config() | {"momentum": self.momentum, "epsilon": self.epsilon}


def make(name: str, learning_rate: float, momentum: float = 0.0) -> keras.optimizers.Optimizer:
    """The optimiser that a study's config names.

    Args:
        name: `adagrad` (row-wise), or `adam` (Keras' own, dense: the paper's Adam(0.9, 0.999)).
        learning_rate: above 0.
        momentum: for adagrad.

    Raises:
        ValueError: another name, or momentum for adam.
    """
    if name == "adagrad":
        return Adagrad(learning_rate, momentum)
    if name != "adam":
        raise ValueError(f"optimizer is {name!r}; known are adagrad, adam")
    if momentum:
        raise ValueError("momentum is for adagrad; Adam has its own")
    return keras.optimizers.Adam(learning_rate)
