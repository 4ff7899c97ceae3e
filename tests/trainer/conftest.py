"""Fixtures: one random tiny base per session."""

from __future__ import annotations

import pytest

from tests.trainer.tiny import save_tiny_base
from trainer.spec import BaseModelSpec


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory: pytest.TempPathFactory) -> BaseModelSpec:
    return save_tiny_base(tmp_path_factory.mktemp("base"))
