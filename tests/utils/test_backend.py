"""What importing TensorFlow here brings with it."""

import json
import os
import subprocess
import sys

import pytest

FAULTS = """
import resource
import numpy as np
from gru4rec_lib.utils import backend  # its import sets the allocator

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    np.ones(1 << 24, np.float32)  # 64 MB: 16,384 pages
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

first, *others = [faults() for _ in range(4)]
print(first, *others)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="other systems have other allocators")
def test_freed_memory_is_kept_for_the_next_array():
    said = subprocess.run([sys.executable, "-c", FAULTS], capture_output=True, text=True, check=True).stdout
    first, *others = map(int, said.split())
    assert max(others) < 20 < first, "without it, each array has its pages mapped anew"


TRAIN = """
import hashlib
import numpy as np
from gru4rec_lib.training.gru4rec import GRU4Rec
from gru4rec_lib.data.sessions import Sessions
{after}
data, found = Sessions.from_lists([[0, 1, 2, 5], [3, 1], [1, 4], [2, 5, 0]]), hashlib.sha256()
cells = ("gru", "cross_entropy", "adagrad"), ("lstm", "bpr_max", "adam"), ("gru", "top1", "lazy_adam")
for cell, loss, optimizer in cells:
    model = GRU4Rec(6, "embedding", [4, 3], cell=cell, embedding_units=3, dropout_input=0.2, dropout_hidden=0.3)
    model.compile(loss, optimizer, samples=3, logq=0.5, l2=0.01, clip_norm=1.0, score_activation="elu", jit=False)
    history = model.fit(data, 2, 2, validation_data=data, verbose=0).history
    top = model.top(data, 6, k=2)
    for value in (*model.weights, *model.optimizer.variables, *history["loss"], top):
        found.update(np.array(value).tobytes())
print(found.hexdigest())
"""


def trained(folder, before="", after="", keras_json=None, **environment):
    """What a process prints that trains under the user's settings, and its errors."""
    (folder / "keras.json").write_text(json.dumps(keras_json or {}))
    known = {name: value for name, value in os.environ.items() if name != "KERAS_BACKEND"}
    run = subprocess.run(
        [sys.executable, "-c", f"{before}\n{TRAIN.format(after=after)}"],
        env=known | {"KERAS_HOME": str(folder)} | environment,
        capture_output=True,
        text=True,
    )
    return run.stdout, run.stderr


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    found, errors = trained(tmp_path_factory.mktemp("keras"))
    assert found, errors
    return found


SET = "import keras; keras.config.set_{}('{}')"


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings",
    [
        {"KERAS_BACKEND": "jax"},
        {"KERAS_BACKEND": "numpy", "keras_json": {"backend": "torch"}},
        {"keras_json": {"backend": "torch", "floatx": "float64", "image_data_format": "channels_first"}},
        {"keras_json": {"floatx": "float16"}},
        {"before": SET.format("floatx", "float16"), "KERAS_BACKEND": "tensorflow"},
        {"before": SET.format("dtype_policy", "mixed_float16"), "KERAS_BACKEND": "tensorflow"},
        {"after": SET.format("floatx", "bfloat16")},
        {"after": SET.format("floatx", "float64")},
        {"after": SET.format("dtype_policy", "mixed_bfloat16")},
        {"after": SET.format("dtype_policy", "float64")},
    ],
    ids=str,
)
def test_global_settings_of_keras_change_no_byte(tmp_path, expected, settings):
    found, errors = trained(tmp_path, **settings)
    assert found == expected, errors


@pytest.mark.slow
def test_keras_imported_before_with_another_backend_is_one_sentence(tmp_path):
    # The other backends are not installed, so that Keras could not be imported with them here.
    found, errors = trained(tmp_path, "import keras; keras.config.backend = lambda: 'jax'", KERAS_BACKEND="tensorflow")
    assert found == ""
    assert errors.splitlines()[-1] == (
        "RuntimeError: Keras was imported with the backend 'jax' before gru4rec_lib, which needs TensorFlow: set "
        "KERAS_BACKEND=tensorflow, or import gru4rec_lib first"
    )
