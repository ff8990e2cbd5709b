"""Identify raw files by content: `cp -p` and `rsync -t` replace a file without a new modification time."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from gru4rec_lib.config.data import SIMULATED
from gru4rec_lib.study.workspace import Workspace
from gru4rec_lib.utils.atomic_write import replacing, sha256

RECORD = "inputs.json"


def hashes(workspace: Workspace) -> dict[str, str]:
    """Hash the raw files that a study reads with SHA-256.

    A file is read only where its size, times or inode differ from those in runs/<study>/inputs.json.

    Returns:
        Hexadecimal digests of the existing files by path below the data folder.

    Raises:
        OSError: a file cannot be read, or the record cannot be written.
    """
    return _hashed(workspace, [path for path in workspace.raw_files() if path.is_file()])


def made_with(workspace: Workspace) -> dict:
    """Read the settings that a study's arrays were prepared with.

    Returns:
        The `prepare.settings` and, as `inputs`, the `hashes` of the raw files; empty where there are no arrays.
    """
    try:
        return json.loads((workspace.prepared / "prepared.json").read_text(encoding="utf-8")).get("settings", {})
    except (FileNotFoundError, ValueError):
        return {}


def digest(digests: dict[str, str]) -> str:
    """Return one digest of the names and contents of many files.

    Args:
        digests: by name, as `hashes` returns them.
    """
    return hashlib.sha256(json.dumps(digests, sort_keys=True).encode()).hexdigest()


def as_simulated(workspace: Workspace) -> bool:
    """Whether a study's simulated raw files are complete and unchanged, and were made with its settings.

    The record `simulated.json` beside them has settings and digests; what it lacks is not checked.

    Raises:
        OSError: a file cannot be read, or the record cannot be written.
    """
    paths = workspace.raw_files()
    if not all(path.is_file() for path in paths):
        return False
    try:
        made = json.loads((workspace.raw / SIMULATED).read_text(encoding="utf-8") or "{}")
    except ValueError:
        return False
    settings = workspace.study.data.simulate.model_dump(mode="json")
    if any(made.get(name, value) != value for name, value in settings.items()):
        return False
    written = made.get("sha256", {})
    return not written or _hashed(workspace, [path for path in paths if path.name != SIMULATED]) == written


def _hashed(workspace: Workspace, paths: list[Path]) -> dict[str, str]:
    record = workspace.runs / RECORD
    try:
        known = json.loads(record.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        known = {}
    found = {}
    for path in paths:
        stat = path.stat()
        # Unlike the modification time, the inode's change time and number cannot be copied.
        state = [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino]
        before = known.get(str(path), {})
        found[path] = before if before.get("state") == state else {"state": state, "sha256": sha256(path)}
    current = {str(path): facts for path, facts in found.items()}
    if not current.items() <= known.items():
        record.parent.mkdir(parents=True, exist_ok=True)
        with replacing(record) as partial:
            partial.write_text(json.dumps(current, indent=1), encoding="utf-8")
    return {str(_below(path, workspace.raw)): facts["sha256"] for path, facts in found.items()}


def _below(path: Path, folder: Path) -> Path:
    return path.relative_to(folder) if path.is_relative_to(folder) else path
