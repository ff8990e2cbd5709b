"""The contents of raw files determine which steps run again; folders may have any name. One real run by make."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from project_copy import ROOT, copy_of_the_project

from gru4rec_lib.study import ensure, fingerprints
from gru4rec_lib.study.workspace import Workspace
from gru4rec_lib.twin import simulate

STUDY = """
title: a study {of} "a number's" name
data: {layout: events, name: clicks, events: ["*.tsv"], session: s, item: i, time: t,
       item_table: {file: items.csv, item: i, numeric: [loud]}}
split: {how: listed, test: held_out.csv}
models: [{input_form: [embedding], loss: [bpr]}]
baselines: [most_popular]
"""
READERS = {"01_explore_sessions", "02_preprocess"}
TARGETS = ["runs/2024/01_explore_sessions.ipynb", "runs/2024/04_baselines.ipynb"]
DATA = "Music: {2024} #2 'mine'"


def write_data(folder):
    """Two files of events, a table of items and a list of test sessions."""
    folder.mkdir()
    for part in range(2):
        rows = [f"{s}\t{'abcdef'[(s + n) % 6]}\t{100 * s + n}\n" for s in range(part, 80, 2) for n in range(4)]
        (folder / f"part_{part}.tsv").write_text("s\ti\tt\n" + "".join(rows))
    (folder / "items.csv").write_text("i,loud\n" + "".join(f"{item},{n}\n" for n, item in enumerate("abcdef")))
    (folder / "held_out.csv").write_text("session\n" + "".join(f"{s}\n" for s in range(60, 80)))


def make(root, data, *words):
    """Run `make reproduce` for the study in a project and return its output."""
    environment = {name: os.environ[name] for name in os.environ if not name.startswith(("MAKE", "ARGS", "GRU4REC"))}
    arguments = " ".join([*words, *TARGETS])
    command = ["make", "reproduce", "STUDY=2024", f"DATA={data}", f"ARGS={arguments}"]
    environment["PYTHONPATH"] = str(root)
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A project and study with unusual names, which ran up to the baselines."""
    root = copy_of_the_project(tmp_path_factory.mktemp("projects") / "a b {c} 'd' \"e\" [1] $f")
    shutil.copy(ROOT / "Makefile", root)
    (root / "config" / "2024.yaml").write_text(STUDY)
    write_data(root / DATA)
    (root / ".venv").mkdir()
    for entry in Path(sys.prefix).iterdir():
        if entry.name != ".installed":
            (root / ".venv" / entry.name).symlink_to(entry)
    for name in ("requirements.lock", "pyproject.toml", ".venv/.installed"):
        (root / name).touch()
    make(root, DATA)
    return root


@pytest.fixture
def planned(finished, tmp_path):
    """Return the steps that another run would execute after a change in a copy, which keeps the files' times."""
    folder = tmp_path / "copy {of} 'it'"
    shutil.copytree(finished / DATA, folder)

    def plan():
        return set(re.findall(r"\d+ of \d+  (\w+)", make(finished, folder, "--dry-run")))

    return folder, plan


def replace(path, text):
    """Change the content of a file but not its name and time of modification."""
    times = path.stat()
    path.unlink()
    path.write_text(text)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


@pytest.mark.slow
def test_a_project_and_data_with_unusual_names_run(finished):
    record = json.loads((finished / "runs/2024/records/02_preprocess.json").read_text())
    assert record["parameters"] == {"study": "2024", "data": str(finished / DATA)}
    assert (finished / "runs/2024/baselines/most_popular/ranks.parquet").is_file()
    made = fingerprints.made_with(Workspace("2024", root=finished))
    assert made["inputs"].keys() == {"part_0.tsv", "part_1.tsv", "items.csv", "held_out.csv"}


@pytest.mark.slow
def test_the_same_contents_in_another_place_run_nothing(planned):
    folder, plan = planned
    for path in folder.iterdir():
        path.touch()
    assert plan() == set()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["part_0.tsv", "items.csv", "held_out.csv"])
def test_another_file_of_the_same_size_and_time_reruns_its_readers(planned, name):
    folder, plan = planned
    text = (folder / name).read_text()
    old, new = {"part_0.tsv": ("a\t", "b\t"), "items.csv": ("c,2", "c,7"), "held_out.csv": ("60\n", "10\n")}[name]
    assert text.count(old)
    replace(folder / name, text.replace(old, new, 1))
    assert plan() >= READERS | {"04_baselines"}


@pytest.mark.slow
def test_deleted_and_added_files_rerun_their_readers(planned):
    folder, plan = planned
    times = (folder / "part_0.tsv").stat()
    shutil.copy2(folder / "part_0.tsv", folder / "part_2.tsv")
    text = (folder / "part_2.tsv").read_text()
    (folder / "part_2.tsv").write_text(re.sub(r"^(\d+)\t", r"9\1\t", text, flags=re.MULTILINE))
    os.utime(folder / "part_2.tsv", ns=(0, times.st_mtime_ns - 10**12))
    assert plan() >= READERS
    for name in ("part_2.tsv", "part_0.tsv"):
        (folder / name).unlink()
    listed = [f"{s}\n" for s in range(61, 80, 2)]
    (folder / "held_out.csv").write_text("session\n" + "".join(listed))
    assert plan() >= READERS


TWIN = """
title: simulated
data: {layout: mssd, name: twin, simulate: {sessions: 10}}
split: {how: by_session, test_fraction: 0.2}
models: [{input_form: [embedding], loss: [bpr]}]
"""


@pytest.fixture
def twin(tmp_path):
    """A study with the raw files that it simulates."""
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "twin.yaml").write_text(TWIN)
    place = Workspace("twin", root=tmp_path)
    simulate.simulate(place.raw, **place.study.data.simulate.model_dump())
    return place


def test_simulated_files_are_identified_by_contents_and_settings(twin, tmp_path):
    assert fingerprints.as_simulated(twin)
    (tmp_path / "config" / "twin.yaml").write_text(TWIN.replace("sessions: 10", "sessions: 11"))
    assert not fingerprints.as_simulated(Workspace("twin", root=tmp_path))
    features = twin.raw / "track_features" / "tf_000000000000.csv"
    text = features.read_text()
    features.touch()
    assert fingerprints.as_simulated(twin)
    replace(features, text.replace("1", "2", 1))
    assert not fingerprints.as_simulated(twin)
    ensure.need_raw(twin)
    assert (features.read_text(), fingerprints.as_simulated(twin)) == (text, True)


def test_arrays_of_other_raw_files_are_prepared_again(twin, capsys):
    ensure.need_prepared(twin)
    assert "no arrays" in capsys.readouterr().out
    ensure.need_prepared(twin)
    assert capsys.readouterr().out == ""
    other = twin.root / "other"
    simulate.simulate(other, sessions=12, seed=3)
    ensure.need_prepared(Workspace("twin", other, twin.root))
    assert "no arrays" in capsys.readouterr().out
    with pytest.raises(ValueError, match="there is no such folder"):
        ensure.need_prepared(Workspace("twin", twin.root / "misspelt", twin.root))


def test_a_file_is_read_again_only_where_it_may_have_changed(twin, monkeypatch):
    read = []
    monkeypatch.setattr(fingerprints, "sha256", lambda path: read.append(path.name) or "0" * 64)
    first = fingerprints.hashes(twin)
    assert sorted(read) == sorted(path.name for path in twin.raw_files())
    assert fingerprints.hashes(twin) == first
    assert len(read) == len(first)
    (twin.raw / "simulated.json").touch()
    fingerprints.hashes(twin)
    assert read[len(first) :] == ["simulated.json"]
