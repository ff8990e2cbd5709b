"""Serve the model of a folder over HTTP: `python -m gru4rec_lib serve`.

POST /recommend    the best next items of a session
GET /health        name, date and number of items of the model
POST /reload       load the folder again; only for programs on this machine
GET /openapi.json  the description of these; the pages /docs and /redoc are off, for they need scripts from the internet

Lists are computed one at a time: pandas, SciPy and Keras fill caches in their objects at the first use, which is not
safe in several threads, and one list already uses all cores. Other requests wait.
"""

from __future__ import annotations

import math
import socket
from pathlib import Path
from threading import Lock
from typing import Annotated

import uvicorn
from fastapi import FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, BeforeValidator, Field

from gru4rec_lib import __version__
from gru4rec_lib.data.labels import Names
from gru4rec_lib.serving import model_folder
from gru4rec_lib.serving.recommender import Recommender
from gru4rec_lib.utils.arguments import user_path
from gru4rec_lib.utils.checked import ConfigError, Strict, sentences
from gru4rec_lib.utils.text import shown

MOST_K = 1_000  # items of a list
MOST_ITEMS = 1_000  # of a session
MOST_BYTES = 2**20  # of a request's body
LOCAL = {"127.0.0.1", "::1", "::ffff:127.0.0.1"}
PATIENCE = 10  # seconds in which requests may finish when the server stops


def _item(given):
    if isinstance(given, bool) or not isinstance(given, str | int):
        raise ValueError("should be an id or a name of an item, a text or a whole number")
    try:
        str(given).encode()
    except UnicodeEncodeError:  # JSON can hold half of a surrogate pair
        raise ValueError("is not valid Unicode; write the text in UTF-8") from None
    return given


Item = Annotated[str | int, BeforeValidator(_item)]


class Query(Strict):
    """A session, and what to recommend for it. Items are given by id or by name, see `Recommender.find`.

    Args:
        session: items, the oldest first. Unknown ones are skipped.
        k: number of items to recommend.
        exclude_heard: whether to leave out the items of the session.
        among: the only items to recommend; unknown ones are skipped.
        exclude: items to leave out; unknown ones change nothing.
        at_most: for labels the most items of the list that share one, such as `{"artist": 2}`.
    """

    session: list[Item] = Field(max_length=MOST_ITEMS)
    k: int = Field(20, strict=True, ge=1, le=MOST_K)
    exclude_heard: bool = Field(False, strict=True)
    among: list[Item] | None = None
    exclude: list[Item] = Field([])
    at_most: dict[str, Annotated[int, Field(strict=True, ge=1)]] = Field({})


class Recommended(BaseModel):
    """A recommended item, a row of `Recommender.recommend`.

    Args:
        id: of the item.
        score: null for a baseline or a blend.
        source: `model`, or `popularity: ` with the reason.
        labels: texts by the names of the labels; null where one is missing.
    """

    id: str | int
    score: float | None
    source: str
    labels: dict[str, str | None]


class Answer(BaseModel):
    """A list.

    Args:
        items: the best first.
        unknown: what the request names and the model does not know, each once.
    """

    items: list[Recommended]
    unknown: list[str | int]


class Health(BaseModel):
    """The model that is served.

    Args:
        model: the name in its model card, or else the name of its folder.
        date: when it was trained by its card, or else when its folder was written; ISO 8601, UTC.
        items: number of its items.
    """

    model: str
    date: str
    items: int


class Problem(BaseModel):
    """An error.

    Args:
        detail: one sentence.
    """

    detail: str


class LoadedModel:
    """A model that is ready to answer.

    Args:
        folder: of the model.

    Raises:
        FileNotFoundError, ValueError: as `Recommender.load`.
    """

    def __init__(self, folder: Path):
        self._recommender = Recommender.load(folder)
        self.health = Health(**model_folder.about(folder), items=len(self._recommender.items))
        self._ids = self._recommender.items.tolist()
        self._names = Names(self._recommender.items, self._recommender.labels)
        self._names.candidates("")  # build the lookup now, not at the first request

    def answer(self, query: Query) -> Answer:
        """Recommend for a session, as `Recommender.recommend`.

        Args:
            query: the session and the options.

        Raises:
            ValueError: a name is ambiguous, or an option is wrong.
        """
        unknown: dict[str | int, None] = {}
        rows = self._recommender.recommend(
            self._find(query.session, unknown),
            query.k,
            query.exclude_heard,
            among=None if query.among is None else self._find(query.among, unknown),
            exclude=self._find(query.exclude, unknown),
            at_most=query.at_most,
            as_frame=False,
        )
        items = []
        for row in rows:
            item, score, source = (row.pop(name) for name in ("item", "score", "source"))
            score = None if math.isnan(score) else score
            items.append(Recommended(id=item, score=score, source=source, labels=row))
        return Answer(items=items, unknown=[*unknown])

    def _find(self, items: list[str | int], unknown: dict[str | int, None]) -> list[str | int]:
        """Return the ids of items, `no_item` for one that is not known; such are added to `unknown`."""
        found = []
        for item in items:
            places = self._names.candidates(str(item))
            if len(places) > 1:
                self._names.find(str(item))  # raises an error that lists the candidates
            if not places:
                unknown[item] = None
            found.append(self._ids[places[0]] if places else self._recommender.no_item)
        return found


class ServedModel:
    """The model that answers, and its replacement.

    Args:
        folder: of the model.

    Raises:
        FileNotFoundError, ValueError: as `Recommender.load`.
    """

    def __init__(self, folder: Path):
        self._folder, self._answering, self._loading = folder, Lock(), Lock()
        self._model = LoadedModel(folder)

    @property
    def health(self) -> Health:
        """The facts about the model."""
        return self._model.health

    def answer(self, query: Query) -> Answer:
        """Answer by the model that is served when the request arrives; see `LoadedModel.answer`."""
        model = self._model
        with self._answering:
            return model.answer(query)

    def reload(self) -> Health:
        """Load the folder again, and serve the new model when it is complete. An error leaves the old one.

        Raises:
            Exception: the folder is wrong.
        """
        with self._loading:
            self._model = LoadedModel(self._folder)
            return self._model.health


def create_app(folder: Path) -> FastAPI:
    """Return the web application that serves a model.

    Args:
        folder: of the model.

    Raises:
        FileNotFoundError, ValueError: as `Recommender.load`.
    """
    served = ServedModel(folder)
    off = {"docs_url": None, "redoc_url": None}
    app = FastAPI(title="gru4rec_lib", version=__version__, max_body_size=MOST_BYTES, **off)

    @app.post(
        "/recommend",
        responses={413: {"description": f"the body has more than {MOST_BYTES:,} bytes"}, 422: {"model": Problem}},
    )
    def recommend(query: Query) -> Answer:
        """Recommend the next items of a session."""
        try:
            return served.answer(query)
        except ValueError as error:
            raise HTTPException(422, shown(str(error), 1_000)) from None

    @app.get("/health")
    async def health() -> Health:
        """Describe the model that is served."""
        return served.health

    @app.post("/reload", responses={403: {"model": Problem}, 409: {"model": Problem}})
    def reload(request: Request) -> Health:
        """Load the folder of the model again. If it is wrong, the old model is still served."""
        # A browser sends `Origin`: a web page of another site must not reload the model.
        if request.client is None or request.client.host not in LOCAL or "origin" in request.headers:
            raise HTTPException(403, "only a program on the server's own machine may reload the model")
        try:
            return served.reload()
        except Exception as error:  # whatever is wrong with the folder, the old model is served
            problem = str(error) if isinstance(error, OSError | ValueError) else repr(error)
            still = f"the model {served.health.model} of {served.health.date} is still served"
            raise HTTPException(409, f"{shown(problem, 1_000)}; {still}") from error

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        return JSONResponse({"detail": _sentence(error.errors()[0])}, 422)

    return app


def serve(folder: Path, host: str = "127.0.0.1", port: int = 8000) -> None:
    """Serve a model until the process is interrupted.

    Args:
        folder: of the model.
        host: address to listen on; 127.0.0.1 is reached from this machine only.
        port: to listen on; 0 for any that is free.

    Raises:
        FileNotFoundError, ValueError: as `Recommender.load`.
        ConfigError: it cannot listen there.
        KeyboardInterrupt: Ctrl-C; requests in progress were answered.
    """
    app = create_app(user_path(folder))
    if not 0 <= port < 2**16:
        raise ConfigError(f"--port: {port} is no port; name one from 0 to {2**16 - 1}")
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.create_server(address, family=family)
    except (OSError, UnicodeError) as error:  # UnicodeError: a part of the name is too long
        problem = getattr(error, "strerror", None) or error
        raise ConfigError(f"--host {host} --port {port}: cannot listen there ({problem}); name another") from None
    with listening:
        place = f"[{address[0]}]" if family == socket.AF_INET6 else address[0]
        print(f"serving {folder} at http://{place}:{listening.getsockname()[1]}; stop it by Ctrl-C", flush=True)
        config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=PATIENCE)
        uvicorn.Server(config).run(sockets=[listening])


def _sentence(error: dict) -> str:
    """Write an error of FastAPI's validation as a sentence; its place begins with `body`."""
    _, *place = error["loc"]
    if error["type"] == "json_invalid":
        return f"the body is not JSON: {error['ctx']['error']}, at character {place[0] + 1}"
    if not place:
        return "the body should be a JSON object, sent with the header Content-Type: application/json"
    return sentences([error | {"loc": tuple(place)}])[0]
