"""Figures that compare simulated (twin) and real data; see `plotting/figures.py`."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter, StrMethodFormatter

from gru4rec_lib.plotting.style import SCORES, few_numbers, legend, looks_of_models, named, new_figure, pt, tail_axes

PERCENT = PercentFormatter(1, decimals=0, symbol=" %")


def sides() -> dict[str, dict]:
    """Return the styles of `real` and `twin`."""
    return dict(zip(("real", "twin"), plt.rcParams["axes.prop_cycle"], strict=False))


def twin_plays(frame: pd.DataFrame) -> Figure:
    """Show the plays of each track against its rank by plays, on logarithmic axes.

    Args:
        frame: side (real or twin), rank, plays.
    """
    figure, ax = new_figure(5.8)
    for side, look in sides().items():
        part = frame[frame["side"] == side]
        ax.plot(part["rank"], part["plays"], **look | {"marker": ""}, label=side)
    tail_axes(ax, frame["rank"].max(), frame["plays"].max())
    ax.legend(loc="upper right")
    return figure


def twin_lengths(frame: pd.DataFrame) -> Figure:
    """Show the share of the sessions of each length.

    Args:
        frame: length (events), real and twin (shares, 0 to 1).
    """
    figure, ax = new_figure(4.8)
    _both(ax, frame["length"], frame)
    ax.set(ylim=(0, None), xlabel="length of the session (events)", ylabel="share of the sessions")
    return figure


def twin_skips(frame: pd.DataFrame) -> Figure:
    """Show the share of the plays with skip_2, by position in the session.

    Args:
        frame: position (from 1), real and twin (shares, 0 to 1).
    """
    figure, ax = new_figure(4.8)
    _both(ax, frame["position"], frame)
    ax.set(ylim=(0, 1), xlabel="position in the session", ylabel="share of the plays skipped")
    return figure


def twin_features(frame: pd.DataFrame) -> Figure:
    """Show how the features of played tracks differ from those of all tracks.

    Args:
        frame: feature, real and twin (difference of means, in standard deviations of all tracks).
    """
    figure, ax = new_figure(2.3 + 0.42 * len(frame))
    looks = {side: look | {"linestyle": ""} for side, look in sides().items()}
    rows = np.arange(len(frame))
    ax.axvline(0, color="0.8", linewidth=0.6, linestyle="-", marker="", zorder=0)
    for side, look in looks.items():
        ax.plot(frame[side], rows, **look)
    ax.set_yticks(rows, frame["feature"].str.replace("_", " "))
    ax.invert_yaxis()
    ax.tick_params(axis="y", length=0)
    few_numbers(ax.xaxis)
    ax.set_xlabel("played tracks minus all tracks (sd)")
    legend(figure, looks, columns=2)
    return figure


def calibration(frame: pd.DataFrame) -> Figure:
    """Show every distance between twin and real data relative to its tolerance; 1, the line, is the greatest allowed.

    Args:
        frame: quantity, distance, tolerance, holds (bool).
    """
    figure, ax = new_figure(2.1 + 0.36 * len(frame))
    rows, ratio = np.arange(len(frame)), frame["distance"] / frame["tolerance"]
    looks = [look | {"linestyle": ""} for look in sides().values()]
    ax.axvline(1, color="0.4", linewidth=0.7, linestyle="--", marker="", zorder=0)
    for holds, look in zip((True, False), looks, strict=True):
        chosen = (frame["holds"] == holds).to_numpy()
        ax.hlines(rows[chosen], 0, ratio[chosen], color="0.85", linewidth=0.8, zorder=0)
        ax.plot(ratio[chosen], rows[chosen], **look)
    ax.set_yticks(rows, frame["quantity"], fontsize=pt(6))
    ax.invert_yaxis()
    ax.tick_params(axis="y", length=0)
    ax.set_xlim(0, max(1.1, 1.05 * ratio.max()))
    ax.set_xlabel("distance / tolerance")
    legend(figure, dict(zip(("within the tolerance", "beyond it"), looks, strict=True)), columns=2)
    return figure


def content_signal(frame: pd.DataFrame) -> Figure:
    """Show Recall@20 and MRR@20 of every model over content_signal, under the protocol `known`; means over seeds.

    Args:
        frame: content_signal (0 to 1), model, input_form, loss, seed, protocol, recall_at_20, mrr_at_20 (0 to 1);
            optional: output_form and tag.
    """
    frame = frame[frame["protocol"] == "known"]
    several = len(set(frame["loss"].dropna())) > 1
    frame = frame.assign(name=named(frame) + ((" " + frame["loss"]).fillna("") if several else ""))
    models = looks_of_models(frame)
    figure, *axes = new_figure(7.4 + 0.2 * len(models), rows=2, sharex=True)
    for ax, (score, name) in zip(axes, SCORES.items(), strict=True):
        column = f"{score}_at_20"
        for model, look in models.items():
            means = frame[frame["name"] == model].groupby("content_signal")[column].mean()
            ax.plot(means.index, means, **look)
        ax.set_ylim(0, 1.06 * frame[column].max() or 1)
        ax.set_ylabel(name)
    axes[-1].set_xticks(sorted(frame["content_signal"].unique()))
    axes[-1].xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes[-1].set_xlabel("content_signal")
    if several:  # a column has the long names, the other one the short ones
        models = dict(sorted(models.items(), key=lambda model: -len(model[0])))
    legend(figure, models, columns=2)
    return figure


def _both(ax: Axes, x: pd.Series, frame: pd.DataFrame) -> None:
    for side, look in sides().items():
        ax.plot(x, frame[side], **look, label=side)
    ax.xaxis.set_major_locator(MaxNLocator(5, integer=True, min_n_ticks=1, steps=[1, 2, 5, 10]))
    ax.yaxis.set_major_formatter(PERCENT)
    ax.legend(loc="best")


TWIN_FIGURES = {
    "twin_plays": twin_plays,
    "twin_lengths": twin_lengths,
    "twin_skips": twin_skips,
    "twin_features": twin_features,
    "calibration": calibration,
    "content_signal": content_signal,
}
