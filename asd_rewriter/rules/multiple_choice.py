"""To multiple choice: the right answer among wrong ones, one a line, answered by its letter."""

from __future__ import annotations

from collections.abc import Sequence

from asd_rewriter.facts import Fact
from asd_rewriter.formats import OPTION_LETTERS, AnswerFormat, options_block
from asd_rewriter.rewriter import FEWER_OPTIONS, Rewritten
from asd_rewriter.rules.regions import which_question
from asd_rewriter.samples import Turn

NUM_OPTIONS = 4


def to_multiple_choice(
    fact: Fact, wrong: Sequence[str], position: int, notes: tuple[str, ...] = ()
) -> Rewritten:
    """List the wrong answers (1 to 7) with the right one at `position`, from 0."""
    asked = which_question(fact) if fact.native is AnswerFormat.BOX else fact.question
    options = [*wrong[:position], fact.answer, *wrong[position:]]
    turn = Turn(
        question=f"{asked}\n{options_block(options)}",
        answer=OPTION_LETTERS[options.index(fact.answer)],
        format=AnswerFormat.MULTIPLE_CHOICE,
    )
    if len(options) < NUM_OPTIONS:
        notes = (FEWER_OPTIONS, *notes)
    return Rewritten(turn, notes=notes)
