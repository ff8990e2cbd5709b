"""The model as boxes and arrows: figure 1 of the paper."""

from __future__ import annotations

from collections.abc import Sequence, Sized
from math import ceil
from textwrap import wrap

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from gru4rec_lib.plotting.style import COLUMN, QUIET, SMALL, new_figure, pt, say, width

# Lengths in cm, for the font size of style.mplstyle.
SINGLE = 5.3  # width of a single box
GAP = 0.45  # between rows, for the arrow
LINE = 0.28
AROUND = 0.5  # height that the frame around alternatives adds


def model_diagram(frame: pd.DataFrame) -> Figure:
    """Show the model as boxes and arrows.

    Args:
        frame: order (boxes of the same order are alternatives), label, detail. A box whose label begins with GRU gets
            the arrow of the state that is passed on to the next track.
    """
    rows = [_texts(boxes) for _, boxes in frame.groupby("order")]
    heights = [_height(row) if len(row) == 1 else AROUND + len(_lines(row)) * (_height(row) + 0.1) for row in rows]
    total = sum(heights) + GAP * (len(rows) - 1)
    figure, ax = new_figure(total + 0.1)
    ax.set(xlim=(0, width()), ylim=(-total - 0.05, 0.05))
    ax.axis("off")
    top = 0.0
    for row, height in zip(rows, heights, strict=True):
        if top < 0:
            _arrow(ax, (width() / 2, top + GAP), (width() / 2, top))
        if len(row) == 1:
            _box(ax, (width() - SINGLE) / 2, top, SINGLE, height, row[0])
        else:
            _alternatives(ax, row, top, height)
        if row[0][0].startswith("GRU"):
            right = (width() + SINGLE) / 2
            _arrow(ax, (right, top - 0.8 * height), (right, top - 0.2 * height), path="arc3,rad=1.4")
            ax.text(right + 0.5, top - height / 2, "state", va="center", fontsize=pt(SMALL), color=QUIET)
        top -= height + GAP
    return figure


def _texts(boxes: pd.DataFrame) -> list[list[str]]:
    # One centimetre holds 7.9 letters of the small font.
    space = SINGLE if len(boxes) == 1 else _width(boxes)
    texts = zip(boxes["label"], boxes["detail"], strict=True)
    return [[say(label), *wrap(detail, int(7.9 * space), break_on_hyphens=False)] for label, detail in texts]


def _height(row: list[list[str]]) -> float:
    return 0.34 + LINE * max(map(len, row))


def _lines(row: Sized) -> list[slice]:
    # At most four alternatives side by side in a column: five would be too narrow for their names.
    most = max(1, int(4 * width() / COLUMN))
    each = ceil(len(row) / ceil(len(row) / most))
    return [slice(start, start + each) for start in range(0, len(row), each)]


def _width(row: Sized) -> float:
    return (width() - 0.2) / _lines(row)[0].stop - 0.1


def _alternatives(ax: Axes, row: list[list[str]], top: float, height: float) -> None:
    _box(ax, 0.05, top, width() - 0.1, height, [], facecolor="0.96", edgecolor="0.7", linestyle="--")
    ax.text(0.2, top - 0.22, "one of", va="center", fontsize=pt(SMALL), style="italic", color=QUIET)
    for number, line in enumerate(_lines(row)):
        y = top - AROUND + 0.1 - number * (_height(row) + 0.1)
        for place, lines in enumerate(row[line]):
            _box(ax, 0.15 + place * (_width(row) + 0.1), y, _width(row), _height(row), lines)


def _box(ax: Axes, x: float, y: float, width: float, height: float, lines: Sequence[str], **look) -> None:
    look = {"facecolor": "white", "edgecolor": "C0"} | look
    shape = "round,pad=0,rounding_size=0.1"
    ax.add_patch(FancyBboxPatch((x, y - height), width, height, boxstyle=shape, **look))
    for number, line in enumerate(lines):
        font = {"fontsize": pt(SMALL)} if number else {"fontsize": pt(7), "fontweight": "bold"}
        ax.text(x + width / 2, y - (0.28 + LINE * number + 0.04 * (number > 0)), line, ha="center", va="center", **font)


def _arrow(ax: Axes, start: tuple[float, float], end: tuple[float, float], path: str = "arc3") -> None:
    shape = {"arrowstyle": "-|>", "connectionstyle": path, "shrinkA": 0, "shrinkB": 0, "color": "0.25"}
    ax.annotate("", end, start, arrowprops=shape)
