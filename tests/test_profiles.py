"""A study's steps on a cluster: planned with the profile for Slurm, nothing submitted."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def test_every_step_says_how_much_memory_and_time_it_needs():
    rules = re.split(r"^ *rule (?=\w+:$)", (ROOT / "Snakefile").read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    needs = {text.split(":")[0]: re.findall(r"^ +(mem_mb=room|runtime=)", text, re.MULTILINE) for text in rules}
    assert needs.pop("all") == []
    assert {"train", "results", "publish"} < needs.keys()
    assert {name for name, said in needs.items() if said != ["mem_mb=room", "runtime="]} == set()


@pytest.mark.slow
def test_the_profile_for_slurm_takes_the_place_of_the_local_one(tmp_path):
    """As `make reproduce ARGS="--workflow-profile profiles/slurm"` gives it on; a plan needs no Slurm."""
    for part in ("Snakefile", "config", "gru4rec_lib", "notebooks", "profiles", "reports"):
        (tmp_path / part).symlink_to(ROOT / part)
    command = [sys.executable, "-m", "snakemake", "--dry-run", "--workflow-profile", "profiles/local"]
    command += ["--workflow-profile", "profiles/slurm", "--config", "study=toy"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert "profile profiles/slurm" in said
    assert re.search(r"^train +12$", said, re.MULTILINE)
