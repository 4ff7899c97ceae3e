"""Receiving a multipart task: the archive goes to its staging folder while it arrives."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import BinaryIO

from anyio.to_thread import run_sync
from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser
from starlette.requests import Request

from service.errors import InvalidRequest, PayloadTooLarge

ARCHIVE_NAME = "archive"
MAX_TEXT_BYTES = 2**20
MAX_BOUNDARY_CHARS = 70
MAX_HEADER_BYTES = 16 * 2**10
_BATCH_BYTES = 2**20
_PARTS = ("card", ARCHIVE_NAME, "options")


@dataclass(frozen=True)
class Upload:
    """What arrived: two texts, the staged archive and the SHA-256 of its bytes."""

    card: str
    options: str
    archive: Path
    archive_digest: str


async def receive_upload(request: Request, folder: Path, max_bytes: int) -> Upload:
    """Stage a multipart task in `folder`; raises InvalidRequest or PayloadTooLarge.

    Disk and parser work in a thread; memory holds about a megabyte, however large the archive.
    """
    receiver = _Receiver(folder, _boundary(request.headers.get("content-type", "")), max_bytes)
    try:
        async for batch in _batches(request.stream()):
            await run_sync(receiver.feed, batch)
        return await run_sync(receiver.finish)
    finally:
        receiver.close()


async def _batches(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    waiting = bytearray()
    async for chunk in chunks:
        waiting += chunk
        if len(waiting) >= _BATCH_BYTES:
            yield bytes(waiting)
            waiting.clear()
    yield bytes(waiting)


def _boundary(content_type: str) -> bytes:
    message = Message()
    message["content-type"] = content_type
    boundary = message.get_boundary()
    if message.get_content_type() != "multipart/form-data" or not boundary:
        raise InvalidRequest(
            f"the content type is {content_type[:100]!r}: send multipart/form-data with the parts "
            "card (JSON), archive (zip, tar or tar.gz) and, if wanted, options (JSON)."
        )
    if len(boundary) > MAX_BOUNDARY_CHARS:
        raise InvalidRequest(
            f"the multipart boundary has {len(boundary)} characters, the limit is "
            f"{MAX_BOUNDARY_CHARS} (RFC 2046)."
        )
    return boundary.encode("latin-1", "replace")


class _Receiver:
    """Callbacks of the multipart parser: texts are kept, the archive is written and hashed."""

    def __init__(self, folder: Path, boundary: bytes, max_bytes: int) -> None:
        folder.mkdir(parents=True)
        self._archive = folder / ARCHIVE_NAME
        self._file: BinaryIO = self._archive.open("xb")
        self._max_bytes = max_bytes
        self._hash = hashlib.sha256()
        self._texts: dict[str, bytearray] = {}
        self._seen: set[str] = set()
        self._part = ""
        self._bytes = 0
        self._header = [bytearray(), bytearray()]
        self._headers: list[tuple[str, str]] = []
        self._ended = False
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin,
                "on_part_data": self._data,
                "on_header_field": lambda data, start, end: self._add_header(0, data[start:end]),
                "on_header_value": lambda data, start, end: self._add_header(1, data[start:end]),
                "on_header_end": self._end_header,
                "on_headers_finished": self._start_part,
                "on_end": self._end,
            },
        )

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the body."""
        try:
            self._parser.write(data)
        except MultipartParseError as error:
            raise InvalidRequest(f"the multipart body is malformed: {error}.") from error

    def finish(self) -> Upload:
        """Return the upload once the body has ended; raises InvalidRequest for missing parts."""
        self._file.close()
        missing = [name for name in ("card", ARCHIVE_NAME) if name not in self._seen]
        if missing or not self._ended:
            what = f"has no part {missing[0]!r}" if missing else "ends in the middle"
            raise InvalidRequest(
                f"the multipart body {what}. Send the parts card (JSON), archive (a file) and, if "
                "wanted, options (JSON).",
                param=missing[0] if missing else None,
            )
        texts = {name: _text(name, data) for name, data in self._texts.items()}
        digest = self._hash.hexdigest()
        return Upload(texts["card"], texts.get("options") or "{}", self._archive, digest)

    def close(self) -> None:
        """Close the staged file, complete or not."""
        self._file.close()

    def _begin(self) -> None:
        self._headers = []

    def _add_header(self, which: int, data: bytes) -> None:
        self._header[which] += data
        if sum(map(len, self._header)) > MAX_HEADER_BYTES:
            raise InvalidRequest(f"a part has headers over {MAX_HEADER_BYTES} bytes.")

    def _end_header(self) -> None:
        name, value = (bytes(it).decode("latin-1") for it in self._header)
        self._headers.append((name, value))
        self._header = [bytearray(), bytearray()]

    def _start_part(self) -> None:
        message = Message()
        for name, value in self._headers[:20]:
            message[name] = value
        name = str(message.get_param("name", "", "content-disposition"))
        if name not in _PARTS or name in self._seen:
            problem = "is sent twice" if name in self._seen else "is unknown"
            raise InvalidRequest(
                f"the part {name[:100]!r} {problem}: parts are {', '.join(_PARTS)}, each once.",
                param=name[:100],
            )
        self._part = name
        self._seen.add(name)
        if name != ARCHIVE_NAME:
            self._texts[name] = bytearray()

    def _data(self, data: bytes, start: int, end: int) -> None:
        piece = data[start:end]
        if self._part == ARCHIVE_NAME:
            self._write(piece)
            return
        text = self._texts[self._part]
        text += piece
        if len(text) > MAX_TEXT_BYTES:
            raise PayloadTooLarge(
                f"the part {self._part!r} is over {MAX_TEXT_BYTES:,} bytes.", param=self._part
            )

    def _write(self, piece: bytes) -> None:
        self._bytes += len(piece)
        if self._bytes > self._max_bytes:
            raise PayloadTooLarge(
                f"the archive is over {self._max_bytes:,} bytes, which is the limit. Split the "
                "task, or raise RETAIN_MAX_UPLOAD_BYTES.",
                param=ARCHIVE_NAME,
            )
        self._hash.update(piece)
        self._file.write(piece)

    def _end(self) -> None:
        self._ended = True


def _text(name: str, data: bytearray) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"the part {name!r} is not UTF-8 text.", param=name) from error
