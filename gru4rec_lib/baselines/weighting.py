"""Weights that fall with the distance from the current event, by the names and formulas of session-rec."""

from __future__ import annotations

from typing import Literal

import numpy as np

Weighting = Literal["same", "div", "linear", "quadratic", "log"]


def by_distance(weighting: Weighting, distance: np.ndarray) -> np.ndarray:
    """Weight what lies some events apart.

    Args:
        weighting: `same` 1, `div` 1/d, `linear` 1 - d/10 but at least 0, `quadratic` 1/d², `log` 1/log10(d + 1.7).
        distance: int [n], d, 1 or more.

    Returns:
        float64 [n], 0 or more.

    >>> by_distance("div", np.array([1, 2])).tolist(), by_distance("linear", np.array([5, 11])).tolist()
    ([1.0, 0.5], [0.5, 0.0])
    """
    match weighting:
        case "same":
            return np.ones(len(distance))
        case "div":
            return 1 / distance
        case "linear":
            return np.maximum(1 - distance / 10, 0)
        case "quadratic":
            return 1 / distance**2
        case "log":
            return 1 / np.log10(distance + 1.7)


def by_place(weighting: Weighting, back: np.ndarray, length: np.ndarray) -> np.ndarray:
    """Weight the events of a session so far.

    Args:
        weighting: with the place p = length - back + 1: `same` 1, `div` p/length, `linear` 1 - (length - p)/10 but at
            least 0, `quadratic` (p/length)², `log` 1/log10(length - p + 1.7).
        back: int [n], 1 for the last event.
        length: int [n], events of the session so far.

    Returns:
        float64 [n], 0 or more.

    >>> by_place("div", np.array([1, 2]), np.array([2, 2])).tolist()
    [1.0, 0.5]
    """
    match weighting:
        case "div":
            return (length - back + 1) / length
        case "quadratic":
            return ((length - back + 1) / length) ** 2
        case "log":
            return 1 / np.log10(back + 0.7)
    return by_distance(weighting, back - 1)
