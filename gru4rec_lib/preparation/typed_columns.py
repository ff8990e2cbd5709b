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

from gru4rec_lib.config.data import LeftOut, Quoted
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
    json_columns,
    json_objects,
    literal,
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
        is_list: whether values are lists of numbers.
    """

    sql: str
    remedy: str
    optional: bool = False
    is_text: bool = False
    missing: tuple[str | float, ...] = ()
    is_list: bool = False


class Cells(NamedTuple):
    """The cells of a column of the table: those of one column of the files, or of several.

    Args:
        choices: alternatives, of which the first that is not empty counts; the columns of each are joined to one text.
        is_required: whether each file needs all columns of an alternative; else a column that is not there is empty.
    """

    choices: tuple[tuple[str, ...], ...]
    is_required: bool = True

    @classmethod
    def of(cls, columns: str | tuple[str | tuple[str, ...], ...], is_required: bool = True) -> Cells:
        """Take a column or columns as a study names them.

        Args:
            columns: see `config.data.Joined`.
            is_required: as above.
        """
        columns = (columns,) if isinstance(columns, str) else columns
        return cls(tuple((one,) if isinstance(one, str) else tuple(one) for one in columns), is_required)

    @property
    def columns(self) -> set[str]:
        """All columns that may be read."""
        return {column for choice in self.choices for column in choice}

    @property
    def label(self) -> str:
        """What messages call the column."""
        return "` or `".join(" + ".join(choice) for choice in self.choices)

    def there(self, header: tuple[str, ...]) -> list[tuple[str, ...]]:
        """The alternatives that a file has.

        Args:
            header: of the file.
        """
        return [choice for choice in self.choices if {*choice} <= {*header}]

    def sql(self, cells: dict[str, str]) -> str:
        """The text in SQL; NULL where the file has no alternative.

        Args:
            cells: the SQL of each column that the file has.
        """
        texts = [cells[c[0]] if len(c) == 1 else joined([cells[name] for name in c]) for c in self.there((*cells,))]
        if len(texts) < 2:
            return texts[0] if texts else "CAST(NULL AS VARCHAR)"
        return f"coalesce({', '.join(f'CASE WHEN {_there(text)} THEN {text} END' for text in texts)})"


class Folder(NamedTuple):
    """The first folder of a file's path, as the cell of each of its rows.

    Args:
        label: what messages call the column.
    """

    label: str = "folder"


class Choice(NamedTuple):
    """The number of the alternative that a cell is of, 0 for the first.

    Args:
        cells: the alternatives.
        label: what messages call the column.
    """

    cells: Cells
    label: str = ""


JOINT = " | "  # between the texts of an id that is made of several columns


def joined(cells: list[str]) -> str:
    """One text of several, in SQL; NULL where one is empty. Different texts never give the same: `|` is doubled.

    Args:
        cells: the SQL of each.
    """
    texts = [f"replace({cell}, '|', '||')" for cell in cells]
    return f"CASE WHEN {' AND '.join(map(_there, cells))} THEN {f' || {literal(JOINT)} || '.join(texts)} END"


def _there(cell: str) -> str:
    return f"trim(coalesce({cell}, '')) <> ''"


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
_NESTED = {r".*\[\]$": "list", r".*\[\d+\]$": "array", r"STRUCT\(": "struct", r"MAP\(": "map", r"UNION\(": "union"}
_FLOATING = "FLOAT|DOUBLE|DECIMAL"
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
SECONDS = f"coalesce(CASE WHEN NOT contains({{x}}, '_') THEN {_FINITE} END, {_DATE_TIME})"
TIME = Kind(f"CASE WHEN abs({SECONDS}) < {times.END} THEN {SECONDS} END", times.REMEDY)
# A time that may be missing or wrong, which is then NULL.
ANY_TIME = Kind(SECONDS, "", optional=True)
CHOICE = Kind("CAST({x} AS TINYINT)", "", optional=True)
DURATION = Kind(f"CASE WHEN {_FINITE} >= 0 THEN {_FINITE} END", "write a number that is not negative", optional=True)
# Features are float32 where they are used.
_FEATURE = "CASE WHEN isfinite(TRY_CAST({x} AS FLOAT)) THEN TRY_CAST({x} AS DOUBLE) END"
NUMBER = Kind(_FEATURE, "write a finite number below 3e38, or leave the cell empty", optional=True)


def numbers(separator: str = "", *missing: str | float) -> Kind:
    """Return the kind of a column of lists of numbers, which may be missing.

    Args:
        separator: between the numbers of a cell; empty for lists such as `[0.1, 0.2]`.
        missing: as for `text`.
    """
    parts = f"string_split(trim({{x}}), {literal(separator).replace('{', '{{').replace('}', '}}')})"
    found = f"TRY_CAST({parts if separator else '{x}'} AS DOUBLE[])"
    wrong = "lambda number: number IS NULL OR NOT isfinite(TRY_CAST(number AS FLOAT))"
    sql = f"CASE WHEN trim({{x}}) <> '' AND len(list_filter({found}, {wrong})) = 0 THEN {found} END"
    remedy = f"write finite numbers such as {f'0.1{separator}0.2' if separator else '[0.1, 0.2]'}"
    return Kind(sql, f"{remedy}, or leave the cell empty", optional=True, missing=missing, is_list=True)


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
    files: list[tuple[Path, str]],
    columns: dict[str, tuple[Cells | Folder | Choice, Kind]],
    text: Quoted,
    left_out: tuple[LeftOut, ...] = (),
) -> tuple[list[Source], list[str]]:
    """Read files into a new table, in the order given.

    Args:
        con: the database.
        table: the new table's name.
        files: of `source_files.KINDS`, and what messages call each.
        columns: for each column of the table, the cells of the files and the kind.
        text: how text files are written.
        left_out: conditions on the rows that are left out. `_left_out` is the number of a row's first, NULL for rows
            that are kept; bad cells of the others do not count.

    Returns:
        The files; and warnings, of cells that hold line ends and of marks that stay part of ids.

    Raises:
        DataError: a file is missing, a folder, empty, broken or not UTF-8, or lacks a header or a column; or rows are
            lost within quotation marks.
    """
    sources, wrong = [], []
    needed = [cells for cells, _ in columns.values() if isinstance(cells, Cells) and cells.is_required]
    wanted = {name for cells in needed if len(cells.choices) == 1 for name in cells.choices[0]}
    others = {name for cells, _ in columns.values() if isinstance(cells, Cells) for name in cells.columns}
    others |= {name for condition in left_out for name in condition.columns}
    for path, name in files:
        try:
            sources.append(open_source(con, path, name, wanted, text.quote, header=text.header, others=others))
            _check_choices(sources[-1], needed)
            _check_types(sources[-1], columns)
            if any(isinstance(cells, Folder) for cells, _ in columns.values()) and "/" not in name:
                raise DataError(f"{name}: lies in no folder, and folders name the listeners; put it into a folder")
        except DataError as error:
            wrong.append(str(error))
    if wrong:
        raise DataError("\n".join(wrong))
    quote = text.quote
    query = " UNION ALL ".join(_select(number, source, columns, left_out) for number, source in enumerate(sources))
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
        if source.lines > source.first + rows.get(i, 0) + rejected[i]:
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
    found, several, swallowed, first = -source.first, 0, 0, ""
    for line, lines, cells in records(source):
        found += is_row(source, cells)
        if len(lines) > 1:
            # Cut at every delimiter, text seldom has the header's number of cells; rows that a stray mark took in have.
            alone = sum(text.count(source.delimiter) + 1 == len(source.header) for text in lines)
            is_lost = 2 * alone > len(lines) and not is_declared
            if not swallowed and (is_lost or not several):
                first = f"line {line}: a quotation mark opens and closes in line {line + len(lines) - 1}"
            several, swallowed = several + 1, swallowed + is_lost
    below = " below the header" if source.first else ""
    of_all = f"{source.lines - source.first:,} lines{below} give {rows:,} rows"
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
    texts = [(name, cells.label) for name, (cells, kind) in columns.items() if kind.is_text]
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
            return f"{sources[number].name}, {sources[number].line} {line}, column `{wanted}`"
    return ""


def _broken(con: duckdb.DuckDBPyConnection, sources: list[Source], columns: dict, error: duckdb.Error) -> str:
    """The first file that cannot be read alone, and why."""
    for source in sources:
        try:
            con.execute(f"CREATE OR REPLACE TEMP TABLE alone AS {_select(0, source, columns, ())}")
        except duckdb.Error as own:
            if "state machine" in str(own):
                told = "its lines end in more than one way (LF, CRLF or CR); give all of them the same end"
                return f"{source.name}: {told}"
            if "GZIP" in str(own):  # it was unpacked whole before: zeros follow it, which only other readers skip
                packed, plain = (shlex.quote(name) for name in (source.name, source.name[: -len(".gz")]))
                told = "zeros follow the packed data; unpack it, and put the unpacked file in its place"
                return f"{source.name}: {told}: python3 -m gzip -d < {packed} > {plain}"
            return f"{source.name}: cannot be read: {reason(own).replace(str(source.path), source.name)}; copy it again"
    return f"{', '.join(source.name for source in sources)}: cannot be read: {reason(error)}; copy them again"


def _select(
    number: int, source: Source, columns: dict[str, tuple[Cells | Folder | Choice, Kind]], left_out: tuple[LeftOut, ...]
) -> str:
    table, found = _table(source)
    inner, bad = [], []
    for i, (name, (wanted, kind)) in enumerate(columns.items()):
        is_floating = isinstance(wanted, Cells) and len(wanted.columns) == 1 and _is_floating(source, wanted)
        if isinstance(wanted, Choice):
            texts = [(n, Cells((choice,)).sql(found)) for n, choice in enumerate(wanted.cells.choices)]
            cell = f"CASE {' '.join(f'WHEN {_there(text)} THEN {n}' for n, text in texts)} END"
        elif isinstance(wanted, Folder):
            cell = literal(source.name.rpartition("/")[0].partition("/")[0])
        else:
            cell = wanted.sql(found | _whole_cells(source) if kind.is_text else found)
        kind = _FLOATING_ID._replace(missing=kind.missing) if kind.sql == ID.sql and is_floating else kind
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
                f"{{'column': {literal(wanted.label)}, 'problem': CASE WHEN {empty} THEN 'is empty' "
                f"ELSE 'cannot read `' || _x{i} || '`' END, 'remedy': {remedy}}} END"
            )
    reasons = " ".join(f"WHEN {_holds(condition, found)} THEN {n}" for n, condition in enumerate(left_out))
    bad_cells = f"list_filter([{', '.join(bad)}], lambda cell: cell IS NOT NULL)"
    if reasons:
        inner.append(f"CASE {reasons} END AS _left_out")
        bad_cells = f"_left_out, CASE WHEN _left_out IS NULL THEN {bad_cells} ELSE [] END"
    return (
        f"SELECT {number} AS _file, {', '.join(map(quoted, columns))}, {bad_cells} AS _bad "
        f"FROM (SELECT {', '.join(inner)} FROM {table})"
    )


def _table(source: Source) -> tuple[str, dict[str, str]]:
    """A file as a table of SQL, and the SQL of each column's cells as text."""
    if source.is_json:
        return json_objects(source.path), json_columns({*source.header}, source.header)
    if not source.delimiter:
        return f"read_parquet({exactly(source.path)})", {c: f"CAST({quoted(c)} AS VARCHAR)" for c in source.header}
    # Columns are known by number: two names that differ in case only are the same to SQL.
    types = ", ".join(f"'c{i}': 'VARCHAR'" for i in range(len(source.header)))
    table = (
        f"read_csv({exactly(source.path)}, columns = {{{types}}}, auto_detect = false, "
        f"header = {str(bool(source.first)).lower()}, "
        f"delim = {literal(source.delimiter)}, quote = {literal(source.quote)}, escape = {literal(source.quote)}, "
        f"compression = {literal('gzip' if is_packed(source.path) else 'none')}, store_rejects = true)"
    )
    cells: dict[str, str] = {}
    for i, column in enumerate(source.header):
        cells.setdefault(column, f"c{i}")  # of a column that is there twice, the first
    return table, cells


def _whole_cells(source: Source) -> dict[str, str]:
    """Of Parquet, the texts of floating columns, in which whole numbers have no decimals."""
    if source.delimiter or source.is_json:
        return {}
    types = zip(source.header, source.types, strict=True)
    return {c: _whole_as_such(quoted(c), kind) for c, kind in types if re.match(_FLOATING, kind)}


def _is_floating(source: Source, cells: Cells) -> bool:
    if source.delimiter or source.is_json:
        return False
    return any(re.match(_FLOATING, source.types[source.header.index(c)]) for c in cells.columns & {*source.header})


def _holds(condition: LeftOut, cells: dict[str, str]) -> str:
    """Whether a row is left out, in SQL."""

    def cell(column: str) -> str:
        return cells.get(column, "CAST(NULL AS VARCHAR)")

    if condition.present:
        return " OR ".join(_there(cell(column)) for column in condition.present)
    if condition.missing:
        return " AND ".join(f"NOT {_there(cell(column))}" for column in condition.missing)
    if condition.below:
        numbers = [(f"TRY_CAST({cell(column)} AS DOUBLE)", least) for column, least in condition.below.items()]
        return " OR ".join(f"coalesce({number} < {least!r}, false)" for number, least in numbers)
    tests = []
    for column, values in condition.equal.items():
        values = tuple(str(value).lower() if isinstance(value, bool) else value for value in values)
        kind = Kind("", "", is_text=True, missing=values)
        tests.append(f"coalesce({_is_missing(cell(column), kind)}, false)")
    return " OR ".join(tests)


def _check_choices(source: Source, needed: list[Cells]) -> None:
    """Raise where a file has no alternative of a column that it needs."""
    for cells in needed:
        if len(cells.choices) > 1 and not cells.there(source.header):
            there = shown(", ".join(source.header))
            told = f"is missing (there: {there}); add one of them or name it so"
            raise DataError(f"{source.name}, line 1, column `{cells.label}`: {told}")


def _check_types(source: Source, columns: dict[str, tuple[Cells | Folder | Choice, Kind]]) -> None:
    """Raise where a Parquet file's column holds lists and should not, or ids that have several forms as text."""
    if source.delimiter or source.is_json:
        return
    types = dict(zip(source.header, source.types, strict=True))
    for cells, kind in columns.values():
        for column in sorted(cells.columns & {*types}) if isinstance(cells, Cells) else ():
            nested = next((name for form, name in _NESTED.items() if re.match(form, types[column])), None)
            if nested and not (kind.is_list and nested in ("list", "array")):
                told = f"holds a {nested} in each cell; write one value a cell"
                raise DataError(f"{source.name}, column `{column}`: {told}")
            if kind is ID and not re.fullmatch(_ID_TYPES, types[column]):
                told = f"holds a {types[column]} in each cell; save the ids as text or whole numbers"
                raise DataError(f"{source.name}, column `{column}`: {told}")


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
    of_file = found["file"].to_numpy(np.int64)
    found["file"] = np.array([source.name for source in sources], dtype=object)[of_file]
    if on_bad_rows == "error" and len(found):
        told = []
        for n, p in zip(of_file, found.head(10).itertuples(), strict=False):
            column = f", column `{p.column}`" if p.column else ""
            told.append(f"{p.file}, {sources[n].line} {p.line}{column}: {p.problem}; {p.remedy}")
        in_all = "1 problem" if len(found) == 1 else f"{len(found):,} problems"
        raise DataError("\n".join([*told, f"{in_all} in all; `on_bad_rows: drop` leaves such rows out"]))
    return found[["file", "line", "column", "problem", "remedy"]]
