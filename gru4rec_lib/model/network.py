"""The network of GRU4Rec (Hidasi et al., arXiv 1511.06939; Hidasi & Karatzoglou, arXiv 1706.03847).

input track -> item input -> recurrence -> dropout -> scores of tracks. State is explicit: every step takes the state of
the lanes and a mask of the lanes that begin a session.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from gru4rec_lib.data.features import Features
from gru4rec_lib.model.feature_table import FeatureTable
from gru4rec_lib.model.forms import INPUT_FORMS, OUTPUT_FORMS
from gru4rec_lib.model.inputs import INPUTS
from gru4rec_lib.model.layers import CELLS, gather_rows, zero_lanes
from gru4rec_lib.model.outputs import OUTPUTS
from gru4rec_lib.utils.arguments import check_known, share, whole
from gru4rec_lib.utils.backend import FLOAT, keras, ops, tf


class Network(keras.Model):
    """A session so far as a hidden state, and the rows that score tracks with it.

    Args:
        n_items: training tracks; ids are 0..n_items-1, by falling popularity where the item index is ours.
        input_form: `one_hot`, `embedding`, `shared`, `content`, `content_mlp`, `hybrid_concat` or `hybrid_gate`; see
            the classes in `model.inputs`.
        hidden_units: width of the recurrence; a list of widths makes a recurrent layer of each, the lowest first.
        output_form: `ids` (a learned row per training track), `content` (rows computed from features, so that a track
            unseen in training can be recommended) or `hybrid` (their sum).
        cell: `gru` or `lstm`.
        hidden_activation: of the candidate state, a name of Keras such as `tanh` or `relu`.
        embedding_units: width of a learned row (input `embedding`; a category of the content forms).
        mlp_units: widths of the dense layers of `content_mlp`.
        dropout_input, dropout_hidden: share of units dropped before the recurrence and before the scores, 0 to below 1.
        dropout_state: carry the dropped hidden state into the next step, as the official code does, and not the whole.
        features: `Features` of all candidates for the forms with content (or their `spec`, when weights are loaded
            afterwards); left out where no form uses them.
        seed: of the initial weights, dropout, negatives and session order, each a function of (seed, step or epoch).

    Raises:
        ValueError: unknown input form, output form, cell or activation, a form with content and no features, a number
            that counts something is no whole number, no hidden units, `dropout_state` is neither True nor False, or a
            share, seed or dtype is out of range.
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
        if not isinstance(dropout_state, bool | np.bool_):
            raise ValueError(f"dropout_state is {dropout_state!r}; give True or False")
        if not (widths := _widths(hidden_units, "hidden_units")):
            raise ValueError("hidden_units is empty; give at least one width")
        uses_features = INPUT_FORMS[input_form].needs_features or OUTPUT_FORMS[output_form].needs_features
        if uses_features and features is None:
            raise ValueError(f"input_form {input_form!r} with output_form {output_form!r} needs `features`")
        if uses_features and isinstance(features, Features):
            features.check_items(whole(n_items, "n_items"))
        super().__init__(**keras_options)
        spec = (features.spec if isinstance(features, Features) else features) if uses_features else None
        self._config = {
            "n_items": whole(n_items, "n_items"),
            "input_form": input_form,
            "output_form": output_form,
            "cell": cell,
            "hidden_units": widths,
            "hidden_activation": hidden_activation,
            "embedding_units": whole(embedding_units, "embedding_units"),
            "mlp_units": _widths(mlp_units, "mlp_units"),
            "dropout_input": share(dropout_input, "dropout_input"),
            "dropout_hidden": share(dropout_hidden, "dropout_hidden"),
            "dropout_state": bool(dropout_state),
            "features": spec,
            "seed": seed,
        }
        config = self._config
        self.n_items, self.seed = config["n_items"], seed
        self.dropout_input, self.dropout_hidden = config["dropout_input"], config["dropout_hidden"]
        self.dropout_state = config["dropout_state"]
        self.features = FeatureTable(spec) if uses_features else None
        self.scorer = OUTPUTS[output_form](self.n_items, widths[-1], seed, features=lambda: self.features)
        self.item_input = INPUTS[input_form](
            self.n_items,
            widths[0],
            CELLS[cell].gates,
            seed,
            embedding_units=config["embedding_units"],
            mlp_units=tuple(config["mlp_units"]),
            features=lambda: self.features,
            scorer=lambda: self.scorer,
        )
        self.recurrence = [
            CELLS[cell](units, below, seed, f"{cell}_{number}", hidden_activation)
            for number, (below, units) in enumerate(pairwise([None, *widths]))
        ]
        self.build()
        if uses_features and isinstance(features, Features):
            self.features.fill(features)

    def build(self, input_shape=None):
        """Keras' call: create all weights, which need no data for it."""
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

    @property
    def beyond_training(self) -> bool:
        """Whether the features of tracks unseen in training let them be inputs or be scored."""
        return max(self.item_input.n_inputs, self.scorer.n_scored) > self.n_items

    def initial_state(self, lanes: int):
        """The state of new sessions: zeros, the states of all layers side by side, each of `state_width`.

        Args:
            lanes: B, how many.

        Returns:
            float32 [B, S].
        """
        return ops.zeros((lanes, sum(layer.state_width for layer in self.recurrence)), FLOAT)

    def hidden(self, state):
        """Return the hidden state of the last layer, with which tracks are scored: float [B, H].

        Args:
            state: float [B, S].
        """
        *below, last = self.recurrence
        first = sum(layer.state_width for layer in below)
        return state[:, first : first + last.units]

    def call(self, ids, state=None, reset=None):
        """Return hidden state and state after one step of all lanes, without dropout: float [B, H] and float [B, S].

        Args:
            ids: int32 [B], the last tracks; one that is no input of this form leaves the state unchanged.
            state: float [B, S], or None for new sessions.
            reset: bool [B], lanes whose session begins here.
        """
        state = self.initial_state(ids.shape[0]) if state is None else state
        state = state if reset is None else zero_lanes(state, reset)
        known = self.is_input(ids)
        rows = [gather_rows(table, rows) for table, rows in self.item_input.lookups(ops.where(known, ids, 0))]
        _, stepped = self.recur(rows, state)
        state = ops.where(known[:, None], stepped, state)
        return self.hidden(state), state

    def is_input(self, ids):
        """Return whether ids are tracks that the input form knows: bool [B].

        Args:
            ids: int32 [B].
        """
        return (ids >= 0) & (ids < self.item_input.n_inputs)

    def recur(self, rows, state, drop=lambda x, rate, place: x):
        """Return hidden state and state after one step, with dropout: float [B, H] and float [B, S].

        Args:
            rows: list of float [B, ...], gathered for `item_input.lookups`.
            state: float [B, S].
            drop: (x, rate, place) -> x, some units dropped; no two places of a step have the same number.
        """
        x = self.item_input.project(drop(self.item_input.vectors(rows), self.dropout_input, 0))
        old, new = tf.split(state, [layer.state_width for layer in self.recurrence], axis=1), []
        for number, layer in enumerate(self.recurrence):
            stepped = layer(x, old[number])
            x = drop(stepped[:, : layer.units], self.dropout_hidden, 1 + number)
            new.append(ops.concatenate([x, stepped[:, layer.units :]], axis=1) if self.dropout_state else stepped)
        return x, ops.concatenate(new, axis=1)


def _widths(value, name: str) -> list[int]:
    """The widths of layers, from a list or the number of a single one."""
    several = isinstance(value, Sequence | np.ndarray) and not isinstance(value, str)
    return [whole(width, name) for width in (value if several else [value])]
