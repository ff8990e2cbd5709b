"""The best k of a whole catalogue for one state, exact, though most rows are not read for it."""

from __future__ import annotations

import numpy as np

AXES = 30  # with the two numbers beside them, 128 bytes a row: two lines of the cache
FIRST = 8192  # rows looked at first; then as many again as were looked at so far
BLOCK = 65_536  # rows that are prepared together


class Shortlist:
    """Finds the highest of `rows @ state + bias`.

    Two bounds from above tell which rows need not be scored, both by Cauchy and Schwarz. The first takes a row with its
    bias and a state with a 1 as they are; rows lie by falling length, so that all behind one place are out at once:
        row . state + bias <= |(row, bias)| |(state, 1)|
    The second splits them into their part along a few axes, those along which rows are longest, and a rest:
        row . state <= near_row . near_state + |rest_row| |rest_state|
    Whatever reaches the k-th best score so far by both is read and scored.

    Args:
        rows: float32 [items, H], finite.
        bias: float32 [items], finite.
    """

    def __init__(self, rows: np.ndarray, bias: np.ndarray):
        self._rows, self._bias = rows, bias
        squares = np.einsum("ij,ij->i", rows, rows, dtype=np.float64)
        length = np.sqrt(squares + bias.astype(np.float64) ** 2)
        self._items = np.argsort(-length, kind="stable")
        self._length = length[self._items]
        self._axes = np.linalg.eigh((rows.T @ rows).astype(np.float64))[1][:, ::-1][:, :AXES].astype(np.float32)
        self._short = np.empty((len(rows), self._axes.shape[1] + 2), np.float32)
        self._short[:, -1] = bias[self._items]
        for first in range(0, len(rows), BLOCK):
            block = slice(first, first + BLOCK)
            own = rows[self._items[block]]
            self._short[block, :-2] = near = own @ self._axes
            self._short[block, -2] = np.linalg.norm(own - near @ self._axes.T, axis=1)
        # Eight times what rounding can add to a score, in whatever order it is summed; the parts are rounded too.
        rounding = 8 * (rows.shape[1] + 2) * np.finfo(np.float32).eps
        self._rounding = rounding * np.sqrt(squares.max(initial=0)), rounding * np.abs(bias).max(initial=0)

    def best(self, state: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """The k items with the highest scores, the highest first, ties by index.

        Args:
            state: float32 [H].
            k: 1 to the number of items.

        Returns:
            (int64 [k] items, float32 [k] scores). Equal rows have equal scores to the last bit.
        """
        norm = np.linalg.norm(state.astype(np.float64))
        rounding = norm * self._rounding[0] + self._rounding[1]
        first, size = 0, max(FIRST, k)
        found, scores, least = np.empty(0, np.int64), np.empty(0, np.float32), -np.inf
        while first < len(self._items) and self._length[first] * np.hypot(norm, 1) + rounding >= least:
            block = slice(first, first + size)
            bound = self._bounds(state, block) + np.float32(rounding)
            if not len(found):
                promising = np.argpartition(bound, -k)[-k:]
                least = self._scores(self._items[promising], state).min()
            near = self._items[block][bound >= least]
            found, scores = np.append(found, near), np.append(scores, self._scores(near, state))
            order = np.lexsort((found, -scores))[:k]
            found, scores = found[order], scores[order]
            least, first, size = scores[-1], first + size, first + size
        return found, scores

    def _bounds(self, state, block):
        """Float32 [rows of the block]: no score is above it, but for rounding."""
        near = state @ self._axes
        rest = np.linalg.norm(state - self._axes @ near)
        return self._short[block] @ np.append(near, [rest, 1]).astype(np.float32)

    def _scores(self, items, state):
        # Not a matrix product, whose last bits depend on a row's place.
        return (self._rows[items] * state).sum(axis=1) + self._bias[items]
