"""Row-wise Adagrad and lazy Adam compared with plain loops, dense and sparse; unchanged rows; saving."""

import numpy as np
import pytest

from gru4rec_lib.training import optimizers
from gru4rec_lib.training.optimizers import Adagrad, LazyAdam
from gru4rec_lib.utils.backend import keras, tf

RATE, EPSILON = 0.1, 1e-6


def slices(rows, values, size=5):
    values, rows = tf.convert_to_tensor(values, tf.float32), tf.convert_to_tensor(rows, tf.int32)
    return tf.IndexedSlices(values, rows, tf.constant([size, *values.shape[1:]], tf.int32))


def plain_rows(weight, steps, momentum):
    """Compute Adagrad row by row in float64; a step is {row: sum of its gradients}."""
    weight = weight.astype(float)
    accumulator, velocity = np.full_like(weight, EPSILON), np.zeros_like(weight)
    for step in steps:
        for row, gradient in step.items():
            accumulator[row] += gradient**2
            velocity[row] = momentum * velocity[row] - RATE * gradient / np.sqrt(accumulator[row])
            weight[row] += velocity[row]
    return weight


def train(optimizer, weight, gradients):
    variable = keras.Variable(weight, name="table")
    optimizer.build([variable])
    for gradient in gradients:
        optimizer.apply([gradient], [variable])
    return variable.numpy()


@pytest.fixture
def weight():
    return np.random.default_rng(1).normal(size=(5, 3)).astype(np.float32)


@pytest.mark.parametrize("momentum", [0.0, 0.6])
def test_dense_updates_equal_a_plain_loop_over_all_rows(weight, momentum):
    gradients = np.random.default_rng(2).normal(size=(6, 5, 3)).astype(np.float32)
    found = train(Adagrad(RATE, momentum), weight, [tf.constant(gradient) for gradient in gradients])
    expected = plain_rows(weight, [dict(enumerate(gradient.astype(float))) for gradient in gradients], momentum)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("momentum", [0.0, 0.6])
def test_sparse_updates_equal_a_plain_loop_over_the_rows_of_a_step(weight, momentum, compiled):
    random = np.random.default_rng(3)
    rows = [random.integers(0, 4, 6) for _ in range(5)]  # rows repeat within a step; row 4 never occurs
    values = [random.normal(size=(6, 3)).astype(np.float32) for _ in rows]
    optimizer, variable = Adagrad(RATE, momentum), keras.Variable(weight)
    optimizer.build([variable])

    def step(indices, gradient):
        optimizer.apply([slices(indices, gradient)], [variable])

    step = tf.function(step) if compiled else step
    for indices, gradient in zip(rows, values, strict=True):
        step(tf.constant(indices, tf.int32), tf.constant(gradient))
    steps = [
        {row: gradient[indices == row].astype(float).sum(axis=0) for row in set(indices.tolist())}
        for indices, gradient in zip(rows, values, strict=True)
    ]
    np.testing.assert_allclose(variable.numpy(), plain_rows(weight, steps, momentum), rtol=1e-5, atol=1e-6)
    assert variable.numpy()[4].tobytes() == weight[4].tobytes()
    assert int(optimizer.iterations) == 5


@pytest.mark.parametrize("momentum", [0.0, 0.6])
def test_repeated_rows_are_summed_before_they_are_squared(momentum):
    # 3 + 4 = 7, and 7 / sqrt(49) = 1; squared separately it would be 3 / 3 + 4 / 5, or 7 / 5.
    found = train(Adagrad(RATE, momentum), np.zeros((2, 1), np.float32), [slices([1, 1], [[3.0], [4.0]], 2)])
    assert found.ravel().tolist() == pytest.approx([0.0, -RATE], rel=1e-5)


def test_momentum_moves_a_row_only_in_its_steps():
    first = slices([0], [[1.0]], 2)
    optimizer, variable = Adagrad(RATE, momentum=0.5), keras.Variable(np.zeros((2, 1), np.float32))
    optimizer.build([variable])
    optimizer.apply([first], [variable])
    before = variable.numpy()
    assert before.ravel().tolist() == pytest.approx([-0.1, 0.0], rel=1e-5)
    optimizer.apply([slices([1], [[1.0]], 2)], [variable])
    assert variable.numpy()[0].tobytes() == before[0].tobytes()
    optimizer.apply([first], [variable])
    # The velocity of row 0 is still -0.1: 0.5 * -0.1 - 0.1 / sqrt(2).
    assert variable.numpy()[0, 0] == pytest.approx(-0.1 - 0.05 - 0.1 / np.sqrt(2), rel=1e-5)


@pytest.mark.parametrize("momentum", [0.0, 0.6])
def test_a_step_without_rows_changes_nothing(weight, momentum):
    found = train(Adagrad(RATE, momentum), weight, [slices([], np.zeros((0, 3)))])
    assert found.tobytes() == weight.tobytes()


@pytest.mark.parametrize("momentum", [0.0, 0.6])
def test_a_gradient_of_zero_gives_no_nan(weight, momentum):
    found = train(Adagrad(RATE, momentum), weight, [tf.zeros((5, 3)), slices([0, 1], np.zeros((2, 3)))])
    assert found.tobytes() == weight.tobytes()


@pytest.mark.parametrize("momentum", [0.0, 0.6])
@pytest.mark.parametrize("gradient", [1e-5, 1e-3, 1.0])
def test_a_small_gradient_gives_a_small_step(gradient, momentum):
    # For a gradient of 1e-5: 0.1 * 1e-5 / sqrt(1e-10 + 1e-6), a hundredth of the rate.
    expected = -RATE * gradient / np.sqrt(gradient**2 + EPSILON)
    for given in (slices([0], [[gradient]], 2), tf.constant([[gradient], [0.0]])):
        found = train(Adagrad(RATE, momentum), np.zeros((2, 1), np.float32), [given])
        assert found.ravel().tolist() == pytest.approx([expected, 0.0], rel=1e-5)


def test_without_epsilon_a_gradient_of_zero_would_divide_by_zero():
    with pytest.raises(ValueError, match="epsilon is 0; it must be above 0"):
        Adagrad(RATE, epsilon=0)


def test_vectors_and_several_weights_keep_their_own_accumulators(weight):
    table, bias = keras.Variable(weight), keras.Variable(np.zeros(5, np.float32))
    optimizer = Adagrad(RATE)
    optimizer.build([table, bias])
    for _ in range(2):
        optimizer.apply([slices([0], [[2.0, 2.0, 2.0]]), slices([3], [5.0])], [table, bias])
    moved = -RATE * (1 + 1 / np.sqrt(2))
    assert bias.numpy().tolist() == pytest.approx([0, 0, 0, moved, 0], rel=1e-5)
    assert (table.numpy() - weight)[0].tolist() == pytest.approx([moved] * 3, rel=1e-4)


def test_sum_repeats_by_hand():
    rows, values = optimizers.sum_repeats(slices([4, 0, 4], [[1.0, 2.0], [3.0, 4.0], [10.0, 20.0]]))
    assert rows.numpy().tolist() == [4, 0]
    assert values.numpy().tolist() == [[11.0, 22.0], [3.0, 4.0]]


def test_a_schedule_sets_the_rate_of_each_step():
    halving = keras.optimizers.schedules.ExponentialDecay(RATE, decay_steps=1, decay_rate=0.5)
    gradients = [slices([0], [[1.0]], 1)] * 2
    found = train(Adagrad(halving), np.zeros((1, 1), np.float32), gradients)
    assert found[0, 0] == pytest.approx(-RATE - 0.5 * RATE / np.sqrt(2), rel=1e-5)


@pytest.mark.parametrize("rate", [0.3, keras.optimizers.schedules.ExponentialDecay(0.3, 10, 0.5)])
def test_config_round_trip(weight, rate):
    optimizer = Adagrad(rate, momentum=0.4, epsilon=1e-3, name="own")
    again = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
    assert type(again) is Adagrad
    assert again.get_config() == optimizer.get_config()
    gradients = [tf.ones((5, 3))] * 2
    assert train(again, weight, gradients).tobytes() == train(optimizer, weight, gradients).tobytes()


def test_lazy_adam_of_dense_gradients_equals_keras_adam(weight):
    gradients = [tf.constant(g) for g in np.random.default_rng(5).normal(size=(6, 5, 3)).astype(np.float32)]
    expected = train(keras.optimizers.Adam(RATE), weight, gradients)
    np.testing.assert_allclose(train(LazyAdam(RATE), weight, gradients), expected, rtol=1e-5, atol=1e-6)


def test_lazy_adam_equals_a_plain_loop_over_the_rows_of_a_step(weight):
    random = np.random.default_rng(3)
    rows = [random.integers(0, 4, 6) for _ in range(5)]  # rows repeat within a step; row 4 never occurs
    values = [random.normal(size=(6, 3)).astype(np.float32) for _ in rows]
    found = train(LazyAdam(RATE, 0.8, 0.9), weight, [slices(r, v) for r, v in zip(rows, values, strict=True)])
    expected, m, v = weight.astype(float), np.zeros((5, 3)), np.zeros((5, 3))
    for step, (indices, gradient) in enumerate(zip(rows, values, strict=True), 1):
        rate = RATE * np.sqrt(1 - 0.9**step) / (1 - 0.8**step)
        for row in set(indices.tolist()):
            total = gradient[indices == row].astype(float).sum(axis=0)
            m[row], v[row] = 0.8 * m[row] + 0.2 * total, 0.9 * v[row] + 0.1 * total**2
            expected[row] -= rate * m[row] / (np.sqrt(v[row]) + 1e-7)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    assert found[4].tobytes() == weight[4].tobytes()


def test_lazy_adam_keeps_its_config(weight):
    optimizer = LazyAdam(0.3, 0.8, 0.9, 1e-3, name="own")
    again = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
    assert type(again) is LazyAdam
    assert again.get_config() == optimizer.get_config()


@pytest.mark.parametrize("make", [Adagrad, lambda **options: Adagrad(momentum=0.6, **options), LazyAdam])
@pytest.mark.parametrize("compiled", [False, True])
def test_a_loss_scale_factor_divides_sparse_and_dense_gradients(weight, make, compiled):
    random = np.random.default_rng(3)
    rows = [random.integers(0, 4, 6) for _ in range(3)]
    values, dense = random.normal(size=(3, 6, 3)).astype(np.float32), random.normal(size=(3, 2)).astype(np.float32)

    def trained(scale, **options):
        optimizer, table, bias = make(learning_rate=RATE, **options), keras.Variable(weight), keras.Variable([0.0, 0.0])
        optimizer.build([table, bias])

        def step(indices, value, own):
            optimizer.apply([slices(indices, value), own], [table, bias])

        step = tf.function(step) if compiled else step
        for indices, value, own in zip(rows, values, dense, strict=True):
            step(tf.constant(indices, tf.int32), tf.constant(value * scale), tf.constant(own * scale))
        assert optimizer.loss_scale_factor == options.get("loss_scale_factor")
        return table.numpy(), bias.numpy()

    for found, expected in zip(trained(8, loss_scale_factor=8), trained(1), strict=True):
        np.testing.assert_array_equal(found, expected)  # a power of two changes no digit
    assert float(make(loss_scale_factor=8).scale_loss(2.0)) == 16.0
    assert make(loss_scale_factor=8).get_config()["loss_scale_factor"] == 8


@pytest.mark.parametrize("optimizer", [Adagrad, LazyAdam])
@pytest.mark.parametrize(
    ("option", "remedy"),
    [
        ({"weight_decay": 0.1}, "give `l2` to `compile`"),
        ({"clipnorm": 1.0}, "give `clip_norm` to `compile`"),
        ({"global_clipnorm": 1.0}, "give `clip_norm` to `compile`"),
        ({"clipvalue": 1.0}, "give `clip_norm` to `compile`"),
        ({"use_ema": True}, "leave it out, or take an optimiser of Keras"),
        ({"gradient_accumulation_steps": 2}, "raise the batch size, or take an optimiser of Keras"),
    ],
)
def test_an_option_not_for_sparse_gradients_is_an_error(optimizer, option, remedy):
    message = f"^{optimizer.__name__}: {next(iter(option))}: it is not for sparse gradients; {remedy}$"
    with pytest.raises(ValueError, match=message):
        optimizer(**option)
    optimizer(**{name: None for name in option if name != "use_ema"})  # as in a saved config


def test_an_optimiser_of_16_bits_is_an_error():
    keras.config.set_floatx("float16")
    try:
        rate, adagrad = keras.optimizers.SGD(0.05), Adagrad(0.05)
    finally:
        keras.config.set_floatx("float32")
    with pytest.raises(ValueError, match=r"^SGD was made in float16: call keras.config.set_floatx\('float32'\) before"):
        optimizers.checked(rate)
    assert optimizers.checked(adagrad).learning_rate.dtype == "float32"


@pytest.mark.parametrize("momentum", [-0.1, 1.0])
def test_momentum_out_of_range_is_an_error(momentum):
    with pytest.raises(ValueError, match=r"momentum is .* must lie in \[0, 1\)"):
        Adagrad(momentum=momentum)


def test_make_returns_the_named_optimiser():
    adagrad, adam = optimizers.make("adagrad", 0.2, 0.3), optimizers.make("adam", 0.001)
    assert (type(adagrad), float(adagrad.learning_rate), adagrad.momentum) == (Adagrad, pytest.approx(0.2), 0.3)
    assert (type(adam), float(adam.learning_rate)) == (keras.optimizers.Adam, pytest.approx(0.001))
    assert (adam.beta_1, adam.beta_2) == (0.9, 0.999)  # the paper's
    assert type(optimizers.make("lazy_adam", 0.001)) is LazyAdam
    with pytest.raises(ValueError, match="momentum is for adagrad"):
        optimizers.make("adam", 0.001, 0.3)
    with pytest.raises(ValueError, match="optimizer is 'sgd'; known are adagrad, lazy_adam, adam"):
        optimizers.make("sgd", 0.1)
