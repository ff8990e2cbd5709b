"""Recall and MRR: values computed by hand, and properties."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gru4rec_lib.ranking import metrics

RANKS = st.lists(st.integers(1, 40), min_size=1).map(np.array)
CUTOFF = st.integers(1, 30)


@pytest.mark.parametrize(
    ("ranks", "k", "recall", "mrr"),
    [
        ([1], 20, 1, 1),
        ([20], 20, 1, 1 / 20),
        ([21], 20, 0, 0),
        ([1, 4, 21], 20, 2 / 3, (1 + 1 / 4) / 3),
        ([1, 4, 21], 3, 1 / 3, 1 / 3),
        ([2, 2, 3, 9], 2, 1 / 2, 1 / 4),
    ],
)
def test_by_hand(ranks, k, recall, mrr):
    assert metrics.recall(np.array(ranks, np.int32), k) == pytest.approx(recall, rel=1e-12)
    assert metrics.mrr(np.array(ranks, np.int32), k) == pytest.approx(mrr, rel=1e-12)


def test_a_miss_scores_zero_at_any_cutoff():
    ranks = pd.DataFrame({"protocol": "open", "rank": [2.0, np.inf, np.inf, 4.0], "n_candidates": 6})
    for k in (4, 20, 10**9):
        assert metrics.recall(ranks["rank"].to_numpy(), k) == 1 / 2
        assert metrics.mrr(ranks["rank"].to_numpy(), k) == (1 / 2 + 1 / 4) / 4
        assert metrics.scores(ranks, k).iloc[0, 2:].tolist() == [4, 1 / 2, 3 / 16]


def test_no_ranks_give_nan():
    assert math.isnan(metrics.recall(np.zeros(0, np.int32), 20))
    assert math.isnan(metrics.mrr(np.zeros(0, np.int32), 20))


def test_d1_a_perfect_ranker_scores_one():
    # The course paper's MRR gives the best hit a weight of 1/20, so that a perfect ranker scores about 0.05.
    assert metrics.mrr(np.ones(100, np.int32), 20) == 1


@given(RANKS, CUTOFF)
def test_bounds(ranks, k):
    recall, mrr = metrics.recall(ranks, k), metrics.mrr(ranks, k)
    assert 0 <= recall / k <= mrr * (1 + 1e-12)
    assert mrr <= recall * (1 + 1e-12)
    assert recall <= 1


@given(RANKS, CUTOFF)
def test_a_larger_cutoff_never_lowers_a_score(ranks, k):
    assert metrics.recall(ranks, k) <= metrics.recall(ranks, k + 1)
    assert metrics.mrr(ranks, k) <= metrics.mrr(ranks, k + 1)


@given(RANKS, CUTOFF, st.data())
def test_a_better_rank_never_lowers_a_score(ranks, k, data):
    better = ranks.copy()
    place = data.draw(st.integers(0, len(ranks) - 1))
    better[place] = data.draw(st.integers(1, int(ranks[place])))
    assert metrics.recall(better, k) >= metrics.recall(ranks, k)
    assert metrics.mrr(better, k) >= metrics.mrr(ranks, k) * (1 - 1e-12)


@given(RANKS)
def test_without_a_cutoff(ranks):
    assert metrics.recall(ranks, 40) == 1
    assert metrics.mrr(ranks, 40) == pytest.approx(sum(1 / rank for rank in ranks.tolist()) / len(ranks))


def test_scores_of_a_run_by_hand():
    ranks = pd.DataFrame(
        {
            "protocol": ["open", "open", "known", "open", "known"],
            "rank": np.array([2, 6, 1, 1, 4], np.int32),
            "n_candidates": np.array([9, 9, 5, 9, 5], np.int32),
        }
    )
    expected = pd.DataFrame(
        {
            "protocol": ["open", "known"],
            "n_candidates": [9, 5],
            "n_targets": [3, 2],
            "recall_at_3": [2 / 3, 1 / 2],
            "mrr_at_3": [1 / 2, 1 / 2],
        }
    )
    pd.testing.assert_frame_equal(metrics.scores(ranks, 3), expected)
    assert list(metrics.scores(ranks).columns[-2:]) == ["recall_at_20", "mrr_at_20"]


def test_cold_targets_are_candidates_unseen_in_training():
    ranks = pd.DataFrame(
        {
            "protocol": ["known", "open", "open", "open", "open"],
            "target": [4, 4, 5, 8, -1],  # 5 training tracks; -1 is not a candidate
            "rank": [1, 1, 2, 30, 10],
            "n_candidates": [5, 9, 9, 9, 9],
        }
    )
    assert metrics.cold(ranks)["target"].tolist() == [5, 8]
    scores = metrics.scores(metrics.cold(ranks))
    assert scores.iloc[0].tolist() == ["open", 9, 2, 0.5, 0.25]
    assert metrics.scores(metrics.cold(ranks.iloc[:2])).empty
    with pytest.raises(ValueError, match="no target is of protocol `known`"):
        metrics.cold(ranks.iloc[1:])


def test_any_cutoff_follows_from_the_ranks():
    ranks = pd.DataFrame({"protocol": "known", "rank": [1, 4, 10, 30], "n_candidates": 40})
    found = {k: metrics.scores(ranks, k).loc[0, f"recall_at_{k}"] for k in (1, 5, 10, 20)}
    assert found == {1: 0.25, 5: 0.5, 10: 0.75, 20: 0.75}
    assert metrics.scores(ranks, 5).loc[0, "mrr_at_5"] == (1 + 1 / 4) / 4


def test_ndcg_by_hand():
    # 1 / log2(2), 1 / log2(4), and a miss.
    assert metrics.ndcg(np.array([1, 3, 21]), 20) == pytest.approx((1 + 1 / 2) / 3)
    assert metrics.ndcg(np.array([1, 3, 21]), 2) == pytest.approx(1 / 3)
    assert np.isnan(metrics.ndcg(np.array([]), 5))


@pytest.mark.parametrize("k", [1, 5, 20])
def test_gains_of_targets_average_to_the_scores(k):
    ranks = np.array([1.0, 1.5, 4, 5, 20, 21, np.inf])
    gains = metrics.gains(ranks, k)
    for name, score in (("recall", metrics.recall), ("mrr", metrics.mrr), ("ndcg", metrics.ndcg)):
        assert gains[name].mean() == pytest.approx(score(ranks, k))
