"""Scores with intervals, significant differences from the best, and groups of targets, from ranks by hand."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from gru4rec_lib.data.columns import Columns
from gru4rec_lib.evaluation import comparison, statistics
from gru4rec_lib.evaluation.comparison import Ranked
from gru4rec_lib.study import tables

SESSIONS = 40


def a_study(seeds=(1, 2)):
    """Three baselines and a network of several seeds, on 40 sessions of 3 targets; recall 1/3, 2/3, 2/3 and 1/3."""
    place = np.tile([0, 1, 2], SESSIONS)
    last_hit = np.where(place < 1, 1, 21)
    two = np.where(place < 2, 2, 21)
    almost = two.copy()
    almost[0] = 21  # one hit less
    ranks = [("weak", last_hit, ""), ("best", two, ""), ("almost", almost, "")]
    ranks += [("gru4rec", np.where(place < seed - 1, 1, 21), seed) for seed in seeds]
    models = pd.DataFrame([{"model": name, "input_form": "", "seed": seed} for name, _, seed in ranks])
    models.loc[models["model"] == "gru4rec", "input_form"] = "shared"
    targets = pd.DataFrame({"protocol": "known", "session": np.repeat(np.arange(SESSIONS), 3), "position": 2 + place})
    targets = targets.assign(target=0, n_candidates=50)
    models = models.reindex(columns=[*Columns.MODEL, "seed"], fill_value="")
    return Ranked(models, targets, [own[:, None] for _, own, _ in ranks])


def test_scores_and_which_models_do_not_differ_from_the_best():
    table = comparison.scored(a_study())
    assert table["recall_at_20"].tolist() == pytest.approx([1 / 3, 2 / 3, 79 / 120, 0, 1 / 3])
    assert table["mrr_at_20"].tolist() == pytest.approx([1 / 3, 1 / 3, 79 / 240, 0, 1 / 3])
    assert table["recall_with_best"].tolist() == [False, True, True, False, False]
    assert table["mrr_with_best"].tolist() == [True, True, True, False, True]
    assert table["n_targets"].unique().tolist() == [120]
    assert table["recall_sd"].isna().all()
    assert (table["recall_low"] <= table["recall_at_20"]).all()
    assert (table["recall_at_20"] <= table["recall_high"]).all()
    # Each session has two hits of three, or one in all of them: the sessions do not vary.
    assert table.loc[:1, ["recall_low", "recall_high"]].to_numpy().tolist() == [[1 / 3] * 2, [2 / 3] * 2]


def test_which_is_not_best_needs_the_corrected_test(monkeypatch):
    monkeypatch.setattr(comparison, "differences", lambda *_: told)
    told = statistics.differences(a_study().sums(), [(0, 1), (2, 1), (3, 4)]).assign(p=0.001)
    assert comparison.scored(a_study())["recall_with_best"].tolist() == [False, True, True, True, True]
    told = told.assign(p_holm=0.06)
    assert comparison.scored(a_study())["recall_with_best"].all()


def test_seeds_become_one_model_with_a_standard_deviation():
    study = a_study(seeds=(2, 3, 4)).over_seeds()
    assert study.models["model"].tolist() == ["weak", "best", "almost", "gru4rec"]
    assert study.models["seeds"].tolist() == [1, 1, 1, 3]
    table = comparison.scored(study)
    assert table["recall_at_20"].iloc[3] == pytest.approx((1 + 2 + 3) / 9)
    assert table["recall_sd"].iloc[3] == pytest.approx(1 / 3)
    assert table["recall_sd"].iloc[:3].isna().all()


def test_tags_keep_runs_apart():
    study = a_study()
    study.models["tag"] = ["", "", "", "", "wide"]
    assert study.over_seeds().models["seeds"].tolist() == [1] * 5


def test_differences_from_one_model():
    table = comparison.against(a_study(), {"recall": 1, "mrr": 1})
    assert table["model"].tolist() == ["weak"] * 2 + ["almost"] * 2 + ["gru4rec"] * 4
    assert table["reference"].unique().tolist() == ["best"]
    assert table["score"].tolist() == ["recall", "mrr"] * 4
    assert table["difference"].tolist() == pytest.approx([-1 / 3, 0, -1 / 120, -1 / 240, -2 / 3, -1 / 3, -1 / 3, 0])
    assert table["seed"].tolist()[-4:] == [1, 1, 2, 2]
    assert (table["p_holm"] >= table["p"]).all()
    assert table["p"].iloc[1] == 1


def test_each_score_is_compared_with_its_own_reference():
    table = comparison.against(a_study(), {"recall": 1, "mrr": 0}).query("seed != 1")
    assert table.groupby("score")["reference"].unique().str[0].to_dict() == {"recall": "best", "mrr": "weak"}
    recall, mrr = (table[table["score"] == score] for score in ("recall", "mrr"))
    assert recall["difference"].tolist() == pytest.approx([-1 / 3, -1 / 120, -1 / 3])
    assert mrr["difference"].tolist() == pytest.approx([0, -1 / 240, 0])
    whole = comparison.against(a_study(), {"recall": 1, "mrr": 0})
    assert whole["p_holm"].tolist() == statistics.holm(whole["p"].to_numpy()).tolist()


def test_the_best_baseline_is_no_trained_model():
    assert comparison.best_baseline(a_study(seeds=(4,)), "recall") == 1
    study = a_study()
    study.models.loc[1, "model"] = "gru4rec"
    assert comparison.best_baseline(study, "recall") == 2


def test_each_score_has_its_own_best_baseline():
    study = a_study()
    study.ranks[0] = np.where(np.arange(120) % 2 == 0, 1, 99)[:, None]  # half of the targets, but each first
    assert [comparison.best_baseline(study, score) for score in ("recall", "mrr")] == [1, 0]


def test_parts_of_the_targets():
    study = a_study()
    place = study.targets["position"] - 2
    strata = pd.DataFrame(
        {
            "heard": pd.Categorical(place.map({0: "b", 1: "a", 2: "a"}), ["none", "b", "a"], ordered=True),
            "shuffle": pd.Categorical(["no"] * 120, ["no", "yes"]),
        }
    )
    table = comparison.by_stratum(study, strata)
    assert table["by"].tolist() == ["heard"] * 10 + ["shuffle"] * 5
    assert table["stratum"].tolist() == ["b"] * 5 + ["a"] * 5 + ["no"] * 5  # as ordered, and no empty one
    assert table["n_targets"].tolist() == [40] * 5 + [80] * 5 + [120] * 5
    assert table["model"].tolist() == [*study.models["model"]] * 3
    assert table["protocol"].unique().tolist() == ["known"]
    assert table["recall_at_20"].tolist() == pytest.approx(
        [1, 1, 39 / 40, 0, 1, 0, 1 / 2, 1 / 2, 0, 0, 1 / 3, 2 / 3, 79 / 120, 0, 1 / 3]
    )
    assert table["mrr_at_20"].iloc[5:7].tolist() == [0, 1 / 4]
    row = table.iloc[2]
    assert row["recall_low"] < row["recall_at_20"] < row["recall_high"] == 1
    assert row["mrr_low"] < row["mrr_at_20"] == 39 / 80 < row["mrr_high"]


def test_targets_of_one_session_have_scores_and_no_intervals():
    study = a_study()
    one = replace(study, targets=study.targets.assign(session=0))
    table = comparison.scored(one)
    assert table["recall_at_20"].tolist() == pytest.approx([1 / 3, 2 / 3, 79 / 120, 0, 1 / 3])
    assert table.filter(regex="low|high").isna().all(axis=None)
    assert table["recall_with_best"].all(), "nothing differs by a test of one session"
    assert tables.with_interval(table, "recall").tolist()[:2] == ["0.333 (one session)", "0.667 (one session)"]


def test_other_cutoffs_and_ndcg_have_columns_of_their_own():
    study = replace(a_study(seeds=(2, 4)).over_seeds(), cutoffs=(1, 20))
    study.ranks[1] = np.tile([1, 2, 21], SESSIONS)[:, None]
    table = comparison.scored(study)
    assert [*table.columns[-4:]] == ["recall_at_1", "mrr_at_1", "ndcg_at_1", "ndcg_at_20"]
    assert [*table.columns[-4:]] == comparison.more_scores((1, 20), 20)
    assert table["recall_at_1"].iloc[1] == pytest.approx(1 / 3)
    assert table["ndcg_at_20"].iloc[1] == pytest.approx((1 + 1 / np.log2(3)) / 3)
    assert table["ndcg_at_20"].iloc[3] == pytest.approx((1 / 3 + 1) / 2), "the mean over seeds"
    assert table["recall_at_20"].iloc[1] == pytest.approx(2 / 3)


def test_networks_and_blends_are_no_baselines():
    names = pd.Series(["gru4rec", "blend", "blend-long", "blended", "stan-long"])
    assert comparison.is_baseline(names).tolist() == [False, False, False, True, True]
