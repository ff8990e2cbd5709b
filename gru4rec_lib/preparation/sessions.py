"""Cut sessions from users and times: a session ends where listening pauses."""

from __future__ import annotations

import duckdb

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


def cut(con: duckdb.DuckDBPyConnection, data: EventData) -> None:
    """Cut the table `plays` into sessions where a user pauses for longer than `idle_minutes`.

    A pause lasts from the end of a play to the start of the user's next one. Plays are in the order of their recorded
    times; plays of equal time are in the order of the files.

    Args:
        con: has `plays`, one row per play: row (reading order), time in unix seconds; user if there are users; duration
            in seconds (NULL if unknown) and start if the data has them. The columns `session_user` and
            `session_number` (1.. for each user, in order of time) are added.
        data: settings of the times and of `idle_minutes`.
    """
    seconds = _played(data)
    starts, ends = f"time - {seconds}", "time"
    if data.time_is == "start":
        starts, ends = "time", f"time + {seconds}"
    if data.start:
        starts = f"coalesce({_plausible(data)}, {starts})"
    users = "user" if data.has_users else "1"
    con.execute(
        f"""CREATE TABLE cut AS
        WITH timed AS (
            SELECT *, {users} AS session_user, {starts} AS starts, {ends} AS ends FROM plays
        ), spaced AS (
            SELECT *, starts - lag(ends) OVER listening > {60 * data.idle_minutes!r} AS is_pause FROM timed
            WINDOW listening AS (PARTITION BY session_user ORDER BY time, row)
        )
        SELECT * EXCLUDE (starts, ends, is_pause),
            CAST(1 + count(*) FILTER (is_pause) OVER listening AS INTEGER) AS session_number
        FROM spaced
        WINDOW listening AS (PARTITION BY session_user ORDER BY time, row ROWS UNBOUNDED PRECEDING)"""
    )
    con.execute("DROP TABLE plays")
    con.execute("ALTER TABLE cut RENAME TO plays")


def name(con: duckdb.DuckDBPyConnection, has_users: bool) -> None:
    """Give each session of the table `plays` an id: `<user>-<number>`, or the number if there are no users.

    Args:
        con: has `plays` as written by `cut`. The column `session` is added, an ENUM: users in reading order, and the
            sessions of each user in order of time.
        has_users: whether there are users.
    """
    text = "session_user || '-' || session_number" if has_users else "CAST(session_number AS VARCHAR)"
    con.execute(
        f"""CREATE TYPE session_value AS ENUM (
            WITH users AS (SELECT session_user, min(row) AS first FROM plays GROUP BY 1),
            numbers AS (SELECT DISTINCT session_user, session_number FROM plays)
            SELECT {text} FROM numbers JOIN users USING (session_user) ORDER BY first, session_number
        )"""
    )
    con.execute(
        f"""CREATE TABLE named AS SELECT * EXCLUDE (session_user, session_number),
        CAST({text} AS session_value) AS session FROM plays"""
    )
    con.execute("DROP TABLE plays")
    con.execute("ALTER TABLE named RENAME TO plays")


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
