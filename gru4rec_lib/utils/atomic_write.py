"""Write files and folders atomically: write under another name, then rename."""

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
    """Write a file under another name, and rename it when the block ends without an error.

    Args:
        path: of the file; its folder exists.

    Yields:
        The path to write to, with the same ending.
    """
    partial = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        yield partial
        partial.replace(path)
    except OSError as error:
        if error.filename in (None, str(partial)):  # the error of a full disk names no file
            error.filename = str(path)
        raise
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """Fill a folder under another name, and replace the old folder when the block ends without an error.

    A process killed at any time leaves no mixture of old and new files. Killed between the two renamings, it leaves no
    folder of that name.

    Args:
        path: of the folder, which need not exist.

    Yields:
        An empty folder to write to.
    """
    partial, old = (path.with_name(f".{path.name}.{word}") for word in ("partial", "old"))
    for former in (partial, old):
        shutil.rmtree(former, ignore_errors=True)
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
        folder: created if it is missing.
        name: of the file, without the ending.

    Returns:
        The table, to be shown in a notebook.
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
