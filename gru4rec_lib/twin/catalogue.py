"""The simulated catalogue: tracks on albums, albums of artists, artists in genres, with popularity and sound.

Tracks are numbered by genre, artist, album and position on the album, so an album, an artist and a genre are each a
range `first <= track < stop`. `Catalogue.draw` draws a track by popularity from any range. Popularity and sound are
sums of normal numbers of genre, artist, album and track, each with a given share of the variance.

Published values come from mssd_facts.json; `twin/simulate.py` describes the simulation and lists the assumptions.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import ndtri

FACTS = json.loads(Path(__file__).with_name("mssd_facts.json").read_text(encoding="utf-8"))

# Assumptions; see the table in simulate.py.
TRACKS_PER_SESSION, DAY_TRACKS = 100, 2_600_000
DAY_CONCENTRATION = 1.13
TRACKS_PER_GENRE = 5000
ALBUMS_PER_ARTIST = 3.0
ALBUM_TRACKS = {1: 0.45, 2: 0.08, 4: 0.07, 6: 0.05, 10: 0.12, 12: 0.13, 15: 0.06, 20: 0.04}
POPULARITY_SHARES = (0.0, 0.5, 0.2, 0.3)  # genre, artist, album, track
SOUND_SHARES = (0.25, 0.25, 0.15, 0.35)  # genre, artist, album, track
HEARD_SOUNDS = 6
US_POPULARITY = 0.6
MEAN_PLAY_SCORE = 1.3
LIST_TRACKS = 50
LISTS_PER_GENRE = 4


@dataclass(frozen=True)
class Catalogue:
    """N tracks.

    Args:
        album, artist, genre: (N,) int32, of each track; ascending.
        album_first, artist_first, genre_first: first track of each, and N at the end.
        popularity: (N + 1,) float64, cumulative share of all plays, 0 to 1.
        sound: (N, HEARD_SOUNDS) float32, the principal components of the features that listeners react to.
        lists: (genres + 1, LISTS_PER_GENRE, LIST_TRACKS) int32, editorial playlists of each genre, then of all genres.
        charts: (LIST_TRACKS,) int64, the most popular tracks.
    """

    album: np.ndarray
    artist: np.ndarray
    genre: np.ndarray
    album_first: np.ndarray
    artist_first: np.ndarray
    genre_first: np.ndarray
    popularity: np.ndarray
    sound: np.ndarray
    lists: np.ndarray
    charts: np.ndarray

    def __len__(self) -> int:
        return len(self.album)

    def draw(self, first: np.ndarray, stop: np.ndarray, uniform: np.ndarray) -> np.ndarray:
        """Draw tracks of `first <= track < stop` by popularity.

        Args:
            first: int, the first track of each range, in any shape.
            stop: int, the track after its last, in the same shape.
            uniform: float64 in [0, 1), random numbers in the same shape.

        Returns:
            int64 track numbers.
        """
        low, high = self.popularity[first], self.popularity[stop]
        track = np.searchsorted(self.popularity, low + uniform * (high - low), side="right") - 1
        return np.clip(track, first, stop - 1)

    def artist_of(self, track: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the range of tracks by each track's artist.

        Args:
            track: int, track numbers in any shape.

        Returns:
            int64, first track and the track after the last, in the shape of `track`.
        """
        return self.artist_first[self.artist[track]], self.artist_first[self.artist[track] + 1]

    def genre_of(self, track: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the range of tracks of each track's genre.

        Args:
            track: int, track numbers in any shape.

        Returns:
            int64, first track and the track after the last, in the shape of `track`.
        """
        return self.genre_first[self.genre[track]], self.genre_first[self.genre[track] + 1]


def build(sessions: int, rng: np.random.Generator) -> Catalogue:
    """Build the catalogue of a study, in proportion to its sessions.

    Args:
        sessions: sessions of all log files together.
        rng: source of randomness.

    Returns:
        TRACKS_PER_SESSION tracks for each session, counting at least 100 sessions; at most DAY_TRACKS.
    """
    ranks = FACTS["plays_per_track"]["rank"]
    n = min(TRACKS_PER_SESSION * max(sessions, 100), DAY_TRACKS)
    lengths = rng.choice(list(ALBUM_TRACKS), size=n, p=list(ALBUM_TRACKS.values()))
    album = np.repeat(np.arange(n, dtype=np.int32), lengths)[:n]
    artist = np.repeat(np.arange(n, dtype=np.int32), rng.geometric(1 / ALBUMS_PER_ARTIST, n))[album]
    genres = max(n // TRACKS_PER_GENRE, 1)
    genre = np.sort(rng.integers(genres, size=artist[-1] + 1, dtype=np.int32))[artist]
    genre = np.unique(genre, return_inverse=True)[1].astype(np.int32)
    layers = (genre, artist, album, np.arange(n))

    # The k-th most popular track has the share of the real k-th most played track, to the power of one day's logs.
    order = np.argsort(-layered(rng, layers, POPULARITY_SHARES, 1)[:, 0], kind="stable")
    plays = np.interp(np.log(np.arange(1, n + 1)), np.log(ranks), np.log(FACTS["plays_per_track"]["plays"]))
    share = np.empty(n)
    share[order] = np.exp(DAY_CONCENTRATION * (plays - plays[0]))
    popularity = np.concatenate([[0.0], np.cumsum(share / share.sum())])

    strength = np.sqrt(components()[1][:HEARD_SOUNDS]).astype(np.float32)
    catalogue = Catalogue(
        *(album, artist, genre),
        *(np.append(np.flatnonzero(np.diff(ids, prepend=-1)), n) for ids in (album, artist, genre)),
        popularity=popularity / popularity[-1],
        sound=layered(rng, layers, SOUND_SHARES, HEARD_SOUNDS) * strength,
        lists=np.empty((genre[-1] + 2, LISTS_PER_GENRE, LIST_TRACKS), np.int32),
        charts=order[:LIST_TRACKS],
    )
    first, stop = np.append(catalogue.genre_first[:-1], 0), np.append(catalogue.genre_first[1:], n)
    shape = (len(first), LISTS_PER_GENRE, 3 * LIST_TRACKS)
    drawn = catalogue.draw(first[:, None, None], stop[:, None, None], rng.random(shape))
    catalogue.lists[:] = distinct(drawn.reshape(-1, shape[-1]), LIST_TRACKS).reshape(catalogue.lists.shape)
    return catalogue


def layered(rng: np.random.Generator, layers: Sequence[np.ndarray], shares: Sequence[float], d: int) -> np.ndarray:
    """Draw normal numbers with mean 0 and variance 1 that are correlated within groups.

    Args:
        rng: source of randomness.
        layers: for each layer (N,) group numbers from 0.
        shares: share of the variance of each layer; they sum to 1.
        d: independent columns.

    Returns:
        (N, d) float32.
    """
    total = np.zeros((len(layers[0]), d), np.float32)
    for groups, share in zip(layers, shares, strict=True):
        total += np.float32(share**0.5) * rng.standard_normal((groups.max() + 1, d), dtype=np.float32)[groups]
    return total


def distinct(rows: np.ndarray, k: int) -> np.ndarray:
    """Return the first k different values of each row in their order; repeats fill up rows that have fewer.

    Args:
        rows: (n, m) int, m >= k.
        k: values to keep.

    Returns:
        (n, k), the type of `rows`.
    """
    return np.take_along_axis(rows, np.argsort(repeated(rows), axis=1, kind="stable")[:, :k], 1)


def repeated(rows: np.ndarray) -> np.ndarray:
    """Mark values that occur earlier in the same row.

    Args:
        rows: (n, m) int.

    Returns:
        (n, m) bool.
    """
    order = np.argsort(rows, axis=1, kind="stable")
    ordered = np.take_along_axis(rows, order, 1)
    again = np.zeros(rows.shape, bool)
    np.put_along_axis(again, order[:, 1:], ordered[:, 1:] == ordered[:, :-1], 1)
    return again


def pull_of_popularity() -> np.ndarray:
    """Compute the correlation of each feature's normal score with that of popularity, (28,) float64.

    Played tracks differ from the catalogue: newer, louder, less acoustic. Differences were published for some features;
    those of the others follow by regression.
    """
    columns, matrix = FACTS["feature_correlation"]["columns"], np.array(FACTS["feature_correlation"]["matrix"])
    shift = FACTS["play_shift"]["normal_score"]
    known = [columns.index(name) for name in shift]
    pull = matrix[:, known] @ np.linalg.solve(matrix[np.ix_(known, known)], list(shift.values())) / MEAN_PLAY_SCORE
    pull[columns.index("us_popularity_estimate")] = US_POPULARITY
    return pull


def components() -> tuple[np.ndarray, np.ndarray]:
    """Compute the principal components of the real feature correlations without the part of popularity.

    Returns:
        (28, 28) directions in columns, and (28,) variances, descending; slightly negative ones are set to 0.
    """
    pull = pull_of_popularity()
    variance, directions = np.linalg.eigh(np.array(FACTS["feature_correlation"]["matrix"]) - np.outer(pull, pull))
    return directions[:, ::-1], np.maximum(variance[::-1], 0)


def features(catalogue: Catalogue, tracks: np.ndarray, plays: np.ndarray, rng: np.random.Generator) -> pd.DataFrame:
    """Draw the 29 published features of tracks (a Gaussian copula: real marginals, real correlations).

    Args:
        catalogue: the catalogue of the tracks.
        tracks: (n,) int64, ascending track numbers.
        plays: (n,) int64, how often each was played.
        rng: source of randomness.

    Returns:
        n rows, the official columns without `track_id`; float32, whole numbers int, `mode` text. Official units:
        duration in s, loudness in dB, tempo in beats per minute.
    """
    groups = (catalogue.genre[tracks], catalogue.artist[tracks], catalogue.album[tracks], tracks)
    layers = [np.unique(ids, return_inverse=True)[1] for ids in groups]
    directions, variance = components()
    unheard = layered(rng, layers, SOUND_SHARES, len(variance) - HEARD_SOUNDS) * np.sqrt(variance[HEARD_SOUNDS:])
    rank = np.argsort(np.argsort(np.diff(catalogue.popularity)[tracks], kind="stable"))
    popularity = ndtri((rank + 0.5) / len(tracks))
    scores = np.hstack([catalogue.sound[tracks], unheard]) @ directions.T
    # A few artists have most plays: remove the chance effect of their sound on the features of played tracks.
    chance, played = plays @ scores / plays.sum(), plays @ popularity / plays.sum()
    scores += np.outer(popularity, pull_of_popularity() - chance / played)
    scores = (scores - scores.mean(0)) / scores.std(0)

    table = {}
    for column, score in zip(FACTS["feature_correlation"]["columns"], scores.T, strict=True):
        real = FACTS["features"]["marginals"][column]
        if "p" in real:
            table[column] = np.interp(score, ndtri(real["p"]), real["q"]).astype(np.float32)
        else:
            rising = ndtri(np.cumsum(real["n"])[:-1] / np.sum(real["n"]))
            table[column] = np.array(real["value"])[np.searchsorted(rising, score)]
    frame = pd.DataFrame(table)
    minor, minor_plays = ndtri([1 - FACTS["features"]["mode_major"], 1 - FACTS["play_shift"]["mode_major"]])
    pull = (minor - minor_plays) / MEAN_PLAY_SCORE
    taste = rng.standard_normal(len(tracks))
    major = (pull - plays @ taste / plays.sum() / played) * popularity + taste > minor
    frame.insert(frame.columns.get_loc("mechanism") + 1, "mode", np.where(major, "major", "minor"))
    return frame
