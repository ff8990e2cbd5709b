"""A blend compared with sums of dense rows, with its parts alone, and with values by hand."""

import numpy as np
import pytest
from baselines.twins import ITEMS, TWINS, plays_of
from helpers import states
from hypothesis import given, settings
from hypothesis import strategies as st

from gru4rec_lib.baselines import STAN, Markov, SequentialRules
from gru4rec_lib.blending import parts as parts_module
from gru4rec_lib.blending.blend import Blend
from gru4rec_lib.data.features import Features
from gru4rec_lib.data.sessions import Sessions
from gru4rec_lib.ranking.exact import NO_RANK, rank_table
from gru4rec_lib.training.gru4rec import GRU4Rec

CANDIDATES = ITEMS + 2
FEATURES = Features(np.float32([[1, 0], [0, 1], [0, 1], [1, 1], [2, 0], [0, 2], [1, 2]]), {}, {})
TRAIN = [[0, 1, 2, 0], [1, 3, 1, 0], [2, 4, 0, 1], [3, 2]]
NETWORKS = {
    "ids": GRU4Rec(ITEMS, "embedding", 3, seed=5),
    "content": GRU4Rec(ITEMS, "content", 3, "content", features=FEATURES),
}
for one in NETWORKS.values():
    one.scorer.plays.assign(plays_of(TRAIN))
BASELINES = [one.fit(Sessions.from_lists(TRAIN), ITEMS) for one in (SequentialRules(), STAN(neighbours=3))]
TEST = st.lists(st.lists(st.integers(-1, CANDIDATES - 1), max_size=6), min_size=1, max_size=5)
WEIGHTS = st.sampled_from(
    [(1, 0, 0), (0, 1, 0), (0, 0, 1), (0.4, 0.6, 0), (0, 0.3, 0.7), (0.2, 0.3, 0.5), (0.05, 0.05, 0.9)]
)
FORM = st.sampled_from(list(NETWORKS))


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(parts_module, "STATES", 3)


def blend_of(form, weights, baselines=BASELINES):
    names = ["gru4rec", *(one.name for one in baselines)]
    return Blend(NETWORKS[form], baselines, dict(zip(names, weights, strict=True)))


def dense_scores(form, weights, heard):
    """Return the blended scores after some tracks as a list; None where no part with a weight has an input."""
    network, total, has_input = NETWORKS[form], np.zeros(CANDIDATES), False
    rows, bias = network.scorer.scoring_rows()
    inputs = [item for item in heard if 0 <= item < network.item_input.n_inputs]
    if weights[0] and inputs:
        has_input, scores = True, np.exp(np.float64(states(network, inputs)[-1]) @ rows.T + bias)
        total[: len(rows)] += weights[0] * scores / scores.max()
    for weight, baseline in zip(weights[1:], BASELINES, strict=True):
        scores = TWINS[baseline.kind](baseline, TRAIN, None, None)(heard)
        if weight and scores is not None:
            scores = np.exp(scores) if baseline.kind == "stan" else np.array(scores, float)  # its twin has logarithms
            has_input = True
            total[:ITEMS] += weight * scores / (scores.max() or 1)
    return total[: len(rows) if weights[0] else ITEMS].round(7).tolist() if has_input else None


@settings(max_examples=60)
@given(TEST, WEIGHTS, FORM, st.integers(1, CANDIDATES), st.booleans())
def test_ranks_and_lists_are_those_of_dense_sums(test, weights, form, n_candidates, above):
    model = blend_of(form, weights)
    sessions = Sessions.from_lists(test)
    ranks, lists = model.rank(sessions, n_candidates, above=above), model.top(sessions, n_candidates, k=4)
    turns = [(items[:place], items[place]) for items in test for place in range(1, len(items))]
    assert len(ranks) == len(lists) == len(turns)
    n_scored = CANDIDATES if weights[0] and form == "content" else ITEMS
    for (heard, target), rank, found in zip(turns, ranks.tolist(), lists.tolist(), strict=True):
        scores = dense_scores(form, weights, heard) or [*plays_of(TRAIN), 0, 0][:n_scored]
        assert len(scores) == n_scored
        others = [scores[item] for item in range(min(n_candidates, n_scored)) if item != target]
        if not 0 <= target < n_scored:
            assert rank == NO_RANK
        else:
            assert rank == 1 + sum(one > scores[target] if above else one >= scores[target] for one in others)
        order = sorted(range(min(n_candidates, n_scored)), key=lambda item: (-scores[item], item))
        assert found == (order + [-1] * 4)[:4]


@given(TEST, FORM, st.sampled_from([0, 1, 2]), st.integers(1, CANDIDATES), st.booleans())
def test_one_part_alone_ranks_as_itself(test, form, part, n_candidates, above):
    model, sessions = blend_of(form, np.eye(3)[part]), Sessions.from_lists(test)
    own = [NETWORKS[form], *BASELINES][part]
    assert model.beyond_training == own.beyond_training
    assert (
        model.rank(sessions, n_candidates, None, above).tolist()
        == own.rank(sessions, n_candidates, None, above).tolist()
    )
    assert model.top(sessions, n_candidates, k=3).tolist() == own.top(sessions, n_candidates, k=3).tolist()


def network_of(logits):
    """Return a network whose scores are these, whatever the session."""
    network = GRU4Rec(len(logits), "embedding", 2)
    network.scorer.table.assign(np.zeros((len(logits), 2)))
    network.scorer.bias.assign(logits)
    return network


def test_three_items_by_hand():
    # Softmax 0.5, 0.3, 0.2; after 0, track 1 follows once and track 2 twice.
    # Divided by the maximum: 1, 0.6, 0.4 and 0, 0.5, 1.
    network = network_of(np.log([5, 3, 2]))
    rules = Markov().fit(Sessions.from_lists([[0, 2], [0, 1], [0, 2]]), 3)
    sessions = Sessions.from_lists([[0, 0], [0, 1], [0, 2]])
    half = Blend(network, [rules], {"gru4rec": 0.5, "markov": 0.5})  # 0.5, 0.55, 0.7
    assert half.rank(sessions, 3).tolist() == [3, 2, 1]
    assert half.top(sessions, 3, k=3).tolist() == [[2, 1, 0]] * 3
    mostly = Blend(network, [rules], {"gru4rec": 0.9, "markov": 0.1})  # 0.45, 0.32, 0.28
    assert mostly.rank(sessions, 3).tolist() == [1, 2, 3]
    assert mostly.rank(sessions, 1).tolist() == [1, 2, 2]  # among track 0 and the target


def test_a_tie_counts_against_the_target_unless_above():
    network = network_of(np.zeros(3))
    rules = Markov().fit(Sessions.from_lists([[0, 2], [0, 1]]), 3)
    model = Blend(network, [rules], {"gru4rec": 0.5, "markov": 0.5})
    sessions = Sessions.from_lists([[0, 0], [0, 1], [0, 2]])
    assert model.rank(sessions, 3).tolist() == [3, 2, 2]
    assert model.rank(sessions, 3, above=True).tolist() == [3, 1, 1]
    assert model.top(sessions, 3, k=4)[0].tolist() == [1, 2, 0, -1]


def test_memory_is_bounded_by_blocks_of_targets_and_tracks(monkeypatch):
    seen = []
    blended = parts_module.Scores.blended
    monkeypatch.setattr(
        parts_module.Scores,
        "blended",
        lambda *args: ((first, seen.append(block.shape) or block) for first, block in blended(*args)),
    )
    network = network_of(np.arange(3000) / 1000)
    rules = Markov().fit(Sessions.from_lists([[0, 2], [0, 2999]]), 3000)
    model = Blend(network, [rules], {"gru4rec": 0.5, "markov": 0.5})
    assert model.rank(Sessions.from_lists([[0, 2999], [0, 2], [1, 2999], [0, 1], [0, 0]]), 3000).tolist()[:3] == [
        1,
        2,
        1,
    ]
    assert seen == [(3, 2048), (3, 952), (2, 2048), (2, 952)]


def test_the_protocols_of_a_study():
    test = Sessions.from_lists([[0, 1, 6, 2], [-1, 3, 4]])
    table = rank_table(blend_of("ids", (0.2, 0.3, 0.5)), test, ITEMS, CANDIDATES, popular=2)
    assert table.groupby("protocol", sort=False).size().to_dict() == {"known": 3, "open": 5, "popular": 3}
    unseen = table[(table["protocol"] == "open") & (table["target"] == 6)]
    assert unseen["rank"].tolist() == [NO_RANK]


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"gru4rec": 0.5, "stann": 0.5}, "weights has 'stann', which is no part; the parts are gru4rec, "),
        ({"gru4rec": 0.5, "stan": 0.6}, "give numbers from 0 on whose sum is 1"),
        ({"gru4rec": 1.5, "stan": -0.5}, "give numbers from 0 on whose sum is 1"),
        ({"gru4rec": float("nan"), "stan": 1}, "give numbers from 0 on whose sum is 1"),
        ({"gru4rec": "1", "stan": 0}, "give numbers from 0 on whose sum is 1"),
    ],
)
def test_wrong_weights_are_one_clear_sentence(weights, message):
    with pytest.raises(ValueError, match=message):
        Blend(NETWORKS["ids"], BASELINES, weights)
    with pytest.raises(ValueError, match="markov is not fitted; fit it on the 5 training tracks of the network"):
        Blend(NETWORKS["ids"], [Markov()], {"gru4rec": 1})
    with pytest.raises(
        ValueError, match="markov is fitted on 6 tracks; fit it on the 5 training tracks of the network"
    ):
        Blend(NETWORKS["ids"], [Markov().fit(Sessions.from_lists(TRAIN), 6)], {"gru4rec": 1})
    with pytest.raises(ValueError, match="two parts are called 'stan'; give one of them another `tag`"):
        parts_module.Parts(NETWORKS["ids"], [BASELINES[1], BASELINES[1]])


@pytest.mark.parametrize("n_candidates", [0, -1, 2.5, True])
def test_candidates_are_counted_from_1(n_candidates):
    blend = blend_of("ids", (0.5, 0.5, *[0] * (len(BASELINES) - 1)))
    for use in (blend.rank, blend.top):
        with pytest.raises(ValueError, match=r"^n_candidates is .*; give "):
            use(Sessions.from_lists(TRAIN), n_candidates)
