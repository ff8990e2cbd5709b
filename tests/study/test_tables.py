"""Tables from small ranks files, worked by hand; and what is published of a study."""

import json
import re
import sys

import nbformat
import numpy as np
import pandas as pd
import pytest

from gru4rec_lib import __main__
from gru4rec_lib.study import notebook, tables
from gru4rec_lib.study.workspace import Workspace

STUDY = """
title: hand-made
data: {layout: mssd, name: twin, simulate: {sessions: 10}}
split: {how: by_session, test_fraction: 0.2}
models:
  - {input_form: [embedding, content], loss: [bpr], seed: [1, 3]}
"""
TAGGED = "  - {input_form: [embedding], loss: [top1], tag: wide}\n"
KNOWN, OPEN = [1, 4, 20, 21], [2, 21, 101]
# Of 4 and of 3 targets: ranks up to 20 count.
SCORES = {"known": (0.75, (1 + 1 / 4 + 1 / 20) / 4), "open": (1 / 3, 1 / 2 / 3)}


@pytest.fixture
def place(tmp_path):
    """A study's folders; `made` writes the files of all its runs and baselines."""

    def place(text=STUDY):
        (tmp_path / "config").mkdir(exist_ok=True)
        (tmp_path / "config" / "made.yaml").write_text(text)
        return Workspace("made", root=tmp_path)

    return place


def write_ranks(folder, known=KNOWN, opened=OPEN):
    table = pd.DataFrame({"protocol": ["known"] * len(known) + ["open"] * len(opened), "rank": known + opened})
    table["target"] = [0] * len(known) + [49, 50, -1]  # 50 training tracks: the second is cold
    table["session"], table["position"] = [0, 0, 1, 2, 0, 1, 2], [2, 3, 2, 2, 2, 3, 4]
    folder.mkdir(parents=True, exist_ok=True)
    table.assign(n_candidates=np.where(table["protocol"] == "known", 50, 100)).to_parquet(folder / "ranks.parquet")


def made(place):
    """Write ranks and histories: those of each run begin with its number, 1 for the first."""
    for baseline in place.study.baselines:
        write_ranks(place.baseline_folder(baseline.name), [21] * 4, [21] * 3)
    for number, run in enumerate(place.study.runs, 1):
        write_ranks(place.run_folder(run), [number, *KNOWN[1:]])
        history = pd.DataFrame(
            {"epoch": [1, 2], "loss": [0.5, 0.25], "val_recall_at_20": [0.1, number], "seconds": 1.5}
        )
        history.to_csv(place.run_folder(run) / "history.csv", index=False)
    return place


def executed(path, minutes=1.5):
    new = nbformat.v4
    output = new.new_output("display_data", {"image/svg+xml": '<svg xmlns="http://www.w3.org/2000/svg"></svg>'})
    cells = [new.new_markdown_cell("# What is heard?\n\n$a^2$"), new.new_code_cell("1 + 1", outputs=[output])]
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(new.new_notebook(cells=cells, metadata={"papermill": {"duration": minutes * 60}}), path)


def test_table_2_has_a_row_a_run_and_protocol(place):
    table = tables.table_2(made(place()))
    assert table.columns.tolist() == [
        *("study", "model", "input_form", "output_form", "loss", "seed", "protocol"),
        *("n_candidates", "n_targets", "recall_at_20", "mrr_at_20"),
        *("recall_low", "recall_high", "mrr_low", "mrr_high", "recall_with_best", "mrr_with_best"),
    ]
    assert table["study"].unique().tolist() == ["made"]
    assert table["model"].tolist() == ["most_popular"] * 2 + ["sequential_rules"] * 2 + ["gru4rec"] * 8
    assert table["protocol"].tolist() == ["known", "open"] * 6
    assert table["n_candidates"].tolist() == [50, 100] * 6
    assert table["n_targets"].tolist() == [4, 3] * 6
    names = ["input_form", "output_form", "loss", "seed"]
    assert table.loc[:3, names].to_numpy().tolist() == [[""] * 4] * 4
    assert table.loc[4::2, names].to_numpy().tolist() == [
        ["embedding", "ids", "bpr", 1],
        ["content", "ids", "bpr", 1],
        ["embedding", "ids", "bpr", 3],
        ["content", "ids", "bpr", 3],
    ]
    assert table.loc[:3, ["recall_at_20", "mrr_at_20"]].to_numpy().tolist() == [[0, 0]] * 4
    assert table.loc[[4, 5], ["recall_at_20", "mrr_at_20"]].to_numpy() == pytest.approx(np.array([*SCORES.values()]))
    assert table.loc[6, "mrr_at_20"] == pytest.approx((1 / 2 + 1 / 4 + 1 / 20) / 4)


CURVE = """
title: hand-made
data: {layout: mssd, name: twin, simulate: {sessions: 10}}
split: {how: by_session, test_fraction: 0.2}
content_signal: [0.1, 0.5]
models:
  - {input_form: [one_hot, content, embedding, shared], loss: [bpr]}
  - {input_form: [embedding], loss: [bpr], output_form: [hybrid]}
baselines: [most_popular]
"""


def test_the_curve_tells_each_runs_distance_from_the_better_identity_at_its_setting(place):
    here = place(CURVE)
    for setting, ranks in {0.1: (20, 4, 30, 5, 1), 0.5: (1, 2, 4, 8, 1)}.items():
        at = here.curve[setting]
        write_ranks(at.baseline_folder("most_popular"), [1] * 4, [1] * 3)
        for run, rank in zip(at.study.runs, ranks, strict=True):
            write_ranks(at.run_folder(run), [rank] * 4, [1] * 3)
    table = tables.content_signal(here)
    assert table.columns.tolist() == [*("content_signal", *tables.TABLE_2, "recall_less_identity", "mrr_less_identity")]
    assert table["study"].unique().tolist() == ["made@0.1", "made"]
    known = table[table["protocol"] == "known"]
    assert known["content_signal"].tolist() == [0.1] * 6 + [0.5] * 6
    less = known[["recall_less_identity", "mrr_less_identity"]].to_numpy()
    # Best of identity alone: `shared` with 1/5, then `one_hot` with 1; a hybrid output knows content.
    recall, mrr = [np.nan, 0, 0, -1, 0, 0, np.nan, 0, 0, 0, 0, 0], [1 / 20, 1 / 4, 0, 1 / 5, 1]
    assert less[:, 0] == pytest.approx(recall, nan_ok=True)
    assert less[1:6, 1] == pytest.approx(np.array(mrr) - 1 / 5)
    assert less[7:, 1] == pytest.approx(np.array([1, 1 / 2, 1 / 4, 1 / 8, 1]) - 1)
    assert np.isnan(less[[0, 6], 1]).all()


def test_cold_tracks_are_scored_alone(place):
    table = tables.cold_tracks(made(place()))
    assert table.columns.tolist() == tables.TABLE_2
    assert table["model"].tolist() == ["most_popular", "sequential_rules"] + ["gru4rec"] * 4
    assert table[["protocol", "n_candidates", "n_targets", "recall_at_20"]].iloc[2].tolist() == ["open", 100, 1, 0]


def test_without_cold_tracks_there_is_no_row(place):
    here = made(place())
    for path in here.runs.rglob("ranks.parquet"):
        table = pd.read_parquet(path)
        table[table["target"] != 50].to_parquet(path)
    table = tables.cold_tracks(here)
    assert table.empty
    assert table.columns.tolist() == tables.TABLE_2


def test_runs_of_other_settings_bring_a_column_of_tags(place):
    table = tables.table_2(made(place(STUDY + TAGGED)))
    assert table.columns[-1] == "tag"
    assert table["tag"].tolist() == [""] * 12 + ["wide"] * 2


def test_a_run_that_was_not_made_is_named(place):
    here = made(place())
    missing = here.run_folder(here.study.runs[2]) / "ranks.parquet"
    missing.unlink()
    with pytest.raises(FileNotFoundError, match=re.escape(str(missing))):
        tables.table_2(here)


def test_a_run_over_other_targets_is_named(place):
    here = made(place())
    other = here.run_folder(here.study.runs[1])
    table = pd.read_parquet(other / "ranks.parquet")
    table.assign(session=table["session"] + 1).to_parquet(other / "ranks.parquet")
    with pytest.raises(ValueError, match=re.escape(f"{other} has ranked other test targets")):
        tables.table_2(here)


def test_runs_of_a_cell_are_one_row_with_the_spread_between_seeds(place):
    table = tables.over_seeds(made(place(STUDY + TAGGED)))
    assert table.columns.tolist() == [*tables.OVER_SEEDS, "tag"]
    known = table[table["protocol"] == "known"]
    assert known["seeds"].tolist() == [1, 1, 2, 2, 1]
    rest = 1 / 4 + 1 / 20
    seeds = np.array([1 + rest, 1 / 3 + rest]) / 4  # embedding
    row = known.iloc[2]
    assert row[["mrr_at_20", "mrr_sd"]].tolist() == pytest.approx([seeds.mean(), abs(seeds[0] - seeds[1]) / 2**0.5])
    assert row["mrr_low"] < row["mrr_at_20"] < row["mrr_high"]
    assert row["recall_sd"] == 0
    assert known["mrr_sd"].isna().tolist() == [True, True, False, False, True]


def test_the_printed_table_has_intervals_and_marks(place):
    table = tables.over_seeds(made(place(STUDY + TAGGED)))
    wide = tables.printed(table, "mrr")
    assert wide.index.tolist() == ["embedding", "content", "embedding wide", "most_popular", "sequential_rules"]
    assert wide.columns.tolist() == ["bpr", "top1"]
    low, high = table.loc[table["model"] == "gru4rec", ["mrr_low", "mrr_high"]].iloc[0]
    rest = 1 / 4 + 1 / 20
    best, content = (rest + (1 + 1 / 3) / 2) / 4, (rest + (1 / 2 + 1 / 4) / 2) / 4
    assert wide.loc["embedding", "bpr"] == f"{best:.3f} ({low:.3f} to {high:.3f}) ★"
    assert re.fullmatch(rf"{content:.3f} \(.* to .*\) ≈", wide.loc["content", "bpr"]), "three sessions tell nothing"
    assert wide.loc[["embedding", "embedding wide"], ["top1", "bpr"]].to_numpy()[[0, 1], [0, 1]].tolist() == ["", ""]
    assert wide.loc["most_popular"].tolist() == ["0.000 (0.000 to 0.000) ≈"] * 2
    beaten = tables.printed(table.assign(recall_with_best=table["model"] == "gru4rec"), "recall", "open")
    assert beaten.loc["most_popular", "bpr"].endswith(")")
    assert beaten.loc["content", "bpr"].startswith("0.333 (")


def test_histories_tell_the_run_of_each_epoch(place):
    table = tables.histories(made(place(STUDY + TAGGED)))
    assert table.columns.tolist() == [
        *("input_form", "output_form", "loss", "seed", "tag", "epoch"),
        *("train_loss", "validation_recall_at_20", "seconds"),
    ]
    assert table["epoch"].tolist() == [1, 2] * 5
    assert table.loc[5].tolist() == ["embedding", "ids", "bpr", 3, "", 2, 0.25, 3, 1.5]
    assert table.loc[9].tolist() == ["embedding", "ids", "top1", 1, "wide", 2, 0.25, 5, 1.5]


@pytest.fixture
def published(place, monkeypatch):
    """A whole study, ready to be published, with what must not be: half files, and a run that left the grid."""
    monkeypatch.setattr(notebook, "versions", lambda: {"python": "3.11.7"})
    here = made(place())
    for name, commit in (("05_results", "5a5a5a"), *((run.name, "0123abc") for run in here.study.runs)):
        monkeypatch.setattr(notebook, "commit", lambda commit=commit: commit)
        notebook.record(here, name, notebook.StudyParameters(study="made"))
    for run in here.study.runs:
        (here.run_folder(run) / "config.json").write_text('{"device": "a device"}')
    here.raw.mkdir(parents=True)
    (here.raw / "simulated.json").touch()
    for folder, names in ((here.tables, ["table_2.csv"]), (here.figures, ["a.svg", "a.pdf", "a.png", "a.csv"])):
        folder.mkdir(parents=True)
        for name in (*names, ".half.csv", "note.txt"):
            (folder / name).write_text(name)
    executed(here.runs / "05_results.ipynb")
    for name in ("embedding-bpr-seed1", "embedding-bpr-seed9"):
        executed(here.runs / "gru4rec" / name / "03_train_gru4rec.ipynb", minutes=2)
    executed(here.runs / ".ipynb_checkpoints" / "05_results.ipynb")
    here.prepared.mkdir(parents=True)
    (here.prepared / "prepared.json").write_text("{}")
    (here.runs / tables.MANIFEST).write_text(json.dumps(tables.manifest(here)))
    for name in tables.PAPER:
        (here.runs / name).write_text(name)
    return here


def entries(folder):
    return sorted(path.name for path in folder.iterdir())


def test_pages_do_not_tell_where_they_were_made(published):
    path = published.runs / "05_results.ipynb"
    page = nbformat.read(path, as_version=4)
    page.cells.append(nbformat.v4.new_code_cell(f"# {published.root}/runs {sys.prefix}/lib"))
    nbformat.write(page, path)
    tables.publish(published)
    text = (published.published_reports / "05_results.html").read_text(encoding="utf-8")
    assert "# ./runs python/lib" in text
    assert str(published.root) not in text


def test_tables_figures_pages_and_a_manifest_are_published(published):
    stale = published.published_reports / "stale.html"
    stale.parent.mkdir(parents=True)
    stale.touch()
    tables.publish(published)
    pages = ["03_train_gru4rec-embedding-bpr-seed1.html", "05_results.html"]
    assert entries(published.published_reports) == [*pages, "manifest.json", "paper.html", "paper.pdf", "table_2.csv"]
    assert entries(published.published_figures) == ["a.csv", "a.pdf", "a.png", "a.svg"]
    assert entries(published.published_reports.parent) == ["made"]
    for name in ("table_2.csv", *tables.PAPER):
        assert (published.published_reports / name).read_text() == name
    text = (published.runs / "published.json").read_text()
    assert text == (published.published_reports / "manifest.json").read_text()
    manifest = json.loads(text)
    assert manifest == {
        "study": "made",
        "simulated": True,
        "commit": ["0123abc", "5a5a5a"],  # of what made the numbers, not of what publishes them
        "versions": [{"python": "3.11.7"}],
        "device": ["a device"],
        "config": json.loads(published.study.model_dump_json()),
        # printf '{}' | sha256sum
        "data_sha256": "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
        "seeds": [1, 3],
        "minutes": {"03_train_gru4rec-embedding-bpr-seed1": 2.0, "05_results": 1.5},
        "minutes_total": 3.5,
    }


def test_what_was_published_stays_until_the_new_is_whole(published, monkeypatch):
    tables.publish(published)
    before = {path: path.read_bytes() for path in published.root.glob("[fr]*/made/*") if "runs" not in path.parts}
    (published.tables / "table_2.csv").write_text("new")

    def broken(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(tables, "to_html", broken)
    with pytest.raises(KeyboardInterrupt):
        tables.publish(published)
    after = {path: path.read_bytes() for path in published.root.glob("[fr]*/made/*") if "runs" not in path.parts}
    assert len(before) == 10
    assert after == before


def test_a_curve_tells_what_made_each_of_its_settings(place, monkeypatch):
    monkeypatch.setattr(tables, "manifest_of", lambda at: {"study": at.study.name})
    assert tables.manifest(place(CURVE)) == {"study": "made", "other_settings": [{"study": "made@0.1"}]}


def test_a_page_lies_beside_its_notebook_without_the_state_of_controls(published, capsys):
    notebook = published.runs / "05_results.ipynb"
    executed = nbformat.read(notebook, as_version=4)
    executed.metadata["widgets"] = {"application/vnd.jupyter.widget-state+json": {"state": {"id": {"value": "moved"}}}}
    nbformat.write(executed, notebook)
    assert __main__.main(["page", str(notebook)]) == 0
    html = notebook.with_suffix(".html")
    assert capsys.readouterr().out == f"{html}\n"
    assert "What is heard?" in html.read_text()
    assert "moved" not in html.read_text()


def test_a_page_leaves_out_the_text_of_controls_and_nothing_else():
    new, control = nbformat.v4, {"application/vnd.jupyter.widget-view+json": {"model_id": "1", "version_major": 2}}
    outputs = [
        new.new_output("execute_result", control | {"text/plain": "Player(children=(Textarea(value='a')"}),
        new.new_output("display_data", control | {"text/plain": "FloatProgress(value=0.0)"}),
        new.new_output("display_data", control | {"text/plain": "Plot()", "text/html": "<p>a plot</p>"}),
        new.new_output("display_data", {"text/plain": "Textarea is a word"}),
        new.new_output("stream", text="printed\n"),
    ]
    cells = [new.new_markdown_cell("# Title"), new.new_code_cell("player", outputs=outputs)]
    executed = new.new_notebook(cells=cells)
    before = nbformat.writes(executed)
    html = tables.to_html(executed, "controls")
    assert not [word for word in ("Player(", "Textarea(", "FloatProgress", "Plot()", "widget-view") if word in html]
    assert all(word in html for word in ("<p>a plot</p>", "Textarea is a word", "printed", "# Title"[2:]))
    assert nbformat.writes(executed) == before


@pytest.mark.parametrize("text", ["hello", "{}"])
def test_a_page_of_what_is_no_notebook_is_one_sentence(tmp_path, capsys, text):
    (tmp_path / "x.ipynb").write_text(text)
    assert __main__.main(["page", str(tmp_path / "x.ipynb")]) == 2
    assert capsys.readouterr().err.startswith(f"{tmp_path / 'x.ipynb'}: is no notebook; name one that was executed")
    assert [path.name for path in tmp_path.iterdir()] == ["x.ipynb"]


def test_a_page_asks_no_host_for_anything(published):
    page = published.runs / "05_results.ipynb"
    html = tables.to_html(nbformat.read(page, as_version=4), "05_results")
    assert "What is heard?" in html
    assert "<title>05_results</title>" in html
    # Whatever a browser loads by itself: attributes, style sheets, modules. An empty address is none.
    by_itself = r"(?:\b(?:src|href|data|poster)\s*=|url\(|@import|import\()\s*[\"']?"
    loaded = re.findall(by_itself + r"((?:https?:)?//[^\"')]+)", html)
    assert loaded == []
    # What is left of addresses is comments and names of XML.
    hosts = set(re.findall(r"https?://([^/\s\"'<>)]+)", html))
    assert not {host for host in hosts if re.search(r"cdn|unpkg|jsdelivr|googleapis|mathjax", host)}
