"""Train one run on prepared arrays, and save it to its folder."""

from __future__ import annotations

import json
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from gru4rec_lib.config.study import Run
from gru4rec_lib.preparation.prepare import Prepared
from gru4rec_lib.ranking.metrics import scores
from gru4rec_lib.serving import network_folder
from gru4rec_lib.study import results
from gru4rec_lib.training import memory
from gru4rec_lib.training.build import build
from gru4rec_lib.training.checkpoint import EarlyStopping, read_into, write
from gru4rec_lib.training.gru4rec import GRU4Rec
from gru4rec_lib.training.settings import FitSettings
from gru4rec_lib.utils.arguments import user_path
from gru4rec_lib.utils.atomic_write import replacing
from gru4rec_lib.utils.backend import device

CHECKPOINTS = "checkpoints"  # in a run's folder until the run is saved


@dataclass(frozen=True)
class Trained:
    """A trained model and its history.

    Args:
        model: trained on training and validation where the run refits, else on training alone.
        history: one row an epoch: epoch, loss, step, passes, seconds, val_recall_at_20, val_mrr_at_20.
        best_epoch: the epoch with the best monitored validation score, 1 for the first.
        minutes: wall time of all trainings, without interruptions.
        seconds: wall time of the last training, that of the model.
    """

    model: GRU4Rec
    history: pd.DataFrame
    best_epoch: int
    minutes: float
    seconds: float


def memory_estimate(run: Run, prepared: Prepared) -> dict[str, int]:
    """Estimate the bytes that a training takes, by part; see `memory.estimate`.

    Args:
        run: its settings.
        prepared: arrays; only their sizes are used.
    """
    features = run.used(prepared.features)
    spec = features.spec if features else None
    events = sum(len(part.items) for part in (prepared.train, prepared.crossing, prepared.validation))
    return memory.estimate(run, prepared.n_items, spec, events)


def train(run: Run, prepared: Prepared, callbacks=(), folder: Path | None = None) -> Trained:
    """Train with early stopping on the validation part, then refit on all training sessions for the best epoch.

    The test sessions are not used. Without `refit` in its settings, the model of the best epoch is returned.

    Args:
        run: its settings.
        prepared: arrays.
        callbacks: further Keras callbacks.
        folder: the run's. It has checkpoints until `save`, from which an interrupted training continues.

    Returns:
        The model and its history.

    Raises:
        FloatingPointError: the loss is not finite; the checkpoints are deleted.
        ValueError: the validation part has nothing to predict.
    """
    folder = None if folder is None else user_path(folder)
    validation = prepared.learnable_validation
    if not validation.is_target.any():
        raise ValueError("no validation session holds two tracks known from training: raise `validation_fraction`")
    print(f"{run.name} on {device()}: {prepared.n_items:,} tracks, {len(prepared.train):,} sessions", flush=True)
    print(memory.line(memory_estimate(run, prepared)), flush=True)
    with tempfile.TemporaryDirectory() as passing:
        checkpoints = Path(passing) if folder is None else folder / CHECKPOINTS
        try:
            return _train(run, prepared, validation, callbacks, checkpoints, resumes=folder is not None)
        except FloatingPointError:
            shutil.rmtree(checkpoints, ignore_errors=True)  # continuing from them would fail again
            raise


def _train(run, prepared, validation, callbacks, checkpoints, resumes):
    settings = run.training
    fit = settings.part(FitSettings)

    def checkpoint(part):
        return {"checkpoint": checkpoints / f"{part}.npz"} if resumes else {}

    model = build(run, prepared.n_items, run.used(prepared.features))
    all_that_trains = [*model.trainable_variables, *model.optimizer.variables]
    if settings.refit:
        write(checkpoints / "start.npz", all_that_trains, {})
    stop = EarlyStopping(settings.monitor, settings.patience, None if settings.refit else checkpoints / "best.npz")
    history = model.fit(
        prepared.train,
        settings.max_epochs,
        validation_data=validation,
        callbacks=[stop, *callbacks],
        **fit,
        **checkpoint("search"),
    )
    seconds = model.fit_seconds
    table = pd.DataFrame(history.history)
    table.insert(0, "epoch", np.arange(1, len(table) + 1))
    best_epoch = int(table.loc[table[settings.monitor].idxmax(), "epoch"])
    if settings.refit:
        print(f"best epoch {best_epoch}; training again on training + validation for as many epochs", flush=True)
        # The same model, which is compiled already, from its initial weights.
        read_into(checkpoints / "start.npz", all_that_trains)
        model.fit(prepared.train_and_validation, best_epoch, **fit, **checkpoint("refit"))
        seconds += model.fit_seconds
    return Trained(model, table, best_epoch, seconds / 60, model.fit_seconds)


def train_without_refit(run: Run, prepared: Prepared, epochs: int) -> GRU4Rec:
    """Train on the training part alone, without validation: the same weights as `train` had after so many epochs.

    Args:
        run: its settings.
        prepared: arrays.
        epochs: 1 or more.
    """
    model = build(run, prepared.n_items, run.used(prepared.features))
    model.fit(prepared.train, epochs, **run.training.part(FitSettings))
    return model


def save(
    folder: Path, run: Run, trained: Trained, ranks: pd.DataFrame, lists: pd.DataFrame, prepared: Prepared
) -> pd.DataFrame:
    """Write a run's folder: ranks.parquet last, which marks a finished run; delete its checkpoints.

    `Recommender.load` reads the subfolder `model`.

    Args:
        folder: the run's.
        run: its settings.
        trained: of `train`.
        ranks: of `results.rank`.
        lists: of `results.lists`.
        prepared: arrays, for the items' ids, features and labels.

    Returns:
        The run's scores, a row a protocol.
    """
    folder = user_path(folder)
    config = run.model_dump(mode="json")
    items, labels, features = prepared.items["item"], prepared.labels, run.used(prepared.features)
    network_folder.save(folder / "model", trained.model, items, config, features, labels)
    with replacing(folder / "history.csv") as path:
        trained.history.to_csv(path, index=False)
    record = config | {"best_epoch": trained.best_epoch, "minutes": round(trained.minutes, 2)}
    record["seconds"] = round(trained.seconds, 1)
    record["device"] = device()
    with replacing(folder / "config.json") as path:
        path.write_text(json.dumps(record, indent=1), encoding="utf-8")
    results.save(folder, ranks, lists)
    shutil.rmtree(folder / CHECKPOINTS, ignore_errors=True)
    return scores(ranks)
