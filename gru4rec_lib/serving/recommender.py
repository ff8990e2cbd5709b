"""Recommend the next items of a session with a trained model."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from gru4rec_lib.data.dataframes import check_kind, index_features, index_sessions
from gru4rec_lib.data.features import Features
from gru4rec_lib.data.sessions import Sessions
from gru4rec_lib.ranking.exact import rank_table
from gru4rec_lib.ranking.metrics import scores
from gru4rec_lib.ranking.shortlist import Shortlist
from gru4rec_lib.serving import growth, model_folder
from gru4rec_lib.training.build import build
from gru4rec_lib.training.gru4rec import GRU4Rec
from gru4rec_lib.training.settings import FORMS_WITH_CONTENT, Cell, FitSettings, NetworkSettings, Training
from gru4rec_lib.utils.arguments import whole
from gru4rec_lib.utils.backend import tf
from gru4rec_lib.utils.checked import check

# Settings that a trained model keeps; its dropout may change.
NETWORK = NetworkSettings.model_fields.keys() - {"dropout_input", "dropout_hidden", "dropout_state"}
STEPS = 8  # items processed in one call of the graph
NOT_HERE = {"max_epochs": "give `epochs`"} | dict.fromkeys(("patience", "refit", "monitor"), "no session is held out")


class Recommender:
    """Recommend the next items of a session; `fit` and `load` return one.

    Args:
        model: trained.
        items: ids of its candidates in index order, text or whole numbers.
        config: settings of the training, plain JSON.
        features: of the candidates, if the model uses them; only `save` needs them.

    Raises:
        ValueError: a weight is not finite.
    """

    def __init__(self, model: GRU4Rec, items: pd.Series, config: dict, features: Features | None = None):
        self.model, self.items, self.config, self.features = model, items, config, features
        # Contiguous, for fast id lookup: a column read from a file may consist of several chunks.
        self._index = pd.Index(items.to_numpy())
        rows, bias = model.scorer.scoring_rows()
        weights = (rows, bias, *(weight.numpy() for weight in model.weights))
        if not all(np.isfinite(weight).all() for weight in weights):
            raise ValueError("the model has weights that are not finite; train it again with a lower learning rate")
        self._place = {one: place for place, one in enumerate(self._index.tolist())}
        self._shortlist = Shortlist(rows, bias)
        self._ids = self._index[: len(bias)]  # items that have a score
        self._plays = np.pad(model.scorer.plays.numpy(), (0, len(self._ids) - model.n_items))
        self._start = model.initial_state(1)
        signature = [tf.TensorSpec([STEPS], tf.int32), tf.TensorSpec.from_tensor(self._start)]
        self._walk = tf.function(self._steps, input_signature=signature, jit_compile=True, autograph=False)
        self._hidden(np.zeros(1, np.int32))  # compile it now, not for the first session

    @classmethod
    def fit(
        cls,
        events: pd.DataFrame,
        session: str = "session",
        item: str = "item",
        time: str = "time",
        *,
        features: pd.DataFrame | None = None,
        numeric: str | Sequence[str] = (),
        categorical: str | Sequence[str] = (),
        separator: str | Mapping[str, str] | None = None,
        input_form: str = "shared",
        output_form: str = "ids",
        loss: str = "cross_entropy",
        epochs: int = 5,
        seed: int = 1,
        verbose: int = 1,
        **settings,
    ) -> Recommender:
        """Train on all sessions of two events or more.

        Args:
            events: one row per event.
            session: column of the session.
            item: column of the item id, text or whole numbers; recommended ids are of the same kind.
            time: column to sort by: dates of any type, unix seconds, a counter, or ISO dates as text (UTC if they have
                no zone); events of equal time stay in their order.
            features: one row per item, with its id in the column named by `item`; each other column is a feature, used
                by the input or output form. Floats are numbers; texts and booleans are categories, and a list of texts
                is several categories; None, NaN and "" are missing. Ambiguous columns must be declared by the next
                three arguments. Items without events become candidates if the output form is not `ids`.
            numeric: features to use as numbers, such as whole numbers that are amounts, or text that reads as numbers.
            categorical: features to use as one category per cell, such as whole numbers that are codes, or text that
                contains commas.
            separator: text between the categories of a cell, such as `|` in `rock|indie`: one for all text features, or
                a mapping from features to separators.
            input_form: see `GRU4Rec`.
            output_form: see `GRU4Rec`.
            loss: see `GRU4Rec.compile`.
            epochs: number of passes over the sessions, or of `steps_per_epoch` steps each.
            seed: random seed.
            verbose: 1 prints one line per epoch, 0 nothing.
            **settings: any other of `Training`, such as `hidden_units`, `learning_rate` or `logq`.

        Returns:
            A recommender with the trained model.

        Raises:
            ValueError: a column, id, time or setting is wrong, no session has two events, features are ambiguous or
                belong to no training item, or no form uses them.

        Warns:
            UserWarning: less than half of the training items have features.
        """
        cell = {"input_form": input_form, "output_form": output_form, "loss": loss, "seed": seed}
        run = _run("Recommender.fit", cell, epochs, settings)
        _check_use(features, {input_form, output_form}, len(numeric) + len(categorical) or separator)
        items, sessions = index_sessions(events, session, item, time)
        n_items, fitted = len(items), None
        if features is not None:
            items, fitted = index_features(features, item, items, numeric, categorical, separator)
        model = build(run, n_items, fitted)
        _fit(model, sessions, run, verbose)
        return cls(model, items, run.model_dump(mode="json"), fitted)

    def update(
        self,
        events: pd.DataFrame,
        session: str = "session",
        item: str = "item",
        time: str = "time",
        *,
        epochs: int = 1,
        seed: int = 1,
        verbose: int = 1,
        **settings,
    ) -> Recommender:
        """Continue training on further sessions; their new items become candidates.

        Args:
            events: one row per event, as for `fit`. If the model uses features, new items are not allowed.
            session: column of the session.
            item: column of the item id, of the same kind as the model's ids.
            time: column to sort by, as for `fit`.
            epochs: number of passes over these sessions, or of `steps_per_epoch` steps each if that is given here. The
                state of the optimiser is reset; negatives are drawn by plays in old and new sessions.
            seed: random seed, also for the initial weights of new items.
            verbose: 1 prints one line per epoch, 0 nothing.
            **settings: changes to the settings of the model, such as `learning_rate`.

        Returns:
            The updated recommender; this one is not changed.

        Raises:
            ValueError: as for `fit`; the model uses features and an item has none; or a setting is one of the network,
                which cannot change in a trained model.
        """
        for name in NETWORK & settings.keys():
            raise ValueError(f"Recommender.update: {name}: a trained model keeps it; leave it out")
        cell = {name: self.config[name] for name in ("input_form", "output_form", "loss")} | {"seed": seed}
        before = self.config["training"] | {"steps_per_epoch": None}  # the old value was for other sessions
        run = _run("Recommender.update", cell, epochs, settings, before)
        played, sessions = index_sessions(events, session, item, time)
        items, n_items = growth.grown_items(self.model, self.items, played)
        index = self._index.get_indexer(items)
        spec = self.model.get_config()["features"]
        model = growth.grow(self.model, index, n_items, lambda n: build(run, n, spec))
        sessions = replace(sessions, items=pd.Index(items).get_indexer(played).astype(np.int32)[sessions.items])
        _fit(model, sessions, run, verbose, plays_before=model.scorer.plays.numpy())
        features = self.features.take(index) if self.features is not None and spec is not None else None
        return Recommender(model, items, run.model_dump(mode="json"), features)

    def evaluate(
        self, events: pd.DataFrame, session: str = "session", item: str = "item", time: str = "time", k: int = 20
    ) -> pd.DataFrame:
        """Return Recall@k and MRR@k over all events but the first of each session, ranked among all items.

        Args:
            events: of test sessions, one row per event.
            session: column of the session.
            item: column of the item id, of the same kind as the model's ids.
            time: column to sort by, as for `fit`.
            k: cutoff, at least 1.

        Returns:
            One row per protocol, `known` (events on items unseen in training are removed) and `open` (they count as
            misses, or are ranked if the model has their features), with the columns of `metrics.scores`. The row of
            `known` is missing if no session has two events on training items.

        Raises:
            ValueError: a column, id or time is wrong, or no session has two events.
        """
        k = whole(k, "k")
        played, sessions = index_sessions(events, session, item, time)
        check_kind(played, self.items, "events", item, "the model's")
        test = replace(sessions, items=self._index.get_indexer(played).astype(np.int32)[sessions.items])
        return scores(rank_table(self.model, test, self.model.n_items, len(self.items)), k)

    @classmethod
    def load(cls, folder: str | Path) -> Recommender:
        """Load a recommender from the folder of a model.

        Args:
            folder: written by `save`, or `runs/<study>/gru4rec/<run>/model` of a study.

        Raises:
            FileNotFoundError: it is not the folder of a model.
            ValueError: a file cannot be read.
        """
        return cls(*model_folder.load(folder))

    def save(self, folder: str | Path) -> None:
        """Save the model as a folder of plain files; see `model_folder`.

        Args:
            folder: created if it is missing; the folder of a model is replaced.

        Raises:
            ValueError: the folder contains other files.
        """
        model_folder.save(folder, self.model, self.items, self.config, self.features)

    def recommend(self, session: Sequence[Hashable], k: int = 20, exclude_heard: bool = False) -> pd.DataFrame:
        """Return the k best next items.

        Args:
            session: item ids, the oldest first. Unknown ids are skipped.
            k: number of items, 1 to the number of items that have a score.
            exclude_heard: leave out the items of the session; there may then be fewer than k rows.

        Returns:
            One row per item, the best first, ties in index order: `item`, `score`, `source`. The source is `model`. If
            the session has no known item, it is `popularity: ` with the reason, and the score is the number of plays in
            training.

        Raises:
            TypeError: `session` is not a list of ids, or they are of another kind than the model's.
            ValueError: k is not a whole number, or out of range.
        """
        k = whole(k, "k", None)
        if not 1 <= k <= len(self._ids):
            raise ValueError(f"k is {k}; it can be 1 to {len(self._ids)}, the items that have a score")
        places = self._places(session)
        inputs = places[(places >= 0) & (places < self.model.item_input.n_inputs)].astype(np.int32)
        left_out = np.unique(places[(places >= 0) & (places < len(self._ids))]) if exclude_heard else []
        wanted = min(k + len(left_out), len(self._ids))
        if len(inputs):
            best, score = self._shortlist.best(self._hidden(inputs), wanted)
            source = "model"
        else:
            best = np.argsort(-self._plays, kind="stable")[:wanted]
            score = self._plays[best].astype(np.float32)
            source = f"popularity: {'no known item' if len(places) else 'empty session'}"
        kept = ~np.isin(best, left_out)
        best, score = best[kept][:k], score[kept][:k]
        return pd.DataFrame({"item": self._ids[best], "score": score, "source": source})

    def _places(self, session) -> np.ndarray:
        """Return the item index of each event, -1 where there is none."""
        example = self._index[:1].tolist()
        if isinstance(session, str | bytes) or not isinstance(session, Sequence | np.ndarray | pd.Series | pd.Index):
            raise TypeError(f"session is {session!r}; give a list of item ids, such as {example!r}")
        kinds, name = _kind(self._index)
        for given in session:
            if not isinstance(given, kinds) or isinstance(given, bool):
                raise TypeError(f"item {given!r} is no {name}, but the model's ids are, such as {example[0]!r}")
        return np.array([self._place.get(given, -1) for given in session], np.int64)

    def _hidden(self, ids):
        """Return the hidden state after the last item: int32 [n] -> float32 [H]."""
        state = self._start
        filled = np.pad(ids, (-len(ids) % STEPS, 0), constant_values=-1)  # -1 leaves the state unchanged
        for part in filled.reshape(-1, STEPS):
            hidden, state = self._walk(part, state)
        return hidden.numpy()

    def _steps(self, ids, state):
        """Return hidden state and state after STEPS items. Unrolled: a loop in the graph takes four times as long."""
        for item in tf.unstack(ids):
            state = self.model.call(item[None], state)[1]
        return self.model.hidden(state)[0], state


def _run(place: str, cell: dict, epochs: int, settings: dict, before: dict | None = None) -> Cell:
    """Return the checked settings of a training: those of an earlier one with changes."""
    for name in NOT_HERE.keys() & settings.keys():
        raise ValueError(f"{place}: {name}: {NOT_HERE[name]}; leave it out")
    training = check(Training, (before or {}) | settings | {"max_epochs": epochs}, place)
    return check(Cell, {**cell, "training": training}, place)


def _check_use(features: pd.DataFrame | None, forms: set[str], declared: object) -> None:
    """Check that features are given if and only if a form uses them."""
    names = " and ".join(f"`{form}`" for form in sorted(forms))
    if features is not None and not forms & FORMS_WITH_CONTENT:
        problem = f"Recommender.fit: features are given, but the forms {names} do not use them"
        raise ValueError(f'{problem}; give output_form="hybrid", or leave them out')
    if features is None and forms & FORMS_WITH_CONTENT:
        raise ValueError(f"Recommender.fit: one of the forms {names} needs `features`; give them or take other forms")
    if features is None and declared:
        raise ValueError("Recommender.fit: numeric, categorical and separator are of `features`; give them")


def _fit(model: GRU4Rec, sessions: Sessions, run: Cell, verbose: int, **more) -> None:
    model.fit(sessions, run.training.max_epochs, verbose=verbose, **run.training.part(FitSettings), **more)


def _kind(ids: pd.Index):
    """Return the required type of an id, and its name in messages."""
    return ((int, np.integer), "whole number") if pd.api.types.is_integer_dtype(ids) else ((str,), "text")
