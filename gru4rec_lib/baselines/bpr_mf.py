"""Baseline of latent factors: every track is a short vector, and a session the mean of what was heard in it."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from gru4rec_lib.baselines.popularity import MostPopular
from gru4rec_lib.data.history import heard_before, last_heard
from gru4rec_lib.data.sessions import Sessions
from gru4rec_lib.ranking.exact import Ranker


class BPRMF:
    """Matrix factorisation by BPR (Rendle et al., arXiv 1205.2618), sessions in the place of users.

    A new session has no factors of its own: as in arXiv 1511.06939, section 4.1, it has the mean of those of the known
    tracks heard in it so far. Before the first known track, tracks are ranked by plays. The factors are those of the
    package implicit, learned in one thread, so that the same seed gives the same bytes.

    Args:
        factors: numbers a track, 1 and more; a bias comes with them.
        iterations: passes over the plays.
        learning_rate, regularization: of the stochastic gradient steps, above 0 and 0 or more.
        seed: of first weights and samples.
    """

    beyond_training = False

    def __init__(
        self,
        factors: int = 100,
        iterations: int = 100,
        learning_rate: float = 0.05,
        regularization: float = 0.002,
        seed: int = 1,
    ):
        self.settings = {
            "factors": factors,
            "iterations": iterations,
            "learning_rate": learning_rate,
            "regularization": regularization,
            "random_state": seed,
        }

    def fit(self, train: Sessions, n_items: int) -> BPRMF:
        """Learn the factors.

        Args:
            train: training sessions, items 0..n_items-1.
            n_items: training tracks.

        Returns:
            The model itself, fitted.
        """
        # Here, for a library that is installed alone has no such package; it belongs to the studies.
        from implicit.cpu.bpr import BayesianPersonalizedRanking

        self.popular = MostPopular().fit(train, n_items)
        plays = (np.ones(len(train.items), np.float32), (train.session_of_event, train.items))
        plays = sparse.csr_matrix(sparse.coo_matrix(plays, shape=(len(train), n_items)))
        model = BayesianPersonalizedRanking(**self.settings, num_threads=1)
        model.fit(plays, show_progress=False)
        *_, self.bias = model.item_factors.T  # implicit keeps a track's bias behind its factors
        self.factors = np.ascontiguousarray(model.item_factors[:, :-1])
        return self

    def rank(
        self, sessions: Sessions, n_candidates: int, chosen: np.ndarray | None = None, above: bool = False
    ) -> np.ndarray:
        """As `GRU4Rec.rank`; a target unseen in training is a miss."""
        ranks = self.popular.rank(sessions, n_candidates, chosen, above)
        wanted, known = sessions.targets(chosen), sessions.known(self.popular.n_items)
        scored = wanted & known & (last_heard(sessions, known) >= 0)
        ranker = Ranker(self.factors, self.bias, n_candidates)
        ranks[scored[wanted]] = ranker.ranks(self._profiles(sessions, scored), sessions.items[scored], above)
        return ranks

    def top(self, sessions: Sessions, n_candidates: int, chosen: np.ndarray | None = None, k: int = 20) -> np.ndarray:
        """The k best candidates at every chosen target; see `GRU4Rec.top`."""
        found = self.popular.top(sessions, n_candidates, chosen, k)
        wanted, known = sessions.targets(chosen), sessions.known(self.popular.n_items)
        scored = wanted & (last_heard(sessions, known) >= 0)
        ranker = Ranker(self.factors, self.bias, n_candidates)
        found[scored[wanted]] = ranker.top(self._profiles(sessions, scored), k)
        return found

    def _profiles(self, sessions: Sessions, events: np.ndarray) -> np.ndarray:
        """Float32 [events chosen, factors]: the mean over the known tracks heard before each of the events."""
        query, heard, _ = heard_before(sessions, events, sessions.known(self.popular.n_items))
        shape = (events.sum(), self.popular.n_items)
        times = sparse.csr_array((np.ones(len(query), np.float32), (query, heard)), shape=shape)
        return (times @ self.factors) / times.sum(axis=1)[:, None]
