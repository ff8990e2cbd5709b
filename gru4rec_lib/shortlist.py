"""The best k of a whole catalogue for one state, exact, though most rows are not read for it."""

from __future__ import annotations

import numpy as np

AXES = 30  # with the two numbers beside them, 128 bytes a row: two lines of the cache
GROUP = 64  # rows of which the most promising one is a first candidate
BLOCK = 65_536  # rows that are prepared together


class Shortlist:
    """Finds the highest of `rows @ state + bias`.

    A row and a state are split into their part along a few axes, those along which rows are longest, and a rest. The
    rests add to a score at most the product of their lengths (Cauchy and Schwarz), which bounds the score from above:
        row . state <= near_row . near_state + |rest_row| |rest_state|
    The k-th best score of some good candidates is one that every other must reach; where the bound does, the row is
    read and scored.

    Args:
        rows: float32 [items, H], finite.
        bias: float32 [items], finite.
    """

    def __init__(self, rows: np.ndarray, bias: np.ndarray):
        self._rows, self._bias = rows, bias
        self._axes = np.linalg.eigh((rows.T @ rows).astype(np.float64))[1][:, ::-1][:, :AXES].astype(np.float32)
        self._short = np.empty((len(rows), self._axes.shape[1] + 2), np.float32)
        self._short[:, -1], longest = bias, 0.0
        for first in range(0, len(rows), BLOCK):
            block = slice(first, first + BLOCK)
            self._short[block, :-2] = near = rows[block] @ self._axes
            self._short[block, -2] = np.linalg.norm(rows[block] - near @ self._axes.T, axis=1)
            longest = max(longest, np.linalg.norm(rows[block], axis=1).max())
        # Eight times what rounding can add to a score, in whatever order it is summed; the parts are rounded too.
        rounding = 8 * (rows.shape[1] + 2) * np.finfo(np.float32).eps
        self._rounding = rounding * longest, rounding * np.abs(bias).max(initial=0)

    def best(self, state: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """The k items with the highest scores, the highest first, ties by index.

        Args:
            state: float32 [H].
            k: 1 to the number of items.

        Returns:
            (int64 [k] items, float32 [k] scores). Equal rows have equal scores to the last bit.
        """
        bound = self._bounds(state)
        most = np.maximum.reduceat(bound, np.arange(0, len(bound), GROUP))
        enough = np.partition(most, -k)[-k] if k <= len(most) else -np.inf
        least = np.partition(self._scores(np.flatnonzero(bound >= enough), state), -k)[-k]
        near = np.flatnonzero(most >= least)[:, None] * GROUP + np.arange(GROUP)
        near = near[near < len(bound)]
        found = near[bound[near] >= least]
        scores = self._scores(found, state)
        best = np.argsort(-scores, kind="stable")[:k]
        return found[best], scores[best]

    def _bounds(self, state):
        """Float32 [items]: no score is above it."""
        near = state @ self._axes
        rest = np.linalg.norm(state - self._axes @ near)
        bound = self._short @ np.append(near, [rest, 1]).astype(np.float32)
        bound += np.float32(np.linalg.norm(state) * self._rounding[0] + self._rounding[1])
        return bound

    def _scores(self, items, state):
        # Not a matrix product, whose last bits depend on a row's place.
        return (self._rows[items] * state).sum(axis=1) + self._bias[items]
