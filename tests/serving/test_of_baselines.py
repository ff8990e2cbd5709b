"""Every baseline of the registry behind the recommender: the same calls, saved and loaded."""

import numpy as np
import pandas as pd
import pytest

from gru4rec_lib.baselines import BASELINES, STAN, MostPopular
from gru4rec_lib.blending.blend import Blend
from gru4rec_lib.blending.learn import Examples, learn
from gru4rec_lib.blending.weights import choose
from gru4rec_lib.data.sessions import Sessions
from gru4rec_lib.serving.recommender import Recommender

RANDOM = np.random.default_rng(4)
EVENTS = pd.DataFrame(
    {"session": np.arange(60).repeat(5), "item": [f"t{n}" for n in RANDOM.zipf(1.5, 300) % 20], "time": range(300)}
)
ITEMS = [f"t{n}" for n in range(22)]
FEATURES = pd.DataFrame({"item": ITEMS, "artist": [*"abcd"] * 5 + ["a", "b"], "tempo": RANDOM.normal(size=22)})
LABELS = pd.DataFrame({"item": ITEMS, "artist": FEATURES["artist"]})
SESSIONS = [["t1", "t3"], [], ["?"], ["t5", "?", "t2", "t5"], ["t21", "t2"]]


@pytest.mark.parametrize("kind", BASELINES)
def test_a_baseline_is_used_saved_and_loaded_by_the_same_calls(kind, tmp_path):
    baseline = BASELINES[kind]()
    features = FEATURES if baseline.needs_features else None
    one = Recommender.of(baseline, EVENTS, features=features, labels=LABELS)
    one.save(tmp_path / "model")
    again = Recommender.load(tmp_path / "model")
    k = 7
    for session in SESSIONS:
        found = one.recommend(session, k)
        assert found.columns.tolist() == ["item", "artist", "score", "source"]
        pd.testing.assert_frame_equal(again.recommend(session, k), found)
        short = again.recommend(session, k, exclude_heard=True, among=ITEMS[:12], exclude=["t4"], at_most={"artist": 2})
        everything = one.recommend(session, one._scoring.n_scored)["item"].tolist()
        expected, counts = [], dict.fromkeys("abcd", 0)
        for item in everything:
            artist = LABELS.set_index("item")["artist"][item]
            if item in ITEMS[:12] and item != "t4" and item not in session and counts[artist] < 2:
                expected.append(item)
                counts[artist] += 1
        assert short["item"].tolist() == expected[:k]
    if kind != "random":  # its scores are drawn by the place in the sessions
        many = again.recommend_many(SESSIONS, k)
        lists = [one.recommend(session, k).assign(session=number) for number, session in enumerate(SESSIONS)]
        pd.testing.assert_frame_equal(many, pd.concat(lists, ignore_index=True)[many.columns], check_dtype=False)
    pd.testing.assert_frame_equal(again.evaluate(EVENTS), one.evaluate(EVENTS))
    again.save(tmp_path / "model")
    assert {path.name for path in (tmp_path / "model").iterdir()} == {
        "items.parquet",
        "labels.parquet",
        "config.json",
        "fitted",
    }


def test_the_lists_are_those_of_the_baseline():
    one = Recommender.of(STAN(neighbours=50), EVENTS)
    index = {item: place for place, item in enumerate(one.items)}
    sessions = Sessions.from_lists([[index["t1"], index["t3"], 0]])
    top = one.model.top(sessions, len(index), np.array([False, False, True]), 5)
    assert one.recommend(["t1", "t3"], 5)["item"].tolist() == one.items.iloc[top[0]].tolist()
    assert one.recommend(["t1"], 5)["score"].isna().all()
    assert one.config == {"baseline": "stan", "settings": STAN(neighbours=50).model_dump(mode="json")}
    popular = one.recommend(["?"], 3)
    assert popular["source"].tolist() == ["popularity: no known item"] * 3
    assert popular["score"].tolist() == EVENTS["item"].value_counts().head(3).tolist()


@pytest.mark.parametrize("kind", ["stan", "same_artist", "markov"])
def test_the_lists_at_every_event_are_those_of_the_session_before_it(kind):
    baseline = BASELINES[kind]()
    one = Recommender.of(baseline, EVENTS, features=FEATURES if baseline.needs_features else None)
    test = pd.DataFrame({"session": [*"bbbbaaa", "c"], "item": ["t1", "t3", "new", "t2", "t5", "t5", "t21", "t1"]})
    test = test.assign(time=range(8))
    table, k = one.evaluate(test, k=4, per_event=True), 4
    assert table[["session", "position", "item"]].to_numpy().tolist() == [
        ["b", 2, "t3"],
        ["b", 3, "new"],
        ["b", 4, "t2"],
        ["a", 2, "t5"],
        ["a", 3, "t21"],
    ]
    before = {"b": ["t1", "t3", "new"], "a": ["t5", "t5"]}
    for row in table.itertuples():
        assert row.recommended == one.recommend(before[row.session][: row.position - 1], k)["item"].tolist()
        assert pd.isna(row.rank) or row.rank > k or row.item in row.recommended, "a tie counts against the rank alone"
    assert table["rank"].isna().tolist()[1]
    assert one.evaluate(test, k=4).query("protocol == 'open'")["recall_at_4"].item() == (table["rank"] <= k).mean()


def test_the_ends_of_sessions_are_those_of_their_last_events(tmp_path):
    times = EVENTS.assign(time=EVENTS["time"].mul(86400)[::-1].to_numpy())
    one = Recommender.of(STAN(time_decay=3), times)
    ends = times.groupby("session")["time"].max().sort_values()
    assert one._fitted.ends.tolist() == ends.tolist()
    dates = times.assign(time=pd.to_datetime(times["time"], unit="s"))
    for of_one_kind in (dates, dates.assign(time=dates["time"].astype("datetime64[ns]").dt.tz_localize("UTC"))):
        assert Recommender.of(STAN(time_decay=3), of_one_kind)._fitted.ends.tolist() == ends.tolist(), "in seconds"
    one.save(tmp_path / "model")
    np.testing.assert_array_equal(Recommender.load(tmp_path / "model")._fitted.ends, ends)
    long = Recommender.of(STAN(time_decay=3000), times)
    lists = [[made.recommend([item], 5)["item"].tolist() for item in ITEMS[:9]] for made in (one, long)]
    assert lists[0] != lists[1], "the decay has an effect"


@pytest.mark.parametrize("output_form", ["ids", "hybrid"])
def test_a_blend_is_used_saved_and_loaded_by_the_same_calls(output_form, tmp_path):
    features = FEATURES if output_form == "hybrid" else None
    small = {"epochs": 2, "hidden_units": 4, "batch_size": 8, "samples": 8, "jit": False, "verbose": 0}
    network = Recommender.fit(EVENTS, features=features, labels=LABELS, output_form=output_form, **small)
    weights = {"gru4rec": 0.4, "stan": 0.5, "markov": 0.1}
    one = network.blend([STAN(), BASELINES["markov"]()], weights, EVENTS)
    index = pd.Index(network.items)
    events = EVENTS.sort_values(["session", "time"])
    sessions = Sessions.from_lists([index.get_indexer(ids) for _, ids in events.groupby("session")["item"]])
    ends = events.groupby("session")["time"].max().to_numpy(float)
    fitted = [made.fit(sessions, network.model.n_items, None, ends) for made in (STAN(), BASELINES["markov"]())]
    asked, is_next = Sessions.from_lists([index.get_indexer(["t1", "t3"])]).with_next()
    top = Blend(network.model, fitted, weights).top(asked, len(index), is_next, 9)
    assert one.recommend(["t1", "t3"], 9)["item"].tolist() == index[top[0]].tolist()
    one.save(tmp_path / "model")
    again = Recommender.load(tmp_path / "model")
    assert again.config["blend"]["weights"] == weights
    for session in SESSIONS:
        pd.testing.assert_frame_equal(again.recommend(session, 7), one.recommend(session, 7))
    pd.testing.assert_frame_equal(again.evaluate(EVENTS), one.evaluate(EVENTS))
    again.save(tmp_path / "model")
    alone = network.blend([STAN()], {"gru4rec": 1}, EVENTS)
    assert alone.recommend(["t1"], 9)["item"].tolist() == network.recommend(["t1"], 9)["item"].tolist()
    network.save(tmp_path / "model")
    assert not (tmp_path / "model" / "fitted").exists()


def test_a_blend_keeps_the_items_of_its_network():
    table = [(n, item) for n, pair in enumerate(["ab", "ab", "ba", "cd", "cd", "ce"]) for item in pair]
    events = pd.DataFrame(table, columns=["session", "item"]).assign(time=range(12))
    network = Recommender.fit(events, epochs=1, hidden_units=4, batch_size=2, samples=4, jit=False, verbose=0)
    one = network.blend([BASELINES["markov"]()], {"gru4rec": 0.5, "markov": 0.5}, events.tail(6))
    assert one.recommend(["c"], k=5)["item"].sort_values().tolist() == [*"abcde"]
    assert one.recommend(["e"], k=1)["source"].tolist() == ["model"]
    assert one.evaluate(events)["protocol"].tolist() == ["known", "open"]


@pytest.mark.parametrize(("input_form", "output_form"), [("content", "ids"), ("one_hot", "content")])
def test_a_blend_uses_the_inputs_and_scores_the_items_of_its_network(input_form, output_form):
    small = {"epochs": 1, "hidden_units": 4, "batch_size": 8, "samples": 8, "jit": False, "verbose": 0}
    network = Recommender.fit(EVENTS, features=FEATURES, input_form=input_form, output_form=output_form, **small)
    one = network.blend([STAN()], {"gru4rec": 0.9, "stan": 0.1}, EVENTS)
    assert one._scoring.n_scored == network._scoring.n_scored
    assert one.recommend(["t21"], k=3)["source"].tolist() == network.recommend(["t21"], k=3)["source"].tolist()
    alone = network.blend([STAN()], {"stan": 1}, EVENTS)
    assert alone._scoring.n_scored == alone._scoring.n_inputs == network.model.n_items


def test_what_cannot_be_blended_is_an_error():
    small = {"epochs": 1, "hidden_units": 4, "batch_size": 8, "samples": 8, "jit": False, "verbose": 0}
    network = Recommender.fit(EVENTS, **small)
    half = {"gru4rec": 0.5, "stan": 0.5}
    with pytest.raises(ValueError, match="most_popular scores every item, so it cannot be blended; omit it"):
        network.blend([MostPopular()], {"gru4rec": 0.5, "most_popular": 0.5}, EVENTS)
    with pytest.raises(ValueError, match="give numbers from 0 on whose sum is 1"):
        network.blend([STAN()], half | {"stan": 0.6}, EVENTS)
    for baselines in (STAN(), ["stan"], None, [STAN]):
        with pytest.raises(ValueError, match=r"baselines: give a list of baselines, such as \[baselines.STAN\(\)\]"):
            network.blend(baselines, half, EVENTS)
    for weights in ([0.5, 0.5], None):
        with pytest.raises(ValueError, match="give a number for each part by its name"):
            network.blend([STAN()], weights, EVENTS)
    with pytest.raises(
        ValueError, match=r"Recommender.of: baseline: .* give one with its settings, such as `STAN\(\)`"
    ):
        Recommender.of(STAN, EVENTS)
    with pytest.raises(ValueError, match="weights has 'vstan', which is no part; the parts are gru4rec, stan"):
        network.blend([STAN()], {"gru4rec": 0.5, "vstan": 0.5}, EVENTS)
    with pytest.raises(ValueError, match="item 'new' was not in the training of this network; give the events"):
        network.blend([STAN()], half, pd.concat([EVENTS, EVENTS.tail(2).assign(item="new")]))
    with pytest.raises(ValueError, match="this model is no network; start from one that `fit` returned"):
        network.blend([STAN()], half, EVENTS).blend([STAN()], half, EVENTS)


def test_a_baseline_is_not_changed_by_fitting_it():
    baseline = MostPopular()
    first, second = (Recommender.of(baseline, events) for events in (EVENTS, EVENTS.head(10)))
    assert len(first.items) > len(second.items)
    assert len(first.recommend(["t1"], len(first.items))) == len(first.items)


def test_what_a_baseline_cannot_do_is_an_error(tmp_path):
    one = Recommender.of(MostPopular(), EVENTS)
    for use in (lambda: one.vector(["t1"]), one.vectors):
        with pytest.raises(ValueError, match="this model has no vectors; use a network"):
            use()
    with pytest.raises(ValueError, match="baselines have no weights to continue from; fit them to all events"):
        one.update(EVENTS)
    with pytest.raises(ValueError, match="most_popular does not use features; leave them out"):
        Recommender.of(MostPopular(), EVENTS, features=FEATURES)
    with pytest.raises(ValueError, match="content_knn needs features of the items; give `features`"):
        Recommender.of(BASELINES["content_knn"](), EVENTS)
    one.save(tmp_path / "model")
    (tmp_path / "model" / "fitted" / "train_items.npy").write_bytes(b"no array")
    with pytest.raises(ValueError, match=r"fitted: cannot be read \(.+\); save the model again"):
        Recommender.load(tmp_path / "model")


@pytest.fixture(scope="module")
def parts():
    """A network trained on the first 45 sessions, the parts to blend it with, and the events of both halves."""
    small = {"epochs": 2, "hidden_units": 4, "batch_size": 8, "samples": 8, "jit": False, "verbose": 0}
    train, others = EVENTS[EVENTS["session"] < 45], EVENTS[EVENTS["session"] >= 45]
    return Recommender.fit(train, **small), [STAN(), BASELINES["session_recent"]()], train, others


@pytest.mark.parametrize("way", ["fixed", "by_session"])
def test_weights_of_a_blend_are_learned_on_held_out_sessions(way, parts, tmp_path):
    network, baselines, train, others = parts
    unseen = others.tail(1).assign(item="new", time=999)
    one = network.blend(baselines, way, train, held_out=pd.concat([others, unseen]))
    index = pd.Index(network.items)
    lists = [index.get_indexer([i for i in ids if i in index]) for _, ids in others.groupby("session")["item"]]
    validation = Sessions.from_lists(lists)
    if way == "fixed":
        assert one.model.weights == choose(one.model.parts, validation).weights
    else:
        expected = learn(Examples.of(one.model.parts, validation))
        np.testing.assert_allclose(one.model.weights.coefficients, expected.coefficients)
    one.save(tmp_path / "model")
    again = Recommender.load(tmp_path / "model")
    assert again.recommend(["t1", "t3"], 9)["item"].tolist() == one.recommend(["t1", "t3"], 9)["item"].tolist()
    # The weights of a blend are given to a blend of parts that are trained on all sessions.
    same = network.blend(baselines, one.model.weights, train)
    assert same.recommend(["t1", "t3"], 9)["item"].tolist() == one.recommend(["t1", "t3"], 9)["item"].tolist()


def test_weights_that_cannot_be_learned_are_an_error(parts):
    network, baselines, train, others = parts

    def error(weights, held_out):
        with pytest.raises(ValueError, match=r"^Recommender\.blend: ") as caught:
            network.blend(baselines, weights, train, held_out=held_out)
        return str(caught.value).removeprefix("Recommender.blend: ")

    half = {"gru4rec": 0.5, "stan": 0.5}
    assert error("fixed", None) == "weights: are to be learned; give `held_out`, events of other sessions"
    assert error(half, others) == "weights: are given, so nothing is learned; omit `held_out`"
    assert error("by_sesion", others) == "weights: 'by_sesion'; give numbers, or one of fixed, by_session"
    twice = "held_out: session 44 is in `events` too; give sessions that no part was trained on"
    assert error("by_session", EVENTS[EVENTS["session"] >= 44]) == twice
    as_text = train.assign(session=train["session"].astype(str))
    assert error("fixed", as_text) == twice.replace("44", "'0'")
    assert error("fixed", others.drop(columns="item")).startswith("held_out: there is no column 'item'; name the right")
    nothing = error("fixed", others.assign(item="new"))
    assert nothing.startswith("held_out: there is no validation target on which to choose the weights of a blend")
    assert error("by_session", others.assign(item="new")).startswith("held_out: no part of the blend lists any")
