"""The paper's conclusions C1 to C5 as comparisons of two cells, and whether scores bear them out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from gru4rec_lib.audit.course_paper import TABLE_2
from gru4rec_lib.config.audit import LOSSES
from gru4rec_lib.evaluation.statistics import ALPHA, SCORES, differences, holm
from gru4rec_lib.study.results import read
from gru4rec_lib.study.workspace import Workspace

CONTENT = ("content", "content_mlp")
NAMED = ["conclusion", "first", "second", "score", "published"]
FOUND = ["difference", "low", "high", "p_holm", "holds"]


def comparisons(cells: Sequence[tuple[str, str]]) -> list[tuple[str, tuple[str, str], tuple[str, str], int]]:
    """Which cells a conclusion compares, of those at hand.

    Args:
        cells: (input form, loss).

    Returns:
        (conclusion, first cell, second cell, sign that the conclusion gives to first less second); the losses are those
        of the paper.
    """
    losses = [loss for loss in LOSSES if loss in {loss for _, loss in cells}]
    forms = dict.fromkeys(form for form, loss in cells if loss in losses)
    asked = [("C1", ("one_hot", loss), (form, loss), 1) for loss in losses for form in forms if form != "one_hot"]
    asked += [("C2", (form, "bpr"), (form, other), -1) for form in forms for other in losses if other != "bpr"]
    asked += [("C3", (form, "bpr_max"), (form, "cross_entropy"), 0) for form in forms]
    asked += [("C4", ("content_mlp", loss), ("content", loss), 1) for loss in losses]
    asked += [("C5", (form, loss), ("one_hot", loss), -1) for loss in losses for form in CONTENT]
    return [one for one in asked if one[1] in cells and one[2] in cells]


def named(asked: Sequence[tuple]) -> pd.DataFrame:
    """What is compared, for a table.

    Args:
        asked: of `comparisons`.

    Returns:
        For each comparison a row for recall and one for mrr: conclusion, first, second (such as `one_hot, bpr`), score,
        published (the difference in Table 2 of the paper; empty where that has no such cell).
    """
    table = TABLE_2.set_index(["input_form", "loss"])
    rows = [
        (name, ", ".join(a), ", ".join(b), score, table[score].get(a, np.nan) - table[score].get(b, np.nan))
        for name, a, b, _ in asked
        for score in SCORES
    ]
    return pd.DataFrame(rows, columns=NAMED)


def holds(asked: Sequence[tuple], found: pd.DataFrame) -> list[str]:
    """Whether a conclusion holds in each comparison and score.

    Args:
        asked: of `comparisons`.
        found: of `statistics.differences` for these, in the same order: difference, p_holm.

    Returns:
        `yes` or `no` where the corrected test tells the two cells apart, else `undecided`; C3, which claims no
        difference, is `yes` where BPR-max is not proved lower.
    """
    expected = np.repeat([sign for *_, sign in asked], len(SCORES))
    sign = np.where(found["p_holm"] < ALPHA, np.sign(found["difference"]), 0)
    told = np.select([expected == 0, sign == expected, sign == -expected], [sign >= 0, True, False], None)
    return [{True: "yes", False: "no", None: "undecided"}[value] for value in told.tolist()]


def of_study(place: Workspace) -> pd.DataFrame:
    """What the ranks of a study's own cells say of the conclusions, protocol `known`, means over seeds.

    Args:
        place: the study's.

    Returns:
        A row a comparison and score: the columns of `named`, difference, low, high (95 %), p_holm (corrected over the
        table), holds. Where the study lists settings of content_signal, each comparison at each of them, with the
        column `content_signal` in front. No row where the grid allows no comparison.
    """
    tables, every = [], []
    for setting, at in (place.curve or {np.nan: place}).items():
        ranked = read(at, "known").over_seeds()
        own = ranked.models[(ranked.models["output_form"] == "ids") & (ranked.models["tag"] == "")]
        models = {(form, loss): row for row, form, loss in own[["input_form", "loss"]].itertuples()}
        asked = comparisons(list(models))
        if asked:
            found = differences(ranked.sums(), [(models[first], models[second]) for _, first, second, _ in asked])
            tables.append(named(asked).join(found[["difference", "low", "high", "p"]]).assign(content_signal=setting))
            every += asked
    front = ["content_signal", *NAMED] if place.curve else NAMED
    if not every:
        return pd.DataFrame(columns=[*front, *FOUND])
    table = pd.concat(tables, ignore_index=True)
    table["p_holm"] = holm(table["p"].to_numpy())
    return table.assign(holds=holds(every, table))[[*front, *FOUND]]
