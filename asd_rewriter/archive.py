"""Reading an uploaded archive without ever extracting it by name.

An archive is indexed once; members are then read by position. All structural checks happen in
`open_archive`, so that a hostile upload is refused before anything of it is used:

* zip: an own walk over the central directory bounds the number of members before `zipfile` looks;
* tar: an own index of the headers (no links, no devices, no sparse files);
* tar.gz: decompressed once, under the limits, into an unnamed temporary file.
"""

from __future__ import annotations

from pathlib import Path

from asd_rewriter.archive_base import Archive, ArchiveLimits
from asd_rewriter.archive_tar import is_end_of_tar, open_tar, open_tar_gz
from asd_rewriter.archive_zip import open_zip
from asd_rewriter.cards import TaskCard
from asd_rewriter.errors import MemberNotFound, NotAnArchive

__all__ = ["Archive", "ArchiveLimits", "check_card_splits", "open_archive"]


def open_archive(
    path: Path, limits: ArchiveLimits | None = None, scratch: Path | None = None
) -> Archive:
    """Open a staged zip, tar or tar.gz, told apart by content, and check its structure.

    `scratch` is the folder for the unnamed temporary file that a tar.gz needs; default: the
    staged file's own. Nothing stays behind on refusal. Raises subclasses of ArchiveRefused.
    """
    limits = limits or ArchiveLimits()
    with path.open("rb") as file:
        head = file.read(512)
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return open_zip(path, limits)
    if head.startswith(b"\x1f\x8b"):
        return open_tar_gz(path, limits, scratch or path.parent)
    if head[257:262] == b"ustar" or is_end_of_tar(head):
        return open_tar(path, limits)
    raise NotAnArchive(
        f"The upload starts with {head[:4].hex() or 'nothing'}: it is not a zip, tar or tar.gz "
        f"archive. Send one of these."
    )


def check_card_splits(archive: Archive, card: TaskCard) -> None:
    """Check, at upload, that the split files of a card exist. Raises MemberNotFound."""
    for split, name in (("train", card.splits.train), ("eval", card.splits.eval)):
        if name is not None and archive.find(name) is None:
            close = [it for it in archive.members() if it.endswith((".json", ".jsonl"))][:5]
            raise MemberNotFound(
                f"The card's {split} split is {name!r}, which the archive does not hold (JSON "
                f"files in it: {', '.join(close) or 'none'}). Correct the card's splits.{split}."
            )
