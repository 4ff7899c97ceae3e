"""Where, who, when, how old ...?, and questions that offer two answers."""

from __future__ import annotations

import re

from asd_rewriter.rules.grammar.frames import Frame, Slot, joined
from asd_rewriter.rules.grammar.lexicon import inflected, is_gerund, lemmas
from asd_rewriter.rules.grammar.tokens import (
    Words,
    around_object,
    is_state,
    read_subject,
    split_at_gerund,
    split_at_verb,
)
from asd_rewriter.rules.grammar.words import BE, DETERMINERS, PREPOSITIONS, PRONOUNS

_SIDES = re.compile(
    r"(is|are) (.+?)( \w+ing)? (to|on) the (left|right) or (?:(?:to|on) )?(?:the )?(left|right)"
    r"( side)? of (.+)",
    re.I,
)
_IN_PICTURE = ("in the picture", "in the photo", "in the image", "in this picture", "in this photo")
_ON_SIDE = re.compile(r"on which side( of (?:the|this) \w+)? (is|are) (.+)", re.I)


def read_where(words: Words) -> Frame | None:
    """Return the frame of a question, from the words after "Where"."""
    if len(words) > 4 and " ".join(words[:3]).lower() in _IN_PICTURE:
        words = words[3:]
    if len(words) < 2 or words[0].lower() not in BE:
        return None
    verb, rest = words[0].lower(), words[1:]
    last = rest[-1].lower()
    if found := split_at_gerund(rest):
        return None if found[2] else Frame(Slot.PLACE, verb, found[0], found[1])
    if is_state(last) and (subject := read_subject(rest[:-1])):
        return Frame(Slot.PLACE, verb, subject, last)
    subject = read_subject(rest)
    return None if subject is None else Frame(Slot.PLACE, verb, subject)


def read_who(words: Words) -> Frame | None:
    """Return the frame of a question, from the words after "Who"."""
    if len(words) < 2:
        return None
    verb, rest = words[0].lower(), words[1:]
    first, last = rest[0].lower(), rest[-1].lower()
    if verb not in BE:
        return read_doer(verb, rest, "who")
    if first in PREPOSITIONS or is_gerund(first) or is_state(first):
        ends = last in PREPOSITIONS
        return None if ends else Frame(Slot.THING, verb, None, after=" ".join(rest), noun="who")
    if found := split_at_gerund(rest):
        places = around_object(found[2])
        if places is None:
            return None
        before = joined(found[1], places[0])
        return Frame(Slot.THING, verb, found[0], before, places[1], "who")
    subject = read_subject(rest)
    return None if subject is None else Frame(Slot.THING, verb, subject, noun="who", names=True)


def read_doer(word: str, rest: Words, noun: str) -> Frame | None:
    """Return the frame of "Who wrote the book?", "What company made it?": a verb in the past."""
    verbs = lemmas(word).get("VERB", ())
    past = [verb for verb in verbs if word in inflected(verb, "VBD") and verb != word]
    if len(past) != 1 or rest[-1].lower() in PREPOSITIONS or read_subject(rest) is None:
        return None
    return Frame(Slot.THING, "did", None, past[0], " ".join(rest), noun)


def read_when(words: Words) -> Frame | None:
    """Return the frame of a question, from the words after "When"."""
    if len(words) < 3 or words[0].lower() not in ("was", "were", "is"):
        return None
    subject = read_subject(words[1:-1])
    last = words[-1].lower()
    return Frame(Slot.TIME, words[0].lower(), subject, last) if subject and is_state(last) else None


def read_how(words: Words) -> Frame | None:
    """Return the frame of a question, from the words after "How" (not "How many")."""
    small = [word.lower() for word in words]
    if len(words) < 3:
        return None
    if small[:2] == ["is", "the"] and small[2:3] == ["weather"]:
        return Frame(Slot.PROPERTY, "is", "the weather") if len(words) == 3 else None
    if small[0] == "much":
        return _cost(small[1], words[2:])
    if small[0] in ("old", "tall", "long", "big", "high", "wide", "deep") and small[1] in BE:
        subject = None if is_gerund(small[-1]) else read_subject(words[2:])
        return None if subject is None else Frame(Slot.MEASURE, small[1], subject, noun=small[0])
    return None


def _cost(verb: str, rest: Words) -> Frame | None:
    if verb in ("is", "are") and (subject := read_subject(rest)):
        return Frame(Slot.MEASURE, verb, subject, noun="cost")
    found = split_at_verb(rest) if verb in ("does", "do", "did") else None
    if found is None or found[1] != "cost" or found[2]:
        return None
    return Frame(Slot.MEASURE, verb, found[0], "cost", noun="cost")


def read_choice(text: str) -> Frame | None:
    """Return the frame of "Is the dog black or white?", without its question mark."""
    if found := _SIDES.fullmatch(text):
        verb, who, doing, where, left, right, side, of = found.groups(default="")
        subject = read_subject(who.split())
        if subject is None:
            return None
        before, after = joined(doing.strip(), where, "the"), joined(side.strip(), "of", of)
        return Frame(Slot.CHOICE, verb.lower(), subject, before, after, choices=(left, right))
    left, _, right = text.partition(" or ")
    words = left.split()
    size = len(right.split())
    if not right or " or " in right or size > 2 or len(words) < size + 2 or "," in text:
        return None
    one = words[len(words) - size :]
    if (one[0].lower() in DETERMINERS) != (right.split()[0].lower() in DETERMINERS):
        return None
    return _two_choices(words[0].lower(), words[1 : len(words) - size], " ".join(one), right)


def _two_choices(verb: str, middle: Words, one: str, two: str) -> Frame | None:
    choices = (one, two)
    if verb in BE:
        subject = read_subject(middle)
        if subject is not None and not is_gerund(middle[-1].lower()):
            return _stative(verb, middle, subject, choices)
        if found := split_at_gerund(middle):
            around = joined(found[1], *found[2])
            return Frame(Slot.CHOICE, verb, found[0], around, choices=choices)
        return None
    if verb in ("does", "do", "did") and (found := split_at_verb(middle)):
        before = joined(found[1], *found[2])
        return Frame(Slot.CHOICE, verb, found[0], before, choices=choices)
    return None


def _stative(verb: str, middle: Words, subject: str, choices: tuple[str, ...]) -> Frame | None:
    """Is this picture taken indoors or outdoors? Its subject is the picture."""
    if split_at_gerund(middle):
        return None
    last = middle[-1].lower()
    if len(middle) > 1 and is_state(last):
        shorter = read_subject(middle[:-1])
        return Frame(Slot.CHOICE, verb, shorter, last, choices=choices) if shorter else None
    return Frame(Slot.CHOICE, verb, subject, choices=choices)


def read_on_side(text: str) -> Frame | None:
    """Return the frame of "On which side of the photo is the man?"."""
    found = _ON_SIDE.fullmatch(text)
    subject = read_subject(found[3].split()) if found else None
    if found is None or subject is None or subject.lower() in PRONOUNS - {"it", "he", "she"}:
        return None
    return Frame(Slot.SIDE, found[2].lower(), subject, "on", (found[1] or "").strip(), noun="side")
