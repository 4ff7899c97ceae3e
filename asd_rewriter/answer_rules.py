"""What an answer must look like in each native format, and which format a turn gets."""

from __future__ import annotations

from asd_rewriter.answers import (
    box_problem,
    has_option_marks,
    is_yes_no,
    normalise,
    parse_box,
    parse_letter,
    parse_options,
)
from asd_rewriter.cards import TaskCard
from asd_rewriter.formats import OPTION_LETTERS, AnswerFormat

Wrong = tuple[str, str, str]
"""Rule, message, fix."""


def answer_problem(card: TaskCard, question: str, answer: str) -> Wrong | None:
    """Return what is wrong with an answer under its card, or None."""
    if "<image>" in answer:
        return "reserved_text", "the answer contains <image>", "Remove it."
    if card.answer_format is AnswerFormat.MULTIPLE_CHOICE:
        return _letter_problem(question, answer)
    if card.answer_format is AnswerFormat.BOX:
        return _box_problem(answer)
    if card.answer_format is AnswerFormat.YES_NO and not is_yes_no(answer):
        return "not_yes_or_no", f"the answer is {_shown(answer)}", "Answer yes or no."
    if card.labels is not None and answer not in card.labels:
        return _label_problem(card.labels, answer)
    return None


def native_format(card_format: AnswerFormat, answer: str) -> AnswerFormat:
    """Return the card's format; a yes or no in a short-answer task is `yes_no`."""
    if card_format is AnswerFormat.SHORT_ANSWER and is_yes_no(answer):
        return AnswerFormat.YES_NO
    return card_format


def canonical_answer(card_format: AnswerFormat, answer: str) -> str:
    """Return the answer as it is trained and scored: option letters bare, the rest as given."""
    if card_format is AnswerFormat.MULTIPLE_CHOICE:
        return parse_letter(answer) or answer
    return answer


def _letter_problem(question: str, answer: str) -> Wrong | None:
    listed = parse_options(question)
    if listed is None:
        return (
            "no_options",
            "the question has no list of 2 to 8 options (A, B, ...)",
            "List 2 to 8 options after the question, one a line: 'A. first', 'B. second', ...",
        )
    letters = OPTION_LETTERS[: len(listed.options)]
    letter = parse_letter(answer)
    if letter is None or letter not in letters:
        return (
            "letter_not_among_options",
            f"the answer is {_shown(answer)}, the options are {', '.join(letters)}",
            "Answer with the letter of one of the options.",
        )
    return None


def broken_list(question: str, answer: str) -> Wrong | None:
    """Return what is wrong with a letter that belongs to a list no one can read, or None.

    Such a list has one entry, or its letters do not run from A on, or lack the answer's.
    """
    if parse_letter(answer) is None or not has_option_marks(question):
        return None
    return _letter_problem(question, answer)


def _box_problem(answer: str) -> Wrong | None:
    box = parse_box(answer)
    if box is None:
        return (
            "box_unreadable",
            f"the answer is {_shown(answer)}",
            "Answer with one box [x1, y1, x2, y2], each a fraction of width or height.",
        )
    reason = box_problem(box)
    if reason is not None:
        return (
            "box_out_of_range",
            f"the box {_shown(answer)} {reason}",
            "Divide x by the image's width and y by its height; order the corners.",
        )
    return None


def _label_problem(labels: tuple[str, ...], answer: str) -> Wrong:
    close = [label for label in labels if normalise(label) == normalise(answer)]
    fix = f"Write it {close[0]!r}." if close else "Use a label of the card, or extend the card."
    shown = ", ".join(repr(label) for label in labels[:8])
    more = f" and {len(labels) - 8} more" if len(labels) > 8 else ""
    return "not_a_label", f"the answer is {_shown(answer)}, the labels are {shown}{more}", fix


def _shown(answer: str) -> str:
    return repr(answer if len(answer) <= 80 else answer[:77] + "...")
