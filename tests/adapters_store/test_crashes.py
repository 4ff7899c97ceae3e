"""A crash at any disk call, then a fresh start: nothing half-done is ever visible."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from adapters_store.backends import LocalBlobStore
from adapters_store.disk import Disk
from adapters_store.lineage import Lineage
from adapters_store.servable import compose_servable, verify_servable
from adapters_store.store import VersionStore
from tests.adapters_store.factories import fields, publish_chain, write_attempt

CALLS = [name for name in vars(Disk) if not name.startswith("_")]


class Killed(BaseException):
    """The process is gone: no handler catches this, and no later disk call works."""


class FailingDisk(Disk):
    """Fails at the N-th call; killed stays dead, an I/O error happens once or from then on.

    Half of the data of a failing write reaches the disk.
    """

    def __init__(self, failing_call: int, error: Callable[[], BaseException], *, once: bool):
        self.calls = 0
        self._failing_call = failing_call
        self._error = error
        self._once = once

    def reach(self, name: str, args: tuple[Any, ...]) -> None:
        self.calls += 1
        due = self.calls == self._failing_call or (
            not self._once and self.calls > self._failing_call
        )
        if due:
            if name == "write" and self.calls == self._failing_call:
                args[0].write(args[1][: len(args[1]) // 2])
                args[0].flush()
            raise self._error()


def _instrument(name: str) -> None:
    def call(self: FailingDisk, *args: Any) -> Any:
        self.reach(name, args)
        return getattr(Disk, name)(self, *args)

    setattr(FailingDisk, name, call)


for _name in CALLS:
    _instrument(_name)

FAULTS: dict[str, Callable[[int], FailingDisk]] = {
    "killed": lambda n: FailingDisk(n, Killed, once=False),
    "disk full": lambda n: FailingDisk(n, lambda: OSError(28, "no space left"), once=False),
    "one I/O error": lambda n: FailingDisk(n, lambda: OSError(5, "input/output error"), once=True),
}


def _open(root: Path, disk: Disk | None = None) -> VersionStore:
    return VersionStore(root / "versions", LocalBlobStore(root / "blobs", disk), disk)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_publish_that_fails_anywhere_shows_no_part_of_a_version(
    tmp_path: Path, fault: str
) -> None:
    attempt = write_attempt(tmp_path / "attempt")
    expected = _open(tmp_path / "whole").publish(attempt, fields()).digest
    hit, call = True, 0
    while hit:
        call += 1
        root = tmp_path / str(call)
        disk = FAULTS[fault](call)
        try:
            done = _open(root, disk).publish(attempt, fields())
        except (Killed, OSError):
            done = None
        hit = disk.calls >= call
        store = _open(root)
        assert store.fsck() == ()
        for digest in store.blobs.digests():
            store.blobs.open(digest, verify=True).close()
        if done is not None:
            assert store.get("demo", 1).digest == expected
        assert store.publish(attempt, fields()).digest == expected
        assert store.fsck() == ()
    assert call > 30


@pytest.mark.parametrize("fault", FAULTS)
def test_a_composition_that_fails_anywhere_shows_no_part_of_a_servable(
    tmp_path: Path, fault: str
) -> None:
    store = _open(tmp_path / "store")
    chain = publish_chain(store, tmp_path, [{}, {"rank": 3}])
    expected = compose_servable(chain, store, tmp_path / "whole", 128)
    hit, call = True, 0
    while hit:
        call += 1
        root = tmp_path / str(call)
        disk = FAULTS[fault](call)
        failing = VersionStore(tmp_path / "store" / "versions", store.blobs)
        failing._disk = disk
        _try_compose(chain, failing, root, disk)
        hit = disk.calls >= call
        visible = [path.name for path in root.glob("[0-9a-f]*")]
        assert visible in ([], [expected.digest])
        assert compose_servable(chain, store, root, 128).digest == expected.digest
        verify_servable(root, expected.digest)
    assert call > 15
    store.fsck()


def _try_compose(chain: Lineage, store: VersionStore, root: Path, disk: Disk) -> None:
    try:
        compose_servable(chain, store, root, 128, disk)
    except (Killed, OSError):
        return
