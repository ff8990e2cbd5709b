"""The losses of the course paper's code, for the audit only: BPR-max along the wrong axis (D5), BPR with the target
among its negatives (D6), cross-entropy of linear scores (D12).

A new implementation of that code's behaviour, with the arguments of every loss in `training/losses.py`, so that
`compile(loss=...)` takes them. D5 and D6 need in-batch negatives: negatives[i, j] is the score of lane i for the target
of lane j.
"""

from __future__ import annotations

from gru4rec_lib.training.losses import TINY
from gru4rec_lib.utils.backend import ops

CLIP = 1e-7  # Keras' bounds of a probability
REGULARIZATION = 0.0001


def broadcast_bpr_max(target, negatives, mask):
    """Compute BPR-max with D5: softmax and regularisation are divided along the wrong axis.

    With s_ij the score of lane i for the target of lane j (0 for j = i in the next line), e_ij = exp(s_ij - max s_j.)
    and w_ij = e_ij / sum e_j. for j other than i, w_ii = 0: the maximum and the sum in column j are those of ROW j, so
    w_i. does not add up to 1. The loss averages -log(w_ij sigmoid(s_ii - s_ij) + 1e-24) + lambda sum_l w_jl s_jl^2 over
    j: the logarithm is inside the sum, j = i adds -log(1e-24) = 55.26, and the penalty in column j is row j's.

    Two lanes, s = [[1, 2], [0, 1]]: the rows without their diagonal, [0, 2] and [0, 0], have the maxima 2 and 0, so
    that e_01 = exp(2 - 0) = 7.389 and e_10 = exp(0 - 2) = 0.135; row sums are 7.389 and 0.135, so that
    w_01 = 7.389 / 0.135 = 54.60, a weight far above 1.

    >>> scores = ops.array([[1.0, 2.0], [0.0, 1.0]])
    >>> rows = broadcast_bpr_max(ops.array([1.0, 1.0]), scores, ops.array([[False, True], [True, False]]))
    >>> [round(float(row), 3) for row in rows]
    [26.299, 29.799]

    which is (55.262 - log(54.60 * sigmoid(-1))) / 2 = 26.288, (55.262 - log(0.135 / 7.389 * sigmoid(1))) / 2 = 29.788,
    and in both the mean penalty, 0.0001 * (54.60 * 4 + 0) / 2 = 0.011.

    Args:
        target: float [B].
        negatives: float [B, B], in-batch; the target's own score on the diagonal.
        mask: bool [B, B], unused: equal targets of other lanes count as negatives.
    """
    others = 1.0 - ops.eye(negatives.shape[0], dtype=negatives.dtype)
    scores = others * negatives
    exp = ops.exp(scores - ops.max(scores, axis=1)) * others
    weight = exp / ops.sum(exp, axis=1)
    penalty = REGULARIZATION * ops.sum(weight * ops.square(negatives), axis=1)
    better = ops.sigmoid(target[:, None] - negatives) * weight
    return ops.mean(penalty - ops.log(better + TINY), axis=1)


def bpr_with_the_target(target, negatives, mask):
    """Compute BPR with D6: over all lanes, including the target's own and those with the same target.

    Three lanes, the first two with the same target: two of lane 1's three terms are log 2, whatever the scores.

    >>> mask = ops.array([[False, False, True]])
    >>> round(float(bpr_with_the_target(ops.array([1.0]), ops.array([[1.0, 1.0, 0.0]]), mask)[0]), 4)
    0.5665

    which is (2 log 2 + log(1 + exp(-1))) / 3; without them it would be log(1 + exp(-1)) = 0.3133.

    Args:
        target: float [B].
        negatives: float [B, B], in-batch.
        mask: bool [B, B], unused.
    """
    return ops.mean(ops.softplus(negatives - target[:, None]), axis=1)


def cross_entropy_of_linear_scores(target, negatives, mask):
    """Compute cross-entropy with D12: Keras' categorical cross-entropy on linear scores in place of probabilities.

    -log clip(r_i / (r_i + sum_j r_j), 1e-7, 1 - 1e-7)

    Of scores 1, 1 and 2 the first counts as the probability 1/4. A negative score with a positive sum is
    clipped, and its gradient is 0: nothing is learned from such a target.

    >>> negatives, mask = ops.array([[1.0, 2.0]]), ops.array([[True, True]])
    >>> [round(float(cross_entropy_of_linear_scores(ops.array([r]), negatives, mask)[0]), 4) for r in (1.0, -1.0)]
    [1.3863, 16.1181]

    Args:
        target: float [B].
        negatives: float [B, N], of all tracks.
        mask: bool [B, N], false for the target's own column.
    """
    total = target + ops.sum(ops.where(mask, negatives, 0.0), axis=1)
    return -ops.log(ops.clip(target / total, CLIP, 1 - CLIP))
