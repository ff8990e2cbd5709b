"""What a training needs of memory, told from shapes before any of it is taken."""

from __future__ import annotations

import math

BASE = 0.96e9  # bytes of Python, TensorFlow and compiled graphs, measured with a model of 50 tracks
FLOAT = 4


def estimate(make, run, n_items: int, features: dict | None, events: int) -> dict[str, int]:
    """Bytes of the parts of a training.

    Every weight's size is affine in the number of tracks and of candidates, so that models of a few tracks tell those
    of any catalogue, whatever the forms: weights and optimiser are exact. Step and ranking are about right.

    Args:
        make: (n_items, spec) -> compiled GRU4Rec.
        run: its settings.
        n_items: training tracks.
        features: `Features.spec`, or None.
        events: of the training sessions.

    Returns:
        `base`, `weights`, `optimiser`, `step` (what a mini-batch and an epoch's order hold besides), `ranking`.
    """
    sizes = {}
    for what in ("weights", "optimiser"):
        few, more_items, more_candidates = (
            _bytes(make(items, features and features | {"candidates": candidates}))[what]
            for items, candidates in ((2, 4), (3, 4), (2, 5))
        )
        sizes[what] = few + (n_items - 2) * (more_items - few)
        sizes[what] += ((features["candidates"] if features else 4) - 4) * (more_candidates - few)
    return {"base": int(BASE)} | sizes | _passing(run.training, n_items, features, events, sizes["weights"])


def _bytes(model) -> dict[str, int]:
    kinds = {"weights": model.weights, "optimiser": model.optimizer.variables}
    return {kind: sum(math.prod(v.shape) * _width(v.dtype) for v in variables) for kind, variables in kinds.items()}


def _width(dtype: str) -> int:
    return {"int64": 8, "uint64": 8, "float64": 8}.get(str(dtype), 4)


def _passing(settings, n_items, features, events, weights) -> dict[str, int]:
    lanes, row = settings.batch_size, (settings.hidden_units[-1] + 1) * FLOAT
    every = "all" in settings.negatives
    scored = n_items if every else lanes + settings.samples
    step = 4 * scored * lanes * FLOAT  # scores, mask, gradient and one between
    step += scored * row * 3  # rows, their gradients, the sums of repeated ones
    if settings.optimizer == "adam" or every:
        step += 2 * weights  # dense gradients, and what the optimiser computes from them
    step += n_items * (8 + 4)  # sampling probabilities, expected counts
    step += 40 * events  # the mini-batches of a pass while they are laid out
    candidates = features["candidates"] if features else n_items
    # Rows, the same by falling norm, and twice that while it becomes a constant.
    return {"step": int(step), "ranking": int(4 * candidates * row)}


def peak(parts: dict[str, int]) -> int:
    """Bytes at the highest point: a step and a ranking never come together.

    Args:
        parts: of `estimate`, bytes.
    """
    return parts["base"] + parts["weights"] + parts["optimiser"] + max(parts["step"], parts["ranking"])


def told(parts: dict[str, int]) -> str:
    """One line, such as `about 1.4 GB: base 1.0, weights 0.2, optimiser 0.2, step 0.0, ranking 0.0`.

    Args:
        parts: of `estimate`, bytes.
    """
    return f"about {peak(parts) / 1e9:.1f} GB: " + ", ".join(f"{name} {n / 1e9:.1f}" for name, n in parts.items())
