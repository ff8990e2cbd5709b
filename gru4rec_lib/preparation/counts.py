"""Count sessions, events and items after each step of the preparation."""

from __future__ import annotations

import numpy as np
import pandas as pd

from gru4rec_lib.data.sessions import Sessions


class Counts:
    """A table of sessions, events and items after each step; each row is also printed.

    Args:
        table: the rows so far: step, sessions, events, items. It is copied to `self.table`, which gets the new rows.
    """

    def __init__(self, table: pd.DataFrame):
        self.table = table[["step", "sessions", "events", "items"]].iloc[:0].copy()
        for row in table.itertuples():
            self.add_row(row.step, row.sessions, row.events, row.items)

    def add(self, step: str, events: pd.DataFrame) -> None:
        """Add a row for a table of events.

        Args:
            step: description of the step.
            events: the remaining events, one row each: session, item, categorical.
        """
        self.add_row(step, n_distinct(events["session"]), len(events), n_distinct(events["item"]))

    def add_sessions(self, step: str, part: Sessions) -> None:
        """Add a row for a part of the split.

        Args:
            step: name of the part.
            part: its sessions.
        """
        self.add_row(step, len(part), len(part.items), len(np.unique(part.items)))

    def add_described(self, described: np.ndarray, training: Sessions, test: Sessions) -> None:
        """Add the training plays and the test targets whose item has features, with their share.

        Args:
            described: bool [candidates], the items with features.
            training: all training sessions.
            test: test sessions; an item of -1 is no candidate and has no features.
        """
        described = np.append(described, False)  # -1 selects the appended False
        for step, part, counted in (
            ("training: plays", training, np.ones(len(training.items), bool)),
            ("test: targets", test, test.is_target),
        ):
            found = counted & described[part.items]
            share = f"{found.sum() / max(counted.sum(), 1):.1%}"
            items, sessions = (len(np.unique(of[found])) for of in (part.items, part.session_of_event))
            self.add_row(f"{step} of items with features ({share})", sessions, int(found.sum()), items)

    def add_row(self, step: str, sessions: int, events: int, items: int) -> None:
        """Add a row of known counts.

        Args:
            step: description of the step.
            sessions: number of remaining sessions.
            events: number of their events.
            items: number of distinct items.
        """
        self.table.loc[len(self.table)] = [step, sessions, events, items]
        print(f"{step}: {sessions:,} sessions, {events:,} events, {items:,} items", flush=True)


def n_distinct(values: pd.Series) -> int:
    """Count the categories that occur.

    Args:
        values: categorical, without missing values.
    """
    return int(np.count_nonzero(np.bincount(values.cat.codes)))
