"""Whether answers keep to the format that was asked: a lost style shows here first.

Only the form counts, never whether the answer is right. The rules are `RULES`; an empty answer
keeps to no format.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from pydantic import BaseModel, ConfigDict, Field

from asd_rewriter.answers import count_words, is_yes_no, parse_box, parse_letter, parse_options
from asd_rewriter.formats import EXPLANATION_WORDS, OPTION_LETTERS, AnswerFormat
from eval.intervals import Interval, PairedChange, paired_changes, wilson
from eval.items import EvalItem

SHORT_WORDS = 5
"""Most words of a short answer, unless an accepted one is longer."""
CAPTION_WORDS = (3, 60)
_BRIEF, _DETAILED = AnswerFormat.BRIEF_EXPLANATION, AnswerFormat.DETAILED_EXPLANATION


def _between(limits: tuple[int, int]) -> str:
    return f"{limits[0]} to {limits[1]} words"


RULES: Mapping[AnswerFormat, str] = {
    AnswerFormat.SHORT_ANSWER: (
        f"at most {SHORT_WORDS} words (or as many as an accepted answer has) on one line; a lone "
        "option letter, yes or no, or a box only where an accepted answer is one"
    ),
    AnswerFormat.YES_NO: "yes or no, nothing else",
    AnswerFormat.MULTIPLE_CHOICE: "the letter of a listed option, nothing else",
    AnswerFormat.BOX: "four numbers in brackets, nothing else",
    AnswerFormat.CAPTION: f"one sentence of {_between(CAPTION_WORDS)}",
    _BRIEF: _between(EXPLANATION_WORDS[_BRIEF]),
    _DETAILED: _between(EXPLANATION_WORDS[_DETAILED]),
}
"""What keeps to each format, in words for people."""

TaskAnswers = Mapping[str, Mapping[str, str]]
"""Answers by task, then item digest: two tasks may ask the same of other versions."""

_NEXT_SENTENCE = re.compile(r"[.!?]\s+[^\W\d_a-z]")


class Kept(BaseModel):
    """How many of n >= 1 answers keep to their format."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kept: int = Field(ge=0)
    n: int = Field(ge=1)

    @property
    def percent(self) -> float:
        """The share that keeps to it, 0 to 100."""
        return 100 * self.kept / self.n

    @property
    def interval(self) -> Interval:
        """95 % interval of the share (Wilson), in percent."""
        return wilson(self.percent, self.n)


class FormatCompliance(BaseModel):
    """How well one task's answers keep to one format that it asks for.

    Args:
        task: its name.
        format: what was asked for.
        now: of the version reported on.
        learned: of the version that learned the task, on the same items; None: not compared.
        change: now against learned in percentage points, paired, corrected over all tasks and
            formats compared together; None where `learned` is.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    task: str
    format: AnswerFormat
    now: Kept
    learned: Kept | None = None
    change: PairedChange | None = None


def keeps_format(item: EvalItem, answer: str) -> bool:
    """Whether an answer has the form that its item asks for, see `RULES`."""
    text = answer.strip()
    if not text:
        return False
    match item.format:
        case AnswerFormat.SHORT_ANSWER:
            return _is_short(item, text)
        case AnswerFormat.YES_NO:
            return is_yes_no(text)
        case AnswerFormat.MULTIPLE_CHOICE:
            return (parse_letter(text) or "-") in _letters(item)
        case AnswerFormat.BOX:
            return _is_box(text)
        case AnswerFormat.CAPTION:
            return _has_words(text, CAPTION_WORDS) and not _NEXT_SENTENCE.search(text)
        case _:
            return _has_words(text, EXPLANATION_WORDS[item.format])


def format_compliance(
    items: Iterable[EvalItem], now: TaskAnswers, learned: TaskAnswers | None = None
) -> list[FormatCompliance]:
    """Return the compliance of every task and format, in the order in which they come.

    Args:
        items: of any tasks; those without an answer on a side that is given are passed over.
        now: answers of the version reported on.
        learned: answers of the version that learned each task.
    """
    groups: dict[tuple[str, AnswerFormat], dict[str, EvalItem]] = {}
    for item in items:
        if _has(now, item) and (learned is None or _has(learned, item)):
            groups.setdefault((item.task, item.format), {})[item.digest] = item
    after = {_key(*it): _kept(asked, now[it[0]]) for it, asked in groups.items()}
    if learned is None:
        return [_compliance(*group, after[_key(*group)]) for group in groups]
    before = {_key(*it): _kept(asked, learned[it[0]]) for it, asked in groups.items()}
    changes = paired_changes(before, after)
    return [
        _compliance(*group, after[key], before[key], changes[key])
        for group, key in ((group, _key(*group)) for group in groups)
    ]


def _has(answers: TaskAnswers, item: EvalItem) -> bool:
    return item.digest in answers.get(item.task, {})


def _key(task: str, answer_format: AnswerFormat) -> str:
    return f"{answer_format}:{task}"


def _kept(items: Mapping[str, EvalItem], answers: Mapping[str, str]) -> dict[str, float]:
    return {digest: float(keeps_format(item, answers[digest])) for digest, item in items.items()}


def _compliance(
    task: str,
    answer_format: AnswerFormat,
    now: Mapping[str, float],
    learned: Mapping[str, float] | None = None,
    change: PairedChange | None = None,
) -> FormatCompliance:
    return FormatCompliance(
        task=task,
        format=answer_format,
        now=_count(now),
        learned=None if learned is None else _count(learned),
        change=change,
    )


def _count(kept: Mapping[str, float]) -> Kept:
    return Kept(kept=int(sum(kept.values())), n=len(kept))


def _is_short(item: EvalItem, text: str) -> bool:
    most = max(SHORT_WORDS, *(count_words(it) for it in item.references))
    if "\n" in text or count_words(text) > most:
        return False
    other_forms = (parse_letter, _is_box, is_yes_no)
    return not any(form(text) and not any(map(form, item.references)) for form in other_forms)


def _is_box(text: str) -> bool:
    return text.strip().startswith("[") and text.strip().endswith("]") and bool(parse_box(text))


def _letters(item: EvalItem) -> str:
    listed = parse_options(item.question)
    return OPTION_LETTERS[: len(listed.options)] if listed else OPTION_LETTERS


def _has_words(text: str, limits: tuple[int, int]) -> bool:
    return limits[0] <= count_words(text) <= limits[1]
