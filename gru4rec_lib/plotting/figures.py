"""Every figure of a study, drawn from its CSV file.

A figure is a pure function of one tidy data frame. `draw` writes the frame as CSV and draws from the written text, so
`redraw` gives the same bytes from the CSV files alone, without data or training. Figures are one column (8.5 cm) wide
and drawn at their printed size; style.mplstyle holds the rest of their style.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from io import StringIO
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from gru4rec_lib.evaluation.comparison import is_baseline
from gru4rec_lib.plotting.audit import AUDIT_FIGURES
from gru4rec_lib.plotting.bench import bench
from gru4rec_lib.plotting.diagram import model_diagram
from gru4rec_lib.plotting.evidence import EVIDENCE_FIGURES
from gru4rec_lib.plotting.listen import LISTEN_FIGURES
from gru4rec_lib.plotting.style import (
    BASELINE,
    BLENDS,
    COLUMN,
    FONT_SIZE,
    QUIET,
    SCORES,
    SMALL,
    bars,
    count,
    legend,
    looks,
    named,
    new_figure,
    percent,
    pt,
    say,
    scale_lines,
    sized,
    tail_axes,
)
from gru4rec_lib.plotting.texts import finish
from gru4rec_lib.plotting.twin import TWIN_FIGURES
from gru4rec_lib.utils.arguments import between, user_path
from gru4rec_lib.utils.atomic_write import replacing

STYLE = ("default", Path(__file__).with_name("style.mplstyle"))
# No dates: the same table gives the same bytes.
KINDS = {"svg": {"Date": None}, "pdf": {"CreationDate": None}, "png": None}
LINE = 0.27  # cm between the marks of two losses in Table 2
LENGTHS = np.array([1, 2, 3, 4, 5, 6, 8, 11, 16, 21, 31, 51, 101, 201, 501, 1001])  # starts of the ranges of lengths


def draw(name: str, frame: pd.DataFrame, folder: Path, note: str = "") -> Figure:
    """Draw one figure; write it as <name>.svg, <name>.pdf and <name>.png, and its data as <name>.csv.

    Args:
        name: a key of `FIGURES`.
        frame: its data; the columns are those that the figure's function documents.
        folder: the output folder; created if missing.
        note: a short text for a corner, such as "simulated data". It is a column of the CSV, so that `redraw` keeps
            it.

    Returns:
        The figure, for a notebook to show.

    Raises:
        ValueError: there is no such figure, or the frame has no rows.
    """
    if name not in FIGURES:
        raise ValueError(f"{name}: there is no such figure; known are {', '.join(FIGURES)}")
    if frame.empty:
        raise ValueError(f"{name}: the frame has no rows, so there is nothing to draw")
    if note:
        frame = frame.assign(note=note)
    return _draw(name, frame.to_csv(index=False, lineterminator="\n"), folder)


def redraw(folder: Path, only: str = "") -> None:
    """Draw a figure again from every <name>.csv of a folder.

    Args:
        folder: an output folder of `draw`.
        only: the name of a single figure to draw; empty for all.

    Raises:
        ValueError: there is no .csv file, or one that belongs to no figure.
    """
    folder = user_path(folder)
    for path in [csv_of(folder, only)] if only else _csvs(folder):
        _draw(path.stem, path.read_text(encoding="utf-8"), folder)


def csv_of(folder: Path, name: str) -> Path:
    """Return the CSV file of a figure.

    Args:
        folder: an output folder of `draw`.
        name: of the figure.

    Raises:
        ValueError: the folder does not have this figure; the message lists those that it has.
    """
    found = {path.stem: path for path in _csvs(folder)}
    if name not in found:
        raise ValueError(f"{folder}: has no figure {name!r}; its figures are {', '.join(found)}")
    return found[name]


def _csvs(folder: Path) -> list[Path]:
    paths = sorted(folder.glob("[!.]*.csv"))
    if not paths or not FIGURES.keys() >= {path.stem for path in paths}:
        found = ", ".join(path.stem for path in paths) or "no .csv file"
        raise ValueError(f"{folder}: expected the .csv files of figures ({', '.join(FIGURES)}), found {found}")
    return paths


def _read(text: str) -> pd.DataFrame:
    texts = {"study": str, "tag": str, "group": str}  # their values may look like numbers
    return pd.read_csv(StringIO(text), dtype=texts, keep_default_na=False, na_values=[""])


def _draw(name: str, text: str, folder: Path) -> Figure:
    # From the CSV text, not the frame in memory: `redraw` then gives the same figure.
    frame = _read(text)
    folder = user_path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with plt.style.context(STYLE):
        figure = _picture(name, frame)
        for kind, metadata in KINDS.items():
            part = folder / f".{name}.{kind}.part"
            figure.savefig(part, format=kind, metadata=metadata)
            part.replace(folder / f"{name}.{kind}")
    part = folder / f".{name}.csv.part"
    part.write_text(text, encoding="utf-8", newline="")
    part.replace(folder / f"{name}.csv")
    return figure


def picture(name: str, frame: pd.DataFrame) -> Figure:
    """Draw one figure without writing files.

    Args:
        name: a key of `FIGURES`.
        frame: its data; the text of its column `note` goes to a corner.

    Returns:
        The figure, in the style of the study.
    """
    with plt.style.context(STYLE):
        return _picture(name, frame)


def _picture(name: str, frame: pd.DataFrame) -> Figure:
    figure = FIGURES[name](frame)
    if "note" in frame and len(frame):
        figure.supxlabel(frame["note"].iloc[0], x=0.99, ha="right", fontsize=pt(SMALL), style="italic", color=QUIET)
    return figure


def export(
    csv: str | Path,
    target: str | Path,
    width_cm: float = COLUMN,
    height_cm: float | None = None,
    font_size: float = FONT_SIZE,
    title: str = "",
    labels: Mapping[str, str] | None = None,
) -> Figure:
    """Draw a figure of a study from its CSV file in another size, with a title and other texts.

    Args:
        csv: a file of `figures/<study>/`, such as `figures/paper/table_2.csv`; it is only read.
        target: the file to write, .svg, .pdf or .png (300 dpi); its folder is created if missing.
        width_cm: 1 to 200.
        height_cm: 1 to 200; None takes the height that the figure has by itself, which depends on the font size.
        font_size: of the axis labels, 1 to 100 pt; other texts, lines and marks change in proportion.
        title: of the figure, above its legend.
        labels: the new text of each old one: axis labels, legend entries, tick labels, titles of panels. Old texts are
            written on one line.

    Returns:
        The figure, for a notebook to show.

    Raises:
        ValueError: a wrong argument, a CSV file that belongs to no figure, or texts that do not fit.
        OSError: the CSV file cannot be read, or the target cannot be written.
    """
    csv, target = user_path(csv), user_path(target)
    name, kind = csv.stem, target.suffix[1:].lower()
    if csv.suffix != ".csv" or name not in FIGURES:
        raise ValueError(f"{csv}: belongs to no figure; give the .csv file of one of {', '.join(FIGURES)}")
    if kind not in KINDS:
        raise ValueError(f"{target}: give a file that ends in .{', .'.join(KINDS)}")
    between(width_cm, "width_cm", 1, 200)
    if height_cm is not None:
        between(height_cm, "height_cm", 1, 200)
    between(font_size, "font_size", 1, 100)
    text = csv.read_bytes()
    with plt.style.context(STYLE), plt.rc_context(sized(width_cm, font_size)):
        try:
            figure = _picture(name, _read(text.decode()))
        except (LookupError, TypeError, AttributeError, ValueError) as error:
            raise ValueError(f"{csv}: is not the data of {name} ({error}); restore the file") from error
        scale_lines(figure)
        try:
            finish(figure, title, labels or {}, height_cm)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
        target.parent.mkdir(parents=True, exist_ok=True)
        with replacing(target) as part:
            figure.savefig(part, format=kind, metadata=KINDS[kind])
    return figure


def plays_per_track(frame: pd.DataFrame) -> Figure:
    """Show how many tracks have few plays and how many have more (figure 2 of the progress report).

    Args:
        frame: plays (a range, the name of a bar), tracks, share (0 to 1).
    """
    figure, ax = new_figure(2.4)
    shares = zip(frame["tracks"], frame["share"], strict=True)
    texts = [f"{count(tracks, 'track')} ({percent(share)})" for tracks, share in shares]
    bars(ax, frame["plays"], frame["tracks"], texts)
    ax.set_xlabel("number of tracks")
    return figure


def long_tail(frame: pd.DataFrame) -> Figure:
    """Show the plays of each track against its rank by plays, on logarithmic axes.

    Args:
        frame: plays (descending), tracks (with exactly as many plays), rank (tracks with as many plays or more).
    """
    figure, ax = new_figure(5.4)
    plays, last = frame["plays"].to_numpy(), frame["rank"].to_numpy()
    first = last - frame["tracks"].to_numpy() + 1
    ax.plot(np.ravel([first, last], "F"), np.repeat(plays, 2), marker=".", markersize=1.2)
    tail_axes(ax, last[-1], plays[0])
    heard = np.cumsum(plays * frame["tracks"].to_numpy())
    row = np.searchsorted(2 * heard, heard[-1])  # the row in which the running sum reaches half of all plays
    half = last[row] - (heard[row] - heard[-1] / 2) // plays[row]
    text = f"half of all plays go to\n{count(int(half), 'track')} ({percent(half / last[-1])})"
    line = {"arrowstyle": "-", "color": QUIET, "linewidth": 0.6, "shrinkA": 2, "shrinkB": 2}
    look = {"textcoords": "axes fraction", "ha": "right", "va": "top", "color": QUIET, "arrowprops": line}
    ax.annotate(text, (half, plays[row]), (1, 1), **look)
    ax.plot(half, plays[row], color=QUIET, marker="o")
    return figure


def session_lengths(frame: pd.DataFrame) -> Figure:
    """Show the share of the sessions by length; more than 20 different lengths are grouped into ranges.

    Args:
        frame: length (events), sessions, share (0 to 1).
    """
    lengths = frame["length"].to_numpy()
    longest = lengths.max()
    starts = np.arange(lengths.min(), longest + 1)
    if len(starts) > 20:
        starts = LENGTHS
    ends = np.append(starts[1:] - 1, max(longest, starts[-1]))
    share = np.histogram(lengths, [*starts, np.inf], weights=frame["share"])[0]
    used = (starts <= longest) & (ends >= lengths.min())
    names = [f"{a} to {b}" if b > a else f"{a}" for a, b in zip(starts[used], ends[used], strict=True)]
    figure, ax = new_figure(1.5 + 0.36 * len(names))
    bars(ax, names, share[used], [percent(value) for value in share[used]])
    ax.set_title("length of the session (events)")
    ax.set_xlabel("share of the sessions")
    return figure


def skips_by_position(frame: pd.DataFrame) -> Figure:
    """Show the share of the plays that are skipped, by position in the session.

    Args:
        frame: position (from 1), skip_1, skip_2, skip_3 (shares of the plays, 0 to 1).
    """
    meanings = {"skip_1": "played very briefly", "skip_2": "played briefly", "skip_3": "not to the end"}
    figure, ax = new_figure(5.6)
    apart = 0.18 * np.arange(len(meanings))
    heights = np.maximum.accumulate(frame[list(meanings)].iloc[-1] - apart) + apart  # labels do not overlap
    for skip, look in zip(meanings, plt.rcParams["axes.prop_cycle"], strict=False):
        ax.plot(frame["position"], frame[skip], **look)
        label = {"textcoords": "offset points", "va": "center", "color": look["color"], "fontsize": pt(7)}
        ax.annotate(f"{skip}:\n{meanings[skip]}", (frame["position"].iloc[-1], heights[skip]), (pt(7), 0), **label)
    ax.xaxis.set_major_locator(MaxNLocator(5, integer=True, min_n_ticks=1, steps=[1, 2, 5, 10]))
    ax.yaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))
    ax.set(ylim=(0, 1), xlabel="position in the session", ylabel="share of the plays skipped")
    return figure


def split_sizes(frame: pd.DataFrame) -> Figure:
    """Show the sizes of training, validation and test.

    Args:
        frame: part, sessions, events, items.
    """
    figure, *axes = new_figure(6.2, rows=3)
    for ax, column, name in zip(axes, ("sessions", "events", "items"), ("sessions", "events", "tracks"), strict=True):
        bars(ax, frame["part"], frame[column], [f"{n:,}" for n in frame[column]])
        ax.set_title(name)
    return figure


def learning_curves(frame: pd.DataFrame) -> Figure:
    """Show validation Recall@20 and training loss by epoch: two panels for each loss, one line for each run.

    Args:
        frame: input_form, loss, seed, epoch (from 1), train_loss, validation_recall_at_20 (0 to 1); optional:
            output_form and tag.
    """
    frame = frame.assign(input_form=named(frame))
    columns = {"validation_recall_at_20": "validation\nRecall@20", "train_loss": "training\nloss"}
    losses, forms = looks(frame["loss"]), looks(frame["input_form"])
    thin = {"markevery": int(np.ceil(frame["epoch"].max() / 8)), "linewidth": 1, "markersize": 3}
    height = 1.3 + 3.2 * len(losses) + 0.2 * len(forms)
    figure, *axes = new_figure(height, rows=len(losses), columns=2, sharex=True)
    for pair, loss in zip(np.reshape(axes, (-1, 2)), losses, strict=True):
        runs = frame[frame["loss"] == loss].sort_values("epoch")
        pair[0].set_title(say(loss), fontweight="bold")
        for ax, column in zip(pair, columns, strict=True):
            for (form, _), run in runs.groupby(["input_form", "seed"]):
                ax.plot(run["epoch"], run[column], **forms[form] | thin)
            ax.set_ylabel(columns[column])
            ax.xaxis.set_major_locator(MaxNLocator(5, integer=True, min_n_ticks=1, steps=[1, 2, 5, 10]))
            ax.yaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
        best = frame["validation_recall_at_20"].max()
        pair[0].set_ylim(0, 1.1 * best if best > 0 else 1)  # one scale for all losses, so that recall compares
    for ax in axes[-2:]:
        ax.set_xlabel("epoch")
    legend(figure, forms, columns=2)
    return figure


def table_2(frame: pd.DataFrame) -> Figure:
    """Show Recall@20 and MRR@20 of every model under the protocol `known`; a dashed line at the best baseline.

    Args:
        frame: rows of table_2.csv: model, input_form, loss, seed, protocol, recall_at_20, mrr_at_20 (0 to 1); optional:
            output_form and tag. Of several seeds, a mark is the mean and a line the range.

    Raises:
        ValueError: no row has the protocol `known`.
    """
    frame = frame[frame["protocol"] == "known"]
    if frame.empty:
        raise ValueError("table_2: no row has the protocol `known`")
    trained, others = frame[frame["input_form"].notna()], frame[frame["input_form"].isna()]
    trained = trained.assign(name=named(trained))
    losses = {loss: look | {"linestyle": ""} for loss, look in looks(trained["loss"]).items()}
    cells = set(zip(trained["name"], trained["loss"], strict=True))
    # Where each mark stands, in cm from the top: the losses of a form one below the other, and its name beside their
    # middle.
    places, edges, names, top = {}, [], {}, 0.0
    for form in looks(trained["name"]):
        own = [loss for loss in losses if (form, loss) in cells]
        places |= {(form, loss): top + 0.2 + LINE * n for n, loss in enumerate(own)}
        names[form] = top + 0.2 + LINE * (len(own) - 1) / 2
        top += 0.4 + LINE * (len(own) - 1)
        edges.append(top)
    below = {name: top + 0.2 + 0.4 * n for n, name in enumerate(dict.fromkeys(others["model"]))}
    bottom = top + 0.4 * len(below)
    figure, *axes = new_figure(3.0 + bottom, columns=2, sharey=True)
    is_blend = ~is_baseline(others["model"])
    marks = {"baseline": BASELINE}
    blends = {*others.loc[is_blend, "model"]}
    marks |= {"blend": BLENDS[0] | {"linestyle": ""}} if blends else {}
    line = {"color": "0.65", "linewidth": 0.7, "linestyle": "--", "marker": ""}
    for ax, (score, title) in zip(axes, SCORES.items(), strict=True):
        column = f"{score}_at_20"
        if not is_blend.all():
            ax.axvline(others.loc[~is_blend, column].max(), **line, zorder=1)
        for name, runs in others.groupby("model")[column]:
            look = marks["blend" if name in blends else "baseline"]
            ax.hlines(below[name], runs.min(), runs.max(), color=look["color"])
            ax.plot(runs.mean(), below[name], **look, clip_on=False)
        for cell, runs in trained.groupby(["name", "loss"])[column]:
            ax.hlines(places[cell], runs.min(), runs.max(), color=losses[cell[1]]["color"])
            ax.plot(runs.mean(), places[cell], **losses[cell[1]])
        for edge in edges:
            ax.axhline(edge, color="0.9", linewidth=0.6, linestyle="-", marker="", zorder=0)
        ax.set_xlim(0, 1.06 * frame[column].max() or 1)
        ax.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
        ax.xaxis.set_major_formatter(lambda value, _: f"{value:g}".removeprefix("0") or "0")
        ax.tick_params(axis="y", length=0)
        ax.set_xlabel(title)
    named_places = names | below
    axes[0].set_yticks([*named_places.values()], [say(name) for name in named_places])
    axes[0].set_ylim(bottom, 0)
    if len(others):
        losses |= marks | ({} if is_blend.all() else {"best baseline": line})
    legend(figure, losses, columns=3)
    return figure


FIGURES: dict[str, Callable[[pd.DataFrame], Figure]] = {
    "model_diagram": model_diagram,
    "plays_per_track": plays_per_track,
    "long_tail": long_tail,
    "session_lengths": session_lengths,
    "skips_by_position": skips_by_position,
    "split_sizes": split_sizes,
    "learning_curves": learning_curves,
    "table_2": table_2,
    **AUDIT_FIGURES,
    **EVIDENCE_FIGURES,
    **LISTEN_FIGURES,
    **TWIN_FIGURES,
    "bench": bench,
}
