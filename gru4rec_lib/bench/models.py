"""Benchmarks of models; each public function runs in a separate process and returns {measure: (value, unit)}."""

from __future__ import annotations

import json
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from gru4rec_lib.bench import timing
from gru4rec_lib.bench.data import Size
from gru4rec_lib.config.study import Run, Training
from gru4rec_lib.data.sessions import Sessions
from gru4rec_lib.ranking import metrics
from gru4rec_lib.serving.recommender import Recommender
from gru4rec_lib.training import memory
from gru4rec_lib.training.build import build
from gru4rec_lib.training.epochs import TRAIN_STEPS
from gru4rec_lib.utils.backend import keras, tf

HIDDEN, EMBEDDING, SAMPLES = 100, 64, 2048
LOSSES = {
    "cross_entropy": {"learning_rate": 0.1, "logq": 1.0},
    "bpr_max": {"learning_rate": 0.05, "score_activation": "elu"},
}
K = 20  # tracks recommended
MANY, SERVED = 5, 50  # `recommend_many` gets MANY times the sessions of `recommend`; the server so many of these
MODEL, SESSIONS = "model", "sessions.json"  # of `used`, for the benchmark of the server


def trained(size: Size, folder: Path, loss: str, lanes: int) -> dict:
    """Measure events per second in `fit`, and compare with a step's matrix products in NumPy.

    Args:
        size: `tracks` of the model; `turns`, how often TRAIN_STEPS steps alternate with as many times the products.
        folder: contains the sessions `train`, see `data.simulated`.
        loss: a key of LOSSES.
        lanes: mini-batch size, 1 or more.

    Returns:
        Medians: `train_events_per_s_b<lanes>_<loss>`; `train_roofline_b<lanes>_<loss>`, the time of the products
        divided by that of the steps; `train_products_gflops_b<lanes>_<loss>`.
    """
    model, sessions = _built(size.tracks, loss, lanes), Sessions.load(folder, "train")
    turns = _Turns(timing.products(_products(lanes)))
    model.fit(sessions, 1, lanes, callbacks=[turns], steps_per_epoch=(size.turns + 1) * TRAIN_STEPS, verbose=0)
    step, products = np.median(turns.seconds[1:], axis=0) / TRAIN_STEPS
    ratio = np.median(turns.seconds[1:, 1] / turns.seconds[1:, 0])
    return {
        f"train_events_per_s_b{lanes}_{loss}": (lanes / step, "events/s"),
        f"train_roofline_b{lanes}_{loss}": (ratio, "ratio"),
        f"train_products_gflops_b{lanes}_{loss}": (_flop(lanes) / products / 1e9, "GFLOP/s"),
    }


def profiled(size: Size, folder: Path) -> dict:
    """Profile the parts of a training step (cross-entropy, batch 512) on one thread; with more, some are missed.

    Args:
        size: `tracks` of the model.
        folder: contains the sessions `train`, see `data.simulated`.

    Returns:
        `step_share_<name>` for the names in `timing.COSTS`, 0 to 1, in descending order.
    """
    model, sessions = _built(size.tracks, "cross_entropy", 512), Sessions.load(folder, "train")
    model.fit(sessions, 1, 512, steps_per_epoch=TRAIN_STEPS, verbose=0)
    with tempfile.TemporaryDirectory() as profile:
        tf.profiler.experimental.start(profile)
        model.fit(sessions, 1, 512, steps_per_epoch=TRAIN_STEPS, verbose=0)
        tf.profiler.experimental.stop()
        spent = timing.costs(Path(profile))
    # Operations include waiting for other threads, so only shares of the total are meaningful.
    whole = sum(spent.values())
    return {f"step_share_{name.replace(' ', '_')}": (ms / whole, "share") for name, ms in spent.most_common()}


def _products(lanes: int) -> list[tuple[int, int, int]]:
    """Return (m, k, n) of the products in a step: input kernel, recurrent kernel, scores."""
    return [(lanes, EMBEDDING, 3 * HIDDEN), (lanes, HIDDEN, 3 * HIDDEN), (lanes, HIDDEN, SAMPLES)]


def _flop(lanes: int) -> int:
    return sum(3 * 2 * m * k * n for m, k, n in _products(lanes))


class _Turns(keras.callbacks.Callback):
    """Call a function TRAIN_STEPS times after every TRAIN_STEPS steps; `seconds` of both are float [repetitions, 2]."""

    def __init__(self, other):
        super().__init__()
        self._other, self._found = other, []

    def on_epoch_begin(self, epoch, logs=None):
        self._began = time.perf_counter()

    def on_train_batch_end(self, batch, logs=None):
        stretch = time.perf_counter() - self._began
        self._found.append((stretch, timing.seconds(lambda: [self._other() for _ in range(TRAIN_STEPS)])))
        self._began = time.perf_counter()

    @property
    def seconds(self):
        return np.array(self._found)


class _Until(keras.callbacks.Callback):
    """Stop training after the given seconds, counted from the end of the first batch, after compilation."""

    def __init__(self, seconds):
        super().__init__()
        self._seconds, self._began = seconds, None

    def on_train_batch_end(self, batch, logs=None):
        self._began = self._began or time.perf_counter()
        self.model.stop_training = time.perf_counter() - self._began >= self._seconds


def used(size: Size, folder: Path) -> dict:
    """Measure ranking and recommending with a trained model.

    Args:
        size: `tracks` of the model, `seconds` of training, targets `ranked`, sessions `recommended` for, `turns`.
        folder: contains the sessions `train` and `test`, see `data.simulated`; gets MODEL, the trained model, and
            SESSIONS, SERVED sessions to recommend for.

    Returns:
        `trained_events`, `recall_at_20` (0 to 1), `rank_events_per_s`, `rank_roofline` (the time of the matrix products
        divided by that of ranking), `rank_products_gflops`; of lists without a DataFrame `recommend_ms` (the median),
        `recommend_ratio` (the time divided by that of scoring all tracks), `recommend_p99_ratio` (the 99th percentile
        divided by the median) and `recommend_many_ratio` (the time of `recommend` for each session of many divided by
        that of `recommend_many`).
    """
    model = _built(size.tracks, "cross_entropy", 512)
    train, test = (Sessions.load(folder, name) for name in ("train", "test"))
    many = [[f"t{n}" for n in items] for items in test.take(test.lengths > 1)][: MANY * size.recommended]
    model.fit(train, 100, 512, callbacks=[_Until(size.seconds)], verbose=0)
    events = int(model.steps) * 512
    chosen = np.zeros(len(test.items), bool)
    chosen[np.flatnonzero(test.is_target)[: size.ranked]] = True
    test = test.take(np.arange(test.session_of_event[chosen].max() + 1))
    chosen = chosen[: len(test.items)]
    rows, bias = model.scorer.scoring_rows()
    states = np.random.default_rng(0).normal(size=(int(chosen.sum()), HIDDEN)).astype(np.float32)
    ranks = []
    times = timing.in_turns(
        size.turns, lambda: ranks.append(model.rank(test, size.tracks, chosen)), timing.scoring(states, rows)
    )
    found = {
        "trained_events": (events, "events"),
        "recall_at_20": (metrics.recall(ranks[-1], 20), "share"),
        "rank_events_per_s": (len(states) / np.median(times[:, 0]), "events/s"),
        "rank_roofline": (np.median(times[:, 1] / times[:, 0]), "ratio"),
        "rank_products_gflops": (2 * len(states) * rows.size / np.median(times[:, 1]) / 1e9, "GFLOP/s"),
    }
    recommender = Recommender(model, pd.Series([f"t{n}" for n in range(size.tracks)]), {})
    recommend, sessions = partial(recommender.recommend, k=K, as_frame=False), many[: size.recommended]
    brute_force = partial(_all_scored, rows, bias, states[0])
    recommend(sessions[0])  # the first call takes longer
    times = np.array([timing.in_turns(1, partial(recommend, one), brute_force)[0] for one in sessions])
    p50, p99 = np.percentile(times[:, 0], [50, 99])
    found["recommend_ms"] = (1e3 * p50, "ms")
    found["recommend_ratio"] = (np.median(times[:, 0] / times[:, 1]), "ratio")
    found["recommend_p99_ratio"] = (p99 / p50, "ratio")
    one_by_one = sessions[: len(many) // 100 + 1]
    times = timing.in_turns(
        size.turns,
        lambda: [recommend(one) for one in one_by_one],
        lambda: recommender.recommend_many(many, K, as_frame=False, verbose=0),
    )
    ratio = np.median(times[:, 0] / times[:, 1]) * len(many) / len(one_by_one)
    found["recommend_many_ratio"] = (ratio, "ratio")
    recommender.save(folder / MODEL)
    (folder / SESSIONS).write_text(json.dumps(sessions[:SERVED]), encoding="utf-8")
    return found


def _all_scored(rows, bias, state):
    """Return the best K tracks for a given state by scoring every row."""
    score = rows @ state + bias
    best = np.argpartition(score, -K)[-K:]
    return best[np.argsort(-score[best])]


def grown(size: Size, n_items: int) -> dict:
    """Measure memory and time per event with a catalogue of n_items tracks, and compare with the smallest catalogue.

    Args:
        size: `grown`, whose first number is the smallest catalogue; `turns`.
        n_items: training tracks, 1 or more.

    Returns:
        With n_items in thousands: `memory_peak_gb_<n>k`, `memory_estimate_ratio_<n>k` (estimate divided by peak),
        `train_us_per_event_<n>k`, and for larger catalogues `growth_<least>k_to_<n>k`, the ratio of the times.
    """
    run, lanes, random = _run("cross_entropy", 512), 512, np.random.default_rng(0)

    def sessions(tracks):
        # Plays decrease as rank ** -2/3, similar to those of one day.
        return Sessions((tracks * random.random(200_000) ** 3).astype(np.int32), np.arange(0, 200_001, 10))

    many = sessions(n_items)
    estimate = memory.peak(memory.estimate(run, n_items, None, len(many.items)))
    model = build(run, n_items, None)
    fit = {"epochs": 1, "batch_size": lanes, "steps_per_epoch": 2 * TRAIN_STEPS, "verbose": 0}
    model.fit(many, **fit)
    model.rank(many.take(np.arange(100)), n_items)
    peak = timing.peak_bytes()
    least = size.grown[0]
    found = {
        f"memory_peak_gb_{_thousands(n_items)}": (peak / 1e9, "GB"),
        f"memory_estimate_ratio_{_thousands(n_items)}": (estimate / peak, "ratio"),
    }
    few, small = sessions(least), _built(least, "cross_entropy", lanes)
    small.fit(few, **fit)
    times = [(_stretch(model, many, fit), _stretch(small, few, fit)) for _ in range(size.turns)]
    times = np.array(times)
    found[f"train_us_per_event_{_thousands(n_items)}"] = (1e6 * np.median(times[:, 0]) / TRAIN_STEPS / lanes, "us")
    if n_items > least:
        name = f"growth_{_thousands(least)}_to_{_thousands(n_items)}"
        found[name] = (np.median(times[:, 0] / times[:, 1]), "ratio")
    return found


def _stretch(model, sessions, fit) -> float:
    """Return the seconds of the second TRAIN_STEPS steps of a fit; the first steps wait for their data."""
    turns = _Turns(lambda: None)
    model.fit(sessions, callbacks=[turns], **fit)
    return turns.seconds[1, 0]


def _thousands(n: int) -> str:
    return f"{n // 1000}k"


def _run(loss: str, lanes: int) -> Run:
    options = {"hidden_units": HIDDEN, "embedding_units": EMBEDDING, "samples": SAMPLES, "batch_size": lanes}
    return Run(study="bench", input_form="embedding", loss=loss, seed=1, training=Training(**options, **LOSSES[loss]))


def _built(n_items: int, loss: str, lanes: int):
    return build(_run(loss, lanes), n_items, None)
