"""A task's images: each member is read, checked and digested once, and remembered by digest."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass
from hashlib import sha256

from asd_rewriter.archive_base import Archive
from asd_rewriter.errors import CorruptArchive
from asd_rewriter.images import ImageChecker, ImageVerdict


@dataclass(frozen=True)
class BadImage:
    """Why an image is refused: rule, what was seen, what to do."""

    rule: str
    message: str
    fix: str


class ImageLibrary:
    """Looks images up by the name that a row uses.

    `members` maps each good image's digest (SHA-256 of its stored bytes) to one member with that
    content; `num_bytes` is their sum.
    """

    def __init__(self, archive: Archive, checker: ImageChecker) -> None:
        self._archive = archive
        self._checker = checker
        self._known: dict[str, str | BadImage] = {}
        self.members: dict[str, str] = {}
        self.num_bytes = 0

    def look_up(self, name: str, folder: str) -> str | BadImage:
        """Return the digest of the image that a split file in `folder` calls `name`."""
        member = self._archive.find(name)
        if member is None and folder:
            member = self._archive.find(posixpath.normpath(posixpath.join(folder, name)))
        if member is None:
            return BadImage(
                "image_missing",
                f"the archive has no file {name[:200]!r}",
                "Add the file, or correct the path (case-sensitive, relative to the archive).",
            )
        if member not in self._known:
            self._known[member] = self._check(member)
        return self._known[member]

    def _check(self, member: str) -> str | BadImage:
        size, limits = self._archive.members()[member], self._checker.limits
        if size > limits.max_bytes:
            return _explain(member, ImageVerdict("image_bytes"), size, self._checker)
        try:
            data = self._archive.read(member)
        except CorruptArchive as error:
            return BadImage("image_undecodable", error.message, "Pack the archive again.")
        verdict = self._checker.check(data)
        if verdict.rule is not None:
            return _explain(member, verdict, size, self._checker)
        digest = sha256(data).hexdigest()
        if digest not in self.members:
            self.members[digest] = member
            self.num_bytes += len(data)
        return digest


def _explain(member: str, verdict: ImageVerdict, size: int, checker: ImageChecker) -> BadImage:
    limits = checker.limits
    name = repr(member[:200])
    smaller = "Save it smaller."
    messages = {
        "image_format": (f"{name} is not a JPEG, PNG or WebP image", "Convert it to one of these."),
        "image_undecodable": (f"{name} does not decode", "Save it again; it may be truncated."),
        "image_pixels": (
            f"{name} has {verdict.width} x {verdict.height} pixels, the limit is "
            f"{limits.max_pixels:,} in all",
            smaller,
        ),
        "image_animated": (f"{name} has more than one frame", "Keep one frame."),
        "image_bytes": (f"{name} has {size:,} bytes, the limit is {limits.max_bytes:,}", smaller),
        "image_too_costly": (
            f"{name} needs more than {limits.seconds:g} s or {limits.memory_bytes:,} bytes of "
            f"memory to decode",
            smaller,
        ),
    }
    rule = verdict.rule if verdict.rule in messages else "image_undecodable"
    assert rule is not None
    return BadImage(rule, *messages[rule])
