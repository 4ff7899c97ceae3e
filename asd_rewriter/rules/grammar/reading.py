"""From a question and a claim to a clause: the grammar's one entrance."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache

from asd_rewriter.rules.grammar.choices import read_choice
from asd_rewriter.rules.grammar.clause import Clause
from asd_rewriter.rules.grammar.counts import read_count
from asd_rewriter.rules.grammar.frames import Frame, clause, joined
from asd_rewriter.rules.grammar.how import read_how, read_why
from asd_rewriter.rules.grammar.others import (
    read_after_preposition,
    read_on_side,
    read_when,
    read_where,
    read_who,
    read_whose,
)
from asd_rewriter.rules.grammar.rewording import reworded
from asd_rewriter.rules.grammar.slots import fill
from asd_rewriter.rules.grammar.tokens import Words
from asd_rewriter.rules.grammar.what import read_what
from asd_rewriter.rules.grammar.which import read_which
from asd_rewriter.rules.grammar.words import AUXILIARIES, PREPOSITIONS

MAX_CHARS = 160
"""A longer question is not read: it holds more than one plain clause."""
_OFFER = re.compile(
    r"[,:]? (?:on |to )?(?:the |an? )?\w+(?: or|, or) (?:on |to )?(?:the |an? )?\w+\Z"
)
_PLAIN = re.compile(r"[\w ,'&.:\"%$°-]+")


def read_clause(question: str, claim: str) -> Clause | None:
    """Return the clause that makes a claim about a one-line question; None when not certain."""
    frame = read_question(question)
    if frame is None or not claim:
        return None
    filled = fill(frame, claim)
    return None if filled is None else clause(frame, filled)


@lru_cache(maxsize=8192)
def read_question(question: str) -> Frame | None:
    """Return the frame of an English question, or None when its grammar is not certain."""
    if len(question) > MAX_CHARS:
        return None
    found = reworded(question)
    if found is None or not _PLAIN.fullmatch(found[0]):
        return None
    frame = _read(found[0])
    if frame is None or not found[1]:
        return frame
    return replace(frame, after=joined(frame.after, found[1]))


def _read(text: str) -> Frame | None:
    first, _, rest = text.partition(" ")
    small = first.lower()
    if small in AUXILIARIES:
        return read_choice(text)
    if "," in text or ":" in text:
        text = _OFFER.sub("", text) if text.count(",") + text.count(":") == 1 else text
        rest = text.partition(" ")[2]
    if small in PREPOSITIONS:
        return read_on_side(text) or read_after_preposition(text.split())
    if "," in text or ":" in text or " or " in text or small not in _READERS:
        return None
    words = rest.split()
    return _READERS[small](words) if words else None


def _what(words: Words) -> Frame | None:
    first = words[0].lower()
    if first in AUXILIARIES - {"has", "have"}:
        return read_what(first, words[1:])
    return read_which(words)


def _which(words: Words) -> Frame | None:
    first, second = [word.lower() for word in (*words, "")[:2]]
    unclear = first in AUXILIARIES | {"of"} or (first == "one" and second in AUXILIARIES)
    return None if unclear else read_which(words)


def _how(words: Words) -> Frame | None:
    return read_count(words[1:]) if words[0].lower() == "many" else read_how(words)


_READERS: Mapping[str, Callable[[Words], Frame | None]] = {
    "what": _what,
    "which": _which,
    "where": read_where,
    "who": read_who,
    "whose": read_whose,
    "why": read_why,
    "when": read_when,
    "how": _how,
}
