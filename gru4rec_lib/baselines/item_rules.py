"""Baselines that score a track by the last known track of the session."""

from __future__ import annotations

import numpy as np
from pydantic import Field
from scipy import sparse

from gru4rec_lib.baselines.base import SparseBaseline
from gru4rec_lib.baselines.weighting import Weighting, by_distance
from gru4rec_lib.data.history import last_heard, place_in_group
from gru4rec_lib.utils.checked import Count, Number, Share

ITEMS = 2048  # items whose pairs are counted together, to bound memory
ROOM = 2**22  # values that are compared together


class ItemRules(SparseBaseline):
    """A score for each pair of tracks: the row of the last known track scores what comes next."""

    _rows: sparse.csr_array  # float64 [items, items]

    def _score_rows(self, sessions, events):
        yield self._rows, last_heard(sessions, sessions.known(self._n_items))[events]


class SequentialRules(ItemRules):
    """Rules "b after a in a session", weighted by their distance (Ludewig & Jannach, arXiv 1803.09587, section 3.1).

    Args:
        steps: largest distance, in events, of two tracks of a rule.
        weighting: weight of a rule by its distance; see `weighting.by_distance`.
    """

    kind = "sequential_rules"
    steps: Count = 10
    weighting: Weighting = "div"

    def _fit(self, train, features, ends):
        session = train.session_of_event
        self._rows = sparse.csr_array((self._n_items, self._n_items), dtype=np.float64)
        for distance in range(1, min(self.steps, train.lengths.max(initial=1) - 1) + 1):
            together = session[distance:] == session[:-distance]
            before, after = train.items[:-distance][together], train.items[distance:][together]
            weight = by_distance(self.weighting, np.full(len(before), distance))
            self._rows += sparse.coo_array((weight, (before, after)), shape=self._rows.shape).tocsr()


class Markov(SequentialRules):
    """A Markov chain of first order: sequential rules of one step (arXiv 1803.09587, section 3.1).

    Args:
        steps, weighting: as in `SequentialRules`.
    """

    kind = "markov"
    steps: Count = 1


class ItemKNN(ItemRules):
    """Tracks by how often they share a session with the last known one (item-to-item; arXiv 1511.06939, section 4.1).

    The similarity of j to i is the number of plays of i in sessions with j, divided by
    (plays of i + shrink)^alpha (plays of j + shrink)^(1 - alpha). The most similar tracks of i have a score, equal ones
    by plays.

    Args:
        neighbours: number of similar tracks of each track.
        shrink: lambda, in plays; lowers the similarity of rare tracks.
        alpha: 0.5 is the cosine, 1 the confidence of a rule.
    """

    kind = "item_knn"
    neighbours: Count = 100
    shrink: Number = Field(20, ge=0)
    alpha: Share = 0.5

    def _fit(self, train, features, ends):
        n_items = self._n_items
        events = (np.ones(len(train.items)), (train.session_of_event, train.items))
        plays = sparse.coo_array(events, shape=(len(train), n_items)).tocsr()
        held, of_item = plays.sign(), plays.T.tocsr()
        support = self._plays + self.shrink
        parts = [sparse.csr_array((0, n_items))]
        for first in range(0, n_items, ITEMS):
            pairs = of_item[first : first + ITEMS] @ held
            of = np.repeat(np.arange(pairs.shape[0]), np.diff(pairs.indptr))
            value = pairs.data / (support[first + of] ** self.alpha * support[pairs.indices] ** (1 - self.alpha))
            value[first + of == pairs.indices] = 0
            pairs.data = np.round(value, 12)  # equal values may differ in their last bits
            kept = _first_of_each_row(pairs, self.neighbours)
            parts.append(sparse.coo_array((value[kept], (of[kept], pairs.indices[kept])), shape=pairs.shape).tocsr())
        self._rows = sparse.vstack(parts, format="csr")


def _first_of_each_row(table: sparse.csr_array, n: int) -> np.ndarray:
    """Return the entries of each row's n highest values, of equal ones the lower columns: int [kept], by row."""
    lengths, least = np.diff(table.indptr), np.full(table.shape[0], -np.inf)
    # The n-th highest of rows of like lengths, together. A sort of all entries takes several times as long.
    for width in 2 ** np.arange(int(lengths.max(initial=0)).bit_length() + 1):
        rows = np.flatnonzero((lengths > n) & (lengths <= width) & (lengths > width // 2))
        together, places = ROOM // width + 1, np.arange(width)
        for first in range(0, len(rows), together):
            some = rows[first : first + together]
            entries = np.minimum(table.indptr[some, None] + places, table.nnz - 1)
            values = np.where(places < lengths[some, None], table.data[entries], -np.inf)
            least[some] = np.partition(values, -n, axis=1)[:, -n]
    row = np.repeat(np.arange(len(lengths)), lengths)
    reach = np.flatnonzero(table.data >= least[row])
    row = row[reach]
    order = np.lexsort((table.indices[reach], -table.data[reach], row))
    return reach[order[place_in_group(row[order]) < n]]
