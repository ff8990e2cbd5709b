"""What a notebook needs and does not find when it is run by hand, made on the spot and said so.

In the graph every rule finds its inputs, so no rule depends on this file (`study/workflow/dependencies.py`).
"""

from __future__ import annotations

from gru4rec_lib.study.workspace import Workspace


def need_raw(place: Workspace) -> None:
    """Write the study's simulated raw files unless they are there.

    Args:
        place: the study's.

    Raises:
        DataError: the study reads files that are brought by the user, and their folder is missing.
        ConfigError: another study has the same name.
    """
    from gru4rec_lib.preparation import readers
    from gru4rec_lib.study import fingerprints
    from gru4rec_lib.twin import simulate

    if not place.simulates and not place.is_there:
        raise readers.DataError(
            f"{place.raw}: there is no such folder; put the raw files there (data/README.md), or set `data`"
        )
    place.claim()
    if not place.simulates or fingerprints.as_simulated(place):
        return
    print(f"no raw files in {place.raw} that follow config/{place.study.name}.yaml: simulating them", flush=True)
    simulate.simulate(place.raw, **place.study.data.simulate.model_dump())


def need_prepared(place: Workspace) -> None:
    """Prepare the study's arrays unless they are there, made of these raw files with the study's data and split.

    Args:
        place: the study's. Its raw files may be gone where their folder was not named.

    Raises:
        ConfigError: another study has the same name.
        DataError: as `need_raw`.
    """
    from gru4rec_lib.preparation import prepare, sharded
    from gru4rec_lib.study import fingerprints

    place.claim()
    settings = prepare.settings(place.study)
    if not place.simulates and place.brought:
        need_raw(place)
    made, raw = fingerprints.made_with(place), fingerprints.hashes(place)
    if settings.items() <= made.items() and (not raw or made.get("inputs") == raw):
        return
    need_raw(place)
    print(f"no arrays in {place.prepared} that follow config/{place.study.name}.yaml: preparing them", flush=True)
    raw = fingerprints.hashes(place)
    sharded.of_study(place.raw_data).save(place.prepared, settings | {"inputs": raw})


def need_runs(place: Workspace) -> None:
    """Train the runs and rank the baselines whose ranks are not there, at every setting that the study lists.

    Args:
        place: the study's.
    """
    from gru4rec_lib.preparation import prepare
    from gru4rec_lib.study import baseline_runs, results, runs

    for other in place.curve.values():
        if other is not place:
            need_runs(other)
    need_prepared(place)
    prepared = prepare.Prepared.load(place.prepared)
    prepare.check_targets(prepared, place.study)
    for run in place.study.runs:
        folder = place.run_folder(run)
        if not results.is_saved(folder):
            print(f"no ranks and lists in {folder}: training", flush=True)
            trained = runs.train(run, prepared, folder=place.run_folder(run))
            ranks = results.rank(trained.model, prepared, place.study)
            lists = results.lists(trained.model, prepared, place.study)
            runs.save(folder, run, trained, ranks, lists, prepared)
    for name in place.study.baselines:
        if not results.is_saved(place.baseline_folder(name)):
            baseline_runs.rank_baseline(name, prepared, place)


def need_models(place: Workspace) -> None:
    """Train the study's runs unless one of them, or of a user's own, is there.

    Args:
        place: the study's.
    """
    from gru4rec_lib.study import tables

    need_prepared(place)
    if tables.finished_runs(place).empty:
        need_runs(place)
