"""Contracts of every baseline of the registry: the ranks of its naive twin, lists that follow the ranks, edge cases."""

import operator
import subprocess
import sys

import numpy as np
import pytest
from baselines.twins import CANDIDATES, DAY, ITEMS, SETTINGS, TWINS, known, plays_of
from helpers import ranks_of_all, top_by_rank
from hypothesis import given, settings
from hypothesis import strategies as st

import gru4rec_lib
from gru4rec_lib.baselines import BASELINES, content, context_tree, item_rules, session_knn
from gru4rec_lib.data.features import Features
from gru4rec_lib.data.sessions import Sessions
from gru4rec_lib.ranking.exact import NO_RANK, rank_table
from gru4rec_lib.utils.checked import ConfigError

POPULAR = 2  # number of candidates of the protocol `popular`
TRAIN = st.lists(st.lists(st.integers(0, ITEMS - 1), max_size=6), max_size=6)
TEST = st.lists(st.lists(st.integers(-1, CANDIDATES - 1), max_size=6), max_size=5)
CODES = st.lists(st.lists(st.integers(-1, 3), min_size=3, max_size=3), min_size=CANDIDATES, max_size=CANDIDATES)
NUMBERS = st.lists(st.tuples(*[st.sampled_from([-1.0, 0.0, 0.5, 2.0])] * 2), min_size=CANDIDATES, max_size=CANDIDATES)
EVERY = pytest.mark.parametrize("name", BASELINES)


@st.composite
def features(draw):
    codes = np.array(draw(CODES), np.int32)
    categories = {"tags": codes[:, 1:], "artist": codes[:, :1]}
    return Features(np.array(draw(NUMBERS), np.float32), categories, {"tags": 4, "artist": 4})


def ends_of(train):
    days = st.lists(st.integers(0, 9), min_size=len(train), max_size=len(train))
    return st.none() | days.map(lambda days: np.array(days, float) * DAY)


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    for module in (content, context_tree, session_knn):
        monkeypatch.setattr(module, "TARGETS", 3)
    monkeypatch.setattr(content, "CANDIDATES", 3)
    monkeypatch.setattr(item_rules, "ITEMS", 3)
    monkeypatch.setattr(item_rules, "ROOM", 3)


def naive_table(score, train, test, ties):
    """(protocol, rank) of every target, as `rank_table` defines it."""
    ahead, rows = operator.gt if ties == "standard" else operator.ge, []
    for protocol, n in (("known", ITEMS), ("open", CANDIDATES), ("popular", POPULAR)):
        for items in test:
            part = items if protocol == "open" else known(items)
            for place in range(1, len(part)):
                scores, target = score(part[:place]) or plays_of(train), part[place]
                others = [item for item in range(min(n, len(scores))) if item != target]
                scored = 0 <= target < len(scores)
                rank = 1 + sum(ahead(scores[item], scores[target]) for item in others) if scored else NO_RANK
                rows.append((protocol, rank))
    return rows


def test_every_baseline_has_a_naive_twin():
    without = set(BASELINES) - set(TWINS)
    assert not without, f"write a naive version of {', '.join(without)} in tests/baselines/twins.py"
    assert set(TWINS) <= set(BASELINES)


@pytest.mark.slow
@EVERY
@settings(max_examples=60)
@given(st.data(), TRAIN, TEST, features(), st.sampled_from(["conservative", "standard"]))
def test_ranks_are_those_of_the_naive_twin(name, data, train, test, features, ties):
    model = BASELINES[name](**data.draw(SETTINGS[name]))
    ends = data.draw(ends_of(train))
    assert model.fit(Sessions.from_lists(train), ITEMS, features, ends) is model
    score = TWINS[name](model, train, features, ends)
    table = rank_table(model, Sessions.from_lists(test), ITEMS, CANDIDATES, ties=ties, popular=POPULAR)
    found = list(table[["protocol", "rank"]].itertuples(index=False, name=None))
    assert found == naive_table(score, train, test, ties)


@pytest.mark.slow
@EVERY
@settings(max_examples=25)
@given(TRAIN, TEST, features(), st.sampled_from([2, ITEMS, CANDIDATES]), st.integers(1, 9), st.data())
def test_lists_hold_the_tracks_of_the_lowest_ranks(name, train, test, features, n_candidates, k, data):
    """With each track as the target, its rank is its place in the list."""
    model = BASELINES[name]().fit(Sessions.from_lists(train), ITEMS, features)
    sessions = Sessions.from_lists(test)
    n = len(sessions.items)
    chosen = np.array(data.draw(st.lists(st.booleans(), min_size=n, max_size=n)), bool)
    heard = [items[:place] for items in test for place in range(len(items))]
    heard = [tracks for tracks, asked in zip(heard, sessions.targets(chosen), strict=True) if asked]
    found = model.top(sessions, n_candidates, chosen, k)
    assert found.dtype == np.int32
    assert found.shape == (len(heard), k)
    expected = np.array(top_by_rank(model, heard, n_candidates, k), int).reshape(len(heard), k)
    if name == "content_knn":  # rounding may order cosines that tie, but does not change their rank
        ranks = np.pad(ranks_of_all(model, heard, n_candidates), ((0, 0), (0, 1)))  # of -1: 0
        found, expected = (np.take_along_axis(ranks, lists, 1) for lists in (found, expected))
    np.testing.assert_array_equal(found, expected)


def artists(n=CANDIDATES):
    return Features(np.zeros((n, 0), np.float32), {"artist": np.zeros((n, 1), int)}, {"artist": 1})


@EVERY
def test_without_targets_or_training_sessions(name):
    nothing = Sessions.from_lists([])
    model = BASELINES[name]().fit(Sessions.from_lists([[0, 1], [2, 0]]), ITEMS, artists())
    assert model.rank(nothing, CANDIDATES).tolist() == []
    alone = model.rank(Sessions.from_lists([[0], [], [1]]), CANDIDATES)
    assert (alone.dtype, alone.tolist()) == (np.float64, [])
    untrained = BASELINES[name]().fit(nothing, ITEMS, artists())
    ranks = untrained.rank(Sessions.from_lists([[0, 1], [0, 6], [0, -1]]), CANDIDATES)
    assert (ranks.dtype, ranks.tolist()[1:]) == (np.float64, [NO_RANK, NO_RANK])
    assert name == "random" or ranks[0] == ITEMS, "all tie"


@EVERY
def test_settings_are_validated_and_specific_to_the_baseline(name):
    with pytest.raises(ConfigError, match=f"^{name}: colour: no such field; check its spelling or delete it$"):
        BASELINES[name](colour=1)
    model = BASELINES[name](tag="long")
    assert (model.kind, model.name, BASELINES[name]().name) == (name, f"{name}-long", name)
    assert getattr(gru4rec_lib.baselines, type(model).__name__) is BASELINES[name]


@EVERY
def test_features_and_ends_are_checked(name):
    train, baseline = Sessions.from_lists([[0, 1], [2, 0]]), BASELINES[name]()
    if baseline.needs_features:
        with pytest.raises(ValueError, match=f"^{name} needs features of the items"):
            baseline.fit(train, ITEMS)
        with pytest.raises(ValueError, match=f"^features have 2 rows for {ITEMS} items; give one for each item$"):
            baseline.fit(train, ITEMS, artists(2))
    for wrong in ([1.0, np.nan], [np.inf, 1.0], np.array([1, 2], "datetime64[s]"), ["1", "2"]):
        with pytest.raises(ValueError, match=r"^ends are not finite numbers; give the seconds of each session's end$"):
            baseline.fit(train, ITEMS, artists(), wrong)
    with pytest.raises(ValueError, match=r"^ends has 3 values for 2 sessions; give one for each session$"):
        baseline.fit(train, ITEMS, artists(), np.arange(3.0))
    for item in (-1, ITEMS):
        with pytest.raises(ValueError, match=f"^sessions hold item {item}, but the model has {ITEMS} items$"):
            baseline.fit(Sessions.from_lists([[0, item]]), ITEMS, artists())


@EVERY
def test_ranks_and_lists_need_a_fit_and_candidates(name):
    sessions, baseline = Sessions.from_lists([[0, 1], [2, 0]]), BASELINES[name]()
    uses = [baseline.rank, baseline.top]
    for use in [*uses, *([baseline.scores] if baseline.blendable else [])]:
        with pytest.raises(ValueError, match=f"^{name} is not fitted: call `fit`$"):
            use(sessions, ITEMS)
    baseline.fit(sessions, ITEMS, artists())
    for n_candidates in (0, -1, 2.0, True):
        for use in uses:
            with pytest.raises(ValueError, match=r"^n_candidates is .*; give "):
                use(sessions, n_candidates)


@pytest.mark.parametrize(
    ("name", "wrong", "said"),
    [
        ("stan", {"neighbours": 0}, "stan: neighbours: Input should be greater than or equal to 1 (given: 0)"),
        ("stan", {"sample": 1.5}, "stan: sample: should be a whole number (given: 1.5)"),
        ("stan", {"time_decay": 0}, "stan: time_decay: Input should be greater than 0 (given: 0)"),
        ("item_knn", {"alpha": 1.5}, "item_knn: alpha: Input should be less than or equal to 1 (given: 1.5)"),
        (
            "bpr_mf",
            {"learning_rate": float("inf")},
            "bpr_mf: learning_rate: Input should be a finite number (given: inf)",
        ),
        ("sknn", {"tag": "A b"}, "sknn: tag: String should match pattern '^[a-z0-9_]*$' (given: 'A b')"),
    ],
)
def test_an_invalid_setting_is_one_sentence(name, wrong, said):
    with pytest.raises(ConfigError) as caught:
        BASELINES[name](**wrong)
    assert str(caught.value) == said


def test_importing_the_baselines_does_not_load_tensorflow():
    program = "import sys, gru4rec_lib.config.study, gru4rec_lib.baselines; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
