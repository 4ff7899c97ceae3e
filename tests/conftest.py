"""Fixtures that several test packages share, and how properties are tested: never against time."""

from hypothesis import settings

pytest_plugins = ["tests.fixtures_engine"]

settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
