"""`.ci/run` with fake commands: what it installs, says and runs."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CHECKS = ["make lint", "make test", "make test-slurm"]
INSTALLED = ("chromium", "munged", "slurmctld", "slurmd", "srun")
INSTALLS = [
    "apt-get update -qq",
    "apt-get install -y -qq --no-install-recommends chromium",
    "apt-get update -qq",
    "apt-get install -y -qq --no-install-recommends slurm-wlm munge",
]
SKIPPED = """\
chromium cannot be installed here (that takes root and apt), so tests/project/test_browser.py is skipped.
slurm-wlm munge cannot be installed here (that takes root and apt), so tests/project/test_slurm.py is skipped.
"""


@pytest.fixture
def run(tmp_path):
    """Return a function that runs `.ci/run` and returns the calls of apt-get and make, and what it says."""

    def run_with(user="0", apt="exit 0", installed=()):
        commands = tmp_path / "bin"
        commands.mkdir()
        for name in ("bash", "dirname"):
            (commands / name).symlink_to(shutil.which(name))
        record = 'echo "${0##*/} $*" >> "$CALLS"'
        scripts = {"id": f"echo {user}", "make": record, **dict.fromkeys(installed, "")}
        for name, script in (scripts | ({"apt-get": f"{record}\n{apt}"} if apt else {})).items():
            (commands / name).write_text(f"#!{shutil.which('bash')}\n{script}\n")
            (commands / name).chmod(0o755)
        script = tmp_path / ".ci" / "run"
        script.parent.mkdir()
        script.write_text((ROOT / ".ci" / "run").read_text().replace("/usr/sbin", str(tmp_path / "none")))
        environment = os.environ | {"PATH": str(commands), "CALLS": str(tmp_path / "calls")}
        done = subprocess.run(
            [shutil.which("bash"), script], env=environment, capture_output=True, text=True, check=True
        )
        return (tmp_path / "calls").read_text().splitlines(), done.stderr

    return run_with


def test_a_browser_and_slurm_are_installed_and_their_tests_run(run):
    assert run() == ([*INSTALLS, *CHECKS], "")


def test_nothing_is_installed_that_is_there(run):
    assert run(installed=INSTALLED) == (CHECKS, "")


def test_slurm_is_installed_where_one_of_its_daemons_is_missing(run):
    assert run(installed=INSTALLED[:-2]) == (INSTALLS[2:] + CHECKS, "")


@pytest.mark.parametrize("machine", [{"user": "1000"}, {"apt": None}], ids=["no root", "no apt"])
def test_the_checks_run_where_nothing_can_be_installed(run, machine):
    assert run(**machine) == (CHECKS, SKIPPED)


def test_the_checks_run_where_packages_are_not_found(run):
    calls, said = run(apt='[ "$1" = update ]')
    assert (calls, said) == ([*INSTALLS, *CHECKS], SKIPPED)
