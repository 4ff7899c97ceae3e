"""Claims in quotation marks, where English takes any name: the team "giants"."""

from __future__ import annotations

import re

from asd_rewriter.rules.grammar.amounts import UNITS
from asd_rewriter.rules.grammar.claims import quotable
from asd_rewriter.rules.grammar.classes import class_of
from asd_rewriter.rules.grammar.frames import Filled, Frame, Slot
from asd_rewriter.rules.grammar.lexicon import is_gerund, known, singular, with_article
from asd_rewriter.rules.grammar.nouns import Number, noun_number
from asd_rewriter.rules.grammar.words import PREPOSITIONS, PRONOUNS, SIDES, THINGS, word_set

_OF_KIND = word_set("kind type sort style breed variety species flavor flavour")
_FIGURES = re.compile(rf"[$€£]?\d[\d.,:/-]*(?: ?(?:{UNITS}))?")
_DETERMINED = ("the", "a", "an")
_LONG = word_set("caption statement sentence title headline")
_MOST_WORDS = 5


def introduced(frame: Frame, claim: str) -> Filled | None:
    """Return a claim that fits no other way, behind what it names; None if that reads badly."""
    if not quotable(claim) or claim.split()[0].lower() in PRONOUNS:
        return None
    if frame.slot is Slot.THING and frame.kind:
        return _of_kind(frame, claim)
    if (frame.names and frame.quotes) or not frame.noun or frame.noun == "who":
        return _alone(frame, claim) if frame.quotes else None
    return _behind(frame, claim) if frame.slot in (Slot.THING, Slot.NUMBERED) else None


def _alone(frame: Frame, claim: str) -> Filled | None:
    if frame.names and _FIGURES.fullmatch(claim):
        return Filled(claim, claim)
    plain = frame.noun in THINGS or frame.noun == "who" or not frame.noun
    free = frame.subject is None or frame.noun == "who"
    if plain and not frame.names and free and _is_common(claim):
        return None
    return Filled(f'"{claim}"', claim)


def _of_kind(frame: Frame, claim: str) -> Filled | None:
    """Is this a dinosaur of the kind "triceratops"?"""
    number = noun_number(frame.noun.split()[-1])
    if frame.kind not in _OF_KIND or number is None or len(claim.split()) > _MOST_WORDS:
        return None
    many = number is Number.MANY
    if frame.names and many is not (frame.auxiliary in ("are", "were")):
        return None
    noun = with_article(frame.noun) if number is Number.ONE else frame.noun
    return Filled(f'{noun} of the {frame.kind} "{claim}"', claim, many)


def _behind(frame: Frame, claim: str) -> Filled | None:
    """Does he play for the team "giants"?"""
    last = frame.noun.split()[-1]
    single = singular(last) is None and noun_number(last) is not Number.MANY
    if frame.noun == "one":
        return Filled(f'"{claim}"', claim)
    if not single or last == "one" or (frame.names and frame.subject not in ("this", "that", "it")):
        return None
    if claim.lower().startswith(f"{last} "):
        return Filled(claim, claim, definite=True)
    if claim.lower() in SIDES:
        return Filled(f"the {claim} {last}", claim, definite=True)
    if claim.lower().endswith(f" {last}") and claim.split()[0] not in _DETERMINED:
        text = claim if claim[0].isupper() else f"the {claim}"
        return Filled(text, claim, definite=True)
    if last in ("year", "number", "page") and claim.isdigit():
        return Filled(f"the {last} {claim}", claim, definite=True)
    if last in ("color", "colour") and class_of(claim) != "colour":
        return None
    words = claim.lower().split()
    unfit = words[0] in PREPOSITIONS | {*_DETERMINED} or (is_gerund(words[0]) and last != "step")
    if unfit or (len(words) > _MOST_WORDS and last not in _LONG):
        return None
    if last in THINGS and _is_common(claim):
        return None
    return Filled(f'the {frame.noun} "{claim}"', claim, definite=True)


def _is_common(claim: str) -> bool:
    """Whether a claim is no name: it is small and all of its words are known."""
    return claim.islower() and all(known(word) for word in claim.split())
