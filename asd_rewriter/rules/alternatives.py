"""Either/or questions: the other answers that the question itself names beside the right one."""

from __future__ import annotations

import re

from asd_rewriter.answers import normalise
from asd_rewriter.facts import Fact
from asd_rewriter.rules.grammar.words import AUXILIARIES, DETERMINERS, PREPOSITIONS
from asd_rewriter.rules.sameness import too_close

_SENTENCE = re.compile(r"[^.!?\n]+")
_BETWEEN = re.compile(r",? or |, ")
_ASKING = ("what", "which", "who", "where", "how")
_MOST_WORDS = 3


def named_alternatives(fact: Fact) -> list[str]:
    """Return the other answers named: sheep, of "sheep or goats?"; none where it is not sure."""
    right = [normalise(it) for it in (fact.answer, *fact.accepted)]
    for sentence in _SENTENCE.findall(fact.question):
        if " or " in sentence:
            found = _others(sentence.strip(), fact.answer)
            return [it for it in found if not any(too_close(normalise(it), r) for r in right)]
    return []


def _others(sentence: str, answer: str) -> list[str]:
    items = [item.split() for item in _BETWEEN.split(sentence)]
    if not all(items) or any(it[0].casefold() in AUXILIARIES for it in items[1:]):
        return []  # two questions, not two answers
    if items[0][0].casefold() in _ASKING and len(items) > 2:
        items, headed = items[1:], False
    else:
        headed = True
    wanted = answer.split()
    at = next((at for at, it in enumerate(items) if _holds(it, wanted, headed and not at)), None)
    if at is None:
        return []
    opening = _opening(items[at], wanted)
    found = []
    for index, item in enumerate(items):
        if index != at:
            words = _last(item, opening, wanted) if headed and not index else _first(item, wanted)
            found.append(" ".join(words))
    return [it for it in found if it and it.count(" ") < _MOST_WORDS]


def _holds(item: list[str], wanted: list[str], at_end: bool) -> bool:
    small, size = [it.casefold() for it in wanted], len(wanted)
    words = [it.casefold() for it in item]
    return (words[-size:] if at_end else _bare(words)[:size]) == small


def _opening(item: list[str], wanted: list[str]) -> str:
    """Return the determiner before the right answer: my, of "my library card"."""
    small = [it.casefold() for it in item]
    at = small.index(wanted[0].casefold())
    return small[at - 1] if at and small[at - 1] in DETERMINERS else ""


def _last(item: list[str], opening: str, wanted: list[str]) -> list[str]:
    small = [it.casefold() for it in item]
    if opening and opening in small:
        return item[len(small) - small[::-1].index(opening) :]
    return item[-len(wanted) :]


def _first(item: list[str], wanted: list[str]) -> list[str]:
    bare = _bare(item)
    end = next((at for at, it in enumerate(bare) if it.casefold() in PREPOSITIONS), len(bare))
    return bare[:end] if len(bare) < len(item) else bare[: len(wanted)]


def _bare(item: list[str]) -> list[str]:
    at = 0
    while at < len(item) - 1 and item[at].casefold() in DETERMINERS | {"to", "on", "in", "at"}:
        at += 1
    return item[at:]
