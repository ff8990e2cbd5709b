"""The audit: its variants, the equality of its evaluation without defects with the correct one, and its tables."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from gru4rec_lib.audit import tables, train, variants
from gru4rec_lib.audit.defects import loader, switches
from gru4rec_lib.audit.defects.switches import Defects
from gru4rec_lib.config.audit import course_paper_training as training
from gru4rec_lib.config.study import ConfigError, Models, Run, load_study
from gru4rec_lib.data import session_batches
from gru4rec_lib.data.sessions import Sessions
from gru4rec_lib.preparation.prepare import Prepared
from gru4rec_lib.study.workspace import ROOT
from gru4rec_lib.training.build import build
from gru4rec_lib.utils.backend import keras

N = 30
SMALL = {
    "hidden_units": 4,
    "batch_size": 4,
    "steps_per_epoch": 12,
    "max_epochs": 2,
    "learning_rate": 0.05,
    "jit": False,
}


def some_sessions(count, seed):
    """Track i is followed by i + 1, the last by the first; 3 to 7 tracks."""
    random = np.random.default_rng(seed)
    return Sessions.from_lists(
        [((first + np.arange(random.integers(3, 8))) % N).tolist() for first in random.integers(0, N, count)]
    )


@pytest.fixture
def prepared():
    """One track of the test is unseen in training."""
    test = some_sessions(25, 3)
    test = Sessions(np.where(np.arange(len(test.items)) == 10, N, test.items).astype(np.int32), test.offsets)
    parts = {"train": some_sessions(60, 1), "validation": some_sessions(10, 2), "test": test}
    items = pd.DataFrame({"item": [f"t_{i}" for i in range(N + 1)], "plays": 1})
    return Prepared(items=items, n_items=N, test_events=None, counts=None, features=None, **parts)


def a_run(loss="bpr_max", **changes):
    settings = training(loss, SMALL | changes)
    return Run(study="made", input_form="one_hot", loss=loss, seed=1, tag="audit", training=settings)


def active(defects):
    return {name for name, value in vars(defects).items() if value}


def test_a_variant_is_the_papers_code_without_one_defect():
    found = variants.variants(a_run("bpr_max"), older_test=False)
    alone = ["D1", "D2", "D3", "D3_testing", "D4", "D4_testing", "D5", "D8", "D10"]
    assert list(found) == ["as_published", *alone, "all_mended"]
    paper = active(found["as_published"])
    assert active(Defects()) == set()
    assert paper == vars(Defects()).keys() - {"target_among_negatives", "older_test", "linear_cross_entropy"}
    assert active(found["D3"]) == paper - {"overrunning", "overrunning_testing"}
    assert active(found["D4_testing"]) == paper - {"never_reset"}
    assert found["all_mended"] == Defects()


def test_a_loss_has_its_own_defect_and_d9_needs_an_older_log():
    assert "D6" in variants.variants(a_run("bpr"), older_test=False)
    all_tracks = variants.variants(a_run("cross_entropy"), older_test=True)
    assert {"D5", "D6"}.isdisjoint(all_tracks)
    paper = active(all_tracks["as_published"])
    assert active(all_tracks["with_D12"]) == paper | {"linear_cross_entropy"}
    assert active(all_tracks["D9"]) == paper - {"older_test"}
    assert "with_D12" not in variants.variants(a_run("cross_entropy", negatives=("sampled",)), older_test=False)


@pytest.mark.parametrize("name", vars(Defects()))
def test_each_defect_has_a_row_of_audit_csv_and_one_place_of_effect(name):
    one = Defects(**{name: True})
    by_first_field = [code for code, names in (switches.FIXED_ALONE | switches.ADDED).items() if names[0] == name]
    assert one.codes == by_first_field
    assert len(one.codes) == 1
    in_scores = name in ("upside_down_mrr", "unpaired_top_k", "selected_on_test")
    assert [one.in_training == one, one.in_test_batches == one, in_scores].count(True) == 1


@pytest.mark.parametrize("path", sorted((ROOT / "reports").glob("*/audit.csv")), ids=lambda path: path.parent.name)
def test_the_committed_tables_have_the_rows_in_their_order(path):
    for _, run in pd.read_csv(path).groupby(variants.RUN):
        rows = run["switch"].drop_duplicates().tolist()
        assert rows == [name for name in switches.ROWS if name in rows]
        assert [rows[0], rows[-1]] == ["as_published", "all_mended"]


@pytest.mark.slow
def test_without_defects_the_scores_are_those_of_the_correct_evaluation(prepared):
    known = prepared.test.keep(prepared.test.known(N))
    trained = train.train(a_run(), Defects(), {Defects()}, prepared)
    walk, right = trained.testing.walks[Defects()], trained.testing.model.rank(known, N)
    pairs, valid = walk.pairs, walk.pairs.valid
    np.testing.assert_array_equal(walk.ranks[-1][np.argsort(pairs.event[valid])], right)
    best = walk.ranks[int(trained.validation.argmax())]
    sums = trained.score(Defects()).sum()
    assert sums["pairs"] == len(right) == known.is_target.sum()
    assert sums["recall"] == (best <= 20).sum()
    assert sums["mrr"] == pytest.approx((1 / best[best <= 20]).sum())


@pytest.mark.slow
def test_in_the_paper_states_pass_through_the_test_into_training(prepared):
    """The test continues from the last state of training without a reset, and training from that of the test."""
    way = variants.variants(a_run(), older_test=False)["as_published"].in_test_batches
    known = prepared.test.keep(prepared.test.known(N))
    testing = train.Testing(known, 4, {way}, way)
    model = build(a_run(), prepared.n_items, prepared.features)
    seen = []
    before = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(model.lane_state.numpy()))
    model.fit(prepared.train, 1, 4, callbacks=[before, testing], steps_per_epoch=12, shuffle=False, verbose=0)
    pairs = testing.walks[way].pairs
    assert way.first_steps
    assert not pairs.reset.any()
    assert pairs.event.tolist() == loader.overrunning(known, 4).event.tolist()
    state = seen[0]
    for step in range(len(pairs)):
        _, state = model(pairs.input[step], state)
    np.testing.assert_allclose(model.lane_state.numpy(), state, atol=1e-6)
    assert np.abs(model.lane_state.numpy() - seen[0]).max() > 0.01


@pytest.mark.parametrize(
    ("defects", "pairs"),
    [
        (Defects(), "right"),
        (Defects(overrunning=True), "overrunning"),
        (Defects(sticky_resets=True), "sticky"),
        (Defects(overrunning_testing=True, never_reset=True, first_steps=True), "right"),
    ],
)
def test_the_loaders_defects_are_independent(prepared, defects, pairs):
    right = session_batches.schedule(prepared.train, 4)
    expected = {
        "right": right,
        "overrunning": loader.overrunning(prepared.train, 4),
        "sticky": loader.sticky(right),
    }[pairs]
    found = train.training_batches(prepared.train, 4, defects)
    for name in ("event", "reset"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))


def scored(ranks, validation=(0.1, 0.2), **defects):
    """Return the scores of ranks by epoch, for two sessions of two tracks in one lane, with the active defects."""
    sessions = Sessions.from_lists([[0, 1], [2, 3]])
    pairs, hidden = session_batches.schedule(sessions, 1), [np.zeros((2, 1))] * 2
    walk = train.Walk(sessions, pairs, hidden, [np.array(r) for r in ranks])
    testing = SimpleNamespace(walks={Defects(): walk}, scorers=[(np.zeros((4, 1)), np.zeros(4))] * 2)
    trained = train.Trained(testing, np.array(validation))
    return trained.score(Defects(**defects)).to_numpy().tolist()


def test_scores_by_hand():
    """Of two epochs, the first is best on test and the second, with ranks 2 and 30, on validation."""
    ranks = [[1, 4], [2, 30]]
    assert scored(ranks) == [[0, 1, 1, 1 / 2], [1, 1, 0, 0]]
    assert scored(ranks, selected_on_test=True) == [[0, 1, 1, 1], [1, 1, 1, 1 / 4]]
    assert scored(ranks, upside_down_mrr=True) == [[0, 1, 1, 1 / 19], [1, 1, 0, 0]]
    assert scored(ranks, unpaired_top_k=True) == scored(ranks), "of four tracks all are among the first 20"


def test_d10_tests_the_first_steps_and_without_it_sessions_drawn_from_all(prepared, monkeypatch):
    monkeypatch.setattr(loader.first_steps, "__defaults__", (5,))
    known = prepared.test.keep(prepared.test.known(N))
    d10 = Defects(first_steps=True)
    ways = {Defects(), d10}
    first = train.Testing(known, 4, ways, None).walks[d10]
    assert first.pairs.event.tolist() == session_batches.schedule(known, 4).event[:5].tolist()
    walks = train.Testing(known, 4, ways, None, max_targets=30).walks
    assert walks[d10].pairs.event.tolist() == first.pairs.event.tolist(), "of the whole file"
    some = walks[Defects()].sessions
    assert 30 - known.lengths.max() < some.is_target.sum() <= 30
    lists = [items.tolist() for items in known]
    places = [lists.index(items.tolist()) for items in some]
    assert places == sorted(places)
    assert max(places) > len(some), "not the first ones of the file"
    assert walks[Defects()].pairs.valid.sum() == some.is_target.sum()


def some_sums(shift):
    """Sixty sessions of ten targets; each model has the given hits, one more where the session's number is odd."""
    rows = [
        (form, loss, 1, variant, session, 10, hits + session % 2, (hits + session % 2) / 4)
        for variant, shifts in shift.items()
        for (form, loss), hits in shifts.items()
        for session in range(60)
    ]
    return pd.DataFrame(rows, columns=[*variants.RUN, "variant", "session", "pairs", "recall", "mrr"])


ONE, RAW = ("one_hot", "bpr_max"), ("content", "bpr_max")
SUMS = some_sums({"as_published": {ONE: 5, RAW: 3}, "D1": {ONE: 5, RAW: 3}, "all_mended": {ONE: 4, RAW: 4}})


def test_audit_csv_has_means_over_pairs_with_their_intervals():
    table = tables.scores(SUMS, "made")
    assert list(table.columns) == tables.COLUMNS
    assert len(table) == 2 * 3 * 2
    row = table.query("input_form == 'one_hot' and switch == 'as_published' and metric == 'recall'").iloc[0]
    assert row["value"] == pytest.approx(0.55)
    # The session's share is 0.5 or 0.6: 1.96 standard errors of 0.05 / sqrt(60).
    assert (row["low"], row["high"]) == pytest.approx((0.5373, 0.5627), abs=0.002)
    wide = tables.printed(table, "recall")
    assert wide.index.tolist() == ["as published", "D1 fixed", "all fixed"]
    assert wide.loc["all fixed", "content, bpr_max"].startswith("0.450 (0.4")


def test_a_conclusion_holds_where_the_difference_is_significant():
    table = tables.conclusions(SUMS)
    assert table["conclusion"].tolist() == ["C1", "C1", "C5", "C5"]
    first = table.iloc[0]
    assert (first["first"], first["second"], first["score"]) == ("one_hot, bpr_max", "content, bpr_max", "recall")
    assert first["published"] == pytest.approx(0.2132 - 0.1045)
    assert first["as_published_difference"] == pytest.approx(0.2)
    assert table["as_published_holds"].tolist() == ["yes"] * 4
    assert table["all_mended_difference"].tolist() == [0] * 4
    assert table["all_mended_holds"].tolist() == ["undecided"] * 4
    assert tables.conclusions(SUMS[SUMS["input_form"] == "content"]).empty


def test_c3_holds_between_equal_models_and_the_opposite_sign_is_a_no():
    models = {("one_hot", "bpr_max"): 4, ("one_hot", "cross_entropy"): 4, ("one_hot", "bpr"): 6}
    table = tables.conclusions(some_sums({"as_published": models, "all_mended": models}))
    holds = table[table["score"] == "recall"].set_index(["conclusion", "second"])["all_mended_holds"]
    assert holds.to_dict() == {
        ("C2", "one_hot, bpr_max"): "no",
        ("C2", "one_hot, cross_entropy"): "no",
        ("C3", "one_hot, cross_entropy"): "yes",
    }


@pytest.mark.parametrize("study", ["toy", "paper"])
def test_every_defect_that_can_be_switched_is_audited(study):
    """D9 needs two logs; it is in the study `audit_two_logs`."""
    runs = variants.runs(load_study(study, ROOT / "config"))
    found = {row for run in runs for row in variants.variants(run, older_test=False)}
    assert {"with_D12", "D5", *(f"D{number}" for number in (1, 2, 3, 4, 8, 10))} <= found
    cells = [(run.input_form, run.loss, run.seed) for run in runs]
    assert len(set(cells)) == len(cells), "a row of audit.csv names its cell by form, loss and seed"


def test_the_printed_audit_shows_d12_where_a_cell_has_it():
    table = tables.scores(
        some_sums({"as_published": {ONE: 5, RAW: 3}, "with_D12": {RAW: 1}, "all_mended": {ONE: 4, RAW: 4}}), "made"
    )
    wide = tables.printed(table, "recall")
    assert wide.index.tolist() == ["as published", "D12 added", "all fixed"]
    assert wide.loc["D12 added", "one_hot, bpr_max"] == ""
    assert wide.loc["D12 added", "content, bpr_max"].startswith("0.150 (")


def test_the_bounds_of_table_2():
    table = tables.recoverable().set_index(["input_form", "loss"])
    row = table.loc[("one_hot", "cross_entropy")]  # a mean of 0.1 over the hits, as a single rank 11 has
    assert (row["mrr_lowest"], row["mrr_highest"]) == pytest.approx((0.24 / 11, 0.24 * 0.95))


def test_the_papers_settings_that_the_study_changes():
    study = load_study("toy", ROOT / "config")
    table = tables.changes(study).set_index(["loss", "setting"])
    assert table.loc[("bpr_max", "batch_size")].tolist() == [64, 16]
    assert ("bpr_max", "dropout_hidden") not in table.index


def test_a_study_without_an_audit_raises(tmp_path):
    workspace = SimpleNamespace(study=load_study("polimi", ROOT / "config"), runs=tmp_path)
    with pytest.raises(ConfigError, match="polimi: audit: the study has none; describe its runs"):
        variants.score_all(workspace, None)


@pytest.mark.slow
def test_the_trainings_of_a_run_are_saved_and_reused(prepared, tmp_path, monkeypatch):
    sums = variants.score_variants(a_run(), prepared, None, tmp_path)
    assert sums["variant"].unique().tolist() == list(variants.variants(a_run(), older_test=False))
    by = sums.groupby("variant")[["pairs", "recall", "mrr"]].sum()
    assert by.loc["as_published", "recall"] == by.loc["D1", "recall"], "D1 leaves recall alone"
    assert by.loc["as_published", "mrr"] != by.loc["D1", "mrr"]
    assert by.loc["as_published", "pairs"] > by.loc["D3", "pairs"] == by.loc["all_mended", "pairs"]
    monkeypatch.setattr(train, "train", lambda *_: pytest.fail("trained twice"))
    pd.testing.assert_frame_equal(variants.score_variants(a_run(), prepared, None, tmp_path), sums)
    block = Models(input_form=("one_hot",), loss=("bpr",), settings=SMALL)
    workspace = SimpleNamespace(study=SimpleNamespace(name="made", audit=(block,)))
    measured = tables.measured(workspace, prepared).set_index("finding")
    assert measured.loc["D1", "here"] == 0.05
    assert measured.loc["D11", "here"] == pytest.approx(1 / len(prepared.test.items))
