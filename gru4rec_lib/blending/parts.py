"""The normalised scores of a network and of sparse baselines, for at most `STATES` targets at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from scipy import sparse

from gru4rec_lib.baselines import Baseline
from gru4rec_lib.data.sessions import Sessions
from gru4rec_lib.ranking.exact import STATES, Ranker
from gru4rec_lib.ranking.sparse import rounded_log
from gru4rec_lib.training.gru4rec import GRU4Rec

NETWORK = "gru4rec"  # the name of the network among the parts


class Parts:
    """A trained network and baselines that score few tracks, with scores that can be added.

    Every part's are divided by their maximum; the network's are the softmax of its scores. A track that a part does not
    score has 0, as have all tracks before the part's first usable input.

    Args:
        network: trained.
        baselines: fitted on the same training tracks.

    Raises:
        ValueError: two parts have one name, or a baseline is not fitted, or on another number of tracks.
    """

    def __init__(self, network: GRU4Rec, baselines: Sequence[Baseline]):
        self.network, self.baselines = network, tuple(baselines)
        self.names = [NETWORK, *(baseline.name for baseline in self.baselines)]
        twice = next((name for name in self.names if self.names.count(name) > 1), None)
        if twice:
            raise ValueError(f"two parts are called {twice!r}; give one of them another `tag`")
        self.n_items, self.n_scored = network.n_items, network.scorer.n_scored
        self.plays = np.pad(network.scorer.plays.numpy(), (0, self.n_scored - self.n_items))
        for baseline in self.baselines:
            if baseline.n_items != self.n_items:
                of = "is not fitted" if baseline.n_items is None else f"is fitted on {baseline.n_items:,} tracks"
                raise ValueError(f"{baseline.name} {of}; fit it on the {self.n_items:,} training tracks of the network")
        self._ranker = Ranker(*network.scorer.scoring_rows())

    def score(self, sessions: Sessions, events: np.ndarray) -> Iterator[Scores]:
        """Score all tracks at targets.

        Args:
            sessions: over the item index.
            events: bool [events], the targets.

        Yields:
            The scores at up to STATES of the targets.
        """
        for event, hidden, has_input in self.network.states_before(sessions, events):
            order = np.argsort(event)
            for first in range(0, len(order), STATES):
                part = order[first : first + STATES]
                yield self._scores(sessions, event[part], hidden[part], has_input[part])

    def _scores(self, sessions, event, states, has_input):
        chosen = np.zeros(len(sessions.items), bool)
        chosen[event] = True
        tables = [baseline.scores(sessions, chosen) for baseline in self.baselines]
        inputs = np.array([has_input, *(baseline.has_input(sessions)[event] for baseline in self.baselines)])
        return Scores(event, sessions.items[event], inputs, self._ranker, states, [*map(normalised, tables)])


class Scores:
    """The normalised scores of every part at some targets.

    Args:
        event: int [n], the targets' places in `sessions.items`.
        target: int [n], their tracks; one without a score has 0.
        has_input: bool [parts, n], whether a part has a usable input before the target.
        ranker: of the network.
        states: float32 [n, H], the network's states before the targets.
        tables: for each baseline float64 [n, items].
    """

    def __init__(self, event, target, has_input, ranker: Ranker, states, tables: Sequence[sparse.csr_array]):
        self.event, self.target, self.has_input = event, target, has_input
        self.columns = [table.tocsc() for table in tables]  # by track
        self._ranker, self._states = ranker, states
        rows, own = np.arange(len(event)), np.full(len(event), -np.inf)
        self._highest = np.full(len(event), -np.inf)
        for first, block in ranker.blocks(states):
            block = np.asarray(block, np.float64)
            inside = (target >= first) & (target < first + block.shape[1])
            own[inside] = block[rows[inside], target[inside] - first]
            self._highest = np.maximum(self._highest, block.max(axis=1))
        self.own = np.array([np.exp(own - self._highest) * has_input[0], *(entries(t, target) for t in tables)])

    def of_network(self, stop: int) -> Iterator[tuple[int, np.ndarray]]:
        """Compute the network's softmax, divided by its maximum, block by block.

        Args:
            stop: of the first so many tracks.

        Yields:
            The first track of the block, and float64 [n, tracks of the block].
        """
        for first, block in self._ranker.blocks(self._states):
            if first >= stop:
                return
            block = np.asarray(block[:, : stop - first], np.float64)
            yield first, np.exp(block - self._highest[:, None]) * self.has_input[0][:, None]

    def blended(self, weights: np.ndarray, stop: int, root: bool = False) -> Iterator[tuple[int, np.ndarray]]:
        """Compute the weighted sums of the parts' scores block by block.

        Args:
            weights: float64 [parts], or [n, parts]: those of each target.
            stop: of the first so many tracks.
            root: whether the fourth roots of the scores are added instead.

        Yields:
            As `of_network`.
        """
        weights = np.broadcast_to(weights, (len(self.event), len(self.own)))
        for first, block in self.of_network(stop):
            block = weights[:, :1] * (fourth_root(block) if root else block)
            for table, weight in zip(self.columns, weights.T[1:], strict=True):
                row, column, score = in_columns(table, first, first + block.shape[1])
                block[row, column] += weight[row] * (fourth_root(score) if root else score)
            yield first, block

    def blended_own(self, weights: np.ndarray, root: bool = False) -> np.ndarray:
        """Return the weighted sum of each target's scores: float64 [n], with the rounding of `blended`.

        Args:
            weights: float64 [parts] or [n, parts].
            root: as in `blended`.
        """
        own = fourth_root(self.own) if root else self.own
        return sum(weight * part for weight, part in zip(weights.T, own, strict=True))


def fourth_root(scores: np.ndarray) -> np.ndarray:
    """Return the fourth root of numbers; two square roots are rounded alike everywhere, a power is not.

    Args:
        scores: 0 or more.

    >>> fourth_root(np.array([0.0, 0.0081, 1.0])).round(12).tolist()
    [0.0, 0.3, 1.0]
    """
    return np.sqrt(np.sqrt(scores))


def normalised(scores: sparse.csr_array) -> sparse.csr_array:
    """Divide each row by its maximum; scores that tie for `sparse_ranks` become equal.

    Args:
        scores: float64 [n, items], 0 or more.
    """
    log = rounded_log(scores.data)
    row = np.repeat(np.arange(scores.shape[0]), np.diff(scores.indptr))
    highest = np.full(scores.shape[0], -np.inf)
    np.maximum.at(highest, row, log)
    with np.errstate(invalid="ignore"):
        data = np.exp(log - highest[row])
    return sparse.csr_array((np.nan_to_num(data), scores.indices, scores.indptr), shape=scores.shape)


def entries(table: sparse.csr_array, column: np.ndarray) -> np.ndarray:
    """Return one entry of each row: float64 [n], 0 for a column outside the table.

    Args:
        table: float64 [n, columns].
        column: int [n].
    """
    found = np.zeros(table.shape[0])
    inside = np.flatnonzero((column >= 0) & (column < table.shape[1]))
    if len(inside):
        found[inside] = table[inside, column[inside]]
    return found


def in_columns(table: sparse.csc_array, first: int, last: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return row, column (0 for `first`) and value of the entries in columns first..last-1.

    Args:
        table: by column.
        first: 0 or more.
        last: may be beyond the table.
    """
    bounds = table.indptr[min(first, table.shape[1]) : last + 1]
    part = slice(bounds[0], bounds[-1])
    return table.indices[part], np.repeat(np.arange(len(bounds) - 1), np.diff(bounds)), table.data[part]
