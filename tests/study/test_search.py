"""A search has as many trials for each configuration and baseline, resumes after a kill, and never reads the test."""

import json
import os
import shutil
import signal
import threading
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import optuna
import pandas as pd
import pytest
import yaml
from optuna.trial import TrialState

from gru4rec_lib.baselines import SequentialRules
from gru4rec_lib.data.sessions import Sessions
from gru4rec_lib.preparation import prepare
from gru4rec_lib.preparation.prepare import Prepared
from gru4rec_lib.study import runs
from gru4rec_lib.study.tuning import search
from gru4rec_lib.study.tuning.pruning import Pruning
from gru4rec_lib.study.workflow import tied
from gru4rec_lib.study.workspace import Workspace
from gru4rec_lib.utils.backend import keras
from gru4rec_lib.utils.checked import ConfigError

pytestmark = pytest.mark.slow

CONFIG = Path(__file__).resolve().parents[2] / "config"
SPACE = """
max_epochs: 3
settings: {learning_rate: {low: 0.01, high: 1, log: true}, batch_size: [16, 32]}
losses: {bpr: {samples: [64, 128]}}
"""


@pytest.fixture
def make(tmp_path):
    """Create a project with two configurations of the toy study and a small space, as if its arrays existed."""

    def make(name="project"):
        root = tmp_path / name
        (root / "config" / "spaces").mkdir(parents=True)
        toy = yaml.safe_load((CONFIG / "toy.yaml").read_text())
        toy["models"] = [{"input_form": ["one_hot"], "loss": ["bpr", "cross_entropy"], "seed": [1, 2]}]
        (root / "config" / "toy.yaml").write_text(yaml.safe_dump(toy))
        (root / "config" / "spaces" / "default.yaml").write_text(SPACE)
        place = Workspace("toy", root=root, searched=False)
        place.prepared.mkdir(parents=True)
        record = {"settings": prepare.settings(place.study), "sha256": {"train_items.npy": "f" * 64}}
        (place.prepared / "prepared.json").write_text(json.dumps(record))
        return place

    return make


class Trainings:
    """Replace trainings: the best rate is 0.1; stop after `killed` trainings, as by kill -9."""

    def __init__(self, killed=None):
        self.runs, self.killed = [], killed

    def __call__(self, run, place, trial):
        if len(self.runs) == self.killed:
            self.killed = None
            raise SystemExit
        self.runs.append(run)
        score = 1 / (1 + abs(np.log10(run.training.learning_rate) + 1))
        trial.report(score / 2, 0)
        return [score / 2, score], "complete"


@pytest.fixture
def trainings(monkeypatch):
    def fake(*scripted):
        made = Trainings(*scripted)
        monkeypatch.setattr(search, "train", made)
        return made

    return fake


def tried(trainings):
    return [(run.loss, run.training.learning_rate, run.training.batch_size) for run in trainings.runs]


def test_each_configuration_is_searched_from_the_studys_settings_and_the_best_is_kept(make, trainings, capsys):
    place, made = make(), trainings()
    path = search.search(place, trials=4, jobs=1)
    assert path == place.root / "config" / "settings" / "toy.yaml"
    losses = [run.loss for run in made.runs]
    assert losses == ["bpr"] * 4 + ["cross_entropy"] * 4
    assert tried(made)[0] == ("bpr", 0.05, 16)  # the toy study's settings
    assert {(run.training.refit, run.training.max_epochs, run.seed) for run in made.runs} == {(False, 3, 1)}
    assert {run.training.samples for run in made.runs if run.loss == "cross_entropy"} == {64}
    cell = yaml.safe_load(path.read_text())["cells"]["one_hot-cross_entropy"]
    best = min(made.runs[4:], key=lambda run: abs(np.log10(run.training.learning_rate) + 1)).training
    assert cell["settings"] == {"learning_rate": best.learning_rate, "batch_size": best.batch_size}
    facts = {"monitor": "val_recall_at_20", "epoch": 2, "trials": 4, "pruned": 0, "space": "default", "seed": 1}
    assert facts.items() <= cell.items()
    assert cell["value"] == round(1 / (1 + abs(np.log10(best.learning_rate) + 1)), 4)
    assert cell["commit"] == search.commit()
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 8 + 1
    assert lines[0].startswith("one_hot-bpr 1/4  0.7686 complete, best 0.7686  2 epochs ")
    assert lines[0].endswith("learning_rate=0.05 batch_size=16 samples=64")


OUTSIDE = """
max_epochs: 3
settings:
  learning_rate: {low: 0.1, high: 1, log: true}
  batch_size: [128, 256]
  dropout_hidden: {low: 0.1, high: 0.5, step: 0.1}
  samples: [256]
  negatives: [[in_batch]]
"""


def test_the_first_trial_has_the_studys_settings_for_any_space(make, trainings, capsys):
    place, made = make(), trainings()
    (place.root / "config" / "spaces" / "default.yaml").write_text(OUTSIDE)
    toy = yaml.safe_load((place.root / "config" / "toy.yaml").read_text())
    toy["training"] |= {"learning_rate": 0.0512345, "dropout_hidden": 0.0, "batch_size": 32, "samples": 33}
    toy["training"]["negatives"] = ["in_batch", "sampled"]
    toy.pop("losses", None)
    (place.root / "config" / "toy.yaml").write_text(yaml.safe_dump(toy))
    place = Workspace("toy", root=place.root, searched=False)
    search.search(place, trials=3, cells=("one_hot-bpr",), jobs=1)
    own = place.study.run("one_hot", "bpr", 1, refit=False, max_epochs=3)
    assert made.runs[0] == own
    assert {run.training.batch_size for run in made.runs[1:]} <= {128, 256}
    assert all(run.training.samples == 256 for run in made.runs[1:])
    said = "learning_rate=0.0512345 batch_size=32 dropout_hidden=0.0 samples=33 negatives=['in_batch', 'sampled']"
    assert capsys.readouterr().out.splitlines()[0].endswith(said)
    # As the best of its configuration it is written unchanged.
    path = search.search(place, trials=1, cells=("one_hot-bpr",), jobs=1)
    found = yaml.safe_load(path.read_text())["cells"]["one_hot-bpr"]["settings"]
    assert found == {name: own.training.model_dump(mode="json")[name] for name in yaml.safe_load(OUTSIDE)["settings"]}


def test_results_of_a_search_are_written_beside_the_studys_file(make, trainings, tmp_path, capsys):
    place, _ = make(), trainings()
    mine = tmp_path / "mine" / "study.yaml"
    mine.parent.mkdir()
    mine.write_text((place.root / "config" / "toy.yaml").read_text())
    elsewhere = Workspace(str(mine), root=place.root, searched=False)
    shutil.copytree(place.prepared, elsewhere.prepared)
    record = {"settings": prepare.settings(elsewhere.study), "sha256": {}}
    (elsewhere.prepared / "prepared.json").write_text(json.dumps(record))
    path = search.search(elsewhere, trials=2, jobs=1)
    assert path == tmp_path / "mine" / "settings" / "study.yaml"
    assert not (place.root / "config" / "settings").exists()
    assert capsys.readouterr().out.splitlines()[-1] == f"the best settings of 2 cells are in {path}"
    assert path.read_text().startswith(f"# Written by `make search STUDY={mine}`: ")
    with mine.open("a") as file:
        file.write("searched: settings/study.yaml\n")
    found = yaml.safe_load(path.read_text())["cells"]["one_hot-bpr"]["settings"]
    again = Workspace(str(mine), root=place.root).study
    assert again.run("one_hot", "bpr", 1).training.model_dump(mode="json").items() >= found.items()
    path.unlink()
    with pytest.raises(ConfigError, match=f"there is no such file; `make search STUDY={mine}` writes it$"):
        Workspace(str(mine), root=place.root)


def test_unreadable_settings_end_a_search_before_training(make, trainings):
    place, made = make(), trainings()
    path = place.root / "config" / "settings" / "toy.yaml"
    path.parent.mkdir()
    path.write_text("[]")
    with pytest.raises(ConfigError, match=r"toy\.yaml: is no mapping of fields"):
        search.search(place, trials=1, jobs=1)
    assert (made.runs, path.read_text()) == ([], "[]")


def test_the_study_uses_the_found_settings(make, trainings):
    place = make()
    trainings()
    search.search(place, trials=3, jobs=1)
    with (place.root / "config" / "toy.yaml").open("a") as file:
        file.write("searched: settings/toy.yaml\n")
    found = Workspace("toy", root=place.root).study
    best = found.searched.of("one_hot-bpr")
    for seed in (1, 2):
        assert found.run("one_hot", "bpr", seed).training.model_dump().items() >= best.items()
    assert found.run("one_hot", "bpr", 1, learning_rate=0.7).training.learning_rate == 0.7
    assert found.run("one_hot", "bpr", 1).training.max_epochs == 2  # the study's, not the search's
    again = trainings()
    search.search(Workspace("toy", root=place.root, searched=False), trials=3, jobs=1)
    assert again.runs == []  # the found settings do not start another search


@pytest.fixture
def tagged(make):
    """The project with a block that has its own settings, and one that uses some of the features."""
    place = make()
    path = place.root / "config" / "toy.yaml"
    toy = yaml.safe_load(path.read_text()) | {"features": {"tempo": ["tempo"]}}
    block = {"input_form": ["content"], "loss": ["bpr"]}
    wide = block | {"tag": "wide", "settings": {"hidden_units": 24, "learning_rate": 0.3, "dropout_hidden": 0.25}}
    toy["models"] = [block, wide, block | {"features": ["tempo"]}]
    path.write_text(yaml.safe_dump(toy))
    return place


def test_a_tagged_cell_is_searched_where_it_is_named_and_then_has_settings_of_its_own(tagged, trainings):
    path, made = tagged.root / "config" / "toy.yaml", trainings()
    found = search.search(Workspace("toy", root=tagged.root, searched=False), trials=3, jobs=1)
    assert [*yaml.safe_load(found.read_text())["cells"]] == ["content-bpr"]
    assert {(run.tag, run.training.hidden_units) for run in made.runs} == {("", (16,))}
    path.write_text(path.read_text() + "searched: settings/toy.yaml\n")
    before = Workspace("toy", root=tagged.root).study
    wide = before.run("content", "bpr", 1, "wide").training
    assert wide.learning_rate == 0.3  # the block's, which override those of the search without the tag

    again = trainings()
    unsearched = Workspace("toy", root=tagged.root, searched=False)
    search.search(unsearched, trials=3, seed=2, cells=("content-bpr-wide",), jobs=1)
    first = again.runs[0].training
    assert {run.tag for run in again.runs} == {"wide"}
    assert (first.hidden_units, first.learning_rate, first.dropout_hidden) == ((24,), 0.3, 0.25)
    cells = yaml.safe_load(found.read_text())["cells"]
    assert [*cells] == ["content-bpr", "content-bpr-wide"]
    best = min(again.runs, key=lambda run: abs(np.log10(run.training.learning_rate) + 1)).training
    assert best.learning_rate != first.learning_rate
    after = Workspace("toy", root=tagged.root).study
    chosen = after.run("content", "bpr", 1, "wide").training
    assert chosen.model_dump() | {"max_epochs": 3, "refit": False} == best.model_dump()
    others = [run for run in after.runs if run.tag != "wide"]
    assert others == [run for run in before.runs if run.tag != "wide"]
    assert {run.tag for run in others} == {"", "tempo"}


def test_a_block_with_some_of_the_features_has_no_search_of_its_own(tagged, trainings):
    trainings()
    unsearched = Workspace("toy", root=tagged.root, searched=False)
    with pytest.raises(ConfigError, match=r"nothing is called content-bpr-tempo to search; name content-bpr, content-"):
        search.search(unsearched, trials=1, cells=("content-bpr-tempo",), jobs=1)


def test_the_same_seed_gives_the_same_trials_and_another_seed_others(make, trainings):
    once = trainings()
    search.search(make("a"), trials=3, jobs=1)
    again = trainings()
    search.search(make("b"), trials=3, jobs=1)
    other = trainings()
    search.search(make("c"), trials=3, seed=2, jobs=1)
    assert tried(once) == tried(again)
    assert tried(once)[:1] == tried(other)[:1]
    assert tried(once)[1:3] != tried(other)[1:3]


@pytest.mark.parametrize("killed", [0, 2])
def test_a_killed_search_continues_to_the_same_result(make, trainings, killed):
    whole = trainings()
    search.search(make("whole"), trials=3, jobs=1)
    place, parts = make("parts"), trainings(killed)
    with pytest.raises(SystemExit):
        search.search(place, trials=3, jobs=1)
    assert len(parts.runs) == killed
    path = search.search(place, trials=3, jobs=1)
    assert tried(parts) == tried(whole)
    assert path.read_text() == (place.root.parent / "whole" / "config" / "settings" / "toy.yaml").read_text()
    search.search(place, trials=3, jobs=1)
    assert len(parts.runs) == 6
    search.search(place, trials=4, cells=("one_hot-bpr",), jobs=1)
    assert [run.loss for run in parts.runs[6:]] == ["bpr"]
    cells = yaml.safe_load(path.read_text())["cells"]
    assert {name: cell["trials"] for name, cell in cells.items()} == {"one_hot-bpr": 4, "one_hot-cross_entropy": 3}


def test_other_data_or_another_space_is_another_search(make, trainings):
    place, made = make(), trainings()
    search.search(place, trials=1, cells=("one_hot-bpr",), jobs=1)
    record = json.loads((place.prepared / "prepared.json").read_text())
    (place.prepared / "prepared.json").write_text(json.dumps(record | {"sha256": {}}))
    search.search(place, trials=1, cells=("one_hot-bpr",), jobs=1)
    assert len(made.runs) == 2
    space = place.root / "config" / "spaces" / "default.yaml"
    space.write_text(space.read_text().replace("[16, 32]", "[16]"))
    search.search(place, trials=1, cells=("one_hot-bpr",), jobs=1)
    assert len(made.runs) == 3


def test_diverged_trials_count_and_are_never_chosen(make, monkeypatch):
    ends = iter(["diverged", "complete", "diverged"])
    monkeypatch.setattr(search, "train", lambda *_: ([0.5] if (end := next(ends)) == "complete" else [], end))
    place = make()
    cells = yaml.safe_load(search.search(place, trials=3, cells=("one_hot-bpr",), jobs=1).read_text())["cells"]
    assert (cells["one_hot-bpr"]["value"], cells["one_hot-bpr"]["pruned"]) == (0.5, 2)
    monkeypatch.setattr(search, "train", lambda *_: ([], "diverged"))
    with pytest.raises(ValueError, match=r"^one_hot-cross_entropy: no trial ended well; lower the learning rates"):
        search.search(place, trials=1, cells=("one_hot-cross_entropy",), jobs=1)


BASELINES = """
baselines:
  stan: {neighbours: [1, 2, 5], time_decay: {low: 1, high: 10}}
  markov: {weighting: [same, div]}
"""


@pytest.fixture
def with_baselines(make, monkeypatch):
    """Create a project whose study has baselines; the number of neighbours is the score, and none is fitted."""
    place, models = make(), []
    with (place.root / "config" / "spaces" / "default.yaml").open("a") as file:
        file.write(BASELINES)
    toy = yaml.safe_load((place.root / "config" / "toy.yaml").read_text())
    toy["blends"] = []
    toy["baselines"] = ["most_popular", {"stan": {"tag": "long", "neighbours": 9}}, "stan", "sknn"]
    (place.root / "config" / "toy.yaml").write_text(yaml.safe_dump(toy))

    def validate(model, prepared, monitor):
        models.append((model, monitor))
        return 1 / (1 + abs(model.neighbours - 5) + abs(model.time_decay - 5) / 100)

    monkeypatch.setattr(search, "validate", validate)
    monkeypatch.setattr(search.Prepared, "load", lambda folder, test: None)
    return Workspace("toy", root=place.root, searched=False), models


def test_baselines_get_as_many_trials_from_the_studys_settings(with_baselines, trainings, capsys):
    (place, models), made = with_baselines, trainings()
    path = search.search(place, trials=6, jobs=1)
    assert len(made.runs) == 12
    assert [model.name for model, _ in models] == ["stan-long"] * 6 + ["stan"] * 6
    assert [models[n][0] for n in (0, 6)] == [b for b in place.study.baselines if b.kind == "stan"]
    assert {monitor for _, monitor in models} == {"val_recall_at_20"}
    assert {model.neighbours for model, _ in models[1:6]} <= {1, 2, 5}
    found = yaml.safe_load(path.read_text())
    assert list(found) == ["study", "cells", "baselines"]
    assert list(found["baselines"]) == ["stan-long", "stan"]
    best = min((model for model, _ in models[6:]), key=lambda m: (abs(m.neighbours - 5), abs(m.time_decay - 5)))
    settings = {"neighbours": best.neighbours, "time_decay": best.time_decay}
    facts = {"settings": settings, "epoch": None, "trials": 6, "pruned": 0, "monitor": "val_recall_at_20"}
    assert facts.items() <= found["baselines"]["stan"].items()
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "the best settings of 2 cells and 2 baselines are in config/settings/toy.yaml"
    assert lines[12].startswith("stan-long 1/6  0.2000 complete, best 0.2000  0 s  neighbours=9 time_decay=5.0")


def test_the_study_uses_the_found_settings_of_baselines(with_baselines, trainings):
    (place, models), made = with_baselines, trainings()
    path = search.search(place, trials=3, jobs=1, cells=("stan",))
    assert made.runs == []
    assert yaml.safe_load(path.read_text())["cells"] == {}
    with (place.root / "config" / "toy.yaml").open("a") as file:
        file.write("searched: settings/toy.yaml\n")
    best = yaml.safe_load(path.read_text())["baselines"]["stan"]["settings"]
    _, long, stan, _ = Workspace("toy", root=place.root).study.baselines
    assert stan.model_dump().items() >= best.items()
    assert Workspace("toy", root=place.root).study.runs == place.study.runs
    assert long.neighbours == 9
    search.search(Workspace("toy", root=place.root, searched=False), trials=3, jobs=1, cells=("stan",))
    assert len(models) == 3  # the found settings do not start another search


def test_a_baseline_without_a_space_is_not_searched(with_baselines):
    place, _ = with_baselines
    with pytest.raises(ConfigError, match=r"sknn to search; name .*one_hot-cross_entropy, stan-long, stan$"):
        search.search(place, cells=("sknn",))


@pytest.mark.parametrize(("monitor", "score"), [("val_recall_at_20", 1.0), ("val_mrr_at_20", (1 + 1 / 2) / 2)])
def test_a_trial_of_a_baseline_fits_on_training_and_scores_validation(monitor, score):
    train, validation = Sessions.from_lists([[0, 1], [0, 1], [0, 2]]), Sessions.from_lists([[0, 1], [0, 3, 2]])
    items = pd.DataFrame({"item": list("abcd"), "plays": [3, 2, 1, 0]})
    ends = np.arange(5.0)  # of training, then of validation
    prepared = Prepared(items, 4, train, validation, None, None, None, items, ends)
    seen = []

    class Rules(SequentialRules):
        def _fit(self, train, features, ends):
            seen.append((train, ends.tolist()))
            super()._fit(train, features, ends)

    # The track 3, unseen in training, is left out of the validation sessions.
    assert search.validate(Rules(), prepared, monitor) == score
    assert seen == [(train, [0, 1, 2])]


def test_validation_without_a_target_is_one_sentence():
    train, validation = Sessions.from_lists([[0, 1]]), Sessions.from_lists([[0, 2]])
    items = pd.DataFrame({"item": list("abc"), "plays": [1, 1, 0]})
    prepared = Prepared(items, 3, train, validation, None, None, None, items)
    with pytest.raises(ValueError, match="no validation session holds two tracks known from training: raise"):
        search.validate(SequentialRules(), prepared, "val_recall_at_20")


def test_an_unknown_cell_or_space_is_one_sentence(make):
    with pytest.raises(ConfigError, match=r"^toy: nothing is called shared-bpr to search; name one_hot-bpr"):
        search.search(make(), cells=("shared-bpr",))
    with pytest.raises(ConfigError, match=r"wide\.yaml: there is no such space; known are default$"):
        search.search(make("other"), "wide")


@pytest.mark.parametrize(("name", "number"), [("trials", 0), ("jobs", 0), ("trials", -3)])
def test_a_number_below_one_is_one_sentence(make, name, number):
    place = make()
    with pytest.raises(ConfigError, match=f"^search: --{name} {number}: give 1 or more$"):
        search.search(place, **{name: number})
    assert not place.runs.exists()


@pytest.mark.slow
def test_searches_of_any_number_and_size_are_shared_out(tmp_path, monkeypatch):
    """A search is pickled with its study: many are more than a pipe holds."""
    for name in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS", tied.PARENT):
        monkeypatch.setenv(name, "1")
    folders = [tmp_path / str(number) for number in range(5)]
    # A thread has a method `run`, as a search has.
    makers = [partial(threading.Thread, name="x" * 100_000, target=os.mkdir, args=(folder,)) for folder in folders]
    search._side_by_side(makers, 2)
    assert sorted(tmp_path.iterdir()) == folders


class Waiting:
    """Replace a process of the search; record how it handles Ctrl-C."""

    handlers, exitcode = (), 0

    def __init__(self, **_):
        pass

    def start(self):
        Waiting.handlers += (signal.getsignal(signal.SIGINT),)

    def join(self):
        Waiting.handlers += (signal.getsignal(signal.SIGINT),)


def test_ctrl_c_interrupts_the_waiting_process_and_not_its_children(monkeypatch):
    context = SimpleNamespace(Process=Waiting, Value=lambda *_: None)
    monkeypatch.setattr(search.multiprocessing, "get_context", lambda _: context)
    for name in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS", tied.PARENT):
        monkeypatch.setenv(name, "1")
    own = signal.getsignal(signal.SIGINT)
    search._side_by_side(["one", "other"], 2)
    assert Waiting.handlers == (signal.SIG_IGN, signal.SIG_IGN, own, own)


class Trial:
    """A trial that Optuna prunes from the second epoch on."""

    def __init__(self):
        self.told = []

    def report(self, value, step):
        self.told.append((step, value))

    def should_prune(self):
        return len(self.told) == 2


def prepared_in(folder, monkeypatch):
    """Save arrays whose test part cannot be read."""
    sessions = Sessions.from_lists([[0, 1, 2], [1, 2, 3], [2, 3, 0]] * 4)
    items = pd.DataFrame({"item": list("abcd"), "plays": 9})
    events = pd.DataFrame({"session": ["s"]})
    Prepared(items, 4, sessions, sessions, sessions, events, None, events).save(folder, {})
    for path in [*folder.glob("test_*")]:
        path.unlink()
    assert {path.stem for path in folder.iterdir()} >= {"train_items", "validation_items", "prepared"}


def test_a_trial_trains_on_training_alone_and_is_pruned_early(make, monkeypatch):
    place = make()
    shutil.rmtree(place.prepared)
    prepared_in(place.prepared, monkeypatch)
    seen = []

    def fit(self, sessions, epochs, validation_data=None, callbacks=(), **options):
        seen.append((len(sessions), epochs))
        self.stop_training = False
        history = keras.callbacks.History()
        self.history = history
        for callback in callbacks:
            callback.set_model(self)
        for epoch, score in enumerate([0.2, 0.4, 0.6]):
            for callback in callbacks:
                callback.on_epoch_end(epoch, {"val_recall_at_20": score})
            history.history.setdefault("val_recall_at_20", []).append(score)
            if self.stop_training:
                break
        return history

    monkeypatch.setattr(runs.GRU4Rec, "fit", fit)
    trial = Trial()
    run = place.study.run("one_hot", "bpr", 1, refit=False, max_epochs=3)
    assert search.train(run, place, trial) == ([0.2, 0.4], "pruned")
    assert trial.told == [(1, 0.2), (2, 0.4)]
    assert seen == [(12, 3)]

    def diverges(self, *_, **__):
        raise FloatingPointError

    monkeypatch.setattr(runs.GRU4Rec, "fit", diverges)
    assert search.train(run, place, Trial()) == ([], "diverged")


def ends(study, scores):
    """Return the epoch after which a trial with these scores is pruned, or None."""
    callback = Pruning(study.ask(), "val")
    callback.set_model(keras.Sequential())
    callback.model.stop_training = False
    for epoch, score in enumerate(scores):
        callback.on_epoch_end(epoch, {"val": score})
        if callback.pruned:
            assert callback.model.stop_training
            study.tell(callback.trial, state=TrialState.PRUNED)
            return epoch + 1
    study.tell(callback.trial, max(scores))
    return None


def test_trials_below_the_median_stop_after_the_third_epoch():
    study = optuna.create_study(direction="maximize", pruner=search.PRUNER)
    for last in (0.40, 0.41, 0.42, 0.43, 0.44):
        assert ends(study, [0.1, 0.1, last - 0.1, last]) is None  # medians: 0.32 after three epochs, 0.42 after four
    assert ends(study, [0.0, 0.0, 0.31, 0.9]) == 3
    assert ends(study, [0.32, 0.0, 0.0, 0.43]) is None  # its best score counts
    assert ends(study, [0.0, 0.0, 0.33, 0.41, 0.9]) == 4
    assert ends(study, [0.0, 0.0]) is None
