"""The bench runs at toy size and writes its columns; no test depends on a measured time."""

import json
from functools import partial

import numpy as np
import pandas as pd
import pytest

from gru4rec_lib import __main__
from gru4rec_lib.bench import data, models, run, timing
from gru4rec_lib.config.study import Training
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
    "prepare_s",
    "prepare_peak_gb",
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


def test_the_command_passes_the_size(monkeypatch):
    sizes = []
    monkeypatch.setattr(run, "bench", sizes.append)
    assert __main__.main(["bench"]) == 0
    assert __main__.main(["bench", "--size", "full"]) == 0
    assert sizes == ["tenth", "full"]
