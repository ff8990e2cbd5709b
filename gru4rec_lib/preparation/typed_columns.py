"""Load raw files into a DuckDB table with typed columns, and report bad cells and rows by file, line and column.

All cells are read as text and cast in SQL, so that an unreadable cell is an error and not a missing value. Beside the
typed columns, a table has `_file` (the number of the file) and `_bad` (the bad cells of the row); `rowid` is the
reading order.
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
        sql: SQL expression of the value of the text {x}; NULL if it has none.
        remedy: what to write in a cell that cannot be read.
        optional: whether a cell may be empty.
        is_text: whether values are texts.
        missing: texts and numbers that count as an empty cell. A number stands for every way to write it; so does a
            text that is a number, if values are numbers.
        is_list: whether values are lists of numbers.
    """

    sql: str
    remedy: str
    optional: bool = False
    is_text: bool = False
    missing: tuple[str | float, ...] = ()
    is_list: bool = False


class Cells(NamedTuple):
    """The cells of a column of the table, from one or several columns of the files.

    Args:
        choices: alternatives; the first that is not empty is used. The columns of each are joined to one text.
        is_required: whether each file needs all columns of an alternative; otherwise a missing column is empty.
    """

    choices: tuple[tuple[str, ...], ...]
    is_required: bool = True

    @classmethod
    def of(cls, columns: str | tuple[str | tuple[str, ...], ...], is_required: bool = True) -> Cells:
        """Return the cells of a column or columns as a study names them.

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
        """The name of the column in messages."""
        return "` or `".join(" + ".join(choice) for choice in self.choices)

    def there(self, header: tuple[str, ...]) -> list[tuple[str, ...]]:
        """Return the alternatives whose columns are all in a file.

        Args:
            header: of the file.
        """
        return [choice for choice in self.choices if {*choice} <= {*header}]

    def sql(self, cells: dict[str, str]) -> str:
        """Return the SQL of the text; NULL if the file has no alternative.

        Args:
            cells: the SQL of each column of the file.
        """
        there = self.there((*cells,))
        if there and len(there) < 2 and len(there[0]) < 2:
            return cells[there[0][0]]
        texts = [joined([cells[name] for name in choice]) for choice in there]
        return f"coalesce({', '.join(texts)})" if texts else "CAST(NULL AS VARCHAR)"


class Folder(NamedTuple):
    """The first folder of a file's path, used as the cell of each row of the file.

    Args:
        label: name of the column in messages.
    """

    label: str = "folder"


class Choice(NamedTuple):
    """The number of the alternative that a cell comes from, 0 for the first.

    Args:
        cells: with several alternatives.
        label: name of the column in messages.
    """

    cells: Cells
    label: str = ""


JOINT = " | "  # between the texts of an id that is made of several columns


def joined(cells: list[str]) -> str:
    """Return the SQL of a text, or of several joined to one; NULL if one is empty.

    In texts that are joined, `|` is doubled to keep results unique.

    Args:
        cells: the SQL of each text.
    """
    texts = [f"replace({cell}, '|', '||')" for cell in cells] if len(cells) > 1 else cells
    return f"CASE WHEN {' AND '.join(map(_there, cells))} THEN {f' || {literal(JOINT)} || '.join(texts)} END"


def _there(cell: str) -> str:
    return f"({cell} IS NOT NULL AND trim({cell}) <> '')"


class Column(NamedTuple):
    """A loaded column of texts.

    Args:
        table: name of the table.
        sources: files of the table, as returned by `load`.
        name: of the column in the table.
        wanted: name of the column in the files.
        texts: the values.
    """

    table: str
    sources: list[Source]
    name: str
    wanted: str
    texts: pd.Series | pd.Index


def quoted(name: str) -> str:
    """Return a quoted SQL name.

    Args:
        name: any text.
    """
    return '"' + name.replace('"', '""') + '"'


def text(*missing: str | float) -> Kind:
    """Return the kind of a column of texts; an empty cell and `missing` mean "no value".

    Args:
        missing: texts, and numbers in any form.
    """
    return Kind("CASE WHEN {x} <> '' THEN {x} END", "", optional=True, is_text=True, missing=missing)


def _is_missing(cell: str, kind: Kind) -> str:
    """Return the SQL condition that the text of a cell is among the kind's `missing`."""
    texts = [literal(value) for value in kind.missing if isinstance(value, str)]
    numbers = [repr(value) for value in kind.missing if not isinstance(value, str)]
    numbers += [f"TRY_CAST({text} AS DOUBLE)" for text in texts if not kind.is_text]
    tests = [f"{cell} IN ({', '.join(texts)})"] if texts else []
    tests += [f"coalesce(TRY_CAST({cell} AS DOUBLE) IN ({', '.join(numbers)}), false)"] if numbers else []
    return " OR ".join(tests)


# A cast of text to an integer rounds 3.7 to 4; comparing it with the cast to a double rejects such numbers.
_WHOLE = "CASE WHEN TRY_CAST({x} AS DOUBLE) = TRY_CAST({x} AS BIGINT) THEN TRY_CAST({x} AS INTEGER) END"
_FINITE = "CASE WHEN isfinite(TRY_CAST({x} AS DOUBLE)) THEN TRY_CAST({x} AS DOUBLE) END"
ID = Kind("CASE WHEN trim({x}) <> '' AND NOT contains({x}, chr(0)) THEN {x} END", "give every row an id", is_text=True)
# Parquet types of ids: texts and whole numbers have one form as text; dates and numbers with decimals have several.
_ID_TYPES = r"VARCHAR|ENUM\(.*|UUID|U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?|FLOAT|DOUBLE|DECIMAL\(.*|\"NULL\""
_NESTED = {r".*\[\]$": "list", r".*\[\d+\]$": "array", r"STRUCT\(": "struct", r"MAP\(": "map", r"UNION\(": "union"}
_FLOATING = "FLOAT|DOUBLE|DECIMAL"
_EXACT = {"FLOAT": 1 << 24, "DOUBLE": 1 << 53}  # from here on, floating numbers have lost digits
_FLOATING_ID = ID._replace(
    sql="CASE WHEN regexp_full_match({x}, '-?[0-9]+') THEN {x} END",
    remedy="give every row an id, saved as text or a whole number",
)
WHOLE = Kind(_WHOLE, "write a whole number")
HOUR = Kind(f"CASE WHEN {_WHOLE} BETWEEN 0 AND 23 THEN CAST({_WHOLE} AS TINYINT) END", "write 0 to 23")
FLAG = Kind("TRY_CAST({x} AS BOOLEAN)", "write true or false")
# The form that spreadsheets write comes first: %Y would read its day as a year.
DATE = Kind("CAST(try_strptime({x}, ['%d-%m-%y', '%Y-%m-%d']) AS DATE)", "write a date such as 2018-07-15")
_ISO = literal(times.ISO).replace("{", "{{").replace("}", "}}")
_DATE_TIME = (
    f"CASE WHEN regexp_full_match(trim({{x}}), {_ISO}) THEN epoch_us(TRY_CAST(trim({{x}}) AS TIMESTAMPTZ)) / 1e6 END"
)
# DuckDB accepts `_` between digits: 1_000 would be a thousand. To try a cast that fails is slow: no number has a colon.
SECONDS = f"coalesce(CASE WHEN NOT contains({{x}}, '_') AND NOT contains({{x}}, ':') THEN {_FINITE} END, {_DATE_TIME})"
# NULL from END on, as CASE would compute the seconds twice; `least` and `greatest` ignore NULL.
_CLIPPED = f"greatest(least({SECONDS}, {times.END}.0), -{times.END}.0)"
TIME = Kind(f"nullif(nullif({_CLIPPED}, {times.END}.0), -{times.END}.0)", times.REMEDY)
# A time that is NULL if it is missing or wrong.
ANY_TIME = Kind(SECONDS, "", optional=True)
CHOICE = Kind("CAST({x} AS TINYINT)", "", optional=True)
DURATION = Kind(f"CASE WHEN {_FINITE} >= 0 THEN {_FINITE} END", "write a number that is not negative", optional=True)
# Features are used as float32.
_FEATURE = "CASE WHEN isfinite(TRY_CAST({x} AS FLOAT)) THEN TRY_CAST({x} AS DOUBLE) END"
NUMBER = Kind(_FEATURE, "write a finite number below 3e38, or leave the cell empty", optional=True)


def numbers(separator: str = "", *missing: str | float) -> Kind:
    """Return the kind of a column of lists of numbers; cells may be empty.

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
# Rows of a wrong length are bad rows; after any other fault, the rest of the file cannot be trusted.
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
        table: name of the new table.
        files: (path of one of `source_files.KINDS`, name in messages).
        columns: for each column of the table, the cells of the files and the kind.
        text: quotation mark and header of text files.
        left_out: conditions; a row that meets one is left out, and its bad cells are ignored. The column `_left_out` is
            the number of the first condition that a row meets, NULL for kept rows.

    Returns:
        (files, warnings). Warnings concern line ends in cells, and quotation marks that remain part of texts.

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
            wrong.append(f"{name}, line {line}: {_FAULTS.get(fault, 'cannot be read; correct this line')}")
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
        table: name of the table.
        sources: its files, as returned by `load`.
        on_bad_rows: `error` or `drop`.
        checks: further queries for (row, file, line, column, problem, remedy), run in order; each can read the results
            of the earlier ones in `<table>_bad`.

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
        insert = f"INSERT INTO {table}_bad VALUES (NULL, ?, ?, '', ?, 'correct or delete the line')"
        con.execute(insert, [number, line, problem])
    found = _located(con, table, sources, on_bad_rows)
    for query in checks:
        con.execute(f"INSERT INTO {table}_bad {query}")
        found = _located(con, table, sources, on_bad_rows)
    return found


def _between_lines(source: Source, rows: int, is_declared: bool) -> tuple[list[str], list[str]]:
    """Return (errors, warnings) of a file with more lines than rows: some are blank, or a cell contains line ends."""
    found, several, swallowed, first = -source.first, 0, 0, ""
    for line, lines, cells in records(source):
        found += is_row(source, cells)
        if len(lines) > 1:
            # Lines of a text rarely have the header's number of cells; rows within stray quotation marks do.
            alone = sum(text.count(source.delimiter) + 1 == len(source.header) for text in lines)
            is_lost = 2 * alone > len(lines) and not is_declared
            if not swallowed and (is_lost or not several):
                first = f"line {line}: a quotation mark opens and closes in line {line + len(lines) - 1}"
            several, swallowed = several + 1, swallowed + is_lost
    below = " below the header" if source.first else ""
    of_all = f"{source.lines - source.first:,} lines{below} give {rows:,} rows"
    if found != rows:
        place = f", {first}" if first else ""
        problem = (
            f"{of_all}, or {found:,} by another reading; put texts that hold marks in marks, and double those inside"
        )
        return [f"{source.name}{place}: {problem}"], []
    if swallowed:
        problem = (
            f"{first}, around lines that look like rows ({of_all}); delete stray marks and double those inside texts"
        )
        return [f"{source.name}, {problem}; if a text holds these lines, {declare_quote(source.quote)}"], []
    if several:
        texts = "1 row holds" if several == 1 else f"{several:,} rows hold"
        return [], [f"{source.name}, {first}; {texts} line ends, {of_all}; if they should not, delete stray marks"]
    return [], []


def _marked(con: duckdb.DuckDBPyConnection, table: str, sources: list[Source], columns: dict) -> list[str]:
    """Return warnings about texts in quotation marks, where the marks remain part of the text."""
    warnings = []
    texts = [(name, cells.label) for name, (cells, kind) in columns.items() if kind.is_text]
    for mark, (name, wanted) in itertools.product("\"'", texts):
        query = f"SELECT _file, count(*) FROM {table} WHERE {quoted(name)} LIKE {literal(f'{mark}%{mark}')} GROUP BY 1"
        for i, n in con.execute(query + " ORDER BY 1").fetchall():
            if sources[i].delimiter:
                warning = f"cells in quotation marks, which count as part of the text: {n:,}; {declare_quote(mark)}"
                warnings.append(f"{sources[i].name}, column `{wanted}`: {warning}")
    return warnings


def check_forms(con: duckdb.DuckDBPyConnection, columns: list[Column], missing: tuple[str, ...] = ()) -> None:
    """Check that each id or category is written in one way.

    Args:
        con: the database.
        columns: with a common set of ids or categories.
        missing: texts that mean "no value"; they are compared with the values, too.

    Raises:
        DataError: a value is written both as a whole and as a floating number, such as `12` and `12.0`.
    """
    pairs = written_twice(*(column.texts for column in columns), list(missing))
    pairs = [pair for pair in pairs if not {*pair} <= {*missing}]
    if pairs:
        found = {text: _place(con, columns, text) for text in pairs[0]}
        (one, there), (other, elsewhere) = sorted(found.items(), key=lambda item: not item[1])
        problem = f"`{one}` is `{other}` in {elsewhere or '`missing` of the study'}"
        raise DataError(f"{there}: {problem}; {REMEDY} (values written in two ways: {len(pairs):,})")


def _place(con: duckdb.DuckDBPyConnection, columns: list[Column], text: str) -> str:
    """Return file, line and column of the first cell with a text; empty if there is none."""
    for table, sources, name, wanted, _ in columns:
        (row,) = con.execute(f"SELECT min(rowid) FROM {table} WHERE {quoted(name)} = ?", [text]).fetchone()
        if row is not None:
            return place(con, table, sources, row, wanted)
    return ""


def place(con: duckdb.DuckDBPyConnection, table: str, sources: list[Source], row: int, column: str) -> str:
    """Return file, line and column of a cell, for messages.

    Args:
        con: the database.
        table: name of a loaded table.
        sources: its files, as returned by `load`.
        row: the `rowid` of the cell's row.
        column: name of the column in the files.
    """
    file = f"(SELECT _file FROM {table} WHERE rowid = {row})"
    number, first = con.execute(f"SELECT _file, min(rowid) FROM {table} WHERE _file = {file} GROUP BY 1").fetchone()
    source = sources[number]
    line = record_lines(source)[row - first] if source.delimiter else row - first + 1
    return f"{source.name}, {source.line} {line}, column `{column}`"


def _broken(con: duckdb.DuckDBPyConnection, sources: list[Source], columns: dict, error: duckdb.Error) -> str:
    """Return a message with the first file that cannot be read by itself, and the reason."""
    for source in sources:
        try:
            con.execute(f"CREATE OR REPLACE TEMP TABLE alone AS {_select(0, source, columns, ())}")
        except duckdb.Error as own:
            if "state machine" in str(own):
                problem = "its lines end in more than one way (LF, CRLF or CR); give all of them the same end"
                return f"{source.name}: {problem}"
            if "GZIP" in str(own):  # Python could unpack it: zeros follow the data, which DuckDB does not skip
                packed, plain = (shlex.quote(name) for name in (source.name, source.name[: -len(".gz")]))
                problem = "zeros follow the packed data; unpack it, and put the unpacked file in its place"
                return f"{source.name}: {problem}: python3 -m gzip -d < {packed} > {plain}"
            return f"{source.name}: cannot be read: {reason(own).replace(str(source.path), source.name)}; copy it again"
    return f"{', '.join(source.name for source in sources)}: cannot be read: {reason(error)}; copy them again"


def _select(
    number: int, source: Source, columns: dict[str, tuple[Cells | Folder | Choice, Kind]], left_out: tuple[LeftOut, ...]
) -> str:
    # Cells, values and bad cells are three levels, as DuckDB computes an expression anew in each place of a level.
    table, found = _table(source)
    cells, values, bad, wrong = [], [], [], []
    for i, (name, (wanted, kind)) in enumerate(columns.items()):
        is_floating = isinstance(wanted, Cells) and len(wanted.columns) == 1 and _is_floating(source, wanted)
        if isinstance(wanted, Choice):
            there = [(n, choice) for n, choice in enumerate(wanted.cells.choices) if {*choice} <= {*found}]
            tests = [(n, " AND ".join(_there(found[name]) for name in choice)) for n, choice in there]
            cell = f"CASE {' '.join(f'WHEN {test} THEN {n}' for n, test in tests)} END"
        elif isinstance(wanted, Folder):
            cell = literal(source.name.rpartition("/")[0].partition("/")[0])
        else:
            cell = wanted.sql(found | _whole_cells(source) if kind.is_text else found)
        kind = _FLOATING_ID._replace(missing=kind.missing) if kind.sql == ID.sql and is_floating else kind
        if kind.missing:
            cell = f"CASE WHEN {_is_missing(cell, kind)} THEN '' ELSE {cell} END"
        cells.append(f"{cell} AS _x{i}")
        values += [f"_x{i}", f"{kind.sql.format(x=f'_x{i}')} AS {quoted(name)}"]
        if kind.remedy:
            empty = f"trim(coalesce(_x{i}, '')) = ''"
            remedy = literal(kind.remedy)
            if source.delimiter and source.quote != '"':
                remedy = f"CASE WHEN _x{i} LIKE {_MARKED} THEN {literal(declare_quote(chr(34)))} ELSE {remedy} END"
            wrong.append(f"({quoted(name)} IS NULL{f' AND NOT {empty}' if kind.optional else ''})")
            bad.append(
                f"CASE WHEN {wrong[-1]} THEN "
                f"{{'column': {literal(wanted.label)}, 'problem': CASE WHEN {empty} THEN 'is empty' "
                f"ELSE 'cannot read `' || _x{i} || '`' END, 'remedy': {remedy}}} END"
            )
    reasons = " ".join(f"WHEN {_holds(condition, found)} THEN {n}" for n, condition in enumerate(left_out))
    bad_cells = f"list_filter([{', '.join(bad)}], lambda cell: cell IS NOT NULL)"
    if wrong:  # a list for each good row would take half of the time
        bad_cells = f"CASE WHEN {' OR '.join(wrong)} THEN {bad_cells} ELSE [] END"
    if reasons:
        cells.append(f"CASE {reasons} END AS _left_out")
        values.append("_left_out")
        bad_cells = f"_left_out, CASE WHEN _left_out IS NULL THEN {bad_cells} ELSE [] END"
    return (
        f"SELECT {number} AS _file, {', '.join(map(quoted, columns))}, {bad_cells} AS _bad "
        f"FROM (SELECT {', '.join(values)} FROM (SELECT {', '.join(cells)} FROM {table}))"
    )


def _table(source: Source) -> tuple[str, dict[str, str]]:
    """Return the SQL table of a file, and for each column the SQL of its cells as text."""
    if source.is_json:
        return json_objects(source.path), dict(zip(source.header, source.cells, strict=True))
    if not source.delimiter:
        return f"read_parquet({exactly(source.path)})", {c: f"CAST({quoted(c)} AS VARCHAR)" for c in source.header}
    # Columns are numbered, as SQL does not distinguish names that differ only in case.
    types = ", ".join(f"'c{i}': 'VARCHAR'" for i in range(len(source.header)))
    table = (
        f"read_csv({exactly(source.path)}, columns = {{{types}}}, auto_detect = false, "
        f"header = {str(bool(source.first)).lower()}, "
        f"delim = {literal(source.delimiter)}, quote = {literal(source.quote)}, escape = {literal(source.quote)}, "
        f"compression = {literal('gzip' if is_packed(source.path) else 'none')}, store_rejects = true)"
    )
    cells: dict[str, str] = {}
    for i, column in enumerate(source.header):
        cells.setdefault(column, f"c{i}")  # the first of two columns of the same name
    return table, cells


def _whole_cells(source: Source) -> dict[str, str]:
    """Return the SQL of the texts of floating Parquet columns, with whole numbers without decimals."""
    if source.delimiter or source.is_json:
        return {}
    types = zip(source.header, source.types, strict=True)
    return {c: _whole_as_such(quoted(c), kind) for c, kind in types if re.match(_FLOATING, kind)}


def _is_floating(source: Source, cells: Cells) -> bool:
    if source.delimiter or source.is_json:
        return False
    return any(re.match(_FLOATING, source.types[source.header.index(c)]) for c in cells.columns & {*source.header})


def _holds(condition: LeftOut, cells: dict[str, str]) -> str:
    """Return the SQL condition that a row is left out."""

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
    """Raise if a file has no alternative of a required column."""
    for cells in needed:
        if len(cells.choices) > 1 and not cells.there(source.header):
            there = shown(", ".join(source.header))
            problem = f"is missing (there: {there}); add one of them or name it so"
            raise DataError(f"{source.name}, line 1, column `{cells.label}`: {problem}")


def _check_types(source: Source, columns: dict[str, tuple[Cells | Folder | Choice, Kind]]) -> None:
    """Raise if a column of Parquet or JSON contains unexpected lists, or ids that have several forms as text."""
    if source.delimiter:
        return
    types = dict(zip(source.header, source.types, strict=True))
    for cells, kind in columns.values():
        for column in sorted(cells.columns & {*types}) if isinstance(cells, Cells) else ():
            nested = next((name for form, name in _NESTED.items() if re.match(form, types[column])), None)
            if nested and not (kind.is_list and nested in ("list", "array")):
                problem = f"holds a {nested} in each cell; write one value a cell"
                raise DataError(f"{source.name}, column `{column}`: {problem}")
            if kind is ID and not re.fullmatch(_ID_TYPES, types[column]):
                problem = f"holds a {types[column]} in each cell; save the ids as text or whole numbers"
                raise DataError(f"{source.name}, column `{column}`: {problem}")


def _whole_as_such(column: str, kind: str) -> str:
    """Return the SQL of the text of a floating or decimal column, without decimals where a number is whole."""
    exact = f" AND abs({column}) < {_EXACT[kind]}" if kind in _EXACT else ""
    there = f"{column} IS NOT NULL{f' AND NOT isnan({column})' if exact else ''}"
    whole = f"{column} = trunc({column}){exact}"
    return (
        f"CASE WHEN {there} THEN CASE WHEN {whole} THEN CAST(TRY_CAST({column} AS HUGEINT) AS VARCHAR) "
        f"ELSE CAST({column} AS VARCHAR) END END"
    )


def _rejected(con: duckdb.DuckDBPyConnection, sources: list[Source]) -> list[tuple[str, int, str]]:
    """Return file, line and fault of each row that DuckDB could not split into cells.

    DuckDB's own numbers of lines do not count the line ends within cells.
    """
    if not any(source.delimiter for source in sources):
        return []
    rows = con.execute(
        """SELECT file_path, line, min(CAST(error_type AS VARCHAR))
        FROM reject_errors JOIN reject_scans USING (scan_id, file_id) GROUP BY ALL ORDER BY ALL"""
    ).fetchall()
    found = []
    for source in sources:
        faults = [(line, fault) for path, line, fault in rows if path == str(source.path)]
        if faults and all(fault in _RAGGED for _, fault in faults):
            lines = [line for line, _, cells in records(source) if cells and not is_row(source, cells)]
            if len(lines) == len(faults):
                faults = [(line, fault) for line, (_, fault) in zip(lines, faults, strict=True)]
        found += [(source.name, line, fault) for line, fault in faults]
    return found


def _located(con: duckdb.DuckDBPyConnection, table: str, sources: list[Source], on_bad_rows: str) -> pd.DataFrame:
    """Return the rows of `<table>_bad` with file names and lines; raise if there are any and bad rows are an error."""
    found = con.sql(f"FROM {table}_bad ORDER BY file, line, row").df()
    first = dict(con.execute(f"SELECT _file, min(rowid) FROM {table} GROUP BY 1").fetchall())
    for number, rows in found[found["row"].notna()].groupby("file"):
        records = rows["row"].to_numpy(np.int64) - first[number]
        is_text = sources[int(number)].delimiter
        found.loc[rows.index, "line"] = record_lines(sources[int(number)])[records] if is_text else records + 1
    found["line"] = found["line"].astype(np.int64)
    found["problem"] = found["problem"].map(shown)  # a cell may contain line ends, or megabytes of text
    found = found.sort_values(["file", "line"], kind="stable", ignore_index=True)
    of_file = found["file"].to_numpy(np.int64)
    found["file"] = np.array([source.name for source in sources], dtype=object)[of_file]
    if on_bad_rows == "error" and len(found):
        lines = []
        for n, p in zip(of_file, found.head(10).itertuples(), strict=False):
            column = f", column `{p.column}`" if p.column else ""
            lines.append(f"{p.file}, {sources[n].line} {p.line}{column}: {p.problem}; {p.remedy}")
        in_all = "1 problem" if len(found) == 1 else f"{len(found):,} problems"
        raise DataError("\n".join([*lines, f"{in_all} in all; `on_bad_rows: drop` leaves such rows out"]))
    return found[["file", "line", "column", "problem", "remedy"]]
