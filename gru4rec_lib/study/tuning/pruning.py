"""Report the score of a search trial after each epoch, and stop trials that are unlikely to be the best."""

from __future__ import annotations

from gru4rec_lib.utils.backend import keras


class Pruning(keras.callbacks.Callback):
    """A Keras callback that reports scores to an Optuna trial and stops the training if the trial is pruned.

    Optuna's own Keras callback raises instead, so that the training would not end normally.

    Args:
        trial: Optuna's trial.
        monitor: name of the reported score; higher is better.
    """

    def __init__(self, trial, monitor: str):
        super().__init__()
        self.trial, self.monitor = trial, monitor
        self.scores, self.pruned = [], False

    def on_epoch_end(self, epoch, logs=None):
        """Keras' call."""
        self.scores.append(float(logs[self.monitor]))
        self.trial.report(self.scores[-1], epoch + 1)
        self.pruned = self.trial.should_prune()
        self.model.stop_training |= self.pruned
