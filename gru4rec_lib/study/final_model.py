"""Train or fit the model of a study that validation chose on all sessions, test included, for use."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd

from gru4rec_lib import __version__
from gru4rec_lib.baselines import Baseline
from gru4rec_lib.blending.blend import Blend
from gru4rec_lib.blending.session_weights import of_json
from gru4rec_lib.config.data import MssdData
from gru4rec_lib.config.study import CUTOFF, ConfigError, Run
from gru4rec_lib.data.features import Features
from gru4rec_lib.data.sessions import Sessions, item_index
from gru4rec_lib.data.times import date_time
from gru4rec_lib.evaluation.comparison import PARTS
from gru4rec_lib.evaluation.statistics import SCORES, SessionSums, intervals
from gru4rec_lib.preparation import readers
from gru4rec_lib.preparation.prepare import candidates, encode, sessions_of
from gru4rec_lib.serving import model_folder
from gru4rec_lib.serving.recommender import Recommender
from gru4rec_lib.study.baseline_runs import is_saved
from gru4rec_lib.study.tables import ON_VALIDATION, finished_runs, lead
from gru4rec_lib.study.workspace import Workspace
from gru4rec_lib.training.build import build
from gru4rec_lib.training.gru4rec import GRU4Rec
from gru4rec_lib.training.settings import FitSettings
from gru4rec_lib.utils.checked import check
from gru4rec_lib.utils.rounding import with_interval


def fit(place: Workspace, folder: Path, name: str = "") -> Recommender:
    """Train or fit a finished model of the study on all sessions, and save it with a model card.

    A network keeps the settings and the number of epochs of its run, a blend its weights. The item index, the features
    and the labels are of all sessions of two events or more.

    Args:
        place: the study's workspace.
        folder: to write; a model in it is replaced.
        name: of a run, such as `shared-cross_entropy-seed1`, a baseline or a blend; if empty, the model that leads on
            validation in both scores together, see `tables.lead`.

    Returns:
        The recommender, as `Recommender.load` reads it.

    Raises:
        ConfigError: the study has no finished run, no finished model has this name, or the study is prepared log by
            log.
        DataError: the raw files are wrong or missing.
    """
    study = place.study
    if isinstance(study.data, MssdData) and study.data.shards:
        raise ConfigError(f"{study.name}: is prepared log by log, so its sessions are not read at once; omit `shards`")
    finished = finished_models(place)
    name = name or lead(finished).idxmax()
    if name not in finished.index:
        raise ConfigError(f"{study.name}: no finished model is called `{name}`; name {', '.join(finished.index)}")
    best = finished.loc[name]

    data = _everything(place)
    print(f"{name}: {len(data.sessions):,} sessions, {data.n_items:,} items", flush=True)
    model, config, fitted = BY_KIND[best["kind"]](place, best["folder"], data)
    card = _card(place, name, best, config, data)
    texts = {"README.md": _text(card), "card.json": json.dumps(card, indent=1)}
    uses = model_folder.network_of(model) is not None or model.needs_features
    features = data.features if uses else None
    if features and config.get("features"):  # the columns that a network uses
        features = features.only(config["features"])
    model_folder.save(folder, model, data.items["item"], config, features, data.labels, texts, fitted)
    return Recommender.load(folder)


def finished_models(place: Workspace) -> pd.DataFrame:
    """List the finished runs, baselines and blends of a study.

    Args:
        place: the study's workspace.

    Returns:
        One row a model by the name of its folder: kind (`network`, `baseline` or `blend`), ON_VALIDATION (of a blend on
        the targets that chose its weights), folder.

    Raises:
        ConfigError: no run is finished.
    """
    study, runs = place.study, finished_runs(place)
    if runs.empty:
        raise ConfigError(f"{study.name}: no run is finished; first: make reproduce STUDY={place.given}")
    rows = [("network", *row) for row in runs[[*ON_VALIDATION, "folder"]].itertuples(index=False)]
    others = [("baseline", place.baseline_folder(one.name)) for one in study.baselines]
    others += [("blend", place.blend_folder(one.name, seed)) for one in study.blends for seed in study.blend_seeds]
    for kind, path in others:
        if is_saved(path):
            scores = pd.read_csv(path / "validation.csv")[["val_recall_at_20", "val_mrr_at_20"]].iloc[0]
            rows.append((kind, *scores, path))
    return pd.DataFrame(rows, columns=["kind", *ON_VALIDATION, "folder"], index=[path.name for *_, path in rows])


@dataclass(frozen=True)
class Everything:
    """All sessions of two events or more of a study, over an index of their items.

    Args:
        events: one row per event.
        sessions: over the item index.
        ends: float64 [sessions], the time of each session's last event in seconds; None if unknown.
        items: one row per candidate: item, plays.
        n_items: number of items that were played, the first of the candidates.
        features: of the candidates, or None.
        labels: one row per candidate, or None.
    """

    events: pd.DataFrame
    sessions: Sessions
    ends: np.ndarray | None
    items: pd.DataFrame
    n_items: int
    features: Features | None
    labels: pd.DataFrame | None


def _everything(place: Workspace) -> Everything:
    tables = readers.read(place.study.data, place.raw, place.study.split)
    code, starts = sessions_of(tables.events)
    lengths = np.bincount(code, minlength=len(starts))
    long = lengths > 1
    if not long.any():
        raise ConfigError(f"{place.raw}: no session has two events, so there is nothing to learn from")
    events = tables.events[long[code]]
    played = item_index(events["item"])
    items, features = candidates(played, tables)
    order, ends = np.flatnonzero(long), None
    if "time" in tables.events:
        times = tables.events["time"].to_numpy(np.float64)
        order = order[np.argsort(times[starts[order]], kind="stable")]  # as in preparation: `shuffle: false` keeps it
        ends = times[(starts + lengths - 1)[order]]
    sessions = encode(tables.events, starts, items).take(order)
    labels = None if tables.labels is None else tables.labels.set_index("item").reindex(items["item"]).reset_index()
    return Everything(events, sessions, ends, items, len(played), features, labels)


def _network(_: Workspace, folder: Path, data: Everything) -> tuple[GRU4Rec, dict, None]:
    """Train a run again, for its best number of epochs."""
    record = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    fields = {name: record[name] for name in Run.model_fields if name in record}
    run = check(Run, fields, folder / "config.json")
    training = run.training.model_copy(update={"max_epochs": record["best_epoch"]})
    model = build(run, data.n_items, run.used(data.features))
    model.fit(data.sessions, training.max_epochs, **training.part(FitSettings))
    return model, run.model_copy(update={"training": training}).model_dump(mode="json"), None


def _baseline(place: Workspace, folder: Path, data: Everything) -> tuple[Baseline, dict, model_folder.Fitted]:
    one = next(one for one in place.study.baselines if one.name == folder.name)
    model = one.model_copy().fit(data.sessions, data.n_items, data.features, data.ends)
    return model, model_folder.baseline_config(one), model_folder.Fitted(data.sessions, data.ends)


def _blend(place: Workspace, folder: Path, data: Everything) -> tuple[Blend, dict, model_folder.Fitted]:
    record = json.loads((folder / "blend.json").read_text(encoding="utf-8"))
    run = next(run for run in place.study.runs if run.name == record["network"])
    network, config, _ = _network(place, place.run_folder(run), data)
    baselines = [_baseline(place, place.baseline_folder(name), data)[0] for name in record["of"]]
    model = Blend(network, baselines, of_json(record["weights"]))
    config |= {"blend": model_folder.blend_config(model)}
    return model, config, model_folder.Fitted(data.sessions, data.ends)


BY_KIND = {"network": _network, "baseline": _baseline, "blend": _blend}


def _card(place: Workspace, name: str, best: pd.Series, config: dict, data: Everything) -> dict:
    """Return the model card as plain JSON."""
    events, plays = data.events, data.items["plays"]
    times = [events["time"].min(), events["time"].max()] if "time" in events else []
    return {
        "study": place.study.name,
        "title": place.title,
        "model": name,
        "kind": best["kind"],
        "trained_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "version": __version__,
        "simulated": place.is_simulated,
        "sessions": int(events["session"].nunique()),
        "events": len(events),
        "items": int((plays > 0).sum()),
        "items_without_plays": int((plays == 0).sum()),
        "first_and_last_event": [date_time(time) for time in times],
        "epochs": config["training"]["max_epochs"] if "training" in config else None,
        **{name: float(best[name]) for name in ON_VALIDATION},
        "test": _test_scores(best["folder"], CUTOFF),
        "settings": config,
    }


def _test_scores(folder: Path, k: int) -> list[dict]:
    """Return the test scores of a run with 95 % intervals: an entry for each protocol and score."""
    table, found = pd.read_parquet(folder / "ranks.parquet"), []
    for protocol in ("known", "open"):
        part = PARTS[protocol](table)
        if part.empty:
            continue
        sums = SessionSums.of(part["session"].to_numpy(), [part[["rank"]].to_numpy()], k, None)
        low, high = (side[0, 0] for side in intervals(sums))
        for number, score in enumerate(SCORES):
            values = sums.scores[0, 0, number], low[number], high[number]
            names = {"protocol": protocol, "score": f"{score}_at_{k}", "targets": len(part)}
            found.append(names | dict(zip(("value", "low", "high"), map(float, values), strict=True)))
    return found


def _text(card: dict) -> str:
    """Return the model card as Markdown."""
    rows = [
        f"| {one['protocol']} | {one['score']} | {with_interval(*(one[name] for name in ('value', 'low', 'high')))} "
        f"| {one['targets']:,} |"
        for one in card["test"]
    ]
    dates = " to ".join(card["first_and_last_event"]) + " (UTC)" if card["first_and_last_event"] else "no times"
    simulated = "\nThe data is simulated; the model has learned no real listening.\n" if card["simulated"] else ""
    what = {"network": "a GRU4Rec", "baseline": "a baseline", "blend": "a blend of a GRU4Rec and baselines"}
    epochs = f", the network for the best number of epochs ({card['epochs']})" if card["epochs"] else ""
    return f"""# {card["title"]}: {card["model"]}

A next-item recommender ({what[card["kind"]]}; gru4rec_lib {card["version"]}), trained on {card["trained_at"]}.
{simulated}
## Data

All sessions of two events or more of the study `{card["study"]}`, validation and test included: {card["sessions"]:,}
sessions, {card["events"]:,} events, {card["items"]:,} items. Candidates that have features alone:
{card["items_without_plays"]:,}. Dates of the events: {dates}.

## Training

In the study this model has a Recall@20 of {card[ON_VALIDATION[0]]:.3f} and an MRR@20 of {card[ON_VALIDATION[1]]:.3f} on
validation. Here it is trained again with its settings{epochs}. All
settings are in `config.json`.

## Test of the study

These scores are of the same model, trained without the test sessions. This model has no test of its own. Intervals are
95 % over sessions.

| protocol | score | value | targets |
| --- | --- | --- | --- |
{chr(10).join(rows)}

## Limits

- Scores hold for sessions like those of the study; they fall as new items and habits appear. Update the model then.
- Recall counts the one item that was played next; other recommended items may suit as well.
- Items that are played more are recommended more.
"""
