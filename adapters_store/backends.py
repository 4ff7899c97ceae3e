"""Content-addressed blobs: a SHA-256 digest always names the same bytes.

`LocalBlobStore` keeps a blob at `root/ab/abcdef…` (trainer and service read images by that rule).
Every put refreshes the blob's time, also when the blob was there already: the garbage collector
spares what was touched within its grace period, so whoever refers to a blob anew must `put` or
`touch` it first.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Protocol

from adapters_store.disk import Disk
from adapters_store.errors import BlobNotFound, CorruptContent, InvalidDigest, UnsafeFile

CHUNK_BYTES = 1 << 20
_DIGEST = re.compile(r"[0-9a-f]{64}")
_INCOMING = ".incoming"


class BlobStore(Protocol):
    """Where bytes live under their SHA-256 digest (64 lower-case hex digits).

    Methods given a digest raise `InvalidDigest` (422) when it has another form and, where they
    need the blob, `BlobNotFound` (404).
    """

    def put_file(self, path: Path, expected: str | None = None) -> str:
        """Store a regular file's bytes and return their digest.

        Raises `UnsafeFile` for a link or anything else that is not a plain file, and
        `CorruptContent` when the bytes do not have the `expected` digest; nothing is stored then.
        """
        ...

    def put_bytes(self, data: bytes) -> str:
        """Store bytes and return their digest."""
        ...

    def put_stream(self, chunks: Iterable[bytes], expected: str | None = None) -> str:
        """Store chunks of bytes and return their digest; memory use is one chunk.

        Raises what the iterable raises, and `CorruptContent` as `put_file`; nothing is stored
        then.
        """
        ...

    def open(self, digest: str, *, verify: bool = False) -> BinaryIO:
        """Open a blob for reading; with `verify`, raise `CorruptContent` unless it hashes right."""
        ...

    def path(self, digest: str) -> Path:
        """Return a local file holding the blob, to be read only."""
        ...

    def exists(self, digest: str) -> bool:
        """Say whether the blob is there (not whether it is intact)."""
        ...

    def size(self, digest: str) -> int:
        """Return the blob's length in bytes."""
        ...

    def touch(self, digest: str) -> None:
        """Refresh the blob's time, so that the garbage collector spares it for a grace period."""
        ...

    def touched_at(self, digest: str) -> float:
        """Return when the blob was last put or touched, in POSIX seconds."""
        ...

    def delete(self, digest: str, *, not_touched_since: float | None = None) -> bool:
        """Delete a blob and return whether one was deleted; an absent blob is no error.

        With `not_touched_since` (POSIX seconds) a blob put or touched at that time or later
        stays: check and deletion are one step, so a concurrent put never loses its blob.
        """
        ...

    def digests(self) -> Iterator[str]:
        """Yield every blob's digest, in no order."""
        ...


def check_digest(digest: str) -> str:
    """Return `digest` if it is a SHA-256 in lower-case hex; raises `InvalidDigest`."""
    if not _DIGEST.fullmatch(digest):
        msg = f"{digest[:80]!r} is not a digest: it must be 64 lower-case hexadecimal digits"
        raise InvalidDigest(msg)
    return digest


def hash_file(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in lower-case hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class LocalBlobStore:
    """Blobs as read-only files under `root`; safe for many threads and processes.

    A blob is written and synced under `root/.incoming/`, read back, and only then renamed to its
    final name, so a file at `root/ab/abcdef…` is complete. Putting a blob that is there reads it,
    and replaces it when it was damaged since. `clock` gives POSIX seconds.
    """

    def __init__(
        self, root: Path, disk: Disk | None = None, clock: Callable[[], float] = time.time
    ) -> None:
        self.root = root
        self._disk = disk or Disk()
        self._clock = clock
        self._synced_folders: set[str] = set()
        self._disk.make_folder(root / _INCOMING)

    def put_file(self, path: Path, expected: str | None = None) -> str:
        """Store a regular file; see `BlobStore.put_file`."""
        if path.is_symlink() or not path.is_file():
            msg = f"{path.name!r} is not a plain file: only plain files can be stored"
            raise UnsafeFile(msg)
        digest = _expect(hash_file(path), expected, path.name)
        if self._keep_existing(digest, path.stat().st_size):
            return digest
        with path.open("rb") as file:
            return self.put_stream(iter(lambda: file.read(CHUNK_BYTES), b""), digest)

    def put_bytes(self, data: bytes) -> str:
        """Store bytes and return their digest."""
        digest = hashlib.sha256(data).hexdigest()
        if self._keep_existing(digest, len(data)):
            return digest
        return self.put_stream([data], digest)

    def put_stream(self, chunks: Iterable[bytes], expected: str | None = None) -> str:
        """Store chunks of bytes; see `BlobStore.put_stream`."""
        temporary = self.root / _INCOMING / uuid.uuid4().hex
        try:
            digest = _expect(self._write(temporary, chunks), expected, "the stream")
            # A disk that lies about a write is caught here, before anyone can refer to the blob.
            _expect(hash_file(temporary), digest, "the file just written")
            self._settle(temporary, digest)
        finally:
            self._disk.remove(temporary)
        return digest

    def open(self, digest: str, *, verify: bool = False) -> BinaryIO:
        """Open a blob for reading; see `BlobStore.open`."""
        path = self.path(digest)
        if verify:
            _expect(hash_file(path), digest, "the blob")
        return path.open("rb")

    def path(self, digest: str) -> Path:
        """Return the blob's file, to be read only."""
        path = self._file(digest)
        if not path.is_file():
            raise _missing(digest)
        return path

    def exists(self, digest: str) -> bool:
        """Say whether the blob is there."""
        return self._file(digest).is_file()

    def size(self, digest: str) -> int:
        """Return the blob's length in bytes."""
        return self.path(digest).stat().st_size

    def touch(self, digest: str) -> None:
        """Refresh the blob's time."""
        with self._lock(fcntl.LOCK_SH):
            self._disk.touch(self.path(digest), self._clock())

    def touched_at(self, digest: str) -> float:
        """Return when the blob was last put or touched, in POSIX seconds."""
        return self.path(digest).stat().st_mtime

    def delete(self, digest: str, *, not_touched_since: float | None = None) -> bool:
        """Delete a blob unless it was touched since; see `BlobStore.delete`."""
        path = self._file(digest)
        with self._lock(fcntl.LOCK_EX):
            if not path.is_file():
                return False
            if not_touched_since is not None and path.stat().st_mtime >= not_touched_since:
                return False
            self._disk.remove(path)
        return True

    def digests(self) -> Iterator[str]:
        """Yield every blob's digest, in no order."""
        for folder in self.root.glob("[0-9a-f][0-9a-f]"):
            for path in folder.iterdir():
                if _DIGEST.fullmatch(path.name) and path.name.startswith(folder.name):
                    yield path.name

    def clear_incoming(self, older_than_seconds: float = 86_400) -> int:
        """Delete what broken-off puts left behind; return how many files went."""
        limit = self._clock() - older_than_seconds
        stale = [p for p in (self.root / _INCOMING).iterdir() if p.stat().st_mtime < limit]
        for path in stale:
            self._disk.remove(path)
        return len(stale)

    def _file(self, digest: str) -> Path:
        return self.root / check_digest(digest)[:2] / digest

    def _write(self, path: Path, chunks: Iterable[bytes]) -> str:
        hasher = hashlib.sha256()
        with path.open("xb") as file:
            for chunk in chunks:
                hasher.update(chunk)
                self._disk.write(file, chunk)
            self._disk.sync(file)
        path.chmod(0o444)
        return hasher.hexdigest()

    def _keep_existing(self, digest: str, size: int) -> bool:
        with self._lock(fcntl.LOCK_SH):
            path = self._file(digest)
            if not path.is_file():
                return False
            # A damaged file does not count: the put then replaces it.
            if path.stat().st_size != size or hash_file(path) != digest:
                return False
            self._disk.touch(path, self._clock())
        return True

    def _settle(self, temporary: Path, digest: str) -> None:
        final = self._file(digest)
        self._disk.make_folder(final.parent)
        with self._lock(fcntl.LOCK_SH):
            self._disk.touch(temporary, self._clock())
            self._disk.rename(temporary, final)
        self._disk.sync_folder(final.parent)
        if final.parent.name not in self._synced_folders:
            self._disk.sync_folder(self.root)  # the folder itself may be new
            self._synced_folders.add(final.parent.name)

    @contextmanager
    def _lock(self, kind: int) -> Iterator[None]:
        """Puts share the lock, deletion has it alone: no put meets a blob on its way out."""
        handle = os.open(self.root / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(handle, kind)
            yield
        finally:
            os.close(handle)


def _expect(digest: str, expected: str | None, what: str) -> str:
    if expected is not None and digest != expected:
        msg = f"{what} has SHA-256 {digest}, expected {expected}: store or copy it again"
        raise CorruptContent(msg)
    return digest


def _missing(digest: str) -> BlobNotFound:
    return BlobNotFound(f"no blob has the digest {digest}")
