"""Features are saved and loaded unchanged, and their spec builds a model."""

import json

import numpy as np
import pytest

from gru4rec_lib.data.features import Features

FEATURES = Features(
    np.arange(6, dtype=np.float32).reshape(3, 2),
    {"tags": np.array([[2, 1], [1, -1], [0, -1]], np.int32), "artist": np.array([[1], [0], [-1]], np.int32)},
    {"tags": 3, "artist": 2},
    {"numeric": ["tempo", "energy"], "mean": [0.5, 1.25]},
)
NO_NUMBERS = Features(np.zeros((3, 0), np.float32), {"artist": FEATURES.categories["artist"]}, {"artist": 2})


@pytest.mark.parametrize("features", [FEATURES, NO_NUMBERS, Features(FEATURES.numeric)])
def test_round_trip(features, tmp_path):
    features.save(tmp_path)
    found = Features.load(tmp_path)
    np.testing.assert_array_equal(found.numeric, features.numeric)
    assert found.numeric.dtype == np.float32
    assert list(found.categories) == list(features.categories), "the order is the model's order of weights"
    for name, ids in features.categories.items():
        np.testing.assert_array_equal(found.categories[name], ids)
        assert found.categories[name].dtype == np.int32
    assert (found.sizes, found.fitted, found.spec) == (features.sizes, features.fitted, features.spec)


def test_features_are_memory_mapped(tmp_path):
    FEATURES.save(tmp_path)
    found = Features.load(tmp_path)
    assert all(isinstance(array, np.memmap) for array in (found.numeric, *found.categories.values()))


def test_spec_is_plain_json():
    assert FEATURES.spec == {"candidates": 3, "numeric": 2, "categories": {"tags": [3, 2], "artist": [2, 1]}}
    assert json.loads(json.dumps(FEATURES.spec)) == FEATURES.spec
