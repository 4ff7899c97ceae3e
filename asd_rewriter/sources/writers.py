"""Writing rows: a JSON array or JSON lines."""

from __future__ import annotations

import json
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self, TextIO

from asd_rewriter.readers import RawRow
from asd_rewriter.sources.base import Kind, Source

_ENCODE = json.JSONEncoder(ensure_ascii=False).encode
_ENCODE_ASCII = json.JSONEncoder().encode
PIECE = 512
"""Rows that are written at once."""


class Writer(Protocol):
    """Takes rows one after another; complete once its `with` block ends without an exception."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    def write(self, row: RawRow) -> None:
        """Take the next row; its text stands for its value where it has one."""
        ...


class JsonWriter:
    """Writes `train.json`, an array with one row a line, or `train.jsonl`."""

    def __init__(self, folder: Path, kind: Kind) -> None:
        self._array = kind is Kind.JSON
        self._path = folder / f"train.{kind}"
        self._pending: list[str] = []
        self._written = False

    def __enter__(self) -> Self:
        self._file: TextIO = self._path.open("w", encoding="utf-8", newline="\n")
        self._file.write("[" if self._array else "")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._file:
            if kind is None:
                self._flush()
                self._file.write("\n]\n" if self._array else "")

    def write(self, row: RawRow) -> None:
        """Take the next row."""
        self._pending.append(encoded(row.value) if row.text is None else row.text)
        if len(self._pending) == PIECE:
            self._flush()

    def _flush(self) -> None:
        if not self._pending:
            return
        if self._array:
            start = ",\n" if self._written else "\n"
            self._file.write(start + ",\n".join(self._pending))
        else:
            self._file.write("\n".join(self._pending) + "\n")
        self._written = True
        self._pending.clear()


def encoded(row: Any) -> str:
    """Return a row as JSON on one line; halves of characters, which have no UTF-8, as escapes."""
    text = _ENCODE(row)
    try:
        text.encode()
    except UnicodeEncodeError:
        return _ENCODE_ASCII(row)
    return text


def open_writer(folder: Path, kind: Kind, source: Source) -> Writer:
    """Return the writer of a kind; it writes into a folder that is there."""
    if kind is not Kind.HF:
        return JsonWriter(folder, kind)
    from asd_rewriter.sources.hub import HubWriter

    return HubWriter(folder, source)
