"""Reading split files row by row: a JSON array or JSON lines, in bounded memory."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, NamedTuple

_CHUNK = 256 * 1024
_SPACE = re.compile(r"[ \t\r\n]*")
_COMMA = re.compile(r"[ \t\r\n]*,[ \t\r\n]*")
_DECODER = json.JSONDecoder()


class Spot(NamedTuple):
    """Where a row is: the line it starts at, and which row of the file it is. Both from 1; 0: none.

    A JSON array is often one line, so that the line alone would not lead to its rows.
    """

    line: int = 0
    row: int = 0


class RawRow(NamedTuple):
    """One row as read: where it is, its JSON value, and its text if that is JSON on one line."""

    spot: Spot
    value: Any
    text: str | None = None


@dataclass(frozen=True)
class UnreadableRow:
    """A row that is not JSON: where it is, what is wrong; `fatal`: nothing follows."""

    spot: Spot
    message: str
    fatal: bool


def read_rows(file: BinaryIO, max_row_chars: int) -> Iterator[RawRow | UnreadableRow]:
    """Yield the rows of a split file; its first character decides between array and JSON lines.

    After a line that does not parse, reading goes on with the next line; inside an array it ends.
    """
    text = _Text(file, max_row_chars)
    try:
        text.skip_space()
        if text.peek() == "[":
            yield from _array_rows(text)
        elif text.peek():
            yield from _line_rows(text)
    except UnicodeDecodeError:
        yield UnreadableRow(text.spot(), "the file is not UTF-8 text from this line on", True)


class _Text:
    """A decoded window on the file: at least `reach` characters ahead, as long as there are any."""

    def __init__(self, file: BinaryIO, reach: int) -> None:
        self._file = file
        self._decode = codecs.getincrementaldecoder("utf-8-sig")()
        self._at_end = False
        self.reach = reach
        self.window = ""
        self.at = 0
        self.line = 1
        self.row = 0

    def spot(self, line: int | None = None) -> Spot:
        """Return where the row that is read now is; it starts here unless a line is given."""
        return Spot(line or self.line, self.row)

    def fill(self) -> None:
        """Read on until `reach` characters lie ahead or the file ends."""
        if len(self.window) - self.at > self.reach or self._at_end:
            return
        pieces = [self.window[self.at :]]
        ahead = len(pieces[0])
        while ahead <= self.reach + _CHUNK and not self._at_end:
            data = self._file.read(_CHUNK)
            self._at_end = not data
            pieces.append(self._decode.decode(data, final=self._at_end))
            ahead += len(pieces[-1])
        self.window = "".join(pieces)
        self.at = 0

    def move(self, to: int) -> None:
        """Go on to a position in the window, counting lines."""
        self.line += self.window.count("\n", self.at, to)
        self.at = to

    def skip_space(self) -> None:
        """Go on to the next character that is not white space."""
        while True:
            self.fill()
            found = _SPACE.match(self.window, self.at)
            assert found is not None
            self.move(found.end())
            if self.at < len(self.window) or self._at_end:
                return

    def skip_comma(self, to: int) -> bool:
        """Go on past a row's end and a comma to the next row, if the window reaches that far."""
        found = _COMMA.match(self.window, to)
        if found is None or len(self.window) - found.end() <= self.reach:
            return False
        self.move(found.end())
        return True

    def peek(self) -> str:
        """Return the next character, or nothing at the end."""
        return self.window[self.at : self.at + 1]


def _array_rows(text: _Text) -> Iterator[RawRow | UnreadableRow]:
    text.move(text.at + 1)
    text.skip_space()
    if text.peek() == "]":
        yield from _after_array(text)
        return
    while True:
        line, text.row = text.line, text.row + 1
        try:
            value, end = _DECODER.raw_decode(text.window, text.at)
        except (ValueError, RecursionError) as error:
            yield _array_failure(text, error)
            return
        if end - text.at > text.reach:
            yield _too_long(text)
            return
        found = RawRow(Spot(line, text.row), value, _on_one_line(text.window[text.at : end]))
        if text.skip_comma(end):
            yield found
            continue
        text.move(end)
        yield found
        text.skip_space()
        mark = text.peek()
        if mark == "]":
            yield from _after_array(text)
            return
        if mark != ",":
            seen = repr(mark) if mark else "the end of the file"
            yield UnreadableRow(text.spot(), f"expected ',' or ']' after a row, found {seen}", True)
            return
        text.move(text.at + 1)
        text.skip_space()


def _after_array(text: _Text) -> Iterator[UnreadableRow]:
    text.move(text.at + 1)
    text.skip_space()
    if text.peek():
        message = "text follows the array's ']': a file holds one array, or JSON lines"
        yield UnreadableRow(text.spot(), message, True)


def _array_failure(text: _Text, error: Exception) -> UnreadableRow:
    where = error.pos if isinstance(error, json.JSONDecodeError) else text.at
    cut_off = where >= len(text.window) - 64 or "Unterminated" in str(error)
    if len(text.window) - text.at > text.reach and cut_off:
        return _too_long(text)
    line = text.line + text.window.count("\n", text.at, where)
    return UnreadableRow(text.spot(line), _reason(error), True)


def _too_long(text: _Text) -> UnreadableRow:
    return UnreadableRow(text.spot(), f"a row is longer than {text.reach:,} characters", True)


def _line_rows(text: _Text) -> Iterator[RawRow | UnreadableRow]:
    while True:
        text.skip_space()
        if not text.peek():
            return
        line, text.row = text.line, text.row + 1
        end = text.window.find("\n", text.at)
        end = len(text.window) if end < 0 else end
        if end - text.at > text.reach:
            yield _too_long(text)
            return
        row = text.window[text.at : end]
        text.move(end)
        try:
            yield RawRow(Spot(line, text.row), json.loads(row), _on_one_line(row))
        except (ValueError, RecursionError) as error:
            column = f" (column {error.colno})" if isinstance(error, json.JSONDecodeError) else ""
            yield UnreadableRow(text.spot(line), _reason(error) + column, False)


def _on_one_line(row: str) -> str | None:
    return None if "\n" in row or "\r" in row else row


def _reason(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"not valid JSON: {error.msg}"
    if isinstance(error, RecursionError):
        return "nested too deeply"
    return "not valid JSON: a number is too long"
