"""Recommend the next items of a session with a trained model."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache, cached_property, partial
from itertools import islice
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from gru4rec_lib.baselines import Baseline
from gru4rec_lib.blending.blend import Blend
from gru4rec_lib.blending.learn import LEARNING
from gru4rec_lib.blending.parts import Parts
from gru4rec_lib.blending.session_weights import SessionWeights
from gru4rec_lib.data.dataframes import (
    check_kind,
    extend_features,
    index_features,
    index_labels,
    index_sessions,
    ordered_sessions,
)
from gru4rec_lib.data.features import Features
from gru4rec_lib.data.ids import among
from gru4rec_lib.data.labels import Names
from gru4rec_lib.data.sessions import Sessions
from gru4rec_lib.ranking.exact import rank_table
from gru4rec_lib.ranking.metrics import scores
from gru4rec_lib.serving import growth, model_folder
from gru4rec_lib.serving.scoring import NetworkScoring, RankedScoring, conditional
from gru4rec_lib.training.build import build
from gru4rec_lib.training.gru4rec import GRU4Rec
from gru4rec_lib.training.settings import FORMS_WITH_CONTENT, Cell, FitSettings, NetworkSettings, Training
from gru4rec_lib.utils.arguments import whole
from gru4rec_lib.utils.backend import keras
from gru4rec_lib.utils.checked import check

# Settings that a trained model keeps; its dropout may change.
NETWORK = NetworkSettings.model_fields.keys() - {"dropout_input", "dropout_hidden", "dropout_state"}
TOGETHER = 1024  # sessions of `recommend_many` whose lists are made together
POPULAR = "popularity: empty session", "popularity: no known item"  # sources of lists without an input
NOT_HERE = {"max_epochs": "give `epochs`"} | dict.fromkeys(("patience", "refit", "monitor"), "no session is held out")


class Recommender:
    """Recommend the next items of a session; `fit` and `load` return one.

    Args:
        model: trained or fitted.
        items: ids of its candidates in index order, text or whole numbers.
        config: settings of the training, plain JSON.
        features: of the candidates, if the model uses them; only `save` needs them.
        labels: texts to display: one row per candidate in index order, `item` and one column per label (NA where
            missing); None if there are none.
        fitted: what the baselines of the model are fitted to; None for a `GRU4Rec`.

    Raises:
        ValueError: a weight is not finite.
    """

    def __init__(
        self,
        model: GRU4Rec | Baseline | Blend,
        items: pd.Series,
        config: dict,
        features: Features | None = None,
        labels: pd.DataFrame | None = None,
        fitted: model_folder.Fitted | None = None,
    ):
        self.model, self.items, self.config, self.features, self.labels = model, items, config, features, labels
        self._fitted = fitted
        self._names = Names(items, labels)
        # Contiguous, for fast id lookup: a column read from a file may consist of several chunks.
        self._index = pd.Index(items.to_numpy())
        self._place = {one: place for place, one in enumerate(self._index.tolist())}
        self._n_items = model.n_items
        if fitted is None:
            self._scoring = NetworkScoring(model)
        else:
            self._scoring = RankedScoring(model, np.bincount(fitted.sessions.items, minlength=len(items)))
        self._ids = self._index[: self._scoring.n_scored]  # items that have a score
        self._allowed = np.ones(self._scoring.n_scored, bool)  # by a list without conditions
        self._groups = cache(lambda label: pd.factorize(labels[label])[0])

    @classmethod
    def fit(
        cls,
        events: pd.DataFrame,
        session: str = "session",
        item: str = "item",
        time: str = "time",
        *,
        labels: pd.DataFrame | None = None,
        features: pd.DataFrame | None = None,
        numeric: str | Sequence[str] = (),
        categorical: str | Sequence[str] = (),
        separator: str | Mapping[str, str] | None = None,
        missing_indicator: bool = False,
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
            labels: one row per item, with its id in the column named by `item`; each other column is a label, a text
                such as artist or title. `recommend` adds them to its lists and `find` looks items up by them.
            features: one row per item, with its id in the column named by `item`; each other column is a feature, used
                by the input or output form. Floats are numbers, and lists of floats are vectors, all of one length;
                texts and booleans are categories, and a list of texts is several categories; None, NaN and "" are
                missing. Ambiguous columns must be declared by the next three arguments. Items without events become
                candidates if the output form is not `ids`.
            numeric: features to use as numbers, such as whole numbers that are amounts, text that reads as numbers, or
                vectors of whole numbers.
            categorical: features to use as one category per cell, such as whole numbers that are codes, or text that
                contains commas.
            separator: text between the categories of a cell, such as `|` in `rock|indie`: one for all text features
                that are not in `categorical`, or a mapping from features to separators.
            missing_indicator: whether a number or vector that some training items lack gets a second feature, 1 where
                it is missing and 0 elsewhere. A missing number is the mean of the training items.
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
                belong to no training item, no form uses them, or labels are no texts or belong to no item.

        Warns:
            UserWarning: less than half of the training items have features.
        """
        cell = {"input_form": input_form, "output_form": output_form, "loss": loss, "seed": seed}
        run = _run("Recommender.fit", cell, epochs, settings)
        _check_use(features, {input_form, output_form}, len(numeric) + len(categorical) or separator)
        items, sessions, *_ = index_sessions(events, session, item, time)
        n_items, fitted = len(items), None
        if features is not None:
            items, fitted = index_features(features, item, items, numeric, categorical, separator, missing_indicator)
        labels = None if labels is None else index_labels(labels, item, items)
        model = build(run, n_items, fitted)
        _fit(model, sessions, run, verbose)
        return cls(model, items, _config(run, separator, categorical), fitted, labels)

    @classmethod
    def of(
        cls,
        baseline: Baseline,
        events: pd.DataFrame,
        session: str = "session",
        item: str = "item",
        time: str = "time",
        *,
        labels: pd.DataFrame | None = None,
        features: pd.DataFrame | None = None,
        numeric: str | Sequence[str] = (),
        categorical: str | Sequence[str] = (),
        separator: str | Mapping[str, str] | None = None,
        missing_indicator: bool = False,
    ) -> Recommender:
        """Fit a baseline to all sessions of two events or more; its lists have no scores (NaN).

        Args:
            baseline: with its settings, such as `baselines.STAN(neighbours=500)`.
            events: as for `fit`, as the other arguments. The sessions are in order of their first events.
            session: see there.
            item: see there.
            time: see there.
            labels: see there.
            features: see there; needed by baselines with `needs_features`.
            numeric: see there.
            categorical: see there.
            separator: see there.
            missing_indicator: see there.

        Returns:
            A recommender with the fitted baseline.

        Raises:
            ValueError: as for `fit`; or the baseline needs features and there are none, or does not use them.
        """
        if not isinstance(baseline, Baseline):
            raise ValueError(f"Recommender.of: baseline: {baseline!r}; give one with its settings, such as `STAN()`")
        if features is not None and not baseline.needs_features:
            raise ValueError(f"Recommender.of: {baseline.kind} does not use features; leave them out")
        items, sessions, ends, _ = index_sessions(events, session, item, time)
        n_items, of_items = len(items), None
        if features is not None:
            items, of_items = index_features(features, item, items, numeric, categorical, separator, missing_indicator)
        labels = None if labels is None else index_labels(labels, item, items)
        model = baseline.model_copy().fit(sessions, n_items, of_items, ends)
        config = model_folder.baseline_config(baseline)
        return cls(model, items, config, of_items, labels, model_folder.Fitted(sessions, ends))

    def blend(
        self,
        baselines: Sequence[Baseline],
        weights: Mapping[str, float] | SessionWeights | Literal["fixed", "by_session"],
        events: pd.DataFrame,
        session: str = "session",
        item: str = "item",
        time: str = "time",
        *,
        held_out: pd.DataFrame | None = None,
    ) -> Recommender:
        """Return a recommender that adds the scores of baselines to those of this network; see `Blend`.

        Args:
            baselines: with their settings, such as `[baselines.STAN(neighbours=500)]`; they are fitted here. Only those
                that score few items can be blended: markov, sequential_rules, ct, session_recent, item_knn and the
                neighbours of sessions.
            weights: a number from 0 on for each part by its name, such as `{"gru4rec": 0.8, "stan": 0.2}`; together 1.
                `fixed` chooses them on `held_out`, and `by_session` learns weights there that differ from session to
                session. The `model.weights` of a blend are weights for the same parts trained on more events.
            events: those that this network was trained on.
            session: column of the session.
            item: column of the item id.
            time: column to sort by, as for `fit`.
            held_out: events of other sessions, in columns of the same names, to choose or learn the weights on. Events
                on items that are not in `events` are left out.

        Returns:
            The blend; this recommender is not changed. Its lists have no scores (NaN).

        Raises:
            ValueError: this is no network, a baseline cannot be blended, a weight is wrong, a column, id or time is
                wrong, an item was not in the network's training, or `held_out` is missing, has sessions of `events`, or
                none from which weights can be learned.
        """
        if self._fitted is not None:
            raise ValueError("Recommender.blend: this model is no network; start from one that `fit` returned")
        baselines = [*baselines] if isinstance(baselines, Iterable) else [baselines]
        if not all(isinstance(one, Baseline) for one in baselines):
            raise ValueError("Recommender.blend: baselines: give a list of baselines, such as [baselines.STAN()]")
        if not isinstance(weights, str | Mapping | SessionWeights):
            raise ValueError(f"Recommender.blend: weights: {weights!r}; give a number for each part by its name")
        for one in baselines:
            if not one.blendable:
                raise ValueError(f"Recommender.blend: {one.kind} scores every item, so it cannot be blended; omit it")
        if isinstance(weights, str) and weights not in LEARNING:
            raise ValueError(f"Recommender.blend: weights: {weights!r}; give numbers, or one of {', '.join(LEARNING)}")
        if isinstance(weights, str) == (held_out is None):
            problem = "are to be learned" if held_out is None else "are given, so nothing is learned"
            remedy = "give `held_out`, events of other sessions" if held_out is None else "omit `held_out`"
            raise ValueError(f"Recommender.blend: weights: {problem}; {remedy}")
        played, sessions, ends, names = index_sessions(events, session, item, time)
        check_kind(played, self.items, "events", item, "the model's")
        places = self._index.get_indexer(played)
        unknown = np.flatnonzero((places < 0) | (places >= self._n_items))
        if len(unknown):
            problem = f"item {played.iloc[unknown[0]]!r} was not in the training of this network"
            raise ValueError(f"Recommender.blend: {problem}; give the events that it was trained on")
        sessions = replace(sessions, items=places.astype(np.int32)[sessions.items])
        fitted = [one.model_copy().fit(sessions, self._n_items, None, ends) for one in baselines]
        if held_out is not None:
            try:
                others = self._held_out(held_out, session, item, time, names)
                weights = LEARNING[weights](Parts(self.model, fitted), others)
            except ValueError as error:
                problem = str(error).removeprefix("events: ")
                raise ValueError(f"Recommender.blend: held_out: {problem}") from None
        model = Blend(self.model, fitted, weights if isinstance(weights, SessionWeights) else dict(weights))
        config = self.config | {"blend": model_folder.blend_config(model)}
        kept = model_folder.Fitted(sessions, ends)
        return Recommender(model, self.items, config, self.features, self.labels, kept)

    def _held_out(self, events: pd.DataFrame, session: str, item: str, time: str, fitted: pd.Index) -> Sessions:
        """Sessions of training items, none of them of those with the names `fitted`."""
        played, sessions, _, names = index_sessions(events, session, item, time)
        sessions = self._over_items(played, sessions, item)
        twice = names[names.astype(str).isin(fitted.astype(str))].tolist()
        if twice:
            raise ValueError(f"session {twice[0]!r} is in `events` too; give sessions that no part was trained on")
        return sessions.keep(sessions.known(self._n_items))

    def _over_items(self, played: pd.Series, sessions: Sessions, item: str) -> Sessions:
        """Sessions over `played`, the ids of the column `item`, as sessions over the model's items; -1 for others."""
        check_kind(played, self.items, "events", item, "the model's")
        return replace(sessions, items=self._index.get_indexer(played).astype(np.int32)[sessions.items])

    def update(
        self,
        events: pd.DataFrame,
        session: str = "session",
        item: str = "item",
        time: str = "time",
        *,
        labels: pd.DataFrame | None = None,
        features: pd.DataFrame | None = None,
        separator: str | Mapping[str, str] | None = None,
        epochs: int = 1,
        seed: int = 1,
        verbose: int = 1,
        **settings,
    ) -> Recommender:
        """Continue training on further sessions; their new items become candidates.

        Args:
            events: one row per event, as for `fit`. If the model uses features, new items need `features`.
            session: column of the session.
            item: column of the item id, of the same kind as the model's ids.
            time: column to sort by, as for `fit`.
            labels: of new items, as for `fit`, with the labels of the model; a row of a known item replaces its labels.
            features: of new items, as for `fit`, with the features of the model; a row of a known item replaces its
                features. Numbers are standardised as for `fit`; new categories are learned. Needs no declarations.
            separator: as for `fit`; None takes that of `fit`.
            epochs: number of passes over these sessions, or of `steps_per_epoch` steps each if that is given here. The
                state of the optimiser is reset; negatives are drawn by plays in old and new sessions.
            seed: random seed, also for the initial weights of new items.
            verbose: 1 prints the number of new items and one line per epoch, 0 nothing.
            **settings: changes to the settings of the model, such as `learning_rate`.

        Returns:
            The updated recommender; this one is not changed.

        Raises:
            ValueError: as for `fit`; the model uses features and an item has none; labels or features are not those of
                the model; or a setting is one of the network,
                which cannot change in a trained model.
        """
        if self._fitted is not None:
            raise ValueError("Recommender.update: baselines have no weights to continue from; fit them to all events")
        for name in NETWORK & settings.keys():
            raise ValueError(f"Recommender.update: {name}: a trained model keeps it; leave it out")
        cell = {name: self.config[name] for name in ("input_form", "output_form", "loss")} | {"seed": seed}
        before = self.config["training"] | {"steps_per_epoch": None}  # the old value was for other sessions
        run = _run("Recommender.update", cell, epochs, settings, before)
        played, sessions, *_ = index_sessions(events, session, item, time)
        described, encode = None, None
        separator, whole = separator or self.config.get("separator"), self.config.get("categorical", ())
        if features is not None:
            if self.features is None:
                raise ValueError("Recommender.update: features: the model has no record of any; leave them out")
            described, encode = extend_features(features, item, self.items, self.features, separator, whole)
        items, n_items = growth.grown_items(self.model, self.items, played, described)
        index = self._index.get_indexer(items)
        spec = self.model.get_config()["features"]
        fitted = self.features.take(index) if self.features is not None and spec is not None else None
        fitted = encode(index, items) if encode else fitted
        labels = self._grown_labels(labels, item, items)
        build_one = partial(build, run, features=fitted if encode else spec)
        model = growth.grow(self.model, index, n_items, build_one, keeps_features=encode is None)
        sessions = replace(sessions, items=pd.Index(items).get_indexer(played).astype(np.int32)[sessions.items])
        if verbose:
            print(f"items new in training: {n_items - self.model.n_items:,}", flush=True)
        _fit(model, sessions, run, verbose, plays_before=model.scorer.plays.numpy())
        return Recommender(model, items, _config(run, separator, whole), fitted, labels)

    def _grown_labels(self, labels: pd.DataFrame | None, item: str, items: pd.Series) -> pd.DataFrame | None:
        """Return the labels of all items, where those given replace the model's."""
        before = None if self.labels is None else self.labels.set_index("item").reindex(items)
        if labels is None:
            return None if before is None else before.reset_index()
        found = index_labels(labels, item, items).set_index("item")
        if before is not None:
            if {*found} != {*before}:
                raise ValueError(f"labels: the model has {', '.join(before)}; give these columns beside the id")
            given = among(found.index, labels[item])
            before[given] = found.loc[given, before.columns]
            found = before
        return found.reset_index()

    def evaluate(
        self,
        events: pd.DataFrame,
        session: str = "session",
        item: str = "item",
        time: str = "time",
        k: int = 20,
        per_event: bool = False,
    ) -> pd.DataFrame:
        """Return Recall@k and MRR@k over all events but the first of each session, ranked among all items.

        Args:
            events: of test sessions, one row per event.
            session: column of the session.
            item: column of the item id, of the same kind as the model's ids.
            time: column to sort by, as for `fit`.
            k: cutoff, at least 1.
            per_event: return the list at every event instead of scores.

        Returns:
            One row per protocol, `known` (events on items unseen in training are removed) and `open` (they count as
            misses, or are ranked if the model has their features), with the columns of `metrics.scores`. The row of
            `known` is missing if no session has two events on training items. With `per_event`, one row per event of
            `open`: session, position (from 1, in the session), item (that was played), rank (ties count against it;
            missing if the model has no score for the item), recommended (a list of the k best ids, made from the events
            before).

        Raises:
            ValueError: a column, id or time is wrong, or no session has two events.
        """
        k = whole(k, "k")
        played, sessions, _, names = index_sessions(events, session, item, time)
        test = self._over_items(played, sessions, item)
        ranks = rank_table(self.model, test, self._n_items, len(self.items))
        if not per_event:
            return scores(ranks, k)
        ranks, is_target = ranks[ranks["protocol"] == "open"], test.is_target
        top = self.model.top(test, len(self.items), is_target, k)
        ids = self._index.to_numpy()
        table = {
            "session": names.take(ranks["session"]),
            "position": ranks["position"].to_numpy(),
            "item": played.to_numpy()[sessions.items[is_target]],
            "rank": ranks["rank"].where(np.isfinite(ranks["rank"])).astype("Int64").to_numpy(),
            "recommended": [ids[row[row >= 0]].tolist() for row in top],
        }
        return pd.DataFrame(table)

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
        parts = self.model, self.items, self.config, self.features, self.labels
        model_folder.save(folder, *parts, fitted=self._fitted)

    @cached_property
    def no_item(self) -> Hashable:
        """An id that no item has: in a session it stands for an unknown item."""
        last = max(self.items.tolist())
        return last + (" " if isinstance(last, str) else 1)

    def find(self, name: str) -> Hashable:
        """Return the id of an item from its name.

        Args:
            name: an id as text, or a name: all labels of an item, in order or reversed, such as `Artist - Title`; or a
                single label. Case and repeated spaces do not count.

        Raises:
            ValueError: no item is called so, or several; their names are listed then.
        """
        return self._names.find(name)

    def recommend(
        self,
        session: Sequence[Hashable],
        k: int = 20,
        exclude_heard: bool = False,
        *,
        among: Collection[Hashable] | None = None,
        exclude: Collection[Hashable] = (),
        at_most: Mapping[str, int] | None = None,
        as_frame: bool = True,
    ) -> pd.DataFrame | list[dict]:
        """Return the k best next items.

        There are fewer than k rows where the conditions allow no more items.

        Args:
            session: item ids, the oldest first. Unknown ids are skipped.
            k: number of items, 1 to the number of items that have a score.
            exclude_heard: leave out the items of the session.
            among: ids of the only items to recommend; ids without a score, such as unknown ones, are skipped.
            exclude: ids of items to leave out; unknown ids change nothing.
            at_most: for labels the most items of the list that share one, such as `{"artist": 2}`. Items without the
                label are not limited.
            as_frame: False returns a plain list, which takes less time.

        Returns:
            One row per item, the best first, ties in index order: `item`, the labels, `score`, `source`. The source is
            `model`, and the score of a baseline NaN. If the session has no known item, the source is `popularity: `
            with the reason, and the score is the number of plays in training. As a list, each row is a dict with these
            keys; a label that is missing is None.

        Raises:
            TypeError: `session`, `among` or `exclude` is no list of ids, or they are of another kind than the model's.
            ValueError: k is not a whole number, or out of range; no id of `among` has a score; or `at_most` names no
                label or no whole number.
        """
        lists = next(self._lists([self._places(session)], k, exclude_heard, among, exclude, at_most))
        return self._table(lists) if as_frame else self._rows(lists)[0]

    def recommend_many(
        self,
        sessions: Sequence[Sequence[Hashable]] | pd.DataFrame,
        k: int = 20,
        exclude_heard: bool = False,
        *,
        among: Collection[Hashable] | None = None,
        exclude: Collection[Hashable] = (),
        at_most: Mapping[str, int] | None = None,
        as_frame: bool = True,
        session: str = "session",
        item: str = "item",
        time: str = "time",
        verbose: int = 1,
    ) -> pd.DataFrame | list[list[dict]]:
        """Return the k best next items of each session, in less time than `recommend` for one after the other.

        Args:
            sessions: one list of item ids per session, or a table of events, one row each.
            k: see `recommend`, as the next five arguments.
            exclude_heard: see there.
            among: see there.
            exclude: see there.
            at_most: see there.
            as_frame: see there.
            session: column of the session, if `sessions` is a table.
            item: column of the item id, if it is a table.
            time: column to sort by, if it is a table, as for `fit`.
            verbose: 1 shows a progress bar if there are more than TOGETHER sessions, 0 none.

        Returns:
            The rows of `recommend` of one session after the other, with a first column `session`: the number of the
            list from 0, or the session of the table, in order of their first events. As a list, the list of
            `recommend` for each session in this order. Scores may differ from those of `recommend` by rounding, and so
            items whose scores differ by no more may change places.

        Raises:
            TypeError: as for `recommend`.
            ValueError: as for `recommend`; or a column, id or time of the table is wrong.
        """
        if isinstance(sessions, pd.DataFrame):
            keys, ids, offsets, _ = ordered_sessions(sessions, session, item, time)
            check_kind(ids, self.items, "sessions", item, "the model's")
            found = np.split(self._index.get_indexer(ids), offsets[1:-1]) if len(keys) else []
        else:
            if isinstance(sessions, str | bytes) or not isinstance(sessions, Sequence):
                raise TypeError("sessions: give a list of sessions, each a list of item ids, or a table of events")
            found = [self._places(one) for one in sessions]
            keys = pd.RangeIndex(len(found))
        bar = keras.utils.Progbar(len(found), verbose=verbose if len(found) > TOGETHER else 0, unit_name="session")
        parts, done = [], 0
        for lists in self._lists(found, k, exclude_heard, among, exclude, at_most):
            if as_frame:
                number = np.repeat(np.arange(len(lists)), [len(items) for items, *_ in lists])
                table = self._table(lists)
                table.insert(0, "session", keys.take(number + done))
                parts.append(table)
            else:
                parts += self._rows(lists)
            done += len(lists)
            bar.update(done)
        return pd.concat(parts, ignore_index=True) if as_frame else parts

    def vector(self, session: Sequence[Hashable]) -> np.ndarray:
        """Return the hidden state after a session; its products with the rows of `vectors` are the scores.

        Args:
            session: item ids, the oldest first. Unknown ids are skipped.

        Returns:
            float32 [H]; zeros if the session has no known item.

        Raises:
            TypeError: as for `recommend`.
            ValueError: the model is no network.
        """
        self._check_vectors()
        places = self._inputs(self._places(session))
        if not len(places):
            return np.zeros(self._scoring.rows.shape[1], np.float32)
        return self._scoring.queries(Sessions.from_lists([places]))[0]

    def vectors(self) -> pd.DataFrame:
        """Return the rows that score the items: a score is `vector(session) @ row + bias`.

        Returns:
            One row per item that has a score, by its id: float32 columns 0 to H - 1, and `bias`. Labels are in
            `labels`, in the same order.

        Raises:
            ValueError: the model is no network.
        """
        self._check_vectors()
        table = pd.DataFrame(self._scoring.rows, index=self._ids.rename("item"))
        return table.assign(bias=self._scoring.bias)

    def _check_vectors(self) -> None:
        if self._fitted is not None:
            raise ValueError("this model has no vectors; use a network")

    def _lists(self, sessions, k, exclude_heard, among, exclude, at_most) -> Iterator[list[tuple]]:
        """Yield (items, scores, source) for each of TOGETHER sessions of item indices; once nothing if there are none.

        The last is the text of the column `source`.
        """
        k, scoring = whole(k, "k", None), self._scoring
        if not 1 <= k <= scoring.n_scored:
            raise ValueError(f"k is {k}; it can be 1 to {scoring.n_scored}, the items that have a score")
        limits = self._limits(at_most)
        allowed, best, most = self._allowed, scoring.best, scoring.n_scored
        if among is not None:
            pool = self._scored(self._places(among, "among"))
            if not len(pool):
                raise ValueError(f"among: none of its {len(among):,} ids has a score; give ids of items")
            allowed = np.zeros(scoring.n_scored, bool)
            allowed[pool] = True
            best, most = scoring.among(pool)
        excluded = self._scored(self._places(exclude, "exclude"))
        if len(excluded):
            allowed = allowed.copy()
            allowed[excluded] = False
        for first in range(0, max(1, len(sessions)), TOGETHER):
            part = sessions[first : first + TOGETHER]
            inputs = [self._inputs(places) for places in part]
            heard = [self._scored(places) if exclude_heard else () for places in part]
            has_input, found = np.array([len(one) > 0 for one in inputs], bool), [None] * len(part)
            for rows, listed, n in (
                (np.flatnonzero(has_input), best, most),
                (np.flatnonzero(~has_input), self._popular, scoring.n_scored),
            ):
                if len(rows):
                    of_rows = [inputs[row] for row in rows]
                    queries = scoring.queries(Sessions.from_lists(of_rows)) if has_input[rows[0]] else rows
                    lists = conditional(listed, queries, k, n, allowed, [heard[row] for row in rows], limits)
                    for row, one in zip(rows, lists, strict=True):
                        source = "model" if has_input[row] else POPULAR[len(part[row]) > 0]
                        found[row] = *one, source
            yield found

    def _popular(self, queries, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the k most played items and their plays for each query."""
        items = np.tile(self._scoring.by_plays[:k], (len(queries), 1))
        return items, self._scoring.plays[items].astype(np.float32)

    def _table(self, lists: list[tuple]) -> pd.DataFrame:
        """Return lists as one table."""
        items, scores, sources = _joined(lists)
        columns = {"item": self._ids[items]}
        columns |= {label: self.labels[label].array.take(items) for label in self._label_names()}
        return pd.DataFrame(columns | {"score": scores, "source": pd.array(np.array(sources, object), dtype="str")})

    def _rows(self, lists: list[tuple]) -> list[list[dict]]:
        """Return lists as lists of rows."""
        items, scores, sources = _joined(lists)
        columns = {"item": self._ids.take(items).tolist()}
        for label in self._label_names():
            texts = self.labels[label].array.take(items)
            columns[label] = [text if isinstance(text, str) else None for text in texts]
        columns |= {"score": scores.tolist(), "source": sources}
        rows = (dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True))
        return [list(islice(rows, len(items))) for items, *_ in lists]

    def _label_names(self) -> list[str]:
        return [] if self.labels is None else [*self.labels.columns.drop("item")]

    def _limits(self, at_most: Mapping[str, int] | None) -> list[tuple[np.ndarray, int]]:
        """Return for each limit the group of each item, -1 where it has none, and the most items of a group."""
        there = self._label_names()
        for name in at_most or ():
            if name not in there:
                known = f"name one of {', '.join(there)}" if there else "this model has none; give `labels` to `fit`"
                raise ValueError(f"at_most: there is no label {name!r}; {known}")
        return [(self._groups(name), whole(most, f"at_most: {name}")) for name, most in (at_most or {}).items()]

    def _scored(self, places: np.ndarray) -> np.ndarray:
        """Return those that have a score, each once."""
        return np.unique(places[(places >= 0) & (places < self._scoring.n_scored)])

    def _inputs(self, places: np.ndarray) -> np.ndarray:
        return places[(places >= 0) & (places < self._scoring.n_inputs)]

    def _places(self, session, name: str = "session") -> np.ndarray:
        """Return the item index of each id, -1 where there is none."""
        example = self._index[:1].tolist()
        kinds = Sequence | np.ndarray | pd.Series | pd.Index | (set | frozenset if name != "session" else Sequence)
        if isinstance(session, str | bytes) or not isinstance(session, kinds):
            raise TypeError(f"{name} is {session!r}; give a list of item ids, such as {example!r}")
        kinds, kind = _kind(self._index)
        for given in session:
            if not isinstance(given, kinds) or isinstance(given, bool):
                raise TypeError(f"item {given!r} is no {kind}, but the model's ids are, such as {example[0]!r}")
        return np.array([self._place.get(given, -1) for given in session], np.int64)


def _joined(lists: list[tuple]) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Return items, scores and sources of lists, one list after the other."""
    items = np.concatenate([np.empty(0, np.int64), *(items for items, *_ in lists)])
    scores = np.concatenate([np.empty(0, np.float32), *(scores for _, scores, _ in lists)])
    return items, scores, [source for items, _, source in lists for _ in items]


def _run(place: str, cell: dict, epochs: int, settings: dict, before: dict | None = None) -> Cell:
    """Return the checked settings of a training: those of an earlier one with changes."""
    for name in NOT_HERE.keys() & settings.keys():
        raise ValueError(f"{place}: {name}: {NOT_HERE[name]}; leave it out")
    training = check(Training, (before or {}) | settings | {"max_epochs": epochs}, place)
    return check(Cell, {**cell, "training": training}, place)


def _config(run: Cell, separator: str | Mapping[str, str] | None, categorical: str | Sequence[str]) -> dict:
    """The settings of a training, plain JSON, and what `update` needs to read features as `fit` did."""
    config = run.model_dump(mode="json")
    if separator:
        whole = [categorical] if isinstance(categorical, str) else [*map(str, categorical)]
        config |= {"separator": dict(separator) if isinstance(separator, Mapping) else separator, "categorical": whole}
    return config


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
