"""The bench runs at toy size and writes its columns; no test depends on a measured time."""

import itertools
import json
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gru4rec_lib import __main__
from gru4rec_lib.bench import data, models, run, timing
from gru4rec_lib.config.study import Training, load_study
from gru4rec_lib.preparation import readers
from gru4rec_lib.study.workspace import ROOT
from gru4rec_lib.training import epochs

PROMISED = [
    "train_events_per_s_b64_cross_entropy",
    "train_events_per_s_b512_cross_entropy",
    "train_events_per_s_b512_bpr_max",
    "train_roofline_b512_cross_entropy",
    "rank_events_per_s",
    "rank_roofline",
    "recommend_ms",
    "recommend_ratio",
    "recommend_p99_ratio",
    "recommend_many_ratio",
    "serve_p50_ms",
    "serve_p99_ms",
    "prepare_s",
    "prepare_peak_gb",
    "log_prepare_s",
    "log_prepare_ratio",
    "log_prepare_peak_gb",
    "growth_1k_to_2k",
    "memory_estimate_ratio_1k",
    "memory_estimate_ratio_2k",
]


@pytest.mark.slow
def test_the_bench_runs_and_writes_its_columns(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(timing, "apart", lambda function, threads: function())
    monkeypatch.setattr(models, "Training", partial(Training, jit=False))  # XLA takes seconds
    monkeypatch.setattr(run, "BATCHES", run.BATCHES[:3])
    for module in (epochs, models):
        monkeypatch.setattr(module, "TRAIN_STEPS", 1)
    run.bench("toy", tmp_path)
    table = pd.read_csv(tmp_path / "reports" / "bench" / "bench.csv")
    assert list(table.columns) == ["measure", "value", "unit"]
    assert table["measure"].is_unique
    assert set(PROMISED) <= set(table["measure"])
    assert np.isfinite(table["value"]).all()
    assert (table["value"] >= 0).all()
    assert json.loads((tmp_path / "reports" / "bench" / "manifest.json").read_text())["size"] == "toy"
    names = [path.name for path in (tmp_path / "figures" / "bench").iterdir()]
    assert sorted(names) == ["bench.csv", "bench.pdf", "bench.png", "bench.svg"]
    assert "prepare_s" in capsys.readouterr().out


def test_the_listening_log_is_read_as_the_published_one(tmp_path):
    data.listening_log(5_000, tmp_path)
    study = load_study(data.LOG, ROOT / "config")
    (path,) = tmp_path.iterdir()
    lines = path.read_text(encoding="utf-8").splitlines()
    cells = [line.split("\t") for line in lines]
    assert [len(lines), {len(row) for row in cells}] == [5_000, {6}]
    users = [row[0] for row in cells]
    assert len({*users}) == 5
    assert users == sorted(users)
    assert all(a[1] >= b[1] for a, b in itertools.pairwise(cells) if a[0] == b[0]), "the newest play first"
    tables = readers.read(study.data, tmp_path)
    assert tables.counts["events"][0] == 5_000
    assert len(tables.problems) == 0
    assert 0 < sum(not row[4] for row in cells) < 2_500
    assert any(row[5].count('"') == 1 for row in cells)


def test_every_track_is_played_and_tracks_are_numbered_by_plays():
    train, test = data.listened(run.SIZES["toy"])
    plays = np.bincount(train.items)
    assert len(plays) == run.SIZES["toy"].tracks
    assert plays.min() > 0
    assert (np.diff(plays) <= 0).all()
    assert 0 <= test.items.min() <= test.items.max() < len(plays)


def test_the_products_of_a_step_are_those_of_the_model():
    # Input kernel [64, 300], recurrent kernel [100, 300] and 2,048 rows of 100, three products each.
    assert models._flop(512) == 3 * 2 * 512 * (64 * 300 + 100 * 300 + 100 * 2048)


def test_the_command_passes_the_size_and_the_python_of_other_libraries(monkeypatch):
    calls = []
    monkeypatch.setattr(run, "bench", lambda size, other_python: calls.append((size, other_python)))
    assert __main__.main(["bench"]) == 0
    assert __main__.main(["bench", "--size", "full", "--peers", "other/bin/python"]) == 0
    assert calls == [("tenth", None), ("full", Path("other/bin/python"))]
