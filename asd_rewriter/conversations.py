"""Reading a row's conversation and its accepted answers."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from asd_rewriter.limits import RowLimits

IMAGE_MARK = "<image>"
_UNREADABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
_HUMAN, _MODEL = ("human", "user"), ("gpt", "assistant")

Note = Callable[[str, str, str, str], None]
"""Takes field, rule, message and fix of a problem."""


class Rejected(Exception):
    """Ends the check of a row whose problem has been noted."""


def read_texts(conversation: Any, limits: RowLimits, note: Note) -> list[str]:
    """Return the turns' texts, human first. Raises Rejected after noting what is wrong."""
    where = "conversations"
    if not isinstance(conversation, list) or not conversation:
        note(
            where,
            "no_conversation",
            f"conversations is {kind_of(conversation)}",
            "Give a list of human and gpt turns.",
        )
        raise Rejected
    if len(conversation) > 2 * limits.max_turns:
        note(
            where,
            "too_many_turns",
            f"the row has {len(conversation)} turns, the limit is {2 * limits.max_turns}",
            "Split the row.",
        )
        raise Rejected
    texts = []
    for index, said in enumerate(conversation):
        speaker = said.get("from") if isinstance(said, dict) else None
        if speaker not in (_MODEL if index % 2 else _HUMAN):
            note(
                f"{where}[{index}].from",
                "not_alternating",
                f"turn {index} is from "
                f"{_short(speaker)}, expected {'gpt' if index % 2 else 'human'}",
                "Let human and gpt take turns; human begins.",
            )
            raise Rejected
        texts.append(said.get("value"))
    _check_texts(texts, limits, note)
    if len(texts) % 2:
        note(
            f"{where}[{len(texts) - 1}]",
            "no_final_answer",
            "the last turn is a question",
            "End the conversation with a gpt turn.",
        )
        raise Rejected
    return texts


def is_readable(text: str) -> bool:
    """Whether a text is free of control characters and halves of characters."""
    return text.isprintable() or _UNREADABLE.search(text) is None


def _check_texts(texts: Sequence[Any], limits: RowLimits, note: Note) -> None:
    good = True
    for index, text in enumerate(texts):
        problem = _text_problem(text, limits)
        if problem is not None:
            note(f"conversations[{index}].value", *problem)
            good = False
    if not good:
        raise Rejected


def _text_problem(text: Any, limits: RowLimits) -> tuple[str, str, str] | None:
    """Return rule, message and fix of what is wrong with a text."""
    if not isinstance(text, str) or not text or text.isspace():
        return "empty_text", f"the text is {kind_of(text)}", "Write a text."
    if len(text) > limits.max_text_chars:
        return (
            "text_too_long",
            f"the text has {len(text):,} characters, the limit is {limits.max_text_chars:,}",
            "Shorten it.",
        )
    if not is_readable(text):
        return (
            "bad_text",
            "the text has control characters or halves of characters",
            "Remove them.",
        )
    return None


def read_references(found: Any, num_turns: int, note: Note) -> list[tuple[str, ...]]:
    """Return the accepted answers per turn; a flat list belongs to the last turn."""
    none: list[tuple[str, ...]] = [()] * num_turns
    if not found:
        return none
    nested = isinstance(found, list) and all(isinstance(it, list) for it in found)
    per_turn = found if nested else [[]] * (num_turns - 1) + [found]
    references = [_reference_texts(it) for it in per_turn]
    if len(references) != num_turns or None in references:
        note(
            "answers",
            "bad_answers",
            f"answers is {kind_of(found)} for {num_turns} answers",
            "Give a list of strings, or one such list per gpt turn.",
        )
        return none
    return [it or () for it in references]


def without_marks(text: str) -> str:
    """Return a question without image placeholders."""
    for mark in (f"{IMAGE_MARK}\n", f"\n{IMAGE_MARK}", IMAGE_MARK):
        text = text.replace(mark, "")
    return text.strip()


def _reference_texts(found: Any) -> tuple[str, ...] | None:
    if not isinstance(found, list):
        return None
    texts = []
    for item in found:
        text = item.get("answer") if isinstance(item, dict) else item
        if not isinstance(text, str) or not text.strip() or not is_readable(text):
            return None
        texts.append(text.strip())
    return tuple(texts)


def kind_of(value: Any) -> str:
    """Return a word for what a value is, to be used in a message."""
    if value is None:
        return "missing"
    if value in ("", [], {}):
        return "empty"
    if isinstance(value, str) and not value.strip():
        return "white space only"
    return {dict: "an object", list: "a list", str: "a text", bool: "true or false"}.get(
        type(value), "a number"
    )


def _short(value: Any) -> str:
    return repr(value)[:40] if isinstance(value, str) else "nobody"
