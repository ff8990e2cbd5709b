"""How the course paper's code reads sessions, for the audit only: a loader that overruns (D3), repeated resets (D4), a
test on the first mini-batches (D10), an older log as the test (D9).

A new implementation of that code's behaviour. The right schedule is in `data/session_batches.py`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from gru4rec_lib.config.study import Split
from gru4rec_lib.data.session_batches import Batches
from gru4rec_lib.data.sessions import Sessions
from gru4rec_lib.preparation.split import is_test_file

TEST_STEPS = 500  # mini-batches of an evaluation in the paper's code


def overrunning(sessions: Sessions, lanes: int, order: np.ndarray | None = None) -> Batches:
    """Lay out sessions with D3: a round has as many steps as its shortest lane has events, one more than it has pairs.

    In the last step of a round, a lane whose session ends has the first track of the file's next session as its target.
    Every other lane then goes back by one and repeats that pair. When no session is left to begin, the remaining events
    of the other lanes are dropped. A round that would run past the end of the file, where the paper's code fails, ends
    there.

    Two lanes over sessions [a b], [c d e], [f g] and [h i]: the first round has two steps, a->b and c->d, then b->c, a
    target from another session, and d->e. Lane 1 takes the third session and lane 2 repeats: f->g and d->e. Both end
    in this round, so the targets of its second step are the tracks after both: g->h and e->f.

    Args:
        sessions: those without an event are skipped.
        lanes: mini-batch size, at most the number of sessions.
        order: int [n], the order of the sessions in the file; that of `sessions` when None.

    Returns:
        The mini-batches of one pass, every lane valid in each; `reset` is set where a session begins.

    Raises:
        ValueError: fewer sessions than lanes.
    """
    order = np.arange(len(sessions)) if order is None else np.asarray(order)
    order = order[sessions.lengths[order] > 0]
    if len(order) < lanes:
        raise ValueError(f"the paper's loader needs as many sessions as lanes: {len(order)} for {lanes}")
    file = Sessions(np.arange(len(sessions.items)), sessions.offsets).take(order)  # positions in `sessions.items`
    start, end = file.offsets[:lanes].copy(), file.offsets[1 : lanes + 1].copy()
    taken, begins = lanes, np.ones(lanes, bool)
    positions, resets = [], []
    while taken is not None:
        shortest = int((end - start).min())
        steps = min(shortest, len(file.items) - 1 - int(start.max()))
        positions.append(start + np.arange(steps)[:, None])
        resets.append(begins & (np.arange(steps) == 0)[:, None])
        if steps < shortest:
            break
        start = start + shortest - 1
        begins = end - start <= 1
        for lane in np.flatnonzero(begins):
            if taken == len(file):
                taken = None
                break
            start[lane], end[lane] = file.offsets[taken], file.offsets[taken + 1]
            taken += 1
    position = np.concatenate(positions)
    event = file.items[position + 1]
    inputs, targets = sessions.items[file.items[position]], sessions.items[event]
    return Batches(inputs, targets, np.concatenate(resets), np.ones(position.shape, bool), event)


def sticky(batches: Batches) -> Batches:
    """Apply D4: a mask of lanes that begin a session stays active until the next one, and the first one is missing.

    Lanes that begin in steps 0 and 2, [1 1], [0 0], [1 0], [0 0], [0 1]: the resets become [0 0], [0 0], [1 0], [1 0],
    [0 1], so that lane 1 loses its state once more in the middle of a session.

    Args:
        batches: of any schedule.
    """
    begins = batches.reset & batches.valid
    begins[:1] = False
    latest = np.maximum.accumulate(np.where(begins.any(axis=1), np.arange(len(begins)), -1))
    return replace(batches, reset=(begins[latest] & (latest >= 0)[:, None]) | ~batches.valid)


def never(batches: Batches) -> Batches:
    """Apply D4 in testing: no lane is ever reset, so a session begins in the last state of another one.

    Args:
        batches: of any schedule.
    """
    return replace(batches, reset=np.zeros_like(batches.reset))


def first_steps(batches: Batches, steps: int = TEST_STEPS) -> Batches:
    """Apply D10: keep the first mini-batches alone.

    Args:
        batches: of the test sessions.
        steps: how many.
    """
    return batches.part(slice(steps))


def tests_on_the_past(split: Split, files: Sequence[str]) -> bool:
    """Whether the test logs are all older than those of training (D9), by the dates in their names.

    Args:
        split: false unless it is by file.
        files: paths of the log files below the data folder, such as log_0_20180715_000000000000.csv.gz.
    """
    if split.how != "by_file":
        return False
    dates = {name: found[1] for name in files if (found := re.search(r"_(\d{8})_", name))}
    test = [date for name, date in dates.items() if is_test_file(name, split)]
    training = [date for name, date in dates.items() if not is_test_file(name, split)]
    return bool(test and training) and max(test) < min(training)


def exchange(split: Split, files: Sequence[str]) -> Split:
    """Exchange the training log and the test log, which fixes D9.

    Args:
        split: by file.
        files: paths of the log files below the data folder; exactly one of them is for training.

    Raises:
        ValueError: the number of training logs is not one.
    """
    training = [name for name in files if not is_test_file(name, split)]
    if len(training) != 1:
        raise ValueError(f"of {len(files)} log files {len(training)} are for training; D9 exchanges two files")
    return split.model_copy(update={"test": training[0]})


def pair_statistics(batches: Batches, sessions: Sessions) -> dict[str, float]:
    """Measure the effect of D3 and D4 on a pass.

    Args:
        batches: of the sessions, in their order.
        sessions: those that were laid out.

    Returns:
        pairs; crossing, the share of the pairs (0 to 1) whose target is of another session; repeated, the share of
        pairs that came before; resets_a_session, the number of resets for each session begun.
    """
    event = batches.event[batches.valid]
    session = sessions.session_of_event
    begun = len(np.unique(session[event - 1]))
    return {
        "pairs": len(event),
        "crossing": float((session[event] != session[event - 1]).mean()),
        "repeated": 1 - len(np.unique(event)) / len(event),
        "resets_a_session": float((batches.reset & batches.valid).sum() / begun),
    }
