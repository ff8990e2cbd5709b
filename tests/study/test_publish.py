"""The published copies of a study: tables, figures, pages and their manifest."""

import json
import re
import sys

import nbformat
import pytest

from gru4rec_lib import __main__
from gru4rec_lib.study import notebook, publish
from gru4rec_lib.study.workspace import Workspace

STUDY = """
title: hand-made
data: {layout: mssd, name: twin, simulate: {sessions: 10}}
split: {how: by_session, test_fraction: 0.2}
models:
  - {input_form: [embedding, content], loss: [bpr], seed: [1, 3]}
"""
CURVE = STUDY.replace("sessions: 10", "sessions: 10, content_signal: 0.5") + "content_signal: [0.1, 0.5]\n"


def workspace(root, text=STUDY):
    """The study `made` in a project's folder."""
    (root / "config").mkdir()
    (root / "config" / "made.yaml").write_text(text)
    return Workspace("made", root=root)


def executed(path, minutes=1.5):
    new = nbformat.v4
    output = new.new_output("display_data", {"image/svg+xml": '<svg xmlns="http://www.w3.org/2000/svg"></svg>'})
    cells = [new.new_markdown_cell("# What is heard?\n\n$a^2$"), new.new_code_cell("1 + 1", outputs=[output])]
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(new.new_notebook(cells=cells, metadata={"papermill": {"duration": minutes * 60}}), path)


@pytest.fixture
def published(tmp_path, monkeypatch):
    """A complete study, with files that must not be published: partial ones, and a run that is not in the study."""
    monkeypatch.setattr(notebook, "versions", lambda: {"python": "3.11.7"})
    here = workspace(tmp_path)
    for run in here.study.runs:
        here.run_folder(run).mkdir(parents=True)
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
    (here.runs / publish.MANIFEST).write_text(json.dumps(publish.manifest(here)))
    for name in publish.PAPER:
        (here.runs / name).write_text(name)
    return here


def entries(folder):
    return sorted(path.name for path in folder.iterdir())


def test_pages_have_no_machine_paths(published):
    path = published.runs / "05_results.ipynb"
    page = nbformat.read(path, as_version=4)
    page.cells.append(nbformat.v4.new_code_cell(f"# {published.root}/runs {sys.prefix}/lib"))
    nbformat.write(page, path)
    publish.publish(published)
    text = (published.published_reports / "05_results.html").read_text(encoding="utf-8")
    assert "# ./runs python/lib" in text
    assert str(published.root) not in text


def test_tables_figures_pages_and_a_manifest_are_published(published):
    stale = published.published_reports / "stale.html"
    stale.parent.mkdir(parents=True)
    stale.touch()
    publish.publish(published)
    pages = ["03_train_gru4rec-embedding-bpr-seed1.html", "05_results.html"]
    assert entries(published.published_reports) == [*pages, "manifest.json", "paper.html", "paper.pdf", "table_2.csv"]
    assert entries(published.published_figures) == ["a.csv", "a.pdf", "a.png", "a.svg"]
    assert entries(published.published_reports.parent) == ["made"]
    for name in ("table_2.csv", *publish.PAPER):
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


def test_published_copies_stay_until_the_new_ones_are_complete(published, monkeypatch):
    publish.publish(published)
    before = {path: path.read_bytes() for path in published.root.glob("[fr]*/made/*") if "runs" not in path.parts}
    (published.tables / "table_2.csv").write_text("new")

    def broken(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(publish, "to_html", broken)
    with pytest.raises(KeyboardInterrupt):
        publish.publish(published)
    after = {path: path.read_bytes() for path in published.root.glob("[fr]*/made/*") if "runs" not in path.parts}
    assert len(before) == 10
    assert after == before


def test_the_manifest_of_a_curve_has_each_of_its_settings(tmp_path, monkeypatch):
    monkeypatch.setattr(publish, "manifest_of", lambda at: {"study": at.study.name})
    assert publish.manifest(workspace(tmp_path, CURVE)) == {"study": "made", "other_settings": [{"study": "made@0.1"}]}


def test_a_page_is_beside_its_notebook_without_the_state_of_widgets(published, capsys):
    notebook = published.runs / "05_results.ipynb"
    executed = nbformat.read(notebook, as_version=4)
    executed.metadata["widgets"] = {"application/vnd.jupyter.widget-state+json": {"state": {"id": {"value": "moved"}}}}
    nbformat.write(executed, notebook)
    assert __main__.main(["page", str(notebook)]) == 0
    html = notebook.with_suffix(".html")
    assert capsys.readouterr().out == f"{html}\n"
    assert "What is heard?" in html.read_text()
    assert "moved" not in html.read_text()


def test_a_page_lacks_the_text_of_widgets_and_nothing_else():
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
    html = publish.to_html(executed, "controls")
    assert not [word for word in ("Player(", "Textarea(", "FloatProgress", "Plot()", "widget-view") if word in html]
    assert all(word in html for word in ("<p>a plot</p>", "Textarea is a word", "printed", "# Title"[2:]))
    assert nbformat.writes(executed) == before


@pytest.mark.parametrize("text", ["hello", "{}"])
def test_a_page_of_a_file_that_is_not_a_notebook_is_one_sentence(tmp_path, capsys, text):
    (tmp_path / "x.ipynb").write_text(text)
    assert __main__.main(["page", str(tmp_path / "x.ipynb")]) == 2
    assert capsys.readouterr().err.startswith(f"{tmp_path / 'x.ipynb'}: is not a notebook; name an executed one")
    assert [path.name for path in tmp_path.iterdir()] == ["x.ipynb"]


def test_a_page_loads_nothing_from_the_network(published):
    page = published.runs / "05_results.ipynb"
    html = publish.to_html(nbformat.read(page, as_version=4), "05_results")
    assert "What is heard?" in html
    assert "<title>05_results</title>" in html
    # Everything that a browser loads by itself: attributes, style sheets, modules. An empty address loads nothing.
    by_itself = r"(?:\b(?:src|href|data|poster)\s*=|url\(|@import|import\()\s*[\"']?"
    loaded = re.findall(by_itself + r"((?:https?:)?//[^\"')]+)", html)
    assert loaded == []
    # The other addresses are in comments and names of XML.
    hosts = set(re.findall(r"https?://([^/\s\"'<>)]+)", html))
    assert not {host for host in hosts if re.search(r"cdn|unpkg|jsdelivr|googleapis|mathjax", host)}
