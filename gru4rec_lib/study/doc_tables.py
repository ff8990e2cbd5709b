"""The tables of results in README.md and docs/, generated from reports/.

A table stands between the lines `<!-- table: NAME -->` and `<!-- end -->`; NAME is a key of TABLES, followed by a colon
and the study, or the studies with commas, where the table is of some. `python -m gru4rec_lib doc-tables` writes all of
them again. Other studies in reports/, such as one's own, change no page.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pandas as pd

from gru4rec_lib.config.audit import CONCLUSIONS, LOSSES
from gru4rec_lib.data.columns import Columns
from gru4rec_lib.evaluation.comparison import is_baseline
from gru4rec_lib.plotting.figures import FIGURES
from gru4rec_lib.plotting.style import named
from gru4rec_lib.study.tables import ON_VALIDATION, lead
from gru4rec_lib.utils.atomic_write import replacing
from gru4rec_lib.utils.rounding import fixed

BLOCK = re.compile(r"(<!-- table: ([\w:,]+) -->\n).*?(<!-- end -->)", re.DOTALL)
SESSION_REC = ("item_knn", "sequential_rules", "sknn", "v_sknn", "stan")  # have session-rec's settings as `published`
SCORES = {"recall": "Recall@20", "mrr": "MRR@20"}
BENCH = {
    "train_events_per_s_b64_cross_entropy": "training, batch 64, 505,195 tracks",
    "train_events_per_s_b512_cross_entropy": "training, batch 512, 505,195 tracks",
    "train_events_per_s_b512_bpr_max": "training with BPR-max, batch 512",
    "train_roofline_b512_cross_entropy": "matrix products of a training step in NumPy: their time / its time",
    "rank_events_per_s": "ranking targets exactly among all tracks",
    "rank_roofline": "matrix products of ranking: their time / its time; above 1, as bounds skip blocks of tracks",
    "recommend_ms": "time to recommend 20 tracks for one session, exactly: median over 2,000 sessions",
    "recommend_ratio": "median time to recommend for one session / time to score all tracks",
    "recommend_p99_ratio": "99th percentile / median of the time to recommend for one session",
    "recommend_many_ratio": "time of 10,000 calls of `recommend` / time of one `recommend_many` for the same sessions",
    "serve_p99_ms": "99th percentile of a request for 20 tracks to the server, 8 at a time",
    "peers_train_ratio_b64": "training on yoochoose, batch 64: our events/s / those of Cornac's GRU4Rec",
    "peers_train_ratio_b512": "training on yoochoose, batch 512: our events/s / those of Cornac's GRU4Rec",
    "peers_one_ratio": "20 best tracks of one state: time of faiss (IndexFlatIP) / ours",
    "peers_many_ratio": "20 best tracks of 512 states: time of faiss / ours",
    "peers_item_knn_ratio": "fitting item-kNN: time of implicit / ours",
    "growth_50k_to_3700k": "training time of an event with 3,700,000 tracks / with 50,000",
    "memory_peak_gb_3700k": "peak memory of training and ranking with 3,700,000 tracks",
    "memory_estimate_ratio_3700k": "memory estimate printed before training / measured peak",
    "prepare_s": "preparing a tenth of two logs: raw files to arrays, with validation",
    "prepare_peak_gb": "peak memory of preparing a tenth of two logs",
    "log_prepare_s": "preparing a log of Last.fm-1K's size and layout (19,150,868 plays): file to arrays",
    "log_prepare_ratio": "time of preparing that log / time in which DuckDB reads it into a table, all cells as text",
    "log_prepare_peak_gb": "peak memory of preparing that log",
}


def pages(root: Path) -> list[Path]:
    """List the pages that may hold tables.

    Args:
        root: the project's folder.

    Returns:
        README.md, then the pages of docs/ by name.
    """
    return [root / "README.md", *sorted((root / "docs").glob("*.md"))]


def filled(page: Path, reports: Path) -> str:
    """Generate the tables of a page from reports.

    Args:
        page: a Markdown file.
        reports: the folder of the studies' reports.

    Returns:
        The text of the page.

    Raises:
        ValueError: a block names an unknown table.
    """

    def table(match: re.Match) -> str:
        name, _, studies = match[2].partition(":")
        if name not in TABLES:
            raise ValueError(f"{page}: there is no table `{name}`; known are {', '.join(TABLES)}")
        folders = [reports / study for study in studies.split(",")] if studies else [reports]
        rows = TABLES[name](*folders)
        return f"{match[1]}{_markdown(*rows)}{match[3]}"

    return BLOCK.sub(table, page.read_text(encoding="utf-8"))


def write(root: Path) -> None:
    """Write the tables of all pages again.

    Args:
        root: the project's folder.
    """
    for page in pages(root):
        text = filled(page, root / "reports")
        with replacing(page) as path:
            path.write_text(text, encoding="utf-8")


def _grid(folder: Path) -> Iterator[list[str]]:
    table = _known(_read(folder, "table_2_over_seeds"))
    table = table[table["tag"] == ""]
    yield ["input", *LOSSES]
    trained = table[(table["model"] == "gru4rec") & table["loss"].isin(LOSSES)]
    for form, rows in trained.groupby(named(trained), sort=False):
        texts = {row.loss: _interval(row) for row in rows.itertuples()}
        yield [form, *(texts.get(loss, "") for loss in LOSSES)]
    for row in table[table["model"] != "gru4rec"].sort_values("recall_at_20", ascending=False).itertuples():
        yield [row.model, _interval(row), *[""] * (len(LOSSES) - 1)]


def _with_unseen(folder: Path) -> Iterator[list[str]]:
    """Rows of every model, baselines last, on targets seen in training, on unseen ones and on all; means over seeds."""
    both, unseen = _read(folder, "table_2_over_seeds"), _read(folder, "cold_tracks")
    unseen = unseen.groupby(Columns.MODEL, as_index=False)["recall_at_20"].mean()
    table = _known(both).merge(unseen, on=Columns.MODEL, how="left", suffixes=("", "_unseen"))
    every = both.loc[both["protocol"] == "open", [*Columns.MODEL, "recall_at_20", "mrr_at_20"]]
    table = table.merge(every, on=Columns.MODEL, how="left", suffixes=("", "_open"))
    table["is_baseline"] = table["model"] != "gru4rec"
    yield [
        "model",
        "scoring row",
        "`known`: Recall@20 (95 %) / MRR@20",
        "unseen: Recall@20",
        "`open`: Recall@20 / MRR@20",
    ]
    for row in table.sort_values(["is_baseline", "recall_at_20"], ascending=[True, False]).itertuples():
        if row.is_baseline or row.loss == "cross_entropy":
            name = row.model if row.is_baseline else ", ".join(filter(None, (row.input_form, row.tag)))
            of_all = f"{_number(row.recall_at_20_open)} / {_number(row.mrr_at_20_open)}"
            yield [name, row.output_form, _interval(row), _number(row.recall_at_20_unseen), of_all]


def _audit(folder: Path) -> Iterator[list[str]]:
    table = _read(folder, "audit")
    switches = sorted(table["switch"].unique(), key=_by_number)
    yield ["configuration", "score", *(name.replace("all_mended", "all fixed").replace("_", " ") for name in switches)]
    for (form, loss, metric), rows in table.groupby(["input_form", "loss", "metric"], sort=False):
        values = dict(zip(rows["switch"], rows["value"], strict=True))
        shown = [_number(values[name]) if name in values else "" for name in switches]
        yield [f"{form}, {loss}", SCORES[metric], *shown]


def _by_number(switch: str) -> tuple:
    """Sort as published first, then by number, then D12, which is added, and all fixed last."""
    number = re.search(r"\d+", switch)
    return switch == "all_mended", switch.startswith("with"), int(number[0]) if number else 0, switch


def _shop(reports: Path) -> Iterator[list[str]]:
    folder = reports / "yoochoose_100k"
    table, times = _known(_read(folder, "table_2_over_seeds")), _read(folder, "time_to_quality")
    table, times = (one[one["input_form"] == "shared"] for one in (table, times))
    yield ["model", "Recall@20 / MRR@20", "seconds of training, one core"]
    for loss in ("cross_entropy", "bpr_max"):
        yield [f"{loss}, the official code, its settings", _comparator(reports, "yoochoose_100k", loss), ""]
        for name, tag in (("its settings", "official"), ("our settings", ""), ("our fast settings", "fast_")):
            rows, own = (one[one["loss"] == loss] for one in (table, times))
            rows, own = (one[one["tag"].str.startswith(tag) if tag else one["tag"] == ""] for one in (rows, own))
            if len(rows):
                seconds = own["seconds_of_tested"].astype(float)
                yield [f"{loss}, ours, {name}", _pair(rows), f"{seconds.min():.0f} to {seconds.max():.0f}"]


def _session_rec(reports: Path) -> Iterator[list[str]]:
    study = "yoochoose_100k"
    table = _known(_read(reports / study, "table_2"))
    yield ["baseline", study, "session-rec"]
    names = {name: name for name in ("most_popular", "session_popular")} | {n: f"{n}-published" for n in SESSION_REC}
    for model, ours in names.items():
        yield [model, _pair(table[table["model"] == ours]), _comparator(reports, study, model)]


def _content_adds(*studies: Path) -> Iterator[list[str]]:
    yield ["study", "with content", "identity alone", "Recall@20", "MRR@20"]
    for study in studies:
        table = pd.read_csv(study / "content_less_identity.csv", keep_default_na=False)
        table = table[table["loss"] == "cross_entropy"]
        for names, rows in table.groupby(["content", "identity"], sort=False):  # the control may be the best identity
            rows = rows.drop_duplicates("score").set_index("score").loc[[*SCORES]]
            texts = [f"{_number(r.difference)} ({_number(r.low)} to {_number(r.high)})" for r in rows.itertuples()]
            yield [f"`{study.name}`", *names, *texts]


def _sizes(*studies: Path) -> Iterator[list[str]]:
    """The data of studies after preparation: what networks and baselines learn from, and what they are tested on."""
    yield [
        "study",
        "training sessions",
        "plays",
        "tracks",
        "test sessions",
        "targets of `known`",
        "of `open`",
        "unseen",
    ]
    for study in studies:
        counts = pd.read_csv(study / "counts.csv").drop_duplicates("step", keep="last").set_index("step")
        train, test = (counts.loc[f"{part}: sessions of one event dropped"] for part in ("training", "test"))
        targets = _read(study, "table_2").groupby("protocol")["n_targets"].max().astype(int)
        unseen = _read(study, "cold_tracks")["n_targets"].astype(int).max() if targets["open"] > targets["known"] else 0
        numbers = [*train[["sessions", "events", "items"]], test["sessions"], targets["known"], targets["open"]]
        yield [f"`{study.name}`", *(f"{number:,}" for number in numbers), f"{100 * unseen / targets['open']:.0f} %"]


def _repeats(*studies: Path) -> Iterator[list[str]]:
    """Scores on targets that are new to their session and on repeats: the best of each kind on validation."""
    yield ["study", "target", "targets", "baseline", "network", "blend"]
    for study in studies:
        validation, strata = _read(study, "validation_and_test"), _read(study, "strata")
        validation = validation.astype(dict.fromkeys(ON_VALIDATION, float))
        validation["name"] = named(validation) + (", " + validation["loss"]).where(validation["loss"] != "", "")
        kind = validation["model"].str.partition("-")[0].where(~is_baseline(validation["model"]), "baseline")
        by_recall = validation[kind == "baseline"].sort_values(ON_VALIDATION, ascending=False)
        leaders = [by_recall.iloc[0]]
        leaders += [validation.loc[lead(validation[kind == one]).idxmax()] for one in ("gru4rec", "blend")]
        rows = _known(strata[strata["by"] == "repeat"])
        for stratum, own in rows.groupby("stratum", sort=False):
            texts = []
            for leader in leaders:
                row = own.merge(leader[Columns.MODEL].to_frame().T, on=Columns.MODEL)
                texts.append(f"{leader['name']} {_pair(row)}")
            yield [f"`{study.name}`", stratum, f"{int(float(own['n_targets'].iloc[0])):,}", *texts]


def _conclusions(*studies: Path) -> Iterator[list[str]]:
    tables = {study.name: pd.read_csv(study / "conclusions.csv") for study in studies}
    yield ["holds / does not / undecided, in Recall@20", *(f"`{name}`" for name in tables)]
    for code, claim in CONCLUSIONS.items():
        texts = []
        for table in tables.values():
            own = table[(table["score"] == "recall") & table["published"].notna() & (table["conclusion"] == code)]
            counts = " / ".join(str((own["holds"] == one).sum()) for one in ("yes", "no", "undecided"))
            texts.append(counts if len(own) else "")
        yield [f"{code}: {claim}", *texts]


def _samples(reports: Path) -> Iterator[list[str]]:
    folder = reports / "sampled_or_full"
    table, times = _known(_read(folder, "table_2")), _read(folder, "time_to_quality")
    keys = ["tag", "seed"]
    table = (
        table[table["model"] == "gru4rec"]
        .astype({"seed": int})
        .merge(times.astype({"seed": int})[[*keys, "seconds_of_tested"]], on=keys)
    )
    names = {"all": "all tracks", "samples_2048": "2,048 sampled", "": "512 sampled", "in_batch": "in the batch"}
    yield ["negatives of a step", "seed", "Recall@20 (95 %) / MRR@20", "seconds"]
    for row in table.sort_values("seconds_of_tested", ascending=False).itertuples():
        yield [names[row.tag], str(row.seed), _interval(row), f"{float(row.seconds_of_tested):.0f}"]


def _importance(*studies: Path) -> Iterator[list[str]]:
    """The five groups of features on which the best network with content depends most."""
    yield ["study", "Recall@20", "loss of Recall@20 where the feature is permuted among the tracks: the largest"]
    for study in studies:
        table = _read(study, "feature_importance")
        table = table[table["metric"] == "recall"].sort_values("difference", ascending=False)
        lost = [f"{row.group} {_number(row.difference)}" for row in table.head(5).itertuples()]
        yield [f"`{study.name}`", _number(table["value"].iloc[0]), ", ".join(lost)]


def _figures(reports: Path) -> Iterator[list[str]]:
    yield ["figure", "what it shows"]
    for name, draw in FIGURES.items():
        yield [f"`{name}`", re.sub(r"^Show ", "", draw.__doc__.split("\n")[0]).rstrip(".")]


def _bench(reports: Path) -> Iterator[list[str]]:
    table = _read(reports / "bench", "bench").set_index("measure")
    yield ["measure", "value", "description"]
    for name, what in BENCH.items():
        if name not in table.index:  # a measure that only some runs have
            continue
        value, unit = float(table.loc[name, "value"]), table.loc[name, "unit"]
        number = f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"
        yield [f"`{name}`", f"{number} {unit}".strip(), what]


# Functions that yield a table's rows, the header first, from the folder of a study's reports or of all reports.
TABLES: dict[str, Callable[[Path], Iterable[list[str]]]] = {
    "grid": _grid,
    "with_unseen": _with_unseen,
    "audit": _audit,
    "shop": _shop,
    "session_rec": _session_rec,
    "content_adds": _content_adds,
    "sizes": _sizes,
    "repeats": _repeats,
    "conclusions": _conclusions,
    "samples": _samples,
    "importance": _importance,
    "figures": _figures,
    "bench": _bench,
}


def _read(folder: Path, name: str) -> pd.DataFrame:
    table = pd.read_csv(folder / f"{name}.csv", keep_default_na=False)
    return table if "tag" in table else table.assign(tag="")


def _known(table: pd.DataFrame) -> pd.DataFrame:
    return table[table["protocol"] == "known"]


def _pair(rows: pd.DataFrame) -> str:
    (row,) = rows.itertuples()
    return f"{_number(row.recall_at_20)} / {_number(row.mrr_at_20)}"


def _comparator(reports: Path, data: str, model: str) -> str:
    """Scores of another implementation, the mean over its seeds."""
    table = pd.read_csv(reports / "comparators.csv")
    own = table[(table["data"] == data) & (table["model"] == model)]
    return f"{_number(own['recall_at_20'].mean())} / {_number(own['mrr_at_20'].mean())}"


def _interval(row) -> str:
    recall = f"{_number(row.recall_at_20)} ({_number(row.recall_low)} to {_number(row.recall_high)})"
    return f"{recall} / {_number(row.mrr_at_20)}"


def _number(value: float | str) -> str:
    return "" if value == "" or pd.isna(value) else fixed(float(value))


def _markdown(header: list[str], *rows: list[str]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "".join(f"| {' | '.join(texts)} |\n" for texts in lines)
