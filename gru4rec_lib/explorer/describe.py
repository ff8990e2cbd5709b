"""Tracks in words, from their features: what tells one from the average track, and what changed from one to another."""

from __future__ import annotations

import numpy as np

from gru4rec_lib.data.features import Features

WORDLESS = "acoustic_vector_"  # MSSD's numbers that mean nothing to people
TELLING = 0.5  # standard deviations on the training tracks; less is not worth a word


def traits(features: Features, track: int, most: int = 3) -> str:
    """What tells a track: its categories, then the numbers that lie farthest from the mean.

    Args:
        features: of the candidates.
        track: index of a candidate.
        most: so many numbers, and so many values of a category.

    Returns:
        Such as `artist 144 · tags 7, 293 · tempo 172`; empty where nothing tells it.
    """
    words = [
        f"{name} {', '.join(values[:most])}"
        for name in features.categories
        if (values := _values(features, name, track))
    ]
    largest = _largest(features, features.numeric[track], most)
    return " · ".join(words + [f"{name} {_number(features, i, track)}" for i, name in largest])


def changes(features: Features, before: int, after: int, most: int = 3) -> str:
    """What changed from one track to another: values of categories, then the numbers that moved farthest.

    Args:
        features: of the candidates.
        before: index of a candidate.
        after: of another.
        most: so many numbers, and so many values of a category.

    Returns:
        Such as `artist 144 → 928 · tags +19 +20 −7 · tempo 98 → 172`; empty where nothing changed.
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
    """The values of a category that training knows."""
    return [features.fitted[name][code - 1] for code in features.categories[name][track] if code > 0]


def _number(features: Features, i: int, track: int) -> str:
    """As it stood in the raw files; a missing one is the mean."""
    value = features.numeric[track, i] * features.fitted["scale"][i] + features.fitted["mean"][i]
    text = f"{value:.0f}" if abs(value) >= 99.5 or abs(value) < 0.005 else f"{value:.2g}"
    return text.replace("-", "\N{MINUS SIGN}")


def _largest(features: Features, z: np.ndarray, most: int) -> list[tuple[int, str]]:
    """Number and name of the features where z is farthest from 0."""
    told = [(i, name) for i, name in enumerate(features.fitted["numeric"]) if not name.startswith(WORDLESS)]
    told = [(i, name) for i, name in told if abs(z[i]) >= TELLING]
    return sorted(told, key=lambda feature: -abs(z[feature[0]]))[:most]
