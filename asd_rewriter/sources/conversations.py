"""A row's conversation in its own shape: taken apart into turns, and put together again.

Rows call the speakers human and gpt or user and assistant, keep texts in `conversations` (`from`,
`value`) or `messages` (`role`, `content`), may begin with a system text, and put `<image>` before,
after or into the question. All of this is written back as it was.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from asd_rewriter.conversations import (
    IMAGE_MARK,
    is_readable,
    kind_of,
    read_references,
    read_texts,
)
from asd_rewriter.formats import INSTRUCTIONS, AnswerFormat, strip_instruction
from asd_rewriter.limits import RowLimits
from asd_rewriter.rows import CAPTION_QUESTION

EMBEDDED = "embedded"
"""Stands for an image that the row holds itself, without naming a file."""
Overrides = Mapping[AnswerFormat, str]
Strip = Callable[[str], tuple[str, AnswerFormat | None]]


class BadRow(Exception):
    """A row that is left as it is: `rule` is a stable word, the message says what was seen."""

    def __init__(self, rule: str, message: str, row_id: str | None = None) -> None:
        super().__init__(message)
        self.rule, self.row_id = rule, row_id


class Shape(NamedTuple):
    """Where a row keeps its conversation, its keys for speaker and text, where the human begins."""

    where: str
    speaker: str
    text: str
    first: int


class RowTurn(NamedTuple):
    """A question without marks at its ends and instruction, what stood around it, its answer.

    `text` is the whole of it, as the row has it.
    """

    text: str
    before: str
    question: str
    after: str
    asked: AnswerFormat | None
    answer: str
    references: tuple[str, ...]


@dataclass(slots=True)
class Conversation:
    """A row, taken apart. `id` is None when the row has none."""

    value: dict[str, Any]
    shape: Shape
    id: str | None
    images: tuple[str, ...]
    turns: list[RowTurn]


def stripping(overrides: Overrides) -> Strip:
    """Return `strip_instruction` for one card; a known wording as the last line costs little."""
    lines: dict[str, AnswerFormat] = {}
    for asked, wording in [*overrides.items(), *INSTRUCTIONS.items()]:
        lines.setdefault(wording, asked)
    if any("\n" in wording for wording in lines):
        lines.clear()

    def strip(text: str) -> tuple[str, AnswerFormat | None]:
        at = text.rfind("\n")
        asked = lines.get(text[at + 1 :]) if at >= 0 else None
        return (text[:at], asked) if asked is not None else strip_instruction(text, overrides)

    return strip


def take_apart(value: Any, limits: RowLimits, strip: Strip) -> Conversation:
    """Return a row's conversation. Raises BadRow."""
    if not isinstance(value, dict):
        raise BadRow("not_an_object", f"the row is {kind_of(value)}")
    row_id = _read_id(value, limits)
    try:
        images = _read_images(value, limits)
        shape = _shape(value)
        texts = read_texts(_said(value, shape), limits, _refuse)
        turns = _read_turns(texts, value, strip)
        _check_marks(texts, len(images))
    except BadRow as error:
        error.row_id = row_id
        raise
    return Conversation(value, shape, row_id, images, turns)


def put_together(
    row: Conversation, questions: Sequence[str], answers: Mapping[int, str]
) -> dict[str, Any]:
    """Return a row with new questions (instruction included), and new answers by their turn.

    A row that differs is a copy.
    """
    where, _, key, first = row.shape
    texts = map(framed, row.turns, questions)
    changed = {
        first + 2 * index: text
        for index, (turn, text) in enumerate(zip(row.turns, texts, strict=True))
        if text != turn.text
    }
    changed.update({first + 2 * index + 1: answer for index, answer in answers.items()})
    if not changed:
        return row.value
    said = list(row.value[where])
    for at, text in changed.items():
        said[at] = {**said[at], key: text}
    return {**row.value, where: said}


def framed(turn: RowTurn, question: str) -> str:
    """Return a question with the marks that stood around it; none is lost if its text had some."""
    if IMAGE_MARK in turn.question:
        lost = turn.question.count(IMAGE_MARK) - question.count(IMAGE_MARK)
        question = f"{IMAGE_MARK}\n" * max(lost, 0) + question
    return f"{turn.before}{question}{turn.after}"


def _read_id(value: dict[str, Any], limits: RowLimits) -> str | None:
    found = value.get("id")
    if found is None:
        return None
    if isinstance(found, bool) or not isinstance(found, str | int) or found == "":
        raise BadRow("bad_id", f"the id is {kind_of(found)}")
    row_id = str(found)
    if len(row_id) > limits.max_id_chars or not is_readable(row_id):
        raise BadRow(
            "bad_id",
            f"the id has {len(row_id)} characters or unreadable ones, the limit is "
            f"{limits.max_id_chars}",
        )
    return row_id


def _read_images(value: dict[str, Any], limits: RowLimits) -> tuple[str, ...]:
    named = value.get("images") or value.get("image")
    if not named:
        return ()
    if isinstance(named, str):
        return (named,)
    several = named if isinstance(named, list) else [named]
    if len(several) > limits.max_images:
        raise BadRow(
            "too_many_images", f"the row has {len(several)} images, the limit is "
            f"{limits.max_images}"
        )  # fmt: skip
    return tuple(_image_name(it, named) for it in several)


def _image_name(image: Any, named: Any) -> str:
    if isinstance(image, dict) and ("bytes" in image or "path" in image):
        image = image.get("path") or EMBEDDED
    if not isinstance(image, str) or not image:
        raise BadRow("bad_image_field", f"the image field is {kind_of(named)}")
    return image


def _shape(value: dict[str, Any]) -> Shape:
    where = "messages" if "messages" in value and "conversations" not in value else "conversations"
    said = value.get(where)
    first = said[0] if isinstance(said, list) and said else None
    if not isinstance(first, dict):
        return Shape(where, "from", "value", 0)
    speaker, text = ("role", "content") if "role" in first else ("from", "value")
    has_system = "system" in (first.get("from"), first.get("role"))
    return Shape(where, speaker, text, int(has_system))


def _said(value: dict[str, Any], shape: Shape) -> Any:
    """Return a row's conversation as `from` and `value`, human first."""
    where, speaker, text, first = shape
    said = value.get(where)
    if not isinstance(said, list) or not said:
        return said
    said = said[first:] if first else said
    if speaker == "from":
        return said
    return [
        {"from": it.get(speaker), "value": it.get(text)} if isinstance(it, dict) else it
        for it in said
    ]


def _read_turns(texts: list[str], value: dict[str, Any], strip: Strip) -> list[RowTurn]:
    references = (
        read_references(value["answers"], len(texts) // 2, _refuse)
        if value.get("answers")
        else [()] * (len(texts) // 2)
    )
    return [
        _read_turn(2 * index, texts[2 * index], texts[2 * index + 1], its, strip)
        for index, its in enumerate(references)
    ]


def _read_turn(
    index: int, text: str, answer: str, references: tuple[str, ...], strip: Strip
) -> RowTurn:
    before, body, after = _frame(text)
    question, asked = strip(body)
    question = question.strip()
    if not question and asked is AnswerFormat.CAPTION:
        question = CAPTION_QUESTION
    if not question:
        raise BadRow(
            "empty_text", f"conversations[{index}].value: the question has no text of its own"
        )
    return RowTurn(text, before, question, after, asked, answer.strip(), references)


def _frame(text: str) -> tuple[str, str, str]:
    """Return the marks in front of a text with white space, the text, the marks behind it."""
    text = text.strip()
    if IMAGE_MARK not in text:
        return "", text, ""
    body = text
    while body.startswith(IMAGE_MARK):
        body = body[len(IMAGE_MARK) :].lstrip()
    before = text[: len(text) - len(body)]
    whole = body
    while body.endswith(IMAGE_MARK):
        body = body[: -len(IMAGE_MARK)].rstrip()
    return before, body, whole[len(body) :]


def _check_marks(texts: list[str], num_images: int) -> None:
    marks = sum([text.count(IMAGE_MARK) for text in texts[::2]])
    if marks > num_images:
        raise BadRow(
            "image_marks",
            f"the text has {marks} {IMAGE_MARK} placeholders, the row has {num_images} images",
        )


def _refuse(where: str, rule: str, message: str, fix: str) -> None:
    raise BadRow(rule, f"{where}: {message}")
