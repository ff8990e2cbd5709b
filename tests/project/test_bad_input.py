"""Every case of `bad_input.py` has its exit code and message and leaves no partial file; so does any other input."""

import csv
import gzip
import io
import os
import re
import shlex
from contextlib import contextmanager, suppress

import pytest
import yaml
from bad_input import CASES, GOOD, STUDY, TABLE_FILE, as_table
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gru4rec_lib.__main__ import main
from gru4rec_lib.config.study import ConfigError, EventData, load_study
from gru4rec_lib.preparation.readers import read
from gru4rec_lib.preparation.source_files import DataError
from gru4rec_lib.twin import simulate  # noqa: F401  # imported here: a case without permissions cannot load them

NOBODY = 65534  # the user `nobody`


def bring(files, folder):
    for name, content in files.items():
        path = folder / name
        if callable(content):
            content(path)
        else:
            path.write_bytes(content if isinstance(content, bytes) else content.encode())


def files(folder):
    return {path for path in folder.rglob("*") if not path.is_dir()}


@contextmanager
def without_rights(folder):
    """Change from root to `nobody`, who can read the folder only if the case allows it."""
    folder.chmod(0o755)
    is_root = os.geteuid() == 0
    if is_root:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if is_root:
            os.seteuid(0)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_bad_input_has_the_expected_message(tmp_path, monkeypatch, capsys, case):
    monkeypatch.chdir(tmp_path)
    bring(case.files, tmp_path)
    before = files(tmp_path)
    if case.rights:
        code = main(shlex.split(case.command))
    else:
        with without_rights(tmp_path):
            code = main(shlex.split(case.command))
    said = capsys.readouterr()
    assert code == case.code
    if code == 0:
        assert case.told in said.out
        assert said.err == ""
        return
    told = said.err.replace(f"{tmp_path}/", "").removesuffix("\n")
    assert re.fullmatch(".*".join(map(re.escape, case.told.split("…"))), told, re.DOTALL), told
    assert max(map(len, told.splitlines())) < 400
    assert files(tmp_path) <= before


def test_the_table_in_reports_is_up_to_date():
    assert len(CASES) >= 60
    assert len({case.name for case in CASES}) == len(CASES)
    assert TABLE_FILE.read_text(encoding="utf-8") == as_table().to_csv(index=False), "run python tests/bad_input.py"


# Any content of a file is read or reported


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("any")


EVENTS = EventData(layout="events", name="any", events=("e.csv",), session="session_id", item="item_id", time="time")


def answer(folder, content, name="e.csv"):
    """Return the events, or the message of the error."""
    (folder / name).write_bytes(content)
    try:
        return read(EVENTS.model_copy(update={"events": (name,)}), folder).events
    except DataError as error:
        told = str(error)
        assert told.isprintable() or all(line.isprintable() for line in told.split("\n"))
        return told


@settings(max_examples=15)
@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_reported(folder, content):
    assert isinstance(answer(folder, content), str)


@pytest.mark.slow
@settings(max_examples=30)
@given(st.text(st.sampled_from(list('1a,,,"\n\n\r\0é\ufeff -.e')), max_size=40), st.booleans())
def test_any_text_below_a_header_is_read_or_reported(folder, text, good_rows):
    header = GOOD if good_rows else GOOD.splitlines()[0] + "\n"
    answer(folder, (header + text).encode())


SMALL = gzip.compress(GOOD.encode() * 3, mtime=0)


@settings(max_examples=15)
@given(st.integers(0, len(SMALL) - 1), st.integers(0, 255), st.booleans())
@example(len(SMALL) - 1, 0, True)
def test_a_damaged_compressed_file_is_read_or_reported(folder, place, byte, cut):
    answer(folder, SMALL[:place] + (b"" if cut else bytes([byte]) + SMALL[place + 1 :]), "e.csv.gz")


CELLS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=8).filter(
    lambda text: text.strip(" ")
)


@pytest.mark.slow
@settings(max_examples=20)
@given(
    st.lists(CELLS, min_size=1, max_size=6),
    st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]),
    st.sampled_from(["\n", "\r\n"]),
)
def test_what_the_csv_module_writes_is_read_unchanged(folder, items, quoting, end):
    text = io.StringIO(newline="")
    writer = csv.writer(text, quoting=quoting, lineterminator=end)
    writer.writerows([("session_id", "item_id", "time"), *(("s", item, n) for n, item in enumerate(items))])
    assert list(answer(folder, text.getvalue().encode())["item"]) == items


def leaves(value, path=()):
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    inner = [leaf for key, part in pairs for leaf in leaves(part, (*path, key))]
    return [path, *inner]


ANY_VALUE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.dates() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5) | st.integers(), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=100)
@given(st.sampled_from(leaves(STUDY)), ANY_VALUE)
def test_a_study_with_any_value_loads_or_is_reported(folder, path, value):
    fields = {"study": yaml.safe_load(yaml.safe_dump(STUDY))}
    place = fields
    for key in ("study", *path)[:-1]:
        place = place[key]
    place[("study", *path)[-1]] = value
    (folder / "s.yaml").write_text(yaml.safe_dump(fields["study"]), encoding="utf-8")
    with suppress(ConfigError):
        load_study(str(folder / "s.yaml"), folder)
