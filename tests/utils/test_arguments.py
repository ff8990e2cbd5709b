"""Arguments that are whole numbers accept any of them and nothing else."""

import re

import numpy as np
import pandas as pd
import pytest

from gru4rec_lib.baselines.popularity import MostPopular
from gru4rec_lib.data.sessions import Sessions
from gru4rec_lib.evaluation import statistics
from gru4rec_lib.ranking import exact, metrics
from gru4rec_lib.training.gru4rec import GRU4Rec
from gru4rec_lib.training.settings import Training
from gru4rec_lib.utils.arguments import between, share, whole

RANKS = pd.DataFrame({"protocol": "known", "rank": [1, 4], "n_candidates": 9})
SESSIONS = Sessions.from_lists([[0, 1, 2], [1, 2]])
POPULAR = MostPopular().fit(SESSIONS, 3)


def model(**options):
    return GRU4Rec(**{"n_items": 3, "input_form": "one_hot", "hidden_units": 2} | options)


def fit(**options):
    one = model()
    one.compile(samples=2, jit=False)
    one.fit(SESSIONS, **{"verbose": 0, "batch_size": 2} | options)


@pytest.mark.parametrize("value", [2.5, 2.0, True, np.True_, np.float64(2), "2", None])
@pytest.mark.parametrize(
    ("name", "use"),
    [
        ("k", lambda k: metrics.recall(RANKS["rank"], k)),
        ("k", lambda k: metrics.mrr(RANKS["rank"], k)),
        ("k", lambda k: metrics.scores(RANKS, k)),
        ("k", lambda k: statistics.SessionSums.of(np.zeros(2, int), [RANKS[["rank"]].to_numpy()], k)),
        ("k", lambda k: exact.popularity_top(np.arange(3), k)),
        ("k", lambda k: POPULAR.top(SESSIONS, 3, k=k)),
        ("k", lambda k: model().top(SESSIONS, 3, k=k)),
        ("k", lambda k: model().evaluate(SESSIONS, k)),
        ("n_items", lambda n: model(n_items=n)),
        ("hidden_units", lambda n: model(hidden_units=n)),
        ("hidden_units", lambda n: model(hidden_units=[2, n])),
        ("embedding_units", lambda n: model(embedding_units=n)),
        ("mlp_units", lambda n: model(mlp_units=[n])),
        ("seed", lambda n: model(seed=n)),
        ("samples", lambda n: model().compile(samples=n)),
        ("epochs", lambda n: fit(epochs=n)),
        ("batch_size", lambda n: fit(batch_size=n)),
        ("initial_epoch", lambda n: fit(initial_epoch=n)),
    ],
)
def test_an_argument_that_is_no_whole_number_is_an_error(value, name, use):
    with pytest.raises(ValueError, match=f"^{name} is .*; give a whole number$"):
        use(value)


def test_whole_numbers_of_any_type_are_accepted():
    assert [whole(value, "k") for value in (2, np.int64(2), np.uint8(2), np.array(2))] == [2] * 4
    assert type(whole(np.int64(2), "k")) is int
    with pytest.raises(ValueError, match=r"^k is 0; give 1 or more$"):
        whole(0, "k")
    assert list(metrics.scores(RANKS, np.int64(3)))[-1] == "mrr_at_3"
    assert model(mlp_units=4).get_config()["mlp_units"] == [4]
    assert model(hidden_units=np.int64(2), n_items=np.uint8(3)).get_config()["hidden_units"] == [2]
    settings = Training(hidden_units=np.int64(8), max_epochs=np.int32(3), batch_size="16")
    assert (settings.hidden_units, settings.max_epochs, settings.batch_size) == ((8,), 3, 16)


@pytest.mark.parametrize("value", [1, 1.5, 2, np.float32(1.5), np.int64(2)])
def test_a_number_within_bounds_is_returned_as_a_float(value):
    found = between(value, "size", 1, 2)
    assert (type(found), found) == (float, value)


@pytest.mark.parametrize("value", [0.99, 2.01, -1, float("nan"), float("inf"), True, "1.5", None])
def test_a_number_outside_the_bounds_and_what_is_no_number_are_one_sentence(value):
    with pytest.raises(ValueError, match=rf"^size is {re.escape(repr(value))}; give a number from 1 to 2$"):
        between(value, "size", 1, 2)


def test_a_share_is_below_the_whole():
    assert [share(value, "drop") for value in (0, 0.5, np.float32(0.25))] == [0.0, 0.5, 0.25]
    with pytest.raises(ValueError, match=r"^drop is 1.0; give a number below 1$"):
        share(1.0, "drop")
    with pytest.raises(ValueError, match=r"^drop is True; give a number from 0 to 1$"):
        share(True, "drop")
