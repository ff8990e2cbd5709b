"""Which sessions are for testing, and which of the others are held out for validation."""

from __future__ import annotations

import fnmatch
from pathlib import Path

import numpy as np
import pandas as pd

from gru4rec_lib.config import Split
from gru4rec_lib.ids import REMEDY, written_twice
from gru4rec_lib.sources import DataError


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
    """Whether a split by file puts a file of this name into the test.

    Args:
        name: of a log file, without its folder.
        split: by file.
    """
    return fnmatch.fnmatch(name, split.test)


def _listed_sessions(path: Path, ids: pd.Series) -> pd.Series:
    """The first column of a file with a header line, all of its values being sessions of the data."""
    try:
        listed = pd.read_csv(path, dtype=str, keep_default_na=False).iloc[:, 0]
    except ValueError as error:
        raise DataError(f"{path}: cannot be read ({error}); write one session id a line below a header") from None
    if listed.name in set(ids):
        raise DataError(f"{path}, line 1: `{listed.name}` is a session; put a header line, such as `session`, above it")
    unknown = listed[~listed.isin(ids)]
    if len(unknown):
        pairs = written_twice(listed, ids)
        other = (dict(pairs) | {whole: text for text, whole in pairs}).get(unknown.iloc[0])
        remedy = f"`{other}` is; {REMEDY}" if other else "delete it from the list or bring back its events"
        raise DataError(
            f"{path}, line {unknown.index[0] + 2}, column `{listed.name}`: session `{unknown.iloc[0]}` is not in the "
            f"data ({len(unknown)} such); {remedy}"
        )
    return listed


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
