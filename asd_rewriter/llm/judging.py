"""From a reply's texts to a turn, and whether they may be used: wrong answers that are wrong,
explanations that explain."""

from __future__ import annotations

import re
from collections.abc import Sequence

from asd_rewriter.answers import is_yes_no, normalise
from asd_rewriter.checks import check
from asd_rewriter.facts import Fact
from asd_rewriter.formats import AnswerFormat
from asd_rewriter.llm.prompts import WRONG_OPTIONS, Kind
from asd_rewriter.llm.questions import Question
from asd_rewriter.rewriter import DISTRACTORS, Outcome, Rewritten
from asd_rewriter.rules.explanations import to_brief_explanation, to_detailed_explanation
from asd_rewriter.rules.multiple_choice import to_multiple_choice
from asd_rewriter.rules.sameness import too_close
from asd_rewriter.rules.yes_no import to_yes_no

FROM_MODEL = f"{DISTRACTORS}model"
MAX_OPTION_CHARS = 80

_GIVEN = re.compile(
    r"\b(?:given|provided|supplied|reference|stated) answer\b|"
    r"\banswer (?:that )?(?:was|is) (?:given|provided)\b",
    re.I,
)
_LETTERED = re.compile(r"\A\(?[A-H][.):]\)?\s+(?=\S)")
_COORDINATES = re.compile(r"\[\s*[\d.]+\s*,")


def build(question: Question, texts: Sequence[str], dealt: int) -> Outcome:
    """Return the turn that the texts make. `dealt`: the right option's place; for yes/no, 0 = yes.

    The wording of questions is the rules'.
    """
    fact, target = question.fact, question.request.target
    if question.kind is not Kind.WRONG:
        return _explained(question, texts[0])
    wrong = [tidy_wrong(fact, text) for text in texts]
    if target is AnswerFormat.MULTIPLE_CHOICE:
        made: Outcome = to_multiple_choice(fact, wrong, dealt)
    else:
        made = to_yes_no(fact, wrong[0] if dealt else fact.answer, not dealt)
    if not isinstance(made, Rewritten):
        return made
    return Rewritten(made.turn, made.claim, (*made.notes, FROM_MODEL))


def judge(question: Question, texts: Sequence[str]) -> str | None:
    """Return why the texts must not be used (a stable word), or None when they are sound."""
    wanted = WRONG_OPTIONS.get(question.request.target, 1)
    if len(texts) != wanted:
        return "wrong_count"
    reason = (
        _judge_wrong(question.fact, texts)
        if question.kind is Kind.WRONG
        else _judge_explanation(question.kind, texts[0])
    )
    if reason is not None:
        return reason
    trial = build(question, texts, 1)
    return check(question.request, trial) if isinstance(trial, Rewritten) else trial.reason


def tidy_wrong(fact: Fact, text: str) -> str:
    """Return a wrong answer without a letter or full stop, in the case of the right answer."""
    text = _LETTERED.sub("", text).strip().rstrip(" .") or text
    right = fact.answer
    if right.isupper() and len(right) > 1:
        return text.upper()
    if right.islower() and text.istitle() and " " not in text:
        return text.lower()
    return text[:1].upper() + text[1:] if right[:1].isupper() and text.islower() else text


def _judge_wrong(fact: Fact, texts: Sequence[str]) -> str | None:
    tidy = [tidy_wrong(fact, text) for text in texts]
    names = [normalise(text) for text in tidy]
    if not all(any(it.isalnum() for it in name) for name in names):
        return "empty_option"
    if any(len(text) > MAX_OPTION_CHARS for text in tidy):
        return "too_long"
    if any(is_yes_no(text) for text in tidy):
        return "yes_or_no_as_option"
    right = [normalise(it) for it in (fact.answer, *fact.accepted)]
    if any(too_close(name, other) for name in names for other in right):
        return "right_answer_as_wrong"
    return "options_not_distinct" if len(set(names)) < len(names) else None


def _judge_explanation(kind: Kind, text: str) -> str | None:
    if kind is Kind.DESCRIBE:
        return "has_coordinates" if _COORDINATES.search(text) else None
    return "mentions_given_answer" if _GIVEN.search(text) else None


def _explained(question: Question, text: str) -> Outcome:
    fact, target = question.fact, question.request.target
    brief = target is AnswerFormat.BRIEF_EXPLANATION
    made = to_brief_explanation(fact) if brief else to_detailed_explanation(fact)
    if not isinstance(made, Rewritten):
        return made
    answer = f"{fact.answer}: {text}" if question.kind is Kind.DESCRIBE else text
    return Rewritten(made.turn.model_copy(update={"answer": answer}))
