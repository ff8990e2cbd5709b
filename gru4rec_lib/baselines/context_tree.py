"""A baseline that predicts from the longest sequences of training that end as the session so far."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy import sparse

from gru4rec_lib.baselines.base import Baseline, rows_of
from gru4rec_lib.data.history import heard_before
from gru4rec_lib.data.sessions import Sessions
from gru4rec_lib.ranking.popularity import popularity_top
from gru4rec_lib.ranking.sparse import sparse_top
from gru4rec_lib.utils.checked import Count

TARGETS = 256  # scored together, to bound memory
TIE = 1e-9  # relative; sums of the same numbers in another order differ by less


class ContextTree(Baseline):
    """Context Tree (Mi & Faltings, arXiv 1806.03733), with the prior weights of its contexts.

    A context of depth d is a sequence of d tracks; n(c) events of training follow it, n(j, c) of them on track j. With
    p(j, c) = (1 + n(j, c)) / (2 + n(c)), the score for the contexts c_0 (empty), c_1, .. that the session ends with is

        q_0 = p(j, c_0),  q_d = p(j, c_d) / 2^d + (1 - 1 / 2^d) q_(d-1),

    up to the deepest context that training continues. The paper also updates the weights 1 / 2^d by Bayes' rule during
    training; session-rec, whose results are published (arXiv 1910.12781), uses them as they are here.

    Args:
        depth: largest depth of a context.
    """

    kind = "ct"
    depth: Count = 10

    blendable = True

    _contexts: list[np.ndarray]  # for each depth from 1 int [contexts], number of the shorter context * items + track
    _counts: list[sparse.csr_array]  # for each depth from 1 [contexts, items], n(j, c) / (2 + n(c))

    def _fit(self, train, features, ends):
        self._contexts, self._counts = [], []
        place, context = train.position_of_event - 1, np.zeros(len(train.items), np.int64)
        for depth in range(1, min(self.depth, train.lengths.max(initial=1) - 1) + 1):
            event = np.flatnonzero(place >= depth)
            pairs = context[event] * self._n_items + train.items[event - depth]
            known, number = np.unique(pairs, return_inverse=True)
            context[event] = number
            shape = (len(known), self._n_items)
            counts = sparse.coo_array((np.ones(len(event)), (number, train.items[event])), shape=shape).tocsr()
            counts.data /= np.repeat(2 + counts.sum(axis=1), np.diff(counts.indptr))
            self._contexts.append(known)
            self._counts.append(counts)

    def scores(self, sessions: Sessions, events: np.ndarray) -> sparse.csr_array:
        """Score the tracks that followed a context of depth 1 or more; see `SparseBaseline.scores`.

        The term of the empty context, which all tracks have, is left out.
        """
        scored = events & self.has_input(sessions)
        parts = (scores for scores, _ in self._scores(sessions, scored)) if scored.any() else ()
        return rows_of(scored[events], parts, self._n_items)

    def _rank(self, sessions, events, n_candidates, above):
        compare, side, tie = (np.greater, "right", 1 + TIE) if above else (np.greater_equal, "left", 1 - TIE)
        plays, targets, ranks = np.sort(self._plays[:n_candidates]), sessions.items[events], []
        for scores, share in self._scores(sessions, events):
            target, targets = np.split(targets, [len(share)])
            rows = np.arange(len(share))
            least = (scores[rows, target] + share * self._plays[target]) * tie
            query, item = scores.nonzero()
            counts = (item < n_candidates) & (item != target[query])
            query, item, score = query[counts], item[counts], scores.data[counts]
            # Count all candidates by plays alone, then correct it for the tracks that follow a context.
            by_plays = len(plays) - np.searchsorted(plays, least / share, side)
            itself = (target < n_candidates) & compare(self._plays[target], least / share)
            own = self._plays[item]
            gained = compare(score + share[query] * own, least[query]).astype(int)
            gained -= compare(own, (least / share)[query])
            ranks.append(1 + by_plays - itself + np.bincount(query, gained, len(share)).astype(int))
        return np.concatenate(ranks)

    def _top(self, sessions, events, n_candidates, k):
        most = popularity_top(self._plays, k, n_candidates)
        most, found = most[most >= 0], []
        for scores, share in self._scores(sessions, events):
            # No other track can be among the k best.
            wanted = (scores != 0).tolil()
            wanted[:, most] = True
            query, item = wanted.nonzero()
            score = scores[query, item] + share[query] * self._plays[item]
            scores = sparse.coo_array((score, (query, item)), shape=scores.shape).tocsr()
            found.append(sparse_top(scores, np.arange(len(share)), n_candidates, k))
        return np.concatenate(found)

    def _scores(self, sessions: Sessions, events: np.ndarray) -> Iterator[tuple[sparse.csr_array, np.ndarray]]:
        """Scores [n, items] of the contexts of depth 1 and more, and float64 [n], the factor of the plays."""
        query, item, _ = heard_before(sessions, events, sessions.known(self._n_items))
        length = np.bincount(query)
        end = np.cumsum(length)
        for first in range(0, len(length), TARGETS):
            part = slice(first, first + TARGETS)
            yield self._mixed(item, end[part], length[part])

    def _mixed(self, item: np.ndarray, end: np.ndarray, length: np.ndarray) -> tuple[sparse.csr_array, np.ndarray]:
        rows, context = np.arange(len(end)), np.zeros(len(end), np.int64)
        scores = sparse.csr_array((len(end), self._n_items))
        share = np.full(len(end), 1 / (2 + self._plays.sum()))
        for depth, (known, counts) in enumerate(zip(self._contexts, self._counts, strict=True), 1):
            rows = rows[length[rows] >= depth]
            pair = context[rows] * self._n_items + item[end[rows] - depth]
            place = np.searchsorted(known, pair)
            found = place < len(known)
            found[found] = known[place[found]] == pair[found]
            rows, place = rows[found], place[found]
            if not len(rows):
                break
            context[rows] = place
            weight = np.zeros(len(end))
            weight[rows] = 0.5**depth
            chosen = sparse.csr_array((weight[rows], (rows, place)), shape=(len(end), len(known)))
            scores = sparse.diags_array(1 - weight) @ scores + chosen @ counts
            share *= 1 - weight
        return scores.tocsr(), share
