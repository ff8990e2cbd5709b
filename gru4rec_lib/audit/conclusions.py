"""The paper's conclusions C1 to C5 as comparisons of two models, and whether scores support them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from gru4rec_lib.audit.course_paper import TABLE_2
from gru4rec_lib.config.audit import LOSSES
from gru4rec_lib.evaluation.statistics import ALPHA, SCORES, SessionSums, differences, holm, margin_p
from gru4rec_lib.study.results import read
from gru4rec_lib.study.workspace import Workspace

MARGIN = 0.01  # of Recall@20 and of MRR@20: C3 calls a model competitive that is at most so much lower
CONTENT = ("content", "content_mlp")
NAMED = ["conclusion", "first", "second", "score", "published"]
FOUND = ["difference", "low", "high", "p_holm", "seeds", "holds"]


def comparisons(models: Sequence[tuple[str, str]]) -> list[tuple[str, tuple[str, str], tuple[str, str], int]]:
    """List the comparisons that the conclusions make between the given models.

    Args:
        models: (input form, loss).

    Returns:
        (conclusion, first model, second model, expected sign of first less second); the losses are those of the paper.
    """
    losses = [loss for loss in LOSSES if loss in {loss for _, loss in models}]
    forms = dict.fromkeys(form for form, loss in models if loss in losses)
    found = [("C1", ("one_hot", loss), (form, loss), 1) for loss in losses for form in forms if form != "one_hot"]
    found += [("C2", (form, "bpr"), (form, other), -1) for form in forms for other in losses if other != "bpr"]
    found += [("C3", (form, "bpr_max"), (form, "cross_entropy"), 0) for form in forms]
    found += [("C4", ("content_mlp", loss), ("content", loss), 1) for loss in losses]
    found += [("C5", (form, loss), ("one_hot", loss), -1) for loss in losses for form in CONTENT]
    return [one for one in found if one[1] in models and one[2] in models]


def named(compared: Sequence[tuple]) -> pd.DataFrame:
    """Name the comparisons for a table.

    Args:
        compared: of `comparisons`.

    Returns:
        For each comparison a row for recall and one for mrr: conclusion, first, second (such as `one_hot, bpr`), score,
        published (the difference in Table 2 of the paper; empty where that lacks one of the two).
    """
    table = TABLE_2.set_index(["input_form", "loss"])
    rows = [
        (name, ", ".join(a), ", ".join(b), score, table[score].get(a, np.nan) - table[score].get(b, np.nan))
        for name, a, b, _ in compared
        for score in SCORES
    ]
    return pd.DataFrame(rows, columns=NAMED)


def holds(compared: Sequence[tuple], found: pd.DataFrame) -> list[str]:
    """Decide whether a conclusion holds in each comparison and score.

    Args:
        compared: of `comparisons`.
        found: of `tested` for these, in the same order: difference, and p_holm, its p after correction.

    Returns:
        `yes` or `no` where the corrected test is significant, else `undecided`. C3 is `yes` where BPR-max is
        significantly above -MARGIN (non-inferior) and `no` where it is significantly below -MARGIN.
    """
    expected = np.repeat([sign for *_, sign in compared], len(SCORES))
    from_limit = found["difference"].to_numpy() + np.where(expected == 0, MARGIN, 0)
    agrees = np.sign(from_limit) == np.where(expected == 0, 1, expected)
    answers = np.select([found["p_holm"] >= ALPHA, agrees], ["undecided", "yes"], "no")
    return answers.tolist()


def tested(compared: Sequence[tuple], sums: SessionSums, pairs: Sequence[tuple[int, int]]) -> pd.DataFrame:
    """Test the comparisons: differences against 0, and those of C3, which claims no difference, against -MARGIN.

    Args:
        compared: of `comparisons`.
        sums: of the models' sessions.
        pairs: the models of each comparison, by their number in `sums`.

    Returns:
        As `statistics.differences` without the correction; p is two-sided, for C3 the one-sided of `margin_p`.
    """
    found = differences(sums, pairs).drop(columns="p_holm")
    margins = np.repeat([sign == 0 for *_, sign in compared], len(SCORES))
    found["p"] = np.where(margins, margin_p(sums, pairs, MARGIN).ravel(), found["p"])
    return found


def of_study(workspace: Workspace) -> pd.DataFrame:
    """Test the conclusions on the ranks of a study's own runs, protocol `known`, means over seeds.

    Returns:
        A row a comparison and score: the columns of `named`, difference, low, high (95 %), p_holm (of `tested`,
        corrected over the table), seeds (of the model with fewer), holds. Where the study lists settings of
        content_signal, each comparison at each of them, with the column `content_signal` first. No row where the grid
        allows no comparison.
    """
    tables, every = [], []
    curve = workspace.variants("content_signal")
    for setting, at in (curve or {np.nan: workspace}).items():
        ranked = read(at, "known").over_seeds()
        own = ranked.models[(ranked.models["output_form"] == "ids") & (ranked.models["tag"] == "")]
        models = {(form, loss): row for row, form, loss in own[["input_form", "loss"]].itertuples()}
        compared = comparisons(list(models))
        if compared:
            pairs = [(models[first], models[second]) for _, first, second, _ in compared]
            found = tested(compared, ranked.sums(), pairs)
            seeds = np.repeat([ranked.models["seeds"].iloc[list(pair)].min() for pair in pairs], len(SCORES))
            columns = found[["difference", "low", "high", "p"]].assign(seeds=seeds, content_signal=setting)
            tables.append(named(compared).join(columns))
            every += compared
    front = ["content_signal", *NAMED] if curve else NAMED
    if not every:
        return pd.DataFrame(columns=[*front, *FOUND])
    table = pd.concat(tables, ignore_index=True)
    table["p_holm"] = holm(table["p"].to_numpy())
    return table.assign(holds=holds(every, table))[[*front, *FOUND]]
