"""The Dockerfile: nothing is built here; what it copies, installs and starts is checked against the project."""

import json
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "profiles" / "container"
LINES = re.sub(r"\\\n", "", (FOLDER / "Dockerfile").read_text(encoding="utf-8")).splitlines()
STEPS = [tuple(line.split(maxsplit=1)) for line in LINES if line and not line.startswith("#")]
COPIED = [[word for word in text.split() if not word.startswith("--")] for name, text in STEPS if name == "COPY"]


def test_its_python_is_one_that_the_project_supports():
    (image,) = [text for name, text in STEPS if name == "FROM"]
    version = re.fullmatch(r"python:(\d+\.\d+)-slim-[a-z]+", image)[1]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert SpecifierSet(project["requires-python"]).contains(version)


def test_it_copies_files_that_git_has_and_sends_no_others_to_docker():
    sources = [source for *sources, _ in COPIED for source in sources]
    known = subprocess.run(["git", "ls-files", "--", *sources], cwd=ROOT, capture_output=True, text=True, check=False)
    if known.returncode:
        pytest.skip("no git repository")
    known = known.stdout.splitlines()
    assert [source for source in sources if not any(f"{path}/".startswith(f"{source}/") for path in known)] == []
    ignored = (FOLDER / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    rules = [line for line in ignored if not line.startswith("#")]
    assert rules[0] == "*"
    sent = {rule[1:] for rule in rules if rule.startswith("!")}
    assert sent == {"gru4rec_lib" if source.startswith("gru4rec_lib/") else source for source in sources}


@pytest.mark.parametrize("until", ["make .venv", None], ids=["packages", "study"])
def test_make_has_the_files_that_it_needs_when_it_runs(tmp_path, monkeypatch, until):
    """The files that are copied before the packages are installed are enough for that; all of them for the study."""
    for name in ("MAKEFLAGS", "MAKELEVEL"):
        monkeypatch.delenv(name, raising=False)
    steps = STEPS[: STEPS.index(("RUN", until))] if until else STEPS
    for *sources, target in COPIED[: sum(name == "COPY" for name, _ in steps)]:
        for source in map(ROOT.joinpath, sources):
            if source.is_dir():
                shutil.copytree(source, tmp_path / target, dirs_exist_ok=True)
            else:
                (tmp_path / target).mkdir(exist_ok=True)
                shutil.copy(source, tmp_path / target)
    command = ["make", "--dry-run", ".venv"] if until else ["make", "--dry-run", "reproduce", "STUDY=toy"]
    planned = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert "--require-hashes -r requirements.lock" in planned
    assert (tmp_path / "gru4rec_lib" / "__init__.py").exists(), "the project is installed from there"
    assert (tmp_path / "Snakefile").exists() == (until is None)


def test_packages_come_from_the_lock_alone():
    commands = [text for name, text in STEPS if name == "RUN"]
    assert commands[-1] == "make .venv"
    assert not [command for command in commands if re.search(r"\bpip\b|\buv\b|curl|wget", command)]


def test_it_installs_and_runs_without_root():
    names = [name for name, _ in STEPS]
    (user,) = [text for name, text in STEPS if name == "USER"]
    assert all(int(number) > 0 for number in user.split(":"))
    assert names.index("USER") < STEPS.index(("RUN", "make .venv")) < names.index("CMD")
    assert all(f"--chown={user} " in text for name, text in STEPS if name == "COPY")
    assert json.loads(STEPS[-1][1]) == ["make", "reproduce", "STUDY=toy"]
