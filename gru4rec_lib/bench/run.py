"""Measure speed and memory: `python -m gru4rec_lib bench`, which `make bench` calls.

All data is simulated here. Compared measurements alternate within the same run.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from functools import partial
from pathlib import Path

import pandas as pd

from gru4rec_lib.bench import data, models, peers, serving, timing
from gru4rec_lib.bench.data import Size
from gru4rec_lib.plotting import figures
from gru4rec_lib.study import notebook
from gru4rec_lib.study.workspace import ROOT
from gru4rec_lib.utils.atomic_write import replacing_folder
from gru4rec_lib.utils.backend import device

TRACKS = 505_195  # of Dataset03
BATCHES = ((64, "cross_entropy"), (512, "cross_entropy"), (512, "bpr_max"), (64, "bpr_max"))
GROWN = (50_000, TRACKS, 3_700_000)  # up to Spotify's whole catalogue
SIZES = {
    "toy": Size(100, 1_000, seconds=0, ranked=20, recommended=3, grown=(1_000, 2_000), turns=1, lines=5_000),
    "tenth": Size(18_272, TRACKS, seconds=60, ranked=8_192, recommended=2_000, grown=GROWN, turns=5, lines=data.LINES),
    "full": Size(
        182_724, TRACKS, seconds=300, ranked=32_000, recommended=2_000, grown=GROWN, turns=15, lines=data.LINES
    ),
}


def bench(size: str = "tenth", root: Path = ROOT, other_python: Path | None = None) -> pd.DataFrame:
    """Measure everything; write reports/bench/ and figures/bench/.

    Args:
        size: a key of SIZES: `tenth` of a log takes up to twenty minutes on two cores, `full` longer; `toy` is a test.
        root: the folder of reports/ and figures/.
        other_python: of the environment of other libraries, to measure beside them; None leaves them out.

    Returns:
        Columns measure, value, unit.
    """
    found, began = {}, time.perf_counter()
    with tempfile.TemporaryDirectory() as passing:
        for part in _parts(SIZES[size], Path(passing), other_python):
            rows = timing.apart(part, threads=1 if part.func is models.profiled else None)
            for name, (value, unit) in rows.items():
                print(f"{time.perf_counter() - began:4.0f} s  {name} {value:,.4g} {unit}", flush=True)
            found |= rows
    found["log_prepare_ratio"] = (found["log_prepare_s"][0] / found["log_load_s"][0], "ratio")
    found["bench_minutes"] = ((time.perf_counter() - began) / 60, "min")
    table = pd.DataFrame([(name, *row) for name, row in found.items()], columns=["measure", "value", "unit"])
    with replacing_folder(root / "reports" / "bench") as folder:
        table.to_csv(folder / "bench.csv", index=False, float_format="%.5g")
        facts = {"size": size, "device": device(), "commit": notebook.commit(), "versions": notebook.versions()}
        (folder / "manifest.json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    figures.draw("bench", table, root / "figures" / "bench")
    return table


def _parts(size: Size, folder: Path, other_python: Path | None):
    yield partial(data.simulated, size, folder)
    yield partial(data.prepared, folder)
    log = folder / "log"
    yield partial(data.listening_log, size.lines, log)
    yield partial(data.log_loaded, log)
    yield partial(data.log_prepared, log)
    shutil.rmtree(log)
    for lanes, loss in BATCHES:
        yield partial(models.trained, size, folder, loss, lanes)
    yield partial(models.profiled, size, folder)
    yield partial(models.used, size, folder)
    yield partial(serving.served, folder)
    if other_python:
        yield partial(peers.beside, other_python, size, folder)
    for n_items in size.grown:
        yield partial(models.grown, size, n_items)
