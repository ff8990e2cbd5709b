"""The published code's way through the sessions, for the audit only: a loader that overruns (D3), resets that stick
(D4), a test on the first mini-batches (D10), an older log as the test (D9).

Written anew from what the code does; the right schedule is in `data/session_batches.py`, with the same arguments.
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

TEST_STEPS = 500  # mini-batches of a published evaluation


def overrunning(sessions: Sessions, lanes: int, order: np.ndarray | None = None) -> Batches:
    """D3: rounds as long as the shortest lane's rest counted in events, where pairs are one fewer.

    So the last step of a round asks the lanes that end for the first track of the next session in the file; then every
    other lane goes back by one and repeats that pair. When no session is left to begin, what the other lanes still hold
    is dropped. Should a round run past the end of the file, where the published code fails, it ends there.

    Two lanes over sessions [a b], [c d e], [f g] and [h i]: the first round has two steps, a->b and c->d, then b->c, a
    target from another session, and d->e. Lane 1 takes the third session and lane 2 repeats: f->g and d->e. Both end
    in this round, so that its second step asks for the tracks behind both: g->h and e->f.

    Args:
        sessions: those without an event are passed over.
        lanes: mini-batch size, at most as many as sessions.
        order: int [n], the sessions as they lie in the file; as they stand when None.

    Returns:
        The steps of one pass, every lane valid in each; `reset` is set where a session begins.

    Raises:
        ValueError: fewer sessions than lanes.
    """
    order = np.arange(len(sessions)) if order is None else np.asarray(order)
    order = order[sessions.lengths[order] > 0]
    if len(order) < lanes:
        raise ValueError(f"the published loader needs as many sessions as lanes: {len(order)} for {lanes}")
    file = Sessions(np.arange(len(sessions.items)), sessions.offsets).take(order)  # places in `sessions.items`
    start, end = file.offsets[:lanes].copy(), file.offsets[1 : lanes + 1].copy()
    taken, begins = lanes, np.ones(lanes, bool)
    places, resets = [], []
    while taken is not None:
        shortest = int((end - start).min())
        steps = min(shortest, len(file.items) - 1 - int(start.max()))
        places.append(start + np.arange(steps)[:, None])
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
    place = np.concatenate(places)
    event = file.items[place + 1]
    heard, follows = sessions.items[file.items[place]], sessions.items[event]
    return Batches(heard, follows, np.concatenate(resets), np.ones(place.shape, bool), event)


def sticky(batches: Batches) -> Batches:
    """D4: a mask of lanes whose session begins stays in force until the next one, and the first of a pass is missing.

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
    """D4 in testing: no lane is ever reset; a session begins in the state that another one has left.

    Args:
        batches: of any schedule.
    """
    return replace(batches, reset=np.zeros_like(batches.reset))


def first_steps(batches: Batches, steps: int = TEST_STEPS) -> Batches:
    """D10: what a published evaluation counts: its first mini-batches.

    Args:
        batches: of the test sessions.
        steps: how many.
    """
    return batches.part(slice(steps))


def tests_on_the_past(split: Split, files: Sequence[str]) -> bool:
    """D9: whether the logs of the test are all older than those of training, by the dates in their names.

    Args:
        split: any; only one by file can.
        files: paths of the log files below the data folder, such as log_0_20180715_000000000000.csv.gz.
    """
    if split.how != "by_file":
        return False
    dates = {name: found[1] for name in files if (found := re.search(r"_(\d{8})_", name))}
    test = [date for name, date in dates.items() if is_test_file(name, split)]
    training = [date for name, date in dates.items() if not is_test_file(name, split)]
    return bool(test and training) and max(test) < min(training)


def the_other_way_round(split: Split, files: Sequence[str]) -> Split:
    """D9: the same two log files, what was the test now in training: as published the test log was the older one.

    Args:
        split: by file.
        files: paths of the log files below the data folder; exactly one of them is not the test.

    Raises:
        ValueError: there are other than one.
    """
    training = [name for name in files if not is_test_file(name, split)]
    if len(training) != 1:
        raise ValueError(f"of {len(files)} log files {len(training)} are for training; D9 exchanges two files")
    return split.model_copy(update={"test": training[0]})


def walked(batches: Batches, sessions: Sessions) -> dict[str, float]:
    """What a schedule does to the sessions: the measure of D3 and D4.

    Args:
        batches: of the sessions in the order in which they stand.
        sessions: what was laid out.

    Returns:
        pairs; crossing, the share of the pairs (0 to 1) whose target is of another session; repeated, the share that
        came before; resets_a_session, how often a state is zeroed for each session begun.
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
