"""What a study reads: the layout of its raw files, their columns, how much is simulated, and the split."""

from __future__ import annotations

import string
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from gru4rec_lib.data.features import NOT_CATEGORIES
from gru4rec_lib.utils.checked import Fraction, Name, Seed, Some, Strict, Whole

Signal = Annotated[float, Field(ge=0, le=1)]
SIMULATED = "simulated.json"  # lies beside simulated raw files, and tells what they were made with


def _is_a_day(date: str) -> str:
    try:
        datetime.strptime(date, "%Y%m%d")
    except ValueError:
        raise ValueError("is no day of the calendar; write YYYYMMDD") from None
    return date


def _is_a_mark(quote: str) -> str:
    is_mark = len(quote) == 1 and quote in string.punctuation and quote != ","
    if not (is_mark or quote in ("auto", "none")):
        raise ValueError("should be one punctuation mark such as '\"', or null where cells are never quoted")
    return quote


Quote = Annotated[str, BeforeValidator(lambda quote: "none" if quote is None else quote), AfterValidator(_is_a_mark)]


def _is_missing(value: object) -> object:
    """Refuse in one sentence what is neither of the two forms of `ItemTable.missing`."""
    by_column = isinstance(value, dict)
    lists = [*value.values()] if by_column else [value]
    if (
        not all(isinstance(cells, list | tuple) for cells in lists)
        or not all(isinstance(cell, str) or (by_column and _is_number(cell)) for cells in lists for cell in cells)
        or (by_column and not all(isinstance(column, str) for column in value))
    ):
        raise ValueError("should be a list of texts, or a list of numbers and texts for each column: {tempo: [0]}")
    return value


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e308


class Twin(Strict):
    """How much simulated data the study writes for itself (`twin/simulate.py`).

    Args:
        sessions: sessions in each log file.
        seed: the same seed gives the same bytes.
        log_dates: one log file for each date (YYYYMMDD), in the order given.
        content_signal: how much the next track depends on how it sounds, 0 (not at all) to 1 (strongly).
    """

    sessions: Whole = Field(ge=10, le=200_000_000)
    seed: Seed = 1
    log_dates: tuple[Annotated[str, Field(pattern=r"^\d{8}$"), AfterValidator(_is_a_day)], ...] = ("20180715",)
    content_signal: Signal = 0.5


class Quoted(Strict):
    """What text files with quoted cells need.

    Args:
        quote: the quotation mark around cells that hold delimiters or line ends; null: cells are never quoted;
            `auto`: `"` in .csv, and no quotation in .tsv.
    """

    quote: Quote = "auto"


class ItemTable(Quoted):
    """The table of item features and what its columns are.

    Args:
        file: its name inside the data folder (.csv, .tsv, each also with .gz, or .parquet).
        item: the column of item ids.
        quote: as in `Quoted`.
        numeric: columns that are standardised.
        categorical: columns with one value an item.
        multivalued: for each feature, the columns that hold its values.
        missing: what means "no value" beside the empty cell: texts for all categorical and multi-valued columns; or, by
            column, a list of numbers and texts, such as {tempo: [0], time_signature: [0]}. A number means all ways to
            write it (0, 0.0), and so does a text that is a number in a numeric column.
    """

    file: str
    item: str
    numeric: tuple[str, ...] = ()
    categorical: tuple[str, ...] = ()
    multivalued: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    missing: Annotated[tuple[str, ...] | dict[str, tuple[str | float, ...]], BeforeValidator(_is_missing)] = ("",)

    def missing_in(self, column: str) -> tuple[str | float, ...]:
        """What means "no value" in a column beside the empty cell.

        Args:
            column: of `numeric`, `categorical` or `multivalued`.
        """
        if isinstance(self.missing, dict):
            return self.missing.get(column, ())
        return () if column in self.numeric else self.missing

    @model_validator(mode="after")
    def _each_column_once(self):
        columns = [*self.numeric, *self.categorical, *(name for names in self.multivalued.values() for name in names)]
        if not columns:
            raise ValueError("name a column in `numeric`, `categorical` or `multivalued`, or leave out `item_table`")
        names = [*columns, *(set(self.multivalued) & set(self.categorical))]
        lower = [name.lower() for name in names]  # to SQL, `Tempo` and `tempo` are one
        twice = next((name for name in names if lower.count(name.lower()) > 1), None)
        if twice:
            raise ValueError(f"`{twice}` is named twice among the features; a column is of one kind")
        if "item" in names:
            raise ValueError("a feature cannot be called `item`, as the ids of the items are; rename the column")
        unknown = next((name for name in self.missing if name not in columns), None)
        if isinstance(self.missing, dict) and unknown is not None:
            raise ValueError(
                f"`missing` names the column `{unknown}`, but the features are {', '.join(columns)}; correct the name"
            )
        taken = [name for name in (*self.categorical, *self.multivalued) if name in NOT_CATEGORIES]
        if taken:
            raise ValueError(f"a category cannot be called `{taken[0]}`, as part of the features' record; rename it")
        return self


class MssdData(Strict):
    """Files in the official MSSD layout: any number of log_*.csv[.gz] and tf_*.csv[.gz] below the folder.

    Args:
        layout: `mssd`.
        name: the data set's name; its files lie in data/raw/<name> unless the user says where.
        logs: patterns of the log files' names; a study of a few logs leaves the others of the folder alone.
        on_bad_rows: `error` stops at the first kind of problem, `drop` leaves such rows out and counts them.
        simulate: given where the study writes its own data.
        published: the row of the paper's Table 1 to show beside the counts (full, dataset03, mini).
        shards: prepare each log by itself (`preparation/sharded.py`), for logs that do not fit into memory together.
    """

    layout: Literal["mssd"]
    name: Name
    logs: Annotated[tuple[str, ...], Some] = ("log_*.csv", "log_*.csv.gz")
    on_bad_rows: Literal["error", "drop"] = "error"
    simulate: Twin | None = None
    published: Literal["full", "dataset03", "mini"] | None = None
    shards: bool = False

    @model_validator(mode="after")
    def _shards_are_brought(self):
        if self.shards and self.simulate:
            raise ValueError("`shards` is for logs that are brought; leave it out where the study simulates its own")
        return self


class EventData(Quoted):
    """A table of events (.csv, .tsv, .parquet), one row an event, with columns named here.

    Args:
        layout: `events`.
        name: the data set's name; its files lie in data/raw/<name> unless the user says where.
        events: file names or patterns inside the data folder.
        session, item: columns of ids.
        time: column of times, unix seconds or ISO dates; null where `position` is given.
        position: column of places in the session; null where `time` is given.
        exact_repeats: what to do with further rows of the same (session, item, time or position); counted either way.
        on_bad_rows: `error` stops at the first kind of problem, `drop` leaves such rows out and counts them.
        quote: as in `Quoted`.
        item_table: features of the items, where there are any.
    """

    layout: Literal["events"]
    name: Name
    events: Annotated[tuple[str, ...], Some]
    session: str
    item: str
    time: str | None = None
    position: str | None = None
    exact_repeats: Literal["keep", "drop"] = "keep"
    on_bad_rows: Literal["error", "drop"] = "error"
    item_table: ItemTable | None = None

    @model_validator(mode="after")
    def _has_an_order(self):
        if (self.time is None) == (self.position is None):
            raise ValueError("name exactly one of `time` and `position`: it orders a session's events")
        if len({self.session, self.item, self.time or self.position}) < 3:
            raise ValueError("`session`, `item` and `time` or `position` should be three different columns")
        return self


class Split(Strict):
    """Which sessions are for training and which for testing; a validation part is always cut from training.

    A session id in several files is one session, as where a session goes on in the next part of a log. Only by_file has
    an exception: an id in training files and in test files is two sessions, for files that each number their sessions
    anew would otherwise put test events into training. (In an MSSD log a session in two files is an error.)

    Args:
        how: `by_file` (test files match the pattern `test`), `by_session` (a random `test_fraction`), `by_time` (the
            last `test_fraction` of the sessions by start; sessions that start at the same time go together, and those
            that start before the test and end at its first event or later are dropped and counted), `listed` (`test`
            is a file of session ids in the folder).
        test: see `how`. A pattern with `/` is that of a path below the data folder, such as `test/*` or `**/day_7/*`
            (`**`: any folders); one without is that of a file's name in any folder.
        test_fraction: share of the sessions, 0 to 1.
        validation: how the validation part is cut from training: at random, or the last by start time (by order of
            reading where there are no times), with the rules of `by_time`; sessions that end in the time of validation
            are left out of training until the final one, on all.
        validation_fraction: share of the training sessions, 0 to 1.
        seed: of the random choices.
    """

    how: Literal["by_file", "by_session", "by_time", "listed"]
    test: str | None = None
    test_fraction: Fraction | None = None
    validation: Literal["random", "last"] = "random"
    validation_fraction: Fraction = 0.1
    seed: Seed = 1

    @model_validator(mode="after")
    def _complete(self):
        wants_test = self.how in ("by_file", "listed")
        if wants_test != (self.test is not None) or wants_test == (self.test_fraction is not None):
            raise ValueError(f"split `{self.how}` needs `{'test' if wants_test else 'test_fraction'}` and nothing else")
        return self


@dataclass(frozen=True)
class RawData:
    """A study's raw files, and where what is prepared from them is kept.

    Args:
        data: their layout.
        split: of their sessions.
        raw: the folder of the files.
        prepared: the folder of the arrays.
    """

    data: MssdData | EventData
    split: Split
    raw: Path
    prepared: Path

    @property
    def shards(self) -> bool:
        """Whether the study is prepared log by log."""
        return isinstance(self.data, MssdData) and self.data.shards
