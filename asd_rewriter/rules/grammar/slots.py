"""Filling a slot: whether a claim fits it, and how it is written there."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from asd_rewriter.rules.grammar.amounts import count, measure, numbered
from asd_rewriter.rules.grammar.claims import is_property, lowered
from asd_rewriter.rules.grammar.frames import Filled, Frame, Slot, joined
from asd_rewriter.rules.grammar.lexicon import (
    is_adjective,
    is_gerund,
    singular,
    with_article,
)
from asd_rewriter.rules.grammar.nouns import Number, noun_number, read_noun_phrase
from asd_rewriter.rules.grammar.places import placed, timed
from asd_rewriter.rules.grammar.words import (
    ADVERBS,
    BALLS,
    COLOURS,
    COMPOUND,
    MASS_OR_NOUN,
    PROPER_KINDS,
    SHADES,
    THINGS,
    UNSURE,
)

_PLAIN = re.compile(r"[\w$€£][\w '&.,:/$€£%#°+-]{0,59}")
_NAME = re.compile(r"[A-Z0-9$€£#][\w'&.:/$€£%-]*(?:,? [\w'&.:/$€£%-]+){0,5}")
_LONGEST_QUOTE = 100


def fill(frame: Frame, claim: str) -> Filled | None:
    """Return the claim as it fills the frame's slot, or None when that is not certain."""
    if frame.slot is Slot.QUOTE:
        return _quote(frame, claim)
    if claim.casefold() in UNSURE or not _PLAIN.fullmatch(claim) or claim[-1] in ".,:/-'":
        return None
    return _FILLERS[frame.slot](frame, claim)


def _colour(frame: Frame, claim: str) -> Filled | None:
    claim = lowered(claim)
    words = claim.replace(",", " ").replace("-", " ").split()
    if "and" in (words[0], words[-1]) or ("," in claim and "and" not in words):
        return None
    shades = COLOURS | SHADES
    if not all(word in shades or word == "and" for word in words) or words[-1] not in COLOURS:
        return None
    if not frame.noun:
        return Filled(claim, claim)
    text = f"{claim} {frame.noun}"
    number = noun_number(frame.noun.split()[-1])
    if number is None:
        return None
    many = number is Number.MANY
    return Filled(with_article(text) if number is Number.ONE else text, claim, many)


def _property(frame: Frame, claim: str) -> Filled | None:
    claim = lowered(claim)
    words = claim.split()
    if words[0] in ADVERBS:
        words = words[1:]
    if len(words) == 1 and is_property(words[0]):
        return Filled(claim, claim)
    thing = frame.noun in ("shape", "pattern", "design", "material")
    return _thing(frame, claim) if thing else None


def _thing(frame: Frame, claim: str) -> Filled | None:
    kind = frame.noun.split()[-1] if frame.noun else ""
    one = singular(kind) or kind
    if claim.lower() in _SIDES:
        return None
    if claim[0].isupper():
        if kind in PROPER_KINDS and _NAME.fullmatch(claim):
            wants_the = _WANTS_THE.search(claim) or frame.subject == "there"
            return None if wants_the else Filled(claim, claim)
        if one not in THINGS or lowered(claim) == claim:
            return None
        claim = lowered(claim)
    if kind in PROPER_KINDS and claim.startswith("the ") and claim[4].isupper():
        return Filled(claim, claim) if _NAME.fullmatch(claim[4:]) else None
    if frame.kind and (compound := _compound(frame, claim, kind)):
        return compound
    if frame.verb == "play" and claim.endswith("ing"):
        return None
    lenient = one in THINGS
    counted = claim.split()[-1] in BALLS and frame.verb not in ("", "play")
    found = read_noun_phrase(claim, lenient=lenient, counted=counted)
    if found is None:
        return None
    if frame.kind and one not in THINGS and claim.split()[-1] not in (kind, one):
        return None
    if _is_unrelated(frame, kind, one, claim):
        return None
    if frame.names:
        many = frame.auxiliary in ("are", "were")
        if found.is_many and not many:
            return None
        if many and not found.is_many:
            found = found.multiplied() if frame.noun or frame.subject in _MANY else None
            if found is None:
                return None
    return Filled(found.placed, claim, found.is_many)


def _is_unrelated(frame: Frame, kind: str, one: str, claim: str) -> bool:
    """Whether a claim may be no kind of the noun that is asked for: power, of a button."""
    plain = bool(kind) and not frame.names and not frame.kind
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
    text = f"{claim} {kind}"
    return Filled(
        with_article(text) if number is Number.ONE else text, claim, number is Number.MANY
    )


_MATERIALS = ("material", "fabric", "surface", "metal", "wood", "stone")


def _material(frame: Frame, claim: str) -> Filled | None:
    claim = lowered(claim)
    number = noun_number(claim)
    if number is Number.MASS or (number is Number.MANY and claim not in ("glasses", "people")):
        return Filled(claim, claim)
    return None


def _name(frame: Frame, claim: str) -> Filled | None:
    """A name as it is written, or in quotation marks where its capitals are missing."""
    return Filled(claim, claim) if _NAME.fullmatch(claim) else _quote(frame, claim)


def _brand(frame: Frame, claim: str) -> Filled | None:
    """A Dell laptop, Nike shoes."""
    number = noun_number(frame.noun.split()[-1])
    if number is None or not _NAME.fullmatch(claim) or len(claim.split()) > 2:
        return None
    text = f"{claim} {frame.noun}"
    return Filled(
        with_article(text) if number is Number.ONE else text, claim, number is Number.MANY
    )


def _quote(frame: Frame, claim: str) -> Filled | None:
    bare = claim.strip("\"'“”")
    unfit = not bare or len(bare) > _LONGEST_QUOTE or re.search(r"[\"\n“”]", bare)
    if unfit or bare.casefold() in _NOT_WRITTEN:
        return None
    quoted = f'"{bare}"'
    many = frame.noun in ("words", "letters")
    return Filled(joined(f"the {frame.noun}" if frame.noun else "", quoted), bare, many)


_NOT_WRITTEN = UNSURE - {"yes", "no", "right", "other", "both", "all", "true", "false", "it"}


def _place(frame: Frame, claim: str) -> Filled | None:
    text = placed(lowered(claim))
    if frame.before in _HEADING and not claim.lower().startswith(_TOWARDS):
        return None
    return Filled(text, lowered(claim)) if text else None


_HEADING = ("looking", "facing", "going", "heading", "pointing", "headed", "coming")
_TOWARDS = ("at ", "to ", "toward", "in", "out", "up", "down", "into ", "through ")


def _time(frame: Frame, claim: str) -> Filled | None:
    text = timed(lowered(claim))
    return Filled(text, lowered(claim)) if text else None


def _activity(frame: Frame, claim: str) -> Filled | None:
    claim = lowered(claim)
    words = claim.split()
    if not claim.islower() or len(words) > 6 or not is_gerund(words[0]):
        return None
    if len(words) > 1 and words[-1] in _NOT_LAST:
        return None
    return Filled(claim, claim)


_NOT_LAST = ("and", "or", "the", "a", "it", "them", "him")


def _side(frame: Frame, claim: str) -> Filled | None:
    claim = lowered(claim)
    if claim not in _SIDES:
        return None
    return Filled(f"the {claim} {frame.noun}", claim)


_SIDES = ("left", "right", "front", "back", "top", "bottom")


def _choice(frame: Frame, claim: str) -> Filled | None:
    for choice in frame.choices:
        bare = re.sub(r"\A(?:an?|the) ", "", choice)
        if claim.casefold() in (choice.casefold(), bare.casefold()):
            return Filled(choice, choice[len(choice) - len(bare) :])
    return None


_FILLERS: Mapping[Slot, Callable[[Frame, str], Filled | None]] = {
    Slot.COLOUR: _colour,
    Slot.PROPERTY: _property,
    Slot.THING: _thing,
    Slot.MATERIAL: _material,
    Slot.NAME: lambda frame, claim: _brand(frame, claim) if frame.kind else _name(frame, claim),
    Slot.NUMBERED: numbered,
    Slot.COUNT: count,
    Slot.PLACE: _place,
    Slot.ACTIVITY: _activity,
    Slot.TIME: _time,
    Slot.MEASURE: measure,
    Slot.SIDE: _side,
    Slot.CHOICE: _choice,
}
