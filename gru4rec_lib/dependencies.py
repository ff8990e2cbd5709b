"""Which library files a notebook reads, so that a change re-runs what depends on it and nothing else."""

from __future__ import annotations

import ast
import hashlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
# Helps a notebook that is run by hand; in the graph it finds everything made.
NOT_IN_THE_GRAPH = {"demo"}


def library_files(start: Path) -> list[Path]:
    """The library's files that a notebook or module imports, directly or through others.

    Args:
        start: a .ipynb or .py file.

    Returns:
        Sorted paths; the style file comes with the modules that draw.
    """
    found: set[str] = set()
    waiting = set(_imports(_source(start)))
    while waiting:
        name = waiting.pop()
        if name in found or name in NOT_IN_THE_GRAPH:
            continue
        found.add(name)
        waiting |= set(_imports((PACKAGE / f"{name}.py").read_text(encoding="utf-8")))
    paths = [PACKAGE / f"{name}.py" for name in found]
    # Data files of the package are read by the module that names them.
    data = [p for p in PACKAGE.iterdir() if p.suffix in (".json", ".mplstyle")]
    paths += [p for p in data if any(p.name in module.read_text(encoding="utf-8") for module in paths)]
    return sorted(paths)


def fingerprint(paths: Iterable[Path]) -> str:
    """Return one digest of what source files hold, for times of modification do not show an older file put back.

    Args:
        paths: of notebooks, of which the code alone counts, and other text files.
    """
    return hashlib.sha256(json.dumps([_source(path) for path in paths]).encode()).hexdigest()


def _source(path: Path) -> str:
    if path.suffix != ".ipynb":
        return path.read_text(encoding="utf-8")
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")


def _imports(source: str) -> Iterator[str]:
    """Names of library modules imported anywhere in the source, inside functions too."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module == "gru4rec_lib":
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("gru4rec_lib."):
            yield node.module.split(".")[1]
        elif isinstance(node, ast.Import):
            yield from (alias.name.split(".")[1] for alias in node.names if alias.name.startswith("gru4rec_lib."))
