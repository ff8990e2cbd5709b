"""Labels of items, such as artist and title: texts to display, and to look items up by."""

from __future__ import annotations

import re
from collections import defaultdict
from functools import cached_property

import pandas as pd

from gru4rec_lib.data.ids import among
from gru4rec_lib.utils.text import shown

SEPARATOR = " \N{MIDDLE DOT} "  # between the labels of an item
SHOWN = 5  # candidates named in a message
_DASH = re.compile(r"\s[-\u2013\u2014\u00b7|]\s")


def names(labels: pd.DataFrame) -> pd.Series:
    """Write the labels of each item as one text that names no other item.

    Args:
        labels: one row an item: item (id) and a column a label (NA where missing).

    Returns:
        The texts by id, such as `Miles Davis · So What`. The id follows where items share their labels, and stands
        alone where an item has none.
    """
    texts = [labels[label].fillna("").str.split().str.join(" ") for label in labels.columns.drop("item")]
    joined = [SEPARATOR.join(filter(None, row)) for row in zip(*texts, strict=True)] if texts else ""
    found = pd.Series(joined, index=labels["item"].astype(str), dtype="str")
    ids = found.index.to_series()
    found = found.where(found != "", ids)
    # Again where a label looks like a label with an id.
    while (is_shared := (found.duplicated(keep=False) | among(found, ids)) & (found != ids)).any():
        found = found.mask(is_shared, found + " (" + ids + ")")
    return found


class Names:
    """Look up items by their names.

    Args:
        items: ids in index order, text or whole numbers.
        labels: one row an item, in the order of `items`: item and a column a label (NA where missing); None if there
            are no labels: the ids are the names.
    """

    def __init__(self, items: pd.Series, labels: pd.DataFrame | None = None):
        self._items = items
        self._labels = items.rename("item").to_frame() if labels is None else labels

    @cached_property
    def texts(self) -> list[str]:
        """The name of each item in index order; see `names`."""
        return names(self._labels).tolist()

    def candidates(self, text: str) -> list[int]:
        """Return the places of the items that a text may name.

        Args:
            text: an id or a name; else all labels of an item, in order or reversed, such as `Artist - Title` or
                `Title - Artist`; else a single label. Case and spaces do not count, except in ids.

        Returns:
            Places in index order; more than one if the text is ambiguous, none if it names no item.
        """
        by_text, by_labels, by_label = self._lookup
        return (
            by_text.get(text)
            or by_text.get(text.strip())
            or by_labels.get(_key(text))
            or by_label.get(_key(text))
            or []
        )

    def find(self, text: str):
        """Return the id of the item that a text names.

        Args:
            text: see `candidates`.

        Raises:
            ValueError: it names no item, or several.
        """
        found = self.candidates(text)
        if len(found) == 1:
            return self._items.iloc[found].tolist()[0]
        if not found:
            raise ValueError(f"no item is called `{shown(text)}`; give an id or a name such as `{self.texts[0]}`")
        there = ", ".join(f"`{self.texts[place]}`" for place in found[:SHOWN]) + (", ..." if found[SHOWN:] else "")
        raise ValueError(f"`{shown(text)}` may be {len(found):,} items: {there}; give one of these names or an id")

    @cached_property
    def _lookup(self) -> tuple[dict[str, list[int]], ...]:
        """Places by id or name, by all labels, and by a single label."""
        by_text, by_labels, by_label = defaultdict(list), defaultdict(list), defaultdict(list)
        for place, both in enumerate(zip(self._items.astype(str), self.texts, strict=True)):
            for text in {*both}:
                by_text[text].append(place)
        columns = [self._labels[label].fillna("") for label in self._labels.columns.drop("item")]
        for place, row in enumerate(zip(*columns, strict=True)):
            keys = [*filter(None, map(_key, row))]
            for key in {" ".join(keys), " ".join(keys[::-1])}:
                by_labels[key].append(place)
            for key in {*keys}:
                by_label[key].append(place)
        by_labels.pop("", None)
        return by_text, by_labels, by_label


def _key(text: str) -> str:
    """Return a text without case, repeated spaces and dashes between words."""
    return " ".join(_DASH.sub(" ", f" {text} ").casefold().split())
