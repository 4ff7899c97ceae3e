"""Where, who, whose, when ...?, and questions that begin with a preposition."""

from __future__ import annotations

import re

from asd_rewriter.rules.grammar.doers import read_doer, read_having
from asd_rewriter.rules.grammar.frames import Frame, Slot, joined
from asd_rewriter.rules.grammar.lexicon import is_gerund, is_verb, known
from asd_rewriter.rules.grammar.modals import MODALS
from asd_rewriter.rules.grammar.tokens import (
    Words,
    around_object,
    is_state,
    read_long_subject,
    read_subject,
    split_at_base,
    split_at_end,
    split_at_gerund,
    split_at_verb,
)
from asd_rewriter.rules.grammar.words import AUXILIARIES, BE, PREPOSITIONS, PRONOUNS

_IN_PICTURE = ("in the picture", "in the photo", "in the image", "in this picture", "in this photo")
_ON_SIDE = re.compile(r"on which side( of (?:the|this) \w+)? (is|are) (.+)", re.I)
_ABOUT_WHOM = ("of", "with", "for", "to", "by")
_DO = ("do", "does", "did")
_LEADING = ("lead", "go", "head", "run", "come", "point", "belong")
"""Verbs that go to a place rather than on it."""
_CROSSING = ("landing", "crossing", "meeting")
"""Nouns that may be verbs: Where is the plane landing?, Where is the zebra crossing?"""


def read_where(words: Words) -> Frame | None:
    """Return the frame of a question, from the words after "Where"."""
    if len(words) > 4 and " ".join(words[:3]).lower() in _IN_PICTURE:
        words = words[3:]
    if len(words) < 2:
        return None
    verb, rest = words[0].lower(), words[1:]
    if verb in MODALS or verb in _DO:
        found = split_at_base(rest)
        around = None if found is None or found[1] in ("be", "have") else joined(*found[2])
        if found is None or around is None or (found[2] and found[2][-1].lower() in PREPOSITIONS):
            return None
        if found[1] in _LEADING:
            return None
        return Frame(Slot.PLACE, verb, found[0], joined(found[1], around))
    if verb not in BE:
        return None
    last = rest[-1].lower()
    if last in _CROSSING and len(rest) > 2:
        return None
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
    if verb in ("has", "have"):
        return read_having((), verb, rest, who=True)
    if verb in _DO:
        acting = split_at_verb(rest)
        about = around_object(acting[2]) if acting else None
        if acting is None or about is None:
            return None
        before = joined(acting[1], about[0])
        return Frame(Slot.THING, verb, acting[0], before, about[1], "who", quotes=True)
    if verb in MODALS and is_verb(first) and last not in PREPOSITIONS:
        return Frame(Slot.THING, verb, None, after=" ".join(rest), noun="who", quotes=True)
    if verb not in BE:
        return read_doer(words, who=True) if verb not in AUXILIARIES else None
    if first in PREPOSITIONS or first == "ahead" or is_gerund(first) or is_state(first):
        ends = last in PREPOSITIONS
        after = " ".join(rest)
        return None if ends else Frame(Slot.THING, verb, None, "", after, "who", quotes=True)
    if found := split_at_gerund(rest):
        places = around_object(found[2])
        if places is None:
            return None
        before = joined(found[1], places[0])
        return Frame(Slot.THING, verb, found[0], before, places[1], "who", quotes=True)
    if about := split_at_end(rest, _ABOUT_WHOM):
        return Frame(Slot.THING, verb, about[0], about[1], noun="who", quotes=True)
    subject = read_subject(rest)
    if subject is None:
        return None
    pointed = subject.lower() in PRONOUNS
    return Frame(Slot.THING, verb, subject, noun="who", names=True, quotes=not pointed)


def read_whose(words: Words) -> Frame | None:
    """Return the frame of "Whose dog is this?" or "Whose name is on the shirt?"."""
    small = [word.lower() for word in words]
    at = next((at for at, word in enumerate(small) if word in BE), 0)
    noun, rest = small[:at], words[at + 1 :]
    if not noun or not rest or not all(known(word) for word in noun):
        return None
    asked = " ".join(noun)
    if " ".join(rest).lower() in ("this", "that", "it", "these", "those"):
        return Frame(Slot.OWNER, small[at], rest[0], noun=asked)
    states = rest[0].lower() in PREPOSITIONS or is_state(rest[0].lower())
    if not states or rest[-1].lower() in PREPOSITIONS or asked != "name":
        return None
    return Frame(Slot.QUOTE, small[at], None, after=" ".join(rest), noun=asked)


def read_when(words: Words) -> Frame | None:
    """Return the frame of a question, from the words after "When"."""
    if len(words) < 3:
        return None
    verb = words[0].lower()
    if verb in _DO or verb in MODALS:
        found = split_at_verb(words[1:])
        if found is None:
            return None
        return Frame(Slot.TIME, verb, found[0], found[1], " ".join(found[2]))
    if verb not in ("was", "were", "is"):
        return None
    subject = read_subject(words[1:-1])
    last = words[-1].lower()
    return Frame(Slot.TIME, verb, subject, last) if subject and is_state(last) else None


def read_on_side(text: str) -> Frame | None:
    """Return the frame of "On which side of the photo is the man?"."""
    found = _ON_SIDE.fullmatch(text)
    subject = read_long_subject(found[3].split()) if found else None
    if found is None or subject is None or subject.lower() in PRONOUNS - {"it", "he", "she"}:
        return None
    return Frame(Slot.SIDE, found[2].lower(), subject, "on", (found[1] or "").strip(), noun="side")


def read_after_preposition(words: Words) -> Frame | None:
    """Return the frame of "In which country was this taken?", "To whom does it belong?"."""
    small = [word.lower() for word in words]
    at = next((at for at, word in enumerate(small) if word in AUXILIARIES), 0)
    if at < 2 or small[1] not in ("what", "which", "whom", "who") or at + 2 >= len(words):
        return None
    noun, verb, rest = small[2:at], small[at], words[at + 1 :]
    who = small[1] in ("whom", "who")
    if (
        (who and noun)
        or (small[1] == "which" and not noun)
        or not all(known(word) for word in noun)
        or noun[-1:] == ["direction"]
    ):
        return None
    found = _said(verb, rest)
    if found is None:
        return None
    before = joined(*found[1], small[0])
    asked = "who" if who else " ".join(noun)
    slot = Slot.NAME if asked in ("year", "month", "time", "date") else Slot.THING
    return Frame(slot, verb, found[0], before, noun=asked, quotes=True)


def _said(verb: str, rest: Words) -> tuple[str, Words] | None:
    """Return the subject and what is said of it, a state or an action."""
    last = rest[-1].lower()
    if verb in BE:
        if found := split_at_gerund(rest):
            return found[0], [found[1], *found[2]]
        subject = read_subject(rest[:-1]) if is_state(last) else None
        whole = None if last.endswith("ing") else read_subject(rest)
        return (subject, [last]) if subject else (whole, []) if whole else None
    if base := split_at_base(rest):
        return base[0], [base[1], *base[2]]
    return None
