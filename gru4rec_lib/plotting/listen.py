"""The figure of one session in notebook 07; see `plotting/figures.py`."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullLocator

from gru4rec_lib.plotting.style import COLUMN, QUIET, SMALL, new_figure, pt, say, width

HIT = 20  # the last rank that Recall@20 counts
TICKS = (1, HIT, 1_000, 100_000)
ALONE = "The session has one track so far;\nranks begin with the second track."


def listen_along(frame: pd.DataFrame) -> Figure:
    """Show the rank that each model gave to every track of one session before it was played.

    Args:
        frame: `Listener.ranks`: model, position (from 2), rank and by_plays (1 is best; missing where a track cannot be
            scored). With `heard`, the number of tracks played so far, the next track is marked. Without rows, as for a
            session of one track, the figure is a sentence.
    """
    if frame.empty:
        figure, ax = new_figure(1.2)
        ax.set_axis_off()
        ax.text(0, 0.5, ALONE, va="center", color=QUIET)
        return figure
    models = frame["model"].unique()
    columns = min(2, len(models))
    rows = int(np.ceil(len(models) / columns))
    figure, *axes = new_figure(2 + 3.4 * rows, rows=rows, columns=columns, sharex=True, sharey=True)
    worst = 1.5 * max(HIT + 1, *frame[["rank", "by_plays"]].max().fillna(0))
    for ax, model in zip(axes, models, strict=False):
        part = frame[frame["model"] == model]
        hit = part["rank"] <= HIT
        ax.axhspan(0.7, HIT + 0.5, color="#cfeee4", lw=0, zorder=0)
        ax.plot(
            part["position"], part["by_plays"], color="0.6", lw=0.7, ls=":", marker="", label="rank by number of plays"
        )
        look = {"linestyle": "", "marker": "o", "clip_on": False, "in_layout": False}
        line = {"color": "black", "lw": 0.7, "mfc": "white", "mew": 0.7}
        ax.plot(part["position"], part["rank"], label="rank by the model", **look | line | {"linestyle": "-"})
        ax.plot(part["position"][hit], part["rank"][hit], color="#009e73", label=f"among the first {HIT}", **look)
        missed = part["position"][part["rank"].isna()]
        ax.plot(
            missed, np.full(len(missed), worst), color="#d55e00", label="cannot be scored", **look | {"marker": "x"}
        )
        if "heard" in part and part["heard"].iloc[0] < part["position"].max():
            mark = {"color": QUIET, "lw": 0.6, "ls": "--", "marker": "", "zorder": 0, "label": "played next"}
            ax.axvline(part["heard"].iloc[0] + 1, **mark)
        ax.set_title(say(model).replace(", ", ",\n", 1))
    for ax in axes[len(models) :]:
        ax.set_axis_off()
    first = axes[0]
    first.set(yscale="log", ylim=(worst, 0.7))
    ticks = [tick for tick in TICKS if tick < worst]
    first.set_yticks(ticks, [f"{tick:,}" for tick in ticks])
    first.yaxis.set_minor_locator(NullLocator())
    first.xaxis.set_major_locator(MaxNLocator(6, integer=True, min_n_ticks=1, steps=[1, 2, 5, 10]))
    for ax in axes[: len(models)][-columns:]:
        ax.set_xlabel("position in the session")
        ax.tick_params(labelbottom=True)
    for ax in axes[::columns]:
        ax.set_ylabel("rank of the\ntrack played")
    handles, labels = first.get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside upper center", ncols=2 * max(1, int(width() / COLUMN)), fontsize=pt(SMALL)
    )
    return figure


LISTEN_FIGURES = {"listen_along": listen_along}
