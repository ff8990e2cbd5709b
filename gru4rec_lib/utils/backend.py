"""Keras and TensorFlow, imported when first used; the device; process settings for a study.

`keras`, `ops` and `tf` stand for modules that are imported when one of their attributes is first read. Importing this
module changes nothing in the process, and a module that only names losses or settings need not wait for TensorFlow.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import os
import sys
import tempfile

FLOAT = "float32"  # of all weights and states, whatever floatx and dtype policy Keras has
STUDY = "GRU4REC_STUDY"  # variable of the environment: processes that a study's process starts are set up too


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


def _import_keras() -> None:
    """Import Keras with TensorFlow as its backend.

    Both read these variables of the environment only while they are imported. The backend may be another one in the
    environment or in keras.json. oneDNN changes last bits with the processor, and its allocator keeps freed memory:
    drawing a table's first weights would take three times its size.
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

    - TensorFlow's C++ parts log absent CUDA libraries to file descriptor 2, past Python's logging and into executed
      notebooks: they are silenced while it is imported. Python errors are not.
    - TensorFlow takes GPU memory as it needs it, not all at once.
    - glibc keeps the memory of freed arrays for the next ones of their size. By default it returns large ones to the
      system, and every training step would have its rows' pages mapped and zeroed again: with thousands of negatives
      half of the step's time.
    """
    os.environ[STUDY] = "1"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # other C libraries have none
    # M_MMAP_MAX, M_TRIM_THRESHOLD, M_ARENA_MAX, see mallopt(3)
    for option, value in ((-4, 0), (-1, 2**31 - 1), (-8, 1)) if mallopt else ():
        mallopt(option, value)


@contextlib.contextmanager
def float32():
    """Let Keras create variables in float32, and restore its global setting afterwards."""
    floatx = keras.config.floatx()
    keras.config.set_floatx(FLOAT)
    try:
        yield
    finally:
        keras.config.set_floatx(floatx)


def device() -> str:
    """The device that trains and ranks, such as `CPU, 2 cores` or a GPU's name."""
    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        return ", ".join(tf.config.experimental.get_device_details(gpu).get("device_name", gpu.name) for gpu in gpus)
    return f"CPU, {len(os.sched_getaffinity(0))} cores"
