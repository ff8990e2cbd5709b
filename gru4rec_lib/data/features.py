"""Item features as plain arrays: standardised numbers and lists of categories."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from gru4rec_lib.utils.arguments import user_path

NOT_CATEGORIES = ("numeric", "mean", "scale")  # keys of `Features.fitted` beside the names of the categories


@dataclass(frozen=True)
class Features:
    """Features of every candidate track, in the order of the item index.

    Args:
        numeric: float32 [candidates, F], standardised on the training tracks (mean 0, standard deviation 1); 0 where
            a value is missing.
        categories: for each categorical or multi-valued feature int32 [candidates, m], value numbers: 0 is a value
            unseen in training, 1.. are the known ones, -1 is padding.
        sizes: for each of these features the number of values, 0 included.
        fitted: names, means, scales and category lists, to encode further tracks; plain JSON.
    """

    numeric: np.ndarray
    categories: dict[str, np.ndarray] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    fitted: dict = field(default_factory=dict)

    @property
    def spec(self) -> dict:
        """The shapes, from which a model is built before its weights are loaded."""
        return {
            "candidates": len(self.numeric),
            "numeric": self.numeric.shape[1],
            "categories": {name: [self.sizes[name], ids.shape[1]] for name, ids in self.categories.items()},
        }

    def check_items(self, n_items: int) -> None:
        """Check that every training track has features.

        Args:
            n_items: training tracks.

        Raises:
            ValueError: there are fewer candidates.
        """
        if len(self.numeric) < n_items:
            raise ValueError(f"features have {len(self.numeric)} rows for {n_items} items; give one for each item")

    def take(self, index: np.ndarray) -> Features:
        """Return the features of some candidates, or of all in another order.

        Args:
            index: int [n], their numbers.
        """
        categories = {name: ids[index] for name, ids in self.categories.items()}
        return replace(self, numeric=self.numeric[index], categories=categories)

    def only(self, columns: Iterable[str]) -> Features:
        """Return the features that come from some columns of the item table, in the same order.

        Args:
            columns: names as a study declares them. A column of numbers has its missing indicator with it, a column of
                vectors all of their numbers.

        Raises:
            ValueError: no feature comes from a column.
        """
        numbers, names = self._of(columns)
        fitted = {name: self.fitted[name] for name in names if name in self.fitted}
        of_numbers = ("numeric", "mean", "scale") if len(numbers) else ("numeric",)
        fitted |= {key: [self.fitted[key][n] for n in numbers] for key in of_numbers if key in self.fitted}
        categories = {name: self.categories[name] for name in names}
        return Features(self.numeric[:, numbers], categories, {name: self.sizes[name] for name in names}, fitted)

    def permuted(self, columns: Iterable[str], order: np.ndarray) -> Features:
        """Return the features with the values of some columns exchanged among the first candidates.

        Args:
            columns: as for `only`; all of them are exchanged together.
            order: int [n], a permutation of 0..n-1: candidate i gets the values of candidate order[i].

        Raises:
            ValueError: as `only`.
        """
        numbers, names = self._of(columns)
        numeric, n = np.array(self.numeric), len(order)
        numeric[:n, numbers] = self.numeric[np.ix_(order, numbers)]
        exchanged = {name: np.concatenate([self.categories[name][order], self.categories[name][n:]]) for name in names}
        return replace(self, numeric=numeric, categories=self.categories | exchanged)

    def _of(self, columns: Iterable[str]) -> tuple[list[int], list[str]]:
        """The places of the numbers, and the names of the categories, that come from some columns."""
        wanted = {*columns}
        place = {name: n for n, name in enumerate(self.fitted.get("numeric", []))}

        def sources(name: str) -> set[str]:
            indicated = name.removesuffix(" missing")
            name = indicated if indicated in place else name
            vector, _, n = name.rpartition("_")
            first = place.get(f"{vector}_0")
            # The numbers of a vector follow each other; another column may have such a name elsewhere.
            is_of_vector = first is not None and n.isdecimal() and place[name] == first + int(n)
            return {name} | ({vector} - place.keys() - self.categories.keys() if is_of_vector else set())

        of = {n: sources(name) & wanted for name, n in place.items()}
        categories = [name for name in self.categories if name in wanted]
        if unknown := sorted(wanted.difference(categories, *of.values())):
            raise ValueError(f"no feature comes from the column `{unknown[0]}`")
        return [n for n, columns in of.items() if columns], categories

    def save(self, folder: Path) -> None:
        """Write features.json and one .npy a feature group.

        Args:
            folder: exists.
        """
        folder = user_path(folder)
        np.save(folder / "features_numeric.npy", self.numeric, allow_pickle=False)
        for number, ids in enumerate(self.categories.values()):
            np.save(folder / f"features_category_{number}.npy", ids, allow_pickle=False)
        text = json.dumps({"sizes": self.sizes, "fitted": self.fitted}, indent=1)
        (folder / "features.json").write_text(text, encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Features:
        """Return what `save` wrote, memory-mapped.

        Args:
            folder: as for `save`.
        """
        folder = user_path(folder)
        record = json.loads((folder / "features.json").read_text(encoding="utf-8"))
        categories = {
            name: np.load(folder / f"features_category_{number}.npy", mmap_mode="r")
            for number, name in enumerate(record["sizes"])
        }
        numeric = np.load(folder / "features_numeric.npy", mmap_mode="r")
        return cls(numeric, categories, record["sizes"], record["fitted"])
