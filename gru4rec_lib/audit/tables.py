"""Tables of the audit: audit.csv, what remains of the paper's conclusions, and measures of single defects."""

from __future__ import annotations

import numpy as np
import pandas as pd

from gru4rec_lib.audit import course_paper
from gru4rec_lib.audit.conclusions import comparisons, holds, named, tested
from gru4rec_lib.audit.defects import loader, metric
from gru4rec_lib.audit.defects.switches import ALL_FIXED, AS_IN_PAPER, ROWS
from gru4rec_lib.audit.variants import RUN, runs
from gru4rec_lib.config.audit import course_paper_training
from gru4rec_lib.config.study import Study
from gru4rec_lib.data import session_batches
from gru4rec_lib.evaluation.statistics import SCORES, SessionSums, holm, intervals
from gru4rec_lib.plotting.audit import said
from gru4rec_lib.preparation.prepare import Prepared
from gru4rec_lib.study.workspace import Workspace
from gru4rec_lib.training.build import build
from gru4rec_lib.utils.rounding import with_interval

COLUMNS = ["data_set", *RUN, "switch", "metric", "value", "low", "high"]
RARE = 10  # plays, of D13
PROBE_STEPS = 50  # mini-batches timed for D7


def scores(sums: pd.DataFrame, data_set: str) -> pd.DataFrame:
    """Compute audit.csv: every variant's scores with their intervals.

    Args:
        sums: of `variants.score_all`.
        data_set: its name.

    Returns:
        A row a run, switch and metric: COLUMNS. `switch` is of `switches.ROWS`; value, low and high (95 % over test
        sessions) are 0 to 1.
    """
    rows = []
    for variant in ROWS:
        models, of_sessions = _side_by_side(sums, variant)
        if not models:
            continue
        low, high = intervals(of_sessions)
        for number, model in enumerate(models):
            for column, metric_name in enumerate(SCORES):
                numbers = (part[0, number, column] for part in (of_sessions.scores, low, high))
                rows.append((data_set, *model, variant, metric_name, *numbers))
    table = pd.DataFrame(rows, columns=COLUMNS)
    order = sums[RUN].drop_duplicates().assign(order=lambda frame: np.arange(len(frame)))
    return table.merge(order, on=RUN).sort_values("order", kind="stable", ignore_index=True)[COLUMNS]


def printed(table: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Format one metric of audit.csv for reading: a row a variant, a column a run of the first seed.

    Args:
        table: of `scores`.
        metric: `recall` or `mrr`.

    Returns:
        Texts such as `0.353 (0.336 to 0.370)`, empty where a run has no such variant.
    """
    table = table[(table["metric"] == metric) & (table["seed"] == table["seed"].iloc[0])]
    texts = [with_interval(*row) for row in table[["value", "low", "high"]].to_numpy()]
    table = table.assign(text=texts, run=table["input_form"] + ", " + table["loss"], variant=table["switch"].map(said))
    table = table.sort_values("switch", key=lambda names: names.map(ROWS.index), kind="stable")
    wide = table.pivot_table("text", "variant", "run", aggfunc="first", sort=False).fillna("")
    return wide.rename_axis(index=None, columns=None)


def changes(study: Study) -> pd.DataFrame:
    """List the paper's settings that the study changes.

    Args:
        study: its `audit` has the changes.

    Returns:
        A row a loss and setting: loss, setting, paper, here.
    """
    rows = [
        (run.loss, name, paper[name], value)
        for run in runs(study)
        for paper in [course_paper_training(run.loss, {}).model_dump()]
        for name, value in run.training.model_dump().items()
        if value != paper[name]
    ]
    return pd.DataFrame(rows, columns=["loss", "setting", "paper", "here"]).drop_duplicates(["loss", "setting"])


def conclusions(sums: pd.DataFrame) -> pd.DataFrame:
    """Compare the models that the paper's conclusions name, with its code as it is and with all defects fixed.

    Args:
        sums: of `variants.score_all`; the first seed counts.

    Returns:
        A row a comparison and score: conclusion, first, second (input form and loss), score, published (difference in
        Table 2 of the paper), then of `as_published` and `all_mended` the difference, low and high, and whether the
        conclusion holds there, see `conclusions.holds`; tests are corrected over the column. No row where the audited
        models allow no comparison.
    """
    sums = sums[sums["seed"] == sums["seed"].iloc[0]]
    tables = []
    for variant in (AS_IN_PAPER, ALL_FIXED):
        audited, of_sessions = _side_by_side(sums, variant)
        models = [(input_form, loss) for input_form, loss, _ in audited]
        compared = comparisons(models)
        if not compared:
            return pd.DataFrame()
        pairs = [(models.index(first), models.index(second)) for _, first, second, _ in compared]
        found = tested(compared, of_sessions, pairs)
        found["p_holm"] = holm(found["p"].to_numpy())
        found[f"{variant}_holds"] = holds(compared, found)
        names = {name: f"{variant}_{name}" for name in ("difference", "low", "high")}
        tables.append(found.rename(columns=names)[[*names.values(), f"{variant}_holds"]])
    return pd.concat([named(compared), *tables], axis=1)


def recoverable() -> pd.DataFrame:
    """Bound the right MRR@20 of each model in the paper's Table 2 by its recall and its upside-down MRR.

    Returns:
        `course_paper.TABLE_2` with mrr_lowest and mrr_highest; they hold if the table's two columns come from one run.
    """
    table = course_paper.TABLE_2
    ends = [metric.recoverable_mrr(recall, mrr, course_paper.K) for recall, mrr in table[list(SCORES)].to_numpy()]
    return table.assign(mrr_lowest=[low for low, _ in ends], mrr_highest=[high for _, high in ends])


def measured(workspace: Workspace, prepared: Prepared) -> pd.DataFrame:
    """Measure single quantities that defects change, such as the share of repeated pairs.

    Args:
        prepared: arrays.

    Returns:
        A row a finding and quantity: finding, quantity, here, published (empty where the paper has no number).
    """
    lanes = runs(workspace.study)[0].training.batch_size
    overrunning, right = loader.overrunning(prepared.train, lanes), session_batches.schedule(prepared.train, lanes)
    facts, stuck = (
        loader.pair_statistics(batches, prepared.train) for batches in (overrunning, loader.sticky(overrunning))
    )
    known = prepared.test.keep(prepared.test.known(prepared.n_items))
    test = loader.overrunning(known, lanes)
    counted = loader.first_steps(test).valid.sum() / test.valid.sum()
    everything = [prepared.train_and_validation.items, prepared.test.items[prepared.test.items >= 0]]
    plays = np.bincount(np.concatenate(everything))
    perfect = metric.upside_down_gain(np.ones(1), course_paper.K)[0]
    best = course_paper.TABLE_2["mrr"].max()
    in_batch, of_all = (seconds_a_step(workspace, prepared, negatives) for negatives in (("in_batch",), ("all",)))
    rows = [
        ("D1", "MRR@20 of a perfect ranker; the highest of Table 2", perfect, best),
        ("D3", "share of the pairs whose target is of another session", facts["crossing"], None),
        ("D3", "share of the pairs that came before", facts["repeated"], None),
        ("D3", "mini-batches of a pass, over those of the right loader", len(overrunning) / len(right), None),
        ("D4", "resets of a state for each session begun", stuck["resets_a_session"], None),
        ("D7", "time of a step that scores all tracks, over one that scores the batch's", of_all / in_batch, None),
        ("D10", "share of the test pairs counted", counted, None),
        ("D11", "share of the test events removed as unseen", 1 - len(known.items) / len(prepared.test.items), None),
        ("D13", "share of the tracks played 10 times or fewer", (plays[plays > 0] <= RARE).mean(), 0.79),
        ("D13", "the same in the progress report's figure 2", None, round(447_000 / 505_195, 2)),
    ]
    return pd.DataFrame(rows, columns=["finding", "quantity", "here", "published"])


def seconds_a_step(workspace: Workspace, prepared: Prepared, negatives: tuple[str, ...]) -> float:
    """Measure a training step with BPR, after its compilation (D7).

    The fixed cost of a `fit`, such as laying out a pass, would hide a cheap step. It cancels in the difference to a
    second fit of twice as many steps.

    Args:
        prepared: arrays.
        negatives: `("in_batch",)` or `("all",)`.

    Returns:
        Seconds of wall time.
    """
    run = runs(workspace.study)[0]
    training = run.training.model_copy(update={"negatives": negatives})
    run = run.model_copy(update={"loss": "bpr", "training": training})
    model = build(run, prepared.n_items, prepared.features)
    seconds = []
    for steps in (PROBE_STEPS, 2 * PROBE_STEPS) * 2:  # the first two include compilation
        model.fit(prepared.train, batch_size=training.batch_size, steps_per_epoch=steps, verbose=0)
        seconds.append(model.fit_seconds)
    return (seconds[3] - seconds[2]) / PROBE_STEPS


def _side_by_side(sums: pd.DataFrame, variant: str) -> tuple[list[tuple], SessionSums | None]:
    """The runs that have a variant, and their sums over the same sessions."""
    part = sums[sums["variant"] == variant]
    audited = list(part[RUN].drop_duplicates().itertuples(index=False, name=None))
    if not audited:
        return [], None
    of = [own.set_index("session") for _, own in part.groupby(RUN, sort=False)]
    if any(not own["pairs"].equals(of[0]["pairs"]) for own in of):
        raise ValueError(f"{variant}: the runs were tested on different pairs")
    gains = [own[list(SCORES)].to_numpy(np.float64)[:, None, None] for own in of]
    return audited, SessionSums(gains, of[0]["pairs"].to_numpy(np.float64)[:, None])
