"""Fit the baselines of a study, rank the test targets and save the results."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from gru4rec_lib.baselines import Baseline
from gru4rec_lib.data.sessions import Sessions
from gru4rec_lib.preparation.prepare import Prepared, check_targets
from gru4rec_lib.ranking.metrics import mrr, recall, scores
from gru4rec_lib.study import results
from gru4rec_lib.study.workspace import Workspace
from gru4rec_lib.utils.arguments import user_path
from gru4rec_lib.utils.atomic_write import save_table

VALIDATION = {"val_recall_at_20": recall, "val_mrr_at_20": mrr}  # named as in a run's history.csv


def validate(model: Baseline, prepared: Prepared, monitor: str) -> float:
    """Fit a baseline on the training part and score it on the validation part, as for a network after an epoch.

    Args:
        model: not fitted.
        prepared: arrays.
        monitor: `val_recall_at_20` or `val_mrr_at_20`.

    Returns:
        The score, 0 to 1.

    Raises:
        ValueError: the validation part has no target to predict.
    """
    return validation_scores(model, prepared)[monitor]


def validation_scores(model: Baseline, prepared: Prepared) -> dict[str, float]:
    """As `validate`, with both scores by name."""
    validation = prepared.learnable_validation
    if not validation.is_target.any():
        raise ValueError("no validation session holds two tracks known from training: raise `validation_fraction`")
    fit(model, prepared.train, prepared)
    ranks = model.rank(validation, prepared.n_items)
    return {name: score(ranks, 20) for name, score in VALIDATION.items()}


def rank_baseline(baseline: Baseline, prepared: Prepared, workspace: Workspace) -> pd.DataFrame:
    """Score one baseline on validation, fit it on the sessions of the tested networks, rank the test targets.

    It saves validation.csv, lists and ranks.

    The sessions are training and validation where every network is trained again on both (`refit`), else training
    alone. The tracks of protocol `known` are those of both either way.

    Args:
        baseline: one of the study's.
        prepared: arrays.
        workspace: the study's folders.

    Returns:
        Its scores, a row for each protocol.
    """
    model, folder = baseline.model_copy(), workspace.baseline_folder(baseline.name)
    save_table(pd.DataFrame([validation_scores(model, prepared)]), folder, "validation")
    if workspace.study.refits:
        model = fit(baseline.model_copy(), prepared.train_and_validation, prepared)
    ranks = results.rank(model, prepared, workspace.study)
    results.save(folder, ranks, results.lists(model, prepared, workspace.study))
    return scores(ranks).assign(model=baseline.name)


def is_saved(folder: Path) -> bool:
    """Whether a folder holds the files that `rank_baseline` writes.

    Args:
        folder: of a baseline.
    """
    return results.is_saved(folder) and (user_path(folder) / "validation.csv").exists()


def read_validation(workspace: Workspace) -> pd.DataFrame:
    """Read the validation scores of the study's baselines and blends.

    Returns:
        A row a baseline or blend: model, validation_recall_at_20, validation_mrr_at_20; for a blend the means over its
        seeds, on the targets that chose its weights.

    Raises:
        FileNotFoundError: one was not scored on validation; the message names its file.
    """
    study = workspace.study
    folders = [(baseline.name, workspace.baseline_folder(baseline.name)) for baseline in study.baselines]
    folders += [(b.name, workspace.blend_folder(b.name, seed)) for b in study.blends for seed in study.blend_seeds]
    rows = [pd.read_csv(folder / "validation.csv").assign(model=name) for name, folder in folders]
    table = pd.concat(rows) if rows else pd.DataFrame(columns=["model", *VALIDATION])
    table = table.groupby("model", sort=False, as_index=False).mean()
    return table.rename(columns={name: name.replace("val_", "validation_") for name in VALIDATION})


def rank_baselines(prepared: Prepared, workspace: Workspace) -> pd.DataFrame:
    """Call `rank_baseline` for every baseline of the study.

    Args:
        prepared: arrays.
        workspace: the study's folders.

    Returns:
        Their scores, by name.

    Raises:
        DataError: as `check_targets`.
    """
    check_targets(prepared, workspace.study)
    tables = [rank_baseline(baseline, prepared, workspace) for baseline in workspace.study.baselines]
    return pd.concat(tables, ignore_index=True).set_index("model")


def fit(model: Baseline, train: Sessions, prepared: Prepared) -> Baseline:
    """Fit a baseline to the first sessions of prepared arrays, with their ends and the items' features.

    Args:
        model: not fitted.
        train: `prepared.train` or `prepared.train_and_validation`.
        prepared: arrays.
    """
    ends = None if prepared.ends is None else prepared.ends[: len(train)]
    return model.fit(train, prepared.n_items, prepared.features, ends)
