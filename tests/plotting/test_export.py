"""One figure of a study in another size, with a title and other texts."""

import re
import shutil
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from gru4rec_lib.plotting import figures
from gru4rec_lib.plotting.texts import misfit, on_one_line, texts

ROOT = Path(__file__).resolve().parents[2]
STUDIES = ("paper", "thirty_music", "twin_signal", "spotify_listeners", "bench")
COMMITTED = [path for study in STUDIES for path in sorted((ROOT / "figures" / study).glob("*.csv"))]
# Every figure of two studies with many models, and those figures that only other studies have.
OTHERS = {"content_signal", "blend_weights", "bench"}
DRAWN = [path for path in COMMITTED if path.parent.name in STUDIES[:2] or path.stem in OTHERS]
IN_NO_STUDY = {"listen_along"}  # of the figures that git keeps; test_figures.py draws it
LENGTHS = "length,sessions,share,note\n2,30,0.6,simulated data\n3,20,0.4,simulated data\n"
TITLE = "Content or identity: which input predicts the next track of a session?"


@pytest.fixture
def csv(tmp_path):
    path = tmp_path / "session_lengths.csv"
    path.write_text(LENGTHS)
    return path


def written(figure):
    figure.draw_without_rendering()
    return [text.get_text() for text in texts(figure)]


def size_of(pdf):
    return [float(number) * 2.54 / 72 for number in re.search(rb"/MediaBox \[ ?0 0 (\S+) (\S+) ?\]", pdf).groups()]


def test_every_figure_is_in_a_study_that_git_keeps():
    assert {path.stem for path in DRAWN} == set(figures.FIGURES) - IN_NO_STUDY


@pytest.mark.slow
@pytest.mark.parametrize(("width", "font_size"), [(8.5, 7.5), (25, 14)], ids=["column", "slide"])
@pytest.mark.parametrize("path", DRAWN, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_title_legend_and_texts_fit_in_a_column_and_on_a_slide(tmp_path, monkeypatch, path, width, font_size):
    """The file is not written: that takes as long as the layout, and other tests read it."""
    monkeypatch.setattr("matplotlib.figure.Figure.savefig", lambda _, part, **options: part.touch())
    figure = figures.export(path, tmp_path / "a.svg", width, font_size=font_size, title=TITLE)
    figure.draw_without_rendering()
    boxes = {text: text.get_window_extent() for text in texts(figure)}
    whole = figure.bbox
    assert all(whole.x0 <= box.x0 and box.x1 <= whole.x1 for box in boxes.values())
    assert all(whole.y0 <= box.y0 and box.y1 <= whole.y1 for box in boxes.values())
    (title,) = [text for text in boxes if on_one_line(text.get_text()) == TITLE]
    below = [*figure.legends, *(ax for ax in figure.axes if ax.axison)]
    assert all(part.get_window_extent().y1 < boxes[title].y0 for part in below)
    panels = [ax.get_window_extent() for ax in figure.axes]
    assert not [legend for legend in figure.legends if any(legend.get_window_extent().overlaps(ax) for ax in panels)]
    assert not [(a, b) for a in boxes for b in boxes if id(a) < id(b) and boxes[a].overlaps(boxes[b])]


def test_size_title_and_labels_are_those_given(csv, tmp_path):
    labels = {
        "share of the sessions": "Anteil der Sitzungen",
        "2": "zwei",
        "60.0 %": "60,0 %",
        "simulated data": "Zwilling",
    }
    target = tmp_path / "new folder" / "slide.pdf"
    figure = figures.export(
        csv, target, width_cm=16, height_cm=9, font_size=14, title="Längen für $5 und $6", labels=labels
    )
    pdf = target.read_bytes()
    assert size_of(pdf) == pytest.approx([16, 9], abs=0.01)
    assert b"/FontFile2" in pdf
    assert b"/Type3" not in pdf, "journals refuse Type 3 fonts"
    found = written(figure)
    assert {"Längen für $5 und $6", *labels.values(), "3", "40.0 %", "length of the session (events)"} <= set(found)
    assert not set(labels) & set(found)
    assert figure.axes[0].xaxis.label.get_fontsize() == 14
    assert csv.read_text() == LENGTHS
    assert sorted(path.name for path in target.parent.iterdir()) == ["slide.pdf"]


def test_lines_and_small_texts_change_in_proportion_to_the_font_size(tmp_path):
    path = ROOT / "figures" / "paper" / "table_2.csv"
    one, two = (figures.export(path, tmp_path / "a.svg", 8.5 * n, font_size=7.5 * n) for n in (1, 2))
    assert two.get_size_inches() == pytest.approx(2 * one.get_size_inches())
    for a, b in zip(texts(one), texts(two), strict=True):
        assert b.get_fontsize() == pytest.approx(2 * a.get_fontsize())
    for a, b in zip(one.axes[0].lines, two.axes[0].lines, strict=True):
        assert (b.get_linewidth(), b.get_markersize()) == pytest.approx((2 * a.get_linewidth(), 2 * a.get_markersize()))


def test_without_changes_it_is_the_figure_of_the_study(csv, tmp_path):
    of_study, exported = figures.picture(csv.stem, pd.read_csv(csv)), figures.export(csv, tmp_path / "a.svg")
    assert exported.get_size_inches() == pytest.approx(of_study.get_size_inches())
    assert written(exported) == written(of_study)
    places = [[text.get_window_extent().bounds for text in texts(figure)] for figure in (exported, of_study)]
    assert np.array(places[0]) == pytest.approx(np.array(places[1]), abs=2)


def test_without_a_height_the_title_makes_the_figure_higher(csv, tmp_path):
    plain = figures.export(csv, tmp_path / "a.svg").get_figheight()
    short = figures.export(csv, tmp_path / "a.svg", title="Short").get_figheight()
    long = figures.export(csv, tmp_path / "a.svg", title=TITLE).get_figheight()
    assert plain < short < long


def test_a_png_has_300_dots_an_inch(csv, tmp_path):
    figures.export(csv, tmp_path / "a.PNG", width_cm=10)
    with Image.open(tmp_path / "a.PNG") as png:
        assert png.width == pytest.approx(10 / 2.54 * 300, abs=1)


def test_legends_tick_labels_and_texts_of_two_lines_are_replaced(tmp_path):
    path = ROOT / "figures" / "paper" / "learning_curves.csv"
    labels = {"validation Recall@20": "Rückruf", "one-hot": "Titel", "cross-entropy": "Kreuzentropie", "0.2": "0,2"}
    found = written(figures.export(path, tmp_path / "a.svg", labels=labels))
    assert set(labels.values()) <= set(found)
    assert not {"validation\nRecall@20", "one-hot", "cross-entropy", "0.2"} & set(found)


def test_the_style_and_open_figures_are_restored(csv, tmp_path):
    before = dict(plt.rcParams)
    figures.export(csv, tmp_path / "a.svg", 20, font_size=12, title="A title")
    with pytest.raises(ValueError, match="no text"):
        figures.export(csv, tmp_path / "a.svg", 20, font_size=12, labels={"no": "such"})
    assert dict(plt.rcParams) == before
    assert plt.get_fignums() == []


@pytest.mark.parametrize("name", ["width_cm", "height_cm", "font_size"])
@pytest.mark.parametrize("value", [0, -3, float("nan"), float("inf"), True, "8.5", 1e9])
def test_a_wrong_size_is_one_sentence(csv, tmp_path, name, value):
    sentence = re.escape(f"{name} is {value!r}; give a number from 1 to ") + "[12]00"
    with pytest.raises(ValueError, match=f"^{sentence}$"):
        figures.export(csv, tmp_path / "a.pdf", **{name: value})


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"labels": {"lenght": "Länge"}}, "session_lengths: labels: there is no text 'lenght'; the texts are '.*'3'"),
        ({"labels": {"3": 3}}, "session_lengths: labels: 3, for '3', is not a text; give a text in quotation marks"),
        ({"title": "長さ"}, "session_lengths: the font has no '長'; write title and labels without it"),
        ({"labels": {"3": "長"}}, "session_lengths: the font has no '長'; write title and labels without it"),
        ({"height_cm": 1}, r"session_lengths: at 8.5 x 1 cm, .*; make the figure .* \(it is 2.2 cm then, "),
        ({"labels": {"3": "three " * 30}}, "session_lengths: at 8.5 x 2.22 cm, .*; make the figure wider"),
        ({"width_cm": 3, "font_size": 40}, "session_lengths: at 3 x .* cm, .*; make the figure wider"),
    ],
)
def test_what_cannot_be_written_or_does_not_fit_is_one_sentence(csv, tmp_path, changes, sentence):
    with pytest.raises(ValueError, match=f"^{sentence}") as raised:
        figures.export(csv, tmp_path / "a.pdf", **changes)
    assert "\n" not in str(raised.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["session_lengths.csv"]


@pytest.mark.parametrize(
    ("name", "target", "sentence"),
    [
        (
            "session_length.csv",
            "a.pdf",
            "session_length.csv: belongs to no figure; give the .csv file of one of model_",
        ),
        ("session_lengths.svg", "a.pdf", "session_lengths.svg: belongs to no figure; "),
        ("session_lengths.csv", "a.gif", r"a.gif: give a file that ends in .svg, .pdf, .png$"),
        ("session_lengths.csv", "a", r"a: give a file that ends in .svg, .pdf, .png$"),
    ],
)
def test_a_file_of_no_figure_or_of_another_format_is_one_sentence(csv, tmp_path, name, target, sentence):
    with pytest.raises(ValueError, match=sentence):
        figures.export(tmp_path / name, tmp_path / target)


@pytest.mark.parametrize(
    "text", ["", "a,b\n1,2\n", "length,sessions,share\n2,x,y\n", b"\xff\xfe", "length,sessions,share\n"]
)
def test_a_file_that_is_not_the_data_of_the_figure_is_one_sentence(csv, tmp_path, text):
    csv.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ValueError, match=r"session_lengths\.csv: is not the data of session_lengths \(.*restore"):
        figures.export(csv, tmp_path / "a.pdf")


def test_a_target_that_cannot_be_written_is_named(csv, tmp_path):
    (tmp_path / "a.pdf").mkdir()
    with pytest.raises(OSError, match=re.escape(str(tmp_path / "a.pdf"))):
        figures.export(csv, tmp_path / "a.pdf")
    with pytest.raises(OSError, match=r"session_lengths\.csv"):
        figures.export(csv, csv / "a.pdf")
    with pytest.raises(FileNotFoundError, match=r"no/session_lengths\.csv"):
        figures.export(tmp_path / "no" / csv.name, tmp_path / "a.svg")
    assert csv.read_text() == LENGTHS


def test_misfit_names_texts_that_overlap_or_leave_the_figure():
    frame = pd.DataFrame({"length": [2, 3], "sessions": 1, "share": np.array([0.6, 0.4])})
    figure = figures.picture("session_lengths", frame)
    figure.draw_without_rendering()
    assert misfit(figure) == ""
    x, y = figure.transFigure.inverted().transform(figure.axes[0].xaxis.label.get_window_extent().min)
    added = figure.text(x, y, "on\ntop")
    assert misfit(figure) == "'on top' and 'share of the sessions' overlap"
    added.set(x=0.95, y=0.5, text="far too long for the figure")
    assert misfit(figure) == "'far too long for the figure' is cut off"


def test_one_figure_is_drawn_again_and_an_unknown_one_is_one_sentence(csv):
    shutil.copy(csv, csv.with_name("split_sizes.csv"))
    figures.redraw(csv.parent, "session_lengths")
    drawn = {"session_lengths.svg", "session_lengths.pdf", "session_lengths.png"}
    assert {path.name for path in csv.parent.iterdir()} == {csv.name, "split_sizes.csv", *drawn}
    with pytest.raises(ValueError, match=r"has no figure 'table_2'; its figures are session_lengths, split_sizes$"):
        figures.redraw(csv.parent, "table_2")
