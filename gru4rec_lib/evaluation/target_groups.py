"""Divide test targets by position, popularity, repetition and listening context."""

from __future__ import annotations

import numpy as np
import pandas as pd

from gru4rec_lib.data.sessions import Sessions

HEARD = (1, 2, 3, 4, 5, 6, 8, 11, 16, 21, 51)  # tracks heard before the target: where ranges start
PLAYS = (0, 1, 11, 101, 1001, 10_001)  # plays of the target in training
HOURS = (0, 6, 12, 18)
LOGGED = {"context_type": "context_type", "shuffle": "hist_user_behavior_is_shuffle", "hour": "hour_of_day"}


def of_targets(targets: pd.DataFrame, test: Sessions, plays: np.ndarray, log: pd.DataFrame) -> pd.DataFrame:
    """Return every division of the targets that the data has columns for.

    Args:
        targets: session (number in the test set) and position (from 1) of each, as in a ranks.parquet.
        test: test sessions over the item index.
        plays: int [candidates], in training; 0 for candidates unseen there.
        log: the test events as read, in the order of `test.items`.

    Returns:
        One row a target, ordered categories: heard (tracks before it in its session), popularity (its plays in
        training; `cold` for none), repeat (`repeat` where its session has played it before, else `new`), and those of
        context_type, shuffle and hour that the log has.
    """
    session, position = targets["session"].to_numpy(), targets["position"].to_numpy()
    event = test.offsets[session] + position - 1
    item = test.items[event]
    plays = np.where(item >= 0, plays[item], 0)
    repeat = log.duplicated(["session", "item"]).to_numpy()[event]
    strata = {
        "heard": _ranges(position - 1, HEARD),
        "popularity": _ranges(plays, PLAYS).rename_categories({"0": "cold"}),
        "repeat": _either(repeat, "new", "repeat"),
    }
    values = {name: log[column].to_numpy()[event] for name, column in LOGGED.items() if column in log}
    if "context_type" in values:
        strata["context_type"] = pd.Categorical(values["context_type"].astype(str), ordered=True)
    if "shuffle" in values:
        strata["shuffle"] = _either(values["shuffle"], "in order", "shuffled")
    if "hour" in values:
        strata["hour"] = _ranges(values["hour"], HOURS, last=23)
    return pd.DataFrame(strata)


def _either(values: np.ndarray, no: str, yes: str) -> pd.Categorical:
    return pd.Categorical.from_codes(values.astype(int), [no, yes], ordered=True)


def _ranges(values: np.ndarray, starts: tuple[int, ...], last: int | None = None) -> pd.Categorical:
    """Name whole numbers from starts[0] on by their range: `5`, `6 to 7`, `101 or more`."""
    ends = [*(start - 1 for start in starts[1:]), last]
    names = [
        f"{start:,} or more" if end is None else f"{start:,}" if start == end else f"{start:,} to {end:,}"
        for start, end in zip(starts, ends, strict=True)
    ]
    return pd.Categorical.from_codes(np.searchsorted(starts, values, side="right") - 1, names, ordered=True)
