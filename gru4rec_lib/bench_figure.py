"""The figure of the bench; see `figures.py`."""

from __future__ import annotations

import re

import pandas as pd
from matplotlib.figure import Figure

from gru4rec_lib.drawing import bars, new_figure, percent, say


def bench(frame: pd.DataFrame) -> Figure:
    """Show how fast training is, where a step's time goes, how near that is to plain products, and how it grows.

    Args:
        frame: `measure`, `value`, `unit` of `bench.bench`.
    """
    values = frame.set_index("measure")["value"]
    figure, speed, share, ratio, growth = new_figure(9.5, rows=4)
    found = _part(values, r"train_events_per_s_b(\d+)_(\w+)")
    names = [f"{say(loss)} {lanes}" for lanes, loss in found]
    bars(speed, names, list(found.values()), [f"{value:,.0f}" for value in found.values()])
    speed.set_title("events a second, by loss and batch size")
    found = _part(values, r"step_share_(\w+)")
    bars(share, [name.replace("_", " ") for (name,) in found], list(found.values()), map(percent, found.values()))
    share.set_title("time of a step of cross-entropy 512")
    found = _part(values, r"train_roofline_b(\d+)_(\w+)")
    names = [f"{say(loss)} {lanes}" for lanes, loss in found] + ["ranking"]
    found = [*found.values(), values["rank_roofline"]]
    bars(ratio, names, found, [f"{value:.2f}" for value in found])
    ratio.axvline(1, color="0.4", linewidth=0.7, linestyle="--", marker="")
    ratio.set_title("speed as part of plain matrix products'")
    found = _part(values, r"train_us_per_event_(\d+)k")
    tracks = [1000 * int(size) for (size,) in found]
    growth.plot(tracks, list(found.values()))
    growth.set(xscale="log", ylim=(0, 1.3 * max(found.values())), xlabel="tracks", ylabel="µs an event")
    growth.set_xticks(tracks, [f"{n:,}" for n in tracks], minor=False)
    growth.minorticks_off()
    growth.set_title("cost of an event of cross-entropy 512")
    return figure


def _part(values: pd.Series, pattern: str) -> dict[tuple[str, ...], float]:
    """The measures of one kind: what tells them apart, and their values."""
    found = {re.fullmatch(pattern, name): value for name, value in values.items()}
    return {match.groups(): value for match, value in found.items() if match}
