"""Features are saved and loaded unchanged, and their spec builds a model."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gru4rec_lib.data.feature_encoding import RawFeatures, fit_features
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


NAMES = ["tempo", "v_2", "v_0", "v_1", "tag_0", "tempo missing", "v_0 missing"]
MANY = Features(
    np.arange(21, dtype=np.float32).reshape(3, 7),
    {"tag": np.array([[1], [2], [0]], np.int32), "artist": np.array([[3, -1], [1, 2], [-1, -1]], np.int32)},
    {"tag": 3, "artist": 4},
    {"numeric": NAMES, "mean": [*range(7)], "scale": [*range(10, 17)], "tag": ["a", "b"], "artist": ["x", "y", "z"]},
)


@pytest.mark.parametrize(
    ("columns", "numbers", "categories"),
    [
        (["tempo"], [0, 5], []),  # with its missing indicator
        (["v"], [2, 3, 6], []),  # the numbers of a vector; `v_2` is another column
        (["tag"], [], ["tag"]),  # `tag_0` is another column, as `tag` is no vector
        (["tag_0"], [4], []),
        (["artist", "tempo", "tag", "artist"], [0, 5], ["tag", "artist"]),  # in the order of the arrays
        ([], [], []),
    ],
)
def test_only_some_columns(columns, numbers, categories):
    found = MANY.only(columns)
    np.testing.assert_array_equal(found.numeric, MANY.numeric[:, numbers])
    assert list(found.categories) == list(found.sizes) == categories
    assert all(found.categories[name] is MANY.categories[name] for name in categories)
    expected = {"numeric": [NAMES[n] for n in numbers]} | {name: MANY.fitted[name] for name in categories}
    if numbers:
        expected |= {"mean": numbers, "scale": [10 + n for n in numbers]}
    assert found.fitted == expected


def test_a_part_of_the_features_is_what_these_columns_alone_give():
    items = pd.Series(list("abcd"))
    table = pd.DataFrame({"item": items, "x": [1, 2, 4, 9], "y": [3, np.nan, 1, 0], "c": ["p", "q", "p", None]})
    some = RawFeatures(table, ("y",), ("c",), missing_indicator=True)
    both = fit_features(RawFeatures(table, ("x", "y"), ("c",), missing_indicator=True), items, 3)
    found, expected = both.only(["y", "c"]), fit_features(some, items, 3)
    np.testing.assert_array_equal(found.numeric, expected.numeric)
    np.testing.assert_array_equal(found.categories["c"], expected.categories["c"])
    assert (found.sizes, found.fitted, found.spec) == (expected.sizes, expected.fitted, expected.spec)
    assert both.only(["c"]).fitted == fit_features(RawFeatures(table, (), ("c",)), items, 3).fitted


def test_a_column_without_features_is_named():
    for features, column in ((MANY, "v_3"), (MANY, "missing"), (FEATURES, "numeric"), (NO_NUMBERS, "tempo")):
        for asked in (lambda f, c: f.only([c]), lambda f, c: f.permuted([c], np.arange(2))):
            with pytest.raises(ValueError, match=f"^no feature comes from the column `{column}`$"):
                asked(features, column)


def test_values_of_some_columns_are_permuted_together_among_the_first_candidates():
    found = MANY.permuted(["tempo", "artist"], np.array([1, 0]))
    assert found.numeric[:, 0].tolist() == [7, 0, 14]
    assert found.numeric[:, 5].tolist() == [12, 5, 19]
    assert found.categories["artist"].tolist() == [[1, 2], [3, -1], [-1, -1]]
    others = [1, 2, 3, 4, 6]
    np.testing.assert_array_equal(found.numeric[:, others], MANY.numeric[:, others])
    assert found.categories["tag"] is MANY.categories["tag"]
    assert (found.sizes, found.fitted, found.spec) == (MANY.sizes, MANY.fitted, MANY.spec)
    assert MANY.numeric[0, 0] == 0, "the features themselves are unchanged"


@given(st.permutations(range(3)), st.sets(st.sampled_from(["tempo", "v", "tag", "artist"])))
def test_a_permutation_and_its_inverse_change_nothing(order, columns):
    order = np.array(order)
    again = MANY.permuted(columns, order).permuted(columns, np.argsort(order))
    np.testing.assert_array_equal(again.numeric, MANY.numeric)
    for name, ids in MANY.categories.items():
        np.testing.assert_array_equal(again.categories[name], ids)
