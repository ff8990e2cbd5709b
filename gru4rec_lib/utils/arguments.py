"""Check arguments of public functions: numbers, paths and names."""

from __future__ import annotations

import operator
from collections.abc import Iterable
from numbers import Real
from pathlib import Path

import numpy as np


def whole(value, name: str, least: int | None = 1) -> int:
    """Check a whole number.

    Args:
        value: any whole number, including NumPy's; True and False are not numbers here.
        name: of the argument, for the message.
        least: minimum; None for no minimum.

    Returns:
        The number as an int.

    Raises:
        ValueError: it is not a whole number, or too small.
    """
    try:
        found = None if isinstance(value, bool | np.bool_) else operator.index(value)
    except TypeError:
        found = None
    if found is None:
        raise ValueError(f"{name} is {value!r}; give a whole number")
    if least is not None and found < least:
        raise ValueError(f"{name} is {value!r}; give {least} or more")
    return found


def between(value, name: str, least: float, most: float) -> float:
    """Check a number within bounds.

    Args:
        value: any number, including NumPy's; True and False are not numbers here.
        name: of the argument, for the message.
        least: minimum.
        most: maximum.

    Returns:
        The number as a float.

    Raises:
        ValueError: it is not a number, or outside the bounds.
    """
    number = isinstance(value, Real) and not isinstance(value, bool | np.bool_)
    if not (number and least <= value <= most):
        raise ValueError(f"{name} is {value!r}; give a number from {least:g} to {most:g}")
    return float(value)


def share(value, name: str) -> float:
    """Check a share that is not the whole.

    Args:
        value: as for `between`.
        name: of the argument, for the message.

    Returns:
        The number as a float, 0 to below 1.

    Raises:
        ValueError: it is not a number, or outside these bounds.
    """
    found = between(value, name, 0, 1)
    if found == 1:
        raise ValueError(f"{name} is {value!r}; give a number below 1")
    return found


def user_path(given: str | Path) -> Path:
    """Return the path given by a user, with `~` at its beginning expanded to the home folder.

    Args:
        given: of a file or folder, which need not exist.

    Raises:
        ValueError: it begins with `~` and the name of an unknown user.
    """
    try:
        return Path(given).expanduser()
    except RuntimeError:
        raise ValueError(f"{given}: the home of this user is unknown; write the path in full") from None


def check_known(name: str, value, known: Iterable[str]) -> None:
    """Check that a value is one of the known names.

    Args:
        name: of the argument.
        value: of the argument.
        known: the known names.

    Raises:
        ValueError: the value is not among them.
    """
    if not isinstance(value, str) or value not in known:
        raise ValueError(f"{name} is {value!r}; known are {', '.join(known)}")
