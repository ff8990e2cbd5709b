"""Copy the weights of a trained model into one with more items, to continue training."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from gru4rec_lib.data.dataframes import check_kind
from gru4rec_lib.data.ids import among
from gru4rec_lib.training.gru4rec import GRU4Rec


def grown_items(
    model: GRU4Rec, items: pd.Series, played: pd.Series, described: pd.Series | None = None
) -> tuple[pd.Series, int]:
    """Add the items of further sessions to the item index of a model.

    Args:
        model: trained.
        items: ids of its candidates in index order.
        played: ids in the further sessions, each once.
        described: ids of further items that have features; None if there are none.

    Returns:
        (ids of the candidates: the training items in their order, then the new ones of `played`, then the others;
        the new number of training items).

    Raises:
        ValueError: ids are of another kind; or the model uses features and an item has none.
    """
    check_kind(played, items, "events", "item", "the model's")
    candidates = items if described is None else pd.concat([items, described[~among(described, items)].sort_values()])
    without = played[~among(played, candidates)]
    if model.features is not None and len(without):
        raise ValueError(f"events: the model uses features, and has none of item {without.iloc[0]!r}; give `features`")
    trained, others = items.iloc[: model.n_items], candidates.iloc[model.n_items :]
    trained = pd.concat([trained, played[~among(played, trained)]], ignore_index=True)
    return pd.concat([trained, others[~among(others, trained)]], ignore_index=True), len(trained)


def grow(
    model: GRU4Rec, index: np.ndarray, n_items: int, build: Callable[[int], GRU4Rec], keeps_features: bool = True
) -> GRU4Rec:
    """Return a compiled model with the weights of another.

    Rows of new training items and of new categories keep their initial weights.

    Args:
        model: trained; it is not changed.
        index: int [candidates of the new model], the index of each in the old model, -1 for new ones.
        n_items: number of training items of the new model, the first of the candidates.
        build: function that returns, for a number of items, a compiled model that otherwise equals `model`.
        keeps_features: whether the features are those of `model`; else those of the new model are kept.

    Returns:
        The new model.
    """
    found = build(n_items)
    layers = (found.scorer, found.item_input)
    of_items = {id(getattr(layer, name, None)) for layer in layers for name in ("table", "bias", "plays")}
    of_candidates = {id(variable) for variable in (found.features.weights if found.features else ())}
    first = index[:n_items]
    trained = (first >= 0) & (first < model.n_items)
    for old, new in zip(model.weights, found.weights, strict=True):
        value, begun = old.numpy(), new.numpy()
        if id(new) in of_candidates:
            begun = value[index] if keeps_features else begun
        elif id(new) in of_items:
            begun[trained] = value[first[trained]]
        else:
            begun[: len(value)] = value  # more rows are of new categories
        new.assign(begun)
    return found
