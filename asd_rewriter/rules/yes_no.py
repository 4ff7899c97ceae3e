"""To yes/no: a natural question where the grammar is certain, else "Is the answer ...?"."""

from __future__ import annotations

from collections.abc import Sequence

from asd_rewriter.facts import Fact
from asd_rewriter.formats import AnswerFormat
from asd_rewriter.rewriter import FALLBACK_WORDING, Rewritten
from asd_rewriter.rules.regions import show_question
from asd_rewriter.rules.wording import ask
from asd_rewriter.samples import Turn

CLAIMS_TRIED = 3
Asked = tuple[str, str]


def to_yes_no(
    fact: Fact, claim: str, true: bool, notes: tuple[str, ...] = (), natural: bool = True
) -> Rewritten:
    """Ask whether `claim` is the answer; `true` says that it is. `natural`: not the fallback."""
    asked = _natural(fact, claim) if natural else None
    if asked is None:
        asked = f'{fact.question}\nIs the answer "{claim}"?', claim
        notes = (FALLBACK_WORDING, *notes)
    question, claim = asked
    turn = Turn(question=question, answer="yes" if true else "no", format=AnswerFormat.YES_NO)
    return Rewritten(turn, claim, notes)


def rival(fact: Fact, wrong: Sequence[str]) -> tuple[str, bool]:
    """Return the wrong answer to ask about, and whether a natural question fits.

    It does where it fits the right answer and the wrong one alike: the wording must not give the
    truth away.
    """
    if _natural(fact, fact.answer):
        for claim in wrong:
            if _natural(fact, claim):
                return claim, True
    return wrong[0], False


def _natural(fact: Fact, claim: str) -> Asked | None:
    return show_question(fact, claim) if fact.native is AnswerFormat.BOX else ask(fact, claim)
