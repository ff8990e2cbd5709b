"""Files and folders get their names when they are complete."""

import shutil

import pandas as pd
import pytest

from gru4rec_lib.utils.atomic_write import replacing, replacing_folder, save_table


def entries(folder):
    return sorted(path.name for path in folder.iterdir())


def stop_half_way(replaced, write):
    with replaced as partial:
        write(partial)
        raise KeyboardInterrupt


def test_a_complete_file_is_renamed(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("old")
    with replacing(path) as partial:
        assert (partial.parent, partial.suffix) == (tmp_path, ".csv")
        partial.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert entries(tmp_path) == ["table.csv"]


def test_a_failure_leaves_the_old_file_and_nothing_beside_it(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt):
        stop_half_way(replacing(path), lambda partial: partial.write_text("half"))
    assert path.read_text() == "old"
    assert entries(tmp_path) == ["table.csv"]


def test_a_block_that_writes_nothing_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError), replacing(tmp_path / "table.csv"):
        pass


def test_a_complete_folder_is_renamed(tmp_path):
    folder = tmp_path / "reports" / "toy"
    with replacing_folder(folder) as partial:
        (partial / "old.csv").touch()
        assert not folder.exists()
    assert entries(folder) == ["old.csv"]
    with replacing_folder(folder) as partial:
        (partial / "new.csv").touch()
        assert entries(folder) == ["old.csv"]
    assert entries(folder) == ["new.csv"]
    assert entries(folder.parent) == ["toy"]


def test_a_failure_leaves_the_old_folder_and_nothing_beside_it(tmp_path):
    folder = tmp_path / "toy"
    with replacing_folder(folder) as partial:
        (partial / "old.csv").touch()
    with pytest.raises(KeyboardInterrupt):
        stop_half_way(replacing_folder(folder), lambda partial: (partial / "half.csv").touch())
    assert entries(folder) == ["old.csv"]
    assert entries(tmp_path) == ["toy"]


def test_remains_of_a_killed_process_are_deleted(tmp_path):
    for left_behind in (".toy.partial", ".toy.old"):
        (tmp_path / left_behind).mkdir()
        (tmp_path / left_behind / "half.csv").touch()
    with replacing_folder(tmp_path / "toy") as partial:
        assert entries(partial) == []
    assert entries(tmp_path) == ["toy"]


def test_the_old_folder_is_never_deleted_under_its_name(tmp_path, monkeypatch):
    deleted = []
    monkeypatch.setattr(shutil, "rmtree", lambda path, **_: deleted.append(path.name))
    (tmp_path / "toy").mkdir()
    with replacing_folder(tmp_path / "toy"):
        pass
    assert set(deleted) == {".toy.partial", ".toy.old"}


def test_save_table_returns_the_table(tmp_path):
    table = pd.DataFrame({"a": [1]})
    assert save_table(table, tmp_path / "tables", "t") is table
    assert (tmp_path / "tables" / "t.csv").read_text() == "a\n1\n"
