"""Settings that are numbers take whole numbers and texts of numbers, but neither True nor False."""

import numpy as np
import pytest

from gru4rec_lib.baselines import BPRMF, STAN, VSKNN, VSTAN, ItemKNN
from gru4rec_lib.training.settings import Training
from gru4rec_lib.utils.checked import ConfigError, check

NUMBERS = [
    (kind, name)
    for kind in (Training, BPRMF, ItemKNN, VSKNN, STAN, VSTAN)
    for name, field in kind.model_fields.items()
    if field.annotation is float or name == "clip_norm"
]


@pytest.mark.parametrize(("kind", "name"), NUMBERS, ids=lambda value: getattr(value, "__name__", value))
def test_true_and_false_are_no_numbers(kind, name):
    for value in (True, False, np.True_):
        with pytest.raises(ConfigError, match=f": {name}: Input should be a valid number .given: "):
            check(kind, {name: value}, "here")


def test_the_settings_of_training_and_of_baselines_are_among_them():
    assert {"learning_rate", "l2", "momentum", "dropout_input", "shrink", "alpha", "time_decay", "idf_weighting"} <= {
        name for _, name in NUMBERS
    }


@pytest.mark.parametrize("value", [1, 1.0, "1", np.float32(1), np.int64(1)])
def test_numbers_of_other_types_are_accepted(value):
    found = check(Training, {"learning_rate": value, "clip_norm": value}, "here")
    assert (found.learning_rate, found.clip_norm, type(found.l2)) == (1.0, 1.0, float)
    assert check(Training, {"clip_norm": None}, "here").clip_norm is None
