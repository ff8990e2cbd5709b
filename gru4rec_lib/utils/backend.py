"""Import Keras and TensorFlow on first use, name the device, and set up the processes of a study.

`keras`, `ops` and `tf` stand for modules that are imported when one of their attributes is first read. Importing this
module changes nothing in the process, and modules that need only names or settings do not load TensorFlow.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import importlib
import os
import sys
import tempfile
from collections.abc import Callable

FLOAT = "float32"  # type of all weights and states, regardless of Keras' floatx and dtype policy
STUDY = "GRU4REC_STUDY"  # environment variable of a study's process; child processes inherit it and are set up, too
# Options of mallopt(3): M_MMAP_MAX and M_TRIM_THRESHOLD; AUTOMATIC has M_MMAP_THRESHOLD too, and its thresholds are
# those to which glibc's own rise as large blocks are freed: once they were set, glibc adapts them no longer.
KEEP, AUTOMATIC = ((-4, 0), (-1, 2**31 - 1)), ((-4, 65_536), (-3, 2**25), (-1, 2**26))


class _Lazy:
    """A module that is imported when one of its attributes is first read."""

    def __init__(self, name: str):
        self._name, self._module = name, None

    def __getattr__(self, attribute: str):
        if self._module is None:
            _import_keras()
            self._module = importlib.import_module(self._name)
        return getattr(self._module, attribute)


keras, ops, tf = _Lazy("keras"), _Lazy("keras.ops"), _Lazy("tensorflow")


def graph_function(**options) -> Callable:
    """Return a decorator that makes a function a `tf.function` at its first call: a module loads without TensorFlow.

    AutoGraph is off: it takes longer than tracing itself. A loop over a tensor is a `tf.while_loop`.

    Args:
        **options: of `tf.function`.
    """

    def decorate(function: Callable) -> Callable:
        made = functools.cache(lambda: tf.function(function, autograph=False, **options))
        return functools.wraps(function)(lambda *arguments: made()(*arguments))

    return decorate


def _import_keras() -> None:
    """Import Keras with TensorFlow as its backend.

    Both read the environment variables set here only while they are imported. The user's environment or keras.json may
    name another backend. With oneDNN, last bits depend on the processor; its allocator also keeps freed memory, so that
    initialising an embedding table would take three times its size.
    """
    needed, is_study = {"TF_ENABLE_ONEDNN_OPTS": os.environ.get("TF_ENABLE_ONEDNN_OPTS", "0")}, STUDY in os.environ
    if "keras" not in sys.modules:
        needed["KERAS_BACKEND"] = "tensorflow"
    if is_study:
        set_up_study_process()
    with _environment(needed), _stderr_held_back() if is_study else contextlib.nullcontext():
        import keras
        import tensorflow as tf

        for gpu in tf.config.list_physical_devices("GPU") if is_study else ():
            tf.config.experimental.set_memory_growth(gpu, True)
    if keras.config.backend() != "tensorflow":
        raise RuntimeError(
            f"Keras was imported with the backend {keras.config.backend()!r} before gru4rec_lib, which needs "
            "TensorFlow: set KERAS_BACKEND=tensorflow, or import gru4rec_lib first"
        )


@contextlib.contextmanager
def _environment(variables: dict[str, str]):
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


@contextlib.contextmanager
def _stderr_held_back():
    kept = os.dup(2)
    with tempfile.TemporaryFile() as sink:
        os.dup2(sink.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)


def set_up_study_process() -> None:
    """Prepare this process, and those that it starts, for long trainings; call it before TensorFlow is imported.

    Only the commands and notebooks of a study do so: a library must not change the process of its user.

    - TensorFlow's C++ code logs missing CUDA libraries to file descriptor 2, which bypasses Python's logging and ends
      up in executed notebooks. The descriptor is silenced during the import; Python errors are still raised.
    - TensorFlow allocates GPU memory as needed, not all at once.
    - glibc keeps the memory of freed arrays for the next arrays. By default it returns large ones to the system, and
      each training step maps and zeroes their pages again, which takes half of the step's time with thousands of
      negatives.
    """
    os.environ[STUDY] = "1"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    _mallopt(*KEEP, (-8, 1))  # M_ARENA_MAX: threads that share an arena also share what it keeps


def _mallopt(*options: tuple[int, int]) -> None:
    if mallopt := getattr(ctypes.CDLL(None), "mallopt", None):  # only glibc has it
        for option, value in options:
            mallopt(option, value)


@contextlib.contextmanager
def freed_memory_kept():
    """Let glibc keep the memory of freed arrays, as in a study's process, and return it to the system afterwards."""
    if STUDY in os.environ:
        yield
        return
    _mallopt(*KEEP)
    try:
        yield
    finally:
        _mallopt(*AUTOMATIC)
        if trim := getattr(ctypes.CDLL(None), "malloc_trim", None):
            trim(0)


@contextlib.contextmanager
def float32():
    """Let Keras create variables in float32, and restore its global setting afterwards."""
    floatx = keras.config.floatx()
    keras.config.set_floatx(FLOAT)
    try:
        yield
    finally:
        keras.config.set_floatx(floatx)


@contextlib.contextmanager
def full_precision():
    """Compute float32 products in float32, and restore TensorFlow's global setting afterwards.

    By default TensorFlow computes them in TF32 on newer GPUs, with 10 instead of 23 bits of mantissa. The CPU has no
    TF32.
    """
    before = tf.config.experimental.tensor_float_32_execution_enabled()
    tf.config.experimental.enable_tensor_float_32_execution(False)
    try:
        yield
    finally:
        tf.config.experimental.enable_tensor_float_32_execution(before)


def device() -> str:
    """Return the name of the device used for training and ranking, such as `CPU, 2 cores` or a GPU's name."""
    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        return ", ".join(tf.config.experimental.get_device_details(gpu).get("device_name", gpu.name) for gpu in gpus)
    return f"CPU, {len(os.sched_getaffinity(0))} cores"
