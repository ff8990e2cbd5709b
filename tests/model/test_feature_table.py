"""Features as constants of the model, and means of the learned rows of their values, computed by hand."""

import numpy as np
import pytest

from gru4rec_lib.data.features import Features
from gru4rec_lib.model.feature_table import FeatureRows, FeatureTable
from gru4rec_lib.model.layers import SeededLayer, gather_rows
from gru4rec_lib.utils.backend import tf

# Tags of four tracks: two known; one unseen in training (0) and one known; only unseen ones; none.
TAGS = np.array([[2, 1], [0, 2], [0, 0], [-1, -1]], np.int32)
FEATURES = Features(
    np.array([[1.5], [-1], [0], [2]], np.float32),
    {"tags": TAGS, "artist": np.array([[1], [2], [0], [1]], np.int32)},
    {"tags": 3, "artist": 3},
)


def table_of(features):
    table = FeatureTable(features.spec)
    table.build()
    table.fill(features)
    return table


def parts(features, ids, width=2):
    owner = SeededLayer(1, "owner")
    rows = FeatureRows(owner, table_of(features), width)
    for number, table in enumerate(rows.rows):
        values = np.arange(table.shape[0] * width).reshape(table.shape)
        table.assign(10.0**number * (1 + values))  # tags [[1, 2], [3, 4], [5, 6]]; artists ten times these values
    found = [gather_rows(*lookup) for lookup in rows.lookups(tf.constant(ids))]
    return [part.numpy().tolist() for part in rows.parts(found)]


def test_unknown_values_and_padding_have_weight_zero():
    table = table_of(FEATURES)
    assert table.numeric.numpy().tolist() == [[1.5], [-1], [0], [2]]
    assert table.values[0].numpy().tolist() == [[2, 1], [0, 2], [0, 0], [0, 0]]
    assert table.shares[0].numpy().tolist() == [[0.5, 0.5], [0, 1], [0, 0], [0, 0]]
    assert table.shares[1].numpy().tolist() == [[1], [1], [0], [1]]


def test_features_do_not_train():
    assert table_of(FEATURES).trainable_weights == []


def test_a_track_has_its_numbers_and_the_mean_row_of_its_known_values():
    numeric, tags, artist = parts(FEATURES, [3, 0, 1, 2])
    assert numeric == [[2], [1.5], [-1], [0]]
    assert tags == [[0, 0], [4, 5], [5, 6], [0, 0]]
    assert artist == [[30, 40], [30, 40], [50, 60], [0, 0]]


def test_the_same_value_twice_counts_twice():
    twice = Features(np.zeros((1, 0), np.float32), {"tags": np.array([[1, 1, 2, -1]], np.int32)}, {"tags": 3})
    assert parts(twice, [0])[1] == [pytest.approx([(3 + 3 + 5) / 3, (4 + 4 + 6) / 3])]


def test_numbers_alone_and_categories_alone():
    assert parts(Features(FEATURES.numeric), [1, 1]) == [[[-1], [-1]]]
    numeric, tags = parts(Features(np.zeros((4, 0), np.float32), {"tags": TAGS}, {"tags": 3}), [0, 3])
    assert numeric == [[], []]
    assert tags == [[4, 5], [0, 0]]


def test_the_size_of_lookups_does_not_depend_on_the_catalogue():
    many = Features(np.zeros((5000, 1), np.float32), {"tags": np.full((5000, 2), 700, np.int32)}, {"tags": 900})
    rows = FeatureRows(SeededLayer(1, "owner"), table_of(many), 2)
    assert [tuple(np.shape(ids)) for _, ids in rows.lookups(tf.constant([4999, 3, 3]))] == [(3,), (3,), (3, 2)]


def test_features_of_another_spec_are_an_error():
    table = table_of(FEATURES)
    with pytest.raises(ValueError, match="shape"):
        table.fill(Features(FEATURES.numeric[:3], FEATURES.categories, FEATURES.sizes))
    with pytest.raises(ValueError, match="argument"):
        table.fill(Features(FEATURES.numeric))
