"""Read raw files in the MSSD layout or as event tables into data frames, with DuckDB."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd

from gru4rec_lib.config.data import TRACK_FEATURES, Quoted
from gru4rec_lib.config.study import EventData, ItemTable, MssdData, Split
from gru4rec_lib.data import times
from gru4rec_lib.data.feature_encoding import RawFeatures
from gru4rec_lib.data.ids import among
from gru4rec_lib.preparation import sessions, typed_columns
from gru4rec_lib.preparation.archives import Plain, is_archive
from gru4rec_lib.preparation.counts import n_distinct
from gru4rec_lib.preparation.filters import filter_sessions, leave_out_plays
from gru4rec_lib.preparation.source_files import DataError, Source, found, is_table, literal, name_below
from gru4rec_lib.preparation.split import BOTH_SIDES, apart
from gru4rec_lib.preparation.typed_columns import Cells, Kind, quoted
from gru4rec_lib.utils.arguments import user_path
from gru4rec_lib.utils.text import shown

# The 17 columns of the log other than session, position, length and track, in the official order.
LOG_COLUMNS = (
    dict.fromkeys(("skip_1", "skip_2", "skip_3", "not_skipped", "context_switch"), typed_columns.FLAG)
    | dict.fromkeys((f"{pause}_pause_before_play" for pause in ("no", "short", "long")), typed_columns.FLAG)
    | dict.fromkeys(("hist_user_behavior_n_seekfwd", "hist_user_behavior_n_seekback"), typed_columns.WHOLE)
    | {"hist_user_behavior_is_shuffle": typed_columns.FLAG, "hour_of_day": typed_columns.HOUR}
    | {"date": typed_columns.DATE, "premium": typed_columns.FLAG, "context_type": typed_columns.text()}
    | dict.fromkeys(("hist_user_behavior_reason_start", "hist_user_behavior_reason_end"), typed_columns.text())
)
# `mode` is read into the item table, but is not used as a feature.
TRACKS = ItemTable(file="tf_*", item="track_id", numeric=TRACK_FEATURES, categorical=("mode",))
LOG = {
    "session": (Cells.of("session_id"), typed_columns.ID),
    "item": (Cells.of("track_id_clean"), typed_columns.ID),
    "position": (Cells.of("session_position"), typed_columns.WHOLE),
    "session_length": (Cells.of("session_length"), typed_columns.WHOLE),
} | {name: (Cells.of(name), kind) for name, kind in LOG_COLUMNS.items()}

# Two players may log one play up to four minutes apart (at its start, or once it counts as played); clocks differ, too.
AGAIN = 10  # minutes
LONG = 6 * 3600  # seconds; tracks are shorter, and in milliseconds this is 22 s

# Report one problem per session, at its first wrong row. In a complete session in order, rowid - position is the same
# on every row, so only the other sessions are examined. Rows without a session id do not divide a session.
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
    ANTI JOIN (SELECT session FROM log WHERE len(_bad) > 0) AS reported USING (session)
), problems AS (
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
SELECT row, file, NULL, problem.column, problem.problem, problem.remedy FROM problems WHERE problem IS NOT NULL
QUALIFY row_number() OVER (PARTITION BY session ORDER BY row) = 1
"""
_SESSION_MATES = """
SELECT log.rowid, _file, NULL, 'session_id', 'its session has a bad row', 'correct that row to have the session back'
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
    """An item table as read; `items` is None if there is none.

    Args:
        problems: `file`, `line` (for Parquet the row), `column`, `problem`, `remedy` of every row dropped as bad.
        warnings: one sentence each.
    """

    problems: pd.DataFrame
    warnings: tuple[str, ...] = ()


NO_ITEMS = ItemRows(items=None, problems=pd.DataFrame(columns=["file", "line", "column", "problem", "remedy"]))


@dataclass(frozen=True, kw_only=True)
class Tables(ItemRows):
    """Events and items as read; `problems` and `warnings` concern both.

    `items` has one row per item: `item` and the feature columns (numeric: float64, NaN where missing; others: str, NA
    where missing).

    Args:
        events: one row per event: sessions in reading order, each sorted by position or time. `session`, `item` and
            `file` (path below the data folder): categorical; `position`: int32, 1..n; `time`: float64, unix seconds, if
            the table has times; for MSSD also LOG_COLUMNS (bool, int32, hour int8, date datetime64[s], texts
            categorical).
        counts: `step`, `events`, `sessions`, `items`: the numbers that remain after each step.
        labels: one row per item of the events: `item` and the texts to display (str, NA where missing). None if the
            study names no labels.
    """

    events: pd.DataFrame
    counts: pd.DataFrame
    labels: pd.DataFrame | None = None


def read(data: MssdData | EventData, folder: Path, split: Split | None = None) -> Tables:
    """Read and check a data set's raw files.

    Args:
        data: layout, names of files and columns, and what to do with bad rows; in an MSSD log a bad row is dropped with
            its session.
        folder: the folder of the files; for an event table it may be a .zip archive.
        split: settings of the split; if it is by file, `split.apart` separates the ids that are on both sides. With
            None, each id is one session.

    Returns:
        The tables. Times without a zone are UTC.

    Raises:
        DataError: files or columns are missing, a file cannot be read, (under `on_bad_rows: error`) rows are bad, or
            the times of a file are dates written as digits.
    """
    folder = user_path(folder)
    is_mssd = isinstance(data, MssdData)
    if not folder.is_dir() and (is_mssd or not (is_archive(folder) and folder.is_file())):
        raise DataError(f"{folder}: there is no such folder; name the one that holds the files of `{data.name}`")
    with Plain() as plain:
        folder = plain.folder(folder)
        return _tables(data, *(_mssd(data, folder) if is_mssd else _generic(data, folder, plain)), split)


def read_log(path: Path, on_bad_rows: str = "error", folder: Path | None = None) -> Tables:
    """Read and check a single log in the MSSD layout, as `read` does.

    Args:
        path: a log, log_*.csv[.gz].
        on_bad_rows: `error` or `drop`, as in `MssdData`.
        folder: the data folder that contains the log; by default the log's own folder.
    """
    path = user_path(path)
    data = MssdData(layout="mssd", name="log", on_bad_rows=on_bad_rows)
    return _tables(data, _named(folder or path.parent, [path]), LOG, None, [])


def read_track_features(path: Path) -> ItemRows:
    """Read and check one file of track features; bad rows are an error.

    Args:
        path: of the file, tf_*.csv[.gz].
    """
    path = user_path(path)
    return _tracks(path.parent, [path], "error")


def read_tracks(data: MssdData, folder: Path) -> ItemRows:
    """Read and check all track features of a data set, without its logs.

    Args:
        data: as for `read`.
        folder: as for `read`.

    Returns:
        The features.
    """
    return _tracks(folder, mssd_files(data, folder)[1], data.on_bad_rows)


def _tracks(folder: Path, files: list[Path], on_bad_rows: str) -> ItemRows:
    if files:
        with duckdb.connect() as con:
            return _items(con, TRACKS, _named(folder, files), on_bad_rows)
    return NO_ITEMS


def _tables(
    data: MssdData | EventData, files: list[tuple[Path, str]], columns: dict, table, table_files, split=None
) -> Tables:
    is_mssd = isinstance(data, MssdData)
    text, left_out = (Quoted(), {}) if is_mssd else (data, data.leave_out)
    with duckdb.connect() as con:
        con.execute("SET TimeZone = 'UTC'")
        sources, warnings = typed_columns.load(con, "log", files, columns, text, tuple(left_out.values()))
        con.execute(f"SET VARIABLE log_files = [{', '.join(literal(source.name) for source in sources)}]")
        checks = (_BROKEN_SESSIONS, _SESSION_MATES) if is_mssd else ()
        problems = typed_columns.check(con, "log", sources, data.on_bad_rows, checks)
        events, counts, notes = _events(con, sources, columns, None if is_mssd else data, split)
        warnings += notes
        if not is_mssd and data.idle_minutes:
            warnings += _missing_parts(sources)
        texts = {
            name: typed_columns.Column("log", sources, name, columns[name][0].label, events[name].cat.categories)
            for name in ("session", "user", "item")
            if name in columns and name in events
        }
        for column in texts.values():
            typed_columns.check_forms(con, [column])
        features = NO_ITEMS
        if table:
            in_rows = None if is_mssd or table.file else data
            features = _items(con, table, files if in_rows else table_files, data.on_bad_rows, texts["item"], in_rows)
            warnings += features.warnings
            problems = pd.concat([problems, features.problems], ignore_index=True)
            if len(features.problems):
                counts.append(_count(f"item rows dropped ({len(features.problems):,})", events))
            known = among(events["item"].cat.categories, features.items["item"])[events["item"].cat.codes]
            counts.append(_count("of items with features", events[known]))
        labels = None if is_mssd else _labels(con, data, sources, events)
        if not is_mssd and data.label_features:
            features = _with_labels(features, labels[["item", *data.label_features]])
    return Tables(
        events=events,
        items=features.items,
        numeric=features.numeric,
        categorical=features.categorical,
        multivalued=features.multivalued,
        missing_indicator=features.missing_indicator,
        counts=pd.DataFrame(counts, columns=["step", "events", "sessions", "items"]),
        problems=problems,
        warnings=tuple(warnings),
        labels=labels,
    )


def _named(folder: Path, files: list[Path]) -> list[tuple[Path, str]]:
    """Return each path with the file's name in messages."""
    return [(path, name_below(folder, path)) for path in files]


def mssd_files(data: MssdData, folder: Path) -> tuple[list[Path], list[Path]]:
    """Return the log files and the files of track features below a folder, in reading order.

    Args:
        data: has the patterns of the logs' names.
        folder: the data folder.

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
    return _named(folder, logs), LOG, TRACKS if tracks else None, _named(folder, tracks)


def _generic(data: EventData, folder: Path, plain: Plain):
    files = [file for pattern in data.events for file in found(folder, pattern)]
    table = data.item_table
    table_files = found(folder, table.file) if table and table.file else []
    return _plain(dict.fromkeys(files), folder, plain), columns_of(data), table, _plain(table_files, folder, plain)


def _plain(files: Iterable[Path], folder: Path, plain: Plain) -> list[tuple[Path, str]]:
    """Return (path, name in messages) of each file, unpacked if necessary; an archive is replaced by its members."""
    pairs = []
    for path, name in _named(folder, [*files]):
        if is_archive(path) and path.is_file():
            members = [pair for pair in plain.members(path, name) if is_table(pair[0])]
            if not members:
                raise DataError(f"{name}: the archive holds no table; see docs/data.md for the kinds of files")
        else:
            members = [(path, name)]
        pairs += [(plain.path(member, called), called) for member, called in members]
    return pairs


def columns_of(data: EventData) -> dict[str, tuple[Cells | typed_columns.Folder | typed_columns.Choice, Kind]]:
    """Return for each column of the table `log` of events the cells of the files and their kind.

    Args:
        data: names the columns.
    """
    columns = {"session": (Cells.of(data.session), typed_columns.ID)} if data.session else {}
    columns |= {"item": (Cells.of(data.item), typed_columns.ID)}
    if data.time:
        columns["time"] = (Cells.of(data.time), typed_columns.TIME)
    else:
        columns["position"] = (Cells.of(data.position), typed_columns.WHOLE)
    if data.has_users:
        columns["user"] = (Cells.of(data.user) if data.user else typed_columns.Folder(), typed_columns.ID)
    if data.duration:
        columns["duration"] = (Cells.of(data.duration), typed_columns.DURATION)
    if data.start:
        columns["start"] = (Cells.of(data.start, is_required=False), typed_columns.ANY_TIME)
    if len(data.item) > 1:
        columns["choice"] = (typed_columns.Choice(columns["item"][0]), typed_columns.CHOICE)
    if data.item_table and data.item_table.key:
        columns["key"] = (Cells.of(data.item_table.key), typed_columns.text())
    for n, label in enumerate(data.label.values()):
        columns[f"label_{n}"] = (Cells.of(label, is_required=False), typed_columns.text())
    return columns


# Columns of the table `log` that are not columns of the events.
_ASIDE = ("duration", "start", "choice", "key")


def _counted(con: duckdb.DuckDBPyConnection, table: str, columns: dict, left_out: str, n: int) -> list[tuple]:
    """Count the events, sessions and items of a table before and after each of n steps that leave out rows.

    Args:
        con: the database.
        table: name of the table.
        columns: of the log; there are 0 sessions if the table has no session column yet.
        left_out: SQL of the number of the step, from 0, that leaves a row out; NULL if none does.
        n: number of steps.
    """
    step = f"coalesce({left_out}, {n})"
    queries = [f"SELECT {step}, count(*) FROM {table} GROUP BY 1"]
    for name in ("session", "item"):
        last = f"SELECT max({step}) AS last FROM {table} WHERE {name} IS NOT NULL GROUP BY {name}"
        queries.append(f"SELECT last, count(*) FROM ({last}) GROUP BY 1" if name in columns else "")
    found = [dict(con.execute(query).fetchall()) if query else {} for query in queries]
    return [tuple(sum(rows for last, rows in one.items() if last >= k) for one in found) for k in range(n + 1)]


def _plays(con: duckdb.DuckDBPyConnection, data: EventData | None, columns: dict) -> Iterator[tuple]:
    """Create the view `plays` of `log`: leave out rows, then single plays. Yield counts of each step.

    Texts of `plays` are numbered, and labels are replaced by whether there is one.
    """
    ((torn,),) = con.execute("SELECT count(*) FROM log_bad WHERE row IS NULL").fetchall()
    reasons = [*data.leave_out] if data else []
    (before, *ids), *after = _counted(con, "log", columns, "_left_out" if reasons else "NULL", len(reasons))
    yield "read", before + torn, *ids
    for reason, (events, *ids) in zip(reasons, after, strict=True):
        yield f"left out: {reason} ({before - events:,})", events + torn, *ids
        before = events
    before += torn
    good = "log ANTI JOIN log_bad ON log.rowid = log_bad.row" + (" WHERE _left_out IS NULL" if reasons else "")
    values = []
    for name, (_, kind) in columns.items():
        value = quoted(name)
        if name.startswith("label_"):
            value = f"{name} IS NOT NULL"
        elif kind.is_text and name not in _ASIDE:
            known = f"SELECT {value}, log.rowid AS row FROM {good}"
            order = f"SELECT {value} FROM ({known}) WHERE {value} IS NOT NULL GROUP BY 1 ORDER BY min(row)"
            con.execute(f"CREATE TYPE {name}_value AS ENUM ({order})")
            value = f"TRY_CAST({value} AS {name}_value)"  # DuckDB may cast bad rows, too, before it drops them
        elif name == "duration" and data.duration_unit == "ms":
            value = "duration / 1000"
        values.append(f"{value} AS {quoted(name)}")
    con.execute(f"CREATE VIEW kept AS SELECT log.rowid AS row, _file, {', '.join(values)} FROM {good}")
    ((n_bad,),) = con.execute("SELECT count(*) FROM log_bad").fetchall()
    kept = _counted(con, "kept", columns, "NULL", 0)[0] if n_bad else (before, *ids)
    yield f"bad rows dropped ({before - kept[0]:,})", *kept
    if not data or not (data.idle_minutes or data.filters.of_plays):
        con.execute("CREATE VIEW plays AS FROM kept")
        return
    steps = leave_out_plays(con, data.filters)
    after = _counted(con, "ruled", columns, "rule", len(steps))[1:] if steps else []
    for step, counted in zip(steps, after, strict=True):
        yield step, *counted


def _events(con: duckdb.DuckDBPyConnection, sources: list[Source], columns: dict, data: EventData | None, split):
    """Return the kept rows of `log` in order, the counts of each step, and warnings."""
    counts = [(step, events, n, items) for step, events, n, items in _plays(con, data, columns)]
    if not counts[-1][1]:
        problem = f"no good row is left of {counts[0][1]:,}; `on_bad_rows: error` names the bad ones"
        if data and (data.leave_out or data.filters.of_plays):
            problem = f"no play is left of {counts[0][1]:,} rows ({_losses(counts)})"
            problem += "; give other files or change the study's filters"
        raise DataError(f"{sources[0].name}: {problem}")
    values = [quoted(name) for name in columns if name not in _ASIDE and not name.startswith("label_")]
    values = ["row", "_file", *values]
    if data and data.idle_minutes:
        events = sessions.in_order(con, data, values)
        step = f"sessions cut where more than {data.idle_minutes:g} minutes pass without a play"
        counts.append(_count(step, events))
    else:
        events = con.sql(f"SELECT {', '.join(values)} FROM plays").df()
    if data and data.filters.of_plays:  # categories are of all plays
        for name in ("session", "user", "item"):
            if name in columns:
                events[name] = _in_reading_order(events[name], events["row"])
    doubts = _doubts(con, sources, columns["time"][0].label) if "time" in columns else []
    doubts += _long_plays(con, sources, columns["duration"][0].label) if "duration" in columns else []
    names = pd.Categorical([source.name for source in sources])
    events["file"] = pd.Categorical.from_codes(names.codes[events.pop("_file")], names.categories)
    notes = []
    if "session_length" not in columns:
        events, n_apart = apart(events, split)
        if data.session and data.has_users:
            _check_users(con, sources, data, events)
        notes += [] if data.idle_minutes else _of_files(events, n_apart)

    # Session codes are in reading order; rows of equal time stay in the order of the files.
    key = "time" if "time" in columns else "position"
    if not (data and data.idle_minutes):
        order = np.lexsort((events["row"], events[key], events["session"].cat.codes))
        if (np.diff(order) != 1).any():
            events = events.iloc[order]
    if "session_length" not in columns:
        repeated, drop = _repeated(events, key), data.exact_repeats == "drop"
        once = events[~repeated]
        events = once if drop else events
        counts.append(_count(f"exact repeats {'dropped' if drop else 'kept'} ({repeated.sum():,})", events))
        notes += _of_order(once, key, bool(data.idle_minutes))
        counts += [_count(step, events) for step, _ in notes]
        notes += _of_choices(con, data, columns)
        n_before = len(events)
        for step, left in filter_sessions(events, data.filters):
            counts.append(_count(step, left))
            events = left
        if events.empty:
            raise DataError(f"{sources[0].name}: no play is left ({_losses(counts)}); relax the study's `filters`")
        if len(events) < n_before:
            for name in ("session", "user", "item"):
                if name in events:
                    events[name] = events[name].cat.remove_unused_categories()

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
    others = [name for name in columns if name not in (*front, "session_length", *_ASIDE) and name[:6] != "label_"]
    events = pd.DataFrame(front | {name: events[name] for name in others}, copy=False)
    for name in events.select_dtypes("category"):
        events[name] = events[name].cat.as_unordered()
    events = events.astype({"date": "datetime64[s]"}) if "date" in others else events
    return events, counts, [*doubts, *(warning for _, warning in notes)]


def _in_reading_order(texts: pd.Series, row: pd.Series) -> pd.Series:
    """Return a categorical column whose categories are those that occur, in the order of their first rows."""
    never = np.iinfo(np.int64).max
    first = np.full(len(texts.cat.categories), never)
    np.minimum.at(first, texts.cat.codes.to_numpy(), row.to_numpy(np.int64))
    order = np.argsort(first, kind="stable")[: np.count_nonzero(first < never)]
    return texts.cat.set_categories(texts.cat.categories[order])


def _doubts(con: duckdb.DuckDBPyConnection, sources: list[Source], column: str) -> list[str]:
    """Return warnings about doubtful times of each file; raise where `times.doubtful` is certain."""
    times_of = {n: con.execute("SELECT time FROM plays WHERE _file = ?", [n]).fetchnumpy() for n in range(len(sources))}
    found = [(sources[n].name, *times.doubtful(np.asarray(part["time"]))) for n, part in times_of.items()]
    doubts = [(f"{name}, column `{column}`: {doubt}", is_sure) for name, doubt, is_sure in found if doubt]
    if wrong := [line for line, is_sure in doubts if is_sure]:
        raise DataError("\n".join(wrong))
    return [line for line, _ in doubts]


def _long_plays(con: duckdb.DuckDBPyConnection, sources: list[Source], column: str) -> list[str]:
    """Return a warning about the first file whose durations are probably milliseconds, read as seconds."""
    query = f"SELECT _file, median(duration) AS seconds FROM kept GROUP BY 1 HAVING seconds > {LONG} ORDER BY 1 LIMIT 1"
    return [
        f"{sources[n].name}, column `{column}`: the median duration is read as {seconds:,.0f} seconds "
        f"({seconds / 3600:,.1f} hours); if it is in milliseconds, set `duration_unit: ms`"
        for n, seconds in con.execute(query).fetchall()
    ]


def _tied(events: pd.DataFrame, key: str) -> np.ndarray:
    """Whether an event has the `key` of another one of its session; events are sorted by session and `key`."""
    same = (np.diff(events["session"].cat.codes) == 0) & (np.diff(events[key]) == 0)
    return np.append(False, same) | np.append(same, False) if len(events) else same


def _repeated(events: pd.DataFrame, key: str) -> np.ndarray:
    """Whether an earlier event has the same session, item and `key`; events are sorted by session and `key`."""
    tied = _tied(events, key)
    repeated = np.zeros(len(events), bool)
    repeated[tied] = events[tied].duplicated(["session", "item", key])
    return repeated


def _check_users(con: duckdb.DuckDBPyConnection, sources: list[Source], data: EventData, events: pd.DataFrame) -> None:
    """Raise if a session id belongs to several users: their plays would be one session."""
    pairs = events[["session", "user", "row"]].drop_duplicates(["session", "user"])
    again = pairs[pairs.duplicated("session")]
    if again.empty:
        return
    other = again.loc[again["row"].idxmin()]
    user = pairs["user"][(pairs["session"] == other["session"]).idxmax()]
    sessions = Cells.of(data.session)
    where = typed_columns.place(con, "log", sources, other["row"], sessions.label)
    problem = f"session `{other['session']}` is of the users `{user}` and `{other['user']}`"
    names = ", ".join(f"[{', '.join((user, *names))}]" for user in data.user or () for names in sessions.choices)
    remedy = f"write `session: [{names}]` in the study" if data.user else "make the ids of the folders differ"
    raise DataError(f"{where}: {problem} (such ids: {again['session'].nunique():,}); {remedy}")


def _of_files(events: pd.DataFrame, n_apart: int) -> list[tuple[str, str]]:
    """Return a step of the counts and a warning for session ids in several files."""
    notes = []
    if n_apart:
        warning = f"session ids in files of training and of the test: {n_apart:,}; each is taken as two sessions"
        notes.append((BOTH_SIDES.format(n_apart), warning))
    pairs = events[["session", "file"]].drop_duplicates()
    if n := int((pairs["session"].value_counts() > 1).sum()):
        step = f"session ids in more than one file, each taken as one session ({n:,})"
        remedy = "make the ids differ where every file numbers its sessions anew"
        notes.append((step, f"session ids in more than one file: {n:,}; the rows of each are one session; {remedy}"))
    return notes


def _of_order(once: pd.DataFrame, key: str, is_cut: bool) -> list[tuple[str, str]]:
    """Return a step of the counts and a warning for events of unclear order, and for items repeated within minutes.

    Args:
        once: events without exact repeats, sorted by session, `key` and `row`.
        key: `time` or `position`.
        is_cut: whether sessions were cut by time; warnings then do not suggest a column of positions.
    """
    notes = []
    tied = _tied(once, key)
    if n := int(tied.sum()):
        kept, remedy = "they are kept in the order of the file", "number a session's events in a column `position`"
        later = (np.diff(once["session"].cat.codes) == 0) & (np.diff(once[key]) > 0)
        if key == "time":
            if is_cut and not (once["time"] % 60).any():
                kept += " (all times are whole minutes)"
            remedy = "give finer times" if is_cut else f"give finer times, or {remedy}"
            if (np.diff(once["row"])[later] < 0).sum() > later.sum() / 2:
                kept += (
                    ", which is newest first: most likely the reverse of how they were played, and neither order is "
                )
                kept += "right where two players wrote the log"
        step = f"events at the same {key} as another of their session, in the order of the file ({n:,})"
        where = f"{n:,} in {once.loc[tied, 'session'].nunique():,} sessions"
        notes.append((step, f"events at the same {key} as another event of their session: {where}; {kept}; {remedy}"))
    if key == "time":
        pairs = once["session"].cat.codes.to_numpy(np.int64) * len(once["item"].cat.categories)
        pairs += once["item"].cat.codes
        once = once[pd.Series(pairs).duplicated(keep=False).to_numpy()]
        once = once.sort_values(["session", "item", "time"], kind="stable")
        same = (np.diff(once["session"].cat.codes) == 0) & (np.diff(once["item"].cat.codes) == 0)
        if n := int((same & (np.diff(once["time"]) <= 60 * AGAIN)).sum()):
            repeat = f"the same item again within {AGAIN} minutes"
            remedy = "where two players wrote one play, delete one of its rows; a repeat that was played is right"
            notes.append((f"{repeat}, kept ({n:,})", f"{repeat} in a session: {n:,} events; {remedy}"))
    return notes


def _items(
    con: duckdb.DuckDBPyConnection,
    table: ItemTable,
    files: list[tuple[Path, str]],
    on_bad_rows: str,
    played: typed_columns.Column | None = None,
    data: EventData | None = None,
) -> ItemRows:
    """Return the item table, one row per item, its bad rows, and warnings.

    Args:
        con: the database; if the table has a `key`, it contains the table `plays` of the events.
        table: names the columns.
        files: of the table.
        on_bad_rows: `error` or `drop`.
        played: the items of the log; their ids must be written in the same form as those of the table. Features by key
            or in the rows of the events are those of these items alone.
        data: settings of the events, if the features are in their rows.
    """
    texts = dict.fromkeys((*table.categorical, *(name for names in table.multivalued.values() for name in names)))
    features = {name: typed_columns.NUMBER._replace(missing=table.missing_in(name)) for name in table.numeric}
    features |= {
        name: typed_columns.numbers(table.separators.get(name, ""), *table.missing_in(name)) for name in table.embedding
    }
    features |= {name: typed_columns.text(*table.missing_in(name)) for name in texts}
    # Columns are numbered in the database, since a feature may have the name of an internal column such as `rowid`.
    columns = {"item": (Cells.of(table.item), typed_columns.ID)} | {
        f"feature_{n}": (Cells.of(name), kind) for n, (name, kind) in enumerate(features.items())
    }
    reasons = tuple(data.leave_out.values()) if data else ()
    sources, warnings = typed_columns.load(con, "items", files, columns, data or table, reasons)
    is_merged = table.repeats == "first" or data is not None
    repeated = _REPEATED_ITEMS.format(column=literal(columns["item"][0].label))
    problems = typed_columns.check(con, "items", sources, on_bad_rows, () if is_merged else (repeated,))
    names = ", ".join(columns)
    rows = f"items ANTI JOIN items_bad ON items.rowid = items_bad.row{' WHERE _left_out IS NULL' if reasons else ''}"
    if is_merged:
        items, notes = _merged(con, [*columns][1:], rows, played.texts if data else None)
        warnings += notes
    else:
        items = con.sql(f"SELECT {names} FROM {rows} ORDER BY rowid").df()
    items.columns = ["item", *features]
    texts_of = {
        feature: typed_columns.Column("items", sources, name, cells.label, items[feature])
        for feature, (name, (cells, kind)) in zip(items, columns.items(), strict=True)
        if kind.is_text
    }
    written = [texts_of["item"]] if table.key else [played, texts_of["item"]]
    typed_columns.check_forms(con, [column for column in written if column])
    for group in (*((name,) for name in table.categorical), *table.multivalued.values()):
        missing = tuple(str(value) for name in group for value in table.missing_in(name))
        typed_columns.check_forms(con, [texts_of[name] for name in group], missing)
    items = items.astype(dict.fromkeys(("item", *texts), "str"))
    if table.key:
        items, noted = _by_key(con, items, played.texts)
        warnings += noted
    numeric, multivalued = [*table.numeric], dict(table.multivalued)
    for name in table.embedding:
        items, added = _side_by_side(items, name, sources[0].name)
        numeric += added
    for name, separator in table.separators.items():
        if name in table.embedding:
            continue
        items, added = _parted(items, name, separator)
        multivalued |= {
            feature: tuple(part for one in group for part in (added if one == name else (one,)))
            for feature, group in multivalued.items()
        }
    return ItemRows(
        items=items,
        numeric=tuple(numeric),
        categorical=() if table is TRACKS else tuple(table.categorical),
        multivalued=multivalued,
        missing_indicator=table.missing_indicator,
        problems=problems,
        warnings=tuple(warnings),
    )


def _with_labels(features: ItemRows, labels: pd.DataFrame) -> ItemRows:
    """Return the features with labels as the first categories, and with rows for items that have labels alone."""
    labels = labels.set_index("item").dropna(how="all")
    items = labels.index.to_frame()[[]] if features.items is None else features.items.set_index("item")
    every = items.index.append(labels.index.difference(items.index, sort=False))
    items = items.reindex(every).join(labels).rename_axis("item").reset_index()
    return replace(features, items=items, categorical=(*labels.columns, *features.categorical))


def _merged(
    con: duckdb.DuckDBPyConnection, columns: list[str], rows: str, kept: pd.Index | None
) -> tuple[pd.DataFrame, list[str]]:
    """Return one row per kept item, with the first non-missing value of each column, and a warning if rows differ."""
    first = ", ".join(f"arg_min({column}, rowid) FILTER ({column} IS NOT NULL) AS {column}" for column in columns)
    differ = " OR ".join(f"count(DISTINCT {column}) > 1" for column in columns)
    query = f"SELECT item, {first}, {differ} AS differs FROM {rows} GROUP BY item ORDER BY min(rowid)"
    items = con.sql(query).df()
    items = items if kept is None else items[among(items["item"], kept)].reset_index(drop=True)
    n = int(items.pop("differs").sum())
    warning = f"items whose rows of features differ: {n:,} of {len(items):,}; the first value of each column counts"
    return items, [warning] if n else []


def _by_key(con: duckdb.DuckDBPyConnection, items: pd.DataFrame, kept: pd.Index) -> tuple[pd.DataFrame, list[str]]:
    """Return the item table with a row for each kept item whose key it has, and a warning of several keys."""
    query = """SELECT CAST(item AS VARCHAR) AS item, arg_min(key, row) FILTER (key IS NOT NULL) AS key,
        count(DISTINCT key) > 1 AS differs FROM plays GROUP BY 1 ORDER BY min(row)"""
    found = con.sql(query).df()
    found = found[among(found["item"], kept)]
    n = int(found.pop("differs").sum())
    warning = f"items with several keys to the table of features: {n:,} of {len(found):,}; the first key of each counts"
    keys = found.astype("str").dropna()
    keys = keys[among(keys["key"], items["item"])]
    rows = items.set_index("item").loc[keys["key"]].reset_index(drop=True)
    rows.insert(0, "item", keys["item"].array)
    return rows, [warning] if n else []


def _side_by_side(items: pd.DataFrame, name: str, file: str) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Return the table with each number of an embedding in its own column, and the names of these columns."""
    vectors = items.pop(name)
    is_there = vectors.notna().to_numpy()
    lengths = vectors[is_there].map(len)
    others = lengths[lengths != lengths.iloc[0]] if len(lengths) else lengths
    if len(others):
        other = others.index[0]
        problem = f"item `{items['item'][other]}` has {lengths[other]} numbers, and others have {lengths.iloc[0]}"
        raise DataError(f"{file}, column `{name}`: {problem}; give vectors of one length")
    numbers = np.full((len(items), int(lengths.max()) if len(lengths) else 0), np.nan)
    if numbers.size:
        numbers[is_there] = np.stack(vectors[is_there].to_list())
    names = tuple(f"{name}_{n}" for n in range(numbers.shape[1]))
    if taken := {*names} & {*items}:
        raise DataError(f"{file}, column `{min(taken)}`: has the name of a number of `{name}`; rename the column")
    return pd.concat([items, pd.DataFrame(numbers, items.index, names)], axis=1), names


def _parted(items: pd.DataFrame, name: str, separator: str) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Split cells such as `rock|indie` into one column per value; return the table and the names of these columns."""
    cells = items.pop(name)
    values = [
        [] if pd.isna(cell) else [part for part in map(str.strip, cell.split(separator)) if part] for cell in cells
    ]
    names = tuple(f"{name}\0{n}" for n in range(max(1, *map(len, values)) if values else 1))  # no name of a column
    parts = {
        part: pd.array([found[n] if n < len(found) else None for found in values], dtype="str")
        for n, part in enumerate(names)
    }
    return items.assign(**parts), names


def _losses(counts: list[tuple]) -> str:
    """Return the steps of the counts that dropped events."""
    return "; ".join(step for step, *_ in counts if re.search(r"\([1-9][0-9,]*\)$", step) and " kept (" not in step)


def _missing_parts(sources: list[Source]) -> list[str]:
    """Return warnings about missing parts of an export, such as `endsong_3.json` without the parts 0 to 2."""
    parts: dict[str, set[int]] = {}
    for source in sources:
        number = re.search(r"(\d+)\.json$", source.name)
        if number and source.is_json:
            parts.setdefault(source.name.rpartition("/")[0], set()).add(int(number[1]))
    gaps = {
        folder: sorted({*range(max(numbers))} - numbers) for folder, numbers in parts.items() if max(numbers) < 1000
    }
    warning = "of the numbered parts some are not there"
    remedy = "plays of one session may lie in several parts, so bring all of them"
    return [
        f"{f'{folder}: ' if folder else ''}{warning} ({shown(', '.join(map(str, gap)), 60)}); {remedy}"
        for folder, gap in gaps.items()
        if gap
    ]


def _of_choices(con: duckdb.DuckDBPyConnection, data: EventData, columns: dict) -> list[tuple[str, str]]:
    """Return warnings about items, and starts of plays, that were taken from another column than the first."""
    notes = []
    if "choice" in columns:
        labels = ["` + `".join(choice) for choice in columns["item"][0].choices]
        rows = con.execute("SELECT choice, count(*) FROM plays GROUP BY 1 ORDER BY 1").fetchall()
        if len(rows) > 1:
            by_column = ", ".join(f"{n:,} by `{labels[choice]}`" for choice, n in rows)
            notes.append(("", f"plays whose item is known by several columns: {by_column}"))
    if "start" in columns and data.idle_minutes:
        recorded, paused, others = sessions.starts_by_source(con, data)
        origins = f"{recorded:,} recorded, {paused + others:,} the end less the duration"
        if paused:
            origins += f" ({paused:,} of them recorded, but with a pause of more than the idle time before the end)"
        notes.append(("", f"starts of plays, by which sessions are cut: {origins}"))
    return notes


def _labels(con: duckdb.DuckDBPyConnection, data: EventData, sources: list[Source], events: pd.DataFrame):
    """Return the texts to display, one row per item of the events: the first of each label; None without labels."""
    if not data.label:
        return None
    for name, columns in data.label.items():
        if not any({*columns} & {*source.header} for source in sources):
            there = shown(", ".join(sources[0].header))
            problem = f"label `{name}`: no file has a column `{'` or `'.join(columns)}` (there: {there})"
            raise DataError(f"{sources[0].name}: {problem}; correct the study's config")
    names = [f"label_{n}" for n in range(len(data.label))]
    first = ", ".join(f"min(row) FILTER ({name}) AS {name}" for name in names)
    texts = ", ".join(f"log_{name}.{name}" for name in names)
    joins = " ".join(f"LEFT JOIN log AS log_{name} ON log_{name}.rowid = firsts.{name}" for name in names)
    query = (
        f"SELECT CAST(firsts.item AS VARCHAR), {texts} FROM (SELECT item, {first} FROM plays GROUP BY item) AS firsts"
    )
    table = con.sql(f"{query} {joins}").df()
    table.columns = ["item", *data.label]
    kept = events["item"].cat.categories.astype("str")
    return table.astype("str").set_index("item").reindex(kept).rename_axis("item").reset_index()


def _count(step: str, events: pd.DataFrame) -> tuple[str, int, int, int]:
    return step, len(events), n_distinct(events["session"]), n_distinct(events["item"])
