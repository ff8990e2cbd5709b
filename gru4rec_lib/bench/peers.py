"""Benchmarks beside other libraries, which run in an environment of their own (`requirements-peers.lock`).

The libraries take turns within one run, on the same data and with all cores: Cornac's GRU4Rec, exact search by faiss,
and item-kNN by implicit, which is among our own packages.
"""

from __future__ import annotations

import json
import subprocess
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from implicit.nearest_neighbours import CosineRecommender
from implicit.utils import ParameterWarning
from scipy import sparse

from gru4rec_lib import baselines
from gru4rec_lib.bench import timing
from gru4rec_lib.bench.data import Size
from gru4rec_lib.bench.models import HIDDEN, MODEL, SAMPLES, K
from gru4rec_lib.config.study import Run, Training
from gru4rec_lib.data.sessions import Sessions
from gru4rec_lib.ranking.shortlist import Shortlist
from gru4rec_lib.serving import model_folder
from gru4rec_lib.training.build import build

WORKER = Path(__file__).with_name("peer_worker.py")
PAIRS = 50_000  # of the training log: Cornac takes seconds for an epoch
EPOCHS = 2  # that are timed together
STATES, ALONE = 512, 20  # searched together; searched one by one


def beside(python: Path, size: Size, folder: Path) -> dict:
    """Measure training, exact search and item-kNN beside other libraries.

    Args:
        python: of the environment of `requirements-peers.lock`.
        size: `turns` of each comparison.
        folder: contains the sessions `train` and `test`, see `data.simulated`, and the model of `models.used`; gets
            what the other libraries read.

    Returns:
        For batch sizes 64 and 512 `peers_train_events_per_s_b<lanes>` of Cornac's GRU4Rec and
        `peers_train_ratio_b<lanes>`, how many times as many events a second ours trains on; `peers_one_ratio` and
        `peers_many_ratio`, the time in which faiss finds the K best tracks of one state and of STATES, divided by ours;
        `peers_item_knn_ratio`, the same for fitting item-kNN by implicit.

    Raises:
        RuntimeError: the environment cannot run the other libraries; or faiss finds other tracks than ours.
    """
    train = Sessions.load(folder, "train")
    log = _first(train, PAIRS)
    rows, bias, states = _scoring(folder)
    np.save(folder / "items.npy", log.items)
    np.save(folder / "sessions.npy", log.session_of_event)
    np.save(folder / "rows.npy", np.column_stack([rows, bias]))
    np.save(folder / "states.npy", np.column_stack([states, np.ones(len(states), np.float32)]))
    with _worker(python, folder) as ask:
        found = {}
        for lanes in (64, 512):
            found |= _trained(ask, size, log, lanes)
        found |= _searched(ask, size, rows, bias, states)
    return found | _fitted(size, train)


def _first(sessions: Sessions, pairs: int) -> Sessions:
    """Return the first sessions with so many pairs, their tracks numbered anew by falling plays."""
    n = int(np.searchsorted(np.cumsum(sessions.lengths - 1), pairs)) + 1
    part = sessions.take(np.arange(min(n, len(sessions))))
    tracks, place, plays = np.unique(part.items, return_inverse=True, return_counts=True)
    number = np.empty(len(tracks), np.int32)
    number[np.argsort(-plays, kind="stable")] = np.arange(len(tracks))
    return Sessions(number[place], part.offsets)


def _scoring(folder: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return rows, biases and STATES hidden states of a trained model."""
    model, *_ = model_folder.load(folder / MODEL)
    test = Sessions.load(folder, "test")
    return *model.scorer.scoring_rows(), model.states(test.take(np.arange(min(STATES, len(test)))))


@contextmanager
def _worker(python: Path, folder: Path) -> Iterator:
    """Start the other libraries' process and return a function that asks it: (name, *arguments) -> answer."""
    command = [str(python), str(WORKER), str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:

        def ask(*given):
            print(json.dumps(given), file=process.stdin, flush=True)
            answer = process.stdout.readline()
            if not answer:
                raise RuntimeError(f"{python} cannot run {WORKER.name}: its error stands above; remove .venv-peers")
            return json.loads(answer)

        yield ask
        process.stdin.close()


def _settings(lanes: int) -> dict:
    """Return the settings of our network: those that studies use, and that Cornac's has too."""
    negatives = {"negatives": ["in_batch", "sampled"], "samples": SAMPLES, "sample_alpha": 0.5, "logq": 1.0}
    dropout = {"dropout_input": 0.1, "dropout_hidden": 0.3}
    return {"hidden_units": HIDDEN, "batch_size": lanes, "learning_rate": 0.05, **negatives, **dropout}


def _options(lanes: int) -> dict:
    """Return the same as options of Cornac's GRU4Rec; its input rows are its scoring rows, too."""
    ours = _settings(lanes)
    options = {"layers": [HIDDEN], "loss": "cross-entropy", "constrained_embedding": True}
    options |= {name: ours[name] for name in ("batch_size", "learning_rate", "sample_alpha", "logq")}
    dropout = {"dropout_p_embed": ours["dropout_input"], "dropout_p_hidden": ours["dropout_hidden"]}
    return options | dropout | {"n_sample": ours["samples"]}


def _ours(log: Sessions, lanes: int) -> Callable[[], float]:
    """Return a function that trains our network for EPOCHS and returns the seconds."""
    training = Training(**_settings(lanes))
    run = Run(study="bench", input_form="shared", loss="cross_entropy", seed=1, training=training)
    model = build(run, int(log.items.max()) + 1, None)
    model.fit(log, 1, lanes, verbose=0)  # compiles
    return lambda: sum(model.fit(log, EPOCHS, lanes, verbose=0).history["seconds"])


def _trained(ask, size: Size, log: Sessions, lanes: int) -> dict:
    ours, options = _ours(log, lanes), _options(lanes)
    times = np.array([(ours(), ask("train", EPOCHS, options)) for _ in range(size.turns)])
    events = EPOCHS * int(log.is_target.sum())
    return {
        f"peers_train_events_per_s_b{lanes}": (events / np.median(times[:, 1]), "events/s"),
        f"peers_train_ratio_b{lanes}": (np.median(times[:, 1] / times[:, 0]), "ratio"),
    }


def _searched(ask, size: Size, rows, bias, states) -> dict:
    shortlist = Shortlist(rows, bias)
    ours, _ = shortlist.best_of_each(states, K)
    if (agree := np.mean(ours == np.array(ask("best", K)))) < 0.99:  # equal but for rounding
        raise RuntimeError(f"faiss and ours have {agree:.1%} of the {K} best tracks in common; both should be exact")
    few, found = states[:ALONE], {}
    for n, search, task in (
        (len(few), lambda: [shortlist.best(state, K) for state in few], ("one", K, len(few))),
        (1, lambda: shortlist.best_of_each(states, K), ("many", K)),
    ):
        times, name = np.array([(timing.seconds(search), ask(*task)) for _ in range(size.turns)]), task[0]
        found[f"peers_{name}_ms"] = (1e3 * np.median(times[:, 1]) / n, "ms")
        found[f"peers_{name}_ratio"] = (np.median(times[:, 1] / times[:, 0]), "ratio")
    return found


def _fitted(size: Size, train: Sessions) -> dict:
    """Compare the time to fit item-kNN; both keep the K most similar tracks, implicit the track itself beside them."""
    n_items = int(train.items.max()) + 1
    plays = sparse.csr_array(
        (np.ones(len(train.items), np.float32), (train.session_of_event, train.items)), shape=(len(train), n_items)
    )
    ours, other = baselines.ItemKNN(neighbours=K, shrink=0, alpha=0.5), CosineRecommender(K=K + 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ParameterWarning)  # implicit converts a matrix of its own
        times = timing.in_turns(
            size.turns, lambda: ours.fit(train, n_items), lambda: other.fit(plays, show_progress=False)
        )
    return {
        "peers_item_knn_s": (np.median(times[:, 1]), "s"),
        "peers_item_knn_ratio": (np.median(times[:, 1] / times[:, 0]), "ratio"),
    }
