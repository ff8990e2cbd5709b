"""Tables from ranks, and the published copies of a study."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import nbformat
import pandas as pd
from nbconvert import HTMLExporter

from gru4rec_lib.drawing import named
from gru4rec_lib.files import replacing, replacing_folder
from gru4rec_lib.metrics import cold, scores
from gru4rec_lib.workspace import Workspace

CELL = ["model", "input_form", "output_form", "loss", "seed", "tag"]
TABLES, FIGURES = (".csv",), (".csv", ".pdf", ".svg")  # what is published
TABLE_2 = ["study", *CELL[:-1], "protocol", "n_candidates", "n_targets", "recall_at_20", "mrr_at_20"]


def ranks(place: Workspace) -> dict[tuple, pd.DataFrame]:
    """The ranks of every run and baseline of the study.

    Returns:
        For each (model, input_form, output_form, loss, seed, tag) the content of its ranks.parquet, baselines first.

    Raises:
        FileNotFoundError: a run has not been made; the message names its file.
    """
    files = {(name, "", "", "", "", ""): place.baseline_folder(name) for name in place.study.baselines}
    for run in place.study.runs:
        files["gru4rec", run.input_form, run.output_form, run.loss, run.seed, run.tag] = place.run_folder(run)
    return {cell: pd.read_parquet(folder / "ranks.parquet") for cell, folder in files.items()}


def table_2(place: Workspace) -> pd.DataFrame:
    """Recall@20 and MRR@20 of every model, a row a run and protocol.

    Returns:
        The columns of TABLE_2, and `tag` behind them where runs of a cell differ in their settings.
    """
    return _scored(place, lambda table: table)


def cold_tracks(place: Workspace) -> pd.DataFrame:
    """As `table_2`, for targets never heard in training alone, ranked among all candidates of `open`.

    Returns:
        A row a run; none where every test target was heard in training or has no features.
    """
    return _scored(place, cold)


def _scored(place: Workspace, part_of: Callable[[pd.DataFrame], pd.DataFrame]) -> pd.DataFrame:
    parts = []
    for cell, table in ranks(place).items():
        part = scores(part_of(table), place.study.evaluation.cutoff)
        parts.append(part.assign(study=place.study.name, **dict(zip(CELL, cell, strict=True))))
    table = pd.concat(parts, ignore_index=True)
    return table[TABLE_2 + (["tag"] if table["tag"].any() else [])]


def histories(place: Workspace) -> pd.DataFrame:
    """Loss and validation scores of every epoch of every run: input_form, output_form, loss, seed, tag, epoch, ...

    Returns:
        Columns input_form, output_form, loss, seed, tag, epoch, train_loss, validation_recall_at_20,
        validation_mrr_at_20, seconds.
    """
    parts = [
        pd.read_csv(place.run_folder(run) / "history.csv")
        .rename(columns=lambda name: {"loss": "train_loss"}.get(name, name.replace("val_", "validation_")))
        .assign(input_form=run.input_form, output_form=run.output_form, loss=run.loss, seed=run.seed, tag=run.tag)
        for run in place.study.runs
    ]
    table = pd.concat(parts, ignore_index=True)
    front = ["input_form", "output_form", "loss", "seed", "tag", "epoch"]
    return table[front + [name for name in table if name not in front]]


def pivot(table: pd.DataFrame, score: str = "recall_at_20", protocol: str = "known") -> pd.DataFrame:
    """Table 2 as the paper prints it: a row a model, a column a loss.

    Args:
        table: of `table_2`.
        score: `recall_at_20` or `mrr_at_20`.
        protocol: `known` or `open`.

    Returns:
        Means over seeds; a baseline has the same value under every loss.
    """
    table = table[table["protocol"] == protocol]
    name = named(table)
    trained = table["loss"] != ""
    wide = table[trained].pivot_table(score, name[trained], "loss", aggfunc="mean", sort=False)
    for baseline, value in zip(name[~trained], table.loc[~trained, score], strict=True):
        wide.loc[baseline] = value
    return wide.rename_axis(index=None, columns=None)


def publish(place: Workspace) -> None:
    """Copy tables and figures to reports/<study> and figures/<study>, executed notebooks as HTML, and a manifest.

    runs/<study>/published.json, written last, tells that it was done. Nothing of the graph reads the copies.
    """
    with replacing_folder(place.published_figures) as figures, replacing_folder(place.published_reports) as reports:
        for source, kinds, folder in ((place.tables, TABLES, reports), (place.figures, FIGURES, figures)):
            # A name with a dot in front is a file half written by a run that was killed.
            for path in sorted(p for p in source.iterdir() if p.suffix in kinds and not p.name.startswith(".")):
                shutil.copyfile(path, folder / path.name)
        minutes = {}
        for name, path in executed_notebooks(place).items():
            executed = nbformat.read(path, as_version=4)
            minutes[name] = round(executed.metadata["papermill"]["duration"] / 60, 2)
            (reports / f"{name}.html").write_text(to_html(executed, name), encoding="utf-8")
        manifest = json.dumps(manifest_of(place, minutes), indent=1) + "\n"
        (reports / "manifest.json").write_text(manifest, encoding="utf-8")
    with replacing(place.runs / "published.json") as path:
        path.write_text(manifest, encoding="utf-8")


def executed_notebooks(place: Workspace) -> dict[str, Path]:
    """The executed notebooks of the study as it stands; a run that left the grid has its folder still.

    Returns:
        For each name of a page the notebook's file, in the order of the names.
    """
    found = {path.stem: path for path in place.runs.glob("[0-9][0-9]_*.ipynb")}
    for run in place.study.runs:
        found |= {f"{p.stem}-{run.name}": p for p in place.run_folder(run).glob("[0-9][0-9]_*.ipynb")}
    return dict(sorted(found.items()))


def manifest_of(place: Workspace, minutes: dict[str, float]) -> dict:
    """What made the products: commit, config, versions, data fingerprint, seeds, device, minutes.

    Args:
        place: the study's.
        minutes: wall time of each notebook.
    """
    prepared = (place.prepared / "prepared.json").read_bytes()
    # What made the numbers, not what publishes them: a run may be older than the last commit.
    names = [name for name in minutes if not name.startswith("03_")] + [run.name for run in place.study.runs]
    made_by = [json.loads(place.record(name).read_text(encoding="utf-8"))["made_by"] for name in names]
    runs = [json.loads((place.run_folder(run) / "config.json").read_text(encoding="utf-8")) for run in place.study.runs]
    return {
        "study": place.study.name,
        "simulated": place.is_simulated,
        "commit": sorted({facts.pop("commit") for facts in made_by}),
        "config": place.study.model_dump(mode="json"),
        "versions": [dict(facts) for facts in sorted({tuple(facts.items()) for facts in made_by})],
        "data_sha256": hashlib.sha256(prepared).hexdigest(),
        "seeds": sorted({run.seed for run in place.study.runs}),
        "device": sorted({run["device"] for run in runs}),
        "minutes": minutes,
        "minutes_total": round(sum(minutes.values()), 1),
    }


def to_html(executed: nbformat.NotebookNode, title: str) -> str:
    """An executed notebook as one HTML file that asks no host for anything when it is opened."""
    hosts = ("require_js_url", "mathjax_url", "mermaid_js_url", "mermaid_layout_elk_js_url", "jupyter_widgets_base_url")
    exporter = HTMLExporter(exclude_input_prompt=True, exclude_output_prompt=True, **dict.fromkeys(hosts, ""))
    body, _ = exporter.from_notebook_node(executed, {"metadata": {"name": title}})
    return body
