"""TensorFlow and Keras, imported once and without the notes of their C++ parts; which device they use.

Importing TensorFlow writes lines about absent CUDA libraries straight to the process' standard error, past every
logging level and into every executed notebook. They are held back here; Python errors are not.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
import tempfile

if "keras" not in sys.modules:
    os.environ["KERAS_BACKEND"] = "tensorflow"  # whatever the environment or keras.json says: the library needs it
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# With oneDNN comes an allocator that keeps what it once had: drawing a table's first weights would cost it three times.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")


def _keep_freed_memory():
    """Have glibc keep the memory of freed arrays, for the next ones of their size.

    It gives large ones back to the system, so that every training step would have its rows' pages mapped and zeroed
    anew: with thousands of negatives half of the step's time. mallopt(3): M_MMAP_MAX, M_TRIM_THRESHOLD, M_ARENA_MAX.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # other C libraries have none
    for option, value in ((-4, 0), (-1, 2**31 - 1), (-8, 1)) if mallopt else ():
        mallopt(option, value)


_keep_freed_memory()


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


with _stderr_held_back():
    import keras
    import tensorflow as tf
    from keras import ops

    for _gpu in tf.config.list_physical_devices("GPU"):
        tf.config.experimental.set_memory_growth(_gpu, True)

__all__ = ["FLOAT", "device", "float32", "keras", "ops", "tf"]

FLOAT = "float32"  # of all weights and states, whatever floatx and dtype policy Keras has

if keras.config.backend() != "tensorflow":
    raise RuntimeError(
        f"Keras was imported with the backend {keras.config.backend()!r} before gru4rec_lib, which needs TensorFlow: "
        "set KERAS_BACKEND=tensorflow, or import gru4rec_lib first"
    )


@contextlib.contextmanager
def float32():
    """Let Keras create variables in float32, whatever its global setting is, which comes back."""
    floatx = keras.config.floatx()
    keras.config.set_floatx(FLOAT)
    try:
        yield
    finally:
        keras.config.set_floatx(floatx)


def device() -> str:
    """The device that training and ranking run on, such as `CPU, 2 cores` or a GPU's name."""
    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        return ", ".join(tf.config.experimental.get_device_details(gpu).get("device_name", gpu.name) for gpu in gpus)
    return f"CPU, {len(os.sched_getaffinity(0))} cores"
