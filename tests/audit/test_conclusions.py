"""The paper's conclusions: which models they compare, and whether ranks at several settings support them."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from gru4rec_lib.audit import conclusions
from gru4rec_lib.data.columns import Columns
from gru4rec_lib.evaluation.comparison import Ranked
from gru4rec_lib.evaluation.statistics import SessionSums, differences

FORMS = ("one_hot", "content", "content_mlp")


def test_each_conclusion_compares_the_models_that_it_names():
    models = [(form, loss) for form in FORMS[:2] for loss in ("cross_entropy", "bpr")]
    compared = conclusions.comparisons(models)
    one, raw = [("one_hot", "cross_entropy"), ("one_hot", "bpr")], [("content", "cross_entropy"), ("content", "bpr")]
    assert compared == [
        ("C1", one[0], raw[0], 1),
        ("C1", one[1], raw[1], 1),
        ("C2", one[1], one[0], -1),
        ("C2", raw[1], raw[0], -1),
        ("C5", raw[0], one[0], -1),
        ("C5", raw[1], one[1], -1),
    ]
    (mlp,) = conclusions.comparisons([("content", "bpr"), ("content_mlp", "bpr")])
    assert mlp == ("C4", ("content_mlp", "bpr"), ("content", "bpr"), 1)
    (max_,) = conclusions.comparisons([("content", "bpr_max"), ("content", "cross_entropy")])
    assert max_ == ("C3", ("content", "bpr_max"), ("content", "cross_entropy"), 0)
    assert conclusions.comparisons([("embedding", "bpr")]) == []


def ranked(hits):
    """Sixty sessions of ten targets; `hits` of each form are hits, one more where the session's number is odd."""
    session = np.repeat(np.arange(60), 10)
    position = np.tile(np.arange(10), 60)
    models = [("markov", "", "", "", "")] + [("gru4rec", form, "ids", "bpr", "") for form in hits]
    models += [("gru4rec", "one_hot", "hybrid", "bpr", ""), ("gru4rec", "one_hot", "ids", "bpr", "other")]
    ranks = [np.where(position < n + session % 2, 1, 99)[:, None] for n in (0, *hits.values(), 9, 9)]
    targets = pd.DataFrame({"protocol": "known", "session": session, "position": position, "target": 0})
    return Ranked(pd.DataFrame(models, columns=Columns.MODEL).assign(seed=1), targets.assign(n_candidates=100), ranks)


def test_a_loss_that_the_paper_lacks_is_in_no_conclusion():
    assert conclusions.comparisons([("one_hot", "top1"), ("content", "top1"), ("shared", "top1_max")]) == []


def test_a_conclusion_may_hold_at_one_setting_and_not_at_another(monkeypatch):
    at = {0.0: {"one_hot": 5, "content": 3}, 0.5: {"one_hot": 4, "content": 4}, 1.0: {"one_hot": 2, "content": 4}}
    monkeypatch.setattr(conclusions, "read", lambda hits, protocol: ranked(hits))
    table = conclusions.of_study(SimpleNamespace(variants=lambda of: at))
    assert len(table) == 3 * 2 * 2
    assert [*table] == ["content_signal", *conclusions.NAMED, *conclusions.FOUND]
    recall = table[table["score"] == "recall"].set_index(["conclusion", "content_signal"])
    assert recall.loc["C1", "difference"].tolist() == pytest.approx([0.2, 0, -0.2])
    assert recall.loc["C1", "holds"].tolist() == ["yes", "undecided", "no"]
    assert recall.loc["C5", "holds"].tolist() == ["yes", "undecided", "no"]
    assert (recall["low"] <= recall["difference"]).all()
    assert recall.loc["C1", "published"].tolist() == pytest.approx([0.1278 - 0.0707] * 3)
    assert recall.loc[("C1", 0.5), ["first", "second"]].tolist() == ["one_hot, bpr", "content, bpr"]


def test_without_a_curve_the_study_itself_is_compared(monkeypatch):
    monkeypatch.setattr(conclusions, "read", lambda workspace, protocol: ranked({"one_hot": 5, "content": 3}))
    table = conclusions.of_study(SimpleNamespace(variants=lambda of: {}))
    assert [*table] == [*conclusions.NAMED, *conclusions.FOUND]
    assert table["conclusion"].tolist() == ["C1", "C1", "C5", "C5"]
    assert table["holds"].tolist() == ["yes"] * 4


def test_configurations_without_a_comparison_give_no_rows(monkeypatch):
    monkeypatch.setattr(conclusions, "read", lambda hits, protocol: ranked(hits))
    table = conclusions.of_study(SimpleNamespace(variants=lambda of: {0.5: {"embedding": 3}}))
    assert table.empty
    assert "holds" in table


C3 = [("C3", ("content", "bpr_max"), ("content", "cross_entropy"), 0)]


def with_gap(gap, spread, sessions=400):
    """Two models of one target a session, whose sums differ by `gap` in the mean and by `spread` between sessions."""
    noise = np.tile([-spread, spread], sessions // 2)
    gains = [np.stack([0.5 + own] * 2, axis=-1)[:, None, None] for own in (gap + noise, np.zeros(sessions))]
    return SessionSums(gains, np.ones((sessions, 1)))


@pytest.mark.parametrize(
    ("gap", "spread", "answer"),
    [
        (0.0, 0.05, "yes"),  # the standard error is 0.0025: the lower bound is -0.004
        (0.0, 0.2, "undecided"),  # 0.01: the lower bound is -0.016
        (-0.005, 0.005, "yes"),  # significantly lower than the other model, and within the margin
        (-0.008, 0.05, "undecided"),
        (-0.02, 0.05, "no"),
        (-0.012, 0.05, "undecided"),  # lower by more than the margin, but not significantly more
        (0.05, 0.05, "yes"),
    ],
)
def test_c3_is_a_test_of_non_inferiority(gap, spread, answer):
    found = conclusions.tested(C3, with_gap(gap, spread), [(0, 1)])
    found["p_holm"] = found["p"]
    assert conclusions.holds(C3, found) == [answer] * 2


def test_c3_holds_where_the_one_sided_bound_is_above_the_margin():
    sums = with_gap(-0.003, 0.08)
    difference = sums.gains[:, 0, 0, 0] - sums.gains[:, 0, 1, 0]
    expected = stats.ttest_1samp(difference, -conclusions.MARGIN, alternative="greater")
    found = conclusions.tested(C3, sums, [(0, 1)])
    assert found["p"].tolist() == pytest.approx([expected.pvalue] * 2)
    assert (expected.pvalue < 0.05) == (expected.confidence_interval(0.95).low > -conclusions.MARGIN)


def test_only_c3_is_tested_against_the_margin():
    c4 = [("C4", ("content_mlp", "bpr"), ("content", "bpr"), 1)]
    sums = with_gap(-0.02, 0.05)
    one, both = conclusions.tested(c4, sums, [(0, 1)]), conclusions.tested(c4 + C3, sums, [(0, 1), (0, 1)])
    assert both["p"].tolist()[:2] == one["p"].tolist() == differences(sums, [(0, 1)])["p"].tolist()
    assert both["p"].tolist()[2] > one["p"].tolist()[0]
    assert conclusions.holds(c4, one.assign(p_holm=one["p"])) == ["no"] * 2
