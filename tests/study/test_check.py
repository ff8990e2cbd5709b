"""`check` recognises a file by its header; bad_input.py has the messages for invalid files."""

import json
import re
from pathlib import Path

import pytest
from bad_input import ITEMS, MANY, TABLE, data, extended, log, study, track, tracks, zipped
from mssd_rows import log_rows

from gru4rec_lib.__main__ import main
from gru4rec_lib.config.study import load_study
from gru4rec_lib.study.check import _event_data

ROOT = Path(__file__).resolve().parents[2]
ROWS = ["1,a,10", "1,b,20", "2,a,5", "2,b,6"]
NAMED = ["--session", "a", "--item", "b", "--time", "c"]
FOUR = "4 events, 2 sessions, 2 items"


@pytest.fixture
def check(tmp_path, monkeypatch, capsys):
    """Check a file with this content, expect exit code 0, and return the output."""
    monkeypatch.chdir(tmp_path)

    def check(content, *words, name="e.csv"):
        (tmp_path / name).write_text(content)
        assert main(["check", name, *words]) == 0
        said = capsys.readouterr()
        assert said.err == ""
        return said.out.splitlines()

    return check


@pytest.mark.parametrize(
    ("header", "roles"),
    [
        ("SessionId,ItemId,Time", "session: SessionId, item: ItemId, time: Time"),
        ("session_id,item_id,time", "session: session_id, item: item_id, time: time"),
        ("session_id,track_id,timestamp", "session: session_id, item: track_id, time: timestamp"),
        ("session,item,position", "session: session, item: item, position: position"),
    ],
)
def test_columns_with_common_names_are_found(check, header, roles):
    first, found, line = check("\n".join([header, *ROWS]))
    assert first == "e.csv: a table of events"
    assert found.startswith(FOUR)
    assert line == f"in a study: data: {{layout: events, name: mine, events: [e.csv], {roles}}}"


def test_named_columns_take_precedence_over_common_names(check):
    lines = check("\n".join(["a,b,c,session_id,time", *(f"{row},x,0" for row in ROWS)]), *NAMED)
    assert lines[1] == f"{FOUR}, from 1970-01-01T00:00:05 to 1970-01-01T00:00:20 (UTC)"
    assert "session: a, item: b, time: c" in lines[-1]


def test_time_takes_precedence_over_position_and_excludes_it(check, capsys):
    table = "\n".join(["session,item,time,position", "1,a,5,2", "1,b,6,1"])
    assert "time: time" in check(table)[-1]
    assert "position: position" in check(table, "--position", "position")[-1]
    with pytest.raises(SystemExit):
        main(["check", "e.csv", "--time", "time", "--position", "position"])
    assert "not allowed with" in capsys.readouterr().err


SESSIONS = [*log_rows("a", ["x", "y"]), *log_rows("b", ["y", "z", "y"])]


def test_a_log_and_track_features_are_recognised_by_most_of_their_columns(check):
    assert check(log(*SESSIONS)) == ["e.csv: a log in MSSD layout", "5 events, 2 sessions, 3 items"]
    features = tracks(track("x"), track("y", "1", "2"))
    assert check(features) == ["e.csv: track features in MSSD layout", "features of 2 items"]
    words = ["--session", "session_id", "--item", "track_id_clean", "--position", "session_position"]
    assert check(log(*SESSIONS), *words)[0] == "e.csv: a table of events"


def test_a_study_is_checked_with_its_data_and_split(check, tmp_path):
    (tmp_path / "e.csv").write_text(MANY + "1,i0,soon\n")
    (tmp_path / "items.csv").write_text(ITEMS)
    text = study(data=data(item_table=TABLE, on_bad_rows="drop"))
    lines = check(text, "--data", ".", name="s.yaml")
    assert lines[0] == "mine: models to train: 1, baselines: 4"
    assert lines[1].startswith("80 events, 20 sessions, 5 items, from ")
    assert lines[2:4] == ["warning: rows dropped as bad: 1", "features of 5 items"]
    assert "test sessions: 4 sessions, 16 events, 5 items" in lines
    assert sorted(path.name for path in tmp_path.iterdir()) == ["e.csv", "items.csv", "s.yaml"]


def test_sessions_without_a_common_track_are_reported(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    apart = "\n".join(["session_id,item_id,time", *(f"{n // 2},i{n},{n}" for n in range(40))])
    (tmp_path / "e.csv").write_text(apart)
    (tmp_path / "s.yaml").write_text(study())
    assert main(["check", "s.yaml", "--data", "."]) == 2
    assert capsys.readouterr().err.startswith("no validation session has two tracks of training; raise")
    (tmp_path / "e.csv").write_text(MANY + "".join(f"t{n // 2},j{n},{1000 + n}\n" for n in range(20)))
    (tmp_path / "s.yaml").write_text(study(split={"how": "by_time", "test_fraction": 0.3}))
    assert main(["check", "s.yaml", "--data", "."]) == 2
    assert capsys.readouterr().err.startswith("the split `by_time` leaves no test session with two events on items of")


def test_a_study_that_simulates_its_data_needs_none(capsys):
    assert main(["check", str(ROOT / "config" / "toy.yaml")]) == 0
    assert capsys.readouterr().out.splitlines()[1] == "the study writes its own data: there is nothing else to check"


def test_the_study_in_the_documentation_is_valid(check, tmp_path):
    page = (ROOT / "docs" / "data.md").read_text(encoding="utf-8")
    text = re.search(r"```yaml\n(.*?)```", page, re.DOTALL).group(1)
    assert len(text.splitlines()) == 9
    (tmp_path / "plays.csv").write_text(MANY.replace("session_id,item_id", "session,item"))
    assert check(text, "--data", ".", name="my_study.yaml")[0].startswith("my sessions: ")


# Layouts of the project's studies, and --write


def export(n_days=6):
    """Records of an extended streaming history: sessions of 12 plays a day."""
    plays = [(86400 * day + 300 * n, n + day) for day in range(n_days) for n in range(12)]
    return json.dumps([extended(time, spotify_track_uri=f"spotify:track:{track % 8}") for time, track in plays])


def test_an_export_is_recognised_and_its_study_is_written(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("my_data.zip").write_bytes(zipped({"MyData/endsong_0.json": export(3), "MyData/endsong_1.json": export()}))
    assert main(["check", "my_data.zip", "--write", "mine.yaml"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "my_data.zip: the layout of the study spotify_history (my Spotify history)"
    assert lines[1].startswith("72 events, 6 sessions, 8 items")
    assert lines[-2:] == [
        "in a study: make reproduce STUDY=spotify_history DATA=my_data.zip",
        "written: mine.yaml; run it by: make reproduce STUDY=mine.yaml DATA=my_data.zip",
    ]
    assert Path("mine.yaml").read_text() == (ROOT / "config" / "spotify_history.yaml").read_text()
    assert main(["check", "mine.yaml", "--data", "my_data.zip"]) == 0


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("[]", "holds no record"),
        (export()[:-200], "is only a part of a file of JSON"),
        (export().replace('"ts"', "ts", 1), "cannot be read: Invalid Input Error: Malformed JSON"),
        ("\ufeff" + export(), "begins with a byte order mark"),
    ],
)
def test_a_damaged_part_of_an_export_is_named(tmp_path, monkeypatch, capsys, content, problem):
    monkeypatch.chdir(tmp_path)
    Path("my_data.zip").write_bytes(zipped({"MyData/endsong_0.json": content}))
    assert main(["check", "my_data.zip", "--write", "mine.yaml"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"endsong_0.json: {problem}" in line
    assert "/gru4rec_" not in line  # the temporary copy
    assert not Path("mine.yaml").exists()


def test_files_of_no_layout_are_listed(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    podcasts = json.dumps([{"endTime": "2020-01-01 00:00", "podcastName": "p", "episodeName": "e", "msPlayed": 5}])
    Path("my_data.zip").write_bytes(zipped({"MyData/StreamingHistory_podcast_0.json": podcasts}))
    assert main(["check", "my_data.zip"]) == 2
    assert "there: MyData/StreamingHistory_podcast_0.json)" in capsys.readouterr().err


def test_a_file_of_an_export_is_recognised_by_its_name_and_fields(check):
    lines = check(export(), name="Streaming_History_Audio_2023_0.json")
    assert (
        lines[0] == "Streaming_History_Audio_2023_0.json: the layout of the study spotify_history (my Spotify history)"
    )


@pytest.mark.parametrize(
    ("name", "header", "roles"),
    [
        ("x.inter", "session_id:token\titem_id:token\ttimestamp:float", ["session: session_id", "item: item_id"]),
        ("x.inter", "user_id:token\titem_id:token\ttimestamp:float", ["user: user_id", "idle_minutes: 30"]),
        ("x.txt", "SessionId\tItemId\tTime", ["session: SessionId", "time: Time"]),
    ],
)
def test_a_table_is_recognised_by_its_header_and_its_study_is_written(check, name, header, roles):
    rows = [f"{n // 5}\ti{n % 4}\t{100.5 * n + 9000 * (n // 5)}" for n in range(60)]
    assert check("\n".join([header, *rows]), "--write", "mine.yaml", name=name)[0] == f"{name}: a table of events"
    written = Path("mine.yaml").read_text()
    assert all(f"  {role}" in written for role in roles)
    assert main(["check", "mine.yaml", "--data", "."]) == 0


def test_the_argument_of_a_listener_is_named_where_there_are_no_sessions(tmp_path, capsys):
    (tmp_path / "e.csv").write_text("\n".join(["who,item,time", *ROWS]))
    assert main(["check", str(tmp_path / "e.csv")]) == 2
    assert capsys.readouterr().err.strip().endswith("name it by --session, or the listener by --user")


def test_a_column_of_users_splits_sessions(check):
    lines = check("\n".join(["who,item,time", *ROWS]), "--user", "who")
    assert lines[-1].endswith("user: who, item: item, time: time, idle_minutes: 30}")


TWO_USERS = ["user_id,session_id,item_id,time", "x,1,a,0", "x,1,b,5", "y,1,c,7200", "y,1,d,7205"]
JOINED = "session: [[user_id, session_id]], item: item_id, time: time}"


@pytest.mark.parametrize(
    ("lines", "words", "fields"),
    [
        (TWO_USERS, [], JOINED),
        (TWO_USERS, ["--session", "session_id"], JOINED),
        (TWO_USERS, ["--session", "session_id", "--user", "user_id"], JOINED),
        (TWO_USERS, ["--user", "user_id"], "user: user_id, item: item_id, time: time, idle_minutes: 30}"),
        (TWO_USERS[:3], [], "session: session_id, item: item_id, time: time}"),
    ],
)
def test_session_ids_that_several_users_have_are_joined_with_the_user(check, lines, words, fields):
    found = check("\n".join(lines), *words, "--write", "mine.yaml")
    assert found[1].startswith(f"{len(lines) - 1} events, {len(lines) // 2} sessions, ")
    assert found[2].endswith(f"events: [e.csv], {fields}")


def test_the_recognised_layouts_are_those_of_the_studies():
    for name, known in _event_data().items():
        assert load_study(name, ROOT / "config").data == known
    assert {"spotify_history", "thirty_music", "yoochoose_100k"} <= {*_event_data()}
