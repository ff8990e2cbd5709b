"""Cells of raw files as typed columns of a DuckDB table; every bad cell and row is named by file, line and column.

All cells are read as text and cast in SQL, so that what cannot be read never becomes a silent gap. The typed columns
lie beside `_file` (the number of the file) and `_bad` (its bad cells); `rowid` is the reading order.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import duckdb
import numpy as np
import pandas as pd

from gru4rec_lib import times
from gru4rec_lib.sources import (
    NOT_UTF_8,
    OPEN_QUOTE,
    DataError,
    Source,
    exactly,
    literal,
    open_source,
    reason,
    record_lines,
    shown,
)


class Kind(NamedTuple):
    """How a column is read.

    Args:
        sql: the value of the text {x}; NULL where it has none.
        remedy: what to write in a cell that cannot be read.
        optional: whether a cell may be empty.
        is_text: whether values are texts.
    """

    sql: str
    remedy: str
    optional: bool = False
    is_text: bool = False


def quoted(name: str) -> str:
    """`name` as a column's name in SQL.

    Args:
        name: any text.
    """
    return '"' + name.replace('"', '""') + '"'


def text(*missing: str) -> Kind:
    """The kind of a column of texts, where the empty cell and `missing` mean that there is none."""
    none = ", ".join(map(literal, ("", *missing)))
    return Kind(f"CASE WHEN {{x}} NOT IN ({none}) THEN {{x}} END", "", optional=True, is_text=True)


# A cast of text to an integer rounds 3.7 to 4; comparing it with the cast to a double refuses that.
_WHOLE = "CASE WHEN TRY_CAST({x} AS DOUBLE) = TRY_CAST({x} AS BIGINT) THEN TRY_CAST({x} AS INTEGER) END"
_FINITE = "CASE WHEN isfinite(TRY_CAST({x} AS DOUBLE)) THEN TRY_CAST({x} AS DOUBLE) END"
ID = Kind("CASE WHEN trim({x}) <> '' AND NOT contains({x}, chr(0)) THEN {x} END", "give every row an id", is_text=True)
WHOLE = Kind(_WHOLE, "write a whole number")
HOUR = Kind(f"CASE WHEN {_WHOLE} BETWEEN 0 AND 23 THEN CAST({_WHOLE} AS TINYINT) END", "write 0 to 23")
FLAG = Kind("TRY_CAST({x} AS BOOLEAN)", "write true or false")
# First the form that a spreadsheet makes of the official one: as years, %Y would take its days.
DATE = Kind("CAST(try_strptime({x}, ['%d-%m-%y', '%Y-%m-%d']) AS DATE)", "write a date such as 2018-07-15")
_ISO = literal(times.ISO).replace("{", "{{").replace("}", "}}")
_DATE_TIME = (
    f"CASE WHEN regexp_full_match(trim({{x}}), {_ISO}) THEN epoch_us(TRY_CAST(trim({{x}}) AS TIMESTAMPTZ)) / 1e6 END"
)
# DuckDB reads 1_000 as a thousand, and of further `_` a part.
_SECONDS = f"coalesce(CASE WHEN NOT contains({{x}}, '_') THEN {_FINITE} END, {_DATE_TIME})"
TIME = Kind(f"CASE WHEN abs({_SECONDS}) < {times.END} THEN {_SECONDS} END", times.REMEDY)
# Features are float32 where they are used.
_FEATURE = "CASE WHEN isfinite(TRY_CAST({x} AS FLOAT)) THEN TRY_CAST({x} AS DOUBLE) END"
NUMBER = Kind(_FEATURE, "write a finite number below 3e38, or leave the cell empty", optional=True)

# Rows of a wrong length are bad rows; after any other fault of the text nothing behind it can be trusted.
_RAGGED = {"MISSING COLUMNS": "fewer", "TOO MANY COLUMNS": "more"}
_FAULTS = {
    "INVALID ENCODING": NOT_UTF_8,
    "UNQUOTED VALUE": OPEN_QUOTE,
    "LINE SIZE OVER MAXIMUM": "is longer than 2 MB; look for a quotation mark that does not close",
}


def load(
    con: duckdb.DuckDBPyConnection, table: str, folder: Path, files: list[Path], columns: dict[str, tuple[str, Kind]]
) -> list[Source]:
    """Read files into a new table, in the order given.

    Args:
        con: the database.
        table: the new table's name.
        folder: messages name files relative to it.
        files: .csv, .tsv (each also with .gz) or .parquet.
        columns: for each column of the table, the name in the files and the kind.

    Returns:
        The files.

    Raises:
        DataError: a file is missing, a folder, empty, broken or not UTF-8, or lacks a column.
    """
    sources, wrong = [], []
    for path in files:
        name = path.relative_to(folder).as_posix() if path.is_relative_to(folder) else path.name
        try:
            sources.append(open_source(con, path, name, {wanted for wanted, _ in columns.values()}))
        except DataError as error:
            wrong.append(str(error))
    if wrong:
        raise DataError("\n".join(wrong))
    query = " UNION ALL ".join(_select(number, source, columns) for number, source in enumerate(sources))
    try:
        con.execute(f"CREATE TABLE {table} AS {query}")
    except duckdb.Error as error:
        raise DataError(_broken(con, sources, columns, error)) from error
    filled = {i for (i,) in con.execute(f"SELECT DISTINCT _file FROM {table}").fetchall()}
    for name, line, fault in _rejected(con, sources):
        if fault not in _RAGGED:
            wrong.append(f"{name}, line {line}: {_FAULTS.get(fault, 'cannot be read; mend this line')}")
        filled.add(next(i for i, source in enumerate(sources) if source.name == name))
    wrong += [
        f"{s.name}: has a header but no rows; replace it by the whole file or take it away"
        for i, s in enumerate(sources)
        if i not in filled
    ]
    if wrong:
        raise DataError("\n".join(wrong))
    return sources


def check(
    con: duckdb.DuckDBPyConnection, table: str, sources: list[Source], on_bad_rows: str, checks: tuple[str, ...] = ()
) -> pd.DataFrame:
    """Find the bad rows of a loaded table and write them to the new table `<table>_bad`.

    Args:
        con: the database.
        table: the table's name.
        sources: its files, as `load` returned them.
        on_bad_rows: `error` or `drop`.
        checks: further queries, run in order, for (row, file, line, column, problem, remedy); each sees in
            `<table>_bad` what those before it found.

    Returns:
        `file`, `line`, `column`, `problem`, `remedy` of every bad row, in reading order.

    Raises:
        DataError: there are bad rows and `on_bad_rows` is `error`. Names up to ten of the first kind, and their number.
    """
    con.execute(
        f"""CREATE TABLE {table}_bad AS
        SELECT rowid AS row, _file AS file, CAST(NULL AS BIGINT) AS line, unnest(_bad, recursive := true) FROM {table}
        WHERE len(_bad) > 0"""
    )
    for name, line, fault in _rejected(con, sources):
        number = next(i for i, source in enumerate(sources) if source.name == name)
        problem = f"has {_RAGGED[fault]} cells than the header's {len(sources[number].header)}"
        insert = f"INSERT INTO {table}_bad VALUES (NULL, ?, ?, '', ?, 'mend or delete the line')"
        con.execute(insert, [number, line, problem])
    found = _located(con, table, sources, on_bad_rows)
    for query in checks:
        con.execute(f"INSERT INTO {table}_bad {query}")
        found = _located(con, table, sources, on_bad_rows)
    return found


def _broken(con: duckdb.DuckDBPyConnection, sources: list[Source], columns: dict, error: duckdb.Error) -> str:
    """The first file that cannot be read alone, and why."""
    for source in sources:
        try:
            con.execute(f"CREATE OR REPLACE TEMP TABLE alone AS {_select(0, source, columns)}")
        except duckdb.Error as own:
            if "state machine" in str(own):
                told = "its lines end in more than one way (LF, CRLF or CR); give all of them the same end"
                return f"{source.name}: {told}"
            return f"{source.name}: cannot be read: {reason(own)}; copy it again"
    return f"{', '.join(source.name for source in sources)}: cannot be read: {reason(error)}; copy them again"


def _select(number: int, source: Source, columns: dict[str, tuple[str, Kind]]) -> str:
    if source.delimiter:
        # Columns are known by number: two names that differ in case only are the same to SQL.
        types = ", ".join(f"'c{i}': 'VARCHAR'" for i in range(len(source.header)))
        table = (
            f"read_csv({exactly(source.path)}, columns = {{{types}}}, auto_detect = false, header = true, "
            f"delim = {literal(source.delimiter)}, quote = '\"', escape = '\"', store_rejects = true)"
        )
        cells = {wanted: f"c{source.header.index(wanted)}" for wanted, _ in columns.values()}
    else:
        table = f"read_parquet({exactly(source.path)})"
        cells = {wanted: f"CAST({quoted(wanted)} AS VARCHAR)" for wanted, _ in columns.values()}
    inner, bad = [], []
    for i, (name, (wanted, kind)) in enumerate(columns.items()):
        inner += [f"{cells[wanted]} AS _x{i}", f"{kind.sql.format(x=cells[wanted])} AS {quoted(name)}"]
        if kind.remedy:
            empty = f"trim(coalesce(_x{i}, '')) = ''"
            bad.append(
                f"CASE WHEN {quoted(name)} IS NULL {f'AND NOT {empty}' if kind.optional else ''} THEN "
                f"{{'column': {literal(wanted)}, 'problem': CASE WHEN {empty} THEN 'is empty' "
                f"ELSE 'cannot read `' || _x{i} || '`' END, 'remedy': {literal(kind.remedy)}}} END"
            )
    return (
        f"SELECT {number} AS _file, {', '.join(map(quoted, columns))}, "
        f"list_filter([{', '.join(bad)}], lambda cell: cell IS NOT NULL) AS _bad "
        f"FROM (SELECT {', '.join(inner)} FROM {table})"
    )


def _rejected(con: duckdb.DuckDBPyConnection, sources: list[Source]) -> list[tuple[str, int, str]]:
    """File, line and fault of the lines that DuckDB could not split into cells."""
    if not any(source.delimiter for source in sources):
        return []
    names = {str(source.path): source.name for source in sources}
    rows = con.execute(
        """SELECT file_path, line, min(CAST(error_type AS VARCHAR))
        FROM reject_errors JOIN reject_scans USING (scan_id, file_id) GROUP BY ALL ORDER BY ALL"""
    ).fetchall()
    return [(names[path], line, fault) for path, line, fault in rows if path in names]


def _located(con: duckdb.DuckDBPyConnection, table: str, sources: list[Source], on_bad_rows: str) -> pd.DataFrame:
    """The rows of `<table>_bad` with their files' names and lines."""
    found = con.sql(f"FROM {table}_bad ORDER BY file, line, row").df()
    first = dict(con.execute(f"SELECT _file, min(rowid) FROM {table} GROUP BY 1").fetchall())
    for number, rows in found[found["row"].notna()].groupby("file"):
        records = rows["row"].to_numpy(np.int64) - first[number]
        is_text = sources[int(number)].delimiter
        found.loc[rows.index, "line"] = record_lines(sources[int(number)])[records] if is_text else records + 1
    found["line"] = found["line"].astype(np.int64)
    found["problem"] = found["problem"].map(shown)  # a cell may hold lines of its own, or megabytes
    found = found.sort_values(["file", "line"], kind="stable", ignore_index=True)
    found["file"] = np.array([source.name for source in sources], dtype=object)[found["file"].to_numpy(np.int64)]
    if on_bad_rows == "error" and len(found):
        told = [
            f"{p.file}, line {p.line}{f', column `{p.column}`' if p.column else ''}: {p.problem}; {p.remedy}"
            for p in found.head(10).itertuples()
        ]
        in_all = "1 problem" if len(found) == 1 else f"{len(found):,} problems"
        raise DataError("\n".join([*told, f"{in_all} in all; `on_bad_rows: drop` leaves such rows out"]))
    return found[["file", "line", "column", "problem", "remedy"]]
