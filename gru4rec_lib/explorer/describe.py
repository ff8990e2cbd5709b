"""Describe tracks by their features: differences from the average track, and from another track."""

from __future__ import annotations

import numpy as np

from gru4rec_lib.data.features import Features

WORDLESS = "acoustic_vector_"  # features of MSSD without a meaning for readers
TELLING = 0.5  # smallest difference to mention, in standard deviations over training tracks


def traits(features: Features, track: int, most: int = 3) -> str:
    """Describe a track by its categories and by the numbers that differ most from the mean.

    Args:
        features: features of the candidates.
        track: index of a candidate.
        most: at most this many numbers, and values of a category.

    Returns:
        Such as `artist 144 · tags 7, 293 · tempo 172`; empty for an average track without categories.
    """
    words = [
        f"{name} {', '.join(values[:most])}"
        for name in features.categories
        if (values := _values(features, name, track))
    ]
    largest = _largest(features, features.numeric[track], most)
    return " · ".join(words + [f"{name} {_number(features, i, track)}" for i, name in largest])


def changes(features: Features, before: int, after: int, most: int = 3) -> str:
    """Describe the differences between two tracks: values of categories, then the numbers that differ most.

    Args:
        features: features of the candidates.
        before: index of a candidate.
        after: index of another candidate.
        most: at most this many numbers, and values of a category.

    Returns:
        Such as `artist 144 → 928 · tags +19 +20 −7 · tempo 98 → 172`; empty where nothing differs.
    """
    words = []
    for name in features.categories:
        old, new = _values(features, name, before), _values(features, name, after)
        if features.categories[name].shape[1] == 1 and old != new:
            words.append(f"{name} {', '.join(old) or '?'} → {', '.join(new) or '?'}")
        elif set(old) != set(new):
            came, went = ([v for v in here if v not in there][:most] for here, there in ((new, old), (old, new)))
            words.append(" ".join([name, *(f"+{v}" for v in came), *(f"\N{MINUS SIGN}{v}" for v in went)]))
    moved = features.numeric[after] - features.numeric[before]
    for i, name in _largest(features, moved, most):
        words.append(f"{name} {_number(features, i, before)} → {_number(features, i, after)}")
    return " · ".join(words)


def _values(features: Features, name: str, track: int) -> list[str]:
    """Return a track's values of a category, without those unseen in training."""
    return [features.fitted[name][code - 1] for code in features.categories[name][track] if code > 0]


def _number(features: Features, i: int, track: int) -> str:
    """Write a feature in the unit of the raw files; a missing value is the mean."""
    value = features.numeric[track, i] * features.fitted["scale"][i] + features.fitted["mean"][i]
    text = f"{value:.0f}" if abs(value) >= 99.5 or abs(value) < 0.005 else f"{value:.2g}"
    return text.replace("-", "\N{MINUS SIGN}")


def _largest(features: Features, z: np.ndarray, most: int) -> list[tuple[int, str]]:
    """Return index and name of the features where z differs most from 0; indicators of missing values are left out."""
    names = features.fitted["numeric"]
    indicators = {f"{name} missing" for name in names}
    named = [(i, name) for i, name in enumerate(names) if not name.startswith(WORDLESS) and name not in indicators]
    large = [(i, name) for i, name in named if abs(z[i]) >= TELLING]
    return sorted(large, key=lambda feature: -abs(z[feature[0]]))[:most]
