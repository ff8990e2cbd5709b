"""The test, opened once: ranks of the test targets, from any model, to the file that everything else is made from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from gru4rec_lib.baselines import BASELINES
from gru4rec_lib.config import Study
from gru4rec_lib.files import replacing
from gru4rec_lib.metrics import scores
from gru4rec_lib.prepare import Prepared
from gru4rec_lib.ranking import rank_table
from gru4rec_lib.workspace import Workspace


def rank(model, prepared: Prepared, study: Study) -> pd.DataFrame:
    """Rank the test targets under both protocols: what every table and figure comes from.

    Args:
        model: a trained GRU4Rec or a fitted baseline.
        prepared: arrays.
        study: says how many targets to rank, chosen at random with the split's seed.
    """
    chosen, wanted = None, study.evaluation.max_test_events
    targets = np.flatnonzero(prepared.test.is_target)
    if wanted and wanted < len(targets):
        chosen = np.zeros(len(prepared.test.items), bool)
        chosen[np.random.default_rng([study.split.seed, 2]).choice(targets, wanted, replace=False)] = True
    return rank_table(model, prepared.test, prepared.n_items, prepared.n_candidates, chosen)


def save_ranks(folder: Path, ranks: pd.DataFrame) -> None:
    """Write ranks.parquet."""
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(folder / "ranks.parquet") as path:
        ranks.to_parquet(path, index=False)


def rank_baseline(name: str, prepared: Prepared, place: Workspace) -> pd.DataFrame:
    """Fit one baseline on all training sessions, rank the test targets, write its ranks.parquet.

    Args:
        name: of BASELINES.
        prepared: arrays.
        place: the study's.

    Returns:
        Its scores, a row for each protocol.
    """
    model = BASELINES[name]().fit(prepared.train_and_validation, prepared.n_items)
    ranks = rank(model, prepared, place.study)
    save_ranks(place.baseline_folder(name), ranks)
    return scores(ranks).assign(model=name)


def rank_baselines(prepared: Prepared, place: Workspace) -> pd.DataFrame:
    """`rank_baseline` for every baseline of the study; their scores, one below the other."""
    tables = [rank_baseline(name, prepared, place) for name in place.study.baselines]
    return pd.concat(tables, ignore_index=True).set_index("model")
