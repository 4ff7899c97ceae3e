"""Tar: an own index of the headers, random access; tar.gz through one unnamed temporary file.

The index knows ustar names, GNU long names and the pax keys `path` and `size`; everything else
that could redirect a name or a size (links, devices, sparse files, global overrides) is refused.
"""

from __future__ import annotations

import gzip
import io
import tempfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from asd_rewriter.archive_base import (
    Archive,
    ArchiveKind,
    ArchiveLimits,
    Member,
    SliceReader,
    admit,
    checked_name,
)
from asd_rewriter.errors import (
    ArchiveTooLarge,
    CorruptArchive,
    NotAnArchive,
    SuspiciousCompression,
    UnsafeMember,
)

BLOCK = 512
_MAX_EXTENSION_BYTES = 64 * 1024
_CHUNK = 1024 * 1024
_DAMAGED = "The tar archive is damaged or truncated. Upload it again."
_NAMED_TYPES = {
    b"1": "a hard link", b"2": "a symbolic link", b"3": "a character device",
    b"4": "a block device", b"6": "a named pipe", b"S": "a sparse file",
}  # fmt: skip


@dataclass(frozen=True)
class _Entry:
    name: str
    start: int
    size: int


def open_tar(path: Path, limits: ArchiveLimits) -> Archive:
    """Open and check a plain tar archive. Raises subclasses of ArchiveRefused."""
    return _indexed("tar", path.open("rb"), limits, path.stat().st_size)


def open_tar_gz(path: Path, limits: ArchiveLimits, scratch: Path) -> Archive:
    """Decompress a tar.gz once, under the limits, and open the result like a plain tar."""
    unpacked = cast(BinaryIO, tempfile.TemporaryFile(dir=scratch))  # noqa: SIM115
    try:
        _decompress(path, unpacked, limits)
        unpacked.seek(0)
        _check_is_tar(unpacked.read(BLOCK))
    except BaseException:
        unpacked.close()
        raise
    return _indexed("tar.gz", unpacked, limits, path.stat().st_size)


def is_end_of_tar(block: bytes) -> bool:
    """Return whether a tar that begins with this block has no members."""
    return block == bytes(BLOCK)


def _check_is_tar(head: bytes) -> None:
    if not head:
        raise NotAnArchive("The gzip file is empty. Send the split files and images as tar.gz.")
    if head[257:262] != b"ustar" and not is_end_of_tar(head):
        raise NotAnArchive("The gzip file holds no tar archive. Send a zip, tar or tar.gz.")


def _indexed(
    kind: ArchiveKind, file: BinaryIO, limits: ArchiveLimits, staged_bytes: int
) -> Archive:
    entries: dict[str, _Entry] = {}

    def members() -> Iterator[Member]:
        for entry in _index(file, limits):
            entries[checked_name(entry.name, limits)] = entry
            yield Member(entry.name, entry.size, entry.size)

    def opener(name: str) -> BinaryIO:
        entry = entries[name]
        window = SliceReader(file, entry.start, entry.size)
        return io.BufferedReader(window, buffer_size=64 * 1024)

    try:
        sizes, ignored = admit(members(), limits, staged_bytes)
    except BaseException:
        file.close()
        raise
    return Archive(kind, sizes, ignored, opener, file.close)


def _decompress(path: Path, target: BinaryIO, limits: ArchiveLimits) -> None:
    staged_bytes = path.stat().st_size
    # Headers and padding come on top of the members' own bytes.
    cap = limits.max_total_bytes + limits.max_members * 4 * BLOCK
    total = 0
    try:
        with gzip.open(path, "rb") as source:
            while chunk := source.read(_CHUNK):
                total += len(chunk)
                _check_expansion(total, staged_bytes, cap, limits)
                target.write(chunk)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise CorruptArchive(
            "The gzip data is damaged or truncated. Upload the archive again."
        ) from error


def _check_expansion(total: int, staged_bytes: int, cap: int, limits: ArchiveLimits) -> None:
    if total > cap:
        raise ArchiveTooLarge(
            f"The archive expands to more than {limits.max_total_bytes:,} bytes, which is the "
            f"limit. Split the task."
        )
    if total > limits.ratio_floor_bytes and total > limits.max_ratio * staged_bytes:
        raise SuspiciousCompression(
            f"The archive of {staged_bytes:,} bytes expands to {total:,} bytes or more; more than "
            f"{limits.max_ratio} to 1 is refused. Store it with less compression."
        )


def _index(file: BinaryIO, limits: ArchiveLimits) -> Iterator[_Entry]:
    """Yield the regular files in order. `pending` holds what extension headers said."""
    end = file.seek(0, io.SEEK_END)
    at = 0
    pending: dict[str, str] = {}
    headers = 0
    while at + BLOCK <= end:
        header = _read_at(file, at, BLOCK)
        if header.count(0) == BLOCK and not pending:
            return
        headers += 1
        if headers > 4 * limits.max_members:
            raise ArchiveTooLarge(
                f"The archive has more than {limits.max_members:,} members, which is the limit. "
                f"Split the task."
            )
        _check_sum(header)
        kind, size = header[156:157], _number(header[124:136])
        at += BLOCK
        if kind in (b"x", b"g", b"L", b"K"):
            pending.update(_extension(file, at, kind, size))
        else:
            name = pending.get("path") or _ustar_name(header)
            size = _pax_size(pending, size)
            pending = {}
            if at + size > end:
                raise CorruptArchive(_DAMAGED)
            if _is_file(name, kind, limits):
                yield _Entry(name, at, size)
        at += -(-size // BLOCK) * BLOCK
    raise CorruptArchive(_DAMAGED)


def _is_file(name: str, kind: bytes, limits: ArchiveLimits) -> bool:
    """Return True for a regular file, False for a folder. Raises UnsafeMember for the rest."""
    if kind == b"5" or (kind in (b"0", b"\0") and name.endswith("/")):
        if name not in (".", "./"):
            checked_name(name.rstrip("/") or "/", limits)
        return False
    if kind in (b"0", b"\0", b"7"):
        return True
    what = _NAMED_TYPES.get(kind, f"of unknown type {kind.hex()}")
    raise UnsafeMember(f"Member {name[:120]!r} is {what}. Pack regular files only.")


def _extension(file: BinaryIO, at: int, kind: bytes, size: int) -> dict[str, str]:
    if size > _MAX_EXTENSION_BYTES:
        raise UnsafeMember(
            f"A tar extension header has {size:,} bytes, the limit is {_MAX_EXTENSION_BYTES:,}. "
            f"Pack the archive again with an ordinary tool."
        )
    data = _read_at(file, at, size)
    if kind == b"L":
        return {"path": data.rstrip(b"\0").decode("utf-8", "surrogateescape")}
    if kind == b"K":
        return {}
    records = _pax_records(data)
    dangerous = [key for key in records if key.startswith("GNU.sparse")]
    if kind == b"g":
        dangerous += [key for key in ("path", "size") if key in records]
    if dangerous:
        raise UnsafeMember(
            f"The archive uses the tar extension {dangerous[0]!r}. Pack it without sparse files "
            f"and global overrides."
        )
    return records if kind == b"x" else {}


def _pax_records(data: bytes) -> dict[str, str]:
    records: dict[str, str] = {}
    while data:
        length, space, _ = data[:12].partition(b" ")
        if not space or not length.isdigit() or not len(length) + 3 <= int(length) <= len(data):
            raise CorruptArchive(_DAMAGED)
        record, data = data[len(length) + 1 : int(length)], data[int(length) :]
        key, equals, value = record.rstrip(b"\n").partition(b"=")
        if not equals:
            raise CorruptArchive(_DAMAGED)
        records[key.decode("utf-8", "replace")] = value.decode("utf-8", "surrogateescape")
    return records


def _pax_size(pending: dict[str, str], size: int) -> int:
    text = pending.get("size")
    if text is None:
        return size
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise CorruptArchive(_DAMAGED)
    return int(text)


def _number(field: bytes) -> int:
    """Return a header's octal or (first bit set) base-256 number; never negative."""
    if field[0] == 0x80:
        return int.from_bytes(field[1:], "big")
    text = field.strip(b" \0") or b"0"
    if not all(digit in b"01234567" for digit in text):
        raise CorruptArchive(_DAMAGED)
    return int(text, 8)


def _check_sum(header: bytes) -> None:
    if _number(header[148:156]) != sum(header[:148]) + 8 * 0x20 + sum(header[156:]):
        raise CorruptArchive(_DAMAGED)


def _ustar_name(header: bytes) -> str:
    name = header[:100].partition(b"\0")[0]
    prefix = header[345:500].partition(b"\0")[0] if header[257:263] == b"ustar\0" else b""
    whole = prefix + b"/" + name if prefix else name
    return whole.decode("utf-8", "surrogateescape")


def _read_at(file: BinaryIO, at: int, size: int) -> bytes:
    file.seek(at)
    data = file.read(size)
    if len(data) < size:
        raise CorruptArchive(_DAMAGED)
    return data
