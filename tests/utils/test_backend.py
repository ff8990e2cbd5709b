"""What importing the library changes in the process, and what a study's process changes."""

import json
import os
import subprocess
import sys

import pytest

from gru4rec_lib.utils.backend import STUDY

LOOK = """
import os, resource, sys
import numpy as np

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    np.ones(1 << 24, np.float32)  # 64 MB: 16,384 pages
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

environment = dict(os.environ)
{setup}
from gru4rec_lib.serving.recommender import Recommender
assert "tensorflow" in sys.modules
_, *others = [faults() for _ in range(4)]
changed = sorted(name for name in environment | os.environ if environment.get(name) != os.environ.get(name))
# TensorFlow itself sets others, such as TF2_BEHAVIOR.
changed = [name for name in changed if name.startswith(("KERAS_", "TF_", "MALLOC_", "GRU4REC_"))]
print(max(others) < 20, changed)
"""
SETUP = "from gru4rec_lib.utils import backend; backend.set_up_study_process()"


def looked(setup="", **environment):
    """Whether freed memory is kept and which variables changed; and what the process wrote to file descriptor 2."""
    known = {name: value for name, value in os.environ.items() if name not in (STUDY, "TF_CPP_MIN_LOG_LEVEL")}
    run = subprocess.run(
        [sys.executable, "-c", LOOK.format(setup=setup)], env=known | environment, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    return run.stdout.strip(), run.stderr


linux = pytest.mark.skipif(sys.platform != "linux", reason="other systems have other allocators")


@linux
@pytest.mark.slow
def test_the_library_changes_neither_the_allocator_nor_the_environment_nor_standard_error():
    found, errors = looked()
    assert found == "False []"
    assert errors, "TensorFlow logs to file descriptor 2 in any process"


@linux
@pytest.mark.slow
def test_a_study_process_and_those_it_starts_keep_freed_memory_and_silence_tensorflow():
    assert looked(SETUP) == (f"True {[STUDY, 'TF_CPP_MIN_LOG_LEVEL']}", "")
    assert looked(**{STUDY: "1"}) == ("True ['TF_CPP_MIN_LOG_LEVEL']", "")


KEPT = """
import resource
import numpy as np
from gru4rec_lib.utils.backend import freed_memory_kept

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    np.ones(1 << 24, np.float32)  # 64 MB: 16,384 pages
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

with freed_memory_kept():
    faults()
    kept = faults()
print(kept < 20, faults() > 20, faults() > 20)
"""


@linux
def test_a_fit_keeps_freed_memory_and_then_returns_it():
    environment = {name: value for name, value in os.environ.items() if name != STUDY}
    run = subprocess.run([sys.executable, "-c", KEPT], env=environment, capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["True", "True", "True"]


LOADED = """
import sys
before = set(sys.modules)
{first}
base = set(sys.modules)
{then}
print(*sorted(name for name in set(sys.modules) - base if name.count(".") < 2))
"""


def loaded(then, first=""):
    """The modules that a program loads in a fresh process, two names deep, beside those of `first`."""
    code = LOADED.format(first=first, then=then)
    return set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())


def test_importing_the_package_loads_the_standard_library_alone():
    """It takes a few milliseconds, as `python -X importtime -c "import gru4rec_lib"` shows."""
    found = loaded("import gru4rec_lib")
    assert "gru4rec_lib" in found
    assert {name.partition(".")[0] for name in found} - sys.stdlib_module_names == {"gru4rec_lib"}


QUICK = ["training.settings", "config.study", "utils.backend", "model.forms", "ranking.exact", "study.tables"]
QUICK += ["study.publish", "study.evidence", "study.baseline_runs", "audit.conclusions", "plotting.figures"]
SLOW = {"tensorflow", "keras", "sklearn", "seaborn"}


def test_what_builds_no_model_loads_without_tensorflow():
    """One process for all modules: each would take a second."""
    imports = "\n".join(
        f"import gru4rec_lib.{name}; print('{name}', *{SLOW} & {{*filter(sys.modules.get, sys.modules)}}, sep=':')"
        for name in QUICK
    )
    code = f"import sys\n{imports}"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert found == QUICK


@pytest.mark.slow
def test_a_recommender_loads_nothing_of_the_study():
    """Beside what Keras itself loads, which is Matplotlib where it is installed."""
    found = loaded("from gru4rec_lib import Recommender", first="import keras, tensorflow")
    study = {"config", "preparation", "twin", "plotting", "study", "audit", "explorer", "bench", "cli"}
    assert not found & {f"gru4rec_lib.{name}" for name in study}
    assert not {name.partition(".")[0] for name in found} & {"duckdb", "matplotlib", "snakemake", "optuna", "papermill"}


TRAIN = """
import hashlib
import numpy as np
from gru4rec_lib.training.gru4rec import GRU4Rec
from gru4rec_lib.data.sessions import Sessions
data = Sessions.from_lists([[0, 1, 2, 5], [3, 1], [1, 4], [2, 5, 0]])
cells = ("gru", "cross_entropy", "adagrad"), ("lstm", "bpr_max", "adam"), ("gru", "top1", "lazy_adam")

def train():
    found = hashlib.sha256()
    for cell, loss, optimizer in cells:
        model = GRU4Rec(6, "embedding", [4, 3], cell=cell, embedding_units=3, dropout_input=0.2, dropout_hidden=0.3)
        model.compile(loss, optimizer, samples=3, logq=0.5, l2=0.01, clip_norm=1.0, score_activation="elu", jit=False)
        history = model.fit(data, 2, 2, validation_data=data, verbose=0).history
        top = model.top(data, 6, k=2)
        for value in (*model.weights, *model.optimizer.variables, *history["loss"], top):
            found.update(np.array(value).tobytes())
    return found.hexdigest()

{do}
"""
# Set each of Keras' global settings after the import, in a copy of the process that has not used Keras yet.
FORKS = """
import os
import keras
for name, value in [("", ""), *{settings}]:
    if os.fork() == 0:
        if name:
            getattr(keras.config, "set_" + name)(value)
        print(train(), flush=True)
        os._exit(0)
    os.wait()
"""
SETTINGS = [("floatx", "bfloat16"), ("floatx", "float64")]
SETTINGS += [("dtype_policy", "mixed_bfloat16"), ("dtype_policy", "float64")]


def trained(folder, before="", do="print(train())", keras_json=None, **environment):
    """What a process prints that trains under the user's settings, and its errors."""
    (folder / "keras.json").write_text(json.dumps(keras_json or {}))
    known = {name: value for name, value in os.environ.items() if name != "KERAS_BACKEND"}
    run = subprocess.run(
        [sys.executable, "-c", f"{before}\n{TRAIN.format(do=do)}"],
        env=known | {"KERAS_HOME": str(folder)} | environment,
        capture_output=True,
        text=True,
    )
    return run.stdout, run.stderr


@pytest.fixture(scope="module")
def of_one_process(tmp_path_factory):
    """What copies of one process train: one without settings, then one with each of SETTINGS."""
    found, errors = trained(tmp_path_factory.mktemp("keras"), do=FORKS.format(settings=SETTINGS))
    assert len(found.split()) == 1 + len(SETTINGS), errors
    return found.split()


@pytest.fixture(scope="module")
def expected(of_one_process):
    return f"{of_one_process[0]}\n"


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
    ],
    ids=str,
)
def test_global_settings_of_keras_change_no_byte(tmp_path, expected, settings):
    found, errors = trained(tmp_path, **settings)
    assert found == expected, errors


@pytest.mark.slow
@pytest.mark.parametrize(("number", "setting"), [*enumerate(SETTINGS, 1)])
def test_settings_of_keras_after_the_import_change_no_byte(of_one_process, number, setting):
    assert of_one_process[number] == of_one_process[0], setting


@pytest.mark.slow
def test_keras_imported_before_with_another_backend_is_one_sentence(tmp_path):
    # The other backends are not installed, so that Keras could not be imported with them here.
    found, errors = trained(tmp_path, "import keras; keras.config.backend = lambda: 'jax'", KERAS_BACKEND="tensorflow")
    assert found == ""
    assert errors.splitlines()[-1] == (
        "RuntimeError: Keras was imported with the backend 'jax' before gru4rec_lib, which needs TensorFlow: set "
        "KERAS_BACKEND=tensorflow, or import gru4rec_lib first"
    )
