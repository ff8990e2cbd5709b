"""Names of items: one of each, and the items that a text names, by hand."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gru4rec_lib.data.dataframes import index_labels
from gru4rec_lib.data.labels import Names, names

LABELS = pd.DataFrame(
    {
        "item": [*"abcdefg"],
        "artist": ["Nico", "Nico", "Can", "Can", "Neu!", None, "Low"],
        "title": ["These Days", "Janitor", "Moonshake", "Moonshake", "Hero - Live", None, "a"],
    }
).astype("str")
LOOKUP = Names(LABELS["item"], LABELS)


def test_names_are_of_one_item_each():
    rows = {
        "plain": ("Miles Davis", "So What"),
        "half": (None, "  So \n What "),
        "none": (None, " "),
        "one": ("Nico", "These Days"),
        "other": ("Nico", "These Days"),
        "id": ("plain", None),
    }
    artists, titles = zip(*rows.values(), strict=True)
    labels = pd.DataFrame({"item": [*rows], "artist": artists, "title": titles}).astype("str")
    assert names(labels).to_dict() == {
        "plain": "Miles Davis · So What",
        "half": "So What",
        "none": "none",
        "one": "Nico · These Days (one)",
        "other": "Nico · These Days (other)",
        "id": "plain (id)",
    }


@pytest.mark.parametrize(
    ("text", "item"),
    [
        ("b", "b"),
        (" Nico \u00b7 Janitor ", "b"),
        ("Nico - Janitor", "b"),
        ("nico  janitor", "b"),
        ("Janitor \u2014 NICO", "b"),
        ("Janitor", "b"),
        ("Neu! - Hero - Live", "e"),
        ("Hero - Live", "e"),
        ("Can \u00b7 Moonshake (d)", "d"),
        ("f", "f"),
        ("a", "a"),  # the id comes before the title of `g`
    ],
)
def test_an_item_is_found_by_id_or_name(text, item):
    assert LOOKUP.find(text) == item


def test_spaces_count_in_ids():
    lookup = Names(pd.Series(["a", " a", "b "]))
    assert [lookup.find(text) for text in ("a", " a", "a ", "b ")] == ["a", " a", "a", "b "]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "Can - Moonshake",
            "`Can - Moonshake` may be 2 items: `Can \u00b7 Moonshake (c)`, `Can \u00b7 Moonshake (d)`; give",
        ),
        (
            "nico",
            "`nico` may be 2 items: `Nico \u00b7 These Days`, `Nico \u00b7 Janitor`; give one of these names or an id",
        ),
        ("Faust", "no item is called `Faust`; give an id or a name such as `Nico \u00b7 These Days`"),
        ("B", "no item is called `B`"),
        ("", "no item is called ``"),
        (" - ", "no item is called ` - `"),
    ],
)
def test_an_unknown_or_ambiguous_name_is_an_error(text, sentence):
    with pytest.raises(ValueError) as caught:  # noqa: PT011  # its text is compared
        LOOKUP.find(text)
    assert str(caught.value).startswith(sentence)


def test_at_most_five_candidates_are_named():
    many = Names(pd.Series(range(7)), pd.DataFrame({"item": range(7), "title": ["x"] * 7}).astype({"title": "str"}))
    with pytest.raises(ValueError, match=r"`x` may be 7 items: `x \(0\)`, .*`x \(4\)`, \.\.\.; give"):
        many.find("x")
    assert many.find("x (6)") == many.find("6") == 6
    assert type(many.find("6")) is int


@given(st.lists(st.tuples(*[st.sampled_from(["", "a", "b", "b a", "A", "1", "b (1)"])] * 2), min_size=1, max_size=8))
def test_the_name_of_each_item_finds_it(rows):
    labels = pd.DataFrame([(str(n), *row) for n, row in enumerate(rows)], columns=["item", "artist", "title"])
    lookup = Names(labels["item"], labels.astype("str"))
    for item, name in zip(labels["item"], lookup.texts, strict=True):
        assert lookup.find(name) == lookup.find(item) == item


def test_ids_are_the_names_without_labels():
    lookup = Names(pd.Series([20, 10]))
    assert lookup.texts == ["20", "10"]
    assert lookup.find("10") == 10


def test_labels_are_aligned_with_the_items():
    table = pd.DataFrame({"track": [*"zba"], "title": ["Z", " ", "A"], "artist": [None, "x", np.nan]}, index=[5, 5, 5])
    found = index_labels(table, "track", pd.Series([*"abc"]))
    assert found.columns.tolist() == ["item", "title", "artist"]
    assert found["item"].tolist() == [*"abc"]
    assert found["title"].fillna("?").tolist() == ["A", "?", "?"]
    assert found["artist"].fillna("?").tolist() == ["?", "x", "?"]


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        ({"title": ["A"]}, "labels: there is no column 'track'; name the right one of title"),
        ({"track": ["a"]}, "labels: there is no column beside the id; give one a label"),
        ({"track": ["a", "a"], "title": ["A", "B"]}, "labels: item 'a' has two rows; keep one"),
        ({"track": [1], "title": ["A"]}, "labels: 'track' is of another kind than in the events"),
        ({"track": ["x"], "title": ["A"]}, "labels: none of the items, such as 'a', has a row; write ids alike"),
        ({"track": ["a"], "score": ["A"]}, "labels: a label cannot be called 'score'; rename the column"),
        ({"track": ["a"], "item": ["A"]}, "labels: a label cannot be called 'item'"),
        ({"track": ["a"], 5: ["A"]}, "labels: a label cannot be called 5"),
        ({"track": ["a"], "year": [1999]}, "labels: column 'year' has 1999 at item 'a', which is no text; convert"),
        ({"track": ["a"], "tags": [["x"]]}, r"labels: column 'tags' has \['x'\] at item 'a', which is no text"),
    ],
)
def test_wrong_labels_are_an_error(table, sentence):
    with pytest.raises(ValueError, match=sentence):
        index_labels(pd.DataFrame(table), "track", pd.Series([*"abc"]))
