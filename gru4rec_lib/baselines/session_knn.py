"""Baselines that look for training sessions like the one so far, and recommend what was heard in these.

All three are of one kind (Ludewig & Jannach, arXiv 1803.09587, section 3.2; Garg et al., SIGIR 2019, for STAN). The
candidates for a session s are the most recent training sessions that share a track with it, and their similarity is

    sim(s, n) = w(n) * sum of u(i, s) over the tracks i that s and n share.

Of the most similar ones (among equal ones, to the last bit, the more recent) each track j collects

    score(j, s) = sum of sim(s, n) * v(s, n) * x(j, s, n) over the neighbours n that hold j.

A track counts once in s, where it was heard last, and once in n. Only tracks of training count. Tracks of no neighbour
score 0 and so share the last rank. Before the first known track, tracks are ranked by plays.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy import sparse

from gru4rec_lib.baselines.popularity import MostPopular
from gru4rec_lib.data.history import heard_before, place_in_group, ranges
from gru4rec_lib.data.sessions import Sessions
from gru4rec_lib.ranking.sparse import SparseScores

TARGETS = 64  # looked up together, so that memory does not grow with the test
DAY = 24 * 3600


class SKNN(SparseScores):
    """Session kNN: u = 1, w = 1 / sqrt(tracks of n), the cosine; v = x = 1.

    Args:
        ends: float [training sessions], when each ended, in seconds; None takes them to be in order of time.
        neighbours: most similar sessions that are used.
        sample: most recent sessions that are compared.
    """

    def __init__(self, ends: np.ndarray | None = None, neighbours: int = 100, sample: int = 1000):
        self.ends, self.neighbours, self.sample = ends, neighbours, sample

    def heard_weight(self, back: np.ndarray, length: np.ndarray) -> np.ndarray:
        """u: the weight of a track that was heard in the session so far.

        Args:
            back: int [n], how many known events ago it was heard last, 1 for the last.
            length: int [n], known events of the session so far.

        Returns:
            float64 [n].
        """
        return np.ones(len(back))

    def session_weight(self, tracks: np.ndarray, age: np.ndarray) -> np.ndarray:
        """w: the weight of a training session.

        Args:
            tracks: int [sessions], its different tracks, 1 and more.
            age: float64 [sessions], seconds from its end to the last end of all, 0 and more; 0 where no ends are known.

        Returns:
            float64 [sessions].
        """
        return 1 / np.sqrt(tracks)

    def match_weight(self, back: np.ndarray) -> np.ndarray:
        """v: the weight of a neighbour.

        Args:
            back: int [n], how many known events ago the session's last track that both hold was heard, 1 for the last.

        Returns:
            float64 [n].
        """
        return np.ones(len(back))

    def near_weight(self, distance: np.ndarray) -> np.ndarray:
        """x: the weight of a track of a neighbour.

        Args:
            distance: int [n], events between it and the last shared track in the neighbour, 0 for that track.

        Returns:
            float64 [n].
        """
        return np.ones(len(distance))

    def fit(self, train: Sessions, n_items: int) -> SKNN:
        """Sort the sessions, the most recent first, and note who heard what, and where.

        Args:
            train: training sessions, items 0..n_items-1.
            n_items: training tracks.

        Returns:
            The model itself, fitted.
        """
        self.popular = MostPopular().fit(train, n_items)
        ends = np.arange(len(train)) if self.ends is None else np.asarray(self.ends)
        newest_first = np.argsort(ends, kind="stable")[::-1]
        train = train.take(newest_first)
        place = train.position_of_event
        pair, last = _last_of_each(train.session_of_event * n_items + train.items)
        session, item = np.divmod(pair, n_items)
        self.heard = sparse.csr_array((place[last], (session, item)), shape=(len(train), n_items))
        self.heard_by = self.heard.tocsc()  # in each column the most recent sessions come first
        age = np.zeros(len(train)) if self.ends is None else ends.max(initial=0) - ends[newest_first]
        self.weight = self.session_weight(np.maximum(np.diff(self.heard.indptr), 1), age)
        return self

    def score_rows(self, sessions: Sessions, events: np.ndarray) -> Iterator[tuple[sparse.csr_array, np.ndarray]]:
        """As `SparseScores.score_rows`: what the neighbours of each session so far hold."""
        query, item, back = heard_before(sessions, events, sessions.known(self.popular.n_items))
        length = np.bincount(query)  # of each session so far, one event or more
        for first in range(0, len(length), TARGETS):
            last = min(first + TARGETS, len(length))
            part = slice(*np.searchsorted(query, [first, last]))
            scores = self._scores(query[part] - first, item[part], back[part], length[first:last])
            yield scores, np.arange(last - first)

    def _scores(self, query: np.ndarray, item: np.ndarray, back: np.ndarray, length: np.ndarray) -> sparse.csr_array:
        query, session, similarity, place = self._neighbours(query, item, back, length)
        which, where = ranges(self.heard.indptr[session], self.heard.indptr[session + 1])
        score = similarity[which] * self.near_weight(np.abs(self.heard.data[where] - place[which]))
        shape = (len(length), self.heard.shape[1])
        return sparse.coo_array((score, (query[which], self.heard.indices[where])), shape=shape).tocsr()

    def _neighbours(self, query: np.ndarray, item: np.ndarray, back: np.ndarray, length: np.ndarray):
        """Query, session, sim * v, and place of the last shared track in the session, for each neighbour."""
        pair, last = _last_of_each(query * self.heard.shape[1] + item)
        query, item = np.divmod(pair, self.heard.shape[1])
        back = back[last]
        weight = self.heard_weight(back, length[query])

        # A session among the most recent that share any track is among the most recent that hold each shared track.
        begin = self.heard_by.indptr[item]
        which, where = ranges(begin, np.minimum(begin + self.sample, self.heard_by.indptr[item + 1]))
        pair = query[which] * len(self.weight) + self.heard_by.indices[where]
        order = np.argsort(pair, kind="stable")
        which, where, pair = which[order], where[order], pair[order]
        first = np.flatnonzero(np.diff(pair, prepend=-1))
        query, session = np.divmod(pair[first], len(self.weight))
        similarity = np.add.reduceat(weight[which], first) * self.weight[session]
        back, place = np.minimum.reduceat(back[which], first), np.maximum.reduceat(self.heard_by.data[where], first)

        recent = np.flatnonzero(place_in_group(query) < self.sample)
        best = recent[np.lexsort((session[recent], -similarity[recent], query[recent]))]
        best = best[place_in_group(query[best]) < self.neighbours]
        return query[best], session[best], (similarity * self.match_weight(back))[best], place[best]


class VSKNN(SKNN):
    """Vector session kNN: u = the track's place in s / length of s, w = 1; v = 1 / back, x = 1."""

    def heard_weight(self, back: np.ndarray, length: np.ndarray) -> np.ndarray:
        """As `SKNN.heard_weight`: linear in the place."""
        return (length - back + 1) / length

    def session_weight(self, tracks: np.ndarray, age: np.ndarray) -> np.ndarray:
        """As `SKNN.session_weight`: the same for all."""
        return np.ones(len(tracks))

    def match_weight(self, back: np.ndarray) -> np.ndarray:
        """As `SKNN.match_weight`: the further back, the less."""
        return 1 / back


class STAN(SKNN):
    """Sequence and time aware neighbourhood: exponential decays of u, w and x around the cosine; v = 1.

    u = exp(-(back - 1) / position_decay), w = exp(-age / time_decay) / sqrt(tracks of n), x = exp(-distance /
    distance_decay). The age counts from the end of training instead of from the session's own time: this changes all
    scores of a session by the same factor, and no rank.

    Args:
        ends: float [training sessions], when each ended, in seconds; None leaves out the decay by time.
        neighbours: most similar sessions that are used.
        sample: most recent sessions that are compared.
        position_decay: in events of the session so far (lambda_spw).
        time_decay: in days (lambda_snh).
        distance_decay: in events of the neighbour (lambda_inh).
    """

    def __init__(
        self,
        ends: np.ndarray | None = None,
        neighbours: int = 500,
        sample: int = 1000,
        position_decay: float = 1.02,
        time_decay: float = 5,
        distance_decay: float = 2.05,
    ):
        super().__init__(ends, neighbours, sample)
        self.position_decay, self.time_decay, self.distance_decay = position_decay, time_decay, distance_decay

    def heard_weight(self, back: np.ndarray, length: np.ndarray) -> np.ndarray:
        """As `SKNN.heard_weight`: exponential in the events since."""
        return np.exp(-(back - 1) / self.position_decay)

    def session_weight(self, tracks: np.ndarray, age: np.ndarray) -> np.ndarray:
        """As `SKNN.session_weight`: exponential in the age."""
        return np.exp(-age / (self.time_decay * DAY)) / np.sqrt(tracks)

    def near_weight(self, distance: np.ndarray) -> np.ndarray:
        """As `SKNN.near_weight`: exponential in the distance."""
        return np.exp(-distance / self.distance_decay)


def _last_of_each(keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The distinct keys, rising, and where each occurs last."""
    distinct, last = np.unique(keys[::-1], return_index=True)
    return distinct, len(keys) - 1 - last
