"""Filling a slot: whether a claim fits it, and how it is written there."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from asd_rewriter.rules.grammar.frames import Filled, Frame, Slot, joined
from asd_rewriter.rules.grammar.lexicon import (
    is_adjective,
    is_gerund,
    known,
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
    NUMBER_WORDS,
    PROPER_KINDS,
    QUANTITIES,
    SHADES,
    THINGS,
    UNSURE,
)

_PLAIN = re.compile(r"[\w$€£][\w '&.,:/$€£%#°+-]{0,59}")
_NAME = re.compile(r"[A-Z0-9$€£#][\w'&.:/$€£%-]*(?:,? [\w'&.:/$€£%-]+){0,5}")
_NUMBER = re.compile(r"\d{1,3}(?:,?\d{3})*\+?")
_ABOUT = re.compile(r"(?:more than|less than|fewer than|at least|about|around|over) (\S+)")
_MEASURE = re.compile(
    r"(?:about |over |less than )?(?:\d+(?:\.\d+)?|[a-z]+)"
    r"(?: (?:years|year|months|feet|foot|inches|inch|meters|metres|stories|cm|km|mph|miles))?"
    r"(?: (?:old|tall|long|high|wide|deep))?"
)
_HOURS = re.compile(r"\d{1,2}(?:[:.]\d{2})?(?:\s?[ap]\.?m\.?)?", re.I)
_LONGEST_QUOTE = 100


def fill(frame: Frame, claim: str) -> Filled | None:
    """Return the claim as it fills the frame's slot, or None when that is not certain."""
    if frame.slot is Slot.QUOTE:
        return _quote(frame, claim)
    if claim.casefold() in UNSURE or not _PLAIN.fullmatch(claim) or claim[-1] in ".,:/-'":
        return None
    return _FILLERS[frame.slot](frame, claim)


def lowered(claim: str) -> str:
    """Return a claim whose one capital only marks its beginning, without the capital."""
    first, _, _ = claim.partition(" ")
    small = claim[0].lower() + claim[1:]
    return small if small.islower() and known(first.lower()) else claim


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
    if len(words) == 1 and _is_property(words[0]):
        return Filled(claim, claim)
    thing = frame.noun in ("shape", "pattern", "design", "material")
    return _thing(frame, claim) if thing else None


def _is_property(word: str) -> bool:
    plain = word.isalpha() and word not in NUMBER_WORDS and word != "right"
    return plain and (is_adjective(word) or word in ("plaid", "checkered", "striped"))


def _thing(frame: Frame, claim: str) -> Filled | None:
    kind = frame.noun.split()[-1] if frame.noun else ""
    one = singular(kind) or kind
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


def _numbered(frame: Frame, claim: str) -> Filled | None:
    """The number 42, the year 1999."""
    if not re.fullmatch(r"[\w$€£.:/-]{1,16}", claim) or not any(it.isdigit() for it in claim):
        return None
    return Filled(f"the {frame.noun} {claim}", claim)


def _quote(frame: Frame, claim: str) -> Filled | None:
    bare = claim.strip("\"'“”")
    unfit = not bare or len(bare) > _LONGEST_QUOTE or re.search(r"[\"\n“”]", bare)
    if unfit or bare.casefold() in _NOT_WRITTEN:
        return None
    quoted = f'"{bare}"'
    many = frame.noun in ("words", "letters")
    return Filled(joined(f"the {frame.noun}" if frame.noun else "", quoted), bare, many)


_NOT_WRITTEN = UNSURE - {"yes", "no", "right", "other", "both", "all", "true", "false", "it"}


def _count(frame: Frame, claim: str) -> Filled | None:
    claim = lowered(claim)
    about = _ABOUT.fullmatch(claim)
    number = about[1] if about else claim
    counted = _NUMBER.fullmatch(number) or number in NUMBER_WORDS
    if not counted and claim not in (*QUANTITIES, "a few", "a lot"):
        return None
    many = claim not in ("1", "one")
    noun = frame.noun if many else _one_of(frame.noun)
    if noun is None or (about and number in ("1", "one")):
        return None
    of = (claim.endswith("s") and claim in QUANTITIES) or claim == "a lot"
    if of and not noun:
        return None
    text = f"{claim} of {noun}" if of and not noun.startswith("of ") else f"{claim} {noun}"
    return Filled(text.rstrip(), claim, many)


def _one_of(noun: str) -> str | None:
    if not noun or noun.startswith("of "):
        return noun
    head, of, rest = noun.partition(" of ")
    first, space, last = head.rpartition(" ")
    one = singular(last)
    return None if one is None else f"{first}{space}{one}{of}{rest}"


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
    if len(words) > 1 and words[-1] in ("and", "or", "the", "a"):
        return None
    return Filled(claim, claim)


def _measure(frame: Frame, claim: str) -> Filled | None:
    """5 years old, 6 feet tall, or what a clock shows; `noun` is the measured property."""
    claim = lowered(claim)
    if frame.noun == "time":
        fits = _HOURS.fullmatch(claim) or claim in _TIMES or claim.endswith("o'clock")
        return Filled(claim, claim) if fits else None
    if frame.noun == "cost":
        return Filled(claim, claim) if re.fullmatch(r"[$€£]?\d[\d.,]*[$€£¢]?", claim) else None
    if _is_property(claim) and claim != frame.noun:
        return Filled(claim, claim) if frame.noun in _SIZES.get(claim, ()) else None
    found = _MEASURE.fullmatch(claim)
    first = claim.split()[0]
    has_number = any(it.isdigit() for it in claim) or first in NUMBER_WORDS
    if not found or not has_number:
        return None
    if claim.split()[-1] == frame.noun:
        return Filled(claim, claim)
    if len(claim.split()) == 1:
        unit = " years old" if frame.noun == "old" else None
        return Filled(f"{claim}{unit}", claim) if unit else None
    return Filled(f"{claim} {frame.noun}", claim)


_TIMES = ("noon", "midnight", "morning", "night", "afternoon", "evening", "winter", "summer",
          "spring", "fall", "autumn", "dusk", "dawn", "sunset", "sunrise")  # fmt: skip
_SIZES = {"young": ("old",), "tall": ("tall",), "large": ("big",), "small": ("big",),
          "short": ("tall", "long"), "huge": ("big",)}  # fmt: skip


def _side(frame: Frame, claim: str) -> Filled | None:
    claim = lowered(claim)
    if claim not in ("left", "right", "front", "back", "top", "bottom"):
        return None
    return Filled(f"the {claim} {frame.noun}", claim)


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
    Slot.NUMBERED: _numbered,
    Slot.COUNT: _count,
    Slot.PLACE: _place,
    Slot.ACTIVITY: _activity,
    Slot.TIME: _time,
    Slot.MEASURE: _measure,
    Slot.SIDE: _side,
    Slot.CHOICE: _choice,
}
