"""The importance of a study's features: for the run that validation chose, on the targets of `known`."""

import numpy as np
import pandas as pd
import pytest

from gru4rec_lib.data.columns import Columns
from gru4rec_lib.data.features import Features
from gru4rec_lib.data.sessions import Sessions
from gru4rec_lib.preparation.prepare import Prepared
from gru4rec_lib.study import feature_importance, results, runs
from gru4rec_lib.study.tables import ON_VALIDATION
from gru4rec_lib.study.workspace import Workspace

STUDY = """
title: hand-made
data:
  layout: events
  name: clicks
  events: [e.csv]
  session: s
  item: i
  time: t
  item_table: {file: i.csv, item: i, numeric: [x, y], categorical: [c]}
split: {how: by_session, test_fraction: 0.2}
training: {hidden_units: 4, embedding_units: 3, batch_size: 2, jit: false, refit: false, max_epochs: 1,
  negatives: [all]}
features: {audio: [x, c]}
models:
  - {input_form: [content, one_hot], loss: [cross_entropy], seed: [3, 2]}
  - {input_form: [one_hot], output_form: [hybrid], loss: [cross_entropy], features: [audio]}
"""
N, CANDIDATES = 30, 33
CELLS = [("content", "ids", ""), ("one_hot", "ids", ""), ("one_hot", "hybrid", "audio")]
RANDOM = np.random.default_rng(5)
FEATURES = Features(
    RANDOM.normal(size=(CANDIDATES, 2)).astype(np.float32),
    {"c": RANDOM.integers(0, 4, (CANDIDATES, 1)).astype(np.int32)},
    {"c": 4},
    {"numeric": ["x", "y"], "mean": [0, 0], "scale": [1, 1], "c": ["p", "q", "r"]},
)
PREPARED = Prepared(
    pd.DataFrame({"item": [f"i{n}" for n in range(CANDIDATES)], "plays": 0}),
    N,
    **{
        name: Sessions.from_lists(RANDOM.integers(0, high, (sessions, 6)).tolist())
        for name, sessions, high in (("train", 30, N), ("validation", 5, N), ("test", 12, CANDIDATES))
    },
    test_events=pd.DataFrame(),
    features=FEATURES,
    counts=pd.DataFrame(),
)


@pytest.fixture
def place(tmp_path):
    def place(more=""):
        (tmp_path / "config").mkdir(exist_ok=True)
        (tmp_path / "config" / "made.yaml").write_text(STUDY + more)
        return Workspace("made", root=tmp_path)

    return place


def validated(recalls, models=CELLS):
    """Return validation scores, the baseline's first, which is the best."""
    table = pd.DataFrame([("", "", ""), *models], columns=["input_form", "output_form", "tag"])
    table = table.assign(loss="cross_entropy", model="gru4rec", validation_recall_at_20=[0.9, *recalls])
    table["validation_mrr_at_20"] = 0.1
    table.loc[0, ["model", "loss"]] = ["stan", ""]
    return table[[*Columns.MODEL, *ON_VALIDATION]]


def trained(place, run):
    model = runs.train(run, PREPARED)
    ranks = results.rank(model.model, PREPARED, place.study)
    runs.save(place.run_folder(run), run, model, ranks, pd.DataFrame(), PREPARED)
    return ranks[ranks["protocol"] == "known"]


@pytest.mark.parametrize(
    ("recalls", "name"),
    [
        ([0.3, 0.8, 0.2], "content-cross_entropy-seed2"),
        ([0.3, 0.8, 0.4], "one_hot-to_hybrid-cross_entropy-audio-seed1"),
        ([0.3, 0.8, np.nan], "content-cross_entropy-seed2"),
    ],
)
def test_the_run_is_the_first_seed_of_the_best_network_with_content(place, recalls, name):
    assert feature_importance.best_run(place(), validated(recalls)).name == name


@pytest.mark.slow
def test_every_group_is_permuted_and_the_model_ranks_as_it_was_tested(place):
    here = place("evaluation: {exclude_heard: true, ties: median, max_test_events: 40}\n")
    run = here.study.runs[2]
    tested = trained(here, run)
    assert 20 < len(tested) < 40, "some of the targets are unseen in training"
    table = feature_importance.of_study(here, PREPARED, validated([0.3, 0.8, 0.2]))
    assert table["group"].tolist() == ["audio", "audio", "y", "y"]
    assert table["metric"].tolist() == ["recall", "mrr"] * 2
    gain = tested["rank"] <= 20
    assert table["value"].tolist() == pytest.approx([gain.mean(), (gain / tested["rank"]).mean()] * 2)
    constant = {"permutations": 3, "run": run.name, "n_targets": len(tested), "max_targets": 5000}
    for column, value in constant.items():
        assert table[column].unique().tolist() == [value]
    assert (table["difference"] != 0).any()
    assert (table["low"] <= table["difference"]).all()
    assert (table["difference"] <= table["high"]).all()
    again = feature_importance.of_study(here, PREPARED, validated([0.3, 0.8, 0.2]))
    pd.testing.assert_frame_equal(table, again)


@pytest.mark.slow
def test_groups_that_the_run_does_not_use_are_left_out_and_many_targets_are_sampled(place, monkeypatch):
    here = place()
    run = here.study.runs[-1]
    tested = trained(here, run)
    validation = validated([0.3, 0.8, 0.4])
    table = feature_importance.of_study(here, PREPARED, validation)
    assert table["group"].unique().tolist() == ["audio"]
    assert table["n_targets"].unique().tolist() == [len(tested)]
    monkeypatch.setattr(feature_importance, "MAX_TARGETS", 10)
    fewer = feature_importance.of_study(here, PREPARED, validation)
    assert fewer[["n_targets", "max_targets"]].drop_duplicates().to_numpy().tolist() == [[10, 10]]
    assert fewer["value"].iloc[0] in [hits / 10 for hits in range(11)]
    assert len(tested) > 10


def test_a_run_without_a_saved_model_is_named(place):
    with pytest.raises(FileNotFoundError, match=r"content-cross_entropy-seed2.*there is no such file"):
        feature_importance.of_study(place(), PREPARED, validated([0.3, 0.8, 0.2]))
