"""The grid of weights, the ranks under all of them, and the choice."""

import numpy as np
import pytest
from blending.test_blend import BASELINES, NETWORKS, blend_of, network_of
from hypothesis import given, settings
from hypothesis import strategies as st

from gru4rec_lib.baselines import Markov
from gru4rec_lib.blending.parts import Parts
from gru4rec_lib.blending.weights import Choice, around, choose, gains, grid
from gru4rec_lib.data.sessions import Sessions

TEST = st.lists(st.lists(st.integers(0, 4), max_size=6), min_size=1, max_size=5)


@pytest.mark.parametrize(("n_parts", "n"), [(1, 1), (2, 11), (3, 66), (4, 286)])
def test_the_grid_has_all_weights_in_steps_of_a_tenth(n_parts, n):
    found = grid(n_parts)
    assert len({tuple(row) for row in found.tolist()}) == len(found) == n
    assert np.abs(found.sum(axis=1) - 1).max() < 1e-12
    assert (found >= 0).all()
    assert (found == 1).any(axis=0).all(), "every single part is tried"


def test_finer_weights_are_half_a_step_away():
    assert around(np.array([0.9, 0.1])).tolist() == [[0.95, 0.05], [0.85, 0.15]]
    assert around(np.array([1.0, 0.0])).tolist() == [[0.95, 0.05]]
    assert around(np.array([1.0])).tolist() == []


@settings(max_examples=40)
@given(TEST, st.sampled_from(list(NETWORKS)), st.integers(1, 5), st.integers(0, 12))
def test_gains_are_those_of_the_blends_ranks(test, form, k, first):
    sessions, tried = Sessions.from_lists(test), grid(3)[first::13]
    found = gains(Parts(NETWORKS[form], BASELINES), sessions, None, tried, k)
    for number, weights in enumerate(tried):
        ranks = blend_of(form, weights).rank(sessions, 5)
        hit = ranks <= k
        assert found[:, number].tolist() == np.stack([hit, hit / ranks], axis=1).tolist()


def test_the_choice_weighs_recall_and_mrr_relative_to_the_best_single_part():
    tried = np.array([[1, 0], [0, 1], [0.5, 0.5]])
    gains = np.array([[[1, 0.5], [1, 0.1], [1, 0.4]], [[0, 0], [1, 0.1], [1, 0.2]]])
    choice = Choice(["gru4rec", "markov"], tried, gains)
    # Recall 0.5, 1, 1 and MRR 0.25, 0.1, 0.3; the best of the two parts are 1 and 0.25.
    assert choice.objective.tolist() == pytest.approx([0.5, 0.4, 1])
    assert choice.weights == {"gru4rec": 0.5, "markov": 0.5}
    assert choice.table.columns.tolist() == [
        "gru4rec", "markov", "chosen", "validation_recall_at_20", "validation_mrr_at_20", "objective"
    ]  # fmt: skip


def test_the_weights_of_a_part_that_is_always_right():
    rules = Markov().fit(Sessions.from_lists([[0, 2], [1, 2], [2, 0]]), 30)
    parts = Parts(network_of(np.zeros(30)), [rules])
    choice = choose(parts, Sessions.from_lists([[0, 2, 0], [1, 2]]))
    assert choice.weights == {"gru4rec": 0.9, "markov": 0.1}  # the first of equal ones that was tried
    assert choice.table[["gru4rec", "markov"]].to_numpy()[11:].tolist() == [[0.95, 0.05], [0.85, 0.15]]
    assert choice.objective.max() == 1


def test_without_validation_targets_there_is_no_choice():
    with pytest.raises(ValueError, match="no validation target"):
        choose(Parts(NETWORKS["ids"], BASELINES), Sessions.from_lists([[1], [2]]))
