"""GRU4Rec as a trainable Keras model: it learns from session-parallel mini-batches and ranks all tracks.

A step gathers the rows that it needs, runs the dense part (compiled by XLA) and updates those rows alone. As in the
official code, gradients go back one step.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from gru4rec_lib.data import session_batches
from gru4rec_lib.data.sessions import Sessions
from gru4rec_lib.model.layers import dropout, random_key, zero_lanes
from gru4rec_lib.model.network import Network
from gru4rec_lib.ranking import exact, metrics
from gru4rec_lib.training import losses, negatives, optimizers
from gru4rec_lib.training.checkpoint import Checkpoint, EarlyStopping, made_with
from gru4rec_lib.training.epochs import TRAIN_STEPS, Epoch
from gru4rec_lib.training.settings import CompileSettings
from gru4rec_lib.utils.arguments import check_known, whole
from gru4rec_lib.utils.backend import FLOAT, float32, freed_memory_kept, keras, tf
from gru4rec_lib.utils.checked import check

RANK_LANES, RANK_STEPS = 256, 8  # shape of one compiled stretch of states
RANKED = 2**15  # states that are gathered before they are ranked: the ranker fills pieces, and sorts them by cost


@keras.saving.register_keras_serializable("gru4rec_lib")
class GRU4Rec(Network):
    """Next-track recommendation from the session so far: a `Network` to compile, fit and rank with.

    Its arguments are those of `Network`. `fit_seconds` is the wall time of the last `fit`, interruptions left out;
    `lane_state`, float [lanes, S], the state of its lanes, which a callback may read and set.
    """

    fit_seconds = 0.0
    settings = None  # of the last `compile`

    def build(self, input_shape=None):
        """Keras' call: create all weights, and the running loss."""
        if not self.built:
            self._mean_loss = keras.metrics.Mean("loss", dtype=FLOAT)
        super().build(input_shape)

    def compile(self, loss: str | Callable = "cross_entropy", optimizer="adagrad", **settings):
        """Choose how to train.

        Args:
            loss: a name of `losses.LOSSES`, or a function with the arguments of those: (target, negatives, mask) ->
                float [B].
            optimizer: a name of `settings.OPTIMIZERS`, or a Keras optimiser, which then has its own rate and momentum.
            **settings: any others of `CompileSettings`, such as `learning_rate`, `negatives` or `samples`.

        Raises:
            ValueError: loss or optimizer is none of those, an Adam is given momentum, or a setting is unknown or wrong.
        """
        if not callable(loss):
            check_known("loss", loss, losses.LOSSES)
        if "samples" in settings:
            settings["samples"] = whole(settings["samples"], "samples", 0)  # a study file may hold it as text
        named = {"optimizer": optimizer} if isinstance(optimizer, str) else {}
        chosen = check(CompileSettings, settings | named, "compile")
        if named:
            optimizer = optimizers.make(optimizer, chosen.learning_rate, chosen.momentum)
        self.settings, optimizer = chosen, optimizers.checked(optimizer)
        # What a checkpoint compares; the optimiser as it is now, without a state.
        self._made_with = {"loss": loss, **dict(chosen), "optimizer": keras.optimizers.serialize(optimizer)}
        super().compile(optimizer=optimizer, jit_compile=False)
        with float32():
            self.optimizer.build(self.trainable_variables)
        options = {"cross_entropy": {"smoothing": chosen.label_smoothing}}
        options["bpr_max"] = {"regularization": chosen.bpr_max_regularization}
        self._loss = loss if callable(loss) else partial(losses.LOSSES[loss], **options.get(loss, {}))
        self._activation = losses.activation(chosen.score_activation, chosen.elu_alpha)
        self._all, self._in_batch = "all" in chosen.negatives, "in_batch" in chosen.negatives
        self._samples = chosen.samples if "sampled" in chosen.negatives else 0
        self._product = tf.bfloat16 if chosen.mixed_precision else tf.float32
        # AutoGraph takes longer than tracing; only a user's loss may have Python conditions and loops over tensors.
        self._gradients = tf.function(self._dense_part, jit_compile=chosen.jit, autograph=callable(loss))

    @property
    def steps(self):
        """Mini-batches trained so far, a variable; the optimiser's `iterations` are fewer where it accumulates."""
        return getattr(self.optimizer, "inner_optimizer", self.optimizer)._iterations

    def get_compile_config(self):
        """Keras' call: nothing. A saved model is for use; training continues from a checkpoint."""

    def fit(
        self,
        sessions: Sessions,
        epochs: int = 1,
        batch_size: int = 64,
        validation_data: Sessions | None = None,
        callbacks: Sequence[keras.callbacks.Callback] | None = (),
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
            callbacks: Keras callbacks; None for none.
            shuffle: a new order of the sessions every pass.
            initial_epoch: the epoch to begin with.
            verbose: 1 prints one line an epoch, 0 nothing.
            steps_per_epoch: mini-batches of an epoch, which continues in the sessions where the one before ended. None:
                a whole pass.
            schedule: lays sessions into lanes as `session_batches.schedule` does; a longer pass needs
                `steps_per_epoch`.
            checkpoint: a .npz file, written at the end of every epoch and within it. Where it exists already, made by a
                fit of the same settings, data and code, training continues from it, and ends in the same weights and
                history as without an interruption, with other `epochs` or `checkpoint.EarlyStopping` too; else it
                starts anew, and prints why. It replaces the first weights, which are not compared. Other callbacks are
                not compared either, and their own state is not in it.
            checkpoint_seconds: of training between two of them within an epoch.
            plays_before: int [n_items], plays in earlier sessions, which count as those in `sessions` do.

        Returns:
            keras.callbacks.History; `step` counts mini-batches, `passes` passes over the sessions.

        Raises:
            FloatingPointError: the loss is no longer finite, or a weight that a checkpoint would keep.
            ValueError: the model is not compiled, an item is none of the model's, there can be no negatives, early
                stopping has no targets to validate with, `plays_before` has another length, or a number that counts
                something is no whole number.
        """
        if self.settings is None:
            raise ValueError("the model is not compiled: call `compile`, then `fit`")
        epochs, batch_size = whole(epochs, "epochs"), whole(batch_size, "batch_size")
        initial_epoch = whole(initial_epoch, "initial_epoch", 0)
        steps_per_epoch = None if steps_per_epoch is None else whole(steps_per_epoch, "steps_per_epoch")
        self.settings.check_lanes(batch_size)
        sessions.check_range(self.n_items)
        callbacks = callbacks or ()
        # Early stopping comes last of them, so that a checkpoint knows whether another callback ended the training.
        stops = [callback for callback in callbacks if isinstance(callback, EarlyStopping)]
        others = [callback for callback in callbacks if not isinstance(callback, EarlyStopping)]
        for stop in stops:
            stop.check_validation(validation_data)
        if np.shape(plays_before) not in ((), (self.n_items,)):
            given = np.shape(plays_before)
            raise ValueError(f"plays_before has shape {given}; give one number for each of the {self.n_items} items")
        plays = np.bincount(sessions.items, minlength=self.n_items) + plays_before
        self.scorer.plays.assign(plays)
        alpha, lanes = self.settings.sample_alpha, batch_size if self._in_batch else 0
        self._keep(
            _cumulative=negatives.cumulative(plays, alpha),
            _log_count=self.settings.logq * negatives.log_expected_count(plays, alpha, self._samples, lanes),
            lane_state=self.initial_state(batch_size),
        )
        epoch = Epoch(self, sessions, batch_size, shuffle, steps_per_epoch, validation_data, epochs, verbose, schedule)
        history = keras.callbacks.History()
        last = [*stops, history]
        if checkpoint is not None:
            record = self._made_with | {"batch_size": batch_size, "shuffle": shuffle, "stretch": TRAIN_STEPS}
            record |= {"steps_per_epoch": steps_per_epoch, "initial_epoch": initial_epoch, "schedule": schedule}
            record = made_with(self, record, sessions, validation_data)
            changing = [*self.trainable_variables, *self.optimizer.variables, self.lane_state]
            loss = self._mean_loss.variables
            last.append(Checkpoint(checkpoint, epoch, history, changing, loss, record, checkpoint_seconds))
            initial_epoch = last[-1].restore(initial_epoch, epochs, stops)
        with freed_memory_kept():
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

    def _keep(self, **arrays):
        """Keep arrays that all steps of a fit read; a second fit of the same shapes reuses the compiled step."""
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
        corrected = self.settings.logq > 0
        log_count = tf.gather(self._log_count, candidates) if corrected else tf.zeros_like(candidates, tf.float32)

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
        if self.settings.clip_norm:
            # The gradients are scaled as the loss is, until the optimiser divides them.
            gradients = optimizers.clipped(gradients, self.optimizer.scale_loss(self.settings.clip_norm))
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
            hidden, state = self.recur(rows[:inputs], zero_lanes(state, reset), drop)
            table, bias = self.scorer.rows(rows[inputs:])
            lanes = target.shape[0]
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
            if self.settings.l2:
                used = [valid] * inputs + [present] * (len(rows) - inputs)
                norms = [tf.nn.l2_loss(_kept(row, u)) for row, u in zip(rows, used, strict=True)]
                objective += self.settings.l2 * tf.add_n(norms + [tf.nn.l2_loss(weight) for weight in dense])
            objective = self.optimizer.scale_loss(objective)
        row_gradients, dense_gradients = tape.gradient(objective, (rows, dense), unconnected_gradients="zero")
        return total, state, row_gradients, dense_gradients

    # Ranking

    def rank(
        self, sessions: Sessions, n_candidates: int, chosen: np.ndarray | None = None, above: bool = False
    ) -> np.ndarray:
        """Rank every target, the same whatever the number of lanes.

        Args:
            sessions: over the item index; ids that the model cannot score (n_items.., -1) are misses.
            n_candidates: 1 and more; the candidates are tracks 0..n_candidates-1, scored or not, and the target.
            chosen: bool [events], the targets to rank; all when None.
            above: whether a tie counts for the target instead of against it.

        Returns:
            float64 [chosen targets], in the order of `sessions.items`, whole numbers from 1; a miss is
            `exact.NO_RANK`. Before the first track that the input form knows, tracks are ranked by their plays in
            training.

        Raises:
            ValueError: `n_candidates` is no whole number or below 1, or `chosen` is no mask of the events.
        """
        n_candidates = whole(n_candidates, "n_candidates")
        ranker, plays = self._ranker(n_candidates)
        by_plays = exact.popularity_ranks(plays, above, n_candidates)
        found = np.full(len(sessions.items), exact.NO_RANK)
        chosen = sessions.targets(chosen)
        for event, hidden, has_input in self.states_before(sessions, chosen & sessions.known(len(plays))):
            target = sessions.items[event]
            found[event] = by_plays[target]
            found[event[has_input]] = ranker.ranks(hidden[has_input], target[has_input], above)
        return found[chosen]

    def top(self, sessions: Sessions, n_candidates: int, chosen: np.ndarray | None = None, k: int = 20) -> np.ndarray:
        """Return the k best candidates at every target, by the scores that `rank` uses.

        Args:
            sessions: over the item index; of a target only its place counts.
            n_candidates: 1 and more; the candidates are tracks 0..n_candidates-1.
            chosen: bool [events], the targets; all when None.
            k: how many, 1 and more.

        Returns:
            int32 [chosen targets, k], in the order of `sessions.items`: tracks, the best first, of equal ones the lower
            number, which has more plays; -1 where no more candidates have a score. Before the first track that the
            input form knows, these are the most played.

        Raises:
            ValueError: `n_candidates` or `k` is no whole number or below 1, or `chosen` is no mask of the events.
        """
        n_candidates, k = whole(n_candidates, "n_candidates"), whole(k, "k")
        ranker, plays = self._ranker(n_candidates)
        chosen = sessions.targets(chosen)
        found = np.tile(exact.popularity_top(plays, k, n_candidates), (chosen.sum(), 1))
        states, has_input = np.zeros((len(found), self.scorer.units), np.float32), np.zeros(len(found), bool)
        row = np.cumsum(chosen) - 1  # of each chosen event
        for event, *states_before in self.states_before(sessions, chosen):
            states[row[event]], has_input[row[event]] = states_before
        found[has_input] = ranker.top(states[has_input], k)
        return found

    def states(self, sessions: Sessions) -> np.ndarray:
        """Return the hidden state after each session: float32 [sessions, H]; zeros after one without an input.

        Args:
            sessions: over the item index; items that are no inputs change nothing.
        """
        sessions, is_next = sessions.with_next()
        found = np.zeros((len(sessions), self.scorer.units), np.float32)
        number = sessions.session_of_event
        for event, hidden, _ in self.states_before(sessions, sessions.targets(is_next)):
            found[number[event]] = hidden
        return found

    def evaluate(self, sessions: Sessions, k: int = 20) -> dict:
        """Return Recall@k and MRR@k of all targets among the training tracks: `recall_at_<k>` and `mrr_at_<k>`, 0 to 1.

        Args:
            sessions: items 0..n_items-1.
            k: cutoff, 1 and more.
        """
        k = whole(k, "k")
        ranks = self.rank(sessions, self.n_items)
        return {f"recall_at_{k}": metrics.recall(ranks, k), f"mrr_at_{k}": metrics.mrr(ranks, k)}

    def _ranker(self, n_candidates: int):
        """What ranks by a state, and plays by which to rank without: int [tracks that have a score]."""
        rows, bias = self.scorer.scoring_rows()
        plays = np.pad(self.scorer.plays.numpy(), (0, len(rows) - self.n_items))
        return exact.Ranker(rows, bias, n_candidates), plays

    def states_before(self, sessions: Sessions, events: np.ndarray):
        """Compute the states before targets, RANKED and a few more at a time.

        Args:
            sessions: over the item index.
            events: bool [events], the targets.

        Yields:
            int64 [n] events, float32 [n, H] hidden states before them, and bool [n], whether there was an input before.
        """
        # Only sessions with a target are walked through: `events` may be a random part of a large test set.
        walked = np.zeros(len(sessions), bool)
        walked[sessions.session_of_event[events]] = True
        event = np.flatnonzero(walked[sessions.session_of_event])
        if not len(event):
            return
        state, has_input = self.initial_state(RANK_LANES), tf.zeros(RANK_LANES, tf.bool)
        gathered, n = [], 0
        for part in session_batches.schedule(sessions.take(walked), RANK_LANES).chunks(RANK_STEPS):
            hidden, flags, state, has_input = self._walk(part.input, part.reset, state, has_input)
            wanted = part.valid & events[event[part.event]]
            gathered.append((event[part.event[wanted]], hidden.numpy()[wanted], flags.numpy()[wanted]))
            n += wanted.sum()
            if n >= RANKED:
                yield tuple(map(np.concatenate, zip(*gathered, strict=True)))
                gathered, n = [], 0
        if gathered:
            yield tuple(map(np.concatenate, zip(*gathered, strict=True)))

    @tf.function(autograph=False)
    def _walk(self, inputs, resets, state, has_input):
        """States along a stretch -> ([steps, B, H], bool [steps, B] any input so far, last state, last flags)."""
        hidden, flags = [], []
        for ids, reset in zip(tf.unstack(inputs), tf.unstack(resets), strict=True):
            out, state = self.call(ids, state, reset)
            has_input = (has_input & ~reset) | self.is_input(ids)
            hidden.append(out)
            flags.append(has_input)
        return tf.stack(hidden), tf.stack(flags), state, has_input


def _kept(rows, used):
    """Rows [n, ...] with those outside the mask [n] set to zero."""
    return tf.where(tf.reshape(used, [-1] + [1] * (rows.shape.rank - 1)), rows, 0.0)
