"""A baseline of latent factors."""

from __future__ import annotations

import numpy as np
from pydantic import Field
from scipy import sparse

from gru4rec_lib.baselines.base import Baseline
from gru4rec_lib.data.history import heard_before
from gru4rec_lib.data.sessions import Sessions
from gru4rec_lib.ranking.exact import Ranker
from gru4rec_lib.utils.checked import Count, Number, Seed


class BPRMF(Baseline):
    """Matrix factorisation by BPR (Rendle et al., arXiv 1205.2618), with sessions as users.

    A new session has the mean of the factors of its known tracks so far (arXiv 1511.06939, section 4.1). The package
    implicit learns the factors in one thread: the same seed gives the same bytes.

    Args:
        factors: number of factors of a track, beside its bias.
        iterations: passes over the plays.
        learning_rate, regularization: of stochastic gradient descent.
        seed: seed of initial factors and samples.
    """

    kind = "bpr_mf"
    factors: Count = 100
    iterations: Count = 100
    learning_rate: Number = Field(0.05, gt=0)
    regularization: Number = Field(0.002, ge=0)
    seed: Seed = 1

    _factors: np.ndarray  # float32 [items, factors]
    _bias: np.ndarray  # float32 [items]

    def _fit(self, train, features, ends):
        from implicit.cpu.bpr import BayesianPersonalizedRanking  # optional dependency

        plays = (np.ones(len(train.items), np.float32), (train.session_of_event, train.items))
        plays = sparse.csr_matrix(sparse.coo_matrix(plays, shape=(len(train), self._n_items)))
        settings = self.model_dump(include={"factors", "iterations", "learning_rate", "regularization"})
        model = BayesianPersonalizedRanking(**settings, random_state=self.seed, num_threads=1)
        model.fit(plays, show_progress=False)
        *_, self._bias = model.item_factors.T  # implicit keeps the bias after the factors
        self._factors = np.ascontiguousarray(model.item_factors[:, :-1])

    def _rank(self, sessions, events, n_candidates, above):
        return self._ranker(n_candidates).ranks(self._profiles(sessions, events), sessions.items[events], above)

    def _top(self, sessions, events, n_candidates, k):
        return self._ranker(n_candidates).top(self._profiles(sessions, events), k)

    def _ranker(self, n_candidates: int):
        return Ranker(self._factors, self._bias, n_candidates)

    def _profiles(self, sessions: Sessions, events: np.ndarray) -> np.ndarray:
        """Float32 [n, factors]: the mean over the known tracks before each of the n events."""
        query, heard, _ = heard_before(sessions, events, sessions.known(self._n_items))
        shape = (events.sum(), self._n_items)
        times = sparse.csr_array((np.ones(len(query), np.float32), (query, heard)), shape=shape)
        return (times @ self._factors) / times.sum(axis=1)[:, None]
