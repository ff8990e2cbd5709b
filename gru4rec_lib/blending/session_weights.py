"""Weights of a blend that differ from session to session: which part to trust when."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from gru4rec_lib.blending.parts import Parts, Scores, in_columns
from gru4rec_lib.data.history import heard_before
from gru4rec_lib.data.sessions import Sessions

LARGEST = 20  # exponents of weights are from -20 to 20


@dataclass(frozen=True)
class SessionWeights:
    """At a target part i has the weight w_i = exp(sum of c_if (x_f - m_f) / s_f over the features f of its session).

    Weights are above 0, so that no part turns around the order of another. The features x, of `features_of`, are the
    number of plays so far, the share of repeats, how sure the network is, and, for each baseline, how much it scores
    and how far the network agrees.

    Args:
        parts: their names, the network first.
        features: their names.
        means: m, one for each feature.
        scales: s, above 0.
        coefficients: c, a row for each part and a column for each feature.
    """

    parts: tuple[str, ...]
    features: tuple[str, ...]
    means: np.ndarray
    scales: np.ndarray
    coefficients: np.ndarray

    def at(self, features: np.ndarray) -> np.ndarray:
        """Return the weights at some targets: float64 [n, parts].

        Args:
            features: float64 [n, features].
        """
        return exponential((features - self.means) / self.scales, self.coefficients)


def exponential(features: np.ndarray, coefficients: np.ndarray) -> np.ndarray:
    """Return the weights exp(sum of c_if x_f over f): float64 [n, parts].

    Args:
        features: x, float64 [n, features], centred and scaled.
        coefficients: c, float64 [parts, features].
    """
    return np.exp(np.clip(features @ coefficients.T, -LARGEST, LARGEST))


def as_json(weights: dict[str, float] | SessionWeights) -> dict:
    """Return weights of a blend as plain JSON.

    Args:
        weights: fixed or by session.
    """
    if isinstance(weights, SessionWeights):
        return {name: np.asarray(value).tolist() for name, value in asdict(weights).items()}
    return weights


def of_json(written: dict) -> dict[str, float] | SessionWeights:
    """Read the weights of a blend.

    Args:
        written: as `as_json` returned them.

    Raises:
        KeyError: a field of session weights is missing.
    """
    if "coefficients" not in written:
        return written
    names = (tuple(written[name]) for name in ("parts", "features"))
    numbers = (np.array(written[name], np.float64) for name in ("means", "scales", "coefficients"))
    return SessionWeights(*names, *numbers)


def feature_names(parts: Parts) -> tuple[str, ...]:
    """Name the features of `features_of`.

    Args:
        parts: of the blend.
    """
    of_baselines = (f"{what} {name}" for name in parts.names[1:] for what in ("scored by", "agreement with"))
    return "constant", "plays", "repeats", "confidence", *of_baselines


def features_of(scores: Scores, sessions: Sessions, n_items: int) -> np.ndarray:
    """Describe the sessions before some targets by what is known there.

    Args:
        scores: of the parts at the targets.
        sessions: over the item index.
        n_items: number of training tracks.

    Returns:
        float64 [n, features], in the order of `feature_names`: 1; log of the number of plays of training tracks before
        the target, or of 1; share of them that repeat an earlier one; log of the network's highest probability; and for
        each baseline log(1 + sum of its normalised scores), and their mean under the network's softmax.
    """
    n = len(scores.event)
    chosen = np.zeros(len(sessions.items), bool)
    chosen[scores.event] = True
    target, item, _ = heard_before(sessions, chosen, sessions.known(n_items))
    plays = np.bincount(target, minlength=n)
    tracks = np.bincount(np.unique(np.stack([target, item]), axis=1)[0], minlength=n)
    total, agreed = np.zeros(n), np.zeros((len(scores.columns), n))
    for first, block in scores.of_network(n_items):
        total += block.sum(axis=1)
        for agrees, table in zip(agreed, scores.columns, strict=True):
            row, column, score = in_columns(table, first, first + block.shape[1])
            agrees += np.bincount(row, block[row, column] * score, n)
    total = np.where(total > 0, total, 1)
    found = [np.ones(n), np.log(np.maximum(plays, 1)), (plays - tracks) / np.maximum(plays, 1), -np.log(total)]
    for agrees, table in zip(agreed, scores.columns, strict=True):
        found += [np.log1p(table.sum(axis=1)), agrees / total]
    return np.stack(found, axis=1)
