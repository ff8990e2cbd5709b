"""Prepare a study log by log. Memory depends on the largest log, and a cluster can prepare many logs in parallel.

    read    read and check a log; count the plays of its tracks                             one job per log
    index   index the items, fit the features, choose the validation sessions               one job
    encode  encode the sessions of a log with the item index                                one job per log
    join    concatenate the logs; the result is that of `prepare.prepare` on all of them    one job

For studies with `data.shards`; the Snakefile has a rule for each step.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd

from gru4rec_lib.config.data import RawData
from gru4rec_lib.data.features import Features
from gru4rec_lib.data.ids import FLOAT, REMEDY, among, written_twice
from gru4rec_lib.data.sessions import Sessions, by_falling_plays
from gru4rec_lib.preparation import prepare, readers
from gru4rec_lib.preparation.prepare import Prepared
from gru4rec_lib.preparation.source_files import DataError, exactly, literal, name_below
from gru4rec_lib.preparation.split import is_test_file, validation_sessions
from gru4rec_lib.utils.atomic_write import replacing_folder

PARTS = ("train", "validation", "test")


def logs(place: RawData) -> dict[str, Path]:
    """Return the study's log files by name, in reading order.

    Args:
        place: the study's raw files.

    Raises:
        DataError: there are none, or two have the same name.
    """
    found = {}
    for path in readers.mssd_files(place.data, place.raw)[0]:
        name = path.name.split(".")[0]
        if name in found:
            raise DataError(f"{path}: has the name of {found[name]}; rename one of them: each is prepared by itself")
        found[name] = path
    return found


def folder(place: RawData, name: str, step: str) -> Path:
    """Return the folder of a step's results for a log, data/prepared/<study>/shards/<name>/<step>.

    Args:
        place: the study's raw files.
        name: of `logs`, or `all`.
        step: `read`, `index` or `encode`.
    """
    return place.prepared / "shards" / name / step


def read_log(place: RawData, name: str) -> None:
    """Read and check a log; write its events and the plays of each track.

    Args:
        place: the study's raw files.
        name: of `logs`.

    Raises:
        DataError: as `readers.read`.
    """
    tables = _with_warnings(readers.read_log(logs(place)[name], place.data.on_bad_rows, place.raw))
    code, starts = prepare.sessions_of(tables.events)
    long = np.bincount(code, minlength=len(starts)) > 1
    ids = tables.events["item"].astype(str)
    items = pd.DataFrame({"events": ids.value_counts(), "plays": ids[long[code]].value_counts()}).fillna(0)
    record = {"sessions": len(starts), "long": int(long.sum()), "long_events": int(long[code].sum())}
    record["dropped"] = len(tables.problems)
    with replacing_folder(_made(folder(place, name, "read"))) as partial:
        tables.events.to_parquet(partial / "events.parquet", index=False)
        items.astype(np.int64).rename_axis("item").reset_index().to_parquet(partial / "items.parquet", index=False)
        tables.problems.to_parquet(partial / "problems.parquet", index=False)
        (partial / "read.json").write_text(json.dumps(record), encoding="utf-8")


def index(place: RawData) -> None:
    """Number the tracks of the training logs, fit the features on them, and choose the validation part.

    Args:
        place: the study's raw files; the step `read` has run for each log.

    Raises:
        DataError: a session is in two logs; or the training logs or the test logs have too few sessions.
    """
    found, split = logs(place), place.split
    names = [*found]
    _check_sessions(place, names)
    test = [name for name, path in found.items() if is_test_file(name_below(place.raw, path), split)]
    training = [name for name in names if name not in test]
    sizes = {name: _record(place, name, "read")["long"] for name in training}
    if not test or not sum(sizes.values()):
        side = "test session" if sum(sizes.values()) else "training session of two events or more"
        raise DataError(f"the split `{split.how}` leaves no {side}; change `split` in the study's config")
    plays = _summed(place, training)["plays"]
    plays = by_falling_plays(plays[plays > 0].reset_index())
    if len(plays) < 2:
        raise DataError("the training sessions hold one item alone, so there is nothing to choose from; bring others")
    tables = _with_warnings(readers.read_tracks(place.data, place.raw))
    _check_forms(place, names, tables.items)
    items, features = prepare.candidates(plays, tables)
    described = among(items["item"], tables.items["item"]) if tables.items is not None else None
    held_out = validation_sessions(np.arange(sum(sizes.values())), split)
    ends = np.cumsum([*sizes.values()])
    with replacing_folder(_made(folder(place, "all", "index"))) as partial:
        items.to_parquet(partial / "items.parquet", index=False)
        if features is not None:
            features.save(partial)
            np.save(partial / "described.npy", described, allow_pickle=False)
        for name, mask in zip(sizes, np.split(held_out, ends[:-1]), strict=True):
            np.save(partial / f"held_out_{name}.npy", mask, allow_pickle=False)
        tables.problems.to_parquet(partial / "problems.parquet", index=False)
        (partial / "index.json").write_text(json.dumps({"n_items": len(plays), "test": test}), encoding="utf-8")


def encode(place: RawData, name: str) -> None:
    """Write the sessions of a log, either training and validation or test, with items as candidate numbers.

    Args:
        place: the study's raw files; the step `index` has run.
        name: of `logs`.
    """
    made, indexed = folder(place, name, "read"), folder(place, "all", "index")
    events, items = pd.read_parquet(made / "events.parquet"), pd.read_parquet(indexed / "items.parquet")
    code, starts = prepare.sessions_of(events)
    everything = prepare.encode(events, starts, items)
    long = everything.lengths > 1
    parts, nothing = {}, everything.take(np.zeros(len(starts), bool))
    is_test = name in _record(place, "all", "index")["test"]
    if is_test:
        parts = {"train": nothing, "validation": nothing, "test": everything.take(long)}
    else:
        order, held_out = np.flatnonzero(long), np.load(indexed / f"held_out_{name}.npy")
        parts = {"train": everything.take(order[~held_out]), "validation": everything.take(order[held_out])}
        parts["test"] = nothing
    record = {}
    if (indexed / "described.npy").exists():
        known = np.append(np.load(indexed / "described.npy"), False)[everything.items]  # -1 selects the appended False
        record = {"described_events": int(known.sum()), "described_sessions": len(np.unique(code[known]))}
    with replacing_folder(_made(folder(place, name, "encode"))) as partial:
        for part, sessions in parts.items():
            sessions.save(partial, part)
        events[(is_test & long)[code]].to_parquet(partial / "test_events.parquet", index=False)
        (partial / "encode.json").write_text(json.dumps(record), encoding="utf-8")


def join(place: RawData) -> Prepared:
    """Return the arrays that `prepare.prepare` returns for all logs, joined from the results of the other steps.

    The counts are the same, too, except that the items of rows dropped as bad are not counted.

    Args:
        place: the study's raw files; the step `encode` has run for each log.

    Raises:
        DataError: a part has no target to predict.
    """
    names, indexed = [*logs(place)], folder(place, "all", "index")
    record = _record(place, "all", "index")
    made = [folder(place, name, "encode") for name in names]
    parts = {part: Sessions.joined([Sessions.load(path, part) for path in made]) for part in PARTS}
    items, n_items = pd.read_parquet(indexed / "items.parquet"), record["n_items"]
    features = Features.load(indexed) if (indexed / "features.json").exists() else None
    test_events = _stacked([pd.read_parquet(path / "test_events.parquet") for path in made])
    counts = _counts(place, names, record, parts, test_events, n_items, features is not None)
    return prepare.checked(
        Prepared(items, n_items, **parts, test_events=test_events, features=features, counts=counts), place.split
    )


def problems(place: RawData) -> pd.DataFrame:
    """Return the rows dropped as bad in all logs and in the track features; see `logs` and `readers.Tables`."""
    made = [folder(place, name, "read") for name in logs(place)]
    tables = [pd.read_parquet(path / "problems.parquet") for path in (*made, folder(place, "all", "index"))]
    return pd.concat(tables, ignore_index=True)


def of_study(place: RawData) -> Prepared:
    """Return the arrays of a study, prepared from all raw files at once or, with `data.shards`, log by log.

    Steps that have not run yet are run for one log after the other.

    Args:
        place: the study's raw files.

    Raises:
        DataError: as `readers.read` and `prepare.prepare`.
    """
    if not place.shards:
        tables = _with_warnings(readers.read(place.data, place.raw, place.split))
        return prepare.prepare(tables, place.split, place.raw)
    made = {step: [folder(place, name, step) for name in logs(place)] for step in ("read", "encode")}
    for name, path in zip(logs(place), made["read"], strict=True):
        if not path.exists():
            read_log(place, name)
    if not folder(place, "all", "index").exists():
        index(place)
    for name, path in zip(logs(place), made["encode"], strict=True):
        if not path.exists():
            encode(place, name)
    return join(place)


def explored(place: RawData) -> readers.Tables:
    """Read the data that notebook 01 explores: all raw files, or only the first log if the study uses `data.shards`.

    Args:
        place: the study's raw files.

    Returns:
        The tables; their warnings are printed.

    Raises:
        DataError: as `readers.read`.
    """
    if not place.shards:
        return _with_warnings(readers.read(place.data, place.raw, place.split))
    found = logs(place)
    name, path = next(iter(found.items()))
    print(f"of {len(found):,} logs this is {name}")
    return readers.read_log(path, place.data.on_bad_rows, place.raw)


def _with_warnings(tables):
    """Print the warnings of tables and return the tables."""
    for warning in tables.warnings:
        print(f"warning: {warning}", flush=True)
    return tables


def _made(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _record(place: RawData, name: str, step: str) -> dict:
    return json.loads((folder(place, name, step) / f"{step}.json").read_text(encoding="utf-8"))


def _summed(place: RawData, names: Iterable[str]) -> pd.DataFrame:
    """Return for each track the sums over these logs: events, and plays in sessions of two events or more."""
    tables = [pd.read_parquet(folder(place, name, "read") / "items.parquet") for name in names]
    return pd.concat(tables).groupby("item").sum()


def _check_sessions(place: RawData, names: list[str]) -> None:
    files = ", ".join(exactly(folder(place, name, "read") / "events.parquet") for name in names)
    query = (
        f"SELECT session, min(file) AS one, max(file) AS other FROM read_parquet([{files}]) "
        "GROUP BY session HAVING min(file) < max(file) ORDER BY session LIMIT 1"
    )
    with duckdb.connect() as con:
        twice = con.execute(query).fetchone()
    if twice:
        session, one, other = twice
        remedy = "keep the rows of a session together in one file, and have every session once"
        raise DataError(f"{other}, column `session_id`: session `{session}` is in {one} too; {remedy}")


def _check_forms(place: RawData, names: list[str], tracks: pd.DataFrame | None) -> None:
    """Raise if an id is written in two ways in different logs, or in a log and the track features."""
    items = [
        pd.read_parquet(folder(place, name, "read") / "items.parquet")[["item"]].assign(file=name) for name in names
    ]
    items += [tracks[["item"]].assign(file="tf_*")] if tracks is not None else []
    files = ", ".join(exactly(folder(place, name, "read") / "events.parquet") for name in names)
    query = (
        f"WITH ids AS (SELECT DISTINCT CAST(session AS VARCHAR) AS id, file FROM read_parquet([{files}])) "
        "FROM ids WHERE TRY_CAST(id AS DOUBLE) IN "
        f"(SELECT CAST(id AS DOUBLE) FROM ids WHERE regexp_full_match(id, {literal(FLOAT)}))"
    )
    with duckdb.connect() as con:
        sessions = con.sql(query).df()
    for column, ids in (("track_id_clean", pd.concat(items)), ("session_id", sessions)):
        ids = ids.set_axis(["id", "file"], axis=1)
        if pairs := written_twice(ids["id"]):
            home = ids.drop_duplicates("id").set_index("id")["file"]
            one, other = pairs[0]
            problem = f"{home[one]}, column `{column}`: `{one}` is `{other}` in {home[other]}; {REMEDY}"
            raise DataError(f"{problem} (ids written in two ways: {len(pairs):,})")


def _stacked(tables: list[pd.DataFrame]) -> pd.DataFrame:
    """Concatenate tables of the same columns; texts stay categorical."""
    tables = [table for table in tables if len(table)] or tables[:1]
    columns = {}
    for name in tables[0]:
        parts = [table[name] for table in tables]
        is_text = isinstance(parts[0].dtype, pd.CategoricalDtype)
        columns[name] = pd.api.types.union_categoricals(parts) if is_text else pd.concat(parts, ignore_index=True)
    return pd.DataFrame(columns)


def _counts(place, names, record, parts, test_events, n_items, has_features) -> pd.DataFrame:
    read_records = {name: _record(place, name, "read") for name in names}
    of_logs = {name: pd.read_parquet(folder(place, name, "read") / "items.parquet") for name in names}
    training = [name for name in names if name not in record["test"]]
    dropped = sum(one["dropped"] for one in read_records.values())

    def row(step, chosen):
        sessions = sum(read_records[name]["sessions"] for name in chosen)
        items = set().union(*(of_logs[name]["item"] for name in chosen))
        log.add_row(step, sessions, sum(int(of_logs[name]["events"].sum()) for name in chosen), len(items))

    log = prepare.Counts(pd.DataFrame(columns=["step", "sessions", "events", "items"]))
    row("read", names)
    row(f"bad rows dropped ({dropped:,})", names)
    if has_features:
        encoded = [_record(place, name, "encode") for name in names]
        indexed = folder(place, "all", "index")
        ids = pd.read_parquet(indexed / "items.parquet")["item"][np.load(indexed / "described.npy")]
        played = set().union(*(table["item"] for table in of_logs.values()))
        sessions, events = (sum(one[f"described_{what}"] for one in encoded) for what in ("sessions", "events"))
        log.add_row("of items with features", sessions, events, len(played.intersection(ids)))
    row("training sessions", training)
    row("test sessions", record["test"])
    long, events = (sum(read_records[name][key] for name in training) for key in ("long", "long_events"))
    log.add_row("training: sessions of one event dropped", long, events, n_items)
    log.add_sessions("train", parts["train"])
    log.add_sessions("validation", parts["validation"])
    log.add("test: sessions of one event dropped", test_events)
    seen = parts["test"].known(n_items)
    log.add("test, protocol known: tracks unseen in training removed", test_events[seen])
    if has_features:
        training = Sessions.joined([parts["train"], parts["validation"]])
        log.add_described(np.load(indexed / "described.npy"), training, parts["test"])
    return log.table
