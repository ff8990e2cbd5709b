"""Property tests draw the same examples every time, and no clock decides whether they pass."""

import pytest
from hypothesis import settings

settings.register_profile("same_every_time", deadline=None, derandomize=True)
settings.load_profile("same_every_time")


@pytest.fixture
def eager():
    """No graphs: they pay where a model is used for long, and in these tests it takes a few steps."""
    from gru4rec_lib.utils.backend import tf  # slow to load, and most files do without

    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)
