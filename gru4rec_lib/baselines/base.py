"""What all baselines share: checked settings, and ranks by plays where a session has no usable input yet."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator
from typing import ClassVar, Self

import numpy as np
from pydantic import Field
from scipy import sparse

from gru4rec_lib.data.features import Features
from gru4rec_lib.data.history import last_heard
from gru4rec_lib.data.sessions import Sessions
from gru4rec_lib.ranking.popularity import NO_RANK, popularity_ranks, popularity_top
from gru4rec_lib.ranking.sparse import sparse_ranks, sparse_top
from gru4rec_lib.utils.arguments import whole
from gru4rec_lib.utils.checked import Strict, one_sentence_each


class Baseline(Strict):
    """A model without gradient training by this library, ranked by the same rule as GRU4Rec.

    The fields are its settings, which a study may set and a search may tune. `_fit`, `_rank` and `_top` are a
    subclass's own; here tracks are ranked by plays in training, as they are in every subclass for a session without a
    usable input before the target.

    Args:
        tag: tells two variants in one study apart; part of `name`.

    Raises:
        ConfigError: a setting is unknown or wrong.
    """

    kind: ClassVar[str]  # its name in a study
    beyond_training: ClassVar[bool] = False  # whether tracks unseen in training are used as input and ranked
    needs_features: ClassVar[bool] = False
    needs_category: ClassVar[bool] = False  # among the features, one with a single value an item
    blendable: ClassVar[bool] = False  # whether it has `scores`, as `SparseBaseline.scores`, that a blend can add

    tag: str = Field("", pattern=r"^[a-z0-9_]*$")

    _n_items: int
    _plays: np.ndarray

    def __init__(self, **settings):
        with one_sentence_each(self.kind):
            super().__init__(**settings)

    @property
    def name(self) -> str:
        """The name in tables and of the folder, such as `stan` or `stan-long`."""
        return "-".join(filter(None, (self.kind, self.tag)))

    @property
    def n_items(self) -> int | None:
        """Number of training tracks; None before `fit`."""
        return getattr(self, "_n_items", None)

    def fit(
        self, train: Sessions, n_items: int, features: Features | None = None, ends: np.ndarray | None = None
    ) -> Self:
        """Fit to training sessions.

        Args:
            train: training sessions, items 0..n_items-1.
            n_items: number of training tracks.
            features: features of all candidates; used where `needs_features`.
            ends: float [sessions], the end of each training session in seconds; None: they are in order of time.

        Returns:
            The baseline itself.

        Raises:
            ValueError: features are missing, or fewer than the items; an item is none of 0..n_items-1; or `ends` are
                not one finite number a session.
        """
        train.check_range(n_items)
        if self.needs_features and features is None:
            raise ValueError(f"{self.kind} needs features of the items; give `features`, or leave this baseline out")
        if self.needs_features:
            features.check_items(n_items)
        if ends is not None and len(ends) != len(train):
            raise ValueError(f"ends has {len(ends)} values for {len(train)} sessions; give one for each session")
        if ends is not None and not (np.asarray(ends).dtype.kind in "iuf" and np.isfinite(ends).all()):
            raise ValueError("ends are not finite numbers; give the seconds of each session's end")
        self._n_items = n_items
        self._plays = np.bincount(train.items, minlength=n_items)
        self._fit(train, features, ends)
        return self

    def rank(
        self, sessions: Sessions, n_candidates: int, chosen: np.ndarray | None = None, above: bool = False
    ) -> np.ndarray:
        """Rank the targets; see `GRU4Rec.rank`.

        Returns:
            float64 [chosen targets], 1 is best; infinite for a target that the baseline cannot score.
        """
        self._check_fitted()
        n_candidates = whole(n_candidates, "n_candidates")
        wanted, known = sessions.targets(chosen), sessions.known(self._n_items)
        ranks = np.full(wanted.sum(), NO_RANK)
        by_plays = popularity_ranks(self._plays, above, n_candidates)
        ranks[known[wanted]] = by_plays[sessions.items[wanted & known]]
        scored = wanted & self.has_input(sessions) & (sessions.items >= 0 if self.beyond_training else known)
        if scored.any():
            ranks[scored[wanted]] = self._rank(sessions, scored, n_candidates, above)
        return ranks

    def top(self, sessions: Sessions, n_candidates: int, chosen: np.ndarray | None = None, k: int = 20) -> np.ndarray:
        """Return the k best candidates at every chosen target; see `GRU4Rec.top`."""
        self._check_fitted()
        n_candidates = whole(n_candidates, "n_candidates")
        wanted = sessions.targets(chosen)
        found = np.tile(popularity_top(self._plays, k, n_candidates), (wanted.sum(), 1))
        scored = wanted & self.has_input(sessions)
        if scored.any():
            found[scored[wanted]] = self._top(sessions, scored, n_candidates, k)
        return found

    def has_input(self, sessions: Sessions) -> np.ndarray:
        """Return whether there is a usable input before each event of the sessions: bool [events].

        Args:
            sessions: over the item index.
        """
        self._check_fitted()
        return last_heard(sessions, self._usable(sessions)) >= 0

    def _check_fitted(self) -> None:
        if self.n_items is None:
            raise ValueError(f"{self.name} is not fitted: call `fit`")

    def _usable(self, sessions: Sessions) -> np.ndarray:
        """Bool [events], whether an event is on a track that the baseline can use as input."""
        return sessions.known(self._n_items)

    def _fit(self, train: Sessions, features: Features | None, ends: np.ndarray | None) -> None:
        """Read what is needed beside the plays."""

    def _rank(self, sessions: Sessions, events: np.ndarray, n_candidates: int, above: bool) -> np.ndarray:
        """Number [n], the ranks of the n targets at `events` (bool [events]), each after a usable input."""
        return popularity_ranks(self._plays, above, n_candidates)[sessions.items[events]]

    def _top(self, sessions: Sessions, events: np.ndarray, n_candidates: int, k: int) -> np.ndarray:
        """int32 [n, k], the best candidates at the n `events`, each after a usable input."""
        return popularity_top(self._plays, k, n_candidates)


class SparseBaseline(Baseline):
    """A baseline that scores few tracks and gives all others 0.

    Tracks with score 0 tie, so that they share the last rank; a list that the others do not fill continues with the
    most played tracks.
    """

    blendable = True

    @abstractmethod
    def _score_rows(self, sessions: Sessions, events: np.ndarray) -> Iterator[tuple[sparse.csr_array, np.ndarray]]:
        """Score all tracks as next at `events`, in as many pieces as fit into memory.

        Yields:
            float64 [rows, items], 0 or more, and int [n], the row of each of the next n events.
        """

    def scores(self, sessions: Sessions, events: np.ndarray) -> sparse.csr_array:
        """Score all training tracks as next at targets.

        Args:
            sessions: over the item index.
            events: bool [events], the n targets.

        Returns:
            float64 [n, items], 0 or more; an empty row before the first usable input.
        """
        scored = events & self.has_input(sessions)
        parts = (scores.tocsr()[rows] for scores, rows in self._score_rows(sessions, scored)) if scored.any() else ()
        return rows_of(scored[events], parts, self._n_items)

    def _rank(self, sessions: Sessions, events: np.ndarray, n_candidates: int, above: bool) -> np.ndarray:
        targets, ranks = sessions.items[events], []
        for scores, rows in self._score_rows(sessions, events):
            own, targets = np.split(targets, [len(rows)])
            ranks.append(sparse_ranks(scores, rows, own, n_candidates, above))
        return np.concatenate(ranks)

    def _top(self, sessions: Sessions, events: np.ndarray, n_candidates: int, k: int) -> np.ndarray:
        return np.concatenate(
            [sparse_top(scores, rows, n_candidates, k) for scores, rows in self._score_rows(sessions, events)]
        )


def rows_of(filled: np.ndarray, parts: Iterable[sparse.csr_array], n_items: int) -> sparse.csr_array:
    """Return a matrix whose rows are those of `parts` where `filled` is true, and empty elsewhere.

    Args:
        filled: bool [n].
        parts: with a row for each true value, all together.
        n_items: number of columns.
    """
    rows = sparse.vstack([sparse.csr_array((0, n_items)), *parts], format="csr")
    entries = np.zeros(len(filled) + 1, np.int64)
    entries[1:][filled] = np.diff(rows.indptr)
    return sparse.csr_array((rows.data, rows.indices, np.cumsum(entries)), shape=(len(filled), n_items))
