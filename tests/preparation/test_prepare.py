"""Sessions are not divided between parts, and nothing of the test is used in training."""

import dataclasses
import gzip
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st

from gru4rec_lib.config.study import EventData, Split
from gru4rec_lib.preparation import prepare
from gru4rec_lib.preparation import readers as read
from gru4rec_lib.preparation import split as split_module
from gru4rec_lib.preparation.readers import DataError, Tables
from gru4rec_lib.preparation.split import is_test_file
from gru4rec_lib.study.workspace import Workspace

BY_SESSION = Split(how="by_session", test_fraction=0.3, validation_fraction=0.3)
LISTED = Split(how="listed", test="test.csv", validation_fraction=0.3)


def tables(sessions, starts=None, files=None, items=None, numeric=(), categorical=(), multivalued=None):
    """Return tables as `read` does, from {session: "tracks"} with one letter per track; starts and files by session."""
    names = [name for name, tracks in sessions.items() for _ in tracks]
    tracks = [track for tracks in sessions.values() for track in tracks]
    position = [n for tracks in sessions.values() for n in range(1, len(tracks) + 1)]
    events = pd.DataFrame({"session": pd.Categorical(names, list(sessions)), "item": pd.Categorical(tracks)})
    events["position"] = np.array(position, np.int32)
    events["file"] = pd.Categorical([files[name] if files else "e.tsv" for name in names])
    if starts is not None:
        events["time"] = np.array([starts[name] for name in names], float) + events["position"] / 100
    count = [("read", len(events), len(sessions), len(set(tracks)))]
    counts = pd.DataFrame(count, columns=["step", "events", "sessions", "items"])
    problems = pd.DataFrame(columns=["file", "line", "column", "problem", "remedy"])
    features = {"items": items, "numeric": numeric, "categorical": categorical, "multivalued": multivalued or {}}
    return Tables(events=events, counts=counts, problems=problems, **features)


def listed(folder, *sessions):
    (folder / "test.csv").write_text("\n".join(["session", *sessions, ""]))
    return folder


def tracks(prepared, part):
    """Return the sessions of a part as words of track ids; `?` is not a candidate."""
    ids = [*prepared.items["item"], "?"]
    sessions = getattr(prepared, part)
    return ["".join(ids[i] for i in sessions[s]) for s in range(len(sessions))]


def item_table(**columns):
    return pd.DataFrame({"item": list("abcxyz")} | columns)


words = st.text("abcde", min_size=1, max_size=5)
logs = st.lists(words, min_size=8, max_size=25).map(lambda tracks: {f"s{n}": t for n, t in enumerate(tracks)})


@pytest.mark.slow
@given(
    logs,
    st.sampled_from(["by_session", "by_time", "by_file", "listed"]),
    st.sampled_from(["random", "last"]),
    st.data(),
)
@settings(max_examples=60)
def test_sessions_are_not_divided_and_the_counts_add_up(tmp_path_factory, sessions, how, validation, data):
    folder = tmp_path_factory.mktemp("listed")
    starts = {name: data.draw(st.integers(0, 5)) for name in sessions}
    chosen = data.draw(st.sets(st.sampled_from(sorted(sessions)), min_size=2, max_size=6))
    listed(folder, *sorted(chosen))
    files = {name: "t_1.csv" if name in chosen else "l_1.csv" for name in sessions}
    wanted = (
        {"test": "t_*" if how == "by_file" else "test.csv"} if how in ("by_file", "listed") else {"test_fraction": 0.3}
    )
    split = Split(how=how, validation=validation, validation_fraction=0.25, **wanted)
    try:
        prepared = prepare.prepare(tables(sessions, starts, files), split, folder)
    except DataError:
        reject()  # a side is empty: see test_an_impossible_split_is_an_error
    test = set(prepared.test_events["session"])
    long = {name for name, heard in sessions.items() if len(heard) > 1}
    if how in ("by_file", "listed"):
        assert test == chosen & long
    if how == "by_time":
        assert max(starts[s] for s in long - test) <= min(starts[s] for s in test)
    learned = sorted(tracks(prepared, "train") + tracks(prepared, "validation"))
    assert learned == sorted(sessions[name] for name in long - test)
    seen = set(prepared.items["item"])
    heard = ["".join(t if t in seen else "?" for t in sessions[name]) for name in sessions if name in test]
    assert tracks(prepared, "test") == heard

    rows = prepared.counts.set_index("step")
    for column in ("sessions", "events"):
        n = rows[column]
        assert n["training sessions"] + n["test sessions"] == n["read"]
        assert n["train"] + n["validation"] == n["training: sessions of one event dropped"]
    dropped = sum(1 for name in sessions if len(sessions[name]) == 1)
    assert len(prepared.train) + len(prepared.validation) + len(prepared.test) == len(sessions) - dropped
    assert rows.loc["test: sessions of one event dropped", "events"] == len(prepared.test.items)
    seen_events = sum(track != "?" for session in heard for track in session)
    assert rows.loc["test, protocol known: tracks unseen in training removed", "events"] == seen_events


def test_items_are_sorted_by_descending_training_plays_then_id(tmp_path, capsys):
    # The training session `solo` has one event and is dropped before plays are counted: d is not a training track.
    sessions = {"s1": "bac", "s2": "ccb", "s3": "ba", "solo": "d", "t": "cdddd", "t1": "b"}
    prepared = prepare.prepare(tables(sessions), LISTED, listed(tmp_path, "t", "t1"))
    assert prepared.items.to_dict("list") == {"item": ["b", "c", "a"], "plays": [3, 3, 2]}
    assert (prepared.n_items, prepared.n_candidates) == (3, 3)
    assert tracks(prepared, "test") == ["c????"]
    assert prepared.test.items.tolist() == [1, -1, -1, -1, -1]
    assert (prepared.test.items.dtype, prepared.train.offsets.dtype) == (np.int32, np.int64)
    assert prepared.counts.to_numpy().tolist() == [
        ["read", 6, 15, 4],
        ["training sessions", 4, 9, 4],
        ["test sessions", 2, 6, 3],
        ["training: sessions of one event dropped", 3, 8, 3],
        ["train", 2, len(prepared.train.items), len(set(prepared.train.items))],
        ["validation", 1, len(prepared.validation.items), len(set(prepared.validation.items))],
        ["test: sessions of one event dropped", 1, 5, 2],
        ["test, protocol known: tracks unseen in training removed", 1, 1, 1],
    ]
    assert capsys.readouterr().out.splitlines()[:2] == [
        "read: 6 sessions, 15 events, 4 items",
        "training sessions: 4 sessions, 9 events, 4 items",
    ]
    assert prepare.sizes(prepared)["events"].tolist() == [
        len(getattr(prepared, p).items) for p in ("train", "validation", "test")
    ]


@pytest.mark.parametrize("seed", range(1, 7))
def test_training_is_in_order_of_time_and_the_last_is_held_out(tmp_path, seed):
    sessions = {"s1": "ab", "s2": "bc", "s3": "ca", "s4": "aa", "t": "ab"}
    split = LISTED.model_copy(update={"validation": "last", "seed": seed})
    starts = {"s1": 40, "s2": 10, "s3": 30, "s4": 10, "t": 0}
    prepared = prepare.prepare(tables(sessions, starts), split, listed(tmp_path, "t"))
    assert tracks(prepared, "train") == ["bc", "aa", "ca"]
    assert tracks(prepared, "validation") == ["ab"]
    whole = prepared.train_and_validation
    assert [whole[s].tolist() for s in range(4)] == [
        *(prepared.train[s].tolist() for s in range(3)),
        prepared.validation[0].tolist(),
    ]
    without_times = prepare.prepare(tables(sessions), split, tmp_path)
    assert tracks(without_times, "train") == ["ab", "bc", "ca"]


def test_by_time_takes_the_last_and_by_session_depends_on_the_seed():
    sessions = {f"s{n}": "ab" for n in range(10)}
    times = {f"s{n}": n * 7 % 10 for n in range(10)}
    by_time = prepare.prepare(tables(sessions, times), Split(how="by_time", test_fraction=0.3), "")
    assert {times[s] for s in by_time.test_events["session"]} == {7, 8, 9}
    chosen = {
        seed: tuple(
            prepare.prepare(tables(sessions), BY_SESSION.model_copy(update={"seed": seed}), "").test_events["session"]
        )
        for seed in (1, 1, 2, 3)
    }
    assert all(len(set(test)) == 3 for test in chosen.values())
    assert len(set(chosen.values())) > 1


def clicks(folder, files, exact_repeats="keep"):
    """Write files of rows (session, item, time), and return the settings of the data set."""
    for name, rows in files.items():
        (folder / name).write_text("\n".join(["s,i,t", *(",".join(map(str, row)) for row in rows), ""]))
    fields = {"session": "s", "item": "i", "time": "t", "exact_repeats": exact_repeats}
    return EventData(layout="events", name="clicks", events=tuple(files), **fields)


BY_FILE = Split(how="by_file", test="t*", validation_fraction=0.3)
TWO_SIDES = {
    "a.csv": [(1, "a", 10), (1, "b", 20), (2, "b", 30), (2, "a", 40), (3, "a", 50), (3, "b", 60)],
    # Session 1 continues in the second training file; the test file numbers its sessions from 1 again, and one of its
    # events equals a training event by chance.
    "b.csv": [(1, "a", 15)],
    "t.csv": [(1, "a", 10), (1, "b", 21), (4, "b", 80), (4, "a", 90)],
}


@pytest.mark.parametrize("exact_repeats", ["keep", "drop"])
def test_an_id_in_training_and_test_files_is_two_sessions_and_within_a_side_one(tmp_path, exact_repeats):
    data = clicks(tmp_path, TWO_SIDES, exact_repeats)
    made = read.read(data, tmp_path, BY_FILE)
    prepared = prepare.prepare(made, BY_FILE, tmp_path)
    assert sorted(tracks(prepared, "train_and_validation")) == ["aab", "ab", "ba"]
    assert tracks(prepared, "test") == ["ab", "ba"]
    assert prepared.test_events["session"].astype(str).tolist() == ["1", "1", "4", "4"]
    assert prepared.test_events["position"].tolist() == [1, 2, 1, 2]
    counts = prepared.counts.set_index("step")
    both = "session ids in files of training and of the test, each taken as two sessions (1)"
    several = "session ids in more than one file, each taken as one session (1)"
    assert counts.loc[both, ["sessions", "events"]].tolist() == [5, 11]
    assert several in counts.index
    assert made.warnings[0].startswith("session ids in files of training and of the test: 1; each is taken as two")
    assert made.warnings[1].startswith("session ids in more than one file: 1; the rows of each are one session")


def test_an_id_on_both_sides_is_two_sessions_of_tables_read_without_the_split_too(tmp_path):
    data = clicks(tmp_path, TWO_SIDES | {"c.csv": [("1 (training)", "a", 1), ("1 (training)", "b", 2)]})
    one, other = (prepare.prepare(read.read(data, tmp_path, split), BY_FILE, tmp_path) for split in (BY_FILE, None))
    pd.testing.assert_frame_equal(one.test_events.astype({"session": str}), other.test_events.astype({"session": str}))
    assert tracks(one, "train") == tracks(other, "train")
    assert sorted(tracks(other, "train_and_validation")) == ["aab", "ab", "ab", "ba"]
    assert sum("each taken as two sessions (1)" in step for step in other.counts["step"]) == 1
    # With other splits, an id is one session even in several files.
    merged = read.read(data, tmp_path, BY_SESSION)
    assert merged.events["session"].nunique() == 5
    assert merged.warnings[0].startswith("session ids in more than one file: 1;")


def test_by_time_by_the_last_event_and_with_a_gap():
    day = 86400
    sessions = dict.fromkeys(["a", "b", "long", "c", "d", "e"], "xy")
    times = {"a": 0, "b": 0.2 * day, "long": 0.5 * day, "c": 2 * day, "d": 5 * day, "e": 6 * day}
    made = tables(sessions, times)
    is_last = made.events["session"].eq("long") & made.events["position"].eq(2)
    made.events.loc[is_last, "time"] = 7 * day
    fields = {"how": "by_time", "test_fraction": 1 / 3, "validation_fraction": 0.5}
    by_end = prepare.prepare(made, Split(**fields, by="end"), "")
    assert set(by_end.test_events["session"]) == {"long", "e"}
    # `long` begins before `c` and `d`, which are dropped.
    step = "sessions that begin before the test and end in it dropped (2)"
    assert step in by_end.counts["step"].tolist()
    assert len(by_end.train_and_validation) == 2


def test_by_time_drops_training_sessions_that_end_in_the_gap():
    sessions = dict.fromkeys("abcdef", "xy")
    times = {name: 86400 * n for n, name in enumerate(sessions)}
    fields = {"how": "by_time", "test_fraction": 1 / 3, "validation_fraction": 0.5}
    prepared = prepare.prepare(tables(sessions, times), Split(**fields, gap_days=1.5), "")
    assert set(prepared.test_events["session"]) == {"e", "f"}
    step = "sessions that begin before the test and end in it or in the 1.5 days before it dropped (1)"
    assert step in prepared.counts["step"].tolist()
    assert len(prepared.train_and_validation) == 3
    with pytest.raises(DataError, match="all 4 sessions that begin before the test end in it"):
        prepare.prepare(tables(sessions, times), Split(**fields, gap_days=30), "")


TEN_DAYS = dict.fromkeys("abcdefghij", "xy")  # a session a day
AT = {name: 86400 * n for n, name in enumerate(TEN_DAYS)}
WINDOW = {"how": "by_time", "train_days": 3, "test_days": 2, "validation_fraction": 0.5}


@pytest.mark.parametrize(("window", "training", "test"), [(1, "fgh", "ij"), (2, "abc", "de")])
def test_windows_are_counted_back_from_the_newest_play(window, training, test):
    made = tables(TEN_DAYS, AT)
    prepared = prepare.prepare(made, Split(**WINDOW, window=window), "")
    assert "".join(prepared.test_events["session"].unique()) == test
    assert sorted(prepared.ends) == [AT[name] + 0.02 for name in training]
    counts = prepared.counts.set_index("step")
    assert counts.loc[f"sessions outside window {window} of 3 + 2 days dropped (5)"].tolist() == [5, 10, 2]


def test_a_training_session_that_ends_in_the_test_of_its_window_is_dropped():
    made = tables(TEN_DAYS, AT)
    of_b = made.events["session"].eq("b") & made.events["position"].eq(2)
    made.events.loc[of_b, "time"] = AT["d"] + 0.01  # the first test event of window 2
    prepared = prepare.prepare(made, Split(**WINDOW, window=2), "")
    assert sorted(prepared.ends) == [AT["a"] + 0.02, AT["c"] + 0.02]
    assert "sessions that begin before the test and end in it dropped (1)" in prepared.counts["step"].tolist()
    # By their ends, `b` is a test session; `a` and `c` end before it begins or after that.
    with pytest.raises(DataError, match="leaves no pair of events in `train`"):
        prepare.prepare(made, Split(**WINDOW, window=2, by="end"), "")


def test_the_last_days_are_the_test():
    prepared = prepare.prepare(tables(TEN_DAYS, AT), Split(how="by_time", test_days=1.5), "")
    assert "".join(prepared.test_events["session"].unique()) == "ij"
    assert len(prepared.train_and_validation) == 8
    assert not any("window" in step for step in prepared.counts["step"])


@pytest.mark.parametrize(
    ("split", "message"),
    [
        (
            {"train_days": 3, "test_days": 2, "window": 3},
            "window 3 of 3 + 2 days begins 15 days before the newest play, but the plays cover 9.0 days, enough for 2 "
            "windows; lower `windows`, or `train_days` or `test_days` in `split`",
        ),
        (
            {"train_days": 0.5, "test_days": 0.25},
            "window 1 has 1 test sessions, but no training session starts in the 0.5 days until 1970-01-09T18:00:00; "
            "raise `train_days` in `split`, or lower `windows`",
        ),
        (
            {"train_days": 2, "test_days": 0.5, "window": 2},
            "window 2 has 2 training sessions, but no test session starts in the 0.5 days until 1970-01-07T12:00:00; "
            "raise `test_days` in `split`, or lower `windows`",
        ),
        (
            {"test_days": 20},
            "window 1 has 10 test sessions, but no training session starts until 1969-12-21T00:00:00; lower "
            "`test_days` in `split`, or lower `windows`",
        ),
    ],
)
def test_a_window_without_days_or_sessions_is_an_error(split, message):
    with pytest.raises(DataError) as caught:
        prepare.prepare(tables(TEN_DAYS, AT), Split(how="by_time", **split), "")
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"test_fraction": 0.2, "test_days": 1}, "split `by_time` needs `test_days` and nothing else"),
        ({"train_days": 3, "test_fraction": 0.2}, "`train_days` needs `test_days`, the days of the test"),
        ({"window": 2, "test_days": 1}, "`window` needs `train_days` and `test_days`, the days of a window"),
        ({"test_days": 0}, "test_days\n  Input should be greater than 0"),
    ],
)
def test_the_days_of_a_split_go_together(fields, message):
    with pytest.raises(ValueError, match=message):
        Split(how="by_time", **fields)


@pytest.mark.parametrize(
    ("fields", "name"), [({"by": "end"}, "by"), ({"gap_days": 1}, "gap_days"), ({"train_days": 1}, "train_days")]
)
def test_by_and_gap_are_for_the_split_by_time(fields, name):
    with pytest.raises(ValueError, match=f"`{name}` is for the split `by_time` alone; leave it out"):
        Split(how="by_session", test_fraction=0.2, **fields)


def test_by_time_no_training_session_ends_in_the_test(tmp_path):
    rows = [("early", "a", 0), ("early", "b", 5), ("long", "a", 1), ("long", "b", 50), ("meets", "a", 2)]
    rows += [("meets", "b", 40), ("before", "b", 3), ("before", "a", 39.9), ("other", "a", 4), ("other", "b", 6)]
    rows += [("t1", "a", 40), ("t1", "b", 41), ("t2", "b", 40), ("t2", "a", 60), ("t3", "b", 70), ("t3", "a", 80)]
    data = clicks(tmp_path, {"e.csv": rows})
    # Two of eight sessions are wanted; those that begin at 40 stay together, and 3 is as close as 1.
    split = Split(how="by_time", test_fraction=0.3, validation_fraction=0.3)
    prepared = prepare.prepare(read.read(data, tmp_path), split, tmp_path)
    assert set(prepared.test_events["session"]) == {"t1", "t2", "t3"}
    assert sorted(prepared.ends) == [5, 6, 39.9]
    counts = prepared.counts.set_index("step")
    assert counts.loc["sessions that begin before the test and end in it dropped (2)"].tolist() == [6, 12, 2]
    assert counts.loc["training sessions", "sessions"] == counts.loc["test sessions", "sessions"] == 3


def test_the_last_sessions_are_as_near_to_the_fraction_as_equal_times_allow():
    rng = np.random.default_rng(1)
    for n in range(2, 30):
        begins, fraction = rng.integers(0, 6, n), rng.uniform(0.05, 0.95)
        if len(set(begins)) == 1:
            continue
        chosen = split_module.last(begins, fraction)
        sizes = [(begins >= time).sum() for time in set(begins) if time > begins.min()]
        assert abs(chosen.sum() - n * fraction) == min(abs(size - n * fraction) for size in sizes)
        assert begins[chosen].min() > begins[~chosen].max()


def test_no_session_of_train_ends_in_a_validation_part_that_is_the_last(tmp_path):
    rows = [(n, item, 10 * n + k) for n in range(8) for k, item in enumerate("ab")]
    rows += [("long", "a", 5), ("long", "c", 70), ("t", "a", 0), ("t", "b", 1)]
    split = LISTED.model_copy(update={"validation": "last", "validation_fraction": 0.12})
    made = read.read(clicks(tmp_path, {"e.csv": rows}), tmp_path)
    prepared = prepare.prepare(made, split, listed(tmp_path, "t"))
    assert tracks(prepared, "train") == ["ab"] * 7
    assert tracks(prepared, "crossing") == ["ac"]
    assert tracks(prepared, "validation") == ["ab"]
    assert tracks(prepared, "train_and_validation") == ["ab"] * 7 + ["ac", "ab"]
    assert prepared.ends.tolist() == [1, 11, 21, 31, 41, 51, 61, 70, 71]
    step = "training: sessions that begin before validation and end in it left out of train (1)"
    assert prepared.counts.set_index("step").loc[step].tolist() == [8, 16, 2]
    prepared.save(tmp_path / "one", {})
    loaded = prepare.Prepared.load(tmp_path / "one")
    assert tracks(loaded, "train_and_validation") == tracks(prepared, "train_and_validation")
    random = prepare.prepare(made, LISTED, tmp_path)
    random.save(tmp_path / "one", {})
    assert len(prepare.Prepared.load(tmp_path / "one").crossing) == 0


rows = st.lists(
    st.tuples(st.integers(0, 9), st.integers(0, 30), st.sampled_from(["a.csv", "t.csv"])), min_size=12, max_size=60
)


def times_of(prepared, part):
    """Return the times of a part's events; in the test below, items are named by their times."""
    return prepared.items["item"].astype(int).to_numpy()[getattr(prepared, part).items]


@pytest.mark.slow
@given(rows, st.sampled_from(["by_time", "by_file"]), st.sampled_from(["random", "last"]), st.booleans())
@settings(max_examples=50, suppress_health_check=[HealthCheck.filter_too_much])
def test_no_leak_and_no_lost_event_for_any_events(tmp_path_factory, rows, how, validation, reads_the_split):
    folder = tmp_path_factory.mktemp("events")
    files = {name: [(s, time, time) for s, time, file in rows if file == name] for name in ("a.csv", "t.csv")}
    if not all(files.values()):
        reject()
    wanted = {"test": "t*"} if how == "by_file" else {"test_fraction": 0.3}
    split = Split(how=how, validation=validation, validation_fraction=0.3, **wanted)
    made = read.read(clicks(folder, files), folder, split if reads_the_split else None)
    try:
        prepared = prepare.prepare(made, split, folder)
    except DataError:
        reject()
    if how == "by_time":
        assert times_of(prepared, "train_and_validation").max() < prepared.test_events["time"].min()
    else:
        of_sides = [pd.Series([s for s, *_ in rows]).value_counts() for rows in files.values()]
        long = [int((lengths > 1).sum()) for lengths in of_sides]
        assert [len(prepared.train_and_validation), len(prepared.test)] == long
    if validation == "last":
        assert times_of(prepared, "train").max() < times_of(prepared, "validation").min()
    counts = prepared.counts.set_index("step")["events"]
    sides = ["training sessions", "test sessions"]
    assert counts["read"] == len(rows)
    assert counts[sides].sum() == counts.iloc[counts.index.get_loc(sides[0]) - 1]
    assert len(prepared.train_and_validation.items) == counts["training: sessions of one event dropped"]
    assert len(prepared.train.items) + len(prepared.validation.items) == counts[["train", "validation"]].sum()
    assert len(prepared.test.items) == counts["test: sessions of one event dropped"] == len(prepared.test_events)


times = st.floats(0, 86400 * 30)


@given(
    st.dictionaries(st.sampled_from([*map(str, range(20))]), st.lists(times, min_size=2, max_size=4), min_size=6),
    st.integers(1, 9),
    st.integers(1, 4),
    st.integers(1, 4),
    st.sampled_from(["start", "end"]),
    st.floats(0, 2),
)
def test_no_training_event_of_a_window_is_in_its_test_and_windows_are_apart(sessions, train, test, n, by, gap):
    sessions = {name: sorted(at) for name, at in sessions.items()}
    made = tables({name: "xyxy"[: len(at)] for name, at in sessions.items()}, dict.fromkeys(sessions, 0))
    made.events["time"] = np.concatenate([*sessions.values()])
    newest, seen = made.events["time"].max(), set()
    for window in range(1, n + 1):
        split = Split(how="by_time", train_days=train, test_days=test, window=window, by=by, gap_days=gap)
        try:
            prepared = prepare.prepare(made, split, "")
        except DataError:
            continue
        assert max(prepared.ends) < prepared.test_events["time"].min() - 86400 * gap
        end = newest - 86400 * (window - 1) * (train + test)
        for at in (sessions[name] for name in prepared.test_events["session"].unique()):
            assert end - 86400 * test < at[0 if by == "start" else -1] <= end
        used = {*prepared.test_events["session"], *prepared.ends}
        assert not used & seen
        seen |= used


def test_the_shares_of_plays_and_targets_with_features_are_counted(tmp_path):
    sessions = {"s1": "abab", "s2": "bca", "s3": "ca", "t1": "abcaq", "t2": "cc"}
    made = tables(sessions, items=pd.DataFrame({"item": ["a", "c", "z"], "size": [1.0, 2.0, 3.0]}), numeric=("size",))
    prepared = prepare.prepare(made, LISTED, listed(tmp_path, "t1", "t2"))
    counts = prepared.counts.set_index("step")
    # Of abab, bca, ca all but b; of the targets b, c, a, q and c all but b and q.
    assert counts.loc["training: plays of items with features (66.7%)"].tolist() == [3, 6, 2]
    assert counts.loc["test: targets of items with features (60.0%)"].tolist() == [2, 3, 2]
    without = prepare.prepare(tables(sessions), LISTED, tmp_path)
    assert not any("with features" in step for step in without.counts["step"])


def test_labels_are_beside_the_ids():
    made = tables({"s1": "abab", "s2": "ba", "s3": "ab", "s4": "ab"})
    assert prepare.prepare(made, BY_SESSION, "").labelled_items.columns.tolist() == ["item", "plays"]
    labels = pd.DataFrame({"item": ["b", "a"], "title": ["B!", "A!"]})
    items = prepare.prepare(dataclasses.replace(made, labels=labels), BY_SESSION, "").labelled_items
    assert items.columns.tolist() == ["item", "plays", "title"]
    assert items.set_index("item")["title"].to_dict() == {"a": "A!", "b": "B!"}


# Features: c has no values and y no row; x and z occur only in the test.
TRAINING = {"s1": "abab", "s2": "bc", "s3": "ca"}
COLUMNS = {
    "size": [1.0, 3.0, np.nan, 7.0, 2.0, np.nan],
    "same": [5.0, 5.0, 5.0, 6.0, 5.0, 5.0],
    "never": [np.nan, np.nan, np.nan, 4.0, np.nan, np.nan],
    "kind": pd.array(["rock", "folk", None, "jazz", "rock", None], dtype="str"),
    "tag_1": pd.array(["old", None, "new", "rare", None, "new"], dtype="str"),
    "tag_2": pd.array(["new", None, None, "old", None, None], dtype="str"),
}
KINDS = {"numeric": ("size", "same", "never"), "categorical": ("kind",), "multivalued": {"tags": ("tag_1", "tag_2")}}


def featured(folder, test="xa", **columns):
    frame = item_table(**COLUMNS | columns).query("item != 'y'")
    return prepare.prepare(tables(TRAINING | {"t": test}, items=frame, **KINDS), LISTED, listed(folder, "t"))


def test_features_are_fitted_on_the_tracks_of_training(tmp_path):
    prepared = featured(tmp_path, "xay")
    assert prepared.items.to_dict("list") == {"item": list("abcxz"), "plays": [3, 3, 2, 0, 0]}
    assert prepared.n_items == 3
    assert tracks(prepared, "test") == ["xa?"]
    # Of the test's tracks x, a and y, only a is a training track.
    assert prepared.counts.iloc[-1].tolist()[1:] == [1, 1, 1]
    features = prepared.features
    # Mean 2 and standard deviation 1 of a and b. Without variance or without values: 0 in training, never NaN.
    assert features.numeric.tolist() == [[-1, 0, 0], [1, 0, 0], [0, 0, 0], [5, 1, 0], [0, 0, 0]]
    assert features.numeric.dtype == np.float32
    assert features.categories["kind"].tolist() == [[2], [1], [-1], [0], [-1]]
    assert features.categories["tags"].tolist() == [[2, 1], [-1, -1], [1, -1], [0, 2], [1, -1]]
    assert {ids.dtype for ids in features.categories.values()} == {np.dtype(np.int32)}
    assert features.sizes == {"kind": 3, "tags": 3}
    assert features.fitted == {
        "numeric": ["size", "same", "never"],
        "mean": [2.0, 5.0, 0.0],
        "scale": [1.0, 1.0, 1.0],
        "kind": ["folk", "rock"],
        "tags": ["new", "old"],
    }


def test_features_of_few_tracks_are_a_warning_and_of_none_an_error(tmp_path, capsys):
    listed(tmp_path, "t")
    few = pd.DataFrame({"item": ["c", "x"], "size": [1.0, 2.0]})
    warning = "warning: the item table holds 1 of the 3 items of training; the others have no features\n"
    for rows, message in ((few, warning), (pd.concat([few, few.assign(item=["a", "b"])]), "")):
        prepare.prepare(tables(TRAINING | {"t": "xa"}, items=rows, numeric=("size",)), LISTED, tmp_path)
        out = capsys.readouterr().out
        assert (warning in out) == bool(message)
    with pytest.raises(DataError, match="holds none of the 3 items of training, such as `a`; its ids are such as `x`"):
        prepare.prepare(tables(TRAINING | {"t": "xa"}, items=few[1:], numeric=("size",)), LISTED, tmp_path)


def test_numbers_that_standardising_would_make_infinite_are_named(tmp_path):
    numbers = {"size": [1e-30, 2e-30, 3e-30, 1e30, 0, 0], "huge": [3e38, -3e38, 1, 3e38, 0, 0]}
    with pytest.raises(DataError, match=r"feature `size`: item `x` has 1e\+30, 1e\+\d\d standard deviations from"):
        featured(tmp_path, "xay", **numbers)
    prepared = featured(tmp_path, "xay", size=numbers["huge"])
    assert np.isfinite(prepared.features.numeric).all()
    assert prepared.features.numeric[:2, 0].tolist() == pytest.approx([1, -1], rel=0.5)


def test_tracks_only_in_test_do_not_change_what_is_fitted(tmp_path):
    one = featured(tmp_path, "xa")
    changed = {
        name: [*values[:3], *([9.5] * 3 if name in KINDS["numeric"] else ["zither"] * 3)]
        for name, values in COLUMNS.items()
    }
    other = featured(tmp_path, "zzzzabbbbb", **changed)
    assert one.items.head(3).equals(other.items.head(3))
    assert one.n_items == other.n_items
    assert one.features.fitted == other.features.fitted
    assert one.features.sizes == other.features.sizes
    assert (one.features.numeric[:3] == other.features.numeric[:3]).all()
    for name, ids in one.features.categories.items():
        assert (ids[:3] == other.features.categories[name][:3]).all()
        assert (other.features.categories[name][3:] == 0).all()
    for part in ("train", "validation"):
        assert tracks(one, part) == tracks(other, part)


def test_an_item_table_of_categories_alone_has_no_numbers(tmp_path):
    frame = item_table(kind=COLUMNS["kind"])
    prepared = prepare.prepare(
        tables(TRAINING | {"t": "xa"}, items=frame, categorical=("kind",)), LISTED, listed(tmp_path, "t")
    )
    assert prepared.features.numeric.shape == (6, 0)
    assert prepared.features.fitted == {"numeric": [], "kind": ["folk", "rock"]}


def test_loaded_arrays_equal_the_saved_ones_memory_mapped_and_without_pickle(tmp_path):
    made = featured(tmp_path, "xay")
    made.save(tmp_path / "one", {})
    loaded = prepare.Prepared.load(tmp_path / "one")
    for part in ("train", "validation", "test"):
        saved, read = getattr(made, part), getattr(loaded, part)
        assert isinstance(read.items, np.memmap)
        assert (saved.items.tolist(), saved.offsets.tolist()) == (read.items.tolist(), read.offsets.tolist())
        np.load(tmp_path / "one" / f"{part}_items.npy", allow_pickle=False)
    for frame in ("items", "test_events", "counts"):
        pd.testing.assert_frame_equal(getattr(made, frame), getattr(loaded, frame))
    assert isinstance(loaded.features.numeric, np.memmap)
    assert loaded.features.numeric.tolist() == made.features.numeric.tolist()
    assert {n: c.tolist() for n, c in loaded.features.categories.items()} == {
        n: c.tolist() for n, c in made.features.categories.items()
    }
    assert (loaded.features.fitted, loaded.features.sizes) == (made.features.fitted, made.features.sizes)
    assert (loaded.n_items, loaded.n_candidates) == (3, 5)
    # Plain JSON has no NaN.
    for name in ("prepared.json", "features.json"):
        json.loads((tmp_path / "one" / name).read_text(), parse_constant=pytest.fail)


def test_the_same_input_gives_the_same_bytes_over_existing_files(tmp_path):
    featured(tmp_path, "xay").save(tmp_path / "one", {})
    featured(tmp_path, "xay").save(tmp_path / "two", {})
    contents = [{p.name: p.read_bytes() for p in (tmp_path / name).iterdir()} for name in ("one", "two")]
    assert contents[0] == contents[1]
    recorded = json.loads(contents[0].pop("prepared.json"))["sha256"]
    assert recorded.keys() == contents[0].keys()
    plain = prepare.prepare(tables(TRAINING | {"t": "xa"}), LISTED, tmp_path)
    plain.save(tmp_path / "one", {})
    plain.save(tmp_path / "three", {})
    contents = [{p.name: p.read_bytes() for p in (tmp_path / name).iterdir()} for name in ("one", "three")]
    assert contents[0] == contents[1]
    assert prepare.Prepared.load(tmp_path / "one").features is None


@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_the_ends_are_those_of_the_training_sessions_in_their_order(tmp_path, seed):
    starts = {"s1": 300, "s2": 100, "s3": 400, "s4": 200, "t": 500}
    sessions = {"s1": "abc", "s2": "ab", "s3": "ca", "s4": "bbac", "t": "ab"}
    split = Split(how="listed", test="test.csv", validation="random", validation_fraction=0.25, seed=seed)
    made = prepare.prepare(tables(sessions, starts), split, listed(tmp_path, "t"))
    # The n-th event of a session is n hundredths of a second after its start.
    end = {"abc": 300.03, "ab": 100.02, "ca": 400.02, "bbac": 200.04}
    assert made.ends.tolist() == [end[word] for word in tracks(made, "train_and_validation")]
    made.save(tmp_path / "one", {})
    assert prepare.Prepared.load(tmp_path / "one").ends.tolist() == made.ends.tolist()
    timeless = prepare.prepare(tables(sessions), split, tmp_path)
    timeless.save(tmp_path / "one", {})
    assert timeless.ends is prepare.Prepared.load(tmp_path / "one").ends is None


FILES = {"s1": "log_1.csv", "s2": "log_2.csv", "s3": "log_2.csv"}


@pytest.mark.parametrize(
    ("sessions", "split", "message"),
    [
        (
            TRAINING,
            {"how": "by_file", "test": "*x*"},
            "no log file matches the split's `test: *x*`; correct the pattern (there: log_1.csv, log_2.csv)",
        ),
        (
            TRAINING,
            {"how": "by_file", "test": "log_*"},
            "the split `by_file` leaves no training session of two events or more; change `split`",
        ),
        (
            {"s1": "ab", "s2": "a", "s3": "b"},
            {"how": "by_file", "test": "log_1*"},
            "the split `by_file` leaves no training session of two events or more; change `split`",
        ),
        (
            TRAINING,
            {"how": "by_session", "test_fraction": 0.1},
            "the split `by_session` leaves no test session; change `split` in the study's config",
        ),
        (
            TRAINING,
            {"how": "by_file", "test": "log_2*"},
            "the split `by_file` leaves no pair of events in `train`; give it more sessions there",
        ),
        (
            TRAINING | {"s1": "a"},
            {"how": "by_file", "test": "log_1*"},
            "the split `by_file` leaves no pair of events in `test`; give it more sessions there",
        ),
        (
            TRAINING,
            {"how": "by_time", "test_fraction": 0.5},
            "the split `by_time` needs events with times; name the `time` column, or split by session",
        ),
    ],
)
def test_an_impossible_split_is_an_error(tmp_path, sessions, split, message):
    with pytest.raises(DataError) as caught:
        prepare.prepare(tables(sessions, files=FILES), Split(**split), tmp_path)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, ": the split's list of test sessions is missing; put it into the data folder"),
        (b"", ": is empty (0 bytes); copy it again"),
        (b"\xff\xfe", ", line 1: is not UTF-8; save the file as UTF-8"),
        (b"7\n8\n", ", line 1: holds values (7), the header is missing;"),
        (b"\xef\xbb\xbfsession\r\n\r\ns1\r\n\r\ns9\r\n", ", line 5, column `session`: session `s9` is not in the"),
        (b"session\ns1,2\n", ", line 2: has not as many cells as the header (1); correct the line"),
        (b"session,user\ns1,2\n\ns9,2\n", ", line 4, column `session`: session `s9` is not in the data (1 such)"),
        (b"a,b\ns1,s2\n", ", line 1: has 2 columns (a, b), and not one known as the session; keep the column"),
        (b"session\tuser\ns1\t2\n", ", line 1: cells are parted by `\\t`; part them by commas in a .csv"),
        (b"session\ns1\t2\n", ", line 2, column `session`: session `s1\\t2` is not in the data (1 such)"),
        (b"s1\ns2\n", ", line 1: `s1` is a session; put a header line, such as `session`, above it"),
        (
            b"session\ns1\ns9\ns8\n",
            ", line 3, column `session`: session `s9` is not in the data (2 such); delete it from the list",
        ),
        (b"session\n", "the split `listed` leaves no test session; change `split` in the study's config"),
    ],
)
def test_a_wrong_list_of_test_sessions_is_an_error(tmp_path, content, message):
    if content is not None:
        (tmp_path / "test.csv").write_bytes(content)
    with pytest.raises(DataError) as caught:
        prepare.prepare(tables(TRAINING), LISTED, tmp_path)
    assert str(caught.value).removeprefix(f"{tmp_path}/test.csv").startswith(message)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("test.csv", "\ufeffsession\n\nt\nt\n\n"),
        ("test.csv", "session\r\nt\r\n\r\n"),
        ("test.csv", "user,Session_ID\ns1,t\n"),
        ("test.csv", 'session\n"t"\n'),
        ("test.tsv", "user\tsession\n\ns1\tt"),
        ("test.txt", "session\nt\n"),
        ("TEST.CSV.GZ", "session\nt\n"),
    ],
)
def test_a_list_of_test_sessions_is_read_as_other_files_are(tmp_path, name, text):
    content = text.encode()
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith("GZ") else content)
    made = prepare.prepare(tables(TRAINING | {"t": "ab"}), LISTED.model_copy(update={"test": name}), tmp_path)
    assert made.test_events["session"].unique().tolist() == ["t"]


@pytest.mark.parametrize(
    ("pattern", "name", "wanted"),
    [
        ("log_0_*", "log_0_1.csv", True),
        ("log_0_*", "training_set/log_0_1.csv", True),
        ("valid.tsv", "day/valid.tsv", True),
        ("test*", "test/part-0.parquet", False),
        ("test/*", "test/part-0.parquet", True),
        ("./test/*", "test/part-0.parquet", True),
        ("test/*", "train/part-0.parquet", False),
        ("test/*", "day/test/part-0.parquet", False),
        ("test/*", "test/day/part-0.parquet", False),
        ("test/**", "test/day/part-0.parquet", True),
        ("**/test/*", "day/test/part-0.parquet", True),
        ("**/test/*", "test/part-0.parquet", True),
        ("**/part-0.*", "part-0.parquet", True),
        ("day=[12]/**/*.csv", "day=2/a/b/c.csv", True),
        ("day=[12]/**/*.csv", "day=3/a/b/c.csv", False),
        ("*/part-1.csv", "b/part-1.CSV", False),
    ],
)
def test_a_pattern_with_a_slash_matches_paths(pattern, name, wanted):
    assert is_test_file(name, Split(how="by_file", test=pattern)) is wanted


def test_files_of_the_same_name_are_split_by_folder(tmp_path):
    for folder, first in (("train", 0), ("test", 100)):
        (tmp_path / folder).mkdir()
        rows = [(first + n // 4, f"i{n % 5}", n) for n in range(40)]
        pd.DataFrame(rows, columns=["s", "i", "t"]).to_parquet(tmp_path / folder / "part-0.parquet")
    data = EventData(layout="events", name="x", events=["*/part-*.parquet"], session="s", item="i", time="t")
    made = prepare.prepare(read.read(data, tmp_path), Split(how="by_file", test="test/*"), tmp_path)
    assert made.test_events["file"].unique().tolist() == ["test/part-0.parquet"]
    assert sorted(made.test_events["session"].unique(), key=int) == [str(n) for n in range(100, 110)]
    with pytest.raises(DataError, match=r"there: test/part-0.parquet, train/part-0.parquet"):
        prepare.prepare(read.read(data, tmp_path), Split(how="by_file", test="valid/*"), tmp_path)


SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"


@pytest.mark.slow
@pytest.mark.skipif(not SHARED.is_dir(), reason="needs the real files")
@pytest.mark.parametrize(
    ("name", "folder", "n_items", "rows", "targets"),
    [("thirty_music", "thirty_music", 39_649, 69_409, 8_212), ("polimi", "polimi_playlists", 12_675, 92_094, 21_481)],
)
def test_the_studies_of_real_sessions_have_their_known_sizes(name, folder, n_items, rows, targets):
    place = Workspace(name, SHARED / folder)
    assert len(place.raw_files()) in (2, 3)
    made = prepare.prepare(read.read(place.study.data, place.raw), place.study.split, place.raw)
    assert made.n_items == n_items
    assert len(made.train_and_validation.items) == rows
    assert made.test.keep(made.test.known(made.n_items)).is_target.sum() == targets
    assert all((ids[: made.n_items] > 0).any() for ids in made.features.categories.values())
