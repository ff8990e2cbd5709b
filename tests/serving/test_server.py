"""The server of a model: the lists of `Recommender.recommend`, limits, a reload, and the process."""

import json
import os
import shutil
import signal
import sys
import threading
import urllib.error
import urllib.request

import numpy as np
import pandas as pd
import pytest
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st

from gru4rec_lib import __main__
from gru4rec_lib.baselines import STAN, MostPopular
from gru4rec_lib.bench import serving
from gru4rec_lib.serving import model_folder, server
from gru4rec_lib.serving.recommender import Recommender

RANDOM = np.random.default_rng(4)
EVENTS = pd.DataFrame(
    {"session": np.arange(60).repeat(5), "item": [f"t{n}" for n in RANDOM.zipf(1.5, 300) % 12], "time": range(300)}
)
TITLES = ["One", "Two", "Three", None, *(f"Title {n}" for n in range(4, 11)), "One"]
ITEMS = [f"t{n}" for n in range(12)]
LABELS = pd.DataFrame({"item": ITEMS, "artist": [*"abcd"] * 3, "title": TITLES})
STAN_MODEL = Recommender.of(STAN(), EVENTS, labels=LABELS)
JSON = {"Content-Type": "application/json"}


def client(folder, host="127.0.0.1"):
    return TestClient(server.create_app(folder), client=(host, 50_000), raise_server_exceptions=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("served") / "stan"
    STAN_MODEL.save(place)
    return place


@pytest.fixture(scope="module")
def asked(folder):
    """Send a query, and return the status and the answer."""
    here = client(folder)

    def ask(**query):
        answer = here.post("/recommend", json=query)
        return answer.status_code, answer.json()

    return ask


def rows(table):
    """The rows of a list as the server writes them."""
    found = []
    for row in table.to_dict("records"):
        score = None if np.isnan(row["score"]) else row["score"]
        labels = {name: row[name] if isinstance(row[name], str) else None for name in [*row][1:-2]}
        found.append({"id": row["item"], "score": score, "source": row["source"], "labels": labels})
    return found


ITEM = st.sampled_from([*ITEMS, "unseen", "other"])


@given(
    session=st.lists(ITEM, max_size=6),
    k=st.integers(1, 12),
    exclude_heard=st.booleans(),
    among=st.none() | st.lists(st.sampled_from(ITEMS), min_size=1).map(lambda ids: [*ids, "other"]),
    exclude=st.lists(ITEM, max_size=3),
    at_most=st.dictionaries(st.sampled_from(["artist", "title"]), st.integers(1, 3)),
)
def test_a_list_is_that_of_the_recommender(asked, session, k, exclude_heard, among, exclude, at_most):
    options = {"among": among, "exclude": exclude, "at_most": at_most}
    expected = STAN_MODEL.recommend(session, k, exclude_heard, **options)
    status, answer = asked(session=session, k=k, exclude_heard=exclude_heard, **options)
    assert (status, answer["items"]) == (200, rows(expected))
    named = [*session, *(among or ()), *exclude]
    assert answer["unknown"] == [*dict.fromkeys(item for item in named if item not in ITEMS)]


@pytest.mark.slow
def test_a_network_is_served_with_its_scores(tmp_path):
    model = Recommender.fit(EVENTS, labels=LABELS, epochs=1, hidden_units=4, verbose=0)
    model.save(tmp_path / "model")
    here = client(tmp_path / "model")
    expected = rows(model.recommend(["t1", "?"], 5))
    for _ in range(2):
        answer = here.post("/recommend", json={"session": ["t1", "?"], "k": 5}).json()
        assert answer == {"items": expected, "unknown": ["?"]}
        assert all(isinstance(row["score"], float) for row in answer["items"])
        assert here.post("/reload").status_code == 200


def test_names_stand_for_ids(asked):
    by_name = asked(session=["b - two", "Three"], k=3, among=["t1", "Title 5", "t6"], exclude=["Title 6"])
    assert by_name == asked(session=["t1", "t2"], k=3, among=["t1", "t5", "t6"], exclude=["t6"])
    assert by_name[1]["unknown"] == []
    status, answer = asked(session=["One"], k=3)
    assert (status, answer["detail"]) == (
        422,
        "`One` may be 2 items: `d · One`, `a · One`; give one of these names or an id",
    )


@pytest.mark.parametrize(("number", "text"), [(3, "3"), (2**63 - 1, str(2**63 - 1))])
def test_numbers_are_ids_as_numbers_or_text(tmp_path, number, text):
    events = pd.DataFrame({"session": [1, 1, 2, 2, 2], "item": [3, 7, 3, 7, 2**63 - 1], "time": range(5)})
    model = Recommender.of(STAN(), events)
    model.save(tmp_path / "model")
    here = client(tmp_path / "model")
    for item in (number, text):
        answer = here.post("/recommend", json={"session": [item, "?", 99], "k": 2}).json()
        assert answer == {"items": rows(model.recommend([number, 99], 2)), "unknown": ["?", 99]}
    nothing = here.post("/recommend", json={"session": ["?"], "k": 1}).json()
    assert nothing["items"] == rows(model.recommend([99], 1))
    assert nothing["items"][0]["source"] == "popularity: no known item"


def test_spaces_count_in_ids(tmp_path):
    model = Recommender.of(STAN(), EVENTS.replace({"item": {"t1": " t", "t2": "t"}}))
    model.save(tmp_path / "model")
    here = client(tmp_path / "model")
    for item in (" t", "t"):
        answer = here.post("/recommend", json={"session": [item], "k": 4}).json()
        assert answer == {"items": rows(model.recommend([item], 4)), "unknown": []}


@pytest.mark.parametrize(
    ("query", "detail"),
    [
        ({}, "session: is missing"),
        ({"session": "t1"}, "session: Input should be a valid list (given: 't1')"),
        ({"session": [["t1"]]}, "session.0: should be an id or a name of an item, a text or a whole number"),
        ({"session": ["t1", True]}, "session.1: should be an id or a name of an item, a text or a whole number"),
        ({"session": [1.5]}, "session.0: should be an id or a name of an item, a text or a whole number"),
        ({"session": [None]}, "session.0: should be an id or a name of an item, a text or a whole number"),
        ({"session": [], "k": 0}, "k: Input should be greater than or equal to 1 (given: 0)"),
        ({"session": [], "k": -1}, "k: Input should be greater than or equal to 1 (given: -1)"),
        ({"session": [], "k": 1_001}, "k: Input should be less than or equal to 1000 (given: 1001)"),
        ({"session": [], "k": "3"}, "k: Input should be a valid integer (given: '3')"),
        ({"session": [], "k": True}, "k: Input should be a valid integer (given: True)"),
        ({"session": [], "k": 2.0}, "k: Input should be a valid integer (given: 2.0)"),
        ({"session": [], "k": None}, "k: Input should be a valid integer (given: None)"),
        ({"session": [], "k": 13}, "k is 13; it can be 1 to 12, the items that have a score"),
        ({"session": ["t1"] * 1_001}, "session: List should have at most 1000 items after validation, not 1001"),
        ({"session": [], "k": 1, "exclude_heard": 1}, "exclude_heard: Input should be a valid boolean (given: 1)"),
        ({"session": [], "k": 1, "among": []}, "among: none of its 0 ids has a score; give ids of items"),
        ({"session": [], "k": 1, "among": ["?"]}, "among: none of its 1 ids has a score; give ids of items"),
        ({"session": [], "k": 1, "exclude": "t1"}, "exclude: Input should be a valid list (given: 't1')"),
        ({"session": [], "k": 1, "at_most": {"year": 1}}, "at_most: there is no label 'year'; name one of artist, tit"),
        ({"session": [], "k": 1, "at_most": {"artist": 0}}, "at_most.artist: Input should be greater than or equal to"),
        ({"session": [], "k": 1, "at_most": {"artist": "2"}}, "at_most.artist: Input should be a valid integer"),
        ({"session": [], "among_": 1}, "among_: no such field; check its spelling or delete it"),
    ],
)
def test_a_wrong_query_is_one_sentence(asked, query, detail):
    status, answer = asked(**query)
    assert status == 422
    assert answer["detail"].startswith(detail)
    assert "\n" not in answer["detail"]


def test_limits_are_allowed(asked):
    assert asked(session=["t1"] * 1_000, k=12)[0] == 200
    assert asked(session=[], k=1_000)[1]["detail"].startswith("k is 1000; it can be 1 to 12")


NO_OBJECT = "the body should be a JSON object, sent with the header Content-Type: application/json"


@pytest.mark.parametrize(
    ("body", "headers", "status", "detail"),
    [
        (b"", JSON, 422, NO_OBJECT),
        (b"[]", JSON, 422, NO_OBJECT),
        (b'{"session": []}', {}, 422, NO_OBJECT),
        (b'{"session": []}', {"Content-Type": "application/x-www-form-urlencoded"}, 422, NO_OBJECT),
        (b'{"session": [}', JSON, 422, "the body is not JSON: Expecting value, at character 14"),
        (b'{"session": ["\\ud800"]}', JSON, 422, "session.0: is not valid Unicode; write the text in UTF-8"),
        (b'{"session": [], "k": 1, "at_most": {"\\ud800": 1}}', JSON, 422, "at_most: there is no label '\\ud800'"),
        (b'{"session": [], "k": NaN}', JSON, 422, "k: Input should be a valid integer (given: nan)"),
        (b'{"session": ["\xff"]}', JSON, 400, "There was an error parsing the body"),
        (b"[" * 100_000, JSON, 400, "There was an error parsing the body"),
        (b'{"session": [' + b"9" * 5_000 + b"]}", JSON, 400, "There was an error parsing the body"),
    ],
)
def test_a_wrong_body_is_one_sentence(folder, body, headers, status, detail):
    answer = client(folder).post("/recommend", content=body, headers=headers)
    assert answer.status_code == status
    assert answer.json()["detail"].startswith(detail)


def test_a_long_body_is_refused(folder):
    here, least = client(folder), b'{"session": [], "k": 1}'
    full = least + b" " * (server.MOST_BYTES - len(least))
    assert here.post("/recommend", content=full, headers=JSON).status_code == 200
    for long in (full + b" ", iter([full, b" "])):  # with its length, and in chunks
        assert here.post("/recommend", content=long, headers=JSON).status_code == 413


def test_an_error_of_the_server_shows_no_traceback(folder, monkeypatch):
    here = client(folder)
    monkeypatch.setattr(Recommender, "recommend", lambda *_, **__: 1 / 0)
    answer = here.post("/recommend", json={"session": []})
    assert (answer.status_code, answer.text) == (500, "Internal Server Error")


def test_health_describes_the_model(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "mine")
    os.utime(tmp_path / "mine" / "config.json", (0, 86_400))
    expected = {"model": "mine", "date": "1970-01-02T00:00:00+00:00", "items": 12}
    assert client(tmp_path / "mine").get("/health").json() == expected
    card = {"model": "shared-bpr-seed1", "trained_at": "2020-02-02T02:02:02+00:00"}
    (tmp_path / "mine" / "card.json").write_text(json.dumps(card))
    expected = {"model": "shared-bpr-seed1", "date": "2020-02-02T02:02:02+00:00", "items": 12}
    assert client(tmp_path / "mine").get("/health").json() == expected
    (tmp_path / "mine" / "card.json").write_text("[1]")
    with pytest.raises(ValueError, match=r"card\.json: cannot be read"):
        model_folder.about(tmp_path / "mine")


def test_the_description_names_fields_and_errors(folder):
    here = client(folder)
    found = here.get("/openapi.json").json()
    assert {*found["paths"]} == {"/recommend", "/health", "/reload"}
    assert {*found["paths"]["/recommend"]["post"]["responses"]} == {"200", "413", "422"}
    query = found["components"]["schemas"]["Query"]["properties"]
    assert {*query} == {"session", "k", "exclude_heard", "among", "exclude", "at_most"}
    assert (query["k"]["minimum"], query["k"]["maximum"], query["session"]["maxItems"]) == (1, 1_000, 1_000)
    assert [here.get(page).status_code for page in ("/docs", "/redoc", "/")] == [404] * 3  # no scripts of others


def popular(tmp_path):
    Recommender.of(MostPopular(), EVENTS.tail(100), labels=LABELS).save(tmp_path)
    return Recommender.load(tmp_path)


def test_a_reload_serves_the_new_model_and_requests_keep_theirs(folder, tmp_path, monkeypatch):
    place = tmp_path / "model"
    shutil.copytree(folder, place)
    here, entered, go = client(place), threading.Event(), threading.Event()
    recommend = Recommender.recommend

    def slow(self, *given, **named):
        entered.set()
        assert go.wait(60)
        return recommend(self, *given, **named)

    query = {"session": ["t1", "t3"], "k": 5}
    monkeypatch.setattr(Recommender, "recommend", slow)
    answers = []
    first = threading.Thread(target=lambda: answers.append(here.post("/recommend", json=query).json()))
    first.start()
    assert entered.wait(60)
    new = popular(place)
    assert here.post("/reload").json()["items"] == len(new.items)
    go.set()
    first.join()
    monkeypatch.undo()
    old, expected = (rows(model.recommend(**query)) for model in (STAN_MODEL, new))
    assert old != expected
    assert answers[0]["items"] == old
    assert here.post("/recommend", json=query).json()["items"] == expected


def remove(place):
    shutil.rmtree(place)


def garble(place):
    (place / "items.parquet").write_bytes(b"no table")


def number_labels(place):
    pd.DataFrame({"item": ITEMS, "artist": range(12)}).to_parquet(place / "labels.parquet")


@pytest.mark.parametrize(
    ("damage", "reason"),
    [(remove, "model.keras: there is no such file"), (garble, "items.parquet: cannot be read"), (number_labels, "")],
)
def test_a_broken_folder_leaves_the_old_model(folder, tmp_path, damage, reason):
    place = tmp_path / "model"
    shutil.copytree(folder, place)
    here, query = client(place), {"session": ["t1", "t3"], "k": 5}
    before, health = here.post("/recommend", json=query).json(), here.get("/health").json()
    damage(place)
    answer = here.post("/reload")
    assert answer.status_code == 409
    detail = answer.json()["detail"]
    assert reason in detail
    assert detail.endswith(f"; the model model of {health['date']} is still served")
    assert "Traceback" not in detail
    assert here.post("/recommend", json=query).json() == before
    assert here.get("/health").json() == health


def test_a_folder_that_is_replaced_while_it_is_read_is_refused(folder, tmp_path, monkeypatch):
    place = tmp_path / "model"
    shutil.copytree(folder, place)
    read = model_folder._fitted

    def replaced_meanwhile(*given, **named):
        found = read(*given, **named)
        place.rename(tmp_path / "old")
        shutil.copytree(folder, place)
        return found

    monkeypatch.setattr(model_folder, "_fitted", replaced_meanwhile)
    with pytest.raises(ValueError, match=r"model: was replaced while it was read; load it again"):
        Recommender.load(place)


@pytest.mark.parametrize(
    ("host", "headers"),
    [
        ("192.0.2.7", {}),
        ("testclient", {}),
        ("127.0.0.1", {"Origin": "http://example.org"}),
        ("::1", {"Origin": "null"}),
    ],
)
def test_only_a_program_on_this_machine_may_reload(folder, host, headers):
    answer = client(folder, host).post("/reload", headers=headers)
    assert (answer.status_code, answer.json()["detail"]) == (
        403,
        "only a program on the server's own machine may reload the model",
    )
    assert client(folder, "::1").post("/reload").status_code == 200


def test_requests_at_the_same_time_get_the_lists_of_one_by_one(folder):
    here = client(folder)
    queries = [{"session": [f"t{n % 12}", f"t{n % 7}"], "k": 1 + n % 12} for n in range(40)]
    expected = [here.post("/recommend", json=query).json() for query in queries]
    found = [None] * len(queries)

    def send(number):
        found[number] = here.post("/recommend", json=queries[number]).json()

    threads = [threading.Thread(target=send, args=(number,)) for number in range(len(queries))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == expected


@pytest.mark.parametrize("package", ["fastapi", "uvicorn"])
def test_a_missing_extra_is_one_sentence(monkeypatch, capsys, package):
    monkeypatch.delitem(sys.modules, "gru4rec_lib.serving.server")
    monkeypatch.delattr("gru4rec_lib.serving.server")
    monkeypatch.setitem(sys.modules, package, None)
    assert __main__.main(["serve", "--model", "x"]) == 2
    problem = f"serve: the package {package} is not installed"
    assert capsys.readouterr() == ("", f"{problem}; in the project's folder: python -m pip install '.[serve]'\n")


def test_a_wrong_folder_is_one_sentence(capsys, tmp_path):
    assert __main__.main(["serve", "--model", str(tmp_path)]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert "there is no such file; name a folder that `Recommender.save` or a study's run wrote" in err


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        (["--port", "65536"], "--port: 65536 is no port; name one from 0 to 65535"),
        (["--port", "-1"], "--port: -1 is no port; name one from 0 to 65535"),
        (["--host", "192.0.2.7", "--port", "0"], "--host 192.0.2.7 --port 0: cannot listen there ("),
        (["--host", "a" * 70, "--port", "0"], "cannot listen there ("),
    ],
)
def test_a_wrong_address_is_one_sentence(folder, capsys, place, reason):
    assert __main__.main(["serve", "--model", str(folder), *place]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert reason in err


@pytest.fixture
def _ctrl_c():
    """Let processes that are started heed Ctrl-C; tests in the background, and their children, ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.slow
@pytest.mark.usefixtures("_ctrl_c")
def test_the_command_serves_until_it_is_stopped(folder):
    for stop, code in ((signal.SIGTERM, -signal.SIGTERM), (signal.SIGINT, 130)):
        with serving.started(folder) as (process, port):
            address = f"http://127.0.0.1:{port}"
            body = json.dumps({"session": ["t1", "t3"], "k": 5}).encode()
            with urllib.request.urlopen(urllib.request.Request(f"{address}/recommend", body, JSON)) as answer:
                assert json.load(answer)["items"] == rows(STAN_MODEL.recommend(["t1", "t3"], 5))
            taken = ["serve", "--model", str(folder), "--port", str(port)]
            assert __main__.main(taken) == 2
            process.send_signal(stop)
            out, err = process.communicate(timeout=60)
            assert process.returncode == code
            assert out == ""
            assert "Traceback" not in err
            with pytest.raises(urllib.error.URLError):
                urllib.request.urlopen(f"{address}/health")


@pytest.mark.long
@pytest.mark.slow
def test_no_request_of_a_thousand_is_lost(folder, capsys):
    queries = [{"session": [f"t{n % 12}", f"t{n % 7}"], "k": 1 + n % 12} for n in range(1_000)]
    with serving.started(folder) as (_, port):
        seconds, answers = serving.answered(port, queries, at_once=8)
    for query, answer in zip(queries, answers, strict=True):
        assert answer == {"items": rows(STAN_MODEL.recommend(**query)), "unknown": []}
    p50, p99 = np.percentile(seconds, [50, 99]) * 1e3
    with capsys.disabled():
        print(f"\n1,000 requests, 8 at a time: p50 {p50:.1f} ms, p99 {p99:.1f} ms")
