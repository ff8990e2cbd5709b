"""The MSSD twin: simulated listening sessions in the exact layout of Spotify's data set, which nobody can download now.

The story. Tracks live on albums, albums belong to artists, artists to genres, and editors collect tracks in playlists
(`twin/catalogue.py`). A listener (`twin/behaviour.py`) comes with a home genre and goes to a *place* of one of six
kinds, the row's `context_type`:

- catalog: an artist's records one after another, from the album that was looked for;
- editorial_playlist: a playlist of the genre, or one of hits;
- charts: the most popular tracks, from the top;
- user_collection: own tracks, mostly of a few favourite artists, then of the genre, of anywhere, of the charts;
- radio: the same around the artist of a seed track;
- personalized_playlist: tracks of the genre, the unknown as gladly as the known.

A place puts a *shelf* of 50 tracks before the listener. The first three kinds, unless shuffled, are heard in the order
of the shelf. Otherwise the ear picks the next track from the shelf: each track has a chance pull of its own, and pulls
the more the more it sounds like the track before; `content_signal` is how much more. A track ends for a reason: it was
done, skipped forward, skipped back (the track before is heard again), or play stopped. After a stop some listeners go
on further down the same shelf, others switch to another place, mostly of the home genre.

Facts are in mssd_facts.json, each with its source. No assumption is fitted to a model's published score. Those marked *
were set by trial so that the mini size (for DAY_TRACKS: dataset03) meets published counts of plays, tracks and distinct
values; while that was done the twin's own Recall@20 of most popular and sequential rules was in sight, and that rules
first reached 0.5 was one reason, beside hits too rare, to let shelves hold tracks of everywhere.

| name | value | what it says, and why this value |
|---|---|---|
| TRACKS_PER_SESSION | 100 | tracks in reach a session: 20 times what is played of them |
| DAY_TRACKS | 2,600,000 * | but no more of the real 3.6 million: one day plays fewer different tracks than a year |
| DAY_CONCENTRATION | 1.13 * | shares of plays ~ the year's shares ** this: one day is more concentrated |
| TRACKS_PER_GENRE | 5,000 * | genres are fine: some 700 in the full catalogue |
| ALBUMS_PER_ARTIST, ALBUM_TRACKS | 3, table | geometric; singles, EPs and albums |
| POPULARITY_SHARES | 0, .5, .2, .3 | variance of popularity between genres, artists, albums and tracks |
| SOUND_SHARES | .25, .25, .15, .35 | the same of sound |
| HEARD_SOUNDS | 6 | components of the 28 features that the ear follows: two thirds of their variance |
| US_POPULARITY | 0.6 | us_popularity_estimate's correlation with popularity, as the real correlations leave room |
| MEAN_PLAY_SCORE | 1.3 | mean normal score of popularity over mini's plays; turns published shifts into correlations |
| LIST_TRACKS, LISTS_PER_GENRE | 50, 4 | tracks of a list or shelf; playlists a genre, the k-th heard ~ 1/k |
| HIT_LISTS | 0.5 * | share of editorial playlists that take from every genre |
| FAVOURITES, FAVOURITE_TRACKS | 3, 0.6 | favourite artists of a collection, and their share of it |
| RADIO_ARTIST | 0.3 | the seed artist's share of the radio |
| EVERYWHERE | 0.2 * | share of a collection or radio that is of any genre, by popularity |
| HIT_TRACKS, HIT_SLOPE | 0.06, 2.3 * | and from the charts: rank 50 u ** slope for a uniform u |
| HOME | 0.7 | chance that a new place is of the home genre |
| FROM_THE_TOP, LATEST_START | 0.6, 12 | chance to begin an ordered place at its first track; else up to this far down |
| SHUFFLED | table | chance that a place is shuffled, by kind; sums to the real share of rows |
| EAR | 5 | what sounding like any other track costs in pull at content_signal 1; chance has deviation 1.3 |
| RESTLESS | 0.55 * | the session's own share of the variance of end reasons; dealt evenly over hours, contexts |
| LEAP | 4 | most tracks passed over when play goes on after a stop |
| SKIPS | table | skip flags for an end reason: read off 201 real rows, then solved for mini's totals |
| PAUSES_AFTER_STOP | .35, .15 | short pauses and others after a stop; elsewhere solved for mini's totals |
| MINUTES | table | mean minutes (exponential) that a track is heard, by end reason |
| HALF_SESSION | 20 | minutes from a session's start to its middle, where the published hours are laid |
| SEEK_TAIL | 2.45, 2.2 | P(n or more seeks | any) = n ** -this, forward and back: solved for mini's means |
| COLD | 0.05 | tracks with features that nobody played, for each one that was played |

Known to be wrong: a log of another date plays the same catalogue by the same law, without new releases; a session's
last row is not special; at dataset03's size what is played differs from the catalogue by up to two thirds more than
was published of mini.

The full size is on paper only. 365,448 sessions take 75 seconds of one core and 1.1 GB of memory, so the real 125
million would take 7 hours and 60 GB of disk; memory follows the catalogue, not the sessions, and DAY_TRACKS would be
lifted to the year's 3.6 million.
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

BLOCK = 20_000  # sessions in memory at a time; part of what a seed means


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
            `track_features/tf_000000000000.csv` with every track that was played and some that were not; last comes
            SIMULATED, with these settings and the SHA-256 of each file.
        sessions: sessions in each log file.
        seed: the same seed gives the same bytes.
        log_dates: YYYYMMDD of each log file; most of its sessions are of that day or the day before.
        content_signal: how much the next track depends on how it sounds, beyond the place where it lives: 0 not at
            all, 1 strongly. Unknown for real listeners: studies of content show a curve over it.
    """
    folder, sessions = user_path(folder), whole(sessions, "sessions")
    if (folder / SIMULATED).exists():  # until all files are of these settings
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
    """The rows of one log file, a block of sessions at a time; adds to `plays` what was heard."""
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
    """Let n listeners listen.

    Args:
        catalogue: where they walk.
        n: sessions.
        rng: source of every choice.
        date: day of the log, YYYYMMDD.
        content_signal: see `simulate`.
        lengths: whose sessions are as long, `mini` or `full`.

    Returns:
        One row an event: `session` (0 to n - 1), `track_id_clean` (track number), and the other 19 columns under their
        official names, types and order; hour_of_day 0 to 23, positions from 1.
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
    flag = (rng.random((len(track), 1)) >= flags).sum(1)  # 0 skip_1 and all, 1 skip_2 and 3, 2 skip_3, 3 none
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
    """Short and long pauses before a row, bool. In the real rows a short pause is always a long one too, and a
    session's first row has no flag at all, not even no_pause; both follow from the totals.
    """
    facts = FACTS["rows"]
    total = np.array([facts["short_pause"], facts["long_pause"] - facts["short_pause"]]) / facts["events"] * len(later)
    stopped = later & stopped
    elsewhere = (total - stopped.sum() * np.array(PAUSES_AFTER_STOP)) / max((later & ~stopped).sum(), 1)
    short, alone = np.where(stopped[:, None], PAUSES_AFTER_STOP, np.maximum(elsewhere, 0)).T
    chance = np.where(later, rng.random(len(later)), 1.0)
    return chance < short, chance < short + alone


def _seeks(rng: np.random.Generator, n: int, which: str) -> np.ndarray:
    """How often n listeners moved inside a track, int64: mostly 0, with a long tail."""
    exponent, most = SEEK_TAIL[which]
    count = np.minimum((1 - rng.random(n)) ** (-1 / exponent), most).astype(np.int64)
    return np.where(rng.random(n) < FACTS["rows"][f"{which}_rows"] / FACTS["rows"]["events"], count, 0)


def _ids(n: int, rng: np.random.Generator, prefix: str) -> np.ndarray:
    """Random names such as `t_0479f24c-27d2-46d6-a00c-7ec928f2b539`, bytes of one length."""
    digits = np.frombuffer(rng.bytes(16 * n).hex().encode(), np.uint8).reshape(n, 32)
    parts = np.split(digits, (8, 12, 16, 20), axis=1)
    dash = np.full((n, 1), ord("-"), np.uint8)
    start = np.tile(np.frombuffer(prefix.encode(), np.uint8), (n, 1))
    text = np.hstack([start, parts[0]] + [column for part in parts[1:] for column in (dash, part)])
    return np.ascontiguousarray(text).view(f"S{text.shape[1]}")[:, 0]


def _write(path: Path, blocks: Iterable[pd.DataFrame]) -> None:
    """Write a CSV file, gzipped where its name says so, a block at a time; it appears under its name when complete."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as part, part.open("wb") as raw, contextlib.ExitStack() as stack:
        out = raw
        if path.suffix == ".gz":  # no name and no time in the header: the same seed, the same bytes
            out = stack.enter_context(gzip.GzipFile("", "wb", compresslevel=4, fileobj=raw, mtime=0))
        for n, block in enumerate(blocks):
            if n == 0:
                out.write((",".join(block.columns) + "\n").encode())
            options = pyarrow.csv.WriteOptions(include_header=False, quoting_style="none")
            pyarrow.csv.write_csv(pa.Table.from_pandas(block, preserve_index=False), out, options)
