"""Filling a slot: whether a claim fits it, and how it is written there."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from asd_rewriter.rules.grammar.amounts import count, measure, numbered
from asd_rewriter.rules.grammar.claims import lowered
from asd_rewriter.rules.grammar.frames import Filled, Frame, Slot
from asd_rewriter.rules.grammar.lexicon import (
    with_article,
)
from asd_rewriter.rules.grammar.naming import introduced
from asd_rewriter.rules.grammar.nouns import Number, noun_number
from asd_rewriter.rules.grammar.sayings import (
    fill_activity,
    fill_direction,
    fill_looks,
    fill_manner,
    fill_meaning,
    fill_owner,
    fill_place,
    fill_reason,
    fill_time,
    fill_verb,
)
from asd_rewriter.rules.grammar.texts import fill_name, fill_quote
from asd_rewriter.rules.grammar.things import fill_material, fill_property, fill_thing
from asd_rewriter.rules.grammar.words import (
    COLOURS,
    SHADES,
    SIDES,
    UNSURE,
)

_PLAIN = re.compile(r"[\w$€£][\w '&.,:/$€£%#°+-]{0,79}")


def fill(frame: Frame, claim: str) -> Filled | None:
    """Return the claim as it fills the frame's slot, or None when that is not certain."""
    if frame.slot is Slot.QUOTE:
        return fill_quote(frame, claim)
    if " " in claim and claim.count(".") == 1:
        claim = claim.rstrip(".")
    if not claim or claim.casefold() in UNSURE:
        return None
    plain = _PLAIN.fullmatch(claim) and claim[-1] not in ".,:/-'"
    filled = _FILLERS[frame.slot](frame, claim) if plain else None
    return filled or introduced(frame, claim)


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


def _side(frame: Frame, claim: str) -> Filled | None:
    claim = lowered(claim)
    bare = claim.removeprefix("the ").removesuffix(f" {frame.noun}")
    return Filled(f"the {bare} {frame.noun}", claim) if bare in SIDES else None


def _choice(frame: Frame, claim: str) -> Filled | None:
    for choice in frame.choices:
        bare = re.sub(r"\A(?:an?|the|my|your|his|her|their|our) ", "", choice)
        if claim.casefold() in (choice.casefold(), bare.casefold()):
            return Filled(choice, choice[len(choice) - len(bare) :])
    return None


_FILLERS: Mapping[Slot, Callable[[Frame, str], Filled | None]] = {
    Slot.COLOUR: _colour,
    Slot.PROPERTY: fill_property,
    Slot.THING: fill_thing,
    Slot.MATERIAL: fill_material,
    Slot.NAME: fill_name,
    Slot.NUMBERED: numbered,
    Slot.COUNT: count,
    Slot.PLACE: fill_place,
    Slot.ACTIVITY: fill_activity,
    Slot.TIME: fill_time,
    Slot.MEASURE: measure,
    Slot.SIDE: _side,
    Slot.CHOICE: _choice,
    Slot.VERB: fill_verb,
    Slot.LOOKS: fill_looks,
    Slot.MEANING: fill_meaning,
    Slot.MANNER: fill_manner,
    Slot.REASON: fill_reason,
    Slot.OWNER: fill_owner,
    Slot.DIRECTION: fill_direction,
}
