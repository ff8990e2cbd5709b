"""The audit: models of the paper's Table 2 with its code's defects, with each of them fixed alone, and with none.

Defects that change the weights need a training of their own; variants that differ in the others share one. Except for
D9, which exchanges the logs, every training makes the same number of steps (where the study sets `steps_per_epoch`)
from the same initial weights on the same sessions. The validation part is held out of all of them, so that selection
(D8) chooses among the same epochs.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from gru4rec_lib.audit import train
from gru4rec_lib.audit.defects import loader, switches
from gru4rec_lib.audit.defects.switches import Defects
from gru4rec_lib.config.audit import course_paper_training
from gru4rec_lib.config.study import ConfigError, Run, Study
from gru4rec_lib.preparation import prepare, readers
from gru4rec_lib.preparation.prepare import Prepared
from gru4rec_lib.preparation.source_files import name_below
from gru4rec_lib.study.workflow.dependencies import fingerprint, library_files
from gru4rec_lib.study.workspace import Workspace
from gru4rec_lib.training.checkpoint import checksum
from gru4rec_lib.utils.atomic_write import replacing

RUN = ["input_form", "loss", "seed"]


def variants(run: Run, older_test: bool) -> dict[str, Defects]:
    """Return the active defects of every variant of a run; see `switches.variants`.

    Args:
        run: of `runs`.
        older_test: whether the study tests on an older log (D9).

    Returns:
        The defects by the variant's name in audit.csv.
    """
    over_all_tracks = run.loss == "cross_entropy" and run.training.negatives == ("all",)
    return switches.variants(switches.as_in_paper(run.loss, older_test), over_all_tracks)


def runs(study: Study) -> tuple[Run, ...]:
    """Return the runs that the study audits, with the paper's settings and the study's changes to them.

    Args:
        study: its blocks of `audit` are read.

    Returns:
        A run for each seed, loss and input form of each block, tagged `audit`; none without such blocks.
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


def score_variants(
    run: Run, prepared: Prepared, exchanged: Prepared | None, folder: Path, max_targets: int | None = None
) -> pd.DataFrame:
    """Score all variants of a run; a training whose file exists, with the same settings, data and code, is reused.

    Args:
        run: of `runs`.
        prepared: the study's arrays.
        exchanged: the arrays with the logs exchanged (D9), or None.
        folder: for the scores of each training.
        max_targets: test pairs, in sessions drawn at random, where D10 is not active.

    Returns:
        A row a variant and session: RUN, variant, session, pairs, recall, mrr.
    """
    folder.mkdir(parents=True, exist_ok=True)
    defects_of = variants(run, older_test=exchanged is not None)
    trainings: dict[Defects, list[str]] = {}
    for name, defects in defects_of.items():
        trainings.setdefault(defects.in_training, []).append(name)
    tables = []
    for in_training, names in trainings.items():
        arrays = prepared if exchanged is None or in_training.older_test else exchanged
        codes = "_".join(in_training.codes) or "right"
        path = folder / f"{run.name}-{codes}-{_fingerprint(run, arrays, max_targets)}.parquet"
        if not path.exists():
            print(f"{run.input_form}, {run.loss}: training with the defects: {codes}", flush=True)
            ways = {defects_of[name].in_test_batches for name in names}
            trained = train.train(run, in_training, ways, arrays, max_targets)
            parts = [trained.score(defects_of[name]).assign(variant=name) for name in names]
            with replacing(path) as partial:
                pd.concat(parts).to_parquet(partial, index=False)
        tables.append(pd.read_parquet(path))
    table = pd.concat(tables, ignore_index=True).assign(**{name: getattr(run, name) for name in RUN})
    in_order = np.argsort(table["variant"].map(list(defects_of).index), kind="stable")
    return table.iloc[in_order][[*RUN, "variant", "session", "pairs", "recall", "mrr"]]


def score_all(workspace: Workspace, prepared: Prepared) -> pd.DataFrame:
    """Score all variants of all runs that the study audits; see `score_variants`.

    Args:
        prepared: arrays.

    Returns:
        The tables of all runs, concatenated.

    Raises:
        ConfigError: the study has no audit.
    """
    study = workspace.study
    if not study.audit:
        raise ConfigError(f"{study.name}: audit: the study has none; describe its runs as config/toy.yaml does")
    given = prepared, exchanged(workspace), workspace.runs / "audit", study.evaluation.max_test_events
    return pd.concat([score_variants(run, *given) for run in runs(study)], ignore_index=True)


def exchanged(workspace: Workspace) -> Prepared | None:
    """Prepare the raw files with training and test log exchanged (D9).

    Returns:
        The arrays; None where the study does not test on an older log.
    """
    logs = [name_below(workspace.raw, path) for path in workspace.raw_files() if path.name.startswith("log_")]
    if not loader.tests_on_the_past(workspace.study.split, logs):
        return None
    split = loader.exchange(workspace.study.split, logs)
    return prepare.prepare(readers.read(workspace.study.data, workspace.raw, split), split, workspace.raw)


def _fingerprint(run: Run, prepared: Prepared, max_targets: int | None) -> str:
    """Digest of everything that determines a training's scores: settings, data, test size, the library's code."""
    sessions = (prepared.train, prepared.validation, prepared.test)
    arrays = [array for part in sessions for array in (part.items, part.offsets)]
    if prepared.features is not None:
        arrays += [prepared.features.numeric, *prepared.features.categories.values()]
    code = fingerprint([Path(__file__), *library_files(Path(__file__))])
    return checksum(run.model_dump_json().encode(), *arrays, f"{max_targets} {code}".encode())[:12]
