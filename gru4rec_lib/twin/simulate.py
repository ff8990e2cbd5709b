"""The MSSD twin: simulated listening sessions in the exact layout of Spotify's data set, which was withdrawn.

**Simulation.** Tracks are on albums, albums belong to artists, artists to genres, and editors collect tracks in
playlists (`twin/catalogue.py`). A listener (`twin/behaviour.py`) has a home genre and visits a *place* of one of six
kinds, the `context_type` of its rows:

- catalog: an artist's records in order, from the album of a seed track;
- editorial_playlist: a playlist of the genre, or of hits;
- charts: the most popular tracks, from the top;
- user_collection: tracks mostly of a few favourite artists, then of the genre, of any genre, and of the charts;
- radio: the same, around the artist of a seed track;
- personalized_playlist: tracks of the genre, independent of their popularity.

A place offers a *shelf* of 50 tracks. The first three kinds, unless shuffled, are played in the order of the shelf.
Otherwise the next track is the one with the highest sum of random noise and similarity in sound to the current track;
`content_signal` is the weight of the similarity. A track ends for a reason: it was played to the end, skipped forward,
skipped back (the previous track is played again), or play stopped. After a stop, some listeners continue further down
the same shelf; others switch to another place, mostly of the home genre.

**Assumptions.** Published values are in mssd_facts.json, each with its source; everything else is an assumption in this
table. None is fitted to the published score of a model. Those marked * were set by trial, so that the mini size (for
DAY_TRACKS: dataset03) matches published counts of plays, tracks and distinct values. During these trials the Recall@20
of most popular and sequential rules on the simulated data was visible. That rules first reached 0.5 was one reason,
together with hits that were too rare, to add tracks of any genre to the shelves (EVERYWHERE).

| name | value | meaning, and reason for the value |
|---|---|---|
| TRACKS_PER_SESSION | 100 | tracks of the catalogue for each session: 20 times the tracks that are played |
| DAY_TRACKS | 2,600,000 * | at most this many of the real 3.6 million: a day has fewer different tracks than a year |
| DAY_CONCENTRATION | 1.13 * | exponent of the year's shares of plays: a day is more concentrated |
| TRACKS_PER_GENRE | 5,000 * | narrow genres: some 700 in the full catalogue |
| ALBUMS_PER_ARTIST, ALBUM_TRACKS | 3, table | geometric; singles, EPs and albums |
| POPULARITY_SHARES | 0, .5, .2, .3 | shares of the variance of popularity: genre, artist, album, track |
| SOUND_SHARES | .25, .25, .15, .35 | the same for sound |
| HEARD_SOUNDS | 6 | principal components of the 28 features used for similarity: two thirds of their variance |
| US_POPULARITY | 0.6 | correlation of us_popularity_estimate with popularity, within the limits of the real ones |
| MEAN_PLAY_SCORE | 1.3 | mean normal score of popularity over mini's plays; turns published shifts into correlations |
| LIST_TRACKS, LISTS_PER_GENRE | 50, 4 | tracks of a list or shelf; playlists per genre, the k-th played ~ 1/k |
| HIT_LISTS | 0.5 * | share of editorial playlists with tracks of all genres |
| FAVOURITES, FAVOURITE_TRACKS | 3, 0.6 | favourite artists of a collection, and their share of it |
| RADIO_ARTIST | 0.3 | the seed artist's share of a radio |
| EVERYWHERE | 0.2 * | share of a collection or radio of any genre, by popularity |
| HIT_TRACKS, HIT_SLOPE | 0.06, 2.3 * | share from the charts, at rank 50 u ** slope for a uniform u |
| HOME | 0.7 | probability that a new place is of the home genre |
| FROM_THE_TOP, LATEST_START | 0.6, 12 | probability that an ordered place starts at its top; else latest start |
| SHUFFLED | table | probability that a place is shuffled, by kind; matches the real share of rows |
| EAR | 5 | weight of an average distance in sound at content_signal 1; the noise has standard deviation 1.3 |
| RESTLESS | 0.55 * | share of the variance of end reasons between sessions; stratified by hour and context |
| LEAP | 4 | largest step forward when play continues after a stop |
| SKIPS | table | skip flags by end reason: read from 201 real rows, then solved for mini's totals |
| PAUSES_AFTER_STOP | .35, .15 | short pauses and others after a stop; elsewhere solved for mini's totals |
| MINUTES | table | mean minutes (exponential) that a track is played, by end reason |
| HALF_SESSION | 20 | minutes from a session's start to its middle, which has the published hours |
| SEEK_TAIL | 2.45, 2.2 | P(n or more seeks, given any) = n ** -this, forward and back: solved for mini's means |
| COLD | 0.05 | tracks with features but no plays, for each track with plays |

**Known differences.** A log of another date has the same catalogue and the same process, without new releases. A
session's last row is not special. At dataset03's size, features of played tracks differ from those of the catalogue by
up to two thirds more than was published for mini.

**Full size.** It was not simulated. 365,448 sessions take 75 seconds on one core and 1.1 GB of memory, so the real 125
million would take 7 hours and 60 GB of disk. Memory depends on the catalogue, not on the sessions; DAY_TRACKS would
have to be the year's 3.6 million.
"""

from __future__ import annotations

import contextlib
import gzip
import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv

from gru4rec_lib.config.data import SIMULATED
from gru4rec_lib.twin.behaviour import CONTEXTS, ENDS, ROWS, SKIPS, STARTS, behave, pick, share, spread, wander
from gru4rec_lib.twin.catalogue import FACTS, Catalogue, build, features
from gru4rec_lib.utils.arguments import user_path, whole
from gru4rec_lib.utils.atomic_write import replacing, sha256

# Assumptions; see the table above.
PAUSES_AFTER_STOP = (0.35, 0.15)
SEEK_TAIL = {"seekfwd": (2.45, 60), "seekback": (2.2, 151)}
COLD = 0.05

BLOCK = 20_000  # sessions in memory at a time; another value gives other data for the same seed


def simulate(
    folder: Path,
    sessions: int,
    seed: int = 1,
    log_dates: Sequence[str] = ("20180715",),
    content_signal: float = 0.5,
) -> None:
    """Write simulated log files and track features in the MSSD layout.

    Args:
        folder: gets `training_set/log_<n>_<date>_000000000000.csv.gz`, one for each date, and
            `track_features/tf_000000000000.csv` with every played track and some others. SIMULATED is written last,
            with these settings and the SHA-256 of each file.
        sessions: sessions in each log file.
        seed: the same seed gives the same bytes.
        log_dates: YYYYMMDD of each log file; most of its sessions are of that day or the day before.
        content_signal: 0 to 1, how much the next track depends on sound, beyond the shelf that it is chosen from: 0 not
            at all, 1 strongly. Unknown for real listeners, so studies of content show a curve over it.
    """
    folder, sessions = user_path(folder), whole(sessions, "sessions")
    if (folder / SIMULATED).exists():  # written again when all files have these settings
        (folder / SIMULATED).unlink()
    catalogue = build(sessions * len(log_dates), np.random.default_rng([seed, 0]))
    ids = _ids(len(catalogue), np.random.default_rng([seed, 1]), "t_")
    plays, digests = np.zeros(len(catalogue), np.int64), {}
    for n, date in enumerate(log_dates):
        names = np.sort(_ids(sessions, np.random.default_rng([seed, 2, n]), f"{n}_"))
        path = folder / "training_set" / f"log_{n}_{date}_000000000000.csv.gz"
        _write(path, _log(catalogue, ids, names, date, content_signal, plays, (seed, 3, n)))
        digests[str(path.relative_to(folder))] = sha256(path)
    rng = np.random.default_rng([seed, 4])
    played = np.flatnonzero(plays)
    cold = rng.choice(np.flatnonzero(plays == 0), round(COLD * len(played)), replace=False)
    tracks = np.sort(np.concatenate([played, cold]))
    table = features(catalogue, tracks, plays[tracks], rng)
    table.insert(0, "track_id", ids[tracks].astype(str))
    path = folder / "track_features" / "tf_000000000000.csv"
    _write(path, [table.sort_values("track_id")])
    digests[str(path.relative_to(folder))] = sha256(path)
    made_with = {"sessions": sessions, "seed": seed, "log_dates": list(log_dates), "content_signal": content_signal}
    with replacing(folder / SIMULATED) as partial:
        partial.write_text(json.dumps({"simulated": True, **made_with, "sha256": digests}) + "\n", encoding="utf-8")


def _log(catalogue, ids, names, date, content_signal, plays, key) -> Iterator[pd.DataFrame]:
    """Yield the rows of one log file, a block of sessions at a time; count them in `plays`."""
    lengths = "mini" if len(names) <= FACTS["rows"]["sessions"] else "full"
    for first in range(0, len(names), BLOCK):
        rng = np.random.default_rng([*key, first])
        block = names[first : first + BLOCK]
        rows = listen(catalogue, len(block), rng, date, content_signal, lengths)
        plays += np.bincount(rows["track_id_clean"], minlength=len(plays))
        rows["track_id_clean"] = ids[rows["track_id_clean"]].astype(str)
        rows.insert(0, "session_id", block[rows.pop("session")].astype(str))
        yield rows


def listen(
    catalogue: Catalogue,
    n: int,
    rng: np.random.Generator,
    date: str = "20180715",
    content_signal: float = 0.5,
    lengths: str = "mini",
) -> pd.DataFrame:
    """Simulate n sessions.

    Args:
        catalogue: the tracks.
        n: sessions.
        rng: source of randomness.
        date: day of the log, YYYYMMDD.
        content_signal: see `simulate`.
        lengths: the published distribution of session lengths, `mini` or `full`.

    Returns:
        One row for each event: `session` (0 to n - 1), `track_id_clean` (track number), and the other 19 columns with
        their official names, types and order; hour_of_day 0 to 23, positions from 1.
    """
    facts = FACTS["rows"]
    known = FACTS["session_length"]
    length = np.array(known["length"])[pick(spread(rng, n), share(known[lengths]))]
    keep = np.arange(ROWS) < length[:, None]
    rows = {name: values[keep] for name, values in behave(rng, n).items()}  # session by session, row by row
    session = np.repeat(np.arange(n), length)
    position = np.tile(np.arange(1, ROWS + 1), (n, 1))[keep]
    track, shuffled = wander(catalogue, rng, session, rows, content_signal)
    flags = np.array([np.cumsum(SKIPS[end]) for end in ENDS])[rows["end"]]
    flag = (rng.random((len(track), 1)) >= flags).sum(1)  # 0: skip_1 to 3, 1: skip_2 and 3, 2: skip_3, 3: none
    kinds = share([facts["premium_sessions"][kind] for kind in ("all_premium", "all_free", "mixed")])
    kind = rng.choice(3, n, p=kinds)
    changes = np.where(
        kind == 2, rng.integers(2, length + 1), ROWS + 1
    )  # the row from which a mixed session is premium
    short, long = _pauses(rng, position > 1, rows["switch"] | rows["jump"])
    dates = np.array(list(facts["date"]), "datetime64[D]") - np.datetime64("2018-07-15")
    day = np.datetime64(datetime.strptime(date, "%Y%m%d"), "D") + rng.choice(
        dates, n, p=share([*facts["date"].values()])
    )
    minute = np.floor(rows["minute"]).astype(np.int64)
    return pd.DataFrame(
        {
            "session": session,
            "session_position": position,
            "session_length": length[session],
            "track_id_clean": track,
            "skip_1": flag == 0,
            "skip_2": flag <= 1,
            "skip_3": flag <= 2,
            "not_skipped": flag == 4,
            "context_switch": (rows["switch"] & (position > 1)).astype(np.int8),
            "no_pause_before_play": ((position > 1) & ~long).astype(np.int8),
            "short_pause_before_play": short.astype(np.int8),
            "long_pause_before_play": long.astype(np.int8),
            "hist_user_behavior_n_seekfwd": _seeks(rng, len(track), "seekfwd"),
            "hist_user_behavior_n_seekback": _seeks(rng, len(track), "seekback"),
            "hist_user_behavior_is_shuffle": shuffled,
            "hour_of_day": (minute // 60 % 24).astype(np.int8),
            "date": (day[session] + (minute // 1440).astype("timedelta64[D]")).astype(str),
            "premium": (kind[session] == 0) | (position >= changes[session]),
            "context_type": np.array(CONTEXTS)[rows["context"]],
            "hist_user_behavior_reason_start": np.array(STARTS)[rows["start"]],
            "hist_user_behavior_reason_end": np.array(ENDS)[rows["end"]],
        }
    )


def _pauses(rng: np.random.Generator, later: np.ndarray, stopped: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Draw short and long pauses before each row, bool. The real totals imply that every short pause is also flagged as
    long, and that a session's first row has no flag, not even no_pause.
    """
    facts = FACTS["rows"]
    total = np.array([facts["short_pause"], facts["long_pause"] - facts["short_pause"]]) / facts["events"] * len(later)
    stopped = later & stopped
    elsewhere = (total - stopped.sum() * np.array(PAUSES_AFTER_STOP)) / max((later & ~stopped).sum(), 1)
    short, alone = np.where(stopped[:, None], PAUSES_AFTER_STOP, np.maximum(elsewhere, 0)).T
    chance = np.where(later, rng.random(len(later)), 1.0)
    return chance < short, chance < short + alone


def _seeks(rng: np.random.Generator, n: int, which: str) -> np.ndarray:
    """Draw the number of seeks within each of n tracks, int64: mostly 0, with a long tail."""
    exponent, most = SEEK_TAIL[which]
    count = np.minimum((1 - rng.random(n)) ** (-1 / exponent), most).astype(np.int64)
    return np.where(rng.random(n) < FACTS["rows"][f"{which}_rows"] / FACTS["rows"]["events"], count, 0)


def _ids(n: int, rng: np.random.Generator, prefix: str) -> np.ndarray:
    """Draw random ids such as `t_0479f24c-27d2-46d6-a00c-7ec928f2b539`, as bytes of equal length."""
    digits = np.frombuffer(rng.bytes(16 * n).hex().encode(), np.uint8).reshape(n, 32)
    parts = np.split(digits, (8, 12, 16, 20), axis=1)
    dash = np.full((n, 1), ord("-"), np.uint8)
    start = np.tile(np.frombuffer(prefix.encode(), np.uint8), (n, 1))
    text = np.hstack([start, parts[0]] + [column for part in parts[1:] for column in (dash, part)])
    return np.ascontiguousarray(text).view(f"S{text.shape[1]}")[:, 0]


def _write(path: Path, blocks: Iterable[pd.DataFrame]) -> None:
    """Write a CSV file block by block, gzipped for .gz; the file gets its name when it is complete."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as part, part.open("wb") as raw, contextlib.ExitStack() as stack:
        out = raw
        if path.suffix == ".gz":  # no name and no time in the header, so that the same seed gives the same bytes
            out = stack.enter_context(gzip.GzipFile("", "wb", compresslevel=4, fileobj=raw, mtime=0))
        for n, block in enumerate(blocks):
            if n == 0:
                out.write((",".join(block.columns) + "\n").encode())
            options = pyarrow.csv.WriteOptions(include_header=False, quoting_style="none")
            pyarrow.csv.write_csv(pa.Table.from_pandas(block, preserve_index=False), out, options)
