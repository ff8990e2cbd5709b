"""Train the run of a study that validation chose on all sessions, test included, for use."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd

from gru4rec_lib import __version__
from gru4rec_lib.config.data import MssdData
from gru4rec_lib.config.study import CUTOFF, ConfigError, Run
from gru4rec_lib.data.sessions import item_index
from gru4rec_lib.data.times import date_time
from gru4rec_lib.evaluation.comparison import PARTS
from gru4rec_lib.evaluation.statistics import SCORES, SessionSums, intervals
from gru4rec_lib.preparation import readers
from gru4rec_lib.preparation.prepare import candidates, encode, sessions_of
from gru4rec_lib.serving import model_folder
from gru4rec_lib.serving.recommender import Recommender
from gru4rec_lib.study.tables import finished_runs
from gru4rec_lib.study.workspace import Workspace
from gru4rec_lib.training.build import build
from gru4rec_lib.training.settings import FitSettings
from gru4rec_lib.utils.checked import check
from gru4rec_lib.utils.rounding import with_interval


def fit(place: Workspace, folder: Path) -> Recommender:
    """Train the finished run with the highest validation Recall@20 on all sessions, and save it with a model card.

    The settings and the number of epochs are those of the run. The item index, the features and the labels are of all
    sessions of two events or more.

    Args:
        place: the study's workspace.
        folder: to write; a model in it is replaced.

    Returns:
        The recommender, as `Recommender.load` reads it.

    Raises:
        ConfigError: the study has no finished run, or is prepared log by log.
        DataError: the raw files are wrong or missing.
    """
    study = place.study
    if isinstance(study.data, MssdData) and study.data.shards:
        raise ConfigError(f"{study.name}: is prepared log by log, so its sessions are not read at once; omit `shards`")
    runs = finished_runs(place)
    if runs.empty:
        raise ConfigError(f"{study.name}: no run is finished; first: make reproduce STUDY={place.given}")
    best = runs.loc[runs["validation_recall_at_20"].idxmax()]
    record = json.loads((best["folder"] / "config.json").read_text(encoding="utf-8"))
    run = check(Run, {name: record[name] for name in Run.model_fields}, best["folder"] / "config.json")
    epochs = record["best_epoch"]

    tables = readers.read(study.data, place.raw, study.split)
    code, starts = sessions_of(tables.events)
    long = np.bincount(code, minlength=len(starts)) > 1
    if not long.any():
        raise ConfigError(f"{place.raw}: no session has two events, so there is nothing to learn from")
    events = tables.events[long[code]]
    played = item_index(events["item"])
    items, features = candidates(played, tables)
    sessions = encode(tables.events, starts, items).take(long)
    labels = None if tables.labels is None else tables.labels.set_index("item").reindex(items["item"]).reset_index()
    print(f"{run.name}: {epochs} epochs on {len(sessions):,} sessions, {len(played):,} items", flush=True)
    model = build(run, len(played), features)
    model.fit(sessions, epochs, **run.training.part(FitSettings))
    training = run.training.model_copy(update={"max_epochs": epochs})
    config = run.model_copy(update={"training": training}).model_dump(mode="json")
    card = _card(place, best, run, epochs, events, items)
    texts = {"README.md": _text(card), "card.json": json.dumps(card, indent=1)}
    model_folder.save(folder, model, items["item"], config, features, labels, texts)
    return Recommender.load(folder)


def _card(place: Workspace, best: pd.Series, run: Run, epochs: int, events: pd.DataFrame, items: pd.DataFrame) -> dict:
    """Return the model card as plain JSON."""
    times = [events["time"].min(), events["time"].max()] if "time" in events else []
    return {
        "study": place.study.name,
        "title": place.title,
        "run": run.name,
        "trained_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "version": __version__,
        "simulated": place.is_simulated,
        "sessions": int(events["session"].nunique()),
        "events": len(events),
        "items": int((items["plays"] > 0).sum()),
        "items_without_plays": int((items["plays"] == 0).sum()),
        "first_and_last_event": [date_time(time) for time in times],
        "epochs": epochs,
        "validation_recall_at_20": float(best["validation_recall_at_20"]),
        "test": _test_scores(best["folder"], CUTOFF),
        "settings": run.model_dump(mode="json"),
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
    return f"""# {card["title"]}: {card["run"]}

A next-item recommender (GRU4Rec, gru4rec_lib {card["version"]}), trained on {card["trained_at"]}.
{simulated}
## Data

All sessions of two events or more of the study `{card["study"]}`, validation and test included: {card["sessions"]:,}
sessions, {card["events"]:,} events, {card["items"]:,} items. Candidates that have features alone:
{card["items_without_plays"]:,}. Dates of the events: {dates}.

## Training

The finished run with the highest validation Recall@20 ({card["validation_recall_at_20"]:.3f}), trained again with its
settings for its best number of epochs ({card["epochs"]}). All settings are in `config.json`.

## Test of the study

These scores are of the same run, trained without the test sessions. This model has no test of its own. Intervals are
95 % over sessions.

| protocol | score | value | targets |
| --- | --- | --- | --- |
{chr(10).join(rows)}

## Limits

- Scores hold for sessions like those of the study; they fall as new items and habits appear. Update the model then.
- Recall counts the one item that was played next; other recommended items may suit as well.
- Items that are played more are recommended more.
"""
