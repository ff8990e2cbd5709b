"""Values and gradients of losses compared with a plain NumPy loop in float64; masked and extreme scores."""

import doctest

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gru4rec_lib.data import history
from gru4rec_lib.ranking import exact, metrics
from gru4rec_lib.training import losses
from gru4rec_lib.training.settings import ACTIVATIONS
from gru4rec_lib.utils.backend import keras, tf

NAMES = sorted(losses.LOSSES)
REGULARIZATION = 0.3  # of BPR-max; not the default


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def plain(name, r, others):
    """Return the loss of one row by its formula; `others` are the scores of its negatives."""
    if not len(others):
        return 0.0
    if name == "cross_entropy":
        return -np.log(np.exp(r) / (np.exp(r) + sum(np.exp(s) for s in others)))
    if name == "bpr":
        return -sum(np.log(sigmoid(r - s)) for s in others) / len(others)
    if name == "top1":
        return sum(sigmoid(s - r) + sigmoid(s * s) for s in others) / len(others)
    weights = [np.exp(s) / sum(np.exp(o) for o in others) for s in others]
    if name == "top1_max":
        return sum(w * (sigmoid(s - r) + sigmoid(s * s)) for w, s in zip(weights, others, strict=True))
    assert name == "bpr_max"
    likely = sum(w * sigmoid(r - s) for w, s in zip(weights, others, strict=True))
    return -np.log(likely) + REGULARIZATION * sum(w * s * s for w, s in zip(weights, others, strict=True))


def plain_rows(name, target, negatives, mask):
    return np.array([plain(name, r, row[keep]) for r, row, keep in zip(target, negatives, mask, strict=True)])


def central_difference(function, at, width=1e-5):
    """Return the gradient of the sum of `function` by central differences."""
    slope = np.zeros_like(at)
    for place in np.ndindex(at.shape):
        step = np.zeros_like(at)
        step[place] = width
        slope[place] = (function(at + step) - function(at - step)).sum() / (2 * width)
    return slope


def ours(name, target, negatives, mask, dtype="float64"):
    """Return (loss, float [B]; gradient for the target scores; gradient for the negative scores)."""
    target, negatives = tf.constant(target, dtype), tf.constant(negatives, dtype)
    options = {"regularization": REGULARIZATION} if name == "bpr_max" else {}
    with tf.GradientTape() as tape:
        tape.watch([target, negatives])
        loss = losses.LOSSES[name](target, negatives, tf.constant(np.asarray(mask, bool)), **options)
    assert loss.dtype == dtype
    return loss.numpy(), *(gradient.numpy() for gradient in tape.gradient(loss, (target, negatives)))


def example(seed, rows=4, columns=6):
    random = np.random.default_rng(seed)
    mask = random.random((rows, columns)) < 0.7
    mask[0], mask[1] = True, False
    return random.normal(0, 2, rows), random.normal(0, 2, (rows, columns)), mask


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=20)
@given(seed=st.integers(0, 2**32 - 1))
def test_values_equal_a_plain_loop(name, seed):
    target, negatives, mask = example(seed)
    np.testing.assert_allclose(
        ours(name, target, negatives, mask)[0], plain_rows(name, target, negatives, mask), rtol=1e-9, atol=1e-12
    )


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("seed", [1, 2])
def test_gradients_equal_a_plain_loop(name, seed):
    target, negatives, mask = example(seed)
    _, by_target, by_negatives = ours(name, target, negatives, mask)
    expected = central_difference(lambda t: plain_rows(name, t, negatives, mask), target)
    np.testing.assert_allclose(by_target, expected, atol=1e-8)
    expected = central_difference(lambda n: plain_rows(name, target, n, mask), negatives)
    np.testing.assert_allclose(by_negatives, expected, atol=1e-8)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("score", [-1e4, 1e30, 3e38])
def test_a_masked_score_has_no_influence(name, dtype, score):
    target, negatives, mask = example(3)
    expected = ours(name, target, np.where(mask, negatives, 0.5), mask, dtype)
    found = ours(name, target, np.where(mask, negatives, score), mask, dtype)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)
    assert (found[2][~mask] == 0).all()


@pytest.mark.parametrize("name", NAMES)
def test_a_row_without_negatives_has_no_loss_and_no_gradient(name):
    for found in ours(name, [0.0, -3.0, 1e4], np.full((3, 2), [2.0, -1e4]), np.zeros((3, 2)), "float32"):
        assert (found == 0).all()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("target", [-1e4, 0.0, 1e4])
def test_large_scores_stay_finite_in_float32(name, target):
    rows = np.array([[-1e4, -1e4], [-1e4, 1e4], [1e4, 1e4], [-1e4, 0.0], [0.0, 1e4]])
    for found in ours(name, np.full(5, target), rows, np.ones((5, 2)), "float32"):
        assert np.isfinite(found).all()


@pytest.mark.parametrize(
    ("name", "target", "expected"),
    [
        ("cross_entropy", -1e4, 2e4),  # log(exp(r) + exp(s)) - r
        ("cross_entropy", 2e4, 0.0),
        ("bpr", -1e4, 2e4),
        ("bpr", 2e4, 0.0),
        ("top1", 2e4, 1.0),  # sigmoid(-1e4) + sigmoid(1e8)
        ("top1_max", -1e4, 2.0),
        ("bpr_max", 2e4, REGULARIZATION * 1e8),
        ("bpr_max", -1e4, -np.log(losses.TINY) + REGULARIZATION * 1e8),
    ],
)
def test_extreme_values_by_hand(name, target, expected):
    assert ours(name, [target], [[1e4]], [[True]], "float32")[0] == pytest.approx([expected], rel=1e-6)


def test_adding_a_constant_to_all_scores_does_not_change_a_loss_of_differences():
    target, negatives, mask = example(4)
    for name in ("cross_entropy", "bpr"):
        shifted = ours(name, target + 50, negatives + 50, mask)[0]
        np.testing.assert_allclose(shifted, ours(name, target, negatives, mask)[0], atol=1e-9)


def test_lambda_weights_the_regularisation_of_bpr_max():
    scores = tf.constant([0.0]), tf.constant([[3.0, 3.0]]), tf.constant([[True, True]])
    with_one, without = losses.bpr_max(*scores), losses.bpr_max(*scores, regularization=0.0)
    assert float(with_one[0] - without[0]) == pytest.approx(9.0, rel=1e-6)


def test_smoothing_by_hand():
    """The target has 0.7 of the label, two negatives 0.15 each; the gradient is softmax minus label."""
    target, negatives = tf.constant([1.0, 1.0], tf.float64), tf.constant([[0.0, 2.0, 9.0]] * 2, tf.float64)
    mask = tf.constant([[True, True, False], [False] * 3])
    with tf.GradientTape() as tape:
        tape.watch([target, negatives])
        loss = losses.cross_entropy(target, negatives, mask, smoothing=0.3)
    p = np.exp([1, 0, 2]) / np.exp([1, 0, 2]).sum()
    assert loss.numpy() == pytest.approx([-0.7 * np.log(p[0]) - 0.15 * np.log(p[1]) - 0.15 * np.log(p[2]), 0])
    slope, slopes = tape.gradient(loss, [target, negatives])
    assert slope.numpy() == pytest.approx([p[0] - 0.7, 0])
    assert slopes.numpy() == pytest.approx(np.array([[p[1] - 0.15, p[2] - 0.15, 0], [0, 0, 0]]))


def test_elu_and_its_gradient_by_hand():
    scores = tf.constant([-1e4, -1.0, 0.0, 2.0, 1e4])
    with tf.GradientTape() as tape:
        tape.watch(scores)
        found = losses.elu(scores)
    assert found.numpy() == pytest.approx([-0.5, 0.5 * (np.exp(-1) - 1), 0.0, 2.0, 1e4], rel=1e-6)
    assert tape.gradient(found, scores).numpy()[[0, 1, 3, 4]] == pytest.approx([0, 0.5 * np.exp(-1), 1, 1], rel=1e-6)


def test_score_activations_by_hand():
    """Scores are -1 and 2; selu has the constants 1.0507 and 1.6733 of Klambauer et al., arXiv 1706.02515."""
    expected = {"linear": [-1, 2], "relu": [0, 2], "leaky_relu": [-0.2, 2], "tanh": [np.tanh(-1), np.tanh(2)]}
    expected |= {"elu": [0.5 * (np.exp(-1) - 1), 2], "selu": [1.0507 * 1.6733 * (np.exp(-1) - 1), 1.0507 * 2]}
    found = {name: losses.activation(name)(tf.constant([-1.0, 2.0])).numpy() for name in ACTIVATIONS}
    assert found == {name: pytest.approx(values, rel=1e-4) for name, values in expected.items()}
    assert losses.activation("elu", 2)(tf.constant([-1.0, 2.0])).numpy() == pytest.approx(
        [2 * (np.exp(-1) - 1), 2], rel=1e-6
    )


def test_losses_work_under_xla_in_the_usual_precision():
    assert keras.config.floatx() == "float32"
    target, negatives, mask = example(5)
    scores = tf.constant(target, "float32"), tf.constant(negatives, "float32"), tf.constant(mask)
    compiled = tf.function(lambda *s: [losses.LOSSES[name](*s) for name in NAMES], jit_compile=True)(*scores)
    for name, found in zip(NAMES, compiled, strict=True):
        np.testing.assert_allclose(found, losses.LOSSES[name](*scores), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("module", [losses, metrics, exact, history], ids=lambda module: module.__name__)
def test_examples_in_docstrings(module):
    results = doctest.testmod(module)
    assert results.attempted > 0
    assert results.failed == 0
