"""The exact best k of a whole catalogue for a state, or for each of many, without scoring most rows."""

from __future__ import annotations

import numpy as np

from gru4rec_lib.utils.arguments import whole

AXES = 14, 14  # with the numbers beside them 64 bytes a row and bound, a line of the cache
FIRST = 32_768  # rows read first; then as many again as were read so far
LONGEST = 4096  # rows among which the first promising ones are looked for
BLOCK = 65_536  # rows that are prepared together
STATES, BOUNDS, SCORES = 64, 2**23, 2**16  # states searched together; bounds and scores computed together
PROMISING = 8  # rows scored first, in multiples of k


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
        # A row's part along the axes, the length of its rest, and its bias or the length of the first rest.
        self._parts = [np.empty((len(rows), axes.shape[1] + 2), np.float32) for axes in self._axes]
        for first in range(0, len(rows), BLOCK):
            block = slice(first, first + BLOCK)
            rest, last = rows[self._items[block]], bias[self._items[block]]
            for axes, part in zip(self._axes, self._parts, strict=True):
                part[block, :-2], part[block, -2], rest = _split(rest, axes)
                part[block, -1], last = last, part[block, -2]
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
        together = max(1, min(STATES, BOUNDS // k))
        parts = [self._best(states[first : first + together], k) for first in range(0, len(states), together)]
        nothing = np.empty((0, k), np.int64), np.empty((0, k), np.float32)
        return tuple(np.concatenate(part) for part in zip(nothing, *parts, strict=True))

    def _best(self, states, k):
        norm = np.linalg.norm(states.astype(np.float64), axis=1)
        rounding = norm * self._rounding[0] + self._rounding[1]
        near, first_rest, rest = _split(states, self._axes[0])
        wide = np.column_stack([near, first_rest, np.ones_like(first_rest)])
        near, second_rest, _ = _split(rest, self._axes[1])
        narrow = np.column_stack([near, second_rest, -first_rest])
        found, scores = np.full((len(states), k), -1), np.full((len(states), k), -np.inf, np.float32)
        first, size, going = 0, max(FIRST, k), np.arange(len(states))  # states that later rows may still change
        room = np.empty(max(BOUNDS, len(states) * size), np.float32)  # once: new memory is slow to fill
        while len(going):
            bounds = self._bounds(wide[going], slice(first, first + size), room)
            for one, bound in zip(going, bounds, strict=True):
                best = found[one], scores[one]
                found[one], scores[one] = self._better(*best, states[one], narrow[one], bound, first, rounding[one])
            first, size = first + size, min(first + size, max(FIRST, BOUNDS // len(states)))
            longest = self._length[first] if first < len(self._items) else -np.inf
            going = going[longest * np.hypot(norm[going], 1) + rounding[going] >= scores[going, -1]]
        return found, scores

    def _better(self, items, scores, state, narrow, bound, first, rounding):
        """Return the best of a state's k items and of the rows from `first` on, from their second bounds."""
        k, least = len(items), scores[-1]
        if first == 0:
            promising, _ = _highest(bound[: max(LONGEST, k)], PROMISING * k)
            least = np.partition(self._scores(self._items[promising], state), -k)[-k]
        places = np.flatnonzero(bound >= np.float32(least - rounding))
        bound = self._nearer(bound[places], first + places, narrow)
        promising, others = _highest(bound, PROMISING * k)
        for part in (promising, *np.split(others, range(SCORES, len(others), SCORES))):
            # The best so far may exclude more rows after each part.
            part = part[bound[part] >= np.float32(max(least, scores[-1]) - rounding)]
            more = self._items[first + places[part]]
            items, scores = _merged(items, scores, more, self._scores(more, state))
        return items, scores

    def _bounds(self, wide, block, room):
        """Return the second bound, but for rounding: float32 [n, rows of the block], written to `room`."""
        parts = self._parts[0][block]
        return np.matmul(wide, parts.T, out=room[: len(wide) * len(parts)].reshape(len(wide), -1))

    def _nearer(self, bound, places, narrow):
        """Return the third bound of rows from the second, for one state: float32 [n]."""
        return bound + self._parts[1].take(places, axis=0) @ narrow

    def _scores(self, items, state):
        # Not a matrix product, whose last bits depend on a row's place.
        return (self._rows.take(items, axis=0) * state).sum(axis=1) + self._bias[items]


def _highest(bound, n):
    """Return the places of the n highest bounds, and the other places."""
    if len(bound) <= n:
        return np.arange(len(bound)), np.arange(0)
    places = np.argpartition(bound, -n)
    return places[-n:], places[:-n]


def _merged(items, scores, more, score):
    """Return the best of k items and further ones: (int64 [k], float32 [k])."""
    k, better = len(items), score >= scores[-1]
    items, scores = np.append(items, more[better]), np.append(scores, score[better])
    best = np.lexsort((items, -scores))[:k]
    return items[best], scores[best]


def _split(vectors, axes):
    """Split float32 [.., H] into parts along the axes [.., A], the lengths of their rests [..], the rests [.., H]."""
    near = vectors @ axes
    rest = vectors - near @ axes.T
    return near, np.linalg.norm(rest, axis=-1), rest
