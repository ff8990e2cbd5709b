"""Measuring: alternating calls, separate processes, memory, and profiles of TensorFlow."""

from __future__ import annotations

import os
import re
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from unittest import mock

import numpy as np

# Parts of a step by the names of TensorFlow's and XLA's operations; the first match counts. Work of TensorFlow itself
# ("ExecutorState::Process") matches none.
COSTS = {
    "matrix products": r"\bdot|MatMul",
    "row updates": r"/adagrad/",
    "lookups of rows": r"Gather",
    "drawing negatives": r"UpperBound|StatelessRandom",
    "element by element": r"^(?!.*::)",
}


def apart(function: Callable, *given, threads: int | None = None):
    """Call a function in a new process, so that its peak memory can be measured.

    Args:
        function: a function of a module.
        given: its arguments; they and the result are pickled.
        threads: threads for TensorFlow; None is one for each core.

    Returns:
        The function's result.
    """
    if threads:
        limits = dict.fromkeys(("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"), str(threads))
        with mock.patch.dict(os.environ, limits):
            return apart(function, *given)
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(function, *given).result()


def peak_bytes() -> int:
    """Return the peak memory of this process so far, in bytes."""
    # Not getrusage: a new process inherits the peak of its parent there.
    return 1024 * int(re.search(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text())[1])


def seconds(function: Callable[[], object]) -> float:
    """Return the wall time of a call, in seconds.

    Args:
        function: a function without arguments.
    """
    began = time.perf_counter()
    function()
    return time.perf_counter() - began


def in_turns(turns: int, *functions: Callable[[], object]) -> np.ndarray:
    """Call functions alternately, so that a temporary slowdown of the machine affects all of them.

    Args:
        turns: calls of each function, after one warm-up call.
        functions: functions without arguments.

    Returns:
        float64 [turns, functions], seconds.
    """
    return np.array([[seconds(function) for function in functions] for _ in range(turns + 1)])[1:]


def products(shapes: list[tuple[int, int, int]]) -> Callable[[], None]:
    """Prepare matrix products in NumPy.

    Args:
        shapes: (m, k, n) of products [m, k] @ [k, n]; the two products of each gradient are included.

    Returns:
        A function that computes all of them once.
    """
    random = np.random.default_rng(0)
    parts = [[random.normal(size=shape).astype(np.float32) for shape in ((m, k), (n, k), (m, n))] for m, k, n in shapes]

    def compute():
        for left, right, gradient in parts:  # `right` is [n, k] in memory, like a table of rows
            left @ right.T, gradient @ right, gradient.T @ left

    return compute


def scoring(states: np.ndarray, rows: np.ndarray, lanes: int = 512, block: int = 2048) -> Callable[[], None]:
    """Prepare the products states @ rows.T, in blocks that fit in the cache.

    Args:
        states: float32 [n, H].
        rows: float32 [items, H].
        lanes: states of a block.
        block: items of a block.

    Returns:
        A function that computes all of them once and discards the results.
    """
    out = np.empty((lanes, block), np.float32)

    def compute():
        for state in np.split(states, range(lanes, len(states), lanes)):
            for first in range(0, len(rows), block):
                part = rows[first : first + block]
                np.matmul(state, part.T, out=out[: len(state), : len(part)])

    return compute


def costs(folder: Path) -> Counter:
    """Sum the milliseconds of each of COSTS in a profile of TensorFlow.

    Args:
        folder: the folder of `tf.profiler.experimental.start`, with one profile.

    Returns:
        Milliseconds over all threads by name, without names that took no time.
    """
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    (path,) = folder.rglob("*.xplane.pb")
    space, found = xplane_pb2.XSpace(), Counter()
    space.ParseFromString(path.read_bytes())
    for plane in space.planes:
        names = {number: metadata.name for number, metadata in plane.event_metadata.items()}
        for line in plane.lines:
            if not line.name.startswith("tf_Compute"):
                continue
            events = ((event.offset_ps, -event.duration_ps, names[event.metadata_id]) for event in line.events)
            # A marker `end: dot.1` begins before its operation ends, and would look nested in it.
            events = sorted(event for event in events if not event[-1].startswith("end: "))
            for (began, less, name), (follows, *_) in zip(events, [*events[1:], (np.inf,)], strict=True):
                if follows >= began - less:  # otherwise it contains the next event, whose time would count twice
                    cost = next((cost for cost, pattern in COSTS.items() if re.search(pattern, name)), None)
                    found.update({cost: -less / 1e9} if cost else {})
    return found
