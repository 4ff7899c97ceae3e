"""The helper process that decodes untrusted images. Run as a script, never imported.

Reads requests from stdin (8 bytes length, then the image) and answers each with one JSON line.
It has little memory and processor time, cannot write files, and says nothing in a decoder's words.
Arguments: memory limit in bytes, processor seconds per image, pixel cap.
"""

from __future__ import annotations

import io
import json
import resource
import struct
import sys
import warnings
from typing import Any, BinaryIO

from PIL import Image, JpegImagePlugin, PngImagePlugin, UnidentifiedImageError, WebPImagePlugin

DECODERS = (JpegImagePlugin, PngImagePlugin, WebPImagePlugin)
"""Imported by name, so that no other decoder is ever asked."""
FORMATS = {"JPEG": "JPEG", "MPO": "JPEG", "PNG": "PNG", "WEBP": "WEBP"}


def check(data: bytes, max_pixels: int) -> dict[str, Any]:
    """Decode an image fully; return its format and size, or the rule it breaks."""
    try:
        image = Image.open(io.BytesIO(data), formats=("JPEG", "PNG", "WEBP"))
    except MemoryError:
        raise
    except UnidentifiedImageError:
        return {"rule": "image_format"}
    except Exception:
        return {"rule": "image_undecodable"}
    width, height = image.size
    found = {"format": FORMATS.get(image.format or ""), "width": width, "height": height}
    if found["format"] is None:
        return {"rule": "image_format"}
    if width * height > max_pixels:
        return {"rule": "image_pixels", **found}
    if image.format != "MPO" and getattr(image, "is_animated", False):
        return {"rule": "image_animated", **found}
    try:
        image.load()
    except MemoryError:
        raise
    except Exception:
        return {"rule": "image_undecodable", **found}
    return found


def _limit(memory_bytes: int) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _limit_time(seconds: int) -> None:
    used = resource.getrusage(resource.RUSAGE_SELF)
    soft = int(used.ru_utime + used.ru_stime) + seconds + 1
    resource.setrlimit(resource.RLIMIT_CPU, (soft, resource.getrlimit(resource.RLIMIT_CPU)[1]))


def _serve(requests: BinaryIO, answers: BinaryIO, seconds: int, max_pixels: int) -> None:
    while header := requests.read(8):
        (length,) = struct.unpack(">Q", header)
        _limit_time(seconds)
        try:
            answer = check(requests.read(length), max_pixels)
        except MemoryError:
            answer = {"rule": "image_too_costly"}
        answers.write(json.dumps(answer).encode() + b"\n")
        answers.flush()


def main() -> None:
    """Serve until the parent closes the connection."""
    memory_bytes, seconds, max_pixels = (int(argument) for argument in sys.argv[1:])
    warnings.simplefilter("ignore")
    Image.MAX_IMAGE_PIXELS = None  # Pillow would warn, or decode; `check` refuses before decoding
    _limit(memory_bytes)
    _serve(sys.stdin.buffer, sys.stdout.buffer, seconds, max_pixels)


if __name__ == "__main__":
    main()
