"""Updates with new items and evaluation of other tables: values computed by hand, all forms, and errors."""

import itertools

import numpy as np
import pandas as pd
import pytest

from gru4rec_lib.config.study import FORMS_WITH_CONTENT, INPUT_FORMS, OUTPUT_FORMS
from gru4rec_lib.data.dataframes import index_sessions
from gru4rec_lib.serving.recommender import Recommender
from gru4rec_lib.training.build import build
from gru4rec_lib.training.gru4rec import GRU4Rec
from gru4rec_lib.training.settings import Cell
from gru4rec_lib.utils.checked import check

QUICK = {"hidden_units": 4, "embedding_units": 3, "batch_size": 2, "samples": 4, "jit": False, "verbose": 0}
OLD = pd.DataFrame({"session": [1, 1, 1, 2, 2], "item": [*"bab", *"bc"], "time": range(5)})
NEW = pd.DataFrame({"session": [1, 1, 1, 2, 2], "item": [*"ede", *"ae"], "time": range(5)})
FEATURES = pd.DataFrame({"item": [*"abcdef"], "tempo": [1.0, 2, 4, 8, 16, 32], "artist": [*"xyxyxy"]})


@pytest.fixture
def no_training(monkeypatch):
    """Training that counts plays and changes no weights."""

    def fit(self, sessions, epochs, plays_before=0, **options):
        self.scorer.plays.assign(np.bincount(sessions.items, minlength=self.n_items) + plays_before)

    monkeypatch.setattr(GRU4Rec, "fit", fit)


@pytest.mark.slow
@pytest.mark.parametrize(("input_form", "output_form"), [*itertools.product(INPUT_FORMS, OUTPUT_FORMS)])
def test_an_update_keeps_the_learned_weights_of_every_form(eager, no_training, tmp_path, input_form, output_form):
    forms = {"input_form": input_form, "output_form": output_form}
    features = FEATURES if {*forms.values()} & FORMS_WITH_CONTENT else None
    before = Recommender.fit(OLD, features=features, epochs=1, **forms, **QUICK)
    after = before.update(NEW, verbose=0)
    assert before.items.tolist() == ([*"bac"] if features is None else [*"bacdef"])
    assert after.items.tolist() == [*"baced"] + [*"f"] * (features is not None), "plays of e, d, f: 2, 1, 0"
    assert (before.model.n_items, after.model.n_items) == (3, 5)
    assert after.model.scorer.plays.numpy().tolist() == [3, 1 + 1, 1, 3, 1]
    for session in (["b"], ["a", "c"], ["c", "b", "a"]):
        old, new = (one.recommend(session, k=len(one._ids)).set_index("item")["score"] for one in (before, after))
        kept = old.index.intersection([*"bacf"])  # e and d are new training items, with rows of their own
        np.testing.assert_array_equal(new[kept], old[kept])
    after.save(tmp_path / "model")
    pd.testing.assert_frame_equal(
        Recommender.load(tmp_path / "model").recommend(["e"], k=5), after.recommend(["e"], k=5)
    )


def test_an_update_trains_on_its_sessions_and_keeps_the_features(eager, monkeypatch):
    steps = []
    monkeypatch.setattr(GRU4Rec, "fit", lambda *_, **options: steps.append(options["steps_per_epoch"]))
    first = Recommender.fit(OLD, features=FEATURES, input_form="content", steps_per_epoch=7, **QUICK)
    second = first.update(NEW, verbose=0)
    third = second.update(NEW, steps_per_epoch=2, verbose=0)
    assert steps == [7, None, 2]
    for one in (first, second, third):
        tempo = FEATURES.set_index("item")["tempo"][one.items]
        np.testing.assert_array_equal(np.argsort(one.features.numeric[:, 0]), np.argsort(tempo))


@pytest.mark.slow
def test_an_update_learns_new_items():
    sessions = pd.DataFrame(
        [(number, item) for number, text in enumerate(["abc", "bca"] * 40) for item in text],
        columns=["session", "item"],
    ).assign(time=0)
    settings = QUICK | {"hidden_units": 16, "batch_size": 8}
    first = Recommender.fit(sessions, epochs=8, learning_rate=0.3, **settings)
    assert first.recommend(["a"], k=1)["item"].item() == "b"
    later = sessions.assign(item=sessions["item"].map({"a": "a", "b": "d", "c": "e"}))  # now d follows a
    second = first.update(later, epochs=8, verbose=0)
    assert second.recommend(["a"], k=1)["item"].item() == "d"
    assert second.recommend(["d"], k=1)["item"].item() == "e"
    assert first.recommend(["a"], k=1)["item"].item() == "b", "the first recommender is not changed"
    assert second.config["training"] == first.config["training"]


@pytest.mark.slow
def test_the_same_update_gives_the_same_weights():
    first = Recommender.fit(OLD, epochs=1, **QUICK)
    one, again, other = (first.update(NEW, epochs=2, seed=seed, verbose=0) for seed in (1, 1, 2))
    assert one.recommend(["d"], k=5).equals(again.recommend(["d"], k=5))
    assert not one.recommend(["d"], k=5).equals(other.recommend(["d"], k=5))


def test_an_update_without_new_items_is_continued_training(tmp_path):
    first = Recommender.fit(OLD, epochs=1, **QUICK)
    first.save(tmp_path / "model")
    after = first.update(OLD, epochs=2, seed=3, verbose=0)
    items, sessions, *_ = index_sessions(OLD, "session", "item", "time")
    assert items.tolist() == first.items.tolist()
    config = first.config | {"seed": 3}
    continued = build(check(Cell, config, "test"), first.model.n_items, None)
    continued.set_weights(Recommender.load(tmp_path / "model").model.get_weights())
    plays = first.model.scorer.plays.numpy()
    continued.fit(sessions, 2, batch_size=2, verbose=0, plays_before=plays)
    expected = Recommender(continued, items, config)
    for session in (["a"], ["b", "a"], ["c"]):
        found, same = (one.recommend(session, 3).set_index("item")["score"] for one in (after, expected))
        np.testing.assert_allclose(found[same.index], same, rtol=1e-6)


MORE = pd.DataFrame({"item": [*"gh"], "tempo": [3.0, None], "artist": ["new", "y"]})


@pytest.mark.parametrize("forms", [("content", "hybrid"), ("hybrid_concat", "content"), ("content_mlp", "ids")])
def test_new_items_bring_features_and_categories(eager, no_training, tmp_path, forms, capsys):
    input_form, output_form = forms
    before = Recommender.fit(OLD, features=FEATURES, input_form=input_form, output_form=output_form, epochs=1, **QUICK)
    after = before.update(NEW.replace("e", "g"), features=MORE)
    assert capsys.readouterr().out.startswith("items new in training: 2\n"), "d and g"
    assert after.items.tolist() == [*"bacgdefh"]
    fitted = after.features.fitted
    assert fitted["artist"] == ["x", "y", "new"]
    assert fitted["mean"] == before.features.fitted["mean"]
    place = after.items.tolist().index
    assert after.features.categories["artist"][[place("g"), place("h")], 0].tolist() == [3, 2]
    tempo = (3 - fitted["mean"][0]) / fitted["scale"][0]
    np.testing.assert_allclose(after.features.numeric[[place("g"), place("h")], 0], [tempo, 0], rtol=1e-6)
    old = before.recommend(["b", "a"], k=len(before._ids)).set_index("item")["score"]
    new = after.recommend(["b", "a"], k=len(after._ids)).set_index("item")["score"]
    kept = old.index.intersection([*"bacef"])
    np.testing.assert_array_equal(new[kept], old[kept])
    after.save(tmp_path / "model")
    again = Recommender.load(tmp_path / "model")
    pd.testing.assert_frame_equal(again.recommend(["g"], k=3), after.recommend(["g"], k=3))
    third = again.update(NEW.replace("e", "i"), features=MORE.assign(item=[*"ij"]), verbose=0)
    assert third.features.fitted["artist"] == ["x", "y", "new"]


def test_whole_numbers_as_ids_bring_the_same_features(eager, no_training):
    def updated(write):
        old, features, new, more = (t.assign(item=t["item"].map(write)) for t in (OLD, FEATURES, NEW, MORE))
        before = Recommender.fit(old, features=features, input_form="content", output_form="hybrid", epochs=1, **QUICK)
        return before.update(new, features=pd.concat([more, features.head(1).assign(tempo=5)]), verbose=0)

    text, number = updated(str), updated(lambda letter: ord(letter) - ord("a"))
    assert number.items.tolist() == [ord(item) - ord("a") for item in text.items]
    np.testing.assert_array_equal(number.features.numeric, text.features.numeric)
    np.testing.assert_array_equal(number.features.categories["artist"], text.features.categories["artist"])
    assert number.features.fitted == text.features.fitted


def test_columns_are_read_as_at_the_first_training(eager, no_training):
    table = FEATURES.assign(
        codes=[[1, 2], [2], [3, 1], [1], [2], [3]],
        year=[1999, 2000] * 3,
        genre=[*"pqpqpq"],
        genre_0=[0.5, 1.5] * 3,
        tags=["p,q", *"pqpqp"],
        artist=["Tyler, The Creator", *"xyxyx"],
    )
    declared = {"categorical": ["codes", "year", "artist"], "separator": ","}
    before = Recommender.fit(OLD, features=table, input_form="content", epochs=1, **declared, **QUICK)
    assert before.features.fitted["artist"] == ["Tyler, The Creator", "x", "y"]
    assert before.features.fitted["tags"] == ["p", "q"]
    new = table.head(1).assign(item="g", codes=[[3, 4]], year=2001, tags="q,r", artist="Crosby, Stills & Nash")
    for _ in range(2):  # an update keeps the declarations, too
        before = before.update(OLD, features=new, verbose=0)
        fitted = before.features.fitted
        assert [fitted[name] for name in ("codes", "year", "tags")] == [[*"1234"], ["1999", "2000", "2001"], [*"pqr"]]
        assert "Crosby, Stills & Nash" in fitted["artist"]
    same = before.update(OLD, features=table, verbose=0)
    np.testing.assert_array_equal(same.features.numeric[:3], before.features.numeric[:3])


def test_a_row_of_a_known_item_replaces_its_features(eager, no_training):
    before = Recommender.fit(OLD, features=FEATURES, input_form="content", epochs=1, **QUICK)
    same = before.update(OLD, features=FEATURES, verbose=0)
    np.testing.assert_array_equal(same.features.numeric, before.features.numeric)
    for item, artist in (("a", 3), ("b", 2)):
        moved = before.update(OLD, features=FEATURES.replace("x", "z").head(1), verbose=0)
        assert moved.features.categories["artist"][moved.items.tolist().index(item), 0] == artist


def test_vectors_separators_and_indicators_are_updated(eager, no_training):
    table = FEATURES.assign(tempo=[[1.5, 2], None, [2.5, 3], [1.5, 1], [1.5, 2], [2, 2]], artist=["p|q", *"pqpqp"])
    options = {"input_form": "content", "output_form": "content", "separator": "|", "missing_indicator": True}
    before = Recommender.fit(OLD, features=table, **options, epochs=1, **QUICK)
    new = pd.DataFrame({"item": [*"gh"], "tempo": [None, [1.5, 3]], "artist": ["q|r|p", ""]})
    after = before.update(OLD, features=new, verbose=0)
    numbers = ["tempo_0", "tempo_1", "tempo_0 missing", "tempo_1 missing"]
    assert before.features.fitted["numeric"] == after.features.fitted["numeric"] == numbers
    assert after.features.categories["artist"][-2:].tolist() == [[2, 3, 1], [-1, -1, -1]]
    b = before.items.tolist().index("b")
    np.testing.assert_array_equal(after.features.numeric[-2], before.features.numeric[b])  # both are missing


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        (MORE.drop(columns="tempo"), "features: `tempo` is a feature of the model alone"),
        (MORE.assign(genre="p"), "features: `genre` is a feature of the table alone"),
        (MORE.assign(tempo=[1.0, np.inf]), "column 'tempo' has `inf` in item `h`"),
        (MORE.assign(item="g"), "features: item 'g' has two rows; keep one"),
        (MORE.assign(item=[1, 2]), "features: 'item' is of another kind"),
        (MORE.assign(artist=["p|q", "r"]), None),
    ],
)
def test_wrong_features_of_new_items_are_an_error(trained, table, sentence):
    if sentence is None:  # a single category stays one, whatever it contains
        assert "p|q" in trained.update(OLD, features=table, verbose=0).features.fitted["artist"]
        return
    with pytest.raises(ValueError, match=sentence):
        trained.update(NEW, features=table, verbose=0)


def test_features_need_a_model_that_has_some(eager, no_training):
    with pytest.raises(ValueError, match="features: the model has no record of any; leave them out"):
        Recommender.fit(OLD, epochs=1, **QUICK).update(OLD, features=FEATURES)


def test_labels_of_new_items(eager, no_training):
    labels = pd.DataFrame({"item": [*"ab"], "title": ["A", "B"]})
    before = Recommender.fit(OLD, labels=labels, epochs=1, **QUICK)
    after = before.update(NEW, labels=pd.DataFrame({"item": [*"ea"], "title": ["E", "A2"]}), verbose=0)
    assert after.labels.set_index("item")["title"].dropna().to_dict() == {"a": "A2", "b": "B", "e": "E"}
    with pytest.raises(ValueError, match="labels: the model has title; give these columns beside the id"):
        before.update(NEW, labels=labels.rename(columns={"title": "name"}))


def test_an_update_that_is_stopped_leaves_the_folder_whole(eager, no_training, monkeypatch, tmp_path):
    first = Recommender.fit(OLD, epochs=1, **QUICK)
    first.save(tmp_path / "model")
    files = {path.name: path.read_bytes() for path in (tmp_path / "model").iterdir()}

    def stopped(*_, **__):
        raise KeyboardInterrupt

    for place, name in ((GRU4Rec, "fit"), (GRU4Rec, "save")):
        one = Recommender.load(tmp_path / "model")
        with monkeypatch.context() as patch:
            patch.setattr(place, name, stopped)
            with pytest.raises(KeyboardInterrupt):
                one.update(NEW, verbose=0).save(tmp_path / "model")
        assert {path.name: path.read_bytes() for path in (tmp_path / "model").iterdir()} == files
        assert [path.name for path in tmp_path.iterdir()] == ["model"]


@pytest.fixture(scope="module")
def trained():
    """A model that a failed update must not change."""
    one = Recommender.fit(OLD, features=FEATURES, input_form="content", epochs=1, **QUICK)
    weights = one.model.get_weights()
    yield one
    np.testing.assert_equal(one.model.get_weights(), weights)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("events", "settings", "sentence"),
    [
        (NEW.replace("e", "g"), {}, "none of item 'g'; give `features`"),
        (NEW.assign(item=7), {}, "another kind than the model's, such as 'b'"),
        (NEW.assign(item=7.0), {}, "'item' is floating, but ids are text or whole numbers"),
        (NEW, {"hidden_units": 5}, "hidden_units: a trained model keeps it"),
        (NEW, {"learning_rat": 5}, "learning_rat: no such field"),
        (NEW, {"patience": 5}, "patience: no session is held out"),
        (NEW.head(1), {}, "nothing to learn from"),
        (NEW.drop(columns="time"), {}, "no column 'time'"),
    ],
)
def test_a_wrong_update_is_an_error(trained, events, settings, sentence):
    with pytest.raises(ValueError, match=sentence):
        trained.update(events, **settings)


@pytest.mark.slow
def test_a_table_is_evaluated_among_all_items():
    # One unit that stays 0: scores are the biases, in the order c, a, b; `d` is unknown; session 2 has no target.
    model = GRU4Rec(3, "one_hot", 1)
    model.set_weights([np.zeros_like(weight) for weight in model.get_weights()])
    model.scorer.bias.assign([1, 0, 2])
    recommender = Recommender(model, pd.Series(["a", "b", "c"]), {})
    table = pd.DataFrame({"session": [1, 1, 1, 1, 2], "item": ["a", "c", "d", "b", "a"], "time": range(5)})
    found = recommender.evaluate(table, k=2).set_index("protocol")
    assert found["n_targets"].to_dict() == {"known": 2, "open": 3}
    assert found["recall_at_2"].to_dict() == pytest.approx({"known": 1 / 2, "open": 1 / 3})
    assert found["mrr_at_2"].to_dict() == pytest.approx({"known": 1 / 2, "open": 1 / 3})
    assert recommender.evaluate(table, k=3)["recall_at_3"].tolist() == pytest.approx([1, 2 / 3])
    with pytest.raises(ValueError, match="another kind"):
        recommender.evaluate(table.assign(item=1))


def test_an_id_written_in_another_way_is_an_error(eager, no_training):
    numbered = OLD.assign(item=OLD["item"].map({"a": "1", "b": "2", "c": "3"}))
    recommender = Recommender.fit(numbered, **QUICK)
    for use in (recommender.update, recommender.evaluate):
        with pytest.raises(ValueError, match=r"events: 'item': '1\.0' is '1' in other rows; write it in one way"):
            use(numbered.replace("1", "1.0"))
