"""From tables to arrays: splits, the item index, features fitted on training alone.

Nothing of the test sessions reaches the index, the popularity or the features' fit. Whole sessions stay on one side,
and where the split is by time no training session reaches into the time of the test, nor into that of validation.
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
from gru4rec_lib.data.sessions import Sessions, item_index
from gru4rec_lib.evaluation.protocols import random_targets
from gru4rec_lib.preparation.counts import Counts
from gru4rec_lib.preparation.readers import DataError, Tables
from gru4rec_lib.preparation.split import BOTH_SIDES, apart, crossing, test_sessions, validation_sessions
from gru4rec_lib.utils.arguments import user_path
from gru4rec_lib.utils.atomic_write import replacing


@dataclass(frozen=True)
class Prepared:
    """What training and ranking read.

    Args:
        items: one row a candidate in index order: item (id), plays (in training; 0 for candidates unseen there).
            The first n_items are the training tracks by falling plays, ties by id.
        n_items: training tracks.
        train: training sessions without the validation part, in order of time where there are times.
        validation: the part of training that is held out.
        test: test sessions; -1 is a track that is no candidate.
        test_events: the test sessions' rows as they were read (session, item, position and what else the log tells),
            in the order of test.items.
        features: of the candidates, or None.
        counts: sessions, events and items after every step.
        ends: float64 [sessions of train_and_validation], the time of each one's last event in unix seconds; None where
            the log tells no times.
        crossing: training sessions that begin before a validation part that is the last in time and end in it: left out
            while validation counts, part of the final training.
        labels: the texts to display, one row a candidate in index order: item and a column a label (NA where missing).
            None where the study names no labels.
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
        """Candidates of the protocol `open`."""
        return len(self.items)

    @property
    def train_and_validation(self) -> Sessions:
        """All training sessions, the validation part last."""
        return Sessions.joined([self.train, self.crossing, self.validation])

    @property
    def learnable_validation(self) -> Sessions:
        """The validation sessions without tracks that `train` does not hold: nothing can learn those."""
        return self.validation.keep(np.bincount(self.train.items, minlength=self.n_items)[self.validation.items] > 0)

    def save(self, folder: Path, made_with: dict) -> None:
        """Write plain .npy, .parquet and .json files; prepared.json, with a checksum of each, comes last.

        What an earlier preparation left there is deleted first: it may have had more features.

        Args:
            folder: data/prepared/<study>.
            made_with: the `settings` of the study, to be told from others later; with `inputs`, the
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
            test: false leaves out the test sessions and their events, which are then None.

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
    """Split, index and encode.

    Args:
        tables: what was read.
        split: how.
        folder: where a listed split's file of session ids lies: the data folder.

    Returns:
        The arrays.

    Raises:
        DataError: a side of the split is empty, or a file of sessions is missing or names unknown ones.
    """
    log = Counts(tables.counts)
    events, n_apart = apart(tables.events, split)
    code, starts = sessions_of(events)
    if n_apart:  # of tables that were read without the split
        position = (np.arange(len(events)) - starts[code] + 1).astype(np.int32)
        events = events.assign(position=position).reset_index(drop=True)
        log.add(BOTH_SIDES.format(n_apart), events)
    is_test = test_sessions(events, starts, split, folder)
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
        told = f"training: sessions that begin before validation and end in it left out of train ({crosses.sum():,})"
        log.add(told, events[np.isin(code, order[~crosses])])
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
    labels = None if tables.labels is None else tables.labels.set_index("item").reindex(items["item"]).reset_index()
    prepared = Prepared(items, len(plays), **parts, features=features, counts=log.table, ends=ends, labels=labels)
    return checked(prepared, split)


def candidates(plays: pd.DataFrame, tables: Tables) -> tuple[pd.DataFrame, Features | None]:
    """The item index and the features.

    Args:
        plays: of the training tracks, `sessions.item_index`.
        tables: of its item table, if it has one; its other tracks are candidates, too, behind those of training, by id.

    Returns:
        One row a candidate: item, plays; and the features, None where there is no item table.

    Raises:
        DataError: no training track has a row in the item table, or a feature is out of range.
    """
    if tables.items is None:
        return plays, None
    if warning := few_described(plays["item"], tables.items["item"], "the item table"):
        print(f"warning: {warning}", flush=True)
    others = tables.items["item"][~tables.items["item"].isin(plays["item"])].sort_values()
    items = pd.concat([plays, pd.DataFrame({"item": others, "plays": 0})], ignore_index=True)
    return items, fit_features(tables, items["item"], len(plays))


def encode(events: pd.DataFrame, starts: np.ndarray, items: pd.DataFrame) -> Sessions:
    """All sessions over the item index; -1 is a track that is no candidate.

    Args:
        events: of `readers.Tables`.
        starts: int [sessions], the first row of each.
        items: one row a candidate, in index order.
    """
    item_of_code = pd.Index(items["item"]).get_indexer(events["item"].cat.categories.astype(str))
    event_items = item_of_code[events["item"].cat.codes].astype(np.int32)
    return Sessions(event_items, np.append(starts, len(events)).astype(np.int64))


def checked(prepared: Prepared, split: Split) -> Prepared:
    """The same, where every part has something to predict.

    Args:
        prepared: arrays.
        split: how they were split, for the message.

    Raises:
        DataError: no session of a part holds two events.
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
        study: its evaluation settings have the number of targets.

    Returns:
        bool [events]; None for all targets.
    """
    return random_targets(test, study.evaluation.max_test_events, study.split.seed)


def check_targets(prepared: Prepared, study: Study) -> None:
    """Validate, before anything is trained, that protocol `known` has a target: tables and figures are of these first.

    Args:
        prepared: arrays.
        study: says how many targets it ranks.

    Raises:
        DataError: no test session holds two events on items of training, or none of these targets is chosen.
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
    """What of a study the arrays depend on: data and split, as plain JSON.

    Args:
        study: that is prepared.
    """
    return {"data": study.data.model_dump(mode="json"), "split": study.split.model_dump(mode="json")}


def sizes(prepared: Prepared) -> pd.DataFrame:
    """Sessions, events and items of each part: the frame of the figure `split_sizes`.

    Args:
        prepared: arrays.

    Returns:
        part, sessions, events, items (different ones); a row a part.
    """
    parts = {"train": prepared.train, "validation": prepared.validation, "test": prepared.test}
    rows = [(name, len(p), len(p.items), len(np.unique(p.items[p.items >= 0]))) for name, p in parts.items()]
    return pd.DataFrame(rows, columns=["part", "sessions", "events", "items"])


def _files(folder: Path) -> list[Path]:
    """The files of a preparation but its record."""
    return sorted(p for p in folder.iterdir() if p.suffix in (".npy", ".parquet") or p.name == "features.json")


def sessions_of(events: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Number of each event's session in reading order, and each session's first row: int [events], int [sessions].

    Args:
        events: of `readers.Tables`.
    """
    codes = events["session"].cat.codes.to_numpy()
    begins = np.r_[True, codes[1:] != codes[:-1]] if len(codes) else np.zeros(0, bool)
    return np.cumsum(begins) - 1, np.flatnonzero(begins)
