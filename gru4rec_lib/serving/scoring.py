"""The best items of sessions by a network or by a model that only ranks; lists with conditions are made of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain

import numpy as np

from gru4rec_lib.baselines import Baseline
from gru4rec_lib.blending.blend import Blend
from gru4rec_lib.data.sessions import Sessions
from gru4rec_lib.model.numpy_network import NumPyNetwork, as_array
from gru4rec_lib.ranking.shortlist import Shortlist
from gru4rec_lib.training.gru4rec import GRU4Rec

WIDER = 4  # a list that a condition has left too short is made so many times longer
LISTED = 2**22  # items of lists that are made together, to bound memory


class NetworkScoring:
    """Score items by the hidden state of a session.

    Args:
        model: trained.

    Raises:
        ValueError: a weight is not finite.
    """

    def __init__(self, model: GRU4Rec):
        rows, bias = model.scorer.scoring_rows()
        arrays = chain([rows, bias], map(as_array, model.weights))
        if not all(np.isfinite(array).all() for array in arrays):
            raise ValueError("the model has weights that are not finite; train it again with a lower learning rate")
        self.model, self.rows, self.bias = model, rows, bias
        self.n_inputs, self.n_scored = model.item_input.n_inputs, len(bias)
        self.plays = np.pad(model.scorer.plays.numpy(), (0, len(bias) - model.n_items))
        self.by_plays = np.argsort(-self.plays, kind="stable")
        self._shortlist, self._network = Shortlist(rows, bias), NumPyNetwork(model)

    def queries(self, sessions: Sessions) -> np.ndarray:
        """Return the hidden state after each session: float32 [sessions, H].

        Args:
            sessions: of one input or more each, items 0..n_inputs-1.
        """
        if len(sessions) > 1:
            return self.model.states(sessions)
        return self._network.hidden(sessions.items)[None]

    def best(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the k items of the highest scores: (int [n, k], float32 [n, k]), ties by index.

        Args:
            queries: of `queries`.
            k: 1 to the number of items that have a score.
        """
        return self._shortlist.best_of_each(queries, k)

    def among(self, pool: np.ndarray) -> tuple[Callable, int]:
        """Return a function as `best`, over some items only, and how many it can list.

        Args:
            pool: int [items], rising.
        """
        shortlist = Shortlist(self.rows[pool], self.bias[pool])

        def best(queries, k):
            found, scores = shortlist.best_of_each(queries, k)
            return pool[found], scores

        return best, len(pool)


class RankedScoring:
    """List the best items of a model that ranks without showing its scores, such as a baseline.

    Args:
        model: fitted.
        plays: int [items], in training.
    """

    def __init__(self, model: Baseline | Blend, plays: np.ndarray):
        self.model = model
        if isinstance(model, Blend):
            self.n_inputs, self.n_scored = model.n_inputs, model.n_scored
        else:
            self.n_inputs = self.n_scored = len(plays) if model.beyond_training else model.n_items
        self.plays = plays[: self.n_scored]
        self.by_plays = np.argsort(-self.plays, kind="stable")

    def queries(self, sessions: Sessions) -> np.ndarray:
        """Return the sessions as an array of arrays.

        Args:
            sessions: as for `NetworkScoring.queries`.
        """
        found = np.empty(len(sessions), object)
        found[:] = [sessions[number] for number in range(len(sessions))]
        return found

    def best(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the k best items, -1 where the model ranks no more; as scores NaN. See `NetworkScoring.best`."""
        sessions, is_next = Sessions.from_lists(queries).with_next()
        items = self.model.top(sessions, self.n_scored, is_next, k)
        return items, np.full(items.shape, np.nan, np.float32)

    def among(self, pool: np.ndarray) -> tuple[Callable, int]:
        """Return `best` and the number of items; see `NetworkScoring.among`."""
        return self.best, self.n_scored


def conditional(best, queries, k: int, n: int, allowed: np.ndarray, heard: Sequence[np.ndarray], limits: Sequence):
    """Return the best items that conditions allow; longer lists are made until k items remain or all n were seen.

    Args:
        best: (queries, k) -> (int [rows, k] items, the best first, -1 where there are no more, float32 [rows, k]).
        queries: one row per session.
        k: items wanted.
        n: items that `best` can list.
        allowed: bool [items].
        heard: for each session the items to leave out.
        limits: pairs of int [items], the group of each item or -1, and the most items of a group in a list.

    Returns:
        For each session (int [up to k] items, float32 [up to k] scores).
    """
    found, left = [None] * len(queries), np.arange(len(queries))
    wanted = min(n, k + max(map(len, heard), default=0))
    while len(left):
        together, short = max(1, LISTED // max(1, wanted)), []
        for part in np.split(left, range(together, len(left), together)):
            items, scores = best(queries[part], wanted)
            kept = (items >= 0) & allowed[items]
            for row, place in enumerate(part):
                if len(heard[place]):
                    kept[row] &= ~np.isin(items[row], heard[place])
                if limits:
                    kept[row] = _within(limits, items[row], kept[row], k)
                first = np.flatnonzero(kept[row])[:k]
                found[place] = items[row, first], scores[row, first]
            short.append(part[kept.sum(axis=1) < k])
        if wanted == n:
            break
        left, wanted = np.concatenate(short), min(n, wanted * WIDER)
    return found


def _within(limits: Sequence, items: np.ndarray, kept: np.ndarray, k: int) -> np.ndarray:
    """Keep items from the first on while their groups are not full, k at most: bool [items]."""
    result, counts, n = np.zeros_like(kept), [{} for _ in limits], 0
    for place in np.flatnonzero(kept):
        groups = [group[items[place]] for group, _ in limits]
        if all(count.get(g, 0) < most for g, count, (_, most) in zip(groups, counts, limits, strict=True)):
            result[place], n = True, n + 1
            for g, count in zip(groups, counts, strict=True):
                if g >= 0:
                    count[g] = count.get(g, 0) + 1
            if n == k:
                break
    return result
