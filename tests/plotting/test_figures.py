import warnings

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from matplotlib.patches import FancyBboxPatch
from PIL import Image

from gru4rec_lib.config.data import TRACK_FEATURES
from gru4rec_lib.config.study import INPUT_FORMS, LOSSES, Training
from gru4rec_lib.plotting import figures, style
from gru4rec_lib.plotting.texts import texts
from gru4rec_lib.study import diagram

FORMS = ("one_hot", "embedding", "content", "content_mlp")
THREE = ("cross_entropy", "bpr", "bpr_max")


def a_learning_curve(forms=FORMS, losses=THREE, seeds=(1,), epochs=10):
    columns = ["input_form", "loss", "seed", "epoch", "seconds", "train_loss", "validation_recall_at_20"]
    rows = [
        (form, loss, seed, epoch, 1.5 + i, 8 / epoch + 0.1 * i, (0.24 - 0.03 * i) * (1 - 0.5**epoch) + 0.001 * seed)
        for i, form in enumerate(forms)
        for loss in losses
        for seed in seeds
        for epoch in range(1, epochs + 1)
    ]
    return pd.DataFrame(rows, columns=columns)


def a_table_2(baselines=("most_popular", "sequential_rules"), seeds=(1,), forms=FORMS, losses=THREE):
    columns = ["model", "input_form", "loss", "seed", "protocol", "recall_at_20", "mrr_at_20"]
    trained = [
        ("gru4rec", form, loss, seed, "known", 0.24 / (1 + i + j) + 0.01 * seed, 0.08 / (1 + i + j) + 0.004 * seed)
        for i, form in enumerate(forms)
        for j, loss in enumerate(losses)
        for seed in seeds
    ]
    others = [(name, None, None, None, "known", 0.07 + 0.02 * i, 0.02 + 0.01 * i) for i, name in enumerate(baselines)]
    table = pd.DataFrame([*trained, *others], columns=columns)
    return pd.concat([table, table.assign(protocol="open", recall_at_20=0.9, mrr_at_20=0.9)])


def a_curve(settings=(0.0, 0.1, 0.25, 0.5, 1.0), **parts):
    parts = {"forms": FORMS[:3], "losses": THREE[:1], "baselines": ("sequential_rules", "content_knn")} | parts
    tables = [a_table_2(**parts).assign(content_signal=setting) for setting in settings]
    table = pd.concat(tables, ignore_index=True)
    return table.assign(recall_at_20=table["recall_at_20"] + 0.1 * table["content_signal"])


def a_bench():
    rows = {
        f"train_{what}_b{n}_{loss}": n for n in (64, 512) for loss in THREE for what in ("events_per_s", "roofline")
    }
    rows |= {"step_share_matrix_products": 0.7, "step_share_row_updates": 0.3, "rank_roofline": 0.7, "prepare_s": 9.1}
    rows |= {"train_us_per_event_50k": 20.5, "train_us_per_event_3700k": 25.5, "growth_50k_to_3700k": 1.2}
    return pd.DataFrame({"measure": rows.keys(), "value": rows.values(), "unit": "ratio"})


def a_long_tail(tracks):
    counts = pd.Series((2000 / (np.arange(tracks) + 1)).astype(int) + 1).value_counts().sort_index(ascending=False)
    return pd.DataFrame({"plays": counts.index, "tracks": counts.to_numpy(), "rank": counts.cumsum().to_numpy()})


def lengths(longest):
    share = np.full(longest - 1, 1 / (longest - 1))
    return pd.DataFrame({"length": range(2, longest + 1), "sessions": 1, "share": share})


def skips(*shares):
    return pd.DataFrame({"position": range(1, 21)} | {f"skip_{i + 1}": share for i, share in enumerate(shares)})


def some_models(forms=FORMS, losses=THREE, baselines=("most_popular", "stan")):
    """Return rows of models with scores in the middle of their intervals; the first model is the best."""
    cells = [("gru4rec", form, loss) for loss in losses for form in forms] + [(name, None, None) for name in baselines]
    table = pd.DataFrame(cells, columns=["model", "input_form", "loss"])
    for score, scale in (("recall", 0.4), ("mrr", 0.2)):
        table[f"{score}_at_20"] = scale / (1 + np.arange(len(table)))
        table[f"{score}_low"], table[f"{score}_high"] = 0.9 * table[f"{score}_at_20"], 1.1 * table[f"{score}_at_20"]
        table[f"validation_{score}_at_20"] = 0.8 * table[f"{score}_at_20"]
    return table


def some_differences(differences=None, **models):
    table = some_models(**models)
    differences = np.linspace(0.05, -0.3, len(table)) if differences is None else np.array(differences)
    table = table[["model", "input_form", "loss"]].assign(reference="sequential_rules", difference=differences)
    table = table.assign(low=differences - 0.02, high=differences + 0.02, p_holm=np.where(differences > -0.02, 0.3, 0))
    return pd.concat([table.assign(score="recall"), table.assign(score="mrr")])


def some_strata(names, **models):
    return pd.concat([some_models(losses=THREE[:1], **models).assign(stratum=name) for name in names])


def some_weights(names=("blend", "blend-rules"), seeds=(1,), parts=("gru4rec", "stan")):
    rows = [(name, seed, part, False) for name in names for seed in seeds for part in (*parts, "", "")]
    table = pd.DataFrame(rows, columns=["model", "seed", "part", "chosen"])
    table["validation_recall_at_20"] = 0.3 + 0.02 * (np.arange(len(table)) % 5)
    table["validation_mrr_at_20"] = 0.2 - 0.03 * (np.arange(len(table)) % 3)
    return table.assign(chosen=np.arange(len(table)) % (len(parts) + 2) == len(parts))


def an_audit(forms=FORMS[:2], losses=THREE, value=0.1):
    rows = [
        (form, loss, 1, switch, metric, value * (1 + n % 5), 0.9 * value * (1 + n % 5), 1.1 * value * (1 + n % 5))
        for form in forms
        for loss in losses
        for n, switch in enumerate(["as_published", "D1", "D3_testing", "D10", "with_D12", "all_mended"])
        for metric in ("recall", "mrr")
    ]
    return pd.DataFrame(rows, columns=["input_form", "loss", "seed", "switch", "metric", "value", "low", "high"])


def an_importance(groups=("artist", "audio", "tags"), losses=(0.01, 0.12, -0.002)):
    rows = pd.DataFrame({"group": groups, "difference": losses})
    rows = rows.assign(low=rows["difference"] - 0.01, high=rows["difference"] + 0.01, permutations=3)
    return pd.concat(
        [rows.assign(metric="recall"), rows.assign(metric="mrr", **rows[["difference", "low", "high"]] / 2)]
    )


def a_session(models=("content, bpr", "one_hot, cross_entropy"), ranks=(1, 20, 21, np.nan, 4000), by_plays=300):
    rows = {"position": range(2, 2 + len(ranks)), "rank": ranks, "by_plays": by_plays, "heard": 3}
    return pd.concat([pd.DataFrame(rows).assign(model=model) for model in models])


def trained(table):
    return table[table["input_form"].notna()]


def of_one_session(table):
    """Remove the intervals, as if all targets were of one session."""
    return table.assign(**dict.fromkeys([name for name in table if name.endswith(("low", "high"))], np.nan))


ZEROS = [name for name in some_models() if name.endswith(("_20", "_low", "_high"))]
HEARD = ["1", "2", "3", "4", "5", "6 to 7", "8 to 10", "11 to 15", "16 to 20", "21 to 50", "51 or more"]
PLAYS = ["cold", "1 to 10", "11 to 100", "101 to 1,000", "1,001 to 10,000", "10,001 or more"]
SIZES = {"part": ["train", "validation", "test"], "sessions": [164_430, 18_270, 182_748]}
SPLIT = pd.DataFrame(SIZES | {"events": [2_700_123, 300_456, 3_032_111], "items": [360_400, 98_123, 360_200]})
RARE = pd.DataFrame({"plays": ["10 or fewer", "more than 10"], "tracks": [447_000, 1], "share": [0.88, 0.0001]})
MORE = ("item_knn", "markov", "sknn", "v_sknn", "stan", "content_knn", "session_popular", "most_popular", "random")
SHOWN = {"n_lists": 1000, "n_items": 360_400}
TWO = {"real": [0.1, 0.2, 0.7], "twin": [0.11, 0.2, 0.69]}
PLACES = pd.DataFrame(
    {"side": ["real"] * 3 + ["twin"] * 2, "rank": [1, 40, 50_000, 1, 48_000], "plays": [9, 2, 1, 7, 1]}
)
ROWS = {"quantity": ["session length", "rules, median confidence (real: of any length)"], "tolerance": [0.02, 1.0]}
FRAMES = {
    "model_diagram": diagram.model_diagram(Training(dropout_hidden=0.1), "28 standardised features"),
    "plays_per_track": RARE,
    "long_tail": a_long_tail(50_000),
    "session_lengths": lengths(20),
    "skips_by_position": skips(0.4, 0.5, 0.65),
    "split_sizes": SPLIT,
    "learning_curves": a_learning_curve(),
    "table_2": a_table_2(),
    "audit": an_audit(),
    "differences": some_differences(),
    "quality_by_position": some_strata(HEARD),
    "quality_by_popularity": some_strata(PLAYS),
    "coverage": some_models().assign(catalogue_coverage=np.linspace(0.6, 0, 14), **SHOWN),
    "validation_and_test": trained(some_models()),
    "time_to_quality": a_learning_curve(),
    "input_by_loss": a_table_2(),
    "blend_weights": some_weights(),
    "feature_importance": an_importance(),
    "listen_along": a_session(),
    "twin_plays": PLACES,
    "twin_lengths": pd.DataFrame({"length": [10, 11, 20]} | TWO),
    "twin_skips": pd.DataFrame({"position": [1, 2, 3]} | TWO),
    "twin_features": pd.DataFrame({"feature": ["duration", "acoustic_vector_0", "mode"]} | TWO),
    "calibration": pd.DataFrame(ROWS | {"distance": [0.05, 0.3], "holds": [False, True]}),
    "content_signal": a_curve(),
    "bench": a_bench(),
}
DEEP = Training(hidden_units=(100, 50), mlp_units=(128, 64, 32))
# Edge cases: tiny, huge, many, single and equal values.
EDGES = [
    ("model_diagram", diagram.model_diagram(DEEP, "artist, tags and duration")),
    ("model_diagram", diagram.model_diagram(Training(), "28 features", INPUT_FORMS)),
    ("long_tail", a_long_tail(1)),
    ("long_tail", a_long_tail(300)),
    ("long_tail", pd.DataFrame({"plays": [1], "tracks": [9], "rank": [9]})),
    ("session_lengths", lengths(800)),
    ("session_lengths", lengths(3)),
    ("skips_by_position", skips(0.0, 0.0, 0.0)),
    ("skips_by_position", skips(0.6, 0.6, 0.61).head(1)),
    ("learning_curves", a_learning_curve(FORMS[:1], THREE[:1], epochs=1)),
    ("learning_curves", a_learning_curve(FORMS, THREE[:1], seeds=(1, 2, 3), epochs=100)),
    ("learning_curves", a_learning_curve(FORMS[:1], THREE[:1], epochs=3).assign(validation_recall_at_20=0.0)),
    ("learning_curves", a_learning_curve([*INPUT_FORMS, "hybrid_concat", "hybrid_gate"], LOSSES)),
    ("time_to_quality", a_learning_curve(FORMS[:1], THREE[:1], epochs=1)),
    ("time_to_quality", a_learning_curve(INPUT_FORMS, LOSSES, seeds=(1, 2), epochs=30)),
    ("input_by_loss", a_table_2(forms=[*INPUT_FORMS, "content → content"], losses=LOSSES, seeds=(1, 2))),
    ("input_by_loss", a_table_2(forms=INPUT_FORMS[:1], losses=LOSSES[:1])),
    ("table_2", a_table_2(baselines=MORE, seeds=(1, 2, 3))),
    ("table_2", a_table_2(forms=INPUT_FORMS, losses=LOSSES)),
    ("table_2", a_table_2(forms=FORMS[:1], losses=THREE[:1])),
    ("table_2", a_table_2().query("input_form.isna()")),
    ("table_2", a_table_2(baselines=())),
    ("audit", an_audit(FORMS, THREE)),
    ("audit", an_audit(FORMS[:1], THREE[:1], value=0.0)),
    ("differences", some_differences(forms=INPUT_FORMS, losses=LOSSES, baselines=MORE)),
    ("differences", some_differences(forms=(), baselines=("markov",))),
    ("differences", some_differences(forms=("shared",)).assign(tag="many", reference="sequential_rules")),
    ("differences", some_differences([0.0, 0.0, 0.0], forms=FORMS[:1], losses=THREE[:1])),
    ("differences", some_differences(forms=FORMS[:1], losses=THREE[:1], baselines=("most_popular",))),
    ("quality_by_position", some_strata(["1"])),
    ("quality_by_position", some_strata([1, 2, 3], forms=INPUT_FORMS, baselines=MORE[:3])),
    ("quality_by_popularity", some_strata(PLAYS, forms=())),
    ("coverage", some_models(INPUT_FORMS, LOSSES, MORE).assign(catalogue_coverage=0.2, **SHOWN)),
    ("coverage", some_models(forms=()).assign(catalogue_coverage=[0.0, 0.001], recall_at_20=0.0, **SHOWN)),
    ("validation_and_test", trained(some_models(forms=FORMS[:1], losses=THREE[:1]))),
    ("validation_and_test", trained(some_models(forms=INPUT_FORMS, losses=LOSSES))),
    ("validation_and_test", some_models(INPUT_FORMS, LOSSES, MORE)),
    ("validation_and_test", trained(some_models()).assign(**dict.fromkeys(ZEROS, 0.0))),
    ("validation_and_test", of_one_session(trained(some_models()))),
    ("quality_by_position", of_one_session(some_strata(["1"]))),
    ("differences", of_one_session(some_differences())),
    ("audit", of_one_session(an_audit())),
    ("listen_along", a_session([f"{form}, cross_entropy" for form in INPUT_FORMS])),
    ("listen_along", a_session(["shared → hybrid many, cross_entropy, seed 1"], [np.nan], np.nan)),
    ("listen_along", a_session(ranks=np.geomspace(1, 500_000, 99)).drop(columns="heard")),
    ("calibration", pd.DataFrame(ROWS | {"distance": [0.0, 0.0], "holds": [True, True]})),
    ("content_signal", a_curve([0.5])),
    ("blend_weights", some_weights(("blend",), seeds=(1, 2, 3), parts=("gru4rec", *MORE[:4]))),
    ("table_2", a_table_2(baselines=("most_popular", "blend"))),
    ("feature_importance", an_importance(("artist",), (0.0,))),
    ("feature_importance", an_importance(TRACK_FEATURES, np.geomspace(0.2, 1e-5, len(TRACK_FEATURES)))),
    ("feature_importance", of_one_session(an_importance())),
    ("content_signal", a_curve(forms=INPUT_FORMS, losses=THREE[:2], baselines=MORE, seeds=(1, 2))),
]
EVERY = [*FRAMES.items(), *EDGES]
NAMES = [name for name, _ in EVERY]


def drawn(name, frame):
    with plt.style.context(figures.STYLE):
        figure = figures.FIGURES[name](frame)
        figure.draw_without_rendering()
    return figure


def test_every_figure_has_a_frame_here():
    assert list(FRAMES) == list(figures.FIGURES)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "frame"), EVERY, ids=NAMES)
def test_texts_fit_are_readable_and_do_not_overlap_and_axes_are_labelled(name, frame):
    figure = drawn(name, frame)
    boxes = {text: text.get_window_extent() for text in texts(figure)}  # in pixels, 200 an inch
    assert min(text.get_fontsize() for text in boxes) >= 6
    assert figure.get_size_inches()[0] == pytest.approx(8.5 / 2.54)
    whole = figure.bbox
    for text, box in boxes.items():
        inside = whole.x0 <= box.x0 and whole.y0 <= box.y0 and box.x1 <= whole.x1 and box.y1 <= whole.y1
        assert inside, f"{text.get_text()!r} leaves the figure"
    pairs = [(a, b) for a in boxes for b in boxes if id(a) < id(b) and boxes[a].padded(4, 0).overlaps(boxes[b])]
    assert not [(a.get_text(), b.get_text()) for a, b in pairs]
    for ax in figure.axes:
        if ax.axison and len(ax.get_xticks()) and ax.get_subplotspec().is_last_row():
            assert ax.get_xlabel()
        if ax.axison and any(label.get_text().isdigit() for label in ax.get_yticklabels()):
            assert ax.get_ylabel() or ax.get_title(loc="left")


def test_overlapping_texts_are_detected():
    figure = drawn("plays_per_track", RARE)
    label = figure.axes[0].xaxis.label
    twin = figure.text(*figure.transFigure.inverted().transform(label.get_window_extent().min), "on top of it")
    assert label.get_window_extent().overlaps(twin.get_window_extent())
    assert {label, twin} <= set(texts(figure))


@pytest.mark.slow
def test_a_figure_is_drawn_again_to_the_same_bytes(tmp_path):
    names = ("model_diagram", "plays_per_track", "table_2")
    for name in names:
        figures.draw(name, FRAMES[name], tmp_path, "simulated data")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert set(before) == {f"{name}.{kind}" for name in names for kind in ("svg", "pdf", "png", "csv")}
    for kind in figures.KINDS:
        for path in tmp_path.glob(f"*.{kind}"):
            path.unlink()
    with plt.rc_context({"font.size": 30, "axes.grid": True, "svg.fonttype": "path"}):  # settings of the user
        figures.redraw(tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    for name in names:
        assert b"simulated data</text>" in before[f"{name}.svg"]
        assert b"/FontFile2" in before[f"{name}.pdf"]
        with Image.open(tmp_path / f"{name}.png") as png:
            assert png.width == pytest.approx(8.5 / 2.54 * 300, abs=1)
            assert png.info["dpi"] == pytest.approx((300, 300), abs=0.1)
        assert b"CreationDate" not in before[f"{name}.pdf"]
        assert b"<dc:date>" not in before[f"{name}.svg"]


def test_the_csv_is_the_frame(tmp_path):
    figures.draw("split_sizes", SPLIT, tmp_path)
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "split_sizes.csv"), SPLIT)
    assert b"\r" not in (tmp_path / "split_sizes.csv").read_bytes()
    figures.draw("split_sizes", SPLIT, tmp_path, "simulated data")
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "split_sizes.csv"), SPLIT.assign(note="simulated data"))


@pytest.mark.slow
def test_drawing_closes_the_figure_and_restores_the_style(tmp_path):
    before = dict(plt.rcParams)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(plt.rcParams["figure.max_open_warning"] + 1):
            drawn("plays_per_track", RARE)
        figures.draw("plays_per_track", RARE, tmp_path)
    assert plt.get_fignums() == []
    assert dict(plt.rcParams) == before


def test_an_unfinished_drawing_leaves_the_old_files(tmp_path, monkeypatch):
    figures.draw("split_sizes", SPLIT, tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}

    def broken(self, path, **_):
        path.write_text("half a figu")
        raise OSError("no space left")

    monkeypatch.setattr("matplotlib.figure.Figure.savefig", broken)
    with pytest.raises(OSError, match="no space left"):
        figures.draw("split_sizes", SPLIT.head(1), tmp_path)
    assert {path: path.read_bytes() for path in before} == before


def test_a_frame_that_cannot_be_drawn_raises(tmp_path):
    with pytest.raises(ValueError, match="pie: there is no such figure; known are model_diagram, plays_per_track"):
        figures.draw("pie", RARE, tmp_path)
    with pytest.raises(ValueError, match="split_sizes: the frame has no rows"):
        figures.draw("split_sizes", SPLIT.head(0), tmp_path)
    with pytest.raises(ValueError, match="no row has the protocol `known`"):
        figures.draw("table_2", a_table_2().query("protocol == 'open'"), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_redraw_reports_what_it_cannot_draw(tmp_path):
    with pytest.raises(ValueError, match=r"found no \.csv file"):
        figures.redraw(tmp_path)
    (tmp_path / "table_1.csv").write_text("quantity,count\nevents,1\n")
    with pytest.raises(ValueError, match="found table_1"):
        figures.redraw(tmp_path)


def test_every_text_of_the_diagram_is_in_a_box():
    for name, frame in EVERY:
        if name == "model_diagram":
            figure = drawn(name, frame)
            patches = [patch for patch in figure.findobj(FancyBboxPatch) if patch.get_linestyle() != "--"]
            boxes = [patch.get_window_extent() for patch in patches]
            assert len(boxes) == len(frame)
            inside = [text for text in texts(figure) if text.get_text() not in ("state", "one of")]
            assert len(inside) > len(frame)
            for text in inside:
                (x0, y0), (x1, y1) = text.get_window_extent().get_points()
                assert any(b.x0 < x0 and x1 < b.x1 and b.y0 < y0 and y1 < b.y1 for b in boxes), text


def test_plays_per_track_writes_counts_and_shares_on_the_bars():
    figure = drawn("plays_per_track", RARE)
    assert [bar.get_width() for bar in figure.axes[0].patches] == [447_000, 1]
    assert [text.get_text() for text in figure.axes[0].texts] == ["447,000 tracks (88.0 %)", "1 track (< 0.1 %)"]


@pytest.mark.parametrize(
    ("plays", "tracks", "half"),
    [
        ([4, 2, 1], [1, 1, 2], 1),  # 8 plays: the first track has half of them
        ([3, 2, 1], [1, 1, 3], 2),  # 8 plays: 3, then 5
        ([1], [9], 5),  # 9 plays: the fifth track passes 4.5
        ([5, 1], [1, 15], 6),  # 20 plays: 5 and five of the single ones
    ],
)
def test_long_tail_shows_how_many_tracks_have_half_of_the_plays(plays, tracks, half):
    figure = drawn("long_tail", pd.DataFrame({"plays": plays, "tracks": tracks, "rank": np.cumsum(tracks)}))
    (text,) = figure.axes[0].texts
    words = "1 track " if half == 1 else f"{half} tracks "
    assert text.get_text().startswith(f"half of all plays go to\n{words}(")
    curve, mark = figure.axes[0].lines
    assert mark.get_xdata()[0] == half
    assert curve.get_xdata()[-1] == sum(tracks)
    assert list(curve.get_ydata()) == list(np.repeat(plays, 2))


def test_session_lengths_are_bars_of_one_length_each_while_there_are_few():
    ax = drawn("session_lengths", lengths(20)).axes[0]
    assert [label.get_text() for label in ax.get_yticklabels()] == [str(n) for n in range(2, 21)]


def test_many_session_lengths_are_grouped_and_none_is_lost():
    frame = pd.DataFrame({"length": [2, 7, 30, 5000], "sessions": 1, "share": [0.1, 0.2, 0.3, 0.4]})
    ax = drawn("session_lengths", frame).axes[0]
    names = [label.get_text() for label in ax.get_yticklabels()]
    share = dict(zip(names, (bar.get_width() for bar in ax.patches), strict=True))
    assert (names[0], names[-1]) == ("2", "1001 to 5000")
    assert {name: value for name, value in share.items() if value} == pytest.approx(
        {"2": 0.1, "6 to 7": 0.2, "21 to 30": 0.3, "1001 to 5000": 0.4}
    )


def test_table_2_shows_means_of_the_known_protocol():
    table = a_table_2(seeds=(1, 3))
    for ax, column in zip(drawn("table_2", table).axes, ("recall_at_20", "mrr_at_20"), strict=True):
        rows = table.query("protocol == 'known'")
        means = rows[rows["input_form"].notna()].groupby(["input_form", "loss"])[column].mean()
        marks = sorted((line for line in ax.lines if len(line.get_xdata()) == 1), key=lambda line: line.get_ydata()[0])
        with plt.style.context(figures.STYLE):
            colors = {loss: look["color"] for loss, look in style.looks(LOSSES).items()}
        cells = [(form, loss) for form in FORMS for loss in LOSSES if (form, loss) in means]
        expected = [(means[cell], colors[cell[1]]) for cell in cells]  # from the top
        expected += [(value, "0.35") for value in rows[rows["input_form"].isna()][column]]
        assert [line.get_xdata()[0] for line in marks] == pytest.approx([value for value, _ in expected])
        assert [to_hex(line.get_color()) for line in marks] == [to_hex(color) for _, color in expected]
        assert ax.get_xlim()[1] < 0.5  # excludes the protocol `open`, whose scores are 0.9 here
    names = [label.get_text() for label in drawn("table_2", table).axes[0].get_yticklabels()]
    assert names == ["one-hot", "embedding", "content", "content-mlp", "most-popular", "sequential-rules"]


def test_table_2_shows_a_blend_of_several_seeds_once():
    table = a_table_2(baselines=("stan", "blend"))
    blends = table[table["model"] == "blend"]
    table = pd.concat([table, blends.assign(recall_at_20=blends["recall_at_20"] + 0.1)])
    figure = drawn("table_2", table)
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()][-2:] == ["stan", "blend"]
    (blend,) = (line for line in figure.axes[0].lines if line.get_marker() == "*")
    known = blends.query("protocol == 'known'")["recall_at_20"].item()
    assert blend.get_xdata()[0] == pytest.approx(known + 0.05)
    assert blend.get_ydata()[0] == figure.axes[0].get_yticks()[-1]


def test_learning_curves_have_a_row_for_each_loss_and_a_line_for_each_run():
    frame = a_learning_curve(seeds=(1, 2))
    axes = drawn("learning_curves", frame).axes
    assert [ax.get_title(loc="left") for ax in axes[::2]] == ["cross-entropy", "bpr", "bpr-max"]
    assert {len(ax.lines) for ax in axes} == {len(FORMS) * 2}
    run = frame.query("input_form == 'one_hot' and loss == 'bpr' and seed == 2")
    drawn_lines = [list(line.get_ydata()) for line in axes[2].lines]
    assert list(run["validation_recall_at_20"]) in drawn_lines


def test_time_to_quality_counts_the_seconds_of_all_epochs_so_far():
    frame = a_learning_curve(FORMS[:2], THREE[:1], epochs=3)
    lines = drawn("time_to_quality", frame).axes[0].lines
    assert [list(line.get_xdata()) for line in lines] == [[2.5, 5.0, 7.5], [1.5, 3.0, 4.5]]
    assert list(lines[1].get_ydata()) == list(frame.query("input_form == 'one_hot'")["validation_recall_at_20"])


def test_the_curve_has_a_distinct_line_for_each_model():
    frame = a_curve(seeds=(1, 3))
    figure = drawn("content_signal", frame)
    for ax, column in zip(figure.axes, ("recall_at_20", "mrr_at_20"), strict=True):
        assert len({(line.get_color(), line.get_marker()) for line in ax.lines}) == len(ax.lines) == 5
        first = ax.lines[0]
        means = frame.query("protocol == 'known' and input_form == 'one_hot'").groupby("content_signal")[column].mean()
        assert list(first.get_xdata()) == list(means.index) == [0, 0.1, 0.25, 0.5, 1]
        assert list(first.get_ydata()) == pytest.approx(list(means))
    assert {"content", "sequential-rules"} <= {text.get_text() for text in texts(figure)}


def test_a_name_keeps_its_look_and_no_two_look_alike_in_grey():
    with plt.style.context(figures.STYLE):
        every = style.looks([*INPUT_FORMS, *LOSSES, "later"])
        many = style.looks([*INPUT_FORMS, *(f"later {n}" for n in range(7))])
        assert style.looks(["content", "bpr", "content"]) == {name: every[name] for name in ("content", "bpr")}
    assert list(every) == [*INPUT_FORMS, "later", *LOSSES]
    assert len({tuple(look.items()) for look in many.values()}) == len(many) == len(INPUT_FORMS) + 7
    assert all(to_hex(look["color"]) != to_hex("black") for look in many.values()), "that is the baselines'"
    for family in (INPUT_FORMS, LOSSES):
        assert len({every[name]["marker"] for name in family}) == len(family)
        assert len({every[name]["color"] for name in family}) == len(family)


@pytest.mark.parametrize(
    ("share", "words"), [(0, "0.0 %"), (0.0004, "< 0.1 %"), (0.0006, "0.1 %"), (0.1234, "12.3 %"), (1, "100.0 %")]
)
def test_shares_are_written_in_percent(share, words):
    assert style.percent(share) == words


def test_runs_of_other_settings_have_separate_marks_and_curves():
    """An embedding of 50 is neither a second seed of the study's embedding nor a part of its curve."""
    table = a_table_2(forms=["embedding"], losses=["bpr"], baselines=()).assign(tag=np.nan)
    other = table.assign(tag="d50", recall_at_20=0.5 * table["recall_at_20"])
    figure = drawn("table_2", pd.concat([table, other]))
    assert {"embedding", "embedding d50"} <= {text.get_text() for text in texts(figure)}
    curve = a_learning_curve(["embedding"], ["bpr"]).assign(tag="")
    figure = drawn("learning_curves", pd.concat([curve, curve.assign(tag="d50")]))
    lines = figure.axes[0].get_lines()
    assert len(lines) == 2
    assert all((np.diff(line.get_xdata()) > 0).all() for line in lines)


@pytest.mark.parametrize("tag", ["0042", "256", "1e5", "nan"])
def test_a_tag_that_looks_like_a_number_stays_a_text(tag, tmp_path):
    table = a_table_2(forms=["embedding"], losses=["bpr"], baselines=()).assign(tag=tag)
    figure = figures.draw("table_2", table, tmp_path)
    assert f"embedding {tag}" in {text.get_text() for text in texts(figure)}


def test_insignificant_differences_are_hollow_and_distant_ones_are_numbers():
    table = some_differences([0.03, -0.01, -0.03, -0.9], forms=FORMS[:2], losses=THREE[:1])
    figure = drawn("differences", table)
    for ax in figure.axes:
        marks = [line for line in ax.lines if len(line.get_xdata()) == 1]
        assert [mark.get_xdata()[0] for mark in marks] == [0.03, -0.01, -0.03]
        assert [mark.get_markerfacecolor() for mark in marks][:2] == ["white"] * 2
        assert marks[2].get_markerfacecolor() == marks[2].get_color()
        assert [text.get_text() for text in ax.texts] == ["◂ \N{MINUS SIGN}0.90"]
        assert ax.get_xlim()[0] > -0.2
    names = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert names == ["one-hot, cross-entropy", "embedding, cross-entropy", "most-popular", "stan"]


def test_groups_are_in_order_of_their_loss_in_recall(tmp_path):
    frame = an_importance(("1e5", "007", "nan"))  # names stay texts
    figure = figures.draw("feature_importance", frame, tmp_path)
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["007", "1e5", "nan"]
    for ax, scale in zip(figure.axes, (1, 1 / 2), strict=True):
        zero, marks = ax.lines
        assert list(zero.get_xdata()) == [0, 0]
        assert list(marks.get_xdata()) == pytest.approx([0.12 * scale, 0.01 * scale, -0.002 * scale])
        ends = [segment[:, 0] for segment in ax.collections[0].get_segments()]
        assert np.array(ends) == pytest.approx(scale * np.array([[0.11, 0.13], [0, 0.02], [-0.012, 0.008]]))
    assert [ax.get_xlabel() for ax in figure.axes] == ["loss in Recall@20", "loss in MRR@20"]


def test_lines_over_strata_keep_the_order_and_baselines_are_black():
    frame = some_strata(["cold", "11 to 100", "1 to 10"])
    figure = drawn("quality_by_popularity", frame)
    assert [label.get_text() for label in figure.axes[1].get_xticklabels()] == ["cold", "11-\n100", "1-\n10"]
    lines = figure.axes[0].lines
    assert [line.get_color() == "black" for line in lines] == [False] * 4 + [True] * 2
    assert list(lines[0].get_ydata()) == [0.4] * 3


def test_test_is_drawn_against_validation():
    figure = drawn("validation_and_test", trained(some_models()))
    points = [line.get_xydata().tolist() for line in figure.axes[0].lines[1:]]
    assert points[0] == pytest.approx(np.array([(0.8 * y, y) for y in (0.4, 0.4 / 5, 0.4 / 9)]))


def test_a_defect_that_one_cell_alone_has_is_drawn_for_this_cell():
    frame = an_audit(FORMS[:2], THREE[:1])
    frame = frame[(frame["input_form"] != FORMS[0]) | (frame["switch"] != "with_D12")]
    figure = drawn("audit", frame)
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert labels == ["as published", "D1 fixed", "D3 in testing fixed", "D10 fixed", "D12 added", "all fixed"]
    marks = [line for line in figure.axes[0].lines if len(line.get_xdata()) > 2]
    assert [len(line.get_xdata()) for line in marks] == [5, 6]
    assert [round(y) for y in marks[0].get_ydata()] == [0, 1, 2, 3, 5]


def test_baselines_are_drawn_against_validation_in_black():
    figure = drawn("validation_and_test", some_models())
    lines = figure.axes[0].lines[1:]
    assert [line.get_color() == "black" for line in lines] == [False] * 4 + [True] * 2
    assert lines[4].get_xydata().tolist() == pytest.approx(np.array([(0.8 * 0.4 / 13, 0.4 / 13)]))
