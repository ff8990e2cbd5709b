"""Raw files before a cell of them is read: each is there, whole and of a known kind, and its header has the columns."""

from __future__ import annotations

import csv
import glob
import gzip
import itertools
import re
import zlib
from pathlib import Path
from typing import BinaryIO, NamedTuple

import duckdb
import numpy as np

csv.field_size_limit(1 << 22)  # Python's own limit is lower than DuckDB's of 2 MB a line

_DELIMITERS = {".csv": ",", ".tsv": "\t", ".parquet": ""}
NOT_UTF_8 = "is not UTF-8; save the file as UTF-8"
OPEN_QUOTE = "a quotation mark opens and does not close as it should; close it, or double those inside a text"
# What a file says by its first bytes that it is, whatever its name says.
_MAGIC = {
    b"\x1f\x8b": "is a .gz file by its first bytes; let its name end in .gz",
    b"PK\x03\x04": "is a .zip file or a workbook by its first bytes; save the table as CSV",
    b"PAR1": "is a Parquet file by its first bytes; let its name end in .parquet",
}


class DataError(ValueError):
    """The raw files are wrong; each line of the message names file, line, column, problem and remedy."""


class Source(NamedTuple):
    """A file.

    Args:
        path: where it is.
        name: what messages call it.
        delimiter: between cells; empty for Parquet.
        header: names of its columns, in order.
        types: of Parquet, the SQL type of each column.
    """

    path: Path
    name: str
    delimiter: str
    header: tuple[str, ...]
    types: tuple[str, ...] = ()


def literal(text: object) -> str:
    """`text` as a string of SQL.

    Args:
        text: what `str` makes of it counts.
    """
    return "'" + str(text).replace("'", "''") + "'"


def exactly(path: Path) -> str:
    """The path as a string of SQL that means this file: `[1]` in a name is no pattern.

    Args:
        path: of a file, there or not.
    """
    return literal(glob.escape(str(path)))


def shown(text: str, most: int = 200) -> str:
    """A text of a file as a message shows it: on one line, and not longer than `most`.

    Args:
        text: of any length.
        most: characters, 1 and more; what is left out is told by an ellipsis behind them.
    """
    text = text[: most + 1]
    text = "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text)
    return text if len(text) <= most else f"{text[:most]}…"


def reason(error: Exception) -> str:
    """Why a file cannot be used, without its path and the number that some errors put in front.

    Args:
        error: of the system or of DuckDB.
    """
    return (getattr(error, "strerror", None) or str(error)).splitlines()[0]


def found(folder: Path, pattern: str) -> list[Path]:
    """The files of a name or pattern.

    Args:
        folder: where they are.
        pattern: a file's name, or a pattern such as `log_*.csv`, `**` among it.

    Returns:
        Their paths, sorted; one at least.

    Raises:
        DataError: there is none, or the pattern is no pattern.
    """
    if (folder / pattern).exists() or (folder / pattern).is_symlink():  # a link to nothing is told as such
        return [folder / pattern]
    try:
        files = [] if Path(pattern).is_absolute() else sorted(folder.glob(pattern))
    except ValueError:  # until Python 3.12
        told = f"`{shown(pattern)}` is no pattern of files: `**` should be alone between two `/`"
        raise DataError(f"{folder}: {told}; correct the study's config") from None
    if not files:
        there = shown(", ".join(sorted(path.name for path in folder.iterdir()))) or "nothing"
        told = f"no file `{shown(pattern)}` (there: {there}); put it there or correct the study's config"
        raise DataError(f"{folder}: {told}")
    return files


def open_source(con: duckdb.DuckDBPyConnection, path: Path, name: str, wanted: set[str]) -> Source:
    """Look at a file, unpack it once where it is packed, and read its header.

    Args:
        con: a database, which reads the header of Parquet.
        path: .csv, .tsv (each also with .gz) or .parquet.
        name: what messages call it.
        wanted: columns that it must have, each once.

    Returns:
        The file with its header, which has the columns.

    Raises:
        DataError: it is missing, a folder, empty, broken or not UTF-8, or lacks a column.
    """
    plain = path.with_suffix("") if path.suffix == ".gz" else path
    try:
        if path.is_dir():
            raise DataError(f"{name}: is a folder, not a file; put the file itself in its place")
        if plain.suffix not in _DELIMITERS:
            raise DataError(f"{name}: is no kind of file that is read here; give .csv[.gz], .tsv[.gz] or .parquet")
        if not path.exists():
            raise DataError(f"{name}: there is no such file; put it there or correct the name")
        if not path.is_file():
            raise DataError(f"{name}: is no regular file but a pipe or a device; put the file itself in its place")
        if path.stat().st_size == 0:
            raise DataError(f"{name}: is empty (0 bytes); copy it again")
        delimiter = _DELIMITERS[plain.suffix]
        header, types = (_header(path, name, delimiter), ()) if delimiter else _parquet(con, path, name, wanted)
    except (OSError, duckdb.Error) as error:
        raise DataError(f"{name}: cannot be read: {reason(error)}; mend that, or copy it again") from None
    missing = sorted(wanted - set(header))
    doubled = sorted(column for column in wanted if header.count(column) > 1)
    there = shown(", ".join(header))
    spaced = {column.strip(): column for column in header}
    told = [
        f"{name}, line 1, column `{m}`: is missing, there is `{spaced[m]}` with a space; delete the space"
        if m in spaced
        else f"{name}, line 1, column `{m}`: is missing (there: {there}); add it or name it so"
        for m in missing
    ]
    told += [f"{name}, line 1, column `{d}`: is there twice; rename one of them" for d in doubled]
    if told:
        raise DataError("\n".join(told))
    return Source(path, name, delimiter, header, types)


def record_lines(source: Source) -> np.ndarray:
    """The line on which each row begins that DuckDB reads: it is as long as the header, or has one empty cell more.

    Args:
        source: a .csv or .tsv file, packed or not.

    Returns:
        int64 [rows], 1 for the first line of the file; the header is no row.
    """
    n = len(source.header)
    with _unpacked(source.path)(source.path, "rt", encoding="utf-8-sig", errors="replace", newline="") as lines:
        rows = csv.reader(lines, delimiter=source.delimiter)
        ends = itertools.chain((0,), (rows.line_num for _ in itertools.count()))
        begins = (end + 1 for end, row in zip(ends, rows, strict=False) if len(row) == n or row[n:] == [""])
        return np.fromiter(itertools.islice(begins, 1, None), np.int64)


def _header(path: Path, name: str, delimiter: str) -> tuple[str, ...]:
    is_packed = path.suffix == ".gz"
    with path.open("rb") as raw:
        _check_kind(raw, name, known=b"\x1f\x8b" if is_packed else b"")
    if is_packed:
        _check_gzip(path, name)
        with gzip.open(path) as unpacked:
            _check_kind(unpacked, name)
    try:
        with _unpacked(path)(path, "rt", encoding="utf-8-sig", errors="surrogateescape", newline="") as lines:
            header = next(csv.reader(lines, delimiter=delimiter), None)
    except csv.Error:  # the one that the reader has: a cell beyond the limit above
        told = "has a cell of more than 4 MB; look for a quotation mark that does not close"
        raise DataError(f"{name}, line 1: {told}") from None
    if header is None:
        raise DataError(f"{name}: is empty{' when unpacked' if is_packed else ''}; copy it again")
    if not header:
        raise DataError(f"{name}, line 1: is blank; begin the file with the names of its columns")
    other = next((mark for mark in ";\t,|" if len(header) == 1 and mark in header[0]), None)
    if other:
        kinds = "commas in a .csv, tabs in a .tsv"
        raise DataError(f"{name}, line 1: cells are parted by `{shown(other)}`; part them by {kinds}")
    # Bytes that are no UTF-8 became surrogates; of UTF-16 of plain letters, half of the characters are zeros.
    text = "".join(header)
    if re.search("[\ud800-\udfff]", text) or text.count("\0") > len(text) / 3:
        raise DataError(f"{name}, line 1: {NOT_UTF_8}")
    if "\0" in text:
        raise DataError(f"{name}, line 1: a name of a column holds a NUL (\\x00); delete it")
    return tuple(header)


def _check_kind(file: BinaryIO, name: str, known: bytes = b"") -> None:
    """Raise where a file is of another kind by its first bytes, but for those that are `known`."""
    first = file.read(4)
    told = next((told for magic, told in _MAGIC.items() if magic != known and first.startswith(magic)), None)
    if told:
        raise DataError(f"{name}: {told}")


def _parquet(con: duckdb.DuckDBPyConnection, path: Path, name: str, wanted: set[str]):
    """Names and types of the columns."""
    table = con.sql(f"FROM read_parquet({exactly(path)})")
    for column, kind in zip(table.columns, table.types, strict=True):
        if column in wanted and kind.id in ("list", "array", "struct", "map", "union"):
            raise DataError(f"{name}, column `{column}`: holds a {kind.id} in each cell; write one value a cell")
    return tuple(table.columns), tuple(map(str, table.types))


def _check_gzip(path: Path, name: str) -> None:
    """DuckDB may wait for ever on a damaged file; unpacking once costs a sixth of reading."""
    lines = 1
    try:
        with gzip.open(path) as unpacked:
            while block := unpacked.read1(1 << 20):
                lines += block.count(b"\n")
    except EOFError:
        raise DataError(f"{name}, line {lines}: the .gz file ends too early; copy it again") from None
    except (gzip.BadGzipFile, zlib.error):
        raise DataError(f"{name}, line {lines}: the .gz file is damaged or no .gz file; copy it again") from None


def _unpacked(path: Path):
    return gzip.open if path.suffix == ".gz" else open
