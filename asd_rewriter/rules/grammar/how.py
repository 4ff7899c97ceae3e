"""How old is it?, How long can you park?, How does it look?, Why is it there?"""

from __future__ import annotations

import re

from asd_rewriter.rules.grammar.frames import Frame, Slot, joined
from asd_rewriter.rules.grammar.lexicon import is_adjective, is_gerund
from asd_rewriter.rules.grammar.modals import MODALS
from asd_rewriter.rules.grammar.tokens import (
    Words,
    is_state,
    read_subject,
    split_at_base,
    split_at_gerund,
    split_at_verb,
)
from asd_rewriter.rules.grammar.words import AUXILIARIES, BE, PREPOSITIONS, word_set

_SIZES = ("old", "tall", "long", "big", "large", "high", "wide", "deep", "thick", "heavy")
_LOOKING = ("look", "feel", "appear", "seem", "taste", "smell", "sound")
_DO = ("do", "does", "did")
_NUMBERED = re.compile(r"(?:two|three|four|five|six|\d+) \w+s")
_PLAIN_VERBS = word_set(
    "have wear hold carry need use look smile stand sit run wait want lie jump ride walk sleep"
)


def read_how(words: Words) -> Frame | None:
    """Return the frame of a question, from the words after "How" (not "How many")."""
    small = [word.lower() for word in words]
    if len(words) < 3:
        return None
    first, verb, rest = small[0], small[1], words[2:]
    if first == "much":
        return _cost(verb, rest)
    if first in BE:
        return _state(first, words[1:])
    if first in _DO and small[-1] in _LOOKING:
        subject = read_subject(words[1:-1])
        return Frame(Slot.PROPERTY, first, subject, small[-1]) if subject else None
    if first in _DO:
        found = split_at_base(words[1:])
        if found is None or found[1] in ("be", "have") or small[-1] in PREPOSITIONS:
            return None
        return Frame(Slot.MANNER, first, found[0], joined(found[1], *found[2]))
    if first == "long" and verb in MODALS | {*_DO}:
        return _duration(verb, rest)
    if first == "far":
        return _distance(verb, rest)
    if first in _SIZES and verb in BE:
        return _size(first, verb, rest)
    return None


def _size(size: str, verb: str, rest: Words) -> Frame | None:
    if size == "old" and rest[-1].lower() in ("turning", "today"):
        subject, last = read_subject(rest[:-1]), rest[-1].lower()
        return Frame(Slot.NAME, verb, subject, last) if subject and last == "turning" else None
    subject = None if is_gerund(rest[-1].lower()) else read_subject(rest)
    return None if subject is None else Frame(Slot.MEASURE, verb, subject, noun=size)


def _state(verb: str, rest: Words) -> Frame | None:
    """How is the weather?, How is the pizza cut?, How is the man feeling?"""
    last = rest[-1].lower()
    if last == "feeling" and (subject := read_subject(rest[:-1])):
        return Frame(Slot.PROPERTY, verb, subject, last)
    if len(rest) > 2 and is_state(last) and (subject := read_subject(rest[:-1])):
        return Frame(Slot.MANNER, verb, subject, last)
    found = split_at_gerund(rest)
    if found is not None and not found[2]:
        return Frame(Slot.MANNER, verb, found[0], found[1])
    subject = None if is_gerund(last) else read_subject(rest)
    return None if subject is None else Frame(Slot.PROPERTY, verb, subject)


def _duration(verb: str, rest: Words) -> Frame | None:
    found = split_at_base(rest)
    if found is None or found[1] in ("be", "have"):
        return None
    before = joined(found[1], *found[2], "for")
    return Frame(Slot.MEASURE, verb, found[0], before, noun="duration")


def _distance(verb: str, rest: Words) -> Frame | None:
    """How far is it to the station?, How far apart are the towers?"""
    if verb == "apart" and rest[0].lower() in BE and (subject := read_subject(rest[1:])):
        return Frame(Slot.MEASURE, rest[0].lower(), subject, after="apart", noun="distance")
    to = len(rest) > 2 and rest[0].lower() == "it" and rest[1].lower() in ("to", "from")
    if verb in BE and to and rest[-1].lower() not in PREPOSITIONS:
        return Frame(Slot.MEASURE, verb, rest[0], after=" ".join(rest[1:]), noun="distance")
    return None


def _cost(verb: str, rest: Words) -> Frame | None:
    if verb in BE and (subject := read_subject(rest)):
        return Frame(Slot.MEASURE, verb, subject, noun="cost")
    if verb not in MODALS | {*_DO} or rest[-1].lower() != "cost":
        return None
    text = " ".join(rest[:-1])
    subject = read_subject(rest[:-1]) or (text if _NUMBERED.fullmatch(text.lower()) else None)
    return Frame(Slot.MEASURE, verb, subject, "cost", noun="cost") if subject else None


def read_why(words: Words) -> Frame | None:
    """Return the frame of a question, from the words after "Why"."""
    verb, rest = words[0].lower(), words[1:]
    if len(rest) < 2 or rest[-1].lower() in PREPOSITIONS - {"up", "down"}:
        return None
    found = _predicate(verb, rest)
    if found is None or any(it.lower() in AUXILIARIES for it in found[1][1:]):
        return None
    return Frame(Slot.REASON, verb, found[0], " ".join(found[1]))


def _predicate(verb: str, rest: Words) -> tuple[str, Words] | None:
    """Return a clause's subject and what is said of it: the bear / in the cage."""
    small = [word.lower() for word in rest]
    if verb in _DO:
        if found := split_at_verb(rest):
            return found[0], [found[1], *found[2]]
        at = next((at for at, it in enumerate(small) if at and it in _PLAIN_VERBS), 0)
        subject = read_subject(rest[:at]) if at else None
        return (subject, rest[at:]) if subject else None
    if verb not in BE:
        return None
    if small[0] == "there":
        return "there", rest[1:]
    if found := split_at_gerund(rest):
        return found[0], [found[1], *found[2]]
    at = len(rest) - 1
    placed = [at for at, it in enumerate(small) if at and it in PREPOSITIONS]
    if len(placed) == 1 and placed[0] < at:
        at = placed[0]
        at -= is_state(small[at - 1])
    elif placed or not (is_adjective(small[at]) or is_state(small[at])):
        return None
    subject = read_subject(rest[:at])
    return (subject, rest[at:]) if subject else None
