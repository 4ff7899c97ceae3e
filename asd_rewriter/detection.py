"""Native formats: what a turn's answer is by itself and under a card, and which card rows ask for.

A card decides for its whole task, but tasks are mixed: a short-answer task may hold yes/no
questions, option lists and boxes, and a turn is what its answer shows it to be.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from functools import lru_cache, partial

from pydantic import BaseModel, ConfigDict

from asd_rewriter.answer_rules import Wrong, answer_problem, broken_list, native_format
from asd_rewriter.answers import box_problem, is_yes_no, parse_box, parse_letter, parse_options
from asd_rewriter.cards import Metric, TaskCard
from asd_rewriter.formats import OPTION_LETTERS, AnswerFormat

BRIEF_FROM_WORDS = 13
DETAILED_FROM_WORDS = 36
"""An answer of at least so many words is an explanation rather than a short answer."""
MAX_LABELS = 200
ROWS_PER_LABEL = 20
"""Answers are a closed set when each label has so many rows on average."""
MAX_COUNTED = 1000
NUM_EXAMPLES = 3

_SHORT, _YES_NO, _CHOICE, _BRIEF, _DETAILED, _BOX, _CAPTION = AnswerFormat
_LONG = (_BRIEF, _DETAILED)
_ANOTHER_KIND = ("no_options", "box_unreadable", "not_yes_or_no")


def own_format(question: str, answer: str, asked: AnswerFormat | None = None) -> AnswerFormat:
    """Return the format that an answer shows by itself; `asked`: what an instruction asks for."""
    alone, letter = _by_itself(answer)
    if letter and _has_option(question, letter):
        return _CHOICE
    if alone in (_BOX, _YES_NO):
        return alone
    return asked if asked in (_CAPTION, _SHORT, *_LONG) else alone


@lru_cache(maxsize=2**14)
def _by_itself(answer: str) -> tuple[AnswerFormat, str | None]:
    """Return an answer's format if its question has no options, and its letter if it is one."""
    words = answer.count(" ") + 1
    found = _SHORT if words < BRIEF_FROM_WORDS else _BRIEF
    found = found if words < DETAILED_FROM_WORDS else _DETAILED
    if is_yes_no(answer):
        found = _YES_NO
    if (box := parse_box(answer)) and box_problem(box) is None:
        found = _BOX
    return found, parse_letter(answer)


def _has_option(question: str, letter: str) -> bool:
    listed = parse_options(question)
    return listed is not None and letter in OPTION_LETTERS[: len(listed.options)]


def format_under(
    card: TaskCard, question: str, answer: str, asked: AnswerFormat | None = None
) -> AnswerFormat | Wrong:
    """Return a turn's format in a task of this card, or what is wrong with its answer.

    A turn of another kind than the card's has its own format. One of the card's kind that is
    broken, such as a letter beyond the options, is wrong; so is one of a list with one entry.
    """
    wrong = answer_problem(card, question, answer)
    if wrong is not None and wrong[0] not in _ANOTHER_KIND:
        return wrong
    if broken := broken_list(question, answer):
        return broken
    if wrong is not None:
        return own_format(question, answer, asked)
    if card.answer_format is not _SHORT or card.labels is not None:
        return native_format(card.answer_format, answer)
    own = own_format(question, answer, asked)
    return _SHORT if own in (_BRIEF, _CAPTION) else own


def formats_under(
    card: TaskCard,
) -> Callable[[str, str, AnswerFormat | None], AnswerFormat | Wrong]:
    """Return `format_under` for one card, quick for answers that come again and again."""
    if card.answer_format is _CHOICE:
        return partial(format_under, card)

    @lru_cache(maxsize=2**14)
    def whatever_is_asked(answer: str, asked: AnswerFormat | None) -> AnswerFormat | Wrong | None:
        return None if parse_letter(answer) else format_under(card, "", answer, asked)

    def told(question: str, answer: str, asked: AnswerFormat | None) -> AnswerFormat | Wrong:
        return whatever_is_asked(answer, asked) or format_under(card, question, answer, asked)

    return told


class Seen(BaseModel):
    """One turn that was looked at, and its format."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    question: str
    answer: str
    format: AnswerFormat


class Detection(BaseModel):
    """The evidence for a card made from rows, and the card.

    `formats` counts turns by the format that their answers show, `instructions` those that ended in
    an answer instruction, by its format. `distinct_answers` is None above 1,000. `reason` says in
    words what decided.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    turns: int
    formats: dict[AnswerFormat, int]
    instructions: dict[AnswerFormat, int]
    distinct_answers: int | None
    examples: list[Seen]
    reason: str
    card: TaskCard


class Detector:
    """Looks at all turns of a task in turn; memory does not grow with their number."""

    def __init__(self) -> None:
        self._turns = 0
        self._formats: Counter[AnswerFormat] = Counter()
        self._instructions: Counter[AnswerFormat] = Counter()
        self._answers: set[str] = set()
        self._questions: set[str] = set()
        self._examples: dict[AnswerFormat, list[Seen]] = {}

    def add(self, question: str, answer: str, asked: AnswerFormat | None) -> None:
        """Take in a turn: its question without instruction, and what the instruction asked for."""
        found = own_format(question, answer, asked)
        self._turns += 1
        self._formats[found] += 1
        if asked is not None:
            self._instructions[asked] += 1
        for seen, text in ((self._answers, answer), (self._questions, question)):
            if len(seen) <= MAX_COUNTED:
                seen.add(text)
        shown = self._examples.setdefault(found, [])
        if len(shown) < NUM_EXAMPLES and all(answer != it.answer for it in shown):
            shown.append(Seen(question=question, answer=answer, format=found))

    def detection(self, name: str) -> Detection:
        """Return the evidence and a card of this name. Raises ValueError when there was no turn."""
        if not self._turns:
            raise ValueError("no turn was seen, so no format can be told")
        chosen, why = self._choose()
        labels = self._labels(chosen)
        if labels:
            why += (
                f"; {len(labels)} distinct answers over {self._turns:,} turns: a closed label set"
            )
        metrics: dict[AnswerFormat, Metric] = {_BOX: "iou", _CHOICE: "option_letter"}
        distinct = len(self._answers)
        return Detection(
            turns=self._turns,
            formats={it: self._formats[it] for it in AnswerFormat if self._formats[it]},
            instructions={it: self._instructions[it] for it in AnswerFormat
                          if self._instructions[it]},
            distinct_answers=distinct if distinct <= MAX_COUNTED else None,
            examples=self._shown(chosen),
            reason=why,
            card=TaskCard(
                name=card_name(name), answer_format=chosen, labels=labels,
                metric=metrics.get(chosen, "exact_match"),
            ),
        )  # fmt: skip

    def _choose(self) -> tuple[AnswerFormat, str]:
        groups = Counter({
            _CHOICE: self._formats[_CHOICE], _BOX: self._formats[_BOX],
            _SHORT: self._formats[_SHORT] + self._formats[_YES_NO],
            _BRIEF: self._formats[_BRIEF] + self._formats[_DETAILED] + self._formats[_CAPTION],
        })  # fmt: skip
        group, number = groups.most_common(1)[0]
        share = f"{100 * number / self._turns:.0f} % of the answers are "
        if group is _CHOICE:
            return group, share + "letters of an option list"
        if group is _BOX:
            return group, share + "boxes of four fractions"
        if group is _BRIEF:
            return self._choose_long(), share + f"texts of {BRIEF_FROM_WORDS} words or more"
        if not self._formats[_SHORT]:
            return _YES_NO, share + "yes or no"
        yes_no = self._formats[_YES_NO]
        mixed = f" ({yes_no:,} of them yes or no, which are yes/no turns)" if yes_no else ""
        return _SHORT, share + f"shorter than {BRIEF_FROM_WORDS} words{mixed}"

    def _choose_long(self) -> AnswerFormat:
        few_questions = len(self._questions) * ROWS_PER_LABEL <= self._turns
        if self._formats[_CAPTION] or few_questions:
            return _CAPTION
        return max(_LONG, key=self._formats.__getitem__)

    def _labels(self, chosen: AnswerFormat) -> tuple[str, ...] | None:
        number = len(self._answers)
        closed = 2 <= number <= MAX_LABELS and number * ROWS_PER_LABEL <= self._turns
        if chosen is not _SHORT or self._formats[_SHORT] < self._turns or not closed:
            return None
        plain = {it.casefold() for it in self._answers}
        return tuple(sorted(self._answers)) if len(plain) == number else None

    def _shown(self, chosen: AnswerFormat) -> list[Seen]:
        """Return examples of the chosen format, then one of each other."""
        others = [its[0] for it, its in self._examples.items() if it is not chosen]
        return [*self._examples.get(chosen, []), *others]


def card_name(text: str) -> str:
    """Return a text as the name of a task: lower case, and `-` for what a name cannot have."""
    plain = re.sub(r"[^a-z0-9._-]+", "-", text.lower()).lstrip("._-")[:63].rstrip("-")
    return plain or "task"
