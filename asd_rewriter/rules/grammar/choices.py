"""Questions that offer answers: Is the dog black or white?"""

from __future__ import annotations

import re

from asd_rewriter.rules.grammar.frames import Frame, Slot, joined
from asd_rewriter.rules.grammar.lexicon import is_gerund
from asd_rewriter.rules.grammar.tokens import (
    Words,
    is_state,
    read_long_subject,
    read_subject,
    split_at_gerund,
    split_at_verb,
)
from asd_rewriter.rules.grammar.words import BE, DETERMINERS

_SIDE = "(left|right|top|bottom|front|back|upper|lower)"
_SIDES = re.compile(
    rf"(is|are) (.+?)( \w+ing)? (to|on|in|at) the {_SIDE} or (?:(?:to|on|in|at) )?(?:the )?{_SIDE}"
    r"( side| part| half| corner| end)? of (.+)",
    re.I,
)
_SAID = re.compile(r"would you say (?:that )?(.+?) (is|are) (.+)", re.I)
_BETWEEN = re.compile(r",? or |, ")
_MOST = 4
_LONGEST = 3


def read_choice(text: str) -> Frame | None:
    """Return the frame of "Is the dog black or white?", without its question mark."""
    if found := _SIDES.fullmatch(text):
        verb, who, doing, where, left, right, side, of = found.groups(default="")
        subject = read_subject(who.split())
        if subject is None:
            return None
        before, after = joined(doing.strip(), where, "the"), joined(side.strip(), "of", of)
        return Frame(Slot.CHOICE, verb.lower(), subject, before, after, choices=(left, right))
    said = _SAID.fullmatch(text)
    items = _BETWEEN.split(said[3] if said else text)
    last = items[-1].split()
    words = items[0].split()
    size = len(last)
    if not 2 <= len(items) <= _MOST or size > _LONGEST or any(not it.strip() for it in items):
        return None
    determined = last[0].lower() in DETERMINERS
    if size == _LONGEST and not determined:
        return None
    if determined and len(items) == 2:
        starts = [at for at, it in enumerate(words) if at and it.lower() in DETERMINERS]
        size = len(words) - starts[-1] if starts else 0
        if not 2 <= size <= _LONGEST + 1:
            return None
    one = words[len(words) - size :]
    if not one or (one[0].lower() in DETERMINERS) != determined:
        return None
    choices = (" ".join(one), *items[1:])
    middle = words[1 : len(words) - size]
    if said is not None:
        about = read_subject(said[1].split()) if len(words) == size else None
        before = f"say {about} {said[2]}"
        return Frame(Slot.CHOICE, "would", "you", before, choices=choices) if about else None
    return _between(words[0].lower(), middle, choices) if middle else None


def _between(verb: str, middle: Words, choices: tuple[str, ...]) -> Frame | None:
    if verb in BE:
        subject = read_subject(middle)
        if subject is not None and not is_gerund(middle[-1].lower()):
            return _stative(verb, middle, subject, choices)
        if found := split_at_gerund(middle):
            around = joined(found[1], *found[2])
            return Frame(Slot.CHOICE, verb, found[0], around, choices=choices)
        longer = read_long_subject(middle)
        return Frame(Slot.CHOICE, verb, longer, choices=choices) if longer else None
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
