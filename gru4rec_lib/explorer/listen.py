"""Follow a session track by track: what each trained model recommends next, and the rank of what was played."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from html import escape
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
from pandas.io.formats.style import Styler

from gru4rec_lib.data.labels import Names
from gru4rec_lib.data.sessions import Sessions
from gru4rec_lib.explorer.describe import changes, traits
from gru4rec_lib.plotting.listen import HIT
from gru4rec_lib.preparation.prepare import Prepared
from gru4rec_lib.ranking.exact import NO_RANK, popularity_ranks
from gru4rec_lib.serving.recommender import Recommender
from gru4rec_lib.study.tables import finished_runs
from gru4rec_lib.study.workspace import Workspace
from gru4rec_lib.utils.arguments import whole

MISS = "\N{EN DASH}"
PLAYED = "background-color: #00664b; color: white"
HEARD = "background-color: #cfeee4; color: black"
CELLS = [
    {"selector": "td, th", "props": "text-align: left; vertical-align: top; line-height: 1.4; padding: 0.3em 0.8em"},
    {"selector": "td, caption", "props": "overflow-wrap: anywhere; min-width: 6em"},  # ids are shown in full
    {"selector": "caption", "props": "text-align: left; padding: 0.5em"},
    {"selector": "small", "props": "opacity: 0.7"},
]


class Listener:
    """Trained models of a study, with its tracks and test sessions.

    Args:
        folders: the folder of each model by name; `Recommender.load` reads it when the model is first used.
        leading: names of the models to show first.
        prepared: the study's arrays.
    """

    def __init__(self, folders: dict[str, Path], leading: Sequence[str], prepared: Prepared):
        self.names, self.leading, self.prepared = list(folders), list(leading), prepared
        self.model = cache(lambda name: Recommender.load(folders[name]))
        self._index = pd.Index(prepared.items["item"])
        self._plays = prepared.items["plays"].to_numpy()
        self._by_plays = popularity_ranks(self._plays)
        self._names = Names(prepared.items["item"], prepared.labels)

    @classmethod
    def of(cls, place: Workspace) -> Listener:
        """Create a listener with all finished runs of a study.

        Args:
            place: the study's workspace.
        """
        runs = finished_runs(place)
        folders = {run.name: run.folder / "model" for run in runs.itertuples(index=False)}
        return cls(folders, runs.loc[runs["leads"], "name"], Prepared.load(place.prepared))

    def session(self, number: int = 0) -> list[str]:
        """Return the track ids of a test session.

        Args:
            number: from 1; 0 is the session with the most tracks seen in training.

        Returns:
            The ids in the order of play.

        Raises:
            ValueError: there is no such session.
        """
        test = self.prepared.test
        if not 0 <= number <= len(test):
            raise ValueError(
                f"there is no test session {number}; use 1 to {len(test):,}, or 0 for one with many known tracks"
            )
        if number == 0:
            number = 1 + np.argmax(test.keep(test.known(self.prepared.n_items)).lengths)
        rows = slice(*test.offsets[number - 1 : number + 1])
        return self.prepared.test_events["item"].iloc[rows].astype(str).tolist()

    def places(self, tracks: Sequence[str]) -> np.ndarray:
        """Look up the candidate index of each track.

        Args:
            tracks: track ids.

        Returns:
            int64 [tracks], 0 or more; -1 for an id that is no candidate, which every model skips.
        """
        return self._index.get_indexer(pd.Index(tracks, dtype=self._index.dtype))

    def ranks(self, names: Sequence[str], session: Sequence[str]) -> pd.DataFrame:
        """Rank every track of a session from the second on, given the tracks before it, by each model.

        Args:
            names: names of models.
            session: track ids in the order of play.

        Returns:
            One row for each model and track: model, position (from 2), rank (missing where the model cannot score the
            track), by_plays (rank by plays in training, missing where the track is no candidate). Ranks follow the
            protocol `open`.
        """
        places = self.places(session)
        by_plays = np.where(places >= 0, self._by_plays[places], np.nan)[1:]
        parts = []
        for name in names:
            one = self.model(name)
            ranks = one.model.rank(Sessions.from_lists([places]), len(one.items))
            ranks[ranks == NO_RANK] = np.nan
            part = {"model": name, "position": range(2, len(session) + 1), "rank": ranks, "by_plays": by_plays}
            parts.append(pd.DataFrame(part))
        return pd.concat(parts, ignore_index=True)

    def next_tracks(self, names: Sequence[str], session: Sequence[str], heard: int, k: int = 10) -> pd.DataFrame:
        """Recommend the next tracks by each model.

        Args:
            names: names of models.
            session: track ids.
            heard: the number of its first tracks that the models get, 1 to all.
            k: tracks to recommend.

        Returns:
            One row for each model and place: model, place (1..k), item, score, source (see `Recommender.recommend`),
            played (bool, whether the session continues with it).
        """
        heard, k = whole(heard, "heard"), whole(k, "k")
        played = session[heard] if heard < len(session) else None
        lists = {name: self.model(name).recommend(session[:heard], min(k, self.prepared.n_items)) for name in names}
        table = pd.concat(lists, names=["model", "place"]).reset_index()
        return table.assign(place=table["place"] + 1, played=table["item"] == played)

    def name(self, track: str) -> str:
        """Return the name of a track: its labels (see `labels.names`), or its id where the study has none.

        Args:
            track: its id.
        """
        place = self.places([track])[0]
        return self._names.texts[place] if place >= 0 else track

    def track(self, name: str) -> str:
        """Return the id of a track; a text that names no track, or several, is returned unchanged.

        Args:
            name: see `Names.candidates`.
        """
        found = self._names.candidates(name)
        return self.prepared.items["item"].iloc[found[0]] if len(found) == 1 else name

    def problem(self, name: str) -> str:
        """Return a text that names no track, with the names of the tracks that it may be.

        Args:
            name: see `Names.candidates`.
        """
        several = [self._names.texts[place] for place in self._names.candidates(name)]
        return name + (f" (may be {' or '.join(several)})" if several else "")

    def label(self, track: str, score: str = "") -> str:
        """Return a track as HTML: its name and score, and its description in a second line.

        Args:
            track: its id.
            score: a text after the name.
        """
        place = self.places([track])[0]
        known = traits(self.prepared.features, place) if self.prepared.features else ""
        return _two_lines(f"{self.name(track)} {score}", known if place >= 0 else "no candidate")

    def lists(self, names: Sequence[str], session: Sequence[str], heard: int, k: int = 10) -> Styler:
        """Write the next tracks of each model as a table, with the track that was played in colour.

        Args:
            names: names of models.
            session: track ids.
            heard: the number of its first tracks that the models get, 1 to all.
            k: tracks to recommend.

        Returns:
            One column for each model, one row for each place, and a last row with the rank of the track that was
            played. Scores are comparable within a column only.
        """
        table = self.next_tracks(names, session, heard, k)
        pairs = zip(table["item"], table["score"], strict=True)
        table["text"] = [self.label(item, f"{score:.2f}") for item, score in pairs]
        wide, played = (
            table.pivot_table(what, "place", "model", aggfunc="first")[list(names)] for what in ("text", "played")
        )
        styles, caption = played.replace({True: PLAYED, False: ""}), f"heard: {heard}. The session ends here."
        if heard < len(session):
            ranks = self.ranks(names, session[: heard + 1]).query("position == @heard + 1").set_index("model")["rank"]
            wide.loc["its rank"] = ranks.map(_rank)
            caption = f"heard: {heard}. Played next: {self.label(session[heard])}"
        guessed = table[table["source"] != "model"].drop_duplicates("model").set_index("model")["source"]
        said = {name: _two_lines(name, guessed.get(name, "")) for name in names}
        return _styled(wide.rename(columns=said), styles.rename(columns=said)).set_caption(caption)

    def along(self, names: Sequence[str], session: Sequence[str]) -> Styler:
        """Write the session as a table: each track, its differences from the one before, and its rank by each model.

        Args:
            names: names of models.
            session: track ids.

        Returns:
            One row for each track. Ranks of 20 or better are coloured; `–` is a track that the model cannot score.
        """
        places, features = self.places(session), self.prepared.features
        table = pd.DataFrame({"track": map(self.label, session)}, index=range(1, len(session) + 1))
        table["plays in training"] = [f"{n:,}" for n in np.where(places >= 0, self._plays[places], 0)]
        if features:
            pairs = pairwise(places)
            table["what changed"] = ["", *(escape(changes(features, *p)) if min(p) >= 0 else "" for p in pairs)]
        ranks = self.ranks(names, session).pivot_table("rank", "position", "model")
        ranks = ranks.reindex(table.index[1:], columns=names)
        styles = (ranks <= HIT).replace({True: HEARD, False: ""})
        texts = ranks.map(_rank).astype(object).reindex(table.index, fill_value="")  # the first track has no rank
        return _styled(table.join(texts), styles)


def _rank(rank: float) -> str:
    return MISS if np.isnan(rank) else f"{rank:,.0f}"


def _two_lines(first: str, second: str) -> str:
    return escape(first.strip()) + (f"<br><small>{escape(second)}</small>" if second else "")


def _styled(table: pd.DataFrame, styles: pd.DataFrame) -> Styler:
    """Apply the CSS styles to the HTML texts of a table, cell by cell."""
    styles = styles.astype(object).reindex(index=table.index, columns=table.columns, fill_value="")
    table = table.rename_axis(index=None, columns=None)
    return table.style.set_table_styles(CELLS).apply(lambda _: styles, axis=None)
