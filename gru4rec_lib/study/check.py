"""Validate user files before a study runs: a log, track features, an event table, an export, a study."""

from __future__ import annotations

import fnmatch
import functools
import math
import re
from collections.abc import Iterator
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import yaml

from gru4rec_lib.config.data import Quoted
from gru4rec_lib.config.study import (
    ConfigError,
    EventData,
    Study,
    check,
    is_study_file,
    load_study,
    study_file,
)
from gru4rec_lib.data.ids import among
from gru4rec_lib.preparation import readers
from gru4rec_lib.preparation.archives import Plain, is_archive
from gru4rec_lib.preparation.prepare import check_targets, prepare
from gru4rec_lib.preparation.readers import Tables
from gru4rec_lib.preparation.source_files import (
    DataError,
    Source,
    check_for_header,
    declare_quote,
    found,
    is_marked,
    is_table,
    known_as,
    open_source,
)
from gru4rec_lib.preparation.typed_columns import ID, Cells, load
from gru4rec_lib.study.workspace import ROOT, Workspace
from gru4rec_lib.utils.arguments import user_path
from gru4rec_lib.utils.text import shown


def check_path(
    path: Path, data: str = "", quote: str | None = None, write: str | None = None, **columns: str | None
) -> Iterator[str]:
    """Read and validate a file, a folder, or a study with its data.

    Args:
        path: a study (.yaml); a table of one of `source_files.KINDS`; a folder or .zip archive of a layout that one of
            the project's studies reads. A table is a log or track features in MSSD layout where it has most of their
            columns and none is named, else of the layout of a study where it has its name and columns, else a table of
            events.
        data: the folder of a study's raw files; data/raw/<data set> where not given.
        quote: the quotation mark of an event table, or `none`; see `EventData`.
        write: the study file to write, which reads the data; empty for none.
        columns: `session` or `user`, `item`, and `time` or `position` of an event table; those not named are found by
            COMMON. With `user` alone, or without a column of sessions, they are cut by time.

    Yields:
        Lines that describe the file, and a line with `warning: ` for each unusual property.

    Raises:
        ConfigError, DataError: the file is invalid; one problem a line.
    """
    path = user_path(path)
    named = {name: column for name, column in columns.items() if column}
    if is_study_file(path):
        if given := ["quote"] * bool(quote) + ["write"] * bool(write) + [*named][:1]:
            raise ConfigError(f"--{given[-1]}: a study's file sets this; omit the argument")
        yield from _study(Workspace(str(path), data))
        return
    if data:
        raise ConfigError("--data: only a study has a data folder; omit the argument")
    target = user_path(write) if write else None
    if target and (not is_study_file(target) or target.exists()):
        problem = "is there already; name another file" if target.exists() else "should end in .yaml"
        raise ConfigError(f"--write: {target} {problem}")
    text = None
    if not named and not quote and (study := _known(path)):
        text = study_file(study, ROOT / "config")[0].read_text(encoding="utf-8")
        yield from _of_study(path, load_study(study, ROOT / "config"))
    elif is_archive(path) or (path.is_dir() and not is_table(path)):
        problem = f"holds no layout that a study of the project reads (docs/data.md; there: {_there(path)})"
        raise DataError(f"{path}: {problem}; name a table in it, or write a study")
    else:
        with Plain() as plain:
            plain_path = plain.path(path, path.name)
            for line in _table(path, plain_path, named, quote):
                if isinstance(line, dict):
                    text = _study_text(line)
                else:
                    yield line
    if target and text is None:
        raise ConfigError(f"--write: {path.name} is a part of MSSD's layout; use the study mssd_mini")
    if target:
        target.write_text(text, encoding="utf-8")
        folder = path if path.is_dir() or is_archive(path) else path.parent
        yield f"written: {target}; run it by: make reproduce STUDY={target} DATA={folder}"


def _table(path: Path, plain_path: Path, named: dict[str, str], quote: str | None) -> Iterator[str | dict]:
    """What `check_path` yields of a table; of a table of events also the fields of a study's `data`."""
    name = path.name or str(path)
    quote = check(Quoted, {"quote": quote} if quote else {}, name).quote
    with duckdb.connect() as con:
        source = open_source(con, plain_path, name, set(named.values()), quote)
    layouts = {
        "log": [column for cells, _ in readers.LOG.values() for column in cells.columns],
        "tracks": [*Cells.of(readers.TRACKS.item).columns, *readers.TRACK_FEATURES],
    }
    most = [kind for kind, known in layouts.items() if len({*known} & {*source.header}) > len(known) / 2]
    if named or quote != "auto" or not most:
        yield from _event_table(source, path, named, quote)
    elif most == ["log"]:
        yield f"{path.name}: a log in MSSD layout"
        yield from _events(readers.read_log(path))
    else:
        yield f"{path.name}: track features in MSSD layout"
        tracks = readers.read_track_features(path)
        yield from _warnings(tracks.warnings)
        yield from _features(tracks.items, tracks.numeric)


def _known(path: Path) -> str:
    """The project's study that reads a folder, archive or file: its files have their names and columns; else empty.

    A file of a folder or archive that has the name of a layout and cannot be opened is an error where no study fits.
    """
    if not path.is_file() and not path.is_dir():  # there is none, or it is a pipe
        return ""
    best, most, broken = "", 0, []
    with Plain() as plain, duckdb.connect() as con:
        is_file = path.is_file() and not is_archive(path)
        folder = path.parent if is_file else plain.folder(path)
        for name, data in _event_data().items():
            try:
                files = _files(data, folder, path if is_file else None)
            except DataError:
                continue
            try:
                n = _fit(con, plain, data, files)
            except DataError as error:
                broken.append(error)
                continue
            if n > most:
                best, most = name, n
    if not best and broken and not is_file:
        raise broken[0]
    return best


def _there(path: Path) -> str:
    """The names of the first files of a folder or archive."""
    with Plain() as plain:
        folder = plain.folder(path)
        names = sorted(file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file())
    return shown(", ".join(names)) or "nothing"


@functools.cache
def _event_data() -> dict[str, EventData]:
    """The event tables of the project's studies by the study's name."""
    found = {}
    for file in sorted((ROOT / "config").glob("*.yaml")):
        # The part alone: a whole study takes long to check.
        part = re.search(r"^data:\n(?:[ #].*\n)+", file.read_text(encoding="utf-8"), re.MULTILINE)
        if part and "layout: events" in part[0]:
            found[file.stem] = check(EventData, yaml.safe_load(part[0])["data"], file)
    return found


def _files(data: EventData, folder: Path, only: Path | None) -> list[Path]:
    """The first file of each pattern of events, then the item table; a DataError where one is not there."""
    table = [data.item_table.file] if data.item_table and data.item_table.file else []
    if not only:
        return [found(folder, pattern)[0] for pattern in (*data.events, *table)]
    names = {pattern.rpartition("/")[2] for pattern in data.patterns}
    return [only] if not table and any(fnmatch.fnmatchcase(only.name, name) for name in names) else []


def _fit(con: duckdb.DuckDBPyConnection, plain: Plain, data: EventData, files: list[Path]) -> int:
    """How many columns of its files (see `_files`) a study needs; 0 where they lack one. Bad files are a DataError."""
    needed = [cells for cells, _ in readers.columns_of(data).values() if isinstance(cells, Cells) and cells.is_required]
    columns = {column for cells in needed for column in cells.columns}
    for file in files[: len(data.events)]:
        source = open_source(con, plain.path(file), file.name, set(), data.quote, header=data.header, others=columns)
        if not all(cells.there(source.header) for cells in needed):
            return 0
    return len(files) and len(needed) + 10 * (len(files) - 1) + len({*data.label})


def _of_study(path: Path, study: Study) -> Iterator[str]:
    """Report what a folder, archive or file of a known layout contains."""
    is_file = path.is_file() and not is_archive(path)
    data = study.data.model_copy(update={"events": (path.name,)}) if is_file else study.data
    yield f"{path.name}: the layout of the study {study.name} ({study.title})"
    yield from _events(readers.read(data, path.parent if is_file else path, None if is_file else study.split))
    yield f"in a study: make reproduce STUDY={study.name} DATA={path.parent if is_file else path}"


def _study_text(fields: dict) -> str:
    """Write a study file with comments for a table of events."""
    has_time = "time" in fields
    comments = {
        "user": "sessions are cut from a user's plays",
        "idle_minutes": "a session ends where more minutes pass",
        "time": "unix seconds or ISO dates (UTC where they name no zone)",
        "session": "ids of sessions",
        "item": "ids of items",
        "position": "places in the session",
    }
    lines = []
    for name, value in fields.items():
        dumped = yaml.safe_dump({name: value}, default_flow_style=True, allow_unicode=True, width=math.inf).strip()
        lines.append(f"  {dumped[1:-1]}{f'  # {comments[name]}' if name in comments else ''}")
    split = (
        "{how: by_time, test_fraction: 0.2}  # the last sessions"
        if has_time
        else "{how: by_session, test_fraction: 0.2}"
    )
    return "\n".join(
        [
            "# Written by `gru4rec check`. Every field is described in gru4rec_lib/config/data.py; see docs/data.md.",
            "title: mine",
            "data:",
            *lines,
            "  # exact_repeats: drop  # leave out rows that are there twice",
            "  # filters: {min_item_plays: 2, min_session_events: 2}  # leave out rare items and short sessions",
            f"split: {split}",
            "# `models` and `baselines` choose other models than a GRU4Rec and four baselines; see docs/studies.md.",
            "",
        ]
    )


def _warnings(warnings: tuple[str, ...]) -> Iterator[str]:
    return (f"warning: {warning}" for warning in warnings)


def event_fields(source: Source, path: Path, named: dict[str, str], quote: str = "auto") -> dict:
    """Return the fields of a study's `data` for a table of events.

    Args:
        source: the table, open.
        path: of the table.
        named: columns by role; those not named are found by COMMON. With a user, sessions are cut by time if no session
            is named, or if none is found; the ids of sessions that several users have are joined with the user's.
        quote: the quotation mark of its cells, see `EventData`.

    Raises:
        DataError: a column is not named and not known.
    """
    header = source.header
    orders = [name for name in ("time", "position") if name in named]
    orders = orders or [name for name in ("time", "position") if known_as(header, name)] or ["time"]
    users = [named["user"]] if "user" in named else known_as(header, "user")
    has_sessions = "session" in named or ("user" not in named and known_as(header, "session"))
    is_cut = bool(users) and not has_sessions and orders == ["time"]
    roles = ("user" if is_cut else "session", "item", orders[0])
    roles = {role: named.get(role) or _column(source, role) for role in roles}
    if users and not is_cut and _repeats_between(source, users[0], roles["session"], quote):
        roles["session"] = [[users[0], roles["session"]]]
    fields = {"layout": "events", "name": "mine", "events": [path.name], **roles}
    fields |= {"idle_minutes": 30} if is_cut else {}
    return fields | ({} if quote == "auto" else {"quote": quote})


def _repeats_between(source: Source, user: str, session: str, quote: str) -> bool:
    """Whether a session id belongs to several users."""
    columns = {"user": (Cells.of(user), ID), "session": (Cells.of(session), ID)}
    with duckdb.connect() as con:
        load(con, "log", [(source.path, source.name)], columns, Quoted(quote=quote))
        query = "SELECT 1 FROM log GROUP BY session HAVING session IS NOT NULL AND count(DISTINCT user) > 1 LIMIT 1"
        return con.execute(query).fetchone() is not None


def _event_table(source: Source, path: Path, named: dict[str, str], quote: str) -> Iterator[str | dict]:
    file, fields = path.name, event_fields(source, path, named, quote)
    yield f"{file}: a table of events"
    yield from _events(readers.read(check(EventData, fields, file), path.parent))
    text = yaml.safe_dump(fields, default_flow_style=True, sort_keys=False, allow_unicode=True, width=math.inf)
    yield f"in a study: data: {text.strip()}"
    yield fields


def _column(source: Source, role: str) -> str:
    known = known_as(source.header, role)
    if len({*known}) > 1:
        several = " and ".join(f"`{column}`" for column in known)
        raise DataError(f"{source.name}, line 1: {several} may each be the {role}; name the right one by --{role}")
    if not known:
        check_for_header(source)
        if marked := next(filter(is_marked, source.header), ""):
            problem = f"names of columns are in quotation marks, such as `{shown(marked)}`"
            raise DataError(f"{source.name}, line 1: {problem}; {declare_quote(marked[0])}")
        flags = {"time": "--time or --position", "session": "--session, or the listener by --user"}
        there = shown(", ".join(source.header))
        remedy = f"name it by {flags.get(role, f'--{role}')}"
        raise DataError(f"{source.name}, line 1: no column is known as the {role} (there: {there}); {remedy}")
    return known[0]


def _study(workspace: Workspace) -> Iterator[str]:
    study = workspace.study
    yield f"{study.title}: models to train: {len(study.runs)}, baselines: {len(study.baselines)}"
    if workspace.taken:
        yield f"warning: this study cannot be run: {workspace.taken}"
    if workspace.simulates:
        yield "the study writes its own data: there is nothing else to check"
        return
    tables = readers.read(study.data, workspace.raw, study.split)
    yield from _events(tables)
    if tables.items is not None:
        numeric = [*tables.numeric, *tables.categorical]
        yield from _features(tables.items, numeric, tables.events["item"].cat.categories)
    elif _wants_content(study):
        raise DataError(f"{workspace.raw}: has no track features (tf_*.csv), but models or baselines need them")
    for variant in study.variants.values() or (study,):
        prepared = prepare(tables, variant.split, workspace.raw)
        if not prepared.learnable_validation.is_target.any():
            raise DataError("no validation session has two tracks of training; raise `validation_fraction` in `split`")
        check_targets(prepared, variant)


def _wants_content(study: Study) -> bool:
    return study.uses_content or any(baseline.needs_features for baseline in study.baselines)


def _events(tables: Tables) -> Iterator[str]:
    events = tables.events
    lengths, n_items = events.groupby("session", observed=True).size(), events["item"].nunique()
    if (lengths < 2).all():
        raise DataError("no session has two events, so there is nothing to learn; is this the column of sessions?")
    if n_items < 2:
        raise DataError("there is one item alone, so there is nothing to choose from; is this the column of items?")
    times = ""
    if "time" in events:
        first, last = (np.datetime64(int(t), "s") for t in (events["time"].min(), events["time"].max()))
        times = f", from {first} to {last} (UTC)"
    yield f"{len(events):,} events, {len(lengths):,} sessions, {n_items:,} items{times}"
    yield from _warnings(tables.warnings)
    if len(tables.problems):
        yield f"warning: rows dropped as bad: {len(tables.problems):,}"
    for role in ("session", "item"):
        ids = events[role].cat.categories
        if alike := len(ids) - ids.str.strip().nunique():
            yield f"warning: ids of column `{role}` that differ from others only by outer spaces: {alike:,}"
    if alone := (lengths < 2).sum():
        yield f"warning: sessions of one event: {alone:,}; they have nothing to predict and are skipped"
    for step in tables.counts["step"]:
        if step.startswith("exact repeats kept") and "(0)" not in step:
            yield f"warning: {step}; `exact_repeats: drop` in the study leaves them out"


def _features(items: pd.DataFrame, columns: list[str] | tuple[str, ...], played: pd.Index | None = None):
    yield f"features of {len(items):,} items"
    distinct = items[list(columns)].nunique()
    if useless := list(distinct[distinct < 2].index):
        yield f"warning: no effect, because all items have the same value: {', '.join(useless)}"
    if played is None:
        return
    without, never = (~among(played, items["item"])).sum(), (~among(items["item"], played)).sum()
    if without:
        yield f"warning: items without features: {without:,}; they count as average"
    if never:
        yield f"items with features that are in no session: {never:,}"
