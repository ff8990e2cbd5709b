"""An interrupted training ends in the same bytes as one that was not; a checkpoint of another training is not used."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gru4rec_lib import batches, checkpoint, epoch, experiment, losses
from gru4rec_lib import model as model_module
from gru4rec_lib.backend import keras, tf
from gru4rec_lib.config import Run, Training
from gru4rec_lib.model import GRU4Rec
from gru4rec_lib.prepare import Prepared
from gru4rec_lib.sessions import Sessions

SESSIONS = Sessions.from_lists([[0, 1, 2, 5], [3, 1], [1, 4], [2, 5, 0], [5, 5]])


class InterruptionError(Exception):
    pass


class InterruptAt(keras.callbacks.Callback):
    """Ends the fit after the so-manieth stretch."""

    def __init__(self, stretch):
        super().__init__()
        self.left = stretch

    def on_train_batch_end(self, batch, logs=None):
        self.left -= 1
        if self.left == 0:
            raise InterruptionError


@pytest.fixture
def _short_stretches(monkeypatch):
    monkeypatch.setattr("gru4rec_lib.training.TRAIN_STEPS", 2)
    monkeypatch.setattr(epoch, "TRAIN_STEPS", 2)


def made(**settings):
    model = GRU4Rec(6, "embedding", 4, embedding_units=3, dropout_hidden=0.3)
    model.compile(**{"samples": 3, "momentum": 0.3, "jit": False} | settings)
    return model


def fit(model, path=None, callbacks=(), **options):
    options = {"epochs": 3, "batch_size": 2, "validation_data": None, "verbose": 0} | options
    path = {} if path is None else {"checkpoint": path, "checkpoint_seconds": 0}
    return model.fit(SESSIONS, callbacks=callbacks, **options, **path).history


def everything(model):
    return [np.array(v).tobytes() for v in (*model.weights, *model.optimizer.variables, model.lane_state)]


def untimed(history):
    return {name: values for name, values in history.items() if name != "seconds"}


def test_what_was_written_is_read_and_a_kill_leaves_the_former(tmp_path, monkeypatch):
    path = tmp_path / "new" / "c.npz"
    variables = [tf.Variable([[1.5, -2.0]]), tf.Variable(7, dtype=tf.int64)]
    checkpoint.write(path, variables, {"a": [1, 0.1]})
    variables[0].assign([[0.0, 0.0]])
    monkeypatch.setattr(np.lib.format, "write_array", lambda *args, **options: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        checkpoint.write(path, variables, {"a": "other"})
    assert [p.name for p in path.parent.iterdir()] == ["c.npz"]
    assert checkpoint.read_record(path) == {"a": [1, 0.1]}
    variables[1].assign(0)
    checkpoint.read_into(path, variables)
    assert variables[0].numpy().tolist() == [[1.5, -2.0]]
    assert variables[1].numpy() == 7


def test_values_that_are_not_finite_are_never_written(tmp_path):
    for value in (np.nan, np.inf):
        with pytest.raises(FloatingPointError, match="table:0 holds values that are not finite: lower learning_rate"):
            checkpoint.write(tmp_path / "c.npz", [tf.Variable([1.0, value], name="table")], {})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.usefixtures("_short_stretches")
@pytest.mark.parametrize(("steps_per_epoch", "stretches"), [(None, (2, 5)), (3, (4,)), (7, (8,))])
def test_an_interrupted_fit_ends_as_one_that_was_not(tmp_path, steps_per_epoch, stretches, capsys):
    """A pass has four or five mini-batches: epochs of 3 end within it, epochs of 7 within the next one."""
    options = {"steps_per_epoch": steps_per_epoch}
    whole = made()
    history = fit(whole, **options)
    for stretch in stretches:
        path = tmp_path / f"{stretch}.npz"
        with pytest.raises(InterruptionError):
            fit(made(), path, [InterruptAt(stretch)], **options)
        # The callback comes before the checkpoint: that of the stretch before is there.
        resumed = made()
        assert untimed(fit(resumed, path, **options)) == untimed(history)
        assert everything(resumed) == everything(whole)
        assert f"going on from {path}: epoch " in capsys.readouterr().out
    # All epochs are done: nothing more happens.
    assert untimed(fit(resumed, path, **options)) == untimed(history)
    assert everything(resumed) == everything(whole)


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["adam", keras.optimizers.SGD])
def test_other_optimisers_and_learning_rates_go_on_too(tmp_path, optimizer):
    def model():
        settings = {"optimizer": optimizer if isinstance(optimizer, str) else optimizer(0.1), "momentum": 0.0}
        return made(**settings)

    rate = keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate * 0.5)
    whole = model()
    history = fit(whole, callbacks=[rate])
    assert np.allclose(np.diff(np.log2(history["learning_rate"])), -1)
    with pytest.raises(InterruptionError):
        fit(model(), tmp_path / "c.npz", [rate, InterruptAt(2)])
    resumed = model()
    assert untimed(fit(resumed, tmp_path / "c.npz", [rate])) == untimed(history)
    assert everything(resumed) == everything(whole)


@pytest.mark.slow
def test_a_checkpoint_of_another_training_is_not_used(tmp_path, capsys):
    path = tmp_path / "c.npz"
    options = {"epochs": 1}
    fit(made(), path, **options)
    assert capsys.readouterr().out == ""
    whole = made(learning_rate=0.1)
    fit(whole, **options)
    other = made(learning_rate=0.1)
    fit(other, path, **options)
    out = capsys.readouterr().out
    assert out == f"{path} is of another training (optimizer, learning_rate): training starts anew\n"
    assert everything(other) == everything(whole)


@pytest.fixture
def fingerprint():
    def of(sessions=SESSIONS, validation=None, feature=0, **settings):
        model = made()
        model.scorer.plays.assign(np.arange(6) + feature)
        return checkpoint.made_with(model, {"batch_size": 2} | settings, sessions, validation)

    return of


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"batch_size": 3}, {"batch_size"}),
        ({"sessions": Sessions.from_lists([[0, 1, 2, 5, 3, 1], [1, 4], [2, 5, 0], [5, 5]])}, {"sessions"}),
        ({"sessions": Sessions.from_lists([[0, 1, 2, 4], [3, 1], [1, 4], [2, 5, 0], [5, 5]])}, {"sessions"}),
        ({"validation": SESSIONS}, {"validation"}),
        ({"feature": 1}, {"features"}),
        ({}, set()),
    ],
)
def test_what_differs_is_named(fingerprint, change, named):
    before, after = fingerprint(), fingerprint(**change)
    assert {name for name in before | after if before.get(name) != after.get(name)} == named


def test_a_changed_library_is_another_training(fingerprint, tmp_path, monkeypatch):
    before = fingerprint()
    (tmp_path / "losses.py").write_text("other")
    monkeypatch.setattr(checkpoint, "library_files", lambda source: [tmp_path / "losses.py"])
    assert fingerprint()["the library's code"] != before["the library's code"]


@pytest.mark.parametrize("content", [b"", b"no checkpoint", b"PK\x05\x06" + bytes(18)])
def test_a_file_that_is_no_checkpoint_is_passed_over(tmp_path, content, capsys):
    (tmp_path / "c.npz").write_bytes(content)
    keeper = checkpoint.Checkpoint(tmp_path / "c.npz", None, None, [], [], {}, 60)
    assert keeper.restore(2, 5) == 2
    assert capsys.readouterr().out == f"{tmp_path / 'c.npz'} cannot be read: training starts anew\n"


def stopped_after(scores, patience):
    """How many epochs early stopping lets pass, when it is made anew before every one of them."""
    history = []
    for number, score in enumerate(scores):
        stop = checkpoint.EarlyStopping("score", patience)
        stop.set_model(made_up := type("Model", (), {"stop_training": False})())
        made_up.history = type("History", (), {"history": {"score": list(history)} if history else {}})()
        stop.on_epoch_end(number, {"score": score})
        history.append(score)
        if made_up.stop_training:
            return number + 1
    return None


@pytest.mark.parametrize(
    ("scores", "patience", "epochs"),
    [
        ([0.1, 0.2, 0.3, 0.4], 1, None),
        ([0.1, 0.3, 0.2, 0.1], 2, 4),
        ([0.1, 0.3, 0.3, 0.3], 2, 4),  # as good is not better
        ([0.3, 0.2, 0.4, 0.3, 0.2, 0.1], 2, 5),
        ([0.5, 0.4], 1, 2),
        ([0.0, 0.0, 0.0], 3, None),
    ],
)
def test_early_stopping_follows_from_the_history(scores, patience, epochs):
    assert stopped_after(scores, patience) == epochs


# A whole training of `experiment`, killed.

N = 60


def the_run(refit):
    settings = {"hidden_units": 4, "embedding_units": 3, "batch_size": 10, "jit": False, "samples": 8}
    settings |= {"max_epochs": 3, "patience": 1, "refit": refit, "dropout_hidden": 0.2, "momentum": 0.2}
    settings |= {"steps_per_epoch": 7 if refit else None}
    return Run(study="toy", input_form="embedding", loss="cross_entropy", seed=1, training=Training(**settings))


def train_and_save(folder, refit):
    """All files of a run folder, with checkpoints as often as can be."""
    epoch.TRAIN_STEPS, model_module.RANK_LANES, model_module.RANK_STEPS = 3, 16, 2
    rng = np.random.default_rng(5)
    train, validation, test = (Sessions.from_lists(rng.integers(0, N, (n, 5)).tolist()) for n in (30, 8, 8))
    nothing = {"test_events": None, "counts": None, "features": None}
    data = Prepared(pd.DataFrame({"item": [f"t_{i}" for i in range(N)]}), N, train, validation, test, **nothing)
    often = checkpoint.Checkpoint.__init__
    checkpoint.Checkpoint.__init__ = lambda self, *args: often(self, *args[:-1], 0)
    try:
        trained = experiment.train(the_run(refit), data, folder=folder)
    finally:
        checkpoint.Checkpoint.__init__ = often
    ranks = pd.DataFrame({"protocol": "known", "rank": trained.model.rank(test, N), "n_candidates": N})
    lists = pd.DataFrame({"item": trained.model.top(test, N).ravel()})
    experiment.save(folder, the_run(refit), trained, ranks, lists, data)
    np.savez(folder / "weights.npz", *trained.model.get_weights())


def killed_at(moment, folder, refit):
    """Train until the so-manieth array is half written, or the so-manieth stretch is done, then kill -9."""
    left, write_array, after = moment, np.lib.format.write_array, epoch.Epoch.on_train_batch_end

    def tick():
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def half(file, array, **options):
        if left == 1:
            file.write(b"half")
        tick()
        write_array(file, array, **options)

    def trained(self, batch, logs=None):
        tick()
        after(self, batch, logs)

    np.lib.format.write_array, epoch.Epoch.on_train_batch_end = half, trained
    train_and_save(folder, refit)


def outcome(folder):
    history = pd.read_csv(folder / "history.csv").drop(columns="seconds").to_csv()
    record = json.loads((folder / "config.json").read_text())
    assert sorted(p.name for p in folder.iterdir()) == sorted(
        ["config.json", "history.csv", "lists.parquet", "model", "ranks.parquet", "weights.npz"]
    ), "checkpoints are gone"
    arrays = {name: value.tobytes() for name, value in np.load(folder / "weights.npz").items()}
    return history, record["best_epoch"], (folder / "ranks.parquet").read_bytes(), arrays


@pytest.mark.slow
@pytest.mark.parametrize("refit", [True, False])
def test_kill_9_at_any_moment_changes_no_byte(tmp_path, refit, monkeypatch):
    for owner, name in ((epoch, "TRAIN_STEPS"), (model_module, "RANK_LANES"), (model_module, "RANK_STEPS")):
        monkeypatch.setattr(owner, name, getattr(owner, name))  # brought back afterwards
    train_and_save(tmp_path / "whole", refit)
    moments = np.random.default_rng(3 + refit).integers(30, 160, 2 if refit else 1)
    root = Path(__file__).resolve().parents[1]
    for moment in moments:
        code = f"import pathlib, test_checkpoint as t; t.killed_at({moment}, pathlib.Path('k'), {refit})"
        child = subprocess.run(
            [sys.executable, "-c", code],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": f"{root}{os.pathsep}{root / 'tests'}"},
            capture_output=True,
            text=True,
        )
        assert child.returncode == -signal.SIGKILL, child.stderr
        print(moment, child.stdout)
    train_and_save(tmp_path / "k", refit)
    assert outcome(tmp_path / "k") == outcome(tmp_path / "whole")


def test_a_function_is_told_by_its_name(tmp_path):
    """The same in every process, so that training goes on."""
    fit(made(loss=losses.bpr), tmp_path / "c.npz", schedule=batches.schedule)
    record = checkpoint.read_record(tmp_path / "c.npz")["made_with"]
    assert (record["loss"], record["schedule"]) == ("gru4rec_lib.losses.bpr", "gru4rec_lib.batches.schedule")
