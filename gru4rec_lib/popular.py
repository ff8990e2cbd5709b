"""Baselines by plays: the same list for everyone."""

from __future__ import annotations

import numpy as np

from gru4rec_lib.ranking import popularity_ranks
from gru4rec_lib.sessions import Sessions


class MostPopular:
    """The same list for everyone: tracks by plays in the training sessions."""

    def fit(self, train: Sessions, n_items: int) -> MostPopular:
        """Count plays.

        Args:
            train: training sessions, items 0..n_items-1.
            n_items: training tracks.
        """
        self.n_items = n_items
        self.plays = np.bincount(train.items, minlength=n_items)
        self.place = popularity_ranks(self.plays)
        return self

    def rank(self, sessions: Sessions, n_candidates: int, chosen: np.ndarray | None = None) -> np.ndarray:
        """The rank of every chosen target; a target unseen in training is a miss."""
        wanted = sessions.targets(chosen)
        target, scored = sessions.items[wanted], sessions.known(self.n_items)[wanted]
        ranks = np.full(len(target), n_candidates + 1, np.int32)
        ranks[scored] = self.place[target[scored]]
        return ranks
