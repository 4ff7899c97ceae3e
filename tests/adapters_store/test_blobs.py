"""The contract of every blob store, then what only the local one promises."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import pytest

from adapters_store.backends import BlobStore, LocalBlobStore
from adapters_store.disk import Disk
from adapters_store.errors import BlobNotFound, CorruptContent, InvalidDigest, UnsafeFile
from tests.adapters_store.conftest import Clock

DATA = b"one image" * 1000
DIGEST = hashlib.sha256(DATA).hexdigest()


def _puts(blobs: BlobStore, folder: Path) -> Iterator[str]:
    file = folder / "upload"
    file.write_bytes(DATA)
    yield blobs.put_file(file)
    yield blobs.put_bytes(DATA)
    yield blobs.put_stream(DATA[i : i + 7] for i in range(0, len(DATA), 7))


def test_every_put_gives_the_digest_and_the_same_blob(blobs: BlobStore, tmp_path: Path) -> None:
    assert list(_puts(blobs, tmp_path)) == [DIGEST] * 3
    assert list(blobs.digests()) == [DIGEST]
    assert blobs.exists(DIGEST)
    assert blobs.size(DIGEST) == len(DATA)
    assert blobs.path(DIGEST).read_bytes() == DATA
    with blobs.open(DIGEST, verify=True) as file:
        assert file.read() == DATA


def test_an_empty_blob_is_a_blob(blobs: BlobStore) -> None:
    assert blobs.size(blobs.put_stream([])) == 0


def test_unknown_digests_are_not_found(blobs: BlobStore) -> None:
    assert not blobs.exists(DIGEST)
    assert not blobs.delete(DIGEST)
    for call in (blobs.open, blobs.path, blobs.size, blobs.touch, blobs.touched_at):
        with pytest.raises(BlobNotFound, match=DIGEST):
            call(DIGEST)


@pytest.mark.parametrize("digest", ["", "../" * 21 + "x", "A" * 64, "a" * 63, "a" * 64 + "\n"])
def test_malformed_digests_are_refused(blobs: BlobStore, digest: str) -> None:
    for call in (blobs.exists, blobs.open, blobs.path, blobs.delete):
        with pytest.raises(InvalidDigest):
            call(digest)


def test_other_bytes_than_expected_store_nothing(blobs: BlobStore, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"changed")
    with pytest.raises(CorruptContent):
        blobs.put_file(file, DIGEST)
    with pytest.raises(CorruptContent):
        blobs.put_stream([b"changed"], DIGEST)
    assert not list(blobs.digests())


def test_links_and_folders_are_refused(blobs: BlobStore, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"secret")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    for path in (tmp_path / "link", tmp_path, tmp_path / "absent"):
        with pytest.raises(UnsafeFile):
            blobs.put_file(path)


def test_a_stream_that_breaks_stores_nothing(blobs: BlobStore) -> None:
    def broken() -> Iterator[bytes]:
        yield b"half"
        raise ConnectionError

    with pytest.raises(ConnectionError):
        blobs.put_stream(broken())
    assert not list(blobs.digests())


def test_deletion_spares_what_was_touched_since(blobs: BlobStore, clock: Clock) -> None:
    blobs.put_bytes(DATA)
    clock.now += 100
    blobs.put_bytes(DATA)
    assert blobs.touched_at(DIGEST) == clock.now
    assert not blobs.delete(DIGEST, not_touched_since=clock.now)
    clock.now += 100
    blobs.touch(DIGEST)
    assert not blobs.delete(DIGEST, not_touched_since=clock.now)
    assert blobs.delete(DIGEST, not_touched_since=clock.now + 1)
    assert not blobs.exists(DIGEST)


@pytest.fixture
def local(tmp_path: Path) -> LocalBlobStore:
    return LocalBlobStore(tmp_path / "local")


def test_a_local_blob_lies_where_the_trainer_looks(local: LocalBlobStore) -> None:
    local.put_bytes(DATA)
    assert local.path(DIGEST) == local.root / DIGEST[:2] / DIGEST
    assert not local.path(DIGEST).stat().st_mode & 0o222


def test_a_local_blob_and_its_name_are_synced(local: LocalBlobStore, synced: list[int]) -> None:
    local.put_bytes(DATA)
    assert len(synced) == 3
    local.put_bytes(DATA)
    assert len(synced) == 3


class SeeingDisk(Disk):
    """Notes which folders were synced."""

    def __init__(self) -> None:
        self.folders: list[Path] = []

    def sync_folder(self, path: Path) -> None:
        """Note it."""
        self.folders.append(path)


def test_the_folder_of_a_first_blob_is_synced_into_the_root(tmp_path: Path) -> None:
    for _ in range(2):  # the folder may be there and unsynced: an earlier process was killed
        disk = SeeingDisk()
        local = LocalBlobStore(tmp_path, disk)
        local.put_bytes(DATA)
        local.delete(DIGEST)
        local.put_bytes(DATA)
        assert disk.folders == [tmp_path / DIGEST[:2], tmp_path, tmp_path / DIGEST[:2]]
        local.delete(DIGEST)


def test_a_changed_blob_is_noticed_on_request(local: LocalBlobStore) -> None:
    local.put_bytes(DATA)
    local.path(DIGEST).chmod(0o644)
    local.path(DIGEST).write_bytes(b"x" + DATA[1:])
    with pytest.raises(CorruptContent, match=DIGEST):
        local.open(DIGEST, verify=True)


def test_a_truncated_blob_is_replaced_by_the_next_put(local: LocalBlobStore) -> None:
    local.put_bytes(DATA)
    local.path(DIGEST).chmod(0o644)
    local.path(DIGEST).write_bytes(DATA[:5])
    local.put_bytes(DATA)
    assert local.path(DIGEST).read_bytes() == DATA


@pytest.mark.parametrize("way", range(3))
def test_a_flipped_bit_is_mended_by_the_next_put(
    local: LocalBlobStore, tmp_path: Path, way: int
) -> None:
    local.put_bytes(DATA)
    local.path(DIGEST).chmod(0o644)
    local.path(DIGEST).write_bytes(b"x" + DATA[1:])
    for _ in zip(range(way + 1), _puts(local, tmp_path), strict=False):
        pass
    local.open(DIGEST, verify=True).close()


class LyingDisk(Disk):
    """Says that it wrote what it did not."""

    def write(self, file: BinaryIO, data: bytes) -> None:
        """Write zeros."""
        file.write(bytes(len(data)))


def test_what_was_written_is_read_back_before_it_counts(tmp_path: Path) -> None:
    local = LocalBlobStore(tmp_path, LyingDisk())
    with pytest.raises(CorruptContent, match="just written"):
        local.put_bytes(DATA)
    assert not list(local.digests())
    assert not list((tmp_path / ".incoming").iterdir())


def test_leftovers_of_broken_puts_are_cleared(tmp_path: Path) -> None:
    clock = Clock()
    clock.now = 4e9
    local = LocalBlobStore(tmp_path, clock=clock)
    (tmp_path / ".incoming" / "half").write_bytes(b"half")
    local.put_bytes(DATA)
    assert local.clear_incoming() == 1
    assert list(local.digests()) == [DIGEST]


def test_concurrent_puts_and_deletions_leave_whole_blobs(local: LocalBlobStore) -> None:
    contents = [bytes([i]) * 5000 for i in range(4)]
    errors: list[BaseException] = []

    def work(seed: int) -> None:
        try:
            for turn in range(12):
                digest = local.put_bytes(contents[(seed + turn) % 4])
                if seed == 0:
                    local.delete(digest)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    for digest in local.digests():
        local.open(digest, verify=True).close()
    assert not list((local.root / ".incoming").iterdir())
