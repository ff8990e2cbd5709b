"""The results of a study's runs and baselines: ranks and lists, computed, saved and read again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from gru4rec_lib.config.study import Study
from gru4rec_lib.evaluation.comparison import CELL, PARTS, TARGET, Ranked
from gru4rec_lib.evaluation.protocols import random_targets, recommended_lists
from gru4rec_lib.preparation.prepare import Prepared
from gru4rec_lib.ranking.exact import rank_table
from gru4rec_lib.study.workspace import Workspace
from gru4rec_lib.utils.arguments import user_path
from gru4rec_lib.utils.atomic_write import replacing

FILES = ("lists.parquet", "ranks.parquet")  # in the order in which they are written


def rank(model, prepared: Prepared, study: Study) -> pd.DataFrame:
    """Rank the test targets under each protocol.

    Args:
        model: a trained GRU4Rec or a fitted baseline.
        prepared: arrays.
        study: sets how many targets are ranked, chosen at random with the split's seed.

    Returns:
        See `rank_table`.
    """
    chosen = _chosen(prepared, study)
    sizes = prepared.n_items, prepared.n_candidates
    return rank_table(model, prepared.test, *sizes, chosen, study.evaluation.ties, study.evaluation.popular)


def lists(model, prepared: Prepared, study: Study) -> pd.DataFrame:
    """Recommend at some of the targets that `rank` ranks under `known`.

    Args:
        model: as for `recommended_lists`.
        prepared: arrays.
        study: sets the number of targets and the length of a list (its cutoff).

    Returns:
        See `recommended_lists`; no rows where the study writes no lists.
    """
    evaluation, seed = study.evaluation, study.split.seed
    chosen = _chosen(prepared, study)
    n, k = evaluation.lists or 0, evaluation.cutoff
    return recommended_lists(model, prepared.test, prepared.n_items, chosen, n, k, seed)


def _chosen(prepared: Prepared, study: Study) -> np.ndarray | None:
    return random_targets(prepared.test, study.evaluation.max_test_events, study.split.seed)


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
    return all((user_path(folder) / name).exists() for name in FILES)


def read(place: Workspace, part: str) -> Ranked:
    """The ranks of every run and baseline of the study, baselines first.

    Args:
        place: the study's.
        part: of PARTS: a protocol, or `cold` for those targets of `open` that training never heard.

    Returns:
        A model a run and baseline, their targets the same.

    Raises:
        FileNotFoundError: a run has not been made; the message names its file.
        ValueError: a run has ranked other targets than the others.
    """
    targets, ranks = None, []
    for folder in _folders(place).values():
        table = PARTS[part](pd.read_parquet(folder / "ranks.parquet")).reset_index(drop=True)
        targets = table[TARGET] if targets is None else targets
        if not targets.equals(table[TARGET]):
            raise ValueError(f"{folder} has ranked other test targets than the rest of the study; delete it, run again")
        ranks.append(table[["rank"]].to_numpy())
    models = pd.DataFrame(list(_folders(place)), columns=[*CELL, "seed"])
    return Ranked(models, targets, ranks, place.study.evaluation.cutoff)


def read_lists(place: Workspace, targets: pd.DataFrame) -> list[pd.DataFrame]:
    """What every run and baseline of the study recommends, in the order of `read`.

    Args:
        place: the study's.
        targets: of `read`, protocol `known`: session, position, target.

    Returns:
        For each its lists.parquet with the column `target`; without rows where the study writes no lists.

    Raises:
        FileNotFoundError: a run has not been made; the message names its file.
        ValueError: a run has lists at other targets than the others.
    """
    at, found, first = ["session", "position"], [], None
    for folder in _folders(place).values():
        lists = pd.read_parquet(folder / "lists.parquet")
        first = lists if first is None else first
        found.append(lists.merge(targets[[*at, "target"]], on=at))
        if not lists[at].equals(first[at]) or len(found[-1]) < len(lists):
            raise ValueError(
                f"{folder} has lists at other test targets than the rest of the study; delete it, run again"
            )
    return found


def _folders(place: Workspace) -> dict[tuple, Path]:
    """For each model, told by CELL and seed, its folder."""
    names = [baseline.name for baseline in place.study.baselines]
    folders = {(name, "", "", "", "", ""): place.baseline_folder(name) for name in names}
    for run in place.study.runs:
        folders["gru4rec", run.input_form, run.output_form, run.loss, run.tag, run.seed] = place.run_folder(run)
    return folders
