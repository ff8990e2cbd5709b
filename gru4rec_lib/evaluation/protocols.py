"""Choose the test targets to rank, and the lists to recommend at some of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from gru4rec_lib.data.history import heard_before, ranges
from gru4rec_lib.data.sessions import Sessions
from gru4rec_lib.ranking.popularity import NO_RANK
from gru4rec_lib.utils.arguments import whole

EVENTS = 2**18  # of the sessions that are ranked together


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


@dataclass(frozen=True)
class WithoutHeard:
    """A model whose candidates leave out the tracks that the session has played before the target.

    A target that repeats one of them is a miss. The model ranks the played tracks at the place of the target too, which
    takes as many times longer as a session has tracks.

    Args:
        model: as for `rank_table` and `recommended_lists`.
    """

    model: object

    @property
    def beyond_training(self) -> bool:
        """As the model's."""
        return self.model.beyond_training

    def rank(
        self, sessions: Sessions, n_candidates: int, chosen: np.ndarray | None = None, above: bool = False
    ) -> np.ndarray:
        """Rank the targets; see `GRU4Rec.rank`.

        Returns:
            float64 [chosen targets], 1 is best; infinite for a target that the model cannot score, or that the session
            has played before.
        """
        n_candidates = whole(n_candidates, "n_candidates")
        wanted = sessions.targets(chosen)
        ranks = np.asarray(self.model.rank(sessions, n_candidates, chosen, above), np.float64)
        events, items = np.flatnonzero(wanted), sessions.items
        target, item, _ = heard_before(sessions, wanted, items >= 0)
        target, item = np.unique(np.stack([target, item]), axis=1)
        repeated = item == items[events[target]]
        better = np.zeros(len(ranks))
        # Only a candidate can stand before the target, and only a target with a rank has something before it.
        asked = np.flatnonzero(~repeated & (item < n_candidates) & np.isfinite(ranks[target]))
        begin = sessions.offsets[sessions.session_of_event[events]]
        sizes = (events - begin)[target[asked]] + 1
        for some in np.split(asked, np.flatnonzero(np.diff(np.cumsum(sizes) // EVENTS)) + 1) if len(asked) else ():
            of_some = target[some]
            session, event = ranges(begin[of_some], events[of_some] + 1)
            offsets = np.concatenate([[0], np.cumsum(np.bincount(session, minlength=len(some)))]).astype(np.int64)
            played = items[event]
            last = offsets[1:] - 1
            played[last] = item[some]
            is_last = np.zeros(len(played), bool)
            is_last[last] = True
            heard = self.model.rank(Sessions(played, offsets), n_candidates, is_last, above)
            before = heard < ranks[of_some]
            if not above:
                # A tie counts against the target, and so has been counted in its rank. A target that is no candidate
                # counts in no rank of a played track: one of the same rank stands behind it.
                before |= (heard == ranks[of_some]) & (items[events[of_some]] < n_candidates)
            better += np.bincount(of_some[before], minlength=len(ranks))
        ranks -= better
        ranks[target[repeated]] = NO_RANK
        return ranks

    def top(self, sessions: Sessions, n_candidates: int, chosen: np.ndarray | None = None, k: int = 20) -> np.ndarray:
        """Return the k best candidates that the session has not played at every chosen target; see `GRU4Rec.top`."""
        n_candidates, k = whole(n_candidates, "n_candidates"), whole(k, "k")
        wanted = sessions.targets(chosen)
        target, item, _ = heard_before(sessions, wanted, sessions.items >= 0)
        target, item = np.unique(np.stack([target, item]), axis=1)
        most = np.bincount(target, minlength=1).max()
        found = self.model.top(sessions, n_candidates, chosen, k + most)
        rows = np.repeat(np.arange(len(found)), found.shape[1])
        size = max(n_candidates, sessions.items.max(initial=0) + 1)
        played = np.isin(rows * size + found.ravel(), target * size + item).reshape(found.shape) & (found >= 0)
        # The played ones go to the end, in their order, and are cut off or become empty places.
        order = np.argsort(played | (found < 0), axis=1, kind="stable")
        kept = np.where(played, -1, found)
        return np.take_along_axis(kept, order, axis=1)[:, :k].astype(np.int32)


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
