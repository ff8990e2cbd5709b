"""Permutation importance by hand: on a model that scores by one feature alone, and on a ranker in plain NumPy."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gru4rec_lib.data.features import Features
from gru4rec_lib.data.sessions import Sessions
from gru4rec_lib.evaluation.feature_importance import importance, permuted_ranks
from gru4rec_lib.training.gru4rec import GRU4Rec

SIGNAL = np.array([40, 30, 20, 10], np.float32)  # the score of each track
FEATURES = Features(
    np.stack([SIGNAL, [3, 1, 4, 1]], axis=1).astype(np.float32),
    {"tag": np.array([[1], [2], [1], [2]], np.int32)},
    {"tag": 3},
    {"numeric": ["signal", "noise"]},
)
GROUPS = {"useful": ["signal"], "ignored": ["noise", "tag"]}


@pytest.fixture
def model():
    """A model whose score of a track is its signal, in every state."""
    model = GRU4Rec(4, "content", 2, "content", features=FEATURES, embedding_units=2)
    for weight in model.trainable_variables:
        weight.assign(np.zeros(weight.shape))
    kernel = np.zeros(model.scorer.kernel.shape)
    kernel[0, -1] = 1  # the last column is the bias
    model.scorer.kernel.assign(kernel)
    return model


def orders(n_items, permutations, seed):
    return [np.random.default_rng([seed, 4, n]).permutation(n_items) for n in range(permutations)]


@pytest.mark.slow
def test_the_one_useful_feature_loses_what_its_permutation_costs_and_an_ignored_one_nothing(model):
    sessions = Sessions.from_lists([[3, 0, 1], [2, 0], [1, 2]])
    target, session = np.array([0, 1, 0, 2]), np.array([0, 0, 1, 2])
    weights = [weight.copy() for weight in model.get_weights()]
    ranks = model.rank(sessions, 4)
    assert ranks.tolist() == [1, 2, 1, 3]
    permuted = permuted_ranks(model, FEATURES, GROUPS, lambda: model.rank(sessions, 4), permutations=2, seed=2)
    # The score of a track is then the signal of another one, whose rank it takes.
    expected = np.stack([1 + order[target] for order in orders(4, 2, 2)], axis=1)
    assert permuted["useful"].tolist() == expected.tolist()
    assert not (expected == ranks[:, None]).all(axis=0).any(), "both permutations change a rank"
    assert permuted["ignored"].tolist() == np.stack([ranks, ranks], axis=1).tolist()
    for weight, before in zip(model.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(weight, before)

    table = importance(session, ranks, permuted, k=2).set_index(["group", "metric"])
    assert table["permutations"].tolist() == [2] * 4
    assert table["value"].tolist() == pytest.approx([3 / 4, 2.5 / 4] * 2)
    losses = [3 / 4 - np.mean(expected <= 2), 2.5 / 4 - np.mean((expected <= 2) / expected)]
    assert table.loc["useful", "difference"].tolist() == pytest.approx(losses)
    assert (table.loc["ignored", ["difference", "low", "high"]] == 0).all(axis=None), "exactly"


def test_the_model_has_its_features_again_after_an_error():
    filled = []
    model = SimpleNamespace(n_items=4, features=SimpleNamespace(fill=filled.append))
    with pytest.raises(ZeroDivisionError):
        permuted_ranks(model, FEATURES, GROUPS, lambda: 1 / 0)
    assert len(filled) == 2
    assert filled[-1] is FEATURES


@pytest.mark.parametrize("permutations", [0, -1, 1.5])
def test_the_number_of_permutations_is_checked(permutations):
    with pytest.raises(ValueError, match="permutations"):
        permuted_ranks(SimpleNamespace(n_items=4), FEATURES, GROUPS, list, permutations)


def test_intervals_are_over_sessions_and_permutations():
    """The loss is 1 in each of 40 sessions with the first permutation and 0 with the second."""
    session, ranks = np.arange(40), np.ones(40)
    same = importance(session, ranks, {"a": np.full((40, 2), 30.0)}).set_index("metric")
    assert same.loc["recall", ["difference", "low", "high"]].tolist() == [1, 1, 1], "no session and permutation differs"
    apart = importance(session, ranks, {"a": np.tile([30.0, 1.0], (40, 1))}).set_index("metric")
    assert apart.loc["recall", "difference"] == 1 / 2
    assert apart.loc["recall", "low"] < 0 < 1 < apart.loc["recall", "high"], "two permutations say little"
    half = np.where(np.arange(40) < 20, 1.0, 30.0)
    varied = importance(session, ranks, {"a": np.stack([half, half], axis=1)}).set_index("metric")
    low, high = varied.loc["recall", ["low", "high"]]
    assert 0.3 < low < 0.4 < 0.6 < high < 0.7, "two standard errors are 0.16"


def test_one_session_gives_no_interval():
    table = importance(np.zeros(3, int), np.ones(3), {"a": np.full((3, 1), 2.0)})
    assert table["difference"].tolist() == [0, 0.5]
    assert table[["low", "high"]].isna().all(axis=None)


@given(
    st.lists(st.tuples(*[st.integers(-3, 3)] * 2), min_size=2, max_size=7),
    st.integers(-3, 3),
    st.integers(1, 4),
    st.integers(0, 99),
)
def test_a_constant_column_has_no_importance(rows, constant, permutations, seed):
    n = len(rows)
    numeric = np.c_[np.array(rows), np.full(n, constant)].astype(np.float32)
    tags = {"tag": np.full((n, 1), 1, np.int32), "artist": np.arange(n, dtype=np.int32)[:, None]}
    features = Features(numeric, tags, {"tag": 2, "artist": n + 1}, {"numeric": ["x", "y", "same"]})
    held = SimpleNamespace(features=features)
    model = SimpleNamespace(n_items=n, features=SimpleNamespace(fill=lambda new: setattr(held, "features", new)))

    def rank():
        scores = held.features.numeric @ [3, 5, 7] + held.features.categories["tag"][:, 0]
        scores = scores + 11 * held.features.categories["artist"][:, 0]
        return (scores[None, :] >= scores[:, None]).sum(axis=1).astype(float)

    groups = {"constant": ["same", "tag"], "artist": ["artist"]}
    permuted = permuted_ranks(model, features, groups, rank, permutations, seed)
    assert (permuted["constant"] == rank()[:, None]).all()
    table = importance(np.arange(n) // 2, rank(), permuted, k=2).set_index("group")
    assert (table.loc["constant", "difference"] == 0).all()
    assert table.loc["constant", ["low", "high"]].fillna(0).eq(0).all(axis=None)
    # Beside it, a plain loop over the permutations.
    losses = []
    for order in orders(n, permutations, seed):
        held.features = features.permuted(["artist"], order)
        losses.append(np.mean(rank() <= 2))
    held.features = features
    assert table.loc["artist", "difference"].iloc[0] == pytest.approx(np.mean(rank() <= 2) - np.mean(losses))
