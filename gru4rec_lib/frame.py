"""Sessions and features in DataFrames to what a training reads; files of a study go through `read` and `prepare`."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd

from gru4rec_lib import times
from gru4rec_lib.features import Features
from gru4rec_lib.prepare import fit_features
from gru4rec_lib.sessions import Sessions, item_index


def index_sessions(events: pd.DataFrame, session: str, item: str, time: str) -> tuple[pd.Series, Sessions]:
    """The item index and the sessions over it; sessions of one event are left out before it is built.

    Args:
        events: one row an event, in any order.
        session: column of the session.
        item: column of the item id, text or whole numbers.
        time: column to sort by, see `times.of_column`; events of equal time stay in their order.

    Returns:
        (item ids by falling plays, the sessions in order of their first events).

    Raises:
        ValueError: a column is missing or has gaps, ids are of the wrong kind, a time cannot be read, or no session
            has two events.
    """
    for column in (session, item, time):
        _check_column(events, "events", column)
    _check_ids(events, "events", item)
    events = events[[session, item]].iloc[np.argsort(times.of_column(events, time), kind="stable")]
    code, _ = pd.factorize(events[session])  # numbered in order of the first events
    lengths = np.bincount(code)
    kept = lengths[code] > 1
    if not kept.any():
        raise ValueError(f"events: no {session!r} has two events or more, so there is nothing to learn from")
    order = np.flatnonzero(kept)[np.argsort(code[kept], kind="stable")]
    heard = events[item].iloc[order]
    items = item_index(heard)["item"]
    offsets = np.concatenate([[0], np.cumsum(lengths[lengths > 1])]).astype(np.int64)
    return items, Sessions(pd.Index(items).get_indexer(heard).astype(np.int32), offsets)


def index_features(features: pd.DataFrame, item: str, items: pd.Series) -> tuple[pd.Series, Features]:
    """The features of all candidates, fitted on the items of training.

    Args:
        features: one row an item; its columns beside the id are numeric or categorical, by their dtype.
        item: column of the item id.
        items: ids of the items of training, in index order.

    Returns:
        (ids of all candidates, those of training first, then the others by id; their features).

    Raises:
        ValueError: the column is missing or has gaps, or an item has two rows.
    """
    _check_column(features, "features", item)
    if features[item].duplicated().any():
        twice = features.loc[features[item].duplicated(), item].iloc[0]
        raise ValueError(f"features: item {twice!r} has two rows; keep one")
    if pd.api.types.is_integer_dtype(features[item]) != pd.api.types.is_integer_dtype(items):
        raise ValueError(f"features: {item!r} is of another kind than in the events; convert one of the two")
    others = features.loc[~features[item].isin(items), item].sort_values()
    candidates = pd.concat([items, others], ignore_index=True)
    columns = features.drop(columns=item)
    numeric = tuple(columns.select_dtypes("number"))
    table = SimpleNamespace(
        items=columns.assign(item=features[item]),
        numeric=numeric,
        categorical=tuple(name for name in columns if name not in numeric),
        multivalued={},
    )
    return candidates, fit_features(table, candidates.astype(str), len(items))


def _check_column(table: pd.DataFrame, name: str, column: str) -> None:
    if column not in table:
        raise ValueError(f"{name}: there is no column {column!r}; name the right one of {', '.join(map(str, table))}")
    missing = int(table[column].isna().sum())
    if missing:
        raise ValueError(f"{name}: {missing:,} rows have no {column!r}; fill or drop them")


def _check_ids(table: pd.DataFrame, name: str, column: str) -> None:
    kind = pd.api.types.infer_dtype(table[column])
    if kind not in ("string", "integer", "empty"):
        raise ValueError(f"{name}: {column!r} is {kind}, but ids are text or whole numbers; convert it by .astype(str)")
