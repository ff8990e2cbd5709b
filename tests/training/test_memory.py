"""Estimates of memory are exact where tensor shapes determine them."""

import numpy as np
import pytest

from gru4rec_lib.config.study import INPUT_FORMS, Run, Training
from gru4rec_lib.data.features import Features
from gru4rec_lib.training import memory
from gru4rec_lib.training.build import build

N_ITEMS, N_CANDIDATES = 23, 31
FEATURES = Features(
    np.zeros((N_CANDIDATES, 3), np.float32), {"artist": np.ones((N_CANDIDATES, 2), np.int32)}, {"artist": 7}
)


@pytest.mark.slow
@pytest.mark.parametrize("input_form", INPUT_FORMS)
@pytest.mark.parametrize("optimizer", [{"momentum": 0.3}, {"optimizer": "adam"}])
def test_weights_and_optimiser_are_exact(input_form, optimizer):
    settings = Training(hidden_units=(5, 3), embedding_units=4, mlp_units=(6,), jit=False, **optimizer)
    run = Run(study="toy", input_form=input_form, loss="bpr", seed=1, training=settings)
    parts = memory.estimate(run, N_ITEMS, FEATURES.spec, events=6)
    model = build(run, N_ITEMS, FEATURES)
    assert parts["weights"] == sum(np.asarray(v).nbytes for v in model.weights)
    assert parts["optimiser"] == sum(np.asarray(v).nbytes for v in model.optimizer.variables)


def test_step_and_ranking_by_hand():
    """A row has 5 hidden units and a bias of 4 bytes each: 24 bytes."""
    settings = Training(hidden_units=(5,), batch_size=2, samples=3)
    scores, rows, sampling, order = 4 * 5 * 2 * 4, 5 * 24 * 3, 23 * 12, 40 * 6
    assert memory.step(settings, 23, events=6, weights=1000) == scores + rows + sampling + order
    adam = settings.model_copy(update={"optimizer": "adam"})
    assert memory.step(adam, 23, events=6, weights=1000) == scores + rows + sampling + order + 2000


def test_the_peak_is_the_sum_of_the_parts():
    parts = {"base": 750e6, "weights": 400e6, "optimiser": 300e6, "step": 100e6, "ranking": 250e6}
    assert memory.peak(parts) == 1.7e9
    assert memory.line(parts) == "about 1.7 GB: base 0.8, weights 0.4, optimiser 0.3, step 0.1, ranking 0.2"
