"""What holds for all tests."""

from hypothesis import settings

# How long an example takes depends on the machine, and says nothing of whether it is right.
settings.register_profile("sightseek", deadline=None)
settings.load_profile("sightseek")
