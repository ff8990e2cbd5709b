"""Tables beyond Table 2: differences with their tests, scores by kind of target, validation beside test."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from gru4rec_lib.config.study import PROTOCOLS
from gru4rec_lib.data.columns import Columns
from gru4rec_lib.data.vectors import unit_vectors
from gru4rec_lib.evaluation.beyond_accuracy import MEASURES, measures
from gru4rec_lib.evaluation.comparison import against, best_baseline, by_stratum, is_baseline
from gru4rec_lib.evaluation.statistics import SCORES, differences
from gru4rec_lib.evaluation.target_groups import of_targets
from gru4rec_lib.plotting.style import named
from gru4rec_lib.preparation.prepare import Prepared
from gru4rec_lib.study.results import read, read_lists
from gru4rec_lib.study.tables import epochs_of_runs, knows_identity_alone, records, with_interval
from gru4rec_lib.study.workspace import Workspace

VALIDATION = ["validation_recall_at_20", "validation_mrr_at_20"]
SCORED = ["recall_at_20", "mrr_at_20"]
FEWEST = 30  # targets of a stratum that is shown
FEWER = ["n_targets", "n_candidates", "recall_at_20", "mrr_at_20", "n_popular", "recall_popular", "mrr_popular"]
BIAS = [f"{score}_bias{end}" for score in SCORES for end in ("", "_low", "_high")]
FEWER += [*BIAS, "place", "place_popular"]
FEW = 3  # networks of a kind in one figure
ENOUGH = 0.95  # of the best validation Recall@20
DIFFERENCE = ["score", "difference", "low", "high", "p", "p_holm"]
TEST = ["recall_at_20", "recall_low", "recall_high", "mrr_at_20", "mrr_low", "mrr_high"]


def from_best_baseline(workspace: Workspace) -> pd.DataFrame:
    """Compute every model's difference from the baseline that is best in the same score, protocol `known`.

    Returns:
        See `comparison.against`.
    """
    ranked = read(workspace, "known").over_seeds()
    return against(ranked, {score: best_baseline(ranked, score) for score in SCORES})


def content_less_identity(workspace: Workspace, validation: pd.DataFrame) -> pd.DataFrame:
    """Compute what content adds: for each loss the best model with content less the best without, protocol `known`.

    The two models are chosen on validation, not on the test that compares them.

    Args:
        validation: of `validation_and_test`.

    Returns:
        A row a loss and score: loss, content and identity (names of the models), score, difference, low, high, p,
        p_holm (corrected over the table). No row where no loss has both.
    """
    ranked = read(workspace, "known").over_seeds()
    models = ranked.models.merge(validation[[*Columns.MODEL, VALIDATION[0]]], "left", Columns.MODEL)
    alone, trained = knows_identity_alone(models), models[VALIDATION[0]].notna()
    content, identity = (
        models[trained & which].groupby("loss", sort=False)[VALIDATION[0]].idxmax() for which in (~alone, alone)
    )
    losses = [loss for loss in content.index if loss in identity.index]
    if not losses:
        return pd.DataFrame(columns=["loss", "content", "identity", *DIFFERENCE])
    table = differences(ranked.sums(), [(content[loss], identity[loss]) for loss in losses])
    names, of_each = named(models).to_numpy(), np.repeat(losses, len(SCORES))
    table = table.assign(loss=of_each, content=names[table["first"]], identity=names[table["second"]])
    return table[["loss", "content", "identity", *DIFFERENCE]]


def strata(workspace: Workspace, prepared: Prepared) -> pd.DataFrame:
    """Score every model, means over its seeds, on each kind of target under both protocols.

    Args:
        prepared: its arrays.

    Returns:
        See `comparison.by_stratum` and `target_groups.of_targets`.
    """
    both = [read(workspace, protocol).over_seeds() for protocol in PROTOCOLS]
    arrays = prepared.test, prepared.items["plays"].to_numpy(), prepared.test_events
    return pd.concat([by_stratum(part, of_targets(part.targets, *arrays)) for part in both], ignore_index=True)


def validation_and_test(workspace: Workspace, table: pd.DataFrame) -> pd.DataFrame:
    """Compare each model's scores on validation, where its epoch and settings were chosen, with those on test.

    Args:
        table: of `over_seeds`.

    Returns:
        A row a model: Columns.MODEL, validation_recall_at_20 and validation_mrr_at_20 at the chosen epoch (means over
        seeds), and recall_at_20, recall_low, recall_high, mrr_at_20, mrr_low, mrr_high on test, protocol `known`.
    """
    epochs = epochs_of_runs(workspace)
    monitors = {run.name: run.training.monitor.replace("val_", "validation_") for run in workspace.study.runs}
    chosen = [own[monitors[name]].idxmax() for name, own in epochs.groupby("run", sort=False)]
    validation = epochs.loc[chosen].groupby(Columns.MODEL[1:], as_index=False)[VALIDATION].mean()
    test = table[table["protocol"] == "known"]
    return test.assign(tag=test.get("tag", "")).merge(validation, on=Columns.MODEL[1:])[
        [*Columns.MODEL, *VALIDATION, *TEST]
    ]


def time_to_quality(workspace: Workspace, table: pd.DataFrame) -> pd.DataFrame:
    """Measure how long a run trains until its validation Recall@20 is ENOUGH of the best of all runs with its loss.

    Args:
        table: of `table_2`.

    Returns:
        A row a run: Columns.MODEL without model, seed, batch_size, samples, epochs, validation_recall_at_20 (its best,
        0 to 1), seconds (of all epochs with compilation, without validation), and seconds_to_enough, missing where the
        run never reaches it; then recall_at_20 and mrr_at_20 on test, protocol `known`, and seconds_of_tested, of the
        training of the tested model: where the run refits, of the refit alone.
    """
    keys = [*Columns.MODEL[1:], "seed"]
    epochs = epochs_of_runs(workspace)
    epochs["seconds"] = epochs.groupby("run")["seconds"].cumsum()
    best = epochs.groupby("loss")["validation_recall_at_20"].transform("max")
    enough = epochs[epochs["validation_recall_at_20"] >= ENOUGH * best].groupby("run")["seconds"].min()
    trained = epochs.groupby("run")[["epoch", "validation_recall_at_20", "seconds"]].max()
    trained = trained.rename(columns={"epoch": "epochs"}).assign(seconds_to_enough=enough)
    settings = {
        run.name: {key: getattr(run, key) for key in keys}
        | {name: getattr(run.training, name) for name in ("batch_size", "samples")}
        for run in workspace.study.runs
    }
    rows = pd.DataFrame.from_dict(settings, orient="index").rename_axis("run").join(trained).reset_index()
    test = table[table["protocol"] == "known"].assign(tag=table.get("tag", ""))[[*keys, *SCORED]]
    tested = {name: record["seconds"] for name, record in records(workspace).items()}
    rows = rows.merge(test, "left", keys).assign(seconds_of_tested=lambda rows: rows["run"].map(tested))
    return rows.drop(columns="run")


def coverage(workspace: Workspace, prepared: Prepared) -> pd.DataFrame:
    """Measure every model's recommendations at the same test targets of the protocol `known`.

    Args:
        prepared: its arrays.

    Returns:
        A row a model: Columns.MODEL, seeds, recall_at_20 (of all targets), and means over its seeds of
        `beyond_accuracy.MEASURES`. No row where the study writes no lists (`results.lists`).
    """
    ranked = read(workspace, "known")
    over_seeds, lists = ranked.over_seeds(), read_lists(workspace, ranked.targets)
    if not len(lists[0]):
        return pd.DataFrame(columns=[*Columns.MODEL, "seeds", "recall_at_20", *MEASURES])
    plays = prepared.items["plays"].to_numpy()
    vectors = None if prepared.features is None else unit_vectors(prepared.features, prepared.n_items)
    each = pd.DataFrame([measures(own, prepared.n_items, plays, vectors) for own in lists])
    by_model = pd.concat([ranked.models, each], axis=1).groupby(Columns.MODEL, sort=False)
    table = over_seeds.models.assign(recall_at_20=over_seeds.sums().scores[0, :, 0])
    return table.merge(
        by_model[MEASURES].mean().astype({"n_lists": int, "n_items": int}).reset_index(), on=Columns.MODEL
    )


def fewer_candidates(workspace: Workspace) -> pd.DataFrame:
    """Compare scores among all training tracks with those among the most played of them, for the same targets.

    Returns:
        A row a model, the best first: Columns.MODEL, n_targets, n_candidates and n_popular; then for recall and mrr
        <score>_at_20 among n_candidates and <score>_popular among n_popular and the target, means over seeds, and the
        difference with its interval (95 %), <score>_bias, <score>_bias_low, <score>_bias_high; and place,
        place_popular, 1 for the best recall. No row without `evaluation.popular`.
    """
    parts = [read(workspace, part).over_seeds() for part in ("known", "popular")]
    if not len(parts[1].targets):
        return pd.DataFrame(columns=[*Columns.MODEL, *FEWER])
    full, popular = (part.targets.iloc[0] for part in parts)
    table = parts[0].models[Columns.MODEL].assign(n_targets=len(parts[0].targets), n_candidates=full["n_candidates"])
    table["n_popular"] = popular["n_candidates"]
    both = replace(parts[0], ranks=parts[1].ranks + parts[0].ranks).sums()
    scores = both.scores[0].reshape(2, len(table), 2)
    for suffix, own in zip(("popular", "at_20"), scores, strict=True):
        table[[f"recall_{suffix}", f"mrr_{suffix}"]] = own
    added = differences(both, [(model, model + len(table)) for model in range(len(table))])
    table[BIAS] = added[["difference", "low", "high"]].to_numpy().reshape(len(table), -1)
    for where, by in (("place", "recall_at_20"), ("place_popular", "recall_popular")):
        table[where] = table[by].rank(ascending=False, method="min").astype(int)
    return table.sort_values("place", kind="stable", ignore_index=True)[[*Columns.MODEL, *FEWER]]


def leading(table: pd.DataFrame, validation: pd.DataFrame, by: Sequence[str], protocol: str = "known") -> pd.DataFrame:
    """Select a few models for a readable table or figure, the networks by validation and not by the test.

    For each input form the loss that is best on validation; of these the FEW best without content and the FEW best with
    it; the blends; the most popular; and the baseline with the best recall under each protocol.

    Args:
        table: of `strata`.
        validation: of `validation_and_test`.
        by: the divisions, such as `("heard",)`; those that the data lacks are skipped.
        protocol: `known` or `open`.

    Returns:
        Rows of `table`; without strata of fewer than FEWEST targets where others have more.
    """
    chosen = validation.loc[validation.groupby(named(validation))[VALIDATION[0]].idxmax()]
    chosen = chosen.sort_values(VALIDATION[0], ascending=False)
    chosen = chosen.groupby(knows_identity_alone(chosen)).head(FEW)[Columns.MODEL]
    rows = table[table["by"].isin(by)]
    rows = rows[rows["n_targets"] >= min(FEWEST, rows["n_targets"].max())]
    baselines, others = rows[is_baseline(rows["model"])], rows[rows["model"].str.startswith("blend")]
    hits = (
        (baselines["recall_at_20"] * baselines["n_targets"]).groupby([baselines["protocol"], baselines["model"]]).sum()
    )
    shown = {"most_popular", *(model for _, model in hits.groupby("protocol").idxmax())}
    trained = rows.reset_index().merge(chosen).set_index("index")
    rows = pd.concat([trained, others, baselines[baselines["model"].isin(shown)]]).sort_index()
    return rows[rows["protocol"] == protocol]


def printed_strata(rows: pd.DataFrame, score: str = "recall") -> pd.DataFrame:
    """Format scores by kind of target for reading: a row a division, stratum and number of targets, a column a model.

    Args:
        rows: of `leading`.
        score: `recall` or `mrr`.
    """
    rows = rows.assign(text=with_interval(rows, score), name=named(rows))
    wide = rows.pivot_table("text", ["by", "stratum", "n_targets"], "name", aggfunc="first", sort=False)
    return wide.rename_axis(columns=None)
