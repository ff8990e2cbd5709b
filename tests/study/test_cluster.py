"""Jobs of a study in Slurm, with mocked commands; tests/project/test_slurm.py runs a real Slurm."""

import contextlib
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from gru4rec_lib.config.study import ConfigError
from gru4rec_lib.study.workflow import cluster
from gru4rec_lib.study.workspace import Workspace

SIMULATED = """
title: a study
data: {layout: mssd, name: DATA, simulate: {sessions: 10}}
split: {how: by_session, test_fraction: 0.2}
models: [{input_form: [embedding], loss: [bpr]}]
"""


@pytest.fixture
def study(tmp_path):
    """Write a study whose raw files are simulated, and give back its workspace."""
    (tmp_path / "config").mkdir()

    def write(name, data="shared", raw="", more=""):
        (tmp_path / "config" / f"{name}.yaml").write_text(SIMULATED.replace("DATA", data) + more)
        return Workspace(name, raw, tmp_path)

    return write


@pytest.fixture
def command(tmp_path, monkeypatch):
    """Replace a command by a shell script."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")

    def write(name, script):
        path = tmp_path / "bin" / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    return write


@pytest.fixture
def no_pause(monkeypatch):
    monkeypatch.setattr(cluster.time, "sleep", lambda seconds: None)


def queued(*lines):
    return "cat <<'END'\n" + "\n".join(lines) + "\nEND"


CONFIG = "MinJobAge               = {} sec\nAccountingStorageType   = accounting_storage/{}"


@pytest.mark.parametrize(
    ("name", "start"),
    [("toy", "gru4rec-toy-"), ("my_study.2", "gru4rec-my-study-2-"), ("éü", "gru4rec-"), ("n" * 99, "gru4rec-nnn")],
)
def test_a_job_name_is_valid_for_slurms_plugin(study, name, start):
    found = cluster.job_name(study(name))
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,50}", found)
    assert re.fullmatch(rf"{start}[a-z-]*[0-9a-f]{{8}}-[0-9a-f]{{8}}", found)


def test_jobs_of_a_study_are_those_of_its_name_and_those_that_write_the_same_raw_files(study, command, tmp_path):
    toy, same_raw, other = study("toy"), study("twin"), study("other", data="apart")
    (tmp_path / "mine").mkdir()
    brought = Workspace("toy", tmp_path / "mine", tmp_path)
    names = [cluster.job_name(at) for at in (toy, same_raw, other, brought)]
    command(
        "squeue",
        queued(
            f"11|{names[0]}_4f0c1b6e-0d3f-4a52-9a3a-0b7c7c6f0f5e|rule_train_wildcards_embedding-bpr",
            f"12|{names[1]}_4f0c1b6e-0d3f-4a52-9a3a-0b7c7c6f0f5e|rule_simulate",
            f"13|{names[2]}_4f0c1b6e-0d3f-4a52-9a3a-0b7c7c6f0f5e|rule_baselines",
            f"14|{names[3]}_4f0c1b6e-0d3f-4a52-9a3a-0b7c7c6f0f5e|rule_results",
            "15|4f0c1b6e-0d3f-4a52-9a3a-0b7c7c6f0f5e|rule_train",
            "16|wrap|(null)",
            "17|a|b|c",
        ),
    )
    assert cluster.jobs(toy) == {"11": "train embedding-bpr", "12": "simulate", "14": "results"}
    assert list(cluster.jobs(other)) == ["13"]
    assert list(cluster.jobs(brought)) == ["11", "14"]


def test_the_same_study_in_another_folder_has_other_jobs(study, tmp_path):
    there = tmp_path / "there"
    there.mkdir()
    here = study("toy")
    (there / "config").symlink_to(tmp_path / "config")
    assert cluster.job_name(here) != cluster.job_name(Workspace("toy", root=there))


def test_all_settings_of_content_signal_share_their_raw_files(study):
    curve = study("curve", more="content_signal: [0, 0.5]\n")
    at = Workspace("curve@0", root=curve.root)
    assert cluster.job_name(curve).split("-")[-1] == cluster.job_name(at).split("-")[-1]


@pytest.mark.parametrize(
    ("script", "sentence"),
    [
        (
            "echo 'squeue: error: ignored' >&2; echo 'Unable to contact slurm controller' >&2; exit 1",
            "Unable to contact",
        ),
        ("exit 3", "exit code 3"),
    ],
)
def test_without_an_answer_of_slurm_the_run_is_refused_with_one_sentence(study, command, script, sentence):
    command("squeue", script)
    command("scontrol", queued(CONFIG.format(300, "none")))
    with pytest.raises(ConfigError, match=rf"^squeue: {sentence}.*; jobs of this study may still run") as raised:
        cluster.wait_for_jobs(study("toy"), "slurm")
    assert "\n" not in str(raised.value)


def test_without_slurm_its_profile_is_refused_with_one_sentence(study, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match="command not found; run the study on a login node of a Slurm cluster"):
        cluster.wait_for_jobs(study("toy"), "slurm")


@pytest.mark.parametrize(
    ("age", "accounting", "refused"), [(179, "none", True), (180, "none", False), (2, "slurmdbd", False)]
)
def test_a_slurm_that_soon_deletes_finished_jobs_is_refused(command, age, accounting, refused):
    command("scontrol", queued(CONFIG.format(age, accounting)))
    if not refused:
        cluster.refuse_forgetful_slurm()
        return
    with pytest.raises(ConfigError, match=r"^Slurm forgets a finished job after 179 seconds .* 180 seconds or more$"):
        cluster.refuse_forgetful_slurm()


def test_a_run_waits_for_the_jobs_of_an_earlier_one_and_names_them_once(study, command, no_pause, capsys, tmp_path):
    toy = study("toy")
    line = f"7|{cluster.job_name(toy)}_x|rule_baselines"
    command("scontrol", queued(CONFIG.format(300, "none")))
    command("squeue", f"echo . >> {tmp_path}/asked; [ $(wc -l < {tmp_path}/asked) -gt 3 ] || echo '{line}'")
    cluster.wait_for_jobs(toy, "slurm")
    assert capsys.readouterr().out == (
        "Jobs of an earlier run are still in Slurm's queue: 7 (baselines). Waiting for their end; "
        "`scancel 7` cancels them, Ctrl-C gives up.\n"
    )
    assert (tmp_path / "asked").read_text() == ".\n" * 4


def test_a_local_run_looks_for_jobs_only_if_the_study_had_some(study, command, no_pause, capsys, tmp_path):
    toy = study("toy")
    once = f"[ -e {tmp_path}/asked ] || echo '7|{cluster.job_name(toy)}_x|rule_baselines'; touch {tmp_path}/asked"
    command("squeue", once)
    cluster.wait_for_jobs(toy, "local")
    assert capsys.readouterr().out == ""
    (toy.runs / "logs" / "slurm").mkdir(parents=True)
    cluster.wait_for_jobs(toy, "local")
    assert "7 (baselines)" in capsys.readouterr().out


def test_jobs_of_a_stopped_run_are_cancelled_until_they_end(study, command, no_pause, tmp_path):
    toy = study("toy")
    command("scancel", f'echo "$@" >> {tmp_path}/cancelled')
    lines = [f"{number}|{cluster.job_name(toy)}_x|rule_train" for number in (7, 8)]
    command("squeue", f"[ $(cat {tmp_path}/cancelled | wc -l) -ge 2 ] || " + queued(*lines))
    (tmp_path / "cancelled").touch()
    cluster.cancel_jobs(toy, "local")
    assert (tmp_path / "cancelled").read_text() == ""
    cluster.cancel_jobs(toy, "slurm")
    assert (tmp_path / "cancelled").read_text() == "7 8\n7 8\n"


def test_jobs_that_cannot_be_cancelled_are_named(study, command, no_pause, monkeypatch):
    toy = study("toy")
    monkeypatch.setattr(cluster, "_CANCELLING", -1)
    command("squeue", queued(f"7|{cluster.job_name(toy)}_x|rule_train"))
    with pytest.raises(ConfigError, match=r"^still in Slurm's queue: 7 \(train\); `scancel 7` cancels them$"):
        cluster.cancel_jobs(toy, "slurm")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "chosen"),
    [
        ([], "local"),
        (["--forceall"], "local"),
        (["--workflow-profile", "profiles/slurm"], "slurm"),
        (["--workflow-profile", "profiles/slurm", "--dry-run"], "local"),
        (["--workflow-profile", "profiles/slurm", "--executor", "local"], "local"),
        (["--profile=profiles/slurm"], "slurm"),
        (["-e", "cluster-generic"], "cluster-generic"),
        (["--no-such-option"], "local"),
        (["--workflow-profile", "no/such/profile"], "local"),
        (["--help"], "local"),
    ],
)
def test_the_executor_is_the_one_that_snakemake_would_choose(arguments, chosen, capfd):
    from gru4rec_lib.study.workspace import ROOT

    assert cluster.executor(arguments, ROOT) == chosen
    assert capfd.readouterr() == ("", "")


def test_sigterm_interrupts_a_run_on_a_cluster_and_an_ignored_sighup_does_not():
    before = signal.getsignal(signal.SIGTERM), signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with cluster.interruptible("local"):
            assert signal.getsignal(signal.SIGTERM) == before[0]
        with cluster.interruptible("slurm"):
            os.kill(os.getpid(), signal.SIGHUP)
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(signal.SIGTERM)
        assert signal.getsignal(signal.SIGTERM) == before[0]
    finally:
        signal.signal(signal.SIGHUP, before[1])


SNAKEMAKE = """
import signal, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell starts a job in the background with SIGINT ignored
try:
    print("up", flush=True)
    time.sleep(60)
except KeyboardInterrupt:
    print("interrupted")
"""


@pytest.mark.parametrize(("chosen", "heard"), [("cluster-generic", "interrupted"), ("local", "")])
def test_snakemake_is_interrupted_first_where_it_has_jobs_to_cancel(study, chosen, heard):
    process = subprocess.Popen(
        [sys.executable, "-c", SNAKEMAKE], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stdout.readline() == "up\n"
    cluster.stop(process, study("toy"), chosen)
    assert process.communicate()[0].strip() == heard
    assert process.returncode == (0 if heard else -signal.SIGKILL)


def test_jobs_are_cancelled_even_if_the_terminal_is_gone(study, command, no_pause, monkeypatch, tmp_path):
    toy = study("toy")
    command("scancel", f'echo "$@" >> {tmp_path}/cancelled')
    command("squeue", f"[ -e {tmp_path}/cancelled ] || " + queued(f"7|{cluster.job_name(toy)}_x|rule_train"))
    process = subprocess.Popen(["sleep", "60"], start_new_session=True)
    with Path("/dev/full").open("w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        with pytest.raises(OSError, match="No space left"):
            cluster.stop(process, toy, "slurm")
        monkeypatch.undo()
        with contextlib.suppress(OSError):
            full.close()
    assert process.returncode == -signal.SIGKILL
    assert (tmp_path / "cancelled").read_text() == "7\n"


@pytest.mark.slow
def test_a_cancelled_job_has_the_state_that_snakemakes_plugin_knows():
    """Run in a separate process, because it changes the plugin."""
    program = """
import asyncio, logging
from gru4rec_lib.study.workflow import cluster
cluster.adapt_slurm_plugin()
import snakemake_executor_plugin_slurm as slurm
print(asyncio.run(slurm.query_job_status("printf '%s\\\\n' '7|CANCELLED by 0' '8|COMPLETED'", logging.getLogger()))[0])
print(asyncio.run(slurm.query_job_status("false", logging.getLogger())))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert done.stdout.splitlines() == ["{'7': 'CANCELLED', '8': 'COMPLETED'}", "(None, None)"]
