"""The benchmark beside other libraries, with a stand-in for their process; no test depends on a measured time."""

import sys

import numpy as np
import pytest

from gru4rec_lib.bench import models, peers
from gru4rec_lib.bench.data import Size
from gru4rec_lib.data.sessions import Sessions

SIZE = Size(10, 30, seconds=0, ranked=1, recommended=1, grown=(1,), turns=1, lines=1)
STAND_IN = """
import json, sys
import numpy as np
rows, states = (np.load(f"{sys.argv[1]}/{name}.npy") for name in ("rows", "states"))
items, sessions = (np.load(f"{sys.argv[1]}/{name}.npy") for name in ("items", "sessions"))
assert len(items) == len(sessions)
for line in sys.stdin:
    name, *given = json.loads(line)
    if name == "best":
        best = np.argsort(-(states @ rows.T), axis=1, kind="stable")[:, : given[0]] ADD
        print(json.dumps(best.tolist()), flush=True)
    else:
        print(json.dumps({"train": 60.0, "one": 20.0, "many": 2.0}[name]), flush=True)
"""


@pytest.fixture
def beside(tmp_path, monkeypatch):
    """Return a function that runs the benchmark with a stand-in of this source."""
    random = np.random.default_rng(0)
    sessions = Sessions(random.integers(0, 30, 200).astype(np.int32), np.arange(0, 201, 5))
    for name in ("train", "test"):
        sessions.save(tmp_path, name)
    rows, bias = random.normal(size=(30, 4)).astype(np.float32), random.normal(size=30).astype(np.float32)
    states = random.normal(size=(25, 4)).astype(np.float32)
    monkeypatch.setattr(peers, "_scoring", lambda folder: (rows, bias, states))
    monkeypatch.setattr(peers, "WORKER", tmp_path / "worker.py")
    monkeypatch.setattr(peers, "_ours", lambda log, lanes: lambda: 2.0)

    def beside(source):
        (tmp_path / "worker.py").write_text(source)
        return peers.beside(sys.executable, SIZE, tmp_path)

    return beside


def test_the_ratios_are_times_of_the_other_library_divided_by_ours(beside):
    found = beside(STAND_IN.replace("ADD", ""))
    # 160 pairs, twice, in 60 seconds
    assert found["peers_train_events_per_s_b64"][0] == pytest.approx(320 / 60)
    assert found["peers_train_ratio_b512"] == (30.0, "ratio")
    assert found["peers_one_ms"] == (1e3, "ms")
    assert found["peers_many_ms"] == (2e3, "ms")
    assert all(np.isfinite(value) and value > 0 for value, _ in found.values())


def test_other_tracks_than_those_of_an_exact_search_end_the_benchmark(beside):
    with pytest.raises(RuntimeError, match="best tracks in common; both should be exact"):
        beside(STAND_IN.replace("ADD", "+ 1"))


def test_an_environment_that_cannot_run_the_libraries_is_named(beside):
    with pytest.raises(RuntimeError, match=r"cannot run worker\.py: its error stands above; remove \.venv-peers"):
        beside("import no_such_library")


def test_the_log_is_made_of_whole_sessions_with_tracks_numbered_by_plays():
    sessions = Sessions(np.array([7, 5, 7, 9, 7, 5, 1, 1], np.int32), np.array([0, 3, 6, 8]))
    log = peers._first(sessions, 4)
    assert log.items.tolist() == [0, 1, 0, 2, 0, 1]
    assert log.offsets.tolist() == [0, 3, 6]


def test_both_networks_have_the_same_settings():
    theirs, ours = peers._options(64), peers._settings(64)
    same = {"batch_size": "batch_size", "n_sample": "samples", "logq": "logq", "sample_alpha": "sample_alpha"}
    same |= {"learning_rate": "learning_rate", "dropout_p_embed": "dropout_input", "dropout_p_hidden": "dropout_hidden"}
    assert {name: theirs[name] for name in same} == {name: ours[other] for name, other in same.items()}
    assert theirs["layers"] == [ours["hidden_units"]] == [models.HIDDEN]
