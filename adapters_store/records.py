"""Manifest files: one per version, written whole or not at all, and checked at every read."""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from adapters_store.disk import Disk
from adapters_store.errors import CorruptContent, StoreError, VersionNotFound
from adapters_store.manifest import VersionManifest, canonical_json, digest_of
from adapters_store.safetensors_check import check_json

_STREAM = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_FILE = re.compile(r"([1-9][0-9]{0,9})\.json")


class ManifestFiles:
    """Manifests at `root/<stream>/<number>.json`.

    A file holds the version's digest, the manifest, and a checksum over the whole manifest, so
    that a changed byte is noticed even where the digest does not reach (`created_at`).
    """

    def __init__(self, root: Path, disk: Disk) -> None:
        self.root = root
        self._disk = disk
        disk.make_folder(root)

    def read(self, stream: str, number: int) -> VersionManifest:
        """Return a manifest; raises `VersionNotFound`, or `CorruptContent` if it was changed."""
        path = self._path(stream, number)
        if not path.is_file():
            msg = f"there is no version {stream}@{number}"
            raise VersionNotFound(msg)
        manifest = _decode(path)
        if (manifest.stream, manifest.number) != (stream, number):
            msg = f"the manifest of {stream}@{number} says it is {manifest.name}: restore the store"
            raise CorruptContent(msg)
        return manifest

    def create(self, manifest: VersionManifest) -> bool:
        """Make a manifest visible, atomically; return False when its number is taken."""
        path = self._path(manifest.stream, manifest.number)
        self._disk.make_folder(path.parent)
        temporary = path.parent / f".{uuid.uuid4().hex}"
        try:
            with temporary.open("xb") as file:
                self._disk.write(file, _encode(manifest))
                self._disk.sync(file)
            # A link, unlike a rename, never replaces what another publisher wrote meanwhile.
            self._disk.link_new(temporary, path)
        except FileExistsError:
            return False
        finally:
            self._disk.remove(temporary)
        self._disk.sync_folder(path.parent)
        self._disk.sync_folder(self.root)
        return True

    def remove(self, stream: str, number: int) -> None:
        """Remove a manifest; nothing happens when there is none."""
        path = self._path(stream, number)
        self._disk.remove(path)
        if path.parent.is_dir():
            self._disk.sync_folder(path.parent)

    def numbers(self, stream: str) -> tuple[int, ...]:
        """Return the stream's version numbers, ascending; none for an unknown stream."""
        if not _STREAM.fullmatch(stream) or not (self.root / stream).is_dir():
            return ()
        names = (_FILE.fullmatch(path.name) for path in (self.root / stream).iterdir())
        return tuple(sorted(int(match[1]) for match in names if match))

    def streams(self) -> Iterator[str]:
        """Yield the streams with at least one version, by name."""
        for folder in sorted(self.root.iterdir()):
            if self.numbers(folder.name):
                yield folder.name

    def _path(self, stream: str, number: int) -> Path:
        if not _STREAM.fullmatch(stream) or number < 1:
            msg = f"there is no version {stream[:80]!r}@{number}: stored versions begin at 1"
            raise VersionNotFound(msg)
        return self.root / stream / f"{number}.json"


def _encode(manifest: VersionManifest) -> bytes:
    return _signed(manifest.model_dump(mode="json"))


def _signed(content: dict[str, Any]) -> bytes:
    checksum = hashlib.sha256(canonical_json(content)).hexdigest()
    return canonical_json({"checksum": checksum, "digest": digest_of(content), "manifest": content})


def _decode(path: Path) -> VersionManifest:
    content = _content(path)
    try:
        manifest = VersionManifest.model_validate(content)
    except ValidationError as error:
        raise _unknown(path, content) from error
    if manifest.digest != digest_of(content):
        raise _unknown(path, content)
    return manifest


def _content(path: Path) -> dict[str, Any]:
    """Return the manifest as it was stored, whatever today's release would write."""
    try:
        content = check_json(path)["manifest"]
        # Byte for byte what was written: no change survives this, not even one of spacing.
        intact = isinstance(content, dict) and _signed(content) == path.read_bytes()
    except (StoreError, KeyError, TypeError, ValueError) as error:
        raise _damaged(path) from error
    if not intact:
        raise _damaged(path)
    found: dict[str, Any] = content
    return found


def _unknown(path: Path, content: dict[str, Any]) -> CorruptContent:
    where = f"{path.parent.name}@{path.stem}"
    schema = str(content.get("schema_version"))[:20]
    return CorruptContent(
        f"the manifest of {where} (schema {schema}) is whole, but this release cannot read it: "
        "use the release that wrote it, or a later one"
    )


def _damaged(path: Path) -> CorruptContent:
    where = f"{path.parent.name}@{path.stem}"
    return CorruptContent(f"the manifest of {where} was changed: restore it from a backup")
