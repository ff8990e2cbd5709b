from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal

from gru4rec_lib.study import explore

# Sessions a (5 events), b (2) and c (1); plays: track x 4, y 2, z 1, v 1. No event has the category `unheard`.
EVENTS = pd.DataFrame(
    {
        "session": pd.Categorical(list("aaaaabbc"), categories=["empty", "a", "b", "c"]),
        "item": pd.Categorical(list("xxyxzyxv"), categories=["unheard", "z", "y", "x", "v"]),
        "position": [1, 2, 3, 4, 5, 1, 2, 1],
        "skip_1": [False, True, False, False, False, False, False, False],
        "skip_2": [True, True, False, False, False, False, False, False],
        "skip_3": [True, True, True, True, False, True, False, False],
    }
)


def test_table_1_counts_rows_and_not_unused_categories():
    expected = pd.DataFrame({"quantity": ["events", "tracks", "sessions"], "count": [8, 4, 3]})
    assert_frame_equal(explore.table_1(EVENTS), expected)


def test_table_1_has_the_difference_in_percent_of_the_papers_count():
    table = explore.table_1(EVENTS, {"events": 10, "tracks": 4, "sessions": 2})
    assert list(table["published"]) == [10, 4, 2]
    assert list(table["difference_percent"]) == pytest.approx([-20, 0, 50])


def test_paper_table_1_is_that_of_the_paper():
    events = {name: row["events"] for name, row in explore.PAPER_TABLE_1.items()}
    assert events == {"full": 2_250_000_000, "dataset03": 6_066_614, "mini": 167_880}
    assert explore.PAPER_TABLE_1["dataset03"] == {"events": 6_066_614, "tracks": 505_195, "sessions": 365_448}
    assert explore.PAPER_TABLE_1["mini"] == {"events": 167_880, "tracks": 50_704, "sessions": 10_000}


def test_the_most_played_are_shown_by_their_labels():
    labels = pd.DataFrame({"item": list("vxyz"), "title": ["V", "X", None, "Z"]}).astype("str")
    table = explore.most_played(EVENTS, labels, 3)
    assert_frame_equal(table, pd.DataFrame({"title": pd.array(["X", None, "V"], dtype="str"), "plays": [4, 2, 1]}))
    assert explore.most_played(EVENTS, n=2)["item"].tolist() == ["x", "y"]


def test_play_counts_are_sorted_by_plays_and_ties_by_id():
    assert_frame_equal(explore.play_counts(EVENTS), pd.DataFrame({"item": list("xyvz"), "plays": [4, 2, 1, 1]}))


def test_a_track_of_exactly_ten_plays_is_rare():
    events = pd.DataFrame({"item": ["ten"] * 10 + ["eleven"] * 11 + ["one"]})
    frame = explore.plays_per_track(events)
    assert list(frame["plays"]) == ["10 plays or fewer", "more than 10 plays"]
    assert list(frame["tracks"]) == [2, 1]
    assert list(frame["share"]) == pytest.approx([2 / 3, 1 / 3])


def test_long_tail_has_one_row_for_each_number_of_plays():
    expected = pd.DataFrame({"plays": [4, 2, 1], "tracks": [1, 1, 2], "rank": [1, 2, 4]})
    assert_frame_equal(explore.long_tail(EVENTS), expected)


def test_session_lengths_exclude_sessions_without_an_event():
    frame = explore.session_lengths(EVENTS)
    assert list(frame["length"]) == [1, 2, 5]
    assert list(frame["sessions"]) == [1, 1, 1]
    assert list(frame["share"]) == pytest.approx([1 / 3] * 3)


def test_skips_by_position_are_shares_of_the_plays_at_that_position():
    frame = explore.skips_by_position(EVENTS)
    assert list(frame.columns) == ["position", "plays", "skip_1", "skip_2", "skip_3"]
    assert list(frame["position"]) == [1, 2, 3, 4, 5]
    assert list(frame["plays"]) == [3, 2, 1, 1, 1]
    assert list(frame["skip_1"]) == pytest.approx([0, 1 / 2, 0, 0, 0])
    assert list(frame["skip_2"]) == pytest.approx([1 / 3, 1 / 2, 0, 0, 0])
    assert list(frame["skip_3"]) == pytest.approx([2 / 3, 1 / 2, 1, 1, 0])


def test_skips_by_position_names_missing_columns():
    with pytest.raises(ValueError, match="no column skip_1, skip_3; only MSSD logs carry it"):
        explore.skips_by_position(EVENTS.drop(columns=["skip_1", "skip_3"]))


plays = st.lists(st.tuples(st.sampled_from("abcdef"), st.sampled_from("uvwxyz")), min_size=1, max_size=60)


@pytest.mark.slow
@settings(max_examples=40)
@given(plays, st.randoms())
def test_no_event_is_lost_and_the_order_of_rows_does_not_matter(rows, random):
    events = pd.DataFrame(rows, columns=["session", "item"])
    tail, lengths, rare = (f(events) for f in (explore.long_tail, explore.session_lengths, explore.plays_per_track))
    assert (tail["plays"] * tail["tracks"]).sum() == (lengths["length"] * lengths["sessions"]).sum() == len(events)
    assert tail["tracks"].sum() == tail["rank"].iloc[-1] == rare["tracks"].sum() == events["item"].nunique()
    assert lengths["sessions"].sum() == events["session"].nunique()
    assert tail["plays"].is_monotonic_decreasing
    assert tail["plays"].is_unique
    assert lengths["share"].sum() == pytest.approx(1)
    assert rare["share"].sum() == pytest.approx(1)

    random.shuffle(rows)
    shuffled = pd.DataFrame(rows, columns=["session", "item"]).astype("category")
    for function in (explore.play_counts, explore.long_tail, explore.session_lengths, explore.table_1):
        assert_frame_equal(function(shuffled), function(events))


FIXTURE = Path(__file__).parents[3] / "shared/data/mssd_fixture/log_very_small.csv"


@pytest.mark.skipif(not FIXTURE.exists(), reason="the real rows of the MSSD fixture are not at hand")
def test_the_real_rows_of_the_mssd_fixture():
    log = pd.read_csv(FIXTURE).rename(columns={"session_id": "session", "track_id_clean": "item"})
    events = log.rename(columns={"session_position": "position"})
    assert list(explore.table_1(events)["count"]) == [201, 175, 11]
    skips = explore.skips_by_position(events)
    assert (skips["skip_1"] <= skips["skip_2"]).all()
    assert (skips["skip_2"] <= skips["skip_3"]).all()
    assert skips["plays"].sum() == len(events)
