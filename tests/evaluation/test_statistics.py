"""Intervals and paired tests over sessions: by hand, against SciPy, and by their properties."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from gru4rec_lib.evaluation import statistics
from gru4rec_lib.evaluation.statistics import SessionSums, differences, holm, intervals, quick_intervals

P = st.lists(st.floats(0, 1), min_size=1, max_size=12).map(np.array)
MISS = 99


def ranks(*columns):
    """One seed a model."""
    return [np.array(column)[:, None] for column in columns]


def some(sessions=300, models=3, seed=5):
    """Create targets of sessions of 1 to 8 events; some sessions are easier than others, for all models."""
    rng = np.random.default_rng(seed)
    session = np.repeat(np.arange(sessions), rng.integers(1, 9, sessions))
    hard = rng.normal(size=sessions)[session]
    return session, [
        np.exp(2 + m + hard + rng.normal(size=len(session))).astype(int)[:, None] + 1 for m in range(models)
    ]


def test_sums_by_hand():
    session = np.array([7, 7, 3, 3, 3])
    two_seeds = np.array([[1, 3], [2, MISS], [20, 21], [MISS, MISS], [4, 1]])
    sums = SessionSums.of(session, [two_seeds, *ranks([1] * 5)], 20)
    assert sums.counts.tolist() == [[3], [2]]  # session 3, then 7
    first = [[0.5 + 0 + 1, (1 / 20) / 2 + (1 / 4 + 1) / 2], [1 + 0.5, (1 + 1 / 3) / 2 + 1 / 4]]
    assert sums.gains[:, 0, 0] == pytest.approx(np.array(first))
    assert sums.gains[:, 0, 1].tolist() == [[3, 3], [2, 2]]
    assert sums.scores[0, 0] == pytest.approx([3 / 5, (0.025 + 0.625 + 2 / 3 + 0.25) / 5])


def test_sums_by_stratum():
    sums = SessionSums.of(np.array([0, 0, 1, 1]), ranks([1, 30, 2, 2]), 20, np.array([0, 2, 2, 2]))
    assert sums.counts.tolist() == [[1, 0, 1], [0, 0, 2]]
    np.testing.assert_array_equal(sums.scores[:, 0], [[1, 1], [np.nan] * 2, [2 / 3, 1 / 3]])


def test_a_draw_takes_whole_sessions_and_the_same_for_every_model(monkeypatch):
    monkeypatch.setattr(statistics, "DRAWS", 50)
    # Three sessions with 1, 2 and 4 targets; the first model hits only the last, the second none of its own.
    session, hits = np.array([0, 1, 1, 2, 2, 2, 2]), [MISS] * 3 + [1] * 4
    draws = SessionSums.of(session, ranks(hits, [1] * 3 + [MISS] * 4), 20).draws[:, 0, :, 0]
    possible = {4 * c / (a + 2 * b + 4 * c) for a in range(4) for b in range(4) for c in range(4) if a + b + c == 3}
    assert {round(x, 9) for x in draws[:, 0]} <= {round(x, 9) for x in possible}
    assert len(np.unique(draws[:, 0])) > 3
    assert draws.sum(axis=1) == pytest.approx(np.ones(50))


@pytest.mark.parametrize("cells", [1, 1000, 2**22])
def test_draws_do_not_depend_on_how_many_are_taken_together(monkeypatch, cells):
    monkeypatch.setattr(statistics, "DRAWS", 30)
    session, models = some(40)
    whole = SessionSums.of(session, models, 20).draws
    monkeypatch.setattr(statistics, "CELLS", cells)
    np.testing.assert_allclose(SessionSums.of(session, models, 20).draws, whole, rtol=1e-12)


def test_intervals_are_scipys():
    session, models = some(models=1)
    sums = SessionSums.of(session, models, 20)
    data = (sums.gains[:, 0, 0, 0], sums.counts[:, 0])

    def recall(hits, counts, axis):
        return hits.sum(axis=axis) / counts.sum(axis=axis)

    theirs = stats.bootstrap(data, recall, paired=True, method="percentile", n_resamples=2000, rng=3)
    low, high = intervals(sums)
    width = high[0, 0, 0] - low[0, 0, 0]
    # Ends of two bootstraps of 2,000 draws differ by some hundredths of the interval.
    assert low[0, 0, 0] == pytest.approx(theirs.confidence_interval.low, abs=0.1 * width)
    assert high[0, 0, 0] == pytest.approx(theirs.confidence_interval.high, abs=0.1 * width)
    independent = 2 * 1.96 * np.sqrt(np.mean(models[0] <= 20) * np.mean(models[0] > 20) / len(session))
    assert width > 1.2 * independent, "targets of a session are alike, which widens the interval"


def test_an_interval_has_its_nominal_coverage(monkeypatch):
    monkeypatch.setattr(statistics, "DRAWS", 300)
    rng, truth, held = np.random.default_rng(1), 0.5, 0
    for _ in range(200):
        easy = rng.random(80) < truth  # all targets of a session are hits, or none
        session = np.repeat(np.arange(80), rng.integers(1, 9, 80))
        low, high = intervals(SessionSums.of(session, ranks(np.where(easy[session], 1, MISS)), 20))
        held += low[0, 0, 0] <= truth <= high[0, 0, 0]
    assert 0.9 <= held / 200 <= 0.99


def test_a_stratum_that_draws_may_miss_has_an_interval():
    session, stratum = np.array([0, 1, 2, 2, 3, 3]), np.array([0, 0, 0, 1, 0, 1])
    low, high = intervals(SessionSums.of(session, ranks([1, 2, 30, 1, 30, 1]), 20, stratum))
    assert (low[1, 0, 0], high[1, 0, 0]) == (1, 1)
    assert low[0, 0, 0] < 1 / 2 <= high[0, 0, 0]


def test_quick_intervals_are_those_of_the_bootstrap():
    session, models = some(sessions=600)
    sums = SessionSums.of(session, models, 20, np.arange(len(session)) % 3)
    (low, high), (quick_low, quick_high) = intervals(sums), quick_intervals(sums)
    width = high - low
    assert (np.abs(quick_low - low) < 0.1 * width).all()
    assert (np.abs(quick_high - high) < 0.1 * width).all()


def test_a_quick_interval_by_hand():
    # Hits and targets of three sessions: 1 of 1, 0 of 1, 1 of 2; recall 1/2; residuals 1/2, -1/2 and 0.
    sums = SessionSums.of(np.array([0, 1, 2, 2]), ranks([1, 30, 1, 30]), 20)
    error = np.sqrt((1 / 4 + 1 / 4) * 3 / 2) / 4
    low, high = quick_intervals(sums)
    assert (low[0, 0, 0], high[0, 0, 0]) == pytest.approx((0.5 - 1.959964 * error, 0.5 + 1.959964 * error))
    certain = quick_intervals(SessionSums.of(np.array([0, 1]), ranks([1, 1]), 20))
    assert np.array(certain).ravel().tolist() == [1] * 4
    one = SessionSums.of(np.array([0, 0, 0]), ranks([1, 2, 30]), 20)
    assert np.isnan(quick_intervals(one)).all(), "one session tells nothing of others"


def test_one_session_has_no_interval_and_others_keep_theirs():
    # The first stratum is of session 0 alone, the second of both.
    session, stratum = np.array([0, 0, 0, 1, 1]), np.array([0, 0, 1, 1, 1])
    both = ranks([1, 30, 1, 30, 30], [2, 2, 2, 2, 2])
    for found in (intervals, quick_intervals):
        ends = np.array(found(SessionSums.of(session, both, 20, stratum)))
        assert np.isnan(ends[:, 0]).all()
        assert np.isfinite(ends[:, 1]).all()
    one = SessionSums.of(np.zeros(5, int), both, 20)
    assert np.isnan(intervals(one)).all()
    table = differences(one, [(0, 1)])
    assert table[["low", "high"]].isna().all(axis=None)
    assert table["difference"].tolist() == pytest.approx([-3 / 5, -1 / 10])
    assert table[["p", "p_holm"]].to_numpy().tolist() == [[1, 1]] * 2


def test_p_is_of_the_paired_t_test_over_sessions():
    session, models = some()
    sums = SessionSums.of(session, models, 20)
    table = differences(sums, [(0, 1), (2, 0)])
    assert table["score"].tolist() == ["recall", "mrr"] * 2
    assert table[["first", "second"]].to_numpy().tolist() == [[0, 1], [0, 1], [2, 0], [2, 0]]
    for row in table.itertuples():
        score = ("recall", "mrr").index(row.score)
        one, other = sums.gains[:, 0, row.first, score], sums.gains[:, 0, row.second, score]
        assert row.p == pytest.approx(stats.ttest_rel(one, other).pvalue, rel=1e-6)
        assert row.difference == pytest.approx((one.sum() - other.sum()) / len(session))
        assert row.low < row.difference < row.high
    assert table["p_holm"].to_numpy() == pytest.approx(holm(table["p"].to_numpy()))


def test_the_interval_of_a_difference_is_paired():
    session, (one, *_) = some(models=1)
    other = one.copy()
    other[0] = MISS if one[0] <= 20 else 1
    sums = SessionSums.of(session, [one, other], 20)
    table = differences(sums, [(0, 1)]).set_index("score").loc["recall"]
    low, high = intervals(sums)
    assert table["high"] - table["low"] < 0.1 * (high - low)[0, 0, 0]
    assert table["p"] == pytest.approx(stats.ttest_rel(*sums.gains[:, 0, :, 0].T).pvalue)


@pytest.mark.parametrize(
    ("session", "one", "other", "p"),
    [
        ([0, 0, 1, 2], [1, 2, 3, 40], [1, 2, 3, 40], 1),  # equal
        ([0, 0, 0], [1, 1, 1], [MISS] * 3, 1),  # one session gives no evidence
        ([0, 1, 2, 3], [1] * 4, [MISS] * 4, 0),  # the same difference in every session
    ],
)
def test_p_at_its_ends(session, one, other, p):
    table = differences(SessionSums.of(np.array(session), ranks(one, other), 20), [(0, 1)])
    assert table["p"].tolist() == [p, p]


def test_strata_are_taken_together_in_a_difference():
    session, models = some(60, 2)
    stratum = np.arange(len(session)) % 3
    split = differences(SessionSums.of(session, models, 20, stratum), [(0, 1)])
    pd.testing.assert_frame_equal(split, differences(SessionSums.of(session, models, 20), [(0, 1)]))


@pytest.mark.parametrize(
    ("p", "corrected"),
    [
        ([0.03], [0.03]),
        ([0.01, 0.04, 0.03], [0.03, 0.06, 0.06]),
        ([0.02, 0.02], [0.04, 0.04]),
        ([0.6, 0.001, 0.5], [1, 0.003, 1]),
        ([0.0, 1.0], [0, 1]),
    ],
)
def test_holm_by_hand(p, corrected):
    assert holm(np.array(p)) == pytest.approx(corrected)


@given(P)
def test_holm_lies_between_p_and_bonferroni_and_keeps_the_order(p):
    corrected = holm(p)
    assert (corrected >= p - 1e-15).all()
    assert (corrected <= np.minimum(1, p * len(p))).all()
    assert (np.diff(corrected[np.argsort(p, kind="stable")]) >= 0).all()


def test_without_differences_the_table_seldom_finds_one():
    rng, found = np.random.default_rng(2), 0
    for _ in range(100):
        session = np.repeat(np.arange(50), 4)
        models = [rng.integers(1, 41, (200, 1)) for _ in range(5)]
        p = statistics._paired_p(SessionSums.of(session, models, 20), 0, *np.triu_indices(5, 1))
        found += holm(p).min() < 0.05
    assert found <= 10, "5 of 100 are expected at most"


def seeded(rng, seeds, spread, sessions=60, own=1.0):
    """Sums of models without a true difference, in one stratum of one target a session.

    Args:
        rng: of the draws.
        seeds: of each model.
        spread: standard deviation of the scores of seeds, relative to the standard error over sessions.
        own: standard deviation of what differs between seeds from session to session, relative to sessions.
    """
    shared = rng.normal(size=(sessions, 1, 1, 2))
    by_seed = []
    for n in seeds:
        effect = rng.normal(size=(1, 1, n, 2)) * spread / np.sqrt(sessions) * (n > 1)
        of_model = rng.normal(size=(sessions, 1, 1, 2))
        by_seed.append(0.5 + 0.05 * (shared + of_model + effect + own * rng.normal(size=(sessions, 1, n, 2))))
    return SessionSums(by_seed, np.ones((sessions, 1)))


def test_the_variance_of_seeds_by_hand():
    # Two seeds hit 2 and 0 of 4 targets, in sessions of one target. Their scores 1/2 and 0 have the variance 1/8. Rest
    # after both means: 1/4, 1/4, -1/4, -1/4 and the opposite, so that chance explains 8 / 16 / (3 * 1) / 4 = 1/24.
    both = np.array([[1, MISS], [1, MISS], [MISS, MISS], [MISS, MISS]])
    sums = SessionSums.of(np.arange(4), [both, *ranks([1, 1, MISS, MISS])], 20)
    assert sums.seeds.tolist() == [2, 1]
    assert sums.seed_variance[0] == pytest.approx(np.array([[(1 / 8 - 1 / 24) / 2] * 2, [0, 0]]))


def test_the_variance_of_seeds_is_that_of_a_balanced_analysis_of_variance():
    sums = seeded(np.random.default_rng(4), [3], spread=3)
    gains = sums.by_seed[0][:, 0, :, 0]
    rest = gains - gains.mean(axis=0) - gains.mean(axis=1, keepdims=True) + gains.mean()
    between = gains.mean(axis=0).var(ddof=1) - (rest**2).sum() / (59 * 2) / 60
    assert between > 0
    assert sums.seed_variance[0, 0, 0] == pytest.approx(between / 3)


def test_seeds_that_differ_by_chance_alone_add_no_variance():
    both = np.array([[1, MISS], [MISS, 1]] * 20)
    alike = SessionSums.of(np.arange(40), [both], 20)
    assert (alike.seed_variance == 0).all()


def test_seeds_widen_intervals_and_one_seed_does_not():
    sums = seeded(np.random.default_rng(3), [3, 1], spread=5)
    mean = SessionSums([own.mean(axis=2, keepdims=True) for own in sums.by_seed], sums.counts)
    np.testing.assert_array_equal(sums.scores, mean.scores)
    for found in (intervals, quick_intervals):
        (low, high), (old_low, old_high) = found(sums), found(mean)
        np.testing.assert_array_equal((low[0, 1], high[0, 1]), (old_low[0, 1], old_high[0, 1]))
        assert (high[0, 0] - low[0, 0] > 1.5 * (old_high[0, 0] - old_low[0, 0])).all()
    (wide,), (narrow,) = (differences(one, [(0, 1)]).query("score == 'recall'").itertuples() for one in (sums, mean))
    assert wide.difference == narrow.difference
    assert wide.high - wide.low > narrow.high - narrow.low
    assert wide.p > narrow.p


def test_an_interval_over_seeds_is_that_of_a_t_distribution_where_seeds_dominate():
    scores = np.array([0.4, 0.5, 0.6])
    sums = SessionSums([np.tile(scores[:, None], (50, 1, 1, 2))], np.ones((50, 1)))
    half = stats.t.ppf(0.975, 2) * 0.1 / 3**0.5
    for found in (intervals, quick_intervals):
        low, high = found(sums)
        assert (low[0, 0, 0], high[0, 0, 0]) == pytest.approx((0.5 - half, 0.5 + half), rel=0.02)


def test_p_over_seeds_is_welchs_where_seeds_dominate():
    seeds = np.array([0.4, 0.5, 0.6]), np.array([0.2, 0.4, 0.5, 0.3])
    sums = SessionSums([np.tile(own[:, None], (50, 1, 1, 2)) for own in seeds], np.ones((50, 1)))
    expected = stats.ttest_ind(*seeds, equal_var=False).pvalue
    assert differences(sums, [(0, 1)])["p"].tolist() == pytest.approx([expected] * 2)


@pytest.mark.parametrize("seeds", [(3, 3), (3, 1), (5, 2)])
@pytest.mark.parametrize("spread", [0, 1, 2])
def test_equal_models_differ_in_about_one_test_of_twenty(seeds, spread):
    """The test rejects about 5 % of true hypotheses, whether seeds add much or nothing."""
    rng, pair = np.random.default_rng(6), (np.array([0]), np.array([1]))
    p = [statistics._paired_p(seeded(rng, seeds, spread), score, *pair) for _ in range(500) for score in (0, 1)]
    assert 0.03 <= np.mean(np.array(p) < 0.05) <= 0.08


@pytest.mark.parametrize(("seeds", "spread"), [((3, 3), 0), ((3, 3), 3), ((3, 1), 1)])
def test_intervals_of_differences_cover_the_truth_over_seeds(seeds, spread, monkeypatch):
    monkeypatch.setattr(statistics, "DRAWS", 400)
    rng = np.random.default_rng(7)
    tables = [differences(seeded(rng, seeds, spread), [(0, 1)]) for _ in range(150)]
    held = np.mean([((table["low"] <= 0) & (table["high"] >= 0)).tolist() for table in tables])
    assert 0.9 <= held <= 0.99


def test_strata_of_several_seeds_are_taken_together_in_a_difference():
    session, (one, other) = some(60, 2)
    both, stratum = [np.hstack([one, other]), other], np.arange(len(session)) % 3
    split = differences(SessionSums.of(session, both, 20, stratum), [(0, 1)])
    pd.testing.assert_frame_equal(split, differences(SessionSums.of(session, both, 20), [(0, 1)]))
