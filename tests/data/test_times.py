"""Times as text, numbers and dates: equal in files and DataFrames; an invalid one is an error of one sentence."""

import datetime
import warnings
from decimal import Decimal

import duckdb
import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gru4rec_lib.__main__ import main
from gru4rec_lib.config.data import RawData
from gru4rec_lib.config.study import EventData, Split
from gru4rec_lib.data import times
from gru4rec_lib.data.dataframes import index_sessions
from gru4rec_lib.preparation import typed_columns
from gru4rec_lib.preparation.readers import read
from gru4rec_lib.preparation.sharded import explored
from gru4rec_lib.preparation.source_files import DataError
from gru4rec_lib.serving.recommender import Recommender
from gru4rec_lib.training.gru4rec import GRU4Rec

JULY = 1405036800  # 2014-07-11T00:00:00Z
UTC = datetime.UTC
ISO = st.from_regex(times.ISO, fullmatch=True)
ALMOST = st.builds(
    lambda text, place, other: text[: place % len(text)] + other + text[place % len(text) + 1 :],
    ISO,
    st.integers(0, 40),
    st.sampled_from([*"019 -/:.TZ+", ""]),
)
TEXTS = ISO | ALMOST | st.floats().map(repr) | st.integers().map(str) | st.text(st.sampled_from([*"012 .eE+-_\t"]))


def in_files(texts):
    """Return the times of these texts in files; NaN if a cell is rejected."""
    with duckdb.connect() as con:
        con.execute("SET TimeZone = 'UTC'")
        query = f"SELECT {typed_columns.TIME.sql.format(x='x')} FROM (SELECT unnest(?::VARCHAR[]) AS x)"
        return np.array([np.nan if time is None else time for (time,) in con.execute(query, [texts]).fetchall()])


@given(st.lists(TEXTS, min_size=1, max_size=20))
@example(["8", " 10 ", "1e3", "1_000", "inf", "nan", "", " ", "0x10", "1e400", "253402300799", "253402300800", "true"])
@example(["2014-07-11", "2014/7/11", "2014/7-11", "14-07-11", "0014-07-11", "2014-02-30", "2014-02-29", "20140711"])
@example(["2014-07-11 10:00", "2014-07-11T10:00:00.1234567Z", "2014-07-11 10:00:00 UTC", "2014-07-11 24:00"])
@example(["2014-07-11 10:00+02", "2014-07-11 10:00-02:30", "2014-07-11 10:00:00+0200", "2014-07-11 10:00 +02:00"])
@example(["29 Nov 2023, 14:02", "11/07/2014", "2014-07-11 10:00 PM", "9999-12-31 24:00", "epoch", "2014-07-11 CET"])
def test_files_and_data_frames_read_the_same_times(texts):
    found = np.array([times.seconds(text) for text in texts])
    np.testing.assert_array_equal(np.where(np.abs(found) < times.END, found, np.nan), in_files(texts))


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("8", 8),
        ("-1.5e1", -15),
        ("2014-07-11", JULY),
        ("2014/7/11 01:00", JULY + 3600),
        ("2014-07-11T01:00:00.25Z", JULY + 3600.25),
        ("2014-07-11 01:00:00+02:30", JULY + 3600 - 9000),
        ("2014-07-11 01:00:00-0230", JULY + 3600 + 9000),
        ("1969-12-31 23:59:59", -1),
        ("14-07-11", np.nan),
        ("2014-02-29", np.nan),
        ("29 Nov 2023, 14:02", np.nan),
    ],
)
def test_times_by_hand(text, time):
    np.testing.assert_array_equal([times.seconds(text), in_files([text])[0]], time)


# DataFrames


def order(values, **options):
    """Return the order of the items in a session of events with these times."""
    events = pd.DataFrame({"s": 1, "i": range(len(values)), "t": pd.Series(values, **options)})
    items, sessions, *_ = index_sessions(events, "s", "i", "t")
    return items.to_numpy()[sessions[0]].tolist()


NAIVE, ZONED = datetime.datetime(2014, 7, 11, 12), datetime.datetime(2014, 7, 11, 12, tzinfo=UTC)
EAST = datetime.timezone(datetime.timedelta(hours=9))


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        (["9", "10", "8", "9"], "str"),
        (["9", "10", "8", "9"], "object"),
        (["9", "10", "8", "9"], "string"),
        (["9", "10", "8", "9"], "category"),
        (["9", "10", "8", "9"], "string[pyarrow]"),
        (["2014-07-11 09:00", "2014-7-11 9:30", "2014-07-11T09:00+09:00", "2014-07-11 09:00:00Z"], "str"),
        ([9, 10, 8, 9], "int64"),
        ([9, 10, 8, 9], "uint8"),
        ([9, 10, 8, 9], "category"),
        ([9, 10, 8, 9], "Int64"),
        ([9, 10.5, 8, 9], "Float64"),
        ([9, 10.5, 8, np.int8(9)], "object"),
        ([Decimal(9), 10.5, 8, 9], "object"),
        ([9, 10, 8, 9], "int64[pyarrow]"),
        ([9, 10, 8, 9], "datetime64[ns]"),
        ([9, 10, 8, 9], "datetime64[s]"),
        ([9, 10, 8, 9], "datetime64[us, Europe/Berlin]"),
        ([9, 10, 8, 9], "timestamp[ns][pyarrow]"),
        ([datetime.date(2014, 7, day) for day in (9, 10, 8, 9)], "object"),
        ([datetime.date(2014, 7, day) for day in (9, 10, 8, 9)], "date32[pyarrow]"),
        ([NAIVE, ZONED + datetime.timedelta(1), ZONED.astimezone(EAST).replace(hour=12), ZONED], "object"),
        ([pd.Timestamp(NAIVE), datetime.date(2015, 1, 1), datetime.date(2014, 7, 11), np.datetime64(NAIVE)], "object"),
    ],
)
def test_events_are_in_the_order_of_times_of_any_type(values, dtype):
    assert order(values, dtype=dtype) == [2, 0, 3, 1], "equal times are in the order of their rows"


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (
            ["1", "29 Nov 2023, 14:02", "x"],
            "row 11, column 't': cannot read '29 Nov 2023, 14:02'; write unix",
        ),
        (["1", "", "2"], "row 11, column 't': cannot read ''; write unix seconds or an ISO date and time"),
        (["1", "nan", "2"], "row 11, column 't': cannot read 'nan'"),
        (["1", "14-07-11", "2"], "row 11, column 't': cannot read '14-07-11'"),
        (["1", 2, 3], "row 11, column 't': 2 is of another kind than the first row's, a text; give all of one kind"),
        ([1, "2", 3], "row 11, column 't': '2' is of another kind than the first row's, a number"),
        ([NAIVE, 2, 3], "row 11, column 't': 2 is of another kind than the first row's, a date"),
        ([2, True, 3], "row 11, column 't': cannot read True"),
        ([True, False, True], "row 10, column 't': cannot read True"),
        ([1, np.inf, 2], "row 11, column 't': cannot read inf"),
        ([1, 10**400, 2], "row 11, column 't': cannot read 1000"),
        ([1, 1531612800000, 2], "row 11, column 't': cannot read 1531612800000; write unix seconds"),
        ([b"1", b"2", b"3"], "row 10, column 't': cannot read b'1'"),
        ([1j, 2, 3], "row 10, column 't': cannot read "),
        (pd.to_timedelta([1, 2, 3], unit="s"), "row 10, column 't': cannot read Timedelta"),
        (np.array([1, 2, 3], "timedelta64[s]").astype(object), "row 10, column 't': cannot read "),
        (np.array(["2014", "20000", "2014"], "datetime64[s]"), "row 11, column 't': cannot read Timestamp"),
        ([1, None, 2], "1 rows have no 't'"),
        ([NAIVE, pd.NaT, NAIVE], "1 rows have no 't'"),
    ],
)
@pytest.mark.parametrize("dtype", [None, "object", "category"])
def test_an_invalid_time_is_an_error_with_row_and_column(values, sentence, dtype):
    events = pd.DataFrame({"s": 1, "i": [*"abc"], "t": pd.Series(values, dtype=dtype)})
    events.index = [10, 11, 12]
    with pytest.raises(ValueError, match=r"^events: ") as error:
        index_sessions(events, "s", "i", "t")
    assert sentence in str(error.value)
    assert len(str(error.value)) < 200


def test_fit_update_and_evaluate_read_times(eager, monkeypatch):
    monkeypatch.setattr(GRU4Rec, "fit", lambda *_, **__: None)
    events = pd.DataFrame({"session": 1, "item": [*"abcd"], "time": ["8", "9", "10", "soon"]})
    settings = {"hidden_units": 4, "batch_size": 2, "samples": 4, "jit": False, "verbose": 0, "epochs": 1}
    with pytest.raises(ValueError, match="row 3, column 'time': cannot read 'soon'"):
        Recommender.fit(events, **settings)
    one = Recommender.fit(events[:3], **settings)
    for use in (one.update, one.evaluate):
        with pytest.raises(ValueError, match="row 3, column 'time': cannot read 'soon'"):
            use(events)
    with pytest.warns(UserWarning, match="`2014` looks like the year 2014") as warned:
        one.evaluate(events[:3].assign(time=2014))
    assert {one.filename for one in warned} == {__file__}


# Numbers that are dates

DIGITS = "as digits, but is read as unix seconds, "
DATES = [
    ([20140711, 20231129], "`20140711` looks like 2014-07-11 written " + DIGITS + "1970-08-22T02:38:31; write ISO"),
    ([2014071114, 2014071115], "`2014071114` looks like 2014-07-11T14 written " + DIGITS + "2033-10-28T00:11:54"),
    ([201407111402, 201407111403], "`201407111402` looks like 2014-07-11T14:02 written " + DIGITS + "8352-"),
]
MAYBE = [
    ([201407, 201512], "`201407` looks like 2014-07 written " + DIGITS + "1970-01-03T07:56:47; write ISO dates"),
    ([140711, 231129], "`140711` looks like 2014-07-11 written " + DIGITS + "1970-01-02T15:05:11"),
    ([2014, 2015], "`2014` looks like the year 2014, but is read as unix seconds, 1970-01-01T00:33:34"),
    ([2014.5, 2015.25], "`2014.5` looks like the year 2014, but"),
    ([45000.5, 45001], "`45000.5` looks like 2023-03-15T12:00:00 in days of a spreadsheet, but"),
    ([41831, 41831], "`41831` looks like 2014-07-11T00:00:00 in days of a spreadsheet, but"),
    ([2456849.5, 2456850.5], "`2456849.5` looks like 2014-07-11T00:00:00 in Julian days, but"),
    ([16262, 16262], "`16262` looks like 2014-07-11T00:00:00 in days since 1970, but"),
    ([735425, 735425], "`735425` looks like 2014-07-11T00:00:00 in Python's ordinals, but"),
    (
        [7000, 7000.5],
        "all times are of 1969 and 1970, from 1970-01-01T01:56:40 to 1970-01-01T01:56:40; where",
    ),
    ([-1, -1], "all times are of 1969 and 1970, from 1969-12-31T23:59:59 to"),
    ([np.float64(2014)] * 200, "`2014` looks like the year 2014"),
]
GOOD = [
    [1405036800, 1405036801],  # July 2014
    [20140711, 20140799],  # no day 99
    [20140711, 1405036800],
    [18991231, 18991230],
    [0, 20140711],
    range(300),  # counters of rows
    range(1, 3000),
    range(1900, 2001),
    range(40000, 50000),
    range(16000, 16300),
    [5000, 5001],
    [0, 0, 0, 0.5],
    [2014, 2500, 1000],
    [1e11, 2e11],
]


def frame(values):
    return pd.DataFrame({"s": 1, "i": [f"i{n % 7}" for n in range(len(values))], "t": pd.Series(values)})


@pytest.mark.parametrize("as_text", [False, True])
@pytest.mark.parametrize(("values", "sentence"), DATES)
def test_dates_as_digits_are_an_error(tmp_path, capsys, values, sentence, as_text):
    table = frame([str(value) for value in values] if as_text else values)
    with pytest.raises(ValueError, match=r"^events: column 't': ") as error:
        index_sessions(table, "s", "i", "t")
    assert sentence in str(error.value)
    table.to_csv(tmp_path / "e.csv", index=False)
    assert main(["check", f"{tmp_path}/e.csv", "--session", "s", "--item", "i", "--time", "t"]) == 2
    assert capsys.readouterr().err.startswith(f"e.csv, column `t`: {sentence}")


@pytest.mark.parametrize(("values", "sentence"), MAYBE)
def test_numbers_that_may_be_dates_give_a_warning(tmp_path, capsys, values, sentence):
    table = frame(values)
    with pytest.warns(UserWarning, match=r"^events: column 't': ") as warned:
        index_sessions(table, "s", "i", "t")
    assert sentence in str(warned[0].message)
    table.to_csv(tmp_path / "e.csv", index=False)
    assert main(["check", f"{tmp_path}/e.csv", "--session", "s", "--item", "i", "--time", "t"]) == 0
    assert f"\nwarning: e.csv, column `t`: {sentence}" in capsys.readouterr().out


@pytest.mark.parametrize("values", GOOD, ids=str)
def test_counters_and_unix_seconds_give_no_warning(tmp_path, values):
    table = frame(values)
    with warnings.catch_warnings(action="error"):
        index_sessions(table, "s", "i", "t")
    assert times.doubtful(np.float64([*values])) == ("", False)


def test_dates_of_1970_warn_in_a_file_but_not_in_a_data_frame(tmp_path):
    dates = ["1970-08-22 02:31:51", "1970-08-22 02:31:52.5"]
    with warnings.catch_warnings(action="error"):
        order(pd.to_datetime(dates, format="ISO8601"))
    assert order(dates[:1] * 2 + ["2014-07-11"]) == [0, 1, 2]
    frame(dates).to_csv(tmp_path / "e.csv", index=False)
    data = EventData(layout="events", name="mine", events=("*.csv",), session="s", item="i", time="t")
    (warned,) = read(data, tmp_path).warnings
    assert warned.startswith("e.csv, column `t`: all times are of 1969 and 1970")


def test_each_file_of_a_study_is_checked_separately(tmp_path, capsys):
    frame([1405036800, 1405036801]).to_csv(tmp_path / "a.csv", index=False)
    frame([2014, 2015]).to_csv(tmp_path / "b.csv", index=False)
    data = EventData(layout="events", name="mine", events=("*.csv",), session="s", item="i", time="t")
    assert [line[:28] for line in read(data, tmp_path).warnings if "column" in line] == ["b.csv, column `t`: `2014` lo"]
    explored(RawData(data, Split(how="by_session", test_fraction=0.2), tmp_path, tmp_path))
    assert capsys.readouterr().out.startswith("warning: b.csv, column `t`: `2014` looks like the year 2014, but is")
    frame([20140711, 20140712]).to_csv(tmp_path / "c.csv", index=False)
    frame([20150711, 20150712]).to_csv(tmp_path / "d.csv", index=False)
    with pytest.raises(DataError) as error:
        read(data, tmp_path)
    assert [line[:22] for line in str(error.value).splitlines()] == ["c.csv, column `t`: `20", "d.csv, column `t`: `20"]
