"""Recommendations computed by hand, by a model loaded in another process, and for unknown items."""

import json
import math
import pickle
import re
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gru4rec_lib.__main__ import main
from gru4rec_lib.config.study import ConfigError, MssdData
from gru4rec_lib.data.dataframes import index_features, index_sessions
from gru4rec_lib.data.features import Features
from gru4rec_lib.data.sessions import item_index
from gru4rec_lib.preparation.readers import read
from gru4rec_lib.serving import network_folder
from gru4rec_lib.serving.recommender import Recommender
from gru4rec_lib.training.gru4rec import GRU4Rec
from gru4rec_lib.utils.atomic_write import save_table

ROOT = Path(__file__).resolve().parents[2]
QUICK = {"hidden_units": 4, "batch_size": 2, "samples": 4, "jit": False, "verbose": 0, "epochs": 1}
FILES = {"model.keras", "items.parquet", "config.json"}
FEATURES = Features(
    np.float32([[0.5], [-1], [1], [2]]),
    {"artist": np.int32([[1], [2], [1], [2]])},
    {"artist": 3},
    {"artist": ["a", "b"]},
)


def one_unit():
    """One unit, gates z = r = 1/2: h' = h / 2 + c / 2; a gives c = 1/2, b -1/2, c 0. Plays 3, 5, 5."""
    model = GRU4Rec(3, "one_hot", 1)
    model.item_input.table.assign([[0, 0, math.atanh(0.5)], [0, 0, math.atanh(-0.5)], [0, 0, 0]])
    model.recurrence[0].recurrent_kernel.assign([[0, 0, 0]])
    model.scorer.table.assign([[1], [-1], [2]])
    model.scorer.bias.assign([0, 0.1, 0])
    model.scorer.plays.assign([3, 5, 5])
    return Recommender(model, pd.Series(["a", "b", "c"]), {"loss": "cross_entropy"})


@pytest.fixture(scope="module")
def by_hand():
    """The recommender of `one_unit`, for tests that do not change it."""
    return one_unit()


def with_content(output_form="content"):
    """Three training tracks and a fourth that has only features."""
    model = GRU4Rec(3, "content", 2, output_form=output_form, embedding_units=2, features=FEATURES)
    return Recommender(model, pd.Series(["a", "b", "c", "new"]), {}, FEATURES)


def test_scores_by_hand(by_hand):
    """h is 1/4 after a, then 1/8 - 1/4 = -1/8 after b: scores [0.25, -0.15, 0.5], then [-0.125, 0.225, -0.25]."""
    found = by_hand.recommend(["a"], k=3)
    assert found["item"].tolist() == ["c", "a", "b"]
    np.testing.assert_allclose(found["score"], [0.5, 0.25, -0.15], atol=1e-6)
    assert set(found["source"]) == {"model"}
    found = by_hand.recommend(["a", "b"], k=2)
    assert found["item"].tolist() == ["b", "a"]
    np.testing.assert_allclose(found["score"], [0.225, -0.125], atol=1e-6)


def test_any_sequence_of_ids_is_a_session(by_hand):
    expected = by_hand.recommend(["a", "b"], k=3)
    for session in (("a", "b"), np.array(["a", "b"]), pd.Series(["a", "b"], index=[7, 9]), pd.Index(["a", "b"])):
        pd.testing.assert_frame_equal(by_hand.recommend(session, k=3), expected)


def test_unknown_items_are_skipped(by_hand):
    expected = by_hand.recommend(["a", "b"], k=3)
    for session in (["?", "a", "b"], ["a", "?", "b"], ["a", "b", "?"]):
        pd.testing.assert_frame_equal(by_hand.recommend(session, k=3), expected)


@pytest.mark.parametrize(
    ("session", "why"),
    [([], "empty session"), (["?", "!"], "no known item")],
)
def test_without_a_known_item_popularity_is_the_source(by_hand, session, why):
    found = by_hand.recommend(session, k=2)
    assert found["item"].tolist() == ["b", "c"], "plays 3, 5, 5, the tie in index order"
    assert found["score"].tolist() == [5, 5]
    assert found["source"].tolist() == [f"popularity: {why}"] * 2


def test_exclude_heard_leaves_out_items_of_the_session(by_hand):
    assert by_hand.recommend(["c", "c", "?"], k=3)["item"].tolist() == ["b", "a", "c"]
    assert by_hand.recommend(["c", "c", "?"], k=3, exclude_heard=True)["item"].tolist() == ["b", "a"]
    assert by_hand.recommend(["a", "b", "c"], k=1, exclude_heard=True).empty
    assert by_hand.recommend(["a"], k=3)["item"].tolist() == ["c", "a", "b"], "the exclusion applies to one call"
    assert by_hand.recommend([], k=1, exclude_heard=True)["item"].tolist() == ["b"]


@pytest.mark.parametrize(
    ("session", "k", "error", "sentence"),
    [
        (["a"], 0, ValueError, "k is 0; it can be 1 to 3, the items that have a score"),
        (["a"], 4, ValueError, "k is 4; it can be 1 to 3"),
        (["a"], 2.5, ValueError, "k is 2.5; give a whole number"),
        (["a"], 2.0, ValueError, "k is 2.0; give a whole number"),
        (["a"], True, ValueError, "k is True; give a whole number"),
        (["a"], np.True_, ValueError, "k is np.True_; give a whole number"),
        (["a"], "2", ValueError, "k is '2'; give a whole number"),
        (["a"], None, ValueError, "k is None; give a whole number"),
        ("a", 1, TypeError, r"session is 'a'; give a list of item ids, such as \['a'\]"),
        (5, 1, TypeError, "session is 5; give a list"),
        (["a", 5], 1, TypeError, "item 5 is no text, but the model's ids are, such as 'a'"),
    ],
)
def test_a_wrong_session_or_k_is_an_error(by_hand, session, k, error, sentence):
    with pytest.raises(error, match=sentence):
        by_hand.recommend(session, k)


def test_k_may_be_any_whole_number(by_hand):
    for k in (np.int64(2), np.uint8(2), np.array(2)):
        assert by_hand.recommend(["a"], k)["item"].tolist() == ["c", "a"]


def test_whole_numbers_as_ids(eager, by_hand, tmp_path):
    numbered = Recommender(by_hand.model, pd.Series([10, 20, 30]), {})
    small = Recommender(by_hand.model, pd.Series([10, 20, 30], dtype=np.uint8), {})
    pd.testing.assert_series_equal(small.recommend([10, -1, 2**70], 3)["score"], numbered.recommend([10], 3)["score"])
    numbered.save(tmp_path / "model")
    for one in (numbered, Recommender.load(tmp_path / "model")):
        assert one.recommend([10, np.int64(20)], k=1)["item"].tolist() == [20]
        assert one.recommend(np.array([10]), k=1)["item"].tolist() == [30]
        for wrong in ("10", 10.0, True):
            with pytest.raises(TypeError, match="is no whole number, but the model's ids are, such as 10"):
                one.recommend([wrong], k=1)


def test_forms_with_content_take_and_recommend_unseen_tracks(eager):
    content = with_content()
    assert set(content.recommend(["a"], k=4)["item"]) == {"a", "b", "c", "new"}
    assert content.recommend(["new"], k=1)["source"].tolist() == ["model"]
    assert content.recommend([], k=4)["item"].iloc[-1] == "new", "no plays"
    ids = with_content("ids")
    assert set(ids.recommend(["new"], k=3)["item"]) == {"a", "b", "c"}
    with pytest.raises(ValueError, match="1 to 3"):
        ids.recommend(["a"], k=4)
    assert len(ids.recommend(["new"], k=3, exclude_heard=True)) == 3


def test_forms_without_content_skip_unseen_tracks(eager, by_hand):
    one = Recommender(by_hand.model, pd.Series(["a", "b", "c", "new"]), {})
    assert one.recommend(["new"], k=1)["source"].iloc[0].startswith("popularity")


@pytest.mark.slow
def test_recommending_and_ranking_use_the_same_states():
    """The list of recommendations is sorted by the scores that ranking uses."""
    rng = np.random.default_rng(3)
    model = GRU4Rec(30, "embedding", (5, 6), cell="lstm", embedding_units=4)
    one = Recommender(model, pd.Series([f"t_{i}" for i in range(30)]), {})
    for session in rng.integers(0, 30, (4, 5)):
        state = None
        for item in session:
            hidden, state = model(np.int32([item]), state)
        scores = model.scorer.table.numpy() @ hidden.numpy()[0] + model.scorer.bias.numpy()
        found = one.recommend([f"t_{i}" for i in session], k=30)
        assert found["item"].tolist() == [f"t_{i}" for i in np.argsort(-scores)]


def test_a_model_that_is_not_finite_is_an_error(eager):
    for part, weight in (("scorer", "bias"), ("recurrence", "recurrent_kernel")):
        one = one_unit()
        layer = getattr(one.model, part)
        weight = getattr(layer[0] if part == "recurrence" else layer, weight)
        weight.assign(np.full(weight.shape, np.nan))
        with pytest.raises(ValueError, match="not finite; train it again with a lower learning rate"):
            Recommender(one.model, one.items, {})


# The folder


def test_a_model_folder_has_plain_files_and_no_pickle(eager, tmp_path, monkeypatch):
    one = with_content("hybrid")
    one.save(tmp_path / "model")
    files = {path.name: path for path in (tmp_path / "model").iterdir()}
    assert set(files) == {"model.keras", "items.parquet", "features.json", "config.json"}
    assert json.loads(files["features.json"].read_text()) == {"artist": ["a", "b"]}
    with zipfile.ZipFile(files["model.keras"]) as parts:
        assert set(parts.namelist()) == {"metadata.json", "config.json", "model.weights.h5"}
        json.loads(parts.read("config.json"))
        parts.extract("model.weights.h5", tmp_path)
    kinds = []
    with h5py.File(tmp_path / "model.weights.h5") as weights:
        weights.visititems(lambda _, node: kinds.append(node.dtype.kind) if isinstance(node, h5py.Dataset) else None)
    assert set(kinds) <= {"f", "i"}

    def never(*_, **__):
        raise AssertionError("a pickle is read")

    for name in ("load", "loads", "Unpickler"):
        monkeypatch.setattr(pickle, name, never)
    pd.testing.assert_frame_equal(
        Recommender.load(tmp_path / "model").recommend(["a", "new"], k=4), one.recommend(["a", "new"], k=4)
    )


def test_a_loaded_model_can_be_saved_completely(eager, tmp_path, monkeypatch):
    monkeypatch.setattr(GRU4Rec, "fit", lambda *_, **__: None)
    table = pd.DataFrame({"item": [*"abcd"], "tempo": [1.0, 2, 4, 8], "artist": [*"xyxz"]})
    events = pd.DataFrame({"session": 1, "item": [*"abcab"], "time": range(5)})
    first = Recommender.fit(events, features=table, input_form="content", output_form="hybrid", **QUICK)
    first.save(tmp_path / "a")
    fitted = (tmp_path / "a" / "features.json").read_text()
    assert json.loads(fitted) == first.features.fitted != {}
    scores = first.recommend(["a", "d"], k=4)
    for folder in ("a", "b", "b"):
        Recommender.load(tmp_path / "a").save(tmp_path / folder)
        assert (tmp_path / folder / "features.json").read_text() == fitted
        assert {path.name for path in (tmp_path / folder).iterdir()} == FILES | {"features.json"}
        again = Recommender.load(tmp_path / folder)
        pd.testing.assert_frame_equal(again.recommend(["a", "d"], k=4), scores)
        assert again.config == first.config
        assert again.features.spec == first.features.spec
        np.testing.assert_array_equal(again.features.numeric, first.features.numeric)
    assert first.features.categories["artist"].tolist() == [[1], [2], [1], [0]], "z is unseen in training"
    assert again.features.categories["artist"].tolist() == [[1], [2], [1], [-1]], "as a missing value"
    again.update(events.assign(item=[*"dadab"]), verbose=0).save(tmp_path / "a")
    assert (tmp_path / "a" / "features.json").read_text() == fitted
    (tmp_path / "a" / "features.json").write_text("{")
    with pytest.raises(ValueError, match=r"features.json: cannot be read \(.+\); save the model again"):
        Recommender.load(tmp_path / "a")


def test_a_tilde_is_the_home_of_the_user(eager, by_hand, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    by_hand.save("~/m")
    by_hand.save(Path("~") / "n")
    assert sorted(path.name for path in (tmp_path / "home").iterdir()) == ["m", "n"]
    assert Recommender.load("~/m").items.tolist() == ["a", "b", "c"]
    FEATURES.save(Path("~/m"))
    assert Features.load("~/m").spec == FEATURES.spec
    save_table(pd.DataFrame({"a": [1]}), Path("~/tables"), "t")
    assert main(["simulate", "--sessions", "10", "--out=~/twin"]) == 0
    assert len(read(MssdData(layout="mssd", name="twin"), Path("~/twin")).events) > 10
    assert sorted(path.name for path in (tmp_path / "home").iterdir()) == ["m", "n", "tables", "twin"]
    assert not [*(tmp_path / "here").iterdir()]
    for use in (by_hand.save, Recommender.load):
        with pytest.raises(ValueError, match="~nouser/m: the home of this user is unknown; write the path in full"):
            use("~nouser/m")


@pytest.mark.slow
def test_a_fresh_process_recommends_the_same(by_hand, tmp_path, loaded):
    by_hand.save(tmp_path / "model")
    program = """
import sys
from gru4rec_lib.preparation.readers import read
from gru4rec_lib.serving.recommender import Recommender
one = Recommender.load(sys.argv[1])
print(one.config["loss"])
print(one.recommend(["a", "b"], k=3).to_json())
"""
    done = loaded.run(program, tmp_path / "model")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["cross_entropy", by_hand.recommend(["a", "b"], k=3).to_json()]


def test_saving_replaces_only_a_model(eager, by_hand, tmp_path, monkeypatch):
    with_content().save(tmp_path / "model")
    by_hand.save(tmp_path / "model")
    assert not (tmp_path / "model" / "features.json").exists()
    monkeypatch.chdir(tmp_path / "model")
    by_hand.save(".")
    (tmp_path / "model" / "thesis.docx").touch()
    with pytest.raises(ValueError, match=r"model: holds `thesis.docx`, which is no file of a model; name a new folder"):
        by_hand.save(tmp_path / "model")
    assert (tmp_path / "model" / "thesis.docx").exists()
    with pytest.raises(ValueError, match=r"thesis.docx: is a file; name a new folder"):
        by_hand.save(tmp_path / "model" / "thesis.docx")
    assert (tmp_path / "model" / "thesis.docx").is_file()


def test_a_folder_that_is_no_model_is_an_error(eager, by_hand, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"model.keras: there is no such file; name a folder that `Recommender"):
        Recommender.load(tmp_path)
    folder = tmp_path / "model"
    by_hand.save(folder)
    (folder / "items.parquet").write_bytes(b"no parquet")
    with pytest.raises(ValueError, match=r"items.parquet: cannot be read \(.+\); save the model again"):
        Recommender.load(folder)
    pd.DataFrame({"item": ["a", "b"]}).to_parquet(folder / "items.parquet")
    with pytest.raises(ValueError, match=r"items.parquet: has 2 items, too few for the model beside it"):
        Recommender.load(folder)
    (folder / "model.keras").write_bytes(b"no model")
    with pytest.raises(ValueError, match=r"model.keras: cannot be read"):
        Recommender.load(folder)
    (folder / "config.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"config.json"):
        Recommender.load(folder)


def test_a_failed_save_keeps_the_former_model(eager, by_hand, tmp_path, monkeypatch):
    by_hand.save(tmp_path / "model")
    monkeypatch.setattr(network_folder.json, "dumps", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        with_content().save(tmp_path / "model")
    monkeypatch.undo()
    assert Recommender.load(tmp_path / "model").items.tolist() == ["a", "b", "c"]
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


LABELS = pd.DataFrame({"item": [*"abc"], "artist": ["Can", "Neu!", None], "title": ["One", "Two", None]}).astype("str")


def test_labels_are_columns_of_the_lists_and_are_saved(eager, by_hand, tmp_path):
    labelled = Recommender(by_hand.model, by_hand.items, by_hand.config, labels=LABELS)
    labelled.save(tmp_path / "model")
    assert {path.name for path in (tmp_path / "model").iterdir()} == FILES | {"labels.parquet"}
    for one in (labelled, Recommender.load(tmp_path / "model")):
        found = one.recommend(["a"], k=3)
        assert found.columns.tolist() == ["item", "artist", "title", "score", "source"]
        assert found["artist"].fillna("").tolist() == ["", "Can", "Neu!"]
        pd.testing.assert_frame_equal(found[["item", "score", "source"]], by_hand.recommend(["a"], k=3))
        assert one.recommend([], k=1)["title"].tolist() == ["Two"]
        assert one.find("Neu! - Two") == "b"
        with pytest.raises(ValueError, match="no item is called `Three`; give an id or a name such as `Can"):
            one.find("Three")
    by_hand.save(tmp_path / "model")
    assert {path.name for path in (tmp_path / "model").iterdir()} == FILES
    LABELS[::-1].to_parquet(tmp_path / "model" / "labels.parquet", index=False)
    with pytest.raises(ValueError, match=r"labels.parquet: belongs to other items than items.parquet; restore"):
        Recommender.load(tmp_path / "model")


def test_fit_aligns_labels_and_update_keeps_them(eager, monkeypatch):
    monkeypatch.setattr(GRU4Rec, "fit", lambda *_, **__: None)
    table = LABELS.rename(columns={"item": "track"})
    one = Recommender.fit(EVENTS, "user", "track", "at", labels=table, **QUICK)
    assert one.recommend([], k=3)["title"].fillna("").tolist() == ["Two", "One", ""]
    new = one.update(EVENTS.replace("a", "new"), "user", "track", "at", verbose=0)
    assert new.labels["item"].tolist() == ["b", "a", "c", "new"]
    assert new.labels["title"].fillna("").tolist() == ["Two", "One", "", ""]
    with pytest.raises(ValueError, match="labels: item 'a' has two rows; keep one"):
        Recommender.fit(EVENTS, "user", "track", "at", labels=table.replace("b", "a"), **QUICK)


# From a DataFrame

EVENTS = pd.DataFrame(
    [
        ("late", "b", 9),
        ("alone", "z", 1),
        ("early", "c", 4),
        ("late", "a", 7),
        ("early", "b", 2),
        ("late", "b", 9),
    ],
    columns=["user", "track", "at"],
)


def test_sessions_by_hand():
    """`early` begins first; equal times in `late` stay in order; `alone` has one event, so z is not indexed."""
    items, sessions, *_ = index_sessions(EVENTS, "user", "track", "at")
    assert items.tolist() == ["b", "a", "c"], "3 plays, then ties by id"
    assert [sessions[s].tolist() for s in range(len(sessions))] == [[0, 2], [1, 0, 0]]
    assert item_index(EVENTS["track"].astype("category")).to_numpy().tolist() == [
        ["b", 3],
        ["a", 1],
        ["c", 1],
        ["z", 1],
    ]


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(5, 9), st.integers(0, 5)), min_size=1, max_size=20))
def test_sessions_equal_a_plain_loop(rows):
    events = pd.DataFrame(rows, columns=["session", "item", "time"])
    expected = {}
    for session, item, _ in sorted(rows, key=lambda row: row[2]):
        expected.setdefault(session, []).append(item)
    expected = [items for items in expected.values() if len(items) > 1]
    if not expected:
        with pytest.raises(ValueError, match="nothing to learn from"):
            index_sessions(events, "session", "item", "time")
        return
    items, sessions, *_ = index_sessions(events, "session", "item", "time")
    assert [[items[i] for i in sessions[s]] for s in range(len(sessions))] == expected


def test_features_are_fitted_on_the_training_items():
    table = pd.DataFrame({"track": ["new", "a", "b"], "tempo": [9.0, 3.0, 1.0], "artist": ["y", "x", None]})
    ids, features = index_features(table, "track", pd.Series(["b", "a", "c"]))
    assert ids.tolist() == ["b", "a", "c", "new"]
    np.testing.assert_allclose(features.numeric[:, 0], [-1, 1, 0, 7])
    assert features.categories["artist"].tolist() == [[-1], [1], [-1], [0]]
    numbered, same = index_features(table.assign(track=[40, 10, 20]), "track", pd.Series([20, 10, 30]))
    assert numbered.tolist() == [20, 10, 30, 40]
    np.testing.assert_array_equal(same.numeric, features.numeric)


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        (
            EVENTS.rename(columns={"at": "when"}),
            "events: there is no column 'at'; name the right one of user, track, when",
        ),
        (EVENTS.assign(track=["a", None] * 3), "events: 3 rows have no 'track'; fill or drop them"),
        (EVENTS.assign(track=0.5), r"events: 'track' is floating, but ids are text or whole numbers; .*astype\(str\)"),
        (EVENTS.assign(track=2.0), r"events: 'track' is floating, but ids are .*; convert it by .astype\(\"int64\"\)"),
        (EVENTS.assign(track=["a", 1] * 3), "events: 'track' is mixed-integer, but ids"),
        (EVENTS.assign(track=pd.Series([1, "1", 1.0] * 2, dtype=object)), "events: 'track' is mixed-integer, but ids"),
        (EVENTS.assign(track=pd.Series([1, 1.0] * 3, dtype=object)), "'track' is mixed-integer-float, .*int64"),
        (EVENTS.assign(track=["12", "12.0", "a"] * 2), r"events: 'track': '12\.0' is '12' in other rows; write it"),
        (EVENTS.assign(track=[b"a"] * 6), r"events: 'track' is bytes, .*; convert it by .str.decode\(\"utf-8\"\)"),
        (EVENTS.assign(track=["a", " ", ""] * 2), "events: 4 rows have no 'track'; fill or drop them"),
        (EVENTS.assign(track=np.uint64([2**63, 1, 2] * 2)), r"events: 'track' is beyond 2\^63, but ids are"),
        (EVENTS.assign(track=True), "events: 'track' is boolean, but ids are text or whole numbers"),
        (
            EVENTS.assign(user=pd.Series([1, "1"] * 3, dtype=object)),
            r"'user' holds ids of several types \(number, text\)",
        ),
        (EVENTS.assign(user=["1", "1.0"] * 3), r"events: 'user': '1\.0' is '1' in other rows"),
        (EVENTS.assign(user=range(6)), "events: no 'user' has two events or more"),
        (EVENTS[:0], "events: no 'user' has two events or more"),
    ],
)
def test_a_wrong_table_is_an_error(table, sentence):
    with pytest.raises(ValueError, match=sentence):
        Recommender.fit(table, "user", "track", "at", **QUICK)


def test_wrong_features_are_an_error():
    items = pd.Series(["a", "b"])
    for table, sentence in (
        (pd.DataFrame({"id": ["a"]}), "features: there is no column 'track'"),
        (pd.DataFrame({"track": ["a", "a"]}), "features: item 'a' has two rows; keep one"),
        (pd.DataFrame({"track": [1, 2]}), "features: 'track' is of another kind than in the events"),
        (pd.DataFrame({"track": [1.0, 2]}), "features: 'track' is floating, but ids are text or whole numbers"),
        (pd.DataFrame({"track": ["a", None]}), "features: 1 rows have no 'track'; fill or drop them"),
        (pd.DataFrame({"track": ["12", "12.0"]}), r"features: 'track': '12\.0' is '12' in other rows"),
    ):
        with pytest.raises(ValueError, match=sentence):
            index_features(table, "track", items)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"hidden_unit": 4}, "Recommender.fit: hidden_unit: no such field; check its spelling or delete it"),
        ({"loss": "mse"}, "Recommender.fit: loss: "),
        ({"epochs": 0}, "Recommender.fit: max_epochs: "),
        ({"epochs": True}, "Recommender.fit: max_epochs: should be a whole number"),
        ({"epochs": 2.0}, "Recommender.fit: max_epochs: should be a whole number"),
        ({"seed": True}, "Recommender.fit: seed: should be a whole number"),
        ({"hidden_units": True}, "Recommender.fit: hidden_units.0: should be a whole number"),
        ({"hidden_units": [4, 2.5]}, "Recommender.fit: hidden_units.1: should be a whole number"),
        ({"samples": True}, "Recommender.fit: samples: should be a whole number"),
        ({"patience": 3}, "Recommender.fit: patience: no session is held out; leave it out"),
        ({"monitor": "val_mrr_at_20"}, "Recommender.fit: monitor: no session is held out; leave it out"),
        ({"input_form": "content"}, "needs `features`"),
    ],
)
def test_a_wrong_setting_is_an_error(settings, sentence):
    with pytest.raises((ConfigError, ValueError), match=sentence):
        Recommender.fit(EVENTS, "user", "track", "at", **QUICK | settings)


@pytest.mark.slow
@pytest.mark.parametrize(
    "track",
    [
        pd.Categorical([*"baacbc"]),
        pd.Series([*"baacbc"], dtype="string"),
        pd.Categorical([2, 1, 1, 3, 2, 3]),
        pd.array([2, 1, 1, 3, 2, 3], dtype="Int64"),
        pd.Series([2, 1, 1, 3, 2, 3], dtype=object),
        np.uint64([2, 1, 1, 3, 2, 3]),
    ],
)
def test_ids_of_any_type_are_recommended_and_saved(eager, monkeypatch, tmp_path, track):
    monkeypatch.setattr(GRU4Rec, "fit", lambda *_, **__: None)
    events = pd.DataFrame({"user": pd.Categorical([*"uuuvvv"]), "track": track, "at": range(6)})
    table = pd.DataFrame({"track": track[:4], "calm": [0.5, 1, 2, 3]}).drop_duplicates("track")
    if not isinstance(track[0], str):
        table["track"] = table["track"].astype("int32")  # whole numbers of another size
    one = Recommender.fit(events, "user", "track", "at", features=table, output_form="hybrid", **QUICK)
    kind = type(one.items.tolist()[0])
    assert kind is (str if isinstance(track[0], str) else int)
    assert len(one.items) == 3
    found = one.recommend(one.items.tolist()[:2], k=3)
    assert {type(item) for item in found["item"].tolist()} == {kind}
    one.save(tmp_path / "model")
    pd.testing.assert_frame_equal(Recommender.load(tmp_path / "model").recommend(one.items.tolist()[:2], k=3), found)


def test_features_need_a_form_that_uses_them():
    table = pd.DataFrame({"track": [*"abc"], "calm": [0.5, 1, 2]})
    for settings, sentence in (
        ({"features": table}, 'the forms `ids` and `shared` do not use them; give output_form="hybrid", or leave them'),
        ({"features": table, "input_form": "one_hot"}, "the forms `ids` and `one_hot` do not use them"),
        ({"output_form": "hybrid"}, "one of the forms `hybrid` and `shared` needs `features`"),
        ({"categorical": ["key"]}, "numeric, categorical and separator are of `features`; give them"),
    ):
        with pytest.raises(ValueError, match=sentence):
            Recommender.fit(EVENTS, "user", "track", "at", **settings, **QUICK)


def test_declared_features_reach_the_model(monkeypatch):
    monkeypatch.setattr(GRU4Rec, "fit", lambda *_, **__: None)
    table = pd.DataFrame({"track": [*"abc"], "key": [0, 1, 0], "year": [1999, 2001, 2003], "tag": ["x|y", "y", ""]})
    declared = {"numeric": "year", "categorical": ["key"], "separator": "|"}
    one = Recommender.fit(EVENTS, "user", "track", "at", features=table, input_form="content", **declared, **QUICK)
    assert one.items.tolist() == ["b", "a", "c"]
    np.testing.assert_allclose(one.features.numeric[:, 0], np.sqrt(1.5) * np.array([0, -1, 1]), rtol=1e-6)
    assert one.features.categories["key"].tolist() == [[2], [1], [1]]
    assert one.features.categories["tag"].tolist() == [[2, -1], [1, 2], [-1, -1]]
    assert one.model.get_config()["features"] == one.features.spec


@pytest.mark.slow
def test_fit_passes_on_and_records_its_settings(monkeypatch, tmp_path):
    seen = {}
    monkeypatch.setattr(GRU4Rec, "fit", lambda self, sessions, epochs, **options: seen.update(options, epochs=epochs))
    settings = {"hidden_units": [3], "cell": "lstm", "batch_size": 7, "shuffle": False, "jit": False}
    forms = {"input_form": "content", "output_form": "hybrid", "loss": "bpr_max", "seed": 5}
    table = pd.DataFrame({"track": ["new", "a", "b", "c"], "tempo": [9.0, 3.0, 1.0, 2.0]})
    one = Recommender.fit(EVENTS, "user", "track", "at", features=table, epochs=4, verbose=0, **forms, **settings)
    assert seen == {"epochs": 4, "batch_size": 7, "shuffle": False, "steps_per_epoch": None, "verbose": 0}
    assert {name: one.config[name] for name in forms} == forms
    assert one.config["training"] | settings | {"max_epochs": 4} == one.config["training"]
    built = one.model.get_config()
    assert [built[name] for name in ("cell", "hidden_units", "seed", "n_items")] == ["lstm", [3], 5, 3]
    assert one.items.tolist() == ["b", "a", "c", "new"]
    one.save(tmp_path / "model")
    assert Recommender.load(tmp_path / "model").config == one.config


# The documentation


@pytest.mark.slow
def test_the_examples_of_the_readme_run(tmp_path, monkeypatch, capsys):
    """Those of docs/library.md run in tests/project/test_wheel.py."""
    monkeypatch.chdir(tmp_path)
    example, own = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    exec(compile(example, "README.md", "exec"), scope := {})
    assert "work" in capsys.readouterr().out
    (tmp_path / "mine").mkdir()
    columns = {"session": "visit", "item": "song", "time": "played_at"}
    scope["events"].rename(columns=columns).to_csv(tmp_path / "mine" / "plays.csv", index=False)
    exec(compile(own, "README.md", "exec"), scope)


def test_unknown_targets_are_misses():
    """There are fewer items than the cutoff of 20; a session of only unknown items has no target of `known`."""
    events = pd.DataFrame({"session": [1, 1, 1, 2, 2, 2], "item": list("abcdef"), "time": range(6)})
    model = Recommender.fit(events, **QUICK)
    test = pd.DataFrame({"session": 9, "item": ["a", "x", "y"], "time": range(3)})
    assert model.evaluate(test).to_dict("records") == [
        {"protocol": "open", "n_candidates": 6, "n_targets": 2, "recall_at_20": 0, "mrr_at_20": 0}
    ]
    assert model.evaluate(test.assign(item=["a", "x", "b"]), k=20)["recall_at_20"].tolist() == [1, 1 / 2]
    alone = model.evaluate(test.assign(item=["x", "y", "z"]))
    assert alone[["protocol", "n_targets", "recall_at_20"]].to_numpy().tolist() == [["open", 2, 0]]
