"""Encode raw features as arrays, fitted on the training items alone."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from gru4rec_lib.data.features import Features
from gru4rec_lib.data.ids import among
from gru4rec_lib.utils.checked import DataError

FAR = 1e18  # standard deviations: squares and sums of features are float32


@dataclass(frozen=True)
class RawFeatures:
    """A table of items and what its columns are.

    Args:
        items: one row an item: `item` and the feature columns.
        numeric, categorical: columns that are features of one value.
        multivalued: for each feature of many values, the columns that hold them.
        missing_indicator: whether each number that some of the training items lack has a second one, `<name> missing`,
            1 or 0.
    """

    items: pd.DataFrame | None
    numeric: tuple[str, ...] = ()
    categorical: tuple[str, ...] = ()
    multivalued: dict[str, tuple[str, ...]] = field(default_factory=dict)
    missing_indicator: bool = False


def fit_features(raw: RawFeatures, items: pd.Series, n_items: int) -> Features:
    """Standardise numbers and number the categories, fitted on the training tracks.

    Args:
        raw: features of the items.
        items: str [candidates], item ids in index order.
        n_items: training tracks, the first ones.

    Returns:
        Features of all candidates. A track without a row has value 0 (the mean) in every number and no category; a
        category unseen in training becomes value 0, *unknown*.

    Raises:
        DataError: a number is further than FAR from those of the training tracks.
    """
    from sklearn.preprocessing import StandardScaler  # slow to load, and what reads prepared arrays does without

    table = raw.items.set_index(raw.items["item"].astype(str)).reindex(items)
    numbers = table[list(raw.numeric)].to_numpy(np.float64, copy=True)
    names = list(raw.numeric)
    if raw.missing_indicator:
        is_missing = np.isnan(numbers)
        some = np.isin(is_missing[:n_items].mean(axis=0), (0, 1), invert=True)
        names += [f"{name} missing" for name, marked in zip(raw.numeric, some, strict=True) if marked]
        numbers = np.hstack([numbers, is_missing[:, some]])
    numbers[:, np.isnan(numbers[:n_items]).all(axis=0)] = 0  # no training track has this number
    scaler = StandardScaler().fit(numbers[:n_items]) if names else None
    numeric = np.nan_to_num(scaler.transform(numbers), nan=0.0) if scaler else numbers
    _check_far(numeric, numbers, names, items)
    fitted = {"numeric": names}
    if scaler:
        fitted |= {"mean": scaler.mean_.tolist(), "scale": scaler.scale_.tolist()}

    categories, sizes = {}, {}
    groups = {name: (name,) for name in raw.categorical} | dict(raw.multivalued)
    for name, columns in groups.items():
        values = table[list(columns)].astype("string")
        known = pd.Index(pd.unique(values.iloc[:n_items].to_numpy().ravel())).dropna().sort_values()
        codes = np.stack([known.get_indexer(values[c]) + 1 for c in columns], axis=1)
        categories[name] = np.where(values.isna(), -1, codes).astype(np.int32)
        sizes[name] = len(known) + 1
        fitted[name] = known.tolist()
    return Features(numeric.astype(np.float32), categories, sizes, fitted)


def add_features(features: Features, raw: RawFeatures, index: np.ndarray, items: pd.Series) -> Features:
    """Encode the features of further items as those of a trained model, with a new number for each new category.

    Args:
        features: of the candidates of the model.
        raw: of the further items, with the same numbers and categories; a row of a candidate replaces its features.
        index: int [items], the candidate of each item, -1 for a further one.
        items: str [items], ids of the new candidates.

    Returns:
        The features of all items; numbers are standardised by the training items of the model.

    Raises:
        DataError: the table has other features than the model, or a number is further than FAR from the mean.
    """
    fitted, names = dict(features.fitted), features.fitted["numeric"]
    groups = {name: (name,) for name in raw.categorical} | dict(raw.multivalued)
    indicators = {f"{name} missing": name for name in raw.numeric if f"{name} missing" in names}
    given, known = {*raw.numeric, *indicators, *groups}, {*names, *features.categories}
    if given != known:
        wrong = min(given ^ known)
        raise DataError(f"features: `{wrong}` is a feature of {'the table' if wrong in given else 'the model'} alone")
    table = raw.items.set_index(raw.items["item"].astype(str)).reindex(items)
    has_row, is_new = among(items, raw.items["item"].astype(str)), index < 0
    numbers = np.empty((len(items), len(names)))
    for column, name in enumerate(names):
        values = table[indicators.get(name, name)].to_numpy(np.float64)
        numbers[:, column] = np.isnan(values) if name in indicators else values
    scaled = numbers
    if names:
        scaled = np.nan_to_num((numbers - np.array(fitted["mean"])) / np.array(fitted["scale"]), nan=0.0)
        _check_far(np.where(has_row[:, None], scaled, 0), numbers, names, items)
    numeric = np.where(has_row[:, None], scaled, features.numeric[index]).astype(np.float32)
    numeric[is_new & ~has_row] = 0

    categories, sizes = {}, {}
    for name, columns in groups.items():
        values = table[list(columns)].astype("string")
        there = pd.Index(pd.unique(values.to_numpy().ravel())).dropna().sort_values()
        everything = pd.Index([*fitted[name], *there.difference(fitted[name])])
        found = np.stack([everything.get_indexer(values[c]) + 1 for c in columns], axis=1)
        found = np.where(values.isna(), -1, found)
        old = np.where(is_new[:, None], -1, features.categories[name][index])
        width = max(found.shape[1], old.shape[1])
        found, old = (np.pad(one, ((0, 0), (0, width - one.shape[1])), constant_values=-1) for one in (found, old))
        categories[name] = np.where(has_row[:, None], found, old).astype(np.int32)
        sizes[name], fitted[name] = len(everything) + 1, everything.tolist()
    categories = {name: categories[name] for name in features.categories}  # the order of the model's weights
    return Features(numeric, categories, {name: sizes[name] for name in categories}, fitted)


def _check_far(scaled: np.ndarray, numbers: np.ndarray, names: list[str], items: pd.Series) -> None:
    if scaled.size and max(scaled.max(), -scaled.min()) > FAR:
        row, column = np.argwhere(np.abs(scaled) > FAR)[0]
        raise DataError(
            f"feature `{names[column]}`: item `{items.iloc[row]}` has {numbers[row, column]:g}, "
            f"{scaled[row, column]:.0e} standard deviations from the mean of the items of training; correct it or "
            "leave it missing"
        )


def few_described(items: pd.Series, described: pd.Series, table: str) -> str:
    """Return a warning where less than half of the training tracks have features, else an empty text.

    Args:
        items: ids of the training tracks.
        described: ids of the tracks that have features.
        table: the table of features, for messages.

    Raises:
        DataError: no training track has features.
    """
    known = int(among(items, described).sum())
    if not known:
        problem = f"{table} holds none of the {len(items):,} items of training, such as `{items.iloc[0]}`"
        there = f"; its ids are such as `{described.iloc[0]}`" if len(described) else ""
        raise DataError(f"{problem}{there}; write ids alike in both")
    if 2 * known >= len(items):
        return ""
    return f"{table} holds {known:,} of the {len(items):,} items of training; the others have no features"
