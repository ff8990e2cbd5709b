"""A study's steps on a cluster: planned with the profile for Slurm, nothing submitted."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest

from gru4rec_lib.study.explore import PAPER_TABLE_1
from gru4rec_lib.study.workspace import Workspace
from gru4rec_lib.training import memory

ROOT = Path(__file__).resolve().parents[2]


def test_every_step_requests_memory_and_time():
    rules = re.split(r"^ *rule (?=\w+:$)", (ROOT / "Snakefile").read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    needs = {text.split(":")[0]: re.findall(r"^ +(mem_mb=room|runtime=)", text, re.MULTILINE) for text in rules}
    assert needs.pop("all") == []
    assert {"train", "results", "publish"} < needs.keys()
    assert {name for name, said in needs.items() if said != ["mem_mb=room", "runtime="]} == set()


# Snakemake with a line of JSON for each job: its requests, which the message of a rule would hide.
PLAN = """
import json, sys
from snakemake.cli import main
from snakemake_interface_logger_plugins.common import LogEvent
from snakemake_interface_logger_plugins.registry import LoggerPluginRegistry
from gru4rec_lib.study.workflow import progress

class LogHandler(progress.LogHandler):
    def emit(self, record):
        if getattr(record, "event", None) == LogEvent.JOB_INFO:
            asked = {name: record.resources.get(name) for name in ("mem_mb", "runtime", "gpu")}
            print(json.dumps([record.rule_name, {"cores": record.threads} | asked]))
        else:
            super().emit(record)

LoggerPluginRegistry().register_plugin("snakemake_logger_plugin_plan", sys.modules[__name__])
main(["--logger", "plan", "--dry-run", *sys.argv[1:]])
"""
TRAIN_ON_GPU = "# set-resources:\n#   train:\n#     gpu: 1\n"


def planned(root, *config):
    """Return what the jobs of a study request, by rule, and the number of jobs.

    As `make reproduce ARGS="--workflow-profile profiles/slurm"` hands it on; a plan needs no Slurm.
    """
    for part in ("Snakefile", "config", "gru4rec_lib", "notebooks", "reports"):
        (root / part).symlink_to(ROOT / part)
    if not (root / "profiles").exists():
        (root / "profiles").symlink_to(ROOT / "profiles")
    (root / "plan.py").write_text(PLAN)
    profiles = [word for name in ("local", "slurm") for word in ("--workflow-profile", f"profiles/{name}")]
    # A dry run has no cluster and limits each job to these cores.
    command = [sys.executable, "plan.py", *profiles, "--cores", "8", "--config", *config]
    environment = os.environ | {"PYTHONPATH": str(root)}
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    jobs = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("[")]
    asked = dict(jobs)
    assert all(asked[rule] == resources for rule, resources in jobs), "every job of a rule asks for the same"
    asked.pop("all")
    return asked, Counter(rule for rule, _ in jobs)


def job(cores, gb, hours, gpu=None):
    return {"cores": cores, "mem_mb": 1000 * gb, "runtime": 60 * hours, "gpu": gpu}


@pytest.mark.slow
def test_the_slurm_profile_replaces_the_local_one(tmp_path):
    asked, jobs = planned(tmp_path, "study=toy")
    assert jobs["train"] == 12
    assert asked == {
        "simulate": job(1, 8, 4),
        "the_twin": job(1, 12, 1),
        "explore": job(1, 12, 1),
        "preprocess": job(1, 16, 2),
        "train": job(2, 6, 12),
        "baselines": job(2, 16, 4),
        "blends": job(2, 16, 4),
        "results": job(1, 16, 2),
        "audit": job(1, 16, 12),
        "paper": job(1, 4, 0.5),
        "publish": job(1, 4, 0.5),
    }


@pytest.mark.slow
def test_mssd_full_requests_memory_for_its_tracks_and_events_and_a_gpu_if_uncommented(tmp_path):
    shutil.copytree(ROOT / "profiles", tmp_path / "profiles")
    slurm = tmp_path / "profiles" / "slurm" / "config.yaml"
    assert TRAIN_ON_GPU in slurm.read_text()
    slurm.write_text(slurm.read_text().replace(TRAIN_ON_GPU, TRAIN_ON_GPU.replace("# ", "")))
    logs = tmp_path / "mssd"
    logs.mkdir()
    for name in ("log_0_20180715", "log_1_20180914", "log_2_20180915", "log_3_20180918"):
        (logs / f"{name}_000000000000.csv.gz").touch()
    asked, jobs = planned(tmp_path, "study=mssd_full", f"data={logs}")
    assert [jobs[rule] for rule in ("shard_read", "shard_index", "shard_encode", "train")] == [4, 1, 4, 2]
    assert asked == {
        "explore": job(1, 12, 1),
        "shard_read": job(1, 8, 1),
        "shard_index": job(1, 24, 4),
        "shard_encode": job(1, 8, 1),
        "preprocess": job(1, 64, 8),
        "train": job(2, 128, 48, gpu=1),
        "baselines": job(2, 64, 16),
        "results": job(1, 64, 8),
        "paper": job(1, 4, 0.5),
        "publish": job(1, 4, 0.5),
    }
    training, events = Workspace("mssd_full").study.training, PAPER_TABLE_1["full"]["events"]
    bench = pd.read_csv(ROOT / "reports" / "bench" / "bench.csv").set_index("measure")["value"]
    few, many = (memory.step(training, 0, n, 0) for n in (0, events))
    assert 1e6 * asked["train"]["mem_mb"] > 1e9 * bench["memory_peak_gb_3700k"] + many - few
    hours = training.max_epochs * events * bench["train_us_per_event_3700k"] / 3.6e9
    assert asked["train"]["runtime"] > 2 * 60 * hours
