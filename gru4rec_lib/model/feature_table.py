"""Features in the model: constants of every candidate, and learned rows for the values of categorical ones."""

from __future__ import annotations

import numpy as np

from gru4rec_lib.data.features import Features
from gru4rec_lib.model.layers import take
from gru4rec_lib.utils.backend import FLOAT, keras, ops


class FeatureTable(keras.layers.Layer):
    """The features of every candidate, as weights that do not train: a saved model needs no data.

    Args:
        spec: shapes, a `Features.spec`.
    """

    def __init__(self, spec: dict):
        super().__init__(name="features", dtype=FLOAT)
        self.spec = spec

    def build(self, input_shape=None):
        """Keras' call: create the constants; `fill` gives them their values."""
        candidates = self.spec["candidates"]
        self.numeric = self._constant((candidates, self.spec["numeric"]), "float32", "numeric")
        self.values, self.shares = [], []
        for number, (_, places) in enumerate(self.spec["categories"].values()):
            self.values.append(self._constant((candidates, places), "int32", f"category_{number}_values"))
            self.shares.append(self._constant((candidates, places), "float32", f"category_{number}_shares"))

    def _constant(self, shape, dtype, name):
        return self.add_weight(shape, "zeros", dtype=dtype, trainable=False, name=name)

    def fill(self, features) -> None:
        """Store the features.

        Args:
            features: `Features` with the spec that this table was made for.
        """
        self.numeric.assign(features.numeric)
        for values, shares, ids in zip(self.values, self.shares, features.categories.values(), strict=True):
            ids = np.asarray(ids)
            present = ids > 0  # no training reaches the row of an unknown value
            values.assign(np.where(present, ids, 0))
            shares.assign(present / np.maximum(present.sum(axis=1, keepdims=True), 1))

    def features(self, fitted: dict) -> Features:
        """Return the features that were stored; values unseen in training become padding.

        Args:
            fitted: how raw values became these, see `Features`.
        """
        names = self.spec["categories"]
        values = (np.where(np.asarray(ids) > 0, np.asarray(ids), -1) for ids in self.values)
        sizes = {name: size for name, (size, _) in names.items()}
        return Features(np.asarray(self.numeric), dict(zip(names, values, strict=True)), sizes, fitted)


class FeatureRows:
    """A learned row for each value of each categorical feature; the rows of a track are averaged.

    Args:
        owner: the layer that these weights belong to.
        table: the `FeatureTable`.
        width: of a row.
    """

    ops = ops  # see `SeededLayer`

    def __init__(self, owner, table: FeatureTable, width: int):
        self.table, self.width = table, width
        sizes = [size for size, _ in table.spec["categories"].values()]
        self.rows = [owner.matrix((size, width), f"category_{n}_table") for n, size in enumerate(sizes)]

    def lookups(self, ids):
        """Return tables and the rows of them that tracks need: list of (variable, int [B] or [B, m]).

        Args:
            ids: int32 [B].
        """
        found = [(self.table.numeric, ids)]
        for values, shares, rows in zip(self.table.values, self.table.shares, self.rows, strict=True):
            found += [(shares, ids), (rows, take(values, ids))]
        return found

    def parts(self, rows):
        """Return the features of tracks, each feature as one row.

        Args:
            rows: list of float, gathered for `lookups`, in its order.

        Returns:
            list of float [B, numeric], then for each category float [B, width], the mean of its values' rows.
        """
        return [rows[0]] + [
            self.ops.sum(shares[:, :, None] * row, axis=1) for shares, row in zip(rows[1::2], rows[2::2], strict=True)
        ]
