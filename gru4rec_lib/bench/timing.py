"""How the bench measures: in turns, each part in a process of its own, and where a profile says that time goes."""

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

# What a step spends time on, by the names of TensorFlow's and XLA's operations; the first that matches counts, and none
# does where TensorFlow itself is at work ("ExecutorState::Process").
COSTS = {
    "matrix products": r"\bdot|MatMul",
    "row updates": r"/adagrad/",
    "lookups of rows": r"Gather",
    "drawing negatives": r"UpperBound|StatelessRandom",
    "element by element": r"^(?!.*::)",
}


def apart(function: Callable, *given, threads: int | None = None):
    """Call a function in a fresh process, so that its peak of memory is its own.

    Args:
        function: of a module.
        given: its arguments, and what it returns, are pickled.
        threads: that TensorFlow may use there; as many as there are cores when None.

    Returns:
        What the function returns.
    """
    if threads:
        limits = dict.fromkeys(("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"), str(threads))
        with mock.patch.dict(os.environ, limits):
            return apart(function, *given)
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(function, *given).result()


def peak_bytes() -> int:
    """The most memory that this process has held so far."""
    # Not getrusage: that one a new process has from its parent.
    return 1024 * int(re.search(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text())[1])


def seconds(function: Callable[[], object]) -> float:
    """Wall time of a call, in seconds.

    Args:
        function: what to call, without arguments.
    """
    began = time.perf_counter()
    function()
    return time.perf_counter() - began


def in_turns(turns: int, *functions: Callable[[], object]) -> np.ndarray:
    """Call functions one after the other, again and again: what slows the machine for a while slows each of them.

    Args:
        turns: how often, after one turn that does not count.
        functions: what to call.

    Returns:
        float64 [turns, functions], seconds.
    """
    return np.array([[seconds(function) for function in functions] for _ in range(turns + 1)])[1:]


def products(shapes: list[tuple[int, int, int]]) -> Callable[[], None]:
    """Matrix products by NumPy's library and nothing else.

    Args:
        shapes: (m, k, n) of products [m, k] @ [k, n]; the two products of each one's gradient belong to it.

    Returns:
        A function that computes them all once.
    """
    random = np.random.default_rng(0)
    parts = [[random.normal(size=shape).astype(np.float32) for shape in ((m, k), (n, k), (m, n))] for m, k, n in shapes]

    def compute():
        for left, right, gradient in parts:  # the right one lies as a table of rows does
            left @ right.T, gradient @ right, gradient.T @ left

    return compute


def scoring(states: np.ndarray, rows: np.ndarray, lanes: int = 512, block: int = 2048) -> Callable[[], None]:
    """The plain products states @ rows.T, in blocks that stay in cache.

    Args:
        states: float32 [n, H].
        rows: float32 [items, H].
        lanes: states of a block.
        block: items of a block.

    Returns:
        A function that computes them all once, and keeps none.
    """
    out = np.empty((lanes, block), np.float32)

    def compute():
        for state in np.split(states, range(lanes, len(states), lanes)):
            for first in range(0, len(rows), block):
                part = rows[first : first + block]
                np.matmul(state, part.T, out=out[: len(state), : len(part)])

    return compute


def costs(folder: Path) -> Counter:
    """Milliseconds of each of COSTS in a profile of TensorFlow's.

    Args:
        folder: that `tf.profiler.experimental.start` was given; one profile is in it.

    Returns:
        Milliseconds of all threads together, by name; what took none is missing.
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
            # A mark `end: dot.1` begins before what it ends has ended, as if that held it.
            events = sorted(event for event in events if not event[-1].startswith("end: "))
            for (began, less, name), (follows, *_) in zip(events, [*events[1:], (np.inf,)], strict=True):
                if follows >= began - less:  # else it holds the next one, whose time it would count again
                    cost = next((cost for cost, pattern in COSTS.items() if re.search(pattern, name)), None)
                    found.update({cost: -less / 1e9} if cost else {})
    return found
