"""Measure which features a study's best network with content depends on."""

from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd

from gru4rec_lib.config.study import CUTOFF, Run, Study
from gru4rec_lib.data.columns import Columns
from gru4rec_lib.evaluation.feature_importance import importance, permuted_ranks
from gru4rec_lib.evaluation.protocols import WithoutHeard
from gru4rec_lib.preparation.prepare import Prepared, chosen_targets
from gru4rec_lib.ranking.exact import TIES
from gru4rec_lib.serving import network_folder
from gru4rec_lib.study.tables import knows_identity_alone, lead
from gru4rec_lib.study.workspace import Workspace

MAX_TARGETS = 5000  # a random choice of so many, for time


def of_study(workspace: Workspace, prepared: Prepared, validation: pd.DataFrame) -> pd.DataFrame:
    """Measure the permutation importance of each group of features on test targets of the protocol `known`.

    The model is that of `best_run`, as it was tested; nothing is trained. Groups that it does not use are left out.

    Args:
        prepared: its arrays.
        validation: of `evidence.validation_and_test`.

    Returns:
        A row a group and metric, see `feature_importance.importance`; then run (its name), n_targets (that were
        ranked) and max_targets (of more targets, a random choice of so many is ranked).

    Raises:
        FileNotFoundError: the run has no saved model.
    """
    study = workspace.study
    run = best_run(workspace, validation)
    model, _, _, features, _ = network_folder.load(workspace.run_folder(run) / "model")
    seen = prepared.test.known(prepared.n_items)
    known, wanted = prepared.test.keep(seen), _targets(prepared, study)[seen]
    ranked = WithoutHeard(model) if study.evaluation.exclude_heard else model
    rank = partial(TIES[study.evaluation.ties], partial(ranked.rank, known, prepared.n_items, wanted))
    permuted = permuted_ranks(model, features, _groups(study, run), rank)
    table = importance(known.session_of_event[wanted], rank(), permuted, CUTOFF)
    return table.assign(run=run.name, n_targets=int(wanted.sum()), max_targets=MAX_TARGETS)


def best_run(workspace: Workspace, validation: pd.DataFrame) -> Run:
    """Return the first seed of the network with content that leads on validation, see `tables.lead`.

    Args:
        validation: of `evidence.validation_and_test`.
    """
    content = validation[(validation["model"] == "gru4rec") & ~knows_identity_alone(validation)]
    best = content.loc[lead(content).idxmax(), Columns.MODEL[1:]]
    runs = [run for run in workspace.study.runs if all(getattr(run, name) == best[name] for name in best.index)]
    return min(runs, key=lambda run: run.seed)


def _groups(study: Study, run: Run) -> dict[str, tuple[str, ...]]:
    """The groups of features that a run uses."""
    groups = study.feature_groups
    return {name: columns for name, columns in groups.items() if run.features is None or {*columns} <= {*run.features}}


def _targets(prepared: Prepared, study: Study) -> np.ndarray:
    """Bool [events of the test], the targets of `known` that are ranked."""
    seen = prepared.test.known(prepared.n_items)
    chosen = chosen_targets(prepared.test, study)
    targets = np.zeros(len(seen), bool)
    targets[seen] = prepared.test.keep(seen).targets(None if chosen is None else chosen[seen])
    events = np.flatnonzero(targets)
    if len(events) > MAX_TARGETS:
        left_out = np.random.default_rng([study.split.seed, 4]).permutation(events)[MAX_TARGETS:]
        targets[left_out] = False
    return targets
