"""Simulated listeners: when and why a track ends, the next context, and the tracks played there.

`twin/simulate.py` describes the simulation and its assumptions. A *place* is one visit of a listener to a context, such
as a playlist or a chart; it offers a *shelf* of tracks from `twin/catalogue.py`.
"""

from __future__ import annotations

import numpy as np
from scipy.special import ndtr, ndtri

from gru4rec_lib.twin.catalogue import FACTS, LIST_TRACKS, LISTS_PER_GENRE, Catalogue, distinct, repeated

# Assumptions; see the table in simulate.py.
HIT_LISTS = 0.5
FAVOURITES, FAVOURITE_TRACKS = 3, 0.6
RADIO_ARTIST = 0.3
EVERYWHERE = 0.2
HIT_TRACKS, HIT_SLOPE = 0.06, 2.3
HOME = 0.7
FROM_THE_TOP, LATEST_START = 0.6, 12
SHUFFLED = {"catalog": 0.15, "charts": 0.2, "editorial_playlist": 0.35, "user_collection": 0.48}
EAR = 5.0
RESTLESS = 0.55
LEAP = 4
HALF_SESSION = 20
# Shares of: skip_1 to skip_3; skip_2 and skip_3; skip_3 alone; no flag. The rest is not_skipped.
SKIPS = {
    "backbtn": (1.0, 0.0, 0.0, 0.0),
    "fwdbtn": (0.684, 0.161, 0.14, 0.015),
    "endplay": (0.13, 0.185, 0.475, 0.13),
    "logout": (0.13, 0.185, 0.475, 0.13),
    "remote": (0.13, 0.185, 0.475, 0.13),
    "trackdone": (0.0, 0.0, 0.05, 0.005),
}
MINUTES = {"backbtn": 0.4, "fwdbtn": 0.7, "endplay": 4.0, "logout": 4.0, "remote": 2.0, "trackdone": 3.6}

ROWS = 20  # MSSD cuts sessions after this many events
WAY = 35  # tracks played at most in one place; after them, the same ones again
CONTEXTS = tuple(FACTS["rows"]["context_type"])
ENDS = tuple(SKIPS)  # from restless to calm
STARTS = tuple(FACTS["rows"]["reason_start"])
IN_ORDER = ("catalog", "charts", "editorial_playlist")


def share(counts) -> np.ndarray:
    """Divide counts by their sum.

    Args:
        counts: numbers, 0 or more, not all 0.

    Returns:
        float64, in the shape of the counts.
    """
    return np.array(counts, float) / np.sum(counts)


def pick(uniform: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Turn uniform numbers into categories with the given shares.

    Args:
        uniform: float64 in [0, 1).
        shares: (n,) float64, with the sum 1.

    Returns:
        int64 in 0..n-1, in the shape of `uniform`.
    """
    return np.searchsorted(np.cumsum(shares)[:-1], uniform, side="right")


def spread(rng: np.random.Generator, n: int) -> np.ndarray:
    """Draw numbers from [0, 1), one in each of n equal parts, in random order.

    Args:
        rng: source of randomness.
        n: how many.

    Returns:
        (n,) float64.
    """
    return rng.permutation((np.arange(n) + rng.random(n)) / n)


def dealt(rng: np.random.Generator, groups: np.ndarray) -> np.ndarray:
    """Draw normal numbers stratified within each group, in random order.

    Args:
        rng: source of randomness.
        groups: (n,) int, the group of each number, from 0.

    Returns:
        (n,) float64; the mean of each group is close to 0, even in small groups.
    """
    size = np.bincount(groups)
    order = np.lexsort((rng.random(len(groups)), groups))
    place = np.arange(len(groups)) - (np.cumsum(size) - size)[groups[order]]
    normals = np.empty(len(groups))
    normals[order] = ndtri((place + rng.random(len(groups))) / size[groups[order]])
    return normals


def behave(rng: np.random.Generator, n: int) -> dict[str, np.ndarray]:
    """Simulate what n listeners do in each row, without the tracks.

    Args:
        rng: source of randomness.
        n: sessions.

    Returns:
        Arrays (n, ROWS): `context`, `start`, `end` (indices in CONTEXTS, STARTS, ENDS), `switch` (a new place begins),
        `jump` (play stopped and continues in the same place), `step` (position within the place, from 0) and `minute`
        (of the day of the session's first row; below 0 and from 1440 on are other days).
    """
    rows, skip = FACTS["rows"], FACTS["skip"]
    contexts = share([rows["context_type"][name] for name in CONTEXTS])
    ends = share([rows["reason_end"][name] for name in ENDS])
    skip_2 = np.array([sum(SKIPS[name][:2]) for name in ENDS])
    stops = [name in ("endplay", "logout", "remote") for name in ENDS]
    # Start reasons that follow from no end reason occur after a stop. First rows get what the totals then lack.
    passed = share([rows["reason_end"][name] for name in ENDS]) * (rows["events"] - rows["sessions"])
    follows = np.array([STARTS.index(name) if name in ("backbtn", "fwdbtn", "trackdone") else -1 for name in ENDS])
    missing = np.array([rows["reason_start"][name] for name in STARTS], float)
    after_stop = np.where(np.isin(np.arange(len(STARTS)), follows), 0, missing)
    np.subtract.at(missing, follows[follows >= 0], passed[follows >= 0])
    missing = np.where(after_stop > 0, share(after_stop) * (after_stop.sum() - passed[stops].sum()), missing)
    switching = rows["context_switch"] / passed[stops].sum()
    # Context, position and hour shift the share of skip_2 by their published differences, through forward skips.
    mean = skip["skip_2"] / rows["events"]
    by_context = np.array([skip["skip_2_by_context_type"][name] for name in CONTEXTS]) - mean
    forward, done = ENDS.index("fwdbtn"), ENDS.index("trackdone")

    leaves = rng.random(n) < switching
    hour = pick(spread(rng, n), share(rows["hour_of_day"]))
    minute = 60 * (hour + rng.random(n)) - HALF_SESSION
    context, start = pick(rng.random(n), contexts), pick(rng.random(n), share(np.maximum(missing, 0)))
    restless = dealt(rng, context * 24 + np.floor(minute / 60).astype(int) % 24)
    switch, jump, step = np.ones(n, bool), np.zeros(n, bool), np.zeros(n, np.int64)
    walk = {name: [] for name in ("context", "start", "end", "switch", "jump", "step", "minute")}
    for position in range(ROWS):
        shift = by_context[context] + skip["skip_2_by_position"][position] - mean
        shift += np.array(skip["skip_2_by_hour"])[np.floor(minute / 60).astype(int) % 24] - mean
        bounds = np.tile(np.cumsum(ends)[:-1], (n, 1))
        bounds[:, forward:done] += (shift / skip_2[forward])[:, None]
        mood = ndtr(RESTLESS**0.5 * restless + (1 - RESTLESS) ** 0.5 * rng.standard_normal(n))
        end = (mood[:, None] >= bounds).sum(1)
        for name, values in zip(walk, (context, start, end, switch, jump, step, minute), strict=True):
            walk[name].append(values)
        minute = minute + np.array(list(MINUTES.values()))[end] * rng.exponential(size=n)
        stopped = np.array(stops)[end]
        switch = stopped & leaves
        jump = stopped & ~switch
        context = np.where(switch, pick(rng.random(n), contexts), context)
        start = np.where(stopped, pick(rng.random(n), share(after_stop)), follows[end])
        ahead = np.where(jump, rng.integers(1, LEAP + 1, n), np.where(end == ENDS.index("backbtn"), -1, 1))
        step = np.where(switch, 0, np.maximum(step + ahead, 0))
    return {name: np.stack(values, 1) for name, values in walk.items()}


def wander(
    catalogue: Catalogue, rng: np.random.Generator, session: np.ndarray, rows: dict, content_signal: float
) -> tuple[np.ndarray, np.ndarray]:
    """Choose the track of every row.

    Args:
        catalogue: the tracks.
        rng: source of randomness.
        session: (m,) int64, the session of each row, ascending.
        rows: `context`, `switch`, `jump`, `step` of `behave`, (m,) each, without rows after a session's end.
        content_signal: see `simulate.simulate`.

    Returns:
        (m,) int64 track numbers, and (m,) bool: whether the place is shuffled.
    """
    place = np.cumsum(rows["switch"]) - 1
    context, owner = rows["context"][rows["switch"]], session[rows["switch"]]
    shuffled = rng.random(len(context)) < np.array([SHUFFLED.get(name, 0.0) for name in CONTEXTS])[context]

    first_place = np.diff(owner, prepend=-1) > 0
    home = catalogue.draw(np.zeros(first_place.sum(), int), len(catalogue), rng.random(first_place.sum()))
    home = home[np.cumsum(first_place) - 1]
    low, high = catalogue.genre_of(home)
    stays = rng.random(len(home)) < HOME
    low, high = np.where(stays, low, 0), np.where(stays, high, len(catalogue))
    seed = np.where(first_place, home, catalogue.draw(low, high, rng.random(len(home))))

    shelves = np.empty((len(seed), LIST_TRACKS), np.int32)
    for number, name in enumerate(CONTEXTS):
        here = context == number
        shelves[here] = SHELVES[name](catalogue, seed[here], rng)

    ordered = np.isin(context, [CONTEXTS.index(name) for name in IN_ORDER]) & ~shuffled
    late = np.where(rng.random(len(seed)) < FROM_THE_TOP, 0, rng.integers(1, LATEST_START + 1, len(seed)))
    way = late[:, None] + np.arange(WAY)
    way[~ordered] = _by_ear(catalogue, shelves[~ordered], rng, content_signal)
    return shelves[place, way[place, rows["step"] % WAY]].astype(np.int64), shuffled[place]


def _by_ear(catalogue: Catalogue, shelves: np.ndarray, rng: np.random.Generator, content_signal: float) -> np.ndarray:
    """Choose WAY tracks of each shelf in order, by sound: (n, LIST_TRACKS) tracks to (n, WAY) indices into them."""
    n = np.arange(len(shelves))
    sound = catalogue.sound[shelves]
    any_two = np.float32(2 * len(FACTS["feature_correlation"]["columns"]))  # mean squared distance, all features
    pull = rng.gumbel(size=shelves.shape).astype(np.float32)
    pull[repeated(shelves)] -= 1000  # a track twice on the shelf counts once, as long as others are left
    current = np.argmax(pull, 1)
    path = [current]
    for _ in range(WAY - 1):
        pull[n, current] = -np.inf
        gap = np.square(sound - sound[n, current][:, None]).sum(2) / any_two
        current = np.argmax(pull - np.float32(EAR * content_signal) * gap, 1)
        path.append(current)
    return np.stack(path, 1)


def _catalog(catalogue: Catalogue, seed: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    first, stop = (bound[:, None] for bound in catalogue.artist_of(seed))
    album = catalogue.album_first[catalogue.album[seed]][:, None]
    records = first + (album - first + np.arange(LIST_TRACKS)) % (stop - first)
    others = _genre(catalogue, seed, rng)
    return np.where(np.arange(LIST_TRACKS) < stop - first, records, others)


def _genre(catalogue: Catalogue, seed: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    low, high = (bound[:, None] for bound in catalogue.genre_of(seed))
    return catalogue.draw(low, high, rng.random((len(seed), LIST_TRACKS)))


def _editorial(catalogue: Catalogue, seed: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    genre = np.where(rng.random(len(seed)) < HIT_LISTS, len(catalogue.lists) - 1, catalogue.genre[seed])
    return catalogue.lists[genre, pick(rng.random(len(seed)), share(1 / np.arange(1, LISTS_PER_GENRE + 1)))]


def _charts(catalogue: Catalogue, seed: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return np.tile(catalogue.charts, (len(seed), 1))


def _collection(catalogue: Catalogue, seed: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return _artists(catalogue, _genre(catalogue, seed, rng)[:, :FAVOURITES], FAVOURITE_TRACKS, rng)


def _radio(catalogue: Catalogue, seed: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return _artists(catalogue, seed[:, None], RADIO_ARTIST, rng)


def _artists(catalogue: Catalogue, seeds: np.ndarray, of_artists: float, rng: np.random.Generator) -> np.ndarray:
    """Fill shelves with tracks by the seeds' artists (n, k), the first seed's genre, any genre, and hits."""
    size = (len(seeds), LIST_TRACKS * 3 // 2)
    artist = catalogue.artist_of(np.take_along_axis(seeds, rng.integers(seeds.shape[1], size=size), 1))
    genre = [bound[:, None] for bound in catalogue.genre_of(seeds[:, 0])]
    kind = pick(
        rng.random(size), np.array([of_artists, 1 - of_artists - EVERYWHERE - HIT_TRACKS, EVERYWHERE, HIT_TRACKS])
    )
    low, high = (
        np.choose(np.minimum(kind, 2), bounds) for bounds in zip(artist, genre, (0, len(catalogue)), strict=True)
    )
    hits = catalogue.charts[(LIST_TRACKS * rng.random(size) ** HIT_SLOPE).astype(int)]
    tracks = np.where(kind == 3, hits, catalogue.draw(low, high, rng.random(size)))
    return distinct(tracks, LIST_TRACKS)


def _personalised(catalogue: Catalogue, seed: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    low, high = (bound[:, None] for bound in catalogue.genre_of(seed))
    return low + (rng.random((len(seed), LIST_TRACKS)) * (high - low)).astype(np.int64)


SHELVES = {
    "catalog": _catalog,
    "editorial_playlist": _editorial,
    "charts": _charts,
    "user_collection": _collection,
    "radio": _radio,
    "personalized_playlist": _personalised,
}
