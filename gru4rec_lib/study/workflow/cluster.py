"""Runs whose steps are jobs of a cluster: find, await and cancel the jobs of a study.

A job of Slurm does not end with the process that submitted it. So the name of each job begins with `job_name`. By it, a
run finds the jobs of an earlier run that was killed, and waits for them: no step runs twice at once. A run that is
stopped cancels its jobs.
"""

import contextlib
import hashlib
import io
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from gru4rec_lib.config.study import ConfigError
from gru4rec_lib.study.workspace import Workspace

LOCAL, SLURM = "local", "slurm"
_POLL = 5.0  # seconds between two calls of squeue
_GRACE = 10.0  # seconds for Snakemake to cancel its jobs; after that it may sleep for minutes until its next poll
_REMEMBERED = 180  # seconds: the longest pause between two polls of Snakemake's plugin
_CANCELLING = 120.0  # seconds for Slurm to end cancelled jobs; it gives each 30 by default (KillWait)


def executor(arguments: list[str], root: Path) -> str:
    """Return the executor that Snakemake's arguments choose.

    Args:
        arguments: further arguments for Snakemake; a profile among them may name the executor.
        root: the project's folder, to which paths of profiles are relative.

    Returns:
        `local`, `slurm` or another name; `local` for a dry run and for wrong arguments, which Snakemake reports.
    """
    if not arguments:
        return LOCAL
    from snakemake.cli import parse_args  # the import takes seconds

    quiet = io.StringIO()
    try:
        with contextlib.chdir(root), contextlib.redirect_stdout(quiet), contextlib.redirect_stderr(quiet):
            _, chosen = parse_args(arguments)
    except (Exception, SystemExit):
        return LOCAL
    return LOCAL if chosen.dryrun else chosen.executor or LOCAL


def snakemake_arguments(workspace: Workspace, chosen: str) -> list[str]:
    """Return arguments for Snakemake that name a study's jobs and keep their logs beside the study's other logs.

    Args:
        workspace: the study.
        chosen: the executor; other than `slurm` none is needed.
    """
    return (
        ["--slurm-jobname-prefix", job_name(workspace), "--slurm-logdir", str(_logs(workspace))]
        if chosen == SLURM
        else []
    )


def job_name(workspace: Workspace) -> str:
    """Return the start of the names of a study's jobs: up to 50 letters, digits and hyphens, as Slurm's plugin demands.

    It ends with two hashes, of the study and of the raw files that it simulates. Studies that share one of them may
    write the same files.

    Args:
        workspace: the study.
    """
    name = re.sub(r"[^A-Za-z0-9]+", "-", workspace.study.name)[:20].strip("-")
    return "-".join(["gru4rec", *([name] if name else []), *_hashes(workspace)])


def _hashes(workspace: Workspace) -> list[str]:
    study = f"study {workspace.study.name}"
    raw = f"raw {workspace.study.data.name.partition('@')[0]}" if workspace.simulates else study
    return [hashlib.sha256(f"{workspace.root.resolve()}\n{what}".encode()).hexdigest()[:8] for what in (study, raw)]


def jobs(workspace: Workspace) -> dict[str, str]:
    """Return the jobs of a study that are pending or running in Slurm.

    Args:
        workspace: the study.

    Returns:
        The step of each by the job's id, such as {"12": "train embedding-bpr"}.

    Raises:
        ConfigError: squeue is missing or fails.
    """
    own, found = set(_hashes(workspace)), {}
    lines = _asked("squeue", "--me", "--noheader", "--format=%i|%j|%k").splitlines()
    for number, name, comment in (line.split("|", 2) for line in lines):
        start = name.partition("_")[0].split("-")
        if start[0] == "gru4rec" and own & set(start[-2:]):
            found[number] = comment.removeprefix("rule_").replace("_wildcards_", " ")
    return found


def _asked(*command: str) -> str:
    """What a command of Slurm prints."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    except FileNotFoundError:
        raise ConfigError(
            f"{command[0]}: command not found; run the study on a login node of a Slurm cluster"
        ) from None
    except subprocess.TimeoutExpired:
        reason = "no answer within a minute"
    else:
        if not done.returncode:
            return done.stdout
        reason = (done.stderr.strip() or f"exit code {done.returncode}").splitlines()[-1]
    raise ConfigError(
        f"{command[0]}: {reason}; jobs of this study may still run, so run the command again when Slurm answers"
    )


def refuse_forgetful_slurm() -> None:
    """Raise where Slurm would not report how a job ended, so that a run would wait for it forever.

    Raises:
        ConfigError: finished jobs disappear before they are polled, and there is no accounting; or scontrol fails.
    """
    settings = dict(re.findall(r"^(\w+) *= *(\S*)", _asked("scontrol", "show", "config"), re.MULTILINE))
    if int(settings["MinJobAge"]) < _REMEMBERED and not settings["AccountingStorageType"].endswith("slurmdbd"):
        raise ConfigError(
            f"Slurm forgets a finished job after {settings['MinJobAge']} seconds and has no accounting, so a run "
            f"cannot learn how its steps ended; ask its administrators for a MinJobAge of {_REMEMBERED} seconds or more"
        )


def wait_for_jobs(workspace: Workspace, chosen: str) -> None:
    """Wait for the jobs that an earlier run of a study left in Slurm. What they finish counts as finished.

    Args:
        workspace: the study.
        chosen: the executor of the new run. Unless it is Slurm, jobs are looked for only if the study ran on Slurm.

    Raises:
        ConfigError: a command of Slurm is missing or fails, or `refuse_forgetful_slurm`.
    """
    if chosen != SLURM and not (_logs(workspace).is_dir() and shutil.which("squeue")):
        return
    if chosen == SLURM:
        refuse_forgetful_slurm()
    if found := jobs(workspace):
        print(
            f"Jobs of an earlier run are still in Slurm's queue: {_listed(found)}. Waiting for their end; "
            f"`scancel {' '.join(found)}` cancels them, Ctrl-C gives up.",
            flush=True,
        )
        while jobs(workspace):
            time.sleep(_POLL)


@contextlib.contextmanager
def interruptible(chosen: str) -> Iterator[None]:
    """Make SIGTERM and SIGHUP raise KeyboardInterrupt, as Ctrl-C does, where steps do not end with this process.

    Args:
        chosen: the executor.

    Yields:
        Nothing; afterwards the signals have their earlier effect.
    """
    numbers = [signal.SIGTERM, signal.SIGHUP] if chosen != LOCAL else []
    heeded = [number for number in numbers if signal.getsignal(number) != signal.SIG_IGN]  # nohup ignores SIGHUP
    before = {number: signal.signal(number, signal.default_int_handler) for number in heeded}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def stop(snakemake: subprocess.Popen, workspace: Workspace, chosen: str) -> None:
    """End Snakemake, its process group and its jobs. Only of Slurm is it checked that they have ended.

    Args:
        snakemake: the leader of the group.
        workspace: the study.
        chosen: the executor.

    Raises:
        ConfigError: as `cancel_jobs`.
    """
    try:
        if chosen != LOCAL:
            print("\nStopping: the jobs of this run are being cancelled.", flush=True)
            snakemake.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                snakemake.wait(_GRACE)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(snakemake.pid, signal.SIGKILL)  # with any sbatch that is under way
        snakemake.wait()
        cancel_jobs(workspace, chosen)


def cancel_jobs(workspace: Workspace, chosen: str) -> None:
    """Cancel the jobs that a stopped run left in Slurm, and wait until they have ended.

    Args:
        workspace: the study.
        chosen: the executor of that run; without effect unless it is Slurm.

    Raises:
        ConfigError: squeue fails, or a job does not end.
    """
    if chosen != SLURM:
        return
    time.sleep(1)  # a job that was just submitted appears
    end = time.monotonic() + _CANCELLING
    while left := jobs(workspace):
        if time.monotonic() > end:
            raise ConfigError(f"still in Slurm's queue: {_listed(left)}; `scancel {' '.join(left)}` cancels them")
        subprocess.run(["scancel", *left], check=False, capture_output=True)
        time.sleep(1)


def record_finished_steps() -> None:
    """Let a job itself record its step as finished, with its parameters and code, in Snakemake's metadata.

    By default only the process that submitted the job does this. If it was killed, the step's outputs would count as
    finished, but a later change of parameters would not be noticed. The Snakefile calls this within jobs.
    """
    from snakemake.persistence import PersistenceBase

    finished = PersistenceBase.finished

    async def recorded(self, job):
        # Snakemake's own condition: with --immediate-submit, nobody but the job could record it.
        settings = self.dag.workflow.remote_execution_settings
        settings.immediate_submit = True
        try:
            await finished(self, job)
        finally:
            settings.immediate_submit = False

    PersistenceBase.finished = recorded


def adapt_slurm_plugin() -> None:
    """Have Snakemake's plugin for Slurm end a run whose job is cancelled; without effect if it is not installed.

    By itself it would submit the step again, and with sacct it would wait forever: that reports `CANCELLED by <uid>`,
    a state that the plugin does not know.
    """
    from snakemake_interface_executor_plugins.registry import ExecutorPluginRegistry

    registry = ExecutorPluginRegistry()
    if not registry.is_installed(SLURM):
        return
    import snakemake_executor_plugin_slurm as slurm

    query = slurm.query_job_status

    async def query_job_status(command, logger):
        states, seconds = await query(command, logger)
        return states and {number: state.partition(" by ")[0] for number, state in states.items()}, seconds

    slurm.query_job_status = query_job_status
    plugin = registry.get_plugin(SLURM)

    class Executor(plugin.executor):
        def report_job_error(self, job_info, msg=None, **words):
            if "'CANCELLED'" in (msg or ""):
                job_info.job.attempt = job_info.job.restart_times + 1  # the last one that `retries` allows
            super().report_job_error(job_info, msg=msg, **words)

    plugin.executor = Executor


def _listed(found: dict[str, str]) -> str:
    return ", ".join(f"{number} ({step})" for number, step in found.items())


def _logs(workspace: Workspace) -> Path:
    return workspace.runs / "logs" / "slurm"
