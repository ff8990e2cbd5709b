"""The blends of a study: the leading network, weights from validation alone, files, and the same model from them."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from gru4rec_lib.config.study import Study
from gru4rec_lib.data.sessions import Sessions
from gru4rec_lib.preparation.prepare import Prepared
from gru4rec_lib.study import blend_runs, results, runs
from gru4rec_lib.study.workspace import Workspace

STUDY = """
title: hand-made
data: {layout: mssd, name: twin}
split: {how: by_session, test_fraction: 0.2}
training: {hidden_units: 4, embedding_units: 3, batch_size: 2, jit: false, refit: REFIT, max_epochs: 2,
  negatives: [all]}
models:
  - {input_form: [embedding, one_hot], loss: [cross_entropy], seed: [1, 2]}
  - {input_form: [shared], loss: [cross_entropy], seed: [2]}
baselines: [most_popular, markov, sequential_rules]
blends: [{of: [markov, sequential_rules]}]
"""
TRAIN, VALIDATION = [[0, 1, 0, 2], [0, 1, 2], [2, 0, 1]], [[0, 2, 1, 1], [1, 0]]
TEST = [[0, 1, 3, 2], [4, 0, 0], [-1, 1], [2, 0, 1, 2, 0]]


def prepared():
    parts = {n: Sessions.from_lists(s) for n, s in (("train", TRAIN), ("validation", VALIDATION), ("test", TEST))}
    items = pd.DataFrame({"item": list("abcde"), "plays": [4, 4, 2, 0, 0]})
    return Prepared(items, 3, **parts, test_events=pd.DataFrame(), features=None, counts=pd.DataFrame())


@pytest.fixture
def place(tmp_path):
    def place(refit=False):
        (tmp_path / "config").mkdir(exist_ok=True)
        (tmp_path / "config" / "made.yaml").write_text(STUDY.replace("REFIT", str(refit).lower()))
        return Workspace("made", root=tmp_path)

    return place


def write_histories(place, scores):
    """Write the validation scores of each run at epochs 1 and 2: (Recall@20, MRR@20) at the second."""
    for run in place.study.runs:
        recall, mrr = scores.get(run.name, (0.0, 0.0))
        history = {"epoch": [1, 2], "loss": 1.0, "val_recall_at_20": [0, recall], "val_mrr_at_20": [0.9, mrr]}
        place.run_folder(run).mkdir(parents=True, exist_ok=True)
        pd.DataFrame(history | {"seconds": 1.0}).to_csv(place.run_folder(run) / "history.csv", index=False)


def test_the_leading_network_is_best_in_both_scores_over_the_common_seeds(place):
    here = place()
    assert here.study.blend_seeds == (2,)
    leads = {"embedding-cross_entropy-seed1": (0.9, 0.9)}  # seed 1 is not counted: `shared` does not have it
    leads |= {"embedding-cross_entropy-seed2": (0.5, 0.1), "one_hot-cross_entropy-seed2": (0.4, 0.3)}
    leads |= {"shared-cross_entropy-seed2": (0.45, 0.2)}
    write_histories(here, leads)
    # (1 + 1/3) / 2, (0.8 + 1) / 2 and (0.9 + 2/3) / 2.
    assert blend_runs.leading_run(here, 2).name == "one_hot-cross_entropy-seed2"


@pytest.fixture
def trained(place):
    """Train the leading run of the study, with or without refit."""

    def trained(refit=False):
        here = place(refit)
        write_histories(here, {"shared-cross_entropy-seed2": (0.5, 0.5)})
        run = here.study.runs[-1]
        model = runs.train(run, prepared())
        ranks, lists = (
            results.rank(model.model, prepared(), here.study),
            results.lists(model.model, prepared(), here.study),
        )
        runs.save(here.run_folder(run), run, model, ranks, lists, prepared())
        write_histories(here, {"shared-cross_entropy-seed2": (0.5, 0.5)})
        return here

    return trained


@pytest.mark.slow
@pytest.mark.parametrize("refit", [False, True])
def test_a_blend_is_ranked_saved_and_rebuilt_from_its_folder(trained, refit):
    here = trained(refit)
    table = blend_runs.rank_blends(prepared(), here)
    assert table.index.tolist() == ["blend"] * 2
    assert table["protocol"].tolist() == ["known", "open"]
    folder = here.blend_folder("blend", 2)
    files = {"blend.json", "lists.parquet", "ranks.parquet", "validation.csv", "weights.csv"}
    assert {path.name for path in folder.iterdir()} == files
    tried = pd.read_csv(folder / "weights.csv")
    best = tried.loc[tried["objective"].round(12).idxmax(), ["validation_recall_at_20", "validation_mrr_at_20"]]
    assert pd.read_csv(folder / "validation.csv").iloc[0].tolist() == pytest.approx(best.tolist())
    record = json.loads((folder / "blend.json").read_text())
    assert record["network"] == "shared-cross_entropy-seed2"
    assert list(record["weights"]) == ["gru4rec", "markov", "sequential_rules"]
    assert sum(record["weights"].values()) == pytest.approx(1)
    again = blend_runs.load(here, "blend", 2, prepared())
    assert results.rank(again, prepared(), here.study).equals(pd.read_parquet(folder / "ranks.parquet"))
    # The rules have seen validation where the network has.
    follow_0 = {False: 4, True: 5}[refit]
    assert again.parts.baselines[0].scores(Sessions.from_lists([[0, 1]]), np.array([False, True])).sum() == follow_0
    assert blend_runs.session_weights(here).empty
    tried = blend_runs.tried_weights(here)
    assert tried.loc[tried["chosen"], [*record["weights"]]].to_numpy().tolist() == [[*record["weights"].values()]]
    assert tried.loc[tried["part"] != "", "part"].tolist() == ["gru4rec", "markov", "sequential_rules"]


@pytest.mark.slow
@pytest.mark.parametrize("refit", [False, True])
def test_a_blend_with_session_weights_too(trained, refit):
    here = trained(refit)
    by_session = {"of": ["markov", "ct", "session_recent"], "weights": "by_session", "tag": "by_session"}
    baselines = [*here.study.model_dump(mode="json")["baselines"], "ct", "session_recent"]
    here.study = Study.model_validate(
        here.study.model_dump(mode="json") | {"name": "made", "baselines": baselines, "blends": [by_session]}
    )
    assert blend_runs.rank_blends(prepared(), here).index.tolist() == ["blend-by_session"] * 2
    folder = here.blend_folder("blend-by_session", 2)
    record = json.loads((folder / "blend.json").read_text())
    assert record["weights"]["parts"] == ["gru4rec", "markov", "ct", "session_recent"]
    again = blend_runs.load(here, "blend-by_session", 2, prepared())
    assert results.rank(again, prepared(), here.study).equals(pd.read_parquet(folder / "ranks.parquet"))
    tried = blend_runs.tried_weights(here)
    assert tried["part"].tolist() == ["gru4rec", "markov", "ct", "session_recent", ""]
    assert tried["chosen"].tolist() == [False] * 4 + [True]
    assert tried["network"].unique().tolist() == ["shared-cross_entropy-seed2"]
    assert tried.loc[4, record["weights"]["parts"]].sum() == pytest.approx(1)
    best = pd.read_csv(folder / "validation.csv").iloc[0].tolist()
    assert best == pytest.approx(tried.loc[4, ["validation_recall_at_20", "validation_mrr_at_20"]].tolist())
    learned = blend_runs.session_weights(here)
    assert len(learned) == 4 * 10
    assert learned.groupby("part")["feature"].first().unique().tolist() == ["constant"]
    shown = learned["coefficient"].to_numpy().reshape(4, 10)
    assert shown.tolist() == record["weights"]["coefficients"]


@pytest.mark.slow
def test_the_weights_do_not_depend_on_the_test(trained, monkeypatch):
    here = trained()
    monkeypatch.setattr(results, "lists", lambda *_: pd.DataFrame())
    monkeypatch.setattr(results, "rank", lambda *_: pd.DataFrame(columns=["protocol"]))
    blend_runs.rank_blend(here.study.blends[0], 2, replace(prepared(), test=None), here)
    without = (here.blend_folder("blend", 2) / "weights.csv").read_bytes()
    blend_runs.rank_blend(here.study.blends[0], 2, prepared(), here)
    assert (here.blend_folder("blend", 2) / "weights.csv").read_bytes() == without
