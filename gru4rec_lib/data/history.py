"""The items before each target, for models that look them up."""

from __future__ import annotations

import numpy as np

from gru4rec_lib.data.sessions import Sessions


def last_heard(sessions: Sessions, usable: np.ndarray) -> np.ndarray:
    """Return for every event the last usable track before it in its session: int32 [events], -1 where there is none.

    Args:
        sessions: over the item index.
        usable: bool [events], such as `sessions.known(n_items)`.

    >>> sessions = Sessions.from_lists([[7, 1, 9, 2], [0, 1]])
    >>> last_heard(sessions, sessions.known(n_items=5)).tolist()
    [-1, -1, 1, 1, -1, 0]
    """
    latest = np.maximum.accumulate(np.where(usable, np.arange(len(usable)), -1))
    before = np.concatenate([[-1], latest])[:-1]
    first = sessions.offsets[sessions.session_of_event]
    return np.where(before >= first, sessions.items[before], -1)


def heard_before(sessions: Sessions, targets: np.ndarray, usable: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return for every target all usable events before it in its session.

    Args:
        sessions: over the item index.
        targets: bool [events], the q targets.
        usable: bool [events].

    Returns:
        target (int [n], 0..q-1, rising), item (int32 [n]) and back (int [n]: 1 for the last usable event, 2 for the
        one before it, and so on).

    >>> sessions = Sessions.from_lists([[7, 1, 9, 2], [0, 1]])
    >>> [part.tolist() for part in heard_before(sessions, sessions.is_target, sessions.known(n_items=8))]
    [[0, 1, 1, 2, 2, 3], [7, 7, 1, 7, 1, 0], [1, 2, 1, 2, 1, 1]]
    """
    events = np.flatnonzero(targets)
    so_far = np.concatenate([[0], np.cumsum(usable)])
    begin, end = so_far[sessions.offsets[sessions.session_of_event[events]]], so_far[events]
    target, where = ranges(begin, end)
    return target, sessions.items[usable][where], end[target] - where


def ranges(begin: np.ndarray, end: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return all numbers from begin to end - 1 of many ranges, one range after the other.

    Args:
        begin: int [ranges], first numbers.
        end: int [ranges], one more than the last numbers.

    Returns:
        int [n], the range of each number, and int [n], the number.

    >>> [part.tolist() for part in ranges(np.array([5, 0, 7]), np.array([7, 0, 8]))]
    [[0, 0, 2], [5, 6, 7]]
    """
    lengths = end - begin
    which = np.repeat(np.arange(len(lengths)), lengths)
    return which, np.arange(len(which)) + (begin - np.cumsum(lengths) + lengths)[which]


def place_in_group(groups: np.ndarray) -> np.ndarray:
    """Return the place of each number in its run of equal numbers: int [n], 0 for the first of a run.

    Args:
        groups: int [n], 0 and more.

    >>> place_in_group(np.array([4, 4, 4, 1, 7, 7])).tolist()
    [0, 1, 2, 0, 0, 1]
    """
    first = np.flatnonzero(np.diff(groups, prepend=-1))
    return np.arange(len(groups)) - np.repeat(first, np.diff(first, append=len(groups)))
