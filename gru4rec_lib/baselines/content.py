"""Baselines that know a track by its features alone, and so can recommend what nobody has heard yet.

Both rank all candidates, in `open` also those unseen in training, and take every candidate as input.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy import sparse

from gru4rec_lib.baselines.popularity import MostPopular
from gru4rec_lib.data.features import Features
from gru4rec_lib.data.history import heard_before, last_heard
from gru4rec_lib.data.sessions import Sessions
from gru4rec_lib.data.vectors import unit_vectors
from gru4rec_lib.ranking.exact import best, popularity_top
from gru4rec_lib.ranking.sparse import sparse_top

TARGETS, CANDIDATES = 256, 16384  # scored together: targets x candidates floats, whatever the size of the catalogue
TIE = 1e-6  # float32 products of equal rows differ by less


class SameArtist:
    """Other tracks of the artist heard last, by plays; behind them the track heard last, then all others by plays.

    The artist is the first feature of the item table with one value an item. Tracks unseen in training have no plays
    and so share their artist's last rank. Before the first track with an artist, tracks are ranked by plays.

    Args:
        features: of the candidates.

    Raises:
        ValueError: no feature has one value an item.
    """

    beyond_training = True

    def __init__(self, features: Features | None):
        groups = features.categories.values() if features else ()
        artist = next((codes[:, 0] for codes in groups if codes.shape[1] == 1), None)
        if artist is None:
            raise ValueError("same_artist needs a categorical feature, such as the artist; take it out of `baselines`")
        self.artist = np.asarray(artist)

    def fit(self, train: Sessions, n_items: int) -> SameArtist:
        """Count plays.

        Args:
            train: training sessions, items 0..n_items-1.
            n_items: training tracks.

        Returns:
            The model itself, fitted.
        """
        self.popular = MostPopular().fit(train, n_items)
        self.plays = np.bincount(train.items, minlength=len(self.artist))
        return self

    def rank(
        self, sessions: Sessions, n_candidates: int, chosen: np.ndarray | None = None, above: bool = False
    ) -> np.ndarray:
        """As `GRU4Rec.rank`; a target without features or plays is a miss."""
        ranks = self.popular.rank(sessions, n_candidates, chosen, above)
        wanted = sessions.targets(chosen)
        target, last = sessions.items[wanted], self._last_heard(sessions)[wanted]
        by_artist = (target >= 0) & (last >= 0)
        ranks[by_artist] = self._ranks(last[by_artist], target[by_artist], n_candidates, above)
        return ranks

    def top(self, sessions: Sessions, n_candidates: int, chosen: np.ndarray | None = None, k: int = 20) -> np.ndarray:
        """The k best candidates at every chosen target; see `GRU4Rec.top`."""
        found = self.popular.top(sessions, n_candidates, chosen, k)
        last = self._last_heard(sessions)[sessions.targets(chosen)]
        heard, which = np.unique(last[last >= 0], return_inverse=True)
        by_plays = popularity_top(self.plays, min(n_candidates, len(self.plays)), n_candidates)
        artist, place = self.artist[by_plays], np.flatnonzero(self.artist[by_plays] > 0)
        shape = (self.artist.max() + 1, len(by_plays))
        scores = sparse.csr_array((np.full(len(place), 2.0), (artist[place], place)), shape=shape)[self.artist[heard]]
        itself = by_plays[scores.indices] == np.repeat(heard, np.diff(scores.indptr))
        scores.data[itself] = 1  # behind the artist's other tracks, before all others
        found[last >= 0] = np.append(by_plays, np.int32(-1))[sparse_top(scores, which, len(by_plays), k)]  # -1 stays -1
        return found

    def _last_heard(self, sessions: Sessions) -> np.ndarray:
        """For every event, the last track with an artist before it; -1 where there is none."""
        has_artist = (sessions.items >= 0) & (self.artist[sessions.items] > 0)  # 0 is an artist unseen in training
        return last_heard(sessions, has_artist)

    def _ranks(self, last: np.ndarray, target: np.ndarray, n_candidates: int, above: bool) -> np.ndarray:
        artist, plays, width = self.artist[last].astype(np.int64), self.plays[:n_candidates], self.plays.max() + 1
        key = np.sort(self.artist[:n_candidates] * width + plays)
        own, everyone = self.plays[target] + above, np.sort(plays)  # plays are whole numbers
        of_artist = np.searchsorted(key, (artist + 1) * width) - np.searchsorted(key, artist * width)
        of_artist_ahead = np.searchsorted(key, (artist + 1) * width) - np.searchsorted(key, artist * width + own)
        beyond = target >= n_candidates
        left_out = beyond | above  # of the counts: the target itself
        ahead = len(plays) - np.searchsorted(everyone, own) + left_out
        last_is_ahead = (last < n_candidates) & (self.plays[last] >= own)
        by_artist = np.where(target == last, of_artist + beyond, of_artist_ahead - last_is_ahead + left_out)
        return np.where(self.artist[target] == artist, by_artist, of_artist + ahead - of_artist_ahead)


class ContentKNN:
    """Tracks by the cosine between their features and the mean of those heard in the session so far.

    A track's features are its standardised numbers, scaled to length 1, beside its categories weighted by tf-idf (a
    rare tag tells more than a common one), scaled to length 1. Cosines within 1e-6 tie. Before the first track with
    features, tracks are ranked by plays.

    Args:
        features: of the candidates.

    Raises:
        ValueError: there are none.
    """

    beyond_training = True

    def __init__(self, features: Features | None):
        if features is None:
            raise ValueError("content_knn needs features of the items; take it out of `baselines`")
        self.features = features

    def fit(self, train: Sessions, n_items: int) -> ContentKNN:
        """Weigh the categories by the training tracks.

        Args:
            train: training sessions, items 0..n_items-1.
            n_items: training tracks.

        Returns:
            The model itself, fitted.
        """
        self.popular = MostPopular().fit(train, n_items)
        self.numbers, self.values = unit_vectors(self.features, n_items)
        return self

    def rank(
        self, sessions: Sessions, n_candidates: int, chosen: np.ndarray | None = None, above: bool = False
    ) -> np.ndarray:
        """As `GRU4Rec.rank`; a target without features or plays is a miss."""
        ranks = self.popular.rank(sessions, n_candidates, chosen, above)
        wanted, usable = sessions.targets(chosen), self._usable(sessions)
        by_features = wanted & (sessions.items >= 0) & (last_heard(sessions, usable) >= 0)
        target = sessions.items[wanted]
        left = np.flatnonzero(by_features[wanted])
        for profile in self._profiles(sessions, by_features, usable):
            own, left = np.split(left, [TARGETS])
            ranks[own] = self._ranks(profile, target[own], n_candidates, above)
        return ranks

    def top(self, sessions: Sessions, n_candidates: int, chosen: np.ndarray | None = None, k: int = 20) -> np.ndarray:
        """The k best candidates at every chosen target; see `GRU4Rec.top`."""
        found = self.popular.top(sessions, n_candidates, chosen, k)
        wanted, usable = sessions.targets(chosen), self._usable(sessions)
        by_features = wanted & (last_heard(sessions, usable) >= 0)
        left = np.flatnonzero(by_features[wanted])
        for profile in self._profiles(sessions, by_features, usable):
            own, left = np.split(left, [TARGETS])
            blocks = self._cosines(*profile, n_candidates)
            found[own] = best(((first, np.rint(cosines.T / TIE)) for first, cosines in blocks), k)
        return found

    def _usable(self, sessions: Sessions) -> np.ndarray:
        """Bool [events], whether an event is on a track with features."""
        described = (self.numbers != 0).any(axis=1) | (np.diff(self.values.indptr) > 0)
        return np.isin(sessions.items, np.flatnonzero(described))

    def _profiles(self, sessions: Sessions, events: np.ndarray, usable: np.ndarray) -> Iterator[tuple[np.ndarray, ...]]:
        """Directions of what was heard before each of the events, TARGETS of them at a time: [n, F], [values, n]."""
        query, heard, _ = heard_before(sessions, events, usable)
        shape = (events.sum(), len(self.numbers))
        all_heard = sparse.csr_array((np.ones(len(query), np.float32), (query, heard)), shape=shape)
        for first in range(0, len(all_heard.indptr) - 1, TARGETS):
            part = all_heard[first : first + TARGETS]
            numbers, values = part @ self.numbers, (part @ self.values).toarray()
            length = np.sqrt((numbers**2).sum(axis=1) + (values**2).sum(axis=1))[:, None]
            scale = 1 / np.where(length > 0, length, 1)
            yield numbers * scale, np.ascontiguousarray((values * scale).T)

    def _cosines(self, numbers: np.ndarray, values: np.ndarray, n_candidates: int) -> Iterator[tuple[int, np.ndarray]]:
        """First candidate of each block, and float32 [candidates of the block, n]."""
        for first in range(0, n_candidates, CANDIDATES):
            block = slice(first, min(first + CANDIDATES, n_candidates))
            yield first, self.numbers[block] @ numbers.T + self.values[block] @ values

    def _ranks(self, profile: tuple, target: np.ndarray, n_candidates: int, above: bool) -> np.ndarray:
        numbers, values = profile
        own = (self.numbers[target] * numbers).sum(axis=1) + self.values[target].multiply(values.T).sum(axis=1)
        ahead = np.where(target < n_candidates, int(above), 1)
        for _, cosines in self._cosines(numbers, values, n_candidates):
            ahead += ((cosines > own + TIE) if above else (cosines >= own - TIE)).sum(axis=0)
        return ahead
