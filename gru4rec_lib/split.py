"""Which sessions are for testing, and which of the others are held out for validation."""

from __future__ import annotations

import fnmatch
import itertools
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd

from gru4rec_lib.config import Split
from gru4rec_lib.sources import DataError, check_for_header, is_row, known_as, open_source, records, shown


def test_sessions(events: pd.DataFrame, starts: np.ndarray, split: Split, folder: Path) -> np.ndarray:
    """Choose the test sessions.

    Args:
        events: of `read.Tables`.
        starts: int [sessions], the first row of each.
        split: how.
        folder: where a listed split's file of session ids lies.

    Returns:
        Bool [sessions].

    Raises:
        DataError: no file matches, there are no times, or the list is missing or names unknown sessions.
    """
    n = len(starts)
    n_test = round(n * (split.test_fraction or 0))
    chosen = np.zeros(n, bool)
    if split.how == "by_file":
        files = events["file"].iloc[starts].astype(str)
        chosen = files.map(lambda name: is_test_file(name, split)).to_numpy(bool)
        if not chosen.any():
            names = ", ".join(sorted(files.unique()))
            raise DataError(f"no log file matches the split's `test: {split.test}`; mend the pattern (there: {names})")
    elif split.how == "listed":
        path = folder / split.test
        if not path.is_file():
            raise DataError(f"{path}: the split's list of test sessions is missing; put it into the data folder")
        ids = events["session"].iloc[starts].astype(str)
        chosen = ids.isin(_listed_sessions(path, ids)).to_numpy()
    elif split.how == "by_time":
        if "time" not in events:
            raise DataError("the split `by_time` needs events with times; name the `time` column, or split by session")
        order = np.argsort(events["time"].to_numpy()[starts], kind="stable")
        chosen[order[n - n_test :]] = True
    else:
        chosen[np.random.default_rng(split.seed).permutation(n)[:n_test]] = True
    return chosen


def is_test_file(name: str, split: Split) -> bool:
    """Whether a split by file puts a file into the test.

    Args:
        name: path of a log file below the data folder, with `/`.
        split: by file. Its pattern is one of paths where it holds `/`, and of names in any folder where not.
    """
    pattern = split.test.removeprefix("./")
    return _matches(name.split("/"), pattern.split("/") if "/" in pattern else ["**", pattern])


def _matches(parts: list[str], pattern: list[str]) -> bool:
    """Whether each part of a path matches its part of the pattern; `**` stands for any number of parts."""
    if not (parts and pattern):
        return not parts and all(one == "**" for one in pattern)
    if pattern[0] == "**" and _matches(parts[1:], pattern):
        return True
    is_first = pattern[0] != "**" and fnmatch.fnmatchcase(parts[0], pattern[0])
    return _matches(parts[1:], pattern[1:]) if is_first else pattern[0] == "**" and _matches(parts, pattern[1:])


def _listed_sessions(path: Path, ids: pd.Series) -> set[str]:
    """The session ids of a file with a header line, all of them being sessions of the data."""
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
        told = f"has {len(header)} columns ({shown(', '.join(header))}), and not one known as the session"
        raise DataError(f"{name}, line 1: {told}; keep the column of session ids alone, or call it `session`")
    place, column = header.index(columns[0]), columns[0]
    rows = [(line, cells) for line, _, cells in itertools.islice(records(source), 1, None) if cells]
    line = next((line for line, cells in rows if not is_row(source, cells)), None)
    if line:
        raise DataError(f"{name}, line {line}: has not as many cells as the header ({len(header)}); correct the line")
    unknown = [(line, cells[place]) for line, cells in rows if cells[place] not in known]
    if unknown:
        line, session = unknown[0]
        raise DataError(
            f"{name}, line {line}, column `{column}`: session `{shown(session)}` is not in the data "
            f"({len(unknown):,} such); delete it from the list or bring back its events"
        )
    return {cells[place] for _, cells in rows}


def validation_sessions(n: int, split: Split) -> np.ndarray:
    """Choose the validation part of the training sessions.

    Args:
        n: training sessions.
        split: how.

    Returns:
        Bool [n], in the order of training.
    """
    n_held_out = max(1, round(n * split.validation_fraction))
    held_out = np.zeros(n, bool)
    order = np.arange(n) if split.validation == "last" else np.random.default_rng([split.seed, 1]).permutation(n)
    held_out[order[n - n_held_out :]] = True
    return held_out
