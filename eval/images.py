"""Images of items as data URLs, read from a content-addressed folder."""

from __future__ import annotations

import base64
import re
from pathlib import Path

from eval.errors import ItemImageMissing

_DIGEST = re.compile(r"[0-9a-f]{64}")
_SIGNATURES = {b"\x89PNG\r\n\x1a\n": "png", b"\xff\xd8\xff": "jpeg", b"GIF8": "gif", b"BM": "bmp"}


def image_data_url(blob_dir: Path, digest: str) -> str:
    """Return the image at `blob_dir/<first two digits>/<digest>` as a `data:image/...` URL.

    Raises:
        ItemImageMissing: if the digest is malformed, or the file is missing or is neither PNG,
            JPEG, GIF, BMP nor WebP.
    """
    if not _DIGEST.fullmatch(digest):
        raise ItemImageMissing(
            f"image digest {digest!r} is refused: it must be 64 lower-case hex digits (SHA-256)."
        )
    try:
        content = (blob_dir / digest[:2] / digest).read_bytes()
    except OSError as error:
        raise ItemImageMissing(
            f"image {digest} cannot be read from the blob folder ({error.strerror}). Submit the "
            "task again so that its images are stored anew."
        ) from error
    return f"data:image/{_kind(content, digest)};base64,{base64.b64encode(content).decode()}"


def _kind(content: bytes, digest: str) -> str:
    for signature, kind in _SIGNATURES.items():
        if content.startswith(signature):
            return kind
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "webp"
    raise ItemImageMissing(
        f"image {digest} starts with {content[:8]!r}: no PNG, JPEG, GIF, BMP or WebP. "
        "Convert it and submit the task again."
    )
