"""A trial of a search tells its score after every epoch, and ends early where it is hopeless."""

from __future__ import annotations

from gru4rec_lib.utils.backend import keras


class Pruning(keras.callbacks.Callback):
    """Reports to an Optuna trial and asks it whether to go on.

    Optuna's own callback for Keras raises, which the end of a training would not see.

    Args:
        trial: of Optuna.
        monitor: the score of an epoch that is reported, higher is better.
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
