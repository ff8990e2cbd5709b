"""What several test files look at a model with, and the published loader as a plain loop."""

import numpy as np


def states(model, items):
    """The state to score with after each item of one session, [len(items), H], one step at a time."""
    state, out = None, []
    for item in items:
        hidden, state = model(np.int32([item]), state)
        out.append(hidden[0])
    return np.array(out)


def published_loader(sessions, lanes):
    """The public code's loader with its defects D3 and D4, yielding (inputs, targets, lanes reset) a step."""
    items, offsets = sessions.items, sessions.offsets
    place, end, taken = offsets[:lanes].copy(), offsets[1 : lanes + 1].copy(), lanes
    finished = []
    while True:
        shortest = (end - place).min()
        for ahead in range(shortest):  # D3: one step too far; the shortest session has only shortest - 1 pairs
            yield items[place + ahead].tolist(), items[place + ahead + 1].tolist(), finished  # D4: at every step
        place += shortest - 1
        finished = np.flatnonzero(end - place <= 1).tolist()
        for lane in finished:
            if taken == len(sessions):
                return
            place[lane], end[lane] = offsets[taken : taken + 2]
            taken += 1
