"""Measurements on raw files in the MSSD layout, and data frames that compare simulated with real data.

DuckDB reads the files directly, simulated or real, so the results do not depend on the code that prepares them.
"""

from __future__ import annotations

import glob
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
from scipy.optimize import brentq

from gru4rec_lib.twin.catalogue import FACTS

SAMPLE = 8_000  # sessions for counts of distinct tracks, pairs and sounds; the first two were published for as many


def load(folder: Path) -> duckdb.DuckDBPyConnection:
    """Load raw files into tables of DuckDB.

    Args:
        folder: contains log_*.csv[.gz] and tf_*.csv[.gz], at any depth.

    Returns:
        A connection with the tables `log` (`file`: number of the file by name, from 1), `tracks`, and `sample`, the
        rows of SAMPLE sessions of the first file.

    Raises:
        FileNotFoundError: there is no log or no feature file.
    """
    con = duckdb.connect()
    for table, name in (("log", "log"), ("tracks", "tf")):
        files = sorted(map(str, {path for kind in ("csv", "csv.gz") for path in folder.rglob(f"{name}_*.{kind}")}))
        if not files:
            raise FileNotFoundError(f"{folder}: no {name}_*.csv or {name}_*.csv.gz in it or below; put the files there")
        con.execute(
            f"CREATE TABLE {table} AS SELECT * EXCLUDE filename, list_position($files, filename) AS file "
            "FROM read_csv($exactly, filename = true)",
            {"files": files, "exactly": [glob.escape(path) for path in files]},
        )
    first = f"SELECT DISTINCT session_id FROM log WHERE file = 1 ORDER BY 1 LIMIT {SAMPLE}"
    con.execute(f"CREATE VIEW sample AS FROM log SEMI JOIN ({first}) USING (session_id)")
    return con


def play_counts(con: duckdb.DuckDBPyConnection) -> np.ndarray:
    """Count the plays of every played track.

    Args:
        con: of `load`.

    Returns:
        int64, most played first.
    """
    counts = con.execute("SELECT count(*) AS n FROM log GROUP BY track_id_clean ORDER BY n DESC")
    return counts.fetchnumpy()["n"]


def expected_plays(events: int, tracks: int | None = None) -> np.ndarray:
    """Simulate the plays of every track in a random sample of the real full log, with a fixed seed.

    A day's log is more concentrated than a year's. Where the number of tracks is known, the shares of plays are raised
    to the power with which that many tracks are expected.

    Args:
        events: events of the sample.
        tracks: expected number of played tracks; None keeps the shares of the full log.

    Returns:
        int64, most played first, without tracks that are not played.
    """
    known = FACTS["plays_per_track"]
    ranks = np.log(np.arange(1, known["rank"][-1] + 1))
    log_plays = np.interp(ranks, np.log(known["rank"]), np.log(known["plays"]))

    def means(power: float) -> np.ndarray:
        share = np.exp(power * (log_plays - log_plays[0]))
        return events * share / share.sum()

    power = brentq(lambda power: -np.expm1(-means(power)).sum() - tracks, 1.0, 2.0, xtol=1e-3) if tracks else 1.0
    plays = np.random.default_rng(0).poisson(means(power))
    return np.sort(plays[plays > 0])[::-1]


def gini(plays: np.ndarray) -> float:
    """Compute the Gini coefficient of plays over the played tracks: 0 if all are equal, near 1 if few have all plays.

    Args:
        plays: (n,) positive numbers in any order.
    """
    rising = np.sort(plays).astype(float)
    return float(
        2 * (np.arange(1, len(rising) + 1) * rising).sum() / (len(rising) * rising.sum()) - 1 - 1 / len(rising)
    )


def plays(con: duckdb.DuckDBPyConnection, published: str | None = None) -> pd.DataFrame:
    """Compare plays by rank, real and simulated: the data of the figure `twin_plays`.

    Args:
        con: of `load`.
        published: the size, `mini` or `dataset03`, whose number of tracks is known; None samples the full log.

    Returns:
        side (real or twin), rank (from 1; at most 200 of them, evenly on a logarithmic axis), plays (int64).
    """
    twin = play_counts(con)
    known = FACTS["counts"].get(published, {"events": int(twin.sum()), "tracks": None})
    parts = []
    for side, falling in (("real", expected_plays(known["events"], known["tracks"])), ("twin", twin)):
        rank = np.unique(np.geomspace(1, len(falling), 200).round().astype(np.int64))
        parts.append(pd.DataFrame({"side": side, "rank": rank, "plays": falling[rank - 1]}))
    return pd.concat(parts, ignore_index=True)


def lengths(con: duckdb.DuckDBPyConnection, published: str | None = None) -> pd.DataFrame:
    """Compare session lengths, real and simulated: the data of the figure `twin_lengths`.

    Args:
        con: of `load`.
        published: `dataset03` compares with the full training set, any other value with mini.

    Returns:
        length (events), real and twin (share of the sessions, 0 to 1).
    """
    known = FACTS["session_length"]
    real = pd.Series(known["full" if published == "dataset03" else "mini"], index=known["length"])
    twin = con.execute("SELECT session_length FROM log WHERE session_position = 1").df()["session_length"]
    frame = pd.DataFrame({"real": real / real.sum(), "twin": twin.value_counts(normalize=True)})
    return frame.rename_axis("length").fillna(0).reset_index()


def skips(con: duckdb.DuckDBPyConnection) -> pd.DataFrame:
    """Compare the share of plays with skip_2 by position, real (mini) and simulated: the data of `twin_skips`.

    Args:
        con: of `load`.

    Returns:
        position (from 1), real and twin (0 to 1).
    """
    rates = con.execute("SELECT session_position, avg(skip_2::INT) AS rate FROM log GROUP BY 1").df()
    real = FACTS["skip"]["skip_2_by_position"]
    frame = pd.DataFrame({"position": range(1, len(real) + 1), "real": real})
    return frame.assign(twin=frame["position"].map(rates.set_index("session_position")["rate"]))


def played(con: duckdb.DuckDBPyConnection) -> pd.DataFrame:
    """Compare the features of plays with those of the catalogue: the data of the figure `twin_features`.

    Args:
        con: of `load`.

    Returns:
        For each `feature` published for the plays of mini: `real` and `twin`, the mean over plays minus the mean over
        tracks, in standard deviations over tracks. `mode` is 1 for major.
    """
    facts, shift = FACTS["features"], FACTS["play_shift"]
    major = facts["mode_major"]
    real = shift["mean"] | {"mode": (shift["mode_major"] - major) / (major * (1 - major)) ** 0.5}
    values = {name: "(mode = 'major')::INT" if name == "mode" else name for name in real}
    table = ", ".join(f"{value} AS {name}" for name, value in values.items())
    con.execute(f"CREATE OR REPLACE TEMP VIEW features AS SELECT track_id AS track_id_clean, {table} FROM tracks")
    names = list(real)
    plays = con.execute(
        f"SELECT {', '.join(f'avg({n})' for n in names)} FROM log JOIN features USING (track_id_clean)"
    ).fetchone()
    tracks = con.execute(f"SELECT {', '.join(f'avg({n}), stddev_pop({n})' for n in names)} FROM features").fetchone()
    twin = (np.array(plays) - tracks[::2]) / tracks[1::2]
    return pd.DataFrame({"feature": names, "real": list(real.values()), "twin": twin})


def next_sounds_alike(con: duckdb.DuckDBPyConnection, seed: int = 0) -> float:
    """Measure how often the next track sounds more like the current one than a later track of the session does.

    The effect of `content_signal` on raw files: 0.5 where the order of a session does not depend on sound. No such
    number was published for real sessions.

    Args:
        con: of `load`.
        seed: of the random choice of the later track.

    Returns:
        Share of the plays, 0 to 1. Equal distances count half; plays whose later track equals the current or the next
        one are left out. The distance is Euclidean in the standardised numeric features.
    """
    columns = FACTS["feature_correlation"]["columns"]
    scaled = ", ".join(
        f"({name} - avg({name}) OVER ()) / nullif(stddev_pop({name}) OVER (), 0) AS {name}" for name in columns
    )
    heard = con.execute(f"""
        SELECT session_id, session_position, session_length, track_id_clean, sound.* EXCLUDE track_id
        FROM sample JOIN (SELECT track_id, {scaled} FROM tracks) AS sound ON track_id = track_id_clean
        ORDER BY session_id, session_position""").df()
    sound = heard[columns].fillna(0).to_numpy()
    track = heard["track_id_clean"].factorize()[0]
    left = (heard["session_length"] - heard["session_position"]).to_numpy()
    now = np.flatnonzero(left >= 2)
    later = now + np.random.default_rng(seed).integers(2, left[now] + 1)
    other = (track[later] != track[now]) & (track[later] != track[now + 1])
    now, later = now[other], later[other]
    to_next, to_later = (np.square(sound[there] - sound[now]).sum(1) for there in (now + 1, later))
    return float((to_next < to_later).mean() + (to_next == to_later).mean() / 2)


def most_popular_recall(con: duckdb.DuckDBPyConnection, cutoff: int = 20) -> float:
    """Compute the recall of recommending the most played tracks, under the paper's protocol, from raw files.

    Args:
        con: of `load`; with two logs, the second is the test; with one, every fifth session is.
        cutoff: tracks recommended.

    Returns:
        Share of the test rows after a session's first that are among the `cutoff` most played tracks of training, 0 to
        1; test rows of tracks unseen in training are removed first.
    """
    part = (
        "file > 1"
        if con.execute("SELECT max(file) FROM log").fetchone()[0] > 1
        else "dense_rank() OVER (ORDER BY session_id) % 5 = 0"
    )
    return con.execute(f"""
        WITH parts AS (SELECT session_id, session_position, track_id_clean AS track, {part} AS test FROM log),
        known AS (SELECT track, count(*) AS n FROM parts WHERE NOT test GROUP BY 1),
        best AS (SELECT track FROM known ORDER BY n DESC, track LIMIT {cutoff}),
        targets AS (SELECT track, row_number() OVER (PARTITION BY session_id ORDER BY session_position) AS place
                    FROM parts SEMI JOIN known USING (track) WHERE test)
        SELECT avg((track IN (FROM best))::INT) FROM targets WHERE place > 1""").fetchone()[0]
