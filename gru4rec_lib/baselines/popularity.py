"""Baselines by plays, in all of training and in the session so far."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from gru4rec_lib.baselines.base import Baseline, SparseBaseline
from gru4rec_lib.data.history import heard_before
from gru4rec_lib.data.sessions import Sessions
from gru4rec_lib.ranking.popularity import popularity_ranks, popularity_top
from gru4rec_lib.ranking.sparse import sparse_top
from gru4rec_lib.utils.checked import Seed


class MostPopular(Baseline):
    """Tracks by plays in the training sessions, the same list everywhere."""

    kind = "most_popular"


class Random(Baseline):
    """Training tracks in one random order, the same everywhere: the score that any model has to exceed.

    Args:
        seed: seed of the order.
    """

    kind = "random"
    seed: Seed = 1

    def _fit(self, train, features, ends):
        self._plays = np.random.default_rng([self.seed, self._n_items]).permutation(self._n_items)


class SessionPopular(Baseline):
    """Tracks by plays in the session so far, equal ones by plays in training (S-POP; arXiv 1511.06939, section 4.1)."""

    kind = "session_popular"

    def _rank(self, sessions, events, n_candidates, above):
        plays, target = self._plays, sessions.items[events]
        query, heard, times = self._heard(sessions, events)
        own = np.zeros(len(target), np.int64)
        own[query[heard == target[query]]] = times[heard == target[query]]
        counts = (heard < n_candidates) | (heard == target[query])
        query, heard, times = query[counts], heard[counts], times[counts]
        # Correct the rank by plays: a track of the session counts by its plays there instead of those in training.
        by_plays = (np.greater if above else np.greater_equal)(plays[heard], plays[target][query])
        in_session = (times > own[query]) | ((times == own[query]) & by_plays)
        ahead = np.bincount(query[in_session], minlength=len(target))
        unheard = popularity_ranks(plays, above, n_candidates)[target]
        unheard = unheard - np.bincount(query[by_plays], minlength=len(target))
        return ahead + np.where(own > 0, above, unheard)

    def _top(self, sessions, events, n_candidates, k):
        query, heard, times = self._heard(sessions, events)
        by_plays = popularity_top(self._plays, min(n_candidates, self._n_items), n_candidates)
        scores = sparse.csr_array((times, (query, heard)), shape=(events.sum(), self._n_items))[:, by_plays]
        found = sparse_top(scores, np.arange(events.sum()), len(by_plays), k)
        return np.append(by_plays, np.int32(-1))[found]  # -1 stays -1

    def _heard(self, sessions: Sessions, events: np.ndarray) -> tuple[np.ndarray, ...]:
        """For each known track before one of the events: number of the event, track, plays in the session so far."""
        query, heard, _ = heard_before(sessions, events, sessions.known(self._n_items))
        pair, times = np.unique(query * self._n_items + heard, return_counts=True)
        return *np.divmod(pair, self._n_items), times


class SessionRecent(SparseBaseline):
    """Tracks of the session so far, the last played first: score 1 / d for a track that was last played d plays ago.

    On its own it only repeats; in a blend it says which of the other parts' tracks the session has played already.
    """

    kind = "session_recent"

    def _score_rows(self, sessions, events):
        query, heard, back = heard_before(sessions, events, sessions.known(self._n_items))
        # The last play of a track stands last: it is the first in reverse.
        pair, last = np.unique((query * self._n_items + heard)[::-1], return_index=True)
        shape = (int(events.sum()), self._n_items)
        yield sparse.csr_array((1 / back[::-1][last], np.divmod(pair, self._n_items)), shape), np.arange(shape[0])
