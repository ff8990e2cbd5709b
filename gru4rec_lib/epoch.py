"""One epoch of training: the stretches of mini-batches that the model is fed, and what happens at its end."""

from __future__ import annotations

import math
import time

import numpy as np

from gru4rec_lib import batches
from gru4rec_lib.backend import keras, tf

TRAIN_STEPS = 50  # mini-batches of one compiled call


class Epoch(keras.callbacks.Callback):
    """Feeds an epoch its mini-batches, watches the loss, validates, and prints the epoch's line.

    Args:
        model: the GRU4Rec that is fitted.
        sessions: training sessions.
        lanes: batch size.
        shuffle: a new order every epoch.
        validation: sessions to rank after every epoch, or None.
        epochs: how many there will be, for the line.
        verbose: 1 prints it.
    """

    def __init__(self, model, sessions, lanes, shuffle, validation, epochs, verbose):
        super().__init__()
        self.trained, self.sessions, self.lanes, self.shuffle = model, sessions, lanes, shuffle
        self.validation, self.epochs, self.verbose = validation, epochs, verbose
        self.pairs = int(sessions.is_target.sum())
        # No order takes more steps than this (a lane waits at most for the longest session); what is left is empty.
        steps = self.pairs / lanes + sessions.lengths.max(initial=0)
        self.n_chunks = math.ceil(steps / TRAIN_STEPS)
        self.epoch = 0

    def dataset(self) -> tf.data.Dataset:
        """Stretches of input, target, reset, valid, each [TRAIN_STEPS, lanes]; of the epoch that has begun."""
        shape = (TRAIN_STEPS, self.lanes)
        signature = tuple(tf.TensorSpec(shape, kind) for kind in (tf.int32, tf.int32, tf.bool, tf.bool))
        data = tf.data.Dataset.from_generator(self._chunks, output_signature=signature).prefetch(2)
        return data.apply(tf.data.experimental.assert_cardinality(self.n_chunks))

    def _chunks(self):
        order = batches.epoch_order(len(self.sessions), self.trained.seed, self.epoch) if self.shuffle else None
        for part in batches.schedule(self.sessions, self.lanes, order).chunks(TRAIN_STEPS, self.n_chunks):
            yield part.input, part.target, part.reset, part.valid

    def on_epoch_begin(self, epoch, logs=None):
        """Keras' call: the order follows the number of the epoch."""
        self.epoch, self.began = epoch, time.perf_counter()

    def on_train_batch_end(self, batch, logs=None):
        """Keras' call: a loss that is not finite ends training at once."""
        if not np.isfinite(logs["loss"]):
            raise FloatingPointError(
                f"the loss is {logs['loss']} in epoch {self.epoch + 1}: lower learning_rate (now "
                f"{float(self.trained.optimizer.learning_rate):g}), or momentum, or raise the batch size"
            )

    def on_epoch_end(self, epoch, logs=None):
        """Keras' call: validate, and put the scores where the callbacks behind this one find them."""
        seconds = time.perf_counter() - self.began
        logs["seconds"] = seconds
        if self.validation is not None:
            logs |= {f"val_{name}": value for name, value in self.trained.evaluate(self.validation).items()}
        if self.verbose:
            scores = "".join(f"  {name} {logs[name]:.4f}" for name in logs if name.startswith("val_"))
            print(
                f"epoch {epoch + 1}/{self.epochs}  loss {logs['loss']:.4f}{scores}  "
                f"{seconds:.1f} s  {self.pairs / seconds:,.0f} events/s",
                flush=True,
            )
