"""Tables from ranks, and the published copies of a study."""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
from nbconvert import HTMLExporter

from gru4rec_lib.config.study import FORMS_WITH_CONTENT, INPUT_FORMS, PROTOCOLS
from gru4rec_lib.evaluation.comparison import CELL, Ranked, scored
from gru4rec_lib.plotting.style import named
from gru4rec_lib.study.results import read
from gru4rec_lib.study.workspace import Workspace
from gru4rec_lib.utils import rounding
from gru4rec_lib.utils.arguments import user_path
from gru4rec_lib.utils.atomic_write import replacing, replacing_folder

IDENTITY = [form for form in INPUT_FORMS if form not in FORMS_WITH_CONTENT]
TABLES, FIGURES = (".csv",), (".csv", ".pdf", ".png", ".svg")  # what is published
CONTROL = "application/vnd.jupyter.widget-view+json"
MANIFEST, PAPER = "manifest.json", ("paper.pdf", "paper.html")
TABLE_2 = ["study", *CELL[:-1], "seed", "protocol", "n_candidates", "n_targets", "recall_at_20", "mrr_at_20"]
TABLE_2 += ["recall_low", "recall_high", "mrr_low", "mrr_high", "recall_with_best", "mrr_with_best"]
OVER_SEEDS = [{"seed": "seeds"}.get(name, name) for name in TABLE_2] + ["recall_sd", "mrr_sd"]


def table_2(place: Workspace) -> pd.DataFrame:
    """Recall@20 and MRR@20 of every model with 95 % intervals over sessions, a row a run and protocol.

    Args:
        place: the study's.

    Returns:
        The columns of TABLE_2, and `tag` behind them where runs of a cell differ in their settings. What is not
        `with_best` differs from the best run of its protocol by a test; see `comparison.scored`.
    """
    return _scored(place, {protocol: read(place, protocol) for protocol in PROTOCOLS}, TABLE_2)


def over_seeds(place: Workspace) -> pd.DataFrame:
    """As `table_2`, with the runs of a cell in one row: means over its seeds, and the spread between them.

    Args:
        place: the study's.

    Returns:
        The columns of OVER_SEEDS, and `tag`. The intervals tell what other sessions would change, `recall_sd` and
        `mrr_sd` what another seed would; they are empty for a single seed.
    """
    return _scored(place, {protocol: read(place, protocol).over_seeds() for protocol in PROTOCOLS}, OVER_SEEDS)


def cold_tracks(place: Workspace) -> pd.DataFrame:
    """As `table_2`, for targets never heard in training alone, ranked among all candidates of `open`.

    Args:
        place: the study's.

    Returns:
        A row a run; none where every test target was heard in training or has no features.
    """
    return _scored(place, {"cold": read(place, "cold")}, TABLE_2)


def content_signal(place: Workspace) -> pd.DataFrame:
    """Table 2 at each setting of content_signal that the study lists, and each run's distance from identity.

    Args:
        place: the study's.

    Returns:
        `content_signal` (0 to 1) and the columns of `table_2`; behind them `recall_less_identity` and
        `mrr_less_identity`: a run's score less the better one of the runs that know tracks by identity alone (IDENTITY)
        at the same setting, loss, seed and protocol. Baselines have none.
    """
    parts = [table_2(at).assign(content_signal=setting) for setting, at in place.curve.items()]
    table = pd.concat(parts, ignore_index=True)
    table.insert(0, "content_signal", table.pop("content_signal"))
    same, scored = ["content_signal", "loss", "seed", "protocol"], ["recall_at_20", "mrr_at_20"]
    identity = table[same].join(table[knows_identity_alone(table)].groupby(same)[scored].max(), on=same)
    table[["recall_less_identity", "mrr_less_identity"]] = table[scored] - identity[scored]
    return table


def knows_identity_alone(table: pd.DataFrame) -> pd.Series:
    """Whether the network of each row is told nothing of a track but which one it is; bool.

    Args:
        table: with the columns input_form and output_form.
    """
    return table["input_form"].isin(IDENTITY) & (table["output_form"] == "ids")


def _scored(place: Workspace, parts: dict[str, Ranked], columns: list[str]) -> pd.DataFrame:
    tables = [scored(part) for part in parts.values() if len(part.targets)]
    if not tables:
        return pd.DataFrame(columns=columns)
    # The index is the model's number: its protocols come together.
    table = pd.concat(tables).sort_index(kind="stable").reset_index(drop=True).assign(study=place.study.name)
    return table[columns + (["tag"] if table["tag"].any() else [])]


def histories(place: Workspace) -> pd.DataFrame:
    """Loss and validation scores of every epoch of every run: input_form, output_form, loss, seed, tag, epoch, ...

    Args:
        place: the study's.

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


def records(place: Workspace) -> list[dict]:
    """What every run says of itself, its config.json: settings, best_epoch, minutes, seconds, device.

    Args:
        place: the study's.

    Returns:
        Plain JSON, in the order of `place.study.runs`.
    """
    return [json.loads((place.run_folder(run) / "config.json").read_text(encoding="utf-8")) for run in place.study.runs]


def finished_runs(place: Workspace) -> pd.DataFrame:
    """The finished trainings in a study's folder, also those that its grid does not name.

    Args:
        place: the study's.

    Returns:
        One row a run: `name` (for people, such as `content, bpr`), input_form, output_form, loss, seed, tag,
        validation_recall_at_20, `leads` (the best by it of the runs that differ in loss and seed alone), folder.
    """
    told = ["input_form", "output_form", "loss", "seed", "tag"]
    rows = []
    for path in sorted((place.runs / "gru4rec").glob("*/ranks.parquet")):  # which a run writes last
        config = json.loads((path.parent / "config.json").read_text(encoding="utf-8"))
        best = pd.read_csv(path.parent / "history.csv")["val_recall_at_20"].max()
        rows.append([*map(config.get, told), best, path.parent])
    table = pd.DataFrame(rows, columns=[*told, "validation_recall_at_20", "folder"])
    name = named(table) + ", " + table["loss"]
    table.insert(0, "name", name.where(~name.duplicated(keep=False), name + ", seed " + table["seed"].astype(str)))
    best = table.sort_values("validation_recall_at_20", ascending=False, kind="stable")
    table["leads"] = table.index.isin(best.drop_duplicates(["input_form", "output_form", "tag"]).index)
    return table


def printed(table: pd.DataFrame, score: str = "recall", protocol: str = "known") -> pd.DataFrame:
    """Table 2 as the paper prints it, a row a model, a column a loss, with what the paper leaves out.

    Args:
        table: of `over_seeds`.
        score: `recall` or `mrr`.
        protocol: `known` or `open`.

    Returns:
        Texts such as `0.353 (0.336 to 0.370) ≈`: score, interval, and a mark where the model is the best of the whole
        table (★) or cannot be told from it (≈). A baseline has the same text under every loss.
    """
    table = table[table["protocol"] == protocol]
    best = table[f"{score}_at_20"] == table[f"{score}_at_20"].max()
    mark = np.where(best, " ★", np.where(table[f"{score}_with_best"], " ≈", ""))
    table = table.assign(text=with_interval(table, score) + mark, name=named(table))
    trained = table["loss"] != ""
    wide = table[trained].pivot_table("text", "name", "loss", aggfunc="first", sort=False)
    for baseline, said in table.loc[~trained, ["name", "text"]].to_numpy():
        wide.loc[baseline] = said
    return wide.fillna("").rename_axis(index=None, columns=None)


def with_interval(table: pd.DataFrame, score: str) -> pd.Series:
    """Texts such as `0.353 (0.336 to 0.370)`; see `rounding.with_interval`.

    Args:
        table: with the columns <score>_at_20, <score>_low, <score>_high.
        score: `recall` or `mrr`.
    """
    columns = table[[f"{score}_{what}" for what in ("at_20", "low", "high")]]
    return pd.Series([rounding.with_interval(*row) for row in columns.to_numpy()], table.index)


def publish(place: Workspace) -> None:
    """Copy tables, paper, manifest and figures to reports/<study> and figures/<study>, executed notebooks as HTML.

    runs/<study>/published.json, written last, tells that it was done. Nothing of the graph reads the copies.

    Args:
        place: the study's.

    Raises:
        FileNotFoundError: the study was not run.
    """
    if not place.tables.is_dir():
        told = f"there is nothing to publish yet; `make reproduce STUDY={place.study.name}` comes first"
        raise FileNotFoundError(f"{place.tables}: {told}")
    with replacing_folder(place.published_figures) as figures, replacing_folder(place.published_reports) as reports:
        for source, kinds, folder in ((place.tables, TABLES, reports), (place.figures, FIGURES, figures)):
            # A name with a dot in front is a file half written by a run that was killed.
            for path in sorted(p for p in source.iterdir() if p.suffix in kinds and not p.name.startswith(".")):
                shutil.copyfile(path, folder / path.name)
        for name in (MANIFEST, *PAPER):
            shutil.copyfile(place.runs / name, reports / name)
        for name, page in executed_notebooks(place).items():
            html = to_html(page, name)
            # Where it was made is no result.
            for path, said in ((sys.prefix, "python"), (place.root, "."), (place.raw, f"/path/to/{place.raw.name}")):
                html = html.replace(str(path), said)
            (reports / f"{name}.html").write_text(html, encoding="utf-8")
    with replacing(place.runs / "published.json") as path:
        shutil.copyfile(place.runs / MANIFEST, path)


def executed_notebooks(place: Workspace) -> dict[str, nbformat.NotebookNode]:
    """The executed notebooks of the study as it stands; a run that left the grid has its folder still.

    Args:
        place: the study's.

    Returns:
        For each name of a page the notebook, in the order of the names.
    """
    found = {path.stem: path for path in place.runs.glob("[0-9][0-9]_*.ipynb")}
    for run in place.study.runs:
        found |= {f"{p.stem}-{run.name}": p for p in place.run_folder(run).glob("[0-9][0-9]_*.ipynb")}
    return {name: nbformat.read(path, as_version=4) for name, path in sorted(found.items())}


def manifest(place: Workspace) -> dict:
    """What made the products: commit, config, versions, data fingerprint, seeds, device, minutes of each notebook.

    Args:
        place: the study's.

    Returns:
        These facts; `other_settings`, where the study runs along a curve, holds those of its other settings.
    """
    others = [manifest_of(at) for at in place.curve.values() if at is not place]
    return manifest_of(place) | ({"other_settings": others} if others else {})


def manifest_of(place: Workspace) -> dict:
    """The facts of `manifest` for the study at its own setting alone.

    Args:
        place: the study's.

    Returns:
        Plain JSON: study, simulated, commit, config, versions, data_sha256, seeds, device, minutes, minutes_total.
    """
    pages = executed_notebooks(place)
    minutes = {name: round(page.metadata["papermill"]["duration"] / 60, 2) for name, page in pages.items()}
    prepared = (place.prepared / "prepared.json").read_bytes()
    # What made the numbers, not what publishes them: a run may be older than the last commit.
    names = [name for name in minutes if not name.startswith("03_")] + [run.name for run in place.study.runs]
    made_by = [json.loads(place.record(name).read_text(encoding="utf-8"))["made_by"] for name in names]
    return {
        "study": place.study.name,
        "simulated": place.is_simulated,
        "commit": sorted({facts.pop("commit") for facts in made_by}),
        "config": place.study.model_dump(mode="json"),
        "versions": [dict(facts) for facts in sorted({tuple(facts.items()) for facts in made_by})],
        "data_sha256": hashlib.sha256(prepared).hexdigest(),
        "seeds": sorted({run.seed for run in place.study.runs}),
        "device": sorted({run["device"] for run in records(place)}),
        "minutes": minutes,
        "minutes_total": round(sum(minutes.values()), 1),
    }


def page(notebook: Path) -> Path:
    """Write an executed notebook as a page beside it, <notebook>.html.

    Args:
        notebook: such as papermill writes.

    Returns:
        The page's path.

    Raises:
        ValueError: the file is no notebook.
    """
    notebook = user_path(notebook)
    try:
        html = to_html(nbformat.read(notebook, as_version=4), notebook.stem)
    except (ValueError, nbformat.ValidationError):
        raise ValueError(f"{notebook}: is no notebook; name one that was executed, such as papermill writes") from None
    with replacing(notebook.with_suffix(".html")) as partial:
        partial.write_text(html, encoding="utf-8")
    return notebook.with_suffix(".html")


def to_html(executed: nbformat.NotebookNode, title: str) -> str:
    """An executed notebook as one HTML file that asks no host for anything when it is opened; controls are left out.

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
    """Take a control and its text out of an output; false where nothing else is in it."""
    data = output.get("data", {})
    if data.pop(CONTROL, None) is None:
        return True
    data.pop("text/plain", None)
    return bool(data)
