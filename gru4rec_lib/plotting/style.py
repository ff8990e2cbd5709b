"""What the figures share: one width, one look for each name, bars that carry their numbers, words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import cycle

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullFormatter, StrMethodFormatter

from gru4rec_lib.config.study import INPUT_FORMS, LOSSES
from gru4rec_lib.utils.rounding import fixed

WIDTH = 8.5  # cm
SMALL = 6  # pt
QUIET = "0.4"  # the grey of what explains
SCORES = {"recall": "Recall@20", "mrr": "MRR@20"}
# Baselines are black: no input form is.
BASELINES = [
    {"color": "black", "marker": marker, "linestyle": line, "linewidth": 0.8}
    for marker, line in zip("d*vPX<>^sop", cycle(("--", ":", "-.")), strict=False)
]


def new_figure(height: float, rows: int = 1, columns: int = 1, **options) -> tuple[Figure, *tuple[Axes, ...]]:
    """Make an empty figure of one column's width.

    Args:
        height: of the figure, in cm.
        rows: of its panels.
        columns: of its panels.
        options: of `plt.subplots`.

    Returns:
        The figure and its panels, row by row. Made through pyplot, so that a notebook learns how to show figures;
        closed there, so that it shows each one once.
    """
    size = (WIDTH / 2.54, height / 2.54)
    figure, axes = plt.subplots(rows, columns, figsize=size, layout="constrained", squeeze=False, **options)
    plt.close(figure)
    return figure, *axes.flat


def looks(names: Iterable[str]) -> dict[str, dict]:
    """Give each input form or loss its look, the same in every figure whichever others stand beside it.

    Args:
        names: what is drawn; repeats are allowed.

    Returns:
        For each name, in the study's order: color, marker and linestyle of the style file; hollow markers where there
        are more names than styles.
    """
    present = set(names)
    styles = list(plt.rcParams["axes.prop_cycle"])
    coloured = [style for style in styles if to_hex(style["color"]) != to_hex("black")]  # that is the baselines'
    hollow = [style | {"markerfacecolor": "white"} for style in coloured]
    forms = (*INPUT_FORMS, *sorted(present.difference(INPUT_FORMS, LOSSES)))
    # Losses take theirs from the other end, so that nobody reads a form for a loss.
    known = [*zip(forms, cycle(coloured + hollow), strict=False), *zip(LOSSES, cycle(styles[::-1]), strict=False)]
    return {name: look for name, look in known if name in present}


def looks_of_models(frame: pd.DataFrame) -> dict[str, dict]:
    """Give each model of a table its look: a form as `looks` does, a baseline in black.

    Args:
        frame: `name`, and `input_form`, which is missing for a baseline.

    Returns:
        As `looks`, baselines last.
    """
    trained = frame["input_form"].notna()
    return looks(frame.loc[trained, "name"]) | dict(zip(frame.loc[~trained, "name"].unique(), BASELINES, strict=False))


def legend(figure: Figure, looks: dict[str, dict], columns: int) -> None:
    """Say above the panels which look belongs to which name.

    Args:
        figure: to draw in.
        looks: from `looks`.
        columns: of the legend.
    """
    lines = [plt.Line2D([], [], **look) for look in looks.values()]
    figure.legend(lines, [say(name) for name in looks], loc="outside upper center", ncols=columns)


def tail_axes(ax: Axes, tracks: int, plays: int) -> None:
    """Give a panel logarithmic axes for the plays of each track, most played first, with numbers written out.

    Args:
        ax: the panel.
        tracks: the last place.
        plays: of the first place.
    """
    ax.set(xscale="log", yscale="log", xlim=(0.8, 1.25 * tracks), ylim=(0.8, 1.5 * plays))
    ax.set(xlabel="place of the track, most played first", ylabel="plays of the track")
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        axis.set_minor_formatter(NullFormatter())


def few_numbers(axis: Axis) -> None:
    """Write few and short numbers along an axis: .1 for 0.1, and a true minus.

    Args:
        axis: of a panel.
    """
    minus = "\N{MINUS SIGN}"
    axis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
    axis.set_major_formatter(lambda value, _: f"{np.round(value, 6):g}".replace("0.", ".").replace("-", minus))


def bars(ax: Axes, names: Sequence[str], values: Sequence[float], texts: Sequence[str]) -> None:
    """Draw lying bars from top to bottom with a text at the end of each, so that the axis needs no numbers.

    Args:
        ax: to draw in.
        names: one a bar.
        values: one a bar, 0 or above.
        texts: one a bar.
    """
    ax.bar_label(ax.barh(range(len(names)), values, height=0.7), texts, padding=3, fontsize=7)
    ax.set_yticks(range(len(names)), names)
    ax.set_xticks([])
    ax.spines["bottom"].set_visible(False)
    ax.tick_params(axis="y", length=0)
    ax.invert_yaxis()


def named(table: pd.DataFrame) -> pd.Series:
    """Name the model of each row: its input form, the output form where it is not `ids`, its tag; else the baseline.

    Args:
        table: rows of table_2.csv or of the learning curves: input_form, and output_form, tag and model where it has
            them; what does not apply is empty or missing.

    Returns:
        Such as `one_hot`, `content → hybrid`, `one_hot wide`, `most_popular`.
    """
    form, output, tag, model = (
        table[column].astype(object).fillna("").astype(str) if column in table else pd.Series("", table.index)
        for column in ("input_form", "output_form", "tag", "model")
    )
    form = form + (" → " + output).where((output != "") & (output != "ids"), "") + (" " + tag).where(tag != "", "")
    return form.where(form != "", model)


def say(name: str) -> str:
    """A name of the vocabulary as a word: `one_hot` is one-hot.

    Args:
        name: of an input form, output form, loss or baseline.
    """
    return name.replace("_", "-")


def count(number: int, noun: str) -> str:
    """Say how many there are: 1 track, 1,234 tracks.

    Args:
        number: 0 and more.
        noun: in the singular, one that takes an s.
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def percent(share: float) -> str:
    """Say a share (0 to 1) in percent: 12.3 %.

    Args:
        share: 0 to 1.
    """
    return "< 0.1 %" if 0 < share < 0.0005 else f"{fixed(100 * share, digits=1)} %"
