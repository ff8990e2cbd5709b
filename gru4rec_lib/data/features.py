"""Item features as plain arrays: standardised numbers and lists of categories."""

from __future__ import annotations

import json
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

    def take(self, index: np.ndarray) -> Features:
        """Return the features of some candidates, or of all in another order.

        Args:
            index: int [n], their numbers.
        """
        categories = {name: ids[index] for name, ids in self.categories.items()}
        return replace(self, numeric=self.numeric[index], categories=categories)

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
