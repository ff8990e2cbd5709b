"""Ranking losses over (target score, negative scores, mask), and activations of scores.

Each loss is a pure function of
    target: float [B], the score r_i of the track that followed,
    negatives: float [B, N], the scores r_j of other tracks,
    mask: bool [B, N], false where j is no negative of this row (it is the target itself, or belongs to an empty lane),
and returns float [B], the loss of each row; a row without any negative has loss 0.
Sources: GRU4Rec (Hidasi et al., arXiv 1511.06939) and Top-k Gains (Hidasi & Karatzoglou, arXiv 1706.03847).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

from gru4rec_lib.training import settings
from gru4rec_lib.utils.backend import keras, ops

# Keeps a logarithm's argument above 0, as in the official code.
TINY = 1e-24


def cross_entropy(target, negatives, mask, smoothing: float = 0.0):
    """Softmax cross-entropy of the target among itself and its N negatives (arXiv 1706.03847, eq. 2).

    -(1 - s) log p_i - (s/N) sum_j log p_j,  with p_k = exp(r_k) / (exp(r_i) + sum_j exp(r_j)) and s the smoothing

    >>> mask = ops.array([[True, True, False]])
    >>> round(float(cross_entropy(ops.array([0.0]), ops.array([[0.0, 0.0, 9.0]]), mask)[0]), 4)
    1.0986

    which is log 3: three equal scores, and the fourth is masked.

    Args:
        target: float [B], as for every loss.
        negatives: float [B, N].
        mask: bool [B, N].
        smoothing: the share of the target's label that its negatives share, 0 to below 1.
    """
    negatives = _masked(negatives, mask, target)
    highest = ops.stop_gradient(ops.maximum(target, ops.max(negatives, axis=1)))
    others = ops.sum(ops.where(mask, ops.exp(negatives - highest[:, None]), 0.0), axis=1)
    loss = ops.log(ops.exp(target - highest) + others) + highest - target
    return loss + smoothing * _mean(target[:, None] - negatives, mask) if smoothing else loss


def bpr(target, negatives, mask):
    """Bayesian personalised ranking, the mean over the negatives (arXiv 1511.06939, section 3.1.3).

    -(1/N) sum_j log sigmoid(r_i - r_j)

    >>> round(float(bpr(ops.array([1.0]), ops.array([[1.0, 1.0, 9.0]]), ops.array([[True, True, False]]))[0]), 4)
    0.6931

    which is log 2: both negatives score as the target does.

    Arguments as `cross_entropy`.
    """
    return _mean(ops.softplus(_masked(negatives, mask, target) - target[:, None]), mask)


def top1(target, negatives, mask):
    """TOP1, the mean over the negatives (arXiv 1511.06939, section 3.1.3).

    (1/N) sum_j sigmoid(r_j - r_i) + sigmoid(r_j^2)

    >>> round(float(top1(ops.array([0.0]), ops.array([[0.0, 0.0]]), ops.array([[True, True]]))[0]), 4)
    1.0

    Arguments as `cross_entropy`.
    """
    negatives = _masked(negatives, mask, target)
    return _mean(ops.sigmoid(negatives - target[:, None]) + ops.sigmoid(ops.square(negatives)), mask)


def bpr_max(target, negatives, mask, regularization: float = 1.0):
    """BPR-max with score regularisation (arXiv 1706.03847, eq. 10).

    -log sum_j s_j sigmoid(r_i - r_j) + lambda sum_j s_j r_j^2, with s the softmax over the negatives only

    >>> round(float(bpr_max(ops.array([1.0]), ops.array([[1.0, 1.0]]), ops.array([[True, True]]), 0.5)[0]), 4)
    1.1931

    which is log 2 + 0.5 * 1: the negatives share the weight, and both score 1.

    Args:
        target: float [B], as for every loss.
        negatives: float [B, N].
        mask: bool [B, N].
        regularization: lambda, 0 or more.
    """
    weight, negatives = _softmax(negatives, mask), _masked(negatives, mask, target)
    better = ops.sum(weight * ops.sigmoid(target[:, None] - negatives), axis=1)
    penalty = ops.sum(weight * ops.square(negatives), axis=1)
    any_negative = ops.any(mask, axis=1)
    # Where there is no negative, log(1) keeps both the value and its gradient at 0.
    return -ops.log(ops.where(any_negative, better, 1.0) + TINY) + regularization * penalty


def top1_max(target, negatives, mask):
    """TOP1-max (arXiv 1706.03847, eq. 8).

    sum_j s_j (sigmoid(r_j - r_i) + sigmoid(r_j^2)), with s the softmax over the negatives only

    >>> round(float(top1_max(ops.array([0.0]), ops.array([[0.0, 0.0]]), ops.array([[True, True]]))[0]), 4)
    1.0

    Arguments as `cross_entropy`.
    """
    weight, negatives = _softmax(negatives, mask), _masked(negatives, mask, target)
    return ops.sum(weight * (ops.sigmoid(negatives - target[:, None]) + ops.sigmoid(ops.square(negatives))), axis=1)


LOSSES = {name: globals()[name] for name in settings.LOSSES}


def elu(scores, alpha: float = 0.5):
    """The score activation that the official code pairs with BPR-max: r for r > 0, else alpha (exp(r) - 1).

    Args:
        scores: float [...].
        alpha: how far below 0 a score may fall, 0 or more.
    """
    return ops.where(scores > 0, scores, alpha * (ops.exp(ops.minimum(scores, 0.0)) - 1))


def activation(name: str, elu_alpha: float = 0.5) -> Callable:
    """Return an activation of scores: float [...] -> float [...].

    Args:
        name: one of `settings.ACTIVATIONS`; all but `elu` are Keras' own.
        elu_alpha: of `elu`.
    """
    return partial(elu, alpha=elu_alpha) if name == "elu" else keras.activations.get(name)


def _masked(negatives, mask, target):
    """Masked scores replaced by the target's, which can neither overflow nor be the greatest alone."""
    return ops.where(mask, negatives, target[:, None])


def _mean(terms, mask):
    mask = ops.cast(mask, terms.dtype)
    return ops.sum(terms * mask, axis=1) / ops.maximum(ops.sum(mask, axis=1), 1.0)


def _softmax(scores, mask):
    scores = ops.where(mask, scores, -math.inf)
    highest = ops.stop_gradient(ops.max(scores, axis=1, keepdims=True))
    exp = ops.where(mask, ops.exp(ops.where(mask, scores - highest, 0.0)), 0.0)
    return exp / ops.maximum(ops.sum(exp, axis=1, keepdims=True), TINY)
