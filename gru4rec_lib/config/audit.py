"""The course paper's losses, conclusions and training settings, which a study's `audit` starts from."""

from __future__ import annotations

from gru4rec_lib.training.settings import Training
from gru4rec_lib.utils.checked import ConfigError, check

LOSSES = ("cross_entropy", "bpr", "bpr_max")  # the losses of the paper

CONCLUSIONS = {
    "C1": "one-hot is the best input",
    "C2": "BPR is poor",
    "C3": "BPR-max is competitive with cross-entropy",
    "C4": "content_mlp beats content",
    "C5": "features carry less than identity",
}

# The paper's best settings, named as in `settings.Training`. The losses differ in their negatives.
SETTINGS = {
    "hidden_units": 100,
    "embedding_units": 64,
    "mlp_units": (64, 64),
    "dropout_hidden": 0.1,
    "batch_size": 64,
    "optimizer": "adam",
    "learning_rate": 0.0001,
    "steps_per_epoch": 3000,  # mini-batches between two evaluations on the test
    "bpr_max_regularization": 0.0001,
    "shuffle": False,
    "refit": False,
}
NEGATIVES = {"cross_entropy": ("all",), "bpr": ("in_batch",), "bpr_max": ("in_batch",)}


def course_paper_training(loss: str, changes: dict) -> Training:
    """Return the paper's settings for a loss, with changes.

    Args:
        loss: of LOSSES.
        changes: values of `settings.Training` by name.

    Raises:
        ConfigError: the paper has no such loss, or a setting is unknown or wrong.
    """
    if loss not in LOSSES:
        raise ConfigError(f"audit: the paper has no loss `{loss}`; name some of {', '.join(LOSSES)}")
    return check(Training, SETTINGS | {"negatives": NEGATIVES[loss]} | changes, "audit.settings")
