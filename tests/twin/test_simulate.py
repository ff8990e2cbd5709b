"""The twin: MSSD's format and invariants, its published aggregates, and both extremes of content_signal."""

import gzip
import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gru4rec_lib.twin import behaviour, catalogue
from gru4rec_lib.twin.catalogue import FACTS
from gru4rec_lib.twin.simulate import listen, simulate

LOG_TEXT = """
session_id session_position session_length track_id_clean skip_1 skip_2 skip_3 not_skipped context_switch
no_pause_before_play short_pause_before_play long_pause_before_play hist_user_behavior_n_seekfwd
hist_user_behavior_n_seekback hist_user_behavior_is_shuffle hour_of_day date premium context_type
hist_user_behavior_reason_start hist_user_behavior_reason_end
"""
FEATURE_TEXT = """
track_id duration release_year us_popularity_estimate acousticness beat_strength bounciness danceability
dyn_range_mean energy flatness instrumentalness key liveness loudness mechanism mode organism speechiness tempo
time_signature valence acoustic_vector_0 acoustic_vector_1 acoustic_vector_2 acoustic_vector_3 acoustic_vector_4
acoustic_vector_5 acoustic_vector_6 acoustic_vector_7
"""
LOG_COLUMNS = re.findall(r"\w+", LOG_TEXT)
FEATURE_COLUMNS = re.findall(r"\w+", FEATURE_TEXT)
UUID = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
FEATURES = "track_features/tf_000000000000.csv"
# Two of the 201 published rows; dates and booleans as in the official files.
REAL_LOG = """\
0_00006f66-33e5-4de7-a324-2d18e439fc1e,1,20,t_0479f24c-27d2-46d6-a00c-7ec928f2b539,false,false,false,true,\
0,0,0,0,0,0,true,16,2018-07-15,true,editorial_playlist,trackdone,trackdone
0_0000a72b-09ac-412f-b452-9b9e79bded8f,1,20,t_e975c3a1-6a6c-4955-8bc7-02eb8e701bec,false,true,true,false,\
0,0,0,0,0,1,true,14,2018-07-15,true,user_collection,trackdone,fwdbtn
"""
LOG_LINE = re.compile(
    rf"\d_{UUID},([1-9]|1\d|20),(1\d|20),t_{UUID}(,(true|false)){{4}}(,[01]){{4}},\d+,\d+,(true|false),(\d|1\d|2[0-3]),"
    r"\d{4}-\d\d-\d\d,(true|false),[a-z_]+,[a-z]+,[a-z]+"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """The toy size, in two logs."""
    folder = tmp_path_factory.mktemp("twin")
    simulate(folder, 300, log_dates=("20180827", "20180715"))
    return folder


@pytest.fixture(scope="module")
def world() -> catalogue.Catalogue:
    return catalogue.build(2000, np.random.default_rng(5))


@pytest.fixture(scope="module")
def mini_world() -> catalogue.Catalogue:
    return catalogue.build(10_000, np.random.default_rng([1, 0]))


@pytest.fixture(scope="module")
def mini(mini_world) -> pd.DataFrame:
    """The mini size, as rows."""
    return listen(mini_world, 10_000, np.random.default_rng([1, 3, 0, 0]))


def logs(folder: Path) -> list[Path]:
    return sorted((folder / "training_set").iterdir())


def read(path: Path) -> pd.DataFrame:
    return pd.read_csv(path)


def test_the_files_have_the_official_names_columns_and_spelling(folder):
    assert [path.name for path in logs(folder)] == [
        "log_0_20180827_000000000000.csv.gz",
        "log_1_20180715_000000000000.csv.gz",
    ]
    assert [path.name for path in (folder / "track_features").iterdir()] == ["tf_000000000000.csv"]
    for n, path in enumerate(logs(folder)):
        header, *lines = gzip.decompress(path.read_bytes()).decode().splitlines()
        assert header.split(",") == LOG_COLUMNS
        assert all(LOG_LINE.fullmatch(line) and line.startswith(f"{n}_") for line in lines)
    assert (folder / FEATURES).read_text().splitlines()[0].split(",") == FEATURE_COLUMNS


def test_the_pattern_of_a_line_matches_real_rows_and_no_spreadsheet():
    assert all(LOG_LINE.fullmatch(line) for line in REAL_LOG.splitlines())
    assert not LOG_LINE.fullmatch(REAL_LOG.splitlines()[0].replace("2018-07-15", "15-07-18"))
    assert not LOG_LINE.fullmatch(REAL_LOG.splitlines()[0].replace("false", "False"))


def test_the_columns_are_those_of_the_real_rows_if_available():
    real = Path(__file__).parents[3] / "shared/data/mssd_fixture"
    files = [real / name for name in ("log_very_small.csv", "tf_very_small.csv") if real.exists()]
    headers = [path.read_text().splitlines()[0].split(",") for path in files] or [LOG_COLUMNS, FEATURE_COLUMNS]
    assert headers == [LOG_COLUMNS, FEATURE_COLUMNS]
    assert [len(columns) for columns in headers] == [21, 30]


def test_every_played_track_has_features_and_one_in_twenty_more_was_not_played(folder):
    table = read(folder / FEATURES)
    played = set().union(*(read(path).track_id_clean for path in logs(folder)))
    assert table.track_id.is_unique
    assert played < set(table.track_id)
    assert len(table) - len(played) == round(0.05 * len(played))
    assert not table.isna().any(axis=None)
    assert set(table["mode"]) == {"major", "minor"}
    assert table.key.isin(range(12)).all()
    assert table.release_year.between(1950, 2019).all()
    assert table.loudness.between(-60, 6.275).all()


def test_the_toy_size_repeats_enough_tracks_to_learn_from(folder):
    log = read(logs(folder)[0])
    assert log.session_id.nunique() == 300
    assert 1500 <= log.track_id_clean.nunique() <= 3200


def invariants(log: pd.DataFrame, session: str) -> None:
    """Check properties that all rows of MSSD have."""
    sessions = log.groupby(session, sort=False)
    assert log.session_position.equals(sessions.cumcount() + 1)
    assert log.session_length.equals(sessions[session].transform("size"))
    assert log.session_length.between(10, 20).all()
    assert (log[session] != log[session].shift()).sum() == len(sessions)  # no session in two places
    assert not (log.skip_1 & ~log.skip_2).any()
    assert not (log.skip_2 & ~log.skip_3).any()
    assert not (log.skip_3 & log.not_skipped).any()
    changes = (log.premium != sessions.premium.shift()) & (log.session_position > 1)
    assert changes.groupby(log[session]).sum().max() <= 1
    assert changes.sum() <= 1 + len(sessions) / 1000  # in the real data 2 sessions in 10,000
    assert (log.no_pause_before_play + log.long_pause_before_play == (log.session_position > 1)).all()
    assert (log.short_pause_before_play <= log.long_pause_before_play).all()
    assert log.loc[log.session_position == 1, "context_switch"].eq(0).all()
    assert log.hour_of_day.between(0, 23).all()
    same = log.context_type == sessions.context_type.shift()
    assert (same | (log.session_position == 1) | (log.context_switch == 1)).all()


def test_the_invariants_hold_in_the_files(folder):
    for path in logs(folder):
        invariants(read(path), "session_id")


@pytest.mark.parametrize(
    ("column", "value"), [("session_position", 3), ("skip_2", False), ("premium", None), ("session_length", 9)]
)
def test_the_invariants_can_fail(world, column, value):
    log = listen(world, 20, np.random.default_rng(0))
    row = log.index[log.skip_1 & (log.session_position == 5)][0]
    log.loc[row, column] = not log.loc[row, column] if value is None else value
    with pytest.raises(AssertionError):
        invariants(log, "session")


@settings(max_examples=15)
@given(seed=st.integers(0, 2**32), n=st.integers(1, 60), signal=st.floats(0, 1))
def test_the_invariants_hold_for_any_seed(world, seed, n, signal):
    log = listen(world, n, np.random.default_rng(seed), content_signal=signal)
    assert log.session.nunique() == n
    assert log.track_id_clean.between(0, len(world) - 1).all()
    invariants(log, "session")


def test_a_mixed_session_turns_premium_once(world, monkeypatch):
    monkeypatch.setitem(FACTS["rows"], "premium_sessions", {"all_premium": 0, "all_free": 0, "mixed": 1})
    sessions = listen(world, 200, np.random.default_rng(0)).groupby("session").premium
    assert not sessions.first().any()
    assert sessions.last().all()
    assert sessions.is_monotonic_increasing.all()


def test_a_seed_gives_the_same_bytes_and_another_seed_others(folder, tmp_path):
    for name, seed in (("again", 1), ("other", 2)):
        simulate(tmp_path / name, 300, seed, ("20180827", "20180715"))
    files = sorted(path.relative_to(folder) for path in folder.rglob("*.*") if path.is_file())
    assert len(files) == 4
    for file in files:
        assert (folder / file).read_bytes() == (tmp_path / "again" / file).read_bytes()
        assert (folder / file).read_bytes() != (tmp_path / "other" / file).read_bytes()


def test_two_dates_are_two_different_logs_about_their_own_days(folder):
    first, second = (read(path) for path in logs(folder))
    assert not set(first.session_id) & set(second.session_id)
    assert len(set(first.track_id_clean) & set(second.track_id_clean)) > 300
    assert first.date.mode()[0] == "2018-08-27"
    assert second.date.mode()[0] == "2018-07-15"


@pytest.mark.slow
def test_mini_matches_the_published_counts(mini):
    real = FACTS["rows"]
    plays = mini.track_id_clean.value_counts()
    assert len(mini) == pytest.approx(real["events"], rel=0.05)
    assert len(plays) == pytest.approx(real["tracks"], rel=0.05)
    assert plays.head(5).to_list() == pytest.approx(real["top_5_plays"], rel=0.25)
    assert (plays <= 10).mean() > 0.88
    distinct = mini.groupby("session").track_id_clean.nunique()
    assert distinct.mean() == pytest.approx(14.62, abs=0.3)
    assert distinct.quantile([0.25, 0.5, 0.75]).to_list() == pytest.approx([11, 15, 19], abs=1)


def distance(values: pd.Series, counts: dict) -> float:
    """Total variation, 0 to 1."""
    real = pd.Series(counts, dtype=float)
    return values.value_counts(normalize=True).sub(real / real.sum(), fill_value=0).abs().sum() / 2


def test_mini_matches_the_published_behaviour(mini):
    real, skip = FACTS["rows"], FACTS["skip"]
    mini = mini.rename(columns=lambda name: name.removeprefix("hist_user_behavior_"))
    for column in ("context_type", "reason_start", "reason_end"):
        assert distance(mini[column], real[column]) < 0.02, column
    lengths = dict(zip(FACTS["session_length"]["length"], FACTS["session_length"]["mini"], strict=True))
    assert distance(mini.session_length[mini.session_position == 1], lengths) < 0.02
    assert distance(mini.hour_of_day, dict(enumerate(real["hour_of_day"]))) < 0.02
    for column in ("skip_1", "skip_2", "skip_3", "not_skipped"):
        assert mini[column].mean() == pytest.approx(skip[column] / real["events"], abs=0.02), column
    assert mini.groupby("session_position").skip_2.mean().to_list() == pytest.approx(
        skip["skip_2_by_position"], abs=0.03
    )
    for column, name in {
        "no_pause_before_play": "no_pause",
        "short_pause_before_play": "short_pause",
        "long_pause_before_play": "long_pause",
        "is_shuffle": "shuffle",
        "context_switch": "context_switch",
    }.items():
        assert mini[column].mean() == pytest.approx(real[name] / real["events"], abs=0.02), column
    passed_on = (mini.reason_start == mini.reason_end.shift())[mini.session_position > 1]
    assert passed_on.mean() == pytest.approx(0.916, abs=0.05)


def test_features_have_the_real_marginals_and_correlations(mini_world, mini):
    table = catalogue.features(
        mini_world, *np.unique(mini.track_id_clean, return_counts=True), np.random.default_rng(1)
    )
    for column, real in FACTS["features"]["marginals"].items():
        if "p" in real:
            below = [np.mean(table[column] <= q) for q in real["q"]]
            known = np.diff(real["q"], append=np.inf) > 0
            assert np.array(below)[known] == pytest.approx(np.array(real["p"])[known], abs=0.05), column
        else:
            real_counts = dict(zip(real["value"], real["n"], strict=True))
            assert distance(table[column], real_counts) < 0.05, column
    columns = FACTS["feature_correlation"]["columns"]
    gap = table[columns].corr().to_numpy() - np.array(FACTS["feature_correlation"]["matrix"])
    assert np.abs(gap).mean() < 0.05


def test_played_tracks_are_newer_and_sound_as_published():
    world = catalogue.build(500, np.random.default_rng(1))
    tracks = np.arange(len(world))
    plays = np.diff(world.popularity)
    table = catalogue.features(world, tracks, plays, np.random.default_rng(2))
    numbers = table.select_dtypes("number")
    shift = (numbers.mul(plays, axis=0).sum() - numbers.mean()) / numbers.std()
    assert shift["release_year"] > 0.2
    assert shift["acoustic_vector_0"] < -0.4
    assert shift["us_popularity_estimate"] > 0.4


def test_a_draw_stays_in_its_run_and_follows_popularity(world):
    low, high = np.full(200_000, world.genre_first[1]), np.full(200_000, world.genre_first[2])
    drawn = world.draw(low, high, np.random.default_rng(0).random(200_000))
    assert drawn.min() >= low[0]
    assert drawn.max() < high[0]
    shares = np.diff(world.popularity)[low[0] : high[0]]
    best = shares.argmax()
    assert np.mean(drawn == low[0] + best) == pytest.approx(shares[best] / shares.sum(), abs=0.005)


def test_albums_belong_to_one_artist_and_artists_to_one_genre(world):
    assert np.diff(world.popularity).min() > 0
    assert world.popularity[-1] == 1
    for inner, outer in ((world.album, world.artist), (world.artist, world.genre)):
        assert pd.Series(outer).groupby(inner).nunique().eq(1).all()
    assert all(len(set(row)) == len(row) for row in world.lists[-1])
    for genre in range(world.genre[-1] + 1):
        assert (world.genre[world.lists[genre]] == genre).all()


def test_distinct_keeps_the_first_of_each_and_fills_up_with_repeats():
    rows = np.array([[5, 5, 3, 5, 9], [7, 7, 7, 7, 7]])
    assert catalogue.distinct(rows, 3).tolist() == [[5, 3, 9], [7, 7, 7]]
    assert catalogue.repeated(rows).tolist() == [[False, True, False, True, False], [False, True, True, True, True]]


def test_a_catalog_place_plays_the_artists_records_from_the_album(world):
    size = np.diff(world.artist_first)
    artist = int(np.flatnonzero(size >= 12)[0])
    first, stop = world.artist_first[artist], world.artist_first[artist + 1]
    shelf = behaviour.SHELVES["catalog"](world, np.array([stop - 1]), np.random.default_rng(0))[0]
    album = world.album_first[world.album[stop - 1]]
    heard = [*range(album, stop), *range(first, album)][: len(shelf)]
    assert shelf[: len(heard)].tolist() == heard


def gap(world: catalogue.Catalogue, signal: float) -> float:
    """Return the mean squared difference in sound of successive tracks that were chosen by sound."""
    log = listen(world, 1500, np.random.default_rng(3), content_signal=signal)
    log = log[log.context_type.isin(["radio", "user_collection"])]
    sound = world.sound[log.track_id_clean]
    follows = (log.session == log.session.shift()) & (log.track_id_clean != log.track_id_clean.shift())
    follows &= log.hist_user_behavior_reason_end.shift() != "endplay"
    return float(np.square(np.diff(sound, axis=0)).mean(1)[follows.to_numpy()[1:]].mean())


def test_content_signal_makes_successive_tracks_sound_alike(world):
    gaps = [gap(world, signal) for signal in (0.0, 0.25, 0.5, 1.0)]
    assert gaps == sorted(gaps, reverse=True)
    assert gaps[3] < 0.8 * gaps[0]


def test_without_content_signal_sound_changes_nothing(world):
    deaf = catalogue.Catalogue(**{**vars(world), "sound": np.zeros_like(world.sound)})
    same, other = (
        [listen(w, 50, np.random.default_rng(4), content_signal=signal).track_id_clean for w in (world, deaf)]
        for signal in (0.0, 1.0)
    )
    assert same[0].equals(same[1])
    assert not other[0].equals(other[1])


def test_the_facts_are_small_and_name_their_source():
    path = Path(catalogue.__file__).with_name("mssd_facts.json")
    assert path.stat().st_size < 40_000
    facts = json.loads(path.read_text(encoding="utf-8"))
    assert all("source" in fact for name, fact in facts.items() if name not in ("_note", "sources"))
    assert sum(facts["session_length"]["mini"]) == 10_000
    assert sum(facts["session_length"]["full"]) == 124_950_714
    assert sum(facts["rows"]["context_type"].values()) == facts["rows"]["events"] == 167_880


def test_every_assumption_is_in_the_table():
    from gru4rec_lib.twin import simulate as module

    named = set(re.findall(r"[A-Z][A-Z_0-9]{2,}", "\n".join(re.findall(r"^\| (.*?) \|", module.__doc__, re.M))))
    technical = {"FACTS", "ROWS", "WAY", "BLOCK", "CONTEXTS", "ENDS", "STARTS", "IN_ORDER", "SHELVES", "SIMULATED"}
    constants = {
        name for m in (catalogue, behaviour, module) for name in vars(m) if re.fullmatch("[A-Z][A-Z_0-9]+", name)
    }
    assert constants - technical == named
