"""Choose the test sessions, and the validation part of the others."""

from __future__ import annotations

import fnmatch
import itertools
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd

from gru4rec_lib.config.study import Split
from gru4rec_lib.data.ids import REMEDY, written_twice
from gru4rec_lib.preparation.source_files import (
    DataError,
    check_for_header,
    is_row,
    known_as,
    open_source,
    records,
    shown,
)

DAY = 86_400  # seconds
# Description of a step in the table of counts.
BOTH_SIDES = "session ids in files of training and of the test, each taken as two sessions ({:,})"


def test_sessions(events: pd.DataFrame, starts: np.ndarray, split: Split, folder: Path) -> np.ndarray:
    """Choose the test sessions.

    Args:
        events: of `readers.Tables`.
        starts: int [sessions], the first row of each.
        split: settings of the split.
        folder: the folder with the file of session ids, for a split by list.

    Returns:
        bool [sessions].

    Raises:
        DataError: no file matches, there are no times or too few days, all sessions begin at one time, or the list is
            missing or names unknown sessions.
    """
    n = len(starts)
    n_test = round(n * (split.test_fraction or 0))
    chosen = np.zeros(n, bool)
    if split.how == "by_file":
        files = events["file"].iloc[starts].astype(str)
        chosen = files.map(lambda name: is_test_file(name, split)).to_numpy(bool)
        if not chosen.any():
            names = ", ".join(sorted(files.unique()))
            raise DataError(
                f"no log file matches the split's `test: {split.test}`; correct the pattern (there: {names})"
            )
    elif split.how == "listed":
        path = folder / split.test
        if not path.is_file():
            raise DataError(f"{path}: the split's list of test sessions is missing; put it into the data folder")
        ids = events["session"].iloc[starts].astype(str)
        chosen = ids.isin(_listed_sessions(path, ids)).to_numpy()
    elif split.how == "by_time":
        if "time" not in events:
            raise DataError("the split `by_time` needs events with times; name the `time` column, or split by session")
        if split.test_days is not None:
            _, middle, end = window_of(events, split)
            at = _placed(events, starts, split)
            chosen = (middle < at) & (at <= end)
        elif n_test:
            chosen = last(_placed(events, starts, split), split.test_fraction)
    else:
        chosen[np.random.default_rng(split.seed).permutation(n)[:n_test]] = True
    return chosen


def window_of(events: pd.DataFrame, split: Split) -> tuple[float, float, float]:
    """Return the times between which a window lies, in unix seconds: (begin, middle, end).

    Training is after `begin` until `middle`, the test after `middle` until `end`.

    Args:
        events: with `time`.
        split: by time, with `test_days`. Without `train_days`, `begin` is minus infinity.

    Raises:
        DataError: the window begins more than a day before the first play.
    """
    first, newest = events["time"].min(), events["time"].max()
    if split.train_days is None:
        return -np.inf, newest - DAY * split.test_days, newest
    days = split.train_days + split.test_days
    end = newest - DAY * (split.window - 1) * days
    begin = end - DAY * days
    if begin < first - DAY:
        covered = (newest - first) / DAY
        raise DataError(
            f"window {split.window} of {split.train_days:g} + {split.test_days:g} days begins {split.window * days:g} "
            f"days before the newest play, but the plays cover {covered:.1f} days, enough for "
            f"{int((covered + 1) / days)} windows; lower `windows`, or `train_days` or `test_days` in `split`"
        )
    return begin, end - DAY * split.test_days, end


def in_window(events: pd.DataFrame, starts: np.ndarray, split: Split) -> np.ndarray:
    """Find the sessions of a window, by their start or end as `split.by` says.

    Args:
        events: of `readers.Tables`, with `time`.
        starts: int [sessions], the first row of each.
        split: by time, with `test_days`.

    Returns:
        bool [sessions].

    Raises:
        DataError: the plays do not cover the window, or it has no session for training or for the test.
    """
    begin, middle, end = window_of(events, split)
    at = _placed(events, starts, split)
    training, test = int(((begin < at) & (at <= middle)).sum()), int(((middle < at) & (at <= end)).sum())
    if not (training and test):
        side, other, until = ("training", f"{test:,} test", middle) if test else ("test", f"{training:,} training", end)
        days = split.train_days if test else split.test_days
        within = f"in the {days:g} days until" if days else "until"
        remedy = f"raise `{'train_days' if test else 'test_days'}`" if days else "lower `test_days`"
        raise DataError(
            f"window {split.window} has {other} sessions, but no {side} session {split.by}s {within} "
            f"{np.datetime64(int(np.floor(until)), 's')}; {remedy} in `split`, or lower `windows`"
        )
    return (begin < at) & (at <= end)


def _placed(events: pd.DataFrame, starts: np.ndarray, split: Split) -> np.ndarray:
    """The time by which each session is ordered: that of its first event, or of its last."""
    rows = starts if split.by == "start" else np.append(starts[1:], len(events)) - 1
    return events["time"].to_numpy(np.float64)[rows]


def is_test_file(name: str, split: Split) -> bool:
    """Return whether a split by file uses a file for testing.

    Args:
        name: path of a log file below the data folder, with `/`.
        split: by file. A pattern with `/` is matched with the path; any other with the file name, in any folder.
    """
    pattern = split.test.removeprefix("./")
    return _matches(name.split("/"), pattern.split("/") if "/" in pattern else ["**", pattern])


def _matches(parts: list[str], pattern: list[str]) -> bool:
    """Return whether each part of a path matches its part of the pattern; `**` matches any number of parts."""
    if not (parts and pattern):
        return not parts and all(one == "**" for one in pattern)
    if pattern[0] == "**" and _matches(parts[1:], pattern):
        return True
    is_first = pattern[0] != "**" and fnmatch.fnmatchcase(parts[0], pattern[0])
    return _matches(parts[1:], pattern[1:]) if is_first else pattern[0] == "**" and _matches(parts, pattern[1:])


def _listed_sessions(path: Path, ids: pd.Series) -> set[str]:
    """Return the session ids in a file with a header line; raise if one is not in the data."""
    name = str(path)
    with duckdb.connect() as con:
        source = open_source(con, path, name, set(), other=".csv")
    if not source.delimiter:
        raise DataError(f"{name}: is no text; write one session id a line below a header, as .csv or .tsv")
    header, known = source.header, set(ids)
    if len(header) == 1 and header[0] in known:
        raise DataError(f"{name}, line 1: `{header[0]}` is a session; put a header line, such as `session`, above it")
    check_for_header(source)
    columns = known_as(header, "session") if len(header) > 1 else header
    if len(columns) != 1:
        problem = f"has {len(header)} columns ({shown(', '.join(header))}), and not one known as the session"
        raise DataError(f"{name}, line 1: {problem}; keep the column of session ids alone, or call it `session`")
    place, column = header.index(columns[0]), columns[0]
    rows = [(line, cells) for line, _, cells in itertools.islice(records(source), 1, None) if cells]
    line = next((line for line, cells in rows if not is_row(source, cells)), None)
    if line:
        raise DataError(f"{name}, line {line}: has not as many cells as the header ({len(header)}); correct the line")
    unknown = [(line, cells[place]) for line, cells in rows if cells[place] not in known]
    if unknown:
        line, session = unknown[0]
        pairs = written_twice([cells[place] for _, cells in rows], ids)
        other = (dict(pairs) | {whole: text for text, whole in pairs}).get(session)
        remedy = f"`{other}` is; {REMEDY}" if other else "delete it from the list or bring back its events"
        raise DataError(
            f"{name}, line {line}, column `{column}`: session `{shown(session)}` is not in the data "
            f"({len(unknown):,} such); {remedy}"
        )
    return {cells[place] for _, cells in rows}


def validation_sessions(begins: np.ndarray, split: Split) -> np.ndarray:
    """Choose the validation part of the training sessions.

    Args:
        begins: float64 or int [n], ascending: the time of each session's first event in unix seconds, or 0..n-1 if
            there are no times.
        split: settings of the split.

    Returns:
        bool [n].

    Raises:
        DataError: `validation` is `last`, and all sessions begin at one time.
    """
    if split.validation == "last":
        return last(begins, split.validation_fraction)
    n = len(begins)
    n_held_out = max(1, round(n * split.validation_fraction))
    held_out = np.zeros(n, bool)
    held_out[np.random.default_rng([split.seed, 1]).permutation(n)[n - n_held_out :]] = True
    return held_out


def last(begins: np.ndarray, fraction: float) -> np.ndarray:
    """Choose the sessions that begin last, as close to a share of all sessions as equal times allow.

    Args:
        begins: float64 or int [n], the time of each session's first event.
        fraction: share of the sessions, 0 to 1; at least one session is chosen and at least one is not.

    Returns:
        bool [n]; sessions that begin at the same time are chosen together. A single session is not chosen.

    Raises:
        DataError: two sessions or more all begin at one time.

    >>> last(np.array([10, 20, 20, 20, 30]), 0.6).tolist()
    [False, True, True, True, True]
    """
    times, sessions = np.unique(begins, return_counts=True)
    if len(times) < 2:
        if len(begins) > 1:
            raise DataError(
                f"all {len(begins):,} sessions to cut begin at the same time, so that none of them is the last; split "
                "`by_session`, with `validation: random`, or give finer times"
            )
        return np.zeros(len(begins), bool)
    sizes, wanted = len(begins) - np.cumsum(sessions)[:-1], len(begins) * fraction
    nearest = np.lexsort((np.abs(sizes - round(wanted)), np.abs(sizes - wanted)))[0]
    return begins >= times[1:][nearest]


def crossing(begins: np.ndarray, ends: np.ndarray, later: np.ndarray, part: str, gap_days: float = 0) -> np.ndarray:
    """Find the sessions that begin before a later part and end in it; training on them would leak its period.

    Args:
        begins: float64 [n], the time of each session's first event in unix seconds.
        ends: float64 [n], the time of each session's last event.
        later: bool [n], the sessions of the later part.
        part: name of the later part, for the message.
        gap_days: length of the gap before the later part, which counts as part of its period.

    Returns:
        bool [n]: sessions outside the later part with an event in the gap, or at or after the later part's first event.

    Raises:
        DataError: all sessions that begin before the later part end in it.
    """
    found = ~later & (ends >= begins[later].min(initial=np.inf) - DAY * gap_days)
    if found.any() and (found | later).all():
        raise DataError(
            f"all {found.sum():,} sessions that begin before {part} end in it, so that none is left to learn from; "
            "split `by_session`, with `validation: random`, or cut the sessions where listening pauses"
        )
    return found


def apart(events: pd.DataFrame, split: Split | None) -> tuple[pd.DataFrame, int]:
    """Separate each session id that is in both training and test files into two sessions.

    Args:
        events: one row per event: session and file, categorical.
        split: settings of the split; the events are returned unchanged unless it is by file.

    Returns:
        (events, number of separated ids). The session in the training files is named `<id> (training)`. If there are
        such ids, rows are sorted by session; those of one session keep their order.
    """
    if split is None or split.how != "by_file":
        return events, 0
    ids, codes = events["session"].cat.categories, events["session"].cat.codes.to_numpy(np.int64)
    files = events["file"].cat
    is_test = np.array([is_test_file(name, split) for name in files.categories], bool)[files.codes]
    sides = np.zeros((len(ids), 2), bool)
    sides[codes, is_test.astype(int)] = True
    both = sides.all(axis=1)
    if not both.any():
        return events, 0
    keys, session = np.unique(2 * codes + is_test, return_inverse=True)
    names = ids.to_numpy(object)[keys // 2]
    renamed = (keys % 2 == 0) & both[keys // 2]
    mark = " (training)"
    while ids.isin(names[renamed] + mark).any():
        mark += " (training)"
    names[renamed] += mark
    order = np.argsort(session, kind="stable")
    return events.assign(session=pd.Categorical.from_codes(session, names)).iloc[order], int(both.sum())
