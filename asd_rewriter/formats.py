"""The answer formats, and the one instruction line that asks a model for each of them.

Design decision 14: rows may arrive with an instruction of their own ("Answer the question using
a single word or phrase."). It is recognised and stripped on intake; exactly one is appended
again, by `with_instruction`, in training, evaluation and probes alike.

The short-answer and multiple-choice wordings are CoIN's (SEFE, arXiv 2505.02486, code); the
other wordings are ours, since the paper's are not public.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class AnswerFormat(StrEnum):
    """How an answer is written. The first five are ASD's; `box` and `caption` are native only."""

    SHORT_ANSWER = "short_answer"
    YES_NO = "yes_no"
    MULTIPLE_CHOICE = "multiple_choice"
    BRIEF_EXPLANATION = "brief_explanation"
    DETAILED_EXPLANATION = "detailed_explanation"
    BOX = "box"
    CAPTION = "caption"


ASD_FORMATS: tuple[AnswerFormat, ...] = tuple(AnswerFormat)[:5]

INSTRUCTIONS: Mapping[AnswerFormat, str] = {
    AnswerFormat.SHORT_ANSWER: "Answer the question using a single word or phrase.",
    AnswerFormat.YES_NO: "Answer the question with yes or no.",
    AnswerFormat.MULTIPLE_CHOICE: (
        "Answer with the option's letter from the given choices directly."
    ),
    AnswerFormat.BRIEF_EXPLANATION: "Answer with a brief explanation of about 20 words.",
    AnswerFormat.DETAILED_EXPLANATION: "Answer with a detailed explanation of about 50 words.",
    AnswerFormat.BOX: "Answer with the bounding box in the format [x1, y1, x2, y2].",
    AnswerFormat.CAPTION: "Describe the image in one sentence.",
}

OPTION_LETTERS = "ABCDEFGH"
EXPLANATION_WORDS: Mapping[AnswerFormat, tuple[int, int]] = {
    AnswerFormat.BRIEF_EXPLANATION: (6, 40),
    AnswerFormat.DETAILED_EXPLANATION: (25, 100),
}
"""Least and most words of explanations of about 20 and 50, beside those of the answer itself."""


def with_instruction(
    question: str,
    answer_format: AnswerFormat,
    overrides: Mapping[AnswerFormat, str] | None = None,
) -> str:
    """Return the question followed, on a new line, by its format's instruction.

    `overrides` (from a task card) replaces the standard wording of single formats.
    """
    wording = (overrides or {}).get(answer_format, INSTRUCTIONS[answer_format])
    return f"{question}\n{wording}"


def options_block(options: list[str]) -> str:
    """Return multiple-choice options as lines `A. first`, `B. second`, ... (2 to 8 options)."""
    return "\n".join(
        f"{letter}. {option}" for letter, option in zip(OPTION_LETTERS, options, strict=False)
    )


# Linear in the text, which anyone may send: no stretch of characters matches in two ways.
_OPTION_LINE = re.compile(r"^[ \t]*(?:\(([A-H])\)|([A-H])[.):])[ \t]+(\S.*)", re.M)
_OPTION_INLINE = re.compile(r"\(([A-H])\)\s*([^\n]*?)(?=\([A-H]\)|\n|\Z)")


@dataclass(frozen=True)
class Options:
    """A question's option list: the text around it (`stem`) and the options, A first."""

    stem: str
    options: tuple[str, ...]


def parse_options(question: str) -> Options | None:
    """Return the options A, B, ... (2 to 8) of a question, one a line or inline as `(A) x (B) y`.

    None when there is no such list, or its letters do not run A, B, C ... without a gap.
    """
    for pattern in (_OPTION_LINE, _OPTION_INLINE):
        found = list(pattern.finditer(question))
        letters = "".join(
            match[1] or match[2] if pattern is _OPTION_LINE else match[1] for match in found
        )
        if len(found) < 2 or not OPTION_LETTERS.startswith(letters):
            continue
        stem = question[: found[0].start()].rstrip()
        after = question[found[-1].end() :].strip()
        stem = f"{stem}\n{after}" if stem and after else stem or after
        return Options(stem, tuple(match[match.re.groups].strip() for match in found))
    return None


def has_option_marks(question: str) -> bool:
    """Whether a question has anything like an option: a line `A. first`, or `(A) first`."""
    return any(it.search(question) is not None for it in (_OPTION_LINE, _OPTION_INLINE))


_PLEASE = r"(?:please )?"
_BOX_FORMAT = r"\[x1, ?y1, ?x2, ?y2\]"
_KNOWN_WORDINGS: Mapping[AnswerFormat, str] = {
    AnswerFormat.SHORT_ANSWER: (
        r"(?:answer|respond to) (?:the |this )?(?:question )?"
        r"(?:by |briefly )?(?:using|with|in) (?:only )?(?:a|one) (?:single )?word(?: or(?: a)? "
        r"(?:short )?phrase)?(?: only)?|(?:give|provide) an? (?:very )?(?:short|one-word) answer"
    ),
    AnswerFormat.YES_NO: (
        r"(?:answer|respond)(?: (?:to )?(?:the|this) question)?(?: (?:only|simply))?"
        r"(?: using| with)?(?: only)?(?: an?)?(?: just)? ['\"]?yes['\"]? or ['\"]?no['\"]?"
        r"(?: only| directly)?"
    ),
    AnswerFormat.MULTIPLE_CHOICE: (
        r"answer(?: the question)?(?: directly)? (?:with|using)(?: only)? the (?:correct )?"
        r"(?:option's letter|option letter|letter of the (?:correct |right )?(?:option|choice)|"
        r"letter)(?: from the given (?:choices|options))?(?: directly| only)?"
    ),
    AnswerFormat.BOX: (
        rf"(?:answer with|provide|give|output) (?:the|its) bounding box(?: coordinates?)?"
        rf"(?: in the (?:format|form)(?: of)? {_BOX_FORMAT})?"
    ),
    AnswerFormat.CAPTION: (
        r"describe (?:the|this) (?:image|picture) in (?:one|a single) sentence|"
        r"provide a one-sentence caption for the (?:provided |given )?(?:image|picture)"
    ),
}
_TRAILING = {
    answer_format: re.compile(rf"(?:\A|(?<=\n)|(?<=[.?!:] )){_PLEASE}(?:{wording})[.!]?\s*\Z", re.I)
    for answer_format, wording in _KNOWN_WORDINGS.items()
}
_REGION = rf"{_PLEASE}(?:provide|give|output) the bounding box coordinates? of the region "
_ENCLOSING_BOX = tuple(
    re.compile(rf"\s*{_REGION}{rest}\Z", re.I | re.S)
    for rest in (
        r"(?:this|the) sentence describes:(?P<question>.+)",
        rf"(?:described by|that matches) the sentence\s*['\"](?P<question>.+)['\"]"
        rf"(?:\s*in the format {_BOX_FORMAT})?\.?\s*",
    )
)


def strip_instruction(
    text: str, overrides: Mapping[AnswerFormat, str] | None = None
) -> tuple[str, AnswerFormat | None]:
    """Return the question without its closing answer instruction, and the format that asks for.

    Our own wordings, a card's `overrides` and widely used ones (LLaVA, CoIN) are known. At most
    one instruction is taken off, from the end; None means that none was found. For every question,
    `strip_instruction(with_instruction(question, it)) == (question, it)`. A text that is nothing
    but an instruction yields an empty question.
    """
    wordings = [*(overrides or {}).items(), *INSTRUCTIONS.items()]
    wordings.sort(key=lambda pair: -len(pair[1]))
    for answer_format, wording in wordings:
        if text.endswith(f"\n{wording}"):
            return text[: -len(wording) - 1], answer_format
    tail = text[-160:]
    for answer_format, pattern in _TRAILING.items():
        if found := pattern.search(tail):
            return text[: len(text) - len(tail) + found.start()].rstrip(), answer_format
    for answer_format, wording in wordings:
        if text.rstrip() == wording or text.rstrip().endswith((f"\n{wording}", f" {wording}")):
            return text.rstrip()[: -len(wording)].rstrip(), answer_format
    for pattern in _ENCLOSING_BOX:
        if found := pattern.match(text):
            return found["question"].strip(), AnswerFormat.BOX
    return text, None
