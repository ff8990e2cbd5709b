"""Save and load a trained network as a folder of plain files, without training data and without pickle.

model.keras     network, weights, features of the candidates, plays in training
items.parquet   item: one id per row, in index order
labels.parquet  item and one column per label, if there are any; one row per item, in index order
features.json   names, means, scales and categories to encode raw features, if the model has any
config.json     settings of the training

`model_folder` saves baselines and blends too. A run of a study has a network alone, so that a change of the blends does
not train it again.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from os.path import samestat
from pathlib import Path

import pandas as pd

from gru4rec_lib.data.features import Features
from gru4rec_lib.training.gru4rec import GRU4Rec
from gru4rec_lib.utils.arguments import user_path
from gru4rec_lib.utils.atomic_write import replacing_folder
from gru4rec_lib.utils.backend import keras

MODEL, ITEMS, FEATURES, CONFIG = "model.keras", "items.parquet", "features.json", "config.json"
LABELS = "labels.parquet"


def save(
    folder: Path,
    network: GRU4Rec,
    items: pd.Series,
    config: dict,
    features: Features | None = None,
    labels: pd.DataFrame | None = None,
) -> None:
    """Write a network's folder, completely or not at all; replace what is in it.

    Args:
        folder: to write.
        network: trained.
        items: ids of the candidates in index order, text or whole numbers.
        config: settings of the training, plain JSON.
        features: of the candidates; not written if the network uses none.
        labels: one row per candidate in index order: item and one column per label; None if there are none.
    """
    with replacing_folder(folder) as place:
        write_network(place, network, features)
        write_items(place, items, config, labels)


def load(folder: str | Path) -> tuple[GRU4Rec, pd.Series, dict, Features | None, pd.DataFrame | None]:
    """Read what `save` wrote.

    Args:
        folder: of a network.

    Returns:
        (network, item ids in index order, config, features of the candidates, labels of the candidates). The features
        are None if the network has none or the folder has no features.json, the labels if the folder has none.

    Raises:
        FileNotFoundError: it is not the folder of a network.
        ValueError: a file cannot be read, the files belong to different models, or the folder was replaced meanwhile.
    """
    folder = user_path(folder)
    with unchanged(folder, (MODEL, ITEMS, CONFIG)):
        network = read(keras.saving.load_model, folder / MODEL, compile=False)
        least = max(network.item_input.n_inputs, network.scorer.n_scored)
        items, config, labels = read_items(folder, least)
        has_features = network.features is not None and (folder / FEATURES).is_file()
        features = network.features.features(read(read_json, folder / FEATURES)) if has_features else None
    return network, items, config, features, labels


def write_network(folder: Path, network: GRU4Rec, features: Features | None) -> None:
    """Write MODEL, and FEATURES if the network has any.

    Args:
        folder: exists.
        network: trained.
        features: of the candidates.
    """
    network.save(folder / MODEL)
    if network.features is not None and features is not None:
        (folder / FEATURES).write_text(json.dumps(features.fitted, indent=1), encoding="utf-8")


def write_items(folder: Path, items: pd.Series, config: dict, labels: pd.DataFrame | None) -> None:
    """Write ITEMS, CONFIG, and LABELS if there are any.

    Args:
        folder: exists.
        items: ids of the candidates in index order.
        config: plain JSON.
        labels: as for `save`.
    """
    items.rename("item").to_frame().to_parquet(folder / ITEMS, index=False)
    if labels is not None:
        labels.to_parquet(folder / LABELS, index=False)
    (folder / CONFIG).write_text(json.dumps(config, indent=1), encoding="utf-8")


def read_items(folder: Path, least: int) -> tuple[pd.Series, dict, pd.DataFrame | None]:
    """Read what `write_items` wrote.

    Args:
        folder: of a model.
        least: number of items that the model beside them needs.

    Raises:
        ValueError: a file cannot be read, or the files belong to different models.
    """
    items = read(pd.read_parquet, folder / ITEMS, columns=["item"])["item"]
    config = read(read_json, folder / CONFIG)
    if len(items) < least:
        raise ValueError(
            f"{folder / ITEMS}: has {len(items):,} items, too few for the model beside it; restore the file that was "
            "saved with it"
        )
    labels = read(pd.read_parquet, folder / LABELS) if (folder / LABELS).is_file() else None
    if labels is not None and not (items.equals(labels.get("item")) and labels.columns.is_unique):
        raise ValueError(
            f"{folder / LABELS}: belongs to other items than {ITEMS}; restore the file that was saved with it"
        )
    return items, config, labels


@contextmanager
def unchanged(folder: Path, needed: Iterable[str]) -> Iterator[None]:
    """Check that a model's folder has all files, and that it is not replaced while the block reads it.

    Args:
        folder: of a model.
        needed: names of files.

    Raises:
        FileNotFoundError: a file is missing.
        ValueError: the folder was replaced.
    """
    for name in needed:
        if not (folder / name).is_file():
            raise FileNotFoundError(
                f"{folder / name}: there is no such file; name a folder that `Recommender.save` or a study's run wrote"
            )
    before = folder.stat()
    yield
    if not samestat(before, folder.stat()):
        raise ValueError(f"{folder}: was replaced while it was read; load it again")


def read_json(path: Path) -> dict:
    """Return the contents of a JSON file.

    Args:
        path: of the file.
    """
    return json.loads(path.read_text(encoding="utf-8"))


def read(reader, path: Path, **options):
    """Call `reader(path, **options)`; an unreadable file is one clear error.

    Args:
        reader: a function.
        path: of the file.
        options: named arguments of the reader.

    Raises:
        ValueError: the file cannot be read.
    """
    try:
        return reader(path, **options)
    except (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        problem = next(iter(str(error).splitlines()), type(error).__name__)
        raise ValueError(f"{path}: cannot be read ({problem}); save the model again") from error
