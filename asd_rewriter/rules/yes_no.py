"""To yes/no: a natural question where the grammar is certain, else "Is the answer ...?"."""

from __future__ import annotations

from functools import lru_cache

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


def is_natural(fact: Fact) -> bool:
    """Whether a natural question about the right answer is known."""
    return _form(fact) is not None


def reads_alike(fact: Fact, claim: str) -> bool:
    """Whether a wrong answer can be asked about like the right one; true where that one cannot.

    The wording must not give the truth away: both are in quotation marks or neither is.
    """
    form = _form(fact)
    if form is None:
        return True
    asked = _natural(fact, claim)
    return asked is not None and _is_quoted(asked) is form


@lru_cache(maxsize=64)
def _form(fact: Fact) -> bool | None:
    asked = _natural(fact, fact.answer)
    return None if asked is None else _is_quoted(asked)


def _is_quoted(asked: Asked) -> bool:
    question, claim = asked
    return f'"{claim}"' in question


def _natural(fact: Fact, claim: str) -> Asked | None:
    return show_question(fact, claim) if fact.native is AnswerFormat.BOX else ask(fact, claim)
