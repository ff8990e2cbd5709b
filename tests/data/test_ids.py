"""Ids that occur among others, as by a set; ids that are written in two ways are tested where files are read."""

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gru4rec_lib.data.ids import among

TEXTS = st.lists(st.sampled_from(["a", "b", "12", "12.0", "é"]), max_size=6)


@pytest.mark.parametrize("kind", [pd.Series, pd.Index])
@given(TEXTS, TEXTS)
def test_ids_occur_among_others_as_in_a_set(kind, ids, others):
    found = among(kind(ids, dtype="str"), pd.Series(others, dtype="str"))
    assert found.tolist() == [one in {*others} for one in ids]
    assert found.dtype == bool


@given(st.lists(st.integers(-3, 3), max_size=6), st.lists(st.integers(-3, 3), max_size=6))
def test_whole_numbers_too(ids, others):
    assert among(pd.Series(ids, dtype=int), pd.Series(others, dtype="Int64")).tolist() == [n in {*others} for n in ids]
