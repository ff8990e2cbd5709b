"""Session-parallel mini-batches (Hidasi et al., arXiv 1511.06939, section 3.1.1) as arrays.

Lane b of step t has input[t, b] and must predict target[t, b]. A lane goes through one session; when it ends, the next
one follows in the next step, with `reset` set. A lane without a session is not `valid` and counts nowhere. Every
consecutive pair of every session comes exactly once.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass

import numpy as np

from gru4rec_lib.data.sessions import Sessions


@dataclass(frozen=True)
class Batches:
    """The steps of one pass over the data, each array of shape [steps, lanes].

    Args:
        input: int32, the last item; 0 where not valid.
        target: int32, the item that follows; 0 where not valid.
        reset: bool, a session begins here (also where not valid): the lane's state is zeroed before the step.
        valid: bool, the lane holds a pair.
        event: int64, the target's place in `Sessions.items`; -1 where not valid.
    """

    input: np.ndarray
    target: np.ndarray
    reset: np.ndarray
    valid: np.ndarray
    event: np.ndarray

    def __len__(self) -> int:
        return len(self.input)

    def part(self, steps: slice) -> Batches:
        """Return some of the steps.

        Args:
            steps: which.
        """
        return Batches(*(getattr(self, name)[steps] for name in self.__annotations__))

    def chunks(self, steps: int, count: int | None = None):
        """Cut the pass into equal pieces, padded with steps that are not valid.

        Args:
            steps: steps of a piece, 1 and more; one shape for all of them means one compiled graph.
            count: pieces to yield, the last ones empty; as many as the pass needs when None.

        Yields:
            Batches of `steps` steps.

        Raises:
            ValueError: the pass needs more pieces.
        """
        end = len(self) if count is None else count * steps
        if end < len(self):
            raise ValueError(f"{count} pieces of {steps} steps do not hold {len(self)} steps")
        for first in range(0, end, steps):
            piece = self.part(slice(first, first + steps))
            missing = steps - len(piece)
            if missing:
                fill = {"reset": True, "event": -1}
                piece = Batches(
                    *(
                        np.pad(getattr(piece, name), ((0, missing), (0, 0)), constant_values=fill.get(name, 0))
                        for name in self.__annotations__
                    )
                )
            yield piece


def schedule(sessions: Sessions, lanes: int, order: np.ndarray | None = None) -> Batches:
    """Lay sessions into lanes; a free lane takes the next session at once (the lowest lane first).

    Args:
        sessions: those of fewer than two events hold no pair and are skipped.
        lanes: mini-batch size, 1 and more. More lanes than sessions leaves lanes empty.
        order: int [n], the sessions in the order in which they are taken; in that of `sessions` when None.

    Returns:
        The steps of one pass.

    Raises:
        ValueError: fewer than one lane.
    """
    if lanes < 1:
        raise ValueError(f"lanes is {lanes}; it must be at least 1")
    order = np.arange(len(sessions)) if order is None else np.asarray(order)
    pairs = sessions.lengths[order] - 1
    order, pairs = order[pairs > 0], pairs[pairs > 0]

    start = np.empty(len(order), np.int64)
    lane = np.empty(len(order), np.int64)
    free = [(0, b) for b in range(lanes)]  # (first step at which the lane is free, lane): already a heap
    for i, n in enumerate(pairs.tolist()):
        step, b = free[0]
        start[i], lane[i] = step, b
        heapq.heapreplace(free, (step + n, b))
    steps = max((step for step, _ in free), default=0)

    first_pair = np.concatenate([[0], np.cumsum(pairs)[:-1]]) if len(pairs) else np.zeros(0, np.int64)
    within = np.arange(pairs.sum()) - np.repeat(first_pair, pairs)
    place = (np.repeat(start, pairs) + within, np.repeat(lane, pairs))
    event = np.full((steps, lanes), -1, np.int64)
    event[place] = np.repeat(sessions.offsets[:-1][order], pairs) + within + 1

    valid = event >= 0
    reset = ~valid
    reset[start, lane] = True
    pair = (np.where(valid, sessions.items[place], 0).astype(np.int32) for place in (event - 1, event))
    return Batches(*pair, reset, valid, event)


def epoch_order(sessions: Sessions, lanes: int, seed: int, epoch: int) -> np.ndarray:
    """Return a random order of the sessions for one epoch, the longest ones first.

    A session longer than a quarter of the epoch, taken late, would be alone when all other lanes have ended; a step
    costs the same with one lane as with all.

    Args:
        sessions: of training.
        lanes: mini-batch size.
        seed: of the run.
        epoch: 0, 1, ...

    Returns:
        int64 [sessions], a permutation, always the same for the same arguments.
    """
    order = np.random.default_rng([seed, epoch]).permutation(len(sessions))
    is_long = sessions.lengths[order] > sessions.is_target.sum() / lanes / 4
    return np.concatenate([order[is_long], order[~is_long]])
