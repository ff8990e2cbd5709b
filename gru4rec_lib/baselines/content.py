"""Baselines that know a track by its features, and so can recommend tracks unseen in training."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy import sparse

from gru4rec_lib.baselines.base import Baseline
from gru4rec_lib.data.history import heard_before, last_heard
from gru4rec_lib.data.sessions import Sessions
from gru4rec_lib.data.vectors import unit_vectors
from gru4rec_lib.ranking.exact import best
from gru4rec_lib.ranking.popularity import popularity_top
from gru4rec_lib.ranking.sparse import sparse_top

TARGETS, CANDIDATES = 256, 16384  # scored together, to bound memory
TIE = 1e-6  # float32 products of equal rows differ by less


class SameArtist(Baseline):
    """Other tracks of the last artist by plays, then the last track, then all other tracks by plays.

    The artist is the first feature with a single value an item. Tracks unseen in training have no plays: they share
    the last rank of their artist.
    """

    kind = "same_artist"
    beyond_training = True
    needs_features = True
    needs_category = True

    _artist: np.ndarray  # int [candidates], 0 for one unseen in training, -1 for none
    _all_plays: np.ndarray  # int [candidates]

    def _fit(self, train, features, ends):
        artist = next((codes[:, 0] for codes in features.categories.values() if codes.shape[1] == 1), None)
        if artist is None:
            raise ValueError("same_artist needs a categorical feature, such as the artist; leave this baseline out")
        self._artist = np.asarray(artist)
        self._all_plays = np.bincount(train.items, minlength=len(artist))

    def _usable(self, sessions):
        return (sessions.items >= 0) & (self._artist[sessions.items] > 0)

    def _last(self, sessions: Sessions, events: np.ndarray) -> np.ndarray:
        return last_heard(sessions, self._usable(sessions))[events]

    def _rank(self, sessions, events, n_candidates, above):
        target, last = sessions.items[events], self._last(sessions, events)
        artist, plays = self._artist[last].astype(np.int64), self._all_plays[:n_candidates]
        width = self._all_plays.max() + 1
        key = np.sort(self._artist[:n_candidates] * width + plays)
        own, everyone = self._all_plays[target] + above, np.sort(plays)  # plays are whole numbers
        of_artist = np.searchsorted(key, (artist + 1) * width) - np.searchsorted(key, artist * width)
        of_artist_ahead = np.searchsorted(key, (artist + 1) * width) - np.searchsorted(key, artist * width + own)
        beyond = target >= n_candidates
        not_counted = beyond | above  # the target itself is not among those counted
        ahead = len(plays) - np.searchsorted(everyone, own) + not_counted
        last_is_ahead = (last < n_candidates) & (self._all_plays[last] >= own)
        by_artist = np.where(target == last, of_artist + beyond, of_artist_ahead - last_is_ahead + not_counted)
        return np.where(self._artist[target] == artist, by_artist, of_artist + ahead - of_artist_ahead)

    def _top(self, sessions, events, n_candidates, k):
        last, which = np.unique(self._last(sessions, events), return_inverse=True)
        by_plays = popularity_top(self._all_plays, min(n_candidates, len(self._all_plays)), n_candidates)
        artist, place = self._artist[by_plays], np.flatnonzero(self._artist[by_plays] > 0)
        shape = (self._artist.max() + 1, len(by_plays))
        scores = sparse.csr_array((np.full(len(place), 2.0), (artist[place], place)), shape=shape)[self._artist[last]]
        itself = by_plays[scores.indices] == np.repeat(last, np.diff(scores.indptr))
        scores.data[itself] = 1  # after the artist's other tracks, before all others
        return np.append(by_plays, np.int32(-1))[sparse_top(scores, which, len(by_plays), k)]  # -1 stays -1


class ContentKNN(Baseline):
    """Tracks by the cosine between their features and the mean of those of the session so far.

    The features of a track are its standardised numbers, scaled to length 1, and its categories weighted by tf-idf
    over the training tracks, scaled to length 1. Cosines within 1e-6 tie.
    """

    kind = "content_knn"
    beyond_training = True
    needs_features = True

    _numbers: np.ndarray  # float32 [candidates, F]
    _values: sparse.csr_array  # float32 [candidates, values]

    def _fit(self, train, features, ends):
        self._numbers, self._values = unit_vectors(features, self._n_items)

    def _usable(self, sessions):
        described = (self._numbers != 0).any(axis=1) | (np.diff(self._values.indptr) > 0)
        return np.isin(sessions.items, np.flatnonzero(described))

    def _rank(self, sessions, events, n_candidates, above):
        targets, ranks = sessions.items[events], []
        for numbers, values in self._profiles(sessions, events):
            target, targets = np.split(targets, [TARGETS])
            own = (self._numbers[target] * numbers).sum(axis=1) + self._values[target].multiply(values.T).sum(axis=1)
            ahead = np.where(target < n_candidates, int(above), 1)
            for _, cosines in self._cosines(numbers, values, n_candidates):
                ahead += ((cosines > own + TIE) if above else (cosines >= own - TIE)).sum(axis=0)
            ranks.append(ahead)
        return np.concatenate(ranks)

    def _top(self, sessions, events, n_candidates, k):
        found = []
        for profile in self._profiles(sessions, events):
            blocks = self._cosines(*profile, n_candidates)
            found.append(best(((first, np.rint(cosines.T / TIE)) for first, cosines in blocks), k))
        return np.concatenate(found)

    def _profiles(self, sessions: Sessions, events: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Unit vectors of the inputs before the events, TARGETS events at a time: [n, F] and [values, n]."""
        query, heard, _ = heard_before(sessions, events, self._usable(sessions))
        shape = (events.sum(), len(self._numbers))
        all_heard = sparse.csr_array((np.ones(len(query), np.float32), (query, heard)), shape=shape)
        for first in range(0, len(all_heard.indptr) - 1, TARGETS):
            part = all_heard[first : first + TARGETS]
            numbers, values = part @ self._numbers, (part @ self._values).toarray()
            length = np.sqrt((numbers**2).sum(axis=1) + (values**2).sum(axis=1))[:, None]
            scale = 1 / np.where(length > 0, length, 1)
            yield numbers * scale, np.ascontiguousarray((values * scale).T)

    def _cosines(self, numbers: np.ndarray, values: np.ndarray, n_candidates: int) -> Iterator[tuple[int, np.ndarray]]:
        """First candidate of each block, and float32 [candidates of the block, n]."""
        for first in range(0, n_candidates, CANDIDATES):
            block = slice(first, min(first + CANDIDATES, n_candidates))
            yield first, self._numbers[block] @ numbers.T + self._values[block] @ values
