"""Lists with conditions, and of many sessions: equal to scoring and sorting everything."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gru4rec_lib.serving import recommender as recommender_module
from gru4rec_lib.serving import scoring
from gru4rec_lib.serving.recommender import Recommender
from gru4rec_lib.training.gru4rec import GRU4Rec

N, UNITS = 30, 5
IDS = [f"t{n}" for n in range(N)]
ARTIST = [None if n % 7 == 0 else "abcd"[n % 4] for n in range(N)]
LABELS = pd.DataFrame({"item": IDS, "artist": ARTIST, "year": ["1", "2", "3"] * 10}).astype("str")
RANDOM = np.random.default_rng(5)
SESSIONS = [[IDS[n] for n in RANDOM.integers(0, N, length)] for length in (1, 7, 0, 20, 3)] + [["?"], ["?", "t3"]]


@pytest.fixture(scope="module")
def model():
    """Random weights, with ties among the scores and the plays."""
    network = GRU4Rec(N, "embedding", UNITS, embedding_units=4)
    random = np.random.default_rng(1)
    network.scorer.table.assign(random.normal(size=(10, UNITS)).repeat(3, axis=0))
    network.scorer.bias.assign(random.normal(size=10).repeat(3) / 5)
    network.scorer.plays.assign(random.integers(1, 9, N))
    return Recommender(network, pd.Series(IDS), {}, labels=LABELS)


def by_sorting(model, session, k, exclude_heard=False, among=None, exclude=(), at_most=None):
    """Score every item with NumPy, sort, and walk down the list."""
    plays, vectors = model.model.scorer.plays.numpy(), model.vectors()
    known = [item for item in session if item in IDS]
    rows = vectors.drop(columns="bias").to_numpy()
    scores = (rows * model.vector(session)).sum(axis=1) + vectors["bias"].to_numpy() if known else plays
    result, counts = [], {}
    for place in np.argsort(-scores, kind="stable"):
        item, labels = IDS[place], LABELS.iloc[place]
        if (among is not None and item not in among) or item in exclude or (exclude_heard and item in session):
            continue
        groups = [(name, labels[name]) for name in at_most or {} if isinstance(labels[name], str)]
        if any(counts.get(group, 0) == at_most[group[0]] for group in groups):
            continue
        counts |= {group: counts.get(group, 0) + 1 for group in groups}
        result.append(item)
    return result[:k]


conditions = st.fixed_dictionaries(
    {"k": st.integers(1, N), "exclude_heard": st.booleans()},
    optional={
        "among": st.lists(st.sampled_from([*IDS, "new"]), min_size=2).filter(lambda ids: {*ids} & {*IDS}),
        "exclude": st.sets(st.sampled_from([*IDS, "new"])),
        "at_most": st.dictionaries(st.sampled_from(["artist", "year"]), st.integers(1, 4)),
    },
)


@given(st.sampled_from(SESSIONS), conditions)
def test_a_list_with_conditions_equals_sorting_all_scores(model, session, given):
    found = model.recommend(session, **given)
    assert found["item"].tolist() == by_sorting(model, session, **given)
    assert found.columns.tolist() == ["item", "artist", "year", "score", "source"]


@given(st.lists(st.sampled_from(SESSIONS), max_size=9), conditions, st.integers(1, 4))
def test_many_sessions_get_the_same_lists_as_one_by_one(model, sessions, given, together):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recommender_module, "TOGETHER", together)
        patch.setattr(scoring, "LISTED", 40)
        found = model.recommend_many(sessions, **given)
    assert found.columns.tolist() == ["session", "item", "artist", "year", "score", "source"]
    for number, session in enumerate(sessions):
        expected = model.recommend(session, **given)
        part = found[found["session"] == number].drop(columns="session").reset_index(drop=True)
        np.testing.assert_allclose(part["score"], expected["score"], rtol=1e-5, atol=1e-6)
        pd.testing.assert_frame_equal(part.drop(columns="score"), expected.drop(columns="score"), check_dtype=False)


def rows_of(table):
    """The rows of a table as dicts, None where a label is missing."""
    labels = table[["artist", "year"]].astype(object)
    return table.assign(**labels.where(labels.notna(), None)).to_dict("records")


@given(st.sampled_from(SESSIONS), conditions)
def test_a_plain_list_has_the_rows_of_the_table(model, session, given):
    found = model.recommend(session, **given, as_frame=False)
    assert found == rows_of(model.recommend(session, **given))
    assert all(type(row["score"]) is float for row in found)


def test_plain_lists_of_many_sessions(model, monkeypatch):
    monkeypatch.setattr(recommender_module, "TOGETHER", 2)
    found = model.recommend_many(SESSIONS, 3, as_frame=False, verbose=0)
    table = model.recommend_many(SESSIONS, 3, verbose=0)
    assert found == [rows_of(table[table["session"] == n].drop(columns="session")) for n in range(len(SESSIONS))]
    assert model.recommend_many([], as_frame=False) == []


@pytest.mark.parametrize(("together", "verbose", "shown"), [(3, 1, True), (3, 0, False), (len(SESSIONS), 1, False)])
def test_many_sessions_show_a_progress_bar(model, monkeypatch, capsys, together, verbose, shown):
    monkeypatch.setattr(recommender_module, "TOGETHER", together)
    model.recommend_many(SESSIONS, 3, verbose=verbose)
    assert (f"{len(SESSIONS)}/{len(SESSIONS)}" in capsys.readouterr().out) == shown


def test_at_most_by_hand(model):
    found = model.recommend(["t1"], N, at_most={"artist": 2})
    assert found["artist"].value_counts().to_dict() == dict.fromkeys("abcd", 2)
    assert found["artist"].isna().sum() == 5, "items without an artist are not limited"


def test_sessions_of_a_table_are_ordered_by_time(model):
    events = pd.DataFrame(
        [("x", "t4", 5), ("y", "t2", 1), ("x", "t3", 2), ("z", "?", 3), ("y", "t9", 4)], columns=["user", "track", "at"]
    )
    found = model.recommend_many(events, 3, session="user", item="track", time="at")
    assert found["session"].tolist() == [*"yyyxxxzzz"]
    expected = model.recommend_many([["t2", "t9"], ["t3", "t4"], ["?"]], 3)
    pd.testing.assert_frame_equal(found.drop(columns="session"), expected.drop(columns="session"))
    assert model.recommend_many(events.head(0), session="user", item="track", time="at").empty
    with pytest.raises(ValueError, match="sessions: 'track' is of another kind than the model's, such as 't0'"):
        model.recommend_many(events.assign(track=1), session="user", item="track", time="at")
    with pytest.raises(ValueError, match="there is no column 'session'; name the right one of user, track, at"):
        model.recommend_many(events)


def test_vectors_give_the_scores(model):
    rows = model.vectors()
    assert rows.index.tolist() == IDS
    assert rows.columns.tolist() == [*range(UNITS), "bias"]
    found = model.recommend(["t5", "?", "t6"], N).set_index("item")["score"]
    scores = rows.drop(columns="bias").to_numpy() @ model.vector(["t5", "?", "t6"]) + rows["bias"]
    np.testing.assert_allclose(scores[found.index], found, rtol=1e-5, atol=1e-6)
    assert (model.vector(["?"]) == 0).all()
    assert model.vector([]).shape == (UNITS,)


@pytest.mark.parametrize(
    ("given", "error", "sentence"),
    [
        ({"among": ["new"]}, ValueError, "among: none of its 1 ids has a score; give ids of items"),
        ({"among": []}, ValueError, "among: none of its 0 ids has a score"),
        ({"among": "t1"}, TypeError, r"among is 't1'; give a list of item ids, such as \['t0'\]"),
        ({"among": [1]}, TypeError, "item 1 is no text, but the model's ids are, such as 't0'"),
        ({"exclude": "t1"}, TypeError, "exclude is 't1'; give a list of item ids"),
        ({"exclude": [1]}, TypeError, "item 1 is no text"),
        ({"at_most": {"genre": 1}}, ValueError, "at_most: there is no label 'genre'; name one of artist, year"),
        ({"at_most": {"artist": 0}}, ValueError, "at_most: artist is 0; give 1 or more"),
        ({"at_most": {"artist": 1.5}}, ValueError, "at_most: artist is 1.5; give a whole number"),
        ({"k": 31}, ValueError, "k is 31; it can be 1 to 30"),
    ],
)
def test_wrong_conditions_are_an_error(model, given, error, sentence):
    for use in (lambda: model.recommend(["t1"], **given), lambda: model.recommend_many([["t1"]], **given)):
        with pytest.raises(error, match=sentence):
            use()


def test_wrong_sessions_are_an_error(model):
    for wrong in ("t1", 5, {"t1"}):
        with pytest.raises(TypeError, match="sessions: give a list of sessions, each a list of item ids, or a table"):
            model.recommend_many(wrong)
    with pytest.raises(TypeError, match="session is 't1'; give a list of item ids"):
        model.recommend_many(["t1"])
    unlabelled = Recommender(model.model, model.items, {})
    with pytest.raises(ValueError, match="no label 'artist'; this model has none; give `labels` to `fit`"):
        unlabelled.recommend(["t1"], at_most={"artist": 1})
