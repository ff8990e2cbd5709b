"""Exact tables from small hand-made files; each problem is reported with file, line, column and remedy."""

import datetime
import decimal
import gzip
import random
import re
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mssd_rows import LOG_HEADER, SPREADSHEET, TRACK_HEADER, log_rows

from gru4rec_lib.config.study import EventData, ItemTable, MssdData
from gru4rec_lib.data.feature_encoding import RawFeatures, fit_features
from gru4rec_lib.preparation import readers

SHARED = Path(__file__).parents[2].parent / "shared" / "data"


def write(path, lines, end="\n"):
    path.parent.mkdir(parents=True, exist_ok=True)
    content = end.join([*lines, ""]).encode()
    path.write_bytes(gzip.compress(content) if path.suffix.lower() == ".gz" else content)


def write_log(path, *rows):
    write(path, [",".join(LOG_HEADER), *rows])


def mssd(**fields):
    return MssdData(layout="mssd", name="hand_made", **fields)


def clicks(**fields):
    return EventData(
        **{"layout": "events", "name": "hand_made", "events": ("e.csv",), "session": "s", "item": "i"}
        | ({} if "position" in fields else {"time": "t"})
        | fields
    )


def failure(data, folder):
    with pytest.raises(readers.DataError) as caught:
        readers.read(data, folder)
    return str(caught.value).splitlines()


def counts(tables):
    return {row.step: (row.events, row.sessions, row.items) for row in tables.counts.itertuples()}


GOOD = [*log_rows("a", ["x", "y"]), *log_rows("b", ["y", "z", "y"])]


def test_mssd_in_both_formats_is_the_same_table(tmp_path):
    write_log(tmp_path / "one" / "training_set" / "log_0_20180715_000000000000.csv.gz", *GOOD)
    write_log(
        tmp_path / "two" / "log_very_small.csv",
        *log_rows("a", ["x", "y"], SPREADSHEET),
        *log_rows("b", ["y", "z", "y"], SPREADSHEET),
    )
    write(tmp_path / "one" / "tf_000000000000.csv", [",".join(TRACK_HEADER), "y," + "0.5," * 15 + "minor" + ",2" * 13])
    one, two = (readers.read(mssd(), tmp_path / name) for name in ("one", "two"))
    pd.testing.assert_frame_equal(one.events.drop(columns="file"), two.events.drop(columns="file"))
    assert one.events["session"].tolist() == list("aabbb")
    assert one.events["item"].tolist() == list("xyyzy")
    assert one.events["position"].tolist() == [1, 2, 1, 2, 3]
    assert one.events["file"].unique().tolist() == ["training_set/log_0_20180715_000000000000.csv.gz"]
    assert {name: str(kind) for name, kind in one.events.dtypes.items()} == (
        dict.fromkeys(("session", "item", "file", *LOG_HEADER[18:]), "category")
        | {"position": "int32", "hour_of_day": "int8", "date": "datetime64[s]"}
        | dict.fromkeys(LOG_HEADER[12:14], "int32")
        | dict.fromkeys((*LOG_HEADER[4:12], "hist_user_behavior_is_shuffle", "premium"), "bool")
    )
    first = one.events.iloc[0]
    assert first["date"] == pd.Timestamp("2018-07-15")
    assert (first["skip_2"], first["skip_3"], first["no_pause_before_play"]) == (False, True, True)
    assert (first["hist_user_behavior_n_seekfwd"], first["hour_of_day"]) == (2, 16)
    assert (first["context_type"], first["hist_user_behavior_reason_end"]) == ("radio", "fwdbtn")
    assert one.numeric == readers.TRACK_FEATURES
    assert len(one.numeric) == 28
    assert (one.categorical, one.multivalued) == ((), {})
    assert one.items.loc[0, ["item", "duration", "mode", "acoustic_vector_7"]].tolist() == ["y", 0.5, "minor", 2.0]
    assert counts(one) == {"read": (5, 2, 3), "bad rows dropped (0)": (5, 2, 3), "of items with features": (3, 2, 1)}
    assert one.problems.empty
    assert two.items is None


def test_mssd_rows_out_of_order_are_put_in_order(tmp_path):
    write_log(tmp_path / "log_1.csv", GOOD[1], GOOD[0], *GOOD[2:])
    events = readers.read(mssd(), tmp_path).events
    assert events["item"].tolist() == list("xyyzy")
    assert events["position"].tolist() == [1, 2, 1, 2, 3]


def changed(row, **cells):
    texts = row.split(",")
    for name, value in cells.items():
        texts[LOG_HEADER.index(name)] = value
    return ",".join(texts)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([GOOD[0], changed(GOOD[1], skip_1="maybe")], "3, column `skip_1`: cannot read `maybe`; write true or false"),
        (
            [GOOD[0], changed(GOOD[1], session_position="2.5")],
            "3, column `session_position`: cannot read `2.5`; write",
        ),
        ([GOOD[0], changed(GOOD[1], hour_of_day="24")], "3, column `hour_of_day`: cannot read `24`; write 0 to 23"),
        ([GOOD[0], changed(GOOD[1], date="July")], "3, column `date`: cannot read `July`; write a date such as"),
        ([GOOD[0], changed(GOOD[1], premium="")], "3, column `premium`: is empty; write true or false"),
        ([changed(GOOD[0], session_id=" ")], "2, column `session_id`: is empty; give every row an id"),
        ([changed(GOOD[0], track_id_clean="")], "2, column `track_id_clean`: is empty; give every row an id"),
        ([GOOD[0], "a,2,2,y"], "3: has fewer cells than the header's 21; correct or delete the line"),
        ([GOOD[0], GOOD[1] + ",1"], "3: has more cells than the header's 21; correct or delete the line"),
        ([GOOD[0], changed(GOOD[1], session_position="3")], "3, column `session_position`: is 3 where 2 should be;"),
        ([GOOD[0], changed(GOOD[1], session_position="1")], "3, column `session_position`: is 1 where 2 should be;"),
        ([GOOD[0]], "2, column `session_length`: is 2 but the session has 1 rows; bring back the missing rows"),
        ([GOOD[0], *GOOD[2:], GOOD[1]], "6, column `session_id`: session `a` is in two places; keep the rows"),
    ],
)
def test_a_bad_row_is_named_and_takes_its_session_with_it(tmp_path, rows, message):
    other = log_rows("c", ["x", "w"])
    write_log(tmp_path / "log_1.csv", *rows, *other)
    assert failure(mssd(), tmp_path)[0].startswith(f"log_1.csv, line {message}")

    tables = readers.read(mssd(on_bad_rows="drop"), tmp_path)
    n_good = len(other) + (3 if GOOD[2] in rows else 0)
    assert "a" not in set(tables.events["session"].cat.categories)
    assert tables.events["item"].tolist()[-2:] == ["x", "w"]
    assert len(tables.events) == n_good
    n_bad = len(rows) + len(other) - n_good
    assert tables.counts["step"].tolist() == ["read", f"bad rows dropped ({n_bad})"]
    assert tables.counts["events"].tolist() == [n_good + n_bad, n_good]
    assert len(tables.problems) == n_bad
    assert tables.problems["line"].is_unique
    assert (tables.problems["remedy"] != "").all()


def test_a_session_in_two_files_is_in_two_places(tmp_path):
    write_log(tmp_path / "log_1.csv", *GOOD, GOOD[0].replace("a,", "c,"))
    write_log(tmp_path / "log_2.csv", GOOD[1].replace("a,", "c,"))
    first, total = failure(mssd(), tmp_path)
    assert first.startswith("log_2.csv, line 2, column `session_id`: session `c` is in log_1.csv too;")
    assert total.startswith("1 problem in all;")


def test_up_to_ten_problems_are_listed(tmp_path):
    write_log(tmp_path / "log_1.csv", *(changed(row, premium="?") for row in log_rows("a", list("abcdefghijkl"))))
    lines = failure(mssd(), tmp_path)
    assert [line.split(",")[1] for line in lines[:-1]] == [f" line {n}" for n in range(2, 12)]
    assert lines[-1].startswith("12 problems in all;")


def test_a_track_twice_is_a_problem(tmp_path):
    write_log(tmp_path / "log_1.csv", *GOOD)
    for name, value in (("tf_1.csv", "1"), ("tf_2.csv", "2")):
        write(tmp_path / name, [",".join(TRACK_HEADER), "y," + f"{value}," * 15 + "major" + ",2" * 13])
    assert failure(mssd(), tmp_path)[0].startswith("tf_2.csv, line 2, column `track_id`: item `y` has a row already;")
    tables = readers.read(mssd(on_bad_rows="drop"), tmp_path)
    assert tables.items["duration"].tolist() == [1.0]
    assert tables.problems["file"].tolist() == ["tf_2.csv"]


def test_columns_are_found_by_name_and_unknown_ones_ignored(tmp_path):
    write_log(tmp_path / "log_1.csv", *GOOD)
    names, rows = ["more", *reversed(LOG_HEADER)], [",".join(reversed(row.split(","))) for row in log_rows("c", "xz")]
    write(tmp_path / "log_2.csv", [",".join(names), *(f"m,{row}" for row in rows)])
    assert readers.read(mssd(), tmp_path).events["item"].tolist() == list("xyyzyxz")


def test_missing_files_and_columns_are_named(tmp_path):
    assert "no such folder" in failure(mssd(), tmp_path / "nowhere")[0]
    assert all(words in failure(mssd(), tmp_path)[0] for words in ("log_*.csv.gz", "tf_*.csv", "data/README.md"))
    write(tmp_path / "log_1.csv", [",".join(LOG_HEADER[2:]), "1"])
    lines = failure(mssd(), tmp_path)
    assert [line.split(": is missing")[0] for line in lines] == [
        "log_1.csv, line 1, column `session_id`",
        "log_1.csv, line 1, column `session_position`",
    ]
    assert "no file `e.csv` (there: log_1.csv)" in failure(clicks(), tmp_path)[0]


LINES = ["s,i,t", "1,a,10", "1,b,20", "2,a,5"]
PACKED = gzip.compress("\n".join([*LINES, *(f"9,c,{t}" for t in range(50_000))]).encode(), mtime=0)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("e.csv", b"", "e.csv: is empty (0 bytes);"),
        ("e.csv", b"s,i,t\n", "e.csv: has a header but no rows;"),
        ("e.csv", b"s,i,t\n1,a,1\n1,\xff,2\n", "e.csv, line 3: is not UTF-8;"),
        ("e.csv", "s,i,t\n1,a,1\n".encode("utf-16"), "e.csv, line 1: is not UTF-8;"),
        ("e.csv", b's,i,t\n1,a,1\n"1,b,2\n1,c,3\n', "e.csv, line 3: a quotation mark opens"),
        ("e.csv", b"s,i,t,t\n1,a,1,1\n", "e.csv, line 1, column `t`: is there twice;"),
        ("e.csv.gz", PACKED[: len(PACKED) // 2], "e.csv.gz, line 2"),  # 2xxxx of the 50,004 lines
        ("e.csv.gz", PACKED[:-3], "e.csv.gz, line 50004: the .gz file ends too early;"),
        ("e.csv.gz", b"s,i,t\n1,a,1\n", "e.csv.gz, line 1: the .gz file is damaged or no .gz file;"),
        ("e.csv.gz", PACKED[:5000] + b"\0\1\2\3" + PACKED[5004:], "e.csv.gz, line "),
        ("e.parquet", b"no parquet", "e.parquet: cannot be read:"),
        ("e.xlsx", b"{}", "e.xlsx: is no kind of file that is read here;"),
        ("e.json", b"[", "e.json: is only a part of a file of JSON"),
        ("e.json", b'[{"s": 1, "i": }]', "e.json: cannot be read:"),
    ],
)
def test_a_broken_file_is_an_error_even_if_bad_rows_are_dropped(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    for on_bad_rows in ("error", "drop"):
        (line,) = failure(clicks(events=(name,), on_bad_rows=on_bad_rows), tmp_path)
        assert line.startswith(message)
        assert ";" in line


def test_a_folder_in_place_of_a_file(tmp_path):
    (tmp_path / "log_1.csv").mkdir()
    assert failure(mssd(), tmp_path) == ["log_1.csv: is a folder, not a file; put the file itself in its place"]


@pytest.mark.parametrize("name", ["e.csv", "e.tsv", "e.csv.gz", "e.parquet", "e.CSV", "e.Tsv", "e.CSV.GZ", "e.PARQUET"])
def test_every_kind_of_file_gives_the_same_events(tmp_path, name):
    if name.lower().endswith("parquet"):
        frame = pd.DataFrame({"s": [1, 1, 2], "i": ["a", "b", "a"], "t": pd.to_datetime([10, 20, 5], unit="s")})
        frame.to_parquet(tmp_path / name)
    else:
        lines = [line.replace(",", "\t") if "tsv" in name.lower() else line for line in LINES]
        write(tmp_path / name, ["\ufeff" + lines[0], *lines[1:]], end="\r\n")
    events = readers.read(clicks(events=("e.*",)), tmp_path).events
    assert events["session"].tolist() == ["1", "1", "2"]
    assert events["item"].tolist() == list("aba")
    assert events["time"].tolist() == [10.0, 20.0, 5.0]
    assert list(events) == ["session", "item", "position", "file", "time"]


TITLES = st.text(st.sampled_from(list("ab \"'\\,é")), min_size=1, max_size=5).filter(str.strip)


def rows_of(tables):
    return [*zip(tables.events["session"], tables.events["item"], tables.events["time"].astype(int), strict=True)]


@pytest.mark.slow
@settings(max_examples=40)
@given(st.lists(TITLES, min_size=1, max_size=12), st.sampled_from(["\n", "\r\n", "\r"]), st.booleans())
def test_every_line_of_a_tab_file_is_a_row(tmp_path_factory, titles, end, is_blank_between):
    folder = tmp_path_factory.mktemp("tabs")
    lines = [f"{n // 3}\t{title}\t{n}" for n, title in enumerate(titles)]
    write(folder / "e.tsv", ["s\ti\tt", *(["", *lines, ""] if is_blank_between else lines)], end)
    write(folder / "i.tsv", ["id\tkind", *(f"{n}\t{title}" for n, title in enumerate(titles))], end)
    tables = readers.read(
        clicks(item_table=ItemTable(file="i.tsv", item="id", categorical=("kind",)), events=("e.tsv",)), folder
    )
    assert rows_of(tables) == [(s, i, int(t)) for s, i, t in (line.split("\t") for line in lines)]
    assert tables.items["kind"].tolist() == titles


@pytest.mark.parametrize("name", ["e.tsv", "e.tsv.gz"])
def test_no_row_of_a_large_tab_file_is_lost_to_a_stray_quotation_mark(tmp_path, name):
    marks, n = random.Random(1), 20_000
    titles = [f"{marks.choice(['', '', '', chr(34)])}title {k}{marks.choice(['', '', '', chr(34)])}" for k in range(n)]
    write(tmp_path / name, ["s\ti\tt", *(f"{k // 10}\t{title}\t{k}" for k, title in enumerate(titles))])
    tables = readers.read(clicks(events=(name,)), tmp_path)
    assert rows_of(tables) == [(str(k // 10), title, k) for k, title in enumerate(titles)]


def test_the_line_of_a_bad_row_is_right_after_stray_quotation_marks(tmp_path):
    write(tmp_path / "e.tsv", ["s\ti\tt", '1\t"a\t1', "", '1\tb"\t2', "1\tc\t?", "1\td"])
    found = failure(clicks(events=("e.tsv",)), tmp_path)
    assert [line.split(":")[0] for line in found[:2]] == ["e.tsv, line 5, column `t`", "e.tsv, line 6"]


@pytest.mark.parametrize(
    ("name", "quote", "lines", "items"),
    [
        ("e.tsv", '"', ['"s"\t"i"\tt', '1\t"a\tb"\t1', '1\t"say ""c"""\t2'], ["a\tb", 'say "c"']),
        ("e.tsv", "'", ["s\ti\tt", "1\t'a\tb'\t1", '1\t"c\t2'], ["a\tb", '"c']),
        ("e.tsv", "auto", ["s\ti\tt", '1\t"a"\t1', "1\tc\t2"], ['"a"', "c"]),
        ("e.csv", None, ["s,i,t", '1,"a,1', '1,c",2'], ['"a', 'c"']),
        ("e.csv", "none", ["s,i,t", "1,'a',1", '1,"c",2'], ["'a'", '"c"']),
        ("e.csv", "'", ["s,i,t", "1,'a,b',1", '1,"c,2'], ["a,b", '"c']),
        ("e.csv", "auto", ["s,i,t", '1,"a,b",1', "1,'c',2"], ["a,b", "'c'"]),
    ],
)
def test_the_quotation_mark_is_the_one_declared(tmp_path, name, quote, lines, items):
    write(tmp_path / name, lines)
    write(tmp_path / "i.tsv", ["id\tkind", "'x\ty'\t1"])
    table = ItemTable(file="i.tsv", item="id", categorical=("kind",), quote="'")
    tables = readers.read(clicks(events=(name,), quote=quote, item_table=table), tmp_path)
    assert tables.events["item"].tolist() == items
    assert tables.items["item"].tolist() == ["x\ty"]


def test_rows_within_the_quotation_marks_of_a_csv_are_an_error_or_a_warning(tmp_path):
    swallowed = ["s,i,t", "1,x,1", '1,"Awake,2', "1,b,3", '2,c",4', "2,d,5"]
    write(tmp_path / "e.csv", swallowed)
    for on_bad_rows in ("error", "drop"):
        (line,) = failure(clicks(on_bad_rows=on_bad_rows), tmp_path)
        assert line.startswith(
            "e.csv, line 3: a quotation mark opens and closes in line 5, around lines that look like"
        )
        assert "(5 lines below the header give 3 rows)" in line
    tables = readers.read(clicks(quote='"'), tmp_path)
    assert tables.events["item"].tolist() == ["x", "Awake,2\n1,b,3\n2,c", "d"]
    (warning,) = tables.warnings
    assert warning.startswith(
        "e.csv, line 3: a quotation mark opens and closes in line 5; 1 row holds line ends, 5 lines"
    )
    write(tmp_path / "e.csv", ["s,i,t", "1,x,1", '1,"a', 'b",2', "", '1,"c', 'd",3'])
    (warning,) = readers.read(clicks(), tmp_path).warnings
    assert warning.startswith(
        "e.csv, line 3: a quotation mark opens and closes in line 4; 2 rows hold line ends, 6 lines"
    )
    write(tmp_path / "e.csv", ["s,i,t", "1,x,1"])
    write(tmp_path / "i.csv", ["id,kind", 'a,"x', "b,y", 'c,z"', "d,w"])
    table = ItemTable(file="i.csv", item="id", categorical=("kind",))
    assert failure(clicks(item_table=table), tmp_path)[0].startswith(
        "i.csv, line 2: a quotation mark opens and closes in"
    )


@pytest.mark.slow
@settings(max_examples=60)
@given(st.lists(TITLES, min_size=2, max_size=12))
def test_stray_quotation_marks_in_a_csv_never_lose_a_row_without_a_warning(tmp_path_factory, titles):
    folder = tmp_path_factory.mktemp("commas")
    titles = [title.replace(",", "") or "x" for title in titles]
    write(folder / "e.csv", ["s,i,t", *(f"{n // 3},{title}x,{n}" for n, title in enumerate(titles))])
    try:
        tables = readers.read(clicks(), folder)
    except readers.DataError:
        return
    assert len(tables.events) == len(titles) or tables.warnings


def test_undeclared_quotation_marks_are_reported(tmp_path):
    write(tmp_path / "e.tsv", ["s\ti\tt", '1\t"a"\t1', '1\t"b"\t2', "'2'\tc\t3"])
    assert [warning.split(";")[0] for warning in readers.read(clicks(events=("e.tsv",)), tmp_path).warnings] == [
        "e.tsv, column `i`: cells in quotation marks, which count as part of the text: 2",
        "e.tsv, column `s`: cells in quotation marks, which count as part of the text: 1",
    ]
    write(tmp_path / "e.tsv", ['"s"\t"i"\t"t"', '"1"\t"a"\t"1"'])
    assert failure(clicks(events=("e.tsv",)), tmp_path)[1] == (
        'e.tsv, line 1, column `s`: is missing, there is `"s"` in quotation marks; declare the marks by `quote: \'"\'` '
        "in the study, by `--quote '\"'` in a check, or delete them"
    )
    write(tmp_path / "e.tsv", ["s\ti\tt", '1\ta\t"1"'])
    assert 'cannot read `"1"`; declare the marks' in failure(clicks(events=("e.tsv",)), tmp_path)[0]


@pytest.mark.parametrize(
    ("padding", "more"), [(1, b""), (7, b""), (511, b""), (1 << 17, b""), (512, gzip.compress(b"2,b,6\n", mtime=0))]
)
def test_zeros_after_a_packed_file_have_a_remedy_that_works(tmp_path, padding, more):
    (tmp_path / "e.csv.gz").write_bytes(gzip.compress("\n".join([*LINES, ""]).encode()) + bytes(padding) + more)
    (message,) = failure(clicks(events=("e.csv.gz",)), tmp_path)
    message, command = message.rsplit(": ", 1)
    assert message == "e.csv.gz: zeros follow the packed data; unpack it, and put the unpacked file in its place"
    subprocess.run(command, shell=True, cwd=tmp_path, check=True)
    assert len(readers.read(clicks(), tmp_path).events) == (4 if more else 3)


HEADERLESS = [
    "196\t242\t3\t881250949\n186\t302\t3\t891717742\n",
    "user_000001\t2009-05-04T23:08:57Z\tf1b1\tDish\t\tOne\nuser_000001\t2009-05-04T13:54:10Z\tf1b1\tDish\t\tTwo\n",
    "\n".join(log_rows("0_00006f66", ["t_1", "t_2"])).replace(",", "\t"),
    "s1\ta\tx\ns1\tb\ty\n",
]


@pytest.mark.parametrize("text", HEADERLESS)
def test_a_table_without_a_header_is_an_error(tmp_path, text):
    (tmp_path / "e.tsv").write_text(text)
    cells = text.split("\n")[0].split("\t")
    for session, item, time in (("session", "item", "time"), cells[:3]):
        named = {"session": session, "item": item, "time": time}
        if session == "s1":
            continue  # `a` and `x` are not found again below, and may be names
        (message,) = failure(clicks(events=("e.tsv",), **named), tmp_path)
        assert message.startswith(f"e.tsv, line 1: holds values ({', '.join(cells)[:40]}")
        assert message.endswith("the header is missing; put a line with the names of the columns above it")


@pytest.mark.parametrize(
    "text",
    [
        "0,1,2\n1,a,10\n",  # as Pandas numbers columns
        "session,item,time\na,b,2018-07-15\n",
        "2018,item,time\n1,b,5\n",
    ],
)
def test_names_of_columns_are_not_taken_for_values(tmp_path, text):
    (tmp_path / "e.csv").write_text(text)
    session, item, time = text.split("\n")[0].split(",")
    assert len(readers.read(clicks(session=session, item=item, time=time), tmp_path).events) == 1


def test_files_of_the_same_name_are_distinguished_by_folder(tmp_path):
    for folder in ("train", "test"):
        write(tmp_path / folder / "part-0.csv", LINES)
    events = readers.read(clicks(events=("**/part-*.csv",)), tmp_path).events
    assert sorted(events["file"].unique()) == ["test/part-0.csv", "train/part-0.csv"]


@pytest.mark.parametrize(
    "ids",
    [
        [12.0, 13.0, np.nan],
        pa.array([12, 13, None], pa.float32()),
        pa.array([decimal.Decimal("12.00"), decimal.Decimal("13.00"), None]),
        pa.array([12, 13, None], pa.uint64()),
    ],
)
def test_whole_numbers_of_a_floating_column_are_the_ids_of_an_integer_column(tmp_path, ids):
    pd.DataFrame({"s": [1, 1], "i": [12, 13], "t": [1, 2]}).to_parquet(tmp_path / "e1.parquet")
    pq.write_table(pa.table({"s": pa.array([2, 2, 2]), "i": pa.array(ids), "t": [3, 4, 5]}), tmp_path / "e2.parquet")
    write(tmp_path / "items.csv", ["i,genre", "12,1", "13,"])
    table = ItemTable(file="items.csv", item="i", categorical=("genre",))
    events = ("e1.parquet", "e2.parquet")
    tables = readers.read(clicks(events=events, item_table=table, on_bad_rows="drop"), tmp_path)
    assert tables.events["item"].tolist() == ["12", "13", "12", "13"]
    assert tables.problems[["file", "line", "problem"]].to_numpy().tolist() == [["e2.parquet", 3, "is empty"]]


@pytest.mark.parametrize("cell", [0.5, 2.0**53, float("inf")])
def test_a_floating_number_that_is_no_id_is_a_problem(tmp_path, cell):
    pd.DataFrame({"s": [1, 1], "i": [12, cell], "t": [1, 2]}).to_parquet(tmp_path / "e.parquet")
    problem = (
        f"e.parquet, line 2, column `i`: cannot read `{cell}`; give every row an id, saved as text or a whole number"
    )
    assert failure(clicks(events=("e.parquet",)), tmp_path)[0] == problem


@pytest.mark.parametrize(
    "ids", [[True, False], [datetime.date(2018, 7, 15)] * 2, [datetime.datetime(2018, 7, 15)] * 2, [b"a", b"b"]]
)
def test_ids_of_other_types_are_refused(tmp_path, ids):
    pq.write_table(pa.table({"s": pa.array(["1", "1"]), "i": pa.array(ids), "t": [1, 2]}), tmp_path / "e.parquet")
    (message,) = failure(clicks(events=("e.parquet",)), tmp_path)
    assert re.fullmatch(
        r"e.parquet, column `i`: holds a \w+ in each cell; save the ids as text or whole numbers", message
    )


def test_texts_are_unchanged_and_whole_numbers_have_no_decimals(tmp_path):
    ids = ["007", "7", "1e5", "100000", "nan", "12.0", "1.5", "-0"]
    write(tmp_path / "e.csv", ["s,i,t", *(f"1,{one},{n}" for n, one in enumerate(ids))])
    numbers = {"i": ids, "key": [0.0, 1, np.nan, 2, 2, 2, 2, 2], "size": [0.5, 1, 2, 2, 2, 2, 2, 2]}
    pd.DataFrame(numbers).to_parquet(tmp_path / "items.parquet")
    table = ItemTable(file="items.parquet", item="i", categorical=("key", "size"), missing=("", "0"))
    tables = readers.read(clicks(item_table=table), tmp_path)
    assert tables.events["item"].tolist() == ids
    assert tables.items["key"].fillna("?").tolist()[:4] == ["?", "1", "?", "2"]
    assert tables.items["size"].tolist()[:2] == ["0.5", "1"]


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"f.csv": ["s,i,t", "2,13,1", "2,12.0,2"]}, "f.csv, line 3, column `i`: `12.0` is `12` in e.csv, line 2"),
        ({"f.tsv": ["s\ti\tt", "1.0\t13\t1"]}, "f.tsv, line 2, column `s`: `1.0` is `1` in e.csv, line 2"),
        ({"items.csv": ["i,a,b,c", "13.0,1,,"]}, "items.csv, line 2, column `i`: `13.0` is `13` in e.csv, line 3"),
        (
            {"items.csv": ["i,a,b,c", "12,1,,", "13,1.0,,"]},
            "items.csv, line 3, column `a`: `1.0` is `1` in items.csv, ",
        ),
        ({"items.csv": ["i,a,b,c", "12,1,5,", "13,1,5,5.0"]}, "items.csv, line 3, column `c`: `5.0` is `5` in items"),
        ({"items.csv": ["i,a,b,c", "12,0.0,5,", "13,1.5,5,"]}, "line 2, column `a`: `0.0` is `0` in `missing` of the"),
        (
            {"f.csv": ["s,i,t", "2,123456789012345678,1", "2,1.2345678901234568e+17,2"]},
            "f.csv, line 3, column `i`: `1.2345678901234568e+17` is `123456789012345678` in f.csv, line 2, column `i`",
        ),
    ],
)
def test_an_id_and_a_category_are_written_in_one_way(tmp_path, files, expected):
    write(tmp_path / "e.csv", ["s,i,t", "1,12,1", "1,13,2"])
    for name, rows in files.items():
        write(tmp_path / name, rows)
    table = ItemTable(file="items.csv", item="i", categorical=("a",), multivalued={"t": ("b", "c")}, missing=("", "0"))
    events = ("e.csv", *(name for name in files if name[0] == "f"))
    data = clicks(events=events, item_table=table if "items.csv" in files else None, on_bad_rows="drop")
    (message,) = failure(data, tmp_path)
    assert expected in message
    assert message.endswith(
        "; write it in one way, whole numbers such as by .astype('Int64') in pandas (values written in two ways: 1)"
    )


def test_quoted_cells_and_blank_lines_keep_lines_right(tmp_path):
    write(tmp_path / "e.csv", ["t,note,s,i", "2", "", '1,"a, ""b""\nc",s,x', "", "3,s", "?,,s,y"])
    lines = failure(clicks(), tmp_path)
    assert lines[0].startswith("e.csv, line 2: has fewer cells than the header's 4;")
    assert lines[1].startswith("e.csv, line 7: has fewer cells than the header's 4;")
    assert lines[2].startswith("e.csv, line 8, column `t`: cannot read `?`; write unix seconds")
    tables = readers.read(clicks(on_bad_rows="drop"), tmp_path)
    assert tables.events["item"].tolist() == ["x"]
    assert counts(tables)["read"] == (4, 1, 2)


def test_times_are_numbers_or_iso(tmp_path):
    times = ["1396867869.277", "2014-04-07T10:51:09.277Z", "2014-04-07 12:51:09.277+02", "2014-04-07"]
    write(tmp_path / "e.csv", ["s,i,t", *(f"{n},a,{t}" for n, t in enumerate(times))])
    time = readers.read(clicks(), tmp_path).events["time"]
    np.testing.assert_allclose(time, [1396867869.277] * 3 + [1396828800.0], rtol=0, atol=1e-6)


def test_interleaved_rows_are_ordered_stably_and_repeats_counted(tmp_path):
    write(tmp_path / "e1.csv", ["s,i,t", "2,a,9", "1,b,7", "2,c,5", "1,a,7", "2,a,9"])
    write(tmp_path / "e2.csv", ["s,i,t", "1,z,7", "1,b,8", "2,a,9"])
    kept = readers.read(clicks(events=("e2.csv", "e1.csv")), tmp_path)
    assert kept.events["session"].tolist() == list("11112222")
    assert kept.events["item"].tolist() == list("zbabcaaa")
    assert kept.events["position"].tolist() == [1, 2, 3, 4, 1, 2, 3, 4]
    assert counts(kept)["exact repeats kept (2)"] == (8, 2, 4)
    dropped = readers.read(clicks(events=("e*.csv",), exact_repeats="drop"), tmp_path)
    assert dropped.events["session"].tolist() == list("221111")
    assert dropped.events["item"].tolist() == list("cabazb")
    assert counts(dropped)["exact repeats dropped (2)"] == (6, 2, 4)


# Whole minutes, oldest first: two events of session 1 and three of session 2 have equal times; 2 has an exact repeat.
MINUTES = ["1,a,0", "1,b,60", "1,c,60", "1,d,120", "2,x,0", "2,x,0", "2,y,0", "2,z,0", "2,y,600", "2,x,601", "3,a,0"]
SAME = "at the same time as another"


@pytest.mark.parametrize("exact_repeats", ["keep", "drop"])
def test_equal_times_and_the_same_item_soon_again_are_counted(tmp_path, exact_repeats):
    write(tmp_path / "e.csv", ["s,i,t", *MINUTES])
    tables = readers.read(clicks(exact_repeats=exact_repeats), tmp_path)
    n = 11 if exact_repeats == "keep" else 10
    assert counts(tables)[f"events {SAME} of their session, in the order of the file (5)"][0] == n
    # y after exactly ten minutes, x after one second more.
    assert counts(tables)["the same item again within 10 minutes, kept (1)"][0] == n
    ties, again = tables.warnings
    detail = (
        "they are kept in the order of the file; give finer times, or number a session's events in a column `position`"
    )
    assert ties == f"events {SAME} event of their session: 5 in 2 sessions; {detail}"
    assert again.startswith("the same item again within 10 minutes in a session: 1 events; where two players wrote")


def test_equal_times_of_a_log_that_is_newest_first_give_a_warning(tmp_path):
    write(tmp_path / "e.csv", ["s,i,t", *MINUTES[::-1]])
    tables = readers.read(clicks(), tmp_path)
    assert tables.events["item"].tolist()[-4:] == ["a", "c", "b", "d"]
    assert "in the order of the file, which is newest first: most likely the reverse of" in tables.warnings[0]
    write(tmp_path / "e.csv", ["s,i,t", "1,a,9", "1,b,8", "2,c,7", "2,d,6"])  # no warning without equal times
    assert readers.read(clicks(), tmp_path).warnings == ()


def test_equal_positions_are_counted_and_different_ones_are_not(tmp_path):
    write(tmp_path / "e.csv", ["s,i,p", "1,a,1", "1,b,1", "1,c,2", "2,a,1", "2,a,2"])
    tables = readers.read(clicks(position="p"), tmp_path)
    assert counts(tables)["events at the same position as another of their session, in the order of the file (2)"]
    assert len(tables.warnings) == 1
    assert "position as another event of their session: 2 in 1 sessions;" in tables.warnings[0]


def test_positions_may_have_gaps(tmp_path):
    write(tmp_path / "e.csv", ["s,i,p", "1,a,30", "1,b,2", "1,c,7"])
    events = readers.read(clicks(position="p"), tmp_path).events
    assert events["item"].tolist() == list("bca")
    assert events["position"].tolist() == [1, 2, 3]


def test_item_table(tmp_path):
    write(tmp_path / "e.csv", LINES)
    write(tmp_path / "i.tsv", ["id\tartist\ttag_1\ttag_2\tlength", "a\t7\t0\tx\t1.5", "q\t0\t\t0\t"])
    table = ItemTable(
        file="i.tsv",
        item="id",
        numeric=("length",),
        categorical=("artist",),
        multivalued={"tags": ("tag_1", "tag_2")},
        missing=("0",),
    )
    tables = readers.read(clicks(item_table=table), tmp_path)
    expected = pd.DataFrame(
        {
            "item": ["a", "q"],
            "length": [1.5, np.nan],
            "artist": ["7", None],
            "tag_1": [None, None],
            "tag_2": ["x", None],
        }
    ).astype(dict.fromkeys(("item", "artist", "tag_1", "tag_2"), "str"))
    pd.testing.assert_frame_equal(tables.items, expected)
    assert (tables.numeric, tables.categorical, tables.multivalued) == (
        ("length",),
        ("artist",),
        {"tags": ("tag_1", "tag_2")},
    )
    assert counts(tables)["of items with features"] == (2, 2, 1)
    write(tmp_path / "i.tsv", ["id\tartist\ttag_1\ttag_2\tlength", "a\t7\t0\tx\tinf"])
    assert failure(clicks(item_table=table), tmp_path)[0].startswith(
        "i.tsv, line 2, column `length`: cannot read `inf`;"
    )


@pytest.mark.parametrize("zero", ["0", "0.0", " 0 ", "-0", "0e3"])
@pytest.mark.parametrize("given", [0, 0.0, "0"])
def test_numbers_that_mean_no_value_are_missing_in_any_form(tmp_path, zero, given):
    write(tmp_path / "e.csv", LINES)
    write(
        tmp_path / "i.csv",
        ["id,tempo,beat,kind", f"a,{zero},{zero},7", "b,120,0,0.0", "c,10,4,0", "d,,4,n/a", "e,n/a,4,"],
    )
    missing = {"tempo": [given, "n/a"], "kind": [0, "n/a"]}
    table = ItemTable(file="i.csv", item="id", numeric=["tempo", "beat"], categorical=["kind"], missing=missing)
    items = readers.read(clicks(item_table=table), tmp_path).items
    np.testing.assert_array_equal(items["tempo"], [np.nan, 120, 10, np.nan, np.nan])
    assert items["beat"].tolist() == [0, 0, 4, 4, 4]  # not named: 0 is a value
    assert items["kind"].dropna().tolist() == ["7"]
    features = fit_features(RawFeatures(items, numeric=("tempo",)), items["item"], 5)
    assert features.fitted["mean"] == [65]
    assert features.numeric[[0, 3, 4], 0].tolist() == [0, 0, 0]
    write(tmp_path / "i.csv", ["id,tempo,beat,kind", "a,none,0,7"])
    assert failure(clicks(item_table=table), tmp_path)[0].startswith(
        "i.csv, line 2, column `tempo`: cannot read `none`;"
    )


def test_numbers_that_mean_no_value_are_missing_in_parquet(tmp_path):
    write(tmp_path / "e.csv", LINES)
    frame = pd.DataFrame({"id": ["a", "b"], "whole": [0, 4], "short": np.float32([-0.1, 3]), "tag": [1, 0]})
    frame.to_parquet(tmp_path / "i.parquet")
    missing = {"whole": [0], "short": [-0.1], "tag": [0]}
    table = ItemTable(
        file="i.parquet", item="id", numeric=["whole", "short"], multivalued={"tags": ["tag"]}, missing=missing
    )
    items = readers.read(clicks(item_table=table), tmp_path).items
    np.testing.assert_array_equal(items[["whole", "short"]], [[np.nan, np.nan], [4, 3]])
    assert items["tag"].isna().tolist() == [False, True]


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_columns_may_have_the_names_of_internal_columns(tmp_path, kind):
    """A name of a column of the file never means an internal column of the database."""
    write(tmp_path / "e.csv", ["s,i,t", "1,a,10", "1,b,20"])
    names = ["_x0", "_X1", "rowid", "row", "c0", "_file", "_bad", "feature_1", "session"]
    frame = pd.DataFrame({"id": ["a", "b"]} | {name: [n, n + 0.5] for n, name in enumerate(names)})
    path = tmp_path / f"i.{kind}"
    frame.to_csv(path, index=False) if kind == "csv" else frame.to_parquet(path)
    table = ItemTable(file=path.name, item="id", numeric=names)
    expected = frame.rename(columns={"id": "item"}).astype(dict.fromkeys(names, float) | {"item": "str"})
    pd.testing.assert_frame_equal(readers.read(clicks(item_table=table), tmp_path).items, expected)


def test_nothing_left_is_an_error(tmp_path):
    write(tmp_path / "e.csv", ["s,i,t", "1,a,?"])
    assert "no good row is left of 1" in failure(clicks(on_bad_rows="drop"), tmp_path)[0]


@pytest.mark.slow
@settings(max_examples=30)
@given(
    st.lists(st.tuples(st.sampled_from("123"), st.sampled_from("abc"), st.integers(0, 3)), min_size=1, max_size=30),
    st.sampled_from(["keep", "drop"]),
)
def test_events_equal_a_plain_loop(tmp_path_factory, rows, exact_repeats):
    folder = tmp_path_factory.mktemp("events")
    write(folder / "e.csv", ["s,i,t", *(f"{s},{i},{t}" for s, i, t in rows)])
    events = readers.read(clicks(exact_repeats=exact_repeats), folder).events
    wanted = []
    for session in dict.fromkeys(s for s, _, _ in rows):
        own = sorted((row for row in rows if row[0] == session), key=lambda row: row[2])
        wanted += [*dict.fromkeys(own)] if exact_repeats == "drop" else own
    assert list(zip(events["session"], events["item"], events["time"].astype(int), strict=True)) == wanted


def test_lines_are_right_in_a_large_file(tmp_path):
    n, bad = 100_000, {7: "?", 45_678: "x", 99_999: "1e999"}
    write(tmp_path / "e.csv", ["s,i,t", *(f"session-{k // 10},item-{k},{bad.get(k, k)}" for k in range(n))])
    problems = readers.read(clicks(on_bad_rows="drop"), tmp_path).problems
    assert problems["line"].tolist() == [k + 2 for k in bad]
    assert problems["problem"].tolist() == [f"cannot read `{text}`" for text in bad.values()]


REAL = {
    "mssd_fixture": (mssd(), {"read": (201, 11, 175), "of items with features": (201, 11, 175)}),
    "thirty_music": (
        clicks(events=("sessions.tsv",), session="SessionId", item="ItemId", time="Time", exact_repeats="drop"),
        {"read": (88_761, 6_830, 46_097), "exact repeats dropped (2,293)": (86_468, 6_830, 46_097)},
    ),
    "yoochoose_100k": (
        clicks(events=("train.tsv", "valid.tsv"), session="SessionId", item="ItemId", time="Time"),
        {"read": (69_793, 17_713, 2_873), "exact repeats kept (1)": (69_793, 17_713, 2_873)},
    ),
    "polimi_playlists": (
        clicks(events=("train_new_pos.csv",), session="playlist_id", item="track_id", position="pos"),
        {"read": (115_553, 5_000, 13_536), "exact repeats kept (0)": (115_553, 5_000, 13_536)},
    ),
}


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs the real files")
@pytest.mark.parametrize("name", REAL)
def test_real_sets_have_their_known_counts(name):
    """Layouts, repeats, gaps and dates of spreadsheets are tested above on hand-made files."""
    data, known = REAL[name]
    assert known.items() <= counts(readers.read(data, SHARED / name)).items()
