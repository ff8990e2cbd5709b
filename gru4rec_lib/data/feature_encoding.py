"""Raw features as arrays, fitted on the training items alone."""

from __future__ import annotations

import numpy as np
import pandas as pd
from sklearn.preprocessing import StandardScaler

from gru4rec_lib.data.features import Features
from gru4rec_lib.utils.checked import DataError

FAR = 1e18  # standard deviations: squares and sums of features are float32


def fit_features(tables, items: pd.Series, n_items: int) -> Features:
    """Standardise numbers and number the categories, fitted on the training tracks.

    Args:
        tables: has `items`, one row an item (`item` and the feature columns), and the names of its features: `numeric`,
            `categorical`, and `multivalued`, which maps each feature to its columns. Where `missing_indicator` is true,
            each number that some of the training tracks lack has a second one, `<name> missing`, 1 or 0.
        items: str [candidates], item ids in index order.
        n_items: training tracks, the first ones.

    Returns:
        Features of all candidates. A track without a row has value 0 (the mean) in every number and no category; a
        category unseen in training becomes value 0, *unknown*.

    Raises:
        DataError: a number is further than FAR from those of the training tracks.
    """
    table = tables.items.set_index(tables.items["item"].astype(str)).reindex(items)
    raw = table[list(tables.numeric)].to_numpy(np.float64, copy=True)
    names = list(tables.numeric)
    if getattr(tables, "missing_indicator", False):
        is_missing = np.isnan(raw)
        some = np.isin(is_missing[:n_items].mean(axis=0), (0, 1), invert=True)
        names += [f"{name} missing" for name, marked in zip(tables.numeric, some, strict=True) if marked]
        raw = np.hstack([raw, is_missing[:, some]])
    raw[:, np.isnan(raw[:n_items]).all(axis=0)] = 0  # no track of training has this number, so it tells nothing
    scaler = StandardScaler().fit(raw[:n_items]) if names else None
    numeric = np.nan_to_num(scaler.transform(raw), nan=0.0) if scaler else raw
    if numeric.size and max(numeric.max(), -numeric.min()) > FAR:
        row, column = np.argwhere(np.abs(numeric) > FAR)[0]
        told = f"item `{items.iloc[row]}` has {raw[row, column]:g}, {numeric[row, column]:.0e} standard deviations from"
        remedy = "the mean of the items of training; correct it or leave it missing"
        raise DataError(f"feature `{names[column]}`: {told} {remedy}")
    fitted = {"numeric": names}
    if scaler:
        fitted |= {"mean": scaler.mean_.tolist(), "scale": scaler.scale_.tolist()}

    categories, sizes = {}, {}
    groups = {name: (name,) for name in tables.categorical} | dict(tables.multivalued)
    for name, columns in groups.items():
        values = table[list(columns)].astype("string")
        known = pd.Index(pd.unique(values.iloc[:n_items].to_numpy().ravel())).dropna().sort_values()
        codes = np.stack([known.get_indexer(values[c]) + 1 for c in columns], axis=1)
        categories[name] = np.where(values.isna(), -1, codes).astype(np.int32)
        sizes[name] = len(known) + 1
        fitted[name] = known.tolist()
    return Features(numeric.astype(np.float32), categories, sizes, fitted)


def few_described(items: pd.Series, described: pd.Series, table: str) -> str:
    """Describe how few of the training tracks have features; empty where half of them and more have.

    Args:
        items: ids of the training tracks.
        described: ids of the tracks that have features.
        table: what messages call the table of features.

    Raises:
        DataError: none of the training tracks has.
    """
    known = int(items.isin(described).sum())
    if not known:
        told = f"{table} holds none of the {len(items):,} items of training, such as `{items.iloc[0]}`"
        there = f"; its ids are such as `{described.iloc[0]}`" if len(described) else ""
        raise DataError(f"{told}{there}; write ids alike in both")
    if 2 * known >= len(items):
        return ""
    return f"{table} holds {known:,} of the {len(items):,} items of training; the others have no features"
