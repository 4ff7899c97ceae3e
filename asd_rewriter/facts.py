"""What a native turn states: the plain question, its answer in words, and what is native to it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from asd_rewriter.answers import Box, parse_box, parse_options
from asd_rewriter.formats import OPTION_LETTERS, AnswerFormat
from asd_rewriter.samples import Turn

_NEEDS_OPTIONS = re.compile(
    r"\b(?:following|these|options?|choices?|listed)\b|\bwhich of\b"
    r"|(?:\A|[.!?:]\s|\n)\s*(?:please )?(?:complete|select|identify|choose|pick|fill in)\b",
    re.I,
)
_OF_OTHERS = re.compile(
    r"(?:all|none|both|neither|either|any)(?: (?:of )?(?:the above|these|them|of those))?"
    r"|(?:both )?[A-H],? (?:and|or|&) [A-H]|.*\b(?:the above|the others)",
    re.I,
)
"""Options that speak of the other options."""

_SHORT, _YES_NO, _CHOICE, _BRIEF, _DETAILED = tuple(AnswerFormat)[:5]
POSSIBLE: dict[AnswerFormat, tuple[AnswerFormat, ...]] = {
    _SHORT: (_YES_NO, _CHOICE, _BRIEF, _DETAILED),
    _YES_NO: (_SHORT, _CHOICE, _BRIEF, _DETAILED),
    _CHOICE: (_SHORT, _YES_NO, _BRIEF, _DETAILED),
    AnswerFormat.BOX: (_SHORT, _YES_NO, _CHOICE, _BRIEF, _DETAILED),
}
"""The formats that a native format can be turned into; a format not listed stays as it is.

From a box to a short answer is the way back: what is at a place, instead of where something is.
"""


@dataclass(frozen=True)
class Fact:
    """A turn, read: `question` without an option list that it can do without, `answer` in words.

    `accepted` are further right answers. `options` (multiple choice) and `box` are native.
    """

    question: str
    answer: str
    native: AnswerFormat
    accepted: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    box: Box | None = None
    needs_options: bool = False


def read_fact(turn: Turn) -> Fact | None:
    """Return what a native turn states, or None when its format cannot be rewritten."""
    if turn.format not in POSSIBLE:
        return None
    if turn.format is AnswerFormat.MULTIPLE_CHOICE:
        return _choice_fact(turn)
    if turn.format is AnswerFormat.BOX:
        return Fact(turn.question, turn.answer, turn.format, box=parse_box(turn.answer))
    answer = turn.answer.rstrip(" .") or turn.answer
    return Fact(turn.question, answer, turn.format, turn.references)


def joins_options(answer: str) -> bool:
    """Whether an option says that others are right too: all of the above, A and B."""
    bare = answer.strip(" .")
    return _OF_OTHERS.fullmatch(bare) is not None and not bare.casefold().startswith(
        ("none", "neither")
    )


def _choice_fact(turn: Turn) -> Fact | None:
    listed = parse_options(turn.question)
    at = OPTION_LETTERS.find(turn.answer) if len(turn.answer) == 1 else -1
    if listed is None or not 0 <= at < len(listed.options):
        return None
    needed = (
        not listed.stem
        or _NEEDS_OPTIONS.search(listed.stem) is not None
        or any(_OF_OTHERS.fullmatch(it.strip(" .")) for it in listed.options)
    )
    question = turn.question if needed else listed.stem
    return Fact(
        question, listed.options[at], turn.format, options=listed.options, needs_options=needed
    )
