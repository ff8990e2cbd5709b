"""Recommend for sessions that are named on the command line or in a file, and write the lists."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import duckdb
import pandas as pd

from gru4rec_lib.config.data import EventData
from gru4rec_lib.preparation import readers
from gru4rec_lib.preparation.archives import Plain
from gru4rec_lib.preparation.source_files import open_source
from gru4rec_lib.serving.recommender import Recommender
from gru4rec_lib.study.check import event_fields
from gru4rec_lib.utils.arguments import user_path
from gru4rec_lib.utils.atomic_write import replacing
from gru4rec_lib.utils.checked import ConfigError, check

ENDINGS = (".csv", ".json", ".m3u")


def limit(text: str) -> tuple[str, int]:
    """Return label and number of a text such as `artist=2`.

    Args:
        text: as it is given to `--at-most`.

    Raises:
        ConfigError: it is not of this form.
    """
    label, _, number = text.rpartition("=")
    if not label or not number.isdecimal():
        raise ConfigError(f"--at-most: `{text}` is no label with a number; write it as artist=2")
    return label, int(number)


def recommend(
    folder: Path, session: Sequence[str] | None, table: Path | None, out: Path | None, **options
) -> Iterator[str]:
    """Recommend the next items of one session, or of each session of a table.

    Args:
        folder: of a model.
        session: ids or names of items, the oldest first.
        table: of events, in place of `session`: columns of session, item and time or position by their common names.
        out: file to write, completely or not at all; needed for a table.
        options: k, exclude_heard and at_most, see `Recommender.recommend`.

    Yields:
        Lines to print.

    Raises:
        ConfigError: `out` is missing or has another ending, or .m3u is to hold several lists.
        ValueError: a name is unknown or ambiguous, or an option is wrong.
        DataError, FileNotFoundError: a file is wrong or missing.
    """
    out = user_path(out) if out else None
    if out and out.suffix.lower() not in ENDINGS:
        raise ConfigError(f"--out: {out} should end in {', '.join(ENDINGS)}; rename it")
    if table and not out:
        raise ConfigError("--out: the lists of a table need a file; name one that ends in .csv or .json")
    if out and not out.parent.is_dir():
        raise ConfigError(f"--out: there is no folder {out.parent}; make it or name another")
    model = Recommender.load(folder)
    if session:
        lists = model.recommend([model.find(name) for name in session], **options)
    else:
        events, warnings = read_events(user_path(table))
        yield from (f"warning: {warning}" for warning in warnings)
        n = len(events["session"].unique())
        if out.suffix.lower() == ".m3u" and n > 1:
            problem = f"a playlist is of one session, but {table} has {n:,}"
            raise ConfigError(f"--out: {problem}; name a file that ends in .csv or .json")
        known = {str(item): item for item in model.items.tolist()}
        unknown = ~events["item"].isin([*known])
        if unknown.all():
            raise ConfigError(f"{table}: the model knows none of its items; name the table with the model's ids")
        if unknown.any():
            yield f"warning: the model does not know the items of {unknown.sum():,} of {len(events):,} events; skipped"
        sessions = events.groupby("session", sort=False)["item"].agg(
            lambda items: [known.get(item, model.no_item) for item in items]
        )
        lists = model.recommend_many(sessions.tolist(), **options)
        lists["session"] = sessions.index.take(lists["session"])
    if not out:
        yield lists.to_string(index=False)
        return
    write(lists, out)
    yield f"written: {out} ({len(lists):,} rows)"


def read_events(path: Path) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Read the sessions of a table of events.

    Args:
        path: of the table; its columns have common names, see `gru4rec check`.

    Returns:
        (columns session and item, text, in the order of play; warnings of the reader).

    Raises:
        DataError: a file, column or row is wrong.
    """
    with Plain() as plain:
        plain_path = plain.path(path, path.name)
        with duckdb.connect() as con:
            source = open_source(con, plain_path, path.name, set(), "auto")
        fields = event_fields(source, path, {})
    tables = readers.read(check(EventData, fields, path), path.parent)
    return tables.events[["session", "item"]].astype("str"), tables.warnings


def write(lists: pd.DataFrame, path: Path) -> None:
    """Write lists, completely or not at all.

    Args:
        lists: of `Recommender.recommend` or `recommend_many`.
        path: ends in .csv, .json (a list of rows) or .m3u (the ids of one list, with labels as comments).
    """
    ending = path.suffix.lower()
    with replacing(path) as partial:
        if ending == ".csv":
            lists.to_csv(partial, index=False)
        elif ending == ".json":
            lists.to_json(partial, orient="records", force_ascii=False, indent=1)
        else:
            labels = lists.drop(columns=["session", "item", "score", "source"], errors="ignore")
            lines = ["#EXTM3U"]
            for item, row in zip(lists["item"], labels.to_numpy().tolist(), strict=True):
                name = " - ".join(" ".join(text.split()) for text in row if isinstance(text, str))
                lines += [f"#EXTINF:-1,{name or item}", str(item)]
            partial.write_text("\n".join([*lines, ""]), encoding="utf-8")
