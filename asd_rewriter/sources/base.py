"""What a source of rows is, and its plain form: files of JSON."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from asd_rewriter.limits import RowLimits
from asd_rewriter.readers import RawRow, Spot, UnreadableRow, read_rows
from asd_rewriter.sources.errors import InputRefused


class Kind(StrEnum):
    """How a dataset is kept: one JSON array, JSON lines, or a Hugging Face `datasets` folder."""

    JSON = "json"
    JSONL = "jsonl"
    HF = "hf"


class Source(Protocol):
    """A dataset; its rows come in order, as often as wanted, in memory that does not grow."""

    @property
    def paths(self) -> tuple[Path, ...]:
        """Where it is read from."""
        ...

    @property
    def kind(self) -> Kind:
        """How the dataset is kept."""
        ...

    @property
    def name(self) -> str:
        """A name for its task."""
        ...

    def rows(self) -> Iterator[RawRow]:
        """Yield the rows. Raises InputRefused where the data cannot be read."""
        ...


@dataclass(frozen=True)
class JsonFiles:
    """Files that each hold one JSON array or JSON lines, read one after another."""

    paths: tuple[Path, ...]
    kind: Kind
    name: str
    limits: RowLimits = field(default_factory=RowLimits)

    def rows(self) -> Iterator[RawRow]:
        """Yield the rows; `row` counts through all files, `line` within one."""
        before = number = 0
        for path in self.paths:
            before = number
            try:
                with path.open("rb") as file:
                    for found in read_rows(file, self.limits.max_row_chars):
                        if isinstance(found, UnreadableRow):
                            raise _refusal(path, found)
                        number = before + found.spot.row
                        if before:
                            found = found._replace(spot=Spot(found.spot.line, number))
                        yield found
            except OSError as error:
                raise InputRefused(f"cannot read {path}: {error.strerror}.") from error


def json_kind(path: Path) -> Kind:
    """Return whether a file holds an array or lines. Raises InputRefused for an unreadable one."""
    try:
        with path.open("rb") as file:
            start = file.read(4096)
    except OSError as error:
        raise InputRefused(f"cannot read {path}: {error.strerror}.") from error
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip()
    if text[:1] not in (b"[", b"{"):
        seen = f"starts with {text[:1].decode('latin-1')!r}" if text else "is empty"
        raise InputRefused(
            f"{path} {seen}: it is neither a JSON array ('[') nor JSON lines ('{{'). "
            "Name a .json or .jsonl file, a CoIN task folder or a Hugging Face datasets folder."
        )
    return Kind.JSON if text[:1] == b"[" else Kind.JSONL


def _refusal(path: Path, row: UnreadableRow) -> InputRefused:
    where = f"line {row.spot.line}" + (f", row {row.spot.row}" if row.spot.row else "")
    return InputRefused(
        f"{path}, {where}: {row.message}. Such a row cannot be written back: correct or remove it."
    )
