"""Claims with a number in them: counts, ages, sizes, prices, clock times."""

from __future__ import annotations

import re

from asd_rewriter.rules.grammar.claims import is_property, lowered
from asd_rewriter.rules.grammar.frames import Filled, Frame
from asd_rewriter.rules.grammar.lexicon import singular
from asd_rewriter.rules.grammar.words import NUMBER_WORDS, QUANTITIES

_NUMBER = re.compile(r"\d{1,3}(?:,?\d{3})*\+?")
_ABOUT = re.compile(r"(?:more than|less than|fewer than|at least|about|around|over) (\S+)")
_MEASURE = re.compile(
    r"(?:about |over |more than |less than |almost )?(?:\d+(?:\.\d+)?|[a-z]+)"
    r"(?: (?:years|year|months|feet|foot|inches|inch|meters|metres|centimeters|centimetres"
    r"|stories|cm|km|m|ft|mph|miles|kg|pounds|lbs))?"
    r"(?: (?:old|tall|long|high|wide|deep))?"
)
UNITS = (
    "%|°[CF]?|million|billion|thousand|percent|degrees|kg|g|mg|lbs?|pounds|ounces|oz|ml|litres?|liters?"
    "|km|mi|m|cm|mm|mph|kph|miles?|meters?|metres?|feet|foot|ft|yards?|inch(?:es)?|hours?|hrs?"
    "|minutes?|mins?|seconds?|days?|weeks?|months?|years?|dollars?|cents?"
)
"""Units of measure, as a pattern."""
_MONEY = re.compile(
    r"(?:about )?[$€£]?\d[\d.,]*(?: ?(?:[$€£¢]|dollars?|cents?|euros?|pounds?))?"
    r"(?:(?:/| per | each| a )[a-z]*)?"
)
_LASTING = re.compile(
    r"(?:about |up to )?(?:\d+|[a-z]+) ?"
    r"(?:hours?|hrs?|minutes?|mins?|days?|weeks?|months?|years?|seconds?)"
)
_FAR = re.compile(r"(?:about )?[\d.,]+ ?(?:miles?|mi|km|m|meters|metres|feet|ft|yards|kilometers)")
_PART = re.compile(r"\d+/\d+|\d[\d.]*(?: ?%| percent)|half|a (?:half|third|quarter)")
_HOURS = re.compile(r"\d{1,2}(?:[:.]\d{2})?(?:\s?[ap]\.?m\.?)?", re.I)


def numbered(frame: Frame, claim: str) -> Filled | None:
    """Return the claim as in: the number 42, the year 1999."""
    if not re.fullmatch(r"[\w$€£.:/-]{1,16}", claim) or not any(it.isdigit() for it in claim):
        return None
    return Filled(f"the {frame.noun} {claim}", claim)


def count(frame: Frame, claim: str) -> Filled | None:
    """Return the claim as in: 3 dogs, one person, lots of birds."""
    claim = lowered(claim)
    about = _ABOUT.fullmatch(claim)
    number = about[1] if about else claim
    if _PART.fullmatch(claim) and frame.noun.startswith("of "):
        return Filled(f"{claim} {frame.noun}", claim)
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


def measure(frame: Frame, claim: str) -> Filled | None:
    """Return the claim as in: 5 years old, 6 feet tall, 10:30; `noun` is what is measured."""
    claim = lowered(claim)
    if frame.noun == "time":
        timed = _HOURS.fullmatch(claim) or claim in _TIMES or claim.endswith("o'clock")
        return Filled(claim, claim) if timed else None
    if frame.noun == "cost":
        return Filled(claim, claim) if _MONEY.fullmatch(claim) else None
    if frame.noun in ("duration", "distance"):
        fits = (_LASTING if frame.noun == "duration" else _FAR).fullmatch(claim)
        return Filled(claim, claim) if fits else None
    if is_property(claim) and claim != frame.noun:
        return Filled(claim, claim) if frame.noun in _SIZES.get(claim, ()) else None
    found = _MEASURE.fullmatch(claim)
    first = claim.split()[0]
    has_number = any(it.isdigit() for it in claim) or first in NUMBER_WORDS
    if not found or not has_number or frame.noun in ("big", "large", "heavy"):
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
