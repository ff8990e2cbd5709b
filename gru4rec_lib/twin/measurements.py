"""What is measured on raw files in the MSSD layout, and the frames that show the twin beside the real data.

Read with DuckDB straight from the files, the twin's or real ones, so that nothing that prepares them is trusted.
"""

from __future__ import annotations

import glob
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
from scipy.optimize import brentq

from gru4rec_lib.twin.catalogue import FACTS

SAMPLE = 8_000  # sessions in which distinct tracks, pairs and sounds are counted; as many as published of the first two


def load(folder: Path) -> duckdb.DuckDBPyConnection:
    """Raw files as tables of DuckDB.

    Args:
        folder: has log_*.csv[.gz] and tf_*.csv[.gz], in it or below.

    Returns:
        A connection with `log` (with `file`, numbered by name, from 1), `tracks`, and `sample`, the rows of SAMPLE
        sessions of the first file.

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
    """Plays of every played track.

    Args:
        con: of `load`.

    Returns:
        int64, most played first.
    """
    counts = con.execute("SELECT count(*) AS n FROM log GROUP BY track_id_clean ORDER BY n DESC")
    return counts.fetchnumpy()["n"]


def expected_plays(events: int, tracks: int | None = None) -> np.ndarray:
    """Plays of every track in a thinned copy of the real full log, one draw of a fixed seed.

    One day's log is more concentrated than the year's, so where `tracks` are known the shares of plays are taken to the
    power that makes as many appear.

    Args:
        events: events of the copy.
        tracks: tracks that it should have; None leaves the year's shares.

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
    """Gini coefficient of plays over the played tracks: 0 all equal, towards 1 a few have all.

    Args:
        plays: (n,) positive numbers in any order.
    """
    rising = np.sort(plays).astype(float)
    return float(
        2 * (np.arange(1, len(rising) + 1) * rising).sum() / (len(rising) * rising.sum()) - 1 - 1 / len(rising)
    )


def plays(con: duckdb.DuckDBPyConnection, published: str | None = None) -> pd.DataFrame:
    """Plays by place, real and twin: the frame of the figure `twin_plays`.

    Args:
        con: of `load`.
        published: the size, `mini` or `dataset03`, whose tracks are known; None thins the year's log as it is.

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
    """Session lengths, real and twin: the frame of `twin_lengths`.

    Args:
        con: of `load`.
        published: `dataset03` compares with the full training set, anything else with mini.

    Returns:
        length (events), real and twin (share of the sessions, 0 to 1).
    """
    known = FACTS["session_length"]
    real = pd.Series(known["full" if published == "dataset03" else "mini"], index=known["length"])
    twin = con.execute("SELECT session_length FROM log WHERE session_position = 1").df()["session_length"]
    frame = pd.DataFrame({"real": real / real.sum(), "twin": twin.value_counts(normalize=True)})
    return frame.rename_axis("length").fillna(0).reset_index()


def skips(con: duckdb.DuckDBPyConnection) -> pd.DataFrame:
    """Share of the plays with skip_2 by position, real (mini) and twin: the frame of `twin_skips`.

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
    """How the tracks that are played differ from the catalogue, each play counted once.

    Args:
        con: of `load`.

    Returns:
        For each `feature` that was published for the plays of mini: `real` and `twin`, the difference of the means in
        standard deviations of the catalogue; the frame of `twin_features`. `mode` is 1 for major.
    """
    facts, shift = FACTS["features"], FACTS["play_shift"]
    major = facts["mode_major"]
    real = shift["mean"] | {"mode": (shift["mode_major"] - major) / (major * (1 - major)) ** 0.5}
    values = {name: "(mode = 'major')::INT" if name == "mode" else name for name in real}
    table = ", ".join(f"{value} AS {name}" for name, value in values.items())
    con.execute(f"CREATE OR REPLACE TEMP VIEW told AS SELECT track_id AS track_id_clean, {table} FROM tracks")
    names = list(real)
    plays = con.execute(
        f"SELECT {', '.join(f'avg({n})' for n in names)} FROM log JOIN told USING (track_id_clean)"
    ).fetchone()
    tracks = con.execute(f"SELECT {', '.join(f'avg({n}), stddev_pop({n})' for n in names)} FROM told").fetchone()
    twin = (np.array(plays) - tracks[::2]) / tracks[1::2]
    return pd.DataFrame({"feature": names, "real": list(real.values()), "twin": twin})


def next_sounds_alike(con: duckdb.DuckDBPyConnection, seed: int = 0) -> float:
    """How often the next track sounds more like this one than a later track of the session does.

    What `content_signal` moves, told from raw files alone: half the time where the order of a session has nothing to do
    with sound. Nothing of the kind was published of real sessions.

    Args:
        con: of `load`.
        seed: of the choice of the later track.

    Returns:
        Share of the plays, 0 to 1; a later track that is this one or the next again is not asked, equal distances
        count half. Distance is Euclid's in the standardised numeric features.
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
    """Recall of the most played tracks, under the paper's protocol, straight from raw files.

    Args:
        con: of `load`; with two logs the first is for training and the second for testing, else every fifth session is.
        cutoff: tracks recommended.

    Returns:
        Share of the test rows behind a session's first that are among the `cutoff` most played tracks of training; rows
        of tracks unseen in training are removed before. 0 to 1.
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
