"""Choose the weights of a study's blends on validation, rank the test targets and save the results."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import product

import numpy as np
import pandas as pd

from gru4rec_lib.baselines import Baseline
from gru4rec_lib.blending.blend import Blend
from gru4rec_lib.blending.learn import Examples, held_out_gains, learn
from gru4rec_lib.blending.parts import Parts
from gru4rec_lib.blending.session_weights import SessionWeights, as_json, of_json
from gru4rec_lib.blending.weights import Choice, choose, gains
from gru4rec_lib.config.study import BlendOf, Run
from gru4rec_lib.data.columns import Columns
from gru4rec_lib.data.sessions import Sessions
from gru4rec_lib.evaluation.protocols import random_targets
from gru4rec_lib.preparation.prepare import Prepared, check_targets
from gru4rec_lib.ranking.metrics import scores
from gru4rec_lib.serving import network_folder
from gru4rec_lib.study import results, runs
from gru4rec_lib.study.baseline_runs import VALIDATION, fit
from gru4rec_lib.study.tables import ON_VALIDATION, chosen_epochs, lead
from gru4rec_lib.study.workspace import Workspace
from gru4rec_lib.training.gru4rec import GRU4Rec
from gru4rec_lib.utils.atomic_write import replacing, save_table

VALIDATION_TARGETS = 5000  # a random choice of so many, for time


def leading_run(workspace: Workspace, seed: int) -> Run:
    """Return the run of the cell that leads on validation, with this seed.

    A cell leads by `tables.lead` at the chosen epoch, with means over the seeds that every cell has.

    Args:
        seed: of `Study.blend_seeds`.
    """
    epochs = chosen_epochs(workspace)
    epochs = epochs[epochs["seed"].isin(workspace.study.blend_seeds)]
    cell = lead(epochs.groupby(Columns.MODEL[1:], sort=False)[ON_VALIDATION].mean()).idxmax()
    return next(
        run
        for run in workspace.study.runs
        if run.seed == seed and tuple(getattr(run, name) for name in Columns.MODEL[1:]) == cell
    )


def network_for_weights(workspace: Workspace, seed: int, prepared: Prepared) -> GRU4Rec:
    """Return the leading run's network as fitted on the training part alone; trained here where the run is on more.

    Args:
        workspace: the study's folders.
        seed: of `Study.blend_seeds`.
        prepared: arrays.
    """
    run = leading_run(workspace, seed)
    if not run.training.refit:
        return _network(workspace, run)
    config = json.loads((workspace.run_folder(run) / "config.json").read_text(encoding="utf-8"))
    return runs.train_without_refit(run, prepared, config["best_epoch"])


def rank_blend(
    blend: BlendOf, seed: int, prepared: Prepared, workspace: Workspace, network: GRU4Rec | None = None
) -> pd.DataFrame:
    """Choose the weights on validation, rank the test targets; save weights, validation scores, ranks and lists.

    For the weights every part is fitted on the training part alone. The tested blend has the parts as they are tested:
    where they are fitted on validation too, the network is trained once more for the weights, without validation.

    Args:
        blend: one of the study's.
        seed: of its network.
        prepared: arrays.
        workspace: the study's folders.
        network: `network_for_weights` of this seed, which is called if there is none.

    Returns:
        Its scores, a row for each protocol.
    """
    study, run = workspace.study, leading_run(workspace, seed)
    network = network or network_for_weights(workspace, seed, prepared)
    validation = prepared.learnable_validation
    chosen = random_targets(validation, VALIDATION_TARGETS, study.split.seed)
    parts = Parts(network, _baselines(workspace, blend.of, prepared, prepared.train))
    weights, table = BY[blend.weights](parts, validation, chosen)
    best = table.loc[table["chosen"], ON_VALIDATION]
    record = {"network": run.name, "of": list(blend.of), "weights": as_json(weights)}
    record |= {"validation_targets": int(validation.targets(chosen).sum())}
    folder = workspace.blend_folder(blend.name, seed)
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(folder / "weights.csv") as path:
        table.to_csv(path, index=False)
    save_table(best.set_axis(VALIDATION, axis=1), folder, "validation")
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
    return Blend(_network(workspace, run), baselines, of_json(record["weights"]))


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
    blends, seeds = workspace.study.blends, workspace.study.blend_seeds
    networks = {seed: network_for_weights(workspace, seed, prepared) for seed in seeds if blends}
    tables = [rank_blend(blend, seed, prepared, workspace, networks[seed]) for blend, seed in product(blends, seeds)]
    return pd.concat(tables, ignore_index=True).set_index("model")


def tried_weights(workspace: Workspace) -> pd.DataFrame:
    """Read the validation scores of all weights that were tried for the study's blends.

    Returns:
        Columns model, seed, network (the name of its run), `part` (its name where one part has all the weight, else
        empty), a weight for each part of any blend (means over the targets, with sum 1, where they differ; missing
        where the blend lacks the part), `chosen` (bool), validation_recall_at_20, validation_mrr_at_20 (0 to 1),
        objective.
    """
    tables, parts = [], {}
    for name, seed, record, table in _saved(workspace):
        weights = table.drop(columns=[*ON_VALIDATION, "objective", "chosen"])
        part = weights.idxmax(axis=1).where(weights.max(axis=1) == 1, "")
        parts |= dict.fromkeys(weights)
        front = {"model": name, "seed": seed, "network": record["network"], "part": part}
        tables.append(pd.concat([pd.DataFrame(front, index=table.index), table], axis=1))
    return pd.concat(tables, ignore_index=True)[[*front, *parts, "chosen", *ON_VALIDATION, "objective"]]


def session_weights(workspace: Workspace) -> pd.DataFrame:
    """Read the learned weights of the study's blends whose weights differ from session to session.

    Returns:
        A row for each part and feature of a session: model, seed, part, feature, coefficient: the factor of the part's
        weight is exp(coefficient) where the feature is one standard deviation above its mean. No row without such a
        blend.
    """
    rows = []
    for name, seed, record, _ in _saved(workspace):
        weights = of_json(record["weights"])
        if isinstance(weights, SessionWeights):
            for part, coefficients in zip(weights.parts, weights.coefficients.tolist(), strict=True):
                rows += [(name, seed, part, *one) for one in zip(weights.features, coefficients, strict=True)]
    return pd.DataFrame(rows, columns=["model", "seed", "part", "feature", "coefficient"])


def _saved(workspace: Workspace) -> Iterator[tuple[str, int, dict, pd.DataFrame]]:
    """Name, seed, blend.json and weights.csv of every blend of the study."""
    for blend, seed in product(workspace.study.blends, workspace.study.blend_seeds):
        folder = workspace.blend_folder(blend.name, seed)
        record = json.loads((folder / "blend.json").read_text(encoding="utf-8"))
        yield blend.name, seed, record, pd.read_csv(folder / "weights.csv")


def _fixed(parts: Parts, validation: Sessions, chosen: np.ndarray | None) -> tuple[dict[str, float], pd.DataFrame]:
    choice = choose(parts, validation, chosen)
    return choice.weights, choice.table


def _by_session(parts: Parts, validation: Sessions, chosen: np.ndarray | None) -> tuple[SessionWeights, pd.DataFrame]:
    """Learn the weights; their validation scores are under weights that were learned without the session."""
    chosen, singles = validation.targets(chosen), np.eye(len(parts.names))
    examples = Examples.of(parts, validation, chosen)
    weights = learn(examples)
    shares = weights.at(examples.features)
    shares = (shares / shares.sum(axis=1, keepdims=True)).mean(axis=0)
    found = gains(parts, validation, chosen, singles)
    found = np.concatenate([found, held_out_gains(examples, validation, chosen)[:, None]], axis=1)
    choice = Choice(parts.names, np.concatenate([singles, shares[None]]), found)
    return weights, choice.table.assign(chosen=[False] * len(singles) + [True])


BY = {"fixed": _fixed, "by_session": _by_session}


def _network(workspace: Workspace, run: Run) -> GRU4Rec:
    return network_folder.load(workspace.run_folder(run) / "model")[0]


def _baselines(workspace: Workspace, names: Iterable[str], prepared: Prepared, train: Sessions) -> list[Baseline]:
    """The study's baselines of these names, fitted on `train`."""
    known = {baseline.name: baseline for baseline in workspace.study.baselines}
    return [fit(known[name].model_copy(), train, prepared) for name in names]
