"""Controls for notebook 07: choose, type or extend a session, and see the models' recommendations change."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from io import BytesIO

import ipywidgets as widgets
import numpy as np

from gru4rec_lib.explorer.listen import Listener
from gru4rec_lib.plotting import figures

WIDE = widgets.Layout(width="auto")  # as wide as the box, with margins
REST = widgets.Layout(width="auto", flex="1 1 auto")  # what is left of a line
OFFERED = 500  # most played tracks that the box for a new track offers


class Player(widgets.VBox):
    """A session with controls, the next tracks of each model, and the ranks as a picture and as a table.

    The output depends on `tracks`, `heard` and `models` only: the other controls set those.

    Args:
        listener: models and sessions.
        session: track ids to begin with.
        heard: the number of its first tracks that the models get.
        note: a text for a corner of the picture, such as "simulated data".
        number: the number of `session` among the test sessions, from 1; 0 for `listener.session(0)` or another session.
    """

    def __init__(self, listener: Listener, session: Sequence[str], heard: int, note: str = "", number: int = 0):
        self.listener, self.note, self._setting = listener, note, False
        most = len(listener.prepared.test)
        self.number = widgets.BoundedIntText(value=number, min=0, max=most, description="session")
        self.another = widgets.Button(description="another", tooltip="choose a random test session")
        self.tracks = widgets.Textarea(description="tracks", rows=5, layout=WIDE, continuous_update=False)
        offered = [*map(listener.name, listener.prepared.items["item"].iloc[:OFFERED])]
        self.track = widgets.Combobox(description="one more", options=offered, placeholder="type or choose a track")
        self.add = widgets.Button(description="add", tooltip="add the track at the end of the session")
        self.remove = widgets.Button(description="remove the last")
        self.heard = widgets.IntSlider(description="heard", min=1, layout=REST, continuous_update=False)
        self.play = widgets.Play(min=1, interval=2000)
        rows = min(6, len(listener.names))
        chosen = {"options": listener.names, "value": listener.leading, "rows": rows}
        self.models = widgets.SelectMultiple(description="models", layout=WIDE, **chosen)
        self.problem, self.lists, self.along = (widgets.HTML(layout=WIDE) for _ in range(3))
        self.picture = widgets.Image(width=520)
        lines = [[self.number, self.another], [self.track, self.add, self.remove], [self.play, self.heard]]
        controls = [self.tracks, *map(widgets.HBox, lines), self.models]
        super().__init__([*controls, self.problem, self.lists, self.picture, self.along])

        widgets.jslink((self.play, "value"), (self.heard, "value"))
        self.number.observe(lambda change: self._set(listener.session(change["new"]), self.heard.value), "value")
        self.another.on_click(self._another)
        self.tracks.observe(lambda _: self._set(self.session, len(self.session)), "value")
        self.add.on_click(lambda _: self._set([*self.session, self._typed(self.track.value)], len(self.session) + 1))
        self.remove.on_click(lambda _: self._set(self.session[:-1], len(self.session) - 1))
        self.heard.observe(lambda _: self._show(), "value")
        self.models.observe(lambda _: self._show(), "value")
        self._set(session, heard)

    @property
    def session(self) -> list[str]:
        """The track ids, one for each line of the box `tracks`, which holds names or ids."""
        return [self._typed(line) for line in self.tracks.value.split("\n") if line.strip()]

    def _typed(self, text: str) -> str:
        return self.listener.track(text.strip())

    def _another(self, _) -> None:
        self.number.value = int(np.random.default_rng().integers(self.number.max)) + 1

    def _set(self, session: Sequence[str], heard: int) -> None:
        if self._setting:  # the assignments below call this method again
            return
        self._setting = True
        self.tracks.value = "\n".join(map(self.listener.name, filter(None, session)))
        self.play.max = self.heard.max = max(1, len(self.session))
        self.heard.value = max(1, min(heard, self.heard.max))
        self._setting = False
        self._show()

    def _show(self) -> None:
        if self._setting:
            return
        session, heard, names = self.session, self.heard.value, list(self.models.value)
        unknown = [track for track, place in zip(session, self.listener.places(session), strict=True) if place < 0]
        problem = (
            f"Unknown tracks, which every model skips: {', '.join(map(self.listener.problem, unknown))}"
            if unknown
            else ""
        )
        if not session or not names:
            problem = "Type or choose a track, and choose a model."
        self.problem.value = escape(problem)
        for part in (self.lists, self.picture, self.along):
            part.layout.display = None if session and names else "none"
        if session and names:
            self.lists.value = self.listener.lists(names, session, heard).to_html()
            self.picture.value = self._picture(names, session, heard)
            self.along.value = self.listener.along(names, session).to_html()

    def _picture(self, names: Sequence[str], session: Sequence[str], heard: int) -> bytes:
        """Draw the figure `listen_along` as PNG."""
        frame = self.listener.ranks(names, session).assign(heard=heard, note=self.note)
        with BytesIO() as file:
            figures.picture("listen_along", frame).savefig(file, format="png", dpi=200)
            return file.getvalue()
