"""Immutable versions: an attempt's files become blobs, then a manifest makes them a version.

Blobs are stored first and the manifest last, in one atomic step, so a version that can be seen is
complete; after a crash at any point the same `publish` finishes the work and gives the same
manifest. A version is never changed, and deleted only by `withdraw`, before anything builds on it.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from adapters_store.attempt import read_attempt
from adapters_store.backends import BlobStore, hash_file
from adapters_store.disk import Disk
from adapters_store.errors import (
    DestinationTaken,
    LineageBroken,
    StoreError,
    VersionConflict,
    VersionNotFound,
)
from adapters_store.lineage import lineage_of
from adapters_store.manifest import FileRef, VersionFields, VersionManifest
from adapters_store.records import ManifestFiles

_PAGE_BYTES = 4096


@dataclass(frozen=True)
class Problem:
    """Something `fsck` found: `where` is a version (`stream@7`), `what` a sentence."""

    where: str
    what: str


class VersionStore:
    """Versions of all streams: manifests under `root`, content in `blobs`.

    Safe for many threads and processes. Methods given a version raise `CorruptContent` when its
    stored bytes changed and `BlobNotFound` when they are gone.
    """

    def __init__(self, root: Path, blobs: BlobStore, disk: Disk | None = None) -> None:
        self.blobs = blobs
        self._disk = disk or Disk()
        self._records = ManifestFiles(root, self._disk)

    def publish(self, attempt_dir: Path, manifest_fields: VersionFields) -> VersionManifest:
        """Register a complete attempt as `stream@number` and return its manifest.

        Publishing the same content again returns the manifest of the first time. Raises
        `IncompleteAttempt`, `UnsafeFile` or `NotComposable` for the attempt, `LineageBroken` for
        the parent, `VersionConflict` when the number names another content (a number is given
        once); then nothing was stored.
        """
        manifest = read_attempt(attempt_dir, manifest_fields)
        if manifest.number in self._records.numbers(manifest.stream):
            return self._existing(manifest)
        lineage_of(self, manifest)
        for relative, ref in manifest.stored_files().items():
            self.blobs.put_file(attempt_dir / relative, ref.sha256)
        return manifest if self._records.create(manifest) else self._existing(manifest)

    def withdraw(self, stream: str, number: int) -> frozenset[str]:
        """Take back a version that nothing builds on; return the digests only it kept alive.

        The blobs are still there: whoever owns the store deletes them. Doing it again returns an
        empty set. Raises `LineageBroken` when another version has it as parent.
        """
        if number not in self._records.numbers(stream):
            return frozenset()
        manifest = self.get(stream, number)
        children = [other.name for other in self.list(stream) if other.parent == manifest.digest]
        if children:
            msg = f"{manifest.name} is the parent of {', '.join(children)}: withdraw those first"
            raise LineageBroken(msg)
        self._records.remove(stream, number)
        return manifest.referenced_digests() - self.referenced()

    def get(self, stream: str, number: int) -> VersionManifest:
        """Return `stream@number`; raises `VersionNotFound`."""
        return self._records.read(stream, number)

    def find(self, stream: str, digest: str) -> VersionManifest:
        """Return the stream's version with this digest; raises `VersionNotFound`."""
        for manifest in self.list(stream):
            if manifest.digest == digest:
                return manifest
        msg = f"stream {stream!r} has no version with the digest {digest[:80]}"
        raise VersionNotFound(msg)

    def list(self, stream: str) -> tuple[VersionManifest, ...]:
        """Return the stream's versions by number; none for an unknown stream."""
        numbers = self._records.numbers(stream)
        return tuple(self._records.read(stream, number) for number in numbers)

    def streams(self) -> tuple[str, ...]:
        """Return the names of the streams that have versions."""
        return tuple(self._records.streams())

    def referenced(self) -> frozenset[str]:
        """Return every digest that any version keeps alive, for the garbage collector."""
        versions = (manifest for stream in self.streams() for manifest in self.list(stream))
        return frozenset[str]().union(*(manifest.referenced_digests() for manifest in versions))

    def materialise_delta(self, manifest: VersionManifest, dest: Path) -> Path:
        """Lay the delta out as a folder at `dest` (for `add` a PEFT folder) and return `dest`.

        The files are verified, and may be hard links to blobs: read only. An equal folder already
        there is kept, and one that a power cut left cut short is made anew; raises
        `DestinationTaken` for any other.
        """
        return self._materialise(manifest.delta.files, dest)

    def materialise_state(self, manifest: VersionManifest, dest: Path) -> Path | None:
        """Lay the method state out at `dest`; None, and no folder, when there is no state."""
        return self._materialise(manifest.state, dest) if manifest.state else None

    def canary(self, manifest: VersionManifest) -> bytes:
        """Return the version's `canary.json`, verified."""
        with self.blobs.open(manifest.canary.sha256, verify=True) as file:
            return file.read()

    def verify(self, manifest: VersionManifest) -> None:
        """Check that every file of the version is stored and hashes right."""
        for ref in manifest.stored_files().values():
            self.blobs.open(ref.sha256, verify=True).close()

    def fsck(self, *, deep: bool = True) -> tuple[Problem, ...]:
        """Check every version's manifest, files and lineage; return what is wrong.

        `deep` reads and hashes every file; otherwise only its presence is checked. Leftovers of a
        crash are no problem: nothing refers to them.
        """
        return tuple(
            Problem(f"{stream}@{number}", found)
            for stream in self.streams()
            for number in self._records.numbers(stream)
            if (found := self._fault(stream, number, deep=deep))
        )

    def _fault(self, stream: str, number: int, *, deep: bool) -> str | None:
        try:
            manifest = self.get(stream, number)
            lineage_of(self, manifest)
            if deep:
                self.verify(manifest)
            else:
                for ref in manifest.stored_files().values():
                    self.blobs.size(ref.sha256)
        except StoreError as error:
            return error.message
        return None

    def _existing(self, manifest: VersionManifest) -> VersionManifest:
        stored = self.get(manifest.stream, manifest.number)
        if stored.digest != manifest.digest:
            msg = (
                f"{manifest.name} exists with the digest {stored.digest}, this content has "
                f"{manifest.digest}: versions never change, publish under the next number"
            )
            raise VersionConflict(msg)
        return stored

    def _materialise(self, files: Mapping[str, FileRef], dest: Path) -> Path:
        if _holds(files, dest):
            return dest
        if dest.exists() and not self._is_remnant(files, dest):
            raise _taken(dest)
        building = dest.parent / f".{dest.name}.{uuid.uuid4().hex}"
        try:
            self._build(files, building)
            # Looked at again: another thread may have made it whole meanwhile.
            if self._is_remnant(files, dest):
                self._disk.remove_folder(dest)
            self._disk.rename(building, dest)
        except OSError:
            # Another thread may have finished the same folder first.
            if not dest.exists():
                raise
            if not _holds(files, dest):
                raise _taken(dest) from None
        finally:
            self._disk.remove_folder(building)
        return dest

    def _build(self, files: Mapping[str, FileRef], folder: Path) -> None:
        self._disk.make_folder(folder)
        for relative, ref in files.items():
            self._place(ref.sha256, folder / relative)
        for parent in {(folder / relative).parent for relative in files} | {folder}:
            self._disk.sync_folder(parent)

    def _is_remnant(self, files: Mapping[str, FileRef], folder: Path) -> bool:
        """Say whether a folder holds only what is left of these files after a power cut.

        Such a folder is ours. A file that differs in any other way is somebody's work.
        """
        if folder.is_symlink() or not folder.is_dir() or _holds(files, folder):
            return False
        found = [path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir()]
        return all(
            not path.is_symlink()
            and path.is_file()
            and (ref := files.get(path.relative_to(folder).as_posix())) is not None
            and self._is_cut_short(path, ref.sha256)
            for path in found
        )

    def _is_cut_short(self, path: Path, digest: str) -> bool:
        with path.open("rb") as copy, self.blobs.open(digest) as whole:
            return all(
                page == expected[: len(page)] or not page.strip(b"\0")
                for page, expected in _pages(copy, whole)
            )

    def _place(self, digest: str, target: Path) -> None:
        self.blobs.open(digest, verify=True).close()
        self._disk.make_folder(target.parent)
        try:
            self._disk.link_new(self.blobs.path(digest), target)
        except OSError:
            # Another file system, or one without links.
            self._disk.copy(self.blobs.path(digest), target)


def _pages(copy: BinaryIO, whole: BinaryIO) -> Iterator[tuple[bytes, bytes]]:
    """Yield a file's pages with those of another; what the device never got reads as zeros."""
    while page := copy.read(_PAGE_BYTES):
        yield page, whole.read(_PAGE_BYTES)


def _holds(files: Mapping[str, FileRef], folder: Path) -> bool:
    found = (path for path in folder.rglob("*") if path.is_file())
    digests = {path.relative_to(folder).as_posix(): hash_file(path) for path in found}
    return digests == {relative: ref.sha256 for relative, ref in files.items()}


def _taken(folder: Path) -> DestinationTaken:
    msg = f"the folder {folder.name!r} exists with another content: choose a new folder"
    return DestinationTaken(msg)
