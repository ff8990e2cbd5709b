"""Create the inputs that a notebook run by hand lacks, and print it.

In the graph every input exists, so no rule depends on this file (`study/workflow/dependencies.py`).
"""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

from gru4rec_lib.study.workspace import Workspace

if TYPE_CHECKING:
    from gru4rec_lib.preparation.prepare import Prepared


def need_raw(workspace: Workspace) -> None:
    """Simulate the study's raw files unless they exist.

    Raises:
        DataError: the study does not simulate its files, and their folder is missing.
        ConfigError: another study has the same name.
    """
    from gru4rec_lib.preparation import readers
    from gru4rec_lib.study import fingerprints
    from gru4rec_lib.twin import simulate

    if not workspace.simulates and not workspace.is_there:
        raise readers.DataError(
            f"{workspace.raw}: there is no such folder; put the raw files there (data/README.md), or set `data`"
        )
    workspace.claim()
    if not workspace.simulates or fingerprints.as_simulated(workspace):
        return
    print(
        f"no raw files in {workspace.raw} that follow config/{workspace.study.name}.yaml: simulating them", flush=True
    )
    simulate.simulate(workspace.raw, **workspace.study.data.simulate.model_dump())


def need_prepared(workspace: Workspace) -> None:
    """Prepare the study's arrays unless they exist, made from the same raw files and settings.

    Raw files in their default folder may have been deleted since.

    Raises:
        ConfigError: another study has the same name.
        DataError: as `need_raw`.
    """
    from gru4rec_lib.preparation import prepare, sharded
    from gru4rec_lib.study import fingerprints

    workspace.claim()
    settings = prepare.settings(workspace.study)
    if not workspace.simulates and workspace.brought:
        need_raw(workspace)
    made, raw = fingerprints.made_with(workspace), fingerprints.hashes(workspace)
    if settings.items() <= made.items() and (not raw or made.get("inputs") == raw):
        return
    need_raw(workspace)
    print(
        f"no arrays in {workspace.prepared} that follow config/{workspace.study.name}.yaml: preparing them", flush=True
    )
    raw = fingerprints.hashes(workspace)
    sharded.of_study(workspace.raw_data).save(workspace.prepared, settings | {"inputs": raw})


def need_networks(workspace: Workspace) -> Prepared:
    """Train the runs whose ranks are missing.

    Returns:
        The study's arrays.
    """
    from gru4rec_lib.preparation import prepare
    from gru4rec_lib.study import results, runs

    need_prepared(workspace)
    prepared = prepare.Prepared.load(workspace.prepared)
    prepare.check_targets(prepared, workspace.study)
    for run in workspace.study.runs:
        folder = workspace.run_folder(run)
        if not results.is_saved(folder):
            print(f"no ranks and lists in {folder}: training", flush=True)
            trained = runs.train(run, prepared, folder=workspace.run_folder(run))
            ranks = results.rank(trained.model, prepared, workspace.study)
            lists = results.lists(trained.model, prepared, workspace.study)
            runs.save(folder, run, trained, ranks, lists, prepared)
    return prepared


def need_runs(workspace: Workspace) -> None:
    """Train the runs and rank the baselines and blends whose ranks are missing, also of the study's variants."""
    from gru4rec_lib.study import baseline_runs, blend_runs, results

    for other in workspace.variants().values():
        if other is not workspace:
            need_runs(other)
    prepared = need_networks(workspace)
    for baseline in workspace.study.baselines:
        if not baseline_runs.is_saved(workspace.baseline_folder(baseline.name)):
            baseline_runs.rank_baseline(baseline, prepared, workspace)
    for blend, seed in product(workspace.study.blends, workspace.study.blend_seeds):
        if not results.is_saved(workspace.blend_folder(blend.name, seed)):
            blend_runs.rank_blend(blend, seed, prepared, workspace)


def need_models(workspace: Workspace) -> None:
    """Train the study's runs unless a finished run exists, in its grid or not."""
    from gru4rec_lib.study import tables

    need_prepared(workspace)
    if tables.finished_runs(workspace).empty:
        need_runs(workspace)
