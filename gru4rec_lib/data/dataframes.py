"""Sessions and features from DataFrames; files of a study go through `readers` and `prepare` instead."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection, Mapping, Sequence
from numbers import Real
from typing import NamedTuple

import numpy as np
import pandas as pd

from gru4rec_lib.data import times
from gru4rec_lib.data.columns import BESIDE_LABELS
from gru4rec_lib.data.feature_columns import feature_table
from gru4rec_lib.data.feature_encoding import add_features, few_described, fit_features
from gru4rec_lib.data.features import Features
from gru4rec_lib.data.ids import REMEDY, among, written_twice
from gru4rec_lib.data.sessions import Sessions, item_index


class Indexed(NamedTuple):
    """Sessions of two events or more, and the index of their items.

    Args:
        items: ids by falling plays.
        sessions: over these items, in order of their first events.
        ends: float64 [sessions], the times of their last events in seconds.
        names: of the sessions.
    """

    items: pd.Series
    sessions: Sessions
    ends: np.ndarray
    names: pd.Index


def index_sessions(events: pd.DataFrame, session: str, item: str, time: str) -> Indexed:
    """Build the item index and the sessions over it; sessions of one event are left out first.

    Args:
        events: one row an event, in any order.
        session: column of the session.
        item: column of the item id, text or whole numbers.
        time: column to sort by, see `times.of_column`; events of equal time stay in their order.

    Raises:
        ValueError: a column, an id or a time is wrong, or no session has two events.
    """
    names, ids, offsets, at = ordered_sessions(events, session, item, time, stacklevel=5)
    lengths = np.diff(offsets)
    kept = lengths > 1
    if not kept.any():
        raise ValueError(f"events: no {session!r} has two events or more, so there is nothing to learn from")
    played, ends = ids[np.repeat(kept, lengths)], times.as_seconds(at[offsets[1:][kept] - 1])
    items = item_index(played)["item"]
    offsets = np.concatenate([[0], np.cumsum(lengths[kept])]).astype(np.int64)
    sessions = Sessions(pd.Index(items).get_indexer(played).astype(np.int32), offsets)
    return Indexed(items, sessions, ends, names[kept])


def ordered_sessions(
    events: pd.DataFrame, session: str, item: str, time: str, stacklevel: int = 4
) -> tuple[pd.Index, pd.Series, np.ndarray, np.ndarray]:
    """Put the events of each session together, in order of time.

    Args:
        events: see `index_sessions`, as the columns.
        session: see there.
        item: see there.
        time: see there.
        stacklevel: see `times.of_column`.

    Returns:
        (the sessions in order of their first events, the item ids of their events, int64 [sessions + 1] where each
        session begins, their times as of `times.of_column`).

    Raises:
        ValueError: a column, an id or a time is wrong.
    """
    if len({session, item, time}) < 3:
        raise ValueError("events: session, item and time should be three different columns; name each once")
    for column in (session, item, time):
        _check_column(events, "events", column)
    _check_sessions(events, session)
    ids = _ids(events, "events", item)
    at = times.of_column(events, time, stacklevel)
    order = np.argsort(at, kind="stable")
    code, sessions = pd.factorize(events[session].iloc[order])  # numbered in order of the first events
    order = order[np.argsort(code, kind="stable")]
    offsets = np.concatenate([[0], np.cumsum(np.bincount(code))]).astype(np.int64)
    return pd.Index(sessions), ids.iloc[order], offsets, at[order]


def index_features(
    features: pd.DataFrame,
    item: str,
    items: pd.Series,
    numeric: str | Sequence[str] = (),
    categorical: str | Sequence[str] = (),
    separator: str | Mapping[str, str] | None = None,
    missing_indicator: bool = False,
) -> tuple[pd.Series, Features]:
    """Fit the features of all candidates on the training items.

    Args:
        features: one row an item; every column beside the id is a feature.
        item: column of the item id.
        items: ids of the training items, in index order.
        numeric: see `feature_columns.feature_table`, as `categorical` and `separator`.
        categorical: see there.
        separator: see there.
        missing_indicator: see there.

    Returns:
        (ids of all candidates, those of training first, then the others by id; their features).

    Raises:
        ValueError: a column or an id is wrong or has to be declared; an item has two rows, or no training item has one.
    """
    ids = _ids_of_rows(features, "features", item, items)
    columns = features.drop(columns=item).reset_index(drop=True)
    table = feature_table(columns, ids, numeric, categorical, separator, missing_indicator)
    if few := few_described(items, ids, "the features table"):
        warnings.warn(few, UserWarning, stacklevel=3)
    candidates = pd.concat([items, ids[~among(ids, items)].sort_values()], ignore_index=True)
    return candidates, fit_features(table, candidates.astype(str), len(items))


def extend_features(
    table: pd.DataFrame,
    item: str,
    items: pd.Series,
    features: Features,
    separator: str | Mapping[str, str] | None = None,
    categorical: Collection[str] = (),
) -> tuple[pd.Series, Callable[[np.ndarray, pd.Series], Features]]:
    """Read features of further items for a trained model.

    Args:
        table: one row an item; every column beside the id is a feature of the model.
        item: column of the item id.
        items: ids of the candidates of the model, in index order.
        features: of these candidates.
        separator: see `index_features`; it divides no other columns than those of categories.
        categorical: names of columns that a separator of all columns does not divide.

    Returns:
        (ids of the table; a function that returns the features of candidates, see `feature_encoding.add_features`,
        from their index in the model, -1 for new ones, and their ids).

    Raises:
        ValueError: a column or an id is wrong, or an item has two rows.
    """
    ids = _ids_of_rows(table, "features", item, items)
    columns = table.drop(columns=item).reset_index(drop=True).rename(columns=str)
    names, categories = {*features.fitted["numeric"]}, [str(name) for name in columns if name in features.categories]
    numbers = [str(name) for name in columns if {str(name), f"{name}_0"} & names and name not in features.categories]
    if isinstance(separator, str):
        texts = {n for n in categories if np.any(columns[n].map(lambda cell: isinstance(cell, str)))}
        separator = dict.fromkeys(texts - {*categorical}, separator)
    divided = {*map(str, separator)} if isinstance(separator, Mapping) else set()
    raw = feature_table(columns, ids, numbers, {*categories} - divided, separator)
    return ids, lambda index, candidates: add_features(features, raw, index, candidates.astype(str))


def index_labels(labels: pd.DataFrame, item: str, items: pd.Series) -> pd.DataFrame:
    """Return the labels of all candidates in index order.

    Args:
        labels: one row an item; every column beside the id is a label, a text. Other items may have rows too.
        item: column of the item id.
        items: ids of the candidates, in index order.

    Returns:
        One row a candidate: `item` and the labels as text, NA where there is none.

    Raises:
        ValueError: a column or an id is wrong, a label is no text, an item has two rows, or no candidate has one.
    """
    ids = _ids_of_rows(labels, "labels", item, items)
    found = labels.drop(columns=item).set_axis(pd.Index(ids), axis=0)
    if found.columns.empty:
        raise ValueError("labels: there is no column beside the id; give one a label, or leave labels out")
    for name in found:
        _check_label(found, name)
    if not among(items, ids).any():
        raise ValueError(f"labels: none of the items, such as {_first(items)}, has a row; write ids alike in both")
    found = found.reindex(items).astype("str")
    return found.where(found.map(lambda text: bool(str(text).strip()))).rename_axis("item").reset_index()


def _check_label(labels: pd.DataFrame, name) -> None:
    if not isinstance(name, str) or name in BESIDE_LABELS:
        raise ValueError(f"labels: a label cannot be called {name!r}; rename the column")
    if (labels.columns == name).sum() > 1:
        raise ValueError(f"labels: column {name!r} is there twice; rename one of them")
    cells = labels[name].dropna()
    wrong = cells[[not isinstance(cell, str) for cell in cells]]
    if len(wrong):
        problem = f"labels: column {name!r} has {wrong.tolist()[0]!r} at item {wrong.index.tolist()[0]!r}"
        raise ValueError(f"{problem}, which is no text; convert the column by .astype('string')")


def _ids_of_rows(table: pd.DataFrame, name: str, column: str, items: pd.Series) -> pd.Series:
    """Return the ids of a table with one row an item, of the same kind as `items`."""
    ids = _ids(table, name, column).reset_index(drop=True)
    if ids.duplicated().any():
        raise ValueError(f"{name}: item {_first(ids[ids.duplicated()])} has two rows; keep one")
    check_kind(ids, items, name, column, "in the events")
    return ids


def check_kind(ids: pd.Series, known: pd.Series, name: str, column: str, place: str) -> None:
    """Check that ids are of the same kind as the known ones.

    Args:
        ids: text or whole numbers.
        known: as `ids`.
        name: the table of `ids`, for messages.
        column: their column.
        place: where the known ones are, for messages: `in the events`.

    Raises:
        ValueError: text on one side, whole numbers on the other; or one id is written in two ways.
    """
    if pd.api.types.is_integer_dtype(ids) != pd.api.types.is_integer_dtype(known):
        problem = f"{name}: {column!r} is of another kind than {place}, such as {_first(known)}"
        raise ValueError(f"{problem}; convert one of the two")
    _check_forms(name, column, ids, known)


def _first(ids: pd.Series) -> str:
    return ", ".join(map(repr, ids.iloc[:1].tolist()))


def _check_column(table: pd.DataFrame, name: str, column: str) -> None:
    if column not in table:
        raise ValueError(f"{name}: there is no column {column!r}; name the right one of {', '.join(map(str, table))}")
    if (table.columns == column).sum() > 1:
        raise ValueError(f"{name}: column {column!r} is there twice; rename one of them")
    missing = int(table[column].isna().sum())
    if missing:
        raise ValueError(f"{name}: {missing:,} rows have no {column!r}; fill or drop them")


def _check_sessions(events: pd.DataFrame, column: str) -> None:
    """Check that no session is split because its id is 1 in some rows and "1" or "1.0" in others."""
    ids = pd.Series(events[column].unique(), dtype=object)
    kinds = {_kind(kind) for kind in ids.map(type).unique()}
    if len(kinds) > 1:
        problem = f"events: {column!r} holds ids of several types ({', '.join(sorted(kinds))})"
        raise ValueError(f"{problem}; convert it by .astype(str)")
    if kinds == {"text"}:
        _check_text(ids, "events", column)


def _kind(kind: type) -> str:
    return "number" if issubclass(kind, Real) else "text" if issubclass(kind, str) else kind.__name__


def _ids(table: pd.DataFrame, name: str, column: str) -> pd.Series:
    """Return the ids of a column as int64 or as text."""
    _check_column(table, name, column)
    ids = table[column]
    if isinstance(ids.dtype, pd.CategoricalDtype):
        ids = ids.astype(ids.cat.categories.dtype)
    kind = pd.api.types.infer_dtype(ids)
    if kind in ("string", "empty"):
        ids = ids.astype("str")
        _check_text(ids, name, column)
        return ids
    if kind == "integer" and ids.between(-(1 << 63), (1 << 63) - 1).all():
        return ids.astype("int64")
    is_whole = kind in ("floating", "mixed-integer-float", "decimal") and (ids.astype("float64") % 1 == 0).all()
    remedy = '.str.decode("utf-8")' if kind == "bytes" else '.astype("int64")' if is_whole else ".astype(str)"
    given = "beyond 2^63" if kind == "integer" else kind
    raise ValueError(f"{name}: {column!r} is {given}, but ids are text or whole numbers; convert it by {remedy}")


def _check_text(ids: pd.Series, name: str, column: str) -> None:
    """Check that texts are ids: none is empty, and none is written in two ways."""
    empty = int((ids.str.strip() == "").sum())
    if empty:
        raise ValueError(f"{name}: {empty:,} rows have no {column!r}; fill or drop them")
    _check_forms(name, column, ids)


def _check_forms(name: str, column: str, *ids: pd.Series) -> None:
    is_text = not any(pd.api.types.is_integer_dtype(one) for one in ids)
    if is_text and (pairs := written_twice(*ids)):
        problem = f"{name}: {column!r}: {pairs[0][0]!r} is {pairs[0][1]!r} in other rows"
        raise ValueError(f"{problem}; {REMEDY} (ids written in two ways: {len(pairs):,})")
