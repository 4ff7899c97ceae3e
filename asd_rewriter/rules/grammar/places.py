"""Places and times as claims: with the preposition that English asks for, where it is certain."""

from __future__ import annotations

import re

from asd_rewriter.rules.grammar.nouns import Number, read_noun_phrase
from asd_rewriter.rules.grammar.words import (
    AT,
    DURING,
    IN,
    ON,
    PARTS_OF_DAY,
    PLACE_ADVERBS,
    PLACE_PREPOSITIONS,
)

_TO_SIDE = re.compile(
    r"(?:to|on|at|in) the (?:far |top |bottom |upper |lower )?(?:left|right|top|bottom"
    r"|middle|center|centre|back|front|end)(?: side)?(?: of (?:the|this|his|her|a) [a-z ]+)?"
)
_YEAR = re.compile(r"1\d{3}|20\d{2}|(?:1\d|20)\d0s")
_CLOCK = re.compile(r"\d{1,2}(?:[:.]\d{2})?(?: ?[ap]\.?m\.?)|\d{1,2}:\d{2}")
_SIDES = ("left", "right", "left side", "right side", "far left", "far right")
_MONTHS = ("january", "february", "march", "april", "may", "june", "july", "august", "september",
           "october", "november", "december")  # fmt: skip
_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


def placed(claim: str) -> str | None:
    """Return a place as it follows "The dog is ...": on the couch, outside; None if uncertain."""
    words = claim.split()
    if claim in PLACE_ADVERBS or _TO_SIDE.fullmatch(claim):
        return claim
    if words[0] in PLACE_PREPOSITIONS and len(words) > 1:
        return _after_preposition(words)
    if claim in _SIDES:
        return f"on the {claim}"
    if claim in ("top", "bottom"):
        return f"at the {claim}"
    bare = words[1:] if words[0] == "the" else words
    preposition = _preposition(bare[-1]) if bare else None
    found = read_noun_phrase(" ".join(bare)) if bare else None
    known = len(bare) == 1 or (found is not None and found.number is not Number.MASS)
    if preposition is None or not known or " of " in claim:
        return None
    if claim == "home":
        return "at home"
    return f"{preposition} the {' '.join(bare)}"


def _preposition(head: str) -> str | None:
    for preposition, heads in (("on", ON), ("in", IN), ("at", AT)):
        if head in heads:
            return preposition
    return None


def _after_preposition(words: list[str]) -> str | None:
    rest = words[1:]
    if rest[:2] in (["top", "of"], ["front", "of"]) and words[0] in ("on", "in"):
        rest = rest[2:]
    elif words[0] == "next" and rest[0] == "to":
        rest = rest[1:]
    elif words[0] in ("next", "up", "down", "to"):
        return None
    if not rest:
        return None
    found = read_noun_phrase(" ".join(rest))
    if found is None or not (found.determined or found.number is not Number.ONE):
        return None
    return " ".join(words)


def timed(claim: str) -> str | None:
    """Return a time as it follows "It was taken ...": at night, in 1999; None if uncertain."""
    first, _, rest = claim.partition(" ")
    small = claim.casefold()
    if first in ("in", "at", "on", "during", "before", "after") and rest:
        return claim
    if _CLOCK.fullmatch(small):
        return f"at {claim}"
    if small in ("night", "noon", "midnight", "dusk", "dawn", "sunset", "sunrise", "lunchtime"):
        return f"at {claim}"
    if claim in PARTS_OF_DAY:
        return f"in the {claim}"
    if claim in ("day", "daytime"):
        return f"during the {claim}"
    if claim in DURING:
        return f"in {claim}" if claim in ("winter", "summer", "spring", "autumn") else None
    if _YEAR.fullmatch(claim):
        return f"in the {claim}" if claim.endswith("s") else f"in {claim}"
    if small in _MONTHS and claim[0].isupper():
        return f"in {claim}"
    if small in _DAYS and claim[0].isupper():
        return f"on {claim}"
    return claim if small in ("today", "yesterday", "recently", "tomorrow") else None
