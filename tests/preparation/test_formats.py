"""Layouts of published files: typed, incomplete or missing headers, nested JSON, and items of several columns."""

import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gru4rec_lib.config.data import EventData
from gru4rec_lib.data.feature_encoding import fit_features
from gru4rec_lib.preparation import readers
from gru4rec_lib.utils.checked import ConfigError, check


def read(folder, **fields):
    given = {"layout": "events", "name": "mine", "events": ["e.csv"], "session": "s", "item": "i", "time": "t"}
    return readers.read(check(EventData, given | fields, "s.yaml"), folder)


def failure(folder, **fields):
    with pytest.raises(readers.DataError) as caught:
        read(folder, **fields)
    return str(caught.value)


# Files without a header, or without the name of their first column


def test_a_study_names_the_columns_of_a_file_without_a_header(tmp_path):
    (tmp_path / "e.tsv").write_text('1\t5\ta "b\n1\t6\t"\n')
    tables = read(tmp_path, events=["e.tsv"], header=["s", "t", "i"])
    assert tables.events["item"].tolist() == ['a "b', '"']
    (tmp_path / "e.tsv").write_text("1\t5\ta\n1\tsoon\tb\n")
    found = failure(tmp_path, events=["e.tsv"], header=["s", "t", "i"])
    assert found.startswith("e.tsv, line 2, column `t`: cannot read `soon`;")
    found = failure(tmp_path, events=["e.tsv"], header=["s", "t", "i", "x"])
    assert found == ("e.tsv, line 1: has 3 cells, and `header` names 4 columns; correct `header` in the study's config")


def test_a_row_of_a_file_without_a_header_is_named_by_its_line(tmp_path):
    (tmp_path / "e.csv").write_text("1,a,5\n1,c,6,7\n1,d,soon\n1,e,8\n")
    tables = read(tmp_path, header=["s", "i", "t"], on_bad_rows="drop")
    assert tables.events["item"].tolist() == ["a", "e"]
    assert tables.problems["line"].tolist() == [2, 3]


@pytest.mark.parametrize("first", ["\ts\ti\tt", "s\ti\tt"])
def test_an_index_column_without_a_name_is_ignored(tmp_path, first):
    (tmp_path / "e.tsv").write_text(f"{first}\n0\t1\ta\t5\n1\t1\tb\t6\n2\t2\tc\t7\n")
    tables = read(tmp_path, events=["e.tsv"])
    assert tables.events["item"].tolist() == ["a", "b", "c"]
    assert tables.events["session"].tolist() == ["1", "1", "2"]


def test_rows_that_are_all_too_long_are_bad_unless_numbered(tmp_path):
    (tmp_path / "e.tsv").write_text("s\ti\tt\n1\ta\t5\tx\n1\tb\t6\tx\n")
    assert failure(tmp_path, events=["e.tsv"]).startswith("e.tsv, line 2: has more cells than the header's 3;")


def test_typed_headers_are_named_without_their_types(tmp_path):
    (tmp_path / "x.inter").write_text("session_id:token\titem_id:token\ttimestamp:float\n1\ta\t5.5\n1\tb\t6\n")
    (tmp_path / "x.item").write_text("item_id:token\ttags:token_seq\tvector:float_seq\na\trock indie\t0.5 1\nb\t\t\n")
    table = {"file": "x.item", "item": "item_id", "multivalued": {"tags": ["tags"]}, "separators": {"tags": " "}}
    names = {"session": "session_id", "item": "item_id", "time": "timestamp"}
    tables = read(tmp_path, events=["x.inter"], **names, item_table=table)
    assert tables.events["item"].tolist() == ["a", "b"]
    assert tables.items[[*tables.multivalued["tags"]]].iloc[0].tolist() == ["rock", "indie"]
    assert tables.items[[*tables.multivalued["tags"]]].iloc[1].isna().all()


# JSON


def test_fields_of_json_of_any_type_are_read_as_texts(tmp_path):
    rows = [{"s": None, "t": 1.5, "i": "a"}] * 21_000 + [{"s": 7, "t": 2, "i": "b"}, {"s": "07", "t": "3", "i": "c"}]
    (tmp_path / "e.json").write_text(json.dumps(rows))
    tables = read(tmp_path, events=["e.json"], on_bad_rows="drop")
    assert tables.events["session"].tolist() == ["7", "07"]
    assert tables.events["time"].tolist() == [2.0, 3.0]
    assert failure(tmp_path, events=["e.json"]).startswith(
        "e.json, record 1, column `s`: is empty; give every row an id"
    )


def test_fields_within_objects_have_names_with_points(tmp_path):
    rows = [
        {"s": 1, "t": 5, "m": {"i": {"id": "x"}}},
        {"s": 1, "t": 6, "m": {"i": None, "name": "y"}},
        {"s": 1, "t": 7},
    ]
    (tmp_path / "e.jsonl").write_text("\n".join(map(json.dumps, rows)))
    tables = read(tmp_path, events=["e.jsonl"], item=["m.i.id", "m.name"], on_bad_rows="drop")
    assert tables.events["item"].tolist() == ["x", "y"]
    assert tables.problems["column"].tolist() == ["m.i.id` or `m.name"]


def test_keys_with_points_are_fields_too(tmp_path):
    """Records of one form, the other, and both: a key of an object in a key with a point."""
    rows = [{"s": 1, "t": n, "m.id": f"x{n}", "m.p": {"q": "A"}, "why": {}} for n in range(1500)]
    rows += [{"s": 1, "t": 1500, "m": {"id": "y"}}, {"s": 1, "t": 1501, "m.id": "z", "why.not": "x"}]
    rows[3] = {"s": 1, "t": 3, "m": {"id": "w", "p": {"q": "C"}}}
    (tmp_path / "e.jsonl").write_text("\n".join(map(json.dumps, rows)))
    fields = {"label": {"by": "m.p.q"}, "leave_out": {"other": {"present": "why.not"}}}
    fields |= {"item_table": {"file": None, "item": "m.id", "categorical": ["m.p.q"]}}
    tables = read(tmp_path, events=["e.jsonl"], item="m.id", **fields)
    assert tables.events["item"].tolist()[:4] == ["x0", "x1", "x2", "w"]
    assert tables.events["item"].tolist()[-2:] == ["x1499", "y"]
    assert tables.labels["by"].tolist()[:5] == ["A", "A", "A", "C", "A"]
    assert tables.items["m.p.q"].tolist()[:5] == ["A", "A", "A", "C", "A"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "e.json: holds no record; replace it by the whole file or take it away"),
        ('[{"s": 1, "i": 2}]', "e.json, line 1, column `t`: is missing (there: s, i); add it or name it so"),
        ("[1, 2]", "e.json: holds JSON that is no list of records; give one object a play"),
        ('"x"', "e.json: holds no records of JSON; give a list of objects or one object a line"),
    ],
)
def test_json_without_records_or_fields(tmp_path, text, message):
    (tmp_path / "e.json").write_text(text)
    assert failure(tmp_path, events=["e.json"]) == message


def test_an_incomplete_json_file_is_an_error(tmp_path):
    message = "e.json: is only a part of a file of JSON, for it does not end as it begins; copy it again"
    for half in (
        '[{"s": 1, "i": 2, "t": 3}, {"s": 1, "i"',
        '[{"s": 1, "i": 2, "t": 3}',
        '{"s": 1, "i": 2, "t": 3}\n{"s": 1',
    ):
        (tmp_path / "e.json").write_text(half)
        assert failure(tmp_path, events=["e.json"]) == message


# Items of several columns, and labels


def test_an_item_is_the_first_choice_that_is_not_empty(tmp_path):
    rows = ["1,5,m1,A,x", "1,6,,A,x", "1,7, ,A|B,x", "1,8,,,x", "1,9,m1,C,z"]
    (tmp_path / "e.csv").write_text("\n".join(["s,t,mbid,artist,title", *rows, ""]))
    label = {"by": "artist", "name": ["title", "artist"]}
    tables = read(tmp_path, item=["mbid", ["artist", "title"]], label=label, on_bad_rows="drop")
    assert tables.events["item"].tolist() == ["m1", "A | x", "A||B | x", "m1"]
    assert tables.problems["problem"].tolist() == ["is empty"]
    assert tables.labels.to_dict("list") == {
        "item": ["m1", "A | x", "A||B | x"],
        "by": ["A", "A", "A|B"],
        "name": ["x", "x", "x"],
    }
    assert "plays whose item is known by several columns: 2 by `mbid`, 2 by `artist` + `title`" in tables.warnings
    (tmp_path / "e.csv").write_text("\n".join(["s,t,artist,title", "1,5,A,x", "1,6,A,y", ""]))
    assert not read(tmp_path, item=["mbid", ["artist", "title"]]).warnings


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(*[st.text("a| ", min_size=1, max_size=5)] * 2), min_size=2, max_size=12, unique=True))
def test_different_pairs_are_different_items(tmp_path_factory, pairs):
    pairs = [pair for pair in pairs if all(text.strip() for text in pair)] + [("x", "y"), ("x", "z")]
    folder = tmp_path_factory.mktemp("pairs")
    rows = [f"1\t{n}\t{one}\t{other}" for n, (one, other) in enumerate(pairs)]
    (folder / "e.tsv").write_text("\n".join(["s\tt\ta\tb", *rows, ""]))
    events = read(folder, events=["e.tsv"], item=[["a", "b"]]).events
    assert events["item"].nunique() == len(pairs)


def test_each_file_needs_one_alternative(tmp_path):
    (tmp_path / "e1.csv").write_text("s,t,uri\n1,5,u\n")
    (tmp_path / "e2.csv").write_text("s,t,artist,title\n1,6,A,x\n")
    given = {"events": ["e*.csv"], "item": ["uri", ["artist", "title"]]}
    assert read(tmp_path, **given).events["item"].tolist() == ["u", "A | x"]
    (tmp_path / "e3.csv").write_text("s,t,artist\n1,6,A\n")
    assert failure(tmp_path, **given) == (
        "e3.csv, line 1, column `uri` or `artist + title`: is missing (there: s, t, artist); "
        "add one of them or name it so"
    )


def test_labels_are_features_of_items_that_the_table_lacks(tmp_path):
    rows = ["1,a,1,A", "1,b,2,B", "1,c,3,", "1,c,4,C", "1,d,5,"]
    (tmp_path / "e.csv").write_text("\n".join(["s,i,t,artist", *rows, ""]))
    (tmp_path / "f.csv").write_text("i,n,key\nx,1,k\nb,2,l\n")
    given = {"label": {"artist": "artist"}, "label_features": ["artist"]}
    alone = read(tmp_path, **given)
    assert alone.items.to_dict("list") == {"item": ["a", "b", "c"], "artist": ["A", "B", "C"]}
    assert alone.categorical == ("artist",)
    both = read(tmp_path, **given, item_table={"file": "f.csv", "item": "i", "numeric": ["n"], "categorical": ["key"]})
    assert both.items["item"].tolist() == ["x", "b", "a", "c"]  # `d` has neither
    assert both.items["artist"].fillna("none").tolist() == ["none", "B", "A", "C"]
    assert both.items["n"].fillna(0).tolist() == [1, 2, 0, 0]
    assert both.items["key"].fillna("none").tolist() == ["k", "l", "none", "none"]
    assert both.categorical == ("artist", "key")


def test_a_label_that_no_file_has_is_an_error(tmp_path):
    (tmp_path / "e.csv").write_text("s,i,t\n1,a,5\n")
    assert failure(tmp_path, label={"title": ["titel", "name"]}) == (
        "e.csv: label `title`: no file has a column `titel` or `name` (there: s, i, t); correct the study's config"
    )


@pytest.mark.parametrize(
    "fields",
    [
        {"item": ["x", ["i", "title"]]},
        {"label": {"name": ["x", "title"]}},
        {"leave_out": {"other": {"present": "title"}}},
        {"item_table": {"file": None, "item": "i", "categorical": ["title"]}},
    ],
)
def test_a_column_that_is_there_twice_is_an_error_wherever_it_is_read(tmp_path, fields):
    (tmp_path / "e.csv").write_text("s,i,t,title,title\n1,a,5,x,y\n1,b,6,x,y\n")
    assert failure(tmp_path, **fields) == "e.csv, line 1, column `title`: is there twice; rename one of them"
    assert read(tmp_path).events["item"].tolist() == ["a", "b"]


def test_alternatives_of_files_are_read_in_the_order_given(tmp_path):
    for name in ("new.csv", "old.csv"):
        (tmp_path / name).write_text(f"s,i,t\n1,{name},5\n")
    assert read(tmp_path, events=[["none.csv", "new.csv", "old.csv"]]).events["item"].tolist() == ["new.csv"]
    assert read(tmp_path, events=["new.csv", "old.csv"]).events["item"].tolist() == ["new.csv", "old.csv"]
    assert "no file `none.csv` or `nor.csv` (there: new.csv, old.csv)" in failure(
        tmp_path, events=[["none.csv", "nor.csv"]]
    )


# Features


def features(tables, n_items=3):
    items = tables.events["item"].cat.categories.to_series().reset_index(drop=True)
    return fit_features(tables, items, n_items)


def write_events(folder, items="abc", more=""):
    rows = [f"1,{item},{n}" for n, item in enumerate(items)]
    (folder / "e.csv").write_text("\n".join(["s,i,t", *rows, ""]) + more)


@pytest.mark.parametrize("kind", ["parquet", "json", "csv", "item"])
def test_a_list_column_is_numbers_side_by_side(tmp_path, kind):
    write_events(tmp_path)
    vectors = {"a": [0.1, 1.0], "b": [0.3, -1.0], "c": None}
    if kind == "parquet":
        pq.write_table(pa.table({"i": [*vectors], "v": [*vectors.values()]}), tmp_path / "f.parquet")
    elif kind == "json":
        (tmp_path / "f.json").write_text(json.dumps([{"i": item, "v": v} for item, v in vectors.items()]))
    elif kind == "csv":
        (tmp_path / "f.csv").write_text('i,v\na,"[0.1, 1.0]"\nb,"[0.3, -1.0]"\nc,\n')
    else:
        (tmp_path / "f.item").write_text("i:token\tv:float_seq\na\t0.1 1.0\nb\t0.3 -1.0\nc\t\n")
    table = {"file": f"f.{kind}", "item": "i", "embedding": ["v"]}
    table |= {"separators": {"v": " "}} if kind == "item" else {}
    tables = read(tmp_path, item_table=table)
    assert tables.numeric == ("v_0", "v_1")
    assert tables.items["v_0"].tolist()[:2] == [0.1, 0.3]
    np.testing.assert_allclose(features(tables).numeric, [[-1, 1], [1, -1], [0, 0]], atol=1e-6)


def test_embeddings_of_several_lengths_and_wrong_numbers_are_refused(tmp_path):
    write_events(tmp_path)
    table = {"file": "f.csv", "item": "i", "embedding": ["v"]}
    (tmp_path / "f.csv").write_text('i,v\na,"[1, 2]"\nb,"[1]"\n')
    assert failure(tmp_path, item_table=table) == (
        "f.csv, column `v`: item `b` has 1 numbers, and others have 2; give vectors of one length"
    )
    (tmp_path / "f.csv").write_text('i,v\na,"[1, null]"\nb,"[1, x]"\n')
    found = failure(tmp_path, item_table=table).splitlines()
    assert found[0] == (
        "f.csv, line 2, column `v`: cannot read `[1, null]`; write finite numbers such as [0.1, 0.2], or leave the "
        "cell empty"
    )
    assert len(found) == 3


@pytest.mark.parametrize("kind", [{"numeric": ["v"]}, {"categorical": ["v"]}, {"multivalued": {"genres": ["v"]}}])
@pytest.mark.parametrize("ending", ["parquet", "json", "jsonl"])
def test_a_list_where_none_should_be_is_refused(tmp_path, kind, ending):
    write_events(tmp_path)
    if ending == "parquet":
        pq.write_table(pa.table({"i": ["a"], "v": [[1.0]]}), tmp_path / "f.parquet")
    else:  # .jsonl: the column is beyond the first thousand records
        rows = [{"i": f"i{n}"} | ({"v": None} if ending == "json" else {}) for n in range(1500)]
        rows[5 if ending == "json" else -1] |= {"v": [1.0]}
        (tmp_path / f"f.{ending}").write_text("\n".join(map(json.dumps, rows)))
    found = failure(tmp_path, item_table={"file": f"f.{ending}", "item": "i", **kind})
    assert found == f"f.{ending}, column `v`: holds a list in each cell; write one value a cell"


@pytest.mark.parametrize("fields", [{"session": "v"}, {"item": ["x", "v"]}, {"label": {"artist": "v"}}])
def test_a_list_of_json_is_no_id_and_no_label(tmp_path, fields):
    rows = [{"s": 1, "i": "a", "t": n, "v": ["A", "B"], "x": None} for n in range(2)]
    (tmp_path / "e.json").write_text(json.dumps(rows))
    found = failure(tmp_path, events=["e.json"], **fields)
    assert found == "e.json, column `v`: holds a list in each cell; write one value a cell"


def test_cells_with_several_values_are_split(tmp_path):
    write_events(tmp_path)
    (tmp_path / "f.csv").write_text("i,g,h\na,rock|indie,x\nb,indie| |pop,\nc,,y\n")
    table = {
        "file": "f.csv",
        "item": "i",
        "multivalued": {"genres": ["g"]},
        "separators": {"g": "|"},
        "categorical": ["h"],
    }
    found = features(read(tmp_path, item_table=table))
    assert found.fitted["genres"] == ["indie", "pop", "rock"]
    assert found.categories["genres"].tolist() == [[3, 1], [1, 2], [-1, -1]]
    with pytest.raises(ConfigError, match="`separators` names the column `x`"):
        read(tmp_path, item_table=table | {"separators": {"x": "|"}})


def test_missing_numbers_are_marked(tmp_path):
    write_events(tmp_path, "abcd")
    (tmp_path / "f.csv").write_text("i,tempo,energy\na,120,1\nb,0,0\nc,100,0\n")
    table = {"file": "f.csv", "item": "i", "numeric": ["tempo", "energy"], "missing": {"tempo": [0]}}
    without = features(read(tmp_path, item_table=table))
    assert without.fitted["numeric"] == ["tempo", "energy"]
    found = features(read(tmp_path, item_table=table | {"missing_indicator": True}))
    assert found.fitted["numeric"] == ["tempo", "energy", "tempo missing"]
    np.testing.assert_allclose(found.numeric[:, :2], without.numeric)
    low, high = -(0.5**0.5), 2**0.5
    np.testing.assert_allclose(found.numeric[:, 2], [low, high, low, high], atol=1e-6)
    assert found.numeric[1, 0] == 0


def test_features_keyed_by_title(tmp_path):
    rows = ["s,i,t,title", "1,a,1,x", "1,b,2,x", "1,c,3,y", "1,d,4,"]
    (tmp_path / "e.csv").write_text("\n".join([*rows, ""]))
    (tmp_path / "f.csv").write_text("title,energy\nx,1\nz,2\n")
    table = {"file": "f.csv", "item": "title", "key": "title", "numeric": ["energy"]}
    tables = read(tmp_path, item_table=table)
    assert tables.items.to_dict("list") == {"item": ["a", "b"], "energy": [1.0, 1.0]}
    assert tables.counts.iloc[-1].tolist() == ["of items with features", 2, 1, 2]
    assert not tables.warnings
    (tmp_path / "e.csv").write_text("\n".join([*rows, "1,a,5,z", "1,b,6,", ""]))
    tables = read(tmp_path, item_table=table)
    assert tables.items["energy"].tolist() == [1, 1]
    told = "items with several keys to the table of features: 1 of 4; the first key of each counts"
    assert told in tables.warnings


def test_features_in_the_rows_of_the_log(tmp_path):
    rows = ["s,i,t,tempo,key,why", "1,a,1,120,3,", "1,b,2,,4,", "1,a,3,121,3,", "1,b,4,90,,", "1,,5,7,,podcast"]
    (tmp_path / "e.csv").write_text("\n".join([*rows, ""]))
    table = {"file": None, "item": "i", "numeric": ["tempo"], "categorical": ["key"]}
    tables = read(tmp_path, item_table=table, leave_out={"podcasts": {"present": "why"}})
    assert tables.items.to_dict("list") == {"item": ["a", "b"], "tempo": [120.0, 90.0], "key": ["3", "4"]}
    assert "items whose rows of features differ: 1 of 2; the first value of each column counts" in tables.warnings


@pytest.mark.parametrize("table", [{"file": None, "item": "i"}, {"file": "f.csv", "item": "title", "key": "title"}])
def test_items_that_a_filter_removed_have_no_features(tmp_path, table):
    rows = ["1,a,1,x,u", "1,b,2,y,v", "1,c,3,x,u", "2,a,4,x,u", "2,b,5,y,v", "3,d,6,y,v", "3,d,9000,x,u"]
    (tmp_path / "e.csv").write_text("\n".join(["s,i,t,title,tag", *rows, ""]))
    (tmp_path / "f.csv").write_text("title,tag\nx,u\ny,v\n")
    filters = {"min_item_plays": 2, "min_session_events": 2, "repeats_in_session": "drop", "repeat": True}
    tables = read(tmp_path, item_table={**table, "categorical": ["tag"]}, filters=filters, label={"title": "title"})
    assert tables.items.to_dict("list") == {"item": ["a", "b"], "tag": ["u", "v"]}
    assert tables.labels["item"].tolist() == ["a", "b"]
    assert not tables.warnings  # the rows of `d` differ


def test_repeated_rows_of_features_are_refused_or_merged(tmp_path):
    write_events(tmp_path)
    (tmp_path / "f1.csv").write_text("i,n\na,1\nb,2\n")
    (tmp_path / "f2.csv").write_text("i,n\nb,3\nc,4\n")
    table = {"file": "f*.csv", "item": "i", "numeric": ["n"]}
    assert "f2.csv, line 2, column `i`: item `b` has a row already" in failure(tmp_path, item_table=table)
    tables = read(tmp_path, item_table=table | {"repeats": "first"})
    assert tables.items["n"].tolist() == [1.0, 2.0, 4.0]
    assert "items whose rows of features differ: 1 of 3; the first value of each column counts" in tables.warnings


def test_labels_reach_the_prepared_arrays(tmp_path):
    from gru4rec_lib.config.data import Split
    from gru4rec_lib.preparation.prepare import Prepared, prepare

    rows = [f"{n // 3},i{n % 5},{n},Title {n % 5}" for n in range(60)]
    (tmp_path / "e.csv").write_text("\n".join(["s,i,t,name", *rows, ""]))
    tables = read(tmp_path, label={"title": "name"})
    split = Split(how="by_time", test_fraction=0.2)
    made = prepare(tables, split, tmp_path)
    assert made.labels["item"].tolist() == made.items["item"].tolist()
    assert made.labels["title"].tolist() == [f"Title {item[1]}" for item in made.items["item"]]
    made.save(tmp_path / "prepared", {})
    pd.testing.assert_frame_equal(Prepared.load(tmp_path / "prepared").labels, made.labels)
