"""Features of a DataFrame: clear columns are used, ambiguous ones must be declared, others are errors."""

import datetime
import decimal
import re

import numpy as np
import pandas as pd
import pytest

from gru4rec_lib.data.dataframes import index_features

IDS = pd.Series([*"abcd"])


def fitted(x, name="x", ids=IDS, **declared):
    """Return the features of four training items."""
    return index_features(pd.DataFrame({"track": [*"abcd"], name: x}), "track", ids, **declared)[1]


def refused(x, name="x", **declared):
    with pytest.raises(ValueError) as caught:  # noqa: PT011  # the callers compare its text
        fitted(x, name, **declared)
    return str(caught.value)


def names(features, name="x"):
    """Return the categories of each item."""
    known = [None, *features.fitted[name]]
    return [[known[code] for code in row if code >= 0] for row in features.categories[name]]


def anything(*cells):
    return pd.Series(cells, dtype=object)


@pytest.mark.parametrize(
    "x",
    [
        [1.5, 2, None, 4],
        np.float32([1.5, 2, np.nan, 4]),
        anything(1.5, 2, None, 4),
        anything(decimal.Decimal("1.5"), np.int64(2), "", 4.0),
        pd.array([1.5, 2, None, 4], dtype="Float64"),
    ],
)
def test_numbers_of_any_type_are_numeric_features(x):
    features = fitted(x)
    assert features.categories == {}
    np.testing.assert_allclose(features.fitted["mean"], [2.5])
    np.testing.assert_allclose(features.numeric[:, 0], (np.array([1.5, 2, 2.5, 4]) - 2.5) / np.sqrt(3.5 / 3), rtol=1e-6)


@pytest.mark.parametrize(
    "x",
    [
        [3, 1, 0, 1],
        [3, 1, None, 1],
        anything(3, 1, None, 1),
        pd.array([3, 1, None, 1], dtype="Int64"),
        ["3", "1", "", "1"],
    ],
)
def test_ambiguous_columns_must_be_declared(x):
    assert re.fullmatch(
        r"features: columns may be read in two ways: 'x' \((whole numbers, amounts or codes|"
        r"text that reads as numbers, such as '3')\); declare each by numeric=, categorical= or separator=",
        refused(x),
    )
    third = [] if pd.isna(x[2]) or x[2] == "" else ["0"]
    assert names(fitted(x, categorical=["x"])) == [["3"], ["1"], third, ["1"]]
    features = fitted(x, numeric="x")
    assert features.categories == {}
    assert features.numeric[:, 0].argmax() == 0


def test_one_error_names_all_columns_to_declare():
    table = pd.DataFrame({"track": [*"abcd"], "key": range(4), "loud": [0.5, 1, 2, 3], "genre": ["rock|pop"] * 4})
    with pytest.raises(
        ValueError, match=r"two ways: 'key' \(whole numbers.*\), 'genre' \('rock\|pop', one category or"
    ):
        index_features(table, "track", IDS)


@pytest.mark.parametrize(
    ("x", "separator"),
    [
        ([["rock", "indie"], ("rock",), None, []], None),
        ([np.array(["indie", "rock"]), {"rock"}, ["", None], float("nan")], None),
        (["rock|indie", "rock", "", None], "|"),
        (["rock | indie", "rock", "|", None], {"x": "|"}),
        (["rock, indie", "rock", "", None], ","),
        (["rock - indie", "rock", "", None], {"x": " - "}),
    ],
)
def test_a_cell_may_hold_several_categories(x, separator):
    features = fitted(x, separator=separator)
    assert [sorted(row) for row in names(features)] == [["indie", "rock"], ["rock"], [], []]
    assert features.numeric.shape == (4, 0)


@pytest.mark.parametrize(
    "x",
    [["rock|indie", "rock", "", None], ["a;b", *"acd"], ["a, b", *"acd"], ["R&B/Soul", "Soul", "Hip-Hop/Rap", "Pop"]],
)
def test_a_separator_must_be_declared(x):
    assert "one category or several with the separator" in refused(x)
    assert names(fitted(x, categorical="x")) == [[cell] if cell else [] for cell in x]


@pytest.mark.parametrize(
    ("x", "categories"),
    [
        (["Earth, Wind & Fire", "AC/DC", "", None], [["Earth, Wind & Fire"], ["AC/DC"], [], []]),
        (pd.array([True, False, None, True], dtype="boolean"), [["True"], ["False"], [], ["True"]]),
        (anything(True, False, None, True), [["True"], ["False"], [], ["True"]]),
        (pd.Categorical(["p", "q", None, "p"]), [["p"], ["q"], [], ["p"]]),
        (pd.Categorical([7, 5, None, 7]), [["7"], ["5"], [], ["7"]]),
        (anything("p", "", None, pd.NA), [["p"], [], [], []]),
        (anything(None, None, None, None), [[], [], [], []]),
    ],
)
def test_categories(x, categories):
    assert names(fitted(x)) == categories


def test_lists_of_codes_can_be_declared():
    x = [[3, 1], [1.0], None, []]
    assert "holds lists of 2 (item `a`) and 1 numbers (item `b`); give vectors of one length, or name" in refused(x)
    assert names(fitted(x, categorical=["x"])) == [["3", "1"], ["1"], [], []]


@pytest.mark.parametrize(
    ("x", "declared", "sentence"),
    [
        (anything(1, "p", None, 2), {}, "column 'x' mixes numbers (1 of item `a`) and text ('p' of item `b`)"),
        (anything(True, 2.5, None, 2), {}, "column 'x' mixes truth values (True of item `a`) and numbers (2.5 of"),
        (anything("p", ["p"], None, "q"), {}, "column 'x' mixes text ('p' of item `a`) and lists (['p'] of item `b`)"),
        ([np.inf, 1.5, 2, 3], {}, "column 'x' has `inf` in item `a`; give a finite number below 3e38"),
        ([1.5, -np.inf, 2, 3], {"numeric": ["x"]}, "column 'x' has `-inf` in item `b`"),
        ([1.5, 1e39, 2, 3], {}, "column 'x' has `1e+39` in item `b`"),
        (anything(1.5, 10**400, 2, 3), {}, "in item `b`; give a finite number below 3e38"),
        (["1.5", "loud", "2", None], {"numeric": ["x"]}, "column 'x' has `loud` in item `b`; give a finite number"),
        (["1", "1.0", "p", "q"], {}, "column 'x' holds `1.0` and `1`; write it in one way"),
        (pd.to_datetime(["2018-07-15"] * 4), {}, "column 'x' holds Timestamp ("),
        ([datetime.date(2018, 7, 15)] * 4, {}, "column 'x' holds date ("),
        ([datetime.timedelta(1)] * 4, {}, "column 'x' holds Timedelta ("),
        ([b"p"] * 4, {}, "column 'x' holds bytes (b'p' of item `a`); convert it to numbers, text or lists of text"),
        ([{"p": 1}] * 4, {}, "column 'x' holds dict ({'p': 1} of item `a`)"),
        ([1j] * 4, {}, "column 'x' holds complex"),
        ([["p"], [["p"]], [], []], {}, "column 'x' holds lists of lists in item `b`"),
        ([["p"]] * 4, {"numeric": ["x"]}, "column 'x' has `p` in the list of item `a`; give finite numbers below 3e38"),
        ([["p"], [1], [], []], {}, "column 'x' holds a list of text and numbers in item `b`; write all"),
        ([[1.5], ["p"], [2], [3]], {}, "column 'x' has `p` in the list of item `b`"),
        (
            [[1.5, 2], [1.5], None, None],
            {},
            "holds lists of 2 (item `a`) and 1 numbers (item `b`); give vectors of one",
        ),
        ([[], [], None, None], {"numeric": "x"}, "holds lists of 0 (item `a`) and 0 numbers (item `a`)"),
        ([[1.5, [2]], None, None, None], {}, "has `[2]` in the list of item `a`"),
        ([[1.5, 10**400], None, None, None], {}, "give finite numbers below 3e38, or leave the whole list missing"),
        ([[1.5, 2], [], None, None], {}, "holds lists of 2 (item `a`) and 0 numbers (item `b`)"),
        (
            [[1.5, np.nan], None, None, None],
            {},
            "has `nan` in the list of item `a`; give finite numbers below 3e38, or",
        ),
        ([[1.5, None], None, None, None], {}, "has `None` in the list of item `a`"),
        ([[1.5, np.inf], None, None, None], {}, "has `inf` in the list of item `a`"),
        ([[1.5, True], None, None, None], {}, "has `True` in the list of item `a`"),
        ([{1.5, 2.5}] * 4, {}, "holds a set in item `a`, whose numbers have no order; give lists"),
        ([np.ones((2, 2))] * 4, {"numeric": "x"}, "holds an array of 2 dimensions in item `a`; give lists of numbers"),
        ([[1, 2], [3, 4], None, [5, 6]], {}, "'x' (lists of whole numbers, vectors or codes); declare each"),
        ([[1.5]] * 4, {"separator": {"x": "|"}}, "column 'x' holds lists, which no separator divides"),
        ([1.5] * 4, {"separator": {"x": "|"}}, "column 'x' holds numbers, which no separator divides"),
        ([1.5] * 4, {"numeric": ["y"]}, "numeric: there is no feature 'y'; name columns of features (x)"),
        ([1.5] * 4, {"categorical": "track"}, "categorical: there is no feature 'track'"),
        ([1.5] * 4, {"separator": {"y": "|"}}, "separator: there is no feature 'y'"),
        ([1.5] * 4, {"separator": ""}, "separator: '' divides no text; give a text such as '|'"),
        ([1.5] * 4, {"separator": {"x": 5}}, "separator: 5 divides no text"),
        ([1.5] * 4, {"numeric": "x", "categorical": "x"}, "numeric: 'x' is named as a column of categories too"),
    ],
)
def test_other_columns_are_an_error(x, declared, sentence):
    assert sentence in refused(x, **declared)


@pytest.mark.parametrize(
    ("x", "declared"),
    [
        ([[1.5, 2], (3, 4.0), None, [6, 9.5]], {}),
        ([np.float32([1.5, 2]), np.array([3, 4]), None, np.float64([6, 9.5])], {}),
        (anything([decimal.Decimal("1.5"), 2], [3, 4], np.nan, [6, 9.5]), {"numeric": ["x"]}),
    ],
)
def test_lists_of_numbers_are_vectors(x, declared):
    """A vector equals columns of its numbers."""
    columns = pd.DataFrame({"track": [*"abcd"], "x_0": [1.5, 3, None, 6], "x_1": [2, 4, None, 9.5]})
    expected = index_features(columns, "track", IDS)[1]
    features = fitted(x, **declared)
    assert features.fitted == expected.fitted
    np.testing.assert_array_equal(features.numeric, expected.numeric)
    marked, expected = (
        fitted(x, missing_indicator=True, **declared),
        index_features(columns, "track", IDS, missing_indicator=True)[1],
    )
    assert marked.fitted["numeric"] == ["x_0", "x_1", "x_0 missing", "x_1 missing"]
    np.testing.assert_array_equal(marked.numeric, expected.numeric)
    np.testing.assert_allclose(marked.numeric[:, 2], (np.array([0, 0, 1, 0]) - 1 / 4) / np.sqrt(3 / 16), rtol=1e-6)


def test_vectors_of_whole_numbers_can_be_declared():
    x = [[1, 2], [3, 4], None, [5, 6]]
    assert fitted(x, numeric="x").numeric.shape == (4, 2)
    assert names(fitted(x, categorical="x")) == [["1", "2"], ["3", "4"], [], ["5", "6"]]
    table = pd.DataFrame({"track": [*"abcd"], "x": [[1.5]] * 4, "x_0": [1.5] * 4})
    with pytest.raises(ValueError, match="column 'x' becomes 'x_0', which is another column; rename one of them"):
        index_features(table, "track", IDS)


def test_missing_numbers_may_have_an_indicator():
    features = fitted([1.5, 2, None, 4], missing_indicator=True)
    assert features.fitted["numeric"] == ["x", "x missing"]
    assert (features.numeric[:, 1] > 0).tolist() == [False, False, True, False]
    assert fitted([1.5, 2, 3, 4], missing_indicator=True).fitted["numeric"] == ["x"]


@pytest.mark.parametrize(
    ("name", "x"), [("item", [0.5] * 4), ("item", [*"pqrs"]), *((n, [*"pqrs"]) for n in ("numeric", "mean", "scale"))]
)
def test_reserved_names_are_an_error(name, x):
    assert "rename the column" in refused(x, name)


def test_duplicate_columns_are_an_error_and_names_become_texts():
    table = pd.DataFrame([["a", 0.5, "p"]], columns=["track", 7, 8])
    assert index_features(table, "track", IDS[:1])[1].fitted["8"] == ["p"]
    for columns in (["track", "x", "x"], ["track", 1, "1"], ["track", "track", "x"]):
        with pytest.raises(ValueError, match="is there twice; rename one of them"):
            index_features(table.set_axis(columns, axis=1), "track", IDS[:1])
    with pytest.raises(ValueError, match="no column beside the id"):
        index_features(table[["track"]], "track", IDS[:1])


def test_huge_and_constant_numbers_stay_finite():
    features = fitted([3e38, -3e38, 1, 2.5])
    np.testing.assert_allclose(features.numeric[:, 0], [np.sqrt(2), -np.sqrt(2), 0, 0], atol=1e-6)
    for x in ([0.5] * 4, [3e38] * 4, [np.nan] * 4):
        assert (fitted(x).numeric == 0).all()
    with pytest.raises(ValueError, match=r"feature `x`: item `d` has 1e\+30, \de\+\d+ standard deviations"):
        fitted([1.5e-30, 2e-30, 2.5e-30, 1e30], ids=IDS[:3])


def test_rows_belong_to_their_items_with_any_index():
    table = pd.DataFrame({"track": [*"dcba"], "x": [4.5, 3, 2, 1]}, index=[0, 0, 1, 1])
    assert (np.diff(index_features(table, "track", IDS)[1].numeric[:, 0]) > 0).all()


@pytest.mark.parametrize("ids", [pd.Categorical([*"bad"]), pd.Series([*"bad"], dtype="string"), [*"bad"]])
def test_ids_of_any_type_of_text(ids):
    found, features = index_features(pd.DataFrame({"track": ids, "x": [2.5, 1, 3]}), "track", IDS[:3])
    assert found.tolist() == [*"abcd"]
    np.testing.assert_allclose(features.numeric[:3, 0], [-1, 1, 0])


def test_features_of_few_items_are_a_warning_and_of_none_an_error():
    table = pd.DataFrame({"track": ["a", "x", "y"], "x": [0.5, 1, 2]})
    with pytest.warns(UserWarning, match="the features table holds 1 of the 4 items of training"):
        index_features(table, "track", IDS)
    index_features(table, "track", IDS[:2])  # half of them
    with pytest.raises(
        ValueError, match="none of the 2 items of training, such as `c`; its ids are such as `a`; write"
    ):
        index_features(table, "track", pd.Series(["c", "d"]))
