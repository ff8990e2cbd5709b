"""The figure of the benchmarks; see `plotting/figures.py`."""

from __future__ import annotations

import re

import pandas as pd
from matplotlib.figure import Figure

from gru4rec_lib.plotting.style import bars, new_figure, percent, say


def bench(frame: pd.DataFrame) -> Figure:
    """Show training speed, the parts of a step's time, the speed relative to matrix products, and growth with tracks.

    Args:
        frame: `measure`, `value`, `unit` of `run.bench`.
    """
    values = frame.set_index("measure")["value"]
    speeds = _part(values, r"train_events_per_s_b(\d+)_(\w+)")
    shares = _part(values, r"step_share_(\w+)")
    ratios = _part(values, r"train_roofline_b(\d+)_(\w+)") | {("ranking",): values["rank_roofline"]}
    costs = _part(values, r"train_us_per_event_(\d+)k")
    heights = [len(speeds) + 1.5, len(shares) + 1.5, len(ratios) + 1.5, 6]
    figure, speed, share, ratio, growth = new_figure(
        0.45 * sum(heights), rows=4, gridspec_kw={"height_ratios": heights}
    )
    bars(speed, _cells(speeds), list(speeds.values()), [f"{value:,.0f}" for value in speeds.values()])
    speed.set_title("events per second, by loss and batch size")
    bars(share, [name.replace("_", " ") for (name,) in shares], list(shares.values()), map(percent, shares.values()))
    share.set_title("time of a step (cross-entropy 512)")
    bars(ratio, _cells(ratios), list(ratios.values()), [f"{value:.2f}" for value in ratios.values()])
    ratio.axvline(1, color="0.4", linewidth=0.7, linestyle="--", marker="")
    ratio.set_title("speed relative to matrix products")
    tracks = [1000 * int(size) for (size,) in costs]
    growth.plot(tracks, list(costs.values()))
    growth.set(xscale="log", ylim=(0, 1.3 * max(costs.values())), xlabel="tracks", ylabel="µs per event")
    growth.set_xticks(tracks, [f"{n:,}" for n in tracks], minor=False)
    growth.minorticks_off()
    growth.set_title("time per event (cross-entropy 512)")
    return figure


def _cells(found: dict[tuple[str, ...], float]) -> list[str]:
    """Name the bars by loss and batch size, or by the only part of a key."""
    return [" ".join(say(part) for part in reversed(key)) for key in found]


def _part(values: pd.Series, pattern: str) -> dict[tuple[str, ...], float]:
    """Return the measures that match a pattern: its groups and the value of each."""
    found = {re.fullmatch(pattern, name): value for name, value in values.items()}
    return {match.groups(): value for match, value in found.items() if match}
