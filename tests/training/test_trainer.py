"""`compile` and `fit`: callbacks, one line per epoch, reproducible weights, errors of one sentence."""

import gc
import math
import weakref

import numpy as np
import pandas as pd
import pytest

from gru4rec_lib.data import session_batches
from gru4rec_lib.data.sessions import Sessions
from gru4rec_lib.training import epochs as epoch
from gru4rec_lib.training import losses, optimizers
from gru4rec_lib.training.checkpoint import EarlyStopping
from gru4rec_lib.training.gru4rec import GRU4Rec
from gru4rec_lib.utils.backend import keras

pytestmark = pytest.mark.slow

SESSIONS = Sessions.from_lists([[0, 1, 2, 5], [3, 1], [1, 4], [2, 5, 0], [5, 5]])
DROPOUT = {"dropout_input": 0.3, "dropout_hidden": 0.4}


def made(seed=1, sizes=(), **settings):
    model = GRU4Rec(6, "embedding", 4, embedding_units=3, seed=seed, **dict(sizes))
    model.compile(**{"samples": 3, "momentum": 0.3, "jit": False} | settings)
    return model


def same(a, b):
    return all(np.array_equal(x, y) for x, y in zip(a.get_weights(), b.get_weights(), strict=True))


def test_keras_callbacks_work_and_an_epoch_prints_one_line(tmp_path, capsys, monkeypatch):
    recalls = iter([0.2, 0.5, 0.1, 0.4, 0.9])
    seen, orders = [], []
    monkeypatch.setattr(GRU4Rec, "evaluate", lambda self, sessions: {"recall_at_20": next(recalls), "mrr_at_20": 0.25})
    order = session_batches.epoch_order
    monkeypatch.setattr(session_batches, "epoch_order", lambda *of: orders.append(of[2:]) or order(*of))
    model = made(seed=3)
    keep = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(model.get_weights()))
    callbacks = [
        keep,
        keras.callbacks.CSVLogger(tmp_path / "log.csv"),
        keras.callbacks.ModelCheckpoint(str(tmp_path / "{epoch}.weights.h5"), save_weights_only=True),
        keras.callbacks.EarlyStopping("val_recall_at_20", mode="max", patience=2, restore_best_weights=True),
    ]
    history = model.fit(SESSIONS, 5, 2, validation_data=SESSIONS, callbacks=callbacks).history

    assert history["val_recall_at_20"] == [0.2, 0.5, 0.1, 0.4]
    assert orders == [(3, 0), (3, 1), (3, 2), (3, 3)], "each epoch has its own order"
    log = pd.read_csv(tmp_path / "log.csv")
    assert list(log["epoch"]) == [0, 1, 2, 3]
    np.testing.assert_allclose(log["loss"], history["loss"])
    for mine, best in zip(model.get_weights(), seen[1], strict=True):
        np.testing.assert_array_equal(mine, best)
    model.load_weights(tmp_path / "3.weights.h5")
    for mine, third in zip(model.get_weights(), seen[2], strict=True):
        np.testing.assert_array_equal(mine, third)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    assert lines[1].startswith(
        f"epoch 2/5  loss {history['loss'][1]:.4f}  val_recall_at_20 0.5000  val_mrr_at_20 0.2500  "
    )
    assert lines[1].endswith(" events/s")


def test_an_unreferenced_model_is_freed_after_fit():
    model = made()
    model.fit(SESSIONS, 1, 2, verbose=0)
    held = weakref.ref(model)
    del model
    gc.collect()  # model and callbacks are a reference cycle
    assert held() is None


def test_a_fit_does_not_depend_on_chunks_or_interruptions(tmp_path, monkeypatch, capsys):
    whole = made(sizes=DROPOUT)
    whole.fit(SESSIONS, 3, 2, verbose=0)
    monkeypatch.setattr(epoch, "TRAIN_STEPS", 3)  # other chunks, with other empty steps at their ends
    first = made(sizes=DROPOUT)
    first.fit(SESSIONS, 2, 2, verbose=0)
    first.save_weights(tmp_path / "two_epochs.weights.h5")
    second = made(sizes=DROPOUT)
    second.load_weights(tmp_path / "two_epochs.weights.h5")
    assert second.optimizer.iterations == first.optimizer.iterations > 0
    assert not same(second, whole)
    second.fit(SESSIONS, 3, 2, initial_epoch=2, verbose=0)
    assert same(second, whole)
    assert capsys.readouterr().out == ""


def test_dropout_is_a_function_of_seed_and_step_and_keeps_the_mean():
    """One unit, dropped with probability 0.4: the loss is log 2 if dropped, otherwise that of h / 0.6."""
    losses = {}
    for seed in (1, 2):
        model = GRU4Rec(2, "one_hot", 1, dropout_hidden=0.4, seed=seed)
        model.compile("bpr", optimizer=keras.optimizers.SGD(1e-30), negatives=("all",), jit=False)
        model.item_input.table.assign([[0.0, -20.0, 0.5], [0.0, 0.0, 0.0]])  # z = 1/2, so that h = tanh(1/2) / 2
        model.recurrence[0].recurrent_kernel.assign([[0.0, 0.0, 0.0]])
        model.scorer.table.assign([[-1.0], [1.0]])
        losses[seed] = np.array(model.fit(Sessions.from_lists([[0, 1]]), 15, 1, verbose=0).history["loss"])
    kept = math.log1p(math.exp(-2 * math.tanh(0.5) / 2 / 0.6))
    for found in losses.values():
        assert np.all(np.isclose(found, math.log(2)) | np.isclose(found, kept))
        assert 5 <= np.isclose(found, kept).sum() <= 13  # 9 of 15 expected
    assert (np.isclose(losses[1], kept) != np.isclose(losses[2], kept)).any()


def test_loss_is_the_mean_over_the_pairs_of_its_own_epoch():
    model = made(optimizer=keras.optimizers.SGD(1e-30), negatives=("all",))
    model.set_weights([np.zeros_like(w) for w in model.get_weights()])
    np.testing.assert_allclose(model.fit(SESSIONS, 2, 3, verbose=0).history["loss"], [math.log(6)] * 2, rtol=1e-6)


def test_empty_data_changes_nothing():
    model = made()
    model.fit(SESSIONS, 1, 2, verbose=0)
    trained = model.get_weights()
    only_single_events = Sessions.from_lists([[1], [2], []])
    model.fit(only_single_events, 1, 2, verbose=0)
    plays = [w.path for w in model.weights].index(model.scorer.plays.path)
    for place, (before, after) in enumerate(zip(trained, model.get_weights(), strict=True)):
        assert np.array_equal(before, after) == (place != plays)


def test_a_custom_loss_function():
    """A custom BPR gives the same weights as that of the library."""

    def mine(target, negatives, mask):
        terms = keras.ops.log(1 + keras.ops.exp(negatives - target[:, None])) * keras.ops.cast(mask, "float32")
        return keras.ops.sum(terms, axis=1) / keras.ops.sum(keras.ops.cast(mask, "float32"), axis=1)

    given, known = made(loss=mine, negatives=("all",)), made(loss="bpr", negatives=("all",))
    losses = [model.fit(SESSIONS, 2, 2, verbose=0).history["loss"] for model in (given, known)]
    np.testing.assert_allclose(*losses, rtol=1e-5)
    for one, other in zip(given.get_weights(), known.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


def test_a_custom_loss_may_have_conditions_and_loops_over_tensors():
    def mine(target, negatives, mask):
        loss = losses.bpr(target, negatives, mask)
        if keras.ops.sum(loss) < 0:  # never: BPR is positive
            loss = 0 * loss
        for _ in keras.ops.arange(2):
            loss = 2 * loss
        return loss

    given, known = made(loss=mine), made(loss=lambda *scores: 4 * losses.bpr(*scores))
    for model in (given, known):
        model.fit(SESSIONS, 1, 2, verbose=0)
    assert same(given, known)


def test_a_custom_schedule_and_a_callback_that_sets_the_state():
    laid = []

    def first_two(sessions, lanes, order):
        laid.append((len(sessions), lanes, order))
        return session_batches.schedule(sessions, lanes, np.arange(2))

    model = made()
    model.fit(SESSIONS, 1, 2, shuffle=False, schedule=first_two, verbose=0)
    assert laid == [(5, 2, None)]
    assert int(model.optimizer.iterations) == 3, "two of the five sessions are used, the longer one has three pairs"
    assert model.lane_state.shape == (2, 4)
    zero = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: model.lane_state.assign(np.zeros((2, 4))))
    model.fit(SESSIONS, 1, 2, callbacks=[zero], verbose=0)
    assert not model.lane_state.numpy().any()


class Seeded:
    seed = 4


@pytest.mark.parametrize("steps", [1, 3, 4, 7, 20])
def test_epochs_of_fixed_steps_are_consecutive_parts_of_the_passes(steps):
    def epochs_of(steps):
        return epoch.Epoch(Seeded, SESSIONS, 2, True, steps, None, 1, 0)

    passes = [epochs_of(None)._of_epoch(number)[0] for number in range(25)]
    row = {
        name: np.concatenate([getattr(one, name) for one in passes]) for name in ("input", "target", "reset", "valid")
    }
    ends = np.cumsum([len(one) for one in passes])
    going, fresh = epochs_of(steps), epochs_of(steps)
    for number in (0, 1, 2, 4):
        found, share = going._of_epoch(number)
        for name, values in row.items():
            np.testing.assert_array_equal(getattr(found, name), values[number * steps : (number + 1) * steps])
        last = (number + 1) * steps
        whole = int(np.searchsorted(ends, last))
        began = ends[whole - 1] if whole else 0
        assert share == pytest.approx(whole + (last - began) / len(passes[whole]))
    again, share_again = fresh._of_epoch(4)  # without the earlier epochs, as after an interruption
    np.testing.assert_array_equal(again.event, found.event)
    assert share_again == share


def test_validation_after_every_epoch_of_fixed_steps_is_in_the_history(monkeypatch, capsys):
    monkeypatch.setattr(GRU4Rec, "evaluate", lambda self, sessions: {"recall_at_20": 0.5, "mrr_at_20": 0.25})
    history = made().fit(SESSIONS, 3, 2, validation_data=SESSIONS, steps_per_epoch=2, shuffle=False).history
    # Lanes [0 1 2 5] and [3 1], [1 4], [2 5 0], then [5 5]: a pass of four mini-batches.
    assert history["step"] == [2, 4, 6]
    assert history["passes"] == [0.5, 1.0, 1.5]
    assert history["val_recall_at_20"] == [0.5] * 3
    assert capsys.readouterr().out.splitlines()[1].startswith("epoch 2/3  step 4  passes 1.00  loss ")


def test_keras_callbacks_save_the_model_and_set_the_learning_rate(tmp_path, monkeypatch):
    monkeypatch.setattr(GRU4Rec, "evaluate", lambda self, sessions: {"recall_at_20": 0.5, "mrr_at_20": 0.25})
    model = made(learning_rate=0.4)
    callbacks = [
        keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate if epoch else 0.2),
        keras.callbacks.ReduceLROnPlateau("val_recall_at_20", mode="max", factor=0.5, patience=1),
        keras.callbacks.ModelCheckpoint(str(tmp_path / "{epoch}.keras")),
    ]
    history = model.fit(SESSIONS, 3, 2, validation_data=SESSIONS, callbacks=callbacks, verbose=0).history
    np.testing.assert_allclose(history["learning_rate"], [0.2, 0.2, 0.1])
    np.testing.assert_allclose(float(model.optimizer.learning_rate), 0.05)
    loaded = keras.saving.load_model(tmp_path / "3.keras")
    assert same(loaded, model)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1.keras", "2.keras", "3.keras"]


def test_tensorboard_writes_events(tmp_path):
    pytest.importorskip("tensorboard", reason="the package tensorboard is not installed")
    made().fit(SESSIONS, 1, 2, callbacks=[keras.callbacks.TensorBoard(str(tmp_path))], verbose=0)
    assert list(tmp_path.rglob("events.out.tfevents.*"))


def test_a_loss_that_is_not_finite_stops_before_the_checkpoint(tmp_path):
    model = made(learning_rate=1e38)
    with pytest.raises(FloatingPointError, match="learning_rate"):
        model.fit(SESSIONS, 20, 2, verbose=0, steps_per_epoch=40, checkpoint=tmp_path / "c.npz")
    assert int(model.optimizer.iterations) < 10, "not all 40 mini-batches of the chunk were run"
    assert list(tmp_path.iterdir()) == []


def test_a_diverging_training_stops_with_a_remedy():
    with pytest.raises(FloatingPointError, match=r"epoch 1, step [2-9]: lower learning_rate \(now 1e\+38\)"):
        made(learning_rate=1e38).fit(SESSIONS, 2, 2, verbose=0)


@pytest.mark.parametrize("validation", [None, Sessions.from_lists([[0], [], [1]])])
def test_early_stopping_needs_targets_to_validate_with(validation):
    stop, model = EarlyStopping("val_mrr_at_20", 1), made()
    with pytest.raises(ValueError, match=r"^early stopping by val_mrr_at_20 needs `validation_data` with a session of"):
        model.fit(SESSIONS, 1, 2, validation, [stop], verbose=0)
    assert model.steps == 0


def test_early_stopping_by_an_unknown_score_is_an_error():
    with pytest.raises(ValueError, match=r"^monitor is 'mrr'; known are loss, step, passes, seconds$"):
        made().fit(SESSIONS, 1, 2, callbacks=[EarlyStopping("mrr", 1)], verbose=0)


@pytest.mark.parametrize("plays", [np.ones(5, int), np.ones(7, int), np.ones((6, 1), int), []])
def test_plays_before_are_one_number_for_all_items_or_for_each(plays):
    with pytest.raises(ValueError, match=r"^plays_before has shape \(.*\); give one number for each of the 6 items$"):
        made().fit(SESSIONS, 1, 2, verbose=0, plays_before=plays)


def test_callbacks_may_be_none():
    assert len(made().fit(SESSIONS, 1, 2, callbacks=None, verbose=0).history["loss"]) == 1


def test_items_beyond_the_model_are_named():
    with pytest.raises(ValueError, match="hold item 6, but the model has 6 items"):
        made().fit(Sessions.from_lists([[0, 6]]), verbose=0)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"negatives": ("in-batch",)}, "negatives.0: Input should be 'in_batch', 'sampled' or 'all'"),
        ({"negatives": ()}, "`negatives` is `all` alone, or"),
        ({"negatives": "sampled"}, "negatives: should be a list, in brackets"),
        ({"negatives": ("sampled",), "samples": 0}, "needs `samples` above 0"),
        ({"negatives": ("in_batch",)}, "need a `batch_size` above 1"),
    ],
)
def test_settings_without_negatives_are_an_error(settings, sentence):
    with pytest.raises(ValueError, match=sentence):
        made(**settings).fit(SESSIONS, 1, 1, verbose=0)


def sgd(**options):
    return keras.optimizers.SGD(0.5, momentum=0.5, **options)


@pytest.mark.parametrize("jit", [True, False])
@pytest.mark.parametrize("more", [{}, {"clip_norm": 0.05, "l2": 0.01}, {"negatives": ("all",)}])
@pytest.mark.parametrize(
    "make", [sgd, keras.optimizers.Adam, keras.optimizers.AdamW, optimizers.Adagrad, optimizers.LazyAdam]
)
def test_a_scaled_loss_trains_the_same(make, more, jit):
    """A power of two changes no digit; the gradients that the optimiser applies are clipped."""
    plain, scaled = made(optimizer=make(), jit=jit, **more), made(optimizer=make(loss_scale_factor=8), jit=jit, **more)
    for model in (plain, scaled):
        model.fit(SESSIONS, 3, 2, verbose=0)
    for mine, other in zip(plain.get_weights(), scaled.get_weights(), strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("jit", [True, False])
def test_a_dynamic_loss_scale_trains_the_same(jit):
    dynamic = keras.optimizers.LossScaleOptimizer(sgd(), 2.0**10)
    plain, scaled = made(optimizer=sgd(), jit=jit), made(optimizer=dynamic, jit=jit)
    histories = [model.fit(SESSIONS, 3, 2, verbose=0).history for model in (plain, scaled)]
    assert histories[0]["step"] == histories[1]["step"]
    for mine, other in zip(plain.get_weights(), scaled.get_weights(), strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-4, atol=1e-6)


def test_accumulated_gradients_are_the_mean_of_the_mini_batches(monkeypatch):
    """Both mini-batches of an update start from the same weights, so the update is the mean of their gradients."""
    one = Sessions.from_lists([[0, 1, 2]])  # two mini-batches of one lane
    model = made(optimizer=keras.optimizers.SGD(0.5, gradient_accumulation_steps=2), sizes=DROPOUT)
    start = model.get_weights()
    assert model.fit(one, 1, 1, verbose=0).history["step"] == [2]
    moved = [after - before for after, before in zip(model.get_weights(), start, strict=True)]
    expected = [np.zeros(weight.shape) for weight in start]
    frozen = made(optimizer=keras.optimizers.SGD(0.5), sizes=DROPOUT)

    class Apart(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            for total, after, before in zip(expected, frozen.get_weights(), start, strict=True):
                total += (after - before) / 2
            frozen.set_weights(start)

    monkeypatch.setattr(epoch, "TRAIN_STEPS", 1)
    frozen.fit(one, 1, 1, callbacks=[Apart()], verbose=0)
    plays = [w.path for w in model.weights].index(model.scorer.plays.path)
    for number, (mine, other) in enumerate(zip(moved, expected, strict=True)):
        if number != plays:
            np.testing.assert_allclose(mine, other, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    "name", ["Adadelta", "Adafactor", "Adagrad", "Adamax", "Ftrl", "Lion", "Muon", "Nadam", "RMSprop"]
)
def test_every_optimiser_of_keras_trains(name):
    model = made(optimizer=getattr(keras.optimizers, name)(0.01, loss_scale_factor=4.0), clip_norm=1.0)
    assert np.isfinite(model.fit(SESSIONS, 2, 2, verbose=0).history["loss"]).all()


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"loss": "softmax"}, "loss is 'softmax'; known are cross_entropy, bpr, bpr_max, top1, top1_max$"),
        ({"loss": None}, "loss is None; known are cross_entropy"),
        ({"loss": ["bpr"]}, "loss is \\['bpr'\\]; known are cross_entropy"),
        (
            {"score_activation": "softmax"},
            "^compile: score_activation: Input should be 'linear', .* \\(given: 'softmax'\\)$",
        ),
        ({"optimizer": "sgd"}, "^compile: optimizer: Input should be 'adagrad', .* \\(given: 'sgd'\\)$"),
        ({"optimizer": None}, "optimizer is None; give adagrad, lazy_adam, adam, or an optimiser of Keras$"),
        (
            {"optimizer": keras.optimizers.Adam},
            "optimizer is <class .*Adam'>; give adagrad, .*, or an optimiser of Keras$",
        ),
        (
            {"optimizer": keras.optimizers.LossScaleOptimizer(optimizers.Adagrad())},
            "^LossScaleOptimizer makes gradients dense, and Adagrad is for sparse ones: give it alone, with",
        ),
        (
            {"optimizer": keras.optimizers.MultiOptimizer(keras.optimizers.OptimizerMap(optimizers.LazyAdam()))},
            "^MultiOptimizer makes gradients dense, and LazyAdam is for sparse ones",
        ),
        ({"negatives": None}, "^compile: negatives: should be a list, in brackets \\(given: None\\)$"),
        ({"negatives": "all"}, "^compile: negatives: should be a list, in brackets \\(given: 'all'\\)$"),
        ({"negatives": [["all"]]}, "^compile: negatives.0: Input should be 'in_batch', 'sampled' or 'all' \\(given: "),
        ({"negatives": ["all", "sampled"]}, "^compile: `negatives` is `all` alone, or"),
        ({"negatives": []}, "^compile: `negatives` is `all` alone, or"),
        ({"samples": 0}, "^compile: `negatives: sampled` needs `samples` above 0$"),
        ({"samples": 2.5}, "^samples is 2.5; give a whole number$"),
        ({"learning_rate": 0}, "^compile: learning_rate: Input should be greater than 0 \\(given: 0\\)$"),
        ({"momentum": 1}, "^compile: momentum: Input should be less than 1 \\(given: 1\\)$"),
        ({"optimizer": "adam", "momentum": 0.5}, "^momentum is for adagrad; Adam has its own$"),
        ({"clip_norm": float("nan")}, "^compile: clip_norm: "),
        ({"rate": 0.1}, "^compile: rate: no such field; check its spelling or delete it$"),
        ({"batch_size": 3}, "^compile: batch_size: no such field; check its spelling or delete it$"),
    ],
)
def test_a_wrong_argument_of_compile_is_one_sentence(settings, sentence):
    with pytest.raises(ValueError, match=sentence):
        made(**settings)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"input_form": "onehot"}, "input_form is 'onehot'; known are one_hot, "),
        ({"input_form": None}, "input_form is None; known are one_hot, "),
        ({"output_form": ["ids"]}, "output_form is \\['ids'\\]; known are ids, content, hybrid$"),
        ({"cell": "rnn"}, "cell is 'rnn'; known are gru, lstm$"),
        ({"hidden_activation": "softmaxx"}, "hidden_activation is 'softmaxx'; give the name of an activation of Keras"),
        ({"hidden_activation": 3}, "hidden_activation is 3; give the name of an activation of Keras"),
        ({"dropout_input": 1.5}, "^dropout_input is 1.5; give a number from 0 to 1$"),
        ({"dropout_input": "0.5"}, "^dropout_input is '0.5'; give a number from 0 to 1$"),
        ({"dropout_hidden": 1}, "^dropout_hidden is 1; give a number below 1$"),
        ({"dropout_hidden": float("nan")}, "^dropout_hidden is nan; give a number from 0 to 1$"),
        ({"dropout_state": "no"}, "^dropout_state is 'no'; give True or False$"),
        ({"hidden_units": []}, "^hidden_units is empty; give at least one width$"),
        ({"hidden_units": "100"}, "^hidden_units is '100'; give a whole number$"),
        ({"mlp_units": "64"}, "^mlp_units is '64'; give a whole number$"),
        ({"mlp_units": [64, 0]}, "^mlp_units is 0; give 1 or more$"),
        ({"seed": -1}, "seed is -1; give 0 or more"),
        ({"seed": 2**31}, "seed is 2147483648; give a whole number from 0 to"),
        ({"seed": 1.5}, "seed is 1.5; give a whole number"),
        ({"seed": True}, "seed is True; give a whole number"),
        ({"dtype": "float16"}, "dtype is float16; leave it out, and see `mixed_precision` of `compile`$"),
        ({"dtype": "mixed_float16"}, "dtype is mixed_float16; leave it out"),
    ],
)
def test_a_wrong_argument_of_the_constructor_is_one_sentence(settings, sentence):
    with pytest.raises(ValueError, match=sentence):
        GRU4Rec(6, **settings)


def test_only_fit_needs_compile(tmp_path):
    model = GRU4Rec(6, "embedding", 4)
    with pytest.raises(ValueError, match=r"^the model is not compiled: call `compile`, then `fit`$"):
        model.fit(SESSIONS, verbose=0)
    assert model.rank(SESSIONS, 6).shape == (8,)
    assert model.top(SESSIONS, 6, k=2).shape == (8, 2)
    assert set(model.evaluate(SESSIONS)) == {"recall_at_20", "mrr_at_20"}
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    with pytest.raises(ValueError, match=r"^the model is not compiled"):
        again.fit(SESSIONS, verbose=0)
    again.compile(samples=3)
    again.fit(SESSIONS, 1, 2, verbose=0)


@pytest.mark.parametrize("loss", ["cross_entropy", "bpr", "bpr_max"])
def test_xla_changes_only_last_bits(loss):
    settings = {"loss": loss, "negatives": ("in_batch", "sampled"), "logq": 1.0, "l2": 0.01, "sizes": DROPOUT}
    histories = [made(jit=jit, **settings).fit(SESSIONS, 3, 3, verbose=0).history["loss"] for jit in (True, False)]
    np.testing.assert_allclose(*histories, rtol=1e-4)


@pytest.mark.parametrize("loss", ["cross_entropy", "bpr_max"])
def test_mixed_precision_is_close_and_keeps_float32_weights(loss):
    settings = {"loss": loss, "negatives": ("in_batch", "sampled"), "logq": 1.0, "sizes": DROPOUT}
    models = [made(mixed_precision=mixed, **settings) for mixed in (True, False)]
    histories = [model.fit(SESSIONS, 3, 3, verbose=0).history["loss"] for model in models]
    np.testing.assert_allclose(*histories, rtol=0.01)
    assert histories[0] != histories[1]
    assert {weight.dtype for weight in models[0].trainable_variables} == {"float32"}
