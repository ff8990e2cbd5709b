"""Optimisers that update only the rows of a step.

The gradient of a table that is looked up is a `tf.IndexedSlices`: some rows, possibly repeated. Repeated rows are
summed first (the gradient of a row is the sum over its uses; Adagrad squares that sum), then only those rows are
updated. Keras' own Adagrad takes a square root over the whole table in every step.
"""

from __future__ import annotations

from gru4rec_lib.training.settings import OPTIMIZERS
from gru4rec_lib.utils.arguments import check_known
from gru4rec_lib.utils.backend import float32, keras, tf


def sum_repeats(slices: tf.IndexedSlices):
    """Sum the rows of a sparse gradient that belong to the same row of the table.

    Args:
        slices: indices int [R], values [R, ...].

    Returns:
        (int [U], [U, ...]): each row once, in order of first appearance.
    """
    rows, place = tf.unique(slices.indices)
    return rows, tf.math.unsorted_segment_sum(slices.values, place, tf.size(rows))


def added(a, b):
    """Add two gradients of one table.

    Args:
        a: a tensor, or `tf.IndexedSlices`.
        b: as `a`.

    Returns:
        The rows of both where both are sparse, else a tensor.
    """
    if isinstance(a, tf.IndexedSlices) and isinstance(b, tf.IndexedSlices):
        values, indices = tf.concat([a.values, b.values], 0), tf.concat([a.indices, b.indices], 0)
        return tf.IndexedSlices(values, indices, a.dense_shape)
    return tf.convert_to_tensor(a) + tf.convert_to_tensor(b)


def clipped(gradients, norm: float):
    """Scale gradients down where their norm, of all of them together, is greater than `norm`.

    Keras' `global_clipnorm` would make dense gradients of sparse ones.

    Args:
        gradients: list of tensors and `tf.IndexedSlices`.
        norm: above 0.

    Returns:
        The list, each row of a sparse gradient once.
    """

    def once(gradient):
        if not isinstance(gradient, tf.IndexedSlices):
            return gradient
        rows, values = sum_repeats(gradient)
        return tf.IndexedSlices(values, rows, gradient.dense_shape)

    return tf.clip_by_global_norm([once(gradient) for gradient in gradients], norm)[0]


# Options of Keras' optimisers that use whole tables, or repeated rows before they are summed, and what to do instead.
_DENSE_OPTIONS = {
    "weight_decay": "give `l2` to `compile`",
    **dict.fromkeys(("clipnorm", "global_clipnorm", "clipvalue"), "give `clip_norm` to `compile`"),
    "use_ema": "leave it out, or take an optimiser of Keras",
    "gradient_accumulation_steps": "raise the batch size, or take an optimiser of Keras",
}


class RowWise(keras.optimizers.Optimizer):
    """The part common to the optimisers that update only the rows of a sparse gradient.

    Args:
        **options: of `keras.optimizers.Optimizer`; `loss_scale_factor` is the only one of them besides rate and name.

    Raises:
        ValueError: an option would cost the whole table in every step, or be wrong for repeated rows.
    """

    row_wise = True

    def __init__(self, **options):
        refused = next((option for option in _DENSE_OPTIONS if options.get(option)), None)
        if refused:
            reason = "it is not for sparse gradients"
            raise ValueError(f"{type(self).__name__}: {refused}: {reason}; {_DENSE_OPTIONS[refused]}")
        with float32():
            super().__init__(**options)

    def apply(self, grads, trainable_variables=None):
        """Keras' call: update the weights; Keras itself divides only dense gradients by `loss_scale_factor`."""
        factor, self.loss_scale_factor = self.loss_scale_factor, None
        try:
            grads = [_divided(gradient, factor) for gradient in grads] if factor else grads
            super().apply(grads, trainable_variables)
        finally:
            self.loss_scale_factor = factor


def _divided(gradient, factor):
    if isinstance(gradient, tf.IndexedSlices):
        return tf.IndexedSlices(gradient.values / factor, gradient.indices, gradient.dense_shape)
    return gradient if gradient is None else gradient / factor


@keras.saving.register_keras_serializable("gru4rec_lib")
class Adagrad(RowWise):
    """Adagrad with momentum, row-wise for tables (Duchi et al., JMLR 2011; momentum as in the official GRU4Rec).

    accumulator += g^2, from epsilon on;  step = rate * g / sqrt(accumulator)
    velocity = momentum * velocity - step;  weight += velocity      (weight -= step without momentum)

    With momentum, a row's velocity changes it only in steps that use the row. Epsilon is under the root, as in the
    official code: gradients far below its root (0.001) give small steps; outside it, each would be a whole `rate`.

    Args:
        learning_rate: above 0, or a schedule.
        momentum: 0 to below 1.
        epsilon: where the accumulator starts, above 0.
        name: of the optimiser, for Keras.
        **options: of `RowWise`.

    Raises:
        ValueError: momentum or epsilon is out of range, or an option is not for sparse gradients.
    """

    def __init__(self, learning_rate=0.05, momentum: float = 0.0, epsilon: float = 1e-6, name="adagrad", **options):
        super().__init__(learning_rate=learning_rate, name=name, **options)
        if not 0 <= momentum < 1:
            raise ValueError(f"momentum is {momentum}; it must lie in [0, 1)")
        if not epsilon > 0:
            raise ValueError(f"epsilon is {epsilon}; it must be above 0, or a gradient of 0 would divide by 0")
        self.momentum, self.epsilon = momentum, epsilon

    def build(self, variables):
        """Keras' call: create the accumulators, and velocities where there is momentum."""
        if self.built:
            return
        super().build(variables)
        start = keras.initializers.Constant(self.epsilon)
        self._accumulators = [self.add_variable_from_reference(v, "accumulator", start) for v in variables]
        self._velocities = [self.add_variable_from_reference(v, "velocity") for v in variables if self.momentum]

    def update_step(self, gradient, variable, learning_rate):
        """Keras' call: update one weight, or the rows of one table."""
        number = self._get_variable_index(variable)
        # `variable` is TensorFlow's own here, not Keras' wrapper.
        accumulator = self._accumulators[number].value
        velocity = self._velocities[number].value if self.momentum else None
        rate = tf.cast(learning_rate, variable.dtype)
        if not isinstance(gradient, tf.IndexedSlices):
            accumulator.assign_add(tf.square(gradient))
            move = -rate * gradient * tf.math.rsqrt(accumulator)
            variable.assign_add(velocity.assign(self.momentum * velocity + move) if self.momentum else move)
            return
        rows, gradient = sum_repeats(gradient)
        if not self.momentum:
            tf.raw_ops.ResourceSparseApplyAdagradV2(
                var=variable.handle,
                accum=accumulator.handle,
                lr=rate,
                epsilon=tf.constant(0, variable.dtype),
                grad=gradient,
                indices=rows,
            )
            return
        accumulator.scatter_add(tf.IndexedSlices(tf.square(gradient), rows))
        move = -rate * gradient * tf.math.rsqrt(tf.gather(accumulator, rows))
        move += self.momentum * tf.gather(velocity, rows)
        velocity.scatter_update(tf.IndexedSlices(move, rows))
        variable.scatter_add(tf.IndexedSlices(move, rows))

    def get_config(self):
        """Keras' call: the arguments, for saving."""
        return super().get_config() | {"momentum": self.momentum, "epsilon": self.epsilon}


@keras.saving.register_keras_serializable("gru4rec_lib")
class LazyAdam(RowWise):
    """Adam (Kingma & Ba, arXiv 1412.6980) that changes only the rows that a step uses.

    m += (1 - beta_1) (g - m);  v += (1 - beta_2) (g^2 - v);  weight -= rate' * m / (sqrt(v) + epsilon)
    with rate' = rate * sqrt(1 - beta_2^t) / (1 - beta_1^t) after t steps

    Dense Adam also decays m and v of unused rows and moves these rows; that costs the catalogue in every step.

    Args:
        learning_rate: above 0, or a schedule.
        beta_1, beta_2: decay of the two moments, 0 to below 1.
        epsilon: keeps the division finite, above 0.
        name: of the optimiser, for Keras.
        **options: of `RowWise`.

    Raises:
        ValueError: an option is not for sparse gradients.
    """

    def __init__(self, learning_rate=0.001, beta_1=0.9, beta_2=0.999, epsilon=1e-7, name="lazy_adam", **options):
        super().__init__(learning_rate=learning_rate, name=name, **options)
        self.beta_1, self.beta_2, self.epsilon = beta_1, beta_2, epsilon

    def build(self, variables):
        """Keras' call: create both moments."""
        if self.built:
            return
        super().build(variables)
        self._first = [self.add_variable_from_reference(v, "first_moment") for v in variables]
        self._second = [self.add_variable_from_reference(v, "second_moment") for v in variables]

    def update_step(self, gradient, variable, learning_rate):
        """Keras' call: update one weight, or the rows of one table."""
        number = self._get_variable_index(variable)
        first, second = self._first[number].value, self._second[number].value
        steps = tf.cast(self.iterations.value + 1, variable.dtype)
        correction = tf.sqrt(1 - self.beta_2**steps) / (1 - self.beta_1**steps)
        rate = tf.cast(learning_rate, variable.dtype) * correction
        if not isinstance(gradient, tf.IndexedSlices):
            first.assign_add((1 - self.beta_1) * (gradient - first))
            second.assign_add((1 - self.beta_2) * (tf.square(gradient) - second))
            variable.assign_sub(rate * first / (tf.sqrt(second) + self.epsilon))
            return
        rows, gradient = sum_repeats(gradient)
        m, v = tf.gather(first, rows), tf.gather(second, rows)
        m += (1 - self.beta_1) * (gradient - m)
        v += (1 - self.beta_2) * (tf.square(gradient) - v)
        first.scatter_update(tf.IndexedSlices(m, rows))
        second.scatter_update(tf.IndexedSlices(v, rows))
        variable.scatter_sub(tf.IndexedSlices(rate * m / (tf.sqrt(v) + self.epsilon), rows))

    def get_config(self):
        """Keras' call: the arguments, for saving."""
        return super().get_config() | {"beta_1": self.beta_1, "beta_2": self.beta_2, "epsilon": self.epsilon}


def checked(optimizer) -> keras.optimizers.Optimizer:
    """Check that `compile` can use an optimiser.

    Args:
        optimizer: an optimiser of Keras, or one of this module.

    Returns:
        The optimiser.

    Raises:
        ValueError: it is none, or wraps a row-wise one, which would get dense gradients; or its state is of 16 bits.
    """
    if not isinstance(optimizer, keras.optimizers.Optimizer):
        raise ValueError(f"optimizer is {optimizer!r}; give {', '.join(OPTIMIZERS)}, or an optimiser of Keras")
    inner = [*getattr(optimizer, "optimizers", ()), getattr(optimizer, "inner_optimizer", None)]
    if row_wise := next((one for one in inner if isinstance(one, RowWise)), None):
        raise ValueError(
            f"{type(optimizer).__name__} makes gradients dense, and {type(row_wise).__name__} is for sparse ones: give "
            "it alone, with `loss_scale_factor` where the loss is to be scaled"
        )
    for one in filter(None, [optimizer, *inner]):
        if half := {str(variable.dtype) for variable in one.variables} & {"float16", "bfloat16"}:
            remedy = "call keras.config.set_floatx('float32') before you make it"
            raise ValueError(f"{type(one).__name__} was made in {half.pop()}: {remedy}")
    return optimizer


def make(name: str, learning_rate: float, momentum: float = 0.0) -> keras.optimizers.Optimizer:
    """Return a new optimiser, its variables in float32.

    Args:
        name: `adagrad` or `lazy_adam`, both row-wise, or `adam` (Keras' own, dense: the paper's Adam(0.9, 0.999)).
        learning_rate: above 0.
        momentum: for adagrad.

    Raises:
        ValueError: another name, or momentum for an Adam.
    """
    check_known("optimizer", name, OPTIMIZERS)
    if name == "adagrad":
        return Adagrad(learning_rate, momentum)
    if momentum:
        raise ValueError("momentum is for adagrad; Adam has its own")
    with float32():
        return {"lazy_adam": LazyAdam, "adam": keras.optimizers.Adam}[name](learning_rate)
