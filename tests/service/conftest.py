"""Fixtures of the service's tests."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.jobs import events
from service.workflow.phases import train
from tests.service.harness import Plane


@pytest.fixture
def plane(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Plane]:
    """A control plane whose runner runs."""
    monkeypatch.setattr(train, "POLL_SECONDS", 0.02)
    monkeypatch.setattr(events, "POLL_SECONDS", 0.02)
    monkeypatch.setattr(os, "fsync", lambda _file: None)
    plane = Plane(tmp_path)
    plane.runner.start()
    yield plane
    plane.close()
