"""Mistakes in users' input, and the message for each; `test_bad_input.py` runs them.

`python tests/bad_input.py` writes the cases to reports/bad_input.csv; a test fails while that table is out of date.
"""

import gzip
import io
import itertools
import json
import os
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import yaml
from mssd_rows import LOG_HEADER, TRACK_HEADER, log_rows

TABLE_FILE = Path(__file__).resolve().parents[1] / "reports" / "bad_input.csv"


class Case(NamedTuple):
    """One mistake.

    Args:
        name: what is wrong.
        files: name and content of each file in the folder where the command is run; a function writes its own file.
        command: the arguments of `gru4rec`.
        code: the exit code.
        told: the complete stderr, or for exit code 0 a part of stdout; `…` stands for any text.
        rights: if false and the tests run as root, the command is run as a user without special rights.
    """

    name: str
    files: dict[str, str | bytes | Callable[[Path], None]]
    command: str
    code: int
    told: str
    rights: bool = True


def lines(*rows):
    return "\n".join(rows) + "\n"


def events(*rows, header="session_id,item_id,time"):
    return lines(header, *rows)


def tabs(*rows, header="session_id,item_id,time"):
    return events(*rows, header=header).replace(",", "\t")


def study(**changes):
    return yaml.safe_dump({**STUDY, **changes})


def data(**changes):
    return {**STUDY["data"], **changes}


def log(*rows):
    return lines(",".join(LOG_HEADER), *rows)


def tracks(*rows):
    return lines(",".join(TRACK_HEADER), *rows)


def track(name, first="0.5", others="0.5"):
    return f"{name},{first}," + f"{others}," * 14 + "major" + f",{others}" * 13


def one(told):
    """Return the message for the only bad row of a table."""
    return f"{told}\n1 problem in all; `on_bad_rows: drop` leaves such rows out"


def one_id(told):
    """Return the message for an id that is written in two ways."""
    remedy = "write it in one way, whole numbers such as by .astype('Int64') in pandas"
    return f"{told}; {remedy} (values written in two ways: 1)"


def parquet(**columns):
    return lambda path: pd.DataFrame(columns).to_parquet(path)


def no_rights(path):
    path.write_text(GOOD)
    path.chmod(0)


def locked_folder(path):
    path.mkdir()
    path.chmod(0o555)


def full_disk(path):
    """Send writes to `path` to a full device."""
    path.parent.mkdir(parents=True)
    path.with_name(f".{os.getpid()}.{path.name}").symlink_to("/dev/full")


DECLARE = "declare the marks by `quote: '\"'` in the study, by `--quote '\"'` in a check, or delete them"
ROWS = ("1,a,10", "1,b,20", "2,a,5", "2,b,6")
GOOD = events(*ROWS)
PACKED = gzip.compress(events(*(f"{n // 5},{n % 7},{n}" for n in range(20_000))).encode(), mtime=0)
MANY = events(*(f"{n // 4},i{n % 5},{n}" for n in range(80)))
ITEMS = lines("item_id,artist,length", *(f"i{n},x{n % 2},{n}" for n in range(5)))
TABLE = {"file": "items.csv", "item": "item_id", "numeric": ["length"], "categorical": ["artist"]}
STUDY = {
    "title": "mine",
    "data": {
        **{"layout": "events", "name": "mine", "events": ["e.csv"]},
        **{"session": "session_id", "item": "item_id", "time": "time"},
    },
    "split": {"how": "by_time", "test_fraction": 0.2},
    "models": [{"input_form": ["shared"], "loss": ["cross_entropy"]}],
}
WITH_ITEMS = study(data=data(item_table=TABLE))
MSSD = study(data={"layout": "mssd", "name": "mine"}, split={"how": "by_session", "test_fraction": 0.2})
SHARDS = study(
    data={"layout": "mssd", "name": "mine", "shards": True},
    split={"how": "by_file", "test": "log_2*"},
)
SESSIONS = [row for n in range(20) for row in log_rows(f"s{n}", ["x", "y", "z"])]


def table(name, content, told, code=2, words=""):
    """Return the case of one file that is checked."""
    file = "e.csv" if isinstance(content, str) else content[0]
    return Case(name, {file: content if isinstance(content, str) else content[1]}, f"check {file}{words}", code, told)


def config(name, told, code=2, text=None, rows=MANY, files=None, **changes):
    """Return the case of one study that is checked, with good events and possibly other files."""
    content = {"s.yaml": study(**changes) if text is None else text, "e.csv": rows} | (files or {})
    return Case(name, content, "check s.yaml --data .", code, told)


def with_items(name, items, told, code=2, events=MANY, text=WITH_ITEMS):
    files = {"s.yaml": text, "e.csv": events, "items.csv": items}
    return Case(name, files, "check s.yaml --data .", code, told)


def extended(time, **changes):
    """Return a record of Spotify's extended streaming history."""
    ends = datetime.fromtimestamp(1_700_000_000 + time, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    track = {"spotify_track_uri": f"spotify:track:{time % 7}", "master_metadata_track_name": "x"}
    return {"ts": ends, "ms_played": 60_000, **track, "master_metadata_album_artist_name": "y", **changes}


def zipped(members):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


def listening(**changes):
    """Return the settings of events whose sessions are cut by time."""
    return {name: value for name, value in data(idle_minutes=30, **changes).items() if name != "session"}


EXPORT = json.dumps([extended(100 * n) for n in range(70)])
PAUSED = [f"9,i{n % 5},{90_000 + 9000 * (n // 4) + 60 * (n % 4)}" for n in range(80)]

CASES = [
    # The table's columns
    table(
        "a column missing",
        lines("session_id,time", "1,10"),
        "e.csv, line 1: no column is known as the item (there: session_id, time); name it by --item",
    ),
    table(
        "a column renamed",
        events(*ROWS, header="session_id,song,time"),
        "e.csv, line 1: no column is known as the item (there: session_id, song, time); name it by --item",
    ),
    table("a column renamed, and named", events(*ROWS, header="session_id,song,time"), "4 events", 0, " --item song"),
    table(
        "a space before a column's name",
        events(*ROWS, header="session_id, item_id,time"),
        "events: [e.csv], session: session_id, item: ' item_id', time: time}",
        0,
    ),
    table(
        "a space before a column's name, and the column named",
        events(*ROWS, header="session_id, item_id,time"),
        "e.csv, line 1, column `item_id`: is missing, there is ` item_id` with a space; delete the space",
        2,
        " --item item_id",
    ),
    table(
        "a column's name that means something in YAML",
        events(*ROWS, header='session_id,"a: {b, #c",time'),
        "item: 'a: {b, #c', time: time}",
        0,
        " --item 'a: {b, #c'",
    ),
    table(
        "ids that differ by spaces around them",
        events(*ROWS, "2, a,7"),
        "warning: ids of column `item` that differ from others only by outer spaces: 1",
        0,
    ),
    table(
        "the folder of a study, for a table",
        GOOD,
        "--data: only a study has a data folder; omit the argument",
        2,
        " --data .",
    ),
    Case(
        "a column named, for a study",
        {"s.yaml": study()},
        "check s.yaml --item song",
        2,
        "--item: a study's file sets this; omit the argument",
    ),
    table(
        "a column named that is not there",
        GOOD,
        "e.csv, line 1, column `song`: is missing (there: session_id, item_id, time); add it or name it so",
        2,
        " --item song",
    ),
    table(
        "a column twice",
        events("1,a,10,3", header="session_id,item_id,time,time"),
        "e.csv, line 1, column `time`: is there twice; rename one of them",
    ),
    table(
        "two columns that may be the item",
        events("1,a,10,b", header="session_id,item_id,time,track_id"),
        "e.csv, line 1: `item_id` and `track_id` may each be the item; name the right one by --item",
    ),
    table(
        "columns more than are read", events("1,a,5,x", "1,b,6,x", header="session_id,item_id,time,note"), "2 events", 0
    ),
    table(
        "one column for two uses",
        GOOD,
        "e.csv: `session`, `item` and `time` or `position` should be three different columns",
        2,
        " --session item_id --item item_id",
    ),
    table(
        "no time and no position",
        events("1,a", header="session_id,item_id"),
        "e.csv, line 1: no column is known as the time (there: session_id, item_id); name it by --time or --position",
    ),
    table(
        "semicolons between cells",
        GOOD.replace(",", ";"),
        "e.csv, line 1: cells are parted by `;`; part them by commas in a .csv, tabs in a .tsv",
    ),
    table(
        "no header",
        lines(*ROWS),
        "e.csv, line 1: holds values (1, a, 10), the header is missing; put a line with the names of the columns above "
        "it",
    ),
    table("a blank first line", "\n" + GOOD, "e.csv, line 1: is blank; begin the file with the names of its columns"),
    # Cells
    table(
        "text as time",
        events("1,a,soon", "1,b,20"),
        one("e.csv, line 2, column `time`: cannot read `soon`; write unix seconds or an ISO date and time"),
    ),
    table(
        "time in milliseconds",
        events("1,a,1531612800000"),
        one("e.csv, line 2, column `time`: cannot read `1531612800000`; write unix seconds or an ISO date and time"),
    ),
    table(
        "a huge time",
        events("1,a,1e300"),
        one("e.csv, line 2, column `time`: cannot read `1e300`; write unix seconds or an ISO date and time"),
    ),
    table(
        "NaN as time",
        events("1,a,NaN"),
        one("e.csv, line 2, column `time`: cannot read `NaN`; write unix seconds or an ISO date and time"),
    ),
    table(
        "a date of another order",
        events("1,a,15/07/2018"),
        one("e.csv, line 2, column `time`: cannot read `15/07/2018`; write unix seconds or an ISO date and time"),
    ),
    table(
        "a date with a year of two digits",
        events("1,a,14-07-11", "1,b,20"),
        one("e.csv, line 2, column `time`: cannot read `14-07-11`; write unix seconds or an ISO date and time"),
    ),
    table(
        "a date and time in words",
        events('1,a,"29 Nov 2023, 14:02"', "1,b,20"),
        one(
            "e.csv, line 2, column `time`: cannot read `29 Nov 2023, 14:02`; write unix seconds or an ISO date and time"
        ),
    ),
    table(
        "dates written as digits",
        events("1,a,20140711", "1,b,20140712"),
        "e.csv, column `time`: `20140711` looks like 2014-07-11 written as digits, but is read as unix seconds, "
        "1970-08-22T02:38:31; write ISO dates",
    ),
    table(
        "years as times",
        events("1,a,2014", "1,b,2015"),
        "warning: e.csv, column `time`: `2014` looks like the year 2014, but is read as unix seconds, "
        "1970-01-01T00:33:34; write ISO dates",
        0,
    ),
    table(
        "day numbers of a spreadsheet as times",
        events("1,a,45000.5", "1,b,45001.5"),
        "warning: e.csv, column `time`: `45000.5` looks like 2023-03-15T12:00:00 in days of a spreadsheet, but is read "
        "as unix seconds, 1970-01-01T12:30:00; write ISO dates",
        0,
    ),
    table(
        "times that all lie in 1970",
        events("1,a,7000.5", "1,b,1970-03-01"),
        "warning: e.csv, column `time`: all times are of 1969 and 1970, from 1970-01-01T01:56:40 to "
        "1970-03-01T00:00:00; where they count no seconds, write ISO dates",
        0,
    ),
    table(
        "a huge position",
        events("1,a,99999999999", header="session_id,item_id,position"),
        one("e.csv, line 2, column `position`: cannot read `99999999999`; write a whole number"),
    ),
    table(
        "a fraction as position",
        events("1,a,1.5", header="session_id,item_id,position"),
        one("e.csv, line 2, column `position`: cannot read `1.5`; write a whole number"),
    ),
    table(
        "an empty session",
        events(",a,10", "1,b,20"),
        one("e.csv, line 2, column `session_id`: is empty; give every row an id"),
    ),
    table(
        "an empty item",
        events("1,  ,10", "1,b,20"),
        one("e.csv, line 2, column `item_id`: is empty; give every row an id"),
    ),
    table(
        "too few cells",
        events("1,a,10", "1,b"),
        one("e.csv, line 3: has fewer cells than the header's 3; correct or delete the line"),
    ),
    table(
        "too many cells",
        events("1,a,10", "1,b,20,30"),
        one("e.csv, line 3: has more cells than the header's 3; correct or delete the line"),
    ),
    table(
        "more than ten bad rows",
        events(*(f"1,a,x{n}" for n in range(12))),
        "e.csv, line 2, column `time`: cannot read `x0`; write unix seconds or an ISO date and "
        "time\n…\n12 problems in all; `on_bad_rows: drop` leaves such rows out",
    ),
    table(
        "a bad cell of many lines",
        events('1,a,"x\ny\tz"', "1,b,20"),
        one("e.csv, line 2, column `time`: cannot read `x\\ny\\tz`; write unix seconds or an ISO date and time"),
    ),
    table(
        "a bad cell of a megabyte",
        events(f"1,a,{'x' * 1_000_000}", "1,b,20"),
        one("e.csv, line 2, column `time`: cannot read `xxx…; write unix seconds or an ISO date and time"),
    ),
    # Sessions and items
    table(
        "every session of one event",
        events("1,a,10", "2,b,20"),
        "no session has two events, so there is nothing to learn; is this the column of sessions?",
    ),
    table(
        "some sessions of one event",
        events(*ROWS, "3,a,7"),
        "warning: sessions of one event: 1; they have nothing to predict and are skipped",
        0,
    ),
    table(
        "one item only",
        events("1,a,10", "1,a,20"),
        "there is one item alone, so there is nothing to choose from; is this the column of items?",
    ),
    table(
        "exact repeats",
        events(*ROWS, "1,a,10", "1,a,10"),
        "warning: exact repeats kept (2); `exact_repeats: drop` in the study leaves them out",
        0,
    ),
    # The file's text
    table("CRLF", GOOD.replace("\n", "\r\n"), "4 events", 0),
    table("CR alone", GOOD.replace("\n", "\r"), "4 events", 0),
    table(
        "line ends mixed",
        GOOD.replace("\n", "\r\n", 2),
        "e.csv: its lines end in more than one way (LF, CRLF or CR); give all of them the same end",
    ),
    table("no end of the last line", GOOD.rstrip(), "4 events", 0),
    table("a byte order mark", "\ufeff" + GOOD, "4 events", 0),
    table("UTF-16", ("e.csv", GOOD.encode("utf-16")), "e.csv, line 1: is not UTF-8; save the file as UTF-8"),
    table(
        "UTF-16 without a mark",
        ("e.csv", GOOD.encode("utf-16-le")),
        "e.csv, line 1: is not UTF-8; save the file as UTF-8",
    ),
    table(
        "Latin-1",
        ("e.csv", events("1,café,10", "1,b,20").encode("latin-1")),
        "e.csv, line 2: is not UTF-8; save the file as UTF-8",
    ),
    table(
        "Latin-1 in the header",
        ("e.csv", events("1,b,20,0", header="session_id,item_id,time,café").encode("latin-1")),
        "e.csv, line 1: is not UTF-8; save the file as UTF-8",
    ),
    table("quoted cells with commas", events('1,"a, b",10', '1,"say ""b""",20'), "2 events", 0),
    table("quoted cells with line ends", events('1,"a\nb",10', "1,c,20"), "2 events", 0),
    table(
        "a quotation mark that does not close",
        events('1,"a,10', "1,b,20"),
        "e.csv, line 2: a quotation mark opens and does not close as it should; close it, or double "
        "those inside a text",
    ),
    table(
        "a quotation mark in the header that does not close",
        'session_id,"item_id,time\n' + "1,a,10\n" * 90,
        "e.csv, line 1: no column is known as the item (there: session_id, item_id,time\\n1,a,10…); name it by --item",
    ),
    table(
        "a quotation mark in a table of tabs",
        ("e.tsv", tabs('1,"a,10', "1,b,20").encode()),
        "2 events, 1 sessions, 2 items",
        0,
    ),
    table(
        "quoted cells in a table of tabs",
        ("e.tsv", tabs('1,"a",10', "1,b,20").encode()),
        "warning: e.tsv, column `item_id`: cells in quotation marks, which count as part of the text: 1; declare",
        0,
    ),
    table(
        "quoted cells in a table of tabs, declared",
        ("e.tsv", tabs('1,"a",10', "1,b,20").encode()),
        """events: [e.tsv], session: session_id, item: item_id, time: time, quote: '"'}""",
        0,
        """ --quote '"'""",
    ),
    table(
        "quoted times in a table of tabs",
        ("e.tsv", tabs('1,a,"10"', "1,b,20").encode()),
        one(f'e.tsv, line 2, column `time`: cannot read `"10"`; {DECLARE}'),
    ),
    table(
        "quoted names of columns in a table of tabs",
        ("e.tsv", tabs("1,a,10", header='"session","item","time"').encode()),
        f'e.tsv, line 1: names of columns are in quotation marks, such as `"session"`; {DECLARE}',
    ),
    table(
        "a quotation mark of two letters",
        GOOD,
        "e.csv: quote: should be one punctuation mark such as '\"', or null where cells are never quoted (given: 'ab')",
        2,
        " --quote ab",
    ),
    Case(
        "a quotation mark, for a study",
        {"s.yaml": study()},
        "check s.yaml --quote none",
        2,
        "--quote: a study's file sets this; omit the argument",
    ),
    table(
        "rows within stray quotation marks",
        events('1,"a,10', "1,b,20", '2,c",30', "2,d,40"),
        "e.csv, line 2: a quotation mark opens and closes in line 4, around lines that look like rows (4 lines below "
        "the header give 2 rows); delete stray marks and double those inside texts; if a text holds these lines, "
        + DECLARE,
    ),
    table(
        "cells of several lines",
        events('1,"a\nb",10', "1,c,20"),
        "warning: e.csv, line 2: a quotation mark opens and closes in line 3; 1 row holds line ends, 3 lines below the "
        "header give 2 rows; if they should not, delete stray marks",
        0,
    ),
    table(
        "a table of tabs without a header",
        ("e.tsv", b"196\t242\t3\t881250949\n186\t302\t3\t891717742\n"),
        "e.tsv, line 1: holds values (196, 242, 3, 881250949), the header is missing; put a line with the names of the "
        "columns above it",
    ),
    table(
        "a value of the first row given as a column's name",
        ("e.tsv", b"196\t242\t3\t881250949\n186\t302\t3\t891717742\n"),
        "e.tsv, line 1: holds values (196, 242, 3, 881250949), the header is missing; put a line with the names of the "
        "columns above it",
        2,
        " --session 196 --item 242 --time 881250949",
    ),
    table("a file's ending in capitals", ("e.CSV", GOOD.encode()), "4 events", 0),
    # The file itself
    table("an empty file", "", "e.csv: is empty (0 bytes); copy it again"),
    table("a header alone", events(), "e.csv: has a header but no rows; replace it by the whole file or take it away"),
    table(
        "no such file", ("other.csv", GOOD), "e.csv: there is no such file; put it there or correct the name"
    )._replace(command="check e.csv"),
    table(
        "a link to nothing",
        ("e.csv", lambda path: path.symlink_to("nowhere")),
        "e.csv: there is no such file; put it there or correct the name",
    ),
    table(
        "a pipe in place of a file",
        ("e.csv", os.mkfifo),
        "e.csv: is no regular file but a pipe or a device; put the file itself in its place",
    ),
    table("a byte order mark alone", "\ufeff", "e.csv: is empty; copy it again"),
    table(
        "a header of more than 4 MB",
        '"' + "x" * 5_000_000,
        "e.csv, line 1: has a cell of more than 4 MB; look for a quotation mark that does not close",
    ),
    table(
        "NUL in a cell",
        events("1,a\0b,10", "1,b,20"),
        one("e.csv, line 2, column `item_id`: cannot read `a\\x00b`; give every row an id"),
    ),
    table(
        "NUL in the header",
        GOOD.replace("item", "it\0em"),
        "e.csv, line 1: a name of a column holds a NUL (\\x00); delete it",
    ),
    table(
        "a folder in place of a file",
        ("e.csv", Path.mkdir),
        "e.csv: is a folder, not a file; put the file itself in its place",
    ),
    table(
        "no right to read",
        ("e.csv", no_rights),
        "e.csv: cannot be read: Permission denied; fix that, or copy it again",
    )._replace(rights=False),
    table(
        "another kind of file",
        ("e.xlsx", b"PK"),
        "e.xlsx: is no kind of file that is read here; give .csv, .tsv, .txt, .json, .jsonl (packed or not) or "
        ".parquet",
    ),
    table(
        "a workbook named .csv",
        ("e.csv", b"PK\x03\x04" + bytes(100)),
        "e.csv: is a .zip file or a workbook by its first bytes; name it .zip, or save the table as CSV",
    ),
    table(
        "a packed file named .csv",
        ("e.csv", PACKED),
        "e.csv: is a .gz file by its first bytes; let its name end in .gz",
    ),
    table(
        "a plain file named .gz",
        ("e.csv.gz", GOOD.encode()),
        "e.csv.gz, line 1: the .gz file is damaged or no .gz file; copy it again",
    ),
    table(
        "a workbook named .csv.gz",
        ("e.csv.gz", b"PK\x03\x04" + bytes(100)),
        "e.csv.gz: is a .zip file or a workbook by its first bytes; name it .zip, or save the table as CSV",
    ),
    table(
        "a Parquet file named .csv.gz",
        ("e.csv.gz", b"PAR1" + bytes(100)),
        "e.csv.gz: is a Parquet file by its first bytes; let its name end in .parquet",
    ),
    table(
        "a packed file cut short",
        ("e.csv.gz", PACKED[:-3]),
        "e.csv.gz, line 20002: the .gz file ends too early; copy it again",
    ),
    table(
        "a packed file damaged",
        ("e.csv.gz", PACKED[:900] + b"\0\1\2\3" + PACKED[904:]),
        "e.csv.gz, line 1: the .gz file is damaged or no .gz file; copy it again",
    ),
    table(
        "a packed file with zeros behind it",
        ("e.csv.gz", gzip.compress(GOOD.encode(), mtime=0) + bytes(512)),
        "e.csv.gz: zeros follow the packed data; unpack it, and put the unpacked file in its place: "
        "python3 -m gzip -d < e.csv.gz > e.csv",
    ),
    table("an empty packed file", ("e.csv.gz", gzip.compress(b"")), "e.csv.gz: is empty when unpacked; copy it again"),
    table(
        "packed files one behind the other",
        ("e.csv.gz", gzip.compress(GOOD.encode()) + gzip.compress(b"3,a,1\n")),
        "5 events",
        0,
    ),
    table(
        "a packed file with something behind it",
        ("e.csv.gz", gzip.compress(GOOD.encode()) + b"more"),
        "e.csv.gz, line 6: the .gz file is damaged or no .gz file; copy it again",
    ),
    table(
        "a Parquet file cut short",
        ("e.parquet", b"PAR1" + bytes(50)),
        "e.parquet: cannot be read: …; fix that, or copy it again",
    ),
    table(
        "lists in a Parquet file",
        ("e.parquet", parquet(session_id=["1"], item_id=[["a"]], time=[1])),
        "e.parquet, column `item_id`: holds a list in each cell; write one value a cell",
    ),
    table(
        "gaps in a Parquet file",
        ("e.parquet", parquet(session_id=["1", "1"], item_id=["a", None], time=[1, 2])),
        one("e.parquet, line 2, column `item_id`: is empty; give every row an id"),
    ),
    table(
        "a fraction as id in a Parquet file",
        ("e.parquet", parquet(session_id=[1, 1], item_id=[12, 0.5], time=[1, 2])),
        one(
            "e.parquet, line 2, column `item_id`: cannot read `0.5`; give every row an id, saved as text or a whole "
            "number"
        ),
    ),
    table(
        "truth values as ids in a Parquet file",
        ("e.parquet", parquet(session_id=[1, 1], item_id=[True, False], time=[1, 2])),
        "e.parquet, column `item_id`: holds a BOOLEAN in each cell; save the ids as text or whole numbers",
    ),
    # Logs and track features in the layout of Spotify's data set
    table(
        "a log with a column missing",
        log(*SESSIONS).replace("hour_of_day", "hour"),
        "e.csv, line 1, column `hour_of_day`: is missing (there: session_id, session_position…); add it or name it so",
    ),
    table(
        "a log that ends within a session",
        log(*SESSIONS[:-1]),
        one(
            "e.csv, line 59, column `session_length`: is 3 but the session has 2 rows; bring back the "
            "missing rows or correct the length"
        ),
    ),
    table(
        "a session in two places of a log",
        log(*SESSIONS[:2], *SESSIONS[3:6], SESSIONS[2]),
        one(
            "e.csv, line 7, column `session_id`: session `s0` is in two places; keep the rows of a session "
            "together in one file, and have every session once"
        ),
    ),
    table(
        "an hour that is none",
        log(*SESSIONS).replace(",16,", ",25,", 1),
        one("e.csv, line 2, column `hour_of_day`: cannot read `25`; write 0 to 23"),
    ),
    table(
        "track features with a column missing",
        tracks(track("x")).replace("tempo", "speed"),
        "e.csv, line 1, column `tempo`: is missing (there: track_id, duration, release_year…); add it or name it so",
    ),
    table(
        "a track twice",
        tracks(track("x"), track("x")),
        one("e.csv, line 3, column `track_id`: item `x` has a row already; keep one row an item"),
    ),
    table(
        "text among track features",
        tracks(track("x", "loud"), track("y")),
        one(
            "e.csv, line 2, column `duration`: cannot read `loud`; write a finite number below 3e38, or "
            "leave the cell empty"
        ),
    ),
    table(
        "NaN among track features",
        tracks(track("x", "nan"), track("y")),
        one(
            "e.csv, line 2, column `duration`: cannot read `nan`; write a finite number below 3e38, or "
            "leave the cell empty"
        ),
    ),
    table(
        "track features that do not vary",
        tracks(track("x"), track("y", "0.7")),
        "warning: no effect, because all items have the same value: release_year, us_popularity_estimate, ",
        0,
    ),
    *(
        Case(
            f"a log beside itself{where}",
            {"s.yaml": MSSD, "log_1.csv": log(*SESSIONS), other: content},
            "check s.yaml --data .",
            2,
            f"{other}, line 2, column `session_id`: session `s0` is in log_1.csv too; keep the rows of a "
            "session together in one file, and have every session once\n…\n20 problems in all; "
            "`on_bad_rows: drop` leaves such rows out",
        )
        for where, other, content in (
            (", packed", "log_1.csv.gz", gzip.compress(log(*SESSIONS).encode())),
            (", by another name", "log_2.csv", log(*SESSIONS)),
        )
    ),
    Case(
        "tracks without features",
        {"s.yaml": MSSD, "log_1.csv": log(*SESSIONS), "tf_1.csv": tracks(track("x", "1", "3"), track("y"))},
        "check s.yaml --data .",
        0,
        "warning: items without features: 1; they count as average",
    ),
    Case(
        "no track features for a model with content",
        {
            "s.yaml": study(
                data={"layout": "mssd", "name": "mine"},
                split={"how": "by_session", "test_fraction": 0.2},
                models=[{"input_form": ["content"], "loss": ["bpr"]}],
            ),
            "log_1.csv": log(*SESSIONS),
        },
        "check s.yaml --data .",
        2,
        "…: has no track features (tf_*.csv), but models or baselines need them",
    ),
    Case(
        "no log",
        {"s.yaml": MSSD, "tf_1.csv": tracks(track("x"))},
        "check s.yaml --data .",
        2,
        "…: no log file in it or below; put log_*.csv or log_*.csv.gz, and tf_*.csv or tf_*.csv.gz "
        "there: see data/README.md",
    ),
    # A table of items
    with_items(
        "features without items in the sessions", ITEMS + "q,x,9\n", "items with features that are in no session: 1", 0
    ),
    with_items(
        "items without features",
        ITEMS.replace("i0,x0,0\n", ""),
        "warning: items without features: 1; they count as average",
        0,
    ),
    with_items(
        "ids written otherwise in the item table",
        ITEMS.replace("\ni", "\n"),
        "the item table holds none of the 5 items of training, such as `i0`; its ids are such as `0`; write ids alike "
        "in both",
    ),
    with_items(
        "features of under half of the items",
        ITEMS[: ITEMS.index("i2")],
        "warning: the item table holds 2 of the 5 items of training; the others have no features",
        0,
    ),
    with_items(
        "ids of the item table from a float column",
        ITEMS.replace("\ni2", "\n2.0").replace("\ni", "\n"),
        one_id("items.csv, line 4, column `item_id`: `2.0` is `2` in e.csv, line 4, column `item_id`"),
        events=MANY.replace(",i", ",").replace(",tem", ",item"),
    ),
    with_items(
        "a category from an integer and from a float column",
        ITEMS.replace("x0", "0").replace("x1", "0.0"),
        one_id("items.csv, line 3, column `artist`: `0.0` is `0` in items.csv, line 2, column `artist`"),
    ),
    Case(
        "ids from an integer and from a float column",
        {
            "s.yaml": study(data=data(events=["e.csv", "f.csv"])),
            "e.csv": MANY.replace(",i", ",").replace(",tem", ",item"),
            "f.csv": events("99,1,10", "99,2.0,20"),
        },
        "check s.yaml --data .",
        2,
        one_id("f.csv, line 3, column `item_id`: `2.0` is `2` in e.csv, line 4, column `item_id`"),
    ),
    Case(
        "a list of test sessions from a float column",
        {
            "s.yaml": study(split={"how": "listed", "test": "test.csv"}),
            "e.csv": MANY,
            "test.csv": lines("session", "3.0"),
        },
        "check s.yaml --data .",
        2,
        "test.csv, line 2, column `session`: session `3.0` is not in the data (1 such); `3` is; write it in one way, "
        "whole numbers such as by .astype('Int64') in pandas",
    ),
    config(
        "a category called as a part of the features' record",
        "s.yaml: data.item_table: a category cannot be called `scale`, as part of the features' record; rename it",
        data=data(item_table={**TABLE, "categorical": ["scale"]}),
    ),
    with_items(
        "a huge feature",
        ITEMS + "q,x,1e300\n",
        one(
            "items.csv, line 7, column `length`: cannot read `1e300`; write a finite number below 3e38, or "
            "leave the cell empty"
        ),
    ),
    with_items(
        "an infinite feature",
        ITEMS + "q,x,inf\n",
        one(
            "items.csv, line 7, column `length`: cannot read `inf`; write a finite number below 3e38, or "
            "leave the cell empty"
        ),
    ),
    with_items(
        "an item twice",
        ITEMS + "i0,x,1\n",
        one("items.csv, line 7, column `item_id`: item `i0` has a row already; keep one row an item"),
    ),
    *(
        with_items(
            f"a feature called `{name}`",
            ITEMS.replace("length", name) + "q,x,9\n",
            "features of 6 items\nitems with features that are in no session: 1",
            0,
            text=study(data=data(item_table={**TABLE, "numeric": [name]})),
        )
        for name in ("_x0", "_X0", "rowid")
    ),
    with_items(
        "a feature called `rowid` with a bad cell",
        ITEMS.replace("length", "rowid") + "q,x,long\n",
        one(
            "items.csv, line 7, column `rowid`: cannot read `long`; write a finite number below 3e38, or "
            "leave the cell empty"
        ),
        text=study(data=data(item_table={**TABLE, "numeric": ["rowid"]})),
    ),
    config(
        "a feature called `item`",
        "s.yaml: data.item_table: a feature cannot be called `item`, as the ids of the items are; rename the column",
        data=data(item_table={**TABLE, "numeric": ["item"]}),
    ),
    with_items(
        "the item table's id column missing",
        ITEMS.replace("item_id", "id"),
        "items.csv, line 1, column `item_id`: is missing (there: id, artist, length); add it or name it so",
    ),
    with_items(
        "the item table missing",
        lambda path: None,
        "…: no file `items.csv` (there: e.csv, s.yaml); put it there or correct the study's config",
    ),
    # Studies
    config("an unknown field", "s.yaml: colour: no such field; check its spelling or delete it", colour=1),
    config(
        "a wrong type",
        "s.yaml: split.test_fraction: Input should be a valid number, unable to parse string as a "
        "number (given: 'some')",
        split={"how": "by_time", "test_fraction": "some"},
    ),
    config(
        "an impossible combination",
        "s.yaml: a form with content needs features; describe them in `data.item_table`",
        models=[{"input_form": ["content"], "loss": ["bpr"]}],
    ),
    config(
        "a field twice", "s.yaml: not YAML: line 1: `title` is given twice; keep one", text=study() + "title: again\n"
    ),
    config(
        "a field whose name is a number",
        "s.yaml: 1: a field's name should be a text; put it in quotation marks or delete it (given: 1)",
        text=study() + "1: one\n",
    ),
    config(
        "a day that is none",
        "s.yaml: not YAML: line 1: cannot read `2018-13-01` as a number or a date; correct it or put it in "
        "quotation marks",
        text="title: 2018-13-01\n",
    ),
    config(
        "a truth that is none",
        "s.yaml: not YAML: line 1: cannot read `maybe` as a number or a date; correct it or put it in quotation marks",
        text="title: !!bool maybe\n",
    ),
    config(
        "lists of lists that grow past any memory",
        "s.yaml: not YAML: holds more than 10,000 values, each counted as often as `*` repeats it; shorten it",
        text="a: &a [1, 2, 3, 4, 5, 6, 7, 8, 9]\n"
        + lines(
            *(f"{one}: &{one} [{', '.join([f'*{before}'] * 9)}]" for before, one in itertools.pairwise("abcdefghij"))
        )
        + "data: *j\n",
    ),
    config(
        "a list that holds itself",
        "s.yaml: not YAML: holds more than 10,000 values, each counted as often as `*` repeats it; shorten it",
        text="data: &a [*a]\n",
    ),
    config(
        "a list that is named once and repeated",
        "80 events",
        0,
        text=study().replace("models:\n", "models: &models\n") + "audit: *models\n",
    ),
    config(
        "a seed of 6,000 digits",
        "s.yaml: not YAML: line 1: cannot read `0xfff… as a number or a date; correct it or put it in quotation marks",
        text=f"seed: 0x{'f' * 6000}\n",
    ),
    config(
        "a field whose name is long and of strange letters",
        "s.yaml: \\x1b[1mxxx…: no such field; check its spelling or delete it",
        **{"\x1b[1m" + "x" * 1000: 1},
    ),
    config(
        "a value that is long and of strange letters",
        "s.yaml: split.how: Input should be 'by_file', 'by_session', 'by_time' or 'listed' (given: '\\x1b[1mxxx…)",
        split={"how": "\x1b[1m" + "x" * 1000, "test_fraction": 0.2},
    ),
    config(
        "a field twice, with a name of many letters",
        "s.yaml: not YAML: line 1: `xxx…` is given twice; keep one",
        text=f"{'x' * 100}: 1\n{'x' * 100}: 2\n",
    ),
    config(
        "no YAML",
        "s.yaml: not YAML: while parsing a flow node expected the node content, but found '<stream end>' …",
        text="title: [\n",
    ),
    config(
        "an object of Python in YAML",
        "s.yaml: not YAML: could not determine a constructor for the tag "
        "'tag:yaml.org,2002:python/object/apply:os.system' …",
        text="title: !!python/object/apply:os.system [ls]\n",
    ),
    config("a study that is empty", "s.yaml: a study is a mapping of fields; see config/toy.yaml", text=""),
    config(
        "the same column as session and item",
        "s.yaml: data: `session`, `item` and `time` or `position` should be three different columns",
        data=data(item="session_id"),
    ),
    config(
        "a huge seed",
        "s.yaml: models.0.seed.0: Input should be less than 2147483648 (given: 100000000000000000000)",
        models=[{"input_form": ["shared"], "loss": ["bpr"], "seed": [10**20]}],
    ),
    config(
        "a test part of nothing",
        "the split `by_time` leaves no test session; change `split` in the study's config",
        split={"how": "by_time", "test_fraction": 0.01},
    ),
    config(
        "test sessions on items that training does not have",
        "the split `by_time` leaves no test session with two events on items of training, so that protocol `known` has "
        "no target; change `split` in the study's config",
        rows=MANY + "".join(f"t{n},new{n},{100 + n}\nt{n},i1,{200 + n}\n" for n in range(6)),
    ),
    config(
        "so few test targets that none is on an item of training",
        "s: evaluation.max_test_events: none of the 1 targets chosen at random is a target of protocol `known` (an "
        "item of training after another one in its session); raise the number",
        rows=MANY + "".join(f"t,{item},{100 + n}\n" for n, item in enumerate(["i0", *map(str, range(50)), "i1"])),
        split={"how": "by_time", "test_fraction": 0.05},
        evaluation={"max_test_events": 1},
    ),
    config(
        "a split by time of sessions that begin at the same time",
        "all 20 sessions to cut begin at the same time, so that none of them is the last; split `by_session`, with "
        "`validation: random`, or give finer times",
        data=data(events=["same.csv"]),
        files={"same.csv": events(*(f"{n // 4},i{n % 5},{n % 4}" for n in range(80)))},
    ),
    config(
        "a split by time of sessions that all last to the end",
        "all 16 sessions that begin before the test end in it, so that none is left to learn from; split `by_session`, "
        "with `validation: random`, or cut the sessions where listening pauses",
        data=data(events=["long.csv"]),
        files={"long.csv": events(*(f"{n // 2},i{n % 5},{n // 2 + n % 2 * 100}" for n in range(40)))},
    ),
    config(
        "session ids of training again in the test file",
        "warning: session ids in files of training and of the test: 20; each is taken as two sessions",
        0,
        data=data(events=["e.csv", "t.csv"]),
        split={"how": "by_file", "test": "t.csv"},
        files={"t.csv": MANY},
    ),
    config(
        "session ids in several files",
        "warning: session ids in more than one file: 20; the rows of each are one session; make the ids differ where "
        "every file numbers its sessions anew",
        0,
        data=data(events=["e.csv", "t.csv"]),
        files={"t.csv": events(*(f"{n // 4},i{n % 5},{n + 1}" for n in range(80)))},
    ),
    config(
        "durations in milliseconds that are read as seconds",
        "warning: e.csv, column `ms_played`: the median duration is read as 200,000 seconds (55.6 hours); if it is in "
        "milliseconds, set `duration_unit: ms`",
        0,
        rows=events(*(f"{row},200000" for row in MANY.splitlines()[1:]), header="session_id,item_id,time,ms_played"),
        data=data(duration="ms_played"),
    ),
    config(
        "session ids that several users have",
        "e.csv, line 4, column `session_id`: session `1` is of the users `x` and `y` (such ids: 1); write `session: "
        "[[user_id, session_id]]` in the study",
        rows=events("x,1,a,5", "x,1,b,6", "y,1,c,7", header="user_id,session_id,item_id,time"),
        data=data(user="user_id"),
    ),
    table(
        "two events of a session at the same time",
        events("1,a,60", "1,b,60", "1,c,120", "2,a,60"),
        "warning: events at the same time as another event of their session: 2 in 1 sessions; they are kept in the "
        "order of the file; give finer times, or number a session's events in a column `position`",
        0,
    ),
    table(
        "two events of a session at the same time, in a log that is newest first",
        events("1,c,120", "1,b,60", "1,a,60", "2,a,60"),
        "warning: events at the same time as another event of their session: 2 in 1 sessions; they are kept in the "
        "order of the file, which is newest first: most likely the reverse of how they were played, and neither order "
        "is right where two players wrote the log; give finer times, or number a session's events in a column "
        "`position`",
        0,
    ),
    table(
        "the same item again within minutes",
        events("1,a,60", "1,a,120", "1,b,300", "2,a,60"),
        "warning: the same item again within 10 minutes in a session: 1 events; where two players wrote one play, "
        "delete one of its rows; a repeat that was played is right",
        0,
    ),
    config(
        "a number that means none, in a column that is no feature",
        "s.yaml: data.item_table: `missing` names the column `tempo`, but the features are length, artist; correct the "
        "name",
        data=data(item_table={**TABLE, "missing": {"tempo": [0]}}),
    ),
    config(
        "a number that means none, in no list",
        "s.yaml: data.item_table.missing: should be a list of texts, or a list of numbers and texts for each column: "
        "{tempo: [0]}",
        data=data(item_table={**TABLE, "missing": {"length": 0}}),
    ),
    config(
        "a list of test sessions missing",
        "test.csv: the split's list of test sessions is missing; put it into the data folder",
        split={"how": "listed", "test": "test.csv"},
    ),
    config(
        "a pattern of test files that matches none",
        "no log file matches the split's `test: test/*`; correct the pattern (there: e.csv)",
        split={"how": "by_file", "test": "test/*"},
    ),
    Case(
        "a list of test sessions with a session that is not there",
        {"s.yaml": study(split={"how": "listed", "test": "t.csv"}), "e.csv": MANY, "t.csv": "session\n\n3\n\n99\n"},
        "check s.yaml --data .",
        2,
        "t.csv, line 5, column `session`: session `99` is not in the data (1 such); delete it from the list or bring "
        "back its events",
    ),
    config(
        "a quotation mark that is none",
        "s.yaml: data.quote: should be one punctuation mark such as '\"', or null where cells are never quoted "
        "(given: 'ab')",
        data=data(quote="ab"),
    ),
    Case(
        "a variant of a study that has none",
        {"s.yaml": study()},
        "publish --study s.yaml@0.5",
        2,
        "s.yaml: there is no variant `0.5`; the study has none",
    ),
    # Two studies of one file name
    *(
        Case(
            f"a study of the name of one in config/, to {command.split()[0]}",
            {"toy.yaml": study(), "e.csv": MANY},
            f"{command} --study toy.yaml",
            2,
            "toy.yaml: config/toy.yaml has the same name, and both studies would write to runs/toy, reports/toy and "
            "figures/toy; rename one of the two files",
        )
        for command in ("publish", "figures", "reproduce --data .", "search --data .")
    ),
    Case(
        "a study of the name of one in config/, in capitals",
        {"TOY.yml": study(), "e.csv": MANY},
        "reproduce --study TOY.yml --data .",
        2,
        "TOY.yml: config/toy.yaml has the same name, and both studies would write to runs/TOY, reports/TOY and "
        "figures/TOY; rename one of the two files",
    ),
    Case(
        "a study of the name of a folder of another purpose",
        {"bench.yaml": study(), "e.csv": MANY},
        "reproduce --study bench.yaml --data .",
        2,
        "bench.yaml: a folder `bench` has another purpose in runs/, reports/ or figures/; rename the study's file",
    ),
    Case(
        "a study of the name of one in config/, checked",
        {"toy.yaml": study(), "e.csv": MANY},
        "check toy.yaml --data .",
        0,
        "toy.yaml: config/toy.yaml has the same name, and both studies would write to runs/toy",
    ),
    config(
        "a pattern of files that is none",
        "…`a**b`…; …correct the study's config",
        data=data(events=["a**b"]),
    ),
    Case(
        "a data file missing among many",
        {"s.yaml": study()} | {f"{n:03}.csv": "" for n in range(300)},
        "check s.yaml --data .",
        2,
        "…: no file `e.csv` (there: 000.csv, 001.csv, …); put it there or correct the study's config",
    ),
    config(
        "a data file missing",
        "…: no file `f.csv` (there: e.csv, s.yaml); put it there or correct the study's config",
        data=data(events=["f.csv"]),
    ),
    config(
        "two features that differ in capitals alone",
        "s.yaml: data.item_table: `Artist` is named twice among the features; a column is of one kind",
        data=data(item_table={**TABLE, "numeric": ["Artist"]}),
    ),
    Case("a study missing", {}, "check s.yaml", 2, "s.yaml: there is no such study; known are …"),
    Case(
        "a data folder missing",
        {"s.yaml": study()},
        "check s.yaml --data nowhere",
        2,
        "nowhere: there is no such folder; name the one that holds the files of `mine`",
    ),
    Case(
        "a data folder missing, at once",
        {"s.yaml": study()},
        "reproduce --study s.yaml --data nowhere",
        2,
        "…nowhere: there is no such folder. Say where the raw files of s are, by DATA=folder with make "
        "or --data folder; data/README.md describes its files.",
    ),
    Case(
        "a data folder that is a file",
        {"s.yaml": study(), "e.csv": MANY},
        "check s.yaml --data e.csv",
        2,
        "e.csv: there is no such folder; name the one that holds the files of `mine`",
    ),
    Case(
        "a data folder that is a link to itself",
        {"s.yaml": study(), "loop": lambda path: path.symlink_to("loop")},
        "check s.yaml --data loop",
        2,
        "loop: there is no such folder; name the one that holds the files of `mine`",
    ),
    Case(
        "a data folder that is a link to itself, at once",
        {"s.yaml": study(), "loop": lambda path: path.symlink_to("loop")},
        "reproduce --study s.yaml --data loop",
        2,
        "…loop: there is no such folder. Say where the raw files of s are, by DATA=folder with make "
        "or --data folder; data/README.md describes its files.",
    ),
    *(
        Case(
            f"a data folder of an unknown user{at_once}",
            {"s.yaml": study()},
            f"{command} --data ~nouser/x",
            2,
            "~nouser/x: the home of this user is unknown; write the path in full",
        )
        for at_once, command in (("", "check s.yaml"), (", at once", "reproduce --study s.yaml"))
    ),
    Case(
        "settings given to Snakemake, which would read them as YAML",
        {"s.yaml": study()},
        "reproduce --study s.yaml -- --config data=2024",
        2,
        "--config: a run has its settings from --study and --data; omit the argument",
    ),
    # Listening logs
    table(
        "an export of podcasts alone",
        ("endsong_0.json", json.dumps([extended(5 * n, spotify_episode_uri="x") for n in range(3)])),
        "endsong_0.json: no play is left of 3 rows (left out: podcasts (3)); give other files or change the study's "
        "filters",
    ),
    table(
        "half of a .zip archive",
        ("my_data.zip", zipped({"endsong_0.json": EXPORT})[:-200]),
        "my_data.zip: is damaged or only a part of a .zip archive; download or copy it again",
    ),
    table(
        "an archive with a name that leads outside",
        ("my_data.zip", zipped({"../../endsong_0.json": EXPORT})),
        "my_data.zip: the name of its member `../../endsong_0.json` leads outside the archive; unpack what you trust "
        "and name the folder instead",
    ),
    table(
        "an archive of something else",
        ("my_data.zip", zipped({"cat.png": "x"})),
        "my_data.zip: holds no layout that a study of the project reads (docs/data.md; there: cat.png); name a table "
        "in it, or write a study",
    ),
    table(
        "one part of several",
        ("endsong_2.json", EXPORT),
        "warning: of the numbered parts some are not there (0, 1); plays of one session may lie in several parts, so "
        "bring all of them",
        0,
    ),
    table(
        "a part of several missing in the middle",
        ("my_data.zip", zipped({"endsong_0.json": EXPORT, "endsong_2.json": EXPORT})),
        "warning: of the numbered parts some are not there (1); plays of one session may lie in several parts, so "
        "bring all of them",
        0,
    ),
    table(
        "half of a part",
        ("endsong_0.json", EXPORT[: len(EXPORT) // 2]),
        "endsong_0.json: is only a part of a file of JSON, for it does not end as it begins; copy it again",
    ),
    table(
        "plays that are all too short",
        ("endsong_0.json", json.dumps([extended(5 * n, ms_played=29_000) for n in range(3)])),
        "endsong_0.json: no play is left of 3 rows (plays of less than 30 seconds left out (3)); give other files or "
        "change the study's filters",
    ),
    config(
        "windows of more days than the plays cover",
        "window 1 of 90 + 5 days begins 95 days before the newest play, but the plays cover 0.0 days, enough for 0 "
        "windows; lower `windows`, or `train_days` or `test_days` in `split`",
        split={"how": "by_time", "train_days": 90, "test_days": 5},
    ),
    config(
        "times in whole minutes",
        "warning: events at the same time as another event of their session: 80 in 1 sessions; they are kept in the "
        "order of the file (all times are whole minutes); give finer times",
        0,
        data=listening(events=["m.csv"]),
        files={"m.csv": events(*(f"{n // 20},i{n % 5},{60 * (n // 2)}" for n in range(80)), *PAUSED)},
    ),
    config(
        "no column of users",
        "e.csv, line 1, column `listener`: is missing (there: session_id, item_id, time); add it or name it so",
        data=listening(user="listener"),
    ),
    config(
        "a user with one play",
        "warning: sessions of one event: 1; they have nothing to predict and are skipped",
        0,
        data=listening(user="session_id"),
        rows=MANY + "u,i1,5\n",
    ),
    config(
        "a time with the name of a zone",
        one(
            "z.csv, line 2, column `time`: cannot read `2023-01-31 10:00 CET`; write unix seconds or an ISO date and "
            "time"
        ),
        data=listening(events=["z.csv"]),
        files={"z.csv": events("1,a,2023-01-31 10:00 CET", "1,b,2023-01-31 10:00+01:00")},
    ),
    with_items(
        "features of other items alone",
        lines("item_id,artist,length", "x,a,1", "y,b,2"),
        "the item table holds none of the 5 items of training, such as `…`; its ids are such as `x`; write ids alike "
        "in both",
    ),
    config(
        "sessions and an idle time",
        "s.yaml: data: give exactly one of `session`, a column, and `idle_minutes`, to cut sessions by time",
        data=data(idle_minutes=30),
    ),
    Case(
        "a study to write over another file",
        {"e.csv": GOOD, "mine.yaml": "mine"},
        "check e.csv --write mine.yaml",
        2,
        "--write: mine.yaml is there already; name another file",
    ),
    # Steps of a log
    Case(
        "a step of one log, of a study that is prepared as a whole",
        {"s.yaml": MSSD, "log_1.csv": log(*SESSIONS)},
        "shard --study s.yaml --data . --step encode --log log_1",
        2,
        "s: is not prepared log by log; set `data.shards: true` in the study to use `shard`",
    ),
    Case(
        "a step of a log that is not there",
        {"s.yaml": SHARDS, "log_1.csv": log(*SESSIONS), "log_2.csv.gz": gzip.compress(b"")},
        "shard --study s.yaml --data . --step encode --log unknown",
        2,
        "--log: there is no log `unknown`; use one of log_1, log_2",
    ),
    # Commands that write
    Case(
        "no right to write",
        {"out": locked_folder},
        "simulate --sessions 10 --out out",
        2,
        "out/training_set: Permission denied; fix it and run the command again",
        rights=False,
    ),
    Case(
        "a disk that is full",
        {"out/training_set/log_0_20180715_000000000000.csv.gz": full_disk},
        "simulate --sessions 10 --out out",
        2,
        "out/training_set/log_0_20180715_000000000000.csv.gz: No space left on device; fix it and "
        "run the command again",
    ),
    Case(
        "a file in place of the folder to write to",
        {"out": "x"},
        "simulate --sessions 10 --out out",
        2,
        "out/training_set: Not a directory; fix it and run the command again",
    ),
    Case(
        "a day that is none of the calendar",
        {},
        "simulate --sessions 10 --dates 20181332 --out out",
        2,
        "simulate: log_dates.0: is no day of the calendar; write YYYYMMDD (given: '20181332')",
    ),
    Case(
        "sessions beyond any memory",
        {},
        "simulate --sessions 1000000000000 --out out",
        2,
        "simulate: sessions: Input should be less than or equal to 200000000 (given: 1000000000000)",
    ),
    Case(
        "publishing what was not made",
        {"s.yaml": study()},
        "publish --study s.yaml",
        2,
        "…runs/s/tables: there is nothing to publish yet; run `make reproduce STUDY=s` first",
    ),
]


def as_table():
    """Return the cases as a table; each message is on one line."""
    rows = [(case.name, f"gru4rec {case.command}", case.code, case.told.replace("\n", " / ")) for case in CASES]
    return pd.DataFrame(rows, columns=["case", "command", "exit_code", "message"])


if __name__ == "__main__":
    as_table().to_csv(TABLE_FILE, index=False)
