"""The rank of every target among all candidates, block by block.

One rule for every model: rank = 1 + the number of other candidates that score at least as high as the target, so that a
tie counts against the model (`TIES` has the official code's other two rules); tracks already heard stay candidates
(repeats are real); a target that the model cannot score ranks behind every candidate. Candidates are the first
`n_candidates` of the item index, which is by falling popularity, and the target. Ranks, not scores, are what a run
leaves behind.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np
import pandas as pd

from gru4rec_lib.backend import tf
from gru4rec_lib.sessions import Sessions

STATES = 512  # rows ranked together; fixed, so that there is one compiled shape and the same last bits every time
BLOCK = 2048  # candidates scored together: states x block floats stay in cache


@tf.function(jit_compile=True)
def _scores(states, rows, bias):
    return tf.matmul(states, rows, transpose_b=True) + bias


@tf.function(jit_compile=True)
def _count_ahead(states, target_score, target, rows, bias, first, n_candidates, above):
    scores = _scores(states, rows, bias)
    ids = first + tf.range(BLOCK)
    ahead = (tf.greater if above else tf.greater_equal)(scores, target_score[:, None])
    ahead &= (ids[None, :] != target[:, None]) & (ids < n_candidates)[None, :]
    return tf.reduce_sum(tf.cast(ahead, tf.int32), axis=1)


@tf.function
def _ranks(states, target, weights, bias, n_candidates, above):
    # Targets are scored by a product of the same shape as all others: equal rows get equal bits, and so they tie.
    own = tf.tile(target, [BLOCK // STATES])
    target_score = tf.linalg.diag_part(_scores(states, tf.gather(weights, own), tf.gather(bias, own))[:, :STATES])
    ranks = tf.ones_like(target)
    for first in tf.range(0, n_candidates, BLOCK):
        block = slice(first, first + BLOCK)
        ranks += _count_ahead(states, target_score, target, weights[block], bias[block], first, n_candidates, above)
    return ranks


class Ranker:
    """Ranks targets by `state @ weights.T + bias`.

    Args:
        weights: float32 [items, H].
        bias: float32 [items].
        n_candidates: targets are ranked among the first so many items; among all when None.

    Raises:
        ValueError: a weight is not finite: NaN would compare as lower than everything and rank first.
    """

    def __init__(self, weights: np.ndarray, bias: np.ndarray, n_candidates: int | None = None):
        if not (np.isfinite(weights).all() and np.isfinite(bias).all()):
            raise ValueError("the model has weights that are not finite; it cannot rank (lower the learning rate)")
        self.n_candidates = len(weights) if n_candidates is None else min(n_candidates, len(weights))
        fill = -len(weights) % BLOCK
        self._weights = tf.constant(np.pad(weights, ((0, fill), (0, 0))))
        self._bias = tf.constant(np.pad(bias, (0, fill)))

    def ranks(self, states: np.ndarray, targets: np.ndarray, above: bool = False) -> np.ndarray:
        """Ranks among the candidates.

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
        found = np.empty(len(targets), np.int32)
        for first in range(0, len(targets), STATES):
            piece = slice(first, first + STATES)
            n = len(targets[piece])
            state = np.zeros((STATES, states.shape[1]), np.float32)
            target = np.zeros(STATES, np.int32)
            state[:n], target[:n] = states[piece], targets[piece]
            ranks = _ranks(tf.constant(state), tf.constant(target), self._weights, self._bias, self.n_candidates, above)
            found[piece] = ranks.numpy()[:n]
        return found

    def top(self, states: np.ndarray, k: int) -> np.ndarray:
        """The best candidates.

        Args:
            states: float32 [n, H]; memory does not grow with the items.
            k: how many, 1 and more.

        Returns:
            int32 [n, k], see `best`.

        Raises:
            ValueError: a state is not finite.
        """
        _check(states)
        found = [best(self._blocks(states[first : first + STATES]), k) for first in range(0, len(states), STATES)]
        return np.concatenate([np.empty((0, k), np.int32), *found])

    def _blocks(self, states: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
        """Scores of at most STATES states, block by block."""
        n = len(states)
        states = tf.constant(np.pad(states, ((0, STATES - n), (0, 0))))
        for first in range(0, self.n_candidates, BLOCK):
            block = slice(first, first + BLOCK)
            yield first, _scores(states, self._weights[block], self._bias[block])[:n, : self.n_candidates - first]


def _check(states: np.ndarray) -> None:
    if not np.isfinite(states).all():
        raise ValueError("the model's states are not finite; it cannot rank (its weights or the features are not)")


def best(blocks: Iterator[tuple[int, np.ndarray]], k: int) -> np.ndarray:
    """The best items, from scores that come block by block.

    Args:
        blocks: one or more, by rising items: number of the first item and float32 [n, items of the block].
        k: how many, 1 and more.

    Returns:
        int32 [n, k], the best first, of equal ones the lower number; -1 where there are fewer items.

    >>> best([(0, np.float32([[1, 3, 2]])), (3, np.float32([[3, 0]]))], k=2).tolist()
    [[1, 3]]
    """
    scores, items = [], []
    for first, block in blocks:
        score, place = tf.math.top_k(block, min(k, block.shape[1]))  # equal ones from left to right
        scores.append(score)
        items.append(first + place)
    scores, items = tf.concat(scores, axis=1), tf.concat(items, axis=1)
    found = tf.gather(items, tf.math.top_k(scores, min(k, scores.shape[1])).indices, batch_dims=1)
    return np.pad(found, ((0, 0), (0, k - found.shape[1])), constant_values=-1)


def popularity_ranks(plays: np.ndarray, above: bool = False, n_candidates: int | None = None) -> np.ndarray:
    """The rank of each track when tracks are ranked by plays.

    Args:
        plays: int [items].
        above: whether a tie counts for the track instead of against it.
        n_candidates: ranks are among the first so many tracks and the track itself; among all when None.

    Returns:
        int32 [items]: 1 + the number of other tracks with at least as many plays; with `above`, with more.

    >>> popularity_ranks(np.array([5, 2, 2, 1])).tolist()
    [1, 3, 3, 4]
    >>> popularity_ranks(np.array([5, 2, 2, 1]), n_candidates=2).tolist()
    [1, 2, 3, 3]
    """
    ordered = np.sort(plays[:n_candidates])
    ahead = len(ordered) - np.searchsorted(ordered, plays, side="right" if above else "left")
    counts_itself = (np.arange(len(plays)) < len(ordered)) & (not above)
    return (ahead + 1 - counts_itself).astype(np.int32)


def popularity_top(plays: np.ndarray, k: int, n_candidates: int | None = None) -> np.ndarray:
    """The most played tracks.

    Args:
        plays: int [items].
        k: how many.
        n_candidates: they are among the first so many tracks; among all when None.

    Returns:
        int32 [k], the most played first, of equal ones the lower number; -1 where there are fewer candidates.

    >>> popularity_top(np.array([2, 1, 5, 2]), k=5).tolist()
    [2, 0, 3, 1, -1]
    """
    order = np.argsort(-plays[:n_candidates], kind="stable")[:k]
    return np.pad(order, (0, k - len(order)), constant_values=-1).astype(np.int32)


# What a rank is where others tie with the target, from a function of `above`.
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
        model: has `rank(sessions, n_candidates, chosen, above) -> int32 [chosen targets]`, in the order of the events,
            among tracks 0..n_candidates-1 and the target; whatever it cannot score gets n_candidates + 1.
        test: test sessions over the item index; n_items.. are candidates unseen in training, -1 is no candidate.
        n_items: training tracks, the candidates of `known`.
        n_candidates: candidates of `open`.
        chosen: bool [events], which targets to rank (a random part of a large test set); all when None.
        ties: `conservative` (they count against the target), `standard` (for it) or `median` (the mean of both).
        popular: candidates of `popular`, the most played of training, or all of these where they are fewer; None leaves
            it out.

    Returns:
        One row a target: protocol, session (number in the test set), position (1.. in the test session, of the target),
        target (item index), rank, n_candidates.
    """
    # `known`: events on tracks unseen in training are removed, then pairs formed.
    seen = test.known(n_items)
    position = test.position_of_event
    protocols = [("known", seen, n_items), ("open", np.ones_like(seen), n_candidates)]
    if popular is not None:
        protocols.append(("popular", seen, min(popular, n_items)))
    tables = []
    for protocol, keep, candidates in protocols:
        part = test.keep(keep)
        wanted = part.targets(None if chosen is None else chosen[keep])
        rank = partial(model.rank, part, candidates, wanted)
        tables.append(
            pd.DataFrame(
                {
                    "protocol": protocol,
                    "session": part.session_of_event[wanted].astype(np.int32),
                    "position": position[keep][wanted].astype(np.int32),
                    "target": part.items[wanted],
                    "rank": TIES[ties](rank),
                    "n_candidates": np.int32(candidates),
                }
            )
        )
    return pd.concat(tables, ignore_index=True)
