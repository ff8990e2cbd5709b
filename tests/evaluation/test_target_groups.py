"""Groups of targets, by hand."""

import numpy as np
import pandas as pd
import pytest

from gru4rec_lib.data.sessions import Sessions
from gru4rec_lib.evaluation import target_groups

TEST = [[0, 3, 0, -1, -1], [4, 4, 1]]
NAMES = list("adaxyeeb")  # x and y are other tracks, both without an index
TARGETS = pd.DataFrame({"session": [0, 0, 0, 0, 1, 1], "position": [2, 3, 4, 5, 2, 3]})
LOG = {
    "context_type": pd.Categorical(["radio"] * 5 + ["charts"] * 3, ["radio", "charts", "catalog"]),
    "hist_user_behavior_is_shuffle": [True] * 4 + [False] * 4,
    "hour_of_day": np.array([0, 5, 6, 23, 0, 12, 17, 18], np.int8),
}


def some_events(log=LOG):
    """Test sessions, plays of the candidates and the test events."""
    events = {"session": ["s"] * 5 + ["t"] * 3, "item": NAMES}
    events = pd.DataFrame(events).astype("category").assign(**log)
    return Sessions.from_lists(TEST), np.array([101, 100, 11, 10, 0]), events


def test_every_target_has_its_stratum():
    table = target_groups.of_targets(TARGETS, *some_events())
    assert {name: column.tolist() for name, column in table.items()} == {
        "heard": ["1", "2", "3", "4", "1", "2"],
        "popularity": ["1 to 10", "101 to 1,000", "cold", "cold", "cold", "11 to 100"],
        "repeat": ["new", "repeat", "new", "new", "repeat", "new"],
        "context_type": ["radio"] * 4 + ["charts"] * 2,
        "shuffle": ["shuffled"] * 3 + ["in order"] * 3,
        "hour": ["0 to 5", "6 to 11", "18 to 23", "0 to 5", "12 to 17", "18 to 23"],
    }
    assert table["popularity"].cat.categories.tolist()[:3] == ["cold", "1 to 10", "11 to 100"]


def test_the_order_of_the_targets_does_not_matter():
    order = [4, 0, 5, 2, 1, 3]
    whole = target_groups.of_targets(TARGETS, *some_events())
    some = target_groups.of_targets(TARGETS.iloc[order], *some_events())
    pd.testing.assert_frame_equal(some, whole.iloc[order].reset_index(drop=True))


def test_a_log_without_columns_has_fewer_divisions():
    assert target_groups.of_targets(TARGETS, *some_events({})).columns.tolist() == ["heard", "popularity", "repeat"]


@pytest.mark.parametrize(
    ("value", "name"),
    [(1, "1"), (5, "5"), (6, "6 to 7"), (7, "6 to 7"), (8, "8 to 10"), (50, "21 to 50"), (51, "51 or more")],
)
def test_ranges(value, name):
    assert target_groups._ranges(np.array([value]), target_groups.HEARD).tolist() == [name]
