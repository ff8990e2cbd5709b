"""The estimate is exact where shapes decide, and it needs no memory of its own."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from gru4rec_lib import experiment, memory
from gru4rec_lib.config import INPUT_FORMS, Run, Training
from gru4rec_lib.features import Features
from gru4rec_lib.sessions import Sessions

N_ITEMS, N_CANDIDATES = 23, 31


def prepared():
    numeric = np.zeros((N_CANDIDATES, 3), np.float32)
    features = Features(numeric, {"artist": np.ones((N_CANDIDATES, 2), np.int32)}, {"artist": 7})
    sessions = Sessions.from_lists([[0, 1, 2]])
    return SimpleNamespace(
        items=pd.DataFrame(index=range(N_CANDIDATES)),
        n_items=N_ITEMS,
        features=features,
        train=sessions,
        crossing=Sessions.from_lists([]),
        validation=sessions,
    )


@pytest.mark.slow
@pytest.mark.parametrize("input_form", INPUT_FORMS)
@pytest.mark.parametrize("optimizer", [{"momentum": 0.3}, {"optimizer": "adam"}])
def test_weights_and_optimiser_are_exact(input_form, optimizer):
    settings = Training(hidden_units=(5, 3), embedding_units=4, mlp_units=(6,), jit=False, **optimizer)
    run = Run(study="toy", input_form=input_form, loss="bpr", seed=1, training=settings)
    parts = experiment.memory_estimate(run, prepared())
    model = experiment.build(run, prepared())
    assert parts["weights"] == sum(np.asarray(v).nbytes for v in model.weights)
    assert parts["optimiser"] == sum(np.asarray(v).nbytes for v in model.optimizer.variables)


def test_the_line_adds_up():
    parts = {"base": 750e6, "weights": 400e6, "optimiser": 300e6, "step": 100e6, "ranking": 250e6}
    assert memory.peak(parts) == 1.7e9
    assert memory.told(parts) == "about 1.7 GB: base 0.8, weights 0.4, optimiser 0.3, step 0.1, ranking 0.2"
