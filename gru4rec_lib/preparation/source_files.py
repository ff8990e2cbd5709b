"""Check raw files before their cells are read: they exist, are complete, and their headers have the needed columns."""

from __future__ import annotations

import csv
import glob
import gzip
import io
import itertools
import json
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

import duckdb
import numpy as np

from gru4rec_lib.utils.checked import DataError
from gru4rec_lib.utils.text import shown

JSON = (".json", ".jsonl", ".ndjson")
TYPED = (".inter", ".item", ".user")  # RecBole's atomic files: a header of names with types, `session_id:token`
csv.field_size_limit(1 << 22)  # Python's own limit is lower than DuckDB's of 2 MB a line

# Delimiter and quotation mark of each kind. Files with tabs are rarely quoted, and a stray mark would join lines.
_TABS = dict.fromkeys((".tsv", ".txt", ".inter", ".item", ".user"), ("\t", ""))
_DIALECTS = {".csv": (",", '"'), **_TABS, ".parquet": ("", "")} | dict.fromkeys(JSON, ("", ""))
KINDS = tuple(_DIALECTS)
# Numbers and dates, which are rarely names of columns; those of the second pattern cannot be years or positions either.
_DATE = r"\d{4}-\d\d-\d\d(?:[T ].*)?"
_VALUE = re.compile(rf"\s*(?:[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|{_DATE})\s*")
_SURE_VALUE = re.compile(rf"\s*(?:[+-]?\d*\.\d+|\d{{9,}}|{_DATE})\s*")
# Common names of columns, in lower case without underscores.
COMMON = {
    "session": ("sessionid", "session"),
    "user": ("userid", "user", "uid"),
    "item": ("itemid", "item", "trackid", "track"),
    "time": ("time", "timestamp"),
    "position": ("position", "pos"),
}
NOT_UTF_8 = "is not UTF-8; save the file as UTF-8"
OPEN_QUOTE = "a quotation mark opens and does not close as it should; close it, or double those inside a text"
_ENDLESS = "has a cell of more than 4 MB; look for a quotation mark that does not close"
# Problems of files whose first bytes contradict their names.
_MAGIC = {
    b"\x1f\x8b": "is a .gz file by its first bytes; let its name end in .gz",
    b"PK\x03\x04": "is a .zip file or a workbook by its first bytes; name it .zip, or save the table as CSV",
    b"PAR1": "is a Parquet file by its first bytes; let its name end in .parquet",
}


class Source(NamedTuple):
    """A file.

    Args:
        path: of the file.
        name: of the file in messages.
        delimiter: between cells; empty for Parquet and JSON.
        header: names of its columns, in order.
        quote: the mark around cells that contain delimiters or line ends; empty if cells are never quoted.
        lines: number of lines, blank ones too; 0 for Parquet and JSON.
        types: for Parquet the SQL type of each column, for JSON that of its cells or `VARCHAR[]` if one holds a list,
            for RecBole's files the declared type.
        first: number of header lines, 0 or 1.
        cells: for JSON the SQL of the text of each column, given the record as `json`.
    """

    path: Path
    name: str
    delimiter: str
    header: tuple[str, ...]
    quote: str = ""
    lines: int = 0
    types: tuple[str, ...] = ()
    first: int = 1
    cells: tuple[str, ...] = ()

    @property
    def is_json(self) -> bool:
        """Whether the file contains JSON."""
        return plain_name(self.path).suffix.lower() in JSON

    @property
    def line(self) -> str:
        """The word for the place of a row in messages."""
        return "record" if self.is_json else "line"


def literal(text: object) -> str:
    """Return an SQL string literal.

    Args:
        text: converted by `str`.
    """
    return "'" + str(text).replace("'", "''") + "'"


def exactly(path: Path) -> str:
    """Return an SQL string literal that matches only this file, even if its name contains a pattern such as `[1]`.

    Args:
        path: of a file, which need not exist.
    """
    return literal(glob.escape(str(path)))


def reason(error: Exception) -> str:
    """Return the message of an error without the path and the error number.

    Args:
        error: of the system or of DuckDB.
    """
    return (getattr(error, "strerror", None) or str(error)).splitlines()[0]


def found(folder: Path, pattern: str | tuple[str, ...]) -> list[Path]:
    """Find the files that match a name or pattern.

    Args:
        folder: to search.
        pattern: a file's name, or a pattern such as `log_*.csv` or `**/*.csv`; of several, the first with a match is
            used.

    Returns:
        Their paths, sorted; at least one.

    Raises:
        DataError: no file matches, or the pattern is invalid.
    """
    patterns = (pattern,) if isinstance(pattern, str) else pattern
    for one in patterns:
        if files := _matching(folder, one):
            return files
    pattern = "` or `".join(patterns)
    there = shown(", ".join(sorted(path.name for path in folder.iterdir()))) or "nothing"
    problem = f"no file `{shown(pattern)}` (there: {there}); put it there or correct the study's config"
    raise DataError(f"{folder}: {problem}")


def _matching(folder: Path, pattern: str) -> list[Path]:
    if (folder / pattern).exists() or (folder / pattern).is_symlink():  # broken links are reported later
        return [folder / pattern]
    try:
        return [] if Path(pattern).is_absolute() else sorted(folder.glob(pattern))
    except ValueError:  # until Python 3.12
        problem = f"`{shown(pattern)}` is no pattern of files: `**` should be alone between two `/`"
        raise DataError(f"{folder}: {problem}; correct the study's config") from None


def name_below(folder: Path, path: Path) -> str:
    """Return the name of a file in messages, tables and splits: its path below the data folder, with `/`.

    Args:
        folder: the data folder.
        path: of a file; outside the folder, the name alone is returned.
    """
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else path.name


def is_packed(path: Path) -> bool:
    """Return whether a file's name ends in .gz.

    Args:
        path: of a file.
    """
    return path.suffix.lower() == ".gz"


def plain_name(path: Path) -> Path:
    """Return the path without .gz at its end.

    Args:
        path: of a file.
    """
    return path.with_suffix("") if is_packed(path) else path


def is_table(path: Path) -> bool:
    """Return whether the name of a file, compressed or not, is that of a known kind.

    Args:
        path: of a file.
    """
    is_packed_so = path.suffix.lower() in (".gz", ".bz2", ".zst")
    return (path.with_suffix("") if is_packed_so else path).suffix.lower() in KINDS


def known_as(header: tuple[str, ...], role: str) -> list[str]:
    """Return the columns that have a common name of a role.

    Args:
        header: names of columns.
        role: a key of COMMON.
    """
    return [column for column in header if column.strip().lower().replace("_", "") in COMMON[role]]


def open_source(
    con: duckdb.DuckDBPyConnection,
    path: Path,
    name: str,
    wanted: set[str],
    quote: str = "auto",
    other: str = "",
    header: tuple[str, ...] = (),
    others: set[str] = frozenset(),
) -> Source:
    """Check that a file can be read completely, and read its header.

    Args:
        con: a database, which reads the header of Parquet and JSON.
        path: of one of KINDS, each but Parquet also with .gz; upper and lower case are the same.
        name: of the file in messages.
        wanted: required columns, each once.
        quote: the quotation mark of its cells; `auto`: `"` in .csv and none in .tsv; `none`: no mark.
        other: the kind, such as .csv, as which files with other endings are read; if empty, they are an error.
        header: names of the columns if the file has no header line.
        others: optional columns.

    Returns:
        The file; its header contains the wanted columns.

    Raises:
        DataError: the file is missing, a folder, empty, broken or not UTF-8, lacks a header or a column, or has one
            twice.
    """
    kind = plain_name(path).suffix.lower()
    kind = other if other and kind not in (".csv", ".tsv", ".parquet") else kind
    lines, types, cells, first = 0, (), (), 0 if header else 1
    try:
        if path.is_dir():
            raise DataError(f"{name}: is a folder, not a file; put the file itself in its place")
        delimiter, mark = _DIALECTS.get(kind, (None, ""))
        if delimiter is None:
            problem = "is no kind of file that is read here"
            raise DataError(f"{name}: {problem}; give .csv, .tsv, .txt, .json, .jsonl (packed or not) or .parquet")
        if not path.exists():
            raise DataError(f"{name}: there is no such file; put it there or correct the name")
        if not path.is_file():
            raise DataError(f"{name}: is no regular file but a pipe or a device; put the file itself in its place")
        if path.stat().st_size == 0:
            raise DataError(f"{name}: is empty (0 bytes); copy it again")
        mark = {"auto": mark, "none": ""}.get(quote, quote)
        if delimiter:
            _check_kinds(path, name)
            lines = _count_lines(path, name)
            found = _header(path, name, delimiter, mark)
            if header and len(found) != len(header):
                problem = f"has {len(found)} cells, and `header` names {len(header)} columns"
                raise DataError(f"{name}, line 1: {problem}; correct `header` in the study's config")
            header = header or found
            if kind in TYPED:
                pairs = [column.partition(":")[::2] for column in header]
                header, types = (tuple(part) for part in zip(*pairs, strict=True))
        elif kind in JSON:
            header, types, cells = _json(con, path, name, wanted | others)
        else:
            header, types = _parquet(con, path)
    except (OSError, duckdb.Error) as error:
        problem = reason(error).replace(str(path), name)  # an unpacked file has a temporary path
        raise DataError(f"{name}: cannot be read: {problem}; fix that, or copy it again") from None
    source = Source(path, name, delimiter, header, mark if delimiter else "", lines, types, first, cells)
    source = source._replace(header=_with_row_names(source))
    header = source.header
    if first and wanted | others:
        check_for_header(source, wanted | others)
    missing = sorted(wanted - set(header))
    doubled = sorted(column for column in wanted | others if header.count(column) > 1)
    there = shown(", ".join(header))
    spaced = {column.strip(): column for column in header}
    marked = {column[1:-1]: column for column in header if is_marked(column)}
    problems = [
        f"{name}, line 1, column `{m}`: is missing, there is `{spaced[m]}` with a space; delete the space"
        if m in spaced
        else f"{name}, line 1, column `{m}`: is missing, there is `{marked[m]}` in quotation marks; "
        f"{declare_quote(marked[m][0])}"
        if m in marked
        else f"{name}, line 1, column `{m}`: is missing (there: {there}); add it or name it so"
        for m in missing
    ]
    problems += [f"{name}, line 1, column `{d}`: is there twice; rename one of them" for d in doubled]
    if problems:
        raise DataError("\n".join(problems))
    return source


def _with_row_names(source: Source) -> tuple[str, ...]:
    """Return the header; put an empty name first if each row begins with its number, a column that R leaves unnamed."""
    if not source.delimiter or not source.first:
        return source.header
    n = len(source.header) + 1
    try:
        rows = [cells for _, _, cells in itertools.islice(records(source), 1, 1001)]
    except DataError:  # a cell is too long; reported when the rows are read
        return source.header
    counts = [cells[0] for cells in rows if len(cells) == n and cells[-1] and cells[0].isascii() and cells[0].isdigit()]
    is_numbered = len(counts) == len(rows) > 1 and (np.diff(np.array(counts, object).astype(np.int64)) == 1).all()
    return ("", *source.header) if is_numbered else source.header


def is_marked(cell: str) -> bool:
    """Return whether a cell is in quotation marks.

    Args:
        cell: as read.
    """
    return len(cell) > 1 and cell[0] == cell[-1] and cell[0] in "\"'"


def declare_quote(mark: str) -> str:
    """Return the remedy for cells in quotation marks that were not declared.

    Args:
        mark: `"` or `'`.
    """
    text = f"'{mark}'" if mark == '"' else f'"{mark}"'
    return f"declare the marks by `quote: {text}` in the study, by `--quote {text}` in a check, or delete them"


def check_for_header(source: Source, wanted: set[str] = frozenset()) -> None:
    """Raise if the first line seems to contain values instead of the names of columns.

    It seems so if a cell occurs again below, is a date, a decimal or a large number, or if all cells are numbers. The
    line is accepted if a text is above a column of only numbers or dates, if a wanted column is a text that does not
    occur below, or if the columns are numbered from 0, as by pandas.

    Args:
        source: with a header; Parquet files always have names.
        wanted: columns that the user named; one such as `--session 196` may be a value of the first row.

    Raises:
        DataError: the names are missing.
    """
    header, n = source.header, len(source.header)
    if not source.delimiter or header == tuple(map(str, range(n))):
        return
    try:
        rows = [tuple(cells) for _, _, cells in itertools.islice(records(source), 1, 1001) if len(cells) == n]
    except DataError:  # a cell is too long; reported when the rows are read
        rows = []
    columns = [[cell for cell in column if cell.strip()] for column in zip(*rows, strict=True)] or [[]] * n
    values = [_VALUE.fullmatch(cell) for cell in header]
    again = [bool(cell.strip()) and cell in column for cell, column in zip(header, columns, strict=True)]
    names = (
        not value and ((cell in wanted and not found) or (column and all(map(_VALUE.fullmatch, column))))
        for cell, value, found, column in zip(header, values, again, columns, strict=True)
    )
    if header in rows or any(names):
        return
    if any(again) or all(values) or any(map(_SURE_VALUE.fullmatch, header)):
        cells = shown(", ".join(header), 80)
        raise DataError(
            f"{source.name}, line 1: holds values ({cells}), the header is missing; "
            "put a line with the names of the columns above it"
        )


def records(source: Source) -> Iterator[tuple[int, list[str], list[str]]]:
    """Yield the records of a text file, including the header and blank lines; quoted cells may contain line ends.

    Args:
        source: a .csv or .tsv file, compressed or not.

    Yields:
        (number of the record's first line, 1 for the first line of the file; its lines; its cells, none for a blank
        line).

    Raises:
        DataError: a cell exceeds the limit above.
    """
    with _text(source.path, "replace") as file:
        first, lines = 1, []

        def kept():
            for line in file:
                lines.append(line)
                yield line

        try:
            # As in DuckDB, a mark after spaces opens a quoted cell.
            for cells in _reader(kept(), source.delimiter, source.quote, skipinitialspace=bool(source.quote)):
                yield first, lines, cells
                first, lines = first + len(lines), []
        except csv.Error:
            raise DataError(f"{source.name}, line {first}: {_ENDLESS}") from None


def is_row(source: Source, cells: list[str]) -> bool:
    """Return whether DuckDB reads a record as a row: it has as many cells as the header, or one more that is empty.

    Args:
        source: a .csv or .tsv file.
        cells: of a record.
    """
    n = len(source.header)
    return len(cells) == n or cells[n:] == [""]


def record_lines(source: Source) -> np.ndarray:
    """Return the line on which each row that DuckDB reads begins.

    Args:
        source: a .csv or .tsv file, compressed or not.

    Returns:
        int64 [rows], 1 for the first line of the file; the header is not a row.
    """
    below = itertools.islice(records(source), source.first, None)
    return np.fromiter((line for line, _, cells in below if is_row(source, cells)), np.int64)


def _text(path: Path, errors: str):
    return _unpacked(path)(path, "rt", encoding="utf-8-sig", errors=errors, newline="")


def _reader(lines: Iterator[str], delimiter: str, quote: str, **more):
    quoting = {"quotechar": quote} if quote else {"quoting": csv.QUOTE_NONE}
    return csv.reader(lines, delimiter=delimiter, **quoting, **more)


def _header(path: Path, name: str, delimiter: str, quote: str) -> tuple[str, ...]:
    try:
        with _text(path, "surrogateescape") as lines:
            header = next(_reader(lines, delimiter, quote), None)
    except csv.Error:  # the reader's only error: a cell exceeds the limit above
        raise DataError(f"{name}, line 1: {_ENDLESS}") from None
    if header is None:
        raise DataError(f"{name}: is empty{' when unpacked' if is_packed(path) else ''}; copy it again")
    if not header:
        raise DataError(f"{name}, line 1: is blank; begin the file with the names of its columns")
    other = next((mark for mark in ";\t,|" if len(header) == 1 and mark in header[0]), None)
    if other:
        kinds = "commas in a .csv, tabs in a .tsv"
        raise DataError(f"{name}, line 1: cells are parted by `{shown(other)}`; part them by {kinds}")
    # Bytes that are not UTF-8 became surrogates; in UTF-16 of ASCII letters, half of the characters are NUL.
    text = "".join(header)
    if re.search("[\ud800-\udfff]", text) or text.count("\0") > len(text) / 3:
        raise DataError(f"{name}, line 1: {NOT_UTF_8}")
    if "\0" in text:
        raise DataError(f"{name}, line 1: a name of a column holds a NUL (\\x00); delete it")
    return tuple(header)


def _check_kinds(path: Path, name: str) -> None:
    with path.open("rb") as raw:
        _check_kind(raw, name, known=b"\x1f\x8b" if is_packed(path) else b"")


def _check_kind(file: BinaryIO, name: str, known: bytes = b"") -> None:
    """Raise if the first bytes of a file, other than `known`, are those of another kind."""
    first = file.read(4)
    problem = next((problem for magic, problem in _MAGIC.items() if magic != known and first.startswith(magic)), None)
    if problem:
        raise DataError(f"{name}: {problem}")


def _json_path(keys: tuple[str, ...]) -> str:
    """Return the SQL literal of a path of keys."""
    return literal("$" + "".join(f'."{key.replace(chr(34), chr(92) + chr(34))}"' for key in keys))


def json_objects(path: Path) -> str:
    """Return the SQL table function that reads a JSON file as one column `json`, one record per row.

    Args:
        path: of the file.
    """
    return f"read_json_objects({exactly(path)}, format = 'auto', maximum_object_size = {1 << 26})"


def _json(con: duckdb.DuckDBPyConnection, path: Path, name: str, wanted: set[str]):
    """Return the fields of the first thousand records, nested ones as `a.b`, their types and cells.

    Wanted fields of any later record are included. A key may itself contain a point.
    """
    _check_ends(path, name)
    found: dict[str, dict[tuple[str, ...], None]] = {}
    lists = set()
    first = con.execute(f"SELECT json FROM {json_objects(path)} LIMIT 1000").fetchall()
    if not first:
        raise DataError(f"{name}: holds no record; replace it by the whole file or take it away")
    for (text,) in first:
        record = json.loads(text)
        if not isinstance(record, dict):
            raise DataError(f"{name}: holds JSON that is no list of records; give one object a play")
        for keys, value in _fields(record):
            found.setdefault(".".join(keys), {})[keys] = None
            lists |= {".".join(keys)} if isinstance(value, list) else set()
    rare = [(column, keys) for column in sorted(wanted - {*found}) for keys in ((*column.split("."),), (column,))]
    if rare:
        tests = ", ".join(f"max(json_type(json, {_json_path(keys)}) = 'ARRAY')" for _, keys in rare)
        are_lists = con.execute(f"SELECT {tests} FROM {json_objects(path)}").fetchone()
        for (column, keys), is_list in zip(rare, are_lists, strict=True):
            if is_list is not None:  # a record has the field
                found.setdefault(column, {})[keys] = None
                lists |= {column} if is_list else set()
    types = tuple("VARCHAR[]" if column in lists else "VARCHAR" for column in found)
    texts = [", ".join(f"json->>{_json_path(keys)}" for keys in paths) for paths in found.values()]
    return tuple(found), types, tuple(f"coalesce({text})" for text in texts)


def _check_ends(path: Path, name: str) -> None:
    """Raise if a JSON file does not end as it begins: DuckDB reads half an array without an error."""
    first, last = b"", b""
    if is_packed(path):
        _count_lines(path, name)  # raises if the file is damaged
    with _unpacked(path)(path, "rb") as file:
        while block := file.read(1 << 20):
            if not first and block.startswith(b"\xef\xbb\xbf"):
                problem = "begins with a byte order mark, which JSON may not have; save it as UTF-8 without one"
                raise DataError(f"{name}: {problem}")
            text = block.strip()
            first, last = first or text[:1], text[-1:] or last
    ends = {b"[": b"]", b"{": b"}"}
    if first not in ends:
        raise DataError(f"{name}: holds no records of JSON; give a list of objects or one object a line")
    if last != ends[first]:
        raise DataError(f"{name}: is only a part of a file of JSON, for it does not end as it begins; copy it again")


def _fields(record: dict, before: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], object]]:
    for key, value in record.items():
        if isinstance(value, dict):
            yield from _fields(value, (*before, key))
        else:
            yield (*before, key), value


def _parquet(con: duckdb.DuckDBPyConnection, path: Path):
    """Return names and types of the columns."""
    table = con.sql(f"FROM read_parquet({exactly(path)})")
    return tuple(table.columns), tuple(map(str, table.types))


def _count_lines(path: Path, name: str) -> int:
    """Count all lines of a file, reading it completely: DuckDB may wait forever on a damaged .gz file."""
    ends, returns, last, is_first = 0, 0, b"", True
    try:
        with _unpacked(path)(path, "rb") as file:
            while block := file.read1(1 << 20):
                if is_first and is_packed(path):
                    _check_kind(io.BytesIO(block), name)
                ends += block.count(b"\n")
                returns += 0 if ends else block.count(b"\r")  # line ends of classic Mac OS
                last, is_first = block[-1:], False
    except EOFError:
        raise DataError(f"{name}, line {ends + 1}: the .gz file ends too early; copy it again") from None
    except (gzip.BadGzipFile, zlib.error):
        raise DataError(f"{name}, line {ends + 1}: the .gz file is damaged or no .gz file; copy it again") from None
    return (ends or returns) + (last not in (b"\n", b"\r"))


def _unpacked(path: Path):
    return gzip.open if is_packed(path) else open
