"""Cut sessions from users and times: a session ends where listening pauses."""

from __future__ import annotations

import duckdb
import numpy as np
import pandas as pd

from gru4rec_lib.config.data import EventData

_YEAR_2000 = 946684800


def _played(data: EventData) -> str:
    """The SQL of the seconds that a play lasted; 0 where unknown."""
    return "coalesce(duration, 0)" if data.duration else "0"


def _recorded(first: str) -> str:
    """The SQL of the recorded start in unix seconds, also if it is in milliseconds.

    NULL before `first` or after the end.
    """
    within = f"BETWEEN {first} AND time"
    return f"CASE WHEN start {within} THEN start WHEN start / 1000 {within} THEN start / 1000 END"


def _plausible(data: EventData) -> str:
    """The same, but NULL where the play paused for longer than the idle time, which ends a session."""
    return _recorded(f"greatest({_YEAR_2000}, time - {_played(data)} - {60 * data.idle_minutes!r})")


def in_order(con: duckdb.DuckDBPyConnection, data: EventData, columns: list[str]) -> pd.DataFrame:
    """Read the plays of `plays`, cut into sessions where a user pauses for longer than `idle_minutes`.

    A pause lasts from the end of a play to the start of the user's next one. Plays are in the order of their recorded
    times; plays of equal time are in the order of the files.

    Args:
        con: has `plays`, one row per play: row (reading order), time in unix seconds; user if there are users; duration
            in seconds (NULL if unknown) and start if the data has them.
        data: settings of the times and of `idle_minutes`.
        columns: the columns to read; user and row are among them if there are users.

    Returns:
        The plays, user by user in reading order, sorted by time, with the categorical column `session`: ids
        `<user>-<number>`, or the number if there are no users, in this order.
    """
    starts, ends = f"time - {_played(data)}", "time"
    if data.time_is == "start":
        starts, ends = "time", f"time + {_played(data)}"
    if data.start:
        starts = f"coalesce({_plausible(data)}, {starts})"
    users = ""
    if data.has_users:
        users = "JOIN (SELECT user, min(row) AS first FROM plays GROUP BY 1) USING (user)"
    order = "first, time, row" if data.has_users else "time, row"
    query = f"SELECT {', '.join(columns)}, {starts} AS starts, {ends} AS ends FROM plays {users} ORDER BY {order}"
    plays = con.sql(query).df()
    starts, ends = (plays.pop(name).to_numpy(np.float64) for name in ("starts", "ends"))
    begins = np.append(True, starts[1:] - ends[:-1] > 60 * data.idle_minutes)[: len(plays)]
    is_new = np.zeros(len(plays), bool)
    if data.has_users:
        is_new[1:] = np.diff(plays["user"].cat.codes) != 0
    begins |= is_new
    code, first = np.cumsum(begins, dtype=np.int32) - 1, np.flatnonzero(begins)
    number = np.arange(1, len(first) + 1)
    if data.has_users:
        user_begins = np.flatnonzero(np.append(True, is_new[first][1:]))
        number -= np.repeat(user_begins, np.diff(user_begins, append=len(first)))
        users = plays["user"].iloc[first].astype(str)
        names = [f"{user}-{n}" for user, n in zip(users, number, strict=True)]
    else:
        names = number.astype(str)
    plays["session"] = pd.Categorical.from_codes(code, pd.Index(names, dtype="str"))
    return plays


def starts_by_source(con: duckdb.DuckDBPyConnection, data: EventData) -> tuple[int, int, int]:
    """Count the plays of the table `plays` by the source of their start.

    Args:
        con: has `plays` with time and start, and duration in seconds if the data has it.
        data: settings of the times and of `idle_minutes`.

    Returns:
        Plays whose recorded start is used; whose recorded start is ignored because of a pause within the play; others.
    """
    sources = f"count({_plausible(data)}), count({_recorded(str(_YEAR_2000))}), count(*)"
    ((used, recorded, plays),) = con.execute(f"SELECT {sources} FROM plays").fetchall()
    return used, recorded - used, plays - recorded
