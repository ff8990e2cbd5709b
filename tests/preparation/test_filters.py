"""Filters of plays and sessions and their counts, computed by hand; repeated filters compared with a plain loop."""

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gru4rec_lib.config.data import EventData, Filters
from gru4rec_lib.preparation import readers
from gru4rec_lib.preparation.filters import filter_sessions
from gru4rec_lib.utils.checked import ConfigError, check


def plays(**fields):
    given = {"layout": "events", "name": "mine", "events": ["e.csv"], "session": "s", "item": "i", "time": "t"}
    return check(EventData, given | fields, "s.yaml")


def read(folder, rows, header="s,i,t", **fields):
    (folder / "e.csv").write_text("\n".join([header, *rows, ""]))
    tables = readers.read(plays(**fields), folder)
    steps = {row.step: (row.events, row.sessions, row.items) for row in tables.counts.itertuples()}
    return tables, steps


def test_rows_are_left_out_by_reason_before_they_are_checked(tmp_path):
    rows = ["1,,soon,e1,,", "1,,10,,true,", "1,a,20,,false,", "1,b,30,,1,5", "1,c,30,,,30", "1,,40,,,"]
    reasons = {
        "podcasts": {"present": ["episode", "no such column"]},
        "skips": {"equal": {"skipped": [True, 1]}},
        "short": {"below": {"played": 30}},
        "no track": {"missing": ["i", "no such column"]},
    }
    tables, steps = read(tmp_path, rows, "s,i,t,episode,skipped,played", leave_out=reasons)
    assert steps == {
        "read": (6, 1, 3),
        "left out: podcasts (1)": (5, 1, 3),
        "left out: skips (2)": (3, 1, 2),
        "left out: short (0)": (3, 1, 2),
        "left out: no track (1)": (2, 1, 2),
        "bad rows dropped (0)": (2, 1, 2),
        "exact repeats kept (0)": (2, 1, 2),
    }
    assert tables.events["item"].tolist() == ["a", "c"]


def test_plays_out_of_range_are_left_out_by_reason(tmp_path):
    rows = ["1,a,1970-01-02", *(f"1,{item},20{year}-01-01" for item, year in zip("bcdef", range(10, 15), strict=True))]
    filters = {"since": "2000-01-01", "until": "2013-01-01", "recent_days": 366}
    tables, steps = read(tmp_path, rows, filters=filters)
    assert tables.events["item"].tolist() == ["c", "d"]
    assert [*steps][2:5] == [
        "plays before 2000-01-01 left out (1)",
        "plays on 2013-01-01 and later left out (2)",
        "plays more than 366 days before the last left out (1)",
    ]
    tables, steps = read(tmp_path, [*rows, "1,z,2999-01-01"], filters={"until": "today"})
    assert "z" not in set(tables.events["item"])
    assert "plays in the future left out (1)" in steps


def test_short_plays_are_left_out_and_unknown_ones_kept(tmp_path):
    rows = ["1,a,10,29999", "1,b,20,30000", "1,c,30,"]
    given = {"duration": "d", "duration_unit": "ms", "filters": {"min_seconds": 30}}
    tables, steps = read(tmp_path, rows, "s,i,t,d", **given)
    assert tables.events["item"].tolist() == ["b", "c"]
    assert "plays of less than 30 seconds left out (1)" in steps


def test_bad_durations_are_bad_rows(tmp_path):
    with pytest.raises(readers.DataError) as caught:
        read(tmp_path, ["1,a,10,-5"], "s,i,t,d", duration="d")
    assert str(caught.value).startswith(
        "e.csv, line 2, column `d`: cannot read `-5`; write a number that is not negative"
    )


ROWS = ["1,a,1", "1,a,2", "1,b,3", "1,a,4", "2,c,1", "3,a,1", "3,b,2", "3,b,3"]


@pytest.mark.parametrize(
    ("filters", "step", "items"),
    [
        ({"merge_repeats": True}, "repeats of the play before merged (2)", "abacab"),
        ({"repeats_in_session": "drop"}, "repeats within a session dropped (3)", "abcab"),
        ({"min_item_plays": 2}, "plays of items with fewer than 2 dropped (1)", "aabaabb"),
        ({"max_session_events": 3}, "events of sessions with more than 3 cut off (1)", "aabcabb"),
        (
            {"max_session_events": 3, "long_sessions": "drop"},
            "events of sessions with more than 3 dropped (4)",
            "cabb",
        ),
        ({"min_session_events": 2}, "events of sessions with fewer than 2 dropped (1)", "aabaabb"),
    ],
)
def test_each_filter_of_sessions(tmp_path, filters, step, items):
    tables, steps = read(tmp_path, ROWS, filters=filters)
    assert list(steps)[-1] == step
    assert "".join(tables.events["item"]) == items
    assert set(tables.events["item"].cat.categories) == {*items}
    assert (
        tables.events["position"].tolist() == (tables.events.groupby("session", observed=True).cumcount() + 1).tolist()
    )


def test_users_with_few_sessions_are_dropped(tmp_path):
    rows = ["x,1,a,1", "x,2,a,1", "y,3,a,1", "y,3,b,2"]
    tables, steps = read(tmp_path, rows, "u,s,i,t", user="u", filters={"min_user_sessions": 2})
    assert tables.events["session"].tolist() == ["1", "2"]
    assert list(steps)[-1] == "events of users with fewer than 2 sessions dropped (2)"


def test_filters_run_once_or_until_nothing_changes(tmp_path):
    rows = ["1,a,1", "1,b,2", "2,b,1", "2,c,2", "3,c,1", "3,d,2", "4,x,1", "4,x,2"]
    filters = {"min_item_plays": 2, "min_session_events": 2}
    once, _ = read(tmp_path, rows, filters=filters)
    assert "".join(once.events["item"]) == "bcxx"
    repeated, steps = read(tmp_path, rows, filters=filters | {"repeat": True})
    assert "".join(repeated.events["item"]) == "xx"
    assert list(steps)[-3:] == [
        "plays of items with fewer than 2 dropped (2)",
        "events of sessions with fewer than 2 dropped (2)",
        "pass 2: plays of items with fewer than 2 dropped (2)",
    ]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.lists(st.sampled_from("abcdef"), min_size=1, max_size=6), min_size=1, max_size=12))
def test_repeated_filters_are_those_of_a_plain_loop(lists):
    rows = [(str(n), item) for n, items in enumerate(lists) for item in items]
    events = pd.DataFrame(rows, columns=["session", "item"])
    events["session"] = pd.Categorical(events["session"], [str(n) for n in range(len(lists))])
    events["item"] = events["item"].astype("category")
    filters = Filters(min_item_plays=3, min_session_events=2, merge_repeats=True, repeat=True)
    found = [*filter_sessions(events, filters)][-1][1]

    while True:
        merged = [row for n, row in enumerate(rows) if not n or row != rows[n - 1]]
        plays = pd.Series([item for _, item in merged], dtype=object).value_counts()
        played = [row for row in merged if plays[row[1]] >= 3]
        length = pd.Series([session for session, _ in played], dtype=object).value_counts()
        left = [row for row in played if length[row[0]] >= 2]
        if left == rows:
            break
        rows = left
    assert list(zip(found["session"], found["item"], strict=True)) == rows


def test_nothing_left_is_an_error_that_names_the_steps(tmp_path):
    with pytest.raises(readers.DataError) as caught:
        read(tmp_path, ["1,a,1", "2,b,2"], filters={"min_item_plays": 2})
    assert str(caught.value) == (
        "e.csv: no play is left (plays of items with fewer than 2 dropped (2)); relax the study's `filters`"
    )
    with pytest.raises(readers.DataError) as caught:
        read(tmp_path, ["1,a,1", "2,b,2"], leave_out={"podcasts": {"present": "i"}})
    assert str(caught.value) == (
        "e.csv: no play is left of 2 rows (left out: podcasts (2)); give other files or change the study's filters"
    )


@pytest.mark.parametrize(
    ("filters", "message"),
    [
        ({"since": "soon"}, "filters.since: should be a day such as 2000-01-31 (given: 'soon')"),
        ({"since": 2000}, "filters.since: should be a day such as 2000-01-31 (given: 2000)"),
        ({"since": "2010-01-01", "until": "2010-01-01"}, "filters: `since` should be before `until`"),
        (
            {"min_session_events": 3, "max_session_events": 2},
            "filters: `min_session_events` should be at most `max_session_events`",
        ),
    ],
)
def test_wrong_filters_are_refused(filters, message):
    with pytest.raises(ConfigError) as caught:
        plays(filters=filters)
    assert str(caught.value).splitlines()[0] == f"s.yaml: {message}"


@pytest.mark.parametrize("condition", [{}, {"present": "a", "missing": "b"}])
def test_a_reason_has_one_condition(condition):
    with pytest.raises(ConfigError, match="give exactly one condition"):
        plays(leave_out={"x": condition})
