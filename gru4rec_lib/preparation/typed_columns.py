"""Cells of raw files as typed columns of a DuckDB table; every bad cell and row is named by file, line and column.

All cells are read as text and cast in SQL, so that what cannot be read never becomes a silent gap. The typed columns
lie beside `_file` (the number of the file) and `_bad` (its bad cells); `rowid` is the reading order.
"""

from __future__ import annotations

import itertools
import re
import shlex
from pathlib import Path
from typing import NamedTuple

import duckdb
import numpy as np
import pandas as pd

from gru4rec_lib.data import times
from gru4rec_lib.data.ids import REMEDY, written_twice
from gru4rec_lib.preparation.source_files import (
    NOT_UTF_8,
    OPEN_QUOTE,
    DataError,
    Source,
    declare_quote,
    exactly,
    is_packed,
    is_row,
    literal,
    name_below,
    open_source,
    reason,
    record_lines,
    records,
)
from gru4rec_lib.utils.text import shown


class Kind(NamedTuple):
    """How a column is read.

    Args:
        sql: the value of the text {x}; NULL where it has none.
        remedy: what to write in a cell that cannot be read.
        optional: whether a cell may be empty.
        is_text: whether values are texts.
        missing: further texts and numbers that count as an empty cell; a number means all ways to write it, and so does
            a text that is a number where values are numbers.
    """

    sql: str
    remedy: str
    optional: bool = False
    is_text: bool = False
    missing: tuple[str | float, ...] = ()


class Column(NamedTuple):
    """A column of texts that was loaded.

    Args:
        table: its table's name.
        sources: the files of the table, as `load` returned them.
        name: of the column in the table.
        wanted: its name in the files.
        texts: its values.
    """

    table: str
    sources: list[Source]
    name: str
    wanted: str
    texts: pd.Series | pd.Index


def quoted(name: str) -> str:
    """`name` as a column's name in SQL.

    Args:
        name: any text.
    """
    return '"' + name.replace('"', '""') + '"'


def text(*missing: str | float) -> Kind:
    """Return the kind of a column of texts, where the empty cell and `missing` mean that there is none.

    Args:
        missing: texts, and numbers however they are written.
    """
    return Kind("CASE WHEN {x} <> '' THEN {x} END", "", optional=True, is_text=True, missing=missing)


def _is_missing(cell: str, kind: Kind) -> str:
    """Whether the text of a cell is among the kind's `missing`, in SQL."""
    texts = [literal(value) for value in kind.missing if isinstance(value, str)]
    numbers = [repr(value) for value in kind.missing if not isinstance(value, str)]
    numbers += [f"TRY_CAST({text} AS DOUBLE)" for text in texts if not kind.is_text]
    tests = [f"{cell} IN ({', '.join(texts)})"] if texts else []
    tests += [f"coalesce(TRY_CAST({cell} AS DOUBLE) IN ({', '.join(numbers)}), false)"] if numbers else []
    return " OR ".join(tests)


# A cast of text to an integer rounds 3.7 to 4; comparing it with the cast to a double refuses that.
_WHOLE = "CASE WHEN TRY_CAST({x} AS DOUBLE) = TRY_CAST({x} AS BIGINT) THEN TRY_CAST({x} AS INTEGER) END"
_FINITE = "CASE WHEN isfinite(TRY_CAST({x} AS DOUBLE)) THEN TRY_CAST({x} AS DOUBLE) END"
ID = Kind("CASE WHEN trim({x}) <> '' AND NOT contains({x}, chr(0)) THEN {x} END", "give every row an id", is_text=True)
# Of Parquet. Text keeps its form, and so does a whole number; a date or a number with decimals has several.
_ID_TYPES = r"VARCHAR|ENUM\(.*|UUID|U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?|FLOAT|DOUBLE|DECIMAL\(.*|\"NULL\""
_EXACT = {"FLOAT": 1 << 24, "DOUBLE": 1 << 53}  # from here on, a floating column has lost digits
_FLOATING_ID = ID._replace(
    sql="CASE WHEN regexp_full_match({x}, '-?[0-9]+') THEN {x} END",
    remedy="give every row an id, saved as text or a whole number",
)
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

_MARKED = literal('"%"')
# Rows of a wrong length are bad rows; after any other fault of the text nothing behind it can be trusted.
_RAGGED = {"MISSING COLUMNS": "fewer", "TOO MANY COLUMNS": "more"}
_FAULTS = {
    "INVALID ENCODING": NOT_UTF_8,
    "UNQUOTED VALUE": OPEN_QUOTE,
    "LINE SIZE OVER MAXIMUM": "is longer than 2 MB; look for a quotation mark that does not close",
}


def load(
    con: duckdb.DuckDBPyConnection,
    table: str,
    folder: Path,
    files: list[Path],
    columns: dict[str, tuple[str, Kind]],
    quote: str = "auto",
) -> tuple[list[Source], list[str]]:
    """Read files into a new table, in the order given.

    Args:
        con: the database.
        table: the new table's name.
        folder: messages name files relative to it.
        files: .csv, .tsv (each also with .gz) or .parquet.
        columns: for each column of the table, the name in the files and the kind.
        quote: the quotation mark, see `open_source`.

    Returns:
        The files; and warnings, of cells that hold line ends and of marks that stay part of ids.

    Raises:
        DataError: a file is missing, a folder, empty, broken or not UTF-8, or lacks a header or a column; or rows are
            lost within quotation marks.
    """
    sources, wrong = [], []
    for path in files:
        try:
            wanted = {name for name, _ in columns.values()}
            sources.append(open_source(con, path, name_below(folder, path), wanted, quote))
            _check_types(sources[-1], columns)
        except DataError as error:
            wrong.append(str(error))
    if wrong:
        raise DataError("\n".join(wrong))
    query = " UNION ALL ".join(_select(number, source, columns) for number, source in enumerate(sources))
    try:
        con.execute(f"CREATE TABLE {table} AS {query}")
    except duckdb.Error as error:
        raise DataError(_broken(con, sources, columns, error)) from error
    rows = dict(con.execute(f"SELECT _file, count(*) FROM {table} GROUP BY 1").fetchall())
    rejected = dict.fromkeys(range(len(sources)), 0)
    for name, line, fault in _rejected(con, sources):
        if fault not in _RAGGED:
            wrong.append(f"{name}, line {line}: {_FAULTS.get(fault, 'cannot be read; mend this line')}")
        rejected[next(i for i, source in enumerate(sources) if source.name == name)] += 1
    wrong += [
        f"{s.name}: has a header but no rows; replace it by the whole file or take it away"
        for i, s in enumerate(sources)
        if not rows.get(i, 0) + rejected[i]
    ]
    if wrong:
        raise DataError("\n".join(wrong))
    warnings = []
    for i, source in enumerate(sources):
        if source.lines > 1 + rows.get(i, 0) + rejected[i]:
            lost, warning = _between_lines(source, rows.get(i, 0), quote != "auto")
            wrong, warnings = wrong + lost, warnings + warning
    if wrong:
        raise DataError("\n".join(wrong))
    return sources, warnings + _marked(con, table, sources, columns)


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


def _between_lines(source: Source, rows: int, is_declared: bool) -> tuple[list[str], list[str]]:
    """Errors and warnings of a file with more lines than rows: some are blank, or a cell goes on over several."""
    found, several, swallowed, first = -1, 0, 0, ""
    for line, lines, cells in records(source):
        found += is_row(source, cells)
        if len(lines) > 1:
            # Cut at every delimiter, text seldom has the header's number of cells; rows that a stray mark took in have.
            alone = sum(text.count(source.delimiter) + 1 == len(source.header) for text in lines)
            is_lost = 2 * alone > len(lines) and not is_declared
            if not swallowed and (is_lost or not several):
                first = f"line {line}: a quotation mark opens and closes in line {line + len(lines) - 1}"
            several, swallowed = several + 1, swallowed + is_lost
    of_all = f"{source.lines - 1:,} lines below the header give {rows:,} rows"
    if found != rows:
        place = f", {first}" if first else ""
        told = f"{of_all}, or {found:,} by another reading; put texts that hold marks in marks, and double those inside"
        return [f"{source.name}{place}: {told}"], []
    if swallowed:
        told = f"{first}, around lines that look like rows ({of_all}); delete stray marks and double those inside texts"
        return [f"{source.name}, {told}; if a text holds these lines, {declare_quote(source.quote)}"], []
    if several:
        texts = "1 row holds" if several == 1 else f"{several:,} rows hold"
        return [], [f"{source.name}, {first}; {texts} line ends, {of_all}; if they should not, delete stray marks"]
    return [], []


def _marked(con: duckdb.DuckDBPyConnection, table: str, sources: list[Source], columns: dict) -> list[str]:
    """Warnings of texts in quotation marks that stay part of them."""
    warnings = []
    texts = [(name, wanted) for name, (wanted, kind) in columns.items() if kind.is_text]
    for mark, (name, wanted) in itertools.product("\"'", texts):
        query = f"SELECT _file, count(*) FROM {table} WHERE {quoted(name)} LIKE {literal(f'{mark}%{mark}')} GROUP BY 1"
        for i, n in con.execute(query + " ORDER BY 1").fetchall():
            if sources[i].delimiter:
                told = f"cells in quotation marks, which count as part of the text: {n:,}; {declare_quote(mark)}"
                warnings.append(f"{sources[i].name}, column `{wanted}`: {told}")
    return warnings


def check_forms(con: duckdb.DuckDBPyConnection, columns: list[Column], missing: tuple[str, ...] = ()) -> None:
    """Check that each id or category is written in one way.

    Args:
        con: the database.
        columns: those whose values mean the same things.
        missing: further texts that the values are compared with: those that mean "no value".

    Raises:
        DataError: a value is written both as a whole and as a floating number, such as `12` and `12.0`.
    """
    pairs = written_twice(*(column.texts for column in columns), list(missing))
    pairs = [pair for pair in pairs if not {*pair} <= {*missing}]
    if pairs:
        found = {text: _place(con, columns, text) for text in pairs[0]}
        (one, there), (other, elsewhere) = sorted(found.items(), key=lambda item: not item[1])
        told = f"`{one}` is `{other}` in {elsewhere or '`missing` of the study'}"
        raise DataError(f"{there}: {told}; {REMEDY} (values written in two ways: {len(pairs):,})")


def _place(con: duckdb.DuckDBPyConnection, columns: list[Column], text: str) -> str:
    """File, line and column of the first cell that holds a text; empty where none does."""
    for table, sources, name, wanted, _ in columns:
        query = f"SELECT _file, min(rowid) FROM {table} WHERE {quoted(name)} = ? GROUP BY 1 ORDER BY 1 LIMIT 1"
        for number, row in con.execute(query, [text]).fetchall():
            (first,) = con.execute(f"SELECT min(rowid) FROM {table} WHERE _file = {number}").fetchone()
            line = record_lines(sources[number])[row - first] if sources[number].delimiter else row - first + 1
            return f"{sources[number].name}, line {line}, column `{wanted}`"
    return ""


def _broken(con: duckdb.DuckDBPyConnection, sources: list[Source], columns: dict, error: duckdb.Error) -> str:
    """The first file that cannot be read alone, and why."""
    for source in sources:
        try:
            con.execute(f"CREATE OR REPLACE TEMP TABLE alone AS {_select(0, source, columns)}")
        except duckdb.Error as own:
            if "state machine" in str(own):
                told = "its lines end in more than one way (LF, CRLF or CR); give all of them the same end"
                return f"{source.name}: {told}"
            if "GZIP" in str(own):  # it was unpacked whole before: zeros follow it, which only other readers skip
                packed, plain = (shlex.quote(name) for name in (source.name, source.name[: -len(".gz")]))
                told = "zeros follow the packed data; unpack it, and put the unpacked file in its place"
                return f"{source.name}: {told}: python3 -m gzip -d < {packed} > {plain}"
            return f"{source.name}: cannot be read: {reason(own)}; copy it again"
    return f"{', '.join(source.name for source in sources)}: cannot be read: {reason(error)}; copy them again"


def _select(number: int, source: Source, columns: dict[str, tuple[str, Kind]]) -> str:
    if source.delimiter:
        # Columns are known by number: two names that differ in case only are the same to SQL.
        types = ", ".join(f"'c{i}': 'VARCHAR'" for i in range(len(source.header)))
        table = (
            f"read_csv({exactly(source.path)}, columns = {{{types}}}, auto_detect = false, header = true, "
            f"delim = {literal(source.delimiter)}, quote = {literal(source.quote)}, escape = {literal(source.quote)}, "
            f"compression = {literal('gzip' if is_packed(source.path) else 'none')}, store_rejects = true)"
        )
        cells = {wanted: f"c{source.header.index(wanted)}" for wanted, _ in columns.values()}
    else:
        table = f"read_parquet({exactly(source.path)})"
        columns, cells = dict(columns), {}
        for name, (wanted, kind) in columns.items():
            cells[wanted] = f"CAST({quoted(wanted)} AS VARCHAR)"
            kind_of_cells = source.types[source.header.index(wanted)]
            if kind.is_text and re.match("FLOAT|DOUBLE|DECIMAL", kind_of_cells):
                cells[wanted] = _whole_as_such(quoted(wanted), kind_of_cells)
                columns[name] = (wanted, _FLOATING_ID if kind is ID else kind)
    inner, bad = [], []
    for i, (name, (wanted, kind)) in enumerate(columns.items()):
        cell = cells[wanted]
        if kind.missing:
            cell = f"CASE WHEN {_is_missing(cell, kind)} THEN '' ELSE {cell} END"
        inner += [f"{cell} AS _x{i}", f"{kind.sql.format(x=cell)} AS {quoted(name)}"]
        if kind.remedy:
            empty = f"trim(coalesce(_x{i}, '')) = ''"
            remedy = literal(kind.remedy)
            if source.delimiter and source.quote != '"':
                remedy = f"CASE WHEN _x{i} LIKE {_MARKED} THEN {literal(declare_quote(chr(34)))} ELSE {remedy} END"
            bad.append(
                f"CASE WHEN {quoted(name)} IS NULL {f'AND NOT {empty}' if kind.optional else ''} THEN "
                f"{{'column': {literal(wanted)}, 'problem': CASE WHEN {empty} THEN 'is empty' "
                f"ELSE 'cannot read `' || _x{i} || '`' END, 'remedy': {remedy}}} END"
            )
    return (
        f"SELECT {number} AS _file, {', '.join(map(quoted, columns))}, "
        f"list_filter([{', '.join(bad)}], lambda cell: cell IS NOT NULL) AS _bad "
        f"FROM (SELECT {', '.join(inner)} FROM {table})"
    )


def _check_types(source: Source, columns: dict[str, tuple[str, Kind]]) -> None:
    """Raise where a Parquet file's column of ids holds what has several forms as text."""
    types = dict(zip(source.header, source.types, strict=False))
    for wanted, kind in columns.values():
        if kind is ID and source.types and not re.fullmatch(_ID_TYPES, types[wanted]):
            told = f"holds a {types[wanted]} in each cell; save the ids as text or whole numbers"
            raise DataError(f"{source.name}, column `{wanted}`: {told}")


def _whole_as_such(column: str, kind: str) -> str:
    """The text of a floating or decimal column: an integer column with gaps, where its numbers are whole."""
    exact = f" AND abs({column}) < {_EXACT[kind]}" if kind in _EXACT else ""
    there = f"{column} IS NOT NULL{f' AND NOT isnan({column})' if exact else ''}"
    whole = f"{column} = trunc({column}){exact}"
    return (
        f"CASE WHEN {there} THEN CASE WHEN {whole} THEN CAST(TRY_CAST({column} AS HUGEINT) AS VARCHAR) "
        f"ELSE CAST({column} AS VARCHAR) END END"
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
