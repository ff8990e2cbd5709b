"""Run a study: `python -m gru4rec_lib reproduce --study NAME [--data FOLDER] [-- SNAKEMAKE-ARGUMENTS]`.

One run of a study at a time, and of studies that simulate the same raw files; each is ended by whatever ends this
process, `kill -9` included (`study/workflow/tied.py`), and the next run goes on from the finished steps.
"""

import argparse
import errno
import fcntl
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

import pandas as pd

from gru4rec_lib.config.data import SIMULATED
from gru4rec_lib.config.study import ConfigError, is_study_file
from gru4rec_lib.study import explore, fingerprints
from gru4rec_lib.study.workflow import tied
from gru4rec_lib.study.workspace import ROOT, Workspace, named_folder
from gru4rec_lib.utils.atomic_write import replacing

# Folders that a run writes to, by the variable that moves them, below the user's home.
CACHES = {
    "XDG_CACHE_HOME": ".cache",
    "IPYTHONDIR": ".ipython",
    "JUPYTER_RUNTIME_DIR": ".local/share/jupyter/runtime",
    "KERAS_HOME": ".keras",
    "MPLCONFIGDIR": ".config/matplotlib",
}


def main(argv: list[str], root: Path = ROOT) -> int:
    """Run a study's graph to its end.

    Args:
        argv: the command's words, without its name.
        root: the project's folder, with Snakefile, config/ and profiles/.

    Returns:
        The exit code: Snakemake's; 2 for wrong data.

    Raises:
        ConfigError: a wrong study or folder, or another study of the same name.
        OSError: the run's lock cannot be written.
    """
    words = _parse(argv)
    if given := {"--config", "-C", "--configfile", "--configfiles"} & {word.split("=")[0] for word in words.snakemake}:
        raise ConfigError(f"{min(given)}: a run has its settings from --study and --data; leave the argument out")
    place = _place(words, root)
    place.refuse_if_taken()
    tied.tie()
    with _alone(place) as locks:
        code = _check(place, words.study, root)
        if code:
            return code
        place.claim()
        return _run(place, _settings(place, words), words.snakemake, locks)


@contextmanager
def only_run(path: Path, which: str = "of this study") -> Iterator[BinaryIO]:
    """Hold a lock; where another run holds it, say so once and wait.

    The lock is the open file's (flock(2)): it ends with the last process that has it open, so no kill leaves it.

    Args:
        path: the lock file; it keeps the holder's process id and start time.
        which: tells the other run, behind these words.

    Yields:
        The open file, to be handed on to the processes that belong to the run.

    Raises:
        OSError: it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+b", buffering=0) as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = path.read_text(encoding="utf-8").strip() or "just started"
            print(f"Another run {which} goes on ({holder}); waiting for its end. Ctrl-C gives up.", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        lock.truncate(0)
        try:
            lock.write(f"process {os.getpid()}, since {datetime.now():%Y-%m-%d %H:%M:%S}\n".encode())
        except OSError as error:
            error.filename = str(path)  # a full disk does not say where
            raise
        yield lock


@contextmanager
def _alone(place: Workspace) -> Iterator[list[BinaryIO]]:
    """Hold the study's lock, and that of all simulated raw files that its graph may write: other studies have them too.

    Until the run's end, for they are read until then. Everyone takes them in the same order, so that nobody waits in
    a circle.
    """
    with ExitStack() as held:
        locks = [held.enter_context(only_run(place.runs / ".lock"))]
        for raw in sorted({at.raw for at in (place, *place.curve.values()) if at.simulates}):
            which = f"that may write data/raw/{raw.name}"
            locks.append(held.enter_context(only_run(raw.with_name(f".{raw.name}.lock"), which)))
        yield locks


def _parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="gru4rec reproduce", description="Run a study from raw files to its tables.")
    parser.add_argument("--study", default="twin_mini", help="a file of config/ without its ending (%(default)s)")
    parser.add_argument("--data", help="the folder of the raw files; data/raw/<data set> where not given")
    parser.add_argument("snakemake", nargs="*", help="after `--`: further arguments for Snakemake, such as --dry-run")
    return parser.parse_args(argv)


def _place(words: argparse.Namespace, root: Path) -> Workspace:
    given = named_folder(words.data, root) if words.data else ""
    place = Workspace(words.study, given, root)
    if not place.is_there and (given or not place.study.simulated):
        raise ConfigError(
            f"{place.raw}: there is no such folder. Say where the raw files of {place.study.name} are, by DATA=folder "
            "with make or --data folder; data/README.md tells what belongs there."
        )
    return place


def _check(place: Workspace, study: str, root: Path) -> int:
    """Check raw files that a user brought, before the first run and where their contents changed; 0 when all is well.

    In a process of its own: what reading takes of the memory is free when training begins.
    """
    made = fingerprints.made_with(place)
    if place.simulates or (made and made.get("inputs") == fingerprints.hashes(place)):
        return 0
    path = study if is_study_file(study) else root / "config" / f"{study}.yaml"
    command = [sys.executable, "-m", "gru4rec_lib", "check", str(path), "--data", str(place.raw)]
    tied_command = [sys.executable, "-m", "gru4rec_lib.study.workflow.tied", *command]
    return subprocess.run(tied_command, check=False, start_new_session=True).returncode  # Ctrl-C: see `_run`


def _settings(place: Workspace, words: argparse.Namespace) -> Path:
    """Write what Snakemake gets as its config: JSON, for `--config` takes texts such as `2024` or `my #2` for YAML."""
    settings = {"study": words.study} | ({"data": str(place.raw)} if words.data else {})
    path = place.runs / "given.json"
    with replacing(path) as partial:
        partial.write_text(json.dumps(settings), encoding="utf-8")
    return path


def _environment(place: Workspace) -> dict[str, str]:
    """The environment, with folders in runs/ for the caches that cannot be in the user's home."""
    found, home = dict(os.environ), Path(os.path.expanduser("~"))  # noqa: PTH111 - `Path.home` fails without one
    for name, folder in CACHES.items():
        path = Path(os.environ.get(name) or home / folder)
        if not (path.is_absolute() and _is_writable(path)):
            found[name] = str(place.runs.parent / ".home" / folder)
            Path(found[name]).mkdir(parents=True, exist_ok=True)
    return found


def _replaced(place: Workspace) -> list[str]:
    """Marks of simulated raw files that are no longer as they were written, which are to be simulated again."""
    found = []
    for at in {at.raw: at for at in (place, *place.curve.values()) if at.simulates}.values():
        if any(path.exists() for path in at.raw_files()) and not fingerprints.as_simulated(at):
            print(f"{at.raw}: is not what {at.study.name} simulates; it is simulated again", flush=True)
            found.append(str((at.raw / SIMULATED).relative_to(place.root)))
    return found


def _is_writable(folder: Path) -> bool:
    """Whether a folder can be written to, or made."""
    nearest = next(path for path in (folder, *folder.parents) if os.path.exists(path))  # noqa: PTH110 - no errors
    try:
        with tempfile.TemporaryFile(dir=nearest):  # what rights say does not bind root, and /proc takes no files
            return True
    except OSError:
        return False


def _run(place: Workspace, settings: Path, extra: list[str], locks: list[BinaryIO]) -> int:
    started = time.monotonic()
    if not _is_writable(own := place.root / ".snakemake"):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(own))
    if not (place.published_reports.is_dir() and place.published_figures.is_dir()):
        (place.runs / "published.json").unlink(missing_ok=True)  # the copies are no part of the graph
    snakemake = [sys.executable, "-m", "gru4rec_lib.study.workflow.progress", "--workflow-profile", "profiles/local"]
    forced = ["--forcerun", *replaced] if (replaced := _replaced(place)) else []
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "gru4rec_lib.study.workflow.tied",
            *snakemake,
            *extra,
            *forced,
            "--configfile",
            str(settings),
        ],
        cwd=place.root,
        env=_environment(place),
        pass_fds=[lock.fileno() for lock in locks],
        # Ctrl-C comes to this process alone, which ends the rest at once: Snakemake would wait for running steps.
        start_new_session=True,
    )
    try:
        code = process.wait()
    except BaseException:
        process.kill()
        process.wait()
        raise
    name, minutes = place.study.name, f"{(time.monotonic() - started) / 60:.1f} minutes"
    if code:
        print(f"{name} stopped after {minutes}; the reason stands above.", file=sys.stderr)
        print("Once it is mended, the same command goes on from here; finished steps are kept.", file=sys.stderr)
    elif not extra:
        for table in place.tables.glob("table_1.csv"):
            print(explore.compare(pd.read_csv(table)))
        print(f"{name} is complete after {minutes}: see reports/{name} and figures/{name}")
    return code if code >= 0 else 128 - code
