"""Baselines that score a track by the track heard last."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy import sparse

from gru4rec_lib.baselines.popularity import MostPopular
from gru4rec_lib.data.history import last_heard, place_in_group
from gru4rec_lib.data.sessions import Sessions
from gru4rec_lib.ranking.sparse import SparseScores

ITEMS = 2048  # whose pairs are counted together, for all pairs at once would not fit into memory


class SequentialRules(SparseScores):
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

        Returns:
            The model itself, fitted.
        """
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

    def score_rows(self, sessions: Sessions, events: np.ndarray) -> Iterator[tuple[sparse.csr_array, np.ndarray]]:
        """As `SparseScores.score_rows`: the rules of the last known track before each event."""
        yield self.rules, last_heard(sessions, sessions.known(self.popular.n_items))[events]


class ItemKNN(SparseScores):
    """Tracks by how often they share a session with the track heard last (item-to-item; arXiv 1511.06939, section 4.1).

    The similarity of j to i is the plays of i in sessions that hold j, divided by
    (plays of i + shrink)^alpha (plays of j + shrink)^(1 - alpha); the most similar tracks alone count, equal ones by
    plays. All others score 0 and so share the last rank. Before the first known track, tracks are ranked by plays.

    Args:
        neighbours: similar tracks kept for each track.
        shrink: lambda, in plays; holds down what was heard together by chance.
        alpha: 0.5 is the cosine, 1 the confidence of a rule.
    """

    def __init__(self, neighbours: int = 100, shrink: float = 20, alpha: float = 0.5):
        self.neighbours, self.shrink, self.alpha = neighbours, shrink, alpha

    def fit(self, train: Sessions, n_items: int) -> ItemKNN:
        """Count what shares a session.

        Args:
            train: training sessions, items 0..n_items-1.
            n_items: training tracks.

        Returns:
            The model itself, fitted.
        """
        self.popular = MostPopular().fit(train, n_items)
        shape = (len(train), n_items)
        plays = sparse.coo_array(
            (np.ones(len(train.items)), (train.session_of_event, train.items)), shape=shape
        ).tocsr()
        held = plays.sign()
        support = self.popular.plays + self.shrink
        parts = [sparse.csr_array((0, n_items))]
        for first in range(0, n_items, ITEMS):
            pairs = (plays[:, first : first + ITEMS].T @ held).tocoo()
            of, other = pairs.coords
            value = pairs.data / (support[first + of] ** self.alpha * support[other] ** (1 - self.alpha))
            value[first + of == other] = 0
            # Tracks are numbered by falling plays. Rounded, for equal values must not be told apart by their last bits.
            order = np.lexsort((other, -np.round(value, 12), of))
            kept = order[place_in_group(of[order]) < self.neighbours]
            parts.append(sparse.coo_array((value[kept], (of[kept], other[kept])), shape=pairs.shape).tocsr())
        self.similarity = sparse.vstack(parts, format="csr")
        return self

    def score_rows(self, sessions: Sessions, events: np.ndarray) -> Iterator[tuple[sparse.csr_array, np.ndarray]]:
        """As `SparseScores.score_rows`: similarities to the last known track before each event."""
        yield self.similarity, last_heard(sessions, sessions.known(self.popular.n_items))[events]
