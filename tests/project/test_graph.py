"""The whole graph, run once on the toy study in a copy of the project that already has published reports."""

import json
import os
import re
import shutil
import sys
from pathlib import Path

import nbformat
import pandas as pd
import pytest
from project_copy import copy_of_the_project, reproduce, run

from gru4rec_lib.config.study import CUTOFF
from gru4rec_lib.evaluation.comparison import more_scores
from gru4rec_lib.plotting import figures
from gru4rec_lib.preparation import prepare, readers
from gru4rec_lib.study import explore
from gru4rec_lib.study import tables as report
from gru4rec_lib.study.workspace import Workspace
from gru4rec_lib.twin import simulate

ROOT = Path(__file__).resolve().parents[2]
AUDITED = "loss: [cross_entropy, bpr_max]"  # by the toy study
DRAWS = {"00_the_twin", "01_explore_sessions", "04_blends", "05_results", "06_audit_of_the_paper"}


def planned(root):
    """Return the names of the steps that another run would execute."""
    steps = re.findall(r"\d+ of \d+  (\w+)", reproduce(root, "--", "--dry-run"))
    return set(steps) - {"the"}  # "the study is complete"


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A project in which the toy study was reproduced and replaced existing reports."""
    root = copy_of_the_project(tmp_path_factory.mktemp("project"))
    for folder in ("figures", "reports"):
        (root / folder / "toy").mkdir(parents=True)
        (root / folder / "toy" / "table_2.csv").write_text("from another day\n")
    reproduce(root)
    return root


@pytest.mark.slow
@pytest.mark.timeout(480)
def test_the_toy_study_trains_its_grid_and_publishes_tables_figures_and_a_manifest(finished):
    place = Workspace("toy", root=finished)
    reports = place.published_reports
    table = pd.read_csv(reports / "table_2.csv")
    assert list(table.columns) == report.TABLE_2 + more_scores(place.study.evaluation.cutoffs, CUTOFF)
    runs, others = len(place.study.runs), len(place.study.baselines) + len(place.study.blends)
    assert len(table) == 2 * (runs + others)
    assert table["recall_at_20"].between(0, 1).all()
    assert (table.loc[table["protocol"] == "open", "n_targets"] > table["n_targets"].min()).all()
    assert pd.read_csv(reports / "table_1.csv")["quantity"].tolist() == ["events", "tracks", "sessions"]
    manifest = json.loads((reports / "manifest.json").read_text())
    assert manifest["simulated"]
    assert set(manifest) >= {"commit", "config", "versions", "data_sha256", "seeds", "device", "minutes"}
    assert len(list(reports.glob("0*.html"))) == runs + 7
    assert "simulated" in (reports / "paper.html").read_text()
    assert (reports / "paper.pdf").read_bytes().startswith(b"%PDF")
    names = {path.stem for path in place.published_figures.iterdir()}
    assert names == {
        *("plays_per_track", "long_tail", "session_lengths", "skips_by_position", "split_sizes"),
        *("model_diagram", "learning_curves", "table_2"),
        *("differences", "quality_by_position", "quality_by_popularity", "coverage", "validation_and_test"),
        *("time_to_quality", "input_by_loss"),
        *("audit", "blend_weights", "feature_importance"),
        *("twin_plays", "twin_lengths", "twin_skips", "twin_features", "calibration"),
    }
    assert {path.suffix for path in place.published_figures.iterdir()} == {".svg", ".pdf", ".png", ".csv"}


@pytest.mark.slow
@pytest.mark.timeout(480)
def test_every_figure_is_drawn_again_from_its_csv_to_the_same_bytes(finished):
    folder = Workspace("toy", root=finished).published_figures
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    for path in folder.iterdir():
        if path.suffix != ".csv":
            path.unlink()
    figures.redraw(folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.slow
@pytest.mark.timeout(480)
def test_a_second_run_does_nothing_and_a_change_reruns_what_depends_on_it(finished):
    assert planned(finished) == set()
    drawing = finished / "gru4rec_lib" / "plotting" / "figures.py"
    text = drawing.read_text()
    drawing.write_text(text + "\n# another comment\n")
    assert planned(finished) == DRAWS | {"paper", "publish"}
    os.utime(drawing, (0, 0))  # like a copy that keeps the time of an older file
    assert planned(finished) == DRAWS | {"paper", "publish"}
    drawing.write_text(text)
    assert planned(finished) == set()
    config = finished / "config" / "toy.yaml"
    text = config.read_text()
    config.write_text(text.replace("bpr: {", "bpr: {learning_rate: 0.03, "))
    assert planned(finished) == {"03_train_gru4rec", "04_blends", "05_results", "paper", "publish"}
    config.write_text(text.replace("facts: [duration, ", "facts: ["))  # a group that no run uses alone
    assert planned(finished) == {"05_results", "paper", "publish"}
    config.write_text(text.replace("test_fraction: 0.2", "test_fraction: 0.25"))
    assert planned(finished) >= {
        "02_preprocess",
        "03_train_gru4rec",
        "04_baselines",
        "04_blends",
        "05_results",
        "publish",
    }
    config.write_text(text)


@pytest.mark.slow
@pytest.mark.timeout(480)
def test_a_notebook_that_was_run_and_saved_in_place_reruns_nothing_and_a_changed_one_does(finished):
    path = finished / "notebooks" / "03_train_gru4rec.ipynb"
    text = path.read_text(encoding="utf-8")
    saved = nbformat.reads(text, as_version=4)
    for number, cell in enumerate(saved.cells):
        if cell.cell_type == "code":
            cell.update(execution_count=number, outputs=[nbformat.v4.new_output("stream", text="shown")])
    saved.metadata["language_info"]["version"] = "3.13.1"
    nbformat.write(saved, path)
    assert planned(finished) == set()
    saved.cells[-1].source += "  # changed"
    nbformat.write(saved, path)
    assert planned(finished) == {"03_train_gru4rec", "04_blends", "05_results", "paper", "publish"}
    path.write_text(text, encoding="utf-8")
    assert planned(finished) == set()


def test_simulated_files_that_were_replaced_are_simulated_again(finished):
    path = next((finished / "data/raw/toy").rglob("tf_*.csv"))
    text, times = path.read_text(), path.stat()
    path.write_text(text.replace("1", "2", 1))
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert planned(finished) >= {"simulate", "02_preprocess", "03_train_gru4rec", "publish"}
    path.write_text(text)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert planned(finished) == set()


@pytest.mark.slow
def test_a_curve_is_the_same_rules_at_each_setting_and_one_page_of_results(tmp_path):
    root = copy_of_the_project(tmp_path)
    config = root / "config" / "toy.yaml"
    config.write_text(config.read_text() + "content_signal: [0, 0.5, 1]\n")
    steps = re.findall(r"\d+ of \d+  ([\w@.]+)", reproduce(root, "--", "--dry-run"))
    grid, others = len(Workspace("toy", root=root).study.runs), ("", "@0", "@1")
    for step, times in {"simulate": 1, "02_preprocess": 1, "03_train_gru4rec": grid, "04_baselines": 1}.items():
        assert [steps.count(step + other) for other in others] == [times] * 3
    for step in ("00_the_twin", "01_explore_sessions", "05_results", "paper", "publish"):
        assert [steps.count(step + other) for other in others] == [1, 0, 0]


CELLS = """
import json, sys
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

shell = InteractiveShell.instance(config=Config(HistoryManager={"enabled": False}))
with open(sys.argv[1], encoding="utf-8") as file:
    for cell in json.load(file)["cells"]:
        if cell["cell_type"] == "code":
            shell.run_cell("".join(cell["source"])).raise_error()
"""


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", sorted(path.name for path in (ROOT / "notebooks").glob("*.ipynb")))
def test_a_notebook_runs_without_parameters_and_creates_missing_inputs(name, tmp_path, loaded):
    """The graph has run most of them by papermill, each of which starts slowly; here their cells are enough."""
    root = copy_of_the_project(tmp_path)
    toy = root / "config" / "toy.yaml"
    assert AUDITED in toy.read_text()
    toy.write_text(toy.read_text().replace(AUDITED, "loss: [bpr_max]"))
    if name != "07_listen_along.ipynb":
        done = loaded.run(CELLS, f"notebooks/{name}", cwd=root, path=[root])
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    else:  # of which a page without a kernel has models, next tracks, a picture, ranks
        papermill = (sys.executable, "-m", "gru4rec_lib.study.workflow.papermill")
        run(root, *papermill, "--no-progress-bar", f"notebooks/{name}", "out.ipynb")
        run(root, sys.executable, "-m", "gru4rec_lib", "page", "out.ipynb")
        page = (root / "out.html").read_text(encoding="utf-8")
        assert [page.count(part) for part in ("<table", 'src="data:image/png;base64')] == [3, 1]
        assert re.search(r"heard: 5\. Played next: .+what changed", page, re.DOTALL)
        assert "Player(" not in page, "the text of a control"
    records = "notebook.record(" in (root / "notebooks" / name).read_text(encoding="utf-8")
    assert (root / "runs" / "toy" / "records").is_dir() == records == (name != "07_listen_along.ipynb")


@pytest.mark.slow
def test_a_name_that_the_notebook_does_not_know_is_an_error(tmp_path):
    root = copy_of_the_project(tmp_path)
    command = (
        "papermill",
        "--no-progress-bar",
        "notebooks/01_explore_sessions.ipynb",
        "out.ipynb",
        "-p",
        "studdy",
        "x",
    )
    with pytest.raises(AssertionError, match="studdy: no such field"):
        run(root, *command)


def test_a_folder_with_the_official_mini_files_goes_through_the_study_mssd_mini(tmp_path):
    simulate.simulate(tmp_path / "twin", sessions=60)
    folder = tmp_path / "brought"
    folder.mkdir()
    log = pd.read_csv(next((tmp_path / "twin").rglob("log_*.csv.gz")), dtype=str)
    log.to_csv(folder / "log_mini.csv", index=False)
    shutil.copyfile(next((tmp_path / "twin").rglob("tf_*.csv")), folder / "tf_mini.csv")

    place = Workspace("mssd_mini", folder)
    assert not place.study.simulated
    assert {path.name for path in place.raw_files()} == {"log_mini.csv", "tf_mini.csv"}
    tables = readers.read(place.study.data, place.raw)
    counts = explore.table_1(tables.events, explore.paper_counts(place.study.data)).set_index("quantity")
    assert counts.loc["sessions"].tolist()[:2] == [60, 10_000]
    assert "sessions: 60, published 10,000: \N{MINUS SIGN}99.4 %" in explore.compare(counts.reset_index()).splitlines()
    prepared = prepare.prepare(tables, place.study.split, place.raw)
    assert len(prepared.test) == 12
