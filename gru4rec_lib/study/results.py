"""The results of a study's runs, blends and baselines: compute, save and read their ranks and lists."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pandas as pd

from gru4rec_lib.config.study import CUTOFF, Study
from gru4rec_lib.data.columns import Columns
from gru4rec_lib.evaluation.comparison import PARTS, Ranked
from gru4rec_lib.evaluation.protocols import WithoutHeard, recommended_lists
from gru4rec_lib.preparation.prepare import Prepared, chosen_targets
from gru4rec_lib.ranking.exact import rank_table
from gru4rec_lib.study.workspace import Workspace
from gru4rec_lib.utils.arguments import user_path
from gru4rec_lib.utils.atomic_write import replacing

FILES = ("lists.parquet", "ranks.parquet")  # in the order of writing


def rank(model, prepared: Prepared, study: Study) -> pd.DataFrame:
    """Rank the test targets under each protocol.

    Args:
        model: a trained GRU4Rec or a fitted baseline.
        prepared: arrays.
        study: its evaluation settings.

    Returns:
        See `rank_table`.
    """
    model = WithoutHeard(model) if study.evaluation.exclude_heard else model
    chosen = chosen_targets(prepared.test, study)
    sizes = prepared.n_items, prepared.n_candidates
    return rank_table(model, prepared.test, *sizes, chosen, study.evaluation.ties, study.evaluation.popular)


def lists(model, prepared: Prepared, study: Study) -> pd.DataFrame:
    """Recommend tracks at a random choice of the targets that `rank` ranks under `known`.

    Args:
        model: as for `recommended_lists`.
        prepared: arrays.
        study: its evaluation settings have the number of targets; a list has CUTOFF tracks.

    Returns:
        See `recommended_lists`; no rows where the study writes no lists.
    """
    evaluation, seed = study.evaluation, study.split.seed
    model = WithoutHeard(model) if evaluation.exclude_heard else model
    chosen = chosen_targets(prepared.test, study)
    return recommended_lists(model, prepared.test, prepared.n_items, chosen, evaluation.lists or 0, CUTOFF, seed)


def save(folder: Path, ranks: pd.DataFrame, lists: pd.DataFrame) -> None:
    """Write lists and ranks to a folder; ranks last, as they mark a finished run.

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
    """Whether a folder holds the files that `save` writes.

    Args:
        folder: of a run or a baseline.
    """
    return all((user_path(folder) / name).exists() for name in FILES)


def read(workspace: Workspace, part: str) -> Ranked:
    """Read the ranks of every baseline, blend and run of the study, in this order.

    Args:
        part: of PARTS: a protocol, or `cold` for the targets of `open` that are unseen in training.

    Returns:
        A model for each of them, all with the same targets.

    Raises:
        FileNotFoundError: a run has not finished; the message names its file.
        ValueError: a run has ranked other targets than the others.
    """
    targets, ranks = None, []
    for folder in _folders(workspace).values():
        table = PARTS[part](pd.read_parquet(folder / "ranks.parquet")).reset_index(drop=True)
        targets = table[Columns.TARGET] if targets is None else targets
        if not targets.equals(table[Columns.TARGET]):
            raise ValueError(f"{folder} has ranked other test targets than the rest of the study; delete it, run again")
        ranks.append(table[["rank"]].to_numpy())
    models = pd.DataFrame(list(_folders(workspace)), columns=[*Columns.MODEL, "seed"])
    return Ranked(models, targets, ranks, CUTOFF, workspace.study.evaluation.cutoffs)


def read_lists(workspace: Workspace, targets: pd.DataFrame) -> list[pd.DataFrame]:
    """Read the recommendations of every baseline, blend and run of the study, in the order of `read`.

    Args:
        targets: of `read`, protocol `known`: session, position, target.

    Returns:
        For each its lists.parquet with the column `target`; no rows where the study writes no lists.

    Raises:
        FileNotFoundError: a run has not finished; the message names its file.
        ValueError: a run has lists at other targets than the others.
    """
    found, first = [], None
    for folder in _folders(workspace).values():
        lists = pd.read_parquet(folder / "lists.parquet")
        first = lists if first is None else first
        found.append(lists.merge(targets[[*Columns.EVENT, "target"]], on=Columns.EVENT))
        if not lists[Columns.EVENT].equals(first[Columns.EVENT]) or len(found[-1]) < len(lists):
            raise ValueError(
                f"{folder} has lists at other test targets than the rest of the study; delete it, run again"
            )
    return found


def _folders(workspace: Workspace) -> dict[tuple, Path]:
    """The folder of each model by Columns.MODEL and seed."""
    names = [baseline.name for baseline in workspace.study.baselines]
    folders = {(name, "", "", "", "", ""): workspace.baseline_folder(name) for name in names}
    for blend, seed in product(workspace.study.blends, workspace.study.blend_seeds):
        folders[blend.name, "", "", "", "", seed] = workspace.blend_folder(blend.name, seed)
    for run in workspace.study.runs:
        folders["gru4rec", run.input_form, run.output_form, run.loss, run.tag, run.seed] = workspace.run_folder(run)
    return folders
