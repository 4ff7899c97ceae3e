"""Zip: bounded walk over the central directory, structural checks, random access."""

from __future__ import annotations

import io
import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from asd_rewriter.archive_base import Archive, ArchiveLimits, Member, admit, checked_name
from asd_rewriter.errors import (
    ArchiveTooLarge,
    CorruptArchive,
    EncryptedArchive,
    SuspiciousCompression,
    UnsafeMember,
)

_END = struct.Struct("<4s4H2LH")
_END64_LOCATOR = struct.Struct("<4sLQL")
_END64 = struct.Struct("<4sQ2H2L4Q")
_ENTRY_SIZE = 46
_MAX_COMMENT = 0xFFFF
_DAMAGED = "The zip archive is damaged or truncated. Upload it again."
_METHODS = {zipfile.ZIP_STORED: "stored", zipfile.ZIP_DEFLATED: "deflate"}
_DECODE_ERRORS = (
    zipfile.BadZipFile, zlib.error, EOFError, struct.error, NotImplementedError,
    UnicodeError, ValueError, OverflowError, RuntimeError,
)  # fmt: skip


def open_zip(path: Path, limits: ArchiveLimits) -> Archive:
    """Open and check a zip archive. Raises subclasses of ArchiveRefused."""
    staged_bytes = path.stat().st_size
    with path.open("rb") as file:
        _bound_members(file, limits)
    try:
        zipped = zipfile.ZipFile(path)
    except _DECODE_ERRORS as error:
        raise CorruptArchive(_DAMAGED) from error
    try:
        files = list(_files(zipped, limits))
        _check_overlaps(zipped)
        members = (Member(name, it.file_size, it.compress_size) for name, it in files)
        sizes, ignored = admit(members, limits, staged_bytes)
    except BaseException:
        zipped.close()
        raise
    entries = dict(files)
    return Archive("zip", sizes, ignored, lambda name: _open(zipped, entries[name]), zipped.close)


class _Checked(io.BufferedIOBase):
    """A member's stream whose decoding errors become CorruptArchive."""

    def __init__(self, stream: io.BufferedIOBase, name: str) -> None:
        self._stream = stream
        self._name = name

    def readable(self) -> bool:
        return True

    def read(self, size: int | None = -1, /) -> bytes:
        try:
            return self._stream.read(size)
        except _DECODE_ERRORS as error:
            raise CorruptArchive(
                f"Member {self._name!r} is damaged (its data does not match its header). Pack "
                f"the archive again."
            ) from error

    read1 = read

    def close(self) -> None:
        self._stream.close()
        super().close()


def _open(zipped: zipfile.ZipFile, entry: zipfile.ZipInfo) -> BinaryIO:
    try:
        stream = zipped.open(entry)
    except _DECODE_ERRORS as error:
        raise CorruptArchive(
            f"Member {entry.filename!r} is damaged (its header does not match the archive's "
            f"index). Pack the archive again."
        ) from error
    return _Checked(stream, entry.filename)  # type: ignore[arg-type, return-value]


def _bound_members(file: BinaryIO, limits: ArchiveLimits) -> None:
    """Count the index's entries, stopping at the limit, before anything is built from them."""
    start, size = _directory(file)
    file.seek(start)
    count = 0
    while size >= _ENTRY_SIZE:
        header = file.read(_ENTRY_SIZE)
        if len(header) < _ENTRY_SIZE or not header.startswith(b"PK\x01\x02"):
            raise CorruptArchive(_DAMAGED)
        tail = sum(struct.unpack_from("<3H", header, 28))
        file.seek(tail, os.SEEK_CUR)
        size -= _ENTRY_SIZE + tail
        count += 1
        if count > limits.max_members:
            raise ArchiveTooLarge(
                f"The archive has more than {limits.max_members:,} members, which is the limit. "
                f"Split the task."
            )


def _directory(file: BinaryIO) -> tuple[int, int]:
    """Return start and size of the central directory, which must end where the end record says."""
    length = file.seek(0, os.SEEK_END)
    base = max(0, length - _END.size - _MAX_COMMENT)
    file.seek(base)
    tail = file.read()
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or at + _END.size > len(tail):
        raise CorruptArchive(_DAMAGED)
    _, _, _, _, _, size, start, _ = _END.unpack_from(tail, at)
    end = base + at
    if at >= _END64_LOCATOR.size and tail[at - 20 : at - 16] == b"PK\x06\x07":
        _, _, end, _ = _END64_LOCATOR.unpack_from(tail, at - 20)
        file.seek(end)
        record = file.read(_END64.size)
        if len(record) < _END64.size or not record.startswith(b"PK\x06\x06"):
            raise CorruptArchive(_DAMAGED)
        size, start = _END64.unpack(record)[8:10]
    if start + size != end:
        raise CorruptArchive(_DAMAGED)
    return start, size


def _files(zipped: zipfile.ZipFile, limits: ArchiveLimits) -> Iterator[tuple[str, zipfile.ZipInfo]]:
    for entry in zipped.infolist():
        name = checked_name(entry.orig_filename.rstrip("/") or "/", limits)
        if entry.flag_bits & 0x41:
            raise EncryptedArchive(
                f"Member {name!r} is encrypted. Pack the archive without a password."
            )
        _check_type(name, entry)
        if not entry.is_dir():
            yield name, entry


def _check_type(name: str, entry: zipfile.ZipInfo) -> None:
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise UnsafeMember(
            f"Member {name!r} is a link or a device. Pack regular files only (without zip's -y)."
        )
    if entry.compress_type not in _METHODS:
        raise CorruptArchive(
            f"Member {name!r} uses zip compression method {entry.compress_type}; supported are "
            f"{' and '.join(_METHODS.values())}. Pack the archive with one of these."
        )


def _check_overlaps(zipped: zipfile.ZipFile) -> None:
    """Refuse entries that share bytes: how a small zip expands without end."""
    ends = 0
    entries = sorted(zipped.infolist(), key=lambda it: (it.header_offset, it.compress_size))
    for entry in entries:
        if entry.header_offset < ends:
            raise SuspiciousCompression(
                f"Member {entry.filename!r} overlaps another member. Pack the archive again with "
                f"an ordinary tool."
            )
        ends = entry.header_offset + 30 + len(entry.orig_filename) + entry.compress_size
    if ends > zipped.start_dir:
        raise SuspiciousCompression(
            f"Member {entries[-1].filename!r} overlaps the archive's index. Pack the archive "
            f"again with an ordinary tool."
        )
