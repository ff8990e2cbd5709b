"""Tests that take minutes, `make test-long`: kills at random moments, parallel runs, repeated runs, submitted jobs.

The toy study with two cells, in copies of the project; each ends in the bytes of an undisturbed run: arrays, weights,
ranks, lists, tables, figures. Left out is what tells times: manifest.json, published.json, inputs.json, config.json,
audit_measured.csv, table and figure time_to_quality, the column `seconds` of histories, the paper (paper.pdf and
paper.html), and the executed notebooks with their pages. Raw logs are not compared themselves; arrays are made of them.
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from project_copy import copy_of_the_project, differing, products, reproduce

from gru4rec_lib.study.workspace import Workspace

pytestmark = [pytest.mark.long, pytest.mark.slow, pytest.mark.timeout(3600)]
ROOT = Path(__file__).resolve().parents[2]
KILLS, ROUNDS, SEED = 20, 4, 2018


def start(root, *arguments):
    """Start `reproduce` as `make` does, in a separate process group."""
    environment = os.environ | {"PYTHONPATH": str(root), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    command = [sys.executable, "-m", "gru4rec_lib", "reproduce", "--study", "toy", *arguments]
    return subprocess.Popen(
        command, cwd=root, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        start_new_session=True,
    )  # fmt: skip


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The products of an undisturbed run, and the seconds that it took."""
    root = copy_of_the_project(tmp_path_factory.mktemp("undisturbed"))
    began = time.monotonic()
    reproduce(root)
    found = products(root)
    assert len(Workspace("toy", root=root).study.runs) == 2
    assert sum(name.endswith("ranks.parquet") for name in found) == 2 + 2
    assert any("model.keras" in name for name in found)
    return found, time.monotonic() - began


def test_twenty_kills_at_random_moments_give_the_same_bytes(undisturbed, tmp_path):
    expected, seconds = undisturbed
    moments = np.random.default_rng(SEED).uniform(0, 1, (ROUNDS, KILLS // ROUNDS)) * seconds * ROUNDS / KILLS * 1.5
    rows = []
    for number, waits in enumerate(moments, start=1):
        root = copy_of_the_project(tmp_path / f"round_{number}")
        for wait in waits:
            process = start(root)
            try:
                said, _ = process.communicate(timeout=wait)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                said, _ = process.communicate()
            steps = [line for line in said.splitlines() if " of " in line and "  " in line]
            under_way = steps[-1].split("  ", 2)[-1].strip() if steps else "starting"
            rows.append({"round": number, "killed_after_s": round(wait, 1), "last_step_begun": under_way})
        reproduce(root)
        differ = differing(root, expected)
        for row in rows[-len(waits) :]:
            row["products"], row["products_that_differ"] = len(expected), len(differ)
        assert not differ
    table = pd.DataFrame(rows)
    assert len(table) == KILLS
    table.to_csv(ROOT / "reports" / "kills.csv", index=False)


def test_two_runs_at_once_end_in_the_same_bytes(undisturbed, tmp_path):
    root = copy_of_the_project(tmp_path)
    both = [start(root), start(root)]
    said = [process.communicate()[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert differing(root, undisturbed[0]) == []


def test_a_study_twice_gives_the_same_bytes(undisturbed, tmp_path):
    root = copy_of_the_project(tmp_path)
    reproduce(root)
    assert differing(root, undisturbed[0]) == []


def test_jobs_of_an_executor_give_the_same_bytes(undisturbed, tmp_path):
    """Each step is a separate job that a command submits, as on a cluster, but on this machine."""
    root = copy_of_the_project(tmp_path)
    submit = root / "submit.sh"
    submit.write_text('#!/bin/sh\necho "$1" >> submitted\nsh "$1" > /dev/null 2>&1 &\necho $!\n')
    submit.chmod(0o755)
    arguments = ["--executor", "cluster-generic", "--cluster-generic-submit-cmd", str(submit), "--jobs", "2"]
    reproduce(root, "--", *arguments)
    steps = (root / "submitted").read_text().splitlines()
    assert len(steps) >= 10
    assert differing(root, undisturbed[0]) == []
