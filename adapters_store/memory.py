"""A blob store in memory, for tests: the same contract as `LocalBlobStore`, nothing durable."""

from __future__ import annotations

import hashlib
import io
import shutil
import tempfile
import time
import weakref
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from adapters_store.backends import check_digest
from adapters_store.errors import BlobNotFound, CorruptContent, UnsafeFile


class InMemoryBlobStore:
    """Blobs in a dict; `path` writes a blob to a temporary folder that lives as long as this."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._blobs: dict[str, tuple[bytes, float]] = {}
        self._files: Path | None = None

    def put_file(self, path: Path, expected: str | None = None) -> str:
        """Store a regular file; see `BlobStore.put_file`."""
        if path.is_symlink() or not path.is_file():
            msg = f"{path.name!r} is not a plain file: only plain files can be stored"
            raise UnsafeFile(msg)
        return self.put_stream([path.read_bytes()], expected)

    def put_bytes(self, data: bytes) -> str:
        """Store bytes and return their digest."""
        return self.put_stream([data])

    def put_stream(self, chunks: Iterable[bytes], expected: str | None = None) -> str:
        """Store chunks of bytes; see `BlobStore.put_stream`."""
        data = b"".join(chunks)
        digest = hashlib.sha256(data).hexdigest()
        if expected is not None and digest != expected:
            msg = f"the stream has SHA-256 {digest}, expected {expected}: store or copy it again"
            raise CorruptContent(msg)
        self._blobs[digest] = (data, self._clock())
        return digest

    def open(self, digest: str, *, verify: bool = False) -> BinaryIO:
        """Open a blob for reading; see `BlobStore.open`."""
        data, _ = self._get(digest)
        if verify and hashlib.sha256(data).hexdigest() != digest:
            msg = f"the blob {digest} no longer matches its digest: store it again"
            raise CorruptContent(msg)
        return io.BytesIO(data)

    def path(self, digest: str) -> Path:
        """Return a temporary file holding the blob, to be read only."""
        path = self._folder() / digest
        path.write_bytes(self._get(digest)[0])
        return path

    def exists(self, digest: str) -> bool:
        """Say whether the blob is there."""
        return check_digest(digest) in self._blobs

    def size(self, digest: str) -> int:
        """Return the blob's length in bytes."""
        return len(self._get(digest)[0])

    def touch(self, digest: str) -> None:
        """Refresh the blob's time."""
        self._blobs[digest] = (self._get(digest)[0], self._clock())

    def touched_at(self, digest: str) -> float:
        """Return when the blob was last put or touched, in POSIX seconds."""
        return self._get(digest)[1]

    def delete(self, digest: str, *, not_touched_since: float | None = None) -> bool:
        """Delete a blob unless it was touched since; see `BlobStore.delete`."""
        if not self.exists(digest):
            return False
        if not_touched_since is not None and self.touched_at(digest) >= not_touched_since:
            return False
        del self._blobs[digest]
        return True

    def digests(self) -> Iterator[str]:
        """Yield every blob's digest, in no order."""
        return iter(tuple(self._blobs))

    def _folder(self) -> Path:
        if self._files is None:
            self._files = Path(tempfile.mkdtemp(prefix="blobs-"))
            weakref.finalize(self, shutil.rmtree, self._files, ignore_errors=True)
        return self._files

    def _get(self, digest: str) -> tuple[bytes, float]:
        if not self.exists(digest):
            msg = f"no blob has the digest {digest}"
            raise BlobNotFound(msg)
        return self._blobs[digest]
