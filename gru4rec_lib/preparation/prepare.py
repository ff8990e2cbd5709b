"""Turn tables into arrays: split the sessions, index the items and encode the features.

The item index, the plays and the features are fitted on the training sessions only. A session is never divided between
parts. If the split is by time, no training session ends in the period of the test or of validation.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from gru4rec_lib.config.study import Split, Study
from gru4rec_lib.data.feature_encoding import few_described, fit_features
from gru4rec_lib.data.features import Features
from gru4rec_lib.data.ids import among
from gru4rec_lib.data.sessions import Sessions, item_index
from gru4rec_lib.evaluation.protocols import random_targets
from gru4rec_lib.preparation.counts import Counts
from gru4rec_lib.preparation.readers import DataError, Tables
from gru4rec_lib.preparation.split import BOTH_SIDES, apart, crossing, in_window, test_sessions, validation_sessions
from gru4rec_lib.utils.arguments import user_path
from gru4rec_lib.utils.atomic_write import replacing


@dataclass(frozen=True)
class Prepared:
    """Prepared arrays for training and evaluation.

    Args:
        items: one row per candidate in index order: item (id), plays (in training; 0 for candidates unseen there).
            The first n_items are the training tracks by descending plays, ties by id.
        n_items: number of training tracks.
        train: training sessions without the validation part, in order of time if there are times.
        validation: the part of training that is held out.
        test: test sessions; -1 is a track that is not a candidate.
        test_events: the rows of the test sessions as read (session, item, position and the other columns of the log),
            in the order of test.items.
        features: of the candidates, or None.
        counts: sessions, events and items after each step.
        ends: float64 [sessions of train_and_validation], the time of each session's last event in unix seconds; None
            if the log has no times.
        crossing: training sessions that begin before the validation part and end in it, if the split of validation is
            `last`. They are left out of training with validation and used in the final training.
        labels: the texts to display, one row per candidate in index order: item and one column per label (NA where
            missing). None if the study names no labels.
    """

    items: pd.DataFrame
    n_items: int
    train: Sessions
    validation: Sessions
    test: Sessions
    test_events: pd.DataFrame
    features: Features | None
    counts: pd.DataFrame
    ends: np.ndarray | None = None
    crossing: Sessions = field(default_factory=lambda: Sessions.from_lists([]))
    labels: pd.DataFrame | None = None

    @property
    def n_candidates(self) -> int:
        """Number of candidates of the protocol `open`."""
        return len(self.items)

    @property
    def labelled_items(self) -> pd.DataFrame:
        """The table `items` with the labels beside the ids, if the study names labels."""
        return self.items if self.labels is None else self.items.join(self.labels.drop(columns="item"))

    @property
    def train_and_validation(self) -> Sessions:
        """All training sessions, the validation part last."""
        return Sessions.joined([self.train, self.crossing, self.validation])

    @property
    def learnable_validation(self) -> Sessions:
        """The validation sessions without the tracks that are not in `train`, which no model can learn."""
        return self.validation.keep(np.bincount(self.train.items, minlength=self.n_items)[self.validation.items] > 0)

    def save(self, folder: Path, made_with: dict) -> None:
        """Write plain .npy, .parquet and .json files, then prepared.json with a checksum of each.

        The files of an earlier preparation are deleted first, as it may have written more features.

        Args:
            folder: data/prepared/<study>.
            made_with: the `settings` of the study, to detect later that they changed; with `inputs`, the
                `fingerprints.hashes` of the raw files from before they were read.
        """
        folder = user_path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "prepared.json").unlink(missing_ok=True)
        for path in _files(folder):
            path.unlink()
        for name in ("train", "validation", "test", *(("crossing",) if len(self.crossing) else ())):
            getattr(self, name).save(folder, name)
        for name in ("items", "test_events", "counts"):
            getattr(self, name).to_parquet(folder / f"{name}.parquet")
        if self.labels is not None:
            self.labels.to_parquet(folder / "labels.parquet")
        if self.features is not None:
            self.features.save(folder)
        if self.ends is not None:
            np.save(folder / "ends.npy", self.ends, allow_pickle=False)
        record = {"settings": made_with, "n_items": self.n_items, "has_features": self.features is not None}
        record["sha256"] = {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in _files(folder)}
        with replacing(folder / "prepared.json") as path:
            path.write_text(json.dumps(record, indent=1), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path, test: bool = True) -> Prepared:
        """Read what `save` wrote.

        Args:
            folder: data/prepared/<study>.
            test: whether to read the test sessions and their events; otherwise they are None.

        Returns:
            The arrays, memory-mapped.
        """
        folder = user_path(folder)
        record = json.loads((folder / "prepared.json").read_text(encoding="utf-8"))
        names = ("train", "validation", "crossing")
        parts = {name: Sessions.load(folder, name) for name in names if f"{name}_items.npy" in record["sha256"]}
        parts["test"] = Sessions.load(folder, "test") if test else None
        frames = {name: pd.read_parquet(folder / f"{name}.parquet") for name in ("items", "counts")}
        frames["test_events"] = pd.read_parquet(folder / "test_events.parquet") if test else None
        features = Features.load(folder) if record["has_features"] else None
        ends = np.load(folder / "ends.npy", mmap_mode="r") if "ends.npy" in record["sha256"] else None
        frames["labels"] = pd.read_parquet(folder / "labels.parquet") if "labels.parquet" in record["sha256"] else None
        return cls(n_items=record["n_items"], features=features, ends=ends, **parts, **frames)


def prepare(tables: Tables, split: Split, folder: Path) -> Prepared:
    """Split the sessions, index the items and encode the features.

    Args:
        tables: the events and items.
        split: settings of the split.
        folder: the data folder, with the file of session ids for a split by list.

    Returns:
        The arrays.

    Raises:
        DataError: a side of the split is empty, or a file of sessions is missing or names unknown ones.
    """
    log = Counts(tables.counts)
    events, n_apart = apart(tables.events, split)
    code, starts = sessions_of(events)
    if n_apart:  # the tables were read without the split
        position = (np.arange(len(events)) - starts[code] + 1).astype(np.int32)
        events = events.assign(position=position).reset_index(drop=True)
        log.add(BOTH_SIDES.format(n_apart), events)
    is_test = test_sessions(events, starts, split, folder)
    if split.how == "by_time" and split.test_days is not None:
        inside = in_window(events, starts, split)
        events, is_test = events[inside[code]].reset_index(drop=True), is_test[inside]
        code, starts = sessions_of(events)
        if split.train_days is not None:
            window = f"window {split.window} of {split.train_days:g} + {split.test_days:g} days"
            log.add(f"sessions outside {window} dropped ({(~inside).sum():,})", events)
    times = events["time"].to_numpy(np.float64) if "time" in events else None
    if split.how == "by_time":
        last_event = np.append(starts[1:], len(events)) - 1
        crosses = crossing(times[starts], times[last_event], is_test, "the test", split.gap_days)
        kept = ~crosses[code]
        events, is_test, times = events[kept].reset_index(drop=True), is_test[~crosses], times[kept]
        code, starts = sessions_of(events)
        where = f"it or in the {split.gap_days:g} days before it" if split.gap_days else "it"
        log.add(f"sessions that begin before the test and end in {where} dropped ({crosses.sum():,})", events)
    log.add("training sessions", events[~is_test[code]])
    log.add("test sessions", events[is_test[code]])

    lengths = np.bincount(code, minlength=len(starts))
    in_training = ~is_test & (lengths > 1)
    training = events[in_training[code]]
    log.add("training: sessions of one event dropped", training)
    if training.empty or not is_test.any():
        side = "training session of two events or more" if training.empty else "test session"
        raise DataError(f"the split `{split.how}` leaves no {side}; change `split` in the study's config")

    order, last_event = np.flatnonzero(in_training), starts + lengths - 1
    if times is not None:
        order = order[np.argsort(times[starts[order]], kind="stable")]
    held_out = validation_sessions(np.arange(len(order)) if times is None else times[starts[order]], split)
    crosses = np.zeros(len(order), bool)
    if times is not None and split.validation == "last":
        crosses = crossing(times[starts[order]], times[last_event[order]], held_out, "validation")
        step = f"training: sessions that begin before validation and end in it left out of train ({crosses.sum():,})"
        log.add(step, events[np.isin(code, order[~crosses])])
    train, across, validation = order[~held_out & ~crosses], order[crosses], order[held_out]

    plays = item_index(training["item"])
    if len(plays) < 2:
        raise DataError("the training sessions hold one item alone, so there is nothing to choose from; bring others")
    items, features = candidates(plays, tables)
    everything = encode(events, starts, items)
    ends = None if times is None else times[last_event[np.r_[train, across, validation]]]
    train, across, validation = everything.take(train), everything.take(across), everything.take(validation)
    in_test = is_test & (lengths > 1)
    test, test_events = everything.take(in_test), events[in_test[code]].reset_index(drop=True)

    log.add_sessions("train", train)
    log.add_sessions("validation", validation)
    log.add("test: sessions of one event dropped", test_events)
    seen = test.known(len(plays))
    log.add("test, protocol known: tracks unseen in training removed", test_events[seen])
    parts = {"train": train, "crossing": across, "validation": validation, "test": test, "test_events": test_events}
    if tables.items is not None:
        training = Sessions.joined([train, across, validation])
        log.add_described(among(items["item"], tables.items["item"]), training, test)
    labels = None if tables.labels is None else tables.labels.set_index("item").reindex(items["item"]).reset_index()
    prepared = Prepared(items, len(plays), **parts, features=features, counts=log.table, ends=ends, labels=labels)
    return checked(prepared, split)


def candidates(plays: pd.DataFrame, tables: Tables) -> tuple[pd.DataFrame, Features | None]:
    """Return the candidates in index order, and their features.

    Args:
        plays: the training tracks, as `sessions.item_index` returns them.
        tables: the events and items. Further tracks of the item table become candidates after the training tracks, in
            order of id.

    Returns:
        (one row per candidate: item, plays; the features, None without an item table).

    Raises:
        DataError: no training track has a row in the item table, or a feature is out of range.
    """
    if tables.items is None:
        return plays, None
    if warning := few_described(plays["item"], tables.items["item"], "the item table"):
        print(f"warning: {warning}", flush=True)
    others = tables.items["item"][~among(tables.items["item"], plays["item"])].sort_values()
    items = pd.concat([plays, pd.DataFrame({"item": others, "plays": 0})], ignore_index=True)
    return items, fit_features(tables, items["item"], len(plays))


def encode(events: pd.DataFrame, starts: np.ndarray, items: pd.DataFrame) -> Sessions:
    """Return all sessions with items as candidate numbers; -1 is a track that is not a candidate.

    Args:
        events: of `readers.Tables`.
        starts: int [sessions], the first row of each.
        items: one row per candidate, in index order.
    """
    item_of_code = pd.Index(items["item"]).get_indexer(events["item"].cat.categories.astype(str))
    event_items = item_of_code[events["item"].cat.codes].astype(np.int32)
    return Sessions(event_items, np.append(starts, len(events)).astype(np.int64))


def checked(prepared: Prepared, split: Split) -> Prepared:
    """Return the arrays after checking that each part has a target to predict.

    Args:
        prepared: arrays.
        split: settings of the split, for the message.

    Raises:
        DataError: no session of a part has two events.
    """
    for name in ("train", "validation", "test"):
        if not getattr(prepared, name).is_target.any():
            left = f"the split `{split.how}` leaves no pair of events in `{name}`"
            raise DataError(f"{left}; give it more sessions there")
    return prepared


def chosen_targets(test: Sessions, study: Study) -> np.ndarray | None:
    """Choose the test targets that a study ranks, at random with the seed of its split.

    Args:
        test: test sessions.
        study: its evaluation settings give the number of targets.

    Returns:
        bool [events]; None for all targets.
    """
    return random_targets(test, study.evaluation.max_test_events, study.split.seed)


def check_targets(prepared: Prepared, study: Study) -> None:
    """Check before training that protocol `known`, which the main tables and figures report, has a target.

    Args:
        prepared: arrays.
        study: its evaluation settings give the number of targets.

    Raises:
        DataError: no test session has two events on training items, or none of these targets is chosen.
    """
    seen = prepared.test.known(prepared.n_items)
    chosen = chosen_targets(prepared.test, study)
    known = prepared.test.keep(seen)
    if not known.is_target.any():
        raise DataError(
            f"the split `{study.split.how}` leaves no test session with two events on items of training, so that "
            "protocol `known` has no target; change `split` in the study's config"
        )
    if chosen is not None and not known.targets(chosen[seen]).any():
        raise DataError(
            f"{study.name}: evaluation.max_test_events: none of the {chosen.sum():,} targets chosen at random is a "
            "target of protocol `known` (an item of training after another one in its session); raise the number"
        )


def settings(study: Study) -> dict:
    """Return the settings of a study on which the arrays depend, data and split, as plain JSON.

    Args:
        study: to prepare.
    """
    return {"data": study.data.model_dump(mode="json"), "split": study.split.model_dump(mode="json")}


def sizes(prepared: Prepared) -> pd.DataFrame:
    """Count sessions, events and items of each part, for the figure `split_sizes`.

    Args:
        prepared: arrays.

    Returns:
        One row per part: part, sessions, events, items (distinct).
    """
    parts = {"train": prepared.train, "validation": prepared.validation, "test": prepared.test}
    rows = [(name, len(p), len(p.items), len(np.unique(p.items[p.items >= 0]))) for name, p in parts.items()]
    return pd.DataFrame(rows, columns=["part", "sessions", "events", "items"])


def _files(folder: Path) -> list[Path]:
    """Return the files of a preparation except its record, prepared.json."""
    return sorted(p for p in folder.iterdir() if p.suffix in (".npy", ".parquet") or p.name == "features.json")


def sessions_of(events: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Return each event's session number in reading order, and each session's first row.

    Args:
        events: of `readers.Tables`.

    Returns:
        (int [events], int [sessions]).
    """
    codes = events["session"].cat.codes.to_numpy()
    begins = np.r_[True, codes[1:] != codes[:-1]] if len(codes) else np.zeros(0, bool)
    return np.cumsum(begins) - 1, np.flatnonzero(begins)
