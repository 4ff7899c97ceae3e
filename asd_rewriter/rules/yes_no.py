"""To yes/no: "Is the answer ...?", or a natural question where the grammar is certain."""

from __future__ import annotations

import re
from collections.abc import Callable

from asd_rewriter.facts import Fact
from asd_rewriter.formats import AnswerFormat
from asd_rewriter.rewriter import FALLBACK_WORDING, Rewritten
from asd_rewriter.samples import Turn

_NOUN = r"(?:the|this|that|these|those) [^,;:?.\n]{1,60}?"
_PLAIN = re.compile(r"[A-Za-z][A-Za-z -]{0,30}")
_WRITTEN = re.compile(r"\w[\w '&-]{0,30}")
_JOINS = re.compile(r"\b(?:and|or)\b")
Wording = Callable[[re.Match[str], str], str | None]


def _colour(found: re.Match[str], claim: str) -> str | None:
    if not _PLAIN.fullmatch(claim) or _JOINS.search(found[2]):
        return None
    return f"{found[1].capitalize()} {found[2]} {claim}?"


def _count(found: re.Match[str], claim: str) -> str | None:
    return f"Are there {claim} {found[1]}?" if claim.isdigit() and int(claim) > 1 else None


def _say(found: re.Match[str], claim: str) -> str | None:
    return f"Does {found[1]} say {claim}?" if _WRITTEN.fullmatch(claim) else None


def _either(found: re.Match[str], claim: str) -> str | None:
    if claim.casefold() not in (found[3].casefold(), found[4].casefold()):
        return None
    return f"{found[1].capitalize()} {found[2]} {claim}?"


_PATTERNS: tuple[tuple[re.Pattern[str], Wording], ...] = (
    (re.compile(rf"What colou?r (is|are) ({_NOUN})\?", re.I), _colour),
    (re.compile(r"How many ([a-z][a-z -]{0,40}s) are there\?", re.I), _count),
    (re.compile(rf"What does ({_NOUN}) say\?", re.I), _say),
    (re.compile(rf"(Is|Are) ({_NOUN}) ([a-z]+) or ([a-z]+)\?", re.I), _either),
)


def to_yes_no(fact: Fact, claim: str, true: bool) -> Rewritten:
    """Ask whether `claim` is the answer; `true` says that it is."""
    question = natural_question(fact.question, claim)
    notes = () if question else (FALLBACK_WORDING,)
    question = question or f'{fact.question}\nIs the answer "{claim}"?'
    turn = Turn(question=question, answer="yes" if true else "no", format=AnswerFormat.YES_NO)
    return Rewritten(turn, claim, notes)


def natural_question(question: str, claim: str) -> str | None:
    """Return a grammatical yes/no question about the claim, or None when no rule is certain."""
    for pattern, wording in _PATTERNS:
        found = pattern.fullmatch(question)
        if found and (asked := wording(found, claim)):
            return asked
    return None
