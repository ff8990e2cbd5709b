"""Models without training by gradients, ranked by the same rule as GRU4Rec.

Each has `fit(train, n_items)`, which takes the training sessions and returns the model, and
`rank(sessions, n_candidates, chosen)`, which returns int32 [chosen targets] as `GRU4Rec.rank` does.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import sparse

from gru4rec_lib import evaluation
from gru4rec_lib.metrics import scores
from gru4rec_lib.prepare import Prepared
from gru4rec_lib.ranking import popularity_ranks
from gru4rec_lib.sessions import Sessions
from gru4rec_lib.workspace import Workspace


class MostPopular:
    """The same list for everyone: tracks by plays in the training sessions."""

    def fit(self, train: Sessions, n_items: int) -> MostPopular:
        """Count plays.

        Args:
            train: training sessions, items 0..n_items-1.
            n_items: training tracks.
        """
        self.n_items = n_items
        self.place = popularity_ranks(np.bincount(train.items, minlength=n_items))
        return self

    def rank(self, sessions: Sessions, n_candidates: int, chosen: np.ndarray | None = None) -> np.ndarray:
        """The rank of every chosen target; a target unseen in training is a miss."""
        wanted = sessions.targets(chosen)
        target, scored = sessions.items[wanted], sessions.known(self.n_items)[wanted]
        ranks = np.full(len(target), n_candidates + 1, np.int32)
        ranks[scored] = self.place[target[scored]]
        return ranks


class SequentialRules:
    """Rules "b was heard after a", weighted by 1 / distance (Ludewig & Jannach, arXiv 1803.09587, section 3.1).

    The score of a track is its weight after the last known track. Tracks without a rule all score 0 and so share the
    last rank. Before the first known track, tracks are ranked by plays.

    Args:
        steps: how far apart, in events, two tracks of a session may lie; 1 makes this a first-order Markov chain.
    """

    def __init__(self, steps: int = 10):
        self.steps = steps

    def fit(self, train: Sessions, n_items: int) -> SequentialRules:
        """Add up the rules of all pairs.

        Args:
            train: training sessions, items 0..n_items-1.
            n_items: training tracks.
        """
        self.n_items = n_items
        self.popular = MostPopular().fit(train, n_items)
        session = train.session_of_event
        rules = sparse.csr_array((n_items, n_items), dtype=np.float64)
        for distance in range(1, min(self.steps, train.lengths.max(initial=1) - 1) + 1):
            together = session[distance:] == session[:-distance]
            before, after = train.items[:-distance][together], train.items[distance:][together]
            weight = np.full(len(before), 1 / distance)
            rules += sparse.coo_array((weight, (before, after)), shape=rules.shape).tocsr()
        self.rules = rules
        return self

    def rank(self, sessions: Sessions, n_candidates: int, chosen: np.ndarray | None = None) -> np.ndarray:
        """The rank of every chosen target by the rules of the last known track before it."""
        ranks = self.popular.rank(sessions, n_candidates, chosen)
        wanted = sessions.targets(chosen)
        target, last = sessions.items[wanted], last_known(sessions, self.n_items)[wanted]
        by_rule = (last >= 0) & sessions.known(self.n_items)[wanted]
        ranks[by_rule] = sparse_ranks(self.rules, last[by_rule], target[by_rule])
        return ranks


BASELINES = {"most_popular": MostPopular, "sequential_rules": SequentialRules}


def rank_baseline(name: str, prepared: Prepared, place: Workspace) -> pd.DataFrame:
    """Fit one baseline on all training sessions, rank the test targets, write its ranks.parquet.

    Args:
        name: of BASELINES.
        prepared: arrays.
        place: the study's.

    Returns:
        Its scores, a row for each protocol.
    """
    model = BASELINES[name]().fit(prepared.train_and_validation, prepared.n_items)
    ranks = evaluation.rank(model, prepared, place.study)
    evaluation.save_ranks(place.baseline_folder(name), ranks)
    return scores(ranks).assign(model=name)


def rank_baselines(prepared: Prepared, place: Workspace) -> pd.DataFrame:
    """`rank_baseline` for every baseline of the study; their scores, one below the other."""
    tables = [rank_baseline(name, prepared, place) for name in place.study.baselines]
    return pd.concat(tables, ignore_index=True).set_index("model")


def last_known(sessions: Sessions, n_items: int) -> np.ndarray:
    """For every event, the last track before it in its session that training knows.

    Args:
        sessions: over the item index.
        n_items: training tracks.

    Returns:
        int32 [events], -1 where there is none.

    >>> last_known(Sessions.from_lists([[7, 1, 9, 2], [0, 1]]), n_items=5).tolist()
    [-1, -1, 1, 1, -1, 0]
    """
    known = sessions.known(n_items)
    latest = np.maximum.accumulate(np.where(known, np.arange(len(known)), -1))
    before = np.concatenate([[-1], latest])[:-1]
    first = sessions.offsets[sessions.session_of_event]
    return np.where(before >= first, sessions.items[before], -1)


def sparse_ranks(scores: sparse.csr_array, rows: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Ranks in rows of a sparse score matrix, absent scores being 0; a tie counts against the model.

    Args:
        scores: float64 [rows, items], no entry below 0.
        rows: int [n].
        targets: int [n].

    Returns:
        int32 [n]: the number of items that score at least as high as the target, itself included.
    """
    if not len(rows):
        return np.zeros(0, np.int32)  # SciPy's result for no index at all is of another kind
    scores = scores.tocsr()
    # Sums of 1 / distance in another order differ in their last bits; they are meant to tie. Level 0 is the score 0.
    _, level = np.unique(np.r_[0, np.round(scores.data, 9)], return_inverse=True)
    level, width = level[1:], level.max() + 1
    key = np.sort(np.repeat(np.arange(scores.shape[0]), np.diff(scores.indptr)) * width + level)
    levels = sparse.csr_array((level, scores.indices, scores.indptr), shape=scores.shape)
    own = levels[rows, targets]
    at_least = scores.indptr[rows + 1] - np.searchsorted(key, rows * width + own)
    return np.where(own > 0, at_least, scores.shape[1]).astype(np.int32)
