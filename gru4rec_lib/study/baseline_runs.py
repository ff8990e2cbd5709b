"""Fit the baselines of a study, rank the test targets and save the results."""

from __future__ import annotations

import pandas as pd

from gru4rec_lib.baselines import Baseline
from gru4rec_lib.preparation.prepare import Prepared, check_targets
from gru4rec_lib.ranking.metrics import scores
from gru4rec_lib.study import results
from gru4rec_lib.study.workspace import Workspace


def rank_baseline(baseline: Baseline, prepared: Prepared, workspace: Workspace) -> pd.DataFrame:
    """Fit one baseline on the sessions of the tested networks, rank the test targets, save ranks and lists.

    These are training and validation where every network is trained again on both (`refit`), else training alone. The
    tracks of protocol `known` are those of both either way.

    Args:
        baseline: one of the study's.
        prepared: arrays.
        workspace: the study's folders.

    Returns:
        Its scores, a row for each protocol.
    """
    refit = all(run.training.refit for run in workspace.study.runs)
    train = prepared.train_and_validation if refit else prepared.train
    ends = None if prepared.ends is None else prepared.ends[: len(train)]
    model = baseline.model_copy().fit(train, prepared.n_items, prepared.features, ends)
    ranks = results.rank(model, prepared, workspace.study)
    results.save(workspace.baseline_folder(baseline.name), ranks, results.lists(model, prepared, workspace.study))
    return scores(ranks).assign(model=baseline.name)


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
