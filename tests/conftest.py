"""Make property tests deterministic and without time limits."""

import pytest
from hypothesis import settings

settings.register_profile("same_every_time", deadline=None, derandomize=True)
settings.load_profile("same_every_time")


@pytest.fixture
def eager():
    """Run TensorFlow eagerly: compiling graphs does not pay for a few steps."""
    from gru4rec_lib.utils.backend import tf  # slow to load, and most test files do not need it

    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)
