"""The baselines of a study, from prepared arrays to the files of their folders."""

from __future__ import annotations

import pandas as pd

from gru4rec_lib.baselines.registry import BASELINES
from gru4rec_lib.preparation.prepare import Prepared, check_targets
from gru4rec_lib.ranking.metrics import scores
from gru4rec_lib.study import results
from gru4rec_lib.study.workspace import Workspace


def rank_baseline(name: str, prepared: Prepared, place: Workspace) -> pd.DataFrame:
    """Fit one baseline on all training sessions, rank the test targets, save its ranks and lists.

    Args:
        name: of BASELINES.
        prepared: arrays.
        place: the study's folders.

    Returns:
        Its scores, a row for each protocol.
    """
    model = BASELINES[name](prepared).fit(prepared.train_and_validation, prepared.n_items)
    ranks = results.rank(model, prepared, place.study)
    results.save(place.baseline_folder(name), ranks, results.lists(model, prepared, place.study))
    return scores(ranks).assign(model=name)


def rank_baselines(prepared: Prepared, place: Workspace) -> pd.DataFrame:
    """Call `rank_baseline` for every baseline of the study.

    Args:
        prepared: arrays.
        place: the study's folders.

    Returns:
        Their scores, by name, one below the other.

    Raises:
        DataError: as `check_targets`.
    """
    check_targets(prepared, place.study)
    tables = [rank_baseline(name, prepared, place) for name in place.study.baselines]
    return pd.concat(tables, ignore_index=True).set_index("model")
