"""Each item input compared with its formula in NumPy."""

import numpy as np
import pytest

from gru4rec_lib.data.features import Features
from gru4rec_lib.model import inputs
from gru4rec_lib.model.feature_table import FeatureTable
from gru4rec_lib.model.forms import INPUT_FORMS
from gru4rec_lib.model.inputs import INPUTS, ItemInput
from gru4rec_lib.model.outputs import Scorer

N, UNITS, WIDTH = 4, 2, 3
IDS = np.array([2, 0, 2, 3], np.int32)
# Tracks 0-3 are training tracks; 4 has a value unseen in training (0), which is ignored, and a known one; 5 has none.
FEATURES = Features(
    np.random.default_rng(1).normal(size=(6, 2)).astype(np.float32),
    {
        "tags": np.array([[1, 2, 3], [2, -1, -1], [3, 1, -1], [-1, 2, -1], [0, 1, -1], [-1, -1, -1]], np.int32),
        "artist": np.array([[1], [2], [1], [4], [0], [-1]], np.int32),
    },
    {"tags": 4, "artist": 5},
)
NUMBERS = Features(FEATURES.numeric)
ARTISTS = Features(np.zeros((6, 0), np.float32), {"artist": FEATURES.categories["artist"]}, {"artist": 5})
TAGS_MEAN = np.array(  # of [value 0, 1, 2, 3], for tracks 0-5
    [[0, 1 / 3, 1 / 3, 1 / 3], [0, 0, 1, 0], [0, 1 / 2, 0, 1 / 2], [0, 0, 1, 0], [0, 1, 0, 0], [0, 0, 0, 0]]
)
ARTIST_MEAN = np.array([*np.eye(5)[[1, 2, 1, 4]], np.zeros(5), np.zeros(5)])


def made(form, features=FEATURES):
    scorer, table = Scorer(N, UNITS, seed=1), FeatureTable(features.spec)
    for part in (scorer, table):
        part.build()
    table.fill(features)
    layer = INPUTS[form](
        N, UNITS, 3, 1, embedding_units=WIDTH, mlp_units=(5, 2), features=lambda: table, scorer=lambda: scorer
    )
    layer.build()
    return layer


def gates(layer, ids):
    rows = [table.numpy()[np.asarray(rows)] for table, rows in layer.lookups(ids)]
    return np.asarray(layer.project(layer.vectors(rows)))


def content(layer, ids):
    tags, artist = (table.numpy() for table in layer.feature_rows.rows)
    return np.concatenate([FEATURES.numeric[ids], TAGS_MEAN[ids] @ tags, ARTIST_MEAN[ids] @ artist], axis=1)


def test_the_registry_has_every_class_and_says_whether_it_uses_features():
    classes = {one for one in vars(inputs).values() if isinstance(one, type) and issubclass(one, ItemInput)}
    assert {*INPUTS.values()} == classes - {ItemInput, inputs.TableInput}
    for name, form in INPUT_FORMS.items():
        assert hasattr(made(name), "feature_rows") == form.needs_features, name


def test_one_hot_is_the_product_of_a_one_hot_vector_with_the_kernel():
    layer = made("one_hot")
    np.testing.assert_allclose(gates(layer, IDS), np.eye(N, dtype=np.float32)[IDS] @ layer.table.numpy())
    assert len(layer.trainable_weights) == 1


def test_embedding_is_a_row_times_the_kernel():
    layer = made("embedding")
    assert layer.table.shape == (N, WIDTH)
    np.testing.assert_allclose(gates(layer, IDS), layer.table.numpy()[IDS] @ layer.kernel.numpy(), atol=1e-6)


def test_shared_uses_the_scoring_rows():
    layer = made("shared")
    table = layer.options["scorer"]().table
    assert layer.lookups(IDS)[0][0] is table
    np.testing.assert_allclose(gates(layer, IDS), table.numpy()[IDS] @ layer.kernel.numpy(), atol=1e-6)


@pytest.mark.parametrize("ids", [[0, 1, 2, 3], [4, 5, 4]])
def test_content_is_numbers_beside_means_of_value_rows(ids):
    layer = made("content")
    np.testing.assert_allclose(gates(layer, np.int32(ids)), content(layer, ids) @ layer.kernel.numpy(), atol=1e-6)


@pytest.mark.parametrize("ids", [[0, 1, 2, 3], [4, 5, 4]])
def test_content_mlp_has_relu_layers_before_the_kernel(ids):
    layer = made("content_mlp")
    x = content(layer, ids)
    for kernel, bias in layer.dense:
        bias.assign(np.linspace(-0.3, 0.3, bias.shape[0]))
        x = np.maximum(x @ kernel.numpy() + bias.numpy(), 0)
    assert [kernel.shape for kernel, _ in layer.dense] == [(2 + 2 * WIDTH, 5), (5, 2)]
    np.testing.assert_allclose(gates(layer, np.int32(ids)), x @ layer.kernel.numpy(), atol=1e-6)
    assert (x == 0).any()
    assert (x > 0).any()


def test_hybrid_concat_puts_a_row_of_the_track_before_its_content():
    layer = made("hybrid_concat")
    x = np.concatenate([layer.table.numpy()[IDS], content(layer, IDS)], axis=1)
    np.testing.assert_allclose(gates(layer, IDS), x @ layer.kernel.numpy(), atol=1e-6)


def test_hybrid_gate_mixes_track_and_content_unit_by_unit():
    layer = made("hybrid_gate")
    layer.gate_bias.assign([-1.0, 0.0, 2.0])
    identity = layer.table.numpy()[IDS]
    projected = content(layer, IDS) @ layer.content_kernel.numpy()
    gate = 1 / (1 + np.exp(-np.concatenate([identity, projected], 1) @ layer.gate_kernel.numpy() - [-1, 0, 2]))
    x = gate * identity + (1 - gate) * projected
    np.testing.assert_allclose(gates(layer, IDS), x @ layer.kernel.numpy(), atol=1e-6)


@pytest.mark.parametrize("features", [NUMBERS, ARTISTS])
def test_content_of_only_numbers_and_of_only_categories(features):
    layer = made("content", features)
    x = features.numeric if features.numeric.size else ARTIST_MEAN @ layer.feature_rows.rows[0].numpy()
    np.testing.assert_allclose(gates(layer, np.arange(6)), x @ layer.kernel.numpy(), atol=1e-6)


@pytest.mark.parametrize("form", INPUTS)
def test_lookups_read_only_rows_of_the_step(form):
    """Lookups do not grow with the catalogue: each table is read at one row per track, or one per value of a track."""
    for table, rows in made(form).lookups(np.int32([1, 3])):
        rows = np.asarray(rows)
        if "category" in table.name and table.name.endswith("table"):
            values = FEATURES.categories["tags" if "category_0" in table.name else "artist"]
            assert rows.shape == (2, values.shape[1])
            assert set(rows.ravel()) <= {0, *values[[1, 3]].ravel()}  # row 0 is the padding
        else:
            assert rows.tolist() == [1, 3]


@pytest.mark.parametrize("form", INPUTS)
def test_unseen_tracks_are_inputs_only_of_forms_with_content(form):
    assert made(form).n_inputs == (6 if form.startswith(("content", "hybrid")) else N)


def test_a_form_must_define_lookups():
    with pytest.raises(NotImplementedError):
        ItemInput(1, 1, 3, 1).lookups(IDS)
