"""Files are written beside their place and renamed into it, so that none is ever half there."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd

from gru4rec_lib.utils.arguments import user_path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Write a file under another name; it takes its own when the block ends well.

    Args:
        path: where the file belongs; its folder exists.

    Yields:
        The path to write to, with the same ending.
    """
    partial = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        yield partial
        partial.replace(path)
    except OSError as error:
        if error.filename in (None, str(partial)):  # a full disk does not say where
            error.filename = str(path)
        raise
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """Fill a folder under another name; it takes the place of the old one when the block ends well.

    Whatever ends the process, no folder of that name holds a part of the new beside a part of the old. A kill between
    the two renamings leaves none of that name.

    Args:
        path: where the folder belongs, there already or not.

    Yields:
        An empty folder to write to.
    """
    partial, old = (path.with_name(f".{path.name}.{word}") for word in ("partial", "old"))
    for left_behind in (partial, old):
        shutil.rmtree(left_behind, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        yield partial
        if path.exists():
            path.replace(old)
        partial.replace(path)
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def save_table(table: pd.DataFrame, folder: Path, name: str) -> pd.DataFrame:
    """Write <name>.csv.

    Args:
        table: its columns are written, its index is not.
        folder: made where it is missing.
        name: of the file, without the ending.

    Returns:
        The table, for the notebook to show.
    """
    folder = user_path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(folder / f"{name}.csv") as path:
        table.to_csv(path, index=False)
    return table


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file's content, hexadecimal.

    Args:
        path: the file.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
