"""The audit: cells of the paper's Table 2 as its code trains and tests them, with each defect mended alone, and right.

A variant is a set of defects in force. Those that touch the weights need a training of their own (TRAINED); the others
score the same states again. But for D9, which exchanges the logs, every training makes the same number of steps (where
the study sets `steps_per_epoch`) from the same first weights on the same sessions; the validation part is held out of
all of them, so that selection (D8) is a choice among the same epochs.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from gru4rec_lib.audit import train
from gru4rec_lib.audit.defects import loader
from gru4rec_lib.audit.train import TRAINED, WALKED
from gru4rec_lib.config.audit import course_paper_training
from gru4rec_lib.config.study import ConfigError, Run, Study
from gru4rec_lib.preparation import prepare, readers
from gru4rec_lib.preparation.prepare import Prepared
from gru4rec_lib.preparation.source_files import name_below
from gru4rec_lib.study.workflow.dependencies import fingerprint, library_files
from gru4rec_lib.study.workspace import Workspace
from gru4rec_lib.training.checkpoint import checksum
from gru4rec_lib.utils.atomic_write import replacing

AS_PUBLISHED, ALL_MENDED = "as_published", "all_mended"
CELL = ["input_form", "loss", "seed"]
SWITCHES = {name: {name} for name in ("D1", "D2", "D3", "D4", *WALKED, "D8", "D10")}
SWITCHES |= {name: {name, f"{name}_testing"} for name in ("D3", "D4")}
OF_ONE_LOSS = {"bpr_max": "D5", "bpr": "D6"}


def variants(run: Run, backwards: bool) -> dict[str, frozenset[str]]:
    """The defects in force in every variant of a cell.

    Args:
        run: the cell.
        backwards: whether the study tests on an older log, so that there is a D9 to mend.

    Returns:
        `as_published`; for each switch the same without it; `all_mended`, which is empty. Cross-entropy of
        all tracks has one more, `with_D12`: as published, and the linear scores of the code as last shipped.
    """
    own = {"D9"} if backwards else set()
    own |= {OF_ONE_LOSS[run.loss]} if run.loss in OF_ONE_LOSS else set()
    switches = SWITCHES | {name: {name} for name in own}
    as_published = frozenset().union(*switches.values())
    order = sorted(switches, key=lambda name: (int(name[1:].split("_")[0]), name))
    found = {AS_PUBLISHED: as_published} | {name: as_published - switches[name] for name in order}
    if run.loss == "cross_entropy" and run.training.negatives == ("all",):
        found["with_D12"] = as_published | {"D12"}
    return found | {ALL_MENDED: frozenset()}


def runs(study: Study) -> tuple[Run, ...]:
    """The cells that the study audits, with the paper's settings and the study's changes to them.

    Args:
        study: whose blocks of `audit` are meant.

    Returns:
        A run for each seed, loss and input form of each block, tagged `audit`; none where the study audits nothing.
    """
    return tuple(
        Run(
            study=study.name,
            input_form=input_form,
            loss=loss,
            seed=seed,
            tag="audit",
            training=course_paper_training(loss, block.settings),
        )
        for block in study.audit
        for seed in block.seed
        for loss in block.loss
        for input_form in block.input_form
    )


def run_cell(
    run: Run, prepared: Prepared, forwards: Prepared | None, folder: Path, max_targets: int | None = None
) -> pd.DataFrame:
    """All variants of a cell; a training that has its file, of the same settings, data and code, is not repeated.

    Args:
        run: the cell, of `runs`.
        prepared: the study's arrays.
        forwards: the arrays with the logs exchanged (D9), or None.
        folder: where the scores of each training are kept.
        max_targets: test pairs, in sessions drawn at random, where the first steps alone (D10) are not what is counted.

    Returns:
        A row a variant and session: CELL, variant, session, pairs, recall, mrr.
    """
    folder.mkdir(parents=True, exist_ok=True)
    every = variants(run, forwards is not None)
    trainings: dict[frozenset[str], list[str]] = {}
    for name, defects in every.items():
        trainings.setdefault(defects & TRAINED, []).append(name)
    tables = []
    for defects, names in trainings.items():
        arrays = prepared if forwards is None or "D9" in defects else forwards
        said = "_".join(sorted(defects)) or "right"
        kept = folder / f"{run.name}-{said}-{_fingerprint(run, arrays, max_targets)}.parquet"
        if not kept.exists():
            print(f"{run.input_form}, {run.loss}: in force in training: {said}", flush=True)
            ways = {every[name] & WALKED for name in names}
            trained = train.train(run, defects, ways, arrays, max_targets)
            parts = [trained.score(every[name]).assign(variant=name) for name in names]
            with replacing(kept) as path:
                pd.concat(parts).to_parquet(path, index=False)
        tables.append(pd.read_parquet(kept))
    table = pd.concat(tables, ignore_index=True).assign(**{name: getattr(run, name) for name in CELL})
    in_order = np.argsort(table["variant"].map(list(every).index), kind="stable")
    return table.iloc[in_order][[*CELL, "variant", "session", "pairs", "recall", "mrr"]]


def run_all(place: Workspace, prepared: Prepared) -> pd.DataFrame:
    """All variants of all cells that the study audits: see `run_cell`.

    Args:
        place: the study's.
        prepared: arrays.

    Returns:
        See `run_cell`; one cell below the other.

    Raises:
        ConfigError: the study audits nothing.
    """
    if not place.study.audit:
        raise ConfigError(f"{place.study.name}: audit: the study has none; describe its cells as config/toy.yaml does")
    given = prepared, exchanged(place), place.runs / "audit", place.study.evaluation.max_test_events
    tables = [run_cell(run, *given) for run in runs(place.study)]
    return pd.concat(tables, ignore_index=True)


def exchanged(place: Workspace) -> Prepared | None:
    """The arrays with training and test log exchanged where the study tests on an older log (D9), else None.

    Args:
        place: the study's; its raw files are read again.
    """
    logs = [name_below(place.raw, path) for path in place.raw_files() if path.name.startswith("log_")]
    if not loader.tests_on_the_past(place.study.split, logs):
        return None
    split = loader.the_other_way_round(place.study.split, logs)
    return prepare.prepare(readers.read(place.study.data, place.raw, split), split, place.raw)


def _fingerprint(run: Run, prepared: Prepared, max_targets: int | None) -> str:
    """Of all that a training's scores follow from: settings, data, how much is tested, the library's code."""
    sessions = (prepared.train, prepared.validation, prepared.test)
    arrays = [array for part in sessions for array in (part.items, part.offsets)]
    if prepared.features is not None:
        arrays += [prepared.features.numeric, *prepared.features.categories.values()]
    code = fingerprint([Path(__file__), *library_files(Path(__file__))])
    return checksum(run.model_dump_json().encode(), *arrays, f"{max_targets} {code}".encode())[:12]
