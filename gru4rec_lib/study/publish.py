"""Published copies of a study's results, with their provenance: reports/<study> and figures/<study>."""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from pathlib import Path

import nbformat
from nbconvert import HTMLExporter

from gru4rec_lib.study.tables import records
from gru4rec_lib.study.workspace import Workspace
from gru4rec_lib.utils.arguments import user_path
from gru4rec_lib.utils.atomic_write import replacing, replacing_folder

TABLES, FIGURES = (".csv",), (".csv", ".pdf", ".png", ".svg")  # what is published
CONTROL = "application/vnd.jupyter.widget-view+json"
MANIFEST, PAPER = "manifest.json", ("paper.pdf", "paper.html")


def publish(workspace: Workspace) -> None:
    """Copy tables, paper, manifest and figures to reports/<study> and figures/<study>, executed notebooks as HTML.

    runs/<study>/published.json, written last, marks the end. No step of the graph reads the copies.

    Raises:
        FileNotFoundError: the study has no tables yet.
    """
    if not workspace.tables.is_dir():
        remedy = f"run `make reproduce STUDY={workspace.study.name}` first"
        raise FileNotFoundError(f"{workspace.tables}: there is nothing to publish yet; {remedy}")
    with (
        replacing_folder(workspace.published_figures) as figures,
        replacing_folder(workspace.published_reports) as reports,
    ):
        for source, kinds, folder in ((workspace.tables, TABLES, reports), (workspace.figures, FIGURES, figures)):
            # A name that begins with a dot is an incomplete file of a killed run.
            for path in sorted(p for p in source.iterdir() if p.suffix in kinds and not p.name.startswith(".")):
                shutil.copyfile(path, folder / path.name)
        for name in (MANIFEST, *PAPER):
            shutil.copyfile(workspace.runs / name, reports / name)
        for name, page in executed_notebooks(workspace).items():
            html = to_html(page, name)
            # Machine paths are no results.
            for path, text in (
                (sys.prefix, "python"),
                (workspace.root, "."),
                (workspace.raw, f"/path/to/{workspace.raw.name}"),
            ):
                html = html.replace(str(path), text)
            (reports / f"{name}.html").write_text(html, encoding="utf-8")
    with replacing(workspace.runs / "published.json") as path:
        shutil.copyfile(workspace.runs / MANIFEST, path)


def executed_notebooks(workspace: Workspace) -> dict[str, nbformat.NotebookNode]:
    """Read the executed notebooks of the study and of the runs in its grid.

    Returns:
        The notebooks by the name of their page, sorted.
    """
    found = {path.stem: path for path in workspace.runs.glob("[0-9][0-9]_*.ipynb")}
    for run in workspace.study.runs:
        found |= {f"{p.stem}-{run.name}": p for p in workspace.run_folder(run).glob("[0-9][0-9]_*.ipynb")}
    return {name: nbformat.read(path, as_version=4) for name, path in sorted(found.items())}


def manifest(workspace: Workspace) -> dict:
    """Collect the provenance of the results: commit, config, versions, data fingerprint, seeds, device, minutes.

    Returns:
        See `manifest_of`; where the study has variants, `other_settings` has the same for the others.
    """
    others = [manifest_of(at) for at in workspace.variants().values() if at is not workspace]
    return manifest_of(workspace) | ({"other_settings": others} if others else {})


def manifest_of(workspace: Workspace) -> dict:
    """As `manifest`, for the study without its other variants.

    Returns:
        Plain JSON: study, simulated, commit, config, versions, data_sha256, seeds, device, minutes, minutes_total.
    """
    pages = executed_notebooks(workspace)
    minutes = {name: round(page.metadata["papermill"]["duration"] / 60, 2) for name, page in pages.items()}
    prepared = (workspace.prepared / "prepared.json").read_bytes()
    # The commits of the runs, not the current one: a run may be older.
    names = [name for name in minutes if not name.startswith("03_")] + [run.name for run in workspace.study.runs]
    made_by = [json.loads(workspace.record(name).read_text(encoding="utf-8"))["made_by"] for name in names]
    return {
        "study": workspace.study.name,
        "simulated": workspace.is_simulated,
        "commit": sorted({facts.pop("commit") for facts in made_by}),
        "config": workspace.study.model_dump(mode="json"),
        "versions": [dict(facts) for facts in sorted({tuple(facts.items()) for facts in made_by})],
        "data_sha256": hashlib.sha256(prepared).hexdigest(),
        "seeds": sorted({run.seed for run in workspace.study.runs}),
        "device": sorted({record["device"] for record in records(workspace).values()}),
        "minutes": minutes,
        "minutes_total": round(sum(minutes.values()), 1),
    }


def page(notebook: Path) -> Path:
    """Write an executed notebook as a page beside it, <notebook>.html.

    Args:
        notebook: an executed .ipynb, such as papermill writes.

    Returns:
        The page's path.

    Raises:
        ValueError: the file is not a notebook.
    """
    notebook = user_path(notebook)
    try:
        html = to_html(nbformat.read(notebook, as_version=4), notebook.stem)
    except (ValueError, nbformat.ValidationError):
        raise ValueError(f"{notebook}: is not a notebook; name an executed one, such as papermill writes") from None
    with replacing(notebook.with_suffix(".html")) as partial:
        partial.write_text(html, encoding="utf-8")
    return notebook.with_suffix(".html")


def to_html(executed: nbformat.NotebookNode, title: str) -> str:
    """Convert an executed notebook to one HTML file that loads nothing from the network, without widgets.

    Args:
        executed: the notebook with its outputs.
        title: of the page.
    """
    metadata = {name: value for name, value in executed.metadata.items() if name != "widgets"}
    executed = nbformat.from_dict(executed | {"metadata": metadata})
    for cell in executed.cells:
        cell.update({"outputs": list(filter(_is_seen, cell.outputs))} if "outputs" in cell else {})
    hosts = ("require_js_url", "mathjax_url", "mermaid_js_url", "mermaid_layout_elk_js_url", "jupyter_widgets_base_url")
    exporter = HTMLExporter(exclude_input_prompt=True, exclude_output_prompt=True, **dict.fromkeys(hosts, ""))
    body, _ = exporter.from_notebook_node(executed, {"metadata": {"name": title}})
    return body


def _is_seen(output: nbformat.NotebookNode) -> bool:
    """Remove a widget and its text from an output; return whether anything else remains."""
    data = output.get("data", {})
    if data.pop(CONTROL, None) is None:
        return True
    data.pop("text/plain", None)
    return bool(data)
