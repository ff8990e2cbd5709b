"""Estimate the memory of a training from tensor shapes."""

from __future__ import annotations

import math

import numpy as np

from gru4rec_lib.training.build import build
from gru4rec_lib.training.settings import Cell, Training

BASE = 0.96e9  # bytes of Python, TensorFlow and compiled graphs, measured with a model of 50 tracks
FLOAT = 4  # bytes


def estimate(cell: Cell, n_items: int, spec: dict | None, events: int) -> dict[str, int]:
    """Bytes of the parts of a training.

    Every weight's size is affine in the number of tracks and of candidates, whatever the forms, so that models of a few
    tracks give those of any catalogue: weights and optimiser are exact. Step and ranking are about right.

    Args:
        cell: its forms and settings.
        n_items: training tracks.
        spec: `Features.spec`, or None.
        events: of the training sessions.

    Returns:
        `base`, `weights`, `optimiser`, `step` (what a mini-batch and an epoch's order hold besides), `ranking`.
    """

    def sizes(items, candidates):
        model = build(cell, items, spec and spec | {"candidates": candidates})
        return np.array([_bytes(model.weights), _bytes(model.optimizer.variables)])

    few, candidates = sizes(2, 4), spec["candidates"] if spec else n_items
    sizes = few + (n_items - 2) * (sizes(3, 4) - few) + (candidates - 4) * (sizes(2, 5) - few)
    weights, optimiser = sizes.tolist()
    row = (cell.training.hidden_units[-1] + 1) * FLOAT
    # Rows, the same by falling norm, and twice that while it becomes a constant.
    passing = {"step": step(cell.training, n_items, events, weights), "ranking": 4 * candidates * row}
    return {"base": int(BASE), "weights": weights, "optimiser": optimiser} | passing


def _bytes(variables) -> int:
    return sum(math.prod(v.shape) * (8 if str(v.dtype).endswith("64") else 4) for v in variables)


def step(settings: Training, n_items: int, events: int, weights: int) -> int:
    """Bytes that a mini-batch and an epoch's order hold besides the weights.

    Args:
        settings: of the training.
        n_items: training tracks.
        events: of the training sessions.
        weights: bytes of the weights.
    """
    every = "all" in settings.negatives
    scored = n_items if every else settings.batch_size + settings.samples
    found = 4 * scored * settings.batch_size * FLOAT  # scores, mask, gradient and one between
    found += scored * (settings.hidden_units[-1] + 1) * FLOAT * 3  # rows, their gradients, the sums of repeated ones
    if settings.optimizer == "adam" or every:
        found += 2 * weights  # dense gradients, and what the optimiser computes from them
    found += n_items * (8 + 4)  # sampling probabilities, expected counts
    return found + 40 * events  # the mini-batches of a pass while they are laid out


def peak(parts: dict[str, int]) -> int:
    """Bytes at the highest point: a step and a ranking never come together.

    Args:
        parts: of `estimate`, bytes.
    """
    return parts["base"] + parts["weights"] + parts["optimiser"] + max(parts["step"], parts["ranking"])


def line(parts: dict[str, int]) -> str:
    """One line, such as `about 1.4 GB: base 1.0, weights 0.2, optimiser 0.2, step 0.0, ranking 0.0`.

    Args:
        parts: of `estimate`, bytes.
    """
    return f"about {peak(parts) / 1e9:.1f} GB: " + ", ".join(f"{name} {n / 1e9:.1f}" for name, n in parts.items())
