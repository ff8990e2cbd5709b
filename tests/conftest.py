"""Make property tests deterministic and without time limits."""

import os

import pytest
from hypothesis import settings
from loaded_process import LoadedProcess

settings.register_profile("same_every_time", deadline=None, derandomize=True)
settings.load_profile("same_every_time")
# Processes that a test starts keep what they compile: in a copy of the project the next one loads it.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# The files that take longest, to begin with: otherwise one of two processes would be idle at the end.
LONGEST = ["test_graph.py", "test_checkpoint.py", "test_contract.py", "test_trainer.py", "test_reproduce.py"]
LONGEST += ["test_fingerprints.py", "test_recommender.py", "test_backend.py", "test_training_step.py"]


def pytest_collection_modifyitems(items):
    places = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path.name, len(LONGEST)))


@pytest.fixture(scope="session")
def loaded():
    """Run programs in copies of a process that has loaded TensorFlow."""
    process = LoadedProcess()
    yield process
    process.end()


@pytest.fixture
def eager():
    """Run TensorFlow eagerly: compiling graphs does not pay for a few steps."""
    from gru4rec_lib.utils.backend import tf  # slow to load, and most test files do not need it

    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)
