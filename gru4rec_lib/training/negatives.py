"""Negatives: the other tracks that a target is compared with in a step.

`in_batch` takes the targets of the other lanes, `sampled` draws tracks with probability ~ plays ** alpha, fresh in
every step and shared by its lanes (arXiv 1706.03847, section 3.1), `all` takes every track.
"""

from __future__ import annotations

import numpy as np

from gru4rec_lib.model.layers import NEGATIVES, random_key
from gru4rec_lib.utils.backend import tf


def cumulative(plays: np.ndarray, alpha: float) -> np.ndarray:
    """Return the cumulative probabilities of sampling by popularity ** alpha.

    Args:
        plays: [items], plays of each track in the training sessions, 0 or more.
        alpha: 0 draws evenly among the tracks that were played at all, 1 by plays.

    Returns:
        float64 [items], rising to 1; a track without plays is never drawn.
    """
    plays = np.asarray(plays, np.float64)
    weight = np.where(plays > 0, plays**alpha, 0.0)
    if weight.sum() == 0:
        raise ValueError("no track has any play: there is nothing to sample from")
    total = np.cumsum(weight)
    return total / total[-1]


def draw(cumulative_probability, samples: int, seed: int, step):
    """Draw tracks; the same (seed, step) draws the same.

    Args:
        cumulative_probability: float64 [items], returned by `cumulative`.
        samples: how many.
        seed: of the run.
        step: int, mini-batches before it.

    Returns:
        int32 [samples], with repeats.
    """
    uniform = tf.random.stateless_uniform([samples], random_key(seed, NEGATIVES, step), dtype=tf.float64)
    return tf.searchsorted(cumulative_probability, uniform, side="right")


def log_expected_count(plays: np.ndarray, alpha: float, samples: int, lanes: int) -> np.ndarray:
    """Return the log of the expected count of each track among the negatives of a step: the logQ correction's Q.

    With scores less this, a sampled softmax estimates the full one (Bengio & Senecal, IEEE Trans. Neural Networks
    2008). For in-batch negatives it is an approximation: a session's first track counts, but is never a target.

    Args:
        plays: [items].
        alpha: of the sampled negatives.
        samples: sampled negatives a step, 0 for none.
        lanes: in-batch negatives a step, 0 for none.

    Returns:
        float32 [items]; 0 for a track without plays, which is neither a target nor drawn.
    """
    plays = np.asarray(plays, np.float64)
    probability = np.diff(cumulative(plays, alpha), prepend=0.0)
    expected = samples * probability + lanes * plays / plays.sum()
    return np.log(np.where(expected > 0, expected, 1.0)).astype(np.float32)
