"""An interrupted training gives the same bytes as an uninterrupted one; checkpoints of other trainings are not used."""

import json
import os
import signal
import subprocess
import sys
from fractions import Fraction
from functools import cache, partial
from pathlib import Path
from types import FunctionType, SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from gru4rec_lib.config.study import Run, Training
from gru4rec_lib.data import session_batches
from gru4rec_lib.data.sessions import Sessions
from gru4rec_lib.preparation.prepare import Prepared
from gru4rec_lib.study import runs
from gru4rec_lib.training import checkpoint, losses
from gru4rec_lib.training import epochs as epoch
from gru4rec_lib.training import gru4rec as model_module
from gru4rec_lib.training.gru4rec import GRU4Rec
from gru4rec_lib.utils.backend import keras, tf

SESSIONS = Sessions.from_lists([[0, 1, 2, 5], [3, 1], [1, 4], [2, 5, 0], [5, 5]])


class InterruptionError(Exception):
    pass


class InterruptAt(keras.callbacks.Callback):
    """Interrupt the fit after a number of chunks."""

    def __init__(self, chunk):
        super().__init__()
        self.left = chunk

    def on_train_batch_end(self, batch, logs=None):
        self.left -= 1
        if self.left == 0:
            raise InterruptionError


@pytest.fixture
def _short_chunks(monkeypatch):
    monkeypatch.setattr("gru4rec_lib.training.gru4rec.TRAIN_STEPS", 2)
    monkeypatch.setattr(epoch, "TRAIN_STEPS", 2)


def made(**settings):
    model = GRU4Rec(6, "embedding", 4, embedding_units=3, dropout_hidden=0.3)
    model.compile(**{"samples": 3, "momentum": 0.3, "jit": False} | settings)
    return model


@cache
def traced():
    """One model of `made` for many tests, its variables and their first values: to trace its steps takes a second."""
    model = made()
    variables = [*model.weights, *model.optimizer.variables, *model._mean_loss.variables]
    return model, variables, [np.array(variable) for variable in variables]


def as_made():
    """Return the model of `traced` as it was made."""
    model, variables, first = traced()
    for variable, value in zip(variables, first, strict=True):
        variable.assign(value)
    return model


def fit(model, path=None, callbacks=(), **options):
    options = {"epochs": 3, "batch_size": 2, "validation_data": None, "verbose": 0} | options
    path = {} if path is None else {"checkpoint": path, "checkpoint_seconds": 0}
    return model.fit(SESSIONS, callbacks=callbacks, **options, **path).history


def everything(model):
    return [np.array(v).tobytes() for v in (*model.weights, *model.optimizer.variables, model.lane_state)]


def untimed(history):
    return {name: values for name, values in history.items() if name != "seconds"}


def test_write_and_read_and_a_failed_write_keeps_the_old_file(tmp_path, monkeypatch):
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
@pytest.mark.usefixtures("_short_chunks")
@pytest.mark.parametrize(("steps_per_epoch", "chunks"), [(None, (2, 5)), (3, (4,)), (7, (8,))])
def test_an_interrupted_fit_gives_the_same_bytes(tmp_path, steps_per_epoch, chunks, capsys):
    """A pass has four or five mini-batches: epochs of 3 end within the first pass, epochs of 7 within the next."""
    options = {"steps_per_epoch": steps_per_epoch}
    whole = made()
    history = fit(whole, **options)
    for chunk in chunks:
        path = tmp_path / f"{chunk}.npz"
        with pytest.raises(InterruptionError):
            fit(made(), path, [InterruptAt(chunk)], **options)
        # The callback runs before the checkpoint is written, so the checkpoint is that of the chunk before.
        resumed = made()
        assert untimed(fit(resumed, path, **options)) == untimed(history)
        assert everything(resumed) == everything(whole)
        assert f"continuing from {path}: epoch " in capsys.readouterr().out
    # No epoch is left to train.
    assert untimed(fit(resumed, path, **options)) == untimed(history)
    assert everything(resumed) == everything(whole)


@pytest.mark.slow
@pytest.mark.usefixtures("_short_chunks")
def test_an_interruption_among_chunks_already_trained_changes_nothing(tmp_path):
    options, whole = {"steps_per_epoch": 7}, made()
    history = fit(whole, **options)
    for chunk in (8, 2):  # the second fit continues after chunk 7, the third of its epoch
        with pytest.raises(InterruptionError):
            fit(made(), tmp_path / "c.npz", [InterruptAt(chunk)], **options)
    resumed = made()
    assert untimed(fit(resumed, tmp_path / "c.npz", **options)) == untimed(history)
    assert everything(resumed) == everything(whole)


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["adam", keras.optimizers.SGD])
def test_fits_with_other_optimisers_and_learning_rates_continue(tmp_path, optimizer):
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
def test_differences_are_named(fingerprint, change, named):
    before, after = fingerprint(), fingerprint(**change)
    assert {name for name in before | after if before.get(name) != after.get(name)} == named


def test_changed_library_code_is_another_training(fingerprint, tmp_path, monkeypatch):
    before = fingerprint()
    (tmp_path / "losses.py").write_text("other")
    monkeypatch.setattr(checkpoint, "library_code", lambda: [tmp_path / "losses.py"])
    assert fingerprint()["the library's code"] != before["the library's code"]


@pytest.mark.parametrize("content", [b"", b"no checkpoint", b"PK\x05\x06" + bytes(18)])
def test_a_file_that_is_no_checkpoint_is_ignored(tmp_path, content, capsys):
    (tmp_path / "c.npz").write_bytes(content)
    keeper = checkpoint.Checkpoint(tmp_path / "c.npz", None, None, [], [], {}, 60)
    assert keeper.restore(2, 5) == 2
    assert capsys.readouterr().out == f"{tmp_path / 'c.npz'} cannot be read: training starts anew\n"


def stopped_after(scores, patience):
    """Count epochs until early stopping, with a new callback before each of them."""
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
        ([0.1, 0.3, 0.3, 0.3], 2, 4),  # an equal score is not better
        ([0.3, 0.2, 0.4, 0.3, 0.2, 0.1], 2, 5),
        ([0.5, 0.4], 1, 2),
        ([0.0, 0.0, 0.0], 3, None),
    ],
)
def test_early_stopping_follows_from_the_history(scores, patience, epochs):
    assert stopped_after(scores, patience) == epochs


@pytest.mark.parametrize("patience", [0, -1, 1.5, True, None])
def test_patience_is_a_whole_number_from_1_on(patience):
    with pytest.raises(ValueError, match=r"^patience is .*; give "):
        checkpoint.EarlyStopping("score", patience)


RECALL, MRR = [0.2, 0.3, 0.1, 0.4, 0.1, 0.1, 0.1], [0.5, 0.1, 0.2, 0.6, 0.1, 0.1, 0.1]


@pytest.fixture
def _scripted_scores(monkeypatch):
    """Validation scores by epoch; the two mini-batches of an epoch are one chunk."""

    def scores(model, sessions):
        epoch = int(model.optimizer.iterations) // 2 - 1
        return {"recall_at_20": RECALL[epoch], "mrr_at_20": MRR[epoch]}

    monkeypatch.setattr(GRU4Rec, "evaluate", scores)


def fit_by(rule, folder, callbacks=(), resumes=True):
    """Fit with (monitor, patience, whether to restore the best weights, epochs); return bytes and history."""
    monitor, patience, keeps_best, epochs = rule
    stop = checkpoint.EarlyStopping(f"val_{monitor}_at_20", patience, folder / "best.npz" if keeps_best else None)
    options = {"epochs": epochs, "steps_per_epoch": 2, "validation_data": SESSIONS}
    model = as_made()
    history = fit(model, folder / "c.npz" if resumes else None, [stop, *callbacks], **options)
    return everything(model), untimed(history)


@pytest.mark.slow
@pytest.mark.usefixtures("_scripted_scores", "_short_chunks")
@pytest.mark.parametrize(
    ("first", "then", "message"),
    [
        (("recall", 1, True, 7), ("recall", 5, True, 7), "continuing from {}: epoch 4, step 6"),
        (("recall", 1, False, 7), ("recall", 3, False, 7), "continuing from {}: epoch 4, step 6"),
        (
            ("recall", 3, True, 7),
            ("recall", 1, True, 7),
            "{}: by val_recall_at_20 and patience 1, training ends with epoch 3",
        ),
        (
            ("recall", 1, True, 7),
            ("mrr", 5, True, 7),
            "{}: the weights of its best epoch by val_mrr_at_20 were not kept",
        ),
        (
            ("recall", 2, True, 5),
            ("mrr", 3, True, 7),
            "continuing from {}: epoch 6, step 10",
        ),  # the fourth epoch is the best by both
        (("recall", 1, False, 7), ("mrr", 2, False, 7), "continuing from {}: epoch 4, step 6"),
        (
            ("recall", 1, False, 7),
            ("recall", 1, True, 7),
            "{}: the weights of its best epoch by val_recall_at_20 were not kept",
        ),
        (("recall", 9, True, 2), ("recall", 9, True, 5), "continuing from {}: epoch 3, step 4"),
        (("recall", 9, True, 5), ("recall", 9, True, 2), "{}: it has trained beyond epoch 2"),
    ],
)
def test_a_changed_stopping_rule_gives_the_same_as_from_the_start(tmp_path, first, then, message, capsys):
    expected = fit_by(then, tmp_path, resumes=False)
    (tmp_path / "best.npz").unlink(missing_ok=True)
    fit_by(first, tmp_path)
    capsys.readouterr()
    assert fit_by(then, tmp_path) == expected
    anew = "" if message.startswith("continuing") else ": training starts anew"
    assert capsys.readouterr().out == message.format(tmp_path / "c.npz") + anew + "\n"


@pytest.mark.slow
@pytest.mark.usefixtures("_scripted_scores", "_short_chunks")
@pytest.mark.parametrize(
    "rule", [("recall", 5, True, 7), ("recall", 1, True, 7), ("mrr", 2, True, 7), ("recall", 9, True, 3)]
)
@pytest.mark.parametrize("killed", ["before the checkpoint", "after it"])
def test_a_changed_rule_after_a_kill_at_the_end_of_an_epoch(tmp_path, rule, killed, monkeypatch):
    """The best weights are written before the checkpoint; after a kill in between they are those of a later epoch."""
    expected = fit_by(rule, tmp_path, resumes=False)
    (tmp_path / "best.npz").unlink()
    end = checkpoint.Checkpoint.on_epoch_end

    def interrupted(self, epoch, logs=None):
        if epoch == 3 and killed == "before the checkpoint":
            raise InterruptionError
        end(self, epoch, logs)
        if epoch == 3:
            raise InterruptionError

    with monkeypatch.context() as at_the_fourth:
        at_the_fourth.setattr(checkpoint.Checkpoint, "on_epoch_end", interrupted)
        with pytest.raises(InterruptionError):
            fit_by(("recall", 2, True, 7), tmp_path)
    assert checkpoint.read_record(tmp_path / "best.npz")["epoch"] == 3
    assert fit_by(rule, tmp_path) == expected


@pytest.mark.slow
@pytest.mark.usefixtures("_scripted_scores", "_short_chunks")
def test_a_training_stopped_by_another_callback_stays_stopped(tmp_path):
    class Stop(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.model.stop_training |= epoch == 2

    stopped = fit_by(("recall", 1, True, 7), tmp_path, [Stop()])
    assert len(stopped[1]["loss"]) == 3
    assert fit_by(("recall", 5, True, 7), tmp_path) == stopped


def by_hundred(target, negatives, mask):
    return 100 * losses.bpr(target, negatives, mask)


def factor(times):
    return lambda target, negatives, mask: times * losses.bpr(target, negatives, mask)


def halved(times=0.5):
    def loss(target, negatives, mask):
        return times * losses.bpr(target, negatives, mask)

    return loss


WEIGHT = None


def of_global(target, negatives, mask):
    return WEIGHT


def of_global_within(target, negatives, mask):
    return (lambda: WEIGHT)()


def with_global(value, loss=of_global):
    """Return the loss as it is where a module sets WEIGHT to this value."""
    return FunctionType(loss.__code__, {"WEIGHT": value, "__name__": "user"})


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ((1.0,), (2.0,)),
        ([1, [1]], [1, [2]]),
        ({"a": None}, {"a": 1}),
        (None, 1),
        (np.zeros(3), np.ones(3)),
        (np.zeros(4), np.zeros((2, 2))),
        (np.array(1), np.array(2)),
        (np.float32(0.1), np.float32(0.2)),
        (tf.constant([1.0] * 2000), tf.constant([1.0] * 1999 + [2.0])),
        (partial(losses.bpr_max, regularization=0.1), partial(losses.bpr_max, regularization=0.2)),
        (SimpleNamespace(a=1), SimpleNamespace(a=2)),
        (Fraction(1, 2), Fraction(1, 3)),
    ],
    ids=lambda value: type(value).__name__,
)
@pytest.mark.parametrize("loss", [of_global, of_global_within])
def test_a_loss_is_described_by_the_globals_that_it_names(before, after, loss):
    described = [checkpoint.described(with_global(value, loss)) for value in (before, after)]
    assert described[0] != described[1]
    assert json.loads(json.dumps(described)) == described


def test_modules_and_addresses_in_memory_are_not_described():
    assert checkpoint.described(with_global(np)) == checkpoint.described(with_global(json))
    assert " at 0x" not in json.dumps(checkpoint.described(with_global([object(), iter([])])))


def test_not_a_number_is_described_as_equal_to_itself():
    for value in (float("nan"), np.float64("nan"), np.float32("nan"), [float("nan")]):
        assert checkpoint.described(value) == checkpoint.described(value)


def test_settings_are_described_by_what_they_compute():
    """Otherwise a training with another loss or optimiser of the same name would use the checkpoint."""
    decay = keras.optimizers.schedules.ExponentialDecay
    groups = [
        [factor(1.0), factor(2.0), halved(), halved(0.25), by_hundred],
        [partial(losses.bpr_max, regularization=value) for value in (0.1, 0.2)],
        [Weighted(1.0).loss, Weighted(2.0).loss, Weighted(1.0), Weighted(2.0)],
        [adam(0.1, name="a", weight_decay=0.1) for adam in (keras.optimizers.Adam, keras.optimizers.AdamW)],
        [keras.optimizers.Adam(decay(0.1, 10, rate)) for rate in (0.5, 0.6)],
        [keras.optimizers.Adam(0.1, beta_1=beta) for beta in (0.8, 0.9)],
        [np.arange(2000.0), np.arange(2000.0) + (np.arange(2000) == 1000)],
    ]
    for group in groups:
        texts = [json.dumps(checkpoint.described(value)) for value in group]
        assert len(set(texts)) == len(group), texts
        assert texts == [json.dumps(checkpoint.described(value)) for value in group]


class Weighted:
    def __init__(self, weight):
        self.weight = weight

    def loss(self, target, negatives, mask):
        return self.weight * losses.bpr(target, negatives, mask)

    __call__ = loss


@pytest.mark.slow
def test_a_custom_loss_is_described_the_same_in_another_process(loaded):
    root = Path(__file__).resolve().parents[2]
    values = "[t.halved(), t.Weighted({1, 'a'}), t.by_hundred]"
    code = f"import json, test_checkpoint as t; print(json.dumps(t.checkpoint.described({values})))"
    path = [root, root / "tests" / "training"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, path)), "PYTHONHASHSEED": "2"}
    one = loaded.run(code, path=path)  # its hash seed is 1
    other = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert one.stdout == other.stdout != "", one.stderr


@pytest.mark.parametrize("optimizer", [keras.optimizers.Adam, keras.optimizers.AdamW])
def test_the_class_of_the_optimiser_is_recorded(optimizer):
    model = made(optimizer=optimizer(0.1, name="same"), momentum=0.0)
    assert model._made_with["optimizer"]["class_name"] == optimizer.__name__


# Kill a complete training of `study.runs`.

N = 60


def the_run(refit):
    settings = {"hidden_units": 4, "embedding_units": 3, "batch_size": 10, "jit": False, "samples": 8}
    settings |= {"max_epochs": 3, "patience": 1, "refit": refit, "dropout_hidden": 0.2, "momentum": 0.2}
    settings |= {"steps_per_epoch": 7 if refit else None}
    return Run(study="toy", input_form="embedding", loss="cross_entropy", seed=1, training=Training(**settings))


def train_and_save(folder, refit):
    """Write all files of a run folder, with a checkpoint after each chunk."""
    epoch.TRAIN_STEPS, model_module.RANK_LANES, model_module.RANK_STEPS = 3, 16, 2
    rng = np.random.default_rng(5)
    train, validation, test = (Sessions.from_lists(rng.integers(0, N, (n, 5)).tolist()) for n in (30, 8, 8))
    nothing = {"test_events": None, "counts": None, "features": None}
    data = Prepared(pd.DataFrame({"item": [f"t_{i}" for i in range(N)]}), N, train, validation, test, **nothing)
    often = checkpoint.Checkpoint.__init__
    checkpoint.Checkpoint.__init__ = lambda self, *args: often(self, *args[:-1], 0)
    try:
        trained = runs.train(the_run(refit), data, folder=folder)
    finally:
        checkpoint.Checkpoint.__init__ = often
    ranks = pd.DataFrame({"protocol": "known", "rank": trained.model.rank(test, N), "n_candidates": N})
    lists = pd.DataFrame({"item": trained.model.top(test, N).ravel()})
    runs.save(folder, the_run(refit), trained, ranks, lists, data)
    np.savez(folder / "weights.npz", *trained.model.get_weights())


def killed_at(moment, folder, refit):
    """Train until the n-th array is half written or the n-th chunk is done, then kill the process with SIGKILL."""
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
    ), "checkpoints are deleted"
    arrays = {name: value.tobytes() for name, value in np.load(folder / "weights.npz").items()}
    return history, record["best_epoch"], (folder / "ranks.parquet").read_bytes(), arrays


@pytest.mark.slow
@pytest.mark.parametrize("refit", [True, False])
def test_kill_9_at_any_moment_changes_no_byte(tmp_path, refit, monkeypatch, loaded):
    for owner, name in ((epoch, "TRAIN_STEPS"), (model_module, "RANK_LANES"), (model_module, "RANK_STEPS")):
        monkeypatch.setattr(owner, name, getattr(owner, name))  # restored afterwards
    train_and_save(tmp_path / "whole", refit)
    moments = np.random.default_rng(3 + refit).integers(30, 160, 2 if refit else 1)
    root = Path(__file__).resolve().parents[2]
    for moment in moments:
        code = f"import pathlib, test_checkpoint as t; t.killed_at({moment}, pathlib.Path('k'), {refit})"
        child = loaded.run(code, cwd=tmp_path, path=[root, root / "tests" / "training"])
        assert child.returncode == -signal.SIGKILL, child.stderr
        print(moment, child.stdout)
    train_and_save(tmp_path / "k", refit)
    assert outcome(tmp_path / "k") == outcome(tmp_path / "whole")


def test_a_function_of_the_library_is_recorded_by_name(tmp_path):
    """The name is the same in every process, so that training continues."""
    fit(made(loss=losses.bpr), tmp_path / "c.npz", schedule=session_batches.schedule)
    record = checkpoint.read_record(tmp_path / "c.npz")["made_with"]
    assert (record["loss"], record["schedule"]) == (
        "gru4rec_lib.training.losses.bpr",
        "gru4rec_lib.data.session_batches.schedule",
    )
