"""One cell of the paper's Table 2, trained and scored with a set of the published code's defects in force."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from gru4rec_lib.audit import course_paper
from gru4rec_lib.audit.defects import loader, losses, metric
from gru4rec_lib.config.study import Run
from gru4rec_lib.data import session_batches
from gru4rec_lib.data.sessions import Sessions
from gru4rec_lib.preparation.prepare import Prepared
from gru4rec_lib.ranking.exact import Ranker
from gru4rec_lib.training.build import build
from gru4rec_lib.utils.backend import keras, tf

LOSSES = {
    "D5": losses.broadcast_bpr_max,
    "D6": losses.bpr_with_the_target,
    "D12": losses.cross_entropy_of_linear_scores,
}
TRAINED = {"D3", "D4", "D9", *LOSSES}
# What a walk through the test is laid out by. D3 and D4 are in training and in testing; the part in testing can be
# mended by itself.
WALKED = {"D3_testing", "D4_testing", "D10"}
SAMPLE_SEED = 1  # of the test sessions where not all are walked through: the same for every cell
UNPAIRED_FLOATS = 2**24  # scores of so many candidates at a time for D2: 64 MB


@dataclass(frozen=True)
class Walk:
    """One way through the test sessions, and what a model made of it after each epoch.

    Args:
        sessions: that are walked through.
        pairs: the mini-batches.
        hidden: for each epoch float32 [pairs, H], the states to score with.
        ranks: for each epoch int32 [pairs], ranks of the targets.
    """

    sessions: Sessions
    pairs: session_batches.Batches
    hidden: list[np.ndarray]
    ranks: list[np.ndarray]


class Testing(keras.callbacks.Callback):
    """Walks through the test sessions after every epoch, in all ways that a training is scored by.

    Args:
        sessions: test sessions on tracks of training.
        lanes: batch size, in testing as in training.
        ways: sets of the defects of WALKED.
        flows_back: the way whose last states training goes on from (D4), or None.
        max_targets: where D10 is not in force, walk through a random choice of sessions with so many; all when None.
    """

    def __init__(
        self,
        sessions: Sessions,
        lanes: int,
        ways: set[frozenset[str]],
        flows_back: frozenset[str] | None,
        max_targets: int | None = None,
    ):
        super().__init__()
        chosen, self.walks = some_sessions(sessions, max_targets), {}
        for way in ways:
            walked = sessions if "D10" in way else chosen
            pairs = lay(walked, lanes, way, "_testing")
            pairs = loader.first_steps(pairs) if "D10" in way else pairs
            self.walks[way] = Walk(walked, pairs, [], [])
        self.flows_back = flows_back
        self.scorers = []  # (rows, bias) of every epoch

    def on_train_begin(self, logs=None):
        """Keras' call: one step of the model, compiled once."""
        self._step = tf.function(self.model.call)

    def on_epoch_end(self, epoch, logs=None):
        """Keras' call: ranks along every walk."""
        self.scorers.append(self.model.scorer.scoring_rows())
        ranker = Ranker(*self.scorers[-1])
        trained = tf.constant(self.model.lane_state)
        for way, walk in self.walks.items():
            state = trained if "D4_testing" in way else tf.zeros_like(trained)
            hidden = np.empty((*walk.pairs.input.shape, self.model.recurrence[-1].units), np.float32)
            for step in range(len(walk.pairs)):
                out, state = self._step(walk.pairs.input[step], state, walk.pairs.reset[step])
                hidden[step] = out
            walk.hidden.append(hidden[walk.pairs.valid])
            walk.ranks.append(ranker.ranks(walk.hidden[-1], walk.pairs.target[walk.pairs.valid]))
            if way == self.flows_back:
                self.model.lane_state.assign(state)


def some_sessions(sessions: Sessions, max_targets: int | None) -> Sessions:
    """Whole sessions, drawn at random, as many as hold so many targets.

    Args:
        sessions: to choose from.
        max_targets: 1 and more; all sessions when None.
    """
    if max_targets is None:
        return sessions
    order = np.random.default_rng(SAMPLE_SEED).permutation(len(sessions))
    targets = np.maximum(sessions.lengths - 1, 0)
    return sessions.take(np.sort(order[np.cumsum(targets[order]) <= max_targets]))


def lay(sessions: Sessions, lanes: int, defects: frozenset[str], part: str = "") -> session_batches.Batches:
    """Sessions in lanes, with the loader's defects that are in force.

    Args:
        sessions: what is laid out.
        lanes: batch size.
        defects: in force.
        part: `_testing` for the test, where D4 resets no lane; empty for training, where it resets too many.
    """
    pairs = (loader.overrunning if f"D3{part}" in defects else session_batches.schedule)(sessions, lanes)
    if f"D4{part}" not in defects:
        return pairs
    return loader.never(pairs) if part else loader.sticky(pairs)


@dataclass(frozen=True)
class Trained:
    """A training, and what it is scored by.

    Args:
        testing: walks of every epoch.
        validation: float [epochs], Recall@20 on the sessions that were held out.
    """

    testing: Testing
    validation: np.ndarray

    def score(self, defects: frozenset[str]) -> pd.DataFrame:
        """What every test session adds to the scores of a variant.

        Args:
            defects: in force.

        Returns:
            A row a session: session (number in its walk), pairs, recall and mrr (sums over its pairs).
        """
        walk = self.testing.walks[defects & WALKED]
        on_test = np.array([(ranks <= course_paper.K).mean() for ranks in walk.ranks])
        epoch = metric.chosen_epoch(on_test, self.validation, "D8" in defects)
        ranks = walk.ranks[epoch]
        if "D2" in defects:
            targets = walk.pairs.target[walk.pairs.valid]
            ranks = _unpaired(ranks, walk.hidden[epoch], targets, *self.testing.scorers[epoch])
        hit = ranks <= course_paper.K
        gain = metric.upside_down_gain(ranks, course_paper.K) if "D1" in defects else hit / ranks
        heard = walk.pairs.event[walk.pairs.valid] - 1  # the pair is its input's, wherever its target lies
        pairs = pd.DataFrame({"session": walk.sessions.session_of_event[heard], "recall": hit, "mrr": gain})
        found = pairs.groupby("session", as_index=False).agg(
            pairs=("recall", "size"), recall=("recall", "sum"), mrr=("mrr", "sum")
        )
        return found.astype({"recall": np.float64})


def _unpaired(ranks, hidden, targets, rows, bias):
    """Ranks with D2; it moves hits alone."""
    found = ranks.copy()
    hits = np.flatnonzero(ranks <= course_paper.K) if len(rows) > course_paper.K else np.zeros(0, int)
    size = max(1, UNPAIRED_FLOATS // len(rows))
    for some in np.split(hits, range(size, len(hits), size)):
        scores = hidden[some] @ rows.T + bias
        found[some] = metric.unpaired_ranks(scores, targets[some], course_paper.K)
    return found


def train(
    run: Run,
    defects: frozenset[str],
    ways: set[frozenset[str]],
    prepared: Prepared,
    max_targets: int | None = None,
) -> Trained:
    """Train one cell with the defects in force that touch its weights.

    Args:
        run: the cell, of `runs`.
        defects: those of TRAINED.
        ways: through the test, see `Testing`.
        prepared: arrays; with D9 in force those of the study, else of the exchanged logs.
        max_targets: see `Testing`.

    Returns:
        What each variant is scored from, after every epoch.
    """
    settings = run.training
    known = prepared.test.keep(prepared.test.known(prepared.n_items))
    loss = next((LOSSES[name] for name in defects if name in LOSSES), None)
    published_way = frozenset({"D10"} | {f"{name}_testing" for name in ("D3", "D4") if name in defects})
    flows_back = published_way if "D4" in defects else None
    testing = Testing(known, settings.batch_size, ways, flows_back, max_targets)
    history = build(run, prepared.n_items, prepared.features, loss).fit(
        prepared.train,
        settings.max_epochs,
        settings.batch_size,
        prepared.validation,
        [testing],
        settings.shuffle,
        steps_per_epoch=settings.steps_per_epoch,
        schedule=lambda sessions, lanes, order: lay(
            sessions if order is None else sessions.take(order), lanes, defects
        ),
    )
    return Trained(testing, np.array(history.history["val_recall_at_20"]))
