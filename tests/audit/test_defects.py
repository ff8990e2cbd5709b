"""Each defect of the course paper's code by hand, compared with the correct implementation."""

import contextlib
import doctest

import numpy as np
import pytest
from helpers import course_paper_loader as plain_loop
from hypothesis import given, settings
from hypothesis import strategies as st

from gru4rec_lib.audit import course_paper
from gru4rec_lib.audit.defects import loader, metric
from gru4rec_lib.audit.defects import losses as defective_losses
from gru4rec_lib.config import audit as audit_settings
from gru4rec_lib.config.data import Split
from gru4rec_lib.data import session_batches
from gru4rec_lib.data.sessions import Sessions
from gru4rec_lib.ranking import metrics
from gru4rec_lib.training import losses
from gru4rec_lib.utils.backend import ops
from gru4rec_lib.utils.checked import ConfigError

A, B, C, D, E, F, G, H, LAST = range(9)
SESSIONS = Sessions.from_lists([[A, B], [C, D, E], [F, G], [H, LAST]])


def pairs(part, lane):
    """Return (input, target) of a lane for each step."""
    return list(zip(part.input[:, lane].tolist(), part.target[:, lane].tolist(), strict=True))


@pytest.mark.parametrize("module", [defective_losses, metric], ids=lambda module: module.__name__)
def test_examples_in_docstrings(module):
    results = doctest.testmod(module)
    assert results.attempted > 0
    assert results.failed == 0


def test_d1_a_perfect_ranker_scores_a_twentieth_and_the_worst_hits_score_best():
    perfect, last = np.full(7, 1), np.full(7, 20)
    assert metric.upside_down_gain(perfect, 20).mean() == pytest.approx(0.05)
    assert metric.upside_down_gain(last, 20).mean() == 1
    assert (metrics.mrr(perfect, 20), metrics.mrr(last, 20)) == pytest.approx((1, 0.05))
    assert metric.upside_down_gain(np.array([21, 999]), 20).tolist() == [0, 0]


def test_d1_the_papers_mrr_is_below_that_of_a_perfect_ranker():
    assert course_paper.TABLE_2["mrr"].max() == 0.024 < 0.05
    # The best score of the progress report is above it: with reversed ranks, a higher score is not better.
    assert course_paper.MINI["mrr"].max() == 0.056


@given(st.lists(st.integers(1, 25), min_size=1, max_size=40).filter(lambda ranks: min(ranks) <= 20))
def test_the_bounds_of_the_correct_mrr_contain_it(ranks):
    ranks = np.array(ranks)
    recall, upside_down = metrics.recall(ranks, 20), metric.upside_down_gain(ranks, 20).mean()
    low, high = metric.recoverable_mrr(recall, upside_down, 20)
    assert low - 1e-9 <= metrics.mrr(ranks, 20) <= high + 1e-9


def test_the_bounds_of_the_correct_mrr_by_hand():
    """A single rank gives equal bounds."""
    assert metric.recoverable_mrr(1.0, 0.05, 20) == pytest.approx((1, 1))
    assert metric.recoverable_mrr(0.5, 0.5, 20) == pytest.approx((0.025, 0.025))
    # Mean 1/11 over the hits: all at rank 10 (right: 1/10), or most at rank 1 and some at 20 (1.05 - 1/11).
    assert metric.recoverable_mrr(1.0, 1 / 11, 20) == pytest.approx((0.1, 1.05 - 1 / 11))
    with pytest.raises(ValueError, match=r"no ranks give Recall 0\.5 and upside-down MRR 0\.01"):
        metric.recoverable_mrr(0.5, 0.01, 20)


@settings(max_examples=20)
@given(seed=st.integers(0, 2**32 - 1))
def test_d2_moves_ranks_only_within_the_first_k(seed):
    scores = np.random.default_rng(seed).normal(size=(8, 30)).astype(np.float32)
    targets = np.random.default_rng([seed, 1]).integers(0, 30, 8)
    right = (scores >= np.take_along_axis(scores, targets[:, None], 1)).sum(axis=1)
    found = metric.unpaired_ranks(scores, targets, 5)
    assert ((found <= 5) == (right <= 5)).all()
    assert ((found >= 1) & (found <= 6)).all()


def test_d3_the_last_step_of_a_round_enters_the_next_session_and_the_other_lanes_repeat():
    """The example in the docstring of `overrunning`."""
    part = loader.overrunning(SESSIONS, lanes=2)
    assert pairs(part, 0) == [(A, B), (B, C), (F, G), (G, H)]
    assert pairs(part, 1) == [(C, D), (D, E), (D, E), (E, F)]
    assert part.reset.tolist() == [[True, True], [False, False], [True, False], [False, False]]
    assert part.valid.all()
    assert part.event.tolist() == [[1, 3], [2, 4], [6, 4], [7, 5]]
    # Of 8 pairs B->C, G->H and E->F cross, and D->E comes twice; sessions 1, 2 and 3 were begun, the fourth never was.
    found = loader.pair_statistics(part, SESSIONS)
    assert found == {"pairs": 8, "crossing": 3 / 8, "repeated": 1 / 8, "resets_a_session": 1}


def test_the_correct_loader_neither_crosses_nor_repeats():
    found = loader.pair_statistics(session_batches.schedule(SESSIONS, lanes=2), SESSIONS)
    assert found == {"pairs": 5, "crossing": 0, "repeated": 0, "resets_a_session": 1}


def test_d3_the_end_of_the_file_ends_the_round():
    """Lane 2 has the last session and is the shortest: its overrun would be past the end of the file."""
    part = loader.overrunning(Sessions.from_lists([[A, B, C], [D, E]]), lanes=2)
    assert (pairs(part, 0), pairs(part, 1)) == ([(A, B)], [(D, E)])


def test_d3_an_order_is_that_of_the_file():
    order = np.array([3, 1, 0, 2])
    taken, given = (
        loader.overrunning(SESSIONS.take(order), 2),
        loader.overrunning(SESSIONS, 2, order),
    )
    for name in ("input", "target", "reset", "valid"):
        np.testing.assert_array_equal(getattr(taken, name), getattr(given, name))
    assert (SESSIONS.items[given.event] == given.target).all()


def test_d3_fewer_sessions_than_lanes_raise():
    with pytest.raises(ValueError, match="as many sessions as lanes: 4 for 5"):
        loader.overrunning(SESSIONS, lanes=5)


@settings(max_examples=50)
@given(st.lists(st.lists(st.integers(0, 9), min_size=2, max_size=6), min_size=1, max_size=12), st.integers(1, 4))
def test_d3_and_d4_are_the_steps_of_a_plain_loop(lists, lanes):
    """Compare up to the end of the file; beyond it the plain loop raises, as the paper's code does."""
    sessions = Sessions.from_lists([*lists, *[[7, 7]] * (lanes - 1)])
    part = loader.sticky(loader.overrunning(sessions, lanes))
    steps = []
    with contextlib.suppress(IndexError):
        steps.extend(plain_loop(sessions, lanes))
    assert part.input.tolist() == [inputs for inputs, _, _ in steps]
    assert part.target.tolist() == [targets for _, targets, _ in steps]
    assert [np.flatnonzero(reset).tolist() for reset in part.reset] == [lanes for _, _, lanes in steps]


def test_d3_and_d4_on_sessions_of_the_mini_sets_lengths():
    """3.1 % of the pairs cross sessions, 46 % are repeated, a state is reset about twice a session."""
    lengths = np.repeat(np.arange(10, 21), [819, 752, 646, 547, 459, 435, 339, 320, 303, 314, 5066])
    lengths = np.random.default_rng(5).permutation(lengths)
    sessions = Sessions.from_lists([[0] * int(n) for n in lengths])
    part = loader.overrunning(sessions, lanes=64)
    found = loader.pair_statistics(loader.sticky(part), sessions)
    assert found["crossing"] == pytest.approx(0.031, abs=0.001)
    assert found["repeated"] == pytest.approx(0.46, abs=0.01)
    assert found["resets_a_session"] == pytest.approx(2.02, abs=0.02)
    assert loader.pair_statistics(part, sessions)["resets_a_session"] == pytest.approx(1, abs=0.01)


def test_d4_a_mask_is_repeated_until_the_next_one_and_the_first_is_missing():
    begins = np.array([[1, 1], [0, 0], [1, 0], [0, 0], [0, 1]], bool)
    empty = np.zeros((5, 2), np.int32)
    part = session_batches.Batches(empty, empty, begins, np.ones((5, 2), bool), empty)
    assert loader.sticky(part).reset.astype(int).tolist() == [[0, 0], [0, 0], [1, 0], [1, 0], [0, 1]]
    assert not loader.never(part).reset.any()


def test_d5_by_a_plain_loop_compared_with_the_correct_loss():
    scores = np.random.default_rng(1).normal(size=(4, 4))
    bare = scores * (1 - np.eye(4))
    expected = np.zeros((4, 4))
    weight = np.zeros((4, 4))
    for i in range(4):
        for j in range(4):
            row = [np.exp(bare[j, m] - bare[j].max()) for m in range(4)]
            assert all(term <= 1 for term in row)
            total = sum(np.exp(bare[j, m] - bare[m].max()) for m in range(4) if m != j)
            weight[i, j] = 0 if i == j else np.exp(bare[i, j] - bare[j].max()) / total
    for i in range(4):
        for j in range(4):
            likely = weight[i, j] / (1 + np.exp(scores[i, j] - scores[i, i]))
            expected[i, j] = -np.log(likely + 1e-24) + 0.0001 * (weight[j] * scores[j] ** 2).sum()
    mask = ~np.eye(4, dtype=bool)
    found = defective_losses.broadcast_bpr_max(ops.array(np.diag(scores)), ops.array(scores), ops.array(mask))
    np.testing.assert_allclose(found, expected.mean(axis=1), rtol=1e-5)
    assert weight.sum(axis=1) != pytest.approx(np.ones(4), abs=0.01)
    right = losses.bpr_max(ops.array(np.diag(scores)), ops.array(scores), ops.array(mask))
    assert (np.asarray(found) > np.asarray(right) + 55.26 / 4 - 1).all()


def test_d6_is_the_correct_loss_and_a_constant_if_no_targets_are_equal():
    """Three lanes, three targets: 2/3 of the correct loss plus log 2 / 3, so its gradient is 2/3 of the correct one."""
    scores = np.random.default_rng(2).normal(size=(3, 3))
    mask = ops.array(~np.eye(3, dtype=bool))
    found, right = (
        np.asarray(loss(ops.array(np.diag(scores)), ops.array(scores), mask))
        for loss in (defective_losses.bpr_with_the_target, losses.bpr)
    )
    np.testing.assert_allclose(found, 2 / 3 * right + np.log(2) / 3, rtol=1e-6)


def test_d9_the_older_log_is_the_test_in_the_paper_and_training_when_fixed():
    files = ["log_0_20180827_0.csv.gz", "log_1_20180715_0.csv.gz"]
    paper = Split(how="by_file", test="*20180715*")
    fixed = loader.exchange(paper, files)
    assert fixed.test == "log_0_20180827_0.csv.gz"
    assert [loader.tests_on_the_past(split, files) for split in (paper, fixed)] == [True, False]
    assert not loader.tests_on_the_past(Split(how="by_file", test="valid.tsv"), ["train.tsv", "valid.tsv"])
    assert not loader.tests_on_the_past(Split(how="by_session", test_fraction=0.2), files)
    with pytest.raises(ValueError, match="of 3 log files 2 are for training"):
        loader.exchange(Split(how="by_file", test="*20180715*"), [*files, "log_2_20180901_0.csv.gz"])


def test_d10_the_first_steps_are_counted():
    part = loader.overrunning(SESSIONS, lanes=2)
    counted = loader.first_steps(part, steps=3)
    assert (len(part), len(counted)) == (4, 3)
    assert counted.event.tolist() == part.event[:3].tolist()
    # 500 mini-batches of 64 are the 32,000 events of the paper.
    assert loader.TEST_STEPS * audit_settings.SETTINGS["batch_size"] == 32_000


def test_the_papers_settings_can_be_changed_and_a_wrong_change_raises():
    assert audit_settings.course_paper_training("bpr", {}).negatives == ("in_batch",)
    changed = audit_settings.course_paper_training("cross_entropy", {"learning_rate": 0.5})
    assert (changed.learning_rate, changed.negatives, changed.batch_size) == (0.5, ("all",), 64)
    with pytest.raises(ConfigError, match=r"audit\.settings: rate: no such field"):
        audit_settings.course_paper_training("bpr", {"rate": 1})
    with pytest.raises(ConfigError, match="audit: the paper has no loss `top1`"):
        audit_settings.course_paper_training("top1", {})


def test_the_papers_tables_are_complete():
    assert len(course_paper.TABLE_2) == 15
    assert set(course_paper.TABLE_2["loss"]) == set(audit_settings.LOSSES)
    assert course_paper.FINDINGS.keys() == {f"D{n}" for n in range(1, 14)}
    assert audit_settings.CONCLUSIONS.keys() == {f"C{n}" for n in range(1, 6)}
