"""Property tests draw the same examples every time, and no clock decides whether they pass."""

from hypothesis import settings

settings.register_profile("same_every_time", deadline=None, derandomize=True)
settings.load_profile("same_every_time")
