"""A notebook's parameters are validated, also those from papermill, and its provenance is recorded."""

import contextlib
import json
import re
import shutil
import subprocess
from pathlib import Path

import nbformat
import pandas as pd
import pytest
from papermill.cli import papermill

from gru4rec_lib.config.study import ConfigError, load_study
from gru4rec_lib.study import notebook
from gru4rec_lib.study.workspace import Workspace

STUDY = """
title: hand-made
data: {layout: mssd, name: twin}
split: {how: by_session, test_fraction: 0.2}
training: {samples: 5, learning_rate: 0.1}
models:
  - {input_form: [embedding], loss: [bpr]}
  - {input_form: [embedding], loss: [bpr], tag: wide, settings: {hidden_units: 300}}
"""
CELL = {"study": "toy", "input_form": "embedding", "loss": "bpr", "seed": 1}
# papermill adds a cell to the notebook, which the kernel has run.
INJECTED = '# Parameters\nstudy = "toy"\n'
NO_TEXT = "should be a text; put it in quotation marks, or give it by papermill's -r: -p reads 007 as 7"


@pytest.fixture
def study(tmp_path):
    (tmp_path / "made.yaml").write_text(STUDY)
    return load_study("made", tmp_path)


def told(kind, scope):
    with pytest.raises(ConfigError) as caught:
        notebook.parameters(kind, scope)
    return str(caught.value)


def test_only_known_names_of_the_scope_are_parameters():
    given = notebook.parameters(notebook.StudyParameters, {"study": "toy", "place": object(), "In": ["", "x = 1"]})
    assert given == notebook.StudyParameters(study="toy", data="")
    full = CELL | {"learning_rate": 0.5, "batch_size": None, "tag": ""}
    assert notebook.parameters(notebook.TrainingParameters, full).model_dump() == full | {
        "data": "",
        "output_form": "ids",
        "hidden_units": None,
        "max_epochs": None,
    }


def test_an_unknown_injected_name_is_an_error():
    scope = {"study": "toy", "stduy": "x", "In": ["", 'study = "other"', INJECTED + 'stduy = "x"']}
    assert told(notebook.StudyParameters, scope) == (
        "parameters: stduy: no such field; check its spelling or delete it"
    )
    # Not injected: a variable of the notebook.
    scope["In"] = ["", 'stduy = "x"', INJECTED]
    assert notebook.parameters(notebook.StudyParameters, scope).study == "toy"


def test_injected_values_may_be_calls():
    scope = CELL | {"learning_rate": float("inf"), "In": [INJECTED + 'learning_rate = float("inf")']}
    expected = "parameters: learning_rate: Input should be a finite number (given: inf)"
    assert told(notebook.TrainingParameters, scope) == expected


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"seed": "one"}, "seed: Input should be a valid integer, unable to parse string as an integer (given: 'one')"),
        ({"seed": -1}, "seed: Input should be greater than or equal to 0 (given: -1)"),
        ({"study": 3}, f"study: {NO_TEXT} (given: 3)"),
        ({"data": float("nan")}, f"data: {NO_TEXT} (given: nan)"),
        ({"tag": 64128}, f"tag: {NO_TEXT} (given: 64128)"),
        ({"tag": None}, f"tag: {NO_TEXT} (given: None)"),
        (
            {"loss": "hinge"},
            "loss: Input should be 'cross_entropy', 'bpr', 'bpr_max', 'top1' or 'top1_max' (given: 'hinge')",
        ),
    ],
)
def test_a_wrong_value_is_one_sentence(changes, line):
    assert told(notebook.TrainingParameters, CELL | changes) == f"parameters: {line}"


def test_tracks_are_a_list_or_a_text_with_one_a_line():
    for given in (["So What", "b"], "So What\nb"):
        found = notebook.parameters(notebook.ExplorerParameters, {"study": "toy", "tracks": given})
        assert found.tracks == ("So What", "b")
    assert notebook.parameters(notebook.ExplorerParameters, {"study": "toy", "tracks": ""}).tracks == ()


@pytest.mark.parametrize(("given", "said"), [(256, "256"), (1e5, "100000.0"), (None, "None"), (True, "True")])
def test_tracks_that_papermill_read_as_a_number_raise(given, said):
    expected = f"parameters: tracks: {NO_TEXT} (given: {said})"
    assert told(notebook.ExplorerParameters, {"study": "toy", "tracks": given}) == expected
    expected = f"parameters: tracks.1: {NO_TEXT} (given: {said})"
    assert told(notebook.ExplorerParameters, {"study": "toy", "tracks": ["a", given]}) == expected


@pytest.mark.parametrize("path", sorted((Path(__file__).resolve().parents[2] / "notebooks").glob("*.ipynb")))
@pytest.mark.parametrize("text", ["256", "64_128", "0042", "nan", "1e5", "null", "true", "[a]", "#2", "Music: 2024"])
def test_papermill_passes_texts_unchanged(path, text, tmp_path):
    cell = next(cell for cell in nbformat.read(path, 4).cells if "parameters" in cell.metadata.get("tags", []))
    texts = re.findall(r"^(\w+): (?:str|list\[str\])", cell.source, re.MULTILINE)
    assert {"study", "data"} <= {*texts}
    words = [word for name in texts for word in ("-r", name, text)]
    with contextlib.suppress(SystemExit):
        papermill.main([str(path), str(tmp_path / "out.ipynb"), "--prepare-only", *words], standalone_mode=False)
    cells = nbformat.read(tmp_path / "out.ipynb", 4).cells
    injected = next(cell for cell in cells if "injected-parameters" in cell.metadata.get("tags", []))
    scope = {}
    exec(injected.source, scope)
    assert [scope[name] for name in texts] == [text] * len(texts)


def test_examples_pass_texts_by_r():
    root = Path(__file__).resolve().parents[2]
    for page in (root / "README.md", *(root / "docs").glob("*.md")):
        for name, value in re.findall(r" -p (\w+) (\S+)", page.read_text(encoding="utf-8")):
            assert notebook_number(name), f"{page.name}: -p {name} {value}"


def notebook_number(name):
    """Whether a parameter of that name is a number in the notebooks that have it."""
    kinds = (notebook.ExplorerParameters, notebook.TrainingParameters)
    fields = [kind.model_fields[name] for kind in kinds if name in kind.model_fields]
    return fields and all("int" in str(field.annotation) or "float" in str(field.annotation) for field in fields)


def test_tracks_and_a_session_exclude_each_other():
    scope = {"study": "toy", "session": 7, "tracks": ["a"]}
    expected = "parameters: `tracks` stand in place of `session`; give one of the two"
    assert told(notebook.ExplorerParameters, scope) == expected


def test_a_missing_parameter_raises():
    assert told(notebook.StudyParameters, {}) == "parameters: study: is missing"


def test_a_run_without_changes_is_that_of_the_study(study):
    given = notebook.TrainingParameters(**CELL)
    assert given.run(study) == study.runs[0]
    assert notebook.TrainingParameters(**CELL | {"tag": "wide"}).run(study) == study.runs[1]


def test_a_run_with_changes_never_replaces_one_of_the_studys(study):
    run = notebook.TrainingParameters(**CELL, learning_rate=0.5, max_epochs=3).run(study)
    assert (run.tag, run.name) == ("custom", "embedding-bpr-custom-seed1")
    assert (run.training.learning_rate, run.training.max_epochs, run.training.samples) == (0.5, 3, 5)
    wide = notebook.TrainingParameters(**CELL | {"tag": "wide"}, batch_size=8).run(study)
    assert (wide.name, wide.training.hidden_units) == ("embedding-bpr-wide_custom-seed1", (300,))
    assert not {run.name, wide.name} & {own.name for own in study.runs}
    with pytest.raises(ConfigError, match="learning_rate: Input should be greater than 0"):
        notebook.TrainingParameters(**CELL, learning_rate=0).run(study)


def test_the_record_holds_parameters_config_commit_and_versions(monkeypatch, tmp_path):
    monkeypatch.setattr(notebook, "commit", lambda: "0123abc")
    shutil.copytree(Path(__file__).resolve().parents[2] / "config", tmp_path / "config")
    place = Workspace("toy", root=tmp_path)
    shown = notebook.record(place, "01", notebook.StudyParameters(study="toy"))
    path = tmp_path / "runs" / "toy" / "records" / "01.json"
    facts = json.loads(path.read_text())
    assert facts["parameters"] == {"study": "toy", "data": ""}
    assert facts["config"] == json.loads(place.study.model_dump_json())
    assert facts["made_by"]["commit"] == "0123abc"
    assert facts["made_by"].keys() == {"commit", "python", *notebook.PACKAGES}
    assert shown["made by"].to_dict() == facts["made_by"]
    assert [p.name for p in path.parent.iterdir()] == ["01.json"]


@pytest.mark.parametrize(
    ("head", "status", "commit"), [("abc\n", "", "abc"), ("abc\n", " M config/toy.yaml\n", "abc+changes")]
)
def test_the_commit_shows_changes(monkeypatch, head, status, commit):
    answers = {"rev-parse": head, "status": status}

    def run(command, cwd, **_):
        assert Path(cwd).name != "gru4rec_lib"
        return subprocess.CompletedProcess(command, 0, answers[command[1]])

    monkeypatch.setattr(subprocess, "run", run)
    assert notebook.commit() == commit


@pytest.mark.parametrize("error", [FileNotFoundError("git"), subprocess.CalledProcessError(128, "git")])
def test_outside_git_the_commit_is_unknown(monkeypatch, error):
    def run(*_, **__):
        raise error

    monkeypatch.setattr(subprocess, "run", run)
    assert notebook.commit() == "unknown"


def test_an_empty_table_is_one_sentence(capsys):
    table = pd.DataFrame({"difference": [0.5], "published": [None]})
    assert [*notebook.shown(table, "Nothing.")] == ["difference"]
    assert capsys.readouterr().out == ""
    assert notebook.shown(table.head(0), "Nothing to compare.") is None
    assert capsys.readouterr().out == "Nothing to compare.\n"
