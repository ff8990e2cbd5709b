"""Shared by the figures: their size, the style of each name, labelled bars, formatted texts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import cycle

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.collections import Collection
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator, NullFormatter, StrMethodFormatter

from gru4rec_lib.config.study import INPUT_FORMS, LOSSES
from gru4rec_lib.evaluation.comparison import is_baseline
from gru4rec_lib.utils.rounding import fixed

COLUMN = 8.5  # cm, the width of a column of the paper
FONT_SIZE = 7.5  # pt, of style.mplstyle
SMALL = 6  # pt
LENGTHS = ("font.size", "axes.labelsize", "axes.titlesize", "xtick.labelsize", "ytick.labelsize", "legend.fontsize")
LENGTHS += ("axes.labelpad", "axes.titlepad", "xtick.major.pad", "ytick.major.pad")  # in proportion to the font size
QUIET = "0.4"  # grey of annotations
SCORES = {"recall": "Recall@20", "mrr": "MRR@20"}
HOLLOW = {"markerfacecolor": "white"}
MARKERS = [*((marker, {}) for marker in "dvPX<>^sop"), *((marker, HOLLOW) for marker in "dv<>^so")]
# Input forms have colours; baselines are black, blends black stars.
BASELINES = [
    {"color": "black", "marker": marker, "linestyle": line, "linewidth": 0.8} | fill
    for (marker, fill), line in zip(MARKERS, cycle(("--", ":", "-.")), strict=False)
]
BASELINE = {"color": "0.35", "marker": "d", "linestyle": ""}  # any of them, where its name stands beside the mark
BLENDS = [
    {"color": "black", "marker": "*", "markersize": 6, "linestyle": line} | fill
    for fill, line in zip(({}, HOLLOW), ("-", "--"), strict=True)
]
# Marks of an input form with another output form or a tag: hollow, in the form's colour.
OUTPUTS = {"content": ("s", ":"), "hybrid": ("D", "--")}
TAGGED = [("o", "-"), ("v", "-."), ("^", "--"), ("<", ":"), (">", "-"), ("p", "-."), ("P", "--"), ("X", ":")]


def new_figure(height: float, rows: int = 1, columns: int = 1, **options) -> tuple[Figure, *tuple[Axes, ...]]:
    """Make an empty figure as wide as the style says.

    Args:
        height: of the figure, in cm, for the font size of style.mplstyle; a larger font makes the figure higher.
        rows: of panels.
        columns: of panels.
        options: of `plt.subplots`.

    Returns:
        The figure and its panels, row by row. It is created through pyplot, which a notebook needs to show figures,
        and closed there, so that the notebook shows it once.
    """
    size = (plt.rcParams["figure.figsize"][0], pt(height) / 2.54)
    figure, axes = plt.subplots(rows, columns, figsize=size, layout="constrained", squeeze=False, **options)
    plt.close(figure)
    return figure, *axes.flat


def width() -> float:
    """Return the width of a figure, in cm that a larger font makes longer: 8.5 in the style of style.mplstyle."""
    return 2.54 * plt.rcParams["figure.figsize"][0] / pt(1)


def pt(size: float) -> float:
    """Return a font size or another length in proportion to the font size of the style.

    Args:
        size: with the font size of style.mplstyle.
    """
    return size * (plt.rcParams["font.size"] / FONT_SIZE)


def sized(width_cm: float, font_size: float) -> dict[str, float]:
    """Return settings of matplotlib that change the width and the font size of the style, which is in effect.

    Args:
        width_cm: of the figure.
        font_size: of axis labels, in points; other texts and their distances change in proportion.
    """
    lengths = {name: plt.rcParams[name] * (font_size / FONT_SIZE) for name in LENGTHS}
    return lengths | {"figure.figsize": (width_cm / 2.54, plt.rcParams["figure.figsize"][1])}


def scale_lines(figure: Figure) -> None:
    """Change lines, marks and edges in proportion to the font size of the style.

    Args:
        figure: drawn with the widths and sizes of style.mplstyle.
    """
    for artist in figure.findobj():
        if isinstance(artist, Line2D):
            artist.set(markersize=pt(artist.get_markersize()), markeredgewidth=pt(artist.get_markeredgewidth()))
        if isinstance(artist, Line2D | Patch | Collection):
            artist.set_linewidth(pt(np.asarray(artist.get_linewidth())))


def looks(names: Iterable[str]) -> dict[str, dict]:
    """Give each input form or loss its style, the same in every figure.

    Args:
        names: input forms and losses to draw; repeats are allowed.

    Returns:
        For each name, in the study's order: color, marker and linestyle of the style file. A form with an output form
        or a tag, as `named` writes it, comes after its input form, hollow in the same colour.
    """
    present = set(names)
    styles = list(plt.rcParams["axes.prop_cycle"])
    coloured = [style for style in styles if to_hex(style["color"]) != to_hex("black")]  # black is for baselines
    known = {}
    for form, look in zip(INPUT_FORMS, cycle(coloured), strict=False):
        known[form], tagged = look, cycle(TAGGED)
        for name in sorted(one for one in present if one.startswith(f"{form} ")):
            output = name.removeprefix(f"{form} → ")
            marker, line = OUTPUTS.get(output) or next(tagged)
            known[name] = look | {"marker": marker, "linestyle": line} | HOLLOW
    others = sorted(present.difference(known, LOSSES))
    known |= zip(others, cycle(style | HOLLOW for style in coloured), strict=False)
    # Losses take styles from the other end, so that a loss does not look like an input form.
    known |= zip(LOSSES, cycle(styles[::-1]), strict=False)
    return {name: look for name, look in known.items() if name in present}


def looks_of_models(frame: pd.DataFrame) -> dict[str, dict]:
    """Give each model of a table its style: a network that of its input form, a baseline a black one.

    Args:
        frame: `name`, and `input_form`, which is missing for a baseline or a blend.

    Returns:
        As `looks`, then baselines, blends last.
    """
    trained = frame["input_form"].notna()
    others = pd.Series(frame.loc[~trained, "name"].unique(), dtype=str)
    is_one = is_baseline(others)
    found = looks(frame.loc[trained, "name"])
    for rows, styles in ((others[is_one], BASELINES), (others[~is_one], BLENDS)):
        found |= zip(rows, cycle(styles), strict=False)
    return found


def legend(figure: Figure, looks: dict[str, dict], columns: int) -> None:
    """Add a legend above the panels.

    Args:
        figure: to draw in.
        looks: from `looks`.
        columns: of the legend in a column of the paper; a wider figure has as many more as it is wider.
    """
    lines = [plt.Line2D([], [], **look) for look in looks.values()]
    figure.legend(
        lines, [say(name) for name in looks], loc="outside upper center", ncols=columns * max(1, int(width() / COLUMN))
    )


def tail_axes(ax: Axes, tracks: int, plays: int) -> None:
    """Give a panel logarithmic axes for the plays of each track, most played first, without powers of ten.

    Args:
        ax: the panel.
        tracks: the number of tracks.
        plays: of the most played track.
    """
    ax.set(xscale="log", yscale="log", xlim=(0.8, 1.25 * tracks), ylim=(0.8, 1.5 * plays))
    ax.set(xlabel="tracks, most played first", ylabel="plays of the track")
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        axis.set_minor_formatter(NullFormatter())


def few_numbers(axis: Axis) -> None:
    """Write few and short numbers along an axis: .1 for 0.1, and a minus sign.

    Args:
        axis: of a panel.
    """
    minus = "\N{MINUS SIGN}"
    axis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
    axis.set_major_formatter(lambda value, _: f"{np.round(value, 6):g}".replace("0.", ".").replace("-", minus))


def bars(ax: Axes, names: Sequence[str], values: Sequence[float], texts: Sequence[str]) -> None:
    """Draw horizontal bars from top to bottom, each with a text at its end in place of numbers on the axis.

    Args:
        ax: to draw in.
        names: one for each bar.
        values: one for each bar, 0 or above.
        texts: one for each bar.
    """
    ax.bar_label(ax.barh(range(len(names)), values, height=0.7), texts, padding=3, fontsize=pt(7))
    ax.set_yticks(range(len(names)), names)
    ax.set_xticks([])
    ax.spines["bottom"].set_visible(False)
    ax.tick_params(axis="y", length=0)
    ax.invert_yaxis()


def named(table: pd.DataFrame) -> pd.Series:
    """Name the model of each row: input form, output form where it is not `ids`, and tag; or the baseline.

    Args:
        table: rows of table_2.csv or of the learning curves: input_form, and optional columns output_form, tag and
            model; what does not apply is empty or missing.

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
    """Return a name with hyphens: `one_hot` is one-hot.

    Args:
        name: of an input form, output form, loss or baseline.
    """
    return name.replace("_", "-")


def count(number: int, noun: str) -> str:
    """Return a number with its noun: 1 track, 1,234 tracks.

    Args:
        number: 0 or more.
        noun: in the singular, with a plural in s.
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def percent(share: float) -> str:
    """Return a share in percent: 12.3 %.

    Args:
        share: 0 to 1.
    """
    return "< 0.1 %" if 0 < share < 0.0005 else f"{fixed(100 * share, digits=1)} %"
