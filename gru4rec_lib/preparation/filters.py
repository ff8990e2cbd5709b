"""Filter plays and sessions and count what each filter drops; the order is that of `config.data.Filters`."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime

import duckdb
import numpy as np
import pandas as pd

from gru4rec_lib.config.data import Filters

_DAY = 86400


def leave_out_plays(con: duckdb.DuckDBPyConnection, filters: Filters) -> list[str]:
    """Create the view `plays`: the rows of `kept` that pass the filters of single plays.

    Args:
        con: has the table or view `kept`, with `time` in unix seconds and `duration` in seconds if they are filtered.
        filters: `since`, `until`, `recent_days` and `min_seconds` are applied here.

    Returns:
        A description of each filter's step. The new table `ruled` has the rows of `kept` and the column `rule`: the
        number of the filter, from 0, that leaves a play out; NULL where none does.
    """
    rules = [*_rules(con, filters)]
    numbered = " ".join(f"WHEN {condition} THEN {n}" for n, (_, condition) in enumerate(rules))
    con.execute(f"CREATE TABLE ruled AS SELECT *, {f'CASE {numbered} END' if rules else 'NULL'} AS rule FROM kept")
    con.execute("CREATE VIEW plays AS SELECT * EXCLUDE rule FROM ruled WHERE rule IS NULL")
    found = dict(con.execute("SELECT rule, count(*) FROM ruled GROUP BY 1").fetchall())
    return [f"{step} left out ({found.get(n, 0):,})" for n, (step, _) in enumerate(rules)]


def _rules(con: duckdb.DuckDBPyConnection, filters: Filters) -> Iterator[tuple[str, str]]:
    """Yield for each filter a description of the plays that it drops, and the SQL condition that selects them."""
    in_range = []
    if filters.since:
        in_range.append((f"plays before {filters.since}", f"time < {_midnight(filters.since)!r}"))
    if filters.until == "today":
        in_range.append(("plays in the future", f"time > {datetime.now(UTC).timestamp()!r}"))
    elif filters.until:
        in_range.append((f"plays on {filters.until} and later", f"time >= {_midnight(filters.until)!r}"))
    yield from in_range
    if filters.recent_days:
        outside = " OR ".join(condition for _, condition in in_range) or "false"
        ((last,),) = con.execute(f"SELECT max(time) FROM kept WHERE NOT ({outside})").fetchall()
        days = f"{filters.recent_days:g} {'day' if filters.recent_days == 1 else 'days'}"
        yield f"plays more than {days} before the last", f"time < {(last or 0) - _DAY * filters.recent_days!r}"
    if filters.min_seconds:
        yield f"plays of less than {filters.min_seconds:g} seconds", f"duration < {filters.min_seconds!r}"


def _midnight(day: date) -> float:
    return datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()


def filter_sessions(events: pd.DataFrame, filters: Filters) -> Iterator[tuple[str, pd.DataFrame]]:
    """Apply the filters of whole sessions, items and users.

    Args:
        events: one row per event, sorted by session and order: session and item, categorical; user if users are
            filtered.
        filters: those from `merge_repeats` on are applied here.

    Yields:
        After each filter: a description of the step, and the remaining events. In the later passes of `repeat`, only
        for filters that drop events.
    """
    steps = [*_steps(filters)]
    for n_pass in range(1, len(events) + 2 if filters.repeat else 2):
        before = len(events)
        for step, is_kept in steps:
            kept = is_kept(events, filters)
            dropped = int(len(events) - kept.sum())
            events = events[kept] if dropped else events
            if n_pass == 1:
                yield f"{step} ({dropped:,})", events
            elif dropped:
                yield f"pass {n_pass}: {step} ({dropped:,})", events
        if len(events) == before:
            return


def _steps(filters: Filters):
    """Yield for each filter that is set a description, and a function that returns a mask of the events to keep."""
    if filters.merge_repeats:
        yield "repeats of the play before merged", _not_as_before
    if filters.repeats_in_session == "drop":
        yield "repeats within a session dropped", _first_in_session
    if filters.min_item_plays:
        yield f"plays of items with fewer than {filters.min_item_plays:,} dropped", _of_played_items
    if filters.max_session_events:
        done = "cut off" if filters.long_sessions == "cut" else "dropped"
        yield f"events of sessions with more than {filters.max_session_events:,} {done}", _of_short_sessions
    if filters.min_session_events:
        yield f"events of sessions with fewer than {filters.min_session_events:,} dropped", _of_long_sessions
    if filters.min_user_sessions:
        yield f"events of users with fewer than {filters.min_user_sessions:,} sessions dropped", _of_active_users


def _not_as_before(events: pd.DataFrame, filters: Filters) -> np.ndarray:
    session, item = _codes(events, "session"), _codes(events, "item")
    return (np.diff(session, prepend=-1) != 0) | (np.diff(item, prepend=-1) != 0)


def _first_in_session(events: pd.DataFrame, filters: Filters) -> np.ndarray:
    return ~events.duplicated(["session", "item"]).to_numpy()


def _of_played_items(events: pd.DataFrame, filters: Filters) -> np.ndarray:
    return _sizes(_codes(events, "item")) >= filters.min_item_plays


def _of_short_sessions(events: pd.DataFrame, filters: Filters) -> np.ndarray:
    session = _codes(events, "session")
    if filters.long_sessions == "drop":
        return _sizes(session) <= filters.max_session_events
    first = np.flatnonzero(np.diff(session, prepend=-1))
    place = np.arange(len(session)) - np.repeat(first, np.diff(first, append=len(session)))
    return place < filters.max_session_events


def _of_long_sessions(events: pd.DataFrame, filters: Filters) -> np.ndarray:
    return _sizes(_codes(events, "session")) >= filters.min_session_events


def _of_active_users(events: pd.DataFrame, filters: Filters) -> np.ndarray:
    session, user = _codes(events, "session"), _codes(events, "user")
    first = np.diff(session, prepend=-1) != 0
    return np.bincount(user[first], minlength=user.max(initial=-1) + 1)[user] >= filters.min_user_sessions


def _codes(events: pd.DataFrame, column: str) -> np.ndarray:
    return events[column].cat.codes.to_numpy(np.int64)


def _sizes(codes: np.ndarray) -> np.ndarray:
    """Return for each event the number of events with the same code."""
    return np.bincount(codes)[codes] if len(codes) else codes
