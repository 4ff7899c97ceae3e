"""Hostile images: the helper process may die, we do not; verdicts carry no decoder text."""

from __future__ import annotations

import io
import random
import struct
import zlib
from collections.abc import Iterator

import pytest
from PIL import Image

from asd_rewriter.images import ImageChecker, ImageLimits, ImageVerdict
from tests.asd_rewriter.conftest import png

RULES = {None, "image_format", "image_undecodable", "image_pixels", "image_animated",
         "image_too_costly", "image_bytes"}  # fmt: skip


@pytest.fixture(scope="module")
def checker() -> Iterator[ImageChecker]:
    with ImageChecker() as made:
        yield made


def bomb(width: int, height: int, colour_type: int = 2) -> bytes:
    """Return a PNG whose header promises many pixels and whose data is nearly empty."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack(">L", len(data)) + body + struct.pack(">L", zlib.crc32(body))

    header = struct.pack(">2L5B", width, height, 8, colour_type, 0, 0, 0)
    data = zlib.compress(bytes(100))
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    )


def animated(kind: str) -> bytes:
    """Return an image of two frames."""
    file = io.BytesIO()
    frames = [Image.new("RGB", (4, 4), (shade, 0, 0)) for shade in (0, 255)]
    frames[0].save(file, kind, save_all=True, append_images=frames[1:])
    return file.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_good_images_pass(checker: ImageChecker, kind: str) -> None:
    verdict = checker.check(png(size=(9, 7), kind=kind))
    assert (verdict.rule, verdict.format, verdict.width, verdict.height) == (None, kind, 9, 7)


@pytest.mark.parametrize(
    ("data", "rule"),
    [
        (b"", "image_format"),
        (b"not an image", "image_format"),
        (png(kind="GIF"), "image_format"),
        (png(kind="BMP"), "image_format"),
        (png(kind="TIFF"), "image_format"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "image_format"),
        (png(size=(64, 64))[:-40], "image_undecodable"),
        (png(size=(64, 64), kind="WEBP")[:-20], "image_undecodable"),
        (bomb(30_000, 30_000), "image_pixels"),
        (bomb(2**31 - 1, 2**31 - 1), "image_pixels"),
        (bomb(5_000, 5_000), "image_undecodable"),
        (animated("PNG"), "image_animated"),
        (animated("WEBP"), "image_animated"),
        (b"PK\x03\x04" + png(), "image_format"),
    ],
)
def test_bad_images_are_named(checker: ImageChecker, data: bytes, rule: str) -> None:
    assert checker.check(data).rule == rule
    assert checker.restarts == 0


def test_bytes_cap() -> None:
    with ImageChecker(ImageLimits(max_bytes=10)) as small:
        assert small.check(png()).rule == "image_bytes"


def test_memory_limit_costs_one_image_not_the_run() -> None:
    limits = ImageLimits(memory_bytes=256 * 1024**2, max_pixels=10**9)
    with ImageChecker(limits) as small:
        assert small.check(bomb(20_000, 20_000)).rule == "image_too_costly"
        assert small.check(png()).rule is None


def test_the_time_limit_costs_one_image() -> None:
    with ImageChecker(ImageLimits(seconds=0.002)) as hasty:
        assert hasty.check(png(size=(5000, 5000))).rule == "image_too_costly"
        assert hasty.restarts == 2


def test_a_helper_killed_while_idle_costs_no_image() -> None:
    with ImageChecker() as own:
        assert own.check(png()).rule is None
        assert own._process is not None
        own._process.kill()
        own._process.wait()
        assert own.check(png()).rule is None
        assert own.restarts == 1


def test_one_hiccup_is_no_verdict_and_a_busy_machine_has_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[float] = []

    def late_once(self: ImageChecker, data: bytes, seconds: float) -> ImageVerdict:
        if len(data) > 100:
            asked.append(seconds)
            if len(asked) == 1:
                raise TimeoutError
        return ImageVerdict(None)

    monkeypatch.setattr(ImageChecker, "_ask", late_once)
    with ImageChecker(ImageLimits(seconds=5.0)) as own:
        assert own.check(png(size=(64, 64))).rule is None
        assert (asked, own.restarts) == ([30.0, 30.0], 1)


def test_mutated_files_never_kill_the_parent(checker: ImageChecker) -> None:
    rng = random.Random(7)
    originals = [png(size=(16, 16), kind=kind) for kind in ("PNG", "JPEG", "WEBP")]
    for number in range(900):
        data = bytearray(originals[number % 3])
        for _ in range(rng.randrange(1, 6)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        assert checker.check(bytes(data)).rule in RULES
