"""Images of items as data URLs, read from a content-addressed folder."""

from __future__ import annotations

import base64
import re
from pathlib import Path
from typing import IO

from eval.errors import ItemImageMissing

_DIGEST = re.compile(r"[0-9a-f]{64}")
_SIGNATURES = {b"\x89PNG\r\n\x1a\n": "png", b"\xff\xd8\xff": "jpeg"}
_SIGNATURE_BYTES = 16


def image_data_url(blob_dir: Path, digest: str) -> str:
    """Return the image at `blob_dir/<first two digits>/<digest>` as a `data:image/...` URL.

    Raises:
        ItemImageMissing: if the digest is malformed, or the file is missing or is neither PNG,
            JPEG nor WebP (validation stores no other).
    """
    with _opened(blob_dir, digest) as file:
        return data_url(file.read(), digest)


def data_url(content: bytes, name: str) -> str:
    """Return an image's bytes as a `data:image/...` URL.

    Raises:
        ItemImageMissing: with `name`, if they are neither PNG, JPEG nor WebP.
    """
    return f"data:image/{_kind(content, name)};base64,{base64.b64encode(content).decode()}"


def check_image(blob_dir: Path, digest: str) -> None:
    """Raise what `image_data_url` would raise; reads the file's first bytes only."""
    with _opened(blob_dir, digest) as file:
        _kind(file.read(_SIGNATURE_BYTES), digest)


def _opened(blob_dir: Path, digest: str) -> IO[bytes]:
    if not _DIGEST.fullmatch(digest):
        raise ItemImageMissing(
            f"image digest {digest!r} is refused: it must be 64 lower-case hex digits (SHA-256)."
        )
    try:
        return (blob_dir / digest[:2] / digest).open("rb")
    except OSError as error:
        raise ItemImageMissing(
            f"image {digest} cannot be read from the blob folder ({error.strerror}). Submit the "
            "task again so that its images are stored anew."
        ) from error


def _kind(content: bytes, digest: str) -> str:
    for signature, kind in _SIGNATURES.items():
        if content.startswith(signature):
            return kind
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "webp"
    raise ItemImageMissing(
        f"image {digest} starts with {content[:8]!r}: no PNG, JPEG or WebP. "
        "Convert it and submit the task again."
    )
