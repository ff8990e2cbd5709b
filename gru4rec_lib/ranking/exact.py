"""The rank of every target among all candidates, block by block.

One rule for every model: rank = 1 + the number of other candidates that score at least as high as the target, so that a
tie counts against the model (`TIES` has two other rules); tracks of the session so far are candidates too (repeats
occur); a target that the model cannot score has no rank (`NO_RANK`). Candidates are the first `n_candidates` of the
item index, which is by falling popularity, and the target.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np
import pandas as pd

from gru4rec_lib.data.sessions import Sessions
from gru4rec_lib.ranking.popularity import NO_RANK as NO_RANK  # offered here too
from gru4rec_lib.ranking.popularity import popularity_ranks as popularity_ranks
from gru4rec_lib.ranking.popularity import popularity_top as popularity_top
from gru4rec_lib.utils.arguments import check_known, whole
from gru4rec_lib.utils.backend import full_precision, graph_function, tf

STATES = 512  # rows ranked together; fixed, so that there is one compiled shape and the same last bits every time
BLOCK = 2048  # candidates scored together: states x block floats stay in cache


@full_precision()
@graph_function(jit_compile=True)
def _scores(states, rows, bias):
    return tf.matmul(states, rows, transpose_b=True) + bias


@full_precision()
@graph_function(jit_compile=True)
def _count_ahead(states, target_score, target, rows, bias, first, n_candidates, above):
    scores = _scores(states, rows, bias)
    ids = first + tf.range(BLOCK)
    ahead = (tf.greater if above else tf.greater_equal)(scores, target_score[:, None])
    ahead &= (ids[None, :] != target[:, None]) & (ids < n_candidates)[None, :]
    return tf.reduce_sum(tf.cast(ahead, tf.int32), axis=1)


@full_precision()
@graph_function(jit_compile=True)
def _target_scores(states, rows, bias):
    # A product of the same shape as that of all candidates: equal rows get equal bits, and so tie.
    times = BLOCK // STATES
    return tf.linalg.diag_part(_scores(states, tf.tile(rows, [times, 1]), tf.tile(bias, [times]))[:, :STATES])


@full_precision()
@graph_function()
def _ranks(states, target_score, target, weights, bias, reach, n_candidates, above):
    def one(first, ranks):
        block = slice(first, first + BLOCK)
        ahead = _count_ahead(states, target_score, target, weights[block], bias[block], first, n_candidates, above)
        return first + BLOCK, ranks + ahead

    return tf.while_loop(lambda first, _: first < reach * BLOCK, one, (tf.constant(0), tf.ones_like(target)))[1]


class Ranker:
    """Ranks targets by `state @ weights.T + bias`.

    A score is at most |state| |row| + bias (Cauchy and Schwarz). Candidates are sorted by falling norm, so that most
    targets need only the first few blocks: no later candidate reaches their score. The ranks are those of brute force.

    Args:
        weights: float32 [items, H].
        bias: float32 [items].
        n_candidates: targets are ranked among the first so many items; among all when None.

    Raises:
        ValueError: a weight is not finite: a target of score NaN would rank first.
    """

    def __init__(self, weights: np.ndarray, bias: np.ndarray, n_candidates: int | None = None):
        if not (np.isfinite(weights).all() and np.isfinite(bias).all()):
            raise ValueError("the model has weights that are not finite; it cannot rank (lower the learning rate)")
        self.n_candidates = len(weights) if n_candidates is None else min(n_candidates, len(weights))
        self._items = weights, bias
        norm = _norm(weights[: self.n_candidates])
        order = np.argsort(-norm, kind="stable")
        self._place = np.full(len(weights), -1, np.int32)
        self._place[order] = np.arange(len(order))
        filled = np.pad(order, (0, -len(order) % BLOCK))  # the padding is not counted
        self._weights, self._bias = tf.constant(weights[filled]), tf.constant(bias[filled])
        first = np.arange(0, len(order), BLOCK)
        self._longest = norm[order[first]]  # of each block, as its greatest bias
        self._most = np.maximum.reduceat(bias[order].astype(np.float64), first)

    def ranks(self, states: np.ndarray, targets: np.ndarray, above: bool = False) -> np.ndarray:
        """Rank targets among the candidates.

        Args:
            states: float32 [n, H]; memory does not grow with the items.
            targets: int32 [n], 0..items-1.
            above: whether a tie counts for the target instead of against it; a graph of its own.

        Returns:
            int32 [n], 1 is best.

        Raises:
            ValueError: a state is not finite.
        """
        _check(states)
        n = len(targets)
        found, score, reach = np.empty(n, np.int32), np.empty(n, np.float32), np.empty(n, np.int32)
        for piece in _pieces(np.arange(n)):
            rows, bias = (part[targets[piece]] for part in self._items)
            score[piece] = _target_scores(*map(_filled, (states[piece], rows, bias))).numpy()[: len(piece)]
            reach[piece] = self._reach(states[piece], score[piece])
        for piece in _pieces(np.argsort(reach, kind="stable")):
            given = map(_filled, (states[piece], score[piece], self._place[targets[piece]]))
            blocks = reach[piece].max(initial=0)
            ranks = _ranks(*given, self._weights, self._bias, tf.constant(blocks), self.n_candidates, above)
            found[piece] = ranks.numpy()[: len(piece)]
        return found

    def top(self, states: np.ndarray, k: int) -> np.ndarray:
        """Return the best candidates: int32 [n, k], see `best`.

        Args:
            states: float32 [n, H]; memory does not grow with the items.
            k: how many, 1 and more.

        Raises:
            ValueError: a state is not finite.
        """
        k = whole(k, "k")
        found = [best(self.blocks(states[first : first + STATES]), k) for first in range(0, len(states), STATES)]
        return np.concatenate([np.empty((0, k), np.int32), *found])

    def blocks(self, states: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
        """Score the candidates block by block, by rising number; equal rows get equal scores.

        Args:
            states: float32 [n, H], at most STATES.

        Yields:
            The first candidate of the block, and float32 [n, candidates of the block].

        Raises:
            ValueError: a state is not finite.
        """
        _check(states)
        n = len(states)
        states = tf.constant(np.pad(states, ((0, STATES - n), (0, 0))))
        for first in range(0, self.n_candidates, BLOCK):
            rows, bias = (_filled(part[first : first + BLOCK], BLOCK) for part in self._items)  # by number, for ties
            yield first, _scores(states, rows, bias)[:n, : self.n_candidates - first]

    def _reach(self, states, target_score):
        """Return how many blocks, from the first on, may hold a candidate that is ahead: int [n]."""
        product, width = _norm(states)[:, None] * self._longest, states.shape[1]
        # Four times what rounding can add to a score, in whatever order it is summed.
        kind = np.finfo(np.float32)
        rounding = (width + 2) * (2 * kind.eps * (product + np.abs(self._items[1]).max(initial=0)) + kind.tiny)
        may = product + self._most + rounding >= target_score[:, None]
        return np.max(may * np.arange(1, may.shape[1] + 1), axis=1, initial=0)


def _check(states: np.ndarray) -> None:
    if not np.isfinite(states).all():
        raise ValueError("the model's states are not finite; it cannot rank (its weights or the features are not)")


def _norm(rows):
    """Float64 [n], the length of each row."""
    return np.sqrt(np.einsum("ij,ij->i", rows, rows, dtype=np.float64))


def _pieces(lanes):
    return np.split(lanes, range(STATES, len(lanes), STATES))


def _filled(lanes, n=STATES):
    """Return a constant of n lanes; missing ones repeat others."""
    return tf.constant(np.resize(lanes, (n, *lanes.shape[1:])))


def best(blocks: Iterator[tuple[int, np.ndarray]], k: int) -> np.ndarray:
    """Return the best items, from scores that come block by block.

    Args:
        blocks: one or more, by rising items: number of the first item and float32 [n, items of the block].
        k: how many, 1 and more.

    Returns:
        int32 [n, k], the best first, of equal ones the lower number; -1 where there are fewer items.

    >>> best([(0, np.float32([[1, 3, 2]])), (3, np.float32([[3, 0]]))], k=2).tolist()
    [[1, 3]]
    """
    k, scores, items = whole(k, "k"), [], []
    for first, block in blocks:
        score, place = tf.math.top_k(block, min(k, block.shape[1]))  # equal ones from left to right
        scores.append(score)
        items.append(first + place)
    scores, items = tf.concat(scores, axis=1), tf.concat(items, axis=1)
    found = tf.gather(items, tf.math.top_k(scores, min(k, scores.shape[1])).indices, batch_dims=1)
    return np.pad(found, ((0, 0), (0, k - found.shape[1])), constant_values=-1)


# The rank where others tie with the target, from a function of `above`. The official code has the same three rules; in
# its PyTorch and TensorFlow versions `-e median` ends in a TypeError.
TIES = {
    "conservative": lambda rank: rank(),
    "standard": lambda rank: rank(above=True),
    "median": lambda rank: (rank() + rank(above=True)) / 2,
}


def rank_table(
    model,
    test: Sessions,
    n_items: int,
    n_candidates: int,
    chosen: np.ndarray | None = None,
    ties: str = "conservative",
    popular: int | None = None,
) -> pd.DataFrame:
    """Rank every target of the test sessions under each protocol.

    Args:
        model: has `rank`, as `GRU4Rec.rank`, and `beyond_training`, whether tracks unseen in training can be inputs or
            be scored.
        test: test sessions over the item index; n_items.. are candidates unseen in training, -1 is no candidate.
        n_items: training tracks, the candidates of `known`.
        n_candidates: candidates of `open`.
        chosen: bool [events], which targets to rank (a random part of a large test set); all when None.
        ties: `conservative` (they count against the target), `standard` (for it) or `median` (the mean of both).
        popular: candidates of `popular`, the most played of training, at most all of these; None leaves it out.

    Returns:
        One row a target: protocol, session (number in the test set), position (of the target in the test session, from
        1), target (item index), rank (float64, 1 is best; infinite where the model cannot score it), n_candidates.

    Raises:
        ValueError: `ties` is none of these.
    """
    check_known("ties", ties, TIES)
    # `known`: events on tracks unseen in training are removed, then pairs formed.
    seen = test.known(n_items)
    position = test.position_of_event
    protocols = [("known", seen, n_items), ("open", np.ones_like(seen), n_candidates)]
    if popular is not None:
        protocols.append(("popular", seen, min(popular, n_items)))
    tables, in_known, known_ranks = [], np.zeros_like(seen), None
    for protocol, keep, candidates in protocols:
        part = test.keep(keep)
        wanted = part.targets(None if chosen is None else chosen[keep])
        rank = np.zeros(len(wanted))
        again = wanted
        if protocol == "open" and not model.beyond_training:
            # Tracks unseen in training change nothing: the targets of `known` keep their rank.
            rank[in_known], again = known_ranks, wanted & ~in_known
        rank[again] = TIES[ties](partial(model.rank, part, candidates, again))
        if protocol == "known":
            known_ranks = rank[wanted]
            in_known[np.flatnonzero(seen)[wanted]] = True
        tables.append(
            pd.DataFrame(
                {
                    "protocol": protocol,
                    "session": part.session_of_event[wanted].astype(np.int32),
                    "position": position[keep][wanted].astype(np.int32),
                    "target": part.items[wanted],
                    "rank": rank[wanted],
                    "n_candidates": np.int32(candidates),
                }
            )
        )
    return pd.concat(tables, ignore_index=True)
