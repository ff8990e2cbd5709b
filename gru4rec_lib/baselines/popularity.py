"""Baselines by plays, in all of training and in the session so far."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from gru4rec_lib.data.history import heard_before
from gru4rec_lib.data.sessions import Sessions
from gru4rec_lib.ranking.exact import NO_RANK, popularity_ranks, popularity_top
from gru4rec_lib.ranking.sparse import sparse_top


class MostPopular:
    """The same list for everyone: tracks by plays in the training sessions."""

    beyond_training = False

    def fit(self, train: Sessions, n_items: int) -> MostPopular:
        """Count plays.

        Args:
            train: training sessions, items 0..n_items-1.
            n_items: training tracks.

        Returns:
            The model itself, fitted.
        """
        self.n_items = n_items
        self.plays = np.bincount(train.items, minlength=n_items)
        return self

    def rank(
        self, sessions: Sessions, n_candidates: int, chosen: np.ndarray | None = None, above: bool = False
    ) -> np.ndarray:
        """As `GRU4Rec.rank`; a target unseen in training is a miss."""
        wanted = sessions.targets(chosen)
        target, scored = sessions.items[wanted], sessions.known(self.n_items)[wanted]
        ranks = np.full(len(target), NO_RANK)
        ranks[scored] = popularity_ranks(self.plays, above, n_candidates)[target[scored]]
        return ranks

    def top(self, sessions: Sessions, n_candidates: int, chosen: np.ndarray | None = None, k: int = 20) -> np.ndarray:
        """The k best candidates at every chosen target; see `GRU4Rec.top`."""
        return np.tile(popularity_top(self.plays, k, n_candidates), (sessions.targets(chosen).sum(), 1))


class Random(MostPopular):
    """Training tracks in an order drawn once, the same for everyone: what any model has to pass.

    Args:
        seed: of the order.
    """

    def __init__(self, seed: int = 1):
        self.seed = seed

    def fit(self, train: Sessions, n_items: int) -> Random:
        """Draw the order.

        Args:
            train: training sessions, not looked at.
            n_items: training tracks.

        Returns:
            The model itself, fitted.
        """
        self.n_items = n_items
        self.plays = np.random.default_rng([self.seed, n_items]).permutation(n_items)
        return self


class SessionPopular:
    """Tracks by plays in the session so far, equal ones by plays in training (S-POP; arXiv 1511.06939, section 4.1)."""

    beyond_training = False

    def fit(self, train: Sessions, n_items: int) -> SessionPopular:
        """Count plays.

        Args:
            train: training sessions, items 0..n_items-1.
            n_items: training tracks.

        Returns:
            The model itself, fitted.
        """
        self.popular = MostPopular().fit(train, n_items)
        return self

    def rank(
        self, sessions: Sessions, n_candidates: int, chosen: np.ndarray | None = None, above: bool = False
    ) -> np.ndarray:
        """As `GRU4Rec.rank`; a target unseen in training is a miss."""
        ranks = self.popular.rank(sessions, n_candidates, chosen, above)
        wanted, known = sessions.targets(chosen), sessions.known(self.popular.n_items)
        scored, plays = wanted & known, self.popular.plays
        target = sessions.items[scored]
        query, heard, times = self._heard(sessions, scored)
        own = np.zeros(len(target), np.int64)
        own[query[heard == target[query]]] = times[heard == target[query]]
        counts = (heard < n_candidates) | (heard == target[query])
        query, heard, times = query[counts], heard[counts], times[counts]
        # The rank by plays, corrected: a heard track passes the target by its times, and lags behind it by its times.
        by_plays = (np.greater if above else np.greater_equal)(plays[heard], plays[target][query])
        in_session = (times > own[query]) | ((times == own[query]) & by_plays)
        ahead = np.bincount(query[in_session], minlength=len(target))
        unheard = ranks[scored[wanted]] - np.bincount(query[by_plays], minlength=len(target))
        ranks[scored[wanted]] = ahead + np.where(own > 0, above, unheard)
        return ranks

    def top(self, sessions: Sessions, n_candidates: int, chosen: np.ndarray | None = None, k: int = 20) -> np.ndarray:
        """The k best candidates at every chosen target; see `GRU4Rec.top`."""
        wanted, n_items = sessions.targets(chosen), self.popular.n_items
        query, heard, times = self._heard(sessions, wanted)
        by_plays = popularity_top(self.popular.plays, min(n_candidates, n_items), n_candidates)
        scores = sparse.csr_array((times, (query, heard)), shape=(wanted.sum(), n_items))[:, by_plays]
        found = sparse_top(scores, np.arange(wanted.sum()), len(by_plays), k)
        return np.append(by_plays, np.int32(-1))[found]  # -1 stays -1

    def _heard(self, sessions: Sessions, events: np.ndarray) -> tuple[np.ndarray, ...]:
        """For each known track heard before one of the events: number of the event, track, how often it was heard."""
        width = self.popular.n_items
        query, heard, _ = heard_before(sessions, events, sessions.known(width))
        pair, times = np.unique(query * width + heard, return_counts=True)
        return *np.divmod(pair, width), times
