"""Sessions cut from users and times, compared with a plain loop and with values computed by hand."""

from collections import defaultdict

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gru4rec_lib.config.data import EventData
from gru4rec_lib.preparation import readers
from gru4rec_lib.utils.checked import ConfigError, check

COLUMNS = {"user": "u", "item": "i", "time": "t", "idle_minutes": 30}


def plays(**fields):
    return check(EventData, {"layout": "events", "name": "mine", "events": ["e.csv"]} | COLUMNS | fields, "s.yaml")


def sessions(folder, header, rows, **fields):
    """Read rows and return the items of each session, in order."""
    (folder / "e.csv").write_text("\n".join([header, *rows, ""]))
    events = readers.read(plays(**fields), folder).events
    assert (events["position"] == events.groupby("session", observed=True).cumcount() + 1).all()
    return {name: "".join(part["item"]) for name, part in events.groupby("session", observed=True, sort=False)}


def test_a_session_ends_after_more_than_the_idle_time(tmp_path):
    rows = ["x,a,0", "x,b,1800", "x,c,3601", "y,d,3601", "x,e,3601"]
    assert sessions(tmp_path, "u,i,t", rows) == {"x-1": "ab", "x-2": "ce", "y-1": "d"}


def test_without_a_user_all_plays_are_of_one_listener(tmp_path):
    assert sessions(tmp_path, "u,i,t", ["x,a,0", "y,b,60", "x,c,5000"], user=None) == {"1": "ab", "2": "c"}


def test_the_idle_time_begins_at_the_end_of_a_play(tmp_path):
    rows = ["x,a,0,1000", "x,b,2700,0", "x,c,4600,10"]
    assert sessions(tmp_path, "u,i,t,d", rows, duration="d") == {"x-1": "ab", "x-2": "c"}
    rows = ["x,a,1000,1000", "x,b,3700,1000", "x,c,6510,1000", "x,d,6500,"]
    as_ends = {"duration": "d", "time_is": "end"}
    assert sessions(tmp_path, "u,i,t,d", rows, **as_ends) == {"x-1": "ab", "x-2": "dc"}
    in_ms = [f"{row}000" if row[-1] == "0" else row for row in rows]
    assert sessions(tmp_path, "u,i,t,d", in_ms, **as_ends, duration_unit="ms") == {"x-1": "ab", "x-2": "dc"}


def test_durations_that_can_only_be_milliseconds_are_a_warning(tmp_path):
    rows = [f"x,{n},{1700009000 + 200 * n},{played}" for n, played in enumerate([200000, 190000, 0, 250000])]
    (tmp_path / "e1.csv").write_text("u,i,t,ms\nx,a,1700000000,90\nx,b,1700000100,\n")
    (tmp_path / "e2.csv").write_text("\n".join(["u,i,t,ms", *rows, ""]))
    fields = {"events": ["e*.csv"], "duration": "ms"}
    (warning,) = readers.read(plays(**fields), tmp_path).warnings
    read = "the median duration is read as 195,000 seconds (54.2 hours)"
    assert warning == f"e2.csv, column `ms`: {read}; if it is in milliseconds, set `duration_unit: ms`"
    assert not readers.read(plays(**fields, duration_unit="ms"), tmp_path).warnings


def test_plays_that_overlap_have_no_idle_time(tmp_path):
    rows = ["x,a,0,7200", "x,b,100,10", "x,c,1800,1"]
    assert sessions(tmp_path, "u,i,t,d", rows, duration="d") == {"x-1": "abc"}


def test_equal_times_keep_the_order_of_the_file(tmp_path):
    rows = [f"{'xy'[n % 2]},{letter},{60 * (n // 8)}" for n, letter in enumerate("hgfedcba" * 3)]
    assert sessions(tmp_path, "u,i,t", rows) == {"x-1": "hfdb" * 3, "y-1": "geca" * 3}


def test_a_recorded_start_is_used_if_it_is_plausible(tmp_path):
    end = 1_700_000_000
    rows = [
        f"a,{end},10,",
        f"b,{end + 1910},10,{end + 100}",  # paused for 30 minutes
        f"c,{end + 3820},10,{(end + 2010) * 1000}",  # in milliseconds
        f"d,{end + 27000},10,0",
        f"e,{end + 36000},10,{end + 36001}",  # after its end
        f"f,{end + 36005},10,soon",
    ]
    found = sessions(tmp_path, "i,t,d,s", rows, user=None, time_is="end", duration="d", start="s")
    assert found == {"1": "abc", "2": "d", "3": "ef"}
    tables = readers.read(plays(user=None, time_is="end", duration="d", start="s"), tmp_path)
    assert "starts of plays, by which sessions are cut: 2 recorded, 4 the end less the duration" in tables.warnings


def test_a_pause_within_a_play_ends_a_session_as_one_between_plays(tmp_path):
    end = 1_700_000_000
    rows = [f"a,{end},10,{end - 10}", f"b,{end + 1911},10,{end + 100}", f"c,{end + 1930},,{end + 1915}"]
    fields = {"user": None, "time_is": "end", "duration": "d", "start": "s"}
    assert sessions(tmp_path, "i,t,d,s", rows, **fields) == {"1": "a", "2": "bc"}
    told = (
        "starts of plays, by which sessions are cut: 2 recorded, 1 the end less the duration "
        "(1 of them recorded, but with a pause of more than the idle time before the end)"
    )
    assert told in readers.read(plays(**fields), tmp_path).warnings


def test_the_first_folder_of_a_file_is_its_user(tmp_path):
    for name in ("ann/2019/e1.csv", "ann/e2.csv", "bob/e1.csv", "e0.csv"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("i,t\na,0\nb,10\n")
    data = plays(user=None, user_by_folder=True, events=["*/**/e*.csv"])
    events = readers.read(data, tmp_path).events
    assert events.groupby("session", observed=True).size().to_dict() == {"ann-1": 4, "bob-1": 2}
    with pytest.raises(readers.DataError, match=r"^e0\.csv: lies in no folder, and folders name the listeners"):
        readers.read(plays(user=None, user_by_folder=True, events=["**/e*.csv"]), tmp_path)


def test_ids_of_sessions_of_users_with_hyphens_differ(tmp_path):
    rows = ["a-1,x,0", "a,x,0", "a,y,5000", "a-1,y,5000", "a-1-1,z,0"]
    assert list(sessions(tmp_path, "u,i,t", rows)) == ["a-1-1", "a-1-2", "a-1", "a-2", "a-1-1-1"]


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_sessions_are_those_of_a_plain_loop(tmp_path_factory, data):
    time_is = data.draw(st.sampled_from(["start", "end"]))
    row = st.tuples(
        st.sampled_from("xyz"), st.sampled_from("abcd"), st.integers(0, 20), st.sampled_from([0, 300, 4000])
    )
    rows = data.draw(st.lists(row, min_size=1, max_size=30))
    listening = defaultdict(list)
    for user, item, quarter, duration in rows:
        listening[user].append((600 * quarter, duration, item))
    expected = {}
    for user, own in listening.items():
        number, last_end = 0, None
        for time, duration, item in sorted(own, key=lambda play: play[0]):
            start, end = (time, time + duration) if time_is == "start" else (time - duration, time)
            number += last_end is None or start - last_end > 1800
            expected.setdefault(f"{user}-{number}", []).append(item)
            last_end = end
    lines = [f"{user},{item},{600 * quarter},{duration}" for user, item, quarter, duration in rows]
    folder = tmp_path_factory.mktemp("plays")
    assert sessions(folder, "u,i,t,d", lines, duration="d", time_is=time_is) == {
        name: "".join(items) for name, items in expected.items()
    }


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"session": "s"}, "give exactly one of `session`, a column, and `idle_minutes`, to cut sessions by time"),
        (
            {"idle_minutes": None},
            "give exactly one of `session`, a column, and `idle_minutes`, to cut sessions by time",
        ),
        ({"time": None, "position": "p"}, "`idle_minutes` needs `time`: sessions are cut where listening pauses"),
        ({"user_by_folder": True}, "name a column `user` or set `user_by_folder`, not both"),
        ({"user": "i"}, "`user`, `item` and `time` or `position` should be three different columns"),
        ({"start": "s"}, "`start` goes with `time_is: end`; name the column of starts as `time`, or set `time_is`"),
        (
            {"filters": {"min_seconds": 30}},
            "`filters.min_seconds` needs a column `duration`; name it or leave the filter out",
        ),
        (
            {"user": None, "filters": {"min_user_sessions": 3}},
            "`filters.min_user_sessions` needs a column `user`; name it or leave the filter out",
        ),
        ({"label": {"item": "x"}}, "a label cannot be called `item`; rename it"),
    ],
)
def test_fields_that_do_not_go_together_are_refused(fields, message):
    with pytest.raises(ConfigError) as caught:
        plays(**fields)
    assert str(caught.value) == f"s.yaml: {message}"


def test_users_and_counts_are_returned(tmp_path):
    (tmp_path / "e.csv").write_text("u,i,t\nx,a,0\nx,a,0\nx,b,10\nx,c,9000\ny,a,0\n")
    tables = readers.read(plays(exact_repeats="drop"), tmp_path)
    assert tables.events["user"].tolist() == ["x", "x", "x", "y"]
    expected = [
        ("read", 5, 0, 3),
        ("bad rows dropped (0)", 5, 0, 3),
        ("sessions cut where more than 30 minutes pass without a play", 5, 3, 3),
        ("exact repeats dropped (1)", 4, 3, 3),
    ]
    found = tables.counts[["step", "events", "sessions", "items"]]
    pd.testing.assert_frame_equal(found, pd.DataFrame(expected, columns=found.columns))


def test_a_session_id_of_several_users_is_an_error(tmp_path):
    rows, names = ["x,1,a,0", "x,1,b,5", "", "y,2,a,3", "y,1,c,2", "x,2,b,9"], {"idle_minutes": None, "session": "s"}
    with pytest.raises(readers.DataError) as caught:
        sessions(tmp_path, "u,s,i,t", rows, **names)
    problem = "session `1` is of the users `x` and `y` (such ids: 2)"
    assert str(caught.value) == f"e.csv, line 6, column `s`: {problem}; write `session: [[u, s]]` in the study"
    found = sessions(tmp_path, "u,s,i,t", rows, **names | {"session": [["u", "s"]]})
    assert found == {"x | 1": "ab", "y | 2": "a", "y | 1": "c", "x | 2": "b"}


def test_a_session_id_in_the_folders_of_several_users_is_an_error(tmp_path):
    for user in "xy":
        (tmp_path / user).mkdir()
        (tmp_path / user / "e.csv").write_text("s,i,t\n1,a,0\n")
    fields = {"events": ["*/e.csv"], "user": None, "user_by_folder": True, "idle_minutes": None, "session": "s"}
    with pytest.raises(readers.DataError, match=r"y/e.csv, line 2, column `s`: .*; make the ids of the folders differ"):
        readers.read(plays(**fields), tmp_path)


def test_no_user_column(tmp_path):
    (tmp_path / "e.csv").write_text("i,t\na,0\n")
    with pytest.raises(readers.DataError) as caught:
        readers.read(plays(), tmp_path)
    assert str(caught.value) == "e.csv, line 1, column `u`: is missing (there: i, t); add it or name it so"
