"""Tables beyond Table 2, from the files of a small study by hand."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from gru4rec_lib.baselines import ItemKNN
from gru4rec_lib.data.columns import Columns
from gru4rec_lib.data.features import Features
from gru4rec_lib.data.sessions import Sessions
from gru4rec_lib.evaluation import statistics
from gru4rec_lib.evaluation.comparison import Ranked
from gru4rec_lib.preparation.prepare import Prepared
from gru4rec_lib.study import evidence, tables
from gru4rec_lib.study.workspace import Workspace

STUDY = """
title: hand-made
data: {layout: mssd, name: twin}
split: {how: by_session, test_fraction: 0.2}
models:
  - {input_form: [embedding], loss: [bpr, top1], seed: [1, 2]}
  - {input_form: [embedding], output_form: [content], loss: [bpr]}
baselines: [most_popular, markov, item_knn]
"""
HIT, MISS = 1, 21
# Of 4 targets, hits of each model; in `open` one more.
RANKS = {
    "most_popular": [MISS, MISS, MISS, MISS, MISS],
    "markov": [HIT, HIT, MISS, HIT, MISS],
    "item_knn": [HIT, MISS, MISS, HIT, MISS],
    "embedding-bpr-seed1": [HIT, HIT, HIT, HIT, MISS],
    "embedding-bpr-seed2": [HIT, HIT, HIT, MISS, MISS],
    "embedding-top1-seed1": [HIT, MISS, MISS, MISS, MISS],
    "embedding-top1-seed2": [HIT, MISS, MISS, MISS, MISS],
    "embedding-to_content-bpr-seed1": [HIT, MISS, MISS, MISS, HIT],
}
# At the targets 0 and 2, two tracks each.
SAME = [0, 1, 0, 1]
LISTS = {"markov": [0, 2, 3, 4], "embedding-bpr-seed1": [0, 1, 2, 3], "embedding-bpr-seed2": [2, 4, 4, 2]}
SECONDS = {"embedding-bpr-seed1": 1.5, "embedding-to_content-bpr-seed1": 2.5}
VALIDATION = {"embedding-top1-seed1": (0.9, 0.2), "embedding-top1-seed2": (0.5, 0.3)}
OF_BASELINES = {"most_popular": (0.05, 0.01), "markov": (0.6, 0.35), "item_knn": (0.3, 0.15)}


def validated(folder, recall, mrr=0.0):
    scores = pd.DataFrame({"val_recall_at_20": [recall], "val_mrr_at_20": [mrr]})
    scores.to_csv(folder / "validation.csv", index=False)


@pytest.fixture
def place(tmp_path):
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "made.yaml").write_text(STUDY)
    place = Workspace("made", root=tmp_path)
    folders = {one.name: place.baseline_folder(one.name) for one in place.study.baselines}
    folders |= {run.name: place.run_folder(run) for run in place.study.runs}
    assert set(folders) == set(RANKS)
    events = {"session": [0, 0, 1, 1, 1], "position": [2, 3, 2, 3, 4], "target": [0, 1, 0, 2, 5]}
    for name, folder in folders.items():
        table = pd.DataFrame(events | {"rank": RANKS[name]})
        known = table.iloc[:4].assign(protocol="known", n_candidates=50)
        folder.mkdir(parents=True)
        # Among the most popular, the first target of every session has rank 2.
        popular = known.assign(protocol="popular", n_candidates=9, rank=known["rank"].where(known["position"] > 2, 2))
        parts = [known, table.assign(protocol="open", n_candidates=60), popular]
        pd.concat(parts).to_parquet(folder / "ranks.parquet")
        lists = {
            "session": [0, 0, 1, 1],
            "position": [2, 2, 3, 3],
            "place": [1, 2, 1, 2],
            "item": LISTS.get(name, SAME),
        }
        pd.DataFrame(lists).to_parquet(folder / "lists.parquet")
        if name in OF_BASELINES:
            validated(folder, *OF_BASELINES[name])
            continue
        recall, mrr = VALIDATION.get(name, (0.4, 0.1))
        history = {"epoch": [1, 2, 3], "loss": 1.0, "val_recall_at_20": [0.1, recall, 0.3], "seconds": 1.0}
        (folder / "config.json").write_text(json.dumps({"seconds": SECONDS.get(name, 7.5)}))
        pd.DataFrame(history | {"val_mrr_at_20": [0.7, mrr, 0.8]}).to_csv(folder / "history.csv")
    return place


@pytest.fixture
def prepared():
    nothing = Sessions.from_lists([])
    items = pd.DataFrame({"item": list("abcdef"), "plays": [30, 5, 5, 1, 1, 0]})
    test = Sessions.from_lists([[3, 0, 1], [4, 0, 2, 5]])
    log = pd.DataFrame({"session": list("ssstttt"), "item": list("dabeacf")})
    return Prepared(items, 5, nothing, nothing, test, log, None, pd.DataFrame())


def test_fewer_candidates_by_hand(place):
    table = evidence.fewer_candidates(place).set_index(["model", "loss", "output_form"])
    assert (table[["n_targets", "n_candidates", "n_popular"]] == [4, 50, 9]).all(axis=None)
    scores = ["recall_at_20", "mrr_at_20", "recall_popular", "mrr_popular", "place", "place_popular"]
    # Hits 4 and 3 of 4 in two seeds; then two at rank 2, and 2 and 1 of the later two. markov hits all four then.
    assert table.loc[("gru4rec", "bpr", "ids"), scores].tolist() == [3.5 / 4, 3.5 / 4, 3.5 / 4, 2.5 / 4, 1, 2]
    assert table.loc[("most_popular", "", ""), scores].tolist() == [0, 0, 2 / 4, 1 / 4, 6, 4]
    assert table.index[0] == ("gru4rec", "bpr", "ids")
    for score in ("recall", "mrr"):
        bias = table[[f"{score}_bias_low", f"{score}_bias", f"{score}_bias_high"]].T
        assert (bias.diff().iloc[1:] >= 0).all(axis=None)
        assert (table[f"{score}_bias"] == table[f"{score}_popular"] - table[f"{score}_at_20"]).all()
    assert table.loc[("most_popular", "", ""), "recall_bias_low"] >= 0, "a shorter list lowers no session's score"


def test_the_bias_of_fewer_candidates_is_taken_within_a_seed(place):
    """Seeds that differ much have the same bias, so the interval of the bias has no width."""
    for number, seed in enumerate((1, 2)):
        path = place.run_folder(place.study.run("embedding", "bpr", seed)) / "ranks.parquet"
        ranks, hits = pd.read_parquet(path), [MISS, HIT][number]
        rank = ranks["rank"].where(ranks["protocol"] != "known", hits)
        rank = rank.where(ranks["protocol"] != "popular", [HIT, 2][number])
        ranks.assign(rank=rank).to_parquet(path)
    row = evidence.fewer_candidates(place).query("loss == 'bpr' and output_form == 'ids'").iloc[0]
    # Recall rises by 1 and 0, MRR by 1 and -1/2: seeds without a common bias give a wide interval.
    assert row[["recall_bias", "mrr_bias"]].tolist() == [1 / 2, 1 / 4]
    assert row["recall_bias_high"] - row["recall_bias_low"] > 1
    for path in (place.run_folder(place.study.run("embedding", "bpr", seed)) / "ranks.parquet" for seed in (1, 2)):
        ranks = pd.read_parquet(path)
        popular = ranks.loc[ranks["protocol"] == "known", "rank"].to_numpy()
        ranks.loc[ranks["protocol"] == "popular", "rank"] = popular
        ranks.to_parquet(path)
    row = evidence.fewer_candidates(place).query("loss == 'bpr' and output_form == 'ids'").iloc[0]
    assert row[["recall_bias_low", "recall_bias", "recall_bias_high"]].tolist() == [0, 0, 0]


def test_a_study_without_the_protocol_popular_has_no_fewer_candidates(place):
    for file in place.runs.rglob("ranks.parquet"):
        ranks = pd.read_parquet(file)
        ranks[ranks["protocol"] != "popular"].to_parquet(file)
    table = evidence.fewer_candidates(place)
    assert table.empty
    assert [*table.columns[-2:]] == ["place", "place_popular"]


def test_differences_are_from_the_best_baseline_of_each_score(place):
    table = evidence.from_best_baseline(place)
    assert table["reference"].unique().tolist() == ["markov"]
    assert table["p_holm"].tolist() == pytest.approx(statistics.holm(table["p"].to_numpy()))
    path = place.baseline_folder("markov") / "ranks.parquet"
    ranks = pd.read_parquet(path)
    ranks.assign(rank=ranks["rank"].replace(HIT, 20)).to_parquet(path)  # as many hits, all at rank 20
    table = evidence.from_best_baseline(place)
    assert table.groupby("score")["reference"].unique().str[0].to_dict() == {"recall": "markov", "mrr": "item_knn"}
    assert set(table.query("score == 'mrr'")["model"]) == {"most_popular", "markov", "gru4rec"}
    table = table[table["reference"] == "markov"]
    recall = table[table["score"] == "recall"]
    assert recall["model"].tolist() == ["most_popular", "item_knn", "gru4rec", "gru4rec", "gru4rec"]
    assert recall["seeds"].tolist() == [1, 1, 2, 2, 1]
    assert recall["difference"].tolist() == pytest.approx([-3 / 4, -1 / 4, 1 / 8, -1 / 2, -1 / 2])


def test_content_less_identity_compares_what_validation_chose(place):
    validation = evidence.validation_and_test(place, tables.over_seeds(place))
    table = evidence.content_less_identity(place, validation)
    assert table["loss"].tolist() == ["bpr"] * 6, "top1 has no content"
    names = ["best identity", "best identity by MRR@20", "control"]
    assert table["against"].tolist() == [name for name in names for _ in range(2)]
    assert table["content"].tolist() == ["embedding → content"] * 6
    assert table["identity"].tolist() == ["embedding, top1"] * 2 + ["markov"] * 2 + ["embedding"] * 2
    assert table["score"].tolist() == ["recall", "mrr"] * 3
    assert table["difference"].tolist() == pytest.approx([0, 0] + [1 / 4 - 3 / 4] * 2 + [1 / 4 - 7 / 8] * 2)
    assert table["seeds"].tolist() == [1] * 6, "the network with content has one seed"
    assert (table["low"] <= table["difference"]).all()
    assert (table["p_holm"] >= table["p"]).all()
    alone = validation[validation["output_form"] != "content"]
    assert evidence.content_less_identity(place, alone).empty


def test_a_baseline_without_features_may_be_the_best_that_knows_identity_alone(place):
    """It is chosen on validation: markov is better than any network on the test, and item_knn is not."""
    validated(place.baseline_folder("item_knn"), 0.95)
    validation = evidence.validation_and_test(place, tables.over_seeds(place))
    table = evidence.content_less_identity(place, validation)
    assert table["identity"].tolist() == ["item_knn"] * 2 + ["markov"] * 2 + ["embedding"] * 2
    assert table["difference"].tolist()[0] == pytest.approx(1 / 4 - 2 / 4)


def test_of_two_with_the_same_score_the_better_in_the_other_is_the_best(place):
    """markov has the better MRR@20; item_knn comes later in the table, most_popular earlier."""
    for name, mrr in (("most_popular", 0.3), ("markov", 0.35), ("item_knn", 0.3)):
        validated(place.baseline_folder(name), 0.95, mrr)
    validation = evidence.validation_and_test(place, tables.over_seeds(place))
    table = evidence.content_less_identity(place, validation)
    assert table["identity"].tolist() == ["markov"] * 2 + ["embedding"] * 2
    validated(place.baseline_folder("most_popular"), 0.96, 0.35)
    validation = evidence.validation_and_test(place, tables.over_seeds(place))
    table = evidence.content_less_identity(place, validation)
    assert table["identity"].tolist() == ["most_popular"] * 2 + ["embedding"] * 2


def test_a_baseline_with_features_does_not_know_identity_alone(place, monkeypatch):
    validated(place.baseline_folder("item_knn"), 0.95)
    monkeypatch.setattr(ItemKNN, "needs_features", True)
    validation = evidence.validation_and_test(place, tables.over_seeds(place))
    assert evidence.content_less_identity(place, validation)["identity"].iloc[0] == "embedding, top1"


def test_the_control_of_an_input_with_content_is_the_best_input_with_identity_alone(place, monkeypatch):
    models = [("content", "ids", "", 0.5), ("one_hot", "ids", "", 0.2), ("shared", "ids", "", 0.3)]
    models += [("embedding", "ids", "wide", 0.4), ("shared", "hybrid", "wide", 0.1), ("one_hot", "content", "", 0.1)]
    table = pd.DataFrame(models, columns=["input_form", "output_form", "tag", "validation_recall_at_20"])
    table = table.assign(model="gru4rec", loss="bpr", seeds=1, validation_mrr_at_20=0.1)
    targets = pd.DataFrame({"session": [0, 1, 2], "protocol": "known"})
    ranked = Ranked(table[[*Columns.MODEL, "seeds"]], targets, [np.ones((3, 1))] * len(table))
    monkeypatch.setattr(evidence, "read", lambda *_: SimpleNamespace(over_seeds=lambda: ranked))
    found = evidence.content_less_identity(place, table).query("score == 'recall'").set_index("against")
    assert found["content"].tolist() == ["content"] * 2
    assert found["identity"].to_dict() == {"best identity": "embedding wide", "control": "shared"}
    chosen = table.assign(validation_recall_at_20=[0.1, 0.2, 0.3, 0.4, 0.1, 0.5])
    found = evidence.content_less_identity(place, chosen).set_index("against")
    assert found.loc["control", "identity"].tolist() == ["one_hot"] * 2, "the same input form"
    wide = evidence.content_less_identity(place, table.iloc[3:5])
    assert wide["against"].tolist() == ["best identity"] * 2, "no `shared` is wide with identity alone"


def test_the_control_of_a_network_with_some_features_has_the_same_settings(place, monkeypatch):
    config = place.root / "config" / "made.yaml"
    text = config.read_text().replace(
        "baselines:",
        "  - {input_form: [content], loss: [bpr], features: [sound]}\n"
        "  - {input_form: [content], loss: [bpr], features: [sound], tag: small, settings: {hidden_units: 9}}\n"
        "  - {input_form: [one_hot], loss: [bpr], tag: nine, settings: {hidden_units: 9}}\n"
        "features: {sound: [tempo, energy]}\nbaselines:",
    )
    config.write_text(text)
    place = Workspace("made", root=place.root)
    models = [("content", "sound", 0.5), ("content", "small", 0.4), ("embedding", "", 0.3), ("one_hot", "nine", 0.6)]
    table = pd.DataFrame(models, columns=["input_form", "tag", "validation_recall_at_20"])
    table = table.assign(model="gru4rec", output_form="ids", loss="bpr", seeds=1, validation_mrr_at_20=0.1)
    targets = pd.DataFrame({"session": [0, 1, 2], "protocol": "known"})
    ranked = Ranked(table[[*Columns.MODEL, "seeds"]], targets, [np.ones((3, 1))] * len(table))
    monkeypatch.setattr(evidence, "read", lambda *_: SimpleNamespace(over_seeds=lambda: ranked))
    found = evidence.content_less_identity(place, table).set_index("against")
    assert found.loc["control", "content"].unique().tolist() == ["content sound"]
    assert found.loc["control", "identity"].unique().tolist() == ["embedding"]
    small = table.assign(validation_recall_at_20=[0.1, 0.4, 0.3, 0.6])
    found = evidence.content_less_identity(place, small).set_index("against")
    assert found.loc["control", "identity"].unique().tolist() == ["one_hot nine"]


def test_networks_that_differ_only_in_their_features_are_compared_in_pairs(place, monkeypatch):
    config = place.root / "config" / "made.yaml"
    blocks = """
  - {input_form: [content], loss: [bpr]}
  - {input_form: [content], loss: [bpr], features: [sound], seed: [1, 2]}
  - {input_form: [content], loss: [bpr], features: [year]}
features: {sound: [tempo, energy], year: [release_year]}
baselines:"""
    config.write_text(config.read_text().replace("\nbaselines:", blocks))
    place = Workspace("made", root=place.root)
    # Hits and reciprocal ranks of four sessions; the two seeds of `sound` differ.
    ranks = {
        ("embedding", "bpr", ""): [[1], [1], [1], [1]],
        ("content", "bpr", ""): [[1], [2], [1], [2]],
        ("content", "bpr", "sound"): [[1, 1], [2, MISS], [1, MISS], [MISS, MISS]],
        ("content", "bpr", "year"): [[MISS], [4], [MISS], [1]],
    }
    models = pd.DataFrame([*ranks], columns=["input_form", "loss", "tag"]).assign(model="gru4rec", output_form="ids")
    models["seeds"] = [1, 1, 2, 1]
    targets = pd.DataFrame({"session": [0, 1, 2, 3], "protocol": "known"})
    ranked = Ranked(models, targets, [np.array(own, float) for own in ranks.values()])
    monkeypatch.setattr(evidence, "read", lambda *_: SimpleNamespace(over_seeds=lambda: ranked))
    table = evidence.feature_groups(place)
    names, scores = ["content", "content sound", "content year"], ["recall", "mrr"]
    pairs = [(0, 1), (0, 2), (1, 2)]
    assert table["first"].tolist() == [names[first] for first, _ in pairs for _ in scores]
    assert table["second"].tolist() == [names[second] for _, second in pairs for _ in scores]
    assert table["score"].tolist() == scores * 3
    assert (table["loss"] == "bpr").all()
    assert table["seeds"].tolist() == [1] * 6
    # Recall 1, (3/4 + 1/4) / 2 and 1/2; MRR 3/4, (5/8 + 1/4) / 2 and 5/16.
    assert table["difference"].tolist() == [1 / 2, 5 / 16, 1 / 2, 7 / 16, 0, 1 / 8]
    # The gains of `content` and `year` at the four sessions, each with one seed.
    assert table["p"][2] == pytest.approx(stats.ttest_rel([1, 1, 1, 1], [0, 1, 0, 1]).pvalue)
    assert table["p"][3] == pytest.approx(stats.ttest_rel([1, 1 / 2, 1, 1 / 2], [0, 1 / 4, 0, 1]).pvalue)
    np.testing.assert_array_equal(table["p_holm"], statistics.holm(table["p"].to_numpy()))
    assert (table["low"] <= table["difference"]).all()
    assert (table["difference"] <= table["high"]).all()


def test_the_best_model_is_chosen_on_validation_and_compared_on_the_test(place):
    """Validation prefers top1, which is worse than markov on the test."""
    validated(place.baseline_folder("markov"), 0.5, 0.3)
    validation = evidence.validation_and_test(place, tables.over_seeds(place))
    table = evidence.best_model(place, validation)
    assert table["model"].tolist() == ["embedding, top1"] * 2
    assert table["reference"].tolist() == ["markov"] * 2, "the second best, which is also the best baseline"
    assert table["value"].tolist() == pytest.approx([1 / 4] * 2)
    assert table["difference"].tolist() == pytest.approx([1 / 4 - 3 / 4] * 2)
    assert table["seeds"].tolist() == [2, 2]
    assert table["leads_mrr"].all(), "0.3 and not 0.25"
    assert not table["leads_recall"].any(), "the best model does, with 0.7"
    text = evidence.answer(table).splitlines()
    assert text[0] == "Use embedding, top1: on validation it leads in Recall@20 and MRR@20 taken together."
    assert text[1] == "Where the first places matter most, use markov: it has the best MRR@20 on validation."
    assert text[2].startswith("On the test its Recall@20 is 0.250 (")
    assert text[3].startswith("  markov is 0.500 (")
    assert len(text) == 6
    assert len(evidence.answer(table.assign(leads_mrr=False)).splitlines()) == 5
    other = evidence.answer(table.assign(leads_mrr=False, leads_recall=True)).splitlines()[1]
    assert other == "Where only a place among the first 20 counts, use markov: it has the best Recall@20 on validation."
    for p, difference, words in (
        (0.5, -0.1, "0.100 (0.050 to 0.150) higher, which may be chance"),
        (0.001, 0.1, "0.100 (\N{MINUS SIGN}0.150 to \N{MINUS SIGN}0.050) lower, a significant difference"),
    ):
        given = table.assign(p_holm=p, difference=difference, low=-0.15, high=-0.05)
        assert evidence.answer(given).splitlines()[3] == f"  markov is {words} (corrected p {p})."
    sure = evidence.answer(table.assign(seeds=1)).splitlines()
    assert sure[-1] == "A network here has one seed: what is said of it holds for this training alone."


def test_the_best_model_is_compared_with_the_second_best_and_the_best_of_the_other_kind(place):
    """Validation Recall@20 and MRR@20 of the network are 0.7 and 0.25."""
    validated(place.baseline_folder("markov"), 0.9, 0.22)
    validated(place.baseline_folder("item_knn"), 0.85, 0.22)
    table = evidence.best_model(place, evidence.validation_and_test(place, tables.over_seeds(place)))
    assert table["model"].unique().tolist() == ["markov"]
    assert table["reference"].tolist() == ["item_knn"] * 2 + ["embedding, top1"] * 2
    assert table["seeds"].fillna(0).tolist() == [0, 0, 2, 2]
    assert table["leads_mrr"].tolist() == [False, False, True, True]
    assert not table["leads_recall"].any()
    for scores, column in (((0.05, 0.95), "leads_mrr"), ((0.95, 0.0), "leads_recall")):
        validated(place.baseline_folder("most_popular"), *scores)
        validation = evidence.validation_and_test(place, tables.over_seeds(place))
        third = evidence.best_model(place, validation)
        assert third["model"].unique().tolist() == ["markov"], "far ahead in one score alone is not enough"
        assert third["reference"].tolist()[4:] == ["most_popular"] * 2
        assert third[column].tolist() == [False] * 4 + [True] * 2
    single = evidence.best_model(place, validation.head(1))
    assert single.empty
    assert evidence.answer(single) == "The study has a single model, so there is nothing to compare it with."


def test_validation_and_test_by_hand(place):
    table = evidence.validation_and_test(place, tables.over_seeds(place))
    assert table["model"].tolist() == ["most_popular", "markov", "item_knn"] + ["gru4rec"] * 3
    baselines, table = table.iloc[:3], table.iloc[3:]
    assert baselines["validation_recall_at_20"].tolist() == [0.05, 0.6, 0.3]
    assert baselines["validation_mrr_at_20"].tolist() == [0.01, 0.35, 0.15]
    assert baselines["recall_at_20"].tolist() == [0, 3 / 4, 2 / 4]
    assert table["loss"].tolist() == ["bpr", "top1", "bpr"]
    assert table["output_form"].tolist() == ["ids", "ids", "content"]
    # The epoch with the best recall of each seed, then their mean.
    assert table["validation_recall_at_20"].tolist() == pytest.approx([0.4, 0.7, 0.4])
    assert table["validation_mrr_at_20"].tolist() == pytest.approx([0.1, 0.25, 0.1])
    assert table["recall_at_20"].tolist() == pytest.approx([7 / 8, 1 / 4, 1 / 4])
    assert (table["recall_low"] < table["recall_high"]).tolist()[1:] == [True, True]


def test_validation_is_read_at_the_epoch_of_the_monitored_score(place):
    config = place.root / "config" / "made.yaml"
    config.write_text(config.read_text() + "training: {monitor: val_mrr_at_20}\n")
    place = Workspace("made", root=place.root)
    table = evidence.validation_and_test(place, tables.over_seeds(place)).iloc[3:]
    assert table["validation_mrr_at_20"].tolist() == pytest.approx([0.8] * 3), "the last of three epochs"
    assert table["validation_recall_at_20"].tolist() == pytest.approx([0.3] * 3)


def test_time_to_quality_ends_at_the_first_epoch_near_the_best(place):
    file = place.run_folder(place.study.runs[0]) / "history.csv"
    pd.read_csv(file).assign(val_recall_at_20=[0.381, 0.4, 0.3], seconds=[9.0, 2.0, 4.0]).to_csv(file)
    table = evidence.time_to_quality(place, tables.table_2(place))
    assert table["loss"].tolist() == ["bpr", "top1", "bpr", "top1", "bpr"]
    assert table["validation_recall_at_20"].tolist() == [0.4, 0.9, 0.4, 0.5, 0.4]
    assert table["seconds"].tolist() == [15, 3, 3, 3, 3]
    # 0.381 is above 95 % of 0.4; the second seed of top1 never reaches 95 % of the first seed's 0.9.
    assert table["seconds_to_enough"].fillna(-1).tolist() == [9, 2, 2, -1, 2]
    assert table["recall_at_20"].tolist() == [1, 1 / 4, 3 / 4, 1 / 4, 1 / 4]
    assert table["seconds_of_tested"].tolist() == [1.5, 7.5, 7.5, 7.5, 2.5]
    assert (table[["batch_size", "epochs"]] == [place.study.training.batch_size, 3]).all(axis=None)


def test_facts_of_runs_are_joined_by_name(place, monkeypatch):
    """The order in which histories and settings are read has no effect."""
    expected = [
        evidence.time_to_quality(place, tables.table_2(place)),
        evidence.validation_and_test(place, tables.over_seeds(place)),
    ]
    epochs, records = tables.epochs_of_runs(place), tables.records(place)
    reordered = epochs.sort_values(["run", "epoch"], ascending=[False, True], ignore_index=True)
    monkeypatch.setattr(evidence, "epochs_of_runs", lambda workspace: reordered.copy())
    monkeypatch.setattr(evidence, "records", lambda workspace: dict(reversed(records.items())))
    found = [
        evidence.time_to_quality(place, tables.table_2(place)),
        evidence.validation_and_test(place, tables.over_seeds(place)),
    ]
    for first, second in zip(expected, found, strict=True):
        pd.testing.assert_frame_equal(first, second)


def test_strata_of_both_protocols(place, prepared):
    table = evidence.strata(place, prepared)
    cold = table[(table["by"] == "popularity") & (table["stratum"] == "cold")]
    assert cold["protocol"].unique().tolist() == ["open"]
    assert cold["recall_at_20"].tolist() == [0, 0, 0, 0, 0, 1]
    heard = table.query("by == 'heard' and protocol == 'known' and model == 'markov'")
    assert heard[["stratum", "n_targets", "recall_at_20"]].to_numpy().tolist() == [["1", 2, 0.5], ["2", 2, 1.0]]


def test_coverage_by_hand(place, prepared):
    table = evidence.coverage(place, prepared)
    assert (table[["n_lists", "n_items"]] == [2, 5]).all(axis=None)
    assert table["seeds"].tolist() == [1, 1, 1, 2, 2, 1]
    assert table["recall_at_20"].tolist() == pytest.approx([0, 3 / 4, 2 / 4, 7 / 8, 1 / 4, 1 / 4])
    assert table["catalogue_coverage"].tolist() == pytest.approx([2 / 5, 4 / 5, 2 / 5, (4 + 2) / 2 / 5, 2 / 5, 2 / 5])
    # Plays 30, 5, 5, 1, 1 of the tracks; the targets have 30 and 5, in the mean 17.5.
    mean = np.array([17.5, (30 + 5 + 1 + 1) / 4, 17.5, ((30 + 5 + 5 + 1) / 4 + 3) / 2, 17.5, 17.5])
    assert table["popularity_lift"].tolist() == pytest.approx((mean / 17.5 - 1).tolist())
    assert table["intra_list_diversity"].isna().all(), "there are no features"


def test_features_give_the_diversity_of_lists(place, prepared):
    numbers = np.array([[1, 0], [0, 2], [3, 0], [-1, 0], [0, 0], [0, 0]], np.float32)
    table = evidence.coverage(place, replace(prepared, features=Features(numbers)))
    # Of markov's lists one has two tracks alike, the other one track without features.
    alike = {"most_popular": 1, "markov": 0, "item_knn": 1}
    assert table["intra_list_diversity"].iloc[:3].tolist() == pytest.approx([*alike.values()])


def test_a_study_without_lists_has_no_rows(place, prepared):
    for file in place.runs.rglob("lists.parquet"):
        pd.read_parquet(file).head(0).to_parquet(file)
    table = evidence.coverage(place, prepared)
    assert table.empty
    assert "catalogue_coverage" in table


@pytest.mark.parametrize("position", [2, 9])
def test_lists_at_other_targets_are_an_error(place, prepared, position):
    files = (
        place.runs.rglob("lists.parquet")
        if position == 9
        else [place.run_folder(place.study.runs[0]) / "lists.parquet"]
    )
    for file in files:
        lists = pd.read_parquet(file)
        lists.assign(position=lists["position"].replace(3, position)).to_parquet(file)
    with pytest.raises(ValueError, match="lists at other test targets than the rest of the study"):
        evidence.coverage(place, prepared)


def test_the_leading_models_are_chosen_by_validation(place, prepared, monkeypatch):
    monkeypatch.setattr(evidence, "FEWEST", 1)
    validation = evidence.validation_and_test(place, tables.over_seeds(place))
    table = evidence.strata(place, prepared)
    rows = evidence.leading(table, validation, ["heard"])
    models = rows[["model", "loss", "output_form"]].iloc[:3].to_numpy().tolist()
    # top1 is worse on test, but better on validation; of the baselines the best.
    embedding = [["gru4rec", "top1", "ids"], ["gru4rec", "bpr", "content"]]
    assert models == [["markov", "", ""], *embedding]
    assert rows["stratum"].tolist() == ["1"] * 3 + ["2"] * 3
    assert rows["protocol"].unique().tolist() == ["known"]
    assert evidence.leading(table, validation, ["popularity", "hour"], "open")["stratum"].iloc[0] == "cold"


def test_a_stratum_of_few_targets_is_not_shown(place, prepared, monkeypatch):
    monkeypatch.setattr(evidence, "FEWEST", 3)
    validation = evidence.validation_and_test(place, tables.over_seeds(place))
    rows = evidence.leading(evidence.strata(place, prepared), validation, ["repeat"])
    assert rows["stratum"].unique().tolist() == ["new"]
    monkeypatch.setattr(evidence, "FEWEST", 30)
    rows = evidence.leading(evidence.strata(place, prepared), validation, ["repeat"], "open")
    assert rows["stratum"].unique().tolist() == ["new"], "the largest is kept where all are small"


def test_strata_are_printed_with_their_size(place, prepared, monkeypatch):
    monkeypatch.setattr(evidence, "FEWEST", 1)
    validation = evidence.validation_and_test(place, tables.over_seeds(place))
    wide = evidence.printed_strata(evidence.leading(evidence.strata(place, prepared), validation, ["heard", "repeat"]))
    assert wide.index.tolist() == [("heard", "1", 2), ("heard", "2", 2), ("repeat", "new", 4)]
    assert wide.columns.tolist() == ["markov", "embedding", "embedding → content"]
    assert wide["markov"].tolist() == ["0.500 (0.000 to 1.000)", "1.000 (1.000 to 1.000)", "0.750 (0.260 to 1.000)"]


def test_models_that_give_most_sessions_the_same_list_are_reported(place, prepared):
    table = evidence.coverage(place, prepared)
    # In LISTS, and SAME for the others; two lists each.
    assert table["same_list"].tolist() == [1, 1 / 2, 1, 1 / 2, 1, 1]
    assert evidence.same_lists(table) == [
        f"Warning: {name} gives 100 % of the sessions the same list; it hardly reads the session."
        for name in ("item_knn", "embedding, top1", "embedding → content, bpr")
    ]
    assert evidence.same_lists(table.assign(same_list=0.5)) == []
