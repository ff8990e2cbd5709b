"""The test, opened once: ranks and lists of any model, to the files that everything else is made from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from gru4rec_lib.config.study import Study
from gru4rec_lib.preparation.prepare import Prepared, chosen_targets
from gru4rec_lib.ranking.exact import rank_table
from gru4rec_lib.utils.arguments import user_path
from gru4rec_lib.utils.atomic_write import replacing

FILES = ("lists.parquet", "ranks.parquet")  # in the order in which they are written


def rank(model, prepared: Prepared, study: Study) -> pd.DataFrame:
    """Rank the test targets under each protocol: what every table and figure comes from.

    Args:
        model: a trained GRU4Rec or a fitted baseline.
        prepared: arrays.
        study: says how many targets to rank, chosen at random with the split's seed.

    Returns:
        See `ranking.rank_table`.
    """
    return rank_table(
        model,
        prepared.test,
        prepared.n_items,
        prepared.n_candidates,
        chosen_targets(prepared, study),
        study.evaluation.ties,
        study.evaluation.popular,
    )


def lists(model, prepared: Prepared, study: Study) -> pd.DataFrame:
    """What a model recommends at some of the targets that `rank` ranks under `known`, the same for every model.

    Args:
        model: has `top(sessions, n_candidates, chosen, k) -> int32 [chosen targets, k]`, see `GRU4Rec.top`.
        prepared: arrays.
        study: says how many targets, chosen at random with the split's seed, and how long a list is (its cutoff).

    Returns:
        One row a recommended track: session (number in the test set) and position (1.. in the test session) of the
        target, place (1 is best), item (item index). A list is shorter where there are fewer training tracks; no rows
        where the study leaves lists out.
    """
    test, k = prepared.test, study.evaluation.cutoff
    seen = test.known(prepared.n_items)
    ranked = chosen_targets(prepared, study)
    known = test.keep(seen)
    targets = np.flatnonzero(known.targets(None if ranked is None else ranked[seen]))
    wanted = np.zeros(len(known.items), bool)
    n = min(study.evaluation.lists or 0, len(targets))
    wanted[np.random.default_rng([study.split.seed, 3]).choice(targets, n, replace=False)] = True
    # The model need not walk through the other sessions.
    session = known.session_of_event[wanted]
    held = np.isin(known.session_of_event, session)
    part = known.take(np.unique(session))
    items = model.top(part, prepared.n_items, wanted[held], k)
    rows = {"session": session, "position": test.position_of_event[seen][wanted]}
    table = pd.DataFrame({name: np.repeat(values, k) for name, values in rows.items()}, dtype=np.int32)
    table = table.assign(place=np.tile(np.arange(1, k + 1, dtype=np.int32), n), item=items.ravel())
    return table[table["item"] >= 0].reset_index(drop=True)


def save(folder: Path, ranks: pd.DataFrame, lists: pd.DataFrame) -> None:
    """Write FILES.

    Args:
        folder: of a run or a baseline.
        ranks: of `rank`.
        lists: of `lists`.
    """
    folder = user_path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name, table in zip(FILES, (lists, ranks), strict=True):
        with replacing(folder / name) as path:
            table.to_parquet(path, index=False)


def is_saved(folder: Path) -> bool:
    """Whether a folder holds what `save` writes.

    Args:
        folder: of a run or a baseline.
    """
    folder = user_path(folder)
    return all((folder / name).exists() for name in FILES)
