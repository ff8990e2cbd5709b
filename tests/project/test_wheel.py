"""The library alone: its wheel, outside the repository, without the packages of the notebooks."""

import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]
BUILD = "import sys; from flit_core.buildapi import build_wheel; print(build_wheel(sys.argv[1]))"
# Modules to block for packages whose module has another name, or that are dependencies of the extras.
MODULES = {"jupyterlab": "jupyterlab jupyter_core notebook", "ipykernel": "ipykernel IPython", "flit_core": "flit_core"}
OUTSIDE = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in BLOCKED:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Absent())
sys.path.insert(0, WHEEL)
import gru4rec_lib
assert gru4rec_lib.__file__.startswith(WHEEL), gru4rec_lib.__file__
"""

# The second block continues the first; the others are independent.
EXAMPLES = """
import warnings
warnings.simplefilter("error")
warnings.filterwarnings("ignore", "__array__ implementation", DeprecationWarning)  # as for the tests
first, with_features, *others = (compile(block, "library.md", "exec") for block in blocks)
exec(first, scope := {})
assert scope["recommender"].recommend(["wake", "walk"], k=1)["item"].tolist() == ["work"], "as in its sessions"
print("---------")
exec(with_features, scope)
for block in others:
    exec(block, {})
assert scope["hybrid"].recommend(["work", "rest"], k=2)["item"].tolist() == ["sleep", "nap"]
"""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dist")
    done = subprocess.run(
        [sys.executable, "-c", BUILD, str(folder)], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    return folder / done.stdout.split()[-1]


def blocked():
    """List the modules of the extras' packages, which the library must not need."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    names = {Requirement(line).name for name in ("study", "serve", "dev") for line in extras[name]}
    return {module for name in names for module in MODULES.get(name, name.replace("-", "_")).split()}


def run_outside(wheel, folder, program):
    """Run Python with the unpacked wheel alone, in another folder, without the packages of the extras."""
    with zipfile.ZipFile(wheel) as parts:
        parts.extractall(folder / "site")
    (folder / "elsewhere").mkdir()
    frame = OUTSIDE.replace("BLOCKED", repr(blocked())).replace("WHEEL", repr(str(folder / "site")))
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(
        [sys.executable, "-c", frame + program],
        cwd=folder / "elsewhere",
        env=environment,
        capture_output=True,
        text=True,
        timeout=250,
    )


def test_the_wheel_contains_only_the_library_and_its_data(wheel):
    with zipfile.ZipFile(wheel) as parts:
        names = set(parts.namelist())
    files = (ROOT / "gru4rec_lib").rglob("*")
    library = {path.relative_to(ROOT).as_posix() for path in files if path.is_file() and path.suffix != ".pyc"}
    assert {
        "gru4rec_lib/twin/mssd_facts.json",
        "gru4rec_lib/plotting/style.mplstyle",
        "gru4rec_lib/serving/recommender.py",
    } <= library
    assert {name for name in names if ".dist-info/" not in name} == library
    record = {name.partition(".dist-info/")[2] for name in names - library}
    assert record == {"METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE"}


def test_the_examples_run_outside_the_repository_without_the_packages_of_the_notebooks(wheel, tmp_path):
    page = (ROOT / "docs" / "library.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    code = [line for line in blocks[0].splitlines() if line and not line.startswith(("import ", "from "))]
    assert len(code) <= 10
    done = run_outside(wheel, tmp_path, f"blocks = {blocks!r}\n{EXAMPLES}")
    assert done.returncode == 0, done.stderr
    printed = done.stdout.split(f"{'-' * 9}\n")
    assert "epoch 5/5" in printed[0]
    assert re.search(r"^0 +work +[\d.]+ +model$", printed[0], re.MULTILINE)
    assert "recall_at_1" in printed[1]
    made = {path.name for path in (tmp_path / "elsewhere" / "my_model").iterdir()}
    assert made == {"model.keras", "items.parquet", "config.json"}


def test_blocked_packages_are_absent(wheel, tmp_path):
    assert {"matplotlib", "papermill", "snakemake", "jupyterlab", "fastapi", "pytest"} <= blocked()
    done = run_outside(wheel, tmp_path, "import gru4rec_lib.plotting.figures")
    assert done.returncode == 1
    assert "No module named 'matplotlib'" in done.stderr
