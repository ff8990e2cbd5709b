"""One training from arrays to its files: it learns, does not use the test, and writes no partial file."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from gru4rec_lib.config.study import Run, Training
from gru4rec_lib.data.features import Features
from gru4rec_lib.data.sessions import Sessions
from gru4rec_lib.preparation.prepare import Prepared
from gru4rec_lib.serving import model_folder
from gru4rec_lib.study import results, runs
from gru4rec_lib.study.workspace import Workspace
from gru4rec_lib.training import epochs as epoch
from gru4rec_lib.training import gru4rec as model_module
from gru4rec_lib.training.build import build
from gru4rec_lib.training.gru4rec import GRU4Rec
from gru4rec_lib.utils.backend import device, keras

pytestmark = pytest.mark.slow

N = 50


def grammar(sessions, seed, length=6):
    """Track i is followed by i + 1, the last by the first."""
    first = np.random.default_rng(seed).integers(0, N, sessions)
    return Sessions.from_lists(((first[:, None] + np.arange(length)) % N).tolist())


def prepared(train, validation, n_items=N):
    """Without test sessions, so that their use fails."""
    nothing = {"test": None, "test_events": None, "counts": None, "features": None}
    items = pd.DataFrame({"item": [f"t_{i}" for i in range(n_items)]})
    return Prepared(items=items, n_items=n_items, train=train, validation=validation, **nothing)


def a_run(**changes):
    quick = {"hidden_units": 4, "embedding_units": 3, "batch_size": 10, "jit": False, "negatives": ("all",)}
    settings = Training(**quick | {"max_epochs": 5, "patience": 2} | changes)
    return Run(study="toy", input_form="embedding", loss="cross_entropy", seed=1, training=settings)


@pytest.fixture(autouse=True)
def _small_shapes(monkeypatch):
    monkeypatch.setattr(model_module, "RANK_LANES", 16)
    monkeypatch.setattr(model_module, "RANK_STEPS", 2)
    monkeypatch.setattr(epoch, "TRAIN_STEPS", 5)


@pytest.fixture
def fits(monkeypatch):
    """Trainings that take no time: the arguments of `fit` are recorded, and the test sets the validation scores."""
    given, recalls = [], [0.1, 0.3, 0.3, 0.2]

    def fit(self, sessions, epochs, validation_data=None, callbacks=(), **options):
        given.append({"sessions": sessions, "epochs": epochs, "validation": validation_data} | options)
        history = keras.callbacks.History()
        history.history = {"loss": [2.0] * 4, "val_recall_at_20": recalls, "val_mrr_at_20": [0.4, 0.4, 0.5, 0.2]}
        return history

    monkeypatch.setattr(GRU4Rec, "fit", fit)
    return given


def test_training_without_refit_gives_the_weights_of_that_epoch():
    data = prepared(grammar(40, seed=1), grammar(10, seed=2))
    run = a_run(max_epochs=2, dropout_hidden=0.5, refit=False, monitor="val_mrr_at_20")
    trained = runs.train(run, data)
    again = runs.train_without_refit(run, data, trained.best_epoch)
    for one, other in zip(trained.model.get_weights(), again.get_weights(), strict=True):
        assert (one == other).all()


def test_training_learns_the_next_track(capsys):
    data = prepared(grammar(200, seed=1), grammar(20, seed=2))
    trained = runs.train(a_run(hidden_units=16, embedding_units=16, learning_rate=0.3, max_epochs=6), data)
    ranks = trained.model.rank(grammar(50, seed=3), N)
    assert np.mean(ranks == 1) > 0.95
    assert trained.history["val_recall_at_20"].iloc[trained.best_epoch - 1] == trained.history["val_recall_at_20"].max()
    assert set(trained.history) == {
        *("epoch", "loss", "step", "passes", "seconds", "val_recall_at_20", "val_mrr_at_20")
    }
    assert 0 < trained.seconds < 60 * trained.minutes < 300
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("embedding-cross_entropy-seed1 on ")
    assert lines[1].startswith("about 1.0 GB: base 1.0, weights 0.0, ")
    assert len(lines) == 3 + len(trained.history) + trained.best_epoch


@pytest.mark.parametrize(("columns", "numbers"), [(None, ["x", "y"]), (("y", "c"), ["y"])])
def test_a_run_uses_its_features_alone(tmp_path, columns, numbers):
    random = np.random.default_rng(5)
    features = Features(
        random.normal(size=(N, 2)).astype(np.float32),
        {"c": random.integers(1, 4, (N, 1)).astype(np.int32)},
        {"c": 4},
        {"numeric": ["x", "y"], "mean": [0, 1], "scale": [1, 2], "c": ["p", "q", "r"]},
    )
    test = {"test": grammar(5, seed=3), "features": features}
    data = replace(prepared(grammar(40, seed=1), grammar(10, seed=2)), **test)
    run = a_run(max_epochs=1).model_copy(update={"input_form": "content", "features": columns})
    trained = runs.train(run, data)
    own = features if columns is None else features.only(columns)
    assert trained.model.get_config()["features"] == own.spec
    assert own.spec["numeric"] == len(numbers)
    np.testing.assert_array_equal(trained.model.features.numeric, own.numeric)
    runs.save(tmp_path, run, trained, RANKS, pd.DataFrame(), data)
    model, _, config, found, *_ = model_folder.load(tmp_path / "model")
    assert (found.fitted, found.spec) == (own.fitted, own.spec)
    assert Run(**config) == run
    np.testing.assert_array_equal(model.rank(data.test, N), trained.model.rank(data.test, N))
    alone = runs.train(run.model_copy(update={"features": None}), replace(data, features=own)).model
    for one, other in zip(trained.model.get_weights(), alone.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert runs.memory_estimate(run, data) == runs.memory_estimate(run, replace(data, features=own))


def test_refit_uses_all_training_sessions_for_the_best_number_of_epochs(fits):
    data = prepared(grammar(8, seed=1), grammar(3, seed=2))
    trained = runs.train(a_run(batch_size=7, shuffle=False), data)
    assert trained.best_epoch == 2, "the first of the best"
    assert [fit["epochs"] for fit in fits] == [5, 2]
    assert [(fit["batch_size"], fit["shuffle"]) for fit in fits] == [(7, False)] * 2
    assert fits[0]["sessions"] is data.train
    np.testing.assert_array_equal(fits[1]["sessions"].items, np.concatenate([data.train.items, data.validation.items]))
    assert fits[1]["validation"] is None
    assert trained.history["epoch"].tolist() == [1, 2, 3, 4]


@pytest.mark.parametrize(("monitor", "best"), [("val_recall_at_20", 2), ("val_mrr_at_20", 3)])
def test_the_monitored_score_chooses_the_epoch(fits, monitor, best):
    data = prepared(grammar(8, seed=1), grammar(3, seed=2))
    assert runs.train(a_run(monitor=monitor), data).best_epoch == best
    assert fits[1]["epochs"] == best


def test_refit_starts_from_the_initial_weights():
    data, run = prepared(grammar(8, seed=1), grammar(3, seed=2)), a_run(max_epochs=2)
    trained = runs.train(run, data)
    new = build(run, data.n_items, data.features)
    new.fit(data.train_and_validation, trained.best_epoch, batch_size=run.training.batch_size, verbose=0)
    for found, expected in zip(trained.model.get_weights(), new.get_weights(), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_validation_excludes_tracks_unseen_in_training(fits):
    data = prepared(Sessions.from_lists([[0, 1, 2]]), Sessions.from_lists([[0, 3, 2], [3, 3]]), n_items=4)
    runs.train(a_run(), data)
    validation = fits[0]["validation"]
    assert [validation[s].tolist() for s in range(len(validation))] == [[0, 2], []]
    with pytest.raises(ValueError, match=r"no validation session holds two tracks .* raise `validation_fraction`"):
        runs.train(a_run(), prepared(data.train, Sessions.from_lists([[0, 3], [3, 3]]), n_items=4))


def test_without_refit_the_best_weights_are_restored(monkeypatch):
    recalls, weights = iter([0.2, 0.5, 0.1, 0.4]), []
    monkeypatch.setattr(GRU4Rec, "evaluate", lambda self, sessions: {"recall_at_20": next(recalls), "mrr_at_20": 0.1})
    note = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: weights.append(note.model.get_weights()))
    trained = runs.train(a_run(refit=False), prepared(grammar(4, 1), grammar(2, 2)), callbacks=[note])
    assert (trained.best_epoch, len(trained.history)) == (2, 4), (
        "patience 2: two epochs without a better one, then stop"
    )
    for found, best in zip(trained.model.get_weights(), weights[1], strict=True):
        np.testing.assert_array_equal(found, best)


def test_every_setting_reaches_the_model(monkeypatch):
    told = {}
    monkeypatch.setattr(GRU4Rec, "compile", lambda self, **options: told.update(options))
    changed = {"hidden_units": (5, 3), "dropout_input": 0.1, "dropout_hidden": 0.2, "mlp_units": (3,)}
    changed |= {"samples": 9, "sample_alpha": 0.6, "logq": 0.3, "score_activation": "elu", "elu_alpha": 1.0}
    changed |= {"l2": 0.01, "bpr_max_regularization": 0.4, "optimizer": "adam", "learning_rate": 0.02, "momentum": 0.7}
    changed |= {"negatives": ("sampled", "in_batch"), "hidden_activation": "relu", "dropout_state": True}
    changed |= {"label_smoothing": 0.1, "clip_norm": 2.0, "mixed_precision": True}
    run = a_run(**changed)
    data = prepared(grammar(2, 1), grammar(1, 2))
    told |= build(run, data.n_items, data.features).get_config()
    wanted = run.training.model_dump() | {"loss": "cross_entropy", "seed": 1, "n_items": N}
    wanted |= {name: [*wanted[name]] for name in ("hidden_units", "mlp_units")}
    for how_long in ("max_epochs", "steps_per_epoch", "monitor", "patience", "refit", "batch_size", "shuffle"):
        del wanted[how_long]
    assert {name: told[name] for name in wanted} == wanted
    assert all(wanted[name] != getattr(Training(), name) for name in changed), "a default would show nothing"


RANKS = pd.DataFrame(
    {"protocol": ["known", "known", "open"], "session": [0, 0, 0], "position": [2, 3, 2]}
    | {"target": [1, 2, 1], "rank": [1, 40, 4], "n_candidates": [N, N, N + 2]}
)

LISTS = pd.DataFrame({"session": [0, 0], "position": [2, 2], "place": [1, 2], "item": [4, 1]})


@pytest.fixture
def trained():
    run, data = a_run(), prepared(grammar(2, 1), grammar(1, 2))
    model = build(run, data.n_items, data.features)
    history = pd.DataFrame({"epoch": [1, 2], "loss": [3.5, 2.25], "val_recall_at_20": [0.25, 0.5]})
    return run, runs.Trained(model, history, best_epoch=2, minutes=1.234, seconds=56.78), RANKS, LISTS, data


def test_save_writes_what_the_study_reads(trained, tmp_path):
    run, result, *_ = trained
    scores = runs.save(tmp_path / "run", *trained)
    files = {str(p.relative_to(tmp_path / "run")) for p in (tmp_path / "run").rglob("*") if p.is_file()}
    model = {f"model/{name}" for name in ("model.keras", "items.parquet", "config.json")}
    assert files == model | {"history.csv", "config.json", "ranks.parquet", "lists.parquet"}
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "run/ranks.parquet"), RANKS)
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "run/lists.parquet"), LISTS)
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "run/history.csv"), result.history)
    record = json.loads((tmp_path / "run/config.json").read_text())
    assert [record.pop(name) for name in ("best_epoch", "minutes", "seconds")] == [2, 1.23, 56.8]
    assert record.pop("device") == device()
    assert Run(**record) == run
    assert scores.set_index("protocol")["recall_at_20"].to_dict() == {"known": 0.5, "open": 1.0}
    loaded = keras.saving.load_model(tmp_path / "run/model/model.keras")
    np.testing.assert_array_equal(loaded.scorer.table, result.model.scorer.table)


def test_the_same_run_twice_gives_the_same_bytes_of_ranks(tmp_path):
    """From training to the file, with random negatives, dropout and order; another seed gives others."""
    study, run = Workspace("toy").study, a_run(negatives=("sampled",), samples=8, dropout_hidden=0.2, max_epochs=2)
    data = replace(prepared(grammar(60, 1), grammar(20, 2)), test=grammar(20, 3))
    for name, seed in {"once": 1, "again": 1, "other": 2}.items():
        run = run.model_copy(update={"seed": seed})
        trained = runs.train(run, data)
        ranks, lists = (of(trained.model, data, study) for of in (results.rank, results.lists))
        runs.save(tmp_path / name, run, trained, ranks, lists, data)
    once, again, other = (
        [(tmp_path / name / file).read_bytes() for file in results.FILES] for name in ("once", "again", "other")
    )
    assert once == again
    assert once[1] != other[1]


def test_checkpoints_are_deleted_when_the_run_is_saved_or_diverges(trained, tmp_path):
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "search.npz").touch()
    runs.save(tmp_path, *trained)
    assert not (tmp_path / "checkpoints").exists()
    data = prepared(grammar(40, 1), grammar(8, 2))
    with pytest.raises(FloatingPointError, match="lower learning_rate"):
        runs.train(a_run(learning_rate=1e38), data, folder=tmp_path / "diverged")
    assert not list((tmp_path / "diverged").rglob("*"))


def test_an_interrupted_save_leaves_no_partial_file_and_no_ranks(trained, tmp_path, monkeypatch):
    def half(self, path):
        path.write_bytes(b"half a model")
        raise KeyboardInterrupt

    monkeypatch.setattr(GRU4Rec, "save", half)
    with pytest.raises(KeyboardInterrupt):
        runs.save(tmp_path, *trained)
    assert not list(tmp_path.rglob("*"))


def test_ranks_and_lists_come_last(trained, tmp_path, monkeypatch):
    """They mark a finished run."""
    there = []
    monkeypatch.setattr(results, "save", lambda folder, *_: there.extend(p.name for p in folder.rglob("*.*")))
    runs.save(tmp_path, *trained)
    assert set(there) == {"model.keras", "items.parquet", "history.csv", "config.json"}
