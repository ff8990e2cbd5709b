"""Find the library files that a notebook or module imports, so that a change re-runs only what depends on it."""

from __future__ import annotations

import ast
import functools
import hashlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path

import gru4rec_lib

PACKAGE = Path(__file__).resolve().parents[2]
# Creates missing inputs of a notebook that is run by hand; in the graph all inputs exist.
NOT_IN_THE_GRAPH = {"study/ensure.py"}
# A study's file is checked with the settings that each baseline declares. What a baseline computes matters only to the
# notebooks that fit one, and those import the baselines themselves.
CHECKED_ALONE = {"config/study.py": "baselines"}


def library_files(start: Path) -> list[Path]:
    """Find the library's files that a notebook or module imports, directly or through others.

    Args:
        start: a .ipynb or .py file.

    Returns:
        Sorted paths, including the `__init__.py` of subpackages and the data files that a module names.
    """
    found: set[Path] = set()
    waiting = {path for name in _imports(_source(start)) for path in _files(name)}
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.add(path)
            alone = CHECKED_ALONE.get(path.relative_to(PACKAGE).as_posix())
            names = (name for name in _imports(_source(path)) if name.split(".")[0] != alone)
            waiting |= {path for name in names for path in _files(name)}
    data = [path for path in PACKAGE.rglob("*") if path.suffix in (".json", ".mplstyle")]
    return sorted(found | {path for path in data if any(path.name in _source(module) for module in found)})


def _files(name: str) -> Iterator[Path]:
    """The files that the import of a dotted name reads; the library's own `__init__.py` imports lazily."""
    first, *rest = name.split(".")
    path = PACKAGE
    for part in (*gru4rec_lib.PUBLIC.get(first, first).split("."), *rest):
        path /= part
        module = path.with_suffix(".py")
        if module.is_file():
            if module.relative_to(PACKAGE).as_posix() not in NOT_IN_THE_GRAPH:
                yield module
            return
        if (path / "__init__.py").is_file():
            yield path / "__init__.py"
        elif path.parent == PACKAGE:
            raise FileNotFoundError(f"{module}: there is no such module; correct the import of gru4rec_lib.{name}")
        else:
            return  # a function or class of the package


def fingerprint(paths: Iterable[Path]) -> str:
    """Return one digest of the contents of source files; modification times do not show a restored older file.

    Args:
        paths: of notebooks, whose code alone counts, and other text files.
    """
    return hashlib.sha256(json.dumps([_source(path) for path in paths]).encode()).hexdigest()


def _source(path: Path) -> str:
    if path.suffix != ".ipynb":
        return path.read_text(encoding="utf-8")
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")


@functools.cache  # the notebooks share most of the files, and parsing takes seconds
def _imports(source: str) -> tuple[str, ...]:
    """Dotted names below the library that are imported anywhere in the source, inside functions too."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        found += [name.removeprefix("gru4rec_lib.") for name in names if name.startswith("gru4rec_lib.")]
    return tuple(found)
