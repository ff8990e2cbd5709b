"""Read the columns of a features DataFrame as numbers or categories; an ambiguous column must be declared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from numbers import Real

import numpy as np
import pandas as pd

from gru4rec_lib.data.feature_encoding import RawFeatures
from gru4rec_lib.data.features import NOT_CATEGORIES
from gru4rec_lib.data.ids import REMEDY, written_twice
from gru4rec_lib.utils.text import shown

_LARGEST = float(np.finfo(np.float32).max)


class _UnclearError(ValueError):
    """A column may be read in two ways."""


def feature_table(
    columns: pd.DataFrame,
    ids: pd.Series,
    numeric: str | Sequence[str] = (),
    categorical: str | Sequence[str] = (),
    separator: str | Mapping[str, str] | None = None,
    missing_indicator: bool = False,
) -> RawFeatures:
    """Read each column as numbers or as categories; a column of vectors becomes one number per dimension.

    Args:
        columns: the features, one row an item.
        ids: of the items, text or whole numbers, with the index of `columns`.
        numeric: names of columns of amounts.
        categorical: names of columns of categories.
        separator: between the categories of a cell: of all columns of text that are not in `categorical`, or of those
            named.
        missing_indicator: see `RawFeatures`.

    Returns:
        The features; one of categories is `multivalued`, with a column for each place.

    Raises:
        ValueError: a column has to be declared, is declared wrongly, or holds what is neither numbers nor categories.
    """
    columns = columns.set_axis([str(name) for name in columns], axis=1)
    numeric, categorical = (
        {named} if isinstance(named, str) else set(map(str, named)) for named in (numeric, categorical)
    )
    by_column = {str(name): split for name, split in separator.items()} if isinstance(separator, Mapping) else {}
    separators = (*by_column.values(), *(() if isinstance(separator, Mapping | None) else (separator,)))
    if wrong := [split for split in separators if not isinstance(split, str) or not split]:
        raise ValueError(
            f"separator: {wrong[0]!r} divides no text; give a text such as '|', or a mapping from features"
        )
    _check_declarations(columns, numeric, categorical, by_column)
    items, numbers, categories, unclear = {"item": ids}, [], {}, []
    for name, column in columns.items():
        if isinstance(column.dtype, pd.CategoricalDtype):
            column, is_category = column.astype(object), name not in numeric
        else:
            is_category = name in categorical
        cells = column.dropna()
        cells = cells[np.array([not (isinstance(cell, str) and cell == "") for cell in cells], bool)]
        try:
            kind = _kind(cells, ids)
            if name in by_column and kind not in ("text", ""):
                raise ValueError(f"holds {kind}, which no separator divides; leave it out of separator=")
            if kind == "lists" and not is_category and (name in numeric or _holds_numbers(cells)):
                vectors = _vectors(cells, ids, name in numeric)
                dimensions = [f"{name}_{place}" for place in range(vectors.shape[1])]
                if taken := {*dimensions} & {*columns}:
                    raise ValueError(f"becomes {min(taken)!r}, which is another column; rename one of them")
                items |= {part: vectors[n].reindex(columns.index) for n, part in enumerate(dimensions)}
                numbers += dimensions
                continue
            if name in numeric or (kind == "numbers" and not is_category):
                items[name] = _numbers(column, cells, kind, ids, name in numeric).reindex(columns.index)
                numbers.append(name)
                continue
            of_text = separator if isinstance(separator, str) and name not in categorical else None
            split = by_column.get(name, of_text)
            values = _values(cells, kind, ids, is_category, split, name in by_column)
            if pairs := written_twice(values.explode()):
                raise ValueError(f"holds `{pairs[0][0]}` and `{pairs[0][1]}`; {REMEDY}")
            if name in NOT_CATEGORIES:
                raise ValueError("holds categories and is called as a part of the features' record; rename the column")
        except _UnclearError as error:
            unclear.append(f"{name!r} ({error})")
            continue
        except ValueError as error:
            raise ValueError(f"features: column {name!r} {error}") from None
        places = range(max([1, *map(len, values)]))
        categories[name] = tuple(f"{name}\0{place}" for place in places)  # no name of a column
        for place, part in zip(places, categories[name], strict=True):
            items[part] = values.map(lambda found, place=place: found[place] if place < len(found) else None)
    if unclear:
        remedy = "declare each by numeric=, categorical= or separator="
        raise ValueError(f"features: columns may be read in two ways: {', '.join(unclear)}; {remedy}")
    return RawFeatures(pd.DataFrame(items), tuple(numbers), (), categories, missing_indicator)


def _check_declarations(columns: pd.DataFrame, numeric: set, categorical: set, by_column: dict) -> None:
    if columns.columns.empty:
        raise ValueError("features: there is no column beside the id; give one a feature, or leave features out")
    if columns.columns.has_duplicates:
        twice = columns.columns[columns.columns.duplicated()][0]
        raise ValueError(f"features: column {twice!r} is there twice; rename one of them")
    if "item" in columns:
        raise ValueError("features: a feature cannot be called 'item', as the ids of the items are; rename the column")
    for argument, names in (("numeric", numeric), ("categorical", categorical), ("separator", by_column)):
        for name in names:
            if name not in columns:
                there = ", ".join(columns)
                raise ValueError(f"{argument}: there is no feature {name!r}; name columns of features ({there})")
    if both := sorted(numeric & {*categorical, *by_column}):
        raise ValueError(f"numeric: {both[0]!r} is named as a column of categories too; name it once")


def _kind(cells: pd.Series, ids: pd.Series) -> str:
    """Return what all cells hold: numbers, text, truth values or lists; empty where there is no cell."""
    if pd.api.types.is_numeric_dtype(cells) and not pd.api.types.is_bool_dtype(cells) and cells.dtype.kind != "c":
        return "numbers"
    first = {}  # the first cell of each kind
    for kind in cells.map(type).unique() if cells.dtype == object else {type(cell) for cell in cells.iloc[:1]}:
        found = next(place for place, cell in cells.items() if cells.dtype != object or type(cell) is kind)
        first.setdefault(_name(kind), found)
    cell = {kind: f"{kind} ({shown(repr(cells[place]), 60)} of item `{ids[place]}`)" for kind, place in first.items()}
    if len(cell) > 1:
        raise ValueError(f"mixes {' and '.join(cell.values())}; write all of its cells in one way")
    kind = next(iter(cell), "")
    if kind not in ("numbers", "text", "truth values", "lists", ""):
        raise ValueError(f"holds {cell[kind]}; convert it to numbers, text or lists of text")
    return kind


def _name(kind: type) -> str:
    if issubclass(kind, bool | np.bool_):
        return "truth values"
    if issubclass(kind, Real | Decimal) and not issubclass(kind, np.timedelta64):
        return "numbers"
    if issubclass(kind, str):
        return "text"
    return "lists" if issubclass(kind, list | tuple | set | frozenset | np.ndarray) else kind.__name__


def _numbers(column: pd.Series, cells: pd.Series, kind: str, ids: pd.Series, is_declared: bool) -> pd.Series:
    numbers = cells.map(_number).astype("float64") if cells.dtype == object or kind == "text" else cells.astype(float)
    wrong = ~(numbers.abs() <= _LARGEST)
    if wrong.any():
        place = wrong.idxmax()
        problem = f"has `{shown(str(cells[place]), 60)}` in item `{ids[place]}`"
        raise ValueError(f"{problem}; give a finite number below 3e38, or leave it missing")
    # A float column without gaps holds amounts; with gaps, pandas has made it of an integer column.
    is_float = pd.api.types.is_float_dtype(column.dtype) and len(cells) == len(column)
    if not is_declared and not is_float and len(numbers) and (numbers % 1 == 0).all():
        raise _UnclearError("whole numbers, amounts or codes")
    return numbers


def _holds_numbers(cells: pd.Series) -> bool:
    """Whether the first element of the first list that is not empty is a number."""
    first = next((one for cell in cells for one in cell), None)
    return first is not None and _name(type(first)) == "numbers"


def _vectors(cells: pd.Series, ids: pd.Series, is_declared: bool) -> pd.DataFrame:
    """Return lists of numbers side by side: float64, one row for each cell."""
    length, vectors = None, []
    for place, cell in cells.items():
        if isinstance(cell, set | frozenset):
            raise ValueError(f"holds a set in item `{ids[place]}`, whose numbers have no order; give lists")
        if isinstance(cell, np.ndarray) and cell.ndim != 1:
            raise ValueError(f"holds an array of {cell.ndim} dimensions in item `{ids[place]}`; give lists of numbers")
        is_array = isinstance(cell, np.ndarray) and cell.dtype.kind in "iuf"
        vectors.append(cell.astype(np.float64) if is_array else np.array([*map(_number, cell)], np.float64))
        wrong = ~(np.abs(vectors[-1]) <= _LARGEST)
        if not is_array:
            wrong |= np.array([_name(type(one)) != "numbers" for one in cell], bool)
        if wrong.any():
            problem = f"has `{shown(str(list(cell)[wrong.argmax()]), 60)}` in the list of item `{ids[place]}`"
            raise ValueError(f"{problem}; give finite numbers below 3e38, or leave the whole list missing")
        length = (len(cell), ids[place]) if length is None else length
        if len(cell) != length[0] or not length[0]:
            problem = f"holds lists of {length[0]} (item `{length[1]}`) and {len(cell)} numbers (item `{ids[place]}`)"
            raise ValueError(f"{problem}; give vectors of one length, or name codes in categorical=")
    vectors = pd.DataFrame(np.stack(vectors), cells.index) if vectors else pd.DataFrame(index=cells.index)
    if not is_declared and (vectors % 1 == 0).all(axis=None):
        raise _UnclearError("lists of whole numbers, vectors or codes")
    return vectors


def _number(cell) -> float:
    try:
        return float(cell)
    except (ValueError, TypeError, OverflowError):
        return np.nan


def _values(cells, kind: str, ids: pd.Series, is_category: bool, separator: str | None, is_split: bool) -> pd.Series:
    """Return the categories of each cell, a list of texts."""
    if kind == "lists":
        return pd.Series(
            [_elements(cell, ids[place], is_category) for place, cell in cells.items()], cells.index, object
        )
    if kind == "text":
        if separator and (is_split or cells.str.contains(separator, regex=False).any()):
            return cells.map(lambda text: [part for part in map(str.strip, text.split(separator)) if part])
        if not is_category:
            _check_text(cells)
    return cells.map(lambda cell: [_text(cell)]).astype(object)


def _elements(cell, item, is_category: bool) -> list[str]:
    if isinstance(cell, np.ndarray) and cell.ndim != 1:
        raise ValueError(f"holds an array of {cell.ndim} dimensions in item `{item}`; give lists of text")
    cell = sorted(cell, key=str) if isinstance(cell, set | frozenset) else list(cell)
    kinds = {_name(type(one)) for one in cell if one is not None}
    if kinds - {"text", "numbers"}:
        raise ValueError(f"holds lists of {min(kinds - {'text', 'numbers'})} in item `{item}`; give lists of text")
    there = [one for one in cell if not (one is None or one != one or one == "")]
    if not is_category and any(not isinstance(one, str) for one in there):
        raise ValueError(f"holds a list of text and numbers in item `{item}`; write all of its elements in one way")
    return [_text(one) for one in there]


def _text(cell) -> str:
    """Return a category as text; a whole number has no decimals, whatever type its column has."""
    if isinstance(cell, str | bool | np.bool_):
        return str(cell)
    return str(int(cell)) if cell % 1 == 0 else str(cell)


def _check_text(cells: pd.Series) -> None:
    """Check that texts are not numbers, and that no cell may hold several categories."""
    texts = cells.drop_duplicates()
    if pd.to_numeric(texts, errors="coerce").notna().all():
        raise _UnclearError(f"text that reads as numbers, such as {texts.iloc[0]!r}")
    for separator in "|;,/":
        several = texts[texts.str.contains(separator, regex=False)]
        if several.empty:
            continue
        # A comma or a slash may be part of a name; it separates where a part is in two texts.
        parts = texts.str.split(separator, regex=False).map(lambda parts: {part.strip() for part in parts})
        if separator in "|;" or parts.explode().value_counts().drop("", errors="ignore").max() > 1:
            raise _UnclearError(f"{several.iloc[0]!r}, one category or several with the separator {separator!r}")
