"""Sessions cut from users and times: one ends where listening pauses."""

from __future__ import annotations

import duckdb

from gru4rec_lib.config.data import EventData

# A recorded start counts from 2000 on; of a number of milliseconds a thousandth does.
_YEAR_2000 = 946684800
_PLAUSIBLE = f"""CASE
    WHEN start BETWEEN {_YEAR_2000} AND time THEN start
    WHEN start / 1000 BETWEEN {_YEAR_2000} AND time THEN start / 1000
END"""


def cut(con: duckdb.DuckDBPyConnection, data: EventData) -> None:
    """Cut the table `plays` into sessions where so much time passes between two plays of a user.

    The time between is from the end of a play to the start of the next one; where they overlap there is none. Plays of
    a user are in the order of their recorded times, and in that of the files where these are equal.

    Args:
        con: has `plays`, a row a play: row (reading order), time in unix seconds; user where there are users; duration
            in seconds (NULL where it is not known) and start where the data has them. It gets the columns
            `session_user` and `session_number` (1.. for each user, in order of time).
        data: how plays are timed.
    """
    seconds = "coalesce(duration, 0)" if data.duration else "0"
    starts, ends = f"time - {seconds}", "time"
    if data.time_is == "start":
        starts, ends = "time", f"time + {seconds}"
    if data.start:
        starts = f"coalesce({_PLAUSIBLE}, {starts})"
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
    """Give each session of the table `plays` an id, `<user>-<number>`, or the number alone of a single listener.

    Args:
        con: has `plays` as `cut` leaves it. It gets the column `session`, an ENUM: users in reading order, and the
            sessions of each in order of time.
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


def starts_by_source(con: duckdb.DuckDBPyConnection) -> tuple[int, int]:
    """Count the plays of the table `plays` with a plausible recorded start, and the others.

    Args:
        con: has `plays` with time and start.
    """
    ((recorded, plays),) = con.execute(f"SELECT count({_PLAUSIBLE}), count(*) FROM plays").fetchall()
    return recorded, plays - recorded
