"""Input forms: from track numbers to the gate pre-activations of the recurrence.

Every input form ends in float [B, gates x H], what `x @ kernel` is in Keras' own cells, so that the recurrence is the
same for all and only inputs are compared. A form names in `lookups` the rows of the tables that a step needs; the model
gathers them outside the compiled part, so that a step costs what its rows cost, not what the catalogue does.
"""

from __future__ import annotations

import itertools

from gru4rec_lib.model.feature_table import FeatureRows
from gru4rec_lib.model.forms import INPUT_FORMS
from gru4rec_lib.model.layers import SeededLayer


class ItemInput(SeededLayer):
    """The part common to all input forms.

    Args:
        n_items: training tracks; ids 0..n_items-1.
        units: hidden units H.
        gates: pre-activations per hidden unit, 3 for GRU, 4 for LSTM.
        seed: of the run.
        options: `embedding_units`, `mlp_units`, and two functions, `features`, which returns the `FeatureTable`, and
            `scorer` (functions, because Keras would take what they return for a part of the input).
    """

    def __init__(self, n_items: int, units: int, gates: int, seed: int, **options):
        super().__init__(seed, "item_input")
        self.n_items, self.units, self.width, self.options = n_items, units, gates * units, options
        self.n_inputs = n_items  # ids below this are inputs; others leave the state unchanged

    def lookups(self, ids):
        """Return tables and the rows of them that a step needs: list of (variable, int [B] or [B, m]).

        Args:
            ids: int32 [B].
        """
        raise NotImplementedError

    def vectors(self, rows):
        """Return the vectors before dropout: float [B, width], the width being the form's own.

        Args:
            rows: list of float [B, ...], gathered for `lookups`, in its order.
        """
        return rows[0]

    def project(self, vectors):
        """Return the gate pre-activations, by the input kernel: float [B, gates x H].

        Args:
            vectors: float [B, width], of `vectors`, some of its units dropped.
        """
        return self.ops.matmul(vectors, self.kernel)

    def _kernel(self, width: int):
        self.kernel = self.matrix((width, self.width), "kernel", fan=(width, self.units))


class TableInput(ItemInput):
    """The forms that look up one row of one table for each track."""

    def lookups(self, ids):
        """See `ItemInput`."""
        return [(self.table, ids)]


class OneHot(TableInput):
    """One-hot track: a row of the input kernel, looked up; the product with a one-hot vector is never formed."""

    def build(self, input_shape=None):
        """Keras' call: create the kernel, one row a track."""
        self.table = self.matrix((self.n_items, self.width), "table", fan=(self.n_items, self.units))

    def project(self, vectors):
        """See `ItemInput`; the row is the pre-activation."""
        return vectors


class Embedding(TableInput):
    """A learned row of `embedding_units` a track, then the kernel."""

    def build(self, input_shape=None):
        """Keras' call: create the rows and the kernel."""
        width = self.options["embedding_units"]
        self.table = self.matrix((self.n_items, width), "table")
        self._kernel(width)


class Shared(ItemInput):
    """The track's scoring row is its input row too ("constrained embedding" in the official code)."""

    def build(self, input_shape=None):
        """Keras' call: create the kernel; the rows belong to the scorer, whatever the output form."""
        self.scorer = self.options["scorer"]
        self.n_inputs = self.scorer().n_scored
        self._kernel(self.scorer().units)

    def lookups(self, ids):
        """See `ItemInput`."""
        return self.scorer().row_lookups(ids)

    def vectors(self, rows):
        """See `ItemInput`."""
        return self.scorer().row(rows)


class Content(ItemInput):
    """The track's features: standardised numbers beside the mean of a learned row per category."""

    def build(self, input_shape=None):
        """Keras' call: create a row of `embedding_units` per category value, and the kernel."""
        spec = self.options["features"]().spec
        self.n_inputs = spec["candidates"]
        self.feature_rows = FeatureRows(self, self.options["features"](), self.options["embedding_units"])
        self._head(spec["numeric"] + self.options["embedding_units"] * len(spec["categories"]))

    def _head(self, width):
        self._kernel(width)

    def lookups(self, ids):
        """See `ItemInput`."""
        return self.feature_rows.lookups(ids)

    def vectors(self, rows):
        """See `ItemInput`; numbers, then for each categorical feature the mean of its values' rows."""
        return self.ops.concatenate(self.feature_rows.parts(rows), axis=1)


class ContentMLP(Content):
    """Content through dense relu layers of `mlp_units`, then the kernel."""

    def _head(self, width):
        widths = [width, *self.options["mlp_units"]]
        self.dense = [
            (self.matrix(shape, f"mlp_{n}_kernel"), self.add_weight(shape[1:], "zeros", name=f"mlp_{n}_bias"))
            for n, shape in enumerate(itertools.pairwise(widths))
        ]
        self._kernel(widths[-1])

    def project(self, vectors):
        """See `ItemInput`."""
        for kernel, bias in self.dense:
            vectors = self.ops.relu(self.ops.matmul(vectors, kernel) + bias)
        return self.ops.matmul(vectors, self.kernel)


class HybridConcat(Content):
    """Identity beside content: a learned row of `embedding_units` a track, joined to its features, then the kernel.

    The row of a track unseen in training is zeros.
    """

    def _head(self, width):
        self.table = self.matrix((self.n_items, self.options["embedding_units"]), "table")
        self._kernel(self.options["embedding_units"] + width)

    def lookups(self, ids):
        """See `ItemInput`."""
        return [(self.table, ids), *super().lookups(ids)]

    def vectors(self, rows):
        """See `ItemInput`; identity, then content."""
        return self.ops.concatenate([rows[0], super().vectors(rows[1:])], axis=1)


class HybridGate(HybridConcat):
    """A learned gate between identity and content, unit by unit, then the kernel.

    g = sigmoid([e, c] W + b);  x = g e + (1 - g) c,  with e the identity row and c the projected features
    (as in the gated multimodal unit, Arevalo et al., arXiv 1702.01992)
    """

    def _head(self, width):
        units = self.options["embedding_units"]
        self.table = self.matrix((self.n_items, units), "table")
        self.content_kernel = self.matrix((width, units), "content_kernel")
        self.gate_kernel = self.matrix((2 * units, units), "gate_kernel")
        self.gate_bias = self.add_weight((units,), "zeros", name="gate_bias")
        self._kernel(units)

    def project(self, vectors):
        """See `ItemInput`."""
        units = self.options["embedding_units"]
        identity, content = vectors[:, :units], self.ops.matmul(vectors[:, units:], self.content_kernel)
        both = self.ops.concatenate([identity, content], axis=1)
        gate = self.ops.sigmoid(self.ops.matmul(both, self.gate_kernel) + self.gate_bias)
        return self.ops.matmul(gate * identity + (1 - gate) * content, self.kernel)


INPUTS = {name: globals()[form.layer] for name, form in INPUT_FORMS.items()}
