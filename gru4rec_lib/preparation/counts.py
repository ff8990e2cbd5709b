"""How many sessions, events and items are left after each step of the preparation."""

from __future__ import annotations

import numpy as np
import pandas as pd

from gru4rec_lib.data.sessions import Sessions


class Counts:
    """Sessions, events and items after every step, printed as they come.

    Args:
        table: the rows so far: step, sessions, events, items. It is left as it is; `self.table` goes on.
    """

    def __init__(self, table: pd.DataFrame):
        self.table = table[["step", "sessions", "events", "items"]].iloc[:0].copy()
        for row in table.itertuples():
            self.add_row(row.step, row.sessions, row.events, row.items)

    def add(self, step: str, events: pd.DataFrame) -> None:
        """Count what is left of the events.

        Args:
            step: what was done, in a few words.
            events: a row an event: session, item.
        """
        self.add_row(step, events["session"].nunique(), len(events), events["item"].nunique())

    def add_sessions(self, step: str, part: Sessions) -> None:
        """Count a part of the split.

        Args:
            step: the part's name.
            part: its sessions.
        """
        self.add_row(step, len(part), len(part.items), len(np.unique(part.items)))

    def add_row(self, step: str, sessions: int, events: int, items: int) -> None:
        """Take counts that are known already.

        Args:
            step: what was done, in a few words.
            sessions: how many are left.
            events: in these.
            items: different ones.
        """
        self.table.loc[len(self.table)] = [step, sessions, events, items]
        print(f"{step}: {sessions:,} sessions, {events:,} events, {items:,} items", flush=True)
