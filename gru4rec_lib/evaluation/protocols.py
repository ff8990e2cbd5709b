"""Choose the test targets to rank, and the lists to recommend at some of them."""

from __future__ import annotations

import numpy as np
import pandas as pd

from gru4rec_lib.data.sessions import Sessions


def random_targets(test: Sessions, n: int | None, seed: int) -> np.ndarray | None:
    """Choose targets of the test at random.

    Args:
        test: test sessions.
        n: number of targets, 1 or more; None for all.
        seed: of the choice.

    Returns:
        bool [events], the chosen targets; None for all.
    """
    targets = np.flatnonzero(test.is_target)
    if n is None or n >= len(targets):
        return None
    chosen = np.zeros(len(test.items), bool)
    chosen[np.random.default_rng([seed, 2]).choice(targets, n, replace=False)] = True
    return chosen


def recommended_lists(
    model, test: Sessions, n_items: int, chosen: np.ndarray | None, n: int, k: int, seed: int
) -> pd.DataFrame:
    """Recommend at some targets of protocol `known`, the same for every model.

    Args:
        model: has `top(sessions, n_candidates, chosen, k) -> int32 [chosen targets, k]`, see `GRU4Rec.top`.
        test: test sessions over the item index.
        n_items: training tracks, the candidates.
        chosen: bool [events], the targets that are ranked; None for all.
        n: largest number of targets to recommend at; 0 for none.
        k: length of a list, 1 or more.
        seed: of the choice.

    Returns:
        One row a recommended track: session (number in the test set) and position (1.. in the test session) of the
        target, place (1 is best), item (item index). A list is shorter where there are fewer training tracks.
    """
    seen = test.known(n_items)
    known = test.keep(seen)
    targets = np.flatnonzero(known.targets(None if chosen is None else chosen[seen]))
    wanted = np.zeros(len(known.items), bool)
    n = min(n, len(targets))
    wanted[np.random.default_rng([seed, 3]).choice(targets, n, replace=False)] = True
    # The model need not process the other sessions.
    session = known.session_of_event[wanted]
    held = np.isin(known.session_of_event, session)
    items = model.top(known.take(np.unique(session)), n_items, wanted[held], k)
    rows = {"session": session, "position": test.position_of_event[seen][wanted]}
    table = pd.DataFrame({name: np.repeat(values, k) for name, values in rows.items()}, dtype=np.int32)
    table = table.assign(place=np.tile(np.arange(1, k + 1, dtype=np.int32), n), item=items.ravel())
    return table[table["item"] >= 0].reset_index(drop=True)
