"""Slicing sessions and choosing or dropping events, compared with plain lists."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gru4rec_lib.data.sessions import Sessions

LISTS = st.lists(st.lists(st.integers(-1, 9), max_size=5), max_size=7)


def lists(sessions):
    return [items.tolist() for items in sessions]


def test_by_hand():
    sessions = Sessions.from_lists([[3, 1], [], [1, 1, 2], [7]])
    assert sessions.items.tolist() == [3, 1, 1, 1, 2, 7]
    assert sessions.offsets.tolist() == [0, 2, 2, 5, 6]
    assert (sessions.items.dtype, sessions.offsets.dtype) == (np.int32, np.int64)
    assert sessions.lengths.tolist() == [2, 0, 3, 1]
    assert sessions.session_of_event.tolist() == [0, 0, 2, 2, 2, 3]
    assert sessions.position_of_event.tolist() == [1, 2, 1, 2, 3, 1]
    assert sessions.is_target.tolist() == [False, True, False, True, True, False]
    assert sessions[2].tolist() == [1, 1, 2]
    assert len(sessions) == 4


@given(LISTS)
def test_from_lists_and_back(written):
    assert lists(Sessions.from_lists(written)) == written


@pytest.mark.parametrize("item", [0.9, 1.0, "1", True, np.True_, None, float("nan")])
def test_an_item_that_is_no_whole_number_is_an_error(item):
    with pytest.raises(ValueError, match=r"^item is .*; give a whole number$"):
        Sessions.from_lists([[0], [1, item]])
    assert lists(Sessions.from_lists([np.array([2, 1], np.uint8)])) == [[2, 1]]


@pytest.mark.parametrize(
    "chosen", [np.array([0, 1, 1]), np.array([1, 2]), np.ones(2, bool), np.ones((3, 1), bool), np.True_, [0, 1, 1]]
)
def test_targets_are_chosen_by_a_mask(chosen):
    sessions = Sessions.from_lists([[4, 5], [6]])
    assert sessions.targets(np.array([True, True, True])).tolist() == [False, True, False]
    assert sessions.targets([True, False, True]).tolist() == [False, False, False]
    with pytest.raises(ValueError, match=r"^chosen is .*; give a mask, True or False for each of the 3 events$"):
        sessions.targets(chosen)


@given(LISTS, st.data())
def test_take_is_list_indexing(written, data):
    numbers = data.draw(st.lists(st.integers(0, len(written) - 1))) if written else []
    taken = Sessions.from_lists(written).take(np.array(numbers, int))
    assert lists(taken) == [written[number] for number in numbers]


@given(LISTS, st.data())
def test_take_by_mask_keeps_the_order(written, data):
    mask = data.draw(st.lists(st.booleans(), min_size=len(written), max_size=len(written)))
    taken = Sessions.from_lists(written).take(np.array(mask, bool))
    assert lists(taken) == [items for items, wanted in zip(written, mask, strict=True) if wanted]


@given(LISTS, st.integers(-1, 9))
def test_keep_drops_events_but_no_session(written, least):
    sessions = Sessions.from_lists(written)
    kept = sessions.keep(sessions.items >= least)
    assert lists(kept) == [[item for item in items if item >= least] for items in written]


def test_an_unknown_session_is_an_error():
    sessions = Sessions.from_lists([[1, 2]])
    for number in (1, -1):
        with pytest.raises(IndexError, match=f"session {number} of 1"):
            sessions[number]


@pytest.mark.parametrize("offsets", [[], [1, 2], [0, 1], [0, 3], [0, 2, 1, 2]])
def test_offsets_that_do_not_fit_are_an_error(offsets):
    with pytest.raises(ValueError, match="offsets must rise"):
        Sessions(np.zeros(2, np.int32), np.array(offsets, np.int64))


def test_saved_and_loaded_without_pickle(tmp_path):
    Sessions.from_lists([[3, 1], [], [1, 1, 2]]).save(tmp_path, "train")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["train_items.npy", "train_offsets.npy"]
    loaded = Sessions.load(tmp_path, "train")
    assert isinstance(loaded.items, np.memmap)
    assert lists(loaded) == [[3, 1], [], [1, 1, 2]]
    assert loaded.items.dtype == np.int32


def test_with_next_adds_an_event_to_each_session():
    sessions, is_next = Sessions.from_lists([[4, 5], [], [6]]).with_next()
    assert [sessions[number].tolist() for number in range(3)] == [[4, 5, -1], [-1], [6, -1]]
    assert is_next.tolist() == [False, False, True, True, False, True]
    assert len(Sessions.from_lists([]).with_next()[1]) == 0
