"""Baselines that score a track by the track heard last."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from gru4rec_lib.heard import last_heard, sparse_ranks
from gru4rec_lib.popular import MostPopular
from gru4rec_lib.sessions import Sessions


class SequentialRules:
    """Rules "b was heard after a", weighted by 1 / distance (Ludewig & Jannach, arXiv 1803.09587, section 3.1).

    The score of a track is its weight after the last known track. Tracks without a rule all score 0 and so share the
    last rank. Before the first known track, tracks are ranked by plays.

    Args:
        steps: how far apart, in events, two tracks of a session may lie; 1 makes this a first-order Markov chain.
    """

    def __init__(self, steps: int = 10):
        self.steps = steps

    def fit(self, train: Sessions, n_items: int) -> SequentialRules:
        """Add up the rules of all pairs.

        Args:
            train: training sessions, items 0..n_items-1.
            n_items: training tracks.
        """
        self.n_items = n_items
        self.popular = MostPopular().fit(train, n_items)
        session = train.session_of_event
        rules = sparse.csr_array((n_items, n_items), dtype=np.float64)
        for distance in range(1, min(self.steps, train.lengths.max(initial=1) - 1) + 1):
            together = session[distance:] == session[:-distance]
            before, after = train.items[:-distance][together], train.items[distance:][together]
            weight = np.full(len(before), 1 / distance)
            rules += sparse.coo_array((weight, (before, after)), shape=rules.shape).tocsr()
        self.rules = rules
        return self

    def rank(self, sessions: Sessions, n_candidates: int, chosen: np.ndarray | None = None) -> np.ndarray:
        """The rank of every chosen target by the rules of the last known track before it."""
        ranks = self.popular.rank(sessions, n_candidates, chosen)
        wanted = sessions.targets(chosen)
        target, last = sessions.items[wanted], last_heard(sessions, sessions.known(self.n_items))[wanted]
        by_rule = (last >= 0) & sessions.known(self.n_items)[wanted]
        ranks[by_rule] = sparse_ranks(self.rules, last[by_rule], target[by_rule])
        return ranks
