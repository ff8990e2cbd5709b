"""Benchmark of the server: a process of `gru4rec serve`, and requests to it from several threads."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from pathlib import Path

import numpy as np

from gru4rec_lib.bench.models import MODEL, SESSIONS, K

AT_ONCE, TIMES = 8, 20
PATIENCE = 60  # seconds for an answer


def served(folder: Path) -> dict:
    """Measure the time from a request for K tracks to its answer, AT_ONCE at a time.

    Args:
        folder: contains the model and the sessions that `models.used` wrote; each session is sent TIMES times.

    Returns:
        `serve_p50_ms` and `serve_p99_ms`, percentiles.
    """
    sessions = json.loads((folder / SESSIONS).read_text(encoding="utf-8"))
    queries = [{"session": session, "k": K} for session in sessions] * TIMES
    with started(folder / MODEL) as (_, port):
        answered(port, queries[:AT_ONCE])  # the first requests take longer
        seconds, _ = answered(port, queries)
    p50, p99 = np.percentile(1e3 * seconds, [50, 99])
    return {"serve_p50_ms": (p50, "ms"), "serve_p99_ms": (p99, "ms")}


@contextmanager
def started(folder: Path) -> Iterator[tuple[subprocess.Popen, int]]:
    """Start the server of a model on a free port, and stop it at the end.

    Args:
        folder: of the model.

    Yields:
        The process, with pipes for its output, and its port.

    Raises:
        RuntimeError: it does not start; the message is its error.
    """
    command = [sys.executable, "-m", "gru4rec_lib", "serve", "--model", str(folder), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            address = re.search(r"http://\S+:(\d+)", process.stdout.readline())
            if not address:
                raise RuntimeError(process.communicate()[1])
            yield process, int(address[1])
        finally:
            process.terminate()


def answered(port: int, queries: Sequence[dict], at_once: int = AT_ONCE) -> tuple[np.ndarray, list[dict]]:
    """Send queries to /recommend of a server on this machine.

    Args:
        port: of the server.
        queries: bodies of the requests.
        at_once: number of connections; each sends its next request after the answer to the last one.

    Returns:
        Seconds of each request, float64 [queries], and the answers.

    Raises:
        RuntimeError: an answer is an error.
        OSError: there is no answer.
    """
    seconds, answers = np.empty(len(queries)), [None] * len(queries)

    def send(first: int) -> None:
        with closing(HTTPConnection("127.0.0.1", port, timeout=PATIENCE)) as connection:
            for number in range(first, len(queries), at_once):
                body = json.dumps(queries[number])
                began = time.perf_counter()
                connection.request("POST", "/recommend", body, {"Content-Type": "application/json"})
                answer = connection.getresponse()
                text = answer.read()
                seconds[number] = time.perf_counter() - began
                if answer.status != 200:
                    raise RuntimeError(f"{answer.status}: {text.decode()}")
                answers[number] = json.loads(text)

    with ThreadPoolExecutor(at_once) as pool:
        list(pool.map(send, range(at_once)))
    return seconds, answers
