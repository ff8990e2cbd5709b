"""The texts of a figure: list and replace them, add a title, and check that all fit."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from textwrap import wrap

from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import Formatter

from gru4rec_lib.plotting.style import pt

APART = 4  # least distance of two texts side by side, in pixels of 200 an inch


def finish(figure: Figure, title: str, labels: Mapping[str, str], height_cm: float | None) -> None:
    """Replace texts of a figure, add a title, set the height, and check that all texts fit.

    Args:
        figure: to change.
        title: above legend and panels; a long one is broken into lines.
        labels: the new text of each old one; see `replace`.
        height_cm: of the whole figure; None keeps its height and adds that of the title.

    Raises:
        ValueError: an unknown old text, a letter that the font lacks, or texts that do not fit.
    """
    width, own = 2.54 * figure.get_size_inches()
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)  # of matplotlib: a panel without space, or a missing letter
        try:
            figure.draw_without_rendering()
            replace(figure, labels)
            if height_cm is not None:
                figure.set_figheight(height_cm / 2.54)
            if title:
                _add_title(figure, title, higher=height_cm is None)
            figure.draw_without_rendering()
            problem = misfit(figure)
        except UserWarning as warning:
            if missing := re.match(r"Glyph (\d+) .* missing from font", str(warning)):
                letter = chr(int(missing[1]))
                raise ValueError(f"the font has no {letter!r}; write title and labels without it") from None
            problem = "the panels have no space"
    if problem:
        size = f"{width:g} x {own if height_cm is None else height_cm:.3g} cm"
        remedy = "make the figure wider, the texts shorter or the font smaller"
        if height_cm is not None:
            remedy += f", or leave out the height (it is {own:.1f} cm then, without a title)"
        raise ValueError(f"at {size}, {problem}; {remedy}")


def texts(figure: Figure) -> list[Text]:
    """List the texts that are drawn; ticks out of view are not.

    Args:
        figure: after `draw_without_rendering`, which creates the ticks.
    """
    legends = [*figure.legends, *(ax.get_legend() for ax in figure.axes if ax.get_legend())]
    found = [*figure.texts, *(text for legend in legends for text in legend.get_texts())]
    for ax in figure.axes:
        found += [*ax.texts, *(ax.title, ax._left_title, ax._right_title)]
        for axis in _axes(ax):
            low, high = sorted(axis.get_view_interval())
            found += [tick.label1 for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high]
            found.append(axis.label)
    return [text for text in found if text.get_visible() and text.get_text()]


def on_one_line(text: str) -> str:
    """Return a text without line breaks: one after a hyphen is removed, any other becomes a space.

    Args:
        text: of a figure.
    """
    return re.sub(r"(?<=-)\n", "", text).replace("\n", " ")


def replace(figure: Figure, labels: Mapping[str, str]) -> None:
    """Replace texts of a figure: axis labels, legend entries, tick labels, titles of panels.

    Args:
        figure: after `draw_without_rendering`.
        labels: the new text of each old one; an old text is written on one line.

    Raises:
        ValueError: the figure does not have an old text, or a new one is not a text.
    """
    known = dict.fromkeys(on_one_line(text.get_text()) for text in texts(figure))
    for old, new in labels.items():
        if old not in known:
            raise ValueError(f"labels: there is no text {old!r}; the texts are {', '.join(map(repr, known))}")
        if not isinstance(new, str):
            raise ValueError(f"labels: {new!r}, for {old!r}, is not a text; give a text in quotation marks")
    for text in figure.findobj(Text):
        text.set_text(labels.get(on_one_line(text.get_text()), text.get_text()))
    for ax in figure.axes:
        for axis in _axes(ax):
            formatter = axis.get_major_formatter()
            if not isinstance(formatter, _Replaced):  # panels that share an axis share its formatter
                axis.set_major_formatter(_Replaced(formatter, labels))


class _Replaced(Formatter):
    """Replace some of the tick labels of another formatter."""

    def __init__(self, formatter: Formatter, labels: Mapping[str, str]):
        self.formatter, self.labels = formatter, labels

    def __call__(self, x: float, pos: int | None = None) -> str:
        text = self.formatter(x, pos)
        return self.labels.get(on_one_line(text), text)

    def set_locs(self, locs) -> None:
        self.formatter.set_locs(locs)

    def get_offset(self) -> str:
        return self.formatter.get_offset()


def _add_title(figure: Figure, title: str, higher: bool) -> None:
    space = pt(4) / 72  # inches around the title
    width, height = figure.get_size_inches()
    text = figure.text(space / width, 1, title, va="top", fontsize=pt(9), fontweight="bold")
    for letters in range(max(map(len, title.splitlines())), 0, -1):
        text.set_text("\n".join("\n".join(wrap(line, letters)) for line in title.splitlines()))
        box = text.get_window_extent()
        if box.width / figure.dpi <= width - 2 * space:
            break
    strip = box.height / figure.dpi + 2 * space
    height += strip if higher else 0
    figure.set_figheight(height)
    text.set_y(1 - space / height)
    # Constrained layout has one place for a title and a legend above the panels, so that they would overlap.
    for legend in figure.legends:
        legend.set_bbox_to_anchor((0, 0, 1, 1 - strip / height), transform=figure.transFigure)
        strip += legend.get_window_extent().height / figure.dpi + space
    figure.get_layout_engine().set(rect=(0, 0, 1, 1 - strip / height))


def misfit(figure: Figure) -> str:
    """Name a text that is cut off, or two that overlap.

    Args:
        figure: after `draw_without_rendering`.

    Returns:
        Such as `'bpr' and 'top1' overlap`; empty if all texts fit.
    """
    boxes = [(repr(on_one_line(text.get_text())), text.get_window_extent()) for text in texts(figure)]
    for number, (name, box) in enumerate(boxes):
        if box.x0 < 0 or box.y0 < 0 or box.x1 > figure.bbox.x1 or box.y1 > figure.bbox.y1:
            return f"{name} is cut off"
        for other, near in boxes[:number]:
            if box.padded(APART, 0).overlaps(near):
                return f"{other} and {name} overlap"
    return ""


def _axes(ax: Axes) -> list[Axis]:
    return [ax.xaxis, ax.yaxis] if ax.axison else []
