"""Noun phrases: whether a claim is one, how many things it names, and the article it needs."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from asd_rewriter.rules.grammar.lexicon import (
    is_gerund,
    lemmas,
    plural,
    singular,
    with_article,
)
from asd_rewriter.rules.grammar.words import (
    AUXILIARIES,
    COLOURS,
    COUNT,
    DETERMINERS,
    ING_NOUNS,
    MASS,
    NUMBER_WORDS,
    PLURAL_ONLY,
    PREPOSITIONS,
    PRONOUNS,
    SHADES,
)

_WORDS = re.compile(r"[A-Za-z0-9][\w'&.-]*(?: [\w'&.-]+)*")
_LOWER = re.compile(r"[a-z]+(?:-[a-z]+)*")
_MAX_WORDS = 6
_MASS_ENDS = ("ology", "istry", "ness", "itis", "osis", "emia", "monia")
_NO_MASS = ("witness", "business", "harness", "illness", "wilderness")
_ADJECTIVE_ENDS = tuple(
    ["ic", "al", "ive", "ous", "ful", "less", "y", "ed", "ish", "ant", "ent", "ary"]
)
_OWN = ("itself", "himself", "herself", "themselves")
_ONE_OF_TWO = ("upper ", "lower ")
_NUMBERED = re.compile(r"number \d+")


class Number(StrEnum):
    """How many things a noun phrase names; a mass noun takes no article."""

    ONE = "one"
    MANY = "many"
    MASS = "mass"


@dataclass(frozen=True)
class NounPhrase:
    """A noun phrase as it was written. `determined`: needs no article (the dog, Bob)."""

    text: str
    number: Number
    determined: bool = False

    @property
    def placed(self) -> str:
        """The phrase as it stands in a sentence: with the article that it needs."""
        if not self.determined and self.text.startswith(_ONE_OF_TWO):
            return f"the {self.text}"
        bare = self.determined or self.number is not Number.ONE
        return self.text if bare else with_article(self.text)

    @property
    def is_many(self) -> bool:
        """Whether a verb must be plural."""
        return self.number is Number.MANY

    def multiplied(self) -> NounPhrase | None:
        """Return the regular plural of one thing, such that the phrase is still to be read."""
        if self.number is not Number.ONE or self.determined or " of " in self.text:
            return None
        many = plural(self.text)
        return NounPhrase(many, Number.MANY) if many.startswith(self.text) else None


@lru_cache(maxsize=8192)
def read_noun_phrase(
    text: str, *, lenient: bool = False, counted: bool = False
) -> NounPhrase | None:
    """Return the noun phrase that a text is, or None when that is not certain.

    `lenient`: an unknown word is taken for a thing (a tench). `counted`: baseball is a ball here.
    """
    words = text.split()
    if not _WORDS.fullmatch(text) or len(words) > _MAX_WORDS:
        return None
    if words[0] in _OWN or _NUMBERED.fullmatch(text):
        return NounPhrase(text, Number.ONE, determined=True)
    determined = words[0] in DETERMINERS
    core = words[1:] if determined else words
    if not core or (not determined and words[0] in PRONOUNS):
        return None
    head_part = _before_preposition(core)
    number = _number(head_part, lenient, counted)
    if number is None or (len(head_part) < len(core) and not _good_rest(core[len(head_part) :])):
        return None
    return _determined(text, words[0], number) if determined else NounPhrase(text, number)


def _determined(text: str, first: str, number: Number) -> NounPhrase | None:
    one = first in ("a", "an", "this", "that", "another", "each", "every")
    many = first in ("these", "those", "both")
    if (one and number is not Number.ONE) or (many and number is not Number.MANY):
        return None
    return NounPhrase(text, number, determined=True)


def _before_preposition(words: list[str]) -> list[str]:
    for at, word in enumerate(words):
        if at and word in PREPOSITIONS:
            return words[:at]
    return words


def _good_rest(words: list[str]) -> bool:
    return len(words) > 1 and bool(_LOWER.fullmatch(words[-1])) and _is_noun(words[-1])


def _is_noun(word: str) -> bool:
    return word in COUNT or word in MASS or word in PLURAL_ONLY or "NOUN" in lemmas(word)


def _number(words: list[str], lenient: bool, counted: bool) -> Number | None:
    if not words or not all(_fits_before(word) for word in words[:-1]):
        return None
    head = words[-1]
    if not _LOWER.fullmatch(head) or head in (PREPOSITIONS | AUXILIARIES | PRONOUNS) - {"can"}:
        return None
    if any(word.isdigit() or word in NUMBER_WORDS for word in words):
        return None
    return noun_number(head, lenient=lenient, counted=counted)


def _fits_before(word: str) -> bool:
    if word in PREPOSITIONS or word in AUXILIARIES or word in DETERMINERS or word in PRONOUNS:
        return False
    known = lemmas(word)
    return not known or bool({"NOUN", "ADJ"} & known.keys()) or word.endswith(("ing", "ed"))


def noun_number(head: str, *, lenient: bool = False, counted: bool = False) -> Number | None:
    """Return how many things a lower-case noun names, or None when it is not surely a noun."""
    if head in PLURAL_ONLY:
        return Number.MANY
    if counted and head in COUNT | MASS and head.endswith(("ball", "frisbee")):
        return Number.ONE
    if head in MASS:
        return Number.MASS
    if head in COUNT:
        return Number.ONE
    if head[-1:] == "s" and head[:-1] in COUNT:
        return Number.MANY
    if head in COLOURS or head in SHADES or is_gerund(head):
        return None
    known = lemmas(head)
    if not known and "-" in head and "-of-" not in head:
        return noun_number(head.rpartition("-")[2], lenient=lenient)
    if head.endswith(_MASS_ENDS) and head not in _NO_MASS:
        return Number.MASS
    if not known:
        return Number.ONE if lenient and _looks_like_one(head) else None
    if "NOUN" not in known or "ADV" in known:
        return None
    if "ADJ" in known and (not lenient or head.endswith(_ADJECTIVE_ENDS)):
        return None
    if head.endswith("ing") and "VERB" in known and head not in ING_NOUNS:
        return None
    if singular(head) is not None:
        return Number.MANY
    return Number.MASS if plural_is_bare(head) else Number.ONE


def plural_is_bare(head: str) -> bool:
    """Whether a noun has no plural form of its own, such as furniture."""
    from asd_rewriter.rules.grammar.lexicon import inflected

    return inflected(head, "NNS") == (head,)


def _looks_like_one(word: str) -> bool:
    return len(word) > 2 and not word.endswith(("s", "ing", "ed", "ly", "ish"))
