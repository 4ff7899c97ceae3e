"""Reading a text for an answer: does it say it, does it name another one."""

from __future__ import annotations

import re
from collections.abc import Iterator

from asd_rewriter.answers import NUMBER_WORDS, normalise
from asd_rewriter.facts import Fact

_OPENING = re.compile(r"\s*(yes|no)\b", re.I)
_NAMED = re.compile(
    r"\b(?:the|my)(?: (?:correct|right|best))? answer (?:is|must be|would be) ", re.I
)


def says(text: str, answer: str) -> bool:
    """Whether a text says an answer in so many words: not as a part of another word or number.

    Case, outer punctuation and a leading article do not count, and a number may be a word.
    """
    plain = " ".join(text.casefold().split())
    bare = normalise(answer)
    wordings = {bare, " ".join(answer.casefold().split()), NUMBER_WORDS.get(bare, bare)}
    return any(_occurs(wording, plain) for wording in wordings if wording)


def named_answers(text: str, fact: Fact) -> Iterator[str]:
    """Yield the answers that an explanation names outright, to be compared with the right one.

    These are a "yes" or "no" it opens with, where the answer is one of them; and what follows
    "The answer is", where that is another option, or the other one of yes and no.
    """
    plain = normalise(fact.answer)
    others = {normalise(it) for it in fact.options} - {plain}
    if plain in ("yes", "no"):
        others |= {"yes", "no"} - {plain}
        if opening := _OPENING.match(text):
            yield opening[1]
    for found in _NAMED.finditer(text):
        rest = text[found.end() : found.end() + 200].casefold()
        yield from (it for it in others if _starts(rest, it) and not _starts(rest, plain))


def _occurs(wording: str, text: str) -> bool:
    at = text.find(wording)
    while at >= 0:
        end = at + len(wording)
        if not _joined(text, at) and not _joined(text, end):
            return True
        at = text.find(wording, at + 1)
    return False


def _joined(text: str, at: int) -> bool:
    """Whether the characters before and after a position belong to one word or number."""
    if not 0 < at < len(text):
        return False
    one, two = text[at - 1], text[at]
    if one.isalnum() and two.isalnum():
        return not (_is_sign(one) or _is_sign(two))
    decimal = one in ".," and two.isdigit() and at > 1 and text[at - 2].isdigit()
    more = two in ".," and one.isdigit() and at + 1 < len(text) and text[at + 1].isdigit()
    return decimal or more


def _is_sign(character: str) -> bool:
    return "\u3040" <= character <= "\u9fff" or "\uac00" <= character <= "\ud7af"


def _starts(text: str, wording: str) -> bool:
    text = text.lstrip(" \"'“‘")
    return text.startswith(wording) and not _joined(text, len(wording))
