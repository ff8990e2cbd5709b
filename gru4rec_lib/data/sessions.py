"""Sessions as two arrays: all their items, and where each session begins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from gru4rec_lib.utils.arguments import user_path, whole


@dataclass(frozen=True)
class Sessions:
    """Whole sessions, one after the other.

    Args:
        items: int32 [events], item indices; -1 for an item that has none.
        offsets: int64 [sessions + 1]; session s holds items[offsets[s]:offsets[s + 1]].
    """

    items: np.ndarray
    offsets: np.ndarray

    def __post_init__(self):
        offsets = self.offsets
        if len(offsets) == 0 or offsets[0] != 0 or offsets[-1] != len(self.items) or (np.diff(offsets) < 0).any():
            raise ValueError("offsets must rise from 0 to the number of items")

    @classmethod
    def from_lists(cls, lists: Sequence[Sequence[int]]) -> Sessions:
        """Return sessions from lists of item indices, such as [[3, 1], [1, 1, 2]].

        Args:
            lists: one a session, empty ones too.

        Raises:
            ValueError: an item is no whole number.
        """
        lengths = [len(items) for items in lists]
        flat = [whole(item, "item", None) for items in lists for item in items]
        return cls(np.array(flat, np.int32), np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64))

    @classmethod
    def joined(cls, parts: Sequence[Sessions]) -> Sessions:
        """Return the sessions of several parts, one part after the other.

        Args:
            parts: one or more.
        """
        begins = np.cumsum([0, *(len(part.items) for part in parts[:-1])])
        offsets = [part.offsets[1:] + begin for part, begin in zip(parts, begins, strict=True)]
        return cls(np.concatenate([part.items for part in parts]), np.concatenate([[0], *offsets]).astype(np.int64))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, session: int) -> np.ndarray:
        if not 0 <= session < len(self):
            raise IndexError(f"session {session} of {len(self)}")
        return self.items[self.offsets[session] : self.offsets[session + 1]]

    @property
    def lengths(self) -> np.ndarray:
        """int64 [sessions], events of each."""
        return np.diff(self.offsets)

    @property
    def session_of_event(self) -> np.ndarray:
        """int64 [events], the session that each event belongs to."""
        return np.repeat(np.arange(len(self)), self.lengths)

    @property
    def position_of_event(self) -> np.ndarray:
        """int64 [events], the place of each event in its session, 1 for the first."""
        return np.arange(len(self.items)) - self.offsets[self.session_of_event] + 1

    @property
    def is_target(self) -> np.ndarray:
        """Bool [events], whether an event has one before it in its session, and so is a target."""
        target = np.ones(len(self.items), bool)
        target[self.offsets[:-1][self.lengths > 0]] = False
        return target

    def known(self, n_items: int) -> np.ndarray:
        """Bool [events], whether an event is on a track of the training index.

        Args:
            n_items: training tracks, items 0..n_items-1; others and -1 are unseen in training.
        """
        return (self.items >= 0) & (self.items < n_items)

    def check_range(self, n_items: int) -> None:
        """Check that every event is on a track of the training index, as in training sessions.

        Args:
            n_items: training tracks.

        Raises:
            ValueError: an item is below 0, or n_items or above.
        """
        wrong = self.items[~self.known(n_items)]
        if len(wrong):
            raise ValueError(f"sessions hold item {wrong[0]}, but the model has {n_items} items")

    def targets(self, chosen: np.ndarray | None = None) -> np.ndarray:
        """Bool [events], the targets among the chosen events, or all targets.

        Args:
            chosen: bool [events], or None.

        Raises:
            ValueError: `chosen` is something else.
        """
        if chosen is None:
            return self.is_target
        chosen = np.asarray(chosen)
        if (chosen.dtype, chosen.shape) != (bool, self.items.shape):
            given = f"{chosen.dtype} of shape {chosen.shape}"
            raise ValueError(f"chosen is {given}; give a mask, True or False for each of the {len(self.items)} events")
        return self.is_target & chosen

    def take(self, sessions: np.ndarray) -> Sessions:
        """Return some sessions, in the order given.

        Args:
            sessions: int [n], session numbers; or bool [sessions], a mask.
        """
        sessions = np.asarray(sessions)
        if sessions.dtype == bool:
            sessions = np.flatnonzero(sessions)
        lengths = self.lengths[sessions]
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        # An event keeps its distance from the start of its session.
        shift = np.repeat(self.offsets[:-1][sessions] - offsets[:-1], lengths)
        return Sessions(self.items[np.arange(offsets[-1]) + shift], offsets)

    def keep(self, events: np.ndarray) -> Sessions:
        """Return the sessions with only some of their events; a session may become empty.

        Args:
            events: bool [events].
        """
        kept = np.concatenate([[0], np.cumsum(events)]).astype(np.int64)
        return Sessions(self.items[events], kept[self.offsets])

    def with_next(self) -> tuple[Sessions, np.ndarray]:
        """Return the sessions with an event more at the end of each, to be predicted, and bool [events], where it is.

        The event is on no item (-1).
        """
        items = np.insert(self.items, self.offsets[1:], -1)
        is_next = np.zeros(len(items), bool)
        offsets = self.offsets + np.arange(len(self.offsets))
        is_next[offsets[1:] - 1] = True
        return Sessions(items, offsets), is_next

    def save(self, folder: Path, name: str) -> None:
        """Write <name>_items.npy and <name>_offsets.npy.

        Args:
            folder: exists.
            name: such as `train`.
        """
        folder = user_path(folder)
        np.save(folder / f"{name}_items.npy", self.items, allow_pickle=False)
        np.save(folder / f"{name}_offsets.npy", self.offsets, allow_pickle=False)

    @classmethod
    def load(cls, folder: Path, name: str) -> Sessions:
        """Return what `save` wrote, memory-mapped.

        Args:
            folder: as for `save`.
            name: as for `save`.
        """
        folder = user_path(folder)
        items, offsets = (np.load(folder / f"{name}_{part}.npy", mmap_mode="r") for part in ("items", "offsets"))
        return cls(items, offsets)


def item_index(items: pd.Series) -> pd.DataFrame:
    """Return the index of the training items: by falling plays, ties by id.

    Args:
        items: item id of each training event, text (categorical or not) or whole numbers.

    Returns:
        One row an item: item, plays.
    """
    plays = items.value_counts()
    plays = plays[plays > 0].rename("plays").rename_axis("item").reset_index()
    if isinstance(items.dtype, pd.CategoricalDtype):
        plays = plays.astype({"item": str})
    return by_falling_plays(plays)


def by_falling_plays(plays: pd.DataFrame) -> pd.DataFrame:
    """Return plays in the order of the item index: by falling plays, ties by id.

    Args:
        plays: one row an item: item, plays.
    """
    return plays.sort_values(["plays", "item"], ascending=[False, True], ignore_index=True)
