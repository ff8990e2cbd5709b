"""GRU4Rec as a Keras model (Hidasi et al., arXiv 1511.06939; Hidasi & Karatzoglou, arXiv 1706.03847).

input track -> item input -> recurrence -> dropout -> scores of tracks. State is explicit: every step is given the state
of the lanes and a mask of the lanes that begin a session. As in the official code, gradients go back one step.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from gru4rec_lib import batches, metrics, ranking
from gru4rec_lib.arguments import whole
from gru4rec_lib.backend import FLOAT, keras, ops, tf
from gru4rec_lib.content import FeatureTable
from gru4rec_lib.features import Features
from gru4rec_lib.items import INPUTS
from gru4rec_lib.layers import CELLS, gather_rows, zero_lanes
from gru4rec_lib.outputs import OUTPUTS
from gru4rec_lib.sessions import Sessions
from gru4rec_lib.settings import check_known
from gru4rec_lib.training import Trainer

RANK_LANES, RANK_STEPS = 256, 8  # shape of one compiled stretch of states
RANKED = 2**15  # states that are gathered before they are ranked: the ranker fills pieces, and sorts them by cost


@keras.saving.register_keras_serializable("gru4rec_lib")
class GRU4Rec(Trainer):
    """Next-track recommendation from the session so far.

    Args:
        n_items: training tracks; ids are 0..n_items-1, by falling popularity where the item index is ours.
        input_form: `one_hot`, `embedding`, `shared`, `content`, `content_mlp`, `hybrid_concat` or `hybrid_gate`.
        hidden_units: width of the recurrence; a list of widths makes a recurrent layer of each, the lowest first.
        output_form: `ids` (a learned row per training track), `content` (rows computed from features, so that a track
            never heard can be recommended) or `hybrid` (their sum).
        cell: `gru` or `lstm`.
        hidden_activation: of the candidate state, a name of Keras such as `tanh` or `relu`.
        embedding_units: width of a learned row (input `embedding`; a category of the content forms).
        mlp_units: widths of the dense layers of `content_mlp`.
        dropout_input, dropout_hidden: share of units dropped before the recurrence and before the scores, 0 to below 1.
        dropout_state: carry the dropped hidden state into the next step, as the official code does, and not the whole.
        features: `Features` of all candidates for the forms with content (or their `spec`, when weights are loaded
            after); left out where no form uses them.
        seed: of the initial weights, dropout, negatives and session order, each a function of (seed, step or epoch).

    Raises:
        ValueError: unknown input form, output form, cell or activation, a form with content and no features, a number
            that counts something is no whole number, or a seed or dtype is out of range.
    """

    def __init__(
        self,
        n_items: int,
        input_form: str = "embedding",
        hidden_units: int | Sequence[int] = 100,
        output_form: str = "ids",
        cell: str = "gru",
        hidden_activation: str = "tanh",
        embedding_units: int = 64,
        mlp_units=(64, 64),
        dropout_input: float = 0.0,
        dropout_hidden: float = 0.0,
        dropout_state: bool = False,
        features: Features | dict | None = None,
        seed: int = 1,
        **keras_options,
    ):
        if keras.dtype_policies.get(keras_options.setdefault("dtype", FLOAT)).name != FLOAT:
            raise ValueError(f"dtype is {keras_options['dtype']}; leave it out, and see `mixed_precision` of `compile`")
        check_known("input_form", input_form, INPUTS)
        check_known("output_form", output_form, OUTPUTS)
        check_known("cell", cell, CELLS)
        if (seed := whole(seed, "seed", 0)) >= 2**31:
            raise ValueError(f"seed is {seed}; give a whole number from 0 to 2**31 - 1")
        super().__init__(**keras_options)
        uses_features = INPUTS[input_form].needs_features or OUTPUTS[output_form].needs_features
        if uses_features and features is None:
            raise ValueError(f"input_form {input_form!r} with output_form {output_form!r} needs `features`")
        spec = (features.spec if isinstance(features, Features) else features) if uses_features else None
        n_items, embedding_units = whole(n_items, "n_items"), whole(embedding_units, "embedding_units")
        seed = whole(seed, "seed", 0)
        widths = hidden_units if isinstance(hidden_units, Sequence | np.ndarray) else [hidden_units]
        widths = [whole(units, "hidden_units") for units in widths]
        mlp_units = [whole(units, "mlp_units") for units in mlp_units]
        self._config = {
            "n_items": n_items,
            "input_form": input_form,
            "output_form": output_form,
            "cell": cell,
            "hidden_units": widths,
            "hidden_activation": hidden_activation,
            "embedding_units": embedding_units,
            "mlp_units": mlp_units,
            "dropout_input": dropout_input,
            "dropout_hidden": dropout_hidden,
            "dropout_state": dropout_state,
            "features": spec,
            "seed": seed,
        }
        self.n_items, self.seed = n_items, seed
        self.dropout_input, self.dropout_hidden, self.dropout_state = dropout_input, dropout_hidden, dropout_state
        self.features = FeatureTable(spec) if uses_features else None
        self.scorer = OUTPUTS[output_form](self.n_items, widths[-1], seed, features=lambda: self.features)
        self.item_input = INPUTS[input_form](
            self.n_items,
            widths[0],
            CELLS[cell].gates,
            seed,
            embedding_units=embedding_units,
            mlp_units=tuple(mlp_units),
            features=lambda: self.features,
            scorer=lambda: self.scorer,
        )
        self.recurrence = [
            CELLS[cell](units, below, seed, f"{cell}_{number}", hidden_activation)
            for number, (below, units) in enumerate(pairwise([None, *widths]))
        ]
        self._mean_loss = keras.metrics.Mean("loss", dtype=FLOAT)
        self.build()
        if uses_features and isinstance(features, Features):
            self.features.fill(features)

    def build(self, input_shape=None):
        """Keras' call: create all weights; nothing about them waits for data."""
        if self.built:
            return
        for layer in (self.features, self.scorer, self.item_input, *self.recurrence):
            if layer is not None:
                layer.build()
                layer.built = True
        self.built = True

    def get_config(self):
        """Keras' call: the constructor's arguments, features as their shapes."""
        return super().get_config() | self._config

    def initial_state(self, lanes: int):
        """The state of new sessions: zeros, the states of all layers side by side, each of `state_width`.

        Args:
            lanes: B, how many.

        Returns:
            float32 [B, S].
        """
        return ops.zeros((lanes, sum(layer.state_width for layer in self.recurrence)), FLOAT)

    def hidden(self, state):
        """The hidden state of the last layer, which tracks are scored with.

        Args:
            state: float [B, S].

        Returns:
            float [B, H].
        """
        *below, last = self.recurrence
        first = sum(layer.state_width for layer in below)
        return state[:, first : first + last.units]

    def call(self, ids, state=None, reset=None):
        """One step of all lanes, as when the model is used.

        Args:
            ids: int32 [B], the tracks just heard; one that this input form does not know leaves the state as it was.
            state: float [B, S], or None for new sessions.
            reset: bool [B], lanes whose session begins here.

        Returns:
            (float [B, H] hidden state to score with, float [B, S] new state).
        """
        state = self.initial_state(ids.shape[0]) if state is None else state
        state = state if reset is None else zero_lanes(state, reset)
        known = (ids >= 0) & (ids < self.item_input.n_inputs)
        rows = [gather_rows(table, rows) for table, rows in self.item_input.lookups(ops.where(known, ids, 0))]
        _, stepped = self._recur(rows, state)
        state = ops.where(known[:, None], stepped, state)
        return self.hidden(state), state

    def _recur(self, rows, state, drop=lambda x, rate, place: x):
        """Looked-up rows and state -> (hidden state after dropout, new state)."""
        x = self.item_input.project(drop(self.item_input.vectors(rows), self.dropout_input, 0))
        old, new = tf.split(state, [layer.state_width for layer in self.recurrence], axis=1), []
        for number, layer in enumerate(self.recurrence):
            stepped = layer(x, old[number])
            x = drop(stepped[:, : layer.units], self.dropout_hidden, 1 + number)
            new.append(ops.concatenate([x, stepped[:, layer.units :]], axis=1) if self.dropout_state else stepped)
        return x, ops.concatenate(new, axis=1)

    # Ranking

    def rank(
        self, sessions: Sessions, n_candidates: int, chosen: np.ndarray | None = None, above: bool = False
    ) -> np.ndarray:
        """The rank of every target, the same whatever the number of lanes.

        Args:
            sessions: over the item index; ids that the model cannot score (n_items.., -1) are misses.
            n_candidates: the candidates are tracks 0..n_candidates-1, scored or not, and the target.
            chosen: bool [events], the targets to rank; all when None.
            above: whether a tie counts for the target instead of against it.

        Returns:
            float64 [chosen targets], in the order of `sessions.items`, whole numbers from 1; a miss is
            `ranking.NO_RANK`. Before the first track that the input form knows, tracks are ranked by their plays in
            training.
        """
        ranker, plays = self._ranker(n_candidates)
        by_plays = ranking.popularity_ranks(plays, above, n_candidates)
        found = np.full(len(sessions.items), ranking.NO_RANK)
        chosen = sessions.targets(chosen)
        for event, hidden, has_heard in self._states(sessions, chosen & sessions.known(len(plays))):
            target = sessions.items[event]
            found[event] = by_plays[target]
            found[event[has_heard]] = ranker.ranks(hidden[has_heard], target[has_heard], above)
        return found[chosen]

    def top(self, sessions: Sessions, n_candidates: int, chosen: np.ndarray | None = None, k: int = 20) -> np.ndarray:
        """The k best candidates at every target, by the scores that `rank` goes by.

        Args:
            sessions: over the item index; of the targets it matters only where they are.
            n_candidates: the candidates are tracks 0..n_candidates-1.
            chosen: bool [events], the targets; all when None.
            k: how many, 1 and more.

        Returns:
            int32 [chosen targets, k], in the order of `sessions.items`: tracks, the best first, of equal ones the lower
            number, which has more plays; -1 where no more candidates have a score. Before the first track that the
            input form knows, these are the most played.
        """
        k = whole(k, "k")
        ranker, plays = self._ranker(n_candidates)
        chosen = sessions.targets(chosen)
        found = np.tile(ranking.popularity_top(plays, k, n_candidates), (chosen.sum(), 1))
        states, has_heard = np.zeros((len(found), self.scorer.units), np.float32), np.zeros(len(found), bool)
        row = np.cumsum(chosen) - 1  # of each chosen event
        for event, hidden, heard in self._states(sessions, chosen):
            states[row[event]], has_heard[row[event]] = hidden, heard
        found[has_heard] = ranker.top(states[has_heard], k)
        return found

    @property
    def beyond_training(self) -> bool:
        """Whether tracks unseen in training can be heard or scored, by their features."""
        return max(self.item_input.n_inputs, self.scorer.n_scored) > self.n_items

    def _ranker(self, n_candidates: int):
        """What ranks by a state, and plays by which to rank without: int [tracks that have a score]."""
        rows, bias = self.scorer.scoring_rows()
        plays = np.pad(self.scorer.plays.numpy(), (0, len(rows) - self.n_items))
        return ranking.Ranker(rows, bias, n_candidates), plays

    def _states(self, sessions: Sessions, events: np.ndarray):
        """The states before the events (bool [events]) that are targets, RANKED and a few more at a time.

        Yields:
            int64 [n] events, float32 [n, H] hidden states before them, and bool [n], whether anything known was heard.
        """
        # Other sessions need no walk: of a large test set a random part may be asked for.
        walked = np.zeros(len(sessions), bool)
        walked[sessions.session_of_event[events]] = True
        event = np.flatnonzero(walked[sessions.session_of_event])
        if not len(event):
            return
        state, heard = self.initial_state(RANK_LANES), tf.zeros(RANK_LANES, tf.bool)
        gathered, n = [], 0
        for part in batches.schedule(sessions.take(walked), RANK_LANES).chunks(RANK_STEPS):
            hidden, has_heard, state, heard = self._walk(part.input, part.reset, state, heard)
            asked = part.valid & events[event[part.event]]
            gathered.append((event[part.event[asked]], hidden.numpy()[asked], has_heard.numpy()[asked]))
            n += asked.sum()
            if n >= RANKED:
                yield tuple(map(np.concatenate, zip(*gathered, strict=True)))
                gathered, n = [], 0
        if gathered:
            yield tuple(map(np.concatenate, zip(*gathered, strict=True)))

    @tf.function
    def _walk(self, inputs, resets, state, heard):
        """States along a stretch of steps -> ([steps, B, H], bool [steps, B] anything known heard, state, heard)."""
        hidden, flags = [], []
        for ids, reset in zip(tf.unstack(inputs), tf.unstack(resets), strict=True):
            out, state = self.call(ids, state, reset)
            heard = (heard & ~reset) | ((ids >= 0) & (ids < self.item_input.n_inputs))
            hidden.append(out)
            flags.append(heard)
        return tf.stack(hidden), tf.stack(flags), state, heard

    def evaluate(self, sessions: Sessions, k: int = 20) -> dict:
        """Recall@k and MRR@k of all targets among the training tracks.

        Args:
            sessions: items 0..n_items-1.
            k: cutoff, 1 and more.

        Returns:
            `recall_at_<k>` and `mrr_at_<k>`, 0 to 1.
        """
        k = whole(k, "k")
        ranks = self.rank(sessions, self.n_items)
        return {f"recall_at_{k}": metrics.recall(ranks, k), f"mrr_at_{k}": metrics.mrr(ranks, k)}
