"""Preparing log by log equals preparing all logs at once; errors and reports; the rules of the graph."""

import shutil
import sys

import numpy as np
import pandas as pd
import pytest
from project_copy import copy_of_the_project, run

from gru4rec_lib.preparation import prepare, readers, sharded
from gru4rec_lib.preparation.readers import DataError
from gru4rec_lib.study.workspace import Workspace
from gru4rec_lib.twin import simulate

pytestmark = pytest.mark.slow

DATES = [f"201807{day}" for day in range(15, 27)]
STUDY = """
title: many logs
data: {layout: mssd, name: many, shards: true}
split: {how: by_file, test: "*2018072[56]*", validation_fraction: 0.2}
models: [{input_form: [embedding, content], loss: [bpr]}]
"""


@pytest.fixture(scope="module")
def logs(tmp_path_factory):
    """Twelve logs of 25 sessions each, two of them for the test; one session in each of two logs has a single event."""
    folder = tmp_path_factory.mktemp("logs")
    simulate.simulate(folder, sessions=25, log_dates=DATES)
    for path in folder.glob("**/log_[05]_*"):
        log = pd.read_csv(path, dtype=str)
        first = log["session_id"] == log["session_id"].iloc[0]
        log.loc[first, "session_length"] = "1"
        log[~first | (log["session_position"] == "1")].to_csv(path, index=False)
    return folder


@pytest.fixture
def place(tmp_path, logs):
    """A study of these logs; no step has run yet."""
    (tmp_path / "many.yaml").write_text(STUDY)
    return Workspace(str(tmp_path / "many.yaml"), logs, root=tmp_path)


def at_once(place):
    return prepare.prepare(readers.read(place.study.data, place.raw), place.study.split, place.raw)


def plain(table):
    """Drop the order of categories and the unit of dates, which files do not keep and nothing uses."""
    return table.astype(dict.fromkeys(table.select_dtypes(["category", "datetime"]), "str"))


def assert_the_same(found, wanted):
    for part in ("train", "validation", "test"):
        for array in ("items", "offsets"):
            one, other = (getattr(getattr(prepared, part), array) for prepared in (found, wanted))
            assert one.dtype == other.dtype
            np.testing.assert_array_equal(one, other)
    assert found.n_items == wanted.n_items
    pd.testing.assert_frame_equal(found.items, wanted.items)
    pd.testing.assert_frame_equal(plain(found.test_events), plain(wanted.test_events))
    np.testing.assert_array_equal(found.features.numeric, wanted.features.numeric)
    assert found.features.fitted == wanted.features.fitted
    assert found.counts.to_numpy().tolist() == wanted.counts.to_numpy().tolist()
    assert found.ends is wanted.ends is None


def test_preparing_log_by_log_equals_preparing_all_at_once(place):
    found = sharded.of_study(place.raw_data)
    assert len(sharded.logs(place.raw_data)) == 12
    assert_the_same(found, at_once(place))
    assert (found.items["plays"] == 0).any(), "some candidates are unseen in training"
    found.save(place.prepared, prepare.settings(place.study))
    loaded = prepare.Prepared.load(place.prepared)
    assert_the_same(loaded, found)
    assert sharded.problems(place.raw_data).empty


def test_bad_rows_are_dropped_log_by_log_and_reported(place, logs, tmp_path):
    folder = shutil.copytree(logs, tmp_path / "bad")
    path = next(folder.glob("**/log_3_*"))
    log = pd.read_csv(path, dtype=str)
    log.loc[30, "hour_of_day"] = "noon"
    log.to_csv(path, index=False)
    with pytest.raises(DataError, match=r"log_3_20180718_000000000000.csv.gz, line 32, column `hour_of_day`"):
        sharded.of_study(Workspace(str(tmp_path / "many.yaml"), folder, root=tmp_path).raw_data)
    (tmp_path / "many.yaml").write_text(STUDY.replace("shards: true", "shards: true, on_bad_rows: drop"))
    lenient = Workspace(str(tmp_path / "many.yaml"), folder, root=tmp_path)
    found, wanted = sharded.of_study(lenient.raw_data), at_once(lenient)
    dropped = len(log[log["session_id"] == log.loc[30, "session_id"]])
    assert len(sharded.problems(lenient.raw_data)) == dropped
    assert found.counts["step"].tolist() == wanted.counts["step"].tolist()
    assert f"bad rows dropped ({dropped})" in found.counts["step"].tolist()
    np.testing.assert_array_equal(found.train.items, wanted.train.items)


def test_a_session_in_two_logs_is_an_error(place, logs, tmp_path):
    folder = shutil.copytree(logs, tmp_path / "twice")
    one, other = (next(folder.glob(f"**/log_{n}_*")) for n in (1, 4))
    shutil.copyfile(one, other)
    with pytest.raises(
        DataError, match=r"log_4_20180719\S*, column `session_id`: session `\S+` is in training_set/log_1_20180716"
    ):
        sharded.of_study(Workspace(str(tmp_path / "many.yaml"), folder, root=tmp_path).raw_data)


@pytest.mark.parametrize("column", ["session_id", "track_id_clean"])
def test_an_id_in_two_forms_in_two_logs_is_an_error(place, logs, tmp_path, column):
    folder = shutil.copytree(logs, tmp_path / "forms")
    for number, form in ((1, "12"), (4, "12.0")):
        path = next(folder.glob(f"**/log_{number}_*"))
        log = pd.read_csv(path, dtype=str)
        log.replace({column: {log[column][0]: form}}).to_csv(path, index=False)
    message = rf"log_4_\S+, column `{column}`: `12\.0` is `12` in (training_set/)?log_1_\S+; write it in one way"
    with pytest.raises(DataError, match=message):
        sharded.of_study(Workspace(str(tmp_path / "many.yaml"), folder, root=tmp_path).raw_data)


def test_two_logs_of_the_same_name_are_an_error(place, logs, tmp_path):
    folder = shutil.copytree(logs, tmp_path / "folder")
    path = next(folder.glob("**/log_1_*"))
    shutil.copyfile(path, folder / path.name)
    with pytest.raises(DataError, match=r"has the name of .*; rename one of them"):
        sharded.logs(Workspace(str(tmp_path / "many.yaml"), folder, root=tmp_path).raw_data)


@pytest.mark.parametrize(("test", "side"), [("*2017*", "test session"), ("log_*", "training session of two events")])
def test_an_empty_side_is_an_error(logs, tmp_path, test, side):
    (tmp_path / "many.yaml").write_text(STUDY.replace("*2018072[56]*", test))
    with pytest.raises(DataError, match=f"the split `by_file` leaves no {side}"):
        sharded.of_study(Workspace(str(tmp_path / "many.yaml"), logs, root=tmp_path).raw_data)


def test_only_the_first_log_is_explored(place, capsys):
    tables = sharded.explored(place.raw_data)
    assert tables.events["file"].unique().tolist() == ["training_set/log_0_20180715_000000000000.csv.gz"]
    assert "of 12 logs this is log_0_20180715" in capsys.readouterr().out


def test_the_graph_reads_all_logs_for_the_index_before_encoding_one(logs, tmp_path):
    root = copy_of_the_project(tmp_path)
    few = STUDY.replace("shards: true", 'shards: true, logs: ["log_0_*", "log_3_*", "log_10_*"]')
    (root / "config" / "many.yaml").write_text(few)
    goal = "data/prepared/many/shards/log_3_20180718_000000000000/encode"
    given = ["--config", "study=many", f"data={logs}"]
    run(root, sys.executable, "-m", "snakemake", "--workflow-profile", "profiles/local", goal, *given)
    made = sorted(path.parent.name for path in (root / "data/prepared/many/shards").glob("*/read"))
    assert made == ["log_0_20180715_000000000000", "log_10_20180725_000000000000", "log_3_20180718_000000000000"]
    assert (root / goal / "train_items.npy").exists()
