"""The paper, filled from a small run made by hand: its inputs, text and optional parts."""

import itertools
import json
import math
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import typst
from matplotlib.figure import Figure

from gru4rec_lib.baselines import BASELINES
from gru4rec_lib.config.study import INPUT_FORMS, LOSSES, load_study
from gru4rec_lib.data.columns import Columns
from gru4rec_lib.study import paper, publish
from gru4rec_lib.study import tables as report
from gru4rec_lib.study.workspace import Workspace
from gru4rec_lib.utils.rounding import between, fixed, signed

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ("paper.typ", "reading.typ", "references.bib")
EVERY_PART = ("twin", "skips", "curve", "ablations", "lists", "audit")
MODELS = [  # model, input form, output form, loss, Recall@20, whether it is not significantly different from the best
    ("sequential_rules", "", "", "", 0.25, False),
    ("most_popular", "", "", "", 0.0625, False),
    ("gru4rec", "one_hot", "ids", "cross_entropy", 0.5, True),
    ("gru4rec", "content", "ids", "cross_entropy", 0.4375, True),
    ("gru4rec", "one_hot", "ids", "bpr", 0.125, False),
]
SCORED = {"recall": 1, "mrr": 0.5}
AUDIT = [("one_hot", "as_published", 0.025), ("one_hot", "D1", 0.25), ("content", "all_mended", 0.125)]
VERDICTS = {"as_published_holds": "yes", "all_mended_holds": ["yes", "undecided"]}
VERDICTS |= {
    f"{code}_{what}": 0.125 for code in ("as_published", "all_mended") for what in ("difference", "low", "high")
}


def scored(protocol="known", **columns):
    table = pd.DataFrame([row[:4] for row in MODELS], columns=Columns.MODEL[:-1]).assign(
        tag="", protocol=protocol, **columns
    )
    table["n_targets"], table["n_candidates"] = 12455, 1234567
    for score, scale in SCORED.items():
        for what, more in (("at_20", 0), ("low", -0.01), ("high", 0.01)):
            table[f"{score}_{what}"] = [scale * row[4] + more for row in MODELS]
        table[f"{score}_with_best"] = [row[5] for row in MODELS]
        table[f"{score}_sd"] = float("nan")
    return table


def networks(table):
    return table[table["model"] == "gru4rec"]


def tables():
    both = pd.concat([scored(), scored("open")])
    kinds = [("heard", "1"), ("heard", "2 to 5"), ("popularity", "1 to 10"), ("popularity", "11 to 100")]
    strata = [scored(p, by=by, stratum=name) for (by, name), p in itertools.product(kinds, ("known", "open"))]
    others = (
        scored().query("model != 'sequential_rules'").assign(reference="sequential_rules", p_holm=[0, 0, 0.04, 0.2])
    )
    others = others.assign(difference=others["recall_at_20"] - 0.25)
    quantity = ["events", "tracks", "sessions"]
    curve = pd.concat([networks(scored()).assign(content_signal=signal) for signal in (0, 1)])
    return {
        "table_1": pd.DataFrame({"quantity": quantity, "count": 9, "published": 8, "difference_percent": 12.5}),
        "counts": pd.DataFrame({"step": ["read"], "sessions": 3, "events": 9, "items": 5}),
        "problems": pd.DataFrame(columns=["file", "line"]),
        "table_2": both.assign(seed=1),
        "table_2_over_seeds": both,
        "differences": pd.concat([others.assign(score=score) for score in SCORED]),
        "content_less_identity": pd.DataFrame(
            {"loss": "cross_entropy", "content": "content", "identity": "one_hot", "score": [*SCORED]}
        ).assign(against="control", difference=[-0.0625, 0.125], low=-0.25, high=0.25, p_holm=[0.01, 0.5]),
        "feature_groups": pd.DataFrame(
            {"loss": "bpr", "first": "content", "second": "content sound", "score": [*SCORED]}
        ).assign(difference=[0.25, -0.125], low=-0.5, high=0.5, p_holm=[0.5, 0.01]),
        "conclusions": pd.DataFrame(
            {"conclusion": ["C1", "C1", "C5"], "score": ["recall", "mrr", "recall"], "holds": ["yes", "yes", "no"]}
        ),
        "strata": pd.concat(strata),
        "cold_tracks": scored("open"),
        "coverage": scored(
            n_lists=1000, n_items=4321, catalogue_coverage=[0.3, 0.01, 0.6, 0.5, 0.1], popularity_lift=0.5
        ),
        "validation_and_test": networks(scored()).assign(validation_recall_at_20=[0.52, 0.4375, 0.115]),
        "calibration": pd.DataFrame(
            {"quantity": ["skips", "hours"], "real": 0.5, "twin": [0.5, 0.75], "holds": [True, False]}
        ),
        "content_signal": curve.assign(recall_less_identity=-0.0625, mrr_less_identity=0.0625),
        "fewer_candidates": scored(
            n_popular=100, place=[1, 2, 3, 4, 5], place_popular=[1, 2, 4, 3, 5], recall_popular=0.9
        ),
        "audit": pd.DataFrame(AUDIT, columns=["input_form", "switch", "value"]).assign(
            loss="bpr", seed=1, metric="mrr", low=0.24, high=0.26
        ),
        "audit_conclusions": pd.DataFrame(
            {"conclusion": ["C1", "C1"], "first": "one_hot, bpr", "second": "content, bpr", "score": ["recall", "mrr"]}
        ).assign(published=0.057, **VERDICTS),
        "audit_measured": pd.DataFrame(
            {"finding": ["D1", "D3"], "quantity": "any", "here": [0.056, ""], "published": ["", 0.024]}
        ),
        "audit_recoverable": pd.DataFrame(
            {"input_form": ["one_hot"], "loss": "bpr", "recall": 0.1278, "mrr": 0.017}
        ).assign(mrr_lowest=0.0125, mrr_highest=0.0875),
    }


FIGURES = [
    *("model_diagram", "plays_per_track", "long_tail", "session_lengths", "skips_by_position", "split_sizes"),
    *("learning_curves", "table_2", "differences", "quality_by_position", "quality_by_popularity", "coverage"),
    *("validation_and_test", "time_to_quality", "calibration", "twin_plays", "twin_lengths", "twin_skips"),
    *("twin_features", "content_signal", "audit", "input_by_loss"),
]
STRATA = {"quality_by_position": ["1", "2 to 5"], "quality_by_popularity": ["1 to 10", "11 to 100"]}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A project's folder with the sources and one run that has every part."""
    root = tmp_path_factory.mktemp("project")
    (root / "reports").mkdir()
    for name in SOURCES:
        shutil.copyfile(ROOT / "reports" / name, root / "reports" / name)
    run = root / "runs" / "toy"
    for folder in ("tables", "figures"):
        (run / folder).mkdir(parents=True)
    for name, table in tables().items():
        table.to_csv(run / "tables" / f"{name}.csv", index=False)
    figure = Figure(figsize=(1, 1))
    for kind in ("pdf", "svg"):
        figure.savefig(root / f"any.{kind}")
    for name in FIGURES:
        pd.DataFrame({"stratum": STRATA.get(name, [1])}).to_csv(run / "figures" / f"{name}.csv", index=False)
        for kind in ("pdf", "svg"):
            shutil.copyfile(root / f"any.{kind}", run / "figures" / f"{name}.{kind}")
    facts = {"study": "toy", "simulated": True, "commit": ["0123456789abcdef+changes"], "seeds": [1]}
    facts |= {"config": load_study("toy", ROOT / "config").model_dump(mode="json"), "versions": [{"keras": "3.15.1"}]}
    facts |= {"device": ["CPU, 2 cores"], "minutes": {}, "minutes_total": 2.5, "data_sha256": "44136fa355b3678a1146ad"}
    (run / publish.MANIFEST).write_text(json.dumps(facts))
    return root


@pytest.fixture
def run(made, tmp_path):
    """A copy of `made` to change: the folder of its run."""
    return shutil.copytree(made, tmp_path / "project") / "runs" / "toy"


def filled(run, parts=EVERY_PART):
    paper.fill(run.parents[1], run, parts)
    page = (run / "paper.html").read_text(encoding="utf-8")
    return page, " ".join(re.sub(r"<[^>]+>", "", page.partition("</style>")[2]).split())


def typed_digits(source):
    """Lines with digits in the abstract and the sections of results, except in names such as `table_2`."""
    sections = re.split(r"^ *= (.+)\n", re.sub(r"//.*", "", source), flags=re.MULTILINE)
    named = [("abstract", sections[0]), *zip(sections[1::2], sections[2::2], strict=True)]
    may = {"Question", "Related work", "Data", "Method"}  # published results of others, and the method
    lines = [(name, line.strip()) for name, part in named if name not in may for line in part.splitlines()]
    return [(name, line) for name, line in lines if re.search(r"\d", re.sub(r"[@<]?\b[a-zA-Z_][\w-]*", "", line))]


def test_the_paper_has_no_typed_result():
    source = (ROOT / "reports" / "paper.typ").read_text(encoding="utf-8")
    assert typed_digits(source) == []
    for section in ("Results", "What the published numbers measured", "Limits", "Reproducibility"):
        assert f"= {section}\n" in source


def test_a_typed_result_is_detected():
    source = 'abstract 1 @gru2\n= Method\n2\n= Results\n3 // 4\n#rows("table_5") // 6\n== Deeper\n  Recall@20\n'
    assert typed_digits(source) == [("abstract", "abstract 1 @gru2"), ("Results", "3"), ("Results", "Recall@20")]


def test_the_paper_has_the_numbers_of_the_tables(run):
    page, text = filled(run)
    assert (run / "paper.pdf").read_bytes().startswith(b"%PDF")
    for words in (
        "Of 5 models on 12,455 targets, one-hot with cross-entropy has the highest Recall@20, 0.500 (0.490 to 0.510)",
        "and 1 other cannot be distinguished from it",
        "the best with content 0.438 (0.428 to 0.448)",
        "each among 1,234,567 tracks; one seed",
        "Of the 2 differences, the corrected test finds none in favour of content and 1 against it",
        "content minus one-hot\N{MINUS SIGN}0.063\N{MINUS SIGN}0.250 to 0.250+0.125",
        "bprcontent minus content sound+0.250\N{MINUS SIGN}0.500 to 0.500\N{MINUS SIGN}0.125",
        "The baseline with the highest Recall@20 is sequential-rules, with 0.250 (0.240 to 0.260)",
        "2 of the 4 other models score higher and 1 lower. The baseline with the highest MRR@20 is",
        "C1 (one-hot is the best input) holds in 2 of 2 and C5 (content helps little in addition to identity) holds in",
        "is 0.500 (0.490 to 0.510) for targets with 1 track before them in the session, and 0.500 (0.490 to 0.510) for",
        "Recall@20 changes by \N{MINUS SIGN}0.020 to +0.010 over the 3 configurations",
        "for the same 1,000 test targets, one-hot with cross-entropy recommends 60.0 % of the 4,321 training tracks",
        "one-hot with cross-entropy recommends have 1.5 times the mean plays of the targets",
        "with cross-entropy differs from the better identity form by \N{MINUS SIGN}0.063 in Recall@20 and +0.063",
        "Of 2 quantities, 1 are within it",
        "hours (real 0.500, twin 0.750)",
        "12.5 %",
        "as published0.0250.240 to 0.260",
        "D1 fixed0.2500.240 to 0.260",
        "C1 (one-hot is the best input) holds in 1 of 2",
        "+0.125 undecided0.125 to 0.125",
        "one-hotbpr0.12780.0170",
        "only the 100 most played tracks, sequential-rules would reach 0.900 in Recall@20 instead of 0.250",
        "0123456789 with changes",
        "took 2.5 minutes",
        "No row of the raw files was left out",
    ):
        assert words in text, words
    captions = re.findall(r"<figcaption>(.*?)</figcaption>", page, re.DOTALL)
    assert len(captions) > len(FIGURES)
    of_data = [caption for caption in captions if "The published table" not in caption]
    assert len(of_data) == len(captions) - 1
    assert all("simulated" in caption.lower() for caption in of_data)
    assert not re.findall(r'src="(?!data:)', page)


def test_the_paper_and_the_notebooks_round_alike(run):
    """Compare each digit: shares of 2,000 targets, half of which are ties in the third decimal, and other numbers."""
    rng = np.random.default_rng(1)
    ties = [0.0625, 0.1235, 0.0005, 0.00005, 2.5, 12.25, 12.35, 1 - 1e-4, 0.9995, 1e-7, 1e-17, 5e-300, 0.0]
    noisy = [math.nextafter(tie, end) for tie in ties[:8] for end in (0, 1)] + [100 * share for share in ties]
    values = np.r_[ties, noisy, np.arange(2001) / 2000, rng.random(500), 100 * rng.random(200), 1e6 * rng.random(100)]
    values = np.r_[values, -values]
    pd.DataFrame({"value": values}).to_csv(run / "tables" / "numbers.csv", index=False)
    source = run.parents[1] / "reports" / "numbers.typ"
    words = ("fixed(row.value)", "precise(row.value)", "signed(row.value)", "signed(row.value, digits: 1)")
    words += ("percent(row.value)", "between(row.value, row.value)")
    source.write_text(
        f'#import "reading.typ": *\n#for row in rows("numbers") [#({", ".join(words)}).join("; ")#linebreak()]\n'
    )
    given = {"run": "/runs/toy", "parts": "", "format": "html", "alpha": "0.05", "draws": "9", "one-session": "?"}
    page = typst.Compiler(source, run.parents[1], sys_inputs=given).compile(format="html").decode()
    body = page.partition("<body>")[2].partition("</body>")[0]
    found = re.sub("</?p>", "", body).replace("\n", " ").split("<br>")
    for value, printed in zip(values.tolist(), map(str.strip, found), strict=False):
        expected = [fixed(value), fixed(value, 4), signed(value), signed(value, 1), f"{fixed(100 * value, 1)} %"]
        assert printed.split("; ") == [*expected, between(value, value)], value
    assert len(values) > 5000
    assert len(found) >= len(values)


def test_a_table_on_a_page_has_the_digits_of_the_paper(run):
    """Compare scores of 2,000 targets in the notebook's table and in the paper's."""
    table, hits = scored(), np.array([247, 125, 1001, 875, 1999])
    for score in SCORED:
        table[f"{score}_at_20"], table[f"{score}_low"], table[f"{score}_high"] = hits / 2000, (hits - 2) / 2000, 0.9995
    pd.concat([table, table.assign(protocol="open")]).to_csv(run / "tables" / "table_2_over_seeds.csv", index=False)
    page, _ = filled(run)
    texts = report.with_interval(table, "recall").tolist()
    assert texts[0] == "0.124 (0.123 to 1.000)"
    assert [text in page for text in texts] == [True] * 5


def test_the_settings_that_a_search_chose_are_printed(run):
    _, text = filled(run)
    assert "All configurations of a loss have the same settings" in text
    assert "The settings of the baselines were not searched." in text
    facts = json.loads((run / publish.MANIFEST).read_text())
    found = {"monitor": "val_recall_at_20", "epoch": None, "trials": 10, "pruned": 0, "space": "default", "seed": 1}
    found |= {"settings": {"neighbours": 1500, "time_decay": 320}, "value": 0.3794, "commit": "0123"}
    facts["config"]["searched"] = {"study": "toy", "cells": {}, "baselines": {"stan": found}}
    (run / publish.MANIFEST).write_text(json.dumps(facts))
    _, text = filled(run)
    assert "All configurations of a loss have the same settings" in text
    assert "A search chose the settings of the baselines on validation, with 10 trials each." in text
    assert "stanneighbours 1500 and time decay 3200.379Table" in text
    settings = {"settings": {"learning_rate": 0.1}, "epoch": 3}
    facts["config"]["searched"]["cells"] = {"one_hot-bpr": found | settings}
    (run / publish.MANIFEST).write_text(json.dumps(facts))
    _, text = filled(run)
    assert "A search chose the settings of each configuration on validation, with 10 trials each" in text


def test_targets_of_one_session_have_no_interval(run):
    """Test all targets of a study, and those of one stratum."""
    one, other = "is 0.500 (one session) for targets with 1 track", "and 0.500 (0.490 to 0.510) for those with 2 to 5"
    path = run / "tables" / "strata.csv"
    strata = pd.read_csv(path, keep_default_na=False)
    ends = [f"{score}_{end}" for score in SCORED for end in ("low", "high")]
    strata[ends] = strata[ends].mask(strata["stratum"] == "1")
    strata.to_csv(path, index=False)
    assert one in filled(run)[1]
    assert other in filled(run)[1]
    for path in run.glob("tables/*.csv"):
        table = pd.read_csv(path, keep_default_na=False)
        is_end = [name for name in table if name.endswith(("low", "high"))]
        table.assign(**dict.fromkeys(is_end, np.nan)).to_csv(path, index=False)
    text = filled(run)[1]
    for words in (
        "has the highest Recall@20, 0.500 (one session)",
        "content minus one-hot\N{MINUS SIGN}0.063one session+0.125",
        "D1 fixed0.250one session",
        "+0.125 undecidedone session",
    ):
        assert words in text, words
    assert " to " not in re.search(r"Scores under the protocol open.*?All variants", text, re.DOTALL)[0]


def test_a_comparison_missing_in_the_course_paper_is_empty(run):
    path = run / "tables" / "audit_conclusions.csv"
    pd.read_csv(path).assign(published=np.nan).to_csv(path, index=False)
    assert "+0.125 undecided" in filled(run)[1]


def test_real_data_is_not_called_simulated(run):
    facts = json.loads((run / publish.MANIFEST).read_text()) | {"simulated": False}
    (run / publish.MANIFEST).write_text(json.dumps(facts))
    assert "Simulated data." not in filled(run, ("skips",))[1]


def test_the_same_run_gives_the_same_bytes(run):
    made = []
    for _ in range(2):
        filled(run)
        made.append([(run / name).read_bytes() for name in publish.PAPER])
    assert made[0] == made[1]


@pytest.mark.slow
def test_a_missing_table_or_figure_raises(run):
    """A missing CSV file or figure is named in one sentence."""
    for path in [*run.glob("*/*.csv"), *run.glob("figures/*.pdf"), run / publish.MANIFEST]:
        hidden = path.rename(path.with_suffix(".hidden"))
        with pytest.raises(ValueError, match="the paper is filled from this file") as caught:
            paper.fill(run.parents[1], run, EVERY_PART)
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)
        hidden.rename(path)
    assert not list(run.glob("paper.*"))


@pytest.mark.parametrize(
    ("block", "names"), [("inputs", INPUT_FORMS), ("formulas", LOSSES), ("baseline-texts", tuple(BASELINES))]
)
def test_what_is_described_is_in_the_registries(block, names):
    text = (ROOT / "reports" / "paper.typ").read_text(encoding="utf-8")
    entries = re.search(rf"#let {block} = \((.*?)\n\)", text, re.DOTALL)[1]
    described = re.findall(r"^  (\w+): \[", entries, re.MULTILINE)
    assert described
    assert set(described) <= set(names)  # what has no description yet is named, and the library referred to


def test_optional_parts_need_no_files(run):
    for path in (
        *run.glob("tables/audit*.csv"),
        *run.glob("tables/calibration.csv"),
        *run.glob("tables/coverage.csv"),
        *run.glob("*/content_signal.csv"),
    ):
        path.unlink()
    _, text = filled(run, ("skips",))
    assert "What the published numbers measured" not in text
    assert "is replaced by a twin" not in text


def test_a_table_that_does_not_fit_is_reported_with_its_line(run):
    path = run / "tables" / "table_2_over_seeds.csv"
    path.write_text(path.read_text().replace("recall_low", "recall_lowest"))
    with pytest.raises(ValueError, match=r'(?s)paper\.typ: .*"recall_low"'):
        paper.fill(run.parents[1], run, EVERY_PART)


def test_the_parts_of_a_study_are_those_of_its_config(tmp_path):
    shutil.copytree(ROOT / "config", tmp_path / "config")
    assert paper.parts(Workspace("twin_signal", root=tmp_path)) == ["twin", "skips", "curve", "lists"]
    assert paper.parts(Workspace("twin_mini", tmp_path, root=tmp_path)) == ["skips", "lists"]
    assert paper.parts(Workspace("polimi", root=tmp_path)) == ["lists"]
    study = tmp_path / "config" / "polimi.yaml"
    study.write_text(study.read_text() + "evaluation: {lists: null}\n")
    assert paper.parts(Workspace("polimi", root=tmp_path)) == []
