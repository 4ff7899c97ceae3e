"""Fixtures: both blob stores, and a version store on disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapters_store.backends import BlobStore, LocalBlobStore
from adapters_store.memory import InMemoryBlobStore
from adapters_store.store import VersionStore


class Clock:
    """POSIX seconds that move only when told."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(autouse=True)
def synced(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Count instead of waiting for the device; these tests never lose power."""
    calls: list[int] = []
    monkeypatch.setattr("os.fsync", calls.append)
    return calls


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["local", "memory"])
def blobs(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> BlobStore:
    if request.param == "local":
        return LocalBlobStore(tmp_path / "blobs", clock=clock)
    return InMemoryBlobStore(clock=clock)


@pytest.fixture
def store(tmp_path: Path) -> VersionStore:
    return VersionStore(tmp_path / "versions", LocalBlobStore(tmp_path / "blobs"))
