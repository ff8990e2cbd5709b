"""Every model ranks the same test targets; ranks and lists are saved."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gru4rec_lib.baselines import MostPopular, SequentialRules
from gru4rec_lib.data.sessions import Sessions
from gru4rec_lib.preparation.prepare import Prepared
from gru4rec_lib.preparation.source_files import DataError
from gru4rec_lib.ranking.exact import NO_RANK
from gru4rec_lib.study import baseline_runs, results
from gru4rec_lib.study.workspace import Workspace

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"

STUDY = """
title: hand-made
data: {layout: mssd, name: twin}
split: {how: by_session, test_fraction: 0.2, seed: 4}
baselines: [most_popular, sequential_rules]
models: [{input_form: [embedding], loss: [bpr]}]
evaluation: {max_test_events: LIMIT, lists: LISTS}
"""
TRAIN, VALIDATION = [[0, 1, 0], [0, 1, 2]], [[0, 2, 1, 1]]  # plays 4, 4, 2
TEST = [[0, 1, 3, 2], [4, 0, 0], [-1, 1], [2, 0, 1, 2, 0]]


class Worst:
    """Ranks every target last."""

    beyond_training = False

    def rank(self, sessions, n_candidates, chosen=None):
        return np.full(sessions.targets(chosen).sum(), n_candidates, np.int32)


def test_the_studys_rule_for_ties_is_the_one_used(place):
    """Plays 4, 4 and 2: the first two tie."""
    model, study = MostPopular().fit(prepared().train_and_validation, 3), place().study
    study = study.model_copy(update={"evaluation": study.evaluation.model_copy(update={"ties": "median"})})
    ranks = results.rank(model, prepared(), study)
    assert ranks["rank"].tolist() == [{0: 1.5, 1: 1.5, 2: 3}.get(target, NO_RANK) for target in ranks["target"]]


@pytest.fixture
def place(tmp_path):
    """Create the study's folders, with a limit on the number of targets."""

    def place(limit="null", lists=1000):
        (tmp_path / "config").mkdir(exist_ok=True)
        text = STUDY.replace("LIMIT", str(limit)).replace("LISTS", str(lists))
        (tmp_path / "config" / "made.yaml").write_text(text)
        return Workspace("made", root=tmp_path)

    return place


def prepared():
    parts = {n: Sessions.from_lists(s) for n, s in (("train", TRAIN), ("validation", VALIDATION), ("test", TEST))}
    items = pd.DataFrame({"item": list("abcde"), "plays": [4, 4, 2, 0, 0]})
    return Prepared(items, 3, **parts, test_events=pd.DataFrame(), features=None, counts=pd.DataFrame())


def test_all_targets_are_ranked_under_both_protocols(place):
    model = MostPopular().fit(prepared().train_and_validation, 3)
    ranks = results.rank(model, prepared(), place().study)
    assert ranks.to_dict("list") == {
        # Known: 3, 4 and -1 are removed, so 0 and 1 are the first events of the second and third session.
        "protocol": ["known"] * 7 + ["open"] * 10,
        "session": [0, 0, 1, 3, 3, 3, 3, 0, 0, 0, 1, 1, 2, 3, 3, 3, 3],
        "position": [2, 4, 3, 2, 3, 4, 5, 2, 3, 4, 2, 3, 2, 2, 3, 4, 5],
        "target": [1, 2, 0, 0, 1, 2, 0, 1, 3, 2, 0, 0, 1, 0, 1, 2, 0],
        "rank": [2, 3, 2, 2, 2, 3, 2, 2, NO_RANK, 3, 2, 2, 2, 2, 2, 3, 2],
        "n_candidates": [3] * 7 + [5] * 10,
    }


@pytest.mark.parametrize("limit", [1, 4, 9])
def test_a_limit_chooses_the_same_targets_for_every_model(place, limit):
    where = ["protocol", "session", "position", "target"]
    whole = results.rank(Worst(), prepared(), place().study)
    popular = results.rank(MostPopular().fit(prepared().train, 3), prepared(), place(limit).study)
    worst = results.rank(Worst(), prepared(), place(limit).study)
    assert popular[where].equals(worst[where])
    assert len(popular[popular["protocol"] == "open"]) == limit
    assert len(worst.merge(whole)) == len(worst)
    # The targets are chosen once; `known` has a part of them.
    known = popular[popular["protocol"] == "known"]
    chosen = popular[popular["protocol"] == "open"][["session", "position"]]
    kept = whole[whole["protocol"] == "known"].merge(chosen)
    assert known[["session", "position"]].to_numpy().tolist() == kept[["session", "position"]].to_numpy().tolist()


def test_the_choice_follows_the_splits_seed(place, tmp_path):
    chosen = []
    for seed in (4, 5, 6):
        study = place(4).study
        study = study.model_copy(update={"split": study.split.model_copy(update={"seed": seed})})
        chosen.append(results.rank(Worst(), prepared(), study)[["session", "position"]].to_numpy().tolist())
    assert any(other != chosen[0] for other in chosen[1:])


def test_a_limit_above_the_number_of_targets_changes_nothing(place):
    assert results.rank(Worst(), prepared(), place(10).study).equals(results.rank(Worst(), prepared(), place().study))


@pytest.mark.parametrize("refit", [[True, True], [True, False], [False, False]])
@pytest.mark.parametrize("ends", [None, np.array([5.0, 6.0, 7.0])])
def test_a_baseline_is_fitted_on_what_the_tested_networks_are_fitted_on(place, refit, ends, monkeypatch):
    here, seen = place(), []
    losses = {loss: {"refit": again} for loss, again in zip(("bpr", "top1"), refit, strict=True)}
    models = (here.study.models[0].model_copy(update={"loss": ("bpr", "top1")}),)
    here.study = here.study.model_copy(update={"losses": losses, "models": models})

    def fit(self, train, n_items, features=None, ends=None):
        seen.append((len(train), n_items, features, None if ends is None else ends.tolist()))
        return original(self, train, n_items, features, ends)

    original = MostPopular.fit
    monkeypatch.setattr(MostPopular, "fit", fit)
    baseline_runs.rank_baseline(MostPopular(), replace(prepared(), ends=ends), here)
    on_training, on_both = ((n, 3, None, None if ends is None else [5, 6, 7][:n]) for n in (2, 3))
    assert seen == ([on_training, on_both] if all(refit) else [on_training]), "first for validation"


def test_a_baseline_is_fitted_and_its_ranks_are_saved(place):
    here = place()
    table = baseline_runs.rank_baselines(prepared(), here)
    assert table.index.tolist() == ["most_popular"] * 2 + ["sequential_rules"] * 2
    assert table["n_targets"].tolist() == [7, 10, 7, 10]
    path = here.baseline_folder("most_popular") / "ranks.parquet"
    model = MostPopular().fit(prepared().train_and_validation, 3)
    assert pd.read_parquet(path).equals(results.rank(model, prepared(), here.study))
    lists = results.lists(model, prepared(), here.study)
    assert pd.read_parquet(path.with_name("lists.parquet")).equals(lists)
    assert sorted(p.name for p in path.parent.iterdir()) == ["lists.parquet", "ranks.parquet", "validation.csv"]
    assert baseline_runs.is_saved(path.parent)
    # Plays 3, 2 and 1 in training alone; the validation targets 2, 1 and 1 have the ranks 3, 2 and 2.
    expected = {"model": "most_popular", "validation_recall_at_20": 1, "validation_mrr_at_20": (1 / 3 + 1) / 3}
    assert baseline_runs.read_validation(here).iloc[0][[*expected]].tolist() == pytest.approx([*expected.values()])
    (path.parent / "validation.csv").unlink()
    assert not baseline_runs.is_saved(path.parent)
    with pytest.raises(FileNotFoundError, match="most_popular"):
        baseline_runs.read_validation(here)
    # Targets on the known side: ranks 2, 3, 2, 2, 2, 3, 2; by hand (5 / 2 + 2 / 3) / 7.
    assert table["mrr_at_20"].iloc[0] == pytest.approx((5 / 2 + 2 / 3) / 7)


def test_the_same_ranks_are_the_same_bytes(place, tmp_path):
    ranks = results.rank(Worst(), prepared(), place().study)
    for name in ("one", "two"):
        assert not results.is_saved(tmp_path / name)
        results.save(tmp_path / name, ranks, ranks.head(2))
        assert results.is_saved(tmp_path / name)
    for file in results.FILES:
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_lists_are_recommendations_at_the_targets_of_known(place):
    model = MostPopular().fit(prepared().train_and_validation, 3)
    lists = results.lists(model, prepared(), place().study)
    ranks = results.rank(model, prepared(), place().study)
    known = ranks.loc[ranks["protocol"] == "known", ["session", "position"]]
    # Three training tracks, so that a list has three places.
    assert lists[["session", "position"]].to_numpy().tolist() == np.repeat(known.to_numpy(), 3, axis=0).tolist()
    assert lists["place"].tolist() == [1, 2, 3] * 7
    assert lists["item"].tolist() == [0, 1, 2] * 7
    assert (lists.dtypes == np.int32).all()


@pytest.mark.parametrize(("limit", "n"), [("null", 3), (6, 2), (6, 1)])
def test_lists_of_a_random_choice_are_those_of_all_and_their_targets_are_ranked(place, limit, n):
    study = place(limit, n).study
    model = SequentialRules().fit(prepared().train_and_validation, 3)
    lists, whole = (results.lists(model, prepared(), one) for one in (study, place().study))
    assert len(lists.drop_duplicates(["session", "position"])) == n
    assert len(lists.merge(whole)) == len(lists)
    ranks = results.rank(model, prepared(), study)
    assert len(lists.merge(ranks[ranks["protocol"] == "known"], on=["session", "position"])) == len(lists)


def test_the_choice_of_lists_follows_the_splits_seed(place):
    model, chosen = MostPopular().fit(prepared().train, 3), set()
    for seed in (4, 5, 6, 7):
        study = place(lists=2).study
        study = study.model_copy(update={"split": study.split.model_copy(update={"seed": seed})})
        lists = results.lists(model, prepared(), study)
        chosen.add(tuple(map(tuple, lists[["session", "position"]].to_numpy().tolist())))
        assert lists.equals(results.lists(model, prepared(), study))
    assert len(chosen) > 1


def test_a_study_without_lists_has_no_rows(place):
    lists = results.lists(MostPopular().fit(prepared().train, 3), prepared(), place(lists="null").study)
    assert (len(lists), [*lists]) == (0, ["session", "position", "place", "item"])


@pytest.mark.parametrize("test", [[[3, 0, 4], [1]], [[-1, 4], [2, 3]]])
def test_a_test_without_a_target_of_known_raises(place, test):
    """Each session has at most one event on an item of training."""
    cold = replace(prepared(), test=Sessions.from_lists(test))
    with pytest.raises(DataError, match="no test session with two events on items of training"):
        baseline_runs.rank_baselines(cold, place())
    assert not place().runs.exists()


@pytest.mark.parametrize("notebook", ["02_preprocess", "03_train_gru4rec"])
def test_targets_are_checked_before_anything_is_trained(notebook):
    source = "".join(
        "".join(cell["source"]) for cell in json.loads((NOTEBOOKS / f"{notebook}.ipynb").read_text())["cells"]
    )
    assert 0 < source.find("check_targets(prepared, place.study)") < (source + "runs.train(").find("runs.train(")


def test_played_tracks_may_be_excluded(place):
    """Plays 4, 4 and 2; the targets of `known` are [1, 2], [0], and [0, 1, 2, 0] after 2."""
    study = place().study
    study = study.model_copy(update={"evaluation": study.evaluation.model_copy(update={"exclude_heard": True})})
    model = MostPopular().fit(prepared().train_and_validation, 3)
    ranks = results.rank(model, prepared(), study)
    known = ranks[ranks["protocol"] == "known"]
    assert known["target"].tolist() == [1, 2, 0, 0, 1, 2, 0]
    assert known["rank"].tolist() == [1, 1, NO_RANK, 2, 1, NO_RANK, NO_RANK]
    lists = results.lists(model, prepared(), study)
    assert not len(lists.merge(pd.DataFrame({"session": [0, 3], "position": [2, 2], "item": [0, 2]})))
    assert lists.query("session == 0 and position == 4")["item"].tolist() == [2]
