"""Rows as samples, which know the row they came from, and samples as rows again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from zlib import crc32

from asd_rewriter.answer_rules import Wrong, canonical_answer
from asd_rewriter.cards import TaskCard
from asd_rewriter.conversations import IMAGE_MARK
from asd_rewriter.detection import Detector, formats_under
from asd_rewriter.formats import AnswerFormat, with_instruction
from asd_rewriter.limits import RowLimits
from asd_rewriter.mix import RewrittenSample
from asd_rewriter.readers import RawRow
from asd_rewriter.samples import Turn
from asd_rewriter.sources.bad_rows import BadRows
from asd_rewriter.sources.base import Source
from asd_rewriter.sources.card_check import contradiction
from asd_rewriter.sources.conversations import (
    BadRow,
    Conversation,
    RowTurn,
    Strip,
    framed,
    put_together,
    stripping,
    take_apart,
)
from asd_rewriter.sources.errors import InputRefused

_ID_BITS = 24


_GOOD, _REPEATED, _AS_IT_IS = 1, 2, 4
"""Bits of what is known of a row: it is good, its id occurred before, it would not change."""


Content = tuple[Conversation, tuple[Turn, ...]]
"""A row's conversation, as it is there, and its turns, as samples have them."""


@dataclass(slots=True)
class SourceSample:
    """A row as a sample; `images` are its references. It is read when asked for its parts."""

    row: RawRow
    _mark: int
    _read: Callable[[RawRow], Content]
    _content: Content | None = None

    @property
    def as_it_is(self) -> bool:
        """Whether the row would not change, written with its native turns."""
        return self._mark & _AS_IT_IS != 0

    @property
    def content(self) -> Content:
        """The row's content. Raises InputRefused if it has become another one."""
        if self._content is None:
            try:
                self._content = self._read(self.row)
            except BadRow as problem:
                raise InputRefused(_changed(self.row.spot.row)) from problem
        return self._content

    @property
    def id(self) -> str:
        """An id that no other sample has: of a row without one, `row-7`."""
        own, row = self.content[0].id, self.row.spot.row
        if own is None:
            return f"row-{row}"
        return f"{own}~{row}" if self._mark & _REPEATED else own

    @property
    def images(self) -> tuple[str, ...]:
        """The images as the row names them."""
        return self.content[0].images

    @property
    def turns(self) -> tuple[Turn, ...]:
        """The turns."""
        return self.content[1]


@dataclass
class SourceSamples:
    """The samples of a source's good rows, as often as wanted; bad rows are counted once.

    The first time all rows are checked; a byte for each is kept, so that later a row is looked into
    only when its sample is. `native` counts the good rows' turns by format. With `strict`, bad rows
    and a card that contradicts the rows are refused (InputRefused) once all of them are known,
    which is before anything is rewritten.
    """

    source: Source
    card: TaskCard
    strict: bool = False
    limits: RowLimits = field(default_factory=RowLimits)
    bad: BadRows = field(default_factory=BadRows)
    native: Counter[AnswerFormat] = field(default_factory=Counter)
    _marks: bytearray | None = None

    @property
    def rows(self) -> int:
        """How many rows there are, bad ones included; 0 before all were checked."""
        return len(self._marks or ())

    def __iter__(self) -> Iterator[SourceSample]:
        """Yield the samples in the rows' order."""
        return self._check() if self._marks is None else self._again(self._marks)

    def _check(self) -> Iterator[SourceSample]:
        marks, seen = bytearray(), _SeenIds()
        for row in self.source.rows():
            try:
                content = self._read(row)
            except BadRow as problem:
                self.bad.add(row.spot, problem)
                marks.append(0)
                continue
            mark = _GOOD
            if seen.repeats(content[0].id):
                mark |= _REPEATED
            if self._stays(content):
                mark |= _AS_IT_IS
            marks.append(mark)
            for turn in content[1]:
                self.native[turn.format] += 1
            yield SourceSample(row, mark, self._read, content)
        self._marks = marks
        if self.strict and self.bad.total:
            raise InputRefused(_strict_refusal(self.bad, self.rows))
        if self.strict and (odd := contradiction(self.card, self.native)):
            raise InputRefused(odd)

    def _again(self, marks: bytearray) -> Iterator[SourceSample]:
        for row, mark in zip(self.source.rows(), marks, strict=False):
            if mark:
                yield SourceSample(row, mark, self._read)

    def _read(self, row: RawRow) -> Content:
        said = take_apart(row.value, self.limits, self._strip)
        return said, tuple([self._turn(said, turn) for turn in said.turns])

    def _turn(self, row: Conversation, turn: RowTurn) -> Turn:
        found = self._format(turn.question, turn.answer, turn.asked)
        if not isinstance(found, AnswerFormat):
            rule, message, _ = found
            raise BadRow(rule, message, row.id)
        answer = canonical_answer(found, turn.answer)
        return Turn(question=turn.question, answer=answer, format=found, references=turn.references)

    def _stays(self, content: Content) -> bool:
        """Whether a row has each turn's one instruction already."""
        said, turns = content
        for own, turn in zip(said.turns, turns, strict=True):
            asked = with_instruction(turn.question, turn.format, self.card.instructions)
            if framed(own, asked) != own.text:
                return False
        return True

    @cached_property
    def _strip(self) -> Strip:
        return stripping(self.card.instructions)

    @cached_property
    def _format(self) -> Callable[[str, str, AnswerFormat | None], AnswerFormat | Wrong]:
        return formats_under(self.card)


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


def rewritten_row(done: RewrittenSample[SourceSample], card: TaskCard) -> RawRow:
    """Return a sample's row: new turns, one instruction per question, the rest as it was."""
    sample = done.before
    if sample.as_it_is and not done.new:
        return sample.row
    said, native = sample.content
    turns = [done.new.get(index, turn) for index, turn in enumerate(native)]
    questions = [with_instruction(it.question, it.format, card.instructions) for it in turns]
    answers = {index: turn.answer for index, turn in done.new.items()}
    return RawRow(sample.row.spot, put_together(said, questions, answers))


class _SeenIds:
    """Tells ids apart in fixed memory; one taken for another by its hash only gets longer."""

    def __init__(self) -> None:
        self._bits = bytearray(2 ** (_ID_BITS - 3))

    def repeats(self, row_id: str | None) -> bool:
        """Tell whether an earlier row had this id."""
        if row_id is None:
            return False
        hashed = crc32(row_id.encode()) >> (32 - _ID_BITS)
        at, bit = hashed >> 3, 1 << (hashed & 7)
        seen = self._bits[at] & bit != 0
        self._bits[at] |= bit
        return seen


def _changed(row: int) -> str:
    return (
        f"row {row} is not what it was when the dataset was checked. Nothing may write to it "
        "meanwhile: run again."
    )


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
