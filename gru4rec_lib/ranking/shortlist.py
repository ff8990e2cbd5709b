"""The exact best k of a whole catalogue for one state, without reading most rows."""

from __future__ import annotations

import numpy as np

from gru4rec_lib.utils.arguments import whole

AXES = 14, 15  # with the numbers beside them 64 bytes a row and bound, a line of the cache
FIRST = 8192  # rows read first; then as many again as were read so far
BLOCK = 65_536  # rows that are prepared together


class Shortlist:
    """Finds the highest of `rows @ state + bias`.

    Three upper bounds (Cauchy and Schwarz) exclude rows from scoring. The first is of whole rows, with their bias; rows
    are sorted by falling length, so that it excludes all rows from one place on:
        row . state + bias <= |(row, bias)| |(state, 1)|
    The second splits them into their part along a few axes, those along which rows are longest, and a rest:
        row . state <= near_row . near_state + |rest_row| |rest_state|
    The third is the second along twice as many axes, for the few rows whose second bound reaches the k-th best score so
    far. A row is scored where all three reach it.

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
        axes = np.linalg.eigh((rows.T @ rows).astype(np.float64))[1][:, ::-1].astype(np.float32)
        self._axes = np.split(axes[:, : sum(AXES)], [AXES[0]], axis=1)
        # A row's part along the axes and the length of its rest; in the first, its bias too.
        self._parts = [np.empty((len(rows), axes.shape[1] + 1), np.float32) for axes in self._axes]
        for first in range(0, len(rows), BLOCK):
            block = slice(first, first + BLOCK)
            rest = rows[self._items[block]]
            for axes, part in zip(self._axes, self._parts, strict=True):
                part[block, :-1], part[block, -1], rest = _split(rest, axes)
        self._parts[0] = np.column_stack([self._parts[0], bias[self._items]])
        # Eight times what rounding can add to a score, in whatever order it is summed; the parts are rounded too.
        rounding = 8 * (rows.shape[1] + 2) * np.finfo(np.float32).eps
        self._rounding = rounding * np.sqrt(squares.max(initial=0)), rounding * np.abs(bias).max(initial=0)

    def best(self, state: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the k items with the highest scores, the highest first, ties by index.

        Args:
            state: float32 [H].
            k: 1 to the number of items.

        Returns:
            (int64 [k] items, float32 [k] scores). Equal rows have equal scores to the last bit.

        Raises:
            ValueError: the state is not finite.
        """
        if not np.isfinite(state).all():
            raise ValueError("the state is not finite; the model's weights or the features are not")
        k = whole(k, "k")
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
            near = np.flatnonzero(bound >= least)
            near = near[self._nearer(state, first + near, bound[near]) >= least]
            near = self._items[block][near]
            found, scores = np.append(found, near), np.append(scores, self._scores(near, state))
            order = np.lexsort((found, -scores))[:k]
            found, scores = found[order], scores[order]
            least, first, size = scores[-1], first + size, first + size
        return found, scores

    def _bounds(self, state, block):
        """Return the second bound, but for rounding: float32 [rows of the block]."""
        near, rest, _ = _split(state, self._axes[0])
        return self._parts[0][block] @ np.append(near, [rest, 1]).astype(np.float32)

    def _nearer(self, state, places, bound):
        """Return the third bound, from the second: float32 [places]."""
        _, first, rest = _split(state, self._axes[0])
        near, second, _ = _split(rest, self._axes[1])
        return bound - self._parts[0][places, -2] * first + self._parts[1][places] @ np.append(near, second)

    def _scores(self, items, state):
        # Not a matrix product, whose last bits depend on a row's place.
        return (self._rows[items] * state).sum(axis=1) + self._bias[items]


def _split(vectors, axes):
    """Split float32 [.., H] into parts along the axes [.., A], the lengths of their rests [..], the rests [.., H]."""
    near = vectors @ axes
    rest = vectors - near @ axes.T
    return near, np.linalg.norm(rest, axis=-1), rest
