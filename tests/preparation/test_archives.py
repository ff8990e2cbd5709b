"""Compressed files give the same events as plain ones; nothing is written outside the temporary folder."""

import bz2
import gzip
import io
import json
import stat
import zipfile

import pandas as pd
import pyarrow as pa
import pytest

from gru4rec_lib.config.data import EventData
from gru4rec_lib.preparation import archives, readers
from gru4rec_lib.preparation.archives import Plain

ROWS = [{"s": "1", "i": "007", "t": 5}, {"s": "1", "i": "1e5", "t": 6}, {"s": "2", "i": "nan", "t": 7}]
CSV = "s,i,t\n1,007,5\n1,1e5,6\n2,nan,7\n"
TABS = CSV.replace(",", "\t")
ARRAY = json.dumps(ROWS, indent=1)
LINES = "\n\n".join(map(json.dumps, ROWS)) + "\n"


def events(*files):
    return EventData(layout="events", name="mine", events=files, session="s", item="i", time="t")


def zst(content):
    target = pa.BufferOutputStream()
    with pa.CompressedOutputStream(target, "zstd") as packed:
        packed.write(content)
    return target.getvalue().to_pybytes()


def zipped(members):
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return target.getvalue()


PACKED = {"": bytes, ".gz": gzip.compress, ".bz2": bz2.compress, ".zst": zst}


@pytest.mark.parametrize("packed", PACKED)
@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("e.csv", CSV),
        ("e.tsv", TABS),
        ("e.txt", TABS),
        ("e.inter", TABS.replace("s\ti\tt", "s:token\ti:token\tt:float")),
        ("e.json", ARRAY),
        ("e.json", LINES),
        ("e.jsonl", LINES),
        ("e.ndjson", LINES),
    ],
)
def test_every_format_gives_the_same_events(tmp_path, name, text, packed):
    (tmp_path / f"{name}{packed}").write_bytes(PACKED[packed](text.encode()))
    found = readers.read(events(f"{name}{packed}"), tmp_path).events
    assert found["session"].tolist() == ["1", "1", "2"]
    assert found["item"].tolist() == ["007", "1e5", "nan"]
    assert found["time"].tolist() == [5.0, 6.0, 7.0]
    assert found["file"].unique().tolist() == [f"{name}{packed}"]


def test_an_archive_is_a_data_folder_or_a_file_in_one(tmp_path):
    members = {
        "my data/b.jsonl": LINES,
        "my data/a.csv": CSV.replace("1,", "3,"),
        "readme.pdf": b"%PDF",
        "my data/": "",
    }
    (tmp_path / "export.zip").write_bytes(zipped(members))
    as_folder = readers.read(events("**/*.csv", "**/*.jsonl"), tmp_path / "export.zip").events
    assert as_folder["file"].unique().tolist() == ["my data/a.csv", "my data/b.jsonl"]
    as_file = readers.read(events("export.zip"), tmp_path).events
    assert as_file["file"].unique().tolist() == ["export.zip/my data/a.csv", "export.zip/my data/b.jsonl"]
    pd.testing.assert_frame_equal(as_folder.drop(columns="file"), as_file.drop(columns="file"))
    assert [path.name for path in tmp_path.iterdir()] == ["export.zip"]


def failure(tmp_path, content, name="x.zip", pattern="*.csv"):
    (tmp_path / name).write_bytes(content)
    folder = tmp_path / name if name.endswith(".zip") else tmp_path
    with pytest.raises(readers.DataError) as caught:
        readers.read(events(pattern), folder)
    return str(caught.value)


def test_members_that_cannot_be_unpacked_together_are_refused(tmp_path):
    assert "two of its members have one name" in failure(tmp_path, zipped({"a": CSV, "a/e.csv": CSV}))
    assert "two of its members have one name" in failure(tmp_path, zipped({"a": CSV, "a/b/e.csv": CSV}))
    assert "a name that is too long here" in failure(tmp_path, zipped({f"{'m' * 300}/e.csv": CSV}))
    assert "a name that is too long here" in failure(tmp_path, zipped({f"{'m' * 300}.csv": CSV}))


@pytest.mark.parametrize("member", ["../e.csv", "/etc/e.csv", "a/../../e.csv", "C:\\e.csv", "..\\e.csv"])
def test_a_member_that_leads_outside_is_refused(tmp_path, member):
    found = failure(tmp_path, zipped({"good.csv": CSV, member: CSV}))
    assert found.startswith("x.zip: the name of its member `")
    assert found.endswith("` leads outside the archive; unpack what you trust and name the folder instead")
    assert [path.name for path in tmp_path.iterdir()] == ["x.zip"]


def test_a_member_that_is_a_link_is_a_plain_text(tmp_path):
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        link = zipfile.ZipInfo("e.csv")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
    (tmp_path / "x.zip").write_bytes(target.getvalue())
    with Plain() as plain:
        copy = plain.folder(tmp_path / "x.zip") / "e.csv"
        assert not copy.is_symlink()
        assert copy.read_text() == "/etc/passwd"


def test_incomplete_and_damaged_archives_are_errors(tmp_path):
    whole = zipped({"e.csv": CSV * 500})
    again = "; download or copy it again"
    assert failure(tmp_path, whole[: len(whole) // 2]) == f"x.zip: is damaged or only a part of a .zip archive{again}"
    flipped = bytearray(whole)
    flipped[60] ^= 255
    assert failure(tmp_path, bytes(flipped)) == f"x.zip: is damaged or only a part of a .zip archive{again}"
    for packed in (".bz2", ".zst"):
        content = PACKED[packed](CSV.encode() * 500)
        found = failure(tmp_path, content[: len(content) // 2], f"e.csv{packed}", f"e.csv{packed}")
        assert found in {
            f"e.csv{packed}: the {packed} file ends too early; copy it again",
            f"e.csv{packed}: the {packed} file is damaged or no {packed} file; copy it again",
        }
        found = failure(tmp_path, b"not packed at all", f"e.csv{packed}", f"e.csv{packed}")
        assert found == f"e.csv{packed}: the {packed} file is damaged or no {packed} file; copy it again"


def test_an_archive_that_unpacks_beyond_the_limit_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "MOST_BYTES", 1 << 20)
    found = failure(tmp_path, zipped({"e.csv": CSV + "\n" * (1 << 20)}))
    assert found.startswith("x.zip: its members are larger than ")
    monkeypatch.setattr(archives, "MOST_MEMBERS", 2)
    found = failure(tmp_path, zipped({f"{n}.csv": CSV for n in range(3)}))
    assert found == "x.zip: holds 3 members, more than 2; unpack it and name the folder instead"


def test_an_archive_without_tables(tmp_path):
    (tmp_path / "x.zip").write_bytes(zipped({"readme.pdf": b"%PDF"}))
    with pytest.raises(readers.DataError) as caught:
        readers.read(events("x.zip"), tmp_path)
    assert str(caught.value) == "x.zip: the archive holds no table; see docs/data.md for the kinds of files"
    assert "no file `*.csv` (there: readme.pdf)" in failure(tmp_path, zipped({"readme.pdf": b"%PDF"}))
