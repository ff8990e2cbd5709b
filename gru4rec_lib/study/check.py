"""What is wrong with files of one's own, told before anything runs: a log, track features, an event table, a study."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import yaml

from gru4rec_lib.config.data import Quoted
from gru4rec_lib.config.study import FORMS_WITH_CONTENT, ConfigError, EventData, Study, check, is_study_file
from gru4rec_lib.preparation import readers
from gru4rec_lib.preparation.prepare import check_targets, prepare
from gru4rec_lib.preparation.readers import Tables
from gru4rec_lib.preparation.source_files import (
    DataError,
    Source,
    check_for_header,
    declare_quote,
    is_marked,
    known_as,
    open_source,
)
from gru4rec_lib.study.workspace import Workspace
from gru4rec_lib.utils.arguments import user_path
from gru4rec_lib.utils.text import shown


def check_path(path: Path, data: str = "", quote: str | None = None, **columns: str | None) -> Iterator[str]:
    """Read and check a file, or a study with its data.

    Args:
        path: a study (.yaml), or a table (.csv, .tsv, each also with .gz, or .parquet). A table is a log or track
            features in MSSD layout where it has most of their columns and none is named, else a table of events.
        data: the folder of a study's raw files; data/raw/<data set> where not given.
        quote: the quotation mark of an event table, or `none`; see `EventData`.
        columns: `session`, `item`, and `time` or `position` of an event table; those not named are found by COMMON.

    Yields:
        Lines: what was found, and a `warning: ` for each thing that is allowed and may surprise.

    Raises:
        ConfigError, DataError: it is wrong; one problem a line.
    """
    path = user_path(path)
    named = {name: column for name, column in columns.items() if column}
    if is_study_file(path):
        if named or quote:
            raise ConfigError(f"--{next(iter(named), 'quote')}: a study has this in its own file; leave the word out")
        yield from _study(Workspace(str(path), data))
        return
    if data:
        raise ConfigError("--data: goes with a study, and a table is a file of its own; leave the word out")
    name = path.name or str(path)
    quote = check(Quoted, {"quote": quote} if quote else {}, name).quote
    with duckdb.connect() as con:
        source = open_source(con, path, name, set(named.values()), quote)
    layouts = {
        "log": [column for cells, _ in readers.LOG.values() for column in cells.columns],
        "tracks": [readers.TRACKS.item, *readers.TRACK_FEATURES],
    }
    most = [kind for kind, known in layouts.items() if len({*known} & {*source.header}) > len(known) / 2]
    if named or quote != "auto" or not most:
        yield from _event_table(source, named, quote)
    elif most == ["log"]:
        yield f"{path.name}: a log in MSSD layout"
        yield from _events(readers.read_log(path))
    else:
        yield f"{path.name}: track features in MSSD layout"
        tracks = readers.read_track_features(path)
        yield from _warnings(tracks.warnings)
        yield from _features(tracks.items, tracks.numeric)


def _warnings(warnings: tuple[str, ...]) -> Iterator[str]:
    return (f"warning: {warning}" for warning in warnings)


def _event_table(source: Source, named: dict[str, str], quote: str) -> Iterator[str]:
    header, file = source.header, source.path.name
    orders = [name for name in ("time", "position") if name in named]
    orders = orders or [name for name in ("time", "position") if known_as(header, name)] or ["time"]
    roles = ("session", "item", orders[0])
    roles = {role: named.get(role) or _column(source, role) for role in roles}
    fields = {"layout": "events", "name": "mine", "events": [file], **roles}
    fields |= {} if quote == "auto" else {"quote": quote}
    yield f"{file}: a table of events"
    yield from _events(readers.read(check(EventData, fields, file), source.path.parent))
    told = yaml.safe_dump(fields, default_flow_style=True, sort_keys=False, allow_unicode=True, width=math.inf)
    yield f"in a study: data: {told.strip()}"


def _column(source: Source, role: str) -> str:
    found = known_as(source.header, role)
    if len({*found}) > 1:
        several = " and ".join(f"`{column}`" for column in found)
        raise DataError(f"{source.name}, line 1: {several} may each be the {role}; name the right one by --{role}")
    if not found:
        check_for_header(source)
        if marked := next(filter(is_marked, source.header), ""):
            told = f"names of columns are in quotation marks, such as `{shown(marked)}`"
            raise DataError(f"{source.name}, line 1: {told}; {declare_quote(marked[0])}")
        flags = "--time or --position" if role == "time" else f"--{role}"
        there = shown(", ".join(source.header))
        raise DataError(f"{source.name}, line 1: no column is known as the {role} (there: {there}); name it by {flags}")
    return found[0]


def _study(place: Workspace) -> Iterator[str]:
    study = place.study
    yield f"{study.title}: models to train: {len(study.runs)}, baselines: {len(study.baselines)}"
    if place.taken:
        yield f"warning: this study cannot be run: {place.taken}"
    if place.simulates:
        yield "the study writes its own data: there is nothing else to check"
        return
    tables = readers.read(study.data, place.raw, study.split)
    yield from _events(tables)
    if tables.items is not None:
        numeric = [*tables.numeric, *tables.categorical]
        yield from _features(tables.items, numeric, tables.events["item"].cat.categories)
    elif _wants_content(study):
        raise DataError(f"{place.raw}: holds no track features (tf_*.csv), but models or baselines need them")
    prepared = prepare(tables, study.split, place.raw)
    if not prepared.learnable_validation.is_target.any():
        raise DataError("no validation session holds two tracks of training; raise `validation_fraction` in `split`")
    check_targets(prepared, study)


def _wants_content(study: Study) -> bool:
    forms = {form for run in study.runs for form in (run.input_form, run.output_form)}
    return bool(forms & FORMS_WITH_CONTENT) or "content_knn" in study.baselines


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
            yield f"warning: ids of column `{role}` that differ from others by outer spaces alone: {alike:,}"
    if alone := (lengths < 2).sum():
        yield f"warning: sessions of one event: {alone:,}; there is nothing to predict in them, and they are left out"
    for step in tables.counts["step"]:
        if step.startswith("exact repeats kept") and "(0)" not in step:
            yield f"warning: {step}; `exact_repeats: drop` in the study leaves them out"


def _features(items: pd.DataFrame, columns: list[str] | tuple[str, ...], heard: pd.Index | None = None):
    yield f"features of {len(items):,} items"
    distinct = items[list(columns)].nunique()
    if useless := list(distinct[distinct < 2].index):
        yield f"warning: without use, because no two items differ: {', '.join(useless)}"
    if heard is None:
        return
    without, never = (~heard.isin(items["item"])).sum(), (~items["item"].isin(heard)).sum()
    if without:
        yield f"warning: items without features: {without:,}; they count as average"
    if never:
        yield f"items with features that no session holds: {never:,}"
