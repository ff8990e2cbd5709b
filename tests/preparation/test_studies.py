"""The studies of listening logs read small files in the layouts of the published data, including bad rows."""

import bz2
import csv
import io
import json
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gru4rec_lib.__main__ import main
from gru4rec_lib.config.data import RawData
from gru4rec_lib.config.study import load_study
from gru4rec_lib.preparation import readers, sharded
from gru4rec_lib.preparation.prepare import prepare, settings

CONFIG = Path(__file__).parents[2] / "config"
SHARED = Path(__file__).parents[2].parent / "shared" / "data"
DAY, NOON = 86400, 1_700_000_000
PERSONAL = {
    "username": "hidden.person",
    "platform": "hidden OS",
    "conn_country": "XH",
    "ip_addr_decrypted": "10.11.12.13",
    "user_agent_decrypted": "hidden agent",
}


def read(study, folder):
    study = load_study(study, CONFIG)
    tables = readers.read(study.data, folder, study.split)
    prepared = prepare(tables, study.split, folder)
    assert len(prepared.train)
    assert len(prepared.test)
    return tables, {row.step.rpartition(" (")[0]: row.step for row in tables.counts.itertuples()}


def listening(n_days=12, n_plays=12):
    """One listener's days: (start in unix seconds, number of a track), 240 s apart."""
    return [(NOON + DAY * day + 240 * n, (day + n) % 8) for day in range(n_days) for n in range(n_plays)]


def iso(time, form="%Y-%m-%dT%H:%M:%SZ"):
    return datetime.fromtimestamp(time, UTC).strftime(form)


def write_zip(path, members):
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def text_of(rows, delimiter=",", header=()):
    file = io.StringIO()
    csv.writer(file, delimiter=delimiter, lineterminator="\n").writerows([header, *rows] if header else rows)
    return file.getvalue()


# Spotify


def extended(time, track, **changes):
    """A record of the extended streaming history: the play ends 200 seconds after `time`."""
    return PERSONAL | {
        "ts": iso(time + 200),
        "ms_played": 200_000,
        "master_metadata_track_name": f"Title {track}",
        "master_metadata_album_artist_name": f"Artist {track % 3}",
        "master_metadata_album_album_name": "Album",
        "spotify_track_uri": f"spotify:track:{track:022d}",
        **dict.fromkeys(("episode_name", "episode_show_name", "spotify_episode_uri")),
        **{"reason_start": "trackdone", "reason_end": "trackdone", "shuffle": False, "skipped": None},
        **{"offline": False, "offline_timestamp": time, "incognito_mode": False},
        **changes,
    }


def dirty(time):
    """Records that are not plays of tracks, plays that are too short, and impossible times."""
    podcast = {"episode_name": "Episode", "spotify_episode_uri": "spotify:episode:1", "spotify_track_uri": None}
    no_name = dict.fromkeys(("spotify_track_uri", "master_metadata_track_name", "master_metadata_album_artist_name"))
    return [
        extended(time, 0, **podcast),
        extended(time, 0, **no_name),
        extended(time, 0, **no_name, audiobook_uri="spotify:show:1", audiobook_title="Book"),
        extended(time, 1, ms_played=29_999),
        extended(5, 1),  # of 1970
        extended(time + 100 * 365 * DAY, 1),
    ]


@pytest.mark.parametrize(
    "names",
    [
        ("Spotify Extended Streaming History/Streaming_History_Audio_2023_{}.json",),
        ("MyData/endsong_{}.json",),
    ],
)
@pytest.mark.parametrize("is_zipped", [False, True])
def test_the_extended_history_of_spotify(tmp_path, names, is_zipped):
    records = [extended(*play) for play in listening()]
    # The parts are not split by time.
    parts = [dirty(NOON + 30 * DAY) + records[::2], records[1::2]]
    members = {names[0].format(n): json.dumps(part, indent=2) for n, part in enumerate(parts)}
    members |= {"MyData/Streaming_History_Video_2023.json": "[]", "MyData/ReadMeFirst.pdf": b"%PDF"}
    folder = tmp_path / "my_spotify_data.zip" if is_zipped else tmp_path / "export"
    if is_zipped:
        write_zip(folder, members)
    else:
        for name, content in members.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
    tables, _ = read("spotify_history", folder)
    assert tables.counts["step"].tolist()[:9] == [
        "read",
        "left out: podcasts (1)",
        "left out: audiobooks (1)",
        "left out: videos, and tracks without a name (1)",
        "bad rows dropped (0)",
        "plays before 2000-01-01 left out (1)",
        "plays in the future left out (1)",
        "plays of less than 30 seconds left out (1)",
        "sessions cut where more than 30 minutes pass without a play",
    ]
    assert tables.events["session"].cat.categories.tolist() == [str(n) for n in range(1, 13)]
    assert tables.events["item"].iloc[0] == f"spotify:track:{0:022d}"
    assert tables.labels.iloc[0].tolist() == [f"spotify:track:{0:022d}", "Artist 0", "Title 0"]
    text = tables.events.to_csv() + tables.labels.to_csv() + tables.counts.to_csv() + "".join(tables.warnings)
    assert not [value for value in PERSONAL.values() if value in text]


@pytest.mark.parametrize("name", ["StreamingHistory{}.json", "StreamingHistory_music_{}.json"])
def test_the_account_data_of_spotify(tmp_path, name):
    plays = [
        {
            "endTime": iso(time + 200, "%Y-%m-%d %H:%M"),
            "artistName": f"Artist {track % 3}",
            "trackName": f"Title {track}",
            "msPlayed": 200_000,
        }
        for time, track in listening()
    ]
    (tmp_path / name.format(0)).write_text(json.dumps(plays[:70]))
    (tmp_path / name.format(1)).write_text(json.dumps(plays[70:]))
    (tmp_path / "StreamingHistory_podcast_0.json").write_text('[{"endTime": "2023-01-01 10:00", "podcastName": "x"}]')
    tables, _ = read("spotify_history", tmp_path)
    assert len(tables.events) == 144
    assert tables.events["session"].nunique() == 12
    assert tables.events["item"].iloc[0] == "Artist 0 | Title 0"


def test_listeners_in_folders_with_audio_features(tmp_path):
    for listener in ("ann", "bob"):
        folder = tmp_path / listener
        folder.mkdir()
        plays = [
            {
                "endTime": iso(time + 200, "%Y-%m-%d %H:%M"),
                "artistName": f"Artist {track % 3}",
                "trackName": f"Title, {track}",
                "msPlayed": 200_000,
            }
            for time, track in listening()
        ]
        (folder / "StreamingHistory0.json").write_text(json.dumps(plays))
        names = load_study("spotify_listeners", CONFIG).data.item_table.numeric
        header = ["track_id", "track_name", "artist_name", *names, "key", "mode"]
        rows = [
            [f"id{n}", f"Title, {n}", f"Artist {n % 3}", *([0.1 * n] * (len(names) - 2)), 100 * (n % 2), 1000, n, n % 2]
            for n in range(6)
        ]
        (folder / "track_features.csv").write_text(text_of(rows, header=header))
    tables, _ = read("spotify_listeners", tmp_path)
    assert sorted(tables.events["session"].cat.categories)[:2] == ["ann-1", "ann-10"]
    assert tables.items["item"].tolist() == [f"Artist {n % 3} | Title, {n}" for n in range(8)]
    assert tables.items["artist"].tolist() == [f"Artist {n % 3}" for n in range(8)]
    assert np.isnan(tables.items["tempo"]).tolist() == [True, False] * 3 + [True] * 2  # the table has six of the tracks
    assert tables.categorical == ("artist", "key", "mode")


def test_no_personal_field_is_written(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    parts = [extended(*play) for play in listening()] + dirty(NOON + 30 * DAY)
    write_zip(tmp_path / "my_data.zip", {"MyData/endsong_0.json": json.dumps(parts)})
    assert main(["check", "my_data.zip", "--write", "mine.yaml"]) == 0
    study = load_study("spotify_history", CONFIG)
    place = RawData(study.data, study.split, tmp_path / "my_data.zip", tmp_path / "prepared")
    sharded.of_study(place).save(place.prepared, settings(study))
    texts = [*capsys.readouterr(), (tmp_path / "mine.yaml").read_text()]
    files = sorted(place.prepared.iterdir())
    assert {"items.parquet", "labels.parquet", "test_events.parquet"} <= {path.name for path in files}
    for path in files:
        texts.append(path.read_bytes().decode("latin-1"))
        texts += [pd.read_parquet(path).to_csv()] if path.suffix == ".parquet" else []
    assert any("Title 1" in text for text in texts)  # other fields are written
    assert not [value for value in PERSONAL.values() for text in texts if value in text]


# Last.fm and ListenBrainz


def test_scrobbles_of_an_exporter(tmp_path):
    header = ["uts", "utc_time", "artist", "artist_mbid", "album", "album_mbid", "track", "track_mbid"]
    rows = [
        [time, iso(time, "%d %b %Y, %H:%M"), f"Artist {track % 3}", "", "", "", f'Say "{track}"', ""]
        for time, track in reversed(listening())
    ]
    rows = [["", "", "A", "", "", "", "now playing", ""], *rows, rows[0], [86400, "", "A", "", "", "", "of 1970", ""]]
    file = io.StringIO()
    csv.writer(file, quoting=csv.QUOTE_ALL).writerows([header, *rows])
    (tmp_path / "scrobbles.csv").write_text(file.getvalue())
    tables, steps = read("lastfm_scrobbles", tmp_path)
    assert steps["left out: no time"] == "left out: no time (1)"
    assert steps["plays before 2002-01-01 left out"] == "plays before 2002-01-01 left out (1)"
    assert steps["exact repeats dropped"] == "exact repeats dropped (1)"
    assert tables.events["item"].iloc[0] == 'Artist 0 | Say "0"'
    assert len(tables.events) == 144


def test_the_export_of_listenbrainz(tmp_path):
    def listen(time, track):
        mapped = {"recording_mbid": f"mbid-{track}", "artist_mbids": ["x"]} if track % 2 else None
        names = {"artist_name": f"Artist {track % 3}", "track_name": f"Title {track}", "release_name": None}
        metadata = {**names, "additional_info": {"submission_client": "x"}, "mbid_mapping": mapped}
        return {"listened_at": time, "inserted_at": iso(time), "recording_msid": "m", "track_metadata": metadata}

    months = {"2023/11": listening()[:60], "2023/12": listening()[60:]}
    members = {
        f"listens/{name}.jsonl": "\n".join(json.dumps(listen(*play)) for play in month)
        for name, month in months.items()
    }
    write_zip(tmp_path / "listenbrainz.zip", members | {"user.json": "{}", "feedback.jsonl": "{}"})
    tables, _ = read("listenbrainz", tmp_path / "listenbrainz.zip")
    assert len(tables.events) == 144
    assert tables.events["item"].iloc[:2].tolist() == ["Artist 0 | Title 0", "mbid-1"]


def test_lastfm_1k(tmp_path):
    rows = []
    for user in ("user_000001", "user_000002"):
        rows += [
            [
                user,
                iso(time - 15 * 365 * DAY),
                "",
                f"Artist {track % 3}",
                "" if track % 2 else f"mbid {track}",
                f'The "{track}',
            ]
            for time, track in reversed(listening())
        ]
    rows.append(["user_000001", "2013-09-29T18:32:04Z", "", "Artist", "", "of a wrong clock"])
    rows.append(["user_000001", "2008-09-29T18:32:04Z", "", "Artist", "", ""])
    name = "userid-timestamp-artid-artname-traid-traname.tsv"
    (tmp_path / name).write_text("".join("\t".join(row) + "\n" for row in rows))
    tables, steps = read("lastfm_1k", tmp_path)
    assert len(tables.events) == 288
    assert steps["left out: no title"] == "left out: no title (1)"
    assert steps["plays on 2009-06-20 and later left out"] == "plays on 2009-06-20 and later left out (1)"
    assert tables.events["item"].iloc[:2].tolist() == ["mbid 0", 'Artist 1 | The "1']
    assert tables.events["user"].cat.categories.tolist() == ["user_000001", "user_000002"]
    assert tables.events["session"].iloc[0] == "user_000001-1"


LFM = ["danceability", "energy", "key", "loudness", "mode", "speechiness", "acousticness"]
LFM += ["instrumentalness", "liveness", "valence", "tempo"]


def lfm_features(delimiter="\t"):
    rows = [
        [track, *[round(0.1 * track + 0.01 * n, 3) for n in range(10)], 0 if track == 2 else 120] for track in range(6)
    ]
    rows = [[cell if n not in (3, 5) else row[0] % 2 for n, cell in enumerate(row)] for row in rows]
    return text_of(rows, delimiter, ["track_id", *LFM])


@pytest.mark.parametrize(
    ("study", "name"),
    [("lfm_beyms", "events.csv"), ("lfm_beyms", "events.tsv"), ("lfm_culture", "events.tsv")],
)
def test_lfm_1b(tmp_path, study, name):
    header = ["user_id", "artist_id", "album_id", "track_id", "timestamp"]
    # Days have 24 tracks here: `listening` has 8, too few once repeats are dropped.
    rows = [
        [u, 7, 8, (i * 5) % 24, NOON + DAY * (i // 12) + 100 * (i % 12)] for u in (31435, 31729) for i in range(240)
    ]
    if name == "events.tsv" and study == "lfm_beyms":
        rows, header = [[n, *row] for n, row in enumerate(rows)], ["", *header]
    (tmp_path / name).write_text(text_of(rows, "\t" if name.endswith("tsv") else ",", header))
    (tmp_path / "acoustic_features_lfm_id.tsv").write_text(lfm_features())
    tables, _ = read(study, tmp_path)
    assert len(tables.events) == 480
    assert tables.items.loc[2, ["tempo", "key"]].isna().tolist() == [True, False]
    assert tables.categorical == ("key", "mode")
    assert tables.counts["step"].iloc[-1] == "of items with features"


def test_nowplaying_rs(tmp_path):
    header = [
        "coordinates",
        "instrumentalness",
        "liveness",
        "speechiness",
        "danceability",
        "valence",
        "loudness",
        "tempo",
    ]
    header += [
        "acousticness",
        "energy",
        "mode",
        "key",
        "artist_id",
        "place",
        "geo",
        "tweet_lang",
        "track_id",
        "created_at",
    ]
    header += ["lang", "time_zone", "user_id", "id"]
    geo = "{'type': 'Point', 'coordinates': [1.5, \"2\"]}"
    rows = []
    for n, (time, track) in enumerate(listening()):
        audio = ["", *[0.1 * track] * 6, 120 + (n == 3), 0.5, 0.5, 1.0, 3.0]
        audio[0] = geo if n % 10 == 0 else ""
        rows.append(
            [
                *audio,
                f"artist{track}",
                "",
                geo if n % 7 == 0 else "",
                "en",
                f"track{track}",
                iso(time, "%Y-%m-%d %H:%M:%S"),
            ]
        )
        rows[-1] += ["en", "London, UK", 81496937, 1000 + n]
    rows.append([*rows[-1][:-1], 9999])  # a second tweet of the same play
    (tmp_path / "context_content_features.csv").write_text(text_of(rows, header=header))
    tables, steps = read("nowplaying_rs", tmp_path)
    assert steps["exact repeats dropped"] == "exact repeats dropped (1)"
    assert len(tables.events) == 144
    assert tables.items["item"].tolist()[:2] == ["track0", "track1"]
    assert "items whose rows of features differ: 1 of 8; the first value of each column counts" in tables.warnings


def test_yambda(tmp_path):
    rows = [
        (100 + user, time - NOON, track, True, 100 if n % 5 else 20)
        for user in range(2)
        for n, (time, track) in enumerate(listening())
    ]
    frame = pd.DataFrame(rows, columns=["uid", "timestamp", "item_id", "is_organic", "played_ratio_pct"])
    frame["track_length_seconds"] = 200
    types = {"uid": "uint32", "timestamp": "uint32", "item_id": "uint32", "played_ratio_pct": "uint16"}
    folder = tmp_path / "flat" / "50m"
    folder.mkdir(parents=True)
    frame.astype(types).to_parquet(folder / "listens.parquet", index=False)
    vectors = pd.DataFrame({"item_id": np.arange(7, dtype="uint32")})
    vectors["embed"] = [[1.0 * n, 2.0] for n in range(7)]
    vectors["normalized_embed"] = [[0.1 * n, 0.5] for n in range(7)]
    vectors.to_parquet(tmp_path / "embeddings.parquet", index=False)
    tables, steps = read("yambda_50m", tmp_path)
    assert steps["left out: less than half played"] == "left out: less than half played (58)"
    assert tables.numeric == ("normalized_embed_0", "normalized_embed_1")
    assert tables.events["session"].iloc[0] == "100-1"


def test_music4all_onion(tmp_path):
    rows = [
        [f"user_{u}", f"t{(i * 5) % 24}", iso(NOON + DAY * (i // 12) + 100 * (i % 12), "%Y-%m-%d %H:%M")]
        for u in "ab"
        for i in range(240)
    ]
    content = text_of(rows, "\t", ["user_id", "track_id", "timestamp"])
    (tmp_path / "userid_trackid_timestamp.tsv.bz2").write_bytes(bz2.compress(content.encode()))
    tables, _ = read("music4all_onion", tmp_path)
    assert len(tables.events) == 480


def test_deezer(tmp_path):
    rows = [(u, i // 12, NOON + DAY * (i // 12) + 100 * (i % 12), (i * 5) % 24) for u in (1, 2) for i in range(240)]
    frame = pd.DataFrame(rows, columns=["user_id", "session_id", "ts", "product_track_id"])
    frame.to_parquet(tmp_path / "streams.parquet", index=False)
    tracks = pd.DataFrame({"product_track_id": range(20), "artist_id": [n % 3 for n in range(20)]})
    tracks["vector"] = [np.array([n, 1.0], "float32") for n in range(20)]
    tracks.to_parquet(tmp_path / "tracks.parquet", index=False)
    tables, _ = read("deezer_2024", tmp_path)
    assert tables.events["session"].nunique() == 40
    assert tables.events["session"].iloc[0] == "1 | 0"
    assert tables.numeric == ("vector_0", "vector_1")


# The real files, if they are available


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs the real files")
@pytest.mark.parametrize(
    ("part", "left"),
    [("until_2023", (1821, 1, 220)), ("2023_09", (4427, 2, 0)), ("since_2024", (3154, 1, 0))],
)
def test_each_real_generation_of_the_extended_history(part, left):
    study = load_study("spotify_history", CONFIG)
    tables = readers.read(study.data, SHARED / "spotify_exports" / "extended" / part)
    rows, podcasts, without = left
    steps = tables.counts["step"].tolist()
    assert tables.counts["events"].iloc[0] == rows
    assert f"left out: podcasts ({podcasts})" in steps
    assert f"left out: videos, and tracks without a name ({without})" in steps


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs the real files")
def test_the_real_lines_of_lastfm_1k():
    study = load_study("lastfm_1k", CONFIG)
    tables = readers.read(study.data, SHARED / "lastfm_1k")
    assert tables.counts["events"].iloc[0] == 5000
    assert tables.events["item"].nunique() > 100


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs the real files")
def test_the_real_listeners():
    tables, _ = read("spotify_listeners", SHARED / "spotify_exports" / "yearly")
    assert tables.events["user"].nunique() == 5
    assert tables.items is not None
