"""One epoch of training: its mini-batches in stretches, and the validation at its end."""

from __future__ import annotations

import math
import time
import weakref

import numpy as np

from gru4rec_lib.data import session_batches
from gru4rec_lib.utils.backend import keras, tf

TRAIN_STEPS = 50  # mini-batches of one compiled call


class Epoch(keras.callbacks.Callback):
    """Supply the mini-batches of an epoch, check the loss, validate, and print the epoch's line.

    Args:
        model: the GRU4Rec that is fitted.
        sessions: training sessions.
        lanes: batch size.
        shuffle: a new order every pass over the sessions.
        steps: mini-batches of an epoch, which continues where the one before ended; a whole pass when None.
        validation: sessions to rank after every epoch, or None.
        epochs: how many there will be, for the line.
        verbose: 1 prints it.
        schedule: lays sessions into lanes, as `session_batches.schedule` does.
    """

    def __init__(
        self, model, sessions, lanes, shuffle, steps, validation, epochs, verbose, schedule=session_batches.schedule
    ):
        super().__init__()
        self.schedule = schedule
        self.trained, self.sessions, self.lanes, self.shuffle = model, sessions, lanes, shuffle
        self.steps, self.validation, self.epochs, self.verbose = steps, validation, epochs, verbose
        # `session_batches.schedule` takes no more steps in any order: a lane waits at most for the longest session.
        most = sessions.is_target.sum() / lanes + sessions.lengths.max(initial=0)
        self.n_stretches = math.ceil((steps or most) / TRAIN_STEPS)
        self._lengths = []  # of the passes so far, in steps
        self._last = (-1, None)  # number and mini-batches of the pass laid out last
        self.resume(0, 0.0, 0.0)

    def resume(self, stretches: int, seconds: float, elapsed: float):
        """Begin within an epoch.

        Args:
            stretches: of this epoch that were trained already; they are supplied as empty ones, which change nothing.
            seconds: that they took.
            elapsed: seconds of the whole fit so far.
        """
        self.done, self._spent = stretches, seconds
        self._fit_began = time.perf_counter() - elapsed

    @property
    def seconds(self) -> float:
        """Seconds since the epoch began, interruptions left out."""
        return time.perf_counter() - self._began

    @property
    def elapsed(self) -> float:
        """Seconds since the fit began, interruptions left out."""
        return time.perf_counter() - self._fit_began

    def dataset(self) -> tf.data.Dataset:
        """Stretches of input, target, reset, valid, each [TRAIN_STEPS, lanes], of the current epoch."""
        shape = (TRAIN_STEPS, self.lanes)
        signature = tuple(tf.TensorSpec(shape, kind) for kind in (tf.int32, tf.int32, tf.bool, tf.bool))
        # TensorFlow keeps a generator forever, and all that it refers to: the model with its optimiser.
        stretches = weakref.WeakMethod(self._stretches)
        data = tf.data.Dataset.from_generator(lambda: stretches()(), output_signature=signature).prefetch(2)
        return data.apply(tf.data.experimental.assert_cardinality(self.n_stretches))

    def _stretches(self):
        done = self.done
        for number, part in enumerate(self._batches.chunks(TRAIN_STEPS, self.n_stretches)):
            yield part.input, part.target, part.reset, part.valid & (number >= done)

    def _pass(self, number: int) -> session_batches.Batches:
        if self._last[0] != number:
            random = (self.sessions, self.lanes, self.trained.seed, number)
            order = session_batches.epoch_order(*random) if self.shuffle else None
            self._last = (number, self.schedule(self.sessions, self.lanes, order))
        return self._last[1]

    def _of_epoch(self, epoch: int) -> tuple[session_batches.Batches, float]:
        """Return the mini-batches of an epoch and the passes at its end: a function of its number alone."""
        if self.steps is None:
            return self._pass(epoch), epoch + 1.0
        first, last = epoch * self.steps, (epoch + 1) * self.steps
        parts, begins, number = [], 0, 0
        while not parts or begins < last:
            known = self._lengths[number] if number < len(self._lengths) else None
            if known is None or begins + known > first:
                whole = self._pass(number)
                known = len(whole)
                self._lengths[number:] = [known]
                parts.append(whole.part(slice(max(first - begins, 0), last - begins)))
            if not known:
                return whole, 0.0  # no session holds a pair
            begins, number = begins + known, number + 1
        return _joined(parts), number - (begins - last) / known

    def on_epoch_begin(self, epoch, logs=None):
        """Keras' call: the mini-batches follow from the number of the epoch."""
        self.epoch, self._began = epoch, time.perf_counter() - self._spent
        self._batches, self._passes = self._of_epoch(epoch)

    def on_train_batch_end(self, batch, logs=None):
        """Keras' call: a loss that is not finite ends training at once."""
        if not np.isfinite(logs["loss"]):
            rate = getattr(self.trained.optimizer, "learning_rate", None)  # a MultiOptimizer has none
            now = "" if rate is None else f" (now {float(rate):g})"
            raise FloatingPointError(
                f"the loss is {logs['loss']} in epoch {self.epoch + 1}, step {int(self.trained.steps):,}: lower "
                f"learning_rate{now}, or momentum, or raise the batch size"
            )

    def on_epoch_end(self, epoch, logs=None):
        """Keras' call: validate, and log the scores for the following callbacks."""
        seconds = self.seconds
        logs |= {"step": int(self.trained.steps), "passes": self._passes, "seconds": seconds}
        if self.validation is not None:
            logs |= {f"val_{name}": float(value) for name, value in self.trained.evaluate(self.validation).items()}
        if self.verbose:
            place = "" if self.steps is None else f"  step {logs['step']:,}  passes {self._passes:.2f}"
            scores = "".join(f"  {name} {logs[name]:.4f}" for name in logs if name.startswith("val_"))
            print(
                f"epoch {epoch + 1}/{self.epochs}{place}  loss {logs['loss']:.4f}{scores}  "
                f"{seconds:.1f} s  {self._batches.valid.sum() / seconds:,.0f} events/s",
                flush=True,
            )
        self.done, self._spent = 0, 0.0


def _joined(parts: list[session_batches.Batches]) -> session_batches.Batches:
    return session_batches.Batches(
        *(np.concatenate([getattr(p, name) for p in parts]) for name in parts[0].__annotations__)
    )
