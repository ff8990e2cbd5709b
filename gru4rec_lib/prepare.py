"""From tables to arrays: splits, the item index, features fitted on training alone.

Nothing of the test sessions reaches the index, the popularity or the features' fit. Whole sessions stay on one side.
"""

from __future__ import annotations

import fnmatch
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.preprocessing import StandardScaler

from gru4rec_lib.config import Split, Study
from gru4rec_lib.features import Features
from gru4rec_lib.files import replacing
from gru4rec_lib.read import DataError, Tables
from gru4rec_lib.sessions import Sessions, item_index


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

    @property
    def n_candidates(self) -> int:
        """Candidates of the protocol `open`."""
        return len(self.items)

    @property
    def train_and_validation(self) -> Sessions:
        """All training sessions, the validation part last."""
        items = np.concatenate([self.train.items, self.validation.items])
        offsets = np.concatenate([self.train.offsets, len(self.train.items) + self.validation.offsets[1:]])
        return Sessions(items, offsets)

    @property
    def learnable_validation(self) -> Sessions:
        """The validation sessions without tracks that `train` does not hold: nothing can learn those."""
        return self.validation.keep(np.bincount(self.train.items, minlength=self.n_items)[self.validation.items] > 0)

    def save(self, folder: Path, made_with: dict) -> None:
        """Write plain .npy, .parquet and .json files; prepared.json, with a checksum of each, comes last.

        What an earlier preparation left there is deleted first: it may have had more features.

        Args:
            folder: data/prepared/<study>.
            made_with: the `settings` of the study, to be told from others later.
        """
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "prepared.json").unlink(missing_ok=True)
        for path in _files(folder):
            path.unlink()
        for name in ("train", "validation", "test"):
            getattr(self, name).save(folder, name)
        for name in ("items", "test_events", "counts"):
            getattr(self, name).to_parquet(folder / f"{name}.parquet")
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
        """Read what `save` wrote, arrays memory-mapped; without the test sessions (None) where `test` is false."""
        record = json.loads((folder / "prepared.json").read_text(encoding="utf-8"))
        parts = {name: Sessions.load(folder, name) for name in ("train", "validation")}
        parts["test"] = Sessions.load(folder, "test") if test else None
        frames = {name: pd.read_parquet(folder / f"{name}.parquet") for name in ("items", "counts")}
        frames["test_events"] = pd.read_parquet(folder / "test_events.parquet") if test else None
        features = Features.load(folder) if record["has_features"] else None
        ends = np.load(folder / "ends.npy", mmap_mode="r") if "ends.npy" in record["sha256"] else None
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
    events = tables.events
    code, starts = _sessions(events)
    is_test = _test_sessions(events, starts, split, folder)
    log = _Counts(tables.counts)
    log.add("training sessions", events[~is_test[code]])
    log.add("test sessions", events[is_test[code]])

    lengths = np.bincount(code, minlength=len(starts))
    in_training = ~is_test & (lengths > 1)
    training = events[in_training[code]]
    log.add("training: sessions of one event dropped", training)
    if training.empty or not is_test.any():
        side = "training session of two events or more" if training.empty else "test session"
        raise DataError(f"the split `{split.how}` leaves no {side}; change `split` in the study's config")

    plays = item_index(training["item"])
    if len(plays) < 2:
        raise DataError("the training sessions hold one item alone, so there is nothing to choose from; bring others")
    items, features = plays, None
    if tables.items is not None:
        others = tables.items["item"][~tables.items["item"].isin(plays["item"])].sort_values()
        items = pd.concat([plays, pd.DataFrame({"item": others, "plays": 0})], ignore_index=True)
        features = fit_features(tables, items["item"], len(plays))

    index = pd.Index(items["item"])
    item_of_code = index.get_indexer(events["item"].cat.categories.astype(str))
    event_items = item_of_code[events["item"].cat.codes].astype(np.int32)
    everything = Sessions(event_items, np.append(starts, len(events)).astype(np.int64))

    order, times = np.flatnonzero(in_training), events["time"].to_numpy(np.float64) if "time" in events else None
    if times is not None:
        order = order[np.argsort(times[starts[order]], kind="stable")]
    held_out = _validation_sessions(len(order), split)
    ends = None if times is None else times[(starts + lengths - 1)[np.r_[order[~held_out], order[held_out]]]]
    train, validation = everything.take(order[~held_out]), everything.take(order[held_out])
    test_sessions = np.flatnonzero(is_test & (lengths > 1))
    test = everything.take(test_sessions)
    test_events = events[np.isin(code, test_sessions)].reset_index(drop=True)

    log.add_sessions("train", train)
    log.add_sessions("validation", validation)
    log.add("test: sessions of one event dropped", test_events)
    seen = test.known(len(plays))
    log.add("test, protocol known: tracks unseen in training removed", test_events[seen])
    result = Prepared(items, len(plays), train, validation, test, test_events, features, log.table, ends)
    for name in ("train", "validation", "test"):
        if not getattr(result, name).is_target.any():
            left = f"the split `{split.how}` leaves no pair of events in `{name}`"
            raise DataError(f"{left}; give it more sessions there")
    return result


def settings(study: Study) -> dict:
    """What of a study the arrays depend on: data and split, as plain JSON."""
    return {"data": study.data.model_dump(mode="json"), "split": study.split.model_dump(mode="json")}


def sizes(prepared: Prepared) -> pd.DataFrame:
    """Sessions, events and items of each part: the frame of the figure `split_sizes`."""
    parts = {"train": prepared.train, "validation": prepared.validation, "test": prepared.test}
    rows = [(name, len(p), len(p.items), len(np.unique(p.items[p.items >= 0]))) for name, p in parts.items()]
    return pd.DataFrame(rows, columns=["part", "sessions", "events", "items"])


def fit_features(tables: Tables, items: pd.Series, n_items: int) -> Features:
    """Standardise numbers and number the categories, fitted on the training tracks.

    Args:
        tables: with an item table.
        items: str [candidates], item ids in index order.
        n_items: training tracks, the first ones.

    Returns:
        Features of all candidates. A track without a row has value 0 (the mean) in every number and no category; a
        category unseen in training becomes value 0, *unknown*.
    """
    table = tables.items.set_index(tables.items["item"].astype(str)).reindex(items)
    raw = table[list(tables.numeric)].to_numpy(np.float64, copy=True)
    raw[:, np.isnan(raw[:n_items]).all(axis=0)] = 0  # no track of training has this number, so it tells nothing
    scaler = StandardScaler().fit(raw[:n_items]) if tables.numeric else None
    numeric = np.nan_to_num(scaler.transform(raw), nan=0.0).astype(np.float32) if scaler else np.zeros_like(raw, "f4")
    fitted = {"numeric": list(tables.numeric)}
    if scaler:
        fitted |= {"mean": scaler.mean_.tolist(), "scale": scaler.scale_.tolist()}

    categories, sizes = {}, {}
    groups = {name: (name,) for name in tables.categorical} | dict(tables.multivalued)
    for name, columns in groups.items():
        values = table[list(columns)].astype("string")
        known = pd.Index(pd.unique(values.iloc[:n_items].to_numpy().ravel())).dropna().sort_values()
        codes = np.stack([known.get_indexer(values[c]) + 1 for c in columns], axis=1)
        categories[name] = np.where(values.isna(), -1, codes).astype(np.int32)
        sizes[name] = len(known) + 1
        fitted[name] = known.tolist()
    return Features(numeric, categories, sizes, fitted)


def _files(folder: Path) -> list[Path]:
    """The files of a preparation but its record."""
    return sorted(p for p in folder.iterdir() if p.suffix in (".npy", ".parquet") or p.name == "features.json")


def _sessions(events: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Number of each event's session in reading order, and each session's first row."""
    codes = events["session"].cat.codes.to_numpy()
    begins = np.r_[True, codes[1:] != codes[:-1]] if len(codes) else np.zeros(0, bool)
    return np.cumsum(begins) - 1, np.flatnonzero(begins)


def _test_sessions(events: pd.DataFrame, starts: np.ndarray, split: Split, folder: Path) -> np.ndarray:
    """Bool [sessions]."""
    n = len(starts)
    n_test = round(n * (split.test_fraction or 0))
    chosen = np.zeros(n, bool)
    if split.how == "by_file":
        files = events["file"].iloc[starts].astype(str)
        chosen = files.map(lambda name: fnmatch.fnmatch(name, split.test)).to_numpy(bool)
        if not chosen.any():
            names = ", ".join(sorted(files.unique()))
            raise DataError(f"no log file matches the split's `test: {split.test}`; mend the pattern (there: {names})")
    elif split.how == "listed":
        path = folder / split.test
        if not path.is_file():
            raise DataError(f"{path}: the split's list of test sessions is missing; put it into the data folder")
        ids = events["session"].iloc[starts].astype(str)
        chosen = ids.isin(_listed_sessions(path, ids)).to_numpy()
    elif split.how == "by_time":
        if "time" not in events:
            raise DataError("the split `by_time` needs events with times; name the `time` column, or split by session")
        order = np.argsort(events["time"].to_numpy()[starts], kind="stable")
        chosen[order[n - n_test :]] = True
    else:
        chosen[np.random.default_rng(split.seed).permutation(n)[:n_test]] = True
    return chosen


def _listed_sessions(path: Path, ids: pd.Series) -> pd.Series:
    """The first column of a file with a header line, all of its values being sessions of the data."""
    try:
        listed = pd.read_csv(path, dtype=str, keep_default_na=False).iloc[:, 0]
    except ValueError as error:
        raise DataError(f"{path}: cannot be read ({error}); write one session id a line below a header") from None
    if listed.name in set(ids):
        raise DataError(f"{path}, line 1: `{listed.name}` is a session; put a header line, such as `session`, above it")
    unknown = listed[~listed.isin(ids)]
    if len(unknown):
        raise DataError(
            f"{path}, line {unknown.index[0] + 2}, column `{listed.name}`: session `{unknown.iloc[0]}` is not in the "
            f"data ({len(unknown)} such); delete it from the list or bring back its events"
        )
    return listed


def _validation_sessions(n: int, split: Split) -> np.ndarray:
    """Bool [training sessions], in the order of training."""
    n_held_out = max(1, round(n * split.validation_fraction))
    held_out = np.zeros(n, bool)
    order = np.arange(n) if split.validation == "last" else np.random.default_rng([split.seed, 1]).permutation(n)
    held_out[order[n - n_held_out :]] = True
    return held_out


class _Counts:
    """Sessions, events and items after every step, printed as they come."""

    def __init__(self, table: pd.DataFrame):
        self.table = table[["step", "sessions", "events", "items"]].iloc[:0].copy()
        for row in table.itertuples():
            self._add(row.step, row.sessions, row.events, row.items)

    def add(self, step: str, events: pd.DataFrame) -> None:
        self._add(step, events["session"].nunique(), len(events), events["item"].nunique())

    def add_sessions(self, step: str, part: Sessions) -> None:
        self._add(step, len(part), len(part.items), len(np.unique(part.items)))

    def _add(self, step: str, sessions: int, events: int, items: int) -> None:
        self.table.loc[len(self.table)] = [step, sessions, events, items]
        print(f"{step}: {sessions:,} sessions, {events:,} events, {items:,} items", flush=True)
