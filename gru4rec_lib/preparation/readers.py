"""Raw files to tidy tables: the MSSD layout and generic event tables, with DuckDB underneath."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd

from gru4rec_lib.config.study import EventData, ItemTable, MssdData, Split
from gru4rec_lib.data import times
from gru4rec_lib.data.feature_encoding import RawFeatures
from gru4rec_lib.preparation import typed_columns
from gru4rec_lib.preparation.source_files import DataError, Source, found, literal
from gru4rec_lib.preparation.split import BOTH_SIDES, apart
from gru4rec_lib.utils.arguments import user_path

# The log's 17 columns beside session, position, length and track, in the official order.
LOG_COLUMNS = (
    dict.fromkeys(("skip_1", "skip_2", "skip_3", "not_skipped", "context_switch"), typed_columns.FLAG)
    | dict.fromkeys((f"{pause}_pause_before_play" for pause in ("no", "short", "long")), typed_columns.FLAG)
    | dict.fromkeys(("hist_user_behavior_n_seekfwd", "hist_user_behavior_n_seekback"), typed_columns.WHOLE)
    | {"hist_user_behavior_is_shuffle": typed_columns.FLAG, "hour_of_day": typed_columns.HOUR}
    | {"date": typed_columns.DATE, "premium": typed_columns.FLAG, "context_type": typed_columns.text()}
    | dict.fromkeys(("hist_user_behavior_reason_start", "hist_user_behavior_reason_end"), typed_columns.text())
)
# The track file's 28 numeric columns, in the official order; the paper drops `mode`, the only text.
TRACK_FEATURES = (
    *("duration", "release_year", "us_popularity_estimate", "acousticness", "beat_strength", "bounciness"),
    *("danceability", "dyn_range_mean", "energy", "flatness", "instrumentalness", "key", "liveness", "loudness"),
    *("mechanism", "organism", "speechiness", "tempo", "time_signature", "valence"),
    *(f"acoustic_vector_{i}" for i in range(8)),
)
# `mode` is kept among the items, and is a feature of none.
TRACKS = ItemTable(file="tf_*", item="track_id", numeric=TRACK_FEATURES, categorical=("mode",))
LOG = {
    "session": ("session_id", typed_columns.ID),
    "item": ("track_id_clean", typed_columns.ID),
    "position": ("session_position", typed_columns.WHOLE),
    "session_length": ("session_length", typed_columns.WHOLE),
} | {name: (name, kind) for name, kind in LOG_COLUMNS.items()}

# Two players write one play up to four minutes apart (at its start, or when it counts as played), and clocks differ.
AGAIN = 10  # minutes

# One problem a session, at its first wrong row. A session that lies complete and in order has the same rowid - position
# on every row, so that only the others are looked at closely. Rows of unknown session do not part a session.
_BROKEN_SESSIONS = """
WITH suspect AS (
    SELECT session, count(*) AS n, min(rowid) AS first, min(_file) AS home, max(_file) AS other
    FROM log WHERE session IS NOT NULL
    GROUP BY session
    HAVING NOT (min(rowid - position) = max(rowid - position) AND min(position) = 1 AND max(position) = n
                AND min(session_length) = n AND max(session_length) = n AND min(_file) = max(_file))
), numbered AS (
    SELECT log.rowid AS row, _file AS file, session, position, session_length, n, first, home, other,
        row_number() OVER (PARTITION BY session ORDER BY position, log.rowid) AS place,
        row_number() OVER (PARTITION BY session ORDER BY log.rowid) AS nth
    FROM log JOIN suspect USING (session)
    ANTI JOIN (SELECT session FROM log WHERE len(_bad) > 0) AS told_already USING (session)
), told AS (
    SELECT row, file, session, CASE
        WHEN other <> home AND file = home THEN NULL
        WHEN file <> home
            OR row - first + 1 - nth > (SELECT count(*) FROM log WHERE session IS NULL AND rowid BETWEEN first AND row)
        THEN {'column': 'session_id', 'problem': 'session `' || session || '` is in ' ||
                  if(file <> home, getvariable('log_files')[home + 1] || ' too', 'two places'),
              'remedy': 'keep the rows of a session together in one file, and have every session once'}
        WHEN position <> place
        THEN {'column': 'session_position', 'problem': 'is ' || position || ' where ' || place || ' should be',
              'remedy': 'number the rows of a session 1, 2, 3 without gap or repeat'}
        WHEN session_length <> n
        THEN {'column': 'session_length', 'problem': 'is ' || session_length || ' but the session has ' || n || ' rows',
              'remedy': 'bring back the missing rows or correct the length'}
        END AS problem
    FROM numbered
)
SELECT row, file, NULL, problem.column, problem.problem, problem.remedy FROM told WHERE problem IS NOT NULL
QUALIFY row_number() OVER (PARTITION BY session ORDER BY row) = 1
"""
_SESSION_MATES = """
SELECT log.rowid, _file, NULL, 'session_id', 'its session has a bad row', 'mend that row to have the session back'
FROM log SEMI JOIN (SELECT session FROM log SEMI JOIN log_bad ON log.rowid = log_bad.row) AS broken USING (session)
ANTI JOIN log_bad ON log.rowid = log_bad.row
"""
_REPEATED_ITEMS = """
SELECT row, _file, NULL, {column}, 'item `' || item || '` has a row already', 'keep one row an item'
FROM (SELECT rowid AS row, * FROM items) AS items ANTI JOIN items_bad ON items.row = items_bad.row
QUALIFY row_number() OVER (PARTITION BY item ORDER BY items.row) > 1
"""


@dataclass(frozen=True, kw_only=True)
class ItemRows(RawFeatures):
    """An item table as it was read; its `items` are None where there is none.

    Args:
        problems: `file`, `line` (for Parquet the row), `column`, `problem`, `remedy` of every row dropped as bad.
        warnings: what is allowed and may surprise, a sentence each.
    """

    problems: pd.DataFrame
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Tables(ItemRows):
    """Events and items as they were read; `problems` and `warnings` are of both.

    `items` has one row an item: `item` and the feature columns (numeric: float64, NaN where missing; others: str, NA
    where missing).

    Args:
        events: one row an event: sessions in reading order, each by position or time. `session`, `item` and `file`
            (path below the data folder): categorical; `position`: int32, 1..n; `time`: float64, unix seconds, where the
            table has times; for MSSD also LOG_COLUMNS (bool, int32, hour int8, date datetime64[s], texts categorical).
        counts: `step`, `events`, `sessions`, `items`: what is left after each step.
    """

    events: pd.DataFrame
    counts: pd.DataFrame


def read(data: MssdData | EventData, folder: Path, split: Split | None = None) -> Tables:
    """Read and check a data set's raw files.

    Args:
        data: the layout, the names and what to do with bad rows; in an MSSD log a bad row takes its session with it.
        folder: where the files are.
        split: how sessions are split; where it is by file, see `split.apart`. None takes an id as one session.

    Returns:
        The tables. Times without a zone are taken as UTC.

    Raises:
        DataError: files or columns are missing, a file cannot be read, (under `on_bad_rows: error`) rows are bad, or
            the times of a file are dates written as digits.
    """
    folder = user_path(folder)
    if not folder.is_dir():
        raise DataError(f"{folder}: there is no such folder; name the one that holds the files of `{data.name}`")
    return _tables(data, folder, *(_mssd if isinstance(data, MssdData) else _generic)(data, folder), split)


def read_log(path: Path, on_bad_rows: str = "error", folder: Path | None = None) -> Tables:
    """Read and check one log in MSSD layout alone; as `read`.

    Args:
        path: a log, log_*.csv[.gz].
        on_bad_rows: `error` or `drop`, as in `MssdData`.
        folder: the data folder, below which the log is; its own folder where not given.
    """
    path = user_path(path)
    data = MssdData(layout="mssd", name="log", on_bad_rows=on_bad_rows)
    return _tables(data, folder or path.parent, [path], LOG, None, [])


def read_track_features(path: Path) -> ItemRows:
    """As `read_tracks`, one file of track features. Bad rows are an error.

    Args:
        path: of the file, tf_*.csv[.gz].
    """
    path = user_path(path)
    return _tracks(path.parent, [path], "error")


def read_tracks(data: MssdData, folder: Path) -> ItemRows:
    """Read and check all track features of a data set alone.

    Args:
        data: as for `read`.
        folder: as for `read`.

    Returns:
        The features.
    """
    return _tracks(folder, mssd_files(data, folder)[1], data.on_bad_rows)


def _tracks(folder: Path, files: list[Path], on_bad_rows: str) -> ItemRows:
    items, problems, warnings = None, pd.DataFrame(columns=["file", "line", "column", "problem", "remedy"]), []
    if files:
        with duckdb.connect() as con:
            items, problems, warnings = _items(con, TRACKS, folder, files, on_bad_rows)
    numeric = TRACKS.numeric if files else ()
    return ItemRows(items=items, numeric=numeric, problems=problems, warnings=tuple(warnings))


def _tables(
    data: MssdData | EventData, folder: Path, files: list[Path], columns: dict, table, table_files, split=None
) -> Tables:
    is_mssd = isinstance(data, MssdData)
    with duckdb.connect() as con:
        con.execute("SET TimeZone = 'UTC'")
        sources, warnings = typed_columns.load(con, "log", folder, files, columns, "auto" if is_mssd else data.quote)
        con.execute(f"SET VARIABLE log_files = [{', '.join(literal(source.name) for source in sources)}]")
        checks = (_BROKEN_SESSIONS, _SESSION_MATES) if is_mssd else ()
        problems = typed_columns.check(con, "log", sources, data.on_bad_rows, checks)
        repeats = "keep" if is_mssd else data.exact_repeats
        events, counts, noted = _events(con, sources, columns, repeats, split)
        warnings += noted
        texts = {
            name: typed_columns.Column("log", sources, name, columns[name][0], events[name].cat.categories)
            for name in ("session", "item")
        }
        for column in texts.values():
            typed_columns.check_forms(con, [column])
        items = None
        if table:
            rest = data.on_bad_rows, texts["item"]
            items, item_problems, item_warnings = _items(con, table, folder, table_files, *rest)
            warnings += item_warnings
            problems = pd.concat([problems, item_problems], ignore_index=True)
            if len(item_problems):
                counts.append(_count(f"item rows dropped ({len(item_problems):,})", events))
            known = events["item"].cat.categories.isin(items["item"])[events["item"].cat.codes]
            counts.append(_count("of items with features", events[known]))
    return Tables(
        events=events,
        items=items,
        numeric=table.numeric if table else (),
        categorical=table.categorical if table and not is_mssd else (),
        multivalued=dict(table.multivalued) if table else {},
        counts=pd.DataFrame(counts, columns=["step", "events", "sessions", "items"]),
        problems=problems,
        warnings=tuple(warnings),
    )


def mssd_files(data: MssdData, folder: Path) -> tuple[list[Path], list[Path]]:
    """The log files and the files of track features below a folder, in the order in which they are read.

    Args:
        data: has the patterns of the logs' names.
        folder: where they are.

    Raises:
        DataError: there is no log.
    """
    patterns = (data.logs, ("tf_*.csv", "tf_*.csv.gz"))
    logs, tracks = (sorted({path for name in names for path in folder.rglob(name)}) for names in patterns)
    if not logs:
        names = f"{' or '.join(data.logs)}, and tf_*.csv or tf_*.csv.gz"
        raise DataError(f"{folder}: no log file in it or below; put {names} there: see data/README.md")
    return logs, tracks


def _mssd(data: MssdData, folder: Path):
    logs, tracks = mssd_files(data, folder)
    return logs, LOG, TRACKS if tracks else None, tracks


def _generic(data: EventData, folder: Path):
    columns = {"session": (data.session, typed_columns.ID), "item": (data.item, typed_columns.ID)}
    columns |= (
        {"time": (data.time, typed_columns.TIME)} if data.time else {"position": (data.position, typed_columns.WHOLE)}
    )
    files = [file for pattern in data.events for file in found(folder, pattern)]
    table = data.item_table
    return list(dict.fromkeys(files)), columns, table, found(folder, table.file) if table else []


def _events(con: duckdb.DuckDBPyConnection, sources: list[Source], columns: dict, exact_repeats: str, split):
    """The rows of `log` that are not bad, in order, the counts of each step, and warnings."""
    read_rows = "SELECT count(*) + (SELECT count(*) FROM log_bad WHERE row IS NULL) AS events"
    counts = [("read", *con.execute(f"{read_rows}, count(DISTINCT session), count(DISTINCT item) FROM log").fetchone())]
    con.execute("CREATE VIEW kept AS SELECT log.rowid AS row, * FROM log ANTI JOIN log_bad ON log.rowid = log_bad.row")
    values = []
    for name, (_, kind) in columns.items():
        if kind.is_text:
            order = f"SELECT {name} FROM kept WHERE {name} IS NOT NULL GROUP BY 1 ORDER BY min(row)"
            con.execute(f"CREATE TYPE {name}_value AS ENUM ({order})")
        values.append(f"CAST({name} AS {name}_value) AS {name}" if kind.is_text else name)
    events = con.sql(f"SELECT row, _file, {', '.join(values)} FROM kept").df()
    if events.empty:
        name, n = sources[0].name, counts[0][1]
        raise DataError(f"{name}: no good row is left of {n:,}; `on_bad_rows: error` names the bad ones")
    counts.append(_count(f"bad rows dropped ({counts[0][1] - len(events):,})", events))
    doubts = _doubts(events, sources, columns["time"][0]) if "time" in columns else []
    names = pd.Categorical([source.name for source in sources])
    events["file"] = pd.Categorical.from_codes(names.codes[events.pop("_file")], names.categories)
    noted = []
    if "session_length" not in columns:
        events, n_apart = apart(events, split)
        noted += _of_files(events, n_apart)

    # Session codes count in reading order; rows of equal time stay in the order of the files.
    key = "time" if "time" in columns else "position"
    order = np.lexsort((events["row"], events[key], events["session"].cat.codes))
    if (np.diff(order) != 1).any():
        events = events.iloc[order]
    if "session_length" not in columns:
        repeated, drop = events.duplicated(["session", "item", key]), exact_repeats == "drop"
        once = events[~repeated]
        events = once if drop else events
        counts.append(_count(f"exact repeats {'dropped' if drop else 'kept'} ({repeated.sum():,})", events))
        noted += _of_order(once, key)
        counts += [_count(step, events) for step, _ in noted]

    events = events.reset_index(drop=True)
    session = events["session"].cat.codes.to_numpy()
    first = np.flatnonzero(np.diff(session, prepend=-1))
    place = np.arange(1, len(events) + 1) - np.repeat(first, np.diff(first, append=len(events)))
    front = {
        "session": events["session"],
        "item": events["item"],
        "position": place.astype(np.int32),
        "file": events["file"],
    }
    others = [name for name in columns if name not in ("session", "item", "position", "session_length")]
    events = pd.DataFrame(front | {name: events[name] for name in others}, copy=False)
    for name in events.select_dtypes("category"):
        events[name] = events[name].cat.as_unordered()
    events = events.astype({"date": "datetime64[s]"}) if "date" in others else events
    return events, counts, [*doubts, *(warning for _, warning in noted)]


def _doubts(events: pd.DataFrame, sources: list[Source], column: str) -> list[str]:
    """What `times.doubtful` says of each file; what is sure is an error."""
    found = [(sources[n].name, *times.doubtful(part.to_numpy())) for n, part in events.groupby("_file")["time"]]
    said = [(f"{name}, column `{column}`: {doubt}", is_sure) for name, doubt, is_sure in found if doubt]
    if wrong := [line for line, is_sure in said if is_sure]:
        raise DataError("\n".join(wrong))
    return [line for line, _ in said]


def _of_files(events: pd.DataFrame, n_apart: int) -> list[tuple[str, str]]:
    """Session ids in several files: a step of the counts and a warning each."""
    noted = []
    if n_apart:
        warning = f"session ids in files of training and of the test: {n_apart:,}; each is taken as two sessions"
        noted.append((BOTH_SIDES.format(n_apart), warning))
    pairs = events[["session", "file"]].drop_duplicates()
    if n := int((pairs["session"].value_counts() > 1).sum()):
        step = f"session ids in more than one file, each taken as one session ({n:,})"
        remedy = "make the ids differ where every file numbers its sessions anew"
        noted.append((step, f"session ids in more than one file: {n:,}; the rows of each are one session; {remedy}"))
    return noted


def _of_order(once: pd.DataFrame, key: str) -> list[tuple[str, str]]:
    """Events whose order is in doubt, and items that come again soon: a step of the counts and a warning each.

    Args:
        once: without exact repeats, sorted by session, `key` and `row`.
        key: `time` or `position`.
    """
    noted = []
    tied = once.duplicated(["session", key], keep=False)
    if n := int(tied.sum()):
        kept, remedy = "they are kept in the order of the file", "number a session's events in a column `position`"
        later = (np.diff(once["session"].cat.codes) == 0) & (np.diff(once[key]) > 0)
        if key == "time":
            remedy = f"give finer times, or {remedy}"
            if (np.diff(once["row"])[later] < 0).sum() > later.sum() / 2:
                kept += (
                    ", which is newest first: most likely the reverse of how they were played, and neither order is "
                )
                kept += "right where two players wrote the log"
        step = f"events at the same {key} as another of their session, in the order of the file ({n:,})"
        where = f"{n:,} in {once.loc[tied, 'session'].nunique():,} sessions"
        noted.append((step, f"events at the same {key} as another event of their session: {where}; {kept}; {remedy}"))
    if key == "time":
        once = once.sort_values(["session", "item", "time"], kind="stable")
        same = (np.diff(once["session"].cat.codes) == 0) & (np.diff(once["item"].cat.codes) == 0)
        if n := int((same & (np.diff(once["time"]) <= 60 * AGAIN)).sum()):
            told = f"the same item again within {AGAIN} minutes"
            remedy = "where two players wrote one play, delete one of its rows; a repeat that was played is right"
            noted.append((f"{told}, kept ({n:,})", f"{told} in a session: {n:,} events; {remedy}"))
    return noted


def _items(
    con: duckdb.DuckDBPyConnection,
    table: ItemTable,
    folder: Path,
    files: list[Path],
    on_bad_rows: str,
    played: typed_columns.Column | None = None,
):
    """The item table, one row an item, its bad rows, and warnings; `played` are the items of the log."""
    texts = dict.fromkeys((*table.categorical, *(name for names in table.multivalued.values() for name in names)))
    features = {name: typed_columns.NUMBER._replace(missing=table.missing_in(name)) for name in table.numeric}
    features |= {name: typed_columns.text(*table.missing_in(name)) for name in texts}
    # Numbered in the database: a feature may be called as the reader's own columns are, `rowid` too.
    columns = {"item": (table.item, typed_columns.ID)} | {
        f"feature_{n}": pair for n, pair in enumerate(features.items())
    }
    sources, warnings = typed_columns.load(con, "items", folder, files, columns, table.quote)
    repeated = _REPEATED_ITEMS.format(column=literal(table.item))
    problems = typed_columns.check(con, "items", sources, on_bad_rows, (repeated,))
    names = ", ".join(columns)
    items = con.sql(f"SELECT {names} FROM items ANTI JOIN items_bad ON items.rowid = items_bad.row ORDER BY rowid").df()
    items.columns = ["item", *features]
    texts_of = {
        wanted: typed_columns.Column("items", sources, name, wanted, items[feature])
        for feature, (name, (wanted, kind)) in zip(items, columns.items(), strict=True)
        if kind.is_text
    }
    typed_columns.check_forms(con, [column for column in (played, texts_of[table.item]) if column])
    for group in (*((name,) for name in table.categorical), *table.multivalued.values()):
        missing = tuple(str(value) for name in group for value in table.missing_in(name))
        typed_columns.check_forms(con, [texts_of[name] for name in group], missing)
    return items.astype(dict.fromkeys(("item", *texts), "str")), problems, warnings


def _count(step: str, events: pd.DataFrame) -> tuple[str, int, int, int]:
    return step, len(events), events["session"].cat.codes.nunique(), events["item"].cat.codes.nunique()
