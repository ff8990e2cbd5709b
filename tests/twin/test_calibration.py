"""The calibration: distances and measures by hand, the facts that it uses, and the twin within its tolerances."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gru4rec_lib.twin import calibration, measurements
from gru4rec_lib.twin.calibration import Comparison, calibrate
from gru4rec_lib.twin.catalogue import FACTS
from gru4rec_lib.twin.simulate import simulate

FEATURES = FACTS["feature_correlation"]["columns"]


def compared(statistic, real, twin, tolerance=0.5):
    return Comparison("plays", real, twin, statistic, tolerance, "me").row()


@pytest.mark.parametrize(
    ("statistic", "distance", "where"),
    [
        ("difference", 2.0, "b"),
        ("mean difference", 1.0, "b"),
        ("total variation", 1.5, "b"),
        ("relative", 0.5, "a"),
        ("orders of magnitude", np.log10(2), "a"),
    ],
)
def test_a_distance_and_where_it_is_greatest(statistic, distance, where):
    real, twin = {"a": 2.0, "b": 8.0, "c": 4.0}, {"c": 4.0, "b": 10.0, "a": 1.0}
    row = compared(statistic, real, twin)
    assert row["distance"] == pytest.approx(distance)
    assert (row["where"], row["real"], row["twin"]) == (where, real[where], twin[where])


def test_a_distance_holds_up_to_its_tolerance():
    assert compared("difference", 1.0, 1.5)["holds"]
    assert not compared("difference", 1.0, 1.51)["holds"]
    assert compared("difference", 1.0, 1.5)["where"] == ""


def test_a_value_that_one_side_lacks_is_zero_there():
    row = compared("total variation", {"a": 1.0}, {"a": 0.75, "b": 0.25})
    assert row["distance"] == pytest.approx(0.25)


def test_a_relative_distance_depends_on_the_sign():
    assert not compared("relative", -0.1, 0.1)["holds"]
    assert compared("relative", -0.1, -0.06)["holds"]


def test_gini_by_hand():
    assert measurements.gini(np.array([2, 2, 2])) == pytest.approx(0)
    assert measurements.gini(np.array([3, 1])) == pytest.approx(0.25)
    assert measurements.gini(np.array([97, 1, 1, 1])) == pytest.approx(0.72)


def test_thinning_the_full_histogram_gives_the_known_number_of_tracks():
    year = measurements.expected_plays(167_880)
    assert year.sum() == pytest.approx(167_880, rel=0.01)
    assert len(year) == pytest.approx(61_695, rel=0.01)
    assert year[0] == pytest.approx(637, rel=0.1)
    day = measurements.expected_plays(167_880, 50_704)
    assert len(day) == pytest.approx(50_704, rel=0.01)
    assert measurements.gini(day) > measurements.gini(year)


def raw(folder: Path, *logs: dict[str, str], **sound: float) -> Path:
    """Write raw files: each session is a word whose letters are tracks; `sound` is the tempo of a track."""
    for n, log in enumerate(logs):
        rows = [
            (name, place, len(tracks), track, "editorial_playlist")
            for name, tracks in log.items()
            for place, track in enumerate(tracks, 1)
        ]
        columns = ["session_id", "session_position", "session_length", "track_id_clean", "context_type"]
        pd.DataFrame(rows, columns=columns).to_csv(folder / f"log_{n}.csv", index=False)
    table = pd.DataFrame({"track_id": list(sound)} | dict.fromkeys(FEATURES, 1.0) | {"mode": "major"})
    table.assign(tempo=list(sound.values())).to_csv(folder / "tf_0.csv", index=False)
    return folder


@pytest.mark.parametrize(
    ("log", "share"),
    [
        ({"s": "abd"}, 1.0),  # b is nearer to a than d is
        ({"s": "adb"}, 0.0),
        ({"s": "abd", "t": "adb"}, 0.5),
        ({"s": "bac"}, 0.5),  # a and c have the same distance from b
    ],
)
def test_how_often_the_next_track_is_nearer_in_sound_by_hand(tmp_path, log, share):
    with measurements.load(raw(tmp_path, log, a=0.0, b=1.0, c=2.0, d=9.0)) as con:
        assert measurements.next_sounds_alike(con) == share


def test_most_popular_by_hand(tmp_path):
    train = {"s1": "xx", "s2": "xy", "s3": "xy", "s4": "xx"}
    with measurements.load(raw(tmp_path, train | {"s5": "zyxyx"}, x=1, y=1, z=1)) as con:  # z is unseen, y the input
        assert measurements.most_popular_recall(con, 1) == pytest.approx(2 / 3)
        assert measurements.most_popular_recall(con, 2) == 1


def test_of_two_logs_the_second_is_tested(tmp_path):
    with measurements.load(raw(tmp_path, {"s": "xxy"}, {"t": "xyx"}, x=1, y=1)) as con:
        assert measurements.most_popular_recall(con, 1) == 0.5


def test_what_is_played_against_all_tracks_by_hand(tmp_path):
    folder = raw(tmp_path, {"s": "bbba"}, a=1, b=1)
    table = pd.read_csv(folder / "tf_0.csv").assign(duration=[100.0, 200.0], valence=[0, 1], mode=["major", "minor"])
    spread = {name: [0.0, 1.0] for name in FACTS["play_shift"]["mean"] if name not in table[["duration", "valence"]]}
    table.assign(**spread).to_csv(folder / "tf_0.csv", index=False)
    with measurements.load(folder) as con:
        played = measurements.played(con).set_index("feature")
    assert played.loc["duration", "twin"] == pytest.approx((175 - 150) / 50)
    assert played.loc["mode", "twin"] == pytest.approx((0.25 - 0.5) / 0.5)
    assert played.loc["mode", "real"] == pytest.approx(-0.0789, abs=1e-3)


def test_missing_files_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no log_\*.csv"):
        measurements.load(tmp_path)


def test_the_facts_are_those_of_the_statistics_that_were_gathered():
    path = Path(__file__).parents[3] / "shared/data/mssd_statistics.json"
    by_hand = {
        "session_length": {"full": {"n_sessions": FACTS["session_length"]["full"]}},
        "plays_per_track": {"mini": {"distinct_tracks_mean": 14.62, "distinct_tracks_quartiles": [11, 15, 19]}},
        "within_session_variety_one_log_file": {"mean_distinct_values_per_session": {"date": 1.0159}},
        "track_features_play_weighted_mini": {"mode": {"major": 103_063, "minor": 64_817}},
    }
    real = json.loads(path.read_text(encoding="utf-8")) if path.exists() else by_hand
    mini, session = real["plays_per_track"]["mini"], FACTS["session"]
    assert FACTS["session_length"]["full"] == real["session_length"]["full"]["n_sessions"]
    assert sum(FACTS["session_length"]["full"]) == 124_950_714
    assert session["distinct_tracks_mean"] == mini["distinct_tracks_mean"]
    assert session["distinct_tracks_quartiles"] == mini["distinct_tracks_quartiles"]
    dates = real["within_session_variety_one_log_file"]["mean_distinct_values_per_session"]["date"]
    assert session["mean_distinct_values"]["date"] == dates
    mode = real["track_features_play_weighted_mini"]["mode"]
    assert FACTS["play_shift"]["mode_major"] == pytest.approx(mode["major"] / sum(mode.values()), abs=1e-4)


@pytest.fixture(scope="module")
def toy(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("toy")
    simulate(folder, 300)
    return folder


def test_the_toy_has_every_row_but_counts(toy):
    table = calibrate(toy)
    assert list(table) == calibration.COLUMNS
    assert table["quantity"].is_unique
    assert not table["quantity"].str.contains("plays|rules|events").any()
    holds = table.set_index("quantity")["holds"]
    names = ["session length", "skips", "reason end", "scalar features, share below (KS)"]
    assert holds[names].all()
    assert np.isfinite(table[["real", "twin", "distance"]]).all(axis=None)


def test_a_wrong_log_misses(toy, tmp_path):
    log = pd.read_csv(next(toy.rglob("log_*"))).assign(skip_2=True, context_type="radio")
    log.to_csv(tmp_path / "log_0.csv", index=False)
    (tmp_path / "tf_0.csv").write_bytes(next(toy.rglob("tf_*")).read_bytes())
    holds = calibrate(tmp_path).set_index("quantity")["holds"]
    assert not holds[["skips", "skip_2 by position", "context type", "distinct values in a session, mean"]].any()


def test_the_frames_of_the_figures_have_both_sides(toy):
    with measurements.load(toy) as con:
        plays, lengths, skips = measurements.plays(con), measurements.lengths(con), measurements.skips(con)
        falling = measurements.play_counts(con)
    twin = plays[plays["side"] == "twin"]
    assert (twin["plays"].to_numpy() == falling[twin["rank"] - 1]).all()
    assert twin["rank"].iloc[[0, -1]].to_list() == [1, len(falling)]
    assert lengths[["real", "twin"]].sum().to_list() == pytest.approx([1, 1])
    assert lengths.loc[lengths["length"] == 20, "real"].item() == pytest.approx(0.5066)
    assert skips["real"].iloc[0] == 0.3773
    assert skips["twin"].between(0.2, 0.8).all()


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 3])
def test_mini_is_within_its_tolerances_except_for_single_hours(tmp_path, seed):
    simulate(tmp_path, 10_000, seed)
    table = calibrate(tmp_path, "mini").set_index("quantity")
    # Hours of few listeners, and places of 1.5 % of the rows, are a handful of sessions.
    small = ["skip_2 by hour", "skip_2 by context type"]
    assert set(table.index[~table["holds"]]) <= set(small)
    assert table.loc[small, "distance"].max() < 0.05
    # This quantity has no tolerance; published for Mini: 0.10.
    with measurements.load(tmp_path) as con:
        assert 0.05 < measurements.most_popular_recall(con) < 0.2


@pytest.mark.slow
def test_content_signal_changes_sound_and_not_what_identity_predicts(tmp_path):
    alike, identity, recall = [], [], []
    for signal in (0.0, 0.25, 0.5, 1.0):
        folder = tmp_path / str(signal)
        simulate(folder, 3000, content_signal=signal)
        with measurements.load(folder) as con:
            alike.append(measurements.next_sounds_alike(con))
            plays = measurements.play_counts(con)
            recall.append(measurements.most_popular_recall(con))
        identity.append((plays.sum(), len(plays), measurements.gini(plays)))
    assert (np.diff(alike) > 0.005).all()
    assert alike[-1] - alike[0] > 0.08
    assert np.ptp(identity, axis=0) / np.mean(identity, axis=0) == pytest.approx(0, abs=0.01)
    assert np.ptp(recall) < 0.01  # of 0.10
