"""What the bench reads: simulated files and sessions, and what preparing them costs.

No Keras here: its memory would count.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gru4rec_lib.bench import timing
from gru4rec_lib.config.study import load_study
from gru4rec_lib.data.sessions import Sessions
from gru4rec_lib.preparation import prepare, readers
from gru4rec_lib.study.workspace import ROOT
from gru4rec_lib.twin import catalogue, simulate

STUDY = "twin_dataset03"


@dataclass(frozen=True)
class Size:
    """How much is measured.

    Args:
        sessions: of each of the two log files that are prepared.
        tracks: in the catalogue that is trained, ranked and recommended from.
        seconds: of training before ranking.
        ranked: targets.
        recommended: sessions.
        grown: numbers of tracks over which growth is measured, rising.
        turns: how often what is compared takes turns.
    """

    sessions: int
    tracks: int
    seconds: float
    ranked: int
    recommended: int
    grown: tuple[int, ...]
    turns: int


def simulated(size: Size, folder: Path) -> dict:
    """Write raw files in Spotify's layout, and sessions of a whole catalogue as arrays; see `listened`.

    Args:
        size: `sessions` of each of the two raw log files, `tracks` of the arrays.
        folder: gets raw/, and the sessions `train` and `test`.

    Returns:
        `simulate_s`: seconds that the raw files take.
    """
    study = load_study(STUDY, ROOT / "config")
    twin = study.data.simulate.model_copy(update={"sessions": size.sessions})
    seconds = timing.seconds(lambda: simulate.simulate(folder / "raw", **twin.model_dump()))
    for name, sessions in zip(("train", "test"), listened(size), strict=True):
        sessions.save(folder, name)
    return {"simulate_s": (seconds, "s")}


def listened(size: Size) -> tuple[Sessions, Sessions]:
    """Simulated sessions in which every track of the catalogue is heard, and others after them.

    Fewer sessions would leave most rows of a table as they were drawn at the start, and ranking among such rows tells
    nothing of ranking among trained ones.

    Args:
        size: `sessions` of each part that is simulated, and how many `tracks` are to be heard.

    Returns:
        Sessions to train on, items 0..tracks-1 by falling plays; sessions to test on, of the same items.
    """
    random = np.random.default_rng(1)
    tracks = catalogue.build(size.tracks, random)
    plays, parts = np.zeros(len(tracks), np.int64), []
    while not parts or np.count_nonzero(plays) < size.tracks:
        parts.append(_sessions(tracks, size.sessions, random))
        plays += np.bincount(parts[-1].items, minlength=len(plays))
    place = np.full(len(plays), -1, np.int32)
    place[np.argsort(-plays, kind="stable")[: size.tracks]] = np.arange(size.tracks)
    offsets = np.concatenate([[0], np.cumsum(np.concatenate([part.lengths for part in parts]))])
    found = []
    for part in (Sessions(np.concatenate([p.items for p in parts]), offsets), _sessions(tracks, size.sessions, random)):
        known = Sessions(place[part.items], part.offsets)
        found.append(known.keep(known.items >= 0))
    return tuple(found)


def _sessions(tracks, n, random) -> Sessions:
    rows = simulate.listen(tracks, n, random, lengths="full")
    return Sessions(rows["track_id_clean"].to_numpy(), np.append(0, np.cumsum(np.bincount(rows["session"]))))


def prepared(folder: Path) -> dict:
    """Prepare the raw files, checks included.

    Args:
        folder: that `simulated` has written to; gets prepared/.

    Returns:
        `prepare_events` (of all parts), `prepare_s` (seconds) and `prepare_peak_gb` (most memory of this process, GB).
    """
    study = load_study(STUDY, ROOT / "config")
    began = time.perf_counter()
    made = prepare.prepare(readers.read(study.data, folder / "raw", study.split), study.split, folder / "raw")
    made.save(folder / "prepared", prepare.settings(study))
    seconds = time.perf_counter() - began
    events = len(made.train.items) + len(made.validation.items) + len(made.test.items)
    return {
        "prepare_events": (events, "events"),
        "prepare_s": (seconds, "s"),
        "prepare_peak_gb": (timing.peak_bytes() / 1e9, "GB"),
    }
