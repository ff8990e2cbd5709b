"""Baselines that know a track by its features alone, and so can recommend what nobody has heard yet.

Both rank all candidates, in `open` also those unseen in training, and take every candidate as input.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.preprocessing import normalize

from gru4rec_lib.features import Features
from gru4rec_lib.heard import heard_before, last_heard
from gru4rec_lib.popular import MostPopular
from gru4rec_lib.sessions import Sessions

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
        """
        self.popular = MostPopular().fit(train, n_items)
        self.plays = np.bincount(train.items, minlength=len(self.artist))
        return self

    def rank(
        self, sessions: Sessions, n_candidates: int, chosen: np.ndarray | None = None, above: bool = False
    ) -> np.ndarray:
        """The rank of every chosen target among the first `n_candidates`; one without features or plays is a miss."""
        ranks = self.popular.rank(sessions, n_candidates, chosen, above)
        wanted = sessions.targets(chosen)
        has_artist = (sessions.items >= 0) & (self.artist[sessions.items] > 0)  # 0 is an artist unseen in training
        target, last = sessions.items[wanted], last_heard(sessions, has_artist)[wanted]
        by_artist = (target >= 0) & (last >= 0)
        ranks[by_artist] = self._ranks(last[by_artist], target[by_artist], n_candidates, above)
        return ranks

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

    def __init__(self, features: Features | None):
        if features is None:
            raise ValueError("content_knn needs features of the items; take it out of `baselines`")
        self.features = features

    def fit(self, train: Sessions, n_items: int) -> ContentKNN:
        """Weigh the categories by the training tracks.

        Args:
            train: training sessions, items 0..n_items-1.
            n_items: training tracks.
        """
        self.popular = MostPopular().fit(train, n_items)
        values = category_counts(self.features)
        if values.shape[1]:
            values = sparse.csr_array(TfidfTransformer().fit(values[:n_items]).transform(values))
        numbers = normalize(self.features.numeric) if self.features.numeric.shape[1] else self.features.numeric
        length = np.sqrt((numbers**2).sum(axis=1) + values.multiply(values).sum(axis=1))
        scale = (1 / np.where(length > 0, length, 1)).astype(np.float32)
        self.numbers = numbers * scale[:, None]
        self.values = sparse.csr_array(sparse.diags_array(scale) @ values, dtype=np.float32)
        return self

    def rank(
        self, sessions: Sessions, n_candidates: int, chosen: np.ndarray | None = None, above: bool = False
    ) -> np.ndarray:
        """The rank of every chosen target among the first `n_candidates`; one without features or plays is a miss."""
        ranks = self.popular.rank(sessions, n_candidates, chosen, above)
        wanted = sessions.targets(chosen)
        described = np.flatnonzero((self.numbers != 0).any(axis=1) | (np.diff(self.values.indptr) > 0))
        usable = np.isin(sessions.items, described)
        by_features = wanted & (sessions.items >= 0) & (last_heard(sessions, usable) >= 0)
        target, found = sessions.items[by_features], np.empty(by_features.sum(), np.int32)
        query, heard, _ = heard_before(sessions, by_features, usable)
        shape = (len(target), len(self.numbers))
        heard = sparse.csr_array((np.ones(len(query), np.float32), (query, heard)), shape=shape)
        for first in range(0, len(target), TARGETS):
            block = slice(first, first + TARGETS)
            found[block] = self._ranks(heard[block], target[block], n_candidates, above)
        ranks[by_features[wanted]] = found
        return ranks

    def _ranks(self, heard: sparse.csr_array, target: np.ndarray, n_candidates: int, above: bool) -> np.ndarray:
        numbers, values = heard @ self.numbers, (heard @ self.values).toarray()
        length = np.sqrt((numbers**2).sum(axis=1) + (values**2).sum(axis=1))[:, None]
        scale = 1 / np.where(length > 0, length, 1)
        numbers, values = numbers * scale, np.ascontiguousarray((values * scale).T)
        own = (self.numbers[target] * numbers).sum(axis=1) + self.values[target].multiply(values.T).sum(axis=1)
        ahead = np.where(target < n_candidates, int(above), 1)
        for first in range(0, n_candidates, CANDIDATES):
            block = slice(first, min(first + CANDIDATES, n_candidates))
            scores = self.numbers[block] @ numbers.T + self.values[block] @ values
            ahead += ((scores > own + TIE) if above else (scores >= own - TIE)).sum(axis=0)
        return ahead


def category_counts(features: Features) -> sparse.csr_array:
    """How often each known value of each categorical feature is given to a candidate.

    Args:
        features: of the candidates.

    Returns:
        float32 [candidates, values of all features], one feature behind the other; a value unseen in training (0) and
        no value (-1) count nothing.
    """
    counts = [sparse.csr_array((len(features.numeric), 0), dtype=np.float32)]
    for name, codes in features.categories.items():
        row, column = np.nonzero(codes > 0)
        shape = (len(codes), features.sizes[name])
        counts.append(sparse.csr_array((np.ones(len(row), np.float32), (row, codes[row, column])), shape=shape))
    return sparse.hstack(counts, format="csr")
