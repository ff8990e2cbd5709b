"""Settings of a study's data: layout and columns of the raw files, filters, simulation, and the split."""

from __future__ import annotations

import string
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from gru4rec_lib.data.columns import BESIDE_LABELS
from gru4rec_lib.data.features import NOT_CATEGORIES
from gru4rec_lib.utils.checked import Count, Fraction, Name, Number, Seed, Some, Strict, Whole

Signal = Annotated[Number, Field(ge=0, le=1)]
SIMULATED = "simulated.json"  # beside simulated raw files: the settings of the simulation
# The 28 numeric columns of MSSD's track file, in the official order; the paper drops `mode`, the only text column.
TRACK_FEATURES = (
    *("duration", "release_year", "us_popularity_estimate", "acousticness", "beat_strength", "bounciness"),
    *("danceability", "dyn_range_mean", "energy", "flatness", "instrumentalness", "key", "liveness", "loudness"),
    *("mechanism", "organism", "speechiness", "tempo", "time_signature", "valence"),
    *(f"acoustic_vector_{i}" for i in range(8)),
)


def _is_a_day(day: str) -> str:
    try:
        datetime.strptime(day, "%Y%m%d")
    except ValueError:
        raise ValueError("is no day of the calendar; write YYYYMMDD") from None
    return day


def _is_a_mark(quote: str) -> str:
    is_mark = len(quote) == 1 and quote in string.punctuation and quote != ","
    if not (is_mark or quote in ("auto", "none")):
        raise ValueError("should be one punctuation mark such as '\"', or null where cells are never quoted")
    return quote


def _as_a_day(day: object) -> object:
    try:
        return day if type(day) is date else date.fromisoformat(day)
    except (TypeError, ValueError):
        raise ValueError("should be a day such as 2000-01-31") from None


Days = Annotated[Number, Field(gt=0)]
Day = Annotated[date, BeforeValidator(_as_a_day)]
Quote = Annotated[str, BeforeValidator(lambda quote: "none" if quote is None else quote), AfterValidator(_is_a_mark)]


def _is_missing(value: object) -> object:
    """Raise one sentence if a value has neither of the two forms of `ItemTable.missing`."""
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
    """Settings of the data that the study simulates (`twin/simulate.py`).

    Args:
        sessions: number of sessions in each log file.
        seed: the same seed gives the same bytes.
        log_dates: one log file for each date (YYYYMMDD), in the order given.
        content_signal: how much the next track depends on its audio features, 0 (not at all) to 1 (strongly).
    """

    sessions: Whole = Field(ge=10, le=200_000_000)
    seed: Seed = 1
    log_dates: tuple[Annotated[str, Field(pattern=r"^\d{8}$"), AfterValidator(_is_a_day)], ...] = ("20180715",)
    content_signal: Signal = 0.5


def _one_is_a_list(columns: object) -> object:
    return (columns,) if isinstance(columns, str) else columns


# A column; or several, of which the first that is not empty is used.
Columns = Annotated[tuple[str, ...], BeforeValidator(_one_is_a_list), Some]
# The same, but columns in a nested list are joined to one text: `[track_mbid, [artist, title]]`.
Joined = Annotated[tuple[str | Annotated[tuple[str, ...], Some], ...], BeforeValidator(_one_is_a_list), Some]


class Quoted(Strict):
    """How text files are written.

    Args:
        quote: the quotation mark around cells that contain delimiters or line ends; null: cells are never quoted;
            `auto`: `"` in .csv, no quotation in files with tabs.
        header: names of the columns if the files have no header line; empty if they have one.
    """

    quote: Quote = "auto"
    header: tuple[str, ...] = ()


class ItemTable(Quoted):
    """The table of item features and its columns.

    Args:
        file: name or pattern inside the data folder, of the same kinds of files as the events; null: the features are
            columns of the events.
        item: the column of item ids, or several, see `Joined`.
        key: columns of the events with the ids of this table, such as titles; null: the item ids of the events.
        repeats: what to do with several rows of an item: `first` takes the first non-missing value of each column and
            counts the items whose rows differ; `error` raises. Always `first` if the features are columns of the
            events.
        quote, header: as in `Quoted`.
        numeric: columns that are standardised.
        categorical: columns with one value per item.
        multivalued: for each feature, the columns of its values.
        separators: for columns of `multivalued` and `embedding` with several values in a cell, such as `rock|indie`,
            the text between the values.
        embedding: columns with a list of numbers in each cell, all of one length; each number is standardised.
        missing_indicator: whether a numeric column with missing values gets a second column, 1 where the value is
            missing and 0 elsewhere. Missing values become the mean in either case.
        missing: what means "no value" besides the empty cell: texts for all categorical and multi-valued columns; or,
            by column, a list of numbers and texts, such as {tempo: [0], time_signature: [0]}. A number stands for every
            way to write it (0, 0.0); so does a text that is a number, in a numeric column.
    """

    file: str | None
    item: Joined
    key: Joined | None = None
    repeats: Literal["error", "first"] = "error"
    numeric: tuple[str, ...] = ()
    categorical: tuple[str, ...] = ()
    multivalued: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    separators: dict[str, Annotated[str, Field(min_length=1)]] = Field(default_factory=dict)
    embedding: tuple[str, ...] = ()
    missing_indicator: bool = False
    missing: Annotated[tuple[str, ...] | dict[str, tuple[str | float, ...]], BeforeValidator(_is_missing)] = ("",)

    def missing_in(self, column: str) -> tuple[str | float, ...]:
        """Return what means "no value" in a column besides the empty cell.

        Args:
            column: of `numeric`, `categorical` or `multivalued`.
        """
        if isinstance(self.missing, dict):
            return self.missing.get(column, ())
        return () if column in (*self.numeric, *self.embedding) else self.missing

    @model_validator(mode="after")
    def _each_column_once(self):
        listed = [name for names in self.multivalued.values() for name in names]
        columns = [*self.numeric, *self.embedding, *self.categorical, *listed]
        if not columns:
            raise ValueError("name a column in `numeric`, `categorical` or `multivalued`, or leave out `item_table`")
        single = next((name for name in self.separators if name not in (*listed, *self.embedding)), None)
        if single is not None:
            problem = f"`separators` names the column `{single}`"
            raise ValueError(f"{problem}; list it in `multivalued` or `embedding`, or correct the name")
        names = [*columns, *(set(self.multivalued) & set(self.categorical))]
        lower = [name.lower() for name in names]  # SQL does not distinguish `Tempo` and `tempo`
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
        name: name of the data set; its files are in data/raw/<name> unless the user gives another folder.
        logs: patterns of the log files' names; other logs in the folder are not read.
        on_bad_rows: `error` stops at the first kind of problem, `drop` leaves such rows out and counts them.
        simulate: settings of the simulation, if the study simulates its data.
        published: the row of the paper's Table 1 to show beside the counts (full, dataset03, mini).
        shards: prepare each log separately (`preparation/sharded.py`), for logs that do not fit into memory together.
    """

    layout: Literal["mssd"]
    name: Name
    logs: Annotated[tuple[str, ...], Some] = ("log_*.csv", "log_*.csv.gz")
    on_bad_rows: Literal["error", "drop"] = "error"
    simulate: Twin | None = None
    published: Literal["full", "dataset03", "mini"] | None = None
    shards: bool = False

    @property
    def feature_columns(self) -> tuple[str, ...]:
        """The columns that are features of the items."""
        return TRACK_FEATURES

    @model_validator(mode="after")
    def _shards_are_brought(self):
        if self.shards and self.simulate:
            raise ValueError("`shards` is for logs that are brought; leave it out where the study simulates its own")
        return self


class LeftOut(Strict):
    """A condition on rows that are left out, one of the four. A column that is not in a file counts as empty.

    Args:
        present: columns of which at least one is not empty.
        missing: columns that are all empty.
        equal: for each column, texts and numbers, one of which the cell equals; a number stands for every way to write
            it.
        below: for each column, a number that the cell is below; an empty cell is not below it.
    """

    present: Columns | None = None
    missing: Columns | None = None
    equal: dict[str, tuple[str | bool | float, ...]] | None = None
    below: dict[str, Number] | None = None

    @model_validator(mode="after")
    def _has_one_condition(self):
        if sum(bool(condition) for condition in (self.present, self.missing, self.equal, self.below)) != 1:
            raise ValueError("give exactly one condition: `present`, `missing`, `equal` or `below`")
        return self

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that the condition reads."""
        return tuple(self.present or self.missing or self.equal or self.below)


class Filters(Strict):
    """Filters of the plays and sessions of an event table, in the order in which they run; each one is counted.

    The first four leave out plays before sessions are cut. The others are applied once, or with `repeat` until nothing
    changes, since dropping a session also drops plays of its items.

    Args:
        since: leave out plays before this day (UTC), such as 2000-01-01.
        until: leave out plays on this day or later; `today`: plays in the future.
        recent_days: keep only this number of days before the last play.
        min_seconds: leave out plays that lasted fewer seconds; needs `duration`. A play of unknown duration is kept.
        merge_repeats: keep only the first of consecutive plays of an item in a session.
        repeats_in_session: `drop` keeps the first play of each item in a session.
        min_item_plays: drop items with fewer plays.
        max_session_events: maximum number of events in a session.
        long_sessions: what to do with a longer session: `cut` keeps its first events, `drop` drops it.
        min_session_events: drop sessions with fewer events.
        min_user_sessions: drop users with fewer sessions; needs `user`.
        repeat: whether the filters from `merge_repeats` on run until nothing changes.
    """

    since: Day | None = None
    until: Literal["today"] | Day | None = None
    recent_days: Days | None = None
    min_seconds: Annotated[Number, Field(gt=0)] | None = None
    merge_repeats: bool = False
    repeats_in_session: Literal["keep", "drop"] = "keep"
    min_item_plays: Count | None = None
    max_session_events: Annotated[Whole, Field(ge=2)] | None = None
    long_sessions: Literal["cut", "drop"] = "cut"
    min_session_events: Count | None = None
    min_user_sessions: Count | None = None
    repeat: bool = False

    @property
    def of_plays(self) -> bool:
        """Whether a filter of single plays, one of the first four, is set."""
        return any(value is not None for value in (self.since, self.until, self.recent_days, self.min_seconds))

    @model_validator(mode="after")
    def _leaves_something(self):
        if self.since and isinstance(self.until, date) and self.since >= self.until:
            raise ValueError("`since` should be before `until`")
        if self.min_session_events and self.max_session_events and self.min_session_events > self.max_session_events:
            raise ValueError("`min_session_events` should be at most `max_session_events`")
        return self


class EventData(Quoted):
    """A table of events, one row per event, and its columns.

    Files are .csv; .tsv, .txt, .inter and .item with tabs; .parquet; .json (an array of records) and .jsonl. Text files
    may be compressed as .gz, .bz2 or .zst, and all files may be in .zip archives; the data folder may be an archive,
    too. In JSON `a.b` names the field `b` of the object `a`, or a field `a.b`; in .inter and .item a column is named
    without its type.

    Args:
        layout: `events`.
        name: name of the data set; its files are in data/raw/<name> unless the user gives another folder.
        events: file names or patterns inside the data folder. A nested list gives alternatives; the first that exists
            is read.
        session: column of session ids, or several, see `Joined`; null if `idle_minutes` is given. If several users have
            the same ids, join the user to them: [[user, session]].
        item: column of item ids, or several, see `Joined`.
        time: column of times, unix seconds or ISO dates; null if `position` is given.
        position: column of positions in the session; null if `time` is given.
        user: column of listeners; null: with `idle_minutes`, all plays are of one listener.
        user_by_folder: use the first folder of a file's path as the listener.
        idle_minutes: a session ends if more than this number of minutes pass between the end of a play and the start of
            the same user's next play. Plays are in the order of `time`; plays of equal time are in the order of the
            files.
        time_is: whether `time` is the `start` or the `end` of a play.
        duration: column of durations; null: each play lasts 0 seconds.
        duration_unit: `s` or `ms`.
        start: column of the start of a play if `time` is its end, in unix seconds or milliseconds. A start before 2000,
            after the end, or earlier than the end by more than the duration and `idle_minutes` (listening paused within
            the play) is ignored; the start is then the end minus the duration.
        label: for each displayed name, such as `title`, its column or columns.
        label_features: labels that are also features, with one category per item; items that are not in `item_table`
            have them as well.
        leave_out: for each reason, a condition on the rows that are left out.
        filters: which plays and sessions are kept.
        exact_repeats: what to do with repeated rows of the same (session, item, time or position); counted either way.
        on_bad_rows: `error` stops at the first kind of problem, `drop` leaves such rows out and counts them.
        quote, header: as in `Quoted`.
        item_table: features of the items, if there are any.
    """

    layout: Literal["events"]
    name: Name
    events: Annotated[tuple[str | Annotated[tuple[str, ...], Some], ...], Some]
    session: Joined | None = None
    item: Joined
    time: Columns | None = None
    position: str | None = None
    user: Columns | None = None
    user_by_folder: bool = False
    idle_minutes: Annotated[Number, Field(gt=0)] | None = None
    time_is: Literal["start", "end"] = "start"
    duration: Columns | None = None
    duration_unit: Literal["s", "ms"] = "s"
    start: Columns | None = None
    label: dict[str, Columns] = Field(default_factory=dict)
    label_features: tuple[str, ...] = ()
    leave_out: dict[str, LeftOut] = Field(default_factory=dict)
    filters: Filters = Filters()
    exact_repeats: Literal["keep", "drop"] = "keep"
    on_bad_rows: Literal["error", "drop"] = "error"
    item_table: ItemTable | None = None

    @property
    def patterns(self) -> tuple[str, ...]:
        """All patterns of event files, including alternatives."""
        return tuple(pattern for one in self.events for pattern in ((one,) if isinstance(one, str) else one))

    @property
    def has_users(self) -> bool:
        """Whether the listener of each play is known."""
        return self.user is not None or self.user_by_folder

    @property
    def has_features(self) -> bool:
        """Whether the items have features."""
        return bool(self.item_table or self.label_features)

    @property
    def feature_columns(self) -> tuple[str, ...]:
        """The columns that are features of the items; a feature of `multivalued` counts as one column."""
        table = self.item_table
        named = (*table.numeric, *table.embedding, *table.categorical, *table.multivalued) if table else ()
        return (*self.label_features, *named)

    @property
    def categories(self) -> tuple[str, ...]:
        """Names of the features with one category per item."""
        return (*self.label_features, *(self.item_table.categorical if self.item_table else ()))

    @model_validator(mode="after")
    def _has_an_order(self):
        if (self.time is None) == (self.position is None):
            raise ValueError("name exactly one of `time` and `position`: it orders a session's events")
        if (self.session is None) == (self.idle_minutes is None):
            raise ValueError("give exactly one of `session`, a column, and `idle_minutes`, to cut sessions by time")
        if self.idle_minutes and not self.time:
            raise ValueError("`idle_minutes` needs `time`: sessions are cut where listening pauses")
        if self.user and self.user_by_folder:
            raise ValueError("name a column `user` or set `user_by_folder`, not both")
        order = self.time or (self.position,)
        roles = [self.session or (), self.user or (), self.item, order]
        columns = [choice for role in roles for choice in role]
        if len({*columns}) < len(columns):
            names = "`session`" if self.session and not self.user else "`user`"
            raise ValueError(f"{names}, `item` and `time` or `position` should be three different columns")
        return self

    @model_validator(mode="after")
    def _filters_have_columns(self):
        filters = self.filters
        for name, needed, is_given in (
            ("min_seconds", "duration", self.duration),
            ("since", "time", self.time),
            ("until", "time", self.time),
            ("recent_days", "time", self.time),
            ("min_user_sessions", "user", self.has_users),
        ):
            if getattr(filters, name) is not None and not is_given:
                raise ValueError(f"`filters.{name}` needs a column `{needed}`; name it or leave the filter out")
        if self.start and self.time_is == "start":
            raise ValueError("`start` goes with `time_is: end`; name the column of starts as `time`, or set `time_is`")
        for number, name in enumerate(self.label_features):
            if name not in self.label:
                raise ValueError(f"`label_features` names `{name}`, which is not in `label`; add it there")
            if name in (*self.feature_columns[number + 1 :], *self.label_features[:number], *NOT_CATEGORIES):
                raise ValueError(f"`label_features` names `{name}`, a name that another feature has; rename the label")
        taken = [name for name in self.label if name in BESIDE_LABELS]
        if taken:
            raise ValueError(f"a label cannot be called `{taken[0]}`; rename it")
        return self


class Split(Strict):
    """How to split the sessions into training and test; a validation part is always split from training.

    A session id in several files is one session, since a session may continue in the next part of a log. The exception
    is `by_file`: an id in both training and test files is two sessions. Otherwise, if each file numbers its sessions
    from 1, test events would be part of training sessions. (In an MSSD log a session in two files is an error.)

    Args:
        how: `by_file` (test files match the pattern `test`), `by_session` (a random `test_fraction`), `by_time` (the
            last `test_fraction` of the sessions by start; sessions that start at the same time stay together, and those
            that start before the test and end at its first event or later are dropped and counted; or all sessions of
            the last `test_days`), `listed` (`test` is a file of session ids in the folder).
        test: see `how`. A pattern with `/` is matched with the path below the data folder, such as `test/*` or
            `**/day_7/*` (`**`: any folders); a pattern without `/` is matched with the file name in any folder.
        test_fraction: share of the sessions, 0 to 1.
        test_days: for `by_time`, instead of `test_fraction`: the days of the test, of 24 hours each, counted back from
            the newest play.
        train_days: with `test_days`, the days before the test from which training takes its sessions; earlier sessions
            are dropped and counted. null: all.
        window: with `train_days`, the number of the window of `train_days` + `test_days` days, counted back: 1 ends
            with the newest play, 2 where 1 begins. A session belongs to the window in which it lies, see `by`; sessions
            of other windows are dropped and counted.
        by: whether `by_time` orders the sessions by their `start` or by their `end`.
        gap_days: for `by_time`, days between training and test; training sessions that end in the gap are dropped, too.
        validation: how the validation part is chosen: `random`, or the `last` training sessions by start time (by
            reading order if there are no times), with the rules of `by_time`. Sessions that start before validation and
            end in it are used only in the final training, on all training sessions.
        validation_fraction: share of the training sessions, 0 to 1.
        seed: of the random choices.
    """

    how: Literal["by_file", "by_session", "by_time", "listed"]
    test: str | None = None
    test_fraction: Fraction | None = None
    test_days: Days | None = None
    train_days: Days | None = None
    window: Count = 1
    by: Literal["start", "end"] = "start"
    gap_days: Annotated[Number, Field(ge=0)] = 0
    validation: Literal["random", "last"] = "random"
    validation_fraction: Fraction = 0.1
    seed: Seed = 1

    @model_validator(mode="after")
    def _complete(self):
        wanted = "test" if self.how in ("by_file", "listed") else "test_fraction"
        if self.how == "by_time" and self.test_days is not None:
            wanted = "test_days"
        if any((getattr(self, name) is not None) != (name == wanted) for name in ("test", "test_fraction")):
            raise ValueError(f"split `{self.how}` needs `{wanted}` and nothing else")
        of_time = ("by", "gap_days", "test_days", "train_days", "window")
        changed = [name for name in of_time if getattr(self, name) != type(self).model_fields[name].default]
        if self.how != "by_time" and changed:
            raise ValueError(f"`{changed[0]}` is for the split `by_time` alone; leave it out")
        if self.train_days is not None and self.test_days is None:
            raise ValueError("`train_days` needs `test_days`, the days of the test")
        if self.window > 1 and self.train_days is None:
            raise ValueError("`window` needs `train_days` and `test_days`, the days of a window")
        return self


@dataclass(frozen=True)
class RawData:
    """The raw files of a study, and the folder of its prepared arrays.

    Args:
        data: layout of the files.
        split: settings of the split.
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
