"""The test, opened once: ranks of the test targets, from any model, to the file that everything else is made from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from gru4rec_lib.config import Study
from gru4rec_lib.files import replacing
from gru4rec_lib.prepare import Prepared
from gru4rec_lib.ranking import rank_table


def rank(model, prepared: Prepared, study: Study) -> pd.DataFrame:
    """Rank the test targets under each protocol: what every table and figure comes from.

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
    return rank_table(
        model,
        prepared.test,
        prepared.n_items,
        prepared.n_candidates,
        chosen,
        study.evaluation.ties,
        study.evaluation.popular,
    )


def save_ranks(folder: Path, ranks: pd.DataFrame) -> None:
    """Write ranks.parquet."""
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(folder / "ranks.parquet") as path:
        ranks.to_parquet(path, index=False)
