"""Notebook 07 by hand: one unit whose scores are known, a track without plays, and one that is no candidate."""

import json
import math
import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gru4rec_lib.data.features import Features
from gru4rec_lib.data.sessions import Sessions
from gru4rec_lib.explorer import describe, listen
from gru4rec_lib.explorer.widgets import Player
from gru4rec_lib.plotting import figures
from gru4rec_lib.plotting import listen as listen_figures
from gru4rec_lib.preparation.prepare import Prepared
from gru4rec_lib.ranking import exact
from gru4rec_lib.serving.recommender import Recommender
from gru4rec_lib.study import tables
from gru4rec_lib.study.workspace import Workspace
from gru4rec_lib.training.gru4rec import GRU4Rec
from gru4rec_lib.utils.backend import tf

FEATURES = Features(
    np.float32([[0.5, 3], [-1, 3], [0.4, -3], [2, 0]]),
    {"artist": np.int32([[1], [2], [1], [-1]]), "tags": np.int32([[1, 2], [2, 3], [2, 1], [0, -1]])},
    {"artist": 3, "tags": 4},
    {
        "numeric": ["tempo", "acoustic_vector_0"],
        "mean": [100, 0],
        "scale": [10, 1],
        "artist": ["<b>", "Nico"],
        "tags": ["folk", "rock", "1967"],
    },
)
PLAYS = [3, 5, 5, 0]
ITEMS = pd.Series(["a", "b", "c", "a-very-long-name-of-a-track"])
NEW = ITEMS[3]
TESTS = [["a", NEW], ["a", "b", "c"], ["?", "b", "a"]]
MINUS = "\N{MINUS SIGN}"
NAMES = ["content, bpr", "one_hot, bpr"]


LABELS = pd.DataFrame({"item": ITEMS, "title": ["Ann", "Bob", None, "Bob"]}).astype("str")


def prepared(features=FEATURES, labels=None):
    index = pd.Index(ITEMS)
    test = Sessions.from_lists([index.get_indexer(session) for session in TESTS])
    events = pd.DataFrame({"item": pd.Categorical(np.concatenate(TESTS))})
    items = pd.DataFrame({"item": ITEMS, "plays": PLAYS})
    return Prepared(items, 3, test, test, test, events, features, pd.DataFrame(), labels=labels)


@pytest.fixture(scope="module")
def listener(tmp_path_factory):
    """Scores are [0.25, -0.15, 0.5] after a, [-0.125, 0.225, -0.25] after a, b; the other model is untrained."""
    tf.config.run_functions_eagerly(True)  # like the fixture `eager`, for all tests of this file
    model = GRU4Rec(3, "one_hot", 1)
    model.item_input.table.assign([[0, 0, math.atanh(0.5)], [0, 0, math.atanh(-0.5)], [0, 0, 0]])
    model.recurrence[0].recurrent_kernel.assign([[0, 0, 0]])
    model.scorer.table.assign([[1], [-1], [2]])
    model.scorer.bias.assign([0, 0.1, 0])
    model.scorer.plays.assign(PLAYS[:3])
    other = GRU4Rec(3, "content", 2, output_form="content", embedding_units=2, features=FEATURES)
    folders = {name: tmp_path_factory.mktemp("models") / "model" for name in NAMES}
    for folder, one in zip(folders.values(), (other, model), strict=True):
        Recommender(one, ITEMS, {}, FEATURES).save(folder)
    yield listen.Listener(folders, NAMES[1:], prepared())
    tf.config.run_functions_eagerly(False)


def styles(styler):
    """Return the style of every cell that has one."""
    styler._compute()
    return {place: "; ".join(f"{key}: {value}" for key, value in style) for place, style in styler.ctx.items() if style}


def test_ranks_by_hand(listener):
    table = listener.ranks(NAMES[1:], ["a", "b", "c", NEW, "?"])
    assert table["position"].tolist() == [2, 3, 4, 5]
    np.testing.assert_equal(table["rank"].to_numpy(), [3, 3, np.nan, np.nan])
    np.testing.assert_equal(table["by_plays"].to_numpy(), [2, 2, 4, np.nan])
    assert listener.ranks(NAMES[1:], ["a"]).empty


def test_ranks_are_those_of_the_test(listener):
    for name in NAMES:
        table = exact.rank_table(listener.model(name).model, listener.prepared.test, 3, 4).query("protocol == 'open'")
        for number in (1, 3):
            rank = table.loc[table["session"] == number - 1, "rank"]
            found = listener.ranks([name], listener.session(number))["rank"].fillna(exact.NO_RANK)
            assert found.tolist() == rank.tolist()


def test_the_next_tracks_by_hand(listener):
    table = listener.next_tracks(NAMES[1:], ["a", "b", "c"], heard=1)
    assert table["place"].tolist() == [1, 2, 3]
    assert table["item"].tolist() == ["c", "a", "b"]
    assert table["played"].tolist() == [False, False, True]
    assert not listener.next_tracks(NAMES[1:], ["a", "b"], heard=2)["played"].any()


def test_the_lists_have_the_played_track_in_colour_and_its_rank(listener):
    shown = listener.lists(NAMES[1:], ["a", "b", "c"], heard=1)
    assert shown.data["one_hot, bpr"].tolist()[0].startswith("c 0.50<br>")
    assert shown.data.loc["its rank"].tolist() == ["3"]
    assert styles(shown) == {(2, 0): listen.PLAYED}
    assert shown.caption.startswith("heard: 1. Played next: b<br>")
    end = listener.lists(NAMES, ["a", "b"], heard=2)
    assert "its rank" not in end.data.index
    assert styles(end) == {}
    assert end.caption == "heard: 2. The session ends here."


@pytest.mark.parametrize(("heard", "marked"), [(1, True), (2, True), (3, False)])
def test_the_picture_names_the_line_at_the_next_track_where_there_is_one(listener, heard, marked):
    picture = figures.picture("listen_along", listener.ranks(NAMES, ["a", "b", "c"]).assign(heard=heard))
    assert ("played next" in [text.get_text() for text in picture.legends[0].get_texts()]) == marked


def test_cells_have_padding_without_a_style_sheet_and_enough_contrast(listener):
    """The contrast of white text is at least 4.5 by WCAG."""
    assert re.search(r" td \{[^}]*padding: 0\.3em", listener.lists(NAMES, ["a"], heard=1).to_html())
    colour = np.array([int(listen.PLAYED[at : at + 2], 16) / 255 for at in (19, 21, 23)])
    light = np.where(colour > 0.03928, ((colour + 0.055) / 1.055) ** 2.4, colour / 12.92) @ [0.2126, 0.7152, 0.0722]
    assert 1.05 / (light + 0.05) > 4.5


def test_a_list_from_popularity_is_labelled(listener):
    shown = listener.lists(NAMES, [NEW, "a"], heard=1)
    assert list(shown.data) == ["content, bpr", "one_hot, bpr<br><small>popularity: no known item</small>"]


def test_the_table_along_a_session(listener):
    shown = listener.along(NAMES[1:], ["a", "b", NEW, "?"])
    assert shown.data["one_hot, bpr"].tolist() == ["", "3", listen.MISS, listen.MISS]
    assert shown.data["plays in training"].tolist() == ["3", "5", "0", "0"]
    assert shown.data["what changed"].tolist()[3] == "", "one of the two is no candidate"
    assert styles(shown) == {(1, 3): listen.HEARD}
    assert len(listener.along(NAMES, ["a"]).data) == 1
    bare = listen.Listener({}, [], prepared(None))
    assert "tempo" not in bare.label("a")


def test_text_from_users_is_escaped(listener):
    assert listener.label("a", "0.5") == "a 0.5<br><small>artist &lt;b&gt; · tags folk, rock · tempo 105</small>"
    assert listener.label(NEW) == f"{NEW}<br><small>tempo 120</small>"
    assert listener.label("<i>") == "&lt;i&gt;<br><small>no candidate</small>"
    page = listener.along(NAMES[1:], ["b", "a"]).to_html()
    assert "<b>" not in page
    assert "artist Nico → &lt;b&gt;" in page


def test_ids_with_the_same_first_letters_are_distinguished(listener):
    ids = [f"spotify:track:4uLU6hMCjMI75M1A2tKUQ{end}" for end in "CD"]
    assert all(track in listener.label(track, "0.50") for track in ids)
    page = listener.along(NAMES, [*ids, NEW]).to_html() + listener.lists(NAMES, [NEW, *ids], 1).to_html()
    assert all(track in page for track in (*ids, NEW))
    assert "…" not in page


def test_a_session_by_its_number(listener):
    assert listener.session(3) == ["?", "b", "a"]
    assert listener.session() == ["a", "b", "c"], "three known tracks"
    for number in (-1, 4):
        with pytest.raises(ValueError, match=f"there is no test session {number}; use 1 to 3, or 0"):
            listener.session(number)


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        (0, 1, "artist <b> → Nico · tags +1967 -folk · tempo 105 → 90"),
        (0, 2, ""),
        (1, 0, "artist Nico → <b> · tags +folk -1967 · tempo 90 → 105"),
        (2, 3, "artist <b> → ? · tags -rock -folk · tempo 104 → 120"),
        (3, 3, ""),
    ],
)
def test_what_changed(before, after, told):
    """The order of tags, 0.1 standard deviations and an acoustic vector are no changes."""
    assert describe.changes(FEATURES, before, after) == told.replace("-", MINUS)


@given(st.floats(-1e4, 1e4))
def test_a_number_is_short_and_close(value):
    features = Features(np.float32([[1]]), fitted={"numeric": ["x"], "mean": [0], "scale": [value]})
    text = describe.traits(features, 0)
    assert len(text) <= len("x -0.0055")
    assert float(text.removeprefix("x ").replace(MINUS, "-")) == pytest.approx(value, rel=0.051, abs=0.005)


def test_an_indicator_of_missing_values_is_no_trait():
    fitted = {"numeric": ["tempo", "days missing", "tempo missing"], "mean": [0] * 3, "scale": [1] * 3}
    features = Features(np.float32([[2, 3, 4], [0, 0, 0]]), fitted=fitted)
    assert describe.traits(features, 0) == "days missing 3 · tempo 2", "there is no number called `days`"
    assert describe.changes(features, 0, 1).count("missing") == 1


# A study's runs


def write_run(place, name, recall, mrr=0.1, **config):
    folder = place.runs / "gru4rec" / name
    folder.mkdir(parents=True)
    cell = {"input_form": "content", "output_form": "ids", "loss": "bpr", "seed": 1, "tag": ""} | config
    cell["best_epoch"] = 2
    (folder / "config.json").write_text(json.dumps(cell))
    (folder / "history.csv").write_text(f"epoch,val_recall_at_20,val_mrr_at_20\n1,0.9,0.9\n2,{recall},{mrr}\n")
    (folder / "ranks.parquet").touch()


def test_finished_runs_and_the_best_ones(tmp_path):
    place = Workspace("toy")
    place.runs = tmp_path
    assert tables.finished_runs(place).empty
    write_run(place, "a", 0.1)
    write_run(place, "b", 0.3, loss="top1")
    write_run(place, "c", 0.2, 0.13, seed=2)
    write_run(place, "d", 0.05, output_form="hybrid", tag="wide")
    (tmp_path / "gru4rec" / "half_done").mkdir()
    found = tables.finished_runs(place)
    assert found["name"].tolist() == [
        "content, bpr, seed 1",
        "content, top1",
        "content, bpr, seed 2",
        "content → hybrid wide, bpr",
    ]
    assert found["validation_recall_at_20"].tolist() == [0.1, 0.3, 0.2, 0.05], "at the best epoch, the second"
    assert found["validation_mrr_at_20"].tolist() == [0.1, 0.1, 0.13, 0.1]
    assert found["leads"].tolist() == [False, True, False, True], "0.3 / 0.1, not 0.2 / 0.13"


# The controls


@pytest.fixture
def player(listener, monkeypatch):
    monkeypatch.setattr(Player, "_picture", lambda self, names, session, heard: f"{names} {session} {heard}".encode())
    return Player(listener, listener.session(2), heard=1)


def test_the_controls_begin_with_the_session(player):
    assert player.tracks.value == "a\nb\nc"
    assert (player.heard.value, player.heard.max) == (1, 3)
    assert player.models.value == ("one_hot, bpr",)
    assert "heard: 1. Played next: b" in player.lists.value
    assert bytes(player.picture.value) == b"['one_hot, bpr'] ['a', 'b', 'c'] 1"
    assert "what changed" in player.along.value


def test_the_controls_show_the_number_of_the_session_that_they_begin_with(listener, player):
    assert player.number.value == 0
    begun = Player(listener, listener.session(2), heard=1, number=2)
    assert (begun.number.value, begun.session) == (2, TESTS[1])
    begun.number.value = 1
    assert begun.session == TESTS[0]


def test_tracks_with_labels_are_shown_and_found_by_name(listener, monkeypatch):
    named = listen.Listener({}, NAMES[1:], prepared(labels=LABELS))
    named.names, named.model = listener.names, listener.model
    assert [named.name(track) for track in (*ITEMS, "?")] == ["Ann", "Bob (b)", "c", f"Bob ({NEW})", "?"]
    assert all(named.track(named.name(track)) == track == named.track(track) for track in (*ITEMS, "?"))
    assert named.label("a", "0.5").startswith("Ann 0.5<br>")
    monkeypatch.setattr(Player, "_picture", lambda self, names, session, heard: b"")
    player = Player(named, ["a", "b", "?"], heard=1)
    assert player.tracks.value == "Ann\nBob (b)\n?"
    assert player.session == ["a", "b", "?"]
    assert player.track.options == ("Ann", "Bob (b)", "c", f"Bob ({NEW})")
    assert "heard: 1. Played next: Bob (b)" in player.lists.value
    player.track.value = "Ann"
    player.add.click()
    assert player.session == ["a", "b", "?", "a"]
    player.tracks.value = "ann\nBob\n?"
    assert player.session == ["a", "Bob", "?"]
    problem = f"Unknown tracks, which every model skips: Bob (may be Bob (b) or Bob ({NEW})), ?"
    assert player.problem.value == problem


@pytest.mark.slow
def test_the_next_position_updates_the_lists(player):
    player.heard.value = 2
    assert "heard: 2. Played next: c" in player.lists.value
    player.models.value = NAMES
    assert "content, bpr" in player.lists.value


def test_a_track_is_added_and_the_last_removed(player):
    player.track.value = " a "
    player.add.click()
    assert player.session == ["a", "b", "c", "a"]
    assert (player.heard.value, player.heard.max, player.play.max) == (4, 4, 4)
    assert "The session ends here" in player.lists.value
    player.remove.click()
    player.remove.click()
    assert player.session == ["a", "b"]
    assert (player.heard.value, player.heard.max) == (2, 2)


def test_a_session_is_typed_or_picked(player):
    player.tracks.value = "b\n\n  ? \n"
    assert player.session == ["b", "?"]
    assert player.tracks.value == "b\n?"
    assert player.problem.value == "Unknown tracks, which every model skips: ?"
    player.number.value = 1
    assert player.session == ["a", NEW]
    assert player.problem.value == ""
    player.another.click()
    assert player.session == TESTS[player.number.value - 1]


@pytest.mark.parametrize("session", [["a", "?"], ["a"], ["?"]])
def test_the_picture_is_shown_from_one_track_on(listener, session):
    player = Player(listener, session, heard=1, note="simulated data")
    assert bytes(player.picture.value).startswith(b"\x89PNG")
    assert "heard: 1." in player.lists.value


def test_a_session_of_one_track_has_a_sentence_instead_of_the_picture(listener):
    picture = figures.picture("listen_along", listener.ranks(NAMES, ["a"]).assign(heard=1, note="simulated data"))
    assert [text.get_text() for text in picture.axes[0].texts] == [listen_figures.ALONE]


def test_an_empty_selection_is_reported(player):
    player.tracks.value = ""
    assert player.problem.value.startswith("Type or choose a track")
    assert player.lists.layout.display == "none"
    player.tracks.value = "a\nb"
    assert player.lists.layout.display is None
    player.models.value = ()
    assert player.problem.value.endswith("choose a model.")
