"""Studies on a real Slurm of one node: the bytes of a local run, and a stop by scancel, Ctrl-C and kill -9.

Skipped where Slurm's daemons are not installed or the user is not root; `.ci/run` installs them and runs these tests.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
from project_copy import copy_of_the_project, differing, products
from slurm_on_one_node import StartError, missing, slurm_on_one_node

ROOT = Path(__file__).resolve().parents[2]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.long,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(bool(missing()), reason=missing()),
]
# As in the Snakefile: the two lines for jobs of a cluster.
SNAKEFILE = """
import os, sys
from pathlib import Path
from gru4rec_lib.study.workflow.cluster import record_finished_steps

if workflow.remote_exec:
    os.environ.pop("GRU4REC_PARENT", None)
    record_finished_steps()

rule all:
    input: "runs/mini/made.txt"

rule make:
    message: "make the file"
    output: "runs/mini/made.txt"
    params: setting=Path("setting").read_text()
    resources: mem_mb=100, runtime=5
    shell: "exec {sys.executable} -m gru4rec_lib.study.workflow.tied {sys.executable} job.py {output}"
"""
JOB = """
import pathlib, sys, time
calls = pathlib.Path("calls")
calls.open("a").write("begin\\n")
while pathlib.Path("slow").exists():
    time.sleep(0.05)
calls.open("a").write("end\\n")
pathlib.Path(sys.argv[1]).touch()
"""
STUDY = """
title: a study of one step
data: {layout: events, name: clicks, events: ["*.tsv"], session: s, item: i, time: t}
split: {how: by_session, test_fraction: 0.2}
models: [{input_form: [embedding], loss: [bpr]}]
"""


@pytest.fixture(scope="module", autouse=True)
def slurm():
    """Use the Slurm of the tests in this process and its children."""
    with pytest.MonkeyPatch.context() as patch:
        try:
            with slurm_on_one_node() as environment:
                for name, value in environment.items():
                    patch.setenv(name, value)
                yield
        except StartError as error:
            pytest.skip(str(error))


def queue():
    """Return the ids of all pending and running jobs."""
    done = subprocess.run(["squeue", "--noheader", "--format=%i"], capture_output=True, text=True, check=True)
    return done.stdout.split()


def wait_for(condition, process):
    """Wait while the process runs, until the test's timeout at most."""
    while not condition():
        assert process.poll() is None, process.communicate()
        time.sleep(0.1)


def empty_queue():
    """Cancel the jobs that a failed test has left, so that the next test does not see them."""
    subprocess.run(["scancel", "--me"], check=True)
    while queue():
        time.sleep(0.1)


@pytest.fixture
def start():
    """Start `reproduce`, with the profile for Slurm and its status polled often."""
    with ExitStack() as started:
        started.callback(empty_queue)

        def start_run(root, study, *arguments, profile="profiles/slurm"):
            command = [sys.executable, "-m", "gru4rec_lib", "reproduce", "--study", study, *arguments, "--"]
            command += ["--workflow-profile", profile]
            command += ["--slurm-init-seconds-before-status-checks", "1"]
            environment = os.environ | {"PYTHONPATH": str(root)}
            environment.pop("GRU4REC_PARENT", None)
            pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
            # A background job of a shell ignores Ctrl-C, and so do its children.
            pipes["preexec_fn"] = lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)
            process = started.enter_context(subprocess.Popen(command, cwd=root, env=environment, **pipes))
            started.callback(process.kill)
            return process

        yield start_run


def to_end(process):
    """Return the output of a run, which must succeed."""
    output, _ = process.communicate()
    assert process.returncode == 0, output
    return output


@pytest.mark.timeout(3600)
def test_a_study_whose_controller_is_killed_ends_in_the_bytes_of_a_local_run(start, tmp_path):
    roots = [copy_of_the_project(tmp_path / name) for name in ("on_slurm", "local")]
    for root in roots:
        toy = root / "config" / "toy.yaml"
        text = toy.read_text().partition("blends:")[0]
        assert text.count("max_epochs: 2") == 1
        toy.write_text(text.replace("max_epochs: 2", "max_epochs: 1"))
        (root / "profiles" / "slurm" / "config.yaml").write_text(
            (ROOT / "profiles" / "slurm" / "config.yaml").read_text().partition("set-threads:")[0]
        )  # as many threads as in a local run
    on_slurm, local = roots
    locally = start(local, "toy", profile="profiles/local")
    process = start(on_slurm, "toy")
    trained = on_slurm / "runs/toy/logs"
    wait_for(lambda: any(trained.glob("03_train_gru4rec-*.log")), process)
    process.kill()
    process.communicate()
    left = queue()
    assert left
    again = to_end(start(on_slurm, "toy"))
    assert "Jobs of an earlier run are still in Slurm's queue: " in again
    assert f"`scancel {' '.join(left)}` cancels them" in again
    to_end(locally)
    found = products(local)
    assert sum(name.endswith("ranks.parquet") for name in found) == 2 + 2
    assert differing(on_slurm, found) == []
    steps = [log.parent for log in (trained / "slurm").rglob("*.log")]
    assert len(steps) >= 9
    assert len(set(steps)) == len(steps), "no step ran twice"
    assert "nothing to do: every product is up to date" in to_end(start(on_slurm, "toy"))


@pytest.fixture
def mini(tmp_path):
    """Create a project of one step, which runs while the file `slow` exists."""
    for name, text in {"Snakefile": SNAKEFILE, "job.py": JOB, "config/mini.yaml": STUDY, "setting": "1"}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    for name in ("profiles", "gru4rec_lib"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "data/raw/clicks").mkdir(parents=True)
    (tmp_path / "data/prepared/mini").mkdir(parents=True)
    (tmp_path / "data/prepared/mini/prepared.json").write_text('{"settings": {"inputs": {}}}')  # as if checked before
    (tmp_path / "slow").touch()
    return tmp_path


def calls(root):
    """Return the calls of the step: `begin`, `end`."""
    return (root / "calls").read_text().split() if (root / "calls").exists() else []


def test_scancel_of_a_running_job_ends_the_run_and_the_step_is_not_submitted_again(start, mini):
    process = start(mini, "mini")
    wait_for(lambda: calls(mini), process)
    (job,) = queue()
    subprocess.run(["scancel", job], check=True)
    output, _ = process.communicate()
    assert process.returncode == 1
    assert f"SLURM-job '{job}' failed, SLURM status is: 'CANCELLED'" in output
    assert "run the same command again" in output
    assert f"submitted  make the file, job {job}\n" in output
    assert " of 2 " not in output, "no step is counted as finished"
    assert calls(mini) == ["begin"]
    assert queue() == []


def test_a_stopped_run_cancels_its_jobs_and_the_same_command_finishes(start, mini):
    for times, number in enumerate([signal.SIGINT, signal.SIGTERM], start=1):
        process = start(mini, "mini")
        wait_for(lambda: calls(mini) == ["begin"] * times, process)  # noqa: B023 - called at once
        process.send_signal(number)
        output, _ = process.communicate()
        assert process.returncode == 130
        assert "Stopping: the jobs of this run are being cancelled." in output
        assert queue() == []
    (mini / "slow").unlink()
    assert "  1 of 2  make the file\n" in to_end(start(mini, "mini"))
    assert calls(mini) == ["begin", "begin", "begin", "end"]


def test_after_kill_9_the_next_run_waits_for_the_jobs_and_keeps_what_they_make(start, mini):
    process = start(mini, "mini")
    wait_for(lambda: calls(mini), process)
    process.kill()
    process.communicate()
    (job,) = queue()
    waiting = start(mini, "mini")
    line = waiting.stdout.readline()
    assert line == (
        f"Jobs of an earlier run are still in Slurm's queue: {job} (make). Waiting for their end; "
        f"`scancel {job}` cancels them, Ctrl-C gives up.\n"
    )
    (mini / "slow").unlink()
    assert "nothing to do: every product is up to date" in to_end(waiting)
    assert calls(mini) == ["begin", "end"]
    (mini / "setting").write_text("2")
    to_end(start(mini, "mini"))
    assert calls(mini) == ["begin", "end"] * 2, "its parameters were recorded although its run was killed"
