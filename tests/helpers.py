"""Helpers of several test files: states and ranks of a model, and the published loader as a plain loop."""

import numpy as np

from gru4rec_lib.data.sessions import Sessions
from gru4rec_lib.ranking.exact import NO_RANK


def states(model, items):
    """Compute the hidden state after each item of one session, [len(items), H], one step at a time."""
    state, out = None, []
    for item in items:
        hidden, state = model(np.int32([item]), state)
        out.append(hidden[0])
    return np.array(out)


def course_paper_loader(sessions, lanes):
    """Run the public code's loader with its defects D3 and D4; yield (inputs, targets, lanes reset) for each step."""
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


def ranks_of_all(model, heard, n_candidates):
    """Rank every candidate after each of the lists `heard`, with `rank`.

    Returns:
        float [lists, candidates]; equal scores share a rank; a candidate without a score has an infinite rank.
    """
    turns = Sessions.from_lists([[*tracks, target] for tracks in heard for target in range(n_candidates)])
    last = np.isin(np.arange(len(turns.items)), turns.offsets[1:] - 1)
    return model.rank(turns, n_candidates, last, above=True).reshape(len(heard), n_candidates)


def top_by_rank(model, heard, n_candidates, k):
    """Compute the expected result of `top` after each of the lists `heard`, from ranks."""
    expected = []
    for own in ranks_of_all(model, heard, n_candidates).tolist():
        scored = [track for track in range(n_candidates) if own[track] < NO_RANK]
        expected.append((sorted(scored, key=own.__getitem__) + [-1] * k)[:k])
    return expected
