"""The model compared with values computed by hand; test_contract.py tests the contract of all forms."""

import math

import numpy as np
import pytest
from helpers import states

from gru4rec_lib.data.features import Features
from gru4rec_lib.data.sessions import Sessions
from gru4rec_lib.ranking.exact import Ranker
from gru4rec_lib.training import gru4rec as model_module
from gru4rec_lib.training.gru4rec import GRU4Rec
from gru4rec_lib.utils.backend import keras, ops

N, UNITS = 9, 4
SESSIONS = Sessions.from_lists([[0, 1, 2, 8, 4], [3, 1], [4], [], [5, 5, 7], [8, 0]])


@pytest.fixture(autouse=True)
def _eager_and_small(eager, monkeypatch):
    monkeypatch.setattr(model_module, "RANK_LANES", 3)
    monkeypatch.setattr(model_module, "RANK_STEPS", 4)


def built(hidden_units=UNITS):
    return GRU4Rec(N, "embedding", hidden_units, embedding_units=3)


def test_exact_ranks_by_hand():
    """One unit, gates z = r = 1/2: h' = h / 2 + c / 2.

    Track 0 gives c = 1/2, track 1 c = -1/2: h is 1/4 after [0], 1/8 - 1/4 = -1/8 after [0, 1].
    Scores h * row + bias of the tracks: [0.25, -0.15, 0.5], then [-0.125, 0.225, -0.25].
    """
    model = GRU4Rec(3, "one_hot", 1)
    model.item_input.table.assign([[0, 0, math.atanh(0.5)], [0, 0, math.atanh(-0.5)], [0, 0, 0]])
    model.recurrence[0].recurrent_kernel.assign([[0, 0, 0]])
    model.scorer.table.assign([[1], [-1], [2]])
    model.scorer.bias.assign([0, 0.1, 0])
    np.testing.assert_allclose(states(model, [0, 1]), [[1 / 4], [-1 / 8]], atol=1e-7)
    assert model.rank(Sessions.from_lists([[0, 1, 0], [0, 2], [0, 1, 2]]), 3).tolist() == [3, 2, 1, 3, 3]


@pytest.mark.slow
@pytest.mark.parametrize("gathered", [1, 3, 2**15])
def test_few_targets_of_many_sessions_take_few_steps_and_one_ranking(monkeypatch, gathered):
    model, lengths = built(), []
    sessions = Sessions.from_lists([[n % N, (n + 1) % N, (n + 2) % N] for n in range(60)])
    every = model.rank(sessions, N)
    monkeypatch.setattr(model_module, "RANKED", gathered)
    assert model.rank(sessions, N).tolist() == every.tolist()
    chosen = np.zeros(180, bool)
    chosen[[2, 31, 100, 178]] = True
    walk, ranks = model._walk, Ranker.ranks
    monkeypatch.setattr(model, "_walk", lambda *given: lengths.append("walked") or walk(*given))
    monkeypatch.setattr(Ranker, "ranks", lambda *given: lengths.append(len(given[1])) or ranks(*given))
    assert model.rank(sessions, N, chosen).tolist() == every[chosen[sessions.is_target]].tolist()
    # Four sessions of two steps in three lanes are four steps, one call; all sixty sessions would need ten calls.
    assert lengths.count("walked") == 1
    assert [length for length in lengths if length != "walked"] == [4]
    assert not len(model.rank(sessions, N, np.zeros(180, bool)))


def test_above_counts_a_tie_for_the_target():
    model = GRU4Rec(3, "one_hot", 1)
    model.scorer.table.assign([[2], [1], [2]])
    model.item_input.table.assign([[0, 0, 1]] * 3)
    model.scorer.plays.assign([4, 4, 1])
    sessions = Sessions.from_lists([[1, 0, 1], [-1, 1]])  # the last by plays
    assert model.rank(sessions, 3).tolist() == [2, 3, 2]
    assert model.rank(sessions, 3, above=True).tolist() == [1, 3, 1]


def test_an_upper_layer_reads_the_one_below_and_has_its_own_state():
    model = built([UNITS, 2])
    assert model.scorer.table.shape == (N, 2)
    for layer in model.recurrence:
        layer.bias.assign(np.random.default_rng(3).normal(size=layer.bias.shape))
    lower, upper, table, kernel = *model.recurrence, model.item_input.table.numpy(), model.item_input.kernel.numpy()
    a, b = ops.zeros((1, UNITS)), ops.zeros((1, 2))
    for item, found in zip([3, 1, 4], states(model, [3, 1, 4]), strict=True):
        a = lower(table[[item]] @ kernel, a)
        b = upper(a, b)
        np.testing.assert_allclose(found, b[0], atol=1e-6)


def test_a_new_session_starts_from_zeros(monkeypatch):
    monkeypatch.setattr(model_module, "RANK_LANES", 1)
    model = built()
    model.scorer.plays.assign([9, 7, 7, 5, 4, 3, 2, 2, 1])
    assert model.rank(Sessions.from_lists([[1, 4], [-1, 4]]), N)[1] == 5


def test_evaluate_is_recall_and_mrr_of_the_ranks():
    model = built()
    ranks = model.rank(SESSIONS, N)
    assert model.evaluate(SESSIONS, 2) == {
        "recall_at_2": pytest.approx(sum(ranks <= 2) / len(ranks)),
        "mrr_at_2": pytest.approx(sum(1 / r for r in ranks if r <= 2) / len(ranks)),
    }


def test_wrong_arguments_are_named():
    with pytest.raises(ValueError, match="input_form is 'embeding'; known are one_hot, embedding"):
        GRU4Rec(3, "embeding")
    with pytest.raises(ValueError, match="'content_mlp' with output_form 'ids' needs `features`"):
        GRU4Rec(3, "content_mlp")
    with pytest.raises(ValueError, match="'one_hot' with output_form 'content' needs `features`"):
        GRU4Rec(3, "one_hot", output_form="content")
    with pytest.raises(ValueError, match="output_form is 'id'; known are ids, content, hybrid"):
        GRU4Rec(3, output_form="id")
    with pytest.raises(ValueError, match="cell is 'rnn'; known are gru, lstm"):
        GRU4Rec(3, cell="rnn")


@pytest.mark.parametrize("n_candidates", [0, -1, 2.0, True])
def test_candidates_are_counted_from_1(n_candidates):
    model = built()
    for use in (model.rank, model.top):
        with pytest.raises(ValueError, match=r"^n_candidates is .*; give "):
            use(SESSIONS, n_candidates)


def test_features_have_a_row_for_every_item():
    features = Features(np.zeros((2, 1), np.float32))
    for form in ({"input_form": "content"}, {"output_form": "hybrid"}):
        with pytest.raises(ValueError, match=r"^features have 2 rows for 3 items; give one for each item$"):
            GRU4Rec(3, features=features, **form)
    assert GRU4Rec(2, "content", features=features, hidden_units=2, embedding_units=2).n_items == 2


def test_a_saved_model_has_no_optimiser_state(tmp_path):
    """Its file is as large as that of a model that was never compiled; the saved model can continue training."""
    model = built()
    model.save(tmp_path / "plain.keras")
    model.compile()
    model.save(tmp_path / "compiled.keras")
    assert (tmp_path / "plain.keras").stat().st_size == (tmp_path / "compiled.keras").stat().st_size
    assert model.optimizer is not None
    loaded = keras.saving.load_model(tmp_path / "compiled.keras")
    np.testing.assert_array_equal(loaded.rank(SESSIONS, N), model.rank(SESSIONS, N))


def test_states_after_sessions_are_those_of_single_steps():
    model = built()
    found = model.states(Sessions.from_lists([[0, 1, 2, 8], [], [3], [-1, 5, -1], [-1], *[[n, 4] for n in range(5)]]))
    assert found.shape == (10, UNITS)
    expected = [states(model, items)[-1] for items in ([0, 1, 2, 8], [3], [5])]
    np.testing.assert_allclose(found[[0, 2, 3]], expected, rtol=1e-6)
    assert (found[[1, 4]] == 0).all()
