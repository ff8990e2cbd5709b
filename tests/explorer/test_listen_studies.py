"""Notebook 07, cell by cell, on studies of event tables, with features of two kinds or without."""

import ast
from functools import partial
from pathlib import Path

import nbformat
import pytest

from gru4rec_lib.study import workspace

NOTEBOOK = Path(__file__).resolve().parents[2] / "notebooks" / "07_listen_along.ipynb"
STUDY = """
title: hand-made
data: {{layout: events, name: mine, events: [plays.csv], session: session, item: item, time: time{table}}}
split: {{how: by_time, test_fraction: 0.2}}
training: {{hidden_units: 4, embedding_units: 3, batch_size: 8, max_epochs: 1, jit: false, negatives: [all]}}
models: [{model}]
"""
TABLE = ", item_table: {file: tracks.csv, item: item, numeric: [tempo], categorical: [artist]}"
HYBRID = "{input_form: [shared], output_form: [hybrid, content], loss: [cross_entropy]}"


@pytest.fixture
def shown(tmp_path, monkeypatch):
    """Return the outputs of the notebook's cells for a study in a separate folder, with changed parameters."""
    plays = [f"{number},track {(number + n) % 7},{100 * number + n}" for number in range(40) for n in range(4)]
    (tmp_path / "plays.csv").write_text("\n".join(["session,item,time", *plays]))
    (tmp_path / "tracks.csv").write_text(
        "\n".join(["item,tempo,artist", *(f"track {n},{90 + n},artist {n % 2}" for n in range(7))])
    )
    monkeypatch.setattr(workspace, "Workspace", partial(workspace.Workspace, root=tmp_path))

    def shown(table, model, tracks):
        (tmp_path / "s.yaml").write_text(STUDY.format(table=table, model=model))
        given = {"study": str(tmp_path / "s.yaml"), "data": str(tmp_path), "tracks": tracks}
        scope = dict(given)
        for cell in nbformat.read(NOTEBOOK, as_version=4).cells:
            if cell.cell_type != "code" or "parameters" in cell.metadata.get("tags", []):
                continue
            *body, last = ast.parse(cell.source).body
            exec(compile(ast.Module(body, []), "cell", "exec"), scope)
            yield eval(compile(ast.Expression(last.value), "cell", "eval"), scope)

    return shown


@pytest.mark.slow
@pytest.mark.parametrize(
    ("table", "model", "tracks"),
    [("", "{input_form: [shared], loss: [bpr]}", ()), (TABLE, HYBRID, ("track 3",))],
    ids=["no features", "hybrid and content, one track"],
)
def test_the_cells_of_07_show_other_studies(shown, table, model, tracks):
    _, models, lists, picture, along, player = shown(table, model, tracks)
    assert lists.data.shape == (7, len(models))
    assert ("tempo" in lists.to_html()) == ("what changed" in along.data) == bool(table)
    assert len(picture.axes) == 1
    assert len(along.data) == len(player.session) == (1 if tracks else 4)
    assert "heard:" in player.lists.value
