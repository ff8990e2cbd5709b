"""Run a study: `python -m gru4rec_lib reproduce --study NAME [--data FOLDER] [-- SNAKEMAKE-ARGUMENTS]`.

Only one run of a study is active at a time, and one of the studies that simulate the same raw files. A run ends with
this process, also by `kill -9` (`study/workflow/tied.py`), and the next run continues after the finished steps. Jobs of
a cluster do not end with a process: see `study/workflow/cluster.py`.
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
from gru4rec_lib.config.study import ConfigError
from gru4rec_lib.study import explore, fingerprints
from gru4rec_lib.study.workflow import cluster, tied
from gru4rec_lib.study.workspace import ROOT, Workspace, named_folder
from gru4rec_lib.utils.atomic_write import replacing

# Folders below the user's home that a run writes to, by the environment variable that moves them.
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
        The exit code: Snakemake's; 2 for invalid data.

    Raises:
        ConfigError: an invalid study or folder, or another study of the same name.
        OSError: the run's lock cannot be written.
    """
    words = _parse(argv)
    if given := {"--config", "-C", "--configfile", "--configfiles"} & {word.split("=")[0] for word in words.snakemake}:
        raise ConfigError(f"{min(given)}: a run has its settings from --study and --data; omit the argument")
    workspace = _workspace(words, root)
    workspace.refuse_if_taken()
    tied.tie()
    executor = cluster.executor(words.snakemake, root)
    with _alone(workspace) as locks:
        cluster.wait_for_jobs(workspace, executor)
        code = _check(workspace)
        if code:
            return code
        workspace.claim()
        return _run(workspace, _settings(workspace, words), words.snakemake, locks, executor)


@contextmanager
def only_run(path: Path, which: str = "of this study") -> Iterator[BinaryIO]:
    """Hold a lock; while another run holds it, print that once and wait.

    The lock belongs to the open file (flock(2)): it ends with the last process that has it open, also after a kill.

    Args:
        path: the lock file; it has the holder's process id and start time.
        which: describes the other run in the message.

    Yields:
        The open file, for the child processes of the run.

    Raises:
        OSError: it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+b", buffering=0) as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = path.read_text(encoding="utf-8").strip() or "just started"
            print(
                f"Another run {which} is active ({holder}); waiting for it to end. Press Ctrl-C to stop waiting.",
                flush=True,
            )
            fcntl.flock(lock, fcntl.LOCK_EX)
        lock.truncate(0)
        try:
            lock.write(f"process {os.getpid()}, since {datetime.now():%Y-%m-%d %H:%M:%S}\n".encode())
        except OSError as error:
            error.filename = str(path)  # a full disk does not say where
            raise
        yield lock


@contextmanager
def _alone(workspace: Workspace) -> Iterator[list[BinaryIO]]:
    """Hold the study's lock, and those of all simulated raw files that its graph may write, until the run ends.

    Other studies may use the same raw files. All runs take the locks in the same order, so that there is no deadlock.
    """
    with ExitStack() as held:
        locks = [held.enter_context(only_run(workspace.runs / ".lock"))]
        for raw in sorted({at.raw for at in (workspace, *workspace.variants().values()) if at.simulates}):
            which = f"that may write data/raw/{raw.name}"
            locks.append(held.enter_context(only_run(raw.with_name(f".{raw.name}.lock"), which)))
        yield locks


def _parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="gru4rec reproduce", description="Run a study from raw files to its tables.")
    parser.add_argument("--study", default="twin_mini", help="a file of config/ without its ending (%(default)s)")
    parser.add_argument("--data", help="the folder of the raw files; data/raw/<data set> where not given")
    parser.add_argument("snakemake", nargs="*", help="after `--`: further arguments for Snakemake, such as --dry-run")
    return parser.parse_args(argv)


def _workspace(words: argparse.Namespace, root: Path) -> Workspace:
    given = named_folder(words.data, root) if words.data else ""
    workspace = Workspace(words.study, given, root)
    if not workspace.is_there and (given or not workspace.study.simulated):
        raise ConfigError(
            f"{workspace.raw}: there is no such folder. Say where the raw files of {workspace.study.name} are, "
            "by DATA=folder with make or --data folder; data/README.md describes its files."
        )
    return workspace


def _check(workspace: Workspace) -> int:
    """Check raw files that are not simulated, before the first run and after a change of them; return the exit code.

    In a separate process, so that the memory for reading is free before training begins.
    """
    made = fingerprints.made_with(workspace)
    if workspace.simulates or (made and made.get("inputs") == fingerprints.hashes(workspace)):
        return 0
    command = [sys.executable, "-m", "gru4rec_lib", "check", str(workspace.file), "--data", str(workspace.raw)]
    tied_command = [sys.executable, "-m", "gru4rec_lib.study.workflow.tied", *command]
    return subprocess.run(tied_command, check=False, start_new_session=True).returncode  # Ctrl-C: see `_run`


def _settings(workspace: Workspace, words: argparse.Namespace) -> Path:
    """Write Snakemake's config as JSON; `--config` would read texts such as `2024` or `my #2` as YAML."""
    settings = {"study": words.study} | ({"data": str(workspace.raw)} if words.data else {})
    path = workspace.runs / "given.json"
    with replacing(path) as partial:
        partial.write_text(json.dumps(settings), encoding="utf-8")
    return path


def _environment(workspace: Workspace) -> dict[str, str]:
    """The environment, with folders in runs/ for caches where the user's home is not writable."""
    found, home = dict(os.environ), Path(os.path.expanduser("~"))  # noqa: PTH111 - `Path.home` fails without one
    for name, folder in CACHES.items():
        path = Path(os.environ.get(name) or home / folder)
        if not (path.is_absolute() and _is_writable(path)):
            found[name] = str(workspace.runs.parent / ".home" / folder)
            Path(found[name]).mkdir(parents=True, exist_ok=True)
    return found


def _replaced(workspace: Workspace) -> list[str]:
    """Records of simulated raw files that have changed since, which the graph simulates again."""
    found = []
    for at in {at.raw: at for at in (workspace, *workspace.variants().values()) if at.simulates}.values():
        if any(path.exists() for path in at.raw_files()) and not fingerprints.as_simulated(at):
            print(f"{at.raw}: is not what {at.study.name} simulates; it is simulated again", flush=True)
            found.append(str((at.raw / SIMULATED).relative_to(workspace.root)))
    return found


def _is_writable(folder: Path) -> bool:
    """Whether a folder can be created or written to."""
    nearest = next(path for path in (folder, *folder.parents) if os.path.exists(path))  # noqa: PTH110 - no errors
    try:
        with tempfile.TemporaryFile(dir=nearest):  # root ignores permissions, and /proc takes no files
            return True
    except OSError:
        return False


def _run(workspace: Workspace, settings: Path, extra: list[str], locks: list[BinaryIO], executor: str) -> int:
    started = time.monotonic()
    if not _is_writable(own := workspace.root / ".snakemake"):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(own))
    if not (workspace.published_reports.is_dir() and workspace.published_figures.is_dir()):
        (workspace.runs / "published.json").unlink(missing_ok=True)  # the copies are not outputs of the graph
    snakemake = [sys.executable, "-m", "gru4rec_lib.study.workflow.progress", "--workflow-profile", "profiles/local"]
    forced = ["--forcerun", *replaced] if (replaced := _replaced(workspace)) else []
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "gru4rec_lib.study.workflow.tied",
            *snakemake,
            *extra,
            *cluster.snakemake_arguments(workspace, executor),
            *forced,
            "--configfile",
            str(settings),
        ],
        cwd=workspace.root,
        env=_environment(workspace),
        pass_fds=[lock.fileno() for lock in locks],
        # Ctrl-C reaches this process alone, which ends the rest: Snakemake would wait for running steps.
        start_new_session=True,
    )
    with cluster.interruptible(executor):
        try:
            code = process.wait()
        except BaseException:
            cluster.stop(process, workspace, executor)
            raise
        if code:  # such as Snakemake killed
            cluster.cancel_jobs(workspace, executor)
    name, minutes = workspace.study.name, f"{(time.monotonic() - started) / 60:.1f} minutes"
    if code:
        print(f"{name} stopped after {minutes}; see the error above.", file=sys.stderr)
        print("Fix it and run the same command again; finished steps are kept.", file=sys.stderr)
    elif not extra:
        for table in workspace.tables.glob("table_1.csv"):
            print(explore.compare(pd.read_csv(table)))
        print(f"{name} is complete after {minutes}: see reports/{name} and figures/{name}")
    return code if code >= 0 else 128 - code
