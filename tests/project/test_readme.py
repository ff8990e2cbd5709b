"""README.md and docs/: tables are generated from reports, links lead to files, numbers in texts match the reports."""

import re
import subprocess
from pathlib import Path

import pandas as pd
import pytest

from gru4rec_lib.audit.course_paper import FINDINGS
from gru4rec_lib.baselines import BASELINES
from gru4rec_lib.study import doc_tables
from gru4rec_lib.utils.rounding import MINUS, fixed

ROOT = Path(__file__).resolve().parents[2]
REPORTS = ROOT / "reports"
PAGES = doc_tables.pages(ROOT)
LINK = re.compile(r"\]\((?!https?:)([^)#]+)(?:#[^)]*)?\)")


def text_of(name):
    return (ROOT / name).read_text(encoding="utf-8")


def content_adds(study, against="control"):
    """Return the gain by content with cross-entropy in recall and MRR, each with its interval."""
    table = pd.read_csv(REPORTS / study / "content_less_identity.csv")
    if "against" in table:  # older studies have one comparison
        table = table[table["against"] == against]
    table = table[table["loss"] == "cross_entropy"].set_index("score")
    return {score: [fixed(table.loc[score, name]) for name in ("difference", "low", "high")] for score in table.index}


def as_number(text):
    return float(text.replace(MINUS, "-"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_tables_are_generated_from_the_reports(page):
    assert page.read_text(encoding="utf-8") == doc_tables.filled(page, REPORTS), "run `make docs`"


def test_every_table_is_on_a_page():
    found = [name for page in PAGES for _, name, _ in doc_tables.BLOCK.findall(page.read_text(encoding="utf-8"))]
    assert {name.partition(":")[0] for name in found} == {*doc_tables.TABLES}


def test_a_table_of_an_unknown_name_is_an_error(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("<!-- table: none -->\n<!-- end -->\n")
    with pytest.raises(ValueError, match="there is no table `none`; known are grid"):
        doc_tables.filled(page, REPORTS)


def test_a_changed_number_is_detected(tmp_path):
    page, number = tmp_path / "page.md", content_adds("thirty_music")["recall"][0]
    page.write_text(text_of("docs/results.md").replace(f"| {number} (", "| 0.999 ("))
    assert "| 0.999 (" in page.read_text()
    assert "| 0.999 (" not in doc_tables.filled(page, REPORTS)


@pytest.mark.parametrize("page", [*PAGES, ROOT / "data" / "README.md", REPORTS / "README.md"], ids=str)
def test_links_lead_to_files(page):
    links = LINK.findall(page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_the_audit_lists_every_defect():
    rows = [f"| {number} | {what} |" for number, what in FINDINGS.items()]
    assert "\n".join(rows) in text_of("docs/audit.md")


def unknown_names(page):
    """Return the modules and tests named in the tables of docs/official_code.md that do not exist."""
    rows = [line.split("|")[5:] for line in page.splitlines() if line.startswith("| ")]
    modules, tests = ({name for row in rows for name in re.findall(r"`(.+?)`", row[column])} for column in (0, 1))
    assert len(modules) > 20
    assert len(tests) > 50
    known = {
        f"{path.stem}::{name}"
        for path in (ROOT / "tests").glob("*/test_*.py")
        for name in re.findall(r"^def (test_\w+)\(", path.read_text(encoding="utf-8"), re.MULTILINE)
    }
    return sorted({name for name in modules if not (ROOT / "gru4rec_lib" / f"{name}.py").is_file()} | (tests - known))


def test_the_comparison_with_the_official_code_names_modules_and_tests_that_exist():
    text = text_of("docs/official_code.md")
    assert {line.count("|") for line in text.splitlines() if line.startswith("|")} == {7}
    assert unknown_names(text) == []


def test_a_wrong_module_and_a_wrong_test_are_detected():
    page = text_of("docs/official_code.md").replace("`model/layers`", "`layers`")
    page = page.replace("test_metrics::test_by_hand`", "test_metrics::test_by_foot`")
    page = page.replace("`test_losses::test_smoothing_by_hand`", "`test_layers::test_smoothing_by_hand`")
    wrong = ["layers", "test_layers::test_smoothing_by_hand", "test_metrics::test_by_foot"]
    assert unknown_names(page) == wrong


def test_the_readme_is_short():
    assert len(text_of("README.md").splitlines()) <= 200


def known(study):
    return doc_tables._known(doc_tables._read(REPORTS / study, "table_2_over_seeds"))


def less(table, score, sign=1):
    """Return a difference and its interval as text, from the row of a score."""
    row = table[table["score"] == score].iloc[0]
    value, *ends = (sign * row[name] for name in ("difference", "low", "high"))
    return "{} ({} to {})".format(*map(fixed, (value, *sorted(ends))))


def test_the_findings_of_the_readme_are_those_of_the_tables():
    readme = " ".join(text_of("README.md").split())
    adds = [content_adds(study) for study in ("thirty_music", "polimi", "spotify_listeners")]
    gains = "by {} on real Last.fm sessions, {} on Spotify playlists and {} on".format(*(a["recall"][0] for a in adds))
    assert f"raises Recall@20 {gains}" in readme
    most = max(abs(as_number(one["mrr"][0])) for one in adds)
    assert f"MRR@20 changes by {fixed(most)} at most" in readme
    table = known("thirty_music").set_index("model")
    networks = table.loc["gru4rec"]
    vstan, hybrid = table.loc["vstan"], networks[networks["output_form"] == "hybrid"].iloc[0]
    assert hybrid["recall_at_20"] == networks["recall_at_20"].max()
    recalls = fixed(vstan["recall_at_20"]), fixed(hybrid["recall_at_20"])
    assert "has a Recall@20 of {}, the best network {};".format(*recalls) in readme
    lead = content_adds("spotify_listeners", "best identity")["recall"][0]
    assert f"on the five listeners VSTAN leads by {lead.removeprefix(MINUS)};" in readme
    lead = content_adds("polimi", "best identity")["recall"][0]
    assert f"on playlists the network leads by {lead}." in readme
    for name in ("thirty_music", "polimi", "spotify_listeners"):
        one = known(name).set_index("model")
        of_network = one[one["output_form"] == "hybrid"]["mrr_at_20"].item()
        assert one.loc["vstan", "mrr_at_20"] / of_network == pytest.approx(1 / 2, abs=0.02)
    columns = ["recall_at_20", "mrr_at_20"]
    for study, name, words in (
        ("thirty_music", "blend", "On Last.fm sessions a blend with fixed weights leads in both ({} and {})."),
        ("polimi", "blend-by_session", "on playlists ({} and {}),"),
        ("paper", "blend-by_session", "and simulated sessions ({} and {};"),
        ("spotify_listeners", "blend-by_session", "best value of both ({} and {}), significantly in MRR@20."),
    ):
        table = known(study).set_index("model")
        best = table[columns].max()
        assert words.format(*map(fixed, best)) in readme
        assert best.tolist() == table.loc[name, columns].tolist()
        tests = pd.read_csv(REPORTS / study / "differences.csv").query("model == @name").set_index("score")["p_holm"]
        assert (tests < 0.05).to_dict() == {"recall": study != "spotify_listeners", "mrr": True}
    shop = known("yoochoose_100k").set_index("model").loc["blend-by_session", columns]
    assert "shop sessions ({} and {})".format(*map(fixed, shop)) in readme
    tests = pd.read_csv(REPORTS / "yoochoose_100k" / "differences.csv").query("model == 'blend-by_session'")["p_holm"]
    assert len(tests) == 2
    assert tests.max() < 0.05
    paper = known("paper")
    best = paper[(paper["model"] != "gru4rec") & ~paper["model"].str.startswith("blend")][columns].max()
    assert "of the baselines the best have {} and {})".format(*map(fixed, best)) in readme
    audit = pd.read_csv(REPORTS / "thirty_music" / "audit.csv").query("metric == 'recall' and input_form == 'one_hot'")
    audit = audit[audit["loss"] == "bpr_max"].set_index("switch")["value"]
    assert f"a Recall@20 of {fixed(audit['as_published'], 2)} with the defects" in readme
    assert f"with the defects and {fixed(audit['all_mended'], 2)} without" in readme
    audit = pd.read_csv(REPORTS / "paper" / "audit.csv").query("metric == 'recall' and input_form == 'one_hot'")
    audit = audit[audit["loss"] == "cross_entropy"].set_index("switch")["value"]
    assert f"one-hot inputs has {fixed(audit['as_published'])} and {fixed(audit['all_mended'])} (" in readme
    on_paper = content_adds("paper")
    assert f"raises Recall@20 by {on_paper['recall'][0]} and lowers" in readme
    assert f"and lowers MRR@20 by {on_paper['mrr'][0].removeprefix(MINUS)}." in readme
    inputs = {}
    for study in ("thirty_music", "polimi", "spotify_listeners", "paper"):
        table = known(study)
        table = table[(table["loss"] == "cross_entropy") & (table["tag"] == "") & (table["output_form"] == "ids")]
        table = table.set_index("input_form")["recall_at_20"]
        assert table.drop("content").idxmax() in ("shared", "one_hot"), "the best network with ids alone"
        inputs[study] = [fixed(table[name]) for name in ("content", "shared")]
    told = "Recall@20 is {} with content and {} with ids on Last.fm sessions, {} and {} on playlists, {} and {} on the"
    assert told.format(*inputs["thirty_music"], *inputs["polimi"], *inputs["spotify_listeners"]) in readme
    assert "it is lower, {} and {}.".format(*inputs["paper"]) in readme


def test_the_scores_on_unseen_tracks_are_those_of_the_tables():
    readme, hybrids, rules = " ".join(text_of("README.md").split()), [], []
    for study in ("thirty_music", "polimi", "spotify_listeners"):
        table = doc_tables._read(REPORTS / study, "cold_tracks")
        means = table.groupby(["model", "output_form"])["recall_at_20"].mean()
        hybrids.append(fixed(means["gru4rec", "hybrid"]))
        simple = means[["content_knn", "same_artist"]]
        rules.append(fixed(simple.max()))
        assert simple.max() > means["gru4rec"].max(), "no network reaches it"
        blends = means[means.index.get_level_values("model").str.startswith("blend")]
        assert blends.max() < means["gru4rec", "hybrid"]
    assert (
        "hybrid network there is {} on Last.fm sessions, {} on playlists and {} on the listeners".format(*hybrids)
        in readme
    )
    assert "*same artist* reaches {}, {} and {}.".format(*rules) in readme
    assert as_number(hybrids[0]) > 0


def test_every_baseline_is_explained():
    rows = re.findall(r"^\| `(\w+)` \|", text_of("docs/method.md"), re.MULTILINE)
    assert sorted(rows) == sorted(BASELINES)


def test_the_numbers_in_the_texts_of_the_results_are_those_of_the_tables():
    text = " ".join(text_of("docs/results.md").split())
    curve = pd.read_csv(REPORTS / "twin_signal" / "content_signal.csv")
    curve = curve[(curve["protocol"] == "known") & (curve["model"] == "gru4rec")]
    recall, mrr = (
        curve.pivot_table(index="content_signal", columns=["input_form", "output_form"], values=f"{score}_at_20")
        for score in ("recall", "mrr")
    )
    assert recall.index.tolist() == [0, 0.1, 0.25, 0.5, 1]
    gains = recall["shared", "hybrid"] - recall["shared", "ids"]
    assert (gains.idxmin(), gains.idxmax()) == (0, 1)
    low, high = sorted(mrr["shared", "ids"] - mrr["shared", "hybrid"])[:: len(mrr) - 1]
    told = "gain {} in Recall@20 over the same network without content where the order does not depend on sound, and {}"
    assert told.format(fixed(gains.min()), fixed(gains.max())) in text
    assert f"they lose {fixed(low)} to {fixed(high)} in MRR@20" in text
    identity = [("one_hot", "ids"), ("embedding", "ids")]
    above = recall["content", "ids"] - recall["one_hot", "ids"]
    lower = mrr[identity].max(axis=1) - mrr["content", "ids"]
    told = "a Recall@20 that is {} to {} higher than that of one_hot, which may be chance at each value, and an MRR@20"
    assert told.format(fixed(above.min()), fixed(above.max())) in text
    assert f"that is {fixed(lower.min())} to {fixed(lower.max())} lower than that of the better" in text


def test_the_numbers_on_simulated_sessions_are_those_of_the_tables():
    text, folder = " ".join(text_of("docs/results.md").split()), REPORTS / "paper"
    table = pd.read_csv(folder / "differences.csv", keep_default_na=False)
    by_session = table[table["model"] == "blend-by_session"].set_index("reference")
    vstan, ct = by_session.loc[["vstan"]], by_session.loc[["ct"]]
    told = f"leads in both scores: {less(vstan, 'recall')} above VSTAN in Recall@20 and {less(ct, 'mrr')} above the"
    assert told in text
    assert max(vstan["p_holm"].item(), ct["p_holm"].item()) < 0.05
    best = pd.read_csv(folder / "best_model.csv").query("reference == 'shared → hybrid, cross_entropy'")
    assert f"best network in Recall@20, it gains {less(best, 'recall')} and {less(best, 'mrr')}." in text
    assert best["p_holm"].max() < 0.05
    blend = table[table["model"] == "blend"].set_index("reference")
    vstan, ct = blend.loc[["vstan"]], blend.loc[["ct"]]
    assert f"(0.10) is {less(vstan, 'recall')} above VSTAN in Recall@20. In MRR@20" in text
    assert vstan["p_holm"].item() < 0.05
    assert f"it cannot be told from the context tree: {less(ct, 'mrr')}." in text
    assert ct["p_holm"].item() > 0.05
    scores = known("paper")
    for score in ("recall_at_20", "mrr_at_20"):
        assert scores["model"][scores[score].idxmax()] == "blend-by_session"
    assert (scores[scores["model"].str.startswith(("gru4rec", "blend"))]["seeds"] == 3).all()
    content = pd.read_csv(folder / "content_less_identity.csv").query("loss == 'cross_entropy'").set_index("against")
    control = content.loc["control"]
    hybrid = table[(table["model"] == "gru4rec") & (table["output_form"] == "hybrid")]
    assert f"They are {less(hybrid, 'recall', -1)} below VSTAN in Recall@20, and" in text
    assert f"in Recall@20, and {less(hybrid, 'mrr', -1)} below the context tree in MRR@20" in text
    assert hybrid["reference"].tolist() == ["vstan", "ct"]
    assert hybrid["p_holm"].max() < 0.05
    assert (
        f"scoring rows gain {less(control, 'recall')} in Recall@20 and change MRR@20 by {less(control, 'mrr')}" in text
    )
    chosen = pd.read_csv(folder / "blend_weights.csv").query("chosen")
    assert chosen["network"].str.startswith("shared-cross_entropy-").all()
    of_fixed = chosen[chosen["model"] == "blend"]
    for name, words in (("gru4rec", "same network ({} to {} in each seed)"), ("vstan", "VSTAN ({} to {}")):
        ends = (fixed(of_fixed[name].min(), 2), fixed(of_fixed[name].max(), 2))
        assert words.format(*ends) in text
    shares = chosen[chosen["model"] == "blend-by_session"].mean(numeric_only=True)
    told = "{} for the network, {} for VSTAN, {} for the context tree and {} for the session's own tracks"
    parts = ("gru4rec", "vstan", "ct", "session_recent")
    assert told.format(*(fixed(shares[part], 2) for part in parts)) in text


def test_the_numbers_on_last_fm_sessions_are_those_of_the_tables():
    text, folder = " ".join(text_of("docs/results.md").split()), REPORTS / "thirty_music"
    every = pd.read_csv(folder / "differences.csv")
    table = every.query("model == 'blend'").set_index("reference")
    vstan, ct = table.loc[["vstan"]], table.loc[["ct"]]
    assert f"{less(vstan, 'recall')} above VSTAN in Recall@20 and {less(ct, 'mrr')} above the context tree" in text
    best = pd.read_csv(folder / "best_model.csv")
    network = best[best["reference"] == "shared → hybrid wide, cross_entropy"]
    assert f"it gains {less(network, 'recall')} in Recall@20 and {less(network, 'mrr')} in MRR@20" in text
    assert max(best["p_holm"].max(), table["p_holm"].max()) < 0.05
    content = pd.read_csv(folder / "content_less_identity.csv").query("loss == 'cross_entropy'").set_index("against")
    control, hybrid = content.loc["control"], every[every["output_form"] == "hybrid"]
    assert f"gain {less(control, 'recall')} in Recall@20 and {less(control, 'mrr')} in MRR@20; both" in text
    assert hybrid["reference"].tolist() == ["vstan", "ct"]
    assert f"scoring rows differ by {less(hybrid, 'recall')} from VSTAN in Recall@20, which may be chance" in text
    assert f"and are {less(hybrid, 'mrr')} above the context tree in MRR@20." in text
    assert (hybrid["p_holm"] > 0.05).tolist() == [True, False]
    others = pd.read_csv(REPORTS / "comparators.csv").query("data == 'thirty_music'").set_index("model")
    pairs = [
        [fixed(others.loc[loss, score]) for score in ("recall_at_20", "mrr_at_20")]
        for loss in ("bpr_max", "cross_entropy")
    ]
    assert "has {} / {} with BPR-max and {} / {} with cross-entropy".format(*pairs[0], *pairs[1]) in text
    own = known("thirty_music").query("input_form == 'shared' and output_form == 'ids'")
    assert "at most {} and {}, with".format(*map(fixed, own[["recall_at_20", "mrr_at_20"]].max())) in text
    wide = known("thirty_music").query("output_form == 'hybrid'")["recall_at_20"].item()
    assert f"content gains {fixed(wide - others.loc['bpr_max', 'recall_at_20'])} in Recall@20 instead of" in text
    every = doc_tables._read(REPORTS / "thirty_music", "table_2_over_seeds").query("protocol == 'open'")
    every = every.set_index(every["model"] + every["output_form"])["recall_at_20"].astype(float).map(fixed)
    told = "best Recall@20 ({}), before content_knn ({}), the hybrid network ({}) and the blend ({}); VSTAN has {}."
    names = ("gru4reccontent", "content_knn", "gru4rechybrid", "blend", "vstan")
    assert told.format(*every[[*names]]) in text
    assert every.max() == every["gru4reccontent"]
    weights = pd.read_csv(folder / "blend_weights.csv").query("chosen")
    assert weights[["seed", "gru4rec", "stan", "sequential_rules"]].to_numpy().tolist() == [
        [seed, 0.95, 0.05, 0] for seed in (1, 2, 3)
    ]
    scores = known("thirty_music").set_index("model")["recall_at_20"]
    assert f"among them a longer memory, it has {fixed(scores['stan'])}." in text


def test_the_numbers_on_playlists_are_those_of_the_tables():
    text, folder = " ".join(text_of("docs/results.md").split()), REPORTS / "polimi"
    table = pd.read_csv(folder / "differences.csv")
    hybrid = (table["model"] == "gru4rec") & (table["output_form"] == "hybrid")
    for chosen, words in {
        "blend-by_session": ("{} above VSTAN in Recall@20 and {} above sequential rules in MRR@20, the best", True),
        "blend": ("is {} above VSTAN in Recall@20; in MRR@20 it cannot be told from sequential rules: {}.", False),
        "gru4rec": ("is {} above VSTAN in Recall@20 and cannot be told from sequential rules in MRR@20: {}.", False),
    }.items():
        rows = table[hybrid if chosen == "gru4rec" else table["model"] == chosen]
        above, rules = (rows[rows["score"] == score] for score in ("recall", "mrr"))
        assert above["reference"].tolist() + rules["reference"].tolist() == ["vstan", "sequential_rules"]
        sentence, leads_in_both = words
        assert sentence.format(less(above, "recall"), less(rules, "mrr")) in text
        assert above["p_holm"].item() < 0.05
        assert (rules["p_holm"].item() < 0.05) == leads_in_both
    best = pd.read_csv(folder / "best_model.csv")
    best = best[best["reference"] == "shared → hybrid, cross_entropy"]
    assert f"gains {less(best, 'recall')} in Recall@20, which may be chance, and {less(best, 'mrr')} in MRR@20" in text
    assert best.set_index("score")["p_holm"].gt(0.05).to_dict() == {"recall": True, "mrr": False}
    unseen = pd.read_csv(folder / "blend_weights.csv").query("chosen and model == 'blend-by_session'")
    assert unseen["network"].str.startswith("shared-to_hybrid-").all()
    control = pd.read_csv(folder / "content_less_identity.csv").set_index("against").loc["control"]
    assert f"gain {less(control, 'recall')} in Recall@20 and {less(control, 'mrr')} in MRR@20." in text


def test_the_numbers_on_shop_sessions_are_those_of_the_tables():
    text, folder = " ".join(text_of("docs/results.md").split()), REPORTS / "yoochoose_100k"
    table = pd.read_csv(folder / "differences.csv", keep_default_na=False)
    network = table[(table["loss"] == "bpr_max") & (table["tag"] == "")].set_index("reference")
    blend = table[table["model"] == "blend"].set_index("reference")
    vstan, stan = blend.loc[["vstan"]], blend.loc[["stan"]]
    assert f"Recall@20, is {less(vstan, 'recall')} above VSTAN in Recall@20 and {less(stan, 'mrr')} above STAN" in text
    assert vstan["p_holm"].item() < 0.05
    assert f"(p = {fixed(stan['p_holm'].item(), 2)})" in text
    by_session = table[table["model"] == "blend-by_session"].set_index("reference")
    vstan, stan = by_session.loc[["vstan"]], by_session.loc[["stan"]]
    assert f"both scores: it is {less(vstan, 'recall')} above VSTAN in Recall@20 and {less(stan, 'mrr')} above" in text
    assert max(vstan["p_holm"].item(), stan["p_holm"].item()) < 0.05
    scores = known("yoochoose_100k").set_index("model").loc["blend-by_session"]
    assert f"Recall@20 of {fixed(scores['recall_at_20'])} and an MRR@20 of {fixed(scores['mrr_at_20'])}." in text
    best = pd.read_csv(folder / "best_model.csv")
    assert best["model"].unique().tolist() == ["blend"]
    best = best[best["reference"] == "shared, bpr_max"]
    assert f"alone, it gains {less(best, 'recall')} in Recall@20 and {less(best, 'mrr')} in MRR@20" in text
    assert best.set_index("score").loc["mrr", "p_holm"] > 0.05
    vstan, stan = network.loc[["vstan"]], network.loc[["stan"]]
    assert f"alone is {less(vstan, 'recall')} above VSTAN in Recall@20 and {less(stan, 'mrr')} above STAN" in text
    weights = pd.read_csv(folder / "blend_weights.csv").query("chosen")
    assert weights["network"].str.startswith("shared-bpr_max-seed").all()
    shares = weights[weights["model"] == "blend-by_session"].mean(numeric_only=True)
    told = "{} for the network, {} for VSTAN, {} for the session's own items, and practically none for the context tree"
    assert told.format(*(fixed(shares[part], 2) for part in ("gru4rec", "vstan", "session_recent"))) in text
    assert shares["ct"] < 0.001
    weights = weights[weights["model"] == "blend"]
    assert len(weights) == 3
    for name, words in (("gru4rec", "same network ({} to {})"), ("vstan", "VSTAN ({} to {})")):
        assert words.format(fixed(weights[name].min(), 2), fixed(weights[name].max(), 2)) in text
    assert f"sequential rules ({fixed(weights['sequential_rules'].max(), 2)}), the best model" in text


def test_the_numbers_on_the_five_listeners_are_those_of_the_tables():
    text, folder = " ".join(text_of("docs/results.md").split()), REPORTS / "spotify_listeners"
    differences = pd.read_csv(folder / "differences.csv").set_index(["model", "reference"])
    for model, words, significant in (
        (
            "blend-by_session",
            "both scores: {} above VSTAN in Recall@20, which may be chance, and {} above the context tree in MRR@20.",
            (False, True),
        ),
        ("blend", "VSTAN in Recall@20 is {}, to the context tree in MRR@20 {}.", (False, False)),
    ):
        vstan, ct = differences.loc[[(model, "vstan")]], differences.loc[[(model, "ct")]]
        assert words.format(less(vstan, "recall"), less(ct, "mrr")) in text
        assert (vstan["p_holm"].item() < 0.05, ct["p_holm"].item() < 0.05) == significant
    best = pd.read_csv(folder / "best_model.csv")
    assert set(best["model"]) == {"blend-by_session"}, "it is the best on validation"
    best = best[best["reference"] == "shared → hybrid, cross_entropy"]
    assert f"it gains {less(best, 'recall')} in Recall@20 and {less(best, 'mrr')} in MRR@20." in text
    weights = pd.read_csv(folder / "blend_weights.csv").query("chosen and model == 'blend-by_session'")
    assert weights["session_recent"].max() < 0.001
    content = pd.read_csv(folder / "content_less_identity.csv").set_index("against")
    control = content.loc["control"]
    assert f"scoring rows gain {less(control, 'recall')} in Recall@20" in text
    assert f"lose {less(control, 'mrr', -1)} in MRR@20" in text
    assert f"They are {less(content.loc['best identity'], 'recall', -1).split()[0]} below VSTAN in Recall@20" in text
    table = doc_tables._known(doc_tables._read(folder, "table_2_over_seeds")).set_index("model")
    for score, name in (("recall_at_20", "vstan"), ("mrr_at_20", "ct")):
        assert table[score].idxmax() == "blend-by_session"
        others = table[(table["output_form"] == "") & ~table.index.str.startswith("blend")]
        assert others[score].idxmax() == name
    assert (table["seeds"] == 3)["gru4rec"].all()


def test_what_the_five_listeners_heard_is_not_published():
    for folder in (REPORTS, ROOT / "figures"):
        run = subprocess.run(
            ["git", "ls-files", folder / "spotify_listeners"], cwd=ROOT, capture_output=True, text=True
        )
        names = {Path(line).name[:2] for line in run.stdout.splitlines()}
        assert not names & {"01", "02", "03", "07"}


def test_results_are_the_same_after_twenty_kills():
    kills = pd.read_csv(REPORTS / "kills.csv")
    assert re.search(r"kills\s+the\s+toy\s+study\s+twenty\s+times", text_of("docs/studies.md"))
    assert len(kills) == 20
    assert kills["products"].gt(100).all()
    assert kills["products_that_differ"].eq(0).all()
