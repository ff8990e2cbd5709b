"""Tables beyond Table 2: differences with their tests, scores by kind of target, validation beside test."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from gru4rec_lib.config.study import PROTOCOLS
from gru4rec_lib.data.columns import Columns
from gru4rec_lib.data.vectors import unit_vectors
from gru4rec_lib.evaluation.beyond_accuracy import MEASURES, measures
from gru4rec_lib.evaluation.comparison import Ranked, against, best_baseline, by_stratum, is_baseline
from gru4rec_lib.evaluation.statistics import ALPHA, SCORES, SessionSums, differences, intervals
from gru4rec_lib.evaluation.target_groups import of_targets
from gru4rec_lib.plotting.style import SCORES as TITLES
from gru4rec_lib.plotting.style import named
from gru4rec_lib.preparation.prepare import Prepared
from gru4rec_lib.study.baseline_runs import read_validation
from gru4rec_lib.study.results import read, read_lists
from gru4rec_lib.study.tables import (
    IDENTITY,
    ON_VALIDATION,
    chosen_epochs,
    epochs_of_runs,
    knows_identity_alone,
    lead,
    records,
    with_interval,
)
from gru4rec_lib.study.workspace import Workspace
from gru4rec_lib.utils import rounding

SCORED = ["recall_at_20", "mrr_at_20"]
FEWEST = 30  # targets of a stratum that is shown
FEWER = ["n_targets", "n_candidates", "recall_at_20", "mrr_at_20", "n_popular", "recall_popular", "mrr_popular"]
BIAS = [f"{score}_bias{end}" for score in SCORES for end in ("", "_low", "_high")]
FEWER += [*BIAS, "place", "place_popular"]
FEW = 2  # networks of a kind in one figure
MOST = 0.5  # of the lists, above which a model is reported that gives them all the same
ENOUGH = 0.95  # of the best validation Recall@20
DIFFERENCE = ["score", "difference", "low", "high", "p", "p_holm", "seeds"]
FEATURES = ["loss", "first", "second", *DIFFERENCE]
CONTENT = ["loss", "against", "content", "identity", *DIFFERENCE]
BEST = ["model", "reference", "leads_recall", "leads_mrr", "score", "value", "value_low", "value_high", *DIFFERENCE[1:]]
TEST = ["recall_at_20", "recall_low", "recall_high", "mrr_at_20", "mrr_low", "mrr_high"]


def from_best_baseline(workspace: Workspace) -> pd.DataFrame:
    """Compute every model's difference from the baseline that is best in the same score, protocol `known`.

    Returns:
        See `comparison.against`.
    """
    ranked = read(workspace, "known").over_seeds()
    return against(ranked, {score: best_baseline(ranked, score) for score in SCORES})


def best_model(workspace: Workspace, validation: pd.DataFrame) -> pd.DataFrame:
    """Compare the study's best model with up to four others, protocol `known`.

    The best model leads on validation in both scores together (`tables.lead`). The others are the second best, the best
    of the other kind (networks, or all else), and the models of the highest validation Recall@20 and MRR@20. None is
    chosen on the test, which compares them. A network counts with the mean of its seeds.

    Args:
        validation: of `validation_and_test`.

    Returns:
        A row a reference and score: model, reference (names with the loss), leads_recall and leads_mrr (whether the
        reference has the highest validation Recall@20 or MRR@20), score, value (of the best model), value_low,
        value_high, difference (from the reference), low, high, p, p_holm (corrected over the table), seeds (of the one
        with fewer, without baselines; empty for two baselines). No row for a single model.
    """
    ranked, models = _with_validation(workspace, validation)
    order = lead(models).sort_values(ascending=False, kind="stable").dropna().index.tolist()
    best, *rest = order
    is_network = models["model"] == "gru4rec"
    other_kind = [model for model in rest if is_network[model] != is_network[best]]
    leaders = models.loc[order, ON_VALIDATION].idxmax().set_axis([f"leads_{score}" for score in SCORES])
    chosen = dict.fromkeys([*rest[:1], *other_kind[:1], *leaders])
    references = [model for model in chosen if model != best]
    if not references:
        return pd.DataFrame(columns=BEST)
    sums = ranked.sums()
    table = differences(sums, [(best, reference) for reference in references])
    names = named(models) + models["loss"].where(models["loss"] == "", ", " + models["loss"])
    ends = [pair[0, best] for pair in intervals(sums)]
    scores = dict(zip(("value", "value_low", "value_high"), (sums.scores[0, best], *ends), strict=True))
    table = table.assign(
        model=names[best],
        reference=names.loc[table["second"]].to_numpy(),
        **{name: (table["second"] == leader).to_numpy() for name, leader in leaders.items()},
        seeds=_fewest_seeds(models, table),
        **{name: np.tile(pair, len(references)) for name, pair in scores.items()},
    )
    return table[BEST]


def answer(table: pd.DataFrame) -> str:
    """Say in words which model to use, by how much it is better, and whether that may be chance.

    Args:
        table: of `best_model`.

    Returns:
        A sentence a line.
    """
    if table.empty:
        return "The study has a single model, so there is nothing to compare it with."
    first = table.iloc[0]
    lines = [f"Use {first['model']}: on validation it leads in Recall@20 and MRR@20 taken together."]
    for score, where in (("recall", "only a place among the first 20 counts"), ("mrr", "the first places matter most")):
        for name in table.loc[table[f"leads_{score}"], "reference"].unique():
            lines.append(f"Where {where}, use {name}: it has the best {TITLES[score]} on validation.")
    for score, rows in table.groupby("score", sort=False):
        title, row = TITLES[score], rows.iloc[0]
        value = rounding.with_interval(row["value"], row["value_low"], row["value_high"])
        lines.append(f"On the test its {title} is {value}.")
        for row in rows.itertuples():
            sign, word = (1, "lower") if row.difference >= 0 else (-1, "higher")
            by = rounding.with_interval(sign * row.difference, *sorted((sign * row.low, sign * row.high)))
            told = "a significant difference" if row.p_holm < ALPHA else "which may be chance"
            lines.append(f"  {row.reference} is {by} {word}, {told} (corrected p {row.p_holm:.2g}).")
    if (table["seeds"] == 1).any():
        lines.append("A network here has one seed: what is said of it holds for this training alone.")
    return "\n".join(lines)


def content_less_identity(workspace: Workspace, validation: pd.DataFrame) -> pd.DataFrame:
    """Compute what content adds: for each loss the best network with content less models without, protocol `known`.

    These are the best models of the study that know identity alone, networks of any loss or baselines without features,
    one by Recall@20 and one by MRR@20; and the network's control, the cell with the same loss and settings (see
    `Study.tags_of_control`), with identity alone. The control of an input form with content is the best input form with
    identity alone. All are chosen on validation, not on the test that compares them; network and control by
    `tables.lead`. Where a search chose the settings of each cell, the control has its own.

    Args:
        validation: of `validation_and_test`.

    Returns:
        A row a loss, reference and score: loss, against (`best identity`, by Recall@20; `best identity by MRR@20`, left
        out where it is the same; or `control`), content and identity (names of the models), score, difference, low,
        high, p, p_holm (corrected over the table), seeds (of the model with fewer, baselines left out). No row without
        content.
    """
    ranked, models = _with_validation(workspace, validation)
    is_validated, is_network = models[ON_VALIDATION].notna().all(axis=1), models["model"] == "gru4rec"
    without_features = {one.name for one in workspace.study.baselines if not one.needs_features}
    alone = knows_identity_alone(models) & is_network
    content = models[is_validated & is_network & ~alone]
    identity = models[is_validated & (alone | models["model"].isin(without_features))]
    rows = []
    for loss, cells in content.groupby("loss", sort=False):
        first = lead(cells).idxmax()
        first_form, tag = cells.loc[first, ["input_form", "tag"]]
        forms = [first_form] if first_form in IDENTITY else IDENTITY
        same = (identity["model"] == "gru4rec") & (identity["loss"] == loss)
        same &= identity["tag"].isin(workspace.study.tags_of_control(tag))
        controls = identity[same & identity["input_form"].isin(forms)]
        references = {}
        if len(identity):
            # Equal models in one score are ordered by the other: neighbours often have the same recall.
            best, by_mrr = (
                identity.sort_values(by, ascending=False, kind="stable").index[0]
                for by in (ON_VALIDATION, ON_VALIDATION[::-1])
            )
            references = {"best identity": best} | ({"best identity by MRR@20": by_mrr} if by_mrr != best else {})
        if len(controls):
            references["control"] = lead(controls).idxmax()
        rows += [(loss, against, first, reference) for against, reference in references.items()]
    if not rows:
        return pd.DataFrame(columns=CONTENT)
    table = differences(ranked.sums(), [(first, second) for _, _, first, second in rows])
    losses, against = (np.repeat([row[column] for row in rows], len(SCORES)) for column in (0, 1))
    names = named(models)
    # The loss of the reference is named where it is another one.
    second = models.loc[table["second"], "loss"].to_numpy()
    other = np.where((second == "") | (second == losses), "", ", " + second.astype(object))
    table = table.assign(
        loss=losses,
        against=against,
        content=names[table["first"]].to_numpy(),
        identity=names[table["second"]].to_numpy() + other,
        seeds=_fewest_seeds(models, table),
    )
    return table[CONTENT]


def feature_groups(workspace: Workspace) -> pd.DataFrame:
    """Compare every two networks of the study that differ only in the features they use, protocol `known`.

    Returns:
        A row a pair (see `Study.ablations`) and score: loss, first and second (names of the models), score, difference
        (first - second), low, high, p, p_holm (corrected over the table), seeds (of the model with fewer).
    """
    ranked = read(workspace, "known").over_seeds()
    models = ranked.models
    rows = {cell: row for row, cell in enumerate(models[Columns.MODEL[1:]].itertuples(index=False, name=None))}
    table = differences(ranked.sums(), [(rows[first], rows[second]) for first, second in workspace.study.ablations])
    names = named(models)
    return table.assign(
        loss=models.loc[table["first"], "loss"].to_numpy(),
        first=names[table["first"]].to_numpy(),
        second=names[table["second"]].to_numpy(),
        seeds=_fewest_seeds(models, table),
    )[FEATURES]


def _with_validation(workspace: Workspace, validation: pd.DataFrame) -> tuple[Ranked, pd.DataFrame]:
    """The ranks over seeds, and their models with the validation scores; missing where a model has none."""
    ranked = read(workspace, "known").over_seeds()
    return ranked, ranked.models.merge(validation[[*Columns.MODEL, *ON_VALIDATION]], "left", Columns.MODEL)


def _fewest_seeds(models: pd.DataFrame, table: pd.DataFrame) -> np.ndarray:
    """For each row of `statistics.differences` the smaller number of seeds; a baseline has no seeds."""
    seeds = models["seeds"].mask(is_baseline(models["model"])).astype("Int64")
    return pd.concat([seeds[table[side]].reset_index(drop=True) for side in ("first", "second")], axis=1).min(axis=1)


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
    """Compare each model's scores on validation, where epochs and settings are chosen, with those on test.

    For validation a baseline is fitted on the training part alone, as a network is.

    Args:
        table: of `over_seeds`.

    Returns:
        A row a model: Columns.MODEL, validation_recall_at_20 and validation_mrr_at_20 at the chosen epoch (means over
        seeds), and recall_at_20, recall_low, recall_high, mrr_at_20, mrr_low, mrr_high on test, protocol `known`.
    """
    epochs = chosen_epochs(workspace)
    networks = epochs.groupby(Columns.MODEL[1:], as_index=False)[ON_VALIDATION].mean().assign(model="gru4rec")
    both = pd.concat([read_validation(workspace), networks]).fillna(dict.fromkeys(Columns.MODEL, ""))
    test = table[table["protocol"] == "known"]
    return test.assign(tag=test.get("tag", "")).merge(both, on=Columns.MODEL)[[*Columns.MODEL, *ON_VALIDATION, *TEST]]


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


def same_lists(coverage: pd.DataFrame) -> list[str]:
    """Warn of models that give most sessions the same list, in a sentence each; `most_popular` does so by design.

    Args:
        coverage: of `coverage`.
    """
    found = coverage[(coverage["same_list"] > MOST) & (coverage["model"] != "most_popular")]
    names = named(found) + found["loss"].where(found["loss"] == "", ", " + found["loss"])
    return [
        f"Warning: {name} gives {100 * share:.0f} % of the sessions the same list; it hardly reads the session."
        for name, share in zip(names, found["same_list"], strict=True)
    ]


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
    among_all, among_popular = (part.sums() for part in parts)
    for suffix, own in (("popular", among_popular), ("at_20", among_all)):
        table[[f"recall_{suffix}", f"mrr_{suffix}"]] = own.scores[0]
    # The same trainings are ranked in both ways, so the difference is taken in each seed, and compared with 0.
    by_seed = [one - other for one, other in zip(among_popular.by_seed, among_all.by_seed, strict=True)]
    both = SessionSums([*by_seed, np.zeros_like(by_seed[0][:, :, :1])], among_all.counts)
    added = differences(both, [(model, len(table)) for model in range(len(table))])
    table[BIAS] = added[["difference", "low", "high"]].to_numpy().reshape(len(table), -1)
    for score in SCORES:  # not rounded otherwise than the two columns
        table[f"{score}_bias"] = table[f"{score}_popular"] - table[f"{score}_at_20"]
    for where, by in (("place", "recall_at_20"), ("place_popular", "recall_popular")):
        table[where] = table[by].rank(ascending=False, method="min").astype(int)
    return table.sort_values("place", kind="stable", ignore_index=True)[[*Columns.MODEL, *FEWER]]


def leading(table: pd.DataFrame, validation: pd.DataFrame, by: Sequence[str], protocol: str = "known") -> pd.DataFrame:
    """Select a few models for a readable table or figure, the networks by validation and not by the test.

    For each input form the loss that is best on validation; of these the FEW best without content and the FEW best with
    it; the blends; and the baseline with the best recall under each protocol.

    Args:
        table: of `strata`.
        validation: of `validation_and_test`.
        by: the divisions, such as `("heard",)`; those that the data lacks are skipped.
        protocol: `known` or `open`.

    Returns:
        Rows of `table`; without strata of fewer than FEWEST targets where others have more.
    """
    validation = validation[validation["model"] == "gru4rec"]
    chosen = validation.loc[validation.groupby(named(validation))[ON_VALIDATION[0]].idxmax()]
    chosen = chosen.sort_values(ON_VALIDATION[0], ascending=False)
    chosen = chosen.groupby(knows_identity_alone(chosen)).head(FEW)[Columns.MODEL]
    rows = table[table["by"].isin(by)]
    rows = rows[rows["n_targets"] >= min(FEWEST, rows["n_targets"].max())]
    baselines, others = rows[is_baseline(rows["model"])], rows[rows["model"].str.startswith("blend")]
    hits = (
        (baselines["recall_at_20"] * baselines["n_targets"]).groupby([baselines["protocol"], baselines["model"]]).sum()
    )
    shown = {model for _, model in hits.groupby("protocol").idxmax()}
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
