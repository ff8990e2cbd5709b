"""What the audit's scores say: audit.csv, what is left of the paper's conclusions, and what is measured beside them."""

from __future__ import annotations

import re
from itertools import product

import numpy as np
import pandas as pd

from gru4rec_lib.audit import course_paper
from gru4rec_lib.audit.conclusions import comparisons, holds, named
from gru4rec_lib.audit.defects import loader as published_loader
from gru4rec_lib.audit.defects import metric as published_metric
from gru4rec_lib.audit.variants import ALL_MENDED, AS_PUBLISHED, CELL, runs
from gru4rec_lib.config.audit import course_paper_training
from gru4rec_lib.config.study import Study
from gru4rec_lib.data import session_batches
from gru4rec_lib.evaluation.statistics import SCORES, SessionSums, differences, intervals
from gru4rec_lib.plotting.audit import said
from gru4rec_lib.preparation.prepare import Prepared
from gru4rec_lib.study.workspace import Workspace
from gru4rec_lib.training.build import build
from gru4rec_lib.utils.rounding import with_interval

COLUMNS = ["data_set", *CELL, "switch", "metric", "value", "low", "high"]
RARE = 10  # plays, of D13
PROBE_STEPS = 50  # mini-batches timed for D7


def scores(sums: pd.DataFrame, data_set: str) -> pd.DataFrame:
    """audit.csv: every variant's scores with their intervals.

    Args:
        sums: of `variants.run_all`.
        data_set: its name.

    Returns:
        A row a cell, switch and metric: COLUMNS. `switch` is `as_published`, the defect that is mended alone,
        `with_D12`, or `all_mended`; value, low and high (95 % over test sessions) are 0 to 1.
    """
    rows = []
    for variant in sorted(sums["variant"].unique(), key=_order):
        cells, of_sessions = _side_by_side(sums, variant)
        low, high = intervals(of_sessions)
        for (number, cell), (place, metric) in product(enumerate(cells), enumerate(SCORES)):
            own = (part[0, number, place] for part in (of_sessions.scores, low, high))
            rows.append((data_set, *cell, variant, metric, *own))
    table = pd.DataFrame(rows, columns=COLUMNS)
    cells = sums[CELL].drop_duplicates().assign(order=lambda frame: np.arange(len(frame)))
    return table.merge(cells, on=CELL).sort_values("order", kind="stable", ignore_index=True)[COLUMNS]


def printed(table: pd.DataFrame, metric: str) -> pd.DataFrame:
    """A metric of audit.csv for reading: a row a variant, a column a cell of the first seed.

    Args:
        table: of `scores`.
        metric: `recall` or `mrr`.

    Returns:
        Texts such as `0.353 (0.336 to 0.370)`, empty where a cell has no such variant.
    """
    table = table[(table["metric"] == metric) & (table["seed"] == table["seed"].iloc[0])]
    texts = [with_interval(*row) for row in table[["value", "low", "high"]].to_numpy()]
    table = table.assign(text=texts, cell=table["input_form"] + ", " + table["loss"], said=table["switch"].map(said))
    table = table.sort_values("switch", key=lambda names: names.map(_order), kind="stable")
    wide = table.pivot_table("text", "said", "cell", aggfunc="first", sort=False).fillna("")
    return wide.rename_axis(index=None, columns=None)


def changes(study: Study) -> pd.DataFrame:
    """What the study changes of the paper's settings.

    Args:
        study: whose `audit` has the changes.

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
    """The comparisons behind the paper's conclusions, as its code makes them and as they are with all defects mended.

    Args:
        sums: of `variants.run_all`; the first seed counts.

    Returns:
        A row a comparison and score: conclusion, first, second (input form and loss), score, published (difference in
        Table 2 of the paper), then of `as_published` and `all_mended` the difference, low and high, and whether the
        conclusion holds there, see `conclusions.holds`; tests are corrected over the column. No row where the audited
        cells allow no comparison.
    """
    sums = sums[sums["seed"] == sums["seed"].iloc[0]]
    tables = []
    for variant in (AS_PUBLISHED, ALL_MENDED):
        cells, of_sessions = _side_by_side(sums, variant)
        cells = [cell[:2] for cell in cells]
        asked = comparisons(cells)
        if not asked:
            return pd.DataFrame()
        pairs = [(cells.index(first), cells.index(second)) for _, first, second, _ in asked]
        found = differences(of_sessions, pairs)
        found[f"{variant}_holds"] = holds(asked, found)
        names = {name: f"{variant}_{name}" for name in ("difference", "low", "high")}
        tables.append(found.rename(columns=names)[[*names.values(), f"{variant}_holds"]])
    return pd.concat([named(asked), *tables], axis=1)


def recoverable() -> pd.DataFrame:
    """Table 2 of the paper, and between which values the right MRR@20 lies, given its recall and its upside-down MRR.

    Returns:
        `course_paper.TABLE_2` with mrr_lowest and mrr_highest; they hold if the table's two columns come from one run.
    """
    table = course_paper.TABLE_2
    ends = [
        published_metric.recoverable_mrr(recall, mrr, course_paper.K) for recall, mrr in table[list(SCORES)].to_numpy()
    ]
    return table.assign(mrr_lowest=[low for low, _ in ends], mrr_highest=[high for _, high in ends])


def measured(place: Workspace, prepared: Prepared) -> pd.DataFrame:
    """What is told of the defects beside the switches.

    Args:
        place: the study's.
        prepared: arrays.

    Returns:
        A row a finding and quantity: finding, quantity, here, published (empty where nothing was).
    """
    lanes = runs(place.study)[0].training.batch_size
    loader, right = published_loader.overrunning(prepared.train, lanes), session_batches.schedule(prepared.train, lanes)
    sticky = published_loader.sticky(loader)
    facts, stuck = published_loader.walked(loader, prepared.train), published_loader.walked(sticky, prepared.train)
    known = prepared.test.keep(prepared.test.known(prepared.n_items))
    test = published_loader.overrunning(known, lanes)
    counted = published_loader.first_steps(test).valid.sum() / test.valid.sum()
    everything = [prepared.train_and_validation.items, prepared.test.items[prepared.test.items >= 0]]
    plays = np.bincount(np.concatenate(everything))
    perfect = published_metric.upside_down_gain(np.ones(1), course_paper.K)[0]
    best = course_paper.TABLE_2["mrr"].max()
    in_batch, of_all = (seconds_a_step(place, prepared, negatives) for negatives in (("in_batch",), ("all",)))
    rows = [
        ("D1", "MRR@20 of a perfect ranker; the highest of Table 2", perfect, best),
        ("D3", "share of the pairs whose target is of another session", facts["crossing"], None),
        ("D3", "share of the pairs that came before", facts["repeated"], None),
        ("D3", "mini-batches of a pass, over those of the right loader", len(loader) / len(right), None),
        ("D4", "resets of a state for each session begun", stuck["resets_a_session"], None),
        ("D7", "time of a step that scores all tracks, over one that scores the batch's", of_all / in_batch, None),
        ("D10", "share of the test pairs counted", counted, None),
        ("D11", "share of the test events removed as unseen", 1 - len(known.items) / len(prepared.test.items), None),
        ("D13", "share of the tracks played 10 times or fewer", (plays[plays > 0] <= RARE).mean(), 0.79),
        ("D13", "the same in the progress report's figure 2", None, round(447_000 / 505_195, 2)),
    ]
    return pd.DataFrame(rows, columns=["finding", "quantity", "here", "published"])


def seconds_a_step(place: Workspace, prepared: Prepared, negatives: tuple[str, ...]) -> float:
    """Measure a training step with BPR, compiled before (D7).

    What every `fit` costs, the layout of a pass among it, would hide a cheap step: it is taken off by a second fit of
    twice as many steps.

    Args:
        place: the study's; its first audited cell is taken.
        prepared: arrays.
        negatives: `("in_batch",)` or `("all",)`.

    Returns:
        Seconds of wall time.
    """
    run = runs(place.study)[0]
    training = run.training.model_copy(update={"negatives": negatives})
    cell = run.model_copy(update={"loss": "bpr", "training": training})
    model = build(cell, prepared.n_items, prepared.features)
    seconds = []
    for steps in (PROBE_STEPS, 2 * PROBE_STEPS) * 2:  # the first two are compiled
        model.fit(prepared.train, batch_size=training.batch_size, steps_per_epoch=steps, verbose=0)
        seconds.append(model.fit_seconds)
    return (seconds[3] - seconds[2]) / PROBE_STEPS


def _order(switch: str) -> int:
    """As published first, then by the number of the defect, all mended last."""
    number = re.search(r"\d+", switch)
    return int(number[0]) if number else 99 * (switch == ALL_MENDED)


def _side_by_side(sums: pd.DataFrame, variant: str) -> tuple[list[tuple], SessionSums]:
    """The cells of a variant and their sums over the same sessions."""
    part = sums[sums["variant"] == variant]
    cells = list(part[CELL].drop_duplicates().itertuples(index=False, name=None))
    of = [own.set_index("session") for _, own in part.groupby(CELL, sort=False)]
    if any(not own["pairs"].equals(of[0]["pairs"]) for own in of):
        raise ValueError(f"{variant}: the cells were tested on different pairs")
    gains = np.stack([own[list(SCORES)].to_numpy(np.float64) for own in of], axis=1)
    return cells, SessionSums(gains[:, None], of[0]["pairs"].to_numpy(np.float64)[:, None])
