"""The wording of a claim about a question: asked or stated in plain English where it is certain."""

from __future__ import annotations

import re
from functools import lru_cache

from asd_rewriter.facts import Fact
from asd_rewriter.rules.grammar.clause import Clause
from asd_rewriter.rules.grammar.reading import read_clause, read_question

_LAST_SENTENCE = re.compile(r"(.*[.!:]\s+)([A-Z][^.!?]*\?)")


@lru_cache(maxsize=4096)
def _place(question: str) -> tuple[str, str, str] | None:
    """Return the one sentence that can be read, with the texts before and after it."""
    lines = question.split("\n")
    asking = [at for at, line in enumerate(lines) if line.rstrip().endswith("?")]
    if not asking:
        asking = [0]
    if len(asking) != 1:
        return None
    at = asking[0]
    before = "".join(f"{line}\n" for line in lines[:at])
    after = "".join(f"\n{line}" for line in lines[at + 1 :])
    if read_question(lines[at]) is not None:
        return before, lines[at], after
    found = _LAST_SENTENCE.fullmatch(lines[at])
    if found and read_question(found[2]) is not None:
        return before + found[1], found[2], after
    return None


def ask(fact: Fact, claim: str) -> tuple[str, str] | None:
    """Return the yes/no question about a claim, and the claim as it stands in it.

    None where a yes could mean either: "Are you not allowed to smoke here?"
    """
    place = None if fact.needs_options else _place(fact.question)
    clause = read_clause(place[1], claim) if place else None
    if place is None or clause is None or clause.rest.startswith("not "):
        return None
    if clause.claim not in clause.asked():
        return None
    return f"{place[0]}{clause.asked()}{place[2]}", clause.claim


def state(fact: Fact) -> str | None:
    """Return a statement of a fact's answer, or None when its grammar is not certain."""
    place = None if fact.needs_options else _place(fact.question)
    clause: Clause | None = read_clause(place[1], fact.answer) if place else None
    return clause.stated() if clause else None
