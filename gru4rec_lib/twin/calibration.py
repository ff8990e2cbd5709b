"""Compare simulated data with every published aggregate of MSSD.

Each aggregate is measured on the raw files. A comparison holds where the distance is within its tolerance, which was
set before measuring; all comparisons are reported. The published values and their sources are in mssd_facts.json.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import duckdb
import numpy as np
import pandas as pd

from gru4rec_lib.twin import measurements as measures
from gru4rec_lib.twin.catalogue import FACTS
from gru4rec_lib.utils.arguments import user_path

RARE = 10  # a rare track has at most this many plays
COLUMNS = ["quantity", "statistic", "where", "real", "twin", "distance", "tolerance", "holds", "source"]

# For each statistic: the distance of two values, and how the distances of several values are aggregated.
STATISTICS = {
    "difference": (lambda real, twin: (twin - real).abs(), "max"),
    "mean difference": (lambda real, twin: (twin - real).abs(), "mean"),
    "total variation": (lambda real, twin: (twin - real).abs() / 2, "sum"),
    "relative": (lambda real, twin: (twin / real - 1).abs(), "max"),
    "orders of magnitude": (lambda real, twin: np.log10(twin.clip(lower=1e-9) / real).abs(), "max"),
}


ORDER = ("orders of magnitude", 1.0, "arules_course")


class Comparison(NamedTuple):
    """One comparison of real and simulated data.

    Args:
        quantity: what is compared.
        real, twin: one number each, or several by name; a missing name counts as 0.
        statistic: a key of `STATISTICS`.
        tolerance: the greatest distance that holds.
        source: who published the real values.
    """

    quantity: str
    real: pd.Series | dict | float
    twin: pd.Series | dict | float
    statistic: str
    tolerance: float
    source: str

    def row(self) -> dict:
        """Return the row of the table: the distance, and both values `where` they differ most."""
        real, twin = (pd.Series(values, dtype=float) for values in (self.real, self.twin))
        real, twin = real.align(twin, fill_value=0)
        between, of_all = STATISTICS[self.statistic]
        apart = between(real, twin)
        distance, where = apart.agg(of_all), apart.idxmax()
        place = "" if len(apart) == 1 else " / ".join(where) if isinstance(where, tuple) else str(where)
        values = (self.quantity, self.statistic, place, real[where], twin[where], distance, self.tolerance)
        return dict(zip(COLUMNS, (*values, bool(distance <= self.tolerance), self.source), strict=True))


def calibrate(folder: Path, published: str | None = None) -> pd.DataFrame:
    """Measure raw files in the MSSD layout and compare them with the published aggregates.

    Args:
        folder: holds log_*.csv[.gz] and tf_*.csv[.gz], at any depth; of two logs, the first by name is for training.
        published: the size whose counts the files should have, `mini` or `dataset03`; otherwise counts are not
            compared.

    Returns:
        One row for each quantity: `quantity`; `statistic` (a key of STATISTICS); `where` (the value at which both
        differ most, empty for single numbers); `real` and `twin` there; `distance`; `tolerance`; `holds` (bool);
        `source` (of the real values, as named in mssd_facts.json).
    """
    with measures.load(user_path(folder)) as con:
        parts = [_plays(con, published), _sessions(con, published), _rows(con), _features(con)]
        if published == "mini":
            parts.append(_pairs(con))
        return pd.DataFrame([comparison.row() for part in parts for comparison in part], columns=COLUMNS)


def _plays(con: duckdb.DuckDBPyConnection, published: str | None) -> Iterator[Comparison]:
    if published not in FACTS["counts"]:
        return
    real, plays = FACTS["counts"][published], measures.play_counts(con)
    sessions = con.execute("SELECT count(DISTINCT session_id) FROM log").fetchone()[0]
    found = {"events": plays.sum(), "tracks": len(plays), "sessions": sessions}
    counts = {name: real[name] for name in found}
    yield Comparison("events, tracks, sessions", counts, found, "relative", 0.05, "study")
    if published == "mini":
        top = dict(enumerate(FACTS["rows"]["top_5_plays"], 1))
        yield Comparison("plays of the top 5 tracks", top, dict(enumerate(plays[:5], 1)), "relative", 0.25, "mccue")
    else:
        first = con.execute("SELECT count(DISTINCT track_id_clean) FROM log WHERE file = 1").fetchone()[0]
        rare, known = (plays <= RARE).mean(), real["rare_tracks_share"]
        yield Comparison(
            "tracks of the training file", real["tracks_of_training_file"], first, "relative", 0.05, "study"
        )
        yield Comparison(f"tracks with {RARE} plays or fewer", known, rare, "relative", 0.05, "study")
    expected = measures.expected_plays(real["events"], real["tracks"])
    source = "azghort: full histogram, sharpened to the published tracks, thinned to the published events"
    yield Comparison(
        "Gini of plays per track", measures.gini(expected), measures.gini(plays), "difference", 0.02, source
    )


def _sessions(con: duckdb.DuckDBPyConnection, published: str | None) -> Iterator[Comparison]:
    facts, both = FACTS["session"], measures.lengths(con, published).set_index("length")
    source = FACTS["session_length"]["source"]
    yield Comparison("session length", both["real"], both["twin"], "total variation", 0.02, source)
    distinct = con.execute("SELECT count(DISTINCT track_id_clean) AS n FROM sample GROUP BY session_id").df()["n"]
    real, twin = facts["distinct_tracks_mean"], distinct.mean()
    yield Comparison("distinct tracks a session, mean", real, twin, "difference", 0.3, "arules_course")
    twin = distinct.quantile([0.25, 0.5, 0.75])
    real = pd.Series(facts["distinct_tracks_quartiles"], twin.index)
    yield Comparison("distinct tracks a session, quartiles", real, twin, "difference", 1, "arules_course")
    real = facts["mean_distinct_values"]
    columns = ", ".join(f"count(DISTINCT {_column(name)}) AS {name}" for name in real)
    twin = con.execute(f"SELECT {columns} FROM log WHERE file = 1 GROUP BY session_id").df().mean()
    yield Comparison("distinct values in a session, mean", real, twin, "relative", 0.1, "sainathadapa")
    before = "lag(hist_user_behavior_reason_end) OVER (PARTITION BY session_id ORDER BY session_position)"
    rows = f"(SELECT hist_user_behavior_reason_start = {before} AS passed, session_position FROM log)"
    passed = con.execute(f"SELECT avg(passed::INT) FROM {rows} WHERE session_position > 1").fetchone()[0]
    real = facts["reason_passed_on"]
    yield Comparison("start reason is the end reason before", real, passed, "difference", 0.05, "fixture")


def _rows(con: duckdb.DuckDBPyConnection) -> Iterator[Comparison]:
    rows, skip, events = FACTS["rows"], FACTS["skip"], FACTS["rows"]["events"]
    kinds = ["skip_1", "skip_2", "skip_3", "not_skipped"]
    real = pd.Series(skip)[kinds] / events
    yield Comparison("skips", real, _means(con, {name: name for name in kinds}), "difference", 0.02, skip["source"])
    both = measures.skips(con).set_index("position")
    yield Comparison("skip_2 by position", both["real"], both["twin"], "difference", 0.03, skip["source"])
    by = {
        "context type": ("context_type", skip["skip_2_by_context_type"]),
        "hour": ("hour_of_day", dict(enumerate(skip["skip_2_by_hour"]))),
    }
    for name, (column, real) in by.items():
        means = con.execute(f"SELECT {column}, avg(skip_2::INT) AS share FROM log GROUP BY 1").df()
        twin = means.set_index(column)["share"]
        yield Comparison(f"skip_2 by {name}", real, twin, "difference", 0.03, skip["source"])
    for name in ("context_type", "reason_start", "reason_end", "hour_of_day"):
        real, twin = pd.Series(rows[name]), _shares(con, _column(name))
        yield Comparison(name.replace("_", " "), real / real.sum(), twin, "total variation", 0.02, rows["source"])
    flags = {name: f"{name}_before_play" for name in ("no_pause", "short_pause", "long_pause")}
    flags |= {"context_switch": "context_switch", "shuffle": "hist_user_behavior_is_shuffle"}
    seeks = {f"{name}_rows": f"hist_user_behavior_n_{name} > 0" for name in ("seekfwd", "seekback")}
    seeks |= {f"{name}_sum": f"hist_user_behavior_n_{name}" for name in ("seekfwd", "seekback")}
    for quantity, columns in {"pauses, context switch, shuffle": flags, "seeks, rows with any and mean": seeks}.items():
        real = pd.Series(rows)[list(columns)] / events
        yield Comparison(quantity, real, _means(con, columns), "difference", 0.02, rows["source"])
    premium = con.execute("SELECT avg(premium::INT) FROM log WHERE session_position = 1").fetchone()[0]
    real = rows["premium_sessions"]["all_premium"] / rows["sessions"]
    yield Comparison("premium sessions", real, premium, "difference", 0.02, rows["source"])


def _features(con: duckdb.DuckDBPyConnection) -> Iterator[Comparison]:
    facts, shift, correlation = FACTS["features"], FACTS["play_shift"], FACTS["feature_correlation"]
    columns = correlation["columns"]
    table = con.execute(f"SELECT {', '.join(columns)} FROM tracks").df().astype(float)
    scales = dict(zip(columns[-8:], facts["acoustic_vector_sd"], strict=True))
    below, quartiles = {}, {}
    for name, known in facts["marginals"].items():
        if name in scales:
            places = list(zip(known["p"], known["q"], strict=True))[1:-1]
            quartiles |= {(name, f"{p:.0%}"): np.array([q, table[name].quantile(p)]) / scales[name] for p, q in places}
            continue
        value = np.array(known.get("q", known.get("value")))
        real = np.array(known["p"]) if "p" in known else np.cumsum(known["n"]) / np.sum(known["n"])
        last = np.diff(value, append=np.inf) > 0  # the share below a value belongs to the last of equal quantiles
        both = np.array([real, [(table[name] <= v).mean() for v in value]])[:, last]
        below[name] = both[:, np.abs(both[0] - both[1]).argmax()]
    below, quartiles = (pd.DataFrame(both, index=["real", "twin"]).T for both in (below, quartiles))
    name = "scalar features, share below (KS)"
    yield Comparison(name, below["real"], below["twin"], "difference", 0.05, "azghort")
    name = "acoustic vectors, quartiles in sd"
    yield Comparison(name, quartiles["real"], quartiles["twin"], "difference", 0.1, "franknerd")
    both = measures.played(con).set_index("feature")
    name = "played tracks against all, in sd"
    yield Comparison(name, both["real"], both["twin"], "relative", 0.5, shift["source"])
    between = pd.MultiIndex.from_product([columns, columns])
    real = pd.Series(np.ravel(correlation["matrix"]), between)
    twin = pd.Series(np.ravel(table.corr()), between)
    yield Comparison("correlations of 28 features", real, twin, "mean difference", 0.05, "franknerd")


def _pairs(con: duckdb.DuckDBPyConnection) -> Iterator[Comparison]:
    facts = FACTS["pairs"]
    con.execute("""
        CREATE OR REPLACE TEMP TABLE heard AS
        SELECT DISTINCT session_id AS session, track_id_clean AS track FROM sample""")
    plays = con.execute("SELECT track, count(*) AS n FROM heard GROUP BY 1 ORDER BY n DESC").df()
    plays = plays.set_index("track")["n"]
    sessions = con.execute("SELECT count(DISTINCT session) FROM heard").fetchone()[0]
    least = facts["min_support"] * sessions
    rules = con.execute(f"""
        WITH frequent AS (FROM heard SEMI JOIN
            (SELECT track FROM heard GROUP BY 1 HAVING count(*) >= {least}) USING (track))
        SELECT a.track AS first, b.track AS other, count(*) AS n FROM frequent AS a JOIN frequent AS b USING (session)
        WHERE a.track <> b.track GROUP BY 1, 2 HAVING n >= {least}""").df()
    confidence = rules["n"] / rules["first"].map(plays)
    lift = confidence * sessions / rules["other"].map(plays)
    real = {place: n / facts["sessions"] for place, n in enumerate(facts["most_frequent"], 1)}
    yield Comparison("sessions with each of the top 5", real, dict(enumerate(plays[:5] / sessions, 1)), *ORDER)
    for quantity, real, twin in (
        ("tracks in 1 % of the sessions", facts["frequent_tracks"], (plays >= least).sum()),
        ("rules of two tracks, support 1 %", facts["rules_of_two"], len(rules)),
        ("rules, median confidence (real: of any length)", facts["confidence_quartiles"][1], confidence.median()),
        ("rules, median lift (real: of any length)", facts["lift_quartiles"][1], lift.median()),
    ):
        yield Comparison(quantity, real, twin, *ORDER)


def _shares(con: duckdb.DuckDBPyConnection, column: str) -> pd.Series:
    """Return the share of rows with each value of a column."""
    return con.execute(f"SELECT {column} FROM log").df()[column].value_counts(normalize=True)


def _means(con: duckdb.DuckDBPyConnection, columns: dict[str, str]) -> pd.Series:
    """Return the means of SQL expressions over all rows, by name."""
    means = ", ".join(f"avg(CAST({expression} AS DOUBLE)) AS {name}" for name, expression in columns.items())
    return con.execute(f"SELECT {means} FROM log").df().iloc[0]


def _column(name: str) -> str:
    return f"hist_user_behavior_{name}" if name.startswith("reason") else name
