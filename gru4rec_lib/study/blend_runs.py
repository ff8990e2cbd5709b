"""Choose the weights of a study's blends on validation, rank the test targets and save the results."""

from __future__ import annotations

import json
from collections.abc import Iterable
from itertools import product

import pandas as pd

from gru4rec_lib.baselines.base import SparseBaseline
from gru4rec_lib.blending.blend import Blend
from gru4rec_lib.blending.parts import Parts
from gru4rec_lib.blending.weights import choose
from gru4rec_lib.config.study import BlendOf, Run
from gru4rec_lib.data.columns import Columns
from gru4rec_lib.data.sessions import Sessions
from gru4rec_lib.evaluation.protocols import random_targets
from gru4rec_lib.preparation.prepare import Prepared, check_targets
from gru4rec_lib.ranking.metrics import scores
from gru4rec_lib.serving import network_folder
from gru4rec_lib.study import results, runs
from gru4rec_lib.study.baseline_runs import VALIDATION, fit
from gru4rec_lib.study.tables import chosen_epochs
from gru4rec_lib.study.workspace import Workspace
from gru4rec_lib.utils.atomic_write import replacing, save_table

VALIDATION_TARGETS = 5000  # a random choice of so many, for time
SCORES = ["validation_recall_at_20", "validation_mrr_at_20"]


def leading_run(workspace: Workspace, seed: int) -> Run:
    """Return the run of the cell that leads on validation, with this seed.

    A cell leads by the mean of Recall@20 and MRR@20 at the chosen epoch, means over the seeds that every cell has, each
    relative to the best cell.

    Args:
        seed: of `Study.blend_seeds`.
    """
    epochs = chosen_epochs(workspace)
    epochs = epochs[epochs["seed"].isin(workspace.study.blend_seeds)]
    cells = epochs.groupby(Columns.MODEL[1:], sort=False)[SCORES].mean()
    cell = (cells / cells.max().where(lambda best: best > 0, 1)).mean(axis=1).idxmax()
    return next(
        run
        for run in workspace.study.runs
        if run.seed == seed and tuple(getattr(run, name) for name in Columns.MODEL[1:]) == cell
    )


def rank_blend(blend: BlendOf, seed: int, prepared: Prepared, workspace: Workspace) -> pd.DataFrame:
    """Choose the weights on validation, rank the test targets; save weights, validation scores, ranks and lists.

    For the weights every part is fitted on the training part alone. The tested blend has the parts as they are tested:
    where they are fitted on validation too, the network is trained once more for the weights, without validation.

    Args:
        blend: one of the study's.
        seed: of its network.
        prepared: arrays.
        workspace: the study's folders.

    Returns:
        Its scores, a row for each protocol.
    """
    study, run = workspace.study, leading_run(workspace, seed)
    tested = _network(workspace, run)
    if run.training.refit:
        config = json.loads((workspace.run_folder(run) / "config.json").read_text(encoding="utf-8"))
        before = runs.train_without_refit(run, prepared, config["best_epoch"])
    else:
        before = tested
    validation = prepared.learnable_validation
    chosen = random_targets(validation, VALIDATION_TARGETS, study.split.seed)
    parts = Parts(before, _baselines(workspace, blend.of, prepared, prepared.train))
    choice = choose(parts, validation, chosen)
    record = {"network": run.name, "of": list(blend.of), "weights": choice.weights}
    record |= {"validation_targets": len(choice.gains)}
    folder = workspace.blend_folder(blend.name, seed)
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(folder / "weights.csv") as path:
        choice.table.to_csv(path, index=False)
    save_table(pd.DataFrame([dict(zip(VALIDATION, choice.best_scores, strict=True))]), folder, "validation")
    with replacing(folder / "blend.json") as path:
        path.write_text(json.dumps(record, indent=1), encoding="utf-8")
    model = load(workspace, blend.name, seed, prepared)
    ranks = results.rank(model, prepared, study)
    results.save(folder, ranks, results.lists(model, prepared, study))
    return scores(ranks).assign(model=blend.name, seed=seed)


def load(workspace: Workspace, name: str, seed: int, prepared: Prepared) -> Blend:
    """Return a blend from its folder: the saved network, the study's baselines, fitted again, and the saved weights.

    Args:
        name: of the blend.
        seed: of its network.
        prepared: arrays.

    Raises:
        FileNotFoundError: the blend has not been ranked, or its network is missing.
    """
    record = json.loads((workspace.blend_folder(name, seed) / "blend.json").read_text(encoding="utf-8"))
    run = next(run for run in workspace.study.runs if run.name == record["network"])
    train = prepared.train_and_validation if workspace.study.refits else prepared.train
    baselines = _baselines(workspace, record["of"], prepared, train)
    return Blend(_network(workspace, run), baselines, record["weights"])


def rank_blends(prepared: Prepared, workspace: Workspace) -> pd.DataFrame:
    """Call `rank_blend` for every blend of the study and every seed.

    Args:
        prepared: arrays.
        workspace: the study's folders.

    Returns:
        Their scores, by name.

    Raises:
        DataError: as `check_targets`.
    """
    check_targets(prepared, workspace.study)
    each = product(workspace.study.blends, workspace.study.blend_seeds)
    tables = [rank_blend(blend, seed, prepared, workspace) for blend, seed in each]
    return pd.concat(tables, ignore_index=True).set_index("model")


def tried_weights(workspace: Workspace) -> pd.DataFrame:
    """Read the validation scores of all weights that were tried for the study's blends.

    Returns:
        Columns model, seed, `part` (its name where one part has all the weight, else empty), `chosen` (bool), a weight
        for each part, validation_recall_at_20, validation_mrr_at_20 (0 to 1), objective.
    """
    tables = []
    for blend, seed in product(workspace.study.blends, workspace.study.blend_seeds):
        table = pd.read_csv(workspace.blend_folder(blend.name, seed) / "weights.csv")
        weights = table.drop(columns=[*SCORES, "objective"])
        part = weights.idxmax(axis=1).where(weights.max(axis=1) == 1, "")
        chosen = table.index == table["objective"].round(12).idxmax()
        for place, (name, column) in enumerate(
            {"model": blend.name, "seed": seed, "part": part, "chosen": chosen}.items()
        ):
            table.insert(place, name, column)
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


def _network(workspace: Workspace, run: Run):
    return network_folder.load(workspace.run_folder(run) / "model")[0]


def _baselines(workspace: Workspace, names: Iterable[str], prepared: Prepared, train: Sessions) -> list[SparseBaseline]:
    """The study's baselines of these names, fitted on `train`."""
    known = {baseline.name: baseline for baseline in workspace.study.baselines}
    return [fit(known[name].model_copy(), train, prepared) for name in names]
