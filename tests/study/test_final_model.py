"""The run that validation chose, trained on all sessions and saved with a card; and lists by the command line."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest

from gru4rec_lib.__main__ import main
from gru4rec_lib.baselines import STAN
from gru4rec_lib.config.study import ConfigError
from gru4rec_lib.preparation.prepare import prepare
from gru4rec_lib.preparation.readers import read
from gru4rec_lib.serving.recommender import Recommender
from gru4rec_lib.study import baseline_runs, blend_runs, final_model, recommend, results, runs
from gru4rec_lib.study.tables import lead
from gru4rec_lib.study.workspace import Workspace

STUDY = """
title: songs
data:
  layout: events
  name: songs
  events: [plays.csv]
  session: session
  item: item
  time: time
  label: {artist: artist, title: title}
  label_features: [artist]
  item_table: {file: songs.csv, item: item, numeric: [tempo]}
split: {how: by_time, test_fraction: 0.2}
training: {hidden_units: 4, batch_size: 4, samples: 8, max_epochs: 3, jit: false}
features: {speed: [tempo]}
models:
  - {input_form: [shared], output_form: [hybrid], loss: [cross_entropy]}
  - {input_form: [content], output_form: [hybrid], loss: [cross_entropy], features: [speed]}
baselines: [most_popular, {stan: {tag: long, time_decay: 100}}]
blends: [{of: [stan-long]}]
"""
SONGS = [f"s{n}" for n in range(8)]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A study with two finished runs; the song `late` is in the last session alone, which is of the test."""
    root = tmp_path_factory.mktemp("root")
    (root / "config").mkdir()
    (root / "config" / "songs.yaml").write_text(STUDY)
    (root / "raw").mkdir()
    rows = [(f"u{n}", SONGS[(n + step) % 8], 10**9 + 3600 * n + step) for n in range(40) for step in range(3)]
    rows += [("last", item, 2 * 10**9 + step) for step, item in enumerate(["late", "s1"])] + [("alone", "s2", 10**9)]
    plays = pd.DataFrame(rows, columns=["session", "item", "time"])
    plays["artist"] = plays["item"].map(lambda item: "Nobody" if item == "late" else f"Artist {int(item[1:]) % 3}")
    plays["title"] = "Song " + plays["item"].str.upper()
    plays.to_csv(root / "raw" / "plays.csv", index=False)
    tempo = pd.DataFrame({"item": [*SONGS, "late", "never"], "tempo": np.arange(10) / 2})
    tempo.to_csv(root / "raw" / "songs.csv", index=False)
    place = Workspace(str(root / "config" / "songs.yaml"), root / "raw", root=root)
    prepared = prepare(read(place.study.data, place.raw, place.study.split), place.study.split, place.raw)
    for run, best in zip(place.study.runs, (1, 2), strict=True):
        trained = runs.train(run, prepared)
        recalls = [0.1, 0.1, 0.1]
        recalls[best] = 0.1 * best  # content has the highest score, after its third epoch
        history = trained.history.assign(val_recall_at_20=recalls[: len(trained.history)], val_mrr_at_20=0.05)
        trained = runs.Trained(trained.model, history, best + 1, trained.minutes, trained.seconds)
        ranks, lists = (of(trained.model, prepared, place.study) for of in (results.rank, results.lists))
        runs.save(place.run_folder(run), run, trained, ranks, lists, prepared)
    return place


@pytest.fixture(scope="module")
def folder(place):
    """The final model of the study."""
    final_model.fit(place, place.root / "model")
    return place.root / "model"


@pytest.mark.slow
def test_the_best_run_is_trained_on_all_sessions(place, folder):
    one = Recommender.load(folder)
    assert (one.config["input_form"], one.config["output_form"]) == ("content", "hybrid")
    assert one.config["training"]["max_epochs"] == 3
    assert {*one.items} == {*SONGS, "late", "never"}
    assert one.model.n_items == 9, "`late` is of the test, `never` has features alone"
    plays = pd.read_csv(place.raw / "plays.csv").query("session != 'alone'")["item"].value_counts()
    assert dict(zip(one.items, one.model.scorer.plays.numpy(), strict=False)) == plays.to_dict()
    assert one.find("Nobody - Song LATE") == "late"
    assert one.features.fitted["numeric"] == ["tempo"]
    assert one.features.categories == {}, "the run does not use the artist"
    assert one.features.numeric[: one.model.n_items].mean() == pytest.approx(0, abs=1e-6)


@pytest.mark.slow
def test_the_card_has_counts_dates_and_test_scores(place, folder):
    card = json.loads((folder / "card.json").read_text())
    counts = {"sessions": 41, "events": 122, "items": 9, "items_without_plays": 1, "epochs": 3}
    assert {name: card[name] for name in counts} == counts
    assert card["first_and_last_event"] == ["2001-09-09T01:46:40", "2033-05-18T03:33:21"]
    assert (card["validation_recall_at_20"], card["validation_mrr_at_20"]) == pytest.approx((0.2, 0.05))
    assert [(one["protocol"], one["score"]) for one in card["test"]] == [
        (protocol, score) for protocol in ("known", "open") for score in ("recall_at_20", "mrr_at_20")
    ]
    assert all(one["low"] <= one["value"] <= one["high"] for one in card["test"])
    text = (folder / "README.md").read_text()
    assert text.startswith("# songs: content-to_hybrid-cross_entropy-speed-seed1\n")
    assert all(len(line) <= 120 or line.startswith("|") for line in text.splitlines())
    again = Recommender.load(folder)
    again.save(folder)
    assert not (folder / "card.json").exists(), "a model that is saved again has no card"
    final_model.fit(place, folder)


@pytest.mark.slow
def test_a_baseline_or_a_blend_is_fitted_to_all_sessions_too(place, tmp_path, monkeypatch):
    shutil.copytree(place.root, tmp_path, dirs_exist_ok=True)
    place = Workspace(str(tmp_path / "config" / "songs.yaml"), tmp_path / "raw", root=tmp_path)
    prepared = prepare(read(place.study.data, place.raw, place.study.split), place.study.split, place.raw)
    baseline_runs.rank_baselines(prepared, place)
    blend_runs.rank_blends(prepared, place)
    found = final_model.finished_models(place)
    names = ["content-to_hybrid-cross_entropy-speed-seed1", "shared-to_hybrid-cross_entropy-seed1"]
    assert found["kind"].to_dict() == dict.fromkeys(names, "network") | {
        "most_popular": "baseline",
        "stan-long": "baseline",
        "blend-seed1": "blend",
    }
    one = final_model.fit(place, tmp_path / "model", "stan-long")
    assert one.config == {"baseline": "stan", "settings": {**STAN(tag="long", time_decay=100).model_dump(mode="json")}}
    of = Recommender.of(STAN(time_decay=100), pd.read_csv(place.raw / "plays.csv"))
    lists = [made.recommend(["s1", "s2"], 3)["item"].tolist() for made in (one, of)]
    assert lists[0] == lists[1] == ["s1", "late", "s2"], "only the newest session counts: the others are decades older"
    card = json.loads((tmp_path / "model" / "card.json").read_text())
    assert (card["kind"], card["epochs"], card["items"]) == ("baseline", None, 9)
    assert card["validation_recall_at_20"] == found.loc["stan-long", "validation_recall_at_20"]
    one = final_model.fit(place, tmp_path / "model", "blend-seed1")
    record = json.loads((place.blend_folder("blend", 1) / "blend.json").read_text())
    assert one.config["blend"]["weights"] == record["weights"]
    assert one.model.n_scored == (10 if record["weights"]["gru4rec"] else 9)
    assert one.model.parts.n_items == 9
    final_model.fit(place, tmp_path / "model")
    assert json.loads((tmp_path / "model" / "card.json").read_text())["model"] == lead(found).idxmax()
    low = found.assign(
        validation_recall_at_20=[0.4, 0.39, 0.1, 0.1, 0.1], validation_mrr_at_20=[0.1, 0.2, 0.1, 0.1, 0.1]
    )
    monkeypatch.setattr(final_model, "finished_models", lambda _: low)
    final_model.fit(place, tmp_path / "model")
    chosen = json.loads((tmp_path / "model" / "card.json").read_text())["model"]
    assert chosen == low.index[1], "nearly the best recall, and twice the MRR"
    monkeypatch.undo()
    with pytest.raises(ConfigError, match="songs: no finished model is called `stan`; name content-to_hybrid"):
        final_model.fit(place, tmp_path / "model", "stan")


@pytest.mark.slow
def test_a_study_without_a_finished_run_is_an_error(place, tmp_path):
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "songs.yaml").write_text(STUDY)
    empty = Workspace(str(tmp_path / "config" / "songs.yaml"), place.raw, root=tmp_path)
    with pytest.raises(ConfigError, match="songs: no run is finished; first: make reproduce STUDY="):
        final_model.fit(empty, tmp_path / "model")


@pytest.mark.slow
def test_a_session_of_names_is_recommended_for(folder, capsys, tmp_path):
    words = ["recommend", "--model", str(folder), "--session", "Artist 1 - Song S1", "s2", "--k", "3"]
    assert main(words) == 0
    expected = Recommender.load(folder).recommend(["s1", "s2"], 3)
    assert capsys.readouterr().out == expected.to_string(index=False) + "\n"
    out = tmp_path / "next.m3u"
    assert main([*words, "--exclude-heard", "--at-most", "artist=1", "--out", str(out)]) == 0
    found = Recommender.load(folder).recommend(["s1", "s2"], 3, exclude_heard=True, at_most={"artist": 1})
    assert out.read_text().splitlines() == ["#EXTM3U"] + [
        line for row in found.itertuples() for line in (f"#EXTINF:-1,{row.artist} - {row.title}", row.item)
    ]


@pytest.mark.slow
def test_the_sessions_of_a_table_are_recommended_for(folder, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    table = pd.DataFrame({"session": [*"yyxz"], "item": ["s1", "?", "s3", "?"], "time": range(4)})
    table.to_csv("plays.csv", index=False)
    command = ["recommend", "--model", str(folder), "--from", "plays.csv", "--k", "2", "--out"]
    assert main([*command, "lists.csv"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said == [
        "warning: the model does not know the items of 2 of 4 events; skipped",
        "written: lists.csv (6 rows)",
    ]
    lists = pd.read_csv("lists.csv")
    assert lists.columns.tolist() == ["session", "item", "artist", "title", "score", "source"]
    assert lists["session"].tolist() == [*"yyxxzz"]
    assert lists["item"].tolist()[:2] == Recommender.load(folder).recommend(["s1"], 2)["item"].tolist()
    assert lists["source"].tolist() == ["model"] * 4 + ["popularity: no known item"] * 2
    assert main([*command, "lists.json"]) == 0
    assert pd.DataFrame(json.loads((tmp_path / "lists.json").read_text()))["item"].tolist() == lists["item"].tolist()
    assert {path.name for path in tmp_path.iterdir()} == {"plays.csv", "lists.csv", "lists.json"}


def test_a_table_with_items_unknown_to_a_model_of_whole_numbers(tmp_path, capsys):
    """The reader's warnings are printed too."""
    big = 2**53 + 1  # not a float64
    events = pd.DataFrame({"session": [1, 1, 2, 2, 2], "item": [1, big, 1, big, 3], "time": range(5)})
    model = Recommender.of(STAN(), events)
    model.save(tmp_path / "model")
    asked = pd.DataFrame({"session": [*"aab"], "item": [999, big, 998], "time": [2014, 2015, 2014]})
    asked.to_csv(tmp_path / "asked.csv", index=False)
    lists = tmp_path / "lists.csv"
    words = ["--from", str(tmp_path / "asked.csv"), "--k", "2", "--out", str(lists)]
    assert main(["recommend", "--model", str(tmp_path / "model"), *words]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("warning: asked.csv, column `time`: `2014` looks like the year 2014")
    assert said[1] == "warning: the model does not know the items of 2 of 3 events; skipped"
    found = pd.read_csv(lists)
    assert found["item"].tolist()[:2] == model.recommend([big], 2)["item"].tolist()
    assert found["source"].tolist()[2:] == ["popularity: no known item"] * 2


def test_all_sessions_are_in_order_of_time_as_in_the_study(place, tmp_path):
    """A file may have the newest first, and `shuffle: false` keeps the order of the sessions."""
    shutil.copytree(place.raw, tmp_path / "raw")
    plays = pd.read_csv(place.raw / "plays.csv")
    plays.iloc[::-1].to_csv(tmp_path / "raw" / "plays.csv", index=False)
    expected = final_model._everything(place)
    found = final_model._everything(Workspace(place.given, tmp_path / "raw", root=place.root))
    assert found.ends.tolist() == expected.ends.tolist() == sorted(expected.ends)
    for both in (found, expected):
        listed = [both.items["item"].to_numpy()[items].tolist() for items in both.sessions]
        assert listed[0] == ["s0", "s1", "s2"]
        assert listed[-1] == ["late", "s1"]
        assert len(listed) == 41


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--session", "Song"], "no item is called `Song`; give an id or a name such as"),
        (["--session", "Artist 1"], "`Artist 1` may be 3 items: "),
        (["--session", "s1", "--k", "99"], "k is 99; it can be 1 to 10"),
        (
            ["--session", "s1", "--k", "2", "--at-most", "genre=1"],
            "at_most: there is no label 'genre'; name one of artist, title",
        ),
        (["--session", "s1", "--at-most", "artist"], "--at-most: `artist` is no label with a number; write it as"),
        (["--session", "s1", "--out", "lists.txt"], "--out: lists.txt should end in .csv, .json, .m3u; rename it"),
        (["--session", "s1", "--out", "no/lists.csv"], "--out: there is no folder no; make it or name another"),
        (["--from", "plays.csv"], "--out: the lists of a table need a file; name one that ends in .csv or .json"),
        (["--from", "plays.csv", "--out", "l.m3u"], "--out: a playlist is of one session, but plays.csv has 2; name"),
        (["--from", "others.csv", "--out", "l.csv"], "others.csv: the model knows none of its items; name the table"),
        (["--from", "bad.csv", "--out", "l.csv"], "bad.csv, line 1: no column is known as the session"),
        (["--from", "none.csv", "--out", "l.csv"], "none.csv"),
    ],
)
def test_a_wrong_command_is_one_sentence_and_writes_nothing(folder, capsys, tmp_path, monkeypatch, words, sentence):
    monkeypatch.chdir(tmp_path)
    tables = {"plays.csv": "session,item,time\n1,s1,1\n2,s2,2\n", "others.csv": "session,item,time\n1,x,1\n"}
    tables["bad.csv"] = "a,item,time\n1,s1,1\n"
    for name, text in tables.items():
        (tmp_path / name).write_text(text)
    assert main(["recommend", "--model", str(folder), *words]) == 2
    said = capsys.readouterr()
    assert said.err.startswith(sentence)
    assert said.err.count("\n") == 1
    assert {path.name for path in tmp_path.iterdir()} == {*tables}


def test_a_list_that_cannot_be_written_leaves_the_former_file(tmp_path):
    path = tmp_path / "lists.csv"
    path.write_text("before")

    class Broken(pd.DataFrame):
        def to_csv(self, file, **_):
            file.write_text("half")
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        recommend.write(Broken({"item": ["a"]}), path)
    assert [one.read_text() for one in tmp_path.iterdir()] == ["before"]


def test_session_ids_of_a_table_that_several_users_have_are_different_sessions(tmp_path):
    (tmp_path / "e.csv").write_text("user,session,item,time\nx,1,a,1\ny,1,b,2\nx,1,c,3\n")
    events, _ = recommend.read_events(tmp_path / "e.csv")
    assert events.groupby("session")["item"].agg("".join).to_dict() == {"x | 1": "ac", "y | 1": "b"}
