"""To yes/no: a natural question where the grammar is certain, else "Is the answer ...?"."""

from __future__ import annotations

from asd_rewriter.facts import Fact
from asd_rewriter.formats import AnswerFormat
from asd_rewriter.rewriter import FALLBACK_WORDING, Rewritten
from asd_rewriter.rules.regions import show_question
from asd_rewriter.rules.wording import ask
from asd_rewriter.samples import Turn


def to_yes_no(fact: Fact, claim: str, true: bool, notes: tuple[str, ...] = ()) -> Rewritten:
    """Ask whether `claim` is the answer; `true` says that it is."""
    asked = show_question(fact, claim) if fact.native is AnswerFormat.BOX else ask(fact, claim)
    if asked is None:
        asked = f'{fact.question}\nIs the answer "{claim}"?', claim
        notes = (FALLBACK_WORDING, *notes)
    question, claim = asked
    turn = Turn(question=question, answer="yes" if true else "no", format=AnswerFormat.YES_NO)
    return Rewritten(turn, claim, notes)
