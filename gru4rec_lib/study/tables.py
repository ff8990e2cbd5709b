"""Tables from the ranks and histories of a study's runs."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd

from gru4rec_lib.config.study import CUTOFF, FORMS_WITH_CONTENT, INPUT_FORMS, PROTOCOLS
from gru4rec_lib.data.columns import Columns
from gru4rec_lib.evaluation.comparison import Ranked, more_scores, scored
from gru4rec_lib.plotting.style import named
from gru4rec_lib.study.results import read
from gru4rec_lib.study.workspace import Workspace
from gru4rec_lib.utils import rounding

IDENTITY = [form for form in INPUT_FORMS if form not in FORMS_WITH_CONTENT]
TABLE_2 = ["study", *Columns.MODEL[:-1], "seed", "protocol", "n_candidates", "n_targets", "recall_at_20", "mrr_at_20"]
TABLE_2 += ["recall_low", "recall_high", "mrr_low", "mrr_high", "recall_with_best", "mrr_with_best"]
TITLES = {"recall": "Recall", "mrr": "MRR", "ndcg": "NDCG"}
ON_VALIDATION = ["validation_recall_at_20", "validation_mrr_at_20"]
ONE_SEED = "¹"  # marks a network of which one training is known
OVER_SEEDS = [{"seed": "seeds"}.get(name, name) for name in TABLE_2] + ["recall_sd", "mrr_sd"]
OVER_WINDOWS = ["study", *Columns.MODEL[:-1], "seeds", "protocol", "windows", "n_targets"]
OVER_WINDOWS += ["recall_at_20", "recall_sd", "mrr_at_20", "mrr_sd"]


def table_2(workspace: Workspace) -> pd.DataFrame:
    """Compute Recall@20 and MRR@20 of every run and baseline, with 95 % intervals over sessions.

    Each run is one training: its interval does not cover another seed.

    Returns:
        A row a model and protocol: the columns of TABLE_2, the scores at the study's other cutoffs and NDCG, and `tag`
        last where a run has one. A row without
        `with_best` differs significantly from the best of its protocol; see `comparison.scored`.
    """
    return _scored(workspace, {protocol: read(workspace, protocol) for protocol in PROTOCOLS}, TABLE_2)


def over_seeds(workspace: Workspace) -> pd.DataFrame:
    """As `table_2`, with the runs that differ in their seed alone in one row: means and standard deviations.

    Returns:
        The columns of OVER_SEEDS, the other scores as in `table_2`, and `tag`. The intervals are over sessions and
        seeds; for a single seed, over sessions alone. `recall_sd` and `mrr_sd` are standard deviations over seeds,
        empty for a single seed.
    """
    return _scored(workspace, {protocol: read(workspace, protocol).over_seeds() for protocol in PROTOCOLS}, OVER_SEEDS)


def over_windows(workspace: Workspace) -> pd.DataFrame:
    """Compute means and standard deviations over the study's windows of each model's scores, means over seeds.

    Returns:
        A row a model and protocol: the columns of OVER_WINDOWS, and `tag` where a run has one. `n_targets` is the sum
        over windows, `recall_sd` and `mrr_sd` are sample standard deviations over windows.
    """
    table = pd.concat([over_seeds(at) for at in workspace.variants("windows").values()], ignore_index=True)
    same = [name for name in (*Columns.MODEL, "seeds", "protocol") if name in table]
    grouped = table.fillna({"tag": ""}).groupby(same, sort=False, dropna=False)
    found = grouped.agg(
        windows=("study", "nunique"),
        n_targets=("n_targets", "sum"),
        recall_at_20=("recall_at_20", "mean"),
        recall_sd=("recall_at_20", "std"),
        mrr_at_20=("mrr_at_20", "mean"),
        mrr_sd=("mrr_at_20", "std"),
    )
    found = found.reset_index().assign(study=workspace.study.name)
    return found[OVER_WINDOWS + (["tag"] if "tag" in found else [])]


def cold_tracks(workspace: Workspace) -> pd.DataFrame:
    """As `table_2`, for the targets that are unseen in training, ranked among all candidates of `open`.

    Returns:
        A row a model; none where every test target is seen in training or has no features.
    """
    return _scored(workspace, {"cold": read(workspace, "cold")}, TABLE_2)


def content_signal(workspace: Workspace) -> pd.DataFrame:
    """Compute Table 2 at each setting of content_signal that the study lists.

    Returns:
        `content_signal` (0 to 1), the columns of `table_2`, `recall_less_identity` and `mrr_less_identity`: a run's
        score less that of the best run without content at the same setting, loss, seed and protocol; empty for
        baselines.
    """
    parts = [table_2(at).assign(content_signal=setting) for setting, at in workspace.variants("content_signal").items()]
    table = pd.concat(parts, ignore_index=True)
    table.insert(0, "content_signal", table.pop("content_signal"))
    same, scored = ["content_signal", "loss", "seed", "protocol"], ["recall_at_20", "mrr_at_20"]
    identity = table[same].join(table[knows_identity_alone(table)].groupby(same)[scored].max(), on=same)
    table[["recall_less_identity", "mrr_less_identity"]] = table[scored] - identity[scored]
    return table


def knows_identity_alone(table: pd.DataFrame) -> pd.Series:
    """Whether the network of each row uses no content features of tracks.

    Args:
        table: with the columns input_form and output_form.

    Returns:
        bool, with the index of `table`.
    """
    return table["input_form"].isin(IDENTITY) & (table["output_form"] == "ids")


def _scored(workspace: Workspace, parts: dict[str, Ranked], columns: list[str]) -> pd.DataFrame:
    columns = [*columns, *more_scores(workspace.study.evaluation.cutoffs, CUTOFF)]
    tables = [scored(part) for part in parts.values() if len(part.targets)]
    if not tables:
        return pd.DataFrame(columns=columns)
    # The index is the model's number: sorting puts its protocols together.
    table = pd.concat(tables).sort_index(kind="stable").reset_index(drop=True).assign(study=workspace.study.name)
    return table[columns + (["tag"] if table["tag"].any() else [])]


def histories(workspace: Workspace) -> pd.DataFrame:
    """Read loss and validation scores of every epoch of every run.

    Returns:
        Columns input_form, output_form, loss, seed, tag, epoch, train_loss, validation_recall_at_20,
        validation_mrr_at_20, seconds.
    """
    return epochs_of_runs(workspace).drop(columns="run")


def epochs_of_runs(workspace: Workspace) -> pd.DataFrame:
    """As `histories`, with the run's name in the column `run`, which joins them to `records`."""
    parts = [
        pd.read_csv(workspace.run_folder(run) / "history.csv")
        .rename(columns=lambda name: {"loss": "train_loss"}.get(name, name.replace("val_", "validation_")))
        .assign(run=run.name, **{name: getattr(run, name) for name in Columns.RUN})
        for run in workspace.study.runs
    ]
    table = pd.concat(parts, ignore_index=True)
    front = ["run", *Columns.RUN, "epoch"]
    return table[front + [name for name in table if name not in front]]


def chosen_epochs(workspace: Workspace) -> pd.DataFrame:
    """Return of `epochs_of_runs` the row of each run's best epoch by its monitored score, in the order of the runs."""
    epochs = epochs_of_runs(workspace)
    monitors = {run.name: run.training.monitor.replace("val_", "validation_") for run in workspace.study.runs}
    return epochs.loc[[own[monitors[name]].idxmax() for name, own in epochs.groupby("run", sort=False)]]


def lead(scores: pd.DataFrame) -> pd.Series:
    """Return how well models do on validation in both scores: the mean of each score relative to the best model's.

    Args:
        scores: a row a model, the columns ON_VALIDATION, 0 to 1.

    Returns:
        float, 0 to 1, with the index of `scores`; missing where a score is missing.
    """
    scores = scores[ON_VALIDATION]
    return (scores / scores.max().where(lambda best: best > 0, 1)).mean(axis=1, skipna=False)


def records(workspace: Workspace) -> dict[str, dict]:
    """Read every run's config.json.

    Returns:
        By the run's name its settings, best_epoch, minutes, seconds and device.
    """
    paths = {run.name: workspace.run_folder(run) / "config.json" for run in workspace.study.runs}
    return {name: json.loads(path.read_text(encoding="utf-8")) for name, path in paths.items()}


def finished_runs(workspace: Workspace) -> pd.DataFrame:
    """List the finished runs in a study's folder, including those outside its grid.

    Returns:
        One row a run: `name` (for reading, such as `content, bpr`), those of Columns.RUN, ON_VALIDATION at its best
        epoch, `leads` (the best by `lead` of the runs that differ in loss and seed alone), folder.
    """
    rows = []
    for path in sorted((workspace.runs / "gru4rec").glob("*/ranks.parquet")):  # written last by a run
        config = json.loads((path.parent / "config.json").read_text(encoding="utf-8"))
        history = pd.read_csv(path.parent / "history.csv").set_index("epoch")
        scores = history.loc[config["best_epoch"], ["val_recall_at_20", "val_mrr_at_20"]]
        rows.append([*map(config.get, Columns.RUN), *scores, path.parent])
    table = pd.DataFrame(rows, columns=[*Columns.RUN, *ON_VALIDATION, "folder"])
    name = named(table) + ", " + table["loss"]
    table.insert(0, "name", name.where(~name.duplicated(keep=False), name + ", seed " + table["seed"].astype(str)))
    best = table.loc[lead(table).sort_values(ascending=False, kind="stable").index]
    table["leads"] = table.index.isin(best.drop_duplicates(["input_form", "output_form", "tag"]).index)
    return table


def printed(table: pd.DataFrame, score: str = "recall", protocol: str = "known") -> pd.DataFrame:
    """Format Table 2 as the course paper prints it, a row a model, a column a loss, and add intervals and tests.

    Args:
        table: of `over_seeds`.
        score: `recall` or `mrr`.
        protocol: `known` or `open`.

    Returns:
        Texts such as `0.353 (0.336 to 0.370) ≈`: score, interval, and a mark for the best model of the whole table (★)
        or one that does not differ significantly from it (≈), and another for a network with one seed (ONE_SEED). A
        baseline has the same text under every loss.
    """
    table = table[table["protocol"] == protocol]
    best = table[f"{score}_at_20"] == table[f"{score}_at_20"].max()
    mark = np.where(best, " ★", np.where(table[f"{score}_with_best"], " ≈", ""))
    trained = table["loss"] != ""
    one_seed = np.where(trained & (table["seeds"] == 1), f" {ONE_SEED}", "")
    table = table.assign(text=with_interval(table, score) + mark + one_seed, name=named(table))
    wide = table[trained].pivot_table("text", "name", "loss", aggfunc="first", sort=False)
    for baseline, text in table.loc[~trained, ["name", "text"]].to_numpy():
        wide.loc[baseline] = text
    return wide.fillna("").rename_axis(index=None, columns=None)


def printed_cutoffs(table: pd.DataFrame, protocol: str = "known") -> pd.DataFrame:
    """Format Recall, MRR and NDCG at every cutoff for reading: a row a model and loss, the best NDCG@20 first.

    Args:
        table: of `over_seeds`.
        protocol: `known` or `open`.

    Returns:
        Texts such as `0.353` in columns such as `Recall@5`.
    """
    table = table[table["protocol"] == protocol].sort_values(f"ndcg_at_{CUTOFF}", ascending=False, kind="stable")
    cutoffs = sorted({int(name.partition("_at_")[2]) for name in table if "_at_" in name})
    names = [f"{score}_at_{k}" for score in TITLES for k in cutoffs]
    wide = table[names].map(rounding.fixed)
    wide.columns = [f"{TITLES[score]}@{k}" for score, k in (name.split("_at_") for name in names)]
    return wide.set_index(pd.MultiIndex.from_arrays([named(table), table["loss"]], names=["", "loss"]))


def with_interval(table: pd.DataFrame, score: str) -> pd.Series:
    """Format scores with their intervals, such as `0.353 (0.336 to 0.370)`; see `rounding.with_interval`.

    Args:
        table: with the columns <score>_at_20, <score>_low, <score>_high.
        score: `recall` or `mrr`.
    """
    columns = table[[f"{score}_{what}" for what in ("at_20", "low", "high")]]
    return pd.Series([rounding.with_interval(*row) for row in columns.to_numpy()], table.index)
