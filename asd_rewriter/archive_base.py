"""What zip and tar share: limits, the opened archive, and the checks on names and sizes."""

from __future__ import annotations

import io
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import BinaryIO, Literal, Self

from asd_rewriter.errors import (
    ArchiveTooLarge,
    DuplicateMember,
    MemberNotFound,
    NotAnArchive,
    SuspiciousCompression,
    UnsafeMember,
)

ArchiveKind = Literal["zip", "tar", "tar.gz"]

GIB = 1024**3
NESTED = re.compile(r"\.(zip|tar|tgz|gz|bz2|tbz2?|xz|txz|zst|7z|rar|jar)\Z", re.I)
JUNK = re.compile(r"(\A|/)(__MACOSX/|\.DS_Store\Z|\._[^/]*\Z|Thumbs\.db\Z|desktop\.ini\Z)")

_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


@dataclass(frozen=True)
class ArchiveLimits:
    """What an archive may hold. Sizes are bytes after decompression.

    A member, or the archive as a whole, may not expand by more than `max_ratio`; up to
    `ratio_floor_bytes` the ratio does not matter.
    """

    max_members: int = 100_000
    max_total_bytes: int = 20 * GIB
    max_member_bytes: int = 2 * GIB
    max_ratio: int = 100
    ratio_floor_bytes: int = 8 * 1024**2
    max_name_bytes: int = 512


@dataclass(frozen=True)
class Member:
    """A regular file: its name, its size in bytes, and the stored size where it is compressed."""

    name: str
    size: int
    stored_size: int


class Archive:
    """An indexed archive; `open_archive` makes it. Names are as stored, without a leading `./`.

    Members may be read any number of times and in any order. Not for use by two threads at once.
    """

    def __init__(
        self,
        kind: ArchiveKind,
        sizes: Mapping[str, int],
        ignored: tuple[str, ...],
        opener: Callable[[str], BinaryIO],
        closer: Callable[[], None],
    ) -> None:
        self.kind = kind
        self.ignored = ignored
        self._sizes = dict(sizes)
        self._opener = opener
        self._closer = closer
        self._top = _common_top(self._sizes)

    def members(self) -> Mapping[str, int]:
        """Return the files' sizes in bytes by name; nested archives and system junk are left out.

        `ignored` lists what was left out.
        """
        return self._sizes

    def find(self, name: str) -> str | None:
        """Return the member that a card or row means by `name`, or None.

        That is the member itself, or the one below the single folder that holds everything.
        """
        wanted = name[2:] if name.startswith("./") else name
        for candidate in (wanted, self._top + wanted):
            if candidate in self._sizes:
                return candidate
        return None

    def open(self, name: str) -> BinaryIO:
        """Open a member for sequential reading. Raises MemberNotFound, CorruptArchive."""
        if name not in self._sizes:
            raise MemberNotFound(
                f"The archive has no file {name!r}. It holds {len(self._sizes)} files; names are "
                f"case-sensitive and relative to the archive's root."
            )
        return self._opener(name)

    def read(self, name: str) -> bytes:
        """Return a member's bytes. Raises MemberNotFound, CorruptArchive."""
        with self.open(name) as file:
            return file.read()

    def close(self) -> None:
        """Close the staged file and free the temporary one."""
        self._closer()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def admit(
    members: Iterable[Member], limits: ArchiveLimits, archive_bytes: int
) -> tuple[dict[str, int], tuple[str, ...]]:
    """Apply the limits that all kinds share; return the files' sizes and the ignored names.

    Raises ArchiveTooLarge, UnsafeMember, DuplicateMember, SuspiciousCompression, NotAnArchive.
    """
    sizes: dict[str, int] = {}
    ignored: list[str] = []
    seen: dict[str, str] = {}
    total = 0
    for number, member in enumerate(members, 1):
        _check_count(number, limits)
        name = checked_name(member.name, limits)
        _check_collision(name, seen)
        _check_member_size(name, member, limits)
        total += member.size
        _check_total(total, archive_bytes, limits)
        if NESTED.search(name) or JUNK.search(name):
            ignored.append(name)
        else:
            sizes[name] = member.size
    if not sizes:
        raise NotAnArchive("The archive holds no files. Add the split files and images.")
    return sizes, tuple(ignored)


def checked_name(name: str, limits: ArchiveLimits) -> str:
    """Return a member's name without a leading `./`. Raises UnsafeMember."""
    plain = name[2:] if name.startswith("./") else name
    reason = _unsafe_reason(plain, limits)
    if reason:
        raise UnsafeMember(
            f"Member {plain[:120]!r} {reason}. Use relative names of files inside the archive."
        )
    return plain


def _unsafe_reason(name: str, limits: ArchiveLimits) -> str | None:
    encoded = name.encode("utf-8", "surrogateescape")
    if len(encoded) > limits.max_name_bytes:
        return f"has a name of {len(encoded)} bytes, the limit is {limits.max_name_bytes}"
    if name.startswith("/") or re.match(r"[A-Za-z]:", name):
        return "has an absolute name"
    if "\\" in name:
        return "has a backslash in its name"
    if _UNPRINTABLE.search(name):
        return "has control characters or undecodable bytes in its name"
    parts = name.split("/")
    if ".." in parts:
        return "points outside the archive ('..')"
    if "" in parts or "." in parts:
        return "has an empty or '.' part in its name"
    return None


def _check_count(number: int, limits: ArchiveLimits) -> None:
    if number > limits.max_members:
        raise ArchiveTooLarge(
            f"The archive has more than {limits.max_members:,} members, which is the limit. "
            f"Split the task."
        )


def _check_collision(name: str, seen: dict[str, str]) -> None:
    key = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
    if key in seen:
        raise DuplicateMember(
            f"Members {seen[key]!r} and {name!r} have the same name (case and Unicode form do "
            f"not count). Rename one."
        )
    seen[key] = name


def _check_member_size(name: str, member: Member, limits: ArchiveLimits) -> None:
    if member.size > limits.max_member_bytes:
        raise ArchiveTooLarge(
            f"Member {name!r} has {member.size:,} bytes, the limit is {limits.max_member_bytes:,}. "
            f"Split it."
        )
    large = member.size > limits.ratio_floor_bytes
    if large and member.size > limits.max_ratio * max(member.stored_size, 1):
        raise SuspiciousCompression(
            f"Member {name!r} expands from {member.stored_size:,} to {member.size:,} bytes; more "
            f"than {limits.max_ratio} to 1 is refused. Store it with less compression."
        )


def _check_total(total: int, archive_bytes: int, limits: ArchiveLimits) -> None:
    if total > limits.max_total_bytes:
        raise ArchiveTooLarge(
            f"The members add up to more than {limits.max_total_bytes:,} bytes, which is the "
            f"limit. Split the task."
        )
    if total > limits.ratio_floor_bytes and total > limits.max_ratio * max(archive_bytes, 1):
        raise SuspiciousCompression(
            f"The archive of {archive_bytes:,} bytes expands to {total:,} bytes or more; more than "
            f"{limits.max_ratio} to 1 is refused. Store it with less compression."
        )


def _common_top(names: Mapping[str, int]) -> str:
    tops = {name.partition("/")[0] + "/" if "/" in name else "" for name in names}
    return tops.pop() if len(tops) == 1 else ""


class SliceReader(io.RawIOBase):
    """A read-only window of `size` bytes from `start` of a seekable file."""

    def __init__(self, file: BinaryIO, start: int, size: int) -> None:
        self._file = file
        self._at = start
        self._end = start + size

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fill the buffer from the window; 0 at its end."""
        self._file.seek(self._at)
        data = self._file.read(min(len(buffer), self._end - self._at))
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)
