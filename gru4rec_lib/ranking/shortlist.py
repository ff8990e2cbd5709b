"""The exact best k of a whole catalogue for a state, or for each of many, without scoring most rows."""

from __future__ import annotations

import numpy as np

from gru4rec_lib.utils.arguments import whole

AXES = 14, 15  # with the numbers beside them 64 bytes a row and bound, a line of the cache
FIRST = 8192  # rows read first; then as many again as were read so far
BLOCK = 65_536  # rows that are prepared together
STATES, BOUNDS, PAIRS = 64, 2**23, 2**16  # states searched together; bounds and scores computed together
PROMISING = 4  # rows scored first, in multiples of k


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
        items, scores = self.best_of_each(state[None], k)
        return items[0], scores[0]

    def best_of_each(self, states: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Return for each state the k items with the highest scores, the same as `best`, in less time than one by one.

        Args:
            states: float32 [n, H].
            k: 1 to the number of items.

        Returns:
            (int64 [n, k] items, float32 [n, k] scores).

        Raises:
            ValueError: a state is not finite.
        """
        if not np.isfinite(states).all():
            raise ValueError("the state is not finite; the model's weights or the features are not")
        k = whole(k, "k")
        together = max(1, min(STATES, PAIRS // (PROMISING * k)))
        parts = [self._best(states[first : first + together], k) for first in range(0, len(states), together)]
        nothing = np.empty((0, k), np.int64), np.empty((0, k), np.float32)
        return tuple(np.concatenate(part) for part in zip(nothing, *parts, strict=True))

    def _best(self, states, k):
        norm = np.linalg.norm(states.astype(np.float64), axis=1)
        rounding = norm * self._rounding[0] + self._rounding[1]
        near, first_rest, rest = _split(states, self._axes[0])
        wide = np.column_stack([near, first_rest, np.ones_like(first_rest)])
        near, second_rest, _ = _split(rest, self._axes[1])
        narrow = np.column_stack([near, second_rest])
        found, scores = np.full((len(states), k), -1), np.full((len(states), k), -np.inf, np.float32)
        first, size, going = 0, max(FIRST, k), np.arange(len(states))  # states that later rows may still change
        room = np.empty(max(BOUNDS, len(states) * size), np.float32)  # once: new memory is slow to fill
        while len(going):
            block = slice(first, first + size)
            bound = self._bounds(wide[going], block, room)
            least = scores[going, -1]
            if first == 0:
                n = min(PROMISING * k, bound.shape[1])
                promising = self._items[np.argpartition(bound, -n)[:, -n:]]
                score = self._scores(promising.ravel(), states.repeat(n, axis=0)).reshape(-1, n)
                least = np.partition(score, -k)[:, -k]
            lower = (least - rounding[going]).astype(np.float32)
            # `np.nonzero` of one axis takes a tenth of the time of two.
            one, place = np.divmod(np.flatnonzero(bound >= lower[:, None]), bound.shape[1])
            nearer = self._nearer(narrow[going], first_rest[going], one, first + place, bound[one, place])
            near = nearer >= lower[one]
            one, items = one[near], self._items[first + place[near]]
            pieces = (slice(piece, piece + PAIRS) for piece in range(0, len(one), PAIRS))
            score = [self._scores(items[piece], states[going[one[piece]]]) for piece in pieces]
            score = np.concatenate([np.empty(0, np.float32), *score])
            best = score >= least[one]
            if best.any():
                found[going], scores[going] = _merged(found[going], scores[going], one[best], items[best], score[best])
            first, size = first + size, min(first + size, max(FIRST, BOUNDS // len(states)))
            longest = self._length[first] if first < len(self._items) else -np.inf
            going = going[longest * np.hypot(norm[going], 1) + rounding[going] >= scores[going, -1]]
        return found, scores

    def _bounds(self, wide, block, room):
        """Return the second bound, but for rounding: float32 [n, rows of the block], written to `room`."""
        parts = self._parts[0][block]
        return np.matmul(wide, parts.T, out=room[: len(wide) * len(parts)].reshape(len(wide), -1))

    def _nearer(self, narrow, rest, state, places, bound):
        """Return the third bound of pairs of a state and a row, from the second: float32 [pairs]."""
        closer = np.einsum("ij,ij->i", self._parts[1][places], narrow[state])
        return bound - self._parts[0][places, -2] * rest[state] + closer

    def _scores(self, items, states):
        # Not a matrix product, whose last bits depend on a row's place.
        return (self._rows[items] * states).sum(axis=1) + self._bias[items]


def _merged(found, scores, row, items, score):
    """Return the best of [n, k] items and further ones of the given rows: (int64 [n, k], float32 [n, k])."""
    n, k = found.shape
    row = np.append(np.arange(n).repeat(k), row)
    items, score = np.append(found.ravel(), items), np.append(scores.ravel(), score)
    order = np.lexsort((items, -score, row))
    best = order[np.searchsorted(row[order], np.arange(n))[:, None] + np.arange(k)]
    return items[best], score[best]


def _split(vectors, axes):
    """Split float32 [.., H] into parts along the axes [.., A], the lengths of their rests [..], the rests [.., H]."""
    near = vectors @ axes
    rest = vectors - near @ axes.T
    return near, np.linalg.norm(rest, axis=-1), rest
