"""Claims that are things or properties: with an article, as a kind, made of a material."""

from __future__ import annotations

import re

from asd_rewriter.rules.grammar.claims import is_property, lowered
from asd_rewriter.rules.grammar.classes import class_of
from asd_rewriter.rules.grammar.frames import Filled, Frame
from asd_rewriter.rules.grammar.lexicon import (
    is_adjective,
    singular,
    with_article,
)
from asd_rewriter.rules.grammar.nouns import Number, noun_number, read_noun_phrase
from asd_rewriter.rules.grammar.texts import NAME
from asd_rewriter.rules.grammar.words import (
    ADVERBS,
    BALLS,
    COLOURS,
    COMPOUND,
    MASS_OR_NOUN,
    NAMED_ONLY,
    PAIRS,
    PROPER_KINDS,
    SIDES,
    THINGS,
    word_set,
)


def fill_property(frame: Frame, claim: str) -> Filled | None:
    """A property, or what has it: round, an octagon."""
    claim = lowered(claim)
    if frame.before == "feel" and class_of(claim) in _NOT_FELT:
        return None
    words = claim.split()
    if words[0] in ADVERBS:
        words = words[1:]
    if len(words) == 1 and is_property(words[0]):
        return Filled(claim, claim)
    thing = frame.noun in ("shape", "pattern", "design", "material")
    if frame.noun == "shape" and class_of(claim) != "shape":
        return None
    return fill_thing(frame, claim) if thing else None


def fill_thing(frame: Frame, claim: str) -> Filled | None:
    """A thing with the article that it needs: a cat, snow, a pair of glasses."""
    kind = frame.noun.split()[-1] if frame.noun else ""
    one = singular(kind) or kind
    if claim.lower() in SIDES or one in NAMED_ONLY:
        return None
    if one == "language" and class_of(claim) != "language":
        return None
    if one in _LIVING_OR_EATEN and class_of(claim) in _NOT_LIVING:
        return None
    if claim[0].isupper() and not _ends_small(claim, one):
        if kind in PROPER_KINDS and NAME.fullmatch(claim):
            if kind == "who" and claim.split()[-1].islower():
                return None
            wants_the = _WANTS_THE.search(claim) or frame.subject == "there"
            return None if wants_the else Filled(claim, claim)
        if one not in THINGS or lowered(claim) == claim:
            return None
        claim = lowered(claim)
    if kind in PROPER_KINDS and claim.startswith("the ") and claim[4].isupper():
        return Filled(claim, claim) if NAME.fullmatch(claim[4:]) else None
    if frame.kind and (compound := _compound(frame, claim, kind)):
        return compound
    if frame.verb == "play" and claim.endswith("ing"):
        return None
    lenient = one in THINGS
    counted = claim.split()[-1] in BALLS and frame.verb not in ("", "play")
    found = read_noun_phrase(claim, lenient=lenient, counted=counted)
    if found is None or (kind == "who" and not _is_someone(claim)):
        return None
    if not frame.noun and class_of(claim) in _NO_THING:
        return None
    played = frame.verb == "play" and one in ("game", "sport") and class_of(claim) != "sport"
    if played and found.number is Number.ONE:
        return None
    if frame.kind and one not in THINGS and claim.split()[-1] not in (kind, one):
        return None
    if _is_unrelated(frame, kind, one, claim):
        return None
    if claim in PAIRS and not (frame.kind or frame.verb == "wear"):
        pair = frame.names and frame.auxiliary in ("is", "was")
        return Filled(f"a pair of {claim}", claim) if pair else Filled(claim, claim, many=True)
    if frame.names:
        many = frame.auxiliary in ("are", "were")
        if found.is_many and not many:
            return None
        if many and not found.is_many:
            found = found.multiplied() if frame.noun or frame.subject in _MANY else None
            if found is None:
                return None
    return Filled(found.placed, claim, found.is_many)


def _ends_small(claim: str, kind: str) -> bool:
    """Whether only the first words are names: a Norwich terrier."""
    last = claim.split()[-1]
    return (
        kind in THINGS and " " in claim and last.islower() and bool(noun_number(last, lenient=True))
    )


def _is_someone(claim: str) -> bool:
    """Whether a claim may answer "Who ...?": a person, an animal, his friend."""
    first, last = claim.split()[0], claim.split()[-1]
    known_class = class_of(last)
    someone = last.endswith(_ACTING) and not known_class
    return known_class in ("person", "animal") or someone or first in _SOMEONES


_ACTING = tuple(
    ["er", "or", "ers", "ors", "ist", "ists", "ian", "man", "men", "woman", "women", "boy", "girl"]
)
_SOMEONES = ("his", "her", "their", "my", "the", "number", "himself", "herself", "themselves")
_LIVING_OR_EATEN = word_set(
    "food fruit vegetable meal dish dessert drink beverage snack topping condiment animal bird dog"
    " cat insect fish breed pet mammal reptile"
)
_NOT_LIVING = word_set("person place furniture vehicle clothing weather season daytime feeling")
_NOT_FELT = ("weather", "size", "shape", "side", "colour")
_NO_THING = ("daytime", "season", "weather", "side", "size", "feeling")


def _is_unrelated(frame: Frame, kind: str, one: str, claim: str) -> bool:
    """Whether a claim may be no kind of the noun that is asked for: power, of a button."""
    told = claim.split()[0] in ("the", "his", "her", "their")
    plain = bool(kind) and not frame.names and not frame.kind and not told
    known_kind = one in THINGS or kind in ("who", "pattern", "design")
    return plain and not known_kind and claim.split()[-1] not in (kind, one)


_WANTS_THE = re.compile(
    r"\b(?:United|Republic|Islands?|Kingdom|Ocean|Sea|Philippines|Netherlands|Bahamas|U\.?S|UK)"
)
_MANY = ("these", "those", "they")


def _compound(frame: Frame, claim: str, kind: str) -> Filled | None:
    """Name the kind before the noun: a brick building, tennis shoes."""
    one = singular(kind) or kind
    words = claim.split()
    if len(words) > 3 or not all(word.isalpha() and word.islower() for word in words):
        return None
    number = noun_number(kind)
    if number is None or words[-1] in (kind, one):
        return None
    as_property = len(words) == 1 and is_adjective(claim) and noun_number(claim) is None
    as_material = claim in MASS_OR_NOUN and one not in _MATERIALS
    before = one in COMPOUND and noun_number(words[-1], lenient=True) in (Number.ONE, Number.MASS)
    if not (as_material or before or (as_property and claim not in COLOURS)):
        return None
    text = f"{claim} {frame.noun}"
    return Filled(
        with_article(text) if number is Number.ONE else text, claim, number is Number.MANY
    )


_MATERIALS = ("material", "fabric", "surface", "metal", "wood", "stone")


def fill_material(frame: Frame, claim: str) -> Filled | None:
    """A material, bare: wood."""
    claim = lowered(claim)
    number = noun_number(claim)
    if number is Number.MASS or (number is Number.MANY and claim not in ("glasses", "people")):
        return Filled(claim, claim)
    return None
