"""How GRU4Rec trains: session-parallel mini-batches, a stretch of them in each compiled call.

A step gathers the rows that it needs, runs the dense part (compiled by XLA) and updates those rows alone.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from gru4rec_lib.data import session_batches
from gru4rec_lib.data.sessions import Sessions
from gru4rec_lib.model.layers import dropout, random_key, zero_lanes
from gru4rec_lib.training import losses, negatives, optimizers
from gru4rec_lib.training.checkpoint import Checkpoint, EarlyStopping, made_with
from gru4rec_lib.training.epochs import TRAIN_STEPS, Epoch
from gru4rec_lib.training.settings import check_negatives
from gru4rec_lib.utils.arguments import check_known, whole
from gru4rec_lib.utils.backend import float32, keras, tf


class Trainer(keras.Model):
    """`compile` and `fit` of GRU4Rec; the network itself is in `training/gru4rec.py`.

    `fit_seconds` is the wall time of the last `fit`, interruptions left out; `lane_state`, float [lanes, S], the state
    of its lanes, which a callback may read and set.
    """

    fit_seconds = 0.0
    _compiled = None

    def compile(
        self,
        loss: str | Callable = "cross_entropy",
        optimizer="adagrad",
        learning_rate: float = 0.05,
        momentum: float = 0.0,
        negatives=("sampled",),
        samples: int = 2048,
        sample_alpha: float = 0.75,
        logq: float = 0.0,
        score_activation: str = "linear",
        elu_alpha: float = 0.5,
        bpr_max_regularization: float = 1.0,
        label_smoothing: float = 0.0,
        clip_norm: float | None = None,
        l2: float = 0.0,
        mixed_precision: bool = False,
        jit: bool = True,
    ):
        """Choose how to train.

        Args:
            loss: `cross_entropy`, `bpr`, `bpr_max`, `top1`, `top1_max`, or a function of your own with the arguments of
                those in `losses`: (target, negatives, mask) -> float [B].
            optimizer: `adagrad`, `lazy_adam`, `adam`, or a Keras optimiser, which then has its own rate and momentum.
            learning_rate: above 0.
            momentum: of Adagrad, 0 to below 1.
            negatives: `in_batch`, `sampled` or both; or `all` alone.
            samples: sampled tracks a step, shared by its lanes.
            sample_alpha: they are drawn with probability ~ plays ** sample_alpha.
            logq: subtract logq * log(expected count among the negatives) from every score, 0 to 1.
            score_activation: `linear`, `elu`, or another of `losses.ACTIVATIONS`.
            elu_alpha: of `elu`, 0 or more.
            bpr_max_regularization: lambda of BPR-max, 0 or more.
            label_smoothing: of cross_entropy, 0 to below 1.
            clip_norm: the greatest norm of all gradients of a step together, above 0; None leaves them as they are.
            l2: weight of half the squared norm of the step's rows and of the dense weights, 0 or more.
            mixed_precision: multiply states and scoring rows in bfloat16, the largest product of a step; all else
                is float32.
            jit: compile the dense part of a step with XLA.

        Raises:
            ValueError: loss, optimizer, negatives or score_activation is none of those, or an Adam is given momentum.
        """
        samples = whole(samples, "samples", 0)
        compiled = {name: value for name, value in locals().items() if name not in ("self", "__class__")}
        if not callable(loss):
            check_known("loss", loss, losses.LOSSES)
        check_known("score_activation", score_activation, losses.ACTIVATIONS)
        check_negatives(negatives, samples)
        if isinstance(optimizer, str):
            optimizer = optimizers.make(optimizer, learning_rate, momentum)
        compiled["optimizer"] = keras.optimizers.serialize(optimizers.checked(optimizer))
        self._compiled = compiled
        super().compile(optimizer=optimizer, jit_compile=False)
        with float32():
            self.optimizer.build(self.trainable_variables)
        options = {"cross_entropy": {"smoothing": label_smoothing}, "elu": {"alpha": elu_alpha}}
        options["bpr_max"] = {"regularization": bpr_max_regularization}
        self._loss = loss if callable(loss) else partial(losses.LOSSES[loss], **options.get(loss, {}))
        self._activation = partial(losses.ACTIVATIONS[score_activation], **options.get(score_activation, {}))
        self._all, self._in_batch = "all" in negatives, "in_batch" in negatives
        self._samples = samples if "sampled" in negatives else 0
        self._alpha, self._logq, self._l2, self._clip_norm = sample_alpha, logq, l2, clip_norm
        self._product = tf.bfloat16 if mixed_precision else tf.float32
        self._gradients = tf.function(self._dense_part, jit_compile=jit)

    @property
    def steps(self):
        """Mini-batches trained so far, a variable; the optimiser's `iterations` are fewer where it accumulates."""
        return getattr(self.optimizer, "inner_optimizer", self.optimizer)._iterations

    def get_compile_config(self):
        """Nothing: a saved model is for use; training goes on from a checkpoint, not from it."""

    def fit(
        self,
        sessions: Sessions,
        epochs: int = 1,
        batch_size: int = 64,
        validation_data: Sessions | None = None,
        callbacks=(),
        shuffle: bool = True,
        initial_epoch: int = 0,
        verbose: int = 1,
        steps_per_epoch: int | None = None,
        schedule: Callable = session_batches.schedule,
        checkpoint: Path | None = None,
        checkpoint_seconds: float = 60.0,
        plays_before: np.ndarray | int = 0,
    ):
        """Train on sessions with session-parallel mini-batches.

        Args:
            sessions: training sessions, items 0..n_items-1.
            epochs: passes over them, or as many times `steps_per_epoch`.
            batch_size: lanes.
            validation_data: sessions to rank after every epoch; gives logs val_recall_at_20 and val_mrr_at_20.
            callbacks: Keras callbacks.
            shuffle: a new order of the sessions every pass.
            initial_epoch: where to go on.
            verbose: 1 prints one line an epoch, 0 nothing.
            steps_per_epoch: mini-batches of an epoch; it goes on in the sessions where the one before ended. None: a
                whole pass.
            schedule: lays sessions into lanes as `session_batches.schedule` does; a longer pass needs
                `steps_per_epoch`.
            checkpoint: a .npz file, written at the end of every epoch and within it. Where it exists already, made by a
                fit of the same settings, data and code, training goes on from it, and ends in the same weights and
                history as without an interruption, with other `epochs` or `checkpoint.EarlyStopping` too; else it
                starts anew, and prints why. It takes the place of the first weights, which are not compared. Other
                callbacks are not compared either, and what they remember themselves is not in it.
            checkpoint_seconds: of training between two of them within an epoch.
            plays_before: int [n_items], plays in earlier sessions, which count as those in `sessions` do.

        Returns:
            keras.callbacks.History; `step` counts mini-batches, `passes` passes over the sessions.

        Raises:
            FloatingPointError: the loss is no longer finite, or a weight that a checkpoint would keep.
            ValueError: the model is not compiled, an item is none of the model's, there can be no negatives, or a
                number that counts something is no whole number.
        """
        if self._compiled is None:
            raise ValueError("the model is not compiled: call `compile`, then `fit`")
        epochs, batch_size = whole(epochs, "epochs"), whole(batch_size, "batch_size")
        initial_epoch = whole(initial_epoch, "initial_epoch", 0)
        steps_per_epoch = None if steps_per_epoch is None else whole(steps_per_epoch, "steps_per_epoch")
        check_negatives(*(self._compiled[name] for name in ("negatives", "samples")), batch_size)
        plays = np.bincount(sessions.items, minlength=self.n_items)
        if len(plays) > self.n_items:
            raise ValueError(f"sessions hold item {len(plays) - 1}, but the model has {self.n_items} items")
        plays = plays + plays_before
        self.scorer.plays.assign(plays)
        lanes = batch_size if self._in_batch else 0
        self._prepare(
            _cumulative=negatives.cumulative(plays, self._alpha),
            _log_count=self._logq * negatives.log_expected_count(plays, self._alpha, self._samples, lanes),
            lane_state=self.initial_state(batch_size),
        )
        epoch = Epoch(self, sessions, batch_size, shuffle, steps_per_epoch, validation_data, epochs, verbose, schedule)
        history = keras.callbacks.History()
        # Early stopping comes last of them, so that a checkpoint can tell whether another callback ended the training.
        stops = [callback for callback in callbacks if isinstance(callback, EarlyStopping)]
        others = [callback for callback in callbacks if not isinstance(callback, EarlyStopping)]
        last = [*stops, history]
        if checkpoint is not None:
            settings = self._compiled | {"batch_size": batch_size, "shuffle": shuffle, "stretch": TRAIN_STEPS}
            settings |= {"steps_per_epoch": steps_per_epoch, "initial_epoch": initial_epoch}
            settings = made_with(self, settings | {"schedule": schedule}, sessions, validation_data)
            changing = [*self.trainable_variables, *self.optimizer.variables, self.lane_state]
            loss = self._mean_loss.variables
            last.append(Checkpoint(checkpoint, epoch, history, changing, loss, settings, checkpoint_seconds))
            initial_epoch = last[-1].restore(initial_epoch, epochs, stops)
        super().fit(
            epoch.dataset(),
            epochs=epochs,
            callbacks=[epoch, *others, *last],
            initial_epoch=initial_epoch,
            verbose=0,
            shuffle=False,
        )
        self.fit_seconds = epoch.elapsed
        return history

    def _prepare(self, **arrays):
        """Keep what all steps of a fit read; a second fit of the same shapes finds the step compiled already."""
        for name, array in arrays.items():
            kept = getattr(self, name, None)
            if kept is not None and kept.shape == array.shape:
                kept.assign(array)
            else:
                self.train_function = None
                setattr(self, name, tf.Variable(array, trainable=False))

    def save(self, filepath, **options):
        """Save the network and its weights, without the optimiser's state, which is as large again.

        Args:
            filepath: ends in .keras.
            **options: of `keras.Model.save`.
        """
        optimizer = getattr(self, "optimizer", None)
        self.optimizer = None
        try:
            super().save(filepath, **options)
        finally:
            self.optimizer = optimizer

    def train_step(self, data):
        """Keras' call: a stretch of mini-batches: input, target, reset, valid, each [steps, lanes]."""
        inputs, targets, resets, valid = data
        steps = tf.reduce_sum(tf.cast(tf.reduce_any(valid, axis=1), tf.int32))

        def one(step, state, total):
            state, loss = self._one_step(inputs[step], targets[step], resets[step], valid[step], state)
            return step + 1, state, total + loss

        def goes_on(step, state, total):
            return (step < steps) & tf.math.is_finite(total)

        start = (tf.constant(0), self.lane_state.read_value(), tf.constant(0.0))
        _, state, total = tf.while_loop(goes_on, one, start)
        self.lane_state.assign(state)
        pairs = tf.reduce_sum(tf.cast(valid, tf.float32))
        self._mean_loss.update_state(tf.math.divide_no_nan(total, pairs), sample_weight=pairs)
        return {"loss": self._mean_loss.result()}

    def _one_step(self, ids, target, reset, valid, state):
        step = self.steps.value
        # An empty lane repeats a full one: a row of its own would be touched, and move where there is momentum.
        full = tf.argmax(tf.cast(valid, tf.int32))
        ids, target = tf.where(valid, ids, ids[full]), tf.where(valid, target, target[full])
        if self._all:
            candidates = tf.range(self.n_items)
        else:
            sampled = negatives.draw(self._cumulative, self._samples, self.seed, step)
            candidates = tf.concat([target, sampled], axis=0)
        lookups = [*self.item_input.lookups(ids), *self.scorer.lookups(candidates)]
        # `all` uses the tables whole: no copy of their rows, and a dense gradient.
        whole = [self._all and rows is candidates and table.shape[0] == self.n_items for table, rows in lookups]
        rows = [t.value if w else tf.gather(t.value, r) for (t, r), w in zip(lookups, whole, strict=True)]
        log_count = tf.gather(self._log_count, candidates) if self._logq else tf.zeros_like(candidates, tf.float32)

        loss, state, row_gradients, dense_gradients = self._gradients(
            rows, candidates, log_count, target, reset, valid, state, step
        )
        gradients = {v.path: g for v, g in zip(self._dense_weights, dense_gradients, strict=True)}
        for (table, ids), is_whole, gradient in zip(lookups, whole, row_gradients, strict=True):
            if table.trainable:
                gradient = gradient if is_whole else self._sparse(table, ids, gradient)
                other = gradients.get(table.path)
                gradients[table.path] = gradient if other is None else optimizers.added(other, gradient)
        gradients = [gradients[v.path] for v in self.trainable_variables]
        if self._clip_norm:
            # The gradients are scaled as the loss is, until the optimiser divides them.
            gradients = optimizers.clipped(gradients, self.optimizer.scale_loss(self._clip_norm))
        self.optimizer.apply(gradients, self.trainable_variables)
        return state, loss

    def _sparse(self, table, ids, gradient):
        ids = tf.reshape(ids, [-1])
        gradient = tf.reshape(gradient, tf.concat([[-1], table.shape[1:]], axis=0))
        slices = tf.IndexedSlices(gradient, ids, tf.constant(tuple(table.shape), ids.dtype))
        # Keras' own optimisers are dense: their step costs the catalogue.
        return slices if getattr(self.optimizer, "row_wise", False) else tf.convert_to_tensor(slices)

    @property
    def _dense_weights(self):
        one = tf.zeros(1, tf.int32)
        tables = {table.path for part in (self.item_input, self.scorer) for table, _ in part.lookups(one)}
        return [v for v in self.trainable_variables if v.path not in tables]

    def _dense_part(self, rows, candidates, log_count, target, reset, valid, state, step):
        """Everything between the lookups and the row updates: what XLA compiles into one piece.

        Returns:
            (sum of the lanes' losses, new state, gradients of rows, gradients of dense weights), the gradients times
            the optimiser's loss scale.
        """

        def drop(x, rate, place):
            return dropout(x, rate, random_key(self.seed, place, step))

        dense = [v.value for v in self._dense_weights]
        inputs = len(self.item_input.lookups(target))  # so many rows belong to the input, the others to the scorer
        with tf.GradientTape() as tape:
            tape.watch([row for row in rows if row.dtype.is_floating])
            hidden, state = self._recur(rows[:inputs], zero_lanes(state, reset), drop)
            table, bias = self.scorer.rows(rows[inputs:])
            lanes = len(target)
            first = 0 if self._all or self._in_batch else lanes  # the lanes' own targets come first
            # The bias is the weight of a constant 1. Its gradient then comes with the rows', from a product of a shape
            # that XLA computes in half the time of `scores gradient.T @ hidden`.
            weights = tf.concat([tf.transpose(table[first:]), bias[None, first:]], axis=0)
            states = tf.concat([hidden, tf.ones([lanes, 1])], axis=1)
            scores = tf.matmul(tf.cast(states, self._product), tf.cast(weights, self._product))
            scores = self._activation(tf.cast(scores, tf.float32)) - log_count[first:]
            if self._all:
                target_score = tf.gather(scores, target, batch_dims=1)
                present = tf.ones_like(candidates, tf.bool)
            else:
                own = tf.reduce_sum(hidden * table[:lanes], axis=1) + bias[:lanes]
                target_score = self._activation(own) - log_count[:lanes]
                present = tf.concat([valid, tf.ones(self._samples, tf.bool)], axis=0)
            mask = present[None, first:] & (candidates[None, first:] != target[:, None])
            per_lane = self._loss(target_score, scores, mask)
            total = tf.reduce_sum(tf.where(valid, per_lane, 0.0))
            objective = total / lanes
            if self._l2:
                used = [valid] * inputs + [present] * (len(rows) - inputs)
                norms = [tf.nn.l2_loss(_kept(row, u)) for row, u in zip(rows, used, strict=True)]
                objective += self._l2 * tf.add_n(norms + [tf.nn.l2_loss(weight) for weight in dense])
            objective = self.optimizer.scale_loss(objective)
        row_gradients, dense_gradients = tape.gradient(objective, (rows, dense), unconnected_gradients="zero")
        return total, state, row_gradients, dense_gradients


def _kept(rows, used):
    """Rows [n, ...] with those outside the mask [n] set to zero."""
    return tf.where(tf.reshape(used, [-1] + [1] * (rows.shape.rank - 1)), rows, 0.0)
