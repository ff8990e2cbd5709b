"""Save and load a trained or fitted model as a folder of plain files, without pickle.

Every folder has the files of `network_folder`: items.parquet, config.json, perhaps labels.parquet; that of a network or
a blend also model.keras and perhaps features.json. Others are

fitted/               the sessions and features that a baseline, or those of a blend, are fitted to again
README.md, card.json  what the model was trained on and how it scored, of `gru4rec fit`
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd

from gru4rec_lib.baselines import BASELINES, Baseline
from gru4rec_lib.blending.blend import Blend
from gru4rec_lib.data.features import Features
from gru4rec_lib.data.sessions import Sessions
from gru4rec_lib.serving import network_folder
from gru4rec_lib.serving.network_folder import CONFIG, FEATURES, ITEMS, LABELS, MODEL, read, read_json
from gru4rec_lib.training.gru4rec import GRU4Rec
from gru4rec_lib.utils.arguments import user_path
from gru4rec_lib.utils.atomic_write import replacing_folder

CARD = ("README.md", "card.json")
FITTED = "fitted"
FILES = {MODEL, ITEMS, LABELS, FEATURES, CONFIG, FITTED, *CARD}
ENDS = "ends.npy"


@dataclass(frozen=True)
class Fitted:
    """What baselines are fitted to; they are fitted to it again when they are loaded.

    Args:
        sessions: over the item index.
        ends: float64 [sessions], the end of each in seconds; None: they are in order of time.
    """

    sessions: Sessions
    ends: np.ndarray | None = None


def save(
    folder: str | Path,
    model: GRU4Rec | Baseline | Blend,
    items: pd.Series,
    config: dict,
    features: Features | None = None,
    labels: pd.DataFrame | None = None,
    card: Mapping[str, str] | None = None,
    fitted: Fitted | None = None,
) -> None:
    """Write a model's folder, completely or not at all.

    Args:
        folder: to write; a model in it is replaced.
        model: trained.
        items: ids of the candidates in index order, text or whole numbers.
        config: settings of the training, plain JSON; those of a blend have `blend` too, see `blend_config`.
        features: of the candidates; not written if the model uses none.
        labels: one row per candidate in index order: item and one column per label; None if there are none.
        fitted: to which a baseline, or those of a blend, were fitted; None for a network.
        card: texts of the files of CARD, by name; None if there are none.

    Raises:
        ValueError: the folder is a file, or contains other files, which would be lost.
    """
    folder = user_path(folder).resolve()
    if folder.is_file():
        raise ValueError(f"{folder}: is a file; name a new folder")
    others = sorted({p.name for p in folder.iterdir()} - FILES) if folder.is_dir() else []
    if others:
        raise ValueError(f"{folder}: holds `{others[0]}`, which is no file of a model; name a new folder")
    with replacing_folder(folder) as place:
        network = network_of(model)
        if network is not None:
            network_folder.write_network(place, network, features)
        if fitted is not None:
            (place / FITTED).mkdir()
            fitted.sessions.save(place / FITTED, "train")
            if fitted.ends is not None:
                np.save(place / FITTED / ENDS, fitted.ends, allow_pickle=False)
            if network is None and features is not None:
                features.save(place / FITTED)
        network_folder.write_items(place, items, config, labels)
        for name, text in (card or {}).items():
            (place / name).write_text(text, encoding="utf-8")


def load(
    folder: str | Path,
) -> tuple[GRU4Rec | Baseline | Blend, pd.Series, dict, Features | None, pd.DataFrame | None, Fitted | None]:
    """Read what `save` wrote.

    Args:
        folder: of a model.

    Returns:
        (model, item ids in index order, config, features of the candidates, labels of the candidates, what baselines
        are fitted to). The features are None if the model has none or the folder has no features.json; the labels are
        None if the folder has none, and what baselines are fitted to for a network. Baselines are fitted again.

    Raises:
        FileNotFoundError: it is not the folder of a model.
        ValueError: a file cannot be read, the files belong to different models, or the folder was replaced meanwhile.
    """
    folder = user_path(folder)
    if not (folder / FITTED).is_dir():
        return *network_folder.load(folder), None
    if (folder / MODEL).is_file():
        with network_folder.unchanged(folder, ()):
            network, items, config, features, labels = network_folder.load(folder)
            fitted = read(_fitted, folder / FITTED)
            blend = read(_blend, folder / FITTED, network=network, config=config, fitted=fitted)
        return blend, items, config, features, labels, fitted
    with network_folder.unchanged(folder, (ITEMS, CONFIG)):
        fitted = read(_fitted, folder / FITTED)
        items, config, labels = network_folder.read_items(folder, fitted.sessions.items.max() + 1)
        baseline, features = read(_baseline, folder / FITTED, config=config, fitted=fitted)
    return baseline, items, config, features, labels, fitted


def network_of(model: GRU4Rec | Baseline | Blend) -> GRU4Rec | None:
    """Return the network of a model; None for a baseline.

    Args:
        model: trained or fitted.
    """
    return model.parts.network if isinstance(model, Blend) else model if isinstance(model, GRU4Rec) else None


def blend_config(blend: Blend) -> dict:
    """Return what `load` needs to fit the baselines of a blend again, plain JSON.

    Args:
        blend: fitted.
    """
    return {"weights": blend.weights, "baselines": [baseline_config(one) for one in blend.parts.baselines]}


def baseline_config(baseline: Baseline) -> dict:
    """Return what `load` needs to fit a baseline again, plain JSON.

    Args:
        baseline: fitted or not.
    """
    return {"baseline": baseline.kind, "settings": baseline.model_dump(mode="json")}


def about(folder: str | Path) -> dict[str, str]:
    """Return the name and the date of a model.

    Args:
        folder: of a model.

    Returns:
        `model`: the name in its card, or else the folder's name; `date`: when it was trained by its card, or else when
        config.json was written; ISO 8601, UTC.

    Raises:
        FileNotFoundError: there is no config.json.
        ValueError: the card cannot be read.
    """
    folder = user_path(folder).resolve()
    card = read(lambda path: dict(read_json(path)), folder / CARD[1]) if (folder / CARD[1]).is_file() else {}
    written = datetime.fromtimestamp((folder / CONFIG).stat().st_mtime, UTC).isoformat(timespec="seconds")
    return {"model": str(card.get("model", folder.name)), "date": str(card.get("trained_at", written))}


def _fitted(folder: Path) -> Fitted:
    return Fitted(Sessions.load(folder, "train"), np.load(folder / ENDS) if (folder / ENDS).is_file() else None)


def _baseline(folder: Path, config: dict, fitted: Fitted) -> tuple[Baseline, Features | None]:
    """Fit a baseline again to the sessions and features that were saved."""
    features = Features.load(folder) if (folder / FEATURES).is_file() else None
    n_items = int(fitted.sessions.items.max()) + 1
    return _new(config).fit(fitted.sessions, n_items, features, fitted.ends), features


def _blend(_: Path, network: GRU4Rec, config: dict, fitted: Fitted) -> Blend:
    """Fit the baselines of a blend again, and join them with its network."""
    blend = config["blend"]
    baselines = [_new(one).fit(fitted.sessions, network.n_items, None, fitted.ends) for one in blend["baselines"]]
    return Blend(network, baselines, blend["weights"])


def _new(config: dict) -> Baseline:
    return BASELINES[config["baseline"]](**config["settings"])
