"""Session neighbours by hand."""

from math import exp, log, log10, sqrt

import numpy as np
import pytest

from gru4rec_lib.baselines import session_knn
from gru4rec_lib.baselines.session_knn import SKNN, STAN, VSKNN, VSTAN
from gru4rec_lib.data.sessions import Sessions
from gru4rec_lib.ranking.exact import NO_RANK

ITEMS, CANDIDATES = 5, 7  # 5 and 6 are candidates that training never saw, -1 is no candidate
DAY = 86400


def scores(model, *heard):
    """Return the scores of all tracks after these inputs."""
    heard, n = np.array(heard), len(heard)
    return model._scores(np.zeros(n, int), heard, np.arange(n, 0, -1), np.array([n])).toarray()[0]


TOY = Sessions.from_lists([[0, 1, 2], [1, 3], [0, 4, 1, 0]])


def test_sknn_by_hand():
    # Tracks 0 and 1 are both in the first and the last session, of 3 tracks each; track 1 alone in the second, of 2.
    both, one = 2 / sqrt(3), 1 / sqrt(2)
    model = SKNN().fit(TOY, ITEMS)
    assert scores(model, 0, 1) == pytest.approx([2 * both, 2 * both + one, both, one, both])
    ranks = model.rank(Sessions.from_lists([[0, 1, 1], [0, 1, 0], [0, 1, 2], [0, 1, 3], [0, 1, 6]]), CANDIDATES)
    assert ranks[1::2].tolist() == [1, 2, 4, 5, NO_RANK]
    # With one neighbour, the more recent of equal ones is used; with a sample of two, the first is not compared.
    assert scores(SKNN(neighbours=1).fit(TOY, ITEMS), 0, 1) == pytest.approx([both, both, 0, 0, both])
    assert scores(SKNN(sample=2).fit(TOY, ITEMS), 0, 1) == pytest.approx([both, both + one, 0, one, both])
    assert scores(SKNN(sample=2).fit(TOY, ITEMS, ends=[3, 2, 1]), 0, 1) == pytest.approx(
        [both, both + one, both, one, 0]
    )


def test_v_sknn_by_hand():
    # 0 weighs 1/3 and 2 weighs 2/3; what comes after 1 weighs 3/3, but the last match counts: 1/1 or, of 0 alone, 1/3.
    model = VSKNN().fit(TOY, ITEMS)
    assert scores(model, 0, 2, 1) == pytest.approx([2 + 4 / 3, 2 + 1 + 4 / 3, 2, 1, 4 / 3])
    assert scores(model, 0, 2, 2) == pytest.approx([4 / 3 + 1 / 9, 4 / 3 + 1 / 9, 4 / 3, 0, 1 / 9])


def test_stan_by_hand():
    # A day lies between the ends of the sessions. Only the last holds 4, at place 2; its own 0 was last at place 4.
    model = STAN().fit(TOY, ITEMS, ends=[0, DAY, 2 * DAY])
    older, recent = exp(-2 / 5) / sqrt(3), 1 / sqrt(3)
    near = [exp(-distance / 2.05) for distance in range(4)]
    assert scores(model, 0) == pytest.approx(
        [older + recent, older * near[1] + recent * near[1], older * near[2], 0, recent * near[2]]
    )
    before = 1 + exp(-1 / 1.02)  # both tracks are shared, the earlier one counts less
    older, recent, middle = older * before, recent * before, exp(-1 / 5) / sqrt(2)
    assert scores(model, 0, 1) == pytest.approx(
        [
            older * near[1] + recent,
            older + middle + recent * near[1],
            older * near[1],
            middle * near[1],
            recent * near[2],
        ]
    )


def test_sknn_similarities_by_hand():
    # Two of two tracks are shared with the first and the last session (3 tracks each), one with the second (2 tracks).
    assert scores(SKNN(similarity="jaccard").fit(TOY, ITEMS), 0, 1)[3] == pytest.approx(1 / 3)
    assert scores(SKNN(similarity="jaccard").fit(TOY, ITEMS), 0, 1)[2] == pytest.approx(2 / 3)
    assert scores(SKNN(similarity="binary").fit(TOY, ITEMS), 0, 1)[3] == pytest.approx(2 / 6)
    assert scores(SKNN(similarity="binary").fit(TOY, ITEMS), 0, 1)[2] == pytest.approx(4 / 9)


@pytest.mark.parametrize(
    ("weighting", "heard", "match"),
    [
        ("same", [1, 1], 1),
        ("div", [1 / 2, 1], 1 / 2),
        ("linear", [0.9, 1], 0.8),
        ("quadratic", [1 / 4, 1], 1 / 4),
        ("log", [1 / log10(2.7), 1 / log10(1.7)], 1 / log10(3.7)),
    ],
)
def test_v_sknn_weightings_by_hand(weighting, heard, match):
    # After 2 and 3: session 0 holds 2, one event back, and session 1 holds 3, the last one.
    model = VSKNN(weighting=weighting, weighting_score=weighting).fit(TOY, ITEMS)
    last = {"linear": 0.9, "log": 1 / log10(2.7)}.get(weighting, 1)
    older, recent = heard[0] * match, heard[1] * last
    assert scores(model, 2, 3) == pytest.approx([older, older + recent, older, recent, 0])
    idf = [1 + 2 * log(3 / holders) for holders in (2, 3, 1, 1, 1)]
    model = VSKNN(weighting=weighting, weighting_score=weighting, idf_weighting=2).fit(TOY, ITEMS)
    assert scores(model, 2, 3) == pytest.approx(np.array([older, older + recent, older, recent, 0]) * idf)


def test_vstan_by_hand():
    # Tracks are in 2, 3, 1, 1 and 1 of the three sessions; without ends there is no decay by time.
    model = VSTAN(idf_weighting=2).fit(TOY, ITEMS)
    last, middle = 1 / sqrt(3), exp(-1 / 1.02) / sqrt(2) * exp(-1 / 1.02)
    idf = [1 + 2 * log(3 / holders) for holders in (2, 3, 1, 1, 1)]
    near = [exp(-distance / 2.05) for distance in range(4)]
    # After 3 and 4: session 1 shares 3 (one event back), session 2 shares 4.
    expected = [last * near[2], last * near[1] + middle * near[1], 0, middle, last]
    assert scores(model, 3, 4) == pytest.approx([value * weight for value, weight in zip(expected, idf, strict=True)])


def test_results_do_not_depend_on_the_block_size(monkeypatch):
    rng = np.random.default_rng(1)
    train, test = ([list(rng.integers(0, 9, 4)) for _ in range(30)] for _ in range(2))
    ranks = []
    for targets in (64, 7):
        monkeypatch.setattr(session_knn, "TARGETS", targets)
        ranks.append(STAN().fit(Sessions.from_lists(train), 9).rank(Sessions.from_lists(test), 9).tolist())
    assert ranks[0] == ranks[1]


@pytest.mark.parametrize("kind", [STAN, VSTAN])
def test_neighbours_of_many_years_ago_still_have_scores(kind):
    """exp(-age / 2.5 days) is 0 in float64 after 5.1 years: counted from the newest neighbour it is not."""
    old = [[5, 7], [5, 6], [5, 6]]
    train = Sessions.from_lists([*old, [0, 1], [0, 1], [0, 2], [0, 3], [0, 4], [8, 9]])
    asked = Sessions.from_lists([[5, 6]])
    for years in (1, 6, 60):
        ends = np.array([0.0, 1, 2, *(years * 365.0 * 86400 + np.arange(6))])
        model = kind(time_decay=2.5).fit(train, 10, ends=ends)
        assert model.rank(asked, 10).tolist() == [2]
        assert model.top(asked, 10, k=3).tolist() == [[5, 6, 7]]
    # The newest neighbour shares 8 alone: those of six years before have nearly no weight beside it, but a score.
    model = kind(time_decay=2.5).fit(train, 10, ends=ends)
    asked = Sessions.from_lists([[8, 5, 9], [8, 5, 6]])
    assert model.rank(asked, 10, np.array([False, False, True] * 2)).tolist() == [2, 4]


@pytest.mark.parametrize("kind", [STAN, VSTAN])
def test_a_shared_track_of_thousands_of_events_ago_still_finds_neighbours(kind):
    train = Sessions.from_lists([[0, 1], [2, 3], [2, 3]])
    asked = Sessions.from_lists([[0, *[4] * 3000, 1]])
    last = np.arange(len(asked.items)) == len(asked.items) - 1
    assert kind().fit(train, 5).rank(asked, 5, last).tolist() == [2]
