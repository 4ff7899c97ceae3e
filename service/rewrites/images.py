"""Images of tasks over HTTP: the stored bytes, and nothing else from the blob store."""

from __future__ import annotations

import base64
from pathlib import Path

from fastapi import Response

from eval.errors import ItemImageMissing
from eval.images import image_data_url
from service.errors import NotFound

_HEADERS = {
    "cache-control": "private, max-age=86400, immutable",  # a digest names the same bytes for ever
    "content-security-policy": "default-src 'none'",
    "x-content-type-options": "nosniff",
}


def image_response(blob_dir: Path, digest: str) -> Response:
    """Return a PNG, JPEG or WebP image by digest; raises NotFound for any other blob."""
    try:
        url = image_data_url(blob_dir, digest)
    except ItemImageMissing as error:
        raise NotFound(f"there is no image {digest[:80]!r}.") from error
    kind, _, data = url.removeprefix("data:").partition(";base64,")
    return Response(base64.b64decode(data), media_type=kind, headers=_HEADERS)
