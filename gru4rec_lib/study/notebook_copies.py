"""Copies of the notebooks: their cells alone, for the graph; and editable ones, for `make lab`.

JupyterLab saves outputs, counts and metadata into a notebook. Only the cells matter for results and copies.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path

from gru4rec_lib.utils.atomic_write import replacing

KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
START = "START.md"  # the page that JupyterLab opens first
MADE_FROM = "gru4rec_cells"  # metadata of an editable copy: the digest of the cells that it was made from


def cells_alone(notebook: Path, folder: Path) -> Path:
    """Copy a notebook without outputs, counts and metadata, unless the same copy exists.

    Args:
        notebook: a .ipynb file.
        folder: for the copy; created where it is missing.

    Returns:
        The path of the copy, which changes only with a cell's source or tags.

    Raises:
        ValueError: the file is not a notebook.
    """
    copy, text = folder / notebook.name, _text(_cells(notebook))
    if not copy.exists() or copy.read_text(encoding="utf-8") != text:
        folder.mkdir(parents=True, exist_ok=True)
        with replacing(copy) as partial:
            partial.write_text(text, encoding="utf-8")
    return copy


def to_work_in(notebooks: Path, folder: Path) -> list[str]:
    """Copy the notebooks and their first page, START.md, to a folder for editing; keep every edited notebook.

    A copy with the notebook's cells keeps its outputs. An unedited copy is replaced when its notebook has changed.

    Args:
        notebooks: the folder with the .ipynb files and START.md; it is only read.
        folder: for the copies; created where it is missing.

    Returns:
        A sentence for each edited copy whose notebook has changed since.

    Raises:
        ValueError: a file is not a notebook.
    """
    outdated = []
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(notebooks / START, folder / START)
    for notebook in sorted(notebooks.glob("*.ipynb")):
        copy, cells = folder / notebook.name, _cells(notebook)
        if copy.exists():
            made_from, edited = _read(copy).get("metadata", {}).get(MADE_FROM), _digest(_cells(copy))
            if edited == _digest(cells):
                continue
            if edited != made_from:
                if made_from != _digest(cells):
                    outdated.append(
                        f"{copy}: keeps your edits; {notebook} has changed: delete the copy to get the new one"
                    )
                continue
        with replacing(copy) as partial:
            partial.write_text(_text(cells, {MADE_FROM: _digest(cells)}), encoding="utf-8")
    return outdated


def link(folder: Path, *targets: Path) -> None:
    """Link to other folders, so that JupyterLab's file browser shows them; what is in their place is kept.

    Args:
        folder: that JupyterLab shows.
        targets: folders, each under its own name; a missing one is created.
    """
    for target in targets:
        target.mkdir(exist_ok=True)
        shown = folder / target.name
        if not (shown.exists() or shown.is_symlink()):
            shown.symlink_to(os.path.relpath(target, folder))


def _read(notebook: Path) -> dict:
    try:
        read = json.loads(notebook.read_text(encoding="utf-8"))
        return {**read, "cells": [*read["cells"]]}
    except (ValueError, TypeError, KeyError):
        raise ValueError(f"{notebook}: is not a notebook; restore or delete the file") from None


def _cells(notebook: Path) -> list[dict]:
    """Type, source and tags of each cell; JupyterLab adds empty ones at the end."""
    cells = []
    for cell in _read(notebook)["cells"]:
        kept = {"cell_type": cell["cell_type"], "id": str(len(cells)), "source": "".join(cell["source"])}
        tags = cell.get("metadata", {}).get("tags")
        kept["metadata"] = {"tags": tags} if tags else {}
        if cell["cell_type"] == "code":
            kept |= {"execution_count": None, "outputs": []}
        if kept["source"].strip():
            cells.append(kept)
    return cells


def _digest(cells: list[dict]) -> str:
    return hashlib.sha256(json.dumps(cells).encode()).hexdigest()


def _text(cells: list[dict], more: dict | None = None) -> str:
    metadata = {"kernelspec": KERNEL, "language_info": {"name": "python"}} | (more or {})
    notebook = {"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"
