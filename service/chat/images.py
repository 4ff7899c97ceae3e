"""Images in chats: data URLs within limits, checked by their headers before an engine sees them.

The engine has no way out to the network and must not be sent on errands: other URLs are refused.
"""

from __future__ import annotations

import base64
import binascii
import io
import warnings
from collections.abc import Sequence

from PIL import Image, UnidentifiedImageError

from service.engines.command import MAX_IMAGES
from service.errors import InvalidRequest

MAX_BYTES = 20 * 2**20
MAX_PIXELS = 50_000_000  # of all images of a request
FORMATS = {"PNG": "png", "JPEG": "jpeg", "WEBP": "webp"}
_ANIMATED = ("PNG", "WEBP")  # a JPEG's further pictures (thumbnails, depth) are never decoded


def check_images(urls: Sequence[str]) -> None:
    """Raise InvalidRequest unless every URL is a data URL of an acceptable image."""
    if len(urls) > MAX_IMAGES:
        raise InvalidRequest(
            f"{len(urls)} images are refused: one request takes at most {MAX_IMAGES}.",
            param="messages",
        )
    pixels = 0
    for number, url in enumerate(urls, 1):
        image = _open(_content(url, number), number)
        if image.format in _ANIMATED and getattr(image, "is_animated", False):
            raise _refusal(number, "it is animated. Send one frame")
        pixels = _add_size(pixels, image, number)


def _content(url: str, number: int) -> bytes:
    header, comma, data = url.partition(",")
    if not (comma and header.startswith("data:image/") and header.endswith(";base64")):
        raise _refusal(
            number,
            f"its URL begins with {url[:40]!r}. Only data URLs are taken: download the image and "
            "send 'data:image/png;base64,…'",
        )
    if len(data) > MAX_BYTES * 4 // 3 + 4:
        raise _refusal(number, f"it is over {MAX_BYTES:,} bytes. Send it smaller")
    try:
        return base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError) as error:
        raise _refusal(number, "its data is not valid base64. Encode it anew") from error


def _open(content: bytes, number: int) -> Image.Image:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            return Image.open(io.BytesIO(content), formats=tuple(FORMATS))  # the header only
    except Image.DecompressionBombError as error:
        reason = (
            f"it has far more pixels than the {MAX_PIXELS:,} that are accepted. Send it smaller"
        )
        raise _refusal(number, reason) from error
    except (UnidentifiedImageError, OSError, ValueError) as error:
        raise _refusal(number, "it is no PNG, JPEG or WebP image. Convert it") from error


def _add_size(pixels: int, image: Image.Image, number: int) -> int:
    width, height = image.size
    total = pixels + width * height
    if total > MAX_PIXELS or not width * height:
        raise _refusal(
            number,
            f"it has {width}x{height} pixels, which makes {total:,} in this request; "
            f"at most {MAX_PIXELS:,} are accepted",
        )
    return total


def _refusal(number: int, reason: str) -> InvalidRequest:
    return InvalidRequest(f"image {number} is refused: {reason}.", param="messages")
