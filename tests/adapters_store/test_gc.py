"""The garbage collector against a dict model: nothing referenced or fresh is ever lost."""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from adapters_store.backends import BlobStore, LocalBlobStore
from adapters_store.gc import CLOCK_SLACK_SECONDS, collect
from adapters_store.memory import InMemoryBlobStore
from adapters_store.store import VersionStore
from tests.adapters_store.conftest import Clock
from tests.adapters_store.factories import fields, write_attempt

GRACE = 86_400.0
contents = st.sampled_from([bytes([i]) * (i + 1) for i in range(6)])


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


class Collector(RuleBasedStateMachine):
    """Random puts, touches, references, jumps of the clock and collections."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.blobs: BlobStore = self.make()
        self.touched: dict[str, float] = {}
        self.referenced: set[str] = set()

    def make(self) -> BlobStore:
        return InMemoryBlobStore(clock=self.clock)

    @rule(data=contents)
    def put(self, data: bytes) -> None:
        self.touched[self.blobs.put_bytes(data)] = self.clock.now

    @rule(data=contents)
    def touch(self, data: bytes) -> None:
        if _digest(data) in self.touched:
            self.blobs.touch(_digest(data))
            self.touched[_digest(data)] = self.clock.now

    @rule(data=contents)
    def refer(self, data: bytes) -> None:
        self.put(data)
        self.referenced.add(_digest(data))

    @rule(data=contents)
    def forget(self, data: bytes) -> None:
        self.referenced.discard(_digest(data))

    @rule(seconds=st.sampled_from([1.0, 3600.0, GRACE / 2, GRACE, 3 * GRACE, -300.0]))
    def time_passes(self, seconds: float) -> None:
        self.clock.now += seconds

    @rule(jump=st.sampled_from([0.0, 300.0, -300.0]), dry=st.booleans())
    def collect_garbage(self, jump: float, dry: bool) -> None:
        now = self.clock.now + jump
        limit = now - GRACE - CLOCK_SLACK_SECONDS
        loose = {d: t for d, t in self.touched.items() if d not in self.referenced}
        report = collect(self.blobs, self.referenced, GRACE, now, dry_run=dry)
        assert report.deleted == {digest for digest, time in loose.items() if time < limit}
        assert report.spared == loose.keys() - report.deleted
        assert all(self.clock.now - loose[digest] > GRACE for digest in report.deleted)
        if not dry:
            for digest in report.deleted:
                del self.touched[digest]

    @invariant()
    def the_store_holds_what_the_model_holds(self) -> None:
        assert set(self.blobs.digests()) == set(self.touched)
        assert self.referenced <= set(self.touched)


class LocalCollector(Collector):
    """The same on disk."""

    def make(self) -> BlobStore:
        self.folder = tempfile.TemporaryDirectory()
        return LocalBlobStore(Path(self.folder.name), clock=self.clock)

    def teardown(self) -> None:
        self.folder.cleanup()


TestMemoryCollector = Collector.TestCase
TestMemoryCollector.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestLocalCollector = LocalCollector.TestCase
TestLocalCollector.settings = settings(max_examples=25, stateful_step_count=20, deadline=None)


def test_versions_survive_a_collection(tmp_path: Path) -> None:
    clock = Clock()
    blobs = LocalBlobStore(tmp_path / "blobs", clock=clock)
    store = VersionStore(tmp_path / "versions", blobs)
    manifest = store.publish(write_attempt(tmp_path / "attempt"), fields())
    stray = blobs.put_bytes(b"stray" * 10)
    clock.now += 2 * GRACE
    report = collect(blobs, store.referenced(), GRACE, clock.now)
    assert report.deleted == {stray}
    assert report.freed_bytes == 50
    store.verify(manifest)


def test_a_blob_published_again_during_a_collection_stays(tmp_path: Path) -> None:
    clock = Clock()
    blobs = LocalBlobStore(tmp_path / "blobs", clock=clock)
    store = VersionStore(tmp_path / "versions", blobs)
    attempt = write_attempt(tmp_path / "attempt")
    files = [attempt / "delta" / "adapter_model.safetensors", attempt / "canary.json"]
    for file in files:
        blobs.put_file(file)
    clock.now += 2 * GRACE
    referenced = store.referenced()
    manifest = store.publish(attempt, fields())
    assert collect(blobs, referenced, GRACE, clock.now).deleted == frozenset()
    store.verify(manifest)


def test_a_negative_grace_is_refused() -> None:
    with pytest.raises(ValueError, match="0 or more"):
        collect(InMemoryBlobStore(), set(), -1)
