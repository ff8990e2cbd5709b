"""Ranks compared with brute force, the tie rules, and the table of both protocols computed by hand."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gru4rec_lib.baselines.popularity import MostPopular
from gru4rec_lib.data.sessions import Sessions
from gru4rec_lib.evaluation.statistics import SessionSums
from gru4rec_lib.ranking import metrics
from gru4rec_lib.ranking.exact import BLOCK, NO_RANK, STATES, TIES, Ranker, popularity_ranks, popularity_top, rank_table
from gru4rec_lib.training.gru4rec import GRU4Rec
from gru4rec_lib.utils.backend import tf


def brute_force(states, weights, bias, targets, above=False):
    scores = states.astype(float) @ weights.astype(float).T + bias
    ahead = np.greater if above else np.greater_equal
    return 1 + np.array(
        [ahead(np.delete(row, target), row[target]) for row, target in zip(scores, targets, strict=True)]
    ).sum(axis=1)


def example(n_items, n, width=4, whole=True, seed=0):
    """Return an example; scores of whole numbers are exact in any arithmetic and often tie."""
    random = np.random.default_rng([seed, n_items, n])

    def numbers(*shape):
        return (random.integers(-2, 3, shape) if whole else random.normal(size=shape)).astype(np.float32)

    targets = random.integers(0, n_items, n).astype(np.int32)
    return numbers(n, width), numbers(n_items, width), numbers(n_items), targets


@pytest.mark.parametrize(
    ("n_items", "n"),
    [(1, 3), (5, 1), (BLOCK - 1, STATES), (BLOCK, STATES + 1), (BLOCK + 1, STATES - 1), (2 * BLOCK + 7, 1100)],
)
def test_ranks_equal_brute_force(n_items, n):
    states, weights, bias, targets = example(n_items, n)
    found = Ranker(weights, bias).ranks(states, targets)
    assert found.dtype == np.int32
    np.testing.assert_array_equal(found, brute_force(states, weights, bias, targets))
    found = Ranker(weights, bias).ranks(states, targets, above=True)
    np.testing.assert_array_equal(found, brute_force(states, weights, bias, targets, above=True))


@pytest.mark.slow
@pytest.mark.parametrize("n_candidates", [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 10**6])
@pytest.mark.parametrize("above", [False, True])
def test_ranks_among_the_first_items_and_the_target(n_candidates, above):
    states, weights, bias, targets = example(BLOCK + 300, STATES + 1)
    found = Ranker(weights, bias, n_candidates).ranks(states, targets, above)
    ranks = []
    for state, target in zip(states, targets, strict=True):
        kept = np.unique(np.r_[np.arange(min(n_candidates, len(bias))), target])
        place = np.searchsorted(kept, target)
        ranks.append(brute_force(state[None], weights[kept], bias[kept], [place], above)[0])
    np.testing.assert_array_equal(found, ranks)


def test_ranks_of_real_numbers_equal_brute_force():
    states, weights, bias, targets = example(BLOCK + 300, STATES, width=100, whole=False)
    scores = states.astype(float) @ weights.astype(float).T + bias
    gaps = np.abs(scores - np.take_along_axis(scores, targets[:, None], 1))
    gaps[np.arange(len(targets)), targets] = np.inf
    clear = gaps.min(axis=1) > 1e-5  # where no other score is so close that rounding decides
    assert clear.mean() > 0.9
    found = Ranker(weights, bias).ranks(states, targets)
    np.testing.assert_array_equal(found[clear], brute_force(states, weights, bias, targets)[clear])


@pytest.mark.parametrize("width", [3, 100])
def test_equal_rows_tie_to_the_last_bit_and_a_tie_counts_against_the_target(width):
    # Copies of one row in more than one block: each copy has the rank of the last one.
    copies = BLOCK + 100
    states, weights, bias, targets = example(copies, STATES, width, whole=False)
    weights[:], bias[:] = weights[0], bias[0]
    assert (Ranker(weights, bias).ranks(states, targets) == copies).all()
    assert (Ranker(weights, bias).ranks(states, targets, above=True) == 1).all()


def trained_like(n_items, n):
    """Return rows with norms as spread as after training, and targets with high to low scores."""
    states, weights, bias, targets = example(n_items, n, width=100, whole=False)
    weights *= (np.arange(n_items)[::-1, None] / n_items) ** 6
    weights[targets[: n // 2]] += states[: n // 2] * np.linspace(0, 0.5, n // 2, dtype=np.float32)[:, None]
    return states, weights, bias / 10, targets


@pytest.mark.slow
@pytest.mark.parametrize("n_candidates", [None, BLOCK + 1, 0])
@pytest.mark.parametrize("above", [False, True])
def test_skipping_blocks_changes_no_rank(n_candidates, above):
    states, weights, bias, targets = trained_like(5 * BLOCK + 9, STATES + 88)
    ranker = Ranker(weights, bias, n_candidates)
    found = ranker.ranks(states, targets, above)
    if n_candidates is None:
        reach = ranker._reach(states, np.einsum("ij,ij->i", states, weights[targets]) + bias[targets])
        assert reach.min() < 2
        assert reach.max() == 6
    ranker._longest[:] = 1e9  # so that no block is skipped
    np.testing.assert_array_equal(found, ranker.ranks(states, targets, above))


@pytest.mark.parametrize("scale", [1e-20, 1e-3, 1.0, 1e15])
def test_scores_equal_to_their_bound_are_counted(scale):
    """If a state is a multiple of the target's row, the score of the row and its copies equals their bound."""
    states, weights, bias, targets = example(2 * BLOCK, STATES, width=33, whole=False)
    weights[:], bias[:] = weights[0] * np.float32(scale), 0
    states[:] = weights[0] * np.linspace(0.1, 7, STATES, dtype=np.float32)[:, None]
    assert (Ranker(weights, bias).ranks(states, targets) == 2 * BLOCK).all()
    assert (Ranker(weights, bias).ranks(states, targets, above=True) == 1).all()


def test_products_are_computed_in_full_precision_and_the_global_setting_is_restored(monkeypatch):
    seen, matmul, setting = [], tf.matmul, tf.config.experimental
    monkeypatch.setattr(
        tf, "matmul", lambda *a, **k: seen.append(setting.tensor_float_32_execution_enabled()) or matmul(*a, **k)
    )
    width = 13  # of no other test: new graphs are traced, and tracing calls `tf.matmul`
    states, rows = np.ones((3, width), np.float32), np.ones((5, width), np.float32)
    for before in (True, False):
        setting.enable_tensor_float_32_execution(before)
        ranker = Ranker(rows, np.zeros(5, np.float32))
        ranker.ranks(states, np.zeros(3, np.int32))
        ranker.top(states, 2)
        assert setting.tensor_float_32_execution_enabled() is before
    setting.enable_tensor_float_32_execution(True)  # TensorFlow's default
    assert seen
    assert not any(seen)


def test_the_target_is_excluded_by_its_index():
    # The scores for the state (1) are 2, 3, 3, -1; the target is not compared with itself.
    ranker = Ranker(np.array([[2], [3], [3], [-1]], np.float32), np.zeros(4, np.float32))
    assert ranker.ranks(np.ones((4, 1), np.float32), np.arange(4, dtype=np.int32)).tolist() == [3, 2, 2, 4]


def test_the_bias_is_added():
    ranker = Ranker(np.zeros((3, 2), np.float32), np.array([-3, -1, -2], np.float32))
    assert ranker.ranks(np.ones((3, 2), np.float32), np.arange(3, dtype=np.int32)).tolist() == [3, 1, 2]


def test_ranks_do_not_depend_on_the_rest_of_the_batch():
    states, weights, bias, targets = example(BLOCK + 1, STATES + 40, whole=False)
    ranker = Ranker(weights, bias)
    together = ranker.ranks(states, targets)
    pieces = [ranker.ranks(states[i : i + 181], targets[i : i + 181]) for i in range(0, len(targets), 181)]
    np.testing.assert_array_equal(together, np.concatenate(pieces))


def test_no_targets_give_no_ranks():
    _, weights, bias, _ = example(5, 1)
    assert Ranker(weights, bias).ranks(np.zeros((0, 4), np.float32), np.zeros(0, np.int32)).tolist() == []


@pytest.mark.parametrize(("n_items", "n", "n_candidates"), [(5, 3, None), (2 * BLOCK + 7, STATES + 1, BLOCK + 9)])
def test_best_equals_a_stable_sort(n_items, n, n_candidates):
    """Whole numbers often tie; of equal scores the lower index comes first, also across blocks."""
    states, weights, bias, _ = example(n_items, n)
    scores = (states @ weights.T + bias)[:, :n_candidates]
    expected = np.pad(np.argsort(-scores, kind="stable"), ((0, 0), (0, 20)), constant_values=-1)[:, :20]
    found = Ranker(weights, bias, n_candidates).top(states, 20)
    assert found.dtype == np.int32
    np.testing.assert_array_equal(found, expected)
    assert Ranker(weights, bias).top(states[:0], 3).shape == (0, 3)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_infinite_and_nan_numbers_are_an_error(bad):
    states, weights, bias, targets = example(5, 2)
    spoilt_weights, spoilt_bias, spoilt_states = weights.copy(), bias.copy(), states.copy()
    spoilt_weights[4, 1] = spoilt_bias[2] = spoilt_states[1, 0] = bad
    with pytest.raises(ValueError, match="weights that are not finite"):
        Ranker(spoilt_weights, bias)
    with pytest.raises(ValueError, match="weights that are not finite"):
        Ranker(weights, spoilt_bias)
    with pytest.raises(ValueError, match="states are not finite"):
        Ranker(weights, bias).ranks(spoilt_states, targets)
    with pytest.raises(ValueError, match="states are not finite"):
        Ranker(weights, bias).top(spoilt_states, 1)


@given(st.lists(st.integers(0, 5), max_size=12))
def test_popularity_ranks_count_ties(plays):
    found = popularity_ranks(np.array(plays, int))
    assert found.dtype == np.int32
    assert found.tolist() == [sum(other >= own for other in plays) for own in plays]
    assert popularity_ranks(np.array(plays, int), above=True).tolist() == [
        1 + sum(other > own for other in plays) for own in plays
    ]


@given(st.lists(st.integers(0, 5), min_size=1, max_size=12), st.integers(1, 14), st.none() | st.integers(1, 14))
def test_the_most_popular_have_the_lowest_ranks(plays, k, n_candidates):
    plays = np.array(plays)
    ranks = popularity_ranks(plays[:n_candidates], above=True)
    expected = [*np.argsort(ranks, kind="stable"), *[-1] * k][:k]
    found = popularity_top(plays, k, n_candidates)
    assert (found.dtype, found.tolist()) == (np.int32, expected)


# Three training tracks (0, 1, 2); 3 and 4 are candidates unseen in training, -1 is not a candidate.
TEST = Sessions.from_lists([[0, 4, 1, -1, 2], [3, 0], [1], [], [2, 2]])


class Counting:
    """Rank targets 1, 2, 3, ... in the order of the events, and record the calls."""

    def __init__(self, beyond_training=True):
        self.calls, self.beyond_training = [], beyond_training

    def rank(self, sessions, n_candidates, chosen):
        self.calls.append(([items.tolist() for items in sessions], n_candidates))
        return np.arange(1, 1 + sessions.is_target.sum(), dtype=np.int32)[chosen[sessions.is_target]]


KNOWN = [("known", 0, 3, 1, 1, 3), ("known", 0, 5, 2, 2, 3), ("known", 4, 2, 2, 3, 3)]
OPEN = [
    *(("open", 0, 2, 4, 1, 5), ("open", 0, 3, 1, 2, 5), ("open", 0, 4, -1, 3, 5), ("open", 0, 5, 2, 4, 5)),
    *(("open", 1, 2, 0, 5, 5), ("open", 4, 2, 2, 6, 5)),
]


def rows(table):
    return list(table.itertuples(index=False, name=None))


def test_rank_table_by_hand():
    model = Counting()
    table = rank_table(model, TEST, n_items=3, n_candidates=5)
    assert list(table.columns) == ["protocol", "session", "position", "target", "rank", "n_candidates"]
    assert table.dtypes.astype(str)[1:].tolist() == ["int32"] * 3 + ["float64", "int32"]
    assert rows(table) == KNOWN + OPEN
    assert table.index.equals(pd.RangeIndex(9))
    # `known` removes unseen events before pairs are formed: 0 -> 1 is a pair, and session 1 has none.
    assert model.calls == [
        ([[0, 1, 2], [0], [1], [], [2, 2]], 3),
        ([[0, 4, 1, -1, 2], [3, 0], [1], [], [2, 2]], 5),
    ]


def test_open_reuses_the_ranks_of_known_without_content():
    table = rank_table(Counting(beyond_training=False), TEST, n_items=3, n_candidates=5)
    # 0 -> 1, 1 -> 2 and 2 -> 2 are pairs of `known`; only 4, -1 and 0, which has no known item before it, are ranked
    # again.
    assert table["rank"].tolist() == [1, 2, 3, *(1, 1, 3, 2, 5, 3)]
    chosen = np.zeros(len(TEST.items), bool)
    chosen[[2, 5, 6, 9]] = True
    some = rank_table(Counting(beyond_training=False), TEST, n_items=3, n_candidates=5, chosen=chosen)
    assert some["rank"].tolist() == [1, 3, *(1, 5, 3)]


@pytest.mark.parametrize("ties", ["conservative", "median"])
def test_reused_ranks_equal_computed_ones(monkeypatch, ties):
    model = GRU4Rec(3, "embedding", 4, seed=5)
    model.scorer.plays.assign([2, 3, 1])
    assert not model.beyond_training
    short = rank_table(model, TEST, 3, 5, ties=ties)
    monkeypatch.setattr(GRU4Rec, "beyond_training", True)
    pd.testing.assert_frame_equal(rank_table(model, TEST, 3, 5, ties=ties), short)


def test_popular_ranks_the_targets_of_known_among_fewer_candidates():
    # Plays 3, 2, 1: with the first item as the only candidate besides the target, any other target is second.
    model = MostPopular().fit(Sessions.from_lists([[0, 1, 2], [0, 1], [0]]), 3)
    table = rank_table(model, TEST, n_items=3, n_candidates=5, popular=1)
    known, popular = (table[table["protocol"] == name] for name in ("known", "popular"))
    assert known["rank"].tolist() == [2, 3, 3]
    assert popular["rank"].tolist() == [2, 2, 2]
    assert (popular["n_candidates"] == 1).all()
    same = ["session", "position", "target"]
    assert known[same].to_numpy().tolist() == popular[same].to_numpy().tolist()
    every = rank_table(model, TEST, n_items=3, n_candidates=5, popular=10**6)
    every = every[every["protocol"] == "popular"]
    assert every["rank"].tolist() == known["rank"].tolist()
    assert (every["n_candidates"] == 3).all()


def test_ties_count_against_the_target_for_it_or_by_half():
    """Plays are 2, 2, 2 and 1, so the first three items tie; the last target is not a training track and is a miss."""
    model = MostPopular().fit(Sessions.from_lists([[0, 1, 2, 3], [0, 1, 2]]), 4)
    test = Sessions.from_lists([[0, 1, 2, 3, 4]])
    expected = {"conservative": [3, 3, 4], "standard": [1, 1, 4], "median": [2, 2, 4]}
    for ties, ranks in expected.items():
        found = rank_table(model, test, 4, 5, ties=ties)["rank"].tolist()
        assert found == [*ranks, *ranks, NO_RANK]


@settings(max_examples=25)
@given(st.integers(2, 19), st.lists(st.integers(-1, 19), min_size=2, max_size=8), st.sampled_from([*TIES]), st.data())
def test_a_target_without_a_rank_scores_zero(n_items, items, ties, data):
    """Only targets with a score add to recall and MRR; here they are all hits."""
    extra = data.draw(st.integers(0, 19 - n_items))
    train = Sessions.from_lists([[*range(n_items)]])
    test = Sessions.from_lists([[item if item < n_items + extra else -1 for item in items]])
    table = rank_table(MostPopular().fit(train, n_items), test, n_items, n_items + extra, ties=ties)
    opened = table[table["protocol"] == "open"]
    known = test.known(n_items)[test.is_target]
    assert (opened["rank"] == NO_RANK).tolist() == (~known).tolist()
    assert metrics.recall(opened["rank"].to_numpy(), 20) == known.mean()
    assert metrics.mrr(opened["rank"].to_numpy(), 20) == (known / opened["rank"]).mean() <= known.mean()
    # The others are misses at any cutoff: their share of NDCG, 1 / log2(1 + rank), is also 0.
    assert (1 / np.log2(1 + opened["rank"])).gt(0).tolist() == known.tolist()
    assert metrics.recall(opened["rank"].to_numpy(), 10**9) == known.mean()
    sums = SessionSums.of(opened["session"].to_numpy(), [opened[["rank"]].to_numpy()], 20)
    assert sums.scores.ravel().tolist() == [known.mean(), metrics.mrr(opened["rank"].to_numpy(), 20)]
    assert np.nanmax(sums.draws) <= known.mean()


def test_chosen_targets_have_the_same_ranks_as_all_targets():
    chosen = np.zeros(len(TEST.items), bool)
    chosen[[2, 5, 6, 9]] = True  # the targets 1 of session 0, 0 of session 1, 2 of session 4; the first of session 1
    table = rank_table(Counting(), TEST, n_items=3, n_candidates=5, chosen=chosen)
    assert rows(table) == [KNOWN[0], KNOWN[2], OPEN[1], OPEN[4], OPEN[5]]
    assert table.index.equals(pd.RangeIndex(5))


def test_known_excludes_tracks_unseen_in_training():
    assert [items.tolist() for items in TEST.keep(TEST.known(3))] == [[0, 1, 2], [0], [1], [], [2, 2]]
    assert [items.tolist() for items in TEST.keep(TEST.known(5))] == [[0, 4, 1, 2], [3, 0], [1], [], [2, 2]]


def test_a_protocol_without_targets_has_no_rows():
    table = rank_table(Counting(), Sessions.from_lists([[3, -1], [0]]), n_items=3, n_candidates=5)
    assert rows(table) == [("open", 0, 2, -1, 1, 5)]
    assert rows(rank_table(Counting(), Sessions.from_lists([[3], [0], []]), n_items=3, n_candidates=5)) == []


def test_an_unknown_rule_for_ties_is_an_error():
    with pytest.raises(ValueError, match=r"^ties is 'mean'; known are conservative, standard, median$"):
        rank_table(None, Sessions.from_lists([[0, 1]]), 2, 2, ties="mean")
