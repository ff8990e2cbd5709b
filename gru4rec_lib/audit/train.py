"""One model of the paper's Table 2, trained and scored with some of its code's defects active."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from gru4rec_lib.audit import course_paper
from gru4rec_lib.audit.defects import loader, losses, metric
from gru4rec_lib.audit.defects.switches import Defects
from gru4rec_lib.config.study import Run
from gru4rec_lib.data import session_batches
from gru4rec_lib.data.sessions import Sessions
from gru4rec_lib.preparation.prepare import Prepared
from gru4rec_lib.ranking.exact import Ranker
from gru4rec_lib.training.build import build
from gru4rec_lib.utils.backend import keras, tf

SAMPLE_SEED = 1  # of the test sessions where not all are used: the same for every run
UNPAIRED_FLOATS = 2**24  # scores computed at a time for D2: 64 MB


@dataclass(frozen=True)
class Walk:
    """One way through the test sessions, and the model's states and ranks along it after each epoch.

    Args:
        sessions: the test sessions.
        pairs: their mini-batches.
        hidden: for each epoch float32 [pairs, H], states to score with.
        ranks: for each epoch int32 [pairs], ranks of the targets.
    """

    sessions: Sessions
    pairs: session_batches.Batches
    hidden: list[np.ndarray]
    ranks: list[np.ndarray]


class Testing(keras.callbacks.Callback):
    """Rank the test after every epoch, in all the ways that variants of one training need.

    Args:
        sessions: test sessions on tracks of training.
        lanes: batch size, the same as in training.
        ways: for each walk the defects of its mini-batches, see `Defects.in_test_batches`.
        flows_back: the walk whose last states training continues from (D4), or None.
        max_targets: without D10, test a random choice of sessions with so many targets; all when None.
    """

    def __init__(
        self,
        sessions: Sessions,
        lanes: int,
        ways: set[Defects],
        flows_back: Defects | None,
        max_targets: int | None = None,
    ):
        super().__init__()
        chosen = some_sessions(sessions, max_targets)
        self.walks = {}
        for way in ways:
            walked = sessions if way.first_steps else chosen
            self.walks[way] = Walk(walked, test_batches(walked, lanes, way), [], [])
        self.flows_back = flows_back
        self.scorers = []  # (rows, bias) of every epoch

    def on_train_begin(self, logs=None):
        """Keras' call: one step of the model, compiled once."""
        self._step = tf.function(self.model.call, autograph=False)

    def on_epoch_end(self, epoch, logs=None):
        """Keras' call: rank along every walk."""
        self.scorers.append(self.model.scorer.scoring_rows())
        ranker = Ranker(*self.scorers[-1])
        trained = tf.constant(self.model.lane_state)
        for way, walk in self.walks.items():
            state = trained if way.never_reset else tf.zeros_like(trained)
            hidden = np.empty((*walk.pairs.input.shape, self.model.recurrence[-1].units), np.float32)
            for step in range(len(walk.pairs)):
                out, state = self._step(walk.pairs.input[step], state, walk.pairs.reset[step])
                hidden[step] = out
            walk.hidden.append(hidden[walk.pairs.valid])
            walk.ranks.append(ranker.ranks(walk.hidden[-1], walk.pairs.target[walk.pairs.valid]))
            if way == self.flows_back:
                self.model.lane_state.assign(state)


def some_sessions(sessions: Sessions, max_targets: int | None) -> Sessions:
    """Draw whole sessions at random until they hold so many targets.

    Args:
        sessions: to choose from.
        max_targets: 1 and more; all sessions when None.

    Returns:
        The chosen sessions, in their order.
    """
    if max_targets is None:
        return sessions
    order = np.random.default_rng(SAMPLE_SEED).permutation(len(sessions))
    targets = np.maximum(sessions.lengths - 1, 0)
    return sessions.take(np.sort(order[np.cumsum(targets[order]) <= max_targets]))


def training_batches(sessions: Sessions, lanes: int, defects: Defects) -> session_batches.Batches:
    """Return the mini-batches of a pass over the training sessions.

    Args:
        sessions: in the order in which they are read.
        lanes: batch size.
        defects: the active ones; D3 and D4 in training are looked at.
    """
    batches = (loader.overrunning if defects.overrunning else session_batches.schedule)(sessions, lanes)
    return loader.sticky(batches) if defects.sticky_resets else batches


def test_batches(sessions: Sessions, lanes: int, defects: Defects) -> session_batches.Batches:
    """Return the mini-batches of the test.

    Args:
        sessions: in the order in which they are read.
        lanes: batch size.
        defects: the active ones; D3 and D4 in testing, and D10, are looked at.
    """
    batches = (loader.overrunning if defects.overrunning_testing else session_batches.schedule)(sessions, lanes)
    batches = loader.never(batches) if defects.never_reset else batches
    return loader.first_steps(batches) if defects.first_steps else batches


@dataclass(frozen=True)
class Trained:
    """A finished training with everything that its variants are scored from.

    Args:
        testing: walks of every epoch.
        validation: float [epochs], Recall@20 on the validation sessions.
    """

    testing: Testing
    validation: np.ndarray

    def score(self, defects: Defects) -> pd.DataFrame:
        """Compute what every test session adds to the scores of a variant.

        Args:
            defects: the active ones.

        Returns:
            A row a session: session (number in its walk), pairs, recall and mrr (sums over its pairs).
        """
        walk = self.testing.walks[defects.in_test_batches]
        on_test = np.array([(ranks <= course_paper.K).mean() for ranks in walk.ranks])
        epoch = metric.chosen_epoch(on_test, self.validation, defects.selected_on_test)
        ranks = walk.ranks[epoch]
        if defects.unpaired_top_k:
            targets = walk.pairs.target[walk.pairs.valid]
            ranks = _unpaired(ranks, walk.hidden[epoch], targets, *self.testing.scorers[epoch])
        hit = ranks <= course_paper.K
        gain = metric.upside_down_gain(ranks, course_paper.K) if defects.upside_down_mrr else hit / ranks
        inputs = walk.pairs.event[walk.pairs.valid] - 1  # a pair belongs to its input's session, also where D3 crosses
        pairs = pd.DataFrame({"session": walk.sessions.session_of_event[inputs], "recall": hit, "mrr": gain})
        sums = pairs.groupby("session", as_index=False).agg(
            pairs=("recall", "size"), recall=("recall", "sum"), mrr=("mrr", "sum")
        )
        return sums.astype({"recall": np.float64})


def _unpaired(ranks, hidden, targets, rows, bias):
    """Apply D2, which changes the ranks of hits alone."""
    found = ranks.copy()
    hits = np.flatnonzero(ranks <= course_paper.K) if len(rows) > course_paper.K else np.zeros(0, int)
    size = max(1, UNPAIRED_FLOATS // len(rows))
    for some in np.split(hits, range(size, len(hits), size)):
        scores = hidden[some] @ rows.T + bias
        found[some] = metric.unpaired_ranks(scores, targets[some], course_paper.K)
    return found


def train(
    run: Run, defects: Defects, ways: set[Defects], prepared: Prepared, max_targets: int | None = None
) -> Trained:
    """Train one model with the active defects that change its weights.

    Args:
        run: of `variants.runs`.
        defects: of `Defects.in_training`.
        ways: through the test, see `Testing`.
        prepared: the study's arrays with D9, else those of the exchanged logs.
        max_targets: see `Testing`.

    Returns:
        Everything that the variants are scored from, after every epoch.
    """
    settings = run.training
    known = prepared.test.keep(prepared.test.known(prepared.n_items))
    # The paper's own walk: states flow from it into training where D4 is active.
    paper = Defects(overrunning_testing=defects.overrunning, never_reset=True, first_steps=True)
    testing = Testing(known, settings.batch_size, ways, paper if defects.sticky_resets else None, max_targets)
    history = build(run, prepared.n_items, prepared.features, _loss(defects)).fit(
        prepared.train,
        settings.max_epochs,
        settings.batch_size,
        prepared.validation,
        [testing],
        settings.shuffle,
        steps_per_epoch=settings.steps_per_epoch,
        schedule=lambda sessions, lanes, order: training_batches(
            sessions if order is None else sessions.take(order), lanes, defects
        ),
    )
    return Trained(testing, np.array(history.history["val_recall_at_20"]))


def _loss(defects: Defects):
    """The defective loss that is active, or None for the right one."""
    if defects.broadcast_bpr_max:
        return losses.broadcast_bpr_max
    if defects.target_among_negatives:
        return losses.bpr_with_the_target
    if defects.linear_cross_entropy:
        return losses.cross_entropy_of_linear_scores
    return None
