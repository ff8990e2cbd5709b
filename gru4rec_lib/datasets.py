"""What a study reads: the layout of its raw files, their columns, how much is simulated, and the split."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from gru4rec_lib.strict import Fraction, Name, Seed, Some, Strict, Whole

Signal = Annotated[float, Field(ge=0, le=1)]
SIMULATED = "simulated.json"  # lies beside simulated raw files, and tells what they were made with


def _is_a_day(date: str) -> str:
    try:
        datetime.strptime(date, "%Y%m%d")
    except ValueError:
        raise ValueError("is no day of the calendar; write YYYYMMDD") from None
    return date


class Twin(Strict):
    """How much simulated data the study writes for itself (`simulate.py`).

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


class ItemTable(Strict):
    """The table of item features and what its columns are.

    Args:
        file: its name inside the data folder (.csv, .tsv or .parquet).
        item: the column of item ids.
        numeric: columns that are standardised.
        categorical: columns with one value an item.
        multivalued: for each feature, the columns that hold its values.
        missing: texts that mean "no value" in categorical and multi-valued columns.
    """

    file: str
    item: str
    numeric: tuple[str, ...] = ()
    categorical: tuple[str, ...] = ()
    multivalued: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    missing: tuple[str, ...] = ("",)

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
        shards: prepare each log by itself (`shards.py`), for logs that are too many for the memory together.
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


class EventData(Strict):
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

    Args:
        how: `by_file` (test files match the pattern `test`), `by_session` (a random `test_fraction`), `by_time` (the
            last `test_fraction` of the sessions by start), `listed` (`test` is a file of session ids in the folder).
        test: see `how`.
        test_fraction: share of the sessions, 0 to 1.
        validation: how the validation part is cut from training: at random, or the last by start time.
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
