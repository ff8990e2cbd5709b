"""Figures of differences, groups of targets, validation against test, and coverage; see `plotting/figures.py`."""

from __future__ import annotations

from itertools import cycle
from textwrap import wrap

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, StrMethodFormatter

from gru4rec_lib.evaluation.statistics import ALPHA
from gru4rec_lib.plotting.style import (
    BASELINE,
    BASELINES,
    COLUMN,
    HOLLOW,
    QUIET,
    SCORES,
    SMALL,
    count,
    few_numbers,
    legend,
    looks,
    looks_of_models,
    named,
    new_figure,
    pt,
    say,
    width,
)
from gru4rec_lib.utils.rounding import fixed

OUTSIDE = {"va": "center", "xytext": (2, 0), "textcoords": "offset points"}


def differences(frame: pd.DataFrame) -> Figure:
    """Show the difference of every model from the baseline with the best score, with intervals (a forest plot).

    A hollow mark is no significant difference by the corrected test, even where its interval excludes 0. The dashed
    line is the baseline.

    Args:
        frame: `evidence.from_best_baseline`: model, input_form, output_form, loss, tag, reference, score,
            difference, low, high (of the score, -1 to 1), p_holm.
    """
    frame = frame.assign(name=named(frame), loss=frame["loss"].fillna(""))
    frame["name"] = frame["name"].where(frame["loss"] == "", frame["name"] + ", " + frame["loss"])
    recall = frame[frame["score"] == "recall"].groupby("name", sort=False)["difference"].first()
    # The best baseline in recall has no recall row, but has an MRR row where another baseline is best in MRR.
    order = recall.reindex(frame["name"].unique(), fill_value=0.0).sort_values(ascending=False, kind="stable")
    order = order.index.tolist()
    losses = {loss: look | {"linestyle": ""} for loss, look in looks(frame["loss"]).items() if loss}
    figure, *axes = new_figure(max(2.4 + 0.33 * len(order), 4.4), columns=2, sharey=True)
    for ax, (score, title) in zip(axes, SCORES.items(), strict=True):
        rows = frame[frame["score"] == score]
        # A failed model would compress the scale of all others: beyond the edge, its number is written instead.
        edge = -3 * rows["difference"].abs().median()
        ax.axvline(0, color=QUIET, linewidth=0.7, linestyle="--", marker="", zorder=0)
        for row in rows.itertuples():
            look = losses.get(row.loss, BASELINE) | {"markersize": 3, "markeredgewidth": 0.6}
            place = order.index(row.name)
            if row.difference < edge:
                text = f"◂ {fixed(row.difference, digits=2)}"
                ax.annotate(
                    text,
                    (0, place),
                    xycoords=ax.get_yaxis_transform(),
                    color=look["color"],
                    fontsize=pt(SMALL),
                    **OUTSIDE,
                )
                continue
            ax.hlines(place, row.low, row.high, color=look["color"], linewidth=0.9)
            ax.plot(row.difference, place, **look, markerfacecolor=look["color"] if row.p_holm < ALPHA else "white")
        few_numbers(ax.xaxis)
        ax.tick_params(axis="y", length=0)
        ax.set_title(title)
        reference = wrap(say(rows["reference"].iloc[0]), 12)  # the panels are narrow
        ax.set_xlabel("\n".join(["model minus", *reference]))
    axes[0].set_yticks(range(len(order)), [say(name) for name in order], fontsize=pt(6.5))
    axes[0].set_ylim(len(order) - 0.4, -0.6)
    kinds = losses | ({"baseline, blend": BASELINE} if (frame["loss"] == "").any() else {})
    if (frame["p_holm"] >= ALPHA).any():
        kinds["not significant"] = BASELINE | HOLLOW
    legend(figure, kinds, columns=3)
    return figure


def quality_by_position(frame: pd.DataFrame) -> Figure:
    """Show Recall@20 and MRR@20 by the number of tracks before the target in its session, with 95 % bands.

    Args:
        frame: `evidence.leading` by `heard`: model, input_form, output_form, tag, stratum, and for recall and mrr
            <score>_at_20, <score>_low, <score>_high (0 to 1).
    """
    return _by_stratum(frame, "earlier tracks of the session")


def quality_by_popularity(frame: pd.DataFrame) -> Figure:
    """Show Recall@20 and MRR@20 by the plays of the target in training, with 95 % bands.

    Args:
        frame: `evidence.leading` by `popularity`, with the columns of `quality_by_position`.
    """
    return _by_stratum(frame, "plays of the target in training")


def _by_stratum(frame: pd.DataFrame, what: str) -> Figure:
    frame = frame.assign(name=named(frame), stratum=frame["stratum"].astype(str))
    strata = frame["stratum"].unique().tolist()
    names = [stratum.replace(" to ", "-\n").replace(" or more", "+") for stratum in strata]
    lines = looks_of_models(frame)
    figure, *axes = new_figure(10.6, rows=2, sharex=True)
    for ax, (score, title) in zip(axes, SCORES.items(), strict=True):
        for name, look in lines.items():
            rows = frame[frame["name"] == name]
            place = [strata.index(stratum) for stratum in rows["stratum"]]
            ax.fill_between(place, rows[f"{score}_low"], rows[f"{score}_high"], color=look["color"], alpha=0.15, lw=0)
            ax.plot(place, rows[f"{score}_at_20"], **look)
        ax.set_ylim(0, None)
        ax.set_ylabel(title)
        ax.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 4, 5, 10]))
    axes[1].set_xticks(range(len(strata)), names, fontsize=pt(SMALL))
    axes[1].set_xlabel(what)
    legend(figure, lines, columns=2)
    return figure


def validation_and_test(frame: pd.DataFrame) -> Figure:
    """Show the test score of every cell and baseline, with 95 % intervals, against its validation score.

    Args:
        frame: `evidence.validation_and_test`: model, input_form, output_form, tag, and for recall and mrr
            validation_<score>_at_20, <score>_at_20, <score>_low, <score>_high (0 to 1).
    """
    frame = frame.assign(name=named(frame))
    forms = {name: look | {"linestyle": ""} for name, look in looks_of_models(frame).items()}
    figure, *axes = new_figure(10.4 + 0.2 * len(forms), rows=2)
    for ax, (score, title) in zip(axes, SCORES.items(), strict=True):
        ends = frame[[f"{score}_low", f"{score}_high", f"{score}_at_20", f"validation_{score}_at_20"]].to_numpy()
        least, most = 0.94 * np.nanmin(ends), 1.06 * np.nanmax(ends) or 1
        ax.plot([least, most], [least, most], color=QUIET, linewidth=0.6, linestyle="--", marker="", zorder=0)
        for name, look in forms.items():
            rows = frame[frame["name"] == name]
            place = rows[f"validation_{score}_at_20"]
            ax.vlines(place, rows[f"{score}_low"], rows[f"{score}_high"], color=look["color"], linewidth=0.9)
            # A baseline may score 0, so that its mark is on the edge.
            ax.plot(place, rows[f"{score}_at_20"], **look, clip_on=bool(rows["input_form"].notna().all()))
        ax.set(xlim=(least, most), ylim=(least, most), xlabel=f"{title}, validation", ylabel=f"{title}, test")
        for axis in (ax.xaxis, ax.yaxis):
            axis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
    legend(figure, forms, columns=2)
    return figure


def input_by_loss(frame: pd.DataFrame) -> Figure:
    """Show Recall@20 and MRR@20 of every input form with every loss (a heat map), protocol `known`.

    Args:
        frame: rows of table_2.csv: input_form, output_form, tag, loss, protocol, recall_at_20, mrr_at_20 (0 to 1). A
            cell is the mean over seeds, empty where nothing was trained. Baselines are left out.
    """
    import seaborn as sns  # slow to load, and the other figures do without

    frame = frame[(frame["protocol"] == "known") & frame["input_form"].notna()]
    frame = frame.assign(name=named(frame))
    names, losses = list(looks(frame["name"])), list(looks(frame["loss"]))
    words = [say(loss).replace("-", "-\n") for loss in losses]
    height = 2.6 + 0.55 * len(names)
    beside = len(losses) <= 3 * width() / COLUMN  # more would not leave space for the numbers
    figure, *axes = new_figure(height, columns=2, sharey=True) if beside else new_figure(2 * height, rows=2)
    for ax, (score, title) in zip(axes, SCORES.items(), strict=True):
        cells = frame.pivot_table(f"{score}_at_20", "name", "loss").reindex(index=names, columns=losses)
        look = {"cmap": "Blues", "vmin": 0, "linewidths": 1, "annot_kws": {"fontsize": pt(SMALL)}}
        sns.heatmap(cells, ax=ax, annot=cells.map(fixed, na_action="ignore"), fmt="", cbar=False, **look)
        ax.set(xlabel="loss", ylabel="", title=title)
        ax.set_yticklabels([say(name) for name in names], rotation=0)
        ax.set_xticklabels(words, fontsize=pt(SMALL), rotation=0)
        ax.tick_params(length=0)
    return figure


def time_to_quality(frame: pd.DataFrame) -> Figure:
    """Show validation Recall@20 against seconds of training: one panel for each loss, one line for each run.

    Args:
        frame: `tables.histories`: input_form, loss, seed, epoch (from 1), seconds (of the epoch),
            validation_recall_at_20 (0 to 1); optional: output_form and tag.
    """
    frame = frame.assign(name=named(frame))
    losses, names = looks(frame["loss"]), looks(frame["name"])
    figure, *axes = new_figure(1.3 + 4 * len(losses) + 0.2 * len(names), rows=len(losses), sharex=True)
    for ax, loss in zip(axes, losses, strict=True):
        for (name, _), run in frame[frame["loss"] == loss].sort_values("epoch").groupby(["name", "seed"]):
            ax.plot(run["seconds"].cumsum(), run["validation_recall_at_20"], **names[name] | {"markersize": 3})
        ax.set(xscale="log", ylabel="validation Recall@20")
        ax.set_title(say(loss), fontweight="bold")
        ax.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 4, 5, 10]))
    axes[-1].xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes[-1].xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes[-1].xaxis.set_minor_formatter(NullFormatter())
    axes[-1].set_xlabel("seconds of training")
    legend(figure, names, columns=2)
    return figure


def coverage(frame: pd.DataFrame) -> Figure:
    """Show the share of the catalogue that each model recommends, against its Recall@20.

    Args:
        frame: `evidence.coverage`: model, input_form, output_form, tag, recall_at_20, catalogue_coverage (0 to 1),
            n_lists, n_items.
    """
    frame = frame.assign(name=named(frame))
    models = {name: look | {"linestyle": ""} for name, look in looks_of_models(frame).items()}
    figure, ax = new_figure(7.4 + 0.17 * len(models))
    for name, look in models.items():
        rows = frame[frame["name"] == name]
        ax.plot(rows["recall_at_20"], rows["catalogue_coverage"], **look, clip_on=False)
    n_lists, n_items = frame.loc[0, ["n_lists", "n_items"]]
    ylabel = f"share of the {count(n_items, 'track')}\nin {count(n_lists, 'list')} of 20"
    ax.set(xlim=(0, None), ylim=(0, None), xlabel="Recall@20", ylabel=ylabel)
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(MaxNLocator(5, steps=[1, 2, 4, 5, 10]))
    ax.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.3g} %")
    legend(figure, models, columns=2)
    return figure


def blend_weights(frame: pd.DataFrame) -> Figure:
    """Show validation MRR@20 against Recall@20 for all weights of a blend, its single parts and the chosen weights.

    A panel has the marks of all seeds of a blend.

    Args:
        frame: `blend_runs.tried_weights`: model, seed, part, chosen, validation_recall_at_20, validation_mrr_at_20.
    """
    columns = ["validation_recall_at_20", "validation_mrr_at_20"]
    panels = list(frame.groupby("model", sort=False))
    parts = [name for name in frame["part"].fillna("").unique() if name]
    marks = [look | {"linestyle": "", "markersize": 5} for look in BASELINES]
    models = dict(zip(parts, cycle(marks), strict=False))
    star = {"color": "C1", "marker": "*", "linestyle": "", "markersize": 8, "zorder": 3}
    figure, *axes = new_figure(1.2 + 0.4 * -(-len(parts) // 2) + 5.4 * len(panels), rows=len(panels))
    for ax, (model, rows) in zip(axes, panels, strict=True):
        ax.plot(*rows[columns].to_numpy().T, color="0.75", marker=".", linestyle="", zorder=1)
        for part, look in models.items():
            ax.plot(*rows.loc[rows["part"] == part, columns].to_numpy().T, **look)
        ax.plot(*rows.loc[rows["chosen"], columns].to_numpy().T, **star)
        ax.set_title(say(model))
        ax.set(xlabel="validation Recall@20", ylabel="validation MRR@20")
        for axis in (ax.xaxis, ax.yaxis):
            few_numbers(axis)
    legend(figure, models | {"chosen weights": star}, columns=2)
    return figure


def feature_importance(frame: pd.DataFrame) -> Figure:
    """Show the loss in Recall@20 and MRR@20 where a group of features is permuted, with 95 % intervals.

    Groups are in order of their loss in Recall@20. At the dashed line the model does not depend on the group.

    Args:
        frame: `feature_importance.of_study`: group, metric (`recall` or `mrr`), difference, low, high (of the score,
            -1 to 1).
    """
    recall = frame[frame["metric"] == "recall"].sort_values("difference", ascending=False, kind="stable")
    order = recall["group"].tolist()
    figure, *axes = new_figure(1.9 + 0.34 * len(order), columns=2, sharey=True)
    for ax, (metric, title) in zip(axes, SCORES.items(), strict=True):
        rows = frame[frame["metric"] == metric].set_index("group").loc[order]
        ax.axvline(0, color=QUIET, linewidth=0.7, linestyle="--", marker="", zorder=0)
        ax.hlines(range(len(order)), rows["low"], rows["high"], color="C0", linewidth=0.9)
        ax.plot(rows["difference"], range(len(order)), color="C0", marker="o", markersize=3, linestyle="")
        few_numbers(ax.xaxis)
        ax.tick_params(axis="y", length=0)
        ax.set_xlabel(f"loss in {title}")
    axes[0].set_yticks(range(len(order)), [say(name) for name in order], fontsize=pt(6.5))
    axes[0].set_ylim(len(order) - 0.4, -0.6)
    return figure


EVIDENCE_FIGURES = {
    "differences": differences,
    "quality_by_position": quality_by_position,
    "quality_by_popularity": quality_by_popularity,
    "coverage": coverage,
    "validation_and_test": validation_and_test,
    "time_to_quality": time_to_quality,
    "input_by_loss": input_by_loss,
    "blend_weights": blend_weights,
    "feature_importance": feature_importance,
}
