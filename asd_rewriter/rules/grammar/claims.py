"""What any claim is read by: its capital, and whether it is a property."""

from __future__ import annotations

import re

from asd_rewriter.rules.grammar.lexicon import is_adjective, known
from asd_rewriter.rules.grammar.words import NUMBER_WORDS, UNSURE

_UNQUOTED = re.compile(r"[\"\n“”]")
_LONGEST_QUOTE = 100


def lowered(claim: str) -> str:
    """Return a claim whose one capital only marks its beginning, without the capital."""
    first, _, _ = claim.partition(" ")
    small = claim[0].lower() + claim[1:]
    return small if small.islower() and known(first.lower()) else claim


def is_property(word: str) -> bool:
    """Whether a word may stand alone as a property: The weather is sunny."""
    plain = word.isalpha() and word not in NUMBER_WORDS and word != "right"
    return plain and (is_adjective(word) or word in ("plaid", "checkered", "striped"))


def quotable(claim: str) -> bool:
    """Whether a claim may stand in quotation marks: one short line without such marks."""
    fits = 0 < len(claim) <= _LONGEST_QUOTE and not _UNQUOTED.search(claim)
    return fits and claim.casefold() not in UNSURE and any(map(str.isalnum, claim))
