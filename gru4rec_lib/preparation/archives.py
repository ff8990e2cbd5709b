"""Unpack .zip archives, .bz2 and .zst files; .gz files need not be unpacked to be read."""

from __future__ import annotations

import bz2
import errno
import shutil
import tempfile
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import BinaryIO

import pyarrow as pa

from gru4rec_lib.utils.checked import DataError
from gru4rec_lib.utils.text import shown

MOST_MEMBERS = 100_000
MOST_BYTES = 16 << 30  # of all unpacked members of an archive
_BLOCK = 1 << 20


class Plain:
    """Plain copies of packed files, in a temporary folder that is deleted at the end of the `with` block.

    >>> with Plain() as plain:
    ...     plain.folder(Path("data")), plain.path(Path("plays.csv"))  # neither is packed
    (PosixPath('data'), PosixPath('plays.csv'))
    """

    def __enter__(self) -> Plain:
        self._temporary, self._n = tempfile.TemporaryDirectory(prefix="gru4rec_"), 0
        return self

    def __exit__(self, *error) -> None:
        self._temporary.cleanup()

    def folder(self, path: Path) -> Path:
        """Return a data folder; a .zip archive is unpacked to a temporary folder.

        Args:
            path: a folder or a .zip archive.

        Raises:
            DataError: as `members`.
        """
        return self._unzip(path) if is_archive(path) else path

    def members(self, path: Path, name: str) -> list[tuple[Path, str]]:
        """Unpack the members of a .zip archive.

        Args:
            path: of the archive.
            name: of the archive in messages.

        Returns:
            The members, sorted by name: (path of the plain copy, name in messages).

        Raises:
            DataError: the archive is damaged, encrypted or larger than the limits above, holds no file, or a member's
                name leads outside the archive.
        """
        folder = self._unzip(path)
        files = sorted(member for member in folder.rglob("*") if member.is_file())
        if not files:
            raise DataError(f"{name}: the archive holds no file; replace it by the whole archive")
        return [(file, f"{name}/{file.relative_to(folder).as_posix()}") for file in files]

    def path(self, path: Path, name: str = "") -> Path:
        """Return the path of a plain copy of a .bz2 or .zst file; any other path is returned unchanged.

        Args:
            path: of the file, which need not exist.
            name: of the file in messages.

        Raises:
            DataError: the file ends too early or is damaged.
        """
        packed = path.suffix.lower()
        if packed not in (".bz2", ".zst") or not path.is_file() or not path.stat().st_size:
            return path
        copy = self._new_folder() / path.stem
        try:
            with path.open("rb") as raw, copy.open("wb") as target:
                unpacked = bz2.BZ2File(raw) if packed == ".bz2" else pa.CompressedInputStream(raw, "zstd")
                with unpacked:
                    shutil.copyfileobj(unpacked, target, _BLOCK)
        except EOFError:
            raise DataError(f"{name or path}: the {packed} file ends too early; copy it again") from None
        except OSError as error:
            if error.errno is not None:  # such as no space left
                raise
            problem = f"the {packed} file is damaged or no {packed} file; copy it again"
            raise DataError(f"{name or path}: {problem}") from None
        return copy

    def _new_folder(self) -> Path:
        self._n += 1
        folder = Path(self._temporary.name, str(self._n))
        folder.mkdir()
        return folder

    def _unzip(self, path: Path) -> Path:
        folder, left = self._new_folder(), MOST_BYTES
        try:
            with zipfile.ZipFile(path) as archive:
                members = [member for member in archive.infolist() if not _is_aside(member)]
                _check_members(path, members)
                for member in members:
                    copy = folder.joinpath(*PurePosixPath(member.filename).parts)
                    copy.parent.mkdir(parents=True, exist_ok=True)
                    with archive.open(member) as file, copy.open("xb") as target:
                        left -= _copy(file, target, left, path)
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError):
            problem = "is damaged or only a part of a .zip archive"
            raise DataError(f"{path.name}: {problem}; download or copy it again") from None
        except (FileExistsError, NotADirectoryError):
            problem = "two of its members have one name"
            raise DataError(f"{path.name}: {problem}; unpack it and name the folder instead") from None
        except OSError as error:
            if error.errno != errno.ENAMETOOLONG:
                raise
            problem = f"a member has a name that is too long here: `{shown(member.filename, 60)}`"
            raise DataError(f"{path.name}: {problem}; unpack it and name the folder instead") from None
        return folder


def is_archive(path: Path) -> bool:
    """Return whether the name of a path is that of a .zip archive.

    Args:
        path: of a file or folder, which need not exist.
    """
    return path.suffix.lower() == ".zip" and not path.is_dir()


def _is_aside(member: zipfile.ZipInfo) -> bool:
    """Return whether a member is a folder or a file that macOS adds."""
    parts = PurePosixPath(member.filename).parts
    return member.is_dir() or "__MACOSX" in parts or parts[-1:] == (".DS_Store",)


def _check_members(path: Path, members: list[zipfile.ZipInfo]) -> None:
    for member in members:
        parts = PurePosixPath(member.filename).parts
        if not parts or parts[0] == "/" or ".." in parts or any(mark in member.filename for mark in "\\:\0"):
            problem = f"the name of its member `{shown(member.filename)}` leads outside the archive"
            raise DataError(f"{path.name}: {problem}; unpack what you trust and name the folder instead")
        if member.flag_bits & 1:
            raise DataError(f"{path.name}: is encrypted; unpack it and name the folder instead")
    if len(members) > MOST_MEMBERS:
        problem = f"holds {len(members):,} members, more than {MOST_MEMBERS:,}"
        raise DataError(f"{path.name}: {problem}; unpack it and name the folder instead")


def _copy(file: BinaryIO, target: BinaryIO, most: int, path: Path) -> int:
    """Copy a member and return its size; the sizes stated in the archive may be wrong."""
    size = 0
    while block := file.read(_BLOCK):
        size += len(block)
        if size > most:
            problem = f"its members are larger than {MOST_BYTES >> 30} GB when unpacked"
            raise DataError(f"{path.name}: {problem}; unpack it and name the folder instead")
        target.write(block)
    return size
