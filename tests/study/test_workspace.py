"""Paths of a study's files, and the inputs that a notebook run by hand creates."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from gru4rec_lib import __main__, cli
from gru4rec_lib.baselines import SequentialRules
from gru4rec_lib.config.study import ConfigError
from gru4rec_lib.preparation import prepare, readers
from gru4rec_lib.study import baseline_runs, ensure, results, runs
from gru4rec_lib.study.workflow import reproduce
from gru4rec_lib.study.workspace import Workspace
from gru4rec_lib.twin import simulate

MODELS = (
    "models: [{input_form: [embedding], loss: [bpr], tag: wide}]\nbaselines: [most_popular, sequential_rules]\nsplit: "
)
BY_SESSION = MODELS + "{how: by_session, test_fraction: 0.2}\n"
TWIN = BY_SESSION + "data: {layout: mssd, name: twin, simulate: {sessions: 10, log_dates: ['20180715', '20180827']}}\n"
OFFICIAL = BY_SESSION + "data: {layout: mssd, name: official}\n"
CLICKS = "data: {layout: events, name: clicks, events: ['day_*.tsv', 'more[1].tsv'], session: s, item: i, time: t"
TABLE = ", item_table: {file: items.tsv, item: i, numeric: [n]}}\n"


@pytest.fixture
def place(tmp_path):
    """Create a study of this text in a project's folder that is empty except for the named files."""

    def place(text, *files, data=""):
        for file in ("config/made.yaml", *files):
            (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / file).touch()
        (tmp_path / "config" / "made.yaml").write_text(f"title: hand-made\n{text}")
        return Workspace("made", data, tmp_path)

    return place


def names(place):
    return [str(path.relative_to(place.raw)) for path in place.raw_files()]


def test_paths_of_a_study(place, tmp_path):
    here = place(TWIN)
    run = here.study.runs[0]
    told = [here.raw, here.prepared, here.runs, here.tables, here.figures, here.published_figures]
    told += [here.published_reports, here.record("01"), here.run_folder(run), here.baseline_folder("most_popular")]
    told += [here.blend_folder("blend-long", 3)]
    assert [str(path.relative_to(tmp_path)) for path in told] == [
        *("data/raw/twin", "data/prepared/made", "runs/made", "runs/made/tables", "runs/made/figures", "figures/made"),
        *("reports/made", "runs/made/records/01.json", "runs/made/gru4rec/embedding-bpr-wide-seed1"),
        "runs/made/baselines/most_popular",
        "runs/made/blends/blend-long-seed3",
    ]


def test_simulated_files_are_named_so_in_every_study(place, tmp_path):
    """The record is in the folder of the files, so any study that reads simulated files is labelled."""
    files = tmp_path / "files"
    files.mkdir()
    for text in (OFFICIAL, TWIN):
        assert (place(text, data=files).note, place(text, data=files).title) == ("", "hand-made")
    (files / "simulated.json").touch()
    here = place(OFFICIAL, data=files)
    assert (here.note, here.title) == ("simulated data", "hand-made (simulated)")


def test_a_study_may_be_in_any_folder(place, tmp_path):
    place(TWIN)
    here = Workspace(str(tmp_path / "config" / "made.yaml"))
    assert (here.study.name, here.root) == ("made", Path(__file__).resolve().parents[2])


def test_the_data_folder_may_be_named(place, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert place(OFFICIAL, data="~/music").raw == tmp_path / "music"
    monkeypatch.chdir(tmp_path)
    assert place(OFFICIAL, data="here").raw == tmp_path / "here"


def test_simulated_files_are_listed_before_they_exist(place):
    here = place(TWIN)
    assert here.simulates
    known = here.raw_files()
    assert len(known) == 4
    simulate.simulate(here.raw, **here.study.data.simulate.model_dump())
    assert sorted(path for path in here.raw.rglob("*") if path.is_file()) == sorted(known)


def test_a_curve_is_the_study_at_each_setting_in_separate_folders(place, tmp_path):
    here = place(TWIN + "content_signal: [0, 0.5, 1]\n")
    assert list(here.variants()) == [0, 0.5, 1]
    assert here.variants()[0.5] is here
    folders = [
        [str(p.relative_to(tmp_path)) for p in (at.raw, at.prepared, at.runs)] for at in here.variants().values()
    ]
    assert folders == [
        ["data/raw/twin@0", "data/prepared/made@0", "runs/made@0"],
        ["data/raw/twin", "data/prepared/made", "runs/made"],
        ["data/raw/twin@1", "data/prepared/made@1", "runs/made@1"],
    ]
    assert here.variants()[1].simulates
    assert here.variants()[1].variants() == place(TWIN).variants() == {}


@pytest.mark.parametrize("brought", [False, True])
def test_the_windows_of_a_study_share_its_raw_files(place, tmp_path, brought):
    windows = MODELS + "{how: by_time, train_days: 3, test_days: 1}\n" + CLICKS + "}\n"
    here = place(windows + "windows: 2\n", **({"data": tmp_path / "x"} if brought else {}))
    assert here.variants("content_signal") == {}
    one, two = here.variants("windows").values()
    assert one is here
    assert two.raw == here.raw
    assert (two.runs.name, two.prepared.name, two.study.split.window) == ("made@2", "made@2", 2)
    assert two.variants() == {}


def test_files_of_the_user_have_one_setting_at_most(place, tmp_path):
    assert place(TWIN + "content_signal: [0, 0.5]\n", data=tmp_path / "x").variants() == {}


def test_files_of_the_user_are_those_that_are_read(place, tmp_path):
    files = ["x/log_a.csv.gz", "x/y/log_b.csv", "x/tf_a.csv", "x/tf_b.csv.gz", "x/note.txt", "x/log_c.zip"]
    here = place(TWIN, *files, data=tmp_path / "x")
    assert not here.simulates
    assert names(here) == ["log_a.csv.gz", "tf_a.csv", "tf_b.csv.gz", "y/log_b.csv"]
    listed = place(OFFICIAL.replace("by_session, test_fraction: 0.2", "listed, test: t.csv"), "x/t.csv", data=here.raw)
    assert "t.csv" in names(listed)


def test_the_tables_that_are_read_have_their_patterns_and_names(place, tmp_path):
    files = ["x/day_1.tsv", "x/day_2.tsv", "x/night.tsv", "x/more[1].tsv", "x/more1.tsv", "x/items.tsv", "x/t.csv"]
    text = MODELS + "{how: listed, test: t.csv}\n" + CLICKS
    assert names(place(text + TABLE, *files, data=tmp_path / "x")) == [
        *("day_1.tsv", "day_2.tsv", "items.tsv", "more[1].tsv", "t.csv")
    ]
    assert "items.tsv" not in names(place(text + "}\n", data=tmp_path / "x"))
    elsewhere = place(text.replace("t.csv", f"{tmp_path}/test.csv") + "}\n", data=tmp_path / "x")
    assert tmp_path / "test.csv" in elsewhere.raw_files()


# Two studies of one file name


@pytest.fixture
def study(tmp_path):
    """Write a study's file below the project's folder."""

    def study(name, text=TWIN):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"title: {name}\n{text}")
        return Workspace(str(path), root=tmp_path)

    return study


def refused(place, told):
    """Check that the study is refused and that nothing is written."""
    before = sorted(place.root.rglob("*"))
    for write in (
        place.refuse_if_taken,
        place.claim,
        lambda: ensure.need_raw(place),
        lambda: ensure.need_prepared(place),
    ):
        with pytest.raises(ConfigError) as caught:
            write()
        assert str(caught.value) == told
    assert sorted(place.root.rglob("*")) == before


BOTH = "both studies would write to runs/{0}, reports/{0} and figures/{0}; rename one of the two files"


def test_a_second_study_of_one_file_name_is_refused(study):
    first, second = study("a/study.yaml"), study("b/study.yaml")
    first.claim()
    has = "runs/study holds the results of a/study.yaml, a study of the same name; rename one of the two files"
    refused(second, f"b/study.yaml: {has}")
    first.claim()
    refused(study("config/study.yaml"), f"config/study.yaml: {has}")


@pytest.mark.parametrize("name", ["other/paper.yaml", "other/paper.yml", "other/Paper.yaml", "config/PAPER.yaml"])
def test_a_study_of_the_name_of_one_in_config_is_refused_at_once(study, name):
    study("config/paper.yaml").claim()
    place = study(name)
    refused(place, f"{name}: config/paper.yaml has the same name, and {BOTH.format(place.study.name)}")


def test_one_claim_covers_all_settings_of_a_curve(study, tmp_path):
    curve = TWIN + "content_signal: [0, 0.5]\n"
    study("a/study.yaml", curve).variants()[0].claim()
    study("b/study.yaml", curve)
    for setting in ("", "@0"):
        with pytest.raises(ConfigError, match=r"b/study\.yaml: runs/study holds the results of a/study\.yaml"):
            Workspace(f"{tmp_path}/b/study.yaml{setting}", root=tmp_path).claim()


def test_links_to_one_file_are_one_study(study, tmp_path, monkeypatch):
    study("a/study.yaml").claim()
    (tmp_path / "link").symlink_to("a")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "study.yaml").symlink_to("../a/study.yaml")
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "study.yaml").symlink_to("../a/study.yaml")
    monkeypatch.chdir(tmp_path / "a")
    for given in ("study.yaml", "../a/study.yaml", "../link/study.yaml", "../b/study.yaml", "study"):
        Workspace(given, root=tmp_path).claim()


def test_a_moved_study_file_keeps_its_results_and_prints_it(study, tmp_path, capsys):
    study("a/study.yaml").claim()
    (tmp_path / "b").mkdir()
    (tmp_path / "a" / "study.yaml").rename(tmp_path / "b" / "study.yaml")
    moved = Workspace(str(tmp_path / "b" / "study.yaml"), root=tmp_path)
    for told in ("a/study.yaml no longer exists: its results in runs/study are now those of b/study.yaml\n", ""):
        moved.claim()
        assert capsys.readouterr().out == told
    with pytest.raises(ConfigError, match=r"runs/study holds the results of b/study\.yaml"):
        study("a/study.yaml").claim()


def test_the_project_may_be_moved(study, tmp_path, capsys):
    study("project/a/study.yaml")
    Workspace(f"{tmp_path}/project/a/study.yaml", root=tmp_path / "project").claim()
    (tmp_path / "project").rename(tmp_path / "moved")
    Workspace(f"{tmp_path}/moved/a/study.yaml", root=tmp_path / "moved").claim()
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("name", ["config/bench.yaml", "mine/Bench.yaml", "mine/lab.yaml"])
def test_a_study_may_not_have_the_name_of_a_folder_of_another_purpose(study, name):
    place = study(name)
    folder = f"a folder `{place.study.name}` has another purpose in runs/, reports/ or figures/"
    refused(place, f"{name}: {folder}; rename the study's file")


WRITING = ["paper", "publish", "figures", "search", "reproduce", "shard --step index"]


@pytest.mark.parametrize("command", WRITING)
def test_every_command_that_writes_is_refused(study, tmp_path, monkeypatch, capsys, command):
    study("config/paper.yaml")
    path = study("other/paper.yaml").file
    monkeypatch.setattr(cli, "Workspace", lambda *given, **named: Workspace(*given, root=tmp_path, **named))
    monkeypatch.setattr(reproduce.main, "__defaults__", (tmp_path,))
    before = sorted(tmp_path.rglob("*"))
    assert __main__.main([*command.split(), "--study", str(path)]) == 2
    told = f"other/paper.yaml: config/paper.yaml has the same name, and {BOTH.format('paper')}\n"
    assert capsys.readouterr().err == told
    assert sorted(tmp_path.rglob("*")) == before


def test_an_unknown_study_raises(tmp_path):
    with pytest.raises(ConfigError, match="there is no such study"):
        Workspace("nothing", root=tmp_path)


@pytest.fixture
def asked(monkeypatch):
    """Record the calls of `ensure` in order; only empty folders and ranks are created."""
    calls = []

    def call(module, name, answer=None):
        monkeypatch.setattr(module, name, lambda *given, **_: calls.append((name, given)) or answer)

    class Arrays:
        def save(self, folder, made_with):
            calls.append(("save", (folder,)))

    class Trained:
        model = "a model"

    call(simulate, "simulate")
    call(readers, "read", SimpleNamespace(warnings=()))
    call(prepare, "prepare", Arrays())
    monkeypatch.setattr(prepare, "check_targets", lambda *_: None)
    call(prepare.Prepared, "load", "arrays")
    call(runs, "train", Trained())
    call(runs, "save")
    call(results, "rank")
    call(results, "lists")
    call(baseline_runs, "rank_baseline")
    return calls


def steps(asked):
    return [name for name, _ in asked]


def test_a_notebook_creates_missing_inputs_and_prints_it(place, asked, capsys):
    here = place(TWIN)
    ensure.need_runs(here)
    baselines = ["rank_baseline"] * 2
    assert steps(asked) == ["simulate", "read", "prepare", "save", "load", "train", "rank", "lists", "save", *baselines]
    assert asked[3] == ("save", (here.prepared,))
    assert [line.split(" in ")[0] for line in capsys.readouterr().out.splitlines()] == [
        "no raw files",
        "no arrays",
        "no ranks and lists",
    ]


def test_existing_inputs_are_not_created_again(place, asked, capsys):
    baseline = [f"runs/made/baselines/most_popular/{name}" for name in (*results.FILES, "validation.csv")]
    here = place(
        TWIN, "data/prepared/made/prepared.json", *baseline, "runs/made/baselines/sequential_rules/ranks.parquet"
    )
    settings = prepare.settings(here.study)
    (here.prepared / "prepared.json").write_text(json.dumps({"settings": settings}))
    folder = here.run_folder(here.study.runs[0])
    folder.mkdir(parents=True)
    for name in results.FILES:
        (folder / name).touch()
    ensure.need_runs(here)
    assert [(name, given[0]) for name, given in asked if name != "load"] == [("rank_baseline", SequentialRules())]
    assert capsys.readouterr().out == ""
    # Arrays of another split are prepared again.
    asked.clear()
    (here.prepared / "prepared.json").write_text(json.dumps({"settings": settings | {"split": {}}}))
    ensure.need_prepared(here)
    assert steps(asked)[-3:] == ["read", "prepare", "save"]


def test_models_are_trained_only_where_there_is_none(place, asked):
    here = place(TWIN)
    ensure.need_models(here)
    assert steps(asked).count("train") == 1
    asked.clear()
    folder = here.runs / "gru4rec" / "one_of_a_users_own"
    folder.mkdir(parents=True)
    cell = {"input_form": "content", "output_form": "ids", "loss": "bpr", "seed": 1, "tag": "custom", "best_epoch": 1}
    (folder / "config.json").write_text(json.dumps(cell))
    (folder / "history.csv").write_text("epoch,val_recall_at_20,val_mrr_at_20\n1,0.1,0.1\n")
    (folder / "ranks.parquet").touch()
    ensure.need_models(here)
    assert "train" not in steps(asked)


def test_missing_inputs_at_other_settings_are_created(place, asked):
    ensure.need_runs(place(TWIN + "content_signal: [0, 0.5]\n"))
    assert [given[0].name for name, given in asked if name == "simulate"] == ["twin@0", "twin"]
    assert steps(asked).count("train") == 2


def test_an_interrupted_simulation_is_repeated(place, asked):
    here = place(TWIN, "data/raw/twin/training_set/log_0_20180715_000000000000.csv.gz")
    ensure.need_raw(here)
    assert steps(asked) == ["simulate"]
    asked.clear()
    for path in here.raw_files():
        path.parent.mkdir(exist_ok=True)
        path.touch()
    ensure.need_raw(here)
    assert asked == []


@pytest.mark.parametrize(("text", "data"), [(OFFICIAL, ""), (TWIN, "misspelt")])
def test_nothing_is_simulated_into_a_given_folder(place, asked, tmp_path, text, data):
    here = place(text, data=data and tmp_path / data)
    with pytest.raises(readers.DataError) as caught:
        ensure.need_raw(here)
    told = "there is no such folder; put the raw files there (data/README.md), or set `data`"
    assert str(caught.value) == f"{here.raw}: {told}"
    assert asked == []
    here.raw.mkdir(parents=True)
    ensure.need_raw(here)
    assert asked == []
