"""Versions, dependencies, lock and targets agree wherever they occur; no package registry is named."""

import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
PYTHONS = ("3.11", "3.12", "3.13")
NOT_OURS = {
    ".git",
    ".venv",
    ".venv-peers",
    ".snakemake",
    "runs",
    "raw",
    "prepared",
    "__pycache__",
    ".ipynb_checkpoints",
}
# Joined from parts, so that this file does not name them itself.
REGISTRIES = re.compile(
    "|".join(["py" + r"pi\.org", "python" + "hosted", r"ana" + r"conda\.(org|com)", "index" + "-url"])
)


def project():
    """The table `project` of pyproject.toml."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def dependencies():
    """Return every requirement of pyproject.toml, including those of the extras."""
    table = project()
    return [
        Requirement(line) for part in (table["dependencies"], *table["optional-dependencies"].values()) for line in part
    ]


def locked(text):
    """Return the requirements of a lock, each with the number of its hashes."""
    lines = [line for line in text.replace("\\\n", " ").splitlines() if line.strip() and not line.startswith("#")]
    return [
        (Requirement(line.split("--hash=")[0]), len(re.findall(r"--hash=sha256:[0-9a-f]{64}\b", line)))
        for line in lines
    ]


def pins(lock, name, python):
    """Return the lines of a lock for a package, one Python and Linux."""
    machine = {"sys_platform": "linux", "platform_system": "Linux", "platform_machine": "x86_64", "os_name": "posix"}
    machine |= {"python_version": python, "python_full_version": f"{python}.0", "implementation_name": "cpython"}
    return [
        (requirement, hashes)
        for requirement, hashes in lock
        if canonicalize_name(requirement.name) == canonicalize_name(name)
        and (requirement.marker is None or requirement.marker.evaluate(machine))
    ]


def test_every_dependency_is_locked_once_for_each_python_with_hashes():
    lock = locked((ROOT / "requirements.lock").read_text(encoding="utf-8"))
    assert all(hashes > 0 for _, hashes in lock)
    assert all([s.operator for s in requirement.specifier] == ["=="] for requirement, _ in lock)
    for wanted in dependencies():
        for python in PYTHONS:
            found = pins(lock, wanted.name, python)
            assert len(found) == 1, f"{wanted} on Python {python}: {found}"
            version = next(iter(found[0][0].specifier)).version
            assert wanted.specifier.contains(version), f"{wanted} on Python {python}: {version} is locked"


def test_reading_the_lock_detects_errors():
    digest = "0" * 64
    lock = locked(
        f"# by a tool\na==1 ; python_version < '3.12' \\\n    --hash=sha256:{digest} \\\n    --hash=sha256:{digest}\n"
        "a==2 ; python_version >= '3.12'\n"
    )
    assert [(str(r.specifier), hashes) for r, hashes in lock] == [("==1", 2), ("==2", 0)]
    assert [str(r.specifier) for r, _ in pins(lock, "A", "3.11")] == ["==1"]
    assert [str(r.specifier) for r, _ in pins(lock, "a", "3.13")] == ["==2"]
    assert pins(lock, "b", "3.11") == []


def test_conda_users_get_the_same_lock_and_nothing_else():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    python, pip, by_pip = environment["dependencies"]
    assert Requirement(python).name == "python"
    assert Requirement(python).specifier == Requirement(f"python{project()['requires-python']}").specifier
    assert pip == "pip"
    assert by_pip == {"pip": ["-r requirements.lock"]}
    assert (ROOT / "requirements.lock").is_file()


def test_the_pythons_are_the_same_everywhere():
    allowed = Requirement(f"python{project()['requires-python']}").specifier
    assert [f"3.{minor}" for minor in range(9, 20) if allowed.contains(f"3.{minor}.0")] == list(PYTHONS)
    assert "(3, 11) <= sys.version_info[:2] <= (3, 13)" in (ROOT / "Makefile").read_text(encoding="utf-8")


def test_versions_and_licence_agree():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["cff-version"] == "1.2.0"
    assert citation["version"] == project()["version"]
    assert citation["license"] == project()["license"] == "MIT"
    assert citation["message"]
    assert citation["title"]
    assert citation["authors"]
    licence = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert licence.startswith("MIT License")
    assert citation["authors"][0]["name"] in licence


def own_files():
    """Yield every file of the project, without installed and computed files and those of tools."""
    for folder, folders, files in os.walk(ROOT):
        folders[:] = [name for name in folders if name not in NOT_OURS and not name.endswith("cache")]
        yield from (Path(folder, name) for name in files)


def test_no_index_and_no_registry_is_named():
    texts = {path.relative_to(ROOT): path.read_bytes().decode("utf-8", errors="ignore") for path in own_files()}
    assert Path("Makefile") in texts
    assert [f"{path}: {found.group()}" for path, text in texts.items() for found in REGISTRIES.finditer(text)] == []


def test_a_named_registry_is_detected():
    assert REGISTRIES.search("--extra-index" + "-url https://example.org")
    assert REGISTRIES.search("https://files.python" + "hosted.org/packages")
    assert not REGISTRIES.search("--index-file=x, a pip of an apple")


@pytest.fixture
def _no_outer_make(monkeypatch):
    """Remove the variables that an outer make, which may run these tests, passes to inner ones."""
    for name in ("MAKEFLAGS", "MAKELEVEL", "ARGS"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.usefixtures("_no_outer_make")
@pytest.mark.parametrize(
    "target", ["reproduce", "test", "test-fast", "lab", "lint", "docs", "lock", "format", ".venv", "clean-venv"]
)
def test_make_lists_its_targets(target):
    said = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert re.search(rf"^make {re.escape(target)} +\S", said, re.MULTILINE)
    dry = subprocess.run(["make", "--dry-run", target], cwd=ROOT, capture_output=True, text=True, check=False)
    assert dry.returncode == 0, dry.stderr


@pytest.mark.usefixtures("_no_outer_make")
@pytest.mark.parametrize("version", ["3.10.4", "3.14.0"])
def test_make_reports_which_python_it_needs_and_two_commands_that_help(tmp_path, version):
    """The second command is run with a `uv` that finds a Python: make gets its path, and no longer reports."""
    for name in ("requirements.lock", "pyproject.toml"):
        (tmp_path / name).touch()
    is_needed = "(3, 11) <= sys.version_info[:2] <= (3, 13)"
    fake = {
        "python3": f'[ "$1" = --version ] && echo Python {version}\n[ "$1" = --version ]\n',
        "found": f'case "$2" in *"{is_needed}"*) exit;; esac\necho "$@" >> calls; exit 7\n',
        "uv": f'[ "$*" = "python find --system 3.13" ] && echo {tmp_path / "found"}\n',
    }
    for name, script in fake.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}")
        (tmp_path / name).chmod(0o755)
    # The other Pythons of this machine are named like those that make looks for.
    path = {"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    options = {"cwd": tmp_path, "env": os.environ | path, "capture_output": True, "text": True, "check": False}
    said = subprocess.run(["make", "-f", ROOT / "Makefile", ".venv", "PYTHON=python3"], **options)
    assert said.returncode != 0
    assert said.stderr.splitlines()[:3] == [
        f"This project needs Python 3.11, 3.12 or 3.13; found: Python {version}. "
        "Install one and give make its path, for example with uv (https://docs.astral.sh/uv):",
        "  uv python install 3.13",
        '  make PYTHON="$(uv python find --system 3.13)" .venv',
    ]
    assert not (tmp_path / ".venv").exists()
    shutil.copyfile(ROOT / "Makefile", tmp_path / "Makefile")
    again = subprocess.run(said.stderr.splitlines()[2], shell=True, **options)
    assert "This project needs" not in again.stderr
    assert (tmp_path / "calls").read_text().startswith("-c import fcntl")


def test_ci_runs_lint_and_all_tests():
    script = ROOT / ".ci" / "run"
    assert script.stat().st_mode & 0o111
    assert script.read_text(encoding="utf-8").splitlines()[-3:] == ["make lint", "make test", "make test-slurm"]
