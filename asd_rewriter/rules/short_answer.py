"""To a short answer: the option's text instead of its letter, what a box shows."""

from __future__ import annotations

from asd_rewriter.facts import Fact
from asd_rewriter.formats import AnswerFormat
from asd_rewriter.rewriter import Declined, Rewritten
from asd_rewriter.rules.regions import to_expression
from asd_rewriter.samples import Turn

NEEDS_OPTIONS = "question_needs_its_options"


def to_short_answer(fact: Fact) -> Rewritten | Declined:
    """Ask the plain question; declined where it makes no sense without its list of options."""
    if fact.native is AnswerFormat.BOX:
        return to_expression(fact)
    if fact.needs_options:
        return Declined(NEEDS_OPTIONS)
    turn = Turn(
        question=fact.question,
        answer=fact.answer,
        format=AnswerFormat.SHORT_ANSWER,
        references=fact.accepted,
    )
    return Rewritten(turn)
