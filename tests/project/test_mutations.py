"""Mutations of metrics, statistics, splits and baselines: for each, a test fails.

A mutation replaces text in the source of one function. The module is compiled again, and the changed code replaces that
of the original function object, so that it takes effect wherever the function was imported.
"""

import importlib
import inspect
from operator import attrgetter
from types import SimpleNamespace

import numpy as np
import pytest
from baselines import test_baselines, test_session_knn
from evaluation import test_comparison, test_statistics
from preparation import test_prepare
from ranking import test_exact, test_metrics

from gru4rec_lib.ranking.popularity import popularity_ranks


def popularity_by_hand():
    assert popularity_ranks(np.array([5, 2, 2, 1])).tolist() == [1, 3, 3, 4]


scores, sums, rank_table = (
    test_metrics.test_by_hand,
    test_statistics.test_sums_by_hand,
    test_exact.test_rank_table_by_hand,
)
paired = test_statistics.test_the_interval_of_a_difference_is_paired
paired_p, holm = test_statistics.test_p_is_of_the_paired_t_test_over_sessions, test_statistics.test_holm_by_hand
welch = test_statistics.test_p_over_seeds_is_welchs_where_seeds_dominate
no_network = test_comparison.test_the_best_baseline_is_no_trained_model
best_of_each = test_comparison.test_each_score_has_its_own_best_baseline
parts = test_prepare.test_training_is_in_order_of_time_and_the_last_is_held_out
index = test_prepare.test_items_are_sorted_by_descending_training_plays_then_id
features = test_prepare.test_features_are_fitted_on_the_tracks_of_training
rules, item_knn = test_baselines.test_sequential_rules_by_hand, test_baselines.test_item_knn_by_hand
sknn = test_session_knn.test_sknn_by_hand
RANKS = {"ranks": [2, 2, 3, 9], "k": 2, "recall": 1 / 2, "mrr": 1 / 4}
P = {"p": [0.01, 0.04, 0.03], "corrected": [0.03, 0.06, 0.06]}
# Function, text to replace, its replacement, the test that fails, and its arguments besides fixtures.
MUTATIONS = {
    "recall leaves out the last place": (
        "ranking.metrics:recall",
        'ranks <= whole(k, "k")',
        "ranks < k",
        scores,
        RANKS,
    ),
    "MRR is upside down (D1)": (
        "ranking.metrics:mrr",
        "1.0 / ranks",
        "1.0 / np.maximum(k + 1 - ranks, 1)",
        scores,
        RANKS,
    ),
    "MRR counts hits behind k": ("ranking.metrics:mrr", 'ranks <= whole(k, "k")', "ranks > 0", scores, RANKS),
    "hits end before k": ("evaluation.statistics:SessionSums.of", "own <= k", "own < k", sums),
    "a difference is not paired": (
        "evaluation.statistics:differences",
        "draws[:, 0, second]",
        "draws[::-1, 0, second]",
        paired,
    ),
    "its test is not paired": ("evaluation.statistics:_paired_p", "- 2 * covariance[first, second]", "", paired_p),
    "seeds add nothing": ("evaluation.statistics:_with_seeds", "error**2 + added", "error**2", welch),
    "Holm corrects nothing": ("evaluation.statistics:holm", "np.arange(len(p), 0, -1)", "1", holm, P),
    "the best baseline is a network": (
        "evaluation.comparison:best_baseline",
        'is_baseline(ranked.models["model"])',
        "own >= 0",
        no_network,
    ),
    "MRR's best baseline is recall's": (
        "evaluation.comparison:best_baseline",
        "SCORES.index(score)",
        "0",
        best_of_each,
    ),
    "the test is trained on": (
        "preparation.prepare:prepare",
        "~is_test & (lengths > 1)",
        "lengths > 1",
        parts,
        {"seed": 1},
    ),
    "validation is trained on": (
        "preparation.prepare:prepare",
        "order[~held_out & ~crosses]",
        "order",
        parts,
        {"seed": 1},
    ),
    "the first is held out": ("preparation.split:last", "begins >= times", "begins < times", parts, {"seed": 1}),
    "the test counts in the index": (
        "preparation.prepare:prepare",
        'item_index(training["',
        'item_index(events["',
        index,
    ),
    "features of all tracks are fitted": ("preparation.prepare:candidates", "len(plays))", "len(items))", features),
    "`known` keeps unseen tracks": ("ranking.exact:rank_table", "known(n_items)", "known(n_candidates)", rank_table),
    "a tie counts for the target": (
        "ranking.popularity:popularity_ranks",
        'else "left"',
        'else "right"',
        popularity_by_hand,
    ),
    "a far rule weighs as a near one": (
        "baselines.weighting:by_distance",
        "1 / distance\n",
        "1.0 * (distance > 0)\n",
        rules,
    ),
    "rules point backwards": (
        "baselines.item_rules:SequentialRules._fit",
        "(before, after))",
        "(after, before))",
        rules,
    ),
    "item-kNN does not shrink": ("baselines.item_rules:ItemKNN._fit", "_plays + self.shrink", "_plays + 0", item_knn),
    "SKNN compares the oldest": ("baselines.session_knn:SessionKNN._fit", '"stable")[::-1]', '"stable")', sknn),
    "SKNN forgets lengths": (
        "baselines.session_knn:SKNN._session_weight",
        "1 / np.sqrt(self._tracks)",
        "np.ones(len(self._tracks))",
        sknn,
    ),
}


@pytest.fixture
def run(tmp_path, capsys):
    """Call a test with its arguments and fixtures."""
    fixtures = {"tmp_path": tmp_path, "capsys": capsys}

    def call(test, given=None):
        test(
            **(given or {}), **{name: fixtures[name] for name in inspect.signature(test).parameters if name in fixtures}
        )

    return call


def mutate(monkeypatch, place, old, new):
    name, _, path = place.partition(":")
    module = importlib.import_module(f"gru4rec_lib.{name}")
    function = attrgetter(path)(module)
    source, own = inspect.getsource(module), inspect.getsource(function)
    assert own.count(old) == 1, f"{place} no longer says {old} once"
    changed = dict(vars(module))
    exec(compile(source.replace(own, own.replace(old, new)), module.__file__, "exec"), changed)
    code = attrgetter(path)(SimpleNamespace(**changed)).__code__
    monkeypatch.setattr(getattr(function, "__func__", function), "__code__", code)


@pytest.mark.parametrize("broken", MUTATIONS)
def test_every_mutation_makes_a_test_fail(broken, run, monkeypatch):
    place, old, new, *asked = MUTATIONS[broken]
    run(*asked)
    mutate(monkeypatch, place, old, new)
    with pytest.raises((AssertionError, ValueError, IndexError)):
        run(*asked)
