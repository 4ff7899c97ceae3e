"""Checking one row: from parsed JSON to a Sample, or to problems that name field, rule and fix."""

from __future__ import annotations

import posixpath
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from asd_rewriter.answer_rules import answer_problem, broken_list, canonical_answer, native_format
from asd_rewriter.cards import TaskCard
from asd_rewriter.conversations import (
    IMAGE_MARK,
    Note,
    Rejected,
    is_readable,
    kind_of,
    read_references,
    read_texts,
    without_marks,
)
from asd_rewriter.formats import AnswerFormat, strip_instruction
from asd_rewriter.image_library import BadImage, ImageLibrary
from asd_rewriter.limits import RowLimits
from asd_rewriter.problems import Problems, RowProblem, SplitName
from asd_rewriter.readers import RawRow, Spot
from asd_rewriter.samples import Sample, Turn

CAPTION_QUESTION = "What does the picture show?"
"""Stands in for the question of a caption row that consists of its instruction alone."""


@dataclass
class RowChecker:
    """Checks the rows of one split. `odd_instructions` counts instructions of other formats."""

    card: TaskCard
    limits: RowLimits
    split: SplitName
    problems: Problems
    library: ImageLibrary
    odd_instructions: Counter[str] = field(default_factory=Counter)
    _ids: set[str] = field(default_factory=set)

    def check(self, row: RawRow) -> Sample | None:
        """Return the row as a Sample, or None when it has problems (all of them are noted)."""
        before = self.problems.total
        row_id: str | None = None

        def note(where: str, rule: str, message: str, fix: str) -> None:
            self.note(row.spot, row_id, where, rule, message, fix)

        try:
            if not isinstance(row.value, dict):
                note("", "not_an_object", f"the row is {kind_of(row.value)}", "Make it an object.")
                return None
            row_id = self._row_id(row.value, note)
            images = self._images(row.value, note)
            turns = self._turns(row.value, len(images), note)
        except Rejected:
            return None
        if self.problems.total > before or row_id is None:
            return None
        return Sample(id=row_id, images=tuple(images), turns=tuple(turns))

    def note(
        self, spot: Spot, row_id: str | None, where: str, rule: str, message: str, fix: str
    ) -> None:
        """Add a problem of this split."""
        problem = RowProblem(
            split=self.split,
            line=spot.line,
            row=spot.row,
            row_id=row_id,
            field=where,
            rule=rule,
            message=message,
            fix=fix,
        )
        self.problems.add(problem)

    def _row_id(self, value: dict[str, Any], note: Note) -> str | None:
        found = value.get("id")
        if isinstance(found, bool) or not isinstance(found, str | int) or found == "":
            note("id", "missing_id", f"the id is {kind_of(found)}", "Give each row a string id.")
            return None
        row_id = str(found)
        if len(row_id) > self.limits.max_id_chars or not is_readable(row_id):
            note(
                "id",
                "bad_id",
                f"the id has {len(row_id)} characters or unreadable ones, the "
                f"limit is {self.limits.max_id_chars}",
                "Use a short plain id.",
            )
            return None
        if row_id in self._ids:
            note(
                "id",
                "duplicate_id",
                f"id {row_id!r} occurs more than once in the {self.split} split",
                "Give each row an id of its own.",
            )
            return row_id
        self._ids.add(row_id)
        return row_id

    def _images(self, value: dict[str, Any], note: Note) -> list[str]:
        where = "images" if value.get("images") else "image"
        named = value.get(where) or []
        names = [named] if isinstance(named, str) else named
        if not isinstance(names, list) or not all(isinstance(it, str) and it for it in names):
            note(
                where,
                "bad_image_field",
                f"{where} is {kind_of(named)}",
                "Give one path as `image` or a list of paths as `images`.",
            )
            raise Rejected
        if len(names) > self.limits.max_images:
            note(
                where,
                "too_many_images",
                f"the row has {len(names)} images, the limit is {self.limits.max_images}",
                "Split the row.",
            )
            raise Rejected
        digests = []
        for name in names:
            found = self.library.look_up(name, self._folder)
            if isinstance(found, BadImage):
                note(where, found.rule, found.message, found.fix)
                found = ""
            digests.append(found)
        return digests

    @property
    def _folder(self) -> str:
        path = self.card.splits.eval if self.split == "eval" else self.card.splits.train
        return posixpath.dirname(path or "")

    def _turns(self, value: dict[str, Any], num_images: int, note: Note) -> list[Turn]:
        texts = read_texts(value.get("conversations"), self.limits, note)
        marks = sum(text.count(IMAGE_MARK) for text in texts[::2])
        if marks > num_images:
            note(
                "conversations",
                "image_marks",
                f"the text has {marks} {IMAGE_MARK} placeholders, the row has {num_images} images",
                "Add the images or remove placeholders.",
            )
        references = read_references(value.get("answers"), len(texts) // 2, note)
        turns = []
        for index, (asked, answered) in enumerate(zip(texts[::2], texts[1::2], strict=True)):
            turn = self._turn(2 * index, asked, answered, references[index], note)
            if turn is not None:
                turns.append(turn)
        return turns

    def _turn(
        self, index: int, asked: str, answered: str, references: tuple[str, ...], note: Note
    ) -> Turn | None:
        question, asked_format = strip_instruction(without_marks(asked), self.card.instructions)
        question = question.strip()
        if not question and asked_format is AnswerFormat.CAPTION:
            question = CAPTION_QUESTION
        if not question:
            note(
                f"conversations[{index}].value",
                "empty_text",
                "the question has no text of its own",
                "Write a question.",
            )
            return None
        answer = answered.strip()
        wrong = answer_problem(self.card, question, answer) or broken_list(question, answer)
        if wrong is not None:
            note(f"conversations[{index + 1}].value", *wrong)
            return None
        answer_format = native_format(self.card.answer_format, answer)
        if asked_format not in (None, answer_format, self.card.answer_format):
            self.odd_instructions[str(asked_format)] += 1
        answer = canonical_answer(self.card.answer_format, answer)
        return Turn(question=question, answer=answer, format=answer_format, references=references)
