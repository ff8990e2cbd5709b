"""Item inputs: from track numbers to the gate pre-activations of the recurrence.

Every input form ends in float [B, gates], what `x @ kernel` is in Keras' own cells, so that the recurrence behind it is
the same and inputs are compared and nothing else. A form tells in `lookups` which rows of which tables a step needs;
the model gathers them outside the compiled part, so that a step costs what its rows cost, not what the catalogue does.
"""

from __future__ import annotations

import itertools

import numpy as np

from gru4rec_lib.backend import ops, tf
from gru4rec_lib.layers import SeededLayer


class ItemInput(SeededLayer):
    """The part common to all input forms.

    Args:
        n_items: training tracks; ids 0..n_items-1.
        gates: width of the pre-activations (3 x hidden units for GRU).
        seed: of the run.
        options: `embedding_units`, `mlp_units`, `features` (a `Features.spec`), and `scoring_rows`, which gives the
            scorer's table (a function, because Keras would take the scorer itself for a part of the input).
    """

    def __init__(self, n_items: int, gates: int, seed: int, **options):
        super().__init__(seed, "item_input")
        self.n_items, self.gates, self.options = n_items, gates, options
        self.n_inputs = n_items  # ids below this can be heard; others leave the state as it was

    def lookups(self, ids):
        """Tables and the rows of them that a step needs.

        Args:
            ids: int32 [B].

        Returns:
            list of (variable, int [B] or [B, m]).
        """
        raise NotImplementedError

    def vectors(self, rows):
        """What was looked up -> float [B, width], what dropout acts on."""
        return rows[0]

    def project(self, vectors):
        """Float [B, width] -> float [B, gates]."""
        return ops.matmul(vectors, self.kernel)

    def _kernel(self, width: int):
        self.kernel = self.matrix((width, self.gates), "kernel", fan=(width, self.gates // 3))


class TableInput(ItemInput):
    """The forms that look up one row of one table for each track."""

    def lookups(self, ids):
        """See `ItemInput`."""
        return [(self.table, ids)]


class OneHot(TableInput):
    """One-hot track: a row of the input kernel, looked up; the product with a one-hot vector is never formed."""

    def build(self, input_shape=None):
        """Create the kernel, one row a track."""
        self.table = self.matrix((self.n_items, self.gates), "table", fan=(self.n_items, self.gates // 3))

    def project(self, vectors):
        """The row is the pre-activation."""
        return vectors


class Embedding(TableInput):
    """A learned row of `embedding_units` a track, then the kernel."""

    def build(self, input_shape=None):
        """Create the rows and the kernel."""
        width = self.options["embedding_units"]
        self.table = self.matrix((self.n_items, width), "table")
        self._kernel(width)


class Shared(TableInput):
    """The track's scoring row is its input row too ("constrained embedding" in the official code)."""

    def build(self, input_shape=None):
        """Create the kernel; the rows belong to the scorer."""
        self.table = self.options["scoring_rows"]()
        self._kernel(self.table.shape[1])


class Content(ItemInput):
    """The track's features: standardised numbers beside the mean of a learned row per category.

    Feature tables are weights that do not train: they are saved with the model, which so needs no data to be used.
    """

    def build(self, input_shape=None):
        """Create feature tables, a row of `embedding_units` per category value, and the kernel."""
        spec = self.options["features"]
        self.n_inputs = spec["candidates"]
        self.numeric = self._constant((spec["candidates"], spec["numeric"]), "float32", "numeric")
        self.category = []
        width = self.options["embedding_units"]
        for number, (size, values) in enumerate(spec["categories"].values()):
            self.category.append(
                (
                    self._constant((spec["candidates"], values), "int32", f"category_{number}_values"),
                    self._constant((spec["candidates"], values), "float32", f"category_{number}_shares"),
                    self.matrix((size, width), f"category_{number}_table"),
                )
            )
        self.width = spec["numeric"] + width * len(self.category)
        self._head()

    def _head(self):
        self._kernel(self.width)

    def _constant(self, shape, dtype, name):
        return self.add_weight(shape, "zeros", dtype=dtype, trainable=False, name=name)

    def fill(self, features) -> None:
        """Store the features.

        Args:
            features: `Features` with the spec that this input was made for.
        """
        self.numeric.assign(features.numeric)
        for (values, shares, _), ids in zip(self.category, features.categories.values(), strict=True):
            ids = np.asarray(ids)
            present = ids > 0  # an unknown value says nothing: no training could teach its row
            values.assign(np.where(present, ids, 0))
            shares.assign(present / np.maximum(present.sum(axis=1, keepdims=True), 1))

    def lookups(self, ids):
        """See `ItemInput`."""
        found = [(self.numeric, ids)]
        for values, shares, table in self.category:
            found += [(shares, ids), (table, tf.gather(values.value, ids))]
        return found

    def vectors(self, rows):
        """Numbers, and for each categorical feature the mean of its values' rows."""
        parts = [rows[0]]
        parts += [ops.sum(shares[:, :, None] * row, axis=1) for shares, row in zip(rows[1::2], rows[2::2], strict=True)]
        return ops.concatenate(parts, axis=1)


class ContentMLP(Content):
    """Content through dense relu layers of `mlp_units`, then the kernel."""

    def _head(self):
        widths = [self.width, *self.options["mlp_units"]]
        self.dense = [
            (
                self.matrix((i, o), f"mlp_{n}_kernel"),
                self.add_weight((o,), "zeros", name=f"mlp_{n}_bias"),
            )
            for n, (i, o) in enumerate(itertools.pairwise(widths))
        ]
        self._kernel(widths[-1])

    def project(self, vectors):
        """Dense layers, then the kernel."""
        for kernel, bias in self.dense:
            vectors = ops.relu(ops.matmul(vectors, kernel) + bias)
        return ops.matmul(vectors, self.kernel)


INPUTS = {"one_hot": OneHot, "embedding": Embedding, "shared": Shared, "content": Content, "content_mlp": ContentMLP}
