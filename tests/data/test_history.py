"""The items before a target, compared with plain loops."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from gru4rec_lib.data.history import heard_before, last_heard
from gru4rec_lib.data.sessions import Sessions

SESSIONS = st.lists(st.lists(st.integers(-1, 6), max_size=6), max_size=5)


@given(SESSIONS, st.data())
def test_last_heard_and_heard_before_equal_a_naive_loop(lists, data):
    sessions = Sessions.from_lists(lists)
    n = len(sessions.items)
    usable, chosen = (np.array(data.draw(st.lists(st.booleans(), min_size=n, max_size=n)), bool) for _ in range(2))
    last, before, event, target = [], [], 0, 0
    for items in lists:
        for place in range(len(items)):
            heard = [item for item, use in zip(items[:place], usable[event - place : event], strict=True) if use]
            last.append(heard[-1] if heard else -1)
            if place and chosen[event]:
                before += [(target, item, len(heard) - number) for number, item in enumerate(heard)]
                target += 1
            event += 1
    assert last_heard(sessions, usable).tolist() == last
    assert list(zip(*heard_before(sessions, sessions.targets(chosen), usable), strict=True)) == before
