"""The numbers of the README are those of the committed tables."""

import itertools
import re
from pathlib import Path

import pandas as pd
import pytest

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
CELL = re.compile(r"(\d\.\d{3}) \((\d\.\d{3}) to (\d\.\d{3})\) / (\d\.\d{3})")
NUMBER = re.compile("\N{MINUS SIGN}?" + r"\d\.\d{3}")
KEYS = ["model", "input_form", "output_form", "tag"]
SHOWN = ["recall_at_20", "recall_low", "recall_high", "mrr_at_20"]


def table_behind(text):
    """Header and rows of the first table behind a text, cell by cell."""
    lines = README[README.index(text) :].splitlines()
    lines = lines[next(n for n, line in enumerate(lines) if line.startswith("|")) :]
    header, _, *rows = itertools.takewhile(lambda line: line.startswith("|"), lines)
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in (header, *rows)]


def with_tag(table):
    """The column `tag` too, which a table has where a cell has one."""
    return table.reindex(columns=[*table, *{"tag"}.difference(table)], fill_value="")


def comparator(data, model):
    """What other people's code reaches, the mean over its seeds, as the README says it."""
    table = pd.read_csv(ROOT / "reports" / "comparators.csv")
    own = table[(table["data"] == data) & (table["model"] == model)]
    return f"{own['recall_at_20'].mean():.3f} / {own['mrr_at_20'].mean():.3f}"


@pytest.mark.parametrize("study", ["paper", "twin_dataset03"])
def test_the_tables_of_inputs_and_losses_are_those_of_the_studies(study):
    published = pd.read_csv(ROOT / "reports" / study / "table_2_over_seeds.csv", keep_default_na=False)
    published = with_tag(published)
    of_grid = published["tag"].eq("") & published["output_form"].isin(["", "ids"])
    published = published[published["protocol"].eq("known") & of_grid]
    (_, *losses), *rows = table_behind(f"tudy `{study}`: ")
    published = published[published["loss"].isin(["", *losses])]
    shown = []
    for name, *cells in rows:
        for loss, cell in zip(losses, cells, strict=True):
            if cell:
                own = (published["input_form"].eq(name) & published["loss"].eq(loss)) | published["model"].eq(name)
                (place,) = published.index[own]
                said = [float(number) for number in CELL.fullmatch(cell).groups()]
                assert said == [round(score, 3) for score in published.loc[place, SHOWN]], (name, loss)
                shown.append(place)
    is_trained = published["model"] == "gru4rec"
    best = published.loc[~is_trained, ["recall_at_20", "mrr_at_20"]].idxmax()
    assert {*published.index[is_trained], *best} <= {*shown}


@pytest.mark.parametrize(
    ("study", "known_targets", "cold_targets"),
    [("thirty_music", (8212, 39649), (6992, 46097)), ("polimi", (21481, 12675), (927, 20635))],
)
def test_the_tables_with_cold_tracks_are_those_of_real_sessions(study, known_targets, cold_targets):
    paths = [ROOT / "reports" / study / f"{name}.csv" for name in ("table_2", "cold_tracks")]
    known, cold = (with_tag(pd.read_csv(path, keep_default_na=False)) for path in paths)
    known = known[known["protocol"] == "known"]
    for table, told in ((known, known_targets), (cold, cold_targets)):
        assert {*zip(table["n_targets"], table["n_candidates"], strict=True)} == {told}
    _, *rows = table_behind(f"Study `{study}`")
    for name, output, cell, recall in rows:
        form, _, tag = name.partition(", ")
        key = pd.Series(["gru4rec", form, output, tag] if output else [name, "", "", ""], KEYS)
        found = [
            table[table[KEYS].eq(key).all(axis=1) & table["loss"].isin(["", "cross_entropy"])]
            for table in (known, cold)
        ]
        said = [float(number) for number in (*CELL.fullmatch(cell).groups(), recall)]
        one, other = (table.iloc[0] for table in found)
        assert said == [round(score, 3) for score in (*one[SHOWN], other["recall_at_20"])], name


def test_the_audit_and_the_lead_are_those_of_thirty_music():
    folder = ROOT / "reports" / "thirty_music"
    known = pd.read_csv(folder / "table_2.csv", keep_default_na=False).query("protocol == 'known'")
    audit = pd.read_csv(folder / "audit.csv").query("metric == 'recall'")
    audit = audit.set_index([audit["input_form"] + ", " + audit["loss"], "switch"])["value"]
    (_, *variants), *rows = table_behind("What the course paper's code would")
    for cell, *said in rows:
        for variant, value in zip(variants, said, strict=True):
            switch = {"as published": "as_published", "all mended": "all_mended"}.get(variant, variant.split()[0])
            assert value == (f"{audit[cell, switch]:.3f}" if value else ""), (cell, variant)
    best = known.loc[known["mrr_at_20"].idxmax()]
    assert tuple(best[KEYS]) == ("gru4rec", "shared", "hybrid", "wide")


def test_the_audit_of_two_logs_is_told_as_it_is():
    table = pd.read_csv(ROOT / "reports" / "audit_two_logs" / "audit.csv")
    told = README[README.index("study `audit_two_logs`") :].split("\n\n")[0]
    for loss, metric, switches in (
        ("bpr_max", "recall", ("as_published", "D9", "all_mended")),
        ("cross_entropy", "recall", ("as_published", "D9", "all_mended")),
        ("bpr_max", "mrr", ("as_published", "D1")),
        ("cross_entropy", "mrr", ("as_published", "D1")),
    ):
        own = table[(table["loss"] == loss) & (table["metric"] == metric)].set_index("switch")["value"]
        values = [f"{own[switch]:.3f}" for switch in switches]
        assert re.search(".{1,60}".join(values), told, re.DOTALL), (loss, metric, values)


def test_the_table_of_the_shop_is_that_of_yoochoose_100k():
    folder = ROOT / "reports" / "yoochoose_100k"
    table = pd.read_csv(folder / "table_2_over_seeds.csv", keep_default_na=False)
    known = table[(table["protocol"] == "known") & (table["seeds"] == 3)]
    assert set(known["n_targets"]) == {12455}
    assert set(known["n_candidates"]) == {2873}
    times = pd.read_csv(folder / "time_to_quality.csv", keep_default_na=False)
    _, *rows = table_behind("On sessions of a shop")
    assert len(rows) == 2
    for name, ours, official, fast, seconds in rows:
        assert official == comparator("yoochoose_100k", name.split(", ")[1])
        own = known[(known["input_form"] == "shared") & (known["loss"] == name.split(", ")[1])]
        assert len(own) == 2
        for said, tag in ((ours, ""), (fast, "fast_")):
            one = own[own["tag"].str.startswith("fast_") == bool(tag)].iloc[0]
            assert said == f"{one['recall_at_20']:.3f} / {one['mrr_at_20']:.3f}", (name, tag)
        spent = times[(times["loss"] == name.split(", ")[1]) & times["tag"].str.startswith("fast_")]
        spent = spent["seconds_of_tested"].astype(float)
        assert seconds == f"{spent.min():.0f} to {spent.max():.0f}"


def test_the_baselines_are_those_of_both_real_data_sets():
    (_, *columns), *rows = table_behind("The baselines beside session-rec's")
    for place, study in enumerate(columns):
        if study == "session-rec":
            for name, *said in rows:
                assert said[place] == comparator(columns[place - 1], name)
            continue
        table = pd.read_csv(ROOT / "reports" / study / "table_2.csv", keep_default_na=False)
        known = table[table["protocol"] == "known"].set_index("model")
        for name, *said in rows:
            one = known.loc[name]
            assert said[place] == f"{one['recall_at_20']:.3f} / {one['mrr_at_20']:.3f}", (study, name)


def test_what_content_adds_is_told_of_every_data_set_with_features():
    _, *rows = table_behind("### What content adds")
    shown = set()
    for study, *cells in rows:
        table = pd.read_csv(ROOT / "reports" / study.strip("`") / "content_less_identity.csv")
        table = table[table["loss"] == "cross_entropy"]
        assert cells[0] == table["content"].iloc[0]
        assert cells[1] == table["identity"].iloc[0]
        for said, row in zip(cells[2:], table.itertuples(), strict=True):
            numbers = [float(number.replace("\N{MINUS SIGN}", "-")) for number in NUMBER.findall(said)]
            assert numbers == [round(number, 3) for number in (row.difference, row.low, row.high)], study
        shown.add(study.strip("`"))
    everywhere = {
        path.parent.name
        for path in ROOT.glob("reports/*/content_less_identity.csv")
        if len(pd.read_csv(path)) and "content_signal" not in pd.read_csv(path)
    }
    assert shown == everywhere


def test_the_papers_conclusions_are_counted_as_the_studies_have_them():
    (_, *studies), *rows = table_behind("### The course paper's conclusions")
    told = {
        path.parent.name: pd.read_csv(path).query("score == 'recall' and published.notna()")
        for path in ROOT.glob("reports/*/conclusions.csv")
    }
    assert {study.strip("`") for study in studies} == {
        name for name, table in told.items() if len(table) and "content_signal" not in table
    }
    for name, *said in rows:
        for study, cell in zip(studies, said, strict=True):
            table = told[study.strip("`")]
            holds = table.loc[table["conclusion"] == name[:2], "holds"]
            counts = " / ".join(str((holds == one).sum()) for one in ("yes", "no", "undecided"))
            assert cell == (counts if len(holds) else ""), (name, study)


def test_the_table_of_samples_is_that_of_sampled_or_full():
    folder = ROOT / "reports" / "sampled_or_full"
    tables = [pd.read_csv(folder / f"{name}.csv", keep_default_na=False) for name in ("table_2", "time_to_quality")]
    known, times = tables[0].query("protocol == 'known' and model == 'gru4rec'"), tables[1]
    assert set(known["n_candidates"]) == {20502}
    names = {"all tracks": "all", "2,048 sampled": "samples_2048", "in the batch": "in_batch"}
    _, *rows = table_behind("### Sampled tracks")
    assert len(rows) == len(known) == len(times)
    for name, cell, seconds in rows:
        tag, seed = names.get(name, ""), 2 if "another" in name else 1
        one, time = (t[(t["tag"] == tag) & (t["seed"].astype(int) == seed)].iloc[0] for t in (known, times))
        said = [float(number) for number in CELL.fullmatch(cell).groups()]
        assert said == [round(score, 3) for score in one[SHOWN].astype(float)], name
        assert seconds == f"{time['seconds_of_tested']:.0f}"


def test_the_speeds_are_those_of_the_bench():
    values = pd.read_csv(ROOT / "reports" / "bench" / "bench.csv").set_index("measure")["value"]
    _, *rows = table_behind("`make bench` on two CPU cores")
    for name, said, _ in rows:
        value = values[name.strip("`")]
        assert said.split()[0] == (f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"), name
    shares = values.filter(like="step_share_")
    told = README.split("by a profile of one thread, ")[1].split(" of the time")[0]
    words = {name.strip(): int(share) for name, share in re.findall(r"([a-z ]+) (\d+) %", told)}
    assert words == {name[11:].replace("_", " "): round(100 * share) for name, share in shares.items()}


def test_the_distances_of_content_are_those_of_the_curve():
    curve = pd.read_csv(ROOT / "reports" / "twin_signal" / "content_signal.csv")
    content = curve.query("input_form == 'content' and protocol == 'known'")
    assert content["content_signal"].nunique() == 5
    told = re.search(r"within\s+(\S+)\s+of\s+the\s+better\s+identity.*?and\s+(\S+)\s+to\s+(\S+)\s+below", README, re.S)
    within, low, high = told.groups()
    assert content["recall_less_identity"].abs().max() <= float(within)
    assert round(-content["mrr_less_identity"].max(), 3) == float(low)
    assert round(-content["mrr_less_identity"].min(), 3) == float(high)


def test_twenty_kills_left_no_product_that_differs():
    kills = pd.read_csv(ROOT / "reports" / "kills.csv")
    assert re.search(r"kills\s+the\s+toy\s+study\s+twenty\s+times", README)
    assert len(kills) == 20
    assert kills["products"].gt(100).all()
    assert kills["products_that_differ"].eq(0).all()
