"""Describe the sessions: the tables of Table 1 and the exploration figures.

Each function computes a small tidy table from the events of `preparation/readers.py` and is named as the figure that
draws it: `figures.draw("long_tail", explore.long_tail(events), folder)`.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from gru4rec_lib.config.study import EventData, MssdData
from gru4rec_lib.utils.rounding import signed

# Table 1 of the course paper; `mini` is from its progress report.
PAPER_TABLE_1 = {
    "full": {"events": 2_250_000_000, "tracks": 3_700_000, "sessions": 150_000_000},
    "dataset03": {"events": 6_066_614, "tracks": 505_195, "sessions": 365_448},
    "mini": {"events": 167_880, "tracks": 50_704, "sessions": 10_000},
}

# Tracks with this many plays or fewer are rare in the progress report's figure 2.
RARE = 10

SKIPS = ("skip_1", "skip_2", "skip_3")


def paper_counts(data: MssdData | EventData) -> Mapping[str, int] | None:
    """Return the row of PAPER_TABLE_1 that a study is compared with, if any.

    Args:
        data: the study's data.
    """
    return PAPER_TABLE_1.get(getattr(data, "published", None))


def table_1(events: pd.DataFrame, published: Mapping[str, int] | None = None) -> pd.DataFrame:
    """Count events, tracks and sessions, and compare them with the paper's counts.

    Args:
        events: one row an event; columns session and item.
        published: of `paper_counts`; None for no comparison.

    Returns:
        One row a quantity (events, tracks, sessions). Columns: quantity; count (int64); with `published` also
        published (int64, of the paper) and difference_percent (float64, of that count; positive for more here).
    """
    counts = {
        "events": len(events),
        "tracks": events["item"].nunique(),
        "sessions": events["session"].nunique(),
    }
    table = pd.DataFrame({"quantity": list(counts), "count": list(counts.values())})
    if published is None:
        return table
    table["published"] = table["quantity"].map(published)
    table["difference_percent"] = 100 * (table["count"] / table["published"] - 1)
    return table


def compare(table: pd.DataFrame) -> str:
    """Describe Table 1 in words, with the differences from the paper's counts.

    Args:
        table: of `table_1`.

    Returns:
        One sentence a quantity, one a line.
    """
    lines = []
    for row in table.to_dict("records"):
        line = f"{row['quantity']}: {row['count']:,}"
        if "published" in row:
            differs, percent = row["count"] != row["published"], signed(row["difference_percent"], digits=1)
            line += f", published {row['published']:,}: {f'{percent} %' if differs else 'equal'}"
        lines.append(line)
    return "\n".join(lines)


def play_counts(events: pd.DataFrame) -> pd.DataFrame:
    """Count the plays of every track.

    Args:
        events: one row an event; column item.

    Returns:
        One row a played track, most played first, ties by id. Columns: item (str), plays (int64).
    """
    plays = events["item"].value_counts(sort=False)
    plays = plays[plays > 0]  # a categorical column may have categories without rows
    counts = pd.DataFrame({"item": plays.index.astype(str), "plays": plays.to_numpy()})
    return counts.sort_values(["plays", "item"], ascending=[False, True], ignore_index=True)


def most_played(events: pd.DataFrame, labels: pd.DataFrame | None = None, n: int = 10) -> pd.DataFrame:
    """List the tracks with the most plays.

    Args:
        events: one row an event; column item.
        labels: as for `data.labels.names`; None shows the ids.
        n: how many.

    Returns:
        The first rows of `play_counts`; with `labels` these in place of the ids.
    """
    counts = play_counts(events).head(n)
    return (
        counts
        if labels is None
        else counts.merge(labels, how="left").drop(columns="item")[[*labels.columns[1:], "plays"]]
    )


def plays_per_track(events: pd.DataFrame) -> pd.DataFrame:
    """Count the rare tracks and the others (the progress report's figure 2).

    Args:
        events: one row an event; column item.

    Returns:
        Two rows: tracks with 10 plays or fewer, and with more. Columns: plays (str), tracks (int64), share (float64,
        of all played tracks, 0 to 1).
    """
    rare = play_counts(events)["plays"] <= RARE
    tracks = np.array([rare.sum(), (~rare).sum()])
    names = [f"{RARE} plays or fewer", f"more than {RARE} plays"]
    return pd.DataFrame({"plays": names, "tracks": tracks, "share": tracks / max(len(rare), 1)})


def long_tail(events: pd.DataFrame) -> pd.DataFrame:
    """Count the tracks of each number of plays.

    Args:
        events: one row an event; column item.

    Returns:
        One row a number of plays, most plays first. Columns: plays (int64); tracks (int64, with exactly so many plays);
        rank (int64, tracks with so many plays or more).
    """
    tracks = play_counts(events)["plays"].value_counts().sort_index(ascending=False)
    return pd.DataFrame({"plays": tracks.index, "tracks": tracks.to_numpy(), "rank": tracks.cumsum().to_numpy()})


def session_lengths(events: pd.DataFrame) -> pd.DataFrame:
    """Count the sessions of each length.

    Args:
        events: one row an event; column session.

    Returns:
        One row a length, shortest first. Columns: length (int64, events); sessions (int64); share (float64, of all
        sessions, 0 to 1).
    """
    lengths = events.groupby("session", observed=True).size()
    sessions = lengths.value_counts().sort_index()
    shares = sessions.to_numpy() / max(len(lengths), 1)
    return pd.DataFrame({"length": sessions.index, "sessions": sessions.to_numpy(), "share": shares})


def has_skips(events: pd.DataFrame) -> bool:
    """Whether the events have skips, as MSSD logs do.

    Args:
        events: one row an event.
    """
    return set(SKIPS) <= set(events)


def skips_by_position(events: pd.DataFrame) -> pd.DataFrame:
    """Compute how often tracks are skipped at each position of a session.

    Args:
        events: one row an event; columns position and the MSSD's skip_1, skip_2 and skip_3 (bool).

    Returns:
        One row a position. Columns: position (from 1); plays (int64); skip_1, skip_2, skip_3 (float64, share of its
        plays, 0 to 1).

    Raises:
        ValueError: the events have no skips.
    """
    missing = [column for column in SKIPS if column not in events]
    if missing:
        raise ValueError(f"skips_by_position: the events have no column {', '.join(missing)}; only MSSD logs carry it")
    by_position = events.groupby("position", observed=True)
    shares = by_position[list(SKIPS)].mean().astype("float64")
    shares.insert(0, "plays", by_position.size())
    return shares.reset_index()
