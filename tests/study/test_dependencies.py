"""A changed library file re-runs the notebooks that read it, and no others."""

import re
from functools import cache
from pathlib import Path

import nbformat
import pytest

from gru4rec_lib.study.workflow import dependencies

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"
MODULES = {
    "a": "from gru4rec_lib import b\n",
    "b": "def f():\n    from gru4rec_lib.c import g, h\n",
    "c": "import json\nimport numpy.linalg\nSTYLE = 'look.mplstyle'\n",
    "d": "from gru4rec_lib import b\nFACTS = 'facts.json'\n",
    "e": "import gru4rec_lib.d as d\nfrom gru4rec_lib import a\n",
    "round_1": "from gru4rec_lib import round_2\n",
    "round_2": "from gru4rec_lib import round_1\n",
    "demo": "from gru4rec_lib import e\n",
    "rooms/__init__": "from gru4rec_lib.rooms.small import chair\n",
    "rooms/small": "from gru4rec_lib import c\n",
    "rooms/large": "from gru4rec_lib.rooms import small\n",
}


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Return the files of a small package that a notebook with one cell of this source reads."""
    monkeypatch.setattr(dependencies, "PACKAGE", tmp_path)
    monkeypatch.setattr(dependencies, "NOT_IN_THE_GRAPH", {"demo.py"})
    for name, source in MODULES.items():
        (tmp_path / f"{name}.py").parent.mkdir(exist_ok=True)
        (tmp_path / f"{name}.py").write_text(source)
    for name in ("look.mplstyle", "facts.json", "alone.json"):
        (tmp_path / name).touch()

    def files(source):
        new = nbformat.v4
        cells = [new.new_markdown_cell("from gru4rec_lib import e"), new.new_code_cell(source)]
        nbformat.write(new.new_notebook(cells=cells), tmp_path / "n.ipynb")
        return [path.relative_to(tmp_path).as_posix() for path in dependencies.library_files(tmp_path / "n.ipynb")]

    return files


@pytest.mark.parametrize(
    ("source", "read"),
    [
        ("import json", []),
        ("from gru4rec_lib import c", ["c.py", "look.mplstyle"]),
        ("from gru4rec_lib.c import g", ["c.py", "look.mplstyle"]),
        ("import gru4rec_lib.c", ["c.py", "look.mplstyle"]),
        ("if True:\n    from gru4rec_lib import a", ["a.py", "b.py", "c.py", "look.mplstyle"]),
        ("from gru4rec_lib import d", ["b.py", "c.py", "d.py", "facts.json", "look.mplstyle"]),
        ("from gru4rec_lib import e", ["a.py", "b.py", "c.py", "d.py", "e.py", "facts.json", "look.mplstyle"]),
        ("from gru4rec_lib import round_1", ["round_1.py", "round_2.py"]),
        ("from gru4rec_lib import demo", []),
        ("from gru4rec_lib.demo import need_raw", []),
        ("from gru4rec_lib.rooms import chair", ["c.py", "look.mplstyle", "rooms/__init__.py", "rooms/small.py"]),
        (
            "from gru4rec_lib.rooms.large import table",
            ["c.py", "look.mplstyle", "rooms/__init__.py", "rooms/large.py", "rooms/small.py"],
        ),
    ],
)
def test_all_imported_files_are_found(files, source, read):
    assert files(source) == read


def test_a_module_reads_what_it_imports(files, tmp_path):
    assert [path.name for path in dependencies.library_files(tmp_path / "b.py")] == ["c.py", "look.mplstyle"]


def test_a_missing_module_is_an_error(files):
    with pytest.raises(FileNotFoundError, match=r"misspelt\.py"):
        files("from gru4rec_lib import misspelt")


def called(notebook):
    """Return the number of a notebook; for 04, which two notebooks have, the whole name."""
    return notebook.stem if notebook.name.startswith("04") else notebook.name[:2]


@cache
def read_by_notebooks():
    return {called(p): [f.as_posix() for f in dependencies.library_files(p)] for p in NOTEBOOKS.glob("*.ipynb")}


def notebooks_that_read(name):
    """Return the notebooks (see `called`) that read a file with this name or partial path."""
    return {number for number, files in read_by_notebooks().items() if any(f.endswith(f"/{name}") for f in files)}


def test_only_the_notebooks_that_draw_depend_on_the_figures():
    drawing = {called(path) for path in NOTEBOOKS.glob("*.ipynb") if re.search(r"figures\.\w+\(", path.read_text())}
    assert drawing >= {"01", "05"}
    assert not drawing & {"02", "03", "04_baselines"}
    for name in ("figures.py", "style.py", "style.mplstyle"):
        assert notebooks_that_read(name) == drawing


def test_training_depends_on_the_model_and_on_no_later_step():
    core = {"01", "02", "03", "04_baselines", "04_blends", "05"}
    for name in ("gru4rec.py", "losses.py", "inputs.py", "optimizers.py", "network.py"):
        # A blend has a network, and 05 permutes the features of one.
        assert notebooks_that_read(name) & core == {"03", "04_blends", "05"}
    for name in ("blend.py", "parts.py", "weights.py", "session_weights.py", "learn.py"):
        assert notebooks_that_read(f"blending/{name}") & core == {"04_blends"}
    # Every training depends on the files that 02 reads.
    assert notebooks_that_read("study/tables.py") & core == {"04_blends", "05"}
    assert notebooks_that_read("study/publish.py") == set()
    assert notebooks_that_read("prepare.py") >= {"02", "03", "04_baselines"}
    assert notebooks_that_read("config/study.py") >= core


def test_only_notebooks_that_fit_a_baseline_depend_on_what_it_computes():
    for name in ("base.py", "session_knn.py", "popularity.py", "context_tree.py", "__init__.py"):
        fitting = notebooks_that_read(f"baselines/{name}")
        assert fitting >= {"04_baselines", "04_blends"}
        assert not fitting & {"00", "01", "02", "03", "06"}


def test_a_module_that_only_checks_settings_does_not_read_what_they_are_of(files, tmp_path, monkeypatch):
    monkeypatch.setattr(dependencies, "CHECKED_ALONE", {"b.py": "c"})
    assert files("from gru4rec_lib import b") == ["b.py"]
    assert files("from gru4rec_lib import b, c") == ["b.py", "c.py", "look.mplstyle"]


def test_no_notebook_depends_on_ensure_or_on_the_simulation():
    assert notebooks_that_read("ensure.py") == set()
    assert notebooks_that_read("simulate.py") & {"01", "02", "03", "04_baselines", "04_blends", "05"} == set()
