"""Copies ignore outputs, counts and metadata; `make lab` does not change `notebooks/`."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from gru4rec_lib import __main__, cli
from gru4rec_lib.study.notebook_copies import cells_alone

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = ROOT / "notebooks"
NAME = "03_train_gru4rec.ipynb"


def change(path, change):
    notebook = nbformat.read(path, as_version=4)
    change(notebook)
    nbformat.write(notebook, path)


def run_and_save(notebook):
    """Change a notebook as JupyterLab with another environment does when all cells run and it is saved."""
    new = nbformat.v4
    for number, cell in enumerate(notebook.cells):
        cell.id = f"{number:08x}"
        if cell.cell_type == "code":
            cell.update(execution_count=number, outputs=[new.new_output("stream", text="shown\n")])
            cell.metadata |= {"trusted": True, "execution": {"iopub.status.busy": "now"}, "scrolled": True}
    notebook.cells.append(new.new_code_cell(""))
    notebook.metadata["kernelspec"] = {"name": "mine", "language": "python", "display_name": "mine"}
    notebook.metadata["language_info"] = {"name": "python", "version": "3.13.1"}
    notebook.metadata["toc"] = {"base_numbering": 1}


def edit(notebook):
    notebook.cells[-1].source += "\n# edited"


@pytest.fixture
def notebooks(tmp_path):
    return Path(shutil.copytree(NOTEBOOKS, tmp_path / "notebooks", ignore=shutil.ignore_patterns(".ipynb_checkpoints")))


@pytest.mark.parametrize("path", sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda path: path.stem)
def test_a_copy_has_the_cells_and_tags(path, tmp_path):
    copy = nbformat.read(cells_alone(path, tmp_path / "copies"), as_version=4)
    nbformat.validate(copy)
    read = nbformat.read(path, as_version=4)
    assert [(c.cell_type, c.source, c.metadata) for c in copy.cells] == [
        (c.cell_type, c.source, c.metadata) for c in read.cells
    ]
    assert copy.metadata == read.metadata


def test_outputs_and_metadata_change_no_copy(notebooks, tmp_path):
    copy = cells_alone(notebooks / NAME, tmp_path)
    text, written = copy.read_bytes(), copy.stat().st_mtime_ns
    change(notebooks / NAME, run_and_save)
    assert cells_alone(notebooks / NAME, tmp_path) == copy
    assert (copy.read_bytes(), copy.stat().st_mtime_ns) == (text, written)


@pytest.mark.parametrize(
    "spoil",
    [
        edit,
        lambda notebook: notebook.cells[0].update(source="# Another title?"),
        lambda notebook: notebook.cells[2].metadata.pop("tags"),
        lambda notebook: notebook.cells.insert(2, notebook.cells.pop()),
        lambda notebook: notebook.cells.pop(),
    ],
)
def test_a_change_of_the_cells_changes_the_copy(notebooks, tmp_path, spoil):
    before = cells_alone(notebooks / NAME, tmp_path).read_bytes()
    change(notebooks / NAME, spoil)
    assert cells_alone(notebooks / NAME, tmp_path).read_bytes() != before


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"cells": 1}'])
def test_a_file_that_is_not_a_notebook_is_one_sentence(tmp_path, text):
    (tmp_path / NAME).write_text(text)
    with pytest.raises(ValueError, match=f"^{tmp_path}/{NAME}: is not a notebook; restore or delete the file$"):
        cells_alone(tmp_path / NAME, tmp_path / "copies")


# make lab


@pytest.fixture
def lab(notebooks, tmp_path, monkeypatch, capsys):
    """Run `python -m gru4rec_lib lab` in a project and return its output."""
    monkeypatch.setattr(cli, "ROOT", tmp_path)

    def lab():
        assert __main__.main(["lab"]) == 0
        return capsys.readouterr().out

    return lab


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


# In a separate process: the manager changes how the whole process writes its log.
SAVE = """
import sys
from jupyter_server.services.contents.largefilemanager import LargeFileManager
from test_notebook_copies import run_and_save

manager = LargeFileManager(root_dir=sys.argv[1])
model = manager.get(sys.argv[2])
run_and_save(model["content"])
manager.save(model, sys.argv[2])
"""


def test_a_copy_saved_in_the_lab_keeps_its_outputs_and_its_notebook(lab, notebooks, tmp_path):
    """Saved by JupyterLab's own contents manager."""
    before = contents(notebooks)
    assert lab() == ""
    assert set(contents(tmp_path / "runs" / "lab")) == set(before)
    assert "START.md" in before
    environment = os.environ | {
        "PYTHONPATH": f"{ROOT}:{ROOT / 'tests' / 'study'}",
        "JUPYTER_DATA_DIR": str(tmp_path / "jupyter"),
    }
    subprocess.run([sys.executable, "-c", SAVE, tmp_path / "runs" / "lab", NAME], env=environment, check=True)
    assert lab() == ""
    assert contents(notebooks) == before
    saved = nbformat.read(tmp_path / "runs" / "lab" / NAME, as_version=4)
    assert saved.cells[1].outputs[0].text == "shown\n"


def test_an_edited_copy_is_kept_and_an_unedited_one_is_replaced(lab, notebooks, tmp_path):
    lab()
    mine, other = (tmp_path / "runs" / "lab" / name for name in (NAME, "04_baselines.ipynb"))
    change(mine, edit)
    change(other, run_and_save)
    edited = mine.read_bytes()
    assert lab() == "", "the notebook is as it was"
    for path in (notebooks / NAME, notebooks / other.name):
        change(path, lambda notebook: notebook.cells[0].update(source="# Is this new?"))
    told = f"{mine}: keeps your edits; {notebooks / NAME} has changed: delete the copy to get the new one\n"
    assert lab() == told
    assert mine.read_bytes() == edited
    assert nbformat.read(other, as_version=4).cells[0].source == "# Is this new?"
    mine.unlink()
    assert lab() == ""
    assert nbformat.read(mine, as_version=4).cells[0].source == "# Is this new?"


def test_make_lab_opens_the_copies():
    command = subprocess.run(
        ["make", "-n", "-o", ".venv/.installed", "lab"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert command.index("-m gru4rec_lib lab") < command.index(f'--notebook-dir="{ROOT}/runs/lab"')
    assert "--LabApp.default_url=/lab/tree/START.md" in command


def test_the_lab_shows_the_figures_and_reports_of_the_project(lab, tmp_path):
    (tmp_path / "figures").mkdir()
    folder = tmp_path / "runs" / "lab"
    lab()
    (tmp_path / "figures" / "later.svg").write_text("drawn later")
    assert (folder / "figures" / "later.svg").read_text() == "drawn later"
    assert (folder / "reports").resolve() == tmp_path / "reports"
    (folder / "reports").unlink()
    (folder / "reports").mkdir()
    (folder / "reports" / "mine.txt").write_text("kept")
    assert lab() == ""
    assert (folder / "reports" / "mine.txt").read_text() == "kept"
    moved = tmp_path.rename(tmp_path.with_name("elsewhere"))
    assert (moved / "runs" / "lab" / "figures" / "later.svg").exists(), "the links are relative"


def test_the_first_page_names_every_notebook_once_and_no_other():
    linked = re.findall(r"^\| \[(\w+)\]\(\1\.ipynb\)", (NOTEBOOKS / "START.md").read_text(), re.MULTILINE)
    assert linked == sorted(path.stem for path in NOTEBOOKS.glob("*.ipynb"))


SETTINGS = """
import json, sys
from jupyterlab_server.settings_utils import get_settings

for name in sys.argv[2:]:
    found, _ = get_settings("", sys.argv[1], "", f"@jupyterlab/{name}")
    print(json.dumps({key: value["default"] for key, value in found["schema"]["properties"].items()}))
"""


def test_jupyterlab_reads_our_defaults_with_the_environment_of_make(tmp_path):
    """JupyterLab's own function returns the settings for which the browser asks."""
    recipe = subprocess.run(
        ["make", "-n", "-o", ".venv/.installed", "lab"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    (path,) = re.findall(r'JUPYTER_CONFIG_PATH="([^"$]+)\$', recipe)
    schemas = Path(sys.prefix) / "share" / "jupyter" / "lab" / "schemas"
    names = ["apputils-extension:notification", "docmanager-extension:plugin"]
    environment = os.environ | {"JUPYTER_CONFIG_DIR": str(tmp_path)}
    command = [sys.executable, "-c", SETTINGS, schemas, *names]
    ours, theirs = (
        [json.loads(line) for line in subprocess.check_output(command, env=environment | given, text=True).splitlines()]
        for given in ({"JUPYTER_CONFIG_PATH": path}, {"JUPYTER_CONFIG_PATH": str(tmp_path)})
    )
    assert (ours[0]["fetchNews"], ours[0]["checkForUpdates"]) == ("false", False)
    assert ours[1]["defaultViewers"] == {"markdown": "Markdown Preview"}
    assert theirs[0]["fetchNews"] == "none", "by default a message asks whether to fetch news"
