"""Claims that are places, times, actions, means or reasons."""

from __future__ import annotations

import re

from asd_rewriter.rules.grammar.claims import lowered
from asd_rewriter.rules.grammar.frames import Filled, Frame
from asd_rewriter.rules.grammar.lexicon import (
    is_gerund,
    is_verb,
    known,
)
from asd_rewriter.rules.grammar.places import placed, timed
from asd_rewriter.rules.grammar.texts import NAME, fill_quote
from asd_rewriter.rules.grammar.things import fill_property, fill_thing
from asd_rewriter.rules.grammar.words import (
    word_set,
)


def fill_place(frame: Frame, claim: str) -> Filled | None:
    """A place with its preposition: on the couch."""
    small = lowered(claim)
    if frame.before in _HEADING:
        if small in _AHEAD:
            return Filled(small, small)
        if frame.before in _BOUND and NAME.fullmatch(claim) and not claim.isdigit():
            return Filled(f"to {claim}", claim)
        if not claim.lower().startswith(_TOWARDS):
            return None
    if small[0].isupper():
        return None
    text = placed(small)
    return Filled(text, small) if text else None


def fill_direction(frame: Frame, claim: str) -> Filled | None:
    """A direction: left, towards the camera."""
    claim = lowered(claim)
    return Filled(claim, claim) if claim in _AHEAD or _TO_SIDE.fullmatch(claim) else None


_BOUND = ("going", "heading", "headed", "travelling", "traveling", "bound")
_HEADING = (*_BOUND, "looking", "facing", "pointing", "coming")
_TOWARDS = ("at ", "to ", "toward", "in", "out", "up", "down", "into ", "through ")
_AHEAD = word_set(
    "left right up down straight forward forwards backward backwards away ahead outside north south"
    " east west northeast northwest southeast southwest upward downward sideways"
)
_TO_SIDE = re.compile(r"(?:to|toward|towards|at) (?:the|his|her|us)\b[a-z ]*")


def fill_verb(frame: Frame, claim: str) -> Filled | None:
    """Is the surfer about to fall?"""
    claim = lowered(claim)
    words = claim.split()
    if not claim.islower() or len(words) > 8 or not is_verb(words[0]) or words[-1] in _NOT_LAST:
        return None
    return Filled(claim, claim)


def fill_looks(frame: Frame, claim: str) -> Filled | None:
    """Does the water look calm?, Does the cloud look like a dog?"""
    found = fill_property(frame, claim)
    if found is not None:
        return found
    thing = fill_thing(frame, claim)
    return None if thing is None else Filled(f"like {thing.text}", thing.claim)


def fill_meaning(frame: Frame, claim: str) -> Filled | None:
    """Does the red light mean "stop"?, Does the line represent the average?"""
    told = claim.split()[0] in ("the", "a", "an") and claim.islower()
    return Filled(claim, claim) if told else fill_quote(frame, claim)


def fill_manner(frame: Frame, claim: str) -> Filled | None:
    """A means or a manner: into squares, by card."""
    small = lowered(claim)
    first, _, rest = small.partition(" ")
    said = (first in _BY_MEANS and rest) or (not rest and first.endswith("ly") and known(first))
    return Filled(small, small) if said and small[0].islower() else None


_BY_MEANS = word_set("in into by with on from at through via using without to like")


def fill_reason(frame: Frame, claim: str) -> Filled | None:
    """Is he wearing a helmet for safety?, Are they holding umbrellas because it's raining?"""
    small = lowered(claim)
    first = small.partition(" ")[0]
    if small.startswith(_PURPOSE) and " " in small:
        return Filled(small, small)
    if small in ("raining", "snowing"):
        return Filled(f"because it is {small}", small)
    if small[0].islower() and _CLAUSE.match(small) and first not in ("that", "which"):
        return Filled(f"because {small}", small)
    return None


_PURPOSE = ("to ", "for ", "because ", "so ", "in order to ", "due to ")
_CLAUSE = re.compile(
    r"(?:it|he|she|they|there|we|(?:the|a|an|his|her|its|their|no) [a-z]+)(?: [a-z]+ly)?"
    r"(?:'s|'re| (?:is|are|was|were|has|have|had|can|could|will|would|wants?|needs?|likes?|moved"
    r"|just|did|does|do))\b(?!$)"
    r"|(?:it|he|she|they|we) [a-z]{3,}ed$"
    r"|(?:the|his|her|it|he|she|they)(?: [a-z]+)? (?:moved|fell|broke)$"
)


def fill_owner(frame: Frame, claim: str) -> Filled | None:
    """Is this Emma's dog?"""
    owned = re.fullmatch(
        r"(?:[A-Z][\w.-]*|(?:the|his|her|my) [a-z]+)(?: [A-Z][\w.-]*)?(?:'s|s')", claim
    )
    return Filled(f"{claim} {frame.noun}", claim) if owned else None


def fill_time(frame: Frame, claim: str) -> Filled | None:
    """A time with its preposition: at night."""
    text = timed(lowered(claim))
    return Filled(text, lowered(claim)) if text else None


def fill_activity(frame: Frame, claim: str) -> Filled | None:
    """What someone is doing: riding a wave."""
    claim = lowered(claim)
    words = claim.split()
    if not claim.islower() or len(words) > 6 or not is_gerund(words[0]):
        return None
    if len(words) > 1 and words[-1] in _NOT_LAST:
        return None
    return Filled(claim, claim)


_NOT_LAST = ("and", "or", "the", "a", "it", "them", "him")
