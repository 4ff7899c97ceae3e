"""Rows as samples, which know the row they came from, and samples as rows again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from zlib import crc32

from pydantic import ConfigDict, Field

from asd_rewriter.answer_rules import Wrong, canonical_answer
from asd_rewriter.cards import TaskCard
from asd_rewriter.conversations import IMAGE_MARK
from asd_rewriter.detection import Detector, formats_under
from asd_rewriter.formats import AnswerFormat, with_instruction
from asd_rewriter.limits import RowLimits
from asd_rewriter.mix import RewrittenSample
from asd_rewriter.readers import RawRow
from asd_rewriter.samples import Sample, Turn
from asd_rewriter.sources.bad_rows import BadRows
from asd_rewriter.sources.base import Source
from asd_rewriter.sources.conversations import (
    BadRow,
    Conversation,
    RowTurn,
    Strip,
    put_together,
    stripping,
    take_apart,
)
from asd_rewriter.sources.errors import InputRefused

_ID_BITS = 24


class SourceSample(Sample):
    """A sample whose `images` are the references of its row; `row` counts from 1."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    row: int = Field(exclude=True)
    value: Any = Field(exclude=True, repr=False)
    parts: Any = Field(exclude=True, repr=False)


@dataclass(frozen=True)
class SourceSamples:
    """The samples of a source's good rows, as often as wanted; bad rows are counted once.

    With `strict`, bad rows are refused (InputRefused) once all of them are known, which is before
    anything is rewritten.
    """

    source: Source
    card: TaskCard
    strict: bool = False
    limits: RowLimits = field(default_factory=RowLimits)
    bad: BadRows = field(default_factory=BadRows)
    counts: dict[str, int] = field(default_factory=dict)

    @cached_property
    def _strip(self) -> Strip:
        return stripping(self.card.instructions)

    @cached_property
    def _format(self) -> Callable[[str, str, AnswerFormat | None], AnswerFormat | Wrong]:
        return formats_under(self.card)

    def __iter__(self) -> Iterator[SourceSample]:
        """Yield the samples in the rows' order."""
        first, seen, number = "rows" not in self.counts, _SeenIds(), 0
        for row in self.source.rows():
            number = row.spot.row
            try:
                yield self._sample(row, seen)
            except BadRow as problem:
                if first:
                    self.bad.add(row.spot, problem)
        self.counts["rows"] = number
        if first and self.strict and self.bad.total:
            raise InputRefused(_strict_refusal(self.bad, number))

    def _sample(self, row: RawRow, seen: _SeenIds) -> SourceSample:
        found = take_apart(row.value, self.limits, self._strip)
        turns = tuple([self._turn(found, turn) for turn in found.turns])
        return SourceSample(
            id=seen.unlike(found.id, row.spot.row), images=found.images, turns=turns,
            row=row.spot.row, value=found.value, parts=found.turns,
        )  # fmt: skip

    def _turn(self, row: Conversation, turn: RowTurn) -> Turn:
        found = self._format(turn.question, turn.answer, turn.asked)
        if not isinstance(found, AnswerFormat):
            rule, message, _ = found
            raise BadRow(rule, message, row.id)
        answer = canonical_answer(found, turn.answer)
        return Turn(question=turn.question, answer=answer, format=found, references=turn.references)


def detect(source: Source, detector: Detector, limits: RowLimits) -> Iterator[int]:
    """Show all turns of a source's good rows to a detector; yield the number of rows, now and then.

    Of captions and the like, whose answers may be of any kind, no row is bad here.
    """
    number, strip = 0, stripping({})
    for row in source.rows():
        number = row.spot.row
        try:
            found = take_apart(row.value, limits, strip)
        except BadRow:
            continue
        for turn in found.turns:
            if IMAGE_MARK not in turn.answer:
                detector.add(turn.question, turn.answer, turn.asked)
        if number % 512 == 0:
            yield number
    yield number


def rewritten_row(done: RewrittenSample, card: TaskCard) -> dict[str, Any]:
    """Return a sample's row: new turns, one instruction per question, the rest as it was."""
    before = done.before
    assert isinstance(before, SourceSample)
    questions = [
        with_instruction(turn.question, turn.format, card.instructions)
        for turn in done.sample.turns
    ]
    answers = [
        None if turn is old else turn.answer
        for turn, old in zip(done.sample.turns, before.turns, strict=True)
    ]
    return put_together(before.value, before.parts, questions, answers)


class _SeenIds:
    """Tells ids apart in fixed memory; one taken for another by its hash only gets longer."""

    def __init__(self) -> None:
        self._bits = bytearray(2 ** (_ID_BITS - 3))

    def unlike(self, row_id: str | None, row: int) -> str:
        """Return an id that no earlier row has: of a row without one, `row-7`."""
        if row_id is None:
            return f"row-{row}"
        hashed = crc32(row_id.encode()) >> (32 - _ID_BITS)
        at, bit = hashed >> 3, 1 << (hashed & 7)
        if self._bits[at] & bit:
            return f"{row_id}~{row}"
        self._bits[at] |= bit
        return row_id


def _strict_refusal(bad: BadRows, rows: int) -> str:
    listed = "\n".join(
        f"  row {it.row}" + (f", line {it.line}" if it.line else "")
        + (f", id {it.id!r}" if it.id else "") + f": {it.reason}: {it.message}"
        for it in bad.spots
    )  # fmt: skip
    return (
        f"{bad.total:,} of {rows:,} rows are bad, and strict reading allows none. Correct or "
        f"remove them, or read without strict: they are then written through unchanged.\n{listed}"
    )
