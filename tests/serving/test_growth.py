"""Updates with new items and evaluation of other tables: values computed by hand, all forms, and errors."""

import itertools

import numpy as np
import pandas as pd
import pytest

from gru4rec_lib.config.study import FORMS_WITH_CONTENT, INPUT_FORMS, OUTPUT_FORMS
from gru4rec_lib.serving.recommender import Recommender
from gru4rec_lib.training.gru4rec import GRU4Rec

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
        (NEW.replace("e", "g"), {}, "none of item 'g'; fit a new one"),
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
