"""The figure of the audit; see `plotting/figures.py`."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from gru4rec_lib.plotting.style import SCORES, few_numbers, legend, looks, new_figure, pt, say

NAMES = {"as_published": "as published", "all_mended": "all fixed", "with_D12": "D12 added"}


def audit(frame: pd.DataFrame) -> Figure:
    """Show how a score changes when each defect is fixed alone, and when all are fixed.

    A bar goes from the score as published (dotted line) to the score of the variant; the thin line through its mark is
    the 95 % interval.

    Args:
        frame: audit.csv: input_form, loss, seed, switch, metric, value, low, high (0 to 1). Only the first seed is
            drawn.
    """
    frame = frame[frame["seed"] == frame["seed"].iloc[0]]
    losses, forms = frame["loss"].unique(), looks(frame["input_form"])
    switches = [_in_order(frame.loc[frame["loss"] == loss, "switch"]) for loss in losses]
    heights = [len(own) + 1 for own in switches]
    figure, *axes = new_figure(
        2.6 + 0.34 * sum(heights) + 0.7 * len(losses),
        rows=len(losses),
        columns=2,
        sharex="col",
        gridspec_kw={"height_ratios": heights},
    )
    for pair, loss, own in zip(np.reshape(axes, (-1, 2)), losses, switches, strict=True):
        for ax, metric in zip(pair, SCORES, strict=True):
            rows = frame[(frame["loss"] == loss) & (frame["metric"] == metric)]
            for number, (form, look) in enumerate(forms.items()):
                cell = rows[rows["input_form"] == form].set_index("switch")
                if cell.empty:
                    continue
                found = [switch for switch in own if switch in cell.index]  # D12 is not in every cell
                place = np.array([own.index(switch) for switch in found])
                place = place + 0.7 * ((number + 0.5) / len(forms) - 0.5)
                begin, value = cell.loc["as_published", "value"], cell.loc[found, "value"].to_numpy()
                ax.axvline(begin, color=look["color"], linewidth=0.6, linestyle=":", marker="", zorder=0)
                ax.hlines(place, begin, value, color=look["color"], linewidth=2.2, alpha=0.45)
                ax.hlines(place, cell.loc[found, "low"], cell.loc[found, "high"], color=look["color"], linewidth=0.6)
                ax.plot(value, place, **look | {"linestyle": "", "markersize": 2.6}, clip_on=False)
            most = frame.loc[frame["metric"] == metric, ["value", "high"]].max(axis=None)
            ax.set_xlim(0, 1.04 * most or 1)
            few_numbers(ax.xaxis)
            ax.tick_params(axis="y", length=0)
            ax.set_yticks(range(len(own)), [said(switch) for switch in own] if ax is pair[0] else [], fontsize=pt(6))
            ax.set_ylim(len(own) - 0.4, -0.6)
        pair[0].set_title(say(loss), fontweight="bold", loc="left")
        for ax in pair:
            ax.label_outer()
    for ax, title in zip(axes[-2:], SCORES.values(), strict=True):
        ax.set_xlabel(title)
    legend(figure, {form: look | {"linestyle": ""} for form, look in forms.items()}, columns=3)
    return figure


def _in_order(switches: pd.Series) -> list[str]:
    """Each variant once, in the order of the table, and all fixed last: the first cell may lack some of the others."""
    return sorted(switches.unique(), key=lambda switch: switch == "all_mended")


def said(switch: str) -> str:
    """Return a variant in words, such as `D4 in testing fixed`.

    Args:
        switch: a variant of audit.csv: a defect such as `D4` or `D4_testing`, or a key of NAMES.
    """
    return NAMES.get(switch) or f"{switch.replace('_testing', ' in testing')} fixed"


AUDIT_FIGURES = {"audit": audit}
