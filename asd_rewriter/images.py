"""Checking untrusted images in a helper process with limits on memory and time."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import struct
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from asd_rewriter.errors import RowCheckFailed

_CHILD = Path(__file__).with_name("image_child.py")
_START_SECONDS = 30.0
_WALL_FACTOR = 6
_PROBE = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de"
    "0000000c49444154789c636060600000000400015ad4d6b80000000049454e44ae426082"
)


@dataclass(frozen=True)
class ImageLimits:
    """What an image may cost: bytes as stored, pixels, seconds and bytes of memory to decode.

    The seconds are the processor's. By the clock the helper has six times as long, since the
    machine may be busy with other work.
    """

    max_bytes: int = 32 * 1024**2
    max_pixels: int = 50_000_000
    seconds: float = 5.0
    memory_bytes: int = 512 * 1024**2


@dataclass(frozen=True)
class ImageVerdict:
    """What the helper found. `rule` is None for a good image, else the broken rule.

    Rules: `image_format` (not JPEG, PNG or WebP), `image_undecodable`, `image_pixels`,
    `image_animated`, `image_too_costly` (memory or time), `image_bytes`.
    """

    rule: str | None
    format: str | None = None
    width: int = 0
    height: int = 0


@dataclass
class ImageChecker:
    """One helper process, started at the first image and again whenever it dies.

    A context manager: leaving it ends the process. `before_image` is called before each image; what
    it raises ends the check.
    """

    limits: ImageLimits = field(default_factory=ImageLimits)
    restarts: int = 0
    before_image: Callable[[], None] = lambda: None
    _process: subprocess.Popen[bytes] | None = None
    _link: socket.socket | None = None

    def check(self, data: bytes) -> ImageVerdict:
        """Return the verdict on an image's bytes. Raises RowCheckFailed if no helper starts.

        A helper that dies or is late may not be the image's fault: a second one is asked.
        """
        self.before_image()
        if len(data) > self.limits.max_bytes:
            return ImageVerdict("image_bytes")
        return self._answer(data) or self._answer(data) or ImageVerdict("image_too_costly")

    def _answer(self, data: bytes) -> ImageVerdict | None:
        """Return a verdict, or None when the helper died or was late; it is ended then."""
        if self._link is None:
            self._start()
        try:
            return self._ask(data, _WALL_FACTOR * self.limits.seconds)
        except (OSError, EOFError, ValueError):
            self._end()
            self.restarts += 1
            return None

    def _start(self) -> None:
        ours, theirs = socket.socketpair()
        limits = self.limits
        arguments = (limits.memory_bytes, int(limits.seconds) + 1, limits.max_pixels)
        self._link = ours
        try:
            with theirs:
                self._process = subprocess.Popen(
                    [sys.executable, "-I", str(_CHILD), *map(str, arguments)],
                    stdin=theirs.fileno(), stdout=theirs.fileno(), stderr=subprocess.DEVNULL,
                    env=_environment(), start_new_session=True,
                )  # fmt: skip
            started = self._ask(_PROBE, _START_SECONDS)
        except (OSError, EOFError, ValueError) as error:
            self._end()
            raise RowCheckFailed(
                "The helper process that decodes images does not start or answer within "
                f"{_START_SECONDS:.0f} s and {limits.memory_bytes:,} bytes of memory. Try again; "
                "if it stays so, raise the memory limit."
            ) from error
        if started.rule is not None:
            self._end()
            raise RowCheckFailed(
                "The helper process cannot decode a known good image. Reinstall pillow."
            )

    def _ask(self, data: bytes, seconds: float) -> ImageVerdict:
        assert self._link is not None
        self._link.settimeout(seconds)
        self._link.sendall(struct.pack(">Q", len(data)) + data)
        answer = b""
        while not answer.endswith(b"\n"):
            piece = self._link.recv(4096)
            if not piece:
                raise EOFError
            answer += piece
        found = json.loads(answer)
        return ImageVerdict(
            found.get("rule"),
            found.get("format"),
            found.get("width", 0),
            found.get("height", 0),
        )

    def _end(self) -> None:
        if self._link is not None:
            with contextlib.suppress(OSError):
                self._link.close()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._link = self._process = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end()


def _environment() -> dict[str, str]:
    """What the helper needs of the environment: no keys, no settings."""
    wanted = ("PATH", "LD_LIBRARY_PATH", "LANG")
    return {name: os.environ[name] for name in wanted if name in os.environ}
