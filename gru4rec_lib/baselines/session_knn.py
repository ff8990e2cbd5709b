"""Baselines that find training sessions similar to the session so far, and recommend the tracks of these.

They differ in their weights (Ludewig & Jannach, arXiv 1803.09587, section 3.2; STAN: Garg et al., SIGIR 2019; VSTAN:
Ludewig et al., arXiv 1910.12781). The `sample` most recent training sessions n that share a track with the session s
are compared by

    sim(s, n) = w(n) * sum of u(i, s) over the tracks i that s and n share.

Of the `neighbours` most similar ones (of equal ones the more recent) each track j collects

    score(j, s) = y(j) * sum of sim(s, n) * v(s, n) * x(j, s, n) over the neighbours n that hold j.

A track counts once in s and once in n, at its last place. Only tracks of training count.
"""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import Field
from scipy import sparse

from gru4rec_lib.baselines.base import SparseBaseline
from gru4rec_lib.baselines.weighting import Weighting, by_distance, by_place
from gru4rec_lib.data.history import heard_before, place_in_group, ranges
from gru4rec_lib.utils.checked import Count, Number

TARGETS = 64  # looked up together, to bound memory
DAY = 24 * 3600
LARGEST = 170  # of the exponents of one weight: the product of four is above 0 in float64

Decay = Annotated[Number, Field(gt=0)]


class SessionKNN(SparseBaseline):
    """The search for neighbours; subclasses give the weights, which are 1 here.

    Args:
        neighbours: number of most similar sessions that are used.
        sample: number of most recent sessions that are compared.
    """

    neighbours: Count = 100
    sample: Count = 1000

    _heard: sparse.csr_array  # [sessions, items], last place of the item in the session; the most recent session first
    _heard_by: sparse.csc_array  # the same by item
    _tracks: np.ndarray  # int [sessions], different tracks
    _weight: np.ndarray  # float64 [sessions], w; in STAN without the decay by age
    _age: np.ndarray  # float64 [sessions], seconds before the last end of all; 0 without ends
    _idf: np.ndarray  # float64 [items], log(sessions / sessions with the item)

    def _heard_weight(self, back: np.ndarray, length: np.ndarray) -> np.ndarray:
        """Weight u of a track that is the `back`-th from the end (1 the last) of `length` known events."""
        return np.ones(len(back))

    def _session_weight(self) -> np.ndarray:
        """Weight w of the training sessions."""
        return np.ones(len(self._tracks))

    def _similarity(
        self, shared: np.ndarray, n_heard: np.ndarray, session: np.ndarray, newest: np.ndarray
    ) -> np.ndarray:
        """Similarity sim of `session`, up to a factor that all sessions compared with the same one have.

        `shared` is the sum of u, `n_heard` the number of different tracks of the session so far, `newest` the most
        recent of the sessions compared with it.
        """
        return shared * self._weight[session]

    def _match_weight(self, back: np.ndarray) -> np.ndarray:
        """Weight v of a neighbour whose last shared track is the `back`-th from the end (1 the last)."""
        return np.ones(len(back))

    def _near_weight(self, distance: np.ndarray) -> np.ndarray:
        """Weight x of a track `distance` events from the last shared track in the neighbour."""
        return np.ones(len(distance))

    def _item_weight(self) -> np.ndarray | None:
        """Weight y of each track: float64 [items]; None for 1."""
        return None

    def _fit(self, train, features, ends):
        n_items, has_ends = self._n_items, ends is not None
        ends = np.asarray(ends) if has_ends else np.arange(len(train))
        newest_first = np.argsort(ends, kind="stable")[::-1]
        train = train.take(newest_first)
        place = train.position_of_event
        pair, last = _last_of_each(train.session_of_event * n_items + train.items)
        session, item = np.divmod(pair, n_items)
        self._heard = sparse.csr_array((place[last], (session, item)), shape=(len(train), n_items))
        self._heard_by = self._heard.tocsc()
        self._tracks = np.maximum(np.diff(self._heard.indptr), 1)
        self._age = (ends.max(initial=0) - ends[newest_first]) * has_ends
        self._weight = self._session_weight()
        self._idf = np.log(max(len(train), 1) / np.maximum(np.diff(self._heard_by.indptr), 1))

    def _score_rows(self, sessions, events):
        query, item, back = heard_before(sessions, events, sessions.known(self._n_items))
        length = np.bincount(query)  # of each session so far, 1 or more
        for first in range(0, len(length), TARGETS):
            last = min(first + TARGETS, len(length))
            part = slice(*np.searchsorted(query, [first, last]))
            scores = self._scores(query[part] - first, item[part], back[part], length[first:last])
            yield scores, np.arange(last - first)

    def _scores(self, query: np.ndarray, item: np.ndarray, back: np.ndarray, length: np.ndarray) -> sparse.csr_array:
        """Scores [queries, items], from the known events of each session so far, as `heard_before` gives them."""
        n_queries, weight = len(length), self._item_weight()
        query, session, similarity, place = self._neighbours(query, item, back, length)
        which, where = ranges(self._heard.indptr[session], self._heard.indptr[session + 1])
        item = self._heard.indices[where]
        score = similarity[which] * self._near_weight(np.abs(self._heard.data[where] - place[which]))
        if weight is not None:
            score *= weight[item]
        return sparse.coo_array((score, (query[which], item)), shape=(n_queries, self._n_items)).tocsr()

    def _neighbours(self, query: np.ndarray, item: np.ndarray, back: np.ndarray, length: np.ndarray):
        """Query, session, sim * v, and place of the last shared track in the session, for each neighbour."""
        pair, last = _last_of_each(query * self._n_items + item)
        query, item = np.divmod(pair, self._n_items)
        back, n_heard = back[last], np.bincount(query)
        weight = self._heard_weight(back, length[query])

        # A session among the most recent that share any track is among the most recent that hold each shared track.
        begin = self._heard_by.indptr[item]
        which, where = ranges(begin, np.minimum(begin + self.sample, self._heard_by.indptr[item + 1]))
        pair = query[which] * len(self._weight) + self._heard_by.indices[where]
        order = np.argsort(pair, kind="stable")
        which, where, pair = which[order], where[order], pair[order]
        first = np.flatnonzero(np.diff(pair, prepend=-1))
        query, session = np.divmod(pair[first], len(self._weight))
        nth = place_in_group(query)  # 0 for the most recent session of a query
        newest = session[np.arange(len(session)) - nth]
        similarity = self._similarity(np.add.reduceat(weight[which], first), n_heard[query], session, newest)
        back, place = np.minimum.reduceat(back[which], first), np.maximum.reduceat(self._heard_by.data[where], first)

        recent = np.flatnonzero(nth < self.sample)
        best = recent[np.lexsort((session[recent], -similarity[recent], query[recent]))]
        best = best[place_in_group(query[best]) < self.neighbours]
        return query[best], session[best], (similarity * self._match_weight(back))[best], place[best]


class SKNN(SessionKNN):
    """Session kNN: u = v = x = y = 1.

    Args:
        neighbours, sample: as in `SessionKNN`.
        similarity: with c shared tracks, and a and b different tracks in the session so far and in n: `cosine`
            c/√b (√a is the same for all n), `jaccard` c/(a + b - c), `binary` 2c/(2c + a + b).
    """

    kind = "sknn"
    similarity: Literal["cosine", "jaccard", "binary"] = "cosine"

    def _session_weight(self):
        return 1 / np.sqrt(self._tracks)

    def _similarity(self, shared, n_heard, session, newest):
        if self.similarity == "cosine":
            return super()._similarity(shared, n_heard, session, newest)
        both = n_heard + self._tracks[session]
        return shared / (both - shared) if self.similarity == "jaccard" else 2 * shared / (2 * shared + both)


class VSKNN(SessionKNN):
    """Vector session kNN: u and v fall with the events since; w = x = 1, y = 1 + idf_weighting * idf(j).

    Args:
        neighbours, sample: as in `SessionKNN`.
        weighting: u, by the place in the session so far; see `weighting.by_place`.
        weighting_score: v, by the events since the last shared track, that one included; see `weighting.by_distance`.
        idf_weighting: weight of idf(j) = log(training sessions / those with j).
    """

    kind = "v_sknn"
    weighting: Weighting = "div"
    weighting_score: Weighting = "div"
    idf_weighting: Number = Field(0, ge=0)

    def _heard_weight(self, back, length):
        return by_place(self.weighting, back, length)

    def _match_weight(self, back):
        return by_distance(self.weighting_score, back)

    def _item_weight(self):
        return 1 + self.idf_weighting * self._idf if self.idf_weighting else None


class STAN(SessionKNN):
    """Sequence and time aware neighbourhood: exponential decays of u, w and x around the cosine; v = y = 1.

    u = exp(-(back - 1) / position_decay), w = exp(-age / time_decay) / sqrt(tracks of n), x = exp(-distance /
    distance_decay). The age counts from the most recent of the sessions compared instead of from the session's own
    time: this multiplies all scores of a session by one factor and changes no rank. No exponential is below
    exp(-LARGEST), so that the tracks of old or distant neighbours keep a score above 0.

    Args:
        neighbours, sample: as in `SessionKNN`.
        position_decay: in events of the session so far (lambda_spw).
        time_decay: in days (lambda_snh); without effect where the ends of sessions are unknown.
        distance_decay: in events of the neighbour (lambda_inh).
    """

    kind = "stan"
    neighbours: Count = 500
    position_decay: Decay = 1.02
    time_decay: Decay = 5
    distance_decay: Decay = 2.05

    def _heard_weight(self, back, length):
        return _decay(back - 1, self.position_decay)

    def _session_weight(self):
        return 1 / np.sqrt(self._tracks)

    def _similarity(self, shared, n_heard, session, newest):
        older = self._age[session] - self._age[newest]
        return super()._similarity(shared, n_heard, session, newest) * _decay(older, self.time_decay * DAY)

    def _near_weight(self, distance):
        return _decay(distance, self.distance_decay)


class VSTAN(STAN):
    """STAN with the weights of VSKNN: v = exp(-(back - 1) / match_decay), y = 1 + idf_weighting * idf(j).

    Args:
        neighbours, sample, position_decay, time_decay, distance_decay: as in `STAN`.
        match_decay: in events of the session so far (lambda_ipw).
        idf_weighting: as in `VSKNN` (lambda_idf).
    """

    kind = "vstan"
    match_decay: Decay = 1.02
    idf_weighting: Number = Field(5, ge=0)

    def _match_weight(self, back):
        return _decay(back - 1, self.match_decay)

    def _item_weight(self):
        return 1 + self.idf_weighting * self._idf


def _decay(value: np.ndarray, scale: float) -> np.ndarray:
    return np.exp(-np.minimum(value / scale, LARGEST))


def _last_of_each(keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The distinct keys, rising, and the last index of each."""
    distinct, last = np.unique(keys[::-1], return_index=True)
    return distinct, len(keys) - 1 - last
