"""Tables from small ranks files, computed by hand."""

import re

import numpy as np
import pandas as pd
import pytest

from gru4rec_lib.study import tables
from gru4rec_lib.study.workspace import Workspace

STUDY = """
title: hand-made
data: {layout: mssd, name: twin, simulate: {sessions: 10}}
split: {how: by_session, test_fraction: 0.2}
baselines: [most_popular, sequential_rules]
models:
  - {input_form: [embedding, content], loss: [bpr], seed: [1, 3]}
"""
MORE = ["recall_at_5", "mrr_at_5", "ndcg_at_5", "recall_at_10", "mrr_at_10", "ndcg_at_10", "ndcg_at_20"]
TAGGED = "  - {input_form: [embedding], loss: [top1], tag: wide}\n"
KNOWN, OPEN = [1, 4, 20, 21], [2, 21, 101]
# Of 4 and of 3 targets: ranks up to 20 count.
SCORES = {"known": (0.75, (1 + 1 / 4 + 1 / 20) / 4), "open": (1 / 3, 1 / 2 / 3)}


@pytest.fixture
def place(tmp_path):
    """A study's folders; `made` writes the files of all its runs and baselines."""

    def place(text=STUDY):
        (tmp_path / "config").mkdir(exist_ok=True)
        (tmp_path / "config" / "made.yaml").write_text(text)
        return Workspace("made", root=tmp_path)

    return place


def write_ranks(folder, known=KNOWN, opened=OPEN):
    table = pd.DataFrame({"protocol": ["known"] * len(known) + ["open"] * len(opened), "rank": known + opened})
    table["target"] = [0] * len(known) + [49, 50, -1]  # 50 training tracks: the second is cold
    table["session"], table["position"] = [0, 0, 1, 2, 0, 1, 2], [2, 3, 2, 2, 2, 3, 4]
    folder.mkdir(parents=True, exist_ok=True)
    table.assign(n_candidates=np.where(table["protocol"] == "known", 50, 100)).to_parquet(folder / "ranks.parquet")


def made(place):
    """Write ranks and histories: those of each run begin with its number, 1 for the first."""
    for baseline in place.study.baselines:
        write_ranks(place.baseline_folder(baseline.name), [21] * 4, [21] * 3)
    for number, run in enumerate(place.study.runs, 1):
        write_ranks(place.run_folder(run), [number, *KNOWN[1:]])
        history = pd.DataFrame(
            {"epoch": [1, 2], "loss": [0.5, 0.25], "val_recall_at_20": [0.1, number], "seconds": 1.5}
        )
        history.to_csv(place.run_folder(run) / "history.csv", index=False)
    return place


def test_table_2_has_a_row_a_run_and_protocol(place):
    table = tables.table_2(made(place()))
    assert table.columns.tolist() == [
        *("study", "model", "input_form", "output_form", "loss", "seed", "protocol"),
        *("n_candidates", "n_targets", "recall_at_20", "mrr_at_20"),
        *("recall_low", "recall_high", "mrr_low", "mrr_high", "recall_with_best", "mrr_with_best"),
        *MORE,
    ]
    assert table["study"].unique().tolist() == ["made"]
    assert table["model"].tolist() == ["most_popular"] * 2 + ["sequential_rules"] * 2 + ["gru4rec"] * 8
    assert table["protocol"].tolist() == ["known", "open"] * 6
    assert table["n_candidates"].tolist() == [50, 100] * 6
    assert table["n_targets"].tolist() == [4, 3] * 6
    names = ["input_form", "output_form", "loss", "seed"]
    assert table.loc[:3, names].to_numpy().tolist() == [[""] * 4] * 4
    assert table.loc[4::2, names].to_numpy().tolist() == [
        ["embedding", "ids", "bpr", 1],
        ["content", "ids", "bpr", 1],
        ["embedding", "ids", "bpr", 3],
        ["content", "ids", "bpr", 3],
    ]
    assert table.loc[:3, ["recall_at_20", "mrr_at_20"]].to_numpy().tolist() == [[0, 0]] * 4
    assert table.loc[[4, 5], ["recall_at_20", "mrr_at_20"]].to_numpy() == pytest.approx(np.array([*SCORES.values()]))
    assert table.loc[6, "mrr_at_20"] == pytest.approx((1 / 2 + 1 / 4 + 1 / 20) / 4)


WINDOWS = """
title: hand-made
data: {layout: events, name: log, events: [e.csv], session: s, item: i, time: t}
split: {how: by_time, train_days: 3, test_days: 2}
windows: 2
models:
  - {input_form: [one_hot], loss: [bpr], seed: [1, 2]}
baselines: [most_popular]
"""


def test_means_and_deviations_over_windows(place):
    here = place(WINDOWS)
    for window, ranks in {1: ([1, 4, 20, 21], [21] * 4), 2: ([2, 2, 21, 21], [1] * 4)}.items():
        at = here.variants()[window]
        write_ranks(at.baseline_folder("most_popular"), [4] * 4, [21] * 3)
        for run, known in zip(at.study.runs, ranks, strict=True):
            write_ranks(at.run_folder(run), known, [21] * 3)
    table = tables.over_windows(here)
    assert table.columns.tolist() == tables.OVER_WINDOWS
    assert table[["study", "seeds", "windows"]].to_numpy().tolist() == [["made", 1, 2]] * 2 + [["made", 2, 2]] * 2
    assert table["protocol"].tolist() == ["known", "open"] * 2
    assert table["n_targets"].tolist() == [8, 6] * 2
    known = table[table["protocol"] == "known"].set_index("model")
    assert known.loc["most_popular", ["recall_at_20", "recall_sd", "mrr_at_20", "mrr_sd"]].tolist() == [1, 0, 0.25, 0]
    # Means over the two seeds: 3 and 6 of 8 hits; MRR 1.3 / 8 and 5 / 8.
    recall, mrr = np.array([3, 6]) / 8, np.array([1.3, 5]) / 8
    expected = [recall.mean(), recall.std(ddof=1), mrr.mean(), mrr.std(ddof=1)]
    found = known.loc["gru4rec", ["recall_at_20", "recall_sd", "mrr_at_20", "mrr_sd"]].tolist()
    assert found == pytest.approx(expected)


CURVE = """
title: hand-made
data: {layout: mssd, name: twin, simulate: {sessions: 10}}
split: {how: by_session, test_fraction: 0.2}
content_signal: [0.1, 0.5]
models:
  - {input_form: [one_hot, content, embedding, shared], loss: [bpr]}
  - {input_form: [embedding], loss: [bpr], output_form: [hybrid]}
baselines: [most_popular]
"""


def test_the_curve_has_each_runs_difference_from_the_best_without_content(place):
    here = place(CURVE)
    for setting, ranks in {0.1: (20, 4, 30, 5, 1), 0.5: (1, 2, 4, 8, 1)}.items():
        at = here.variants()[setting]
        write_ranks(at.baseline_folder("most_popular"), [1] * 4, [1] * 3)
        for run, rank in zip(at.study.runs, ranks, strict=True):
            write_ranks(at.run_folder(run), [rank] * 4, [1] * 3)
    table = tables.content_signal(here)
    assert table.columns.tolist() == [
        *("content_signal", *tables.TABLE_2, *MORE, "recall_less_identity", "mrr_less_identity")
    ]
    assert table["study"].unique().tolist() == ["made@0.1", "made"]
    known = table[table["protocol"] == "known"]
    assert known["content_signal"].tolist() == [0.1] * 6 + [0.5] * 6
    less = known[["recall_less_identity", "mrr_less_identity"]].to_numpy()
    # Best of identity alone: `shared` with 1/5, then `one_hot` with 1; a hybrid output uses content.
    recall, mrr = [np.nan, 0, 0, -1, 0, 0, np.nan, 0, 0, 0, 0, 0], [1 / 20, 1 / 4, 0, 1 / 5, 1]
    assert less[:, 0] == pytest.approx(recall, nan_ok=True)
    assert less[1:6, 1] == pytest.approx(np.array(mrr) - 1 / 5)
    assert less[7:, 1] == pytest.approx(np.array([1, 1 / 2, 1 / 4, 1 / 8, 1]) - 1)
    assert np.isnan(less[[0, 6], 1]).all()


def test_targets_on_cold_tracks_are_scored_separately(place):
    table = tables.cold_tracks(made(place()))
    assert table.columns.tolist() == [*tables.TABLE_2, *MORE]
    assert table["model"].tolist() == ["most_popular", "sequential_rules"] + ["gru4rec"] * 4
    assert table[["protocol", "n_candidates", "n_targets", "recall_at_20"]].iloc[2].tolist() == ["open", 100, 1, 0]


def test_without_cold_tracks_there_is_no_row(place):
    here = made(place())
    for path in here.runs.rglob("ranks.parquet"):
        table = pd.read_parquet(path)
        table[table["target"] != 50].to_parquet(path)
    table = tables.cold_tracks(here)
    assert table.empty
    assert table.columns.tolist() == [*tables.TABLE_2, *MORE]


def test_runs_with_tags_add_a_column(place):
    table = tables.table_2(made(place(STUDY + TAGGED)))
    assert table.columns[-1] == "tag"
    assert table["tag"].tolist() == [""] * 12 + ["wide"] * 2


def test_a_run_that_has_not_finished_is_named(place):
    here = made(place())
    missing = here.run_folder(here.study.runs[2]) / "ranks.parquet"
    missing.unlink()
    with pytest.raises(FileNotFoundError, match=re.escape(str(missing))):
        tables.table_2(here)


def test_a_run_over_other_targets_is_named(place):
    here = made(place())
    other = here.run_folder(here.study.runs[1])
    table = pd.read_parquet(other / "ranks.parquet")
    table.assign(session=table["session"] + 1).to_parquet(other / "ranks.parquet")
    with pytest.raises(ValueError, match=re.escape(f"{other} has ranked other test targets")):
        tables.table_2(here)


def test_runs_that_differ_in_the_seed_are_one_row_with_its_standard_deviation(place):
    table = tables.over_seeds(made(place(STUDY + TAGGED)))
    assert table.columns.tolist() == [*tables.OVER_SEEDS, *MORE, "tag"]
    known = table[table["protocol"] == "known"]
    assert known["seeds"].tolist() == [1, 1, 2, 2, 1]
    rest = 1 / 4 + 1 / 20
    seeds = np.array([1 + rest, 1 / 3 + rest]) / 4  # embedding
    row = known.iloc[2]
    assert row[["mrr_at_20", "mrr_sd"]].tolist() == pytest.approx([seeds.mean(), abs(seeds[0] - seeds[1]) / 2**0.5])
    assert row["mrr_low"] < row["mrr_at_20"] < row["mrr_high"]
    assert row["recall_sd"] == 0
    assert known["mrr_sd"].isna().tolist() == [True, True, False, False, True]


def test_the_printed_table_has_intervals_and_marks(place):
    table = tables.over_seeds(made(place(STUDY + TAGGED)))
    wide = tables.printed(table, "mrr")
    assert wide.index.tolist() == ["embedding", "content", "embedding wide", "most_popular", "sequential_rules"]
    assert wide.columns.tolist() == ["bpr", "top1"]
    low, high = table.loc[table["model"] == "gru4rec", ["mrr_low", "mrr_high"]].iloc[0]
    rest = 1 / 4 + 1 / 20
    best, content = (rest + (1 + 1 / 3) / 2) / 4, (rest + (1 / 2 + 1 / 4) / 2) / 4
    assert wide.loc["embedding", "bpr"] == f"{best:.3f} ({low:.3f} to {high:.3f}) ★"
    assert wide.loc["embedding wide", "top1"].endswith(" ¹"), "one seed"
    assert not wide.loc["most_popular", "top1"].endswith("¹"), "a baseline has no seeds"
    assert re.fullmatch(rf"{content:.3f} \(.* to .*\) ≈", wide.loc["content", "bpr"]), (
        "three sessions are too few for a significant difference"
    )
    assert wide.loc[["embedding", "embedding wide"], ["top1", "bpr"]].to_numpy()[[0, 1], [0, 1]].tolist() == ["", ""]
    assert wide.loc["most_popular"].tolist() == ["0.000 (0.000 to 0.000) ≈"] * 2
    beaten = tables.printed(table.assign(recall_with_best=table["model"] == "gru4rec"), "recall", "open")
    assert beaten.loc["most_popular", "bpr"].endswith(")")
    assert beaten.loc["content", "bpr"].startswith("0.333 (")


def test_histories_identify_the_run_of_each_epoch(place):
    table = tables.histories(made(place(STUDY + TAGGED)))
    assert table.columns.tolist() == [
        *("input_form", "output_form", "loss", "seed", "tag", "epoch"),
        *("train_loss", "validation_recall_at_20", "seconds"),
    ]
    assert table["epoch"].tolist() == [1, 2] * 5
    assert table.loc[5].tolist() == ["embedding", "ids", "bpr", 3, "", 2, 0.25, 3, 1.5]
    assert table.loc[9].tolist() == ["embedding", "ids", "top1", 1, "wide", 2, 0.25, 5, 1.5]


def test_other_cutoffs_are_printed_with_the_best_first(place):
    table = tables.over_seeds(made(place(STUDY + "evaluation: {cutoffs: [1, 20]}\n")))
    wide = tables.printed_cutoffs(table)
    assert [*wide] == ["Recall@1", "Recall@20", "MRR@1", "MRR@20", "NDCG@1", "NDCG@20"]
    assert wide.index.tolist()[:2] == [("embedding", "bpr"), ("content", "bpr")]
    # Ranks 1, 4, 20, 21 in one seed, and 3 in place of 1 in the other.
    assert wide.iloc[0][["Recall@1", "Recall@20"]].tolist() == ["0.125", "0.750"]
    ndcg = ((1 + 1 / 2) / 2 + 1 / np.log2(5) + 1 / np.log2(21)) / 4
    assert wide.iloc[0]["NDCG@20"] == f"{ndcg:.3f}"
