"""Data of the benchmarks: simulated files and sessions, and the cost of preparing them.

Keras is not imported here: its memory would be counted.
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
    """The size of a benchmark.

    Args:
        sessions: of each of the two log files that are prepared.
        tracks: tracks of the catalogue for training, ranking and recommending.
        seconds: seconds of training before ranking.
        ranked: targets to rank.
        recommended: sessions to recommend for.
        grown: numbers of tracks for which growth is measured, ascending.
        turns: repetitions of each comparison.
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
        `simulate_s`: seconds to write the raw files.
    """
    study = load_study(STUDY, ROOT / "config")
    twin = study.data.simulate.model_copy(update={"sessions": size.sessions})
    seconds = timing.seconds(lambda: simulate.simulate(folder / "raw", **twin.model_dump()))
    for name, sessions in zip(("train", "test"), listened(size), strict=True):
        sessions.save(folder, name)
    return {"simulate_s": (seconds, "s")}


def listened(size: Size) -> tuple[Sessions, Sessions]:
    """Simulate training sessions in which every track of the catalogue is played, and test sessions.

    With fewer sessions, most rows of a table would keep their initial values, and the speed of ranking among such rows
    differs from that among trained ones.

    Args:
        size: `sessions` of each simulated part, and the number of `tracks` that must be played.

    Returns:
        Training sessions with items 0..tracks-1 by descending plays; test sessions with the same items.
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
        folder: the folder of `simulated`; gets prepared/.

    Returns:
        `prepare_events` (of all parts), `prepare_s` (seconds) and `prepare_peak_gb` (peak memory of this process, GB).
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
