"""Sampled negatives: their frequencies, their dependence on (seed, step) only, and the logQ correction."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from gru4rec_lib.data.sessions import Sessions
from gru4rec_lib.model.layers import NEGATIVES, PLACES, random_key
from gru4rec_lib.training import gru4rec, losses, negatives
from gru4rec_lib.training.gru4rec import GRU4Rec
from gru4rec_lib.utils.backend import tf

PLAYS = np.array([0, 40, 9, 0, 25, 1, 4, 0])


@pytest.mark.parametrize(
    ("alpha", "expected"), [(1.0, [0.8, 0.8, 1.0, 1.0]), (0.5, [2 / 3, 2 / 3, 1.0, 1.0]), (0.0, [0.5, 0.5, 1.0, 1.0])]
)
def test_cumulative_by_hand(alpha, expected):
    found = negatives.cumulative(np.array([4, 0, 1, 0]), alpha)
    assert found.tolist() == pytest.approx(expected, rel=1e-15)
    assert found.dtype == np.float64
    assert found[-1] == 1


@settings(max_examples=100)
@given(st.one_of(st.sampled_from([0, 1, 2**31 - 1]), st.integers(0, 2**31 - 1)), st.integers(0, 2**40))
def test_no_two_uses_of_a_seed_share_a_key(seed, step):
    """Otherwise, with seed 0, dropout before the recurrence and negatives would use the same random bits."""
    places = [NEGATIVES, *range(20), PLACES - 1]
    keys = {tuple(random_key(seed, place, step).numpy().tolist()) for place in places}
    assert len(keys) == len(places)
    assert (seed, step) in keys, "the key of negatives in earlier versions"
    assert seed == 0 or (seed * 1000 + 3, step) in keys, "the key of dropout in earlier versions"


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
def test_each_use_in_a_training_step_has_its_own_key(seed, monkeypatch):
    keys = []
    for module in (negatives, gru4rec):
        monkeypatch.setattr(module, "random_key", lambda *of: keys.append(of[:2]) or random_key(*of))
    model = GRU4Rec(6, "embedding", [4, 4], embedding_units=3, dropout_input=0.3, dropout_hidden=0.3, seed=seed)
    model.compile(samples=3, jit=False)
    model.fit(Sessions.from_lists([[0, 1, 2]]), 1, 1, verbose=0)
    assert keys == [(seed, NEGATIVES), (seed, 0), (seed, 1), (seed, 2)]


def test_no_plays_are_an_error():
    with pytest.raises(ValueError, match="no track has any play"):
        negatives.cumulative(np.zeros(3), 0.75)


@pytest.mark.parametrize("alpha", [0.0, 0.5, 0.75, 1.0])
def test_tracks_are_drawn_by_popularity_to_the_power_of_alpha(alpha):
    drawn = negatives.draw(negatives.cumulative(PLAYS, alpha), 20_000, seed=1, step=7)
    assert (drawn.dtype, drawn.shape) == (tf.int32, (20_000,))
    counts = np.bincount(drawn, minlength=len(PLAYS))
    played = PLAYS > 0
    assert counts[~played].sum() == 0
    weights = PLAYS[played] ** alpha
    assert stats.chisquare(counts[played], 20_000 * weights / weights.sum()).pvalue > 0.01


def test_a_boundary_value_draws_no_track_without_plays(monkeypatch):
    borders = tf.constant([0.0, 0.25, 0.5, 0.75], tf.float64)
    monkeypatch.setattr(tf.random, "stateless_uniform", lambda *_, **__: borders)
    assert negatives.draw(np.array([0.0, 0.5, 0.5, 1.0, 1.0]), 4, 1, 0).numpy().tolist() == [1, 1, 3, 3]


def test_draws_depend_on_seed_and_step_only():
    cumulative = negatives.cumulative(PLAYS, 0.75)

    def draw(seed, step):
        return negatives.draw(cumulative, 50, seed, step).numpy().tolist()

    assert draw(1, 7) == draw(1, 7)
    assert len({tuple(draw(seed, step)) for seed in range(4) for step in range(5)}) == 20
    compiled = tf.function(lambda step: negatives.draw(cumulative, 50, 1, step))
    assert compiled(tf.constant(7)).numpy().tolist() == draw(1, 7)


def test_log_expected_count_by_hand():
    # With two tracks and alpha 0, 10 samples have 5 of each; 4 lanes have 3 of the first and 1 of the last.
    both = negatives.log_expected_count(np.array([3, 0, 1]), alpha=0.0, samples=10, lanes=4)
    assert both.tolist() == pytest.approx([np.log(8), 0, np.log(6)], rel=1e-6)
    assert both.dtype == np.float32
    sampled = negatives.log_expected_count(np.array([3, 0, 1]), alpha=0.0, samples=10, lanes=0)
    assert sampled.tolist() == pytest.approx([np.log(5), 0, np.log(5)], rel=1e-6)
    in_batch = negatives.log_expected_count(np.array([3, 0, 1]), alpha=0.0, samples=0, lanes=4)
    assert in_batch.tolist() == pytest.approx([np.log(3), 0, 0], abs=1e-7)


def test_expected_counts_are_those_of_the_draws():
    steps, samples = 60, 200
    cumulative = negatives.cumulative(PLAYS, 0.75)
    drawn = np.concatenate([negatives.draw(cumulative, samples, 1, step) for step in range(steps)])
    expected = np.exp(negatives.log_expected_count(PLAYS, 0.75, samples, 0))[PLAYS > 0]
    counts = np.bincount(drawn, minlength=len(PLAYS))[PLAYS > 0]
    assert stats.chisquare(counts, counts.sum() * expected / expected.sum()).pvalue > 0.01
    assert expected.sum() == pytest.approx(samples, rel=1e-6)


@pytest.fixture(scope="module")
def sampled_softmax():
    """Gradients of the mean cross-entropy for the scores of 60 tracks: (full, sampled with logQ, without)."""
    items, samples, rows = 60, 20, 20_000
    random = np.random.default_rng(2)
    plays = np.sort(random.zipf(1.5, items).clip(1, 300))[::-1]
    truth = random.dirichlet(np.full(items, 2.0))  # the next track is not the most popular one
    target = tf.constant(random.choice(items, rows, p=truth), tf.int32)
    frequency = np.bincount(target, minlength=items) / rows
    drawn = tf.reshape(negatives.draw(negatives.cumulative(plays, 0.75), rows * samples, 1, 0), (rows, samples))
    log_count = negatives.log_expected_count(plays, 0.75, samples, 0)

    def gradients(scores):
        scores, found = tf.constant(scores, tf.float32), [np.exp(scores) / np.exp(scores).sum() - frequency]
        for correction in (log_count, 0.0):
            with tf.GradientTape() as tape:
                tape.watch(scores)
                less = scores - correction
                row_losses = losses.cross_entropy(
                    tf.gather(less, target), tf.gather(less, drawn), drawn != target[:, None]
                )
                loss = tf.reduce_mean(row_losses)
            found.append(tf.convert_to_tensor(tape.gradient(loss, scores)).numpy())
        return found

    return np.log(frequency), gradients


def test_logq_has_the_optimum_of_the_full_softmax(sampled_softmax):
    best, gradients = sampled_softmax
    full, corrected, plain = (np.linalg.norm(gradient) for gradient in gradients(best))
    assert full < 1e-9
    assert corrected < plain / 20


def test_logq_has_the_direction_of_the_full_gradient(sampled_softmax):
    best, gradients = sampled_softmax
    full, corrected, plain = gradients(best + np.random.default_rng(3).normal(0, 1, len(best)))

    def angle(gradient):
        return np.degrees(np.arccos(gradient @ full / np.linalg.norm(gradient) / np.linalg.norm(full)))

    assert angle(corrected) < angle(plain) / 3
