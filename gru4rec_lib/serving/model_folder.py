"""Save and load a trained model as a folder of plain files, without training data and without pickle.

model.keras     network, weights, features of the candidates, plays in training
items.parquet   item: one id per row, in index order
features.json   names, means, scales and categories to encode raw features, if the model has any
config.json     settings of the training
"""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pandas as pd

from gru4rec_lib.data.features import Features
from gru4rec_lib.training.gru4rec import GRU4Rec
from gru4rec_lib.utils.arguments import user_path
from gru4rec_lib.utils.atomic_write import replacing_folder
from gru4rec_lib.utils.backend import keras

MODEL, ITEMS, FEATURES, CONFIG = "model.keras", "items.parquet", "features.json", "config.json"


def save(folder: str | Path, model: GRU4Rec, items: pd.Series, config: dict, features: Features | None = None) -> None:
    """Write a model's folder, completely or not at all.

    Args:
        folder: to write; a model in it is replaced.
        model: trained.
        items: ids of the candidates in index order, text or whole numbers.
        config: settings of the training, plain JSON.
        features: of the candidates; not written if the model uses none.

    Raises:
        ValueError: the folder is a file, or contains other files, which would be lost.
    """
    folder = user_path(folder).resolve()
    if folder.is_file():
        raise ValueError(f"{folder}: is a file; name a new folder")
    others = sorted({p.name for p in folder.iterdir()} - {MODEL, ITEMS, FEATURES, CONFIG}) if folder.is_dir() else []
    if others:
        raise ValueError(f"{folder}: holds `{others[0]}`, which is no file of a model; name a new folder")
    with replacing_folder(folder) as place:
        model.save(place / MODEL)
        items.rename("item").to_frame().to_parquet(place / ITEMS, index=False)
        if model.features is not None and features is not None:
            (place / FEATURES).write_text(json.dumps(features.fitted, indent=1), encoding="utf-8")
        (place / CONFIG).write_text(json.dumps(config, indent=1), encoding="utf-8")


def load(folder: str | Path) -> tuple[GRU4Rec, pd.Series, dict, Features | None]:
    """Read what `save` wrote.

    Args:
        folder: of a model.

    Returns:
        (model, item ids in index order, config, features of the candidates). The features are None if the model has
        none or the folder has no features.json.

    Raises:
        FileNotFoundError: it is not the folder of a model.
        ValueError: a file cannot be read, or the files belong to different models.
    """
    folder = user_path(folder)
    for name in (MODEL, ITEMS, CONFIG):
        if not (folder / name).is_file():
            raise FileNotFoundError(
                f"{folder / name}: there is no such file; name a folder that `Recommender.save` or a study's run wrote"
            )
    model = _read(keras.saving.load_model, folder / MODEL, compile=False)
    items = _read(pd.read_parquet, folder / ITEMS, columns=["item"])["item"]
    if len(items) < max(model.item_input.n_inputs, model.scorer.n_scored):
        raise ValueError(
            f"{folder / ITEMS}: has {len(items):,} items, too few for the model beside it; restore the file that was "
            "saved with it"
        )
    has_features = model.features is not None and (folder / FEATURES).is_file()
    features = model.features.features(_read(_json, folder / FEATURES)) if has_features else None
    return model, items, _read(_json, folder / CONFIG), features


def _json(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))


def _read(reader, path: Path, **options):
    try:
        return reader(path, **options)
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path}: cannot be read ({str(error).splitlines()[0]}); save the model again") from error
