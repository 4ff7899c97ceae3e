"""From a question and a claim to a clause: the grammar's one entrance."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache

from asd_rewriter.rules.grammar.clause import Clause
from asd_rewriter.rules.grammar.counts import read_count
from asd_rewriter.rules.grammar.frames import Frame, clause
from asd_rewriter.rules.grammar.lexicon import is_gerund
from asd_rewriter.rules.grammar.others import (
    read_choice,
    read_how,
    read_on_side,
    read_when,
    read_where,
    read_who,
)
from asd_rewriter.rules.grammar.slots import fill
from asd_rewriter.rules.grammar.tokens import Words, is_state
from asd_rewriter.rules.grammar.what import read_what
from asd_rewriter.rules.grammar.which import read_which
from asd_rewriter.rules.grammar.words import AUXILIARIES, PREPOSITIONS

MAX_CHARS = 160
"""A longer question is not read: it holds more than one plain clause."""
_GREETING = re.compile(r"\A(?:(?:hi|hello|hey|okay|ok|so|please|um|and|also)(?:,| )\s*)+", re.I)
_THANKS = re.compile(r"(?:[\s,.?!]*\b(?:please|thank you(?: very much)?|thanks))+[\s.!?]*\Z", re.I)
_TELL_ME = re.compile(
    r"(?:(?:can|could|would) you (?:please )?(?:tell|show) me|please tell me|tell me|do you know) "
    r"(what|where|who) (?:(color|colour|brand|kind of \w+|type of \w+) )?"
    r"(this|that|it|these|(?:this|that|the) [\w ]+?) (is|are)",
    re.I,
)
_SHORT_IS = re.compile(r"\b(what|who|where)(?:'|’)s\b", re.I)
_OFFER = re.compile(r",? (?:on |to )?(?:the |an? )?\w+(?: or|, or) (?:on |to )?(?:the |an? )?\w+\Z")
_RELATIVE = re.compile(r"(?<=\w) (?:that|which|who) (?:is|are) (\w+)(?= \w)")
_PLAIN = re.compile(r"[\w ,'&.-]+")


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
    text = _plain(question)
    if text is None or not _PLAIN.fullmatch(text):
        return None
    first, _, rest = text.partition(" ")
    small = first.lower()
    if small in AUXILIARIES:
        return read_choice(text)
    if "," in text:
        text = _OFFER.sub("", text) if text.count(",") == 1 else text
        rest = text.partition(" ")[2]
    if small == "on":
        return read_on_side(text)
    if "," in text or " or " in text or small not in _READERS:
        return None
    words = rest.split()
    return _READERS[small](words) if words else None


def _plain(question: str) -> str | None:
    """Take off greetings, thanks and question mark; ask indirect questions directly."""
    text = _GREETING.sub("", question.strip(), count=1) if question[:1].isalpha() else question
    text = _THANKS.sub("", text.strip()).rstrip()
    if not text.endswith("?") and text == question.strip():
        return None
    text = _SHORT_IS.sub(lambda found: f"{found[1]} is", text.rstrip(" ?.!"))
    if found := _TELL_ME.fullmatch(text):
        word, noun, subject, verb = found.groups()
        text = " ".join(it for it in (word, noun, verb, subject) if it)
    return _RELATIVE.sub(_reduced, text) if "?" not in text else None


def _reduced(found: re.Match[str]) -> str:
    """Shorten the dog that is on the bed to the dog on the bed."""
    word = found[1].lower()
    plain = word in PREPOSITIONS or is_gerund(word) or is_state(word)
    return f" {found[1]}" if plain else found[0]


def _what(words: Words) -> Frame | None:
    first = words[0].lower()
    if first in AUXILIARIES:
        return read_what(first, words[1:])
    return read_which(words)


def _which(words: Words) -> Frame | None:
    return None if words[0].lower() in AUXILIARIES | {"of", "one"} else read_which(words)


def _how(words: Words) -> Frame | None:
    return read_count(words[1:]) if words[0].lower() == "many" else read_how(words)


_READERS: Mapping[str, Callable[[Words], Frame | None]] = {
    "what": _what,
    "which": _which,
    "where": read_where,
    "who": read_who,
    "when": read_when,
    "how": _how,
}
