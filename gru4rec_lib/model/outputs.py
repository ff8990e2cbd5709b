"""Output forms: from track numbers to the rows and biases that score tracks (score = hidden @ row + bias)."""

from __future__ import annotations

import numpy as np

from gru4rec_lib.model.feature_table import FeatureRows
from gru4rec_lib.model.forms import OUTPUT_FORMS
from gru4rec_lib.model.layers import SeededLayer, gather_rows
from gru4rec_lib.utils.backend import tf

BLOCK = 4096  # tracks whose rows are computed together


class Scorer(SeededLayer):
    """Output `ids`: a learned row and bias per training track; and the part common to all output forms.

    `plays` counts the tracks in the sessions trained on: the model ranks by them before it has any input.

    Args:
        n_items: training tracks.
        units: hidden units H.
        seed: of the run.
        features: returns the `FeatureTable` (a function, because Keras would take the table for a part of the scorer).
    """

    def __init__(self, n_items: int, units: int, seed: int, features=None):
        super().__init__(seed, "scorer")
        self.n_items, self.units, self.features = n_items, units, features
        self.n_scored = n_items  # ids below this have a score

    def build(self, input_shape=None):
        """Keras' call: create the weights and the count of plays."""
        self._count_plays()
        self._rows_of_tracks()

    def _count_plays(self):
        self.plays = self.add_weight((self.n_items,), "zeros", dtype="int32", trainable=False, name="plays")

    def _rows_of_tracks(self):
        self.table = self.matrix((self.n_items, self.units), "table")
        self.bias = self.add_weight((self.n_items,), "zeros", name="bias")

    def row_lookups(self, ids):
        """Tables and the rows of them that the scoring rows need, without biases.

        Args:
            ids: int32 [C], tracks.

        Returns:
            list of (variable, int [C] or [C, m]).
        """
        return [(self.table, ids)]

    def row(self, found):
        """Return the scoring rows: float [C, H].

        Args:
            found: list of float [C, ...], gathered for `row_lookups`, in its order.
        """
        return found[0]

    def lookups(self, ids):
        """As `Scorer.row_lookups`, with biases."""
        return [*self.row_lookups(ids), (self.bias, ids)]

    def rows(self, found):
        """Return the scoring rows and biases: (float [C, H], float [C]).

        Args:
            found: list of float [C, ...], gathered for `lookups`, in its order.
        """
        return self.row(found[:-1]), found[-1]

    def scoring_rows(self):
        """Return rows and biases of all tracks that have a score: (float32 [n_scored, H], float32 [n_scored])."""
        rows, bias = np.empty((self.n_scored, self.units), np.float32), np.empty(self.n_scored, np.float32)
        for first in range(0, self.n_scored, BLOCK):
            ids = tf.range(first, min(first + BLOCK, self.n_scored))
            block = self.rows([gather_rows(table, wanted) for table, wanted in self.lookups(ids)])
            rows[first : first + BLOCK], bias[first : first + BLOCK] = block[0].numpy(), block[1].numpy()
        return rows, bias


class ContentScorer(Scorer):
    """Output `content`: row and bias are sums over the track's features, so that unseen tracks have a score.

    A row per category value, averaged within a feature, and a linear map of the numbers (as in LightFM, Kula,
    arXiv 1507.08439); the last column is the bias.
    """

    def build(self, input_shape=None):
        """Keras' call: create a row per category value, and the kernel of the numeric features."""
        self._count_plays()
        self.feature_rows = FeatureRows(self, self.features(), self.units + 1)
        spec = self.features().spec
        self.n_scored = spec["candidates"]
        self.kernel = self.matrix((spec["numeric"], self.units + 1), "kernel")

    def row_lookups(self, ids):
        """See `Scorer`."""
        return self.feature_rows.lookups(ids)

    def row(self, found):
        """See `Scorer`."""
        return self.rows(found)[0]

    def lookups(self, ids):
        """See `Scorer.row_lookups`; the biases are in the tables of the rows."""
        return self.feature_rows.lookups(ids)

    def rows(self, found):
        """See `Scorer`."""
        numeric, *categories = self.feature_rows.parts(found)
        both = sum(categories, self.ops.matmul(numeric, self.kernel))
        return both[:, :-1], both[:, -1]


class HybridScorer(ContentScorer):
    """Output `hybrid`: the sum of `ids` and `content`; a track unseen in training has the latter alone."""

    def build(self, input_shape=None):
        """Keras' call: create the weights of both."""
        super().build()
        self._rows_of_tracks()

    def row_lookups(self, ids):
        """See `Scorer`."""
        return [(self.table, ids), *super().row_lookups(ids)]

    def row(self, found):
        """See `Scorer`."""
        return found[0] + super().rows(found[1:])[0]

    def lookups(self, ids):
        """See `Scorer.row_lookups`; with biases."""
        return [*self.row_lookups(ids), (self.bias, ids)]

    def rows(self, found):
        """See `Scorer`."""
        rows, bias = super().rows(found[1:-1])
        return found[0] + rows, found[-1] + bias


OUTPUTS = {name: globals()[form.layer] for name, form in OUTPUT_FORMS.items()}
