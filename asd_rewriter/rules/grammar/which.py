"""What or which with a noun: What colour ...?, What kind of dog ...?, Which side ...?"""

from __future__ import annotations

from asd_rewriter.rules.grammar.frames import Frame, Slot, joined
from asd_rewriter.rules.grammar.lexicon import is_gerund, known
from asd_rewriter.rules.grammar.others import read_doer
from asd_rewriter.rules.grammar.tokens import (
    Words,
    around_object,
    is_state,
    read_subject,
    split_at_gerund,
    split_at_verb,
)
from asd_rewriter.rules.grammar.what import read_what
from asd_rewriter.rules.grammar.words import (
    ATTRIBUTES,
    AUXILIARIES,
    BE,
    BRANDS,
    KINDS,
    PREPOSITIONS,
    WRITTEN_NOUNS,
    word_set,
)

_COLOURS = ("color", "colour", "colors", "colours")
_NUMBERED = ("number", "year", "time", "price", "score")
_SIDED = ("hand", "side", "foot", "arm", "leg", "eye", "ear", "wrist", "shoulder")
_NOT_NAMED = word_set(
    "flavor flavour denomination team street size age direction way gender position day"
)
_LONGEST = 5


def read_which(words: Words) -> Frame | None:
    """Return the frame of a question, from the words after "What" or "Which"."""
    small = [word.lower() for word in words]
    at = next((at for at, word in enumerate(small) if word in AUXILIARIES), None)
    if at is None and len(words) > 3:
        return read_doer(small[1], words[2:], small[0]) if known(small[0]) else None
    if at is None or at == 0 or at > _LONGEST or at + 1 == len(words):
        return None
    noun, verb, rest = small[:at], small[at], words[at + 1 :]
    if noun[0] in KINDS | BRANDS and noun[1:2] == ["of"] and len(noun) > 2:
        return _kind(noun[0], _bare(noun[2:]), verb, rest)
    if noun[0] in _COLOURS:
        return _colour(noun[1:], verb, rest)
    head = noun[-1]
    if words[0].lower() == "year's" and at == 2 and " ".join(rest).lower() == "this":
        return Frame(Slot.NUMBERED, verb, "this", f"the {noun[1]} of", noun="year")
    if noun[0] in _SIDED and verb in BE:
        return _side(noun, verb, rest)
    if not all(known(word) and word not in PREPOSITIONS for word in noun):
        return _time(noun, verb, rest)
    if len(noun) == 1 and (frame := _attribute(head, verb, rest)) is not None:
        return frame
    if head in _NUMBERED or (head in WRITTEN_NOUNS and len(noun) == 1):
        return None
    if head in BRANDS | _NOT_NAMED:
        return None
    return read_what(verb, rest, " ".join(noun))


def _bare(noun: Words) -> list[str]:
    return list(noun[1:] if noun[0] in ("a", "an", "the") else noun)


def _kind(word: str, noun: Words, verb: str, rest: Words) -> Frame | None:
    text = " ".join(noun)
    if not noun or noun[-1] in PREPOSITIONS or not all(known(it) for it in noun):
        return None
    if word in BRANDS:
        pointed = " ".join(rest).lower()
        if verb in BE and pointed in ("this", "that"):
            return Frame(Slot.NAME, "is", f"the {word} of {pointed} {text}")
        frame = read_what(verb, rest, text)
        wearing = frame is not None and frame.slot is Slot.THING and not frame.names
        if frame is None or not wearing:
            return None
        return Frame(Slot.NAME, verb, frame.subject, frame.before, frame.after, text, kind=True)
    if text == "book" and verb in BE and " ".join(rest).lower() in ("this", "it"):
        return Frame(Slot.QUOTE, verb, "this book", f"of the {word}")
    return read_what(verb, rest, text, kind=True)


def _colour(noun: Words, verb: str, rest: Words) -> Frame | None:
    if noun:
        known_noun = all(known(word) for word in noun) and noun[0] != "of"
        frame = read_what(verb, rest, f"colour {' '.join(noun)}") if known_noun else None
        return frame if frame is not None and frame.slot is Slot.COLOUR else None
    if verb in BE:
        found = split_at_gerund(rest)
        if found is not None and not found[2] and found[1] == "wearing":
            return Frame(Slot.COLOUR, verb, found[0], "wearing")
        ends = is_gerund(rest[-1].lower()) and len(rest) > 1
        subject = None if ends else read_subject(rest)
        return None if subject is None else Frame(Slot.COLOUR, verb, subject)
    return None


def _side(noun: Words, verb: str, rest: Words) -> Frame | None:
    """Which hand is he using?, Which side of the photo is the man on?"""
    of = " ".join(noun[1:])
    if of and not (of.startswith("of ") and read_subject(noun[2:])):
        return None
    if rest[-1].lower() in ("on", "in") and (subject := read_subject(rest[:-1])):
        return Frame(Slot.SIDE, verb, subject, rest[-1].lower(), of, noun=noun[0])
    found = split_at_gerund(rest)
    around = around_object(found[2]) if found else None
    if found is None or around is None or of:
        return None
    before = joined(found[1], around[0])
    return Frame(Slot.SIDE, verb, found[0], before, around[1], noun=noun[0])


def _attribute(noun: str, verb: str, rest: Words) -> Frame | None:
    """What word is on the sign?, What brand is the laptop?, What shape is the table?"""
    small = [word.lower() for word in rest]
    states = small[0] in PREPOSITIONS or is_state(small[0])
    slot = Slot.QUOTE if noun in WRITTEN_NOUNS else Slot.NUMBERED
    if verb in BE and states and noun in (*WRITTEN_NOUNS, *_NUMBERED):
        ends = small[-1] in PREPOSITIONS
        return None if ends else Frame(slot, verb, None, after=" ".join(rest), noun=noun)
    if noun in ("time", "season"):
        return _time([noun], verb, rest)
    subject = read_subject(rest) if verb in BE else None
    if noun == "year" and verb in ("was", "were") and is_state(small[-1]):
        subject = read_subject(rest[:-1])
        return None if subject is None else Frame(Slot.TIME, verb, subject, small[-1])
    if subject is None or is_gerund(small[-1]):
        return None
    if noun in ("word", "letter", "number", "year") and subject.lower() in ("this", "that", "it"):
        return Frame(slot, verb, subject, noun=noun)
    if noun in ("shape", "size", "pattern"):
        return Frame(Slot.PROPERTY, verb, subject, noun=noun, names=True)
    if noun == "material":
        return Frame(Slot.MATERIAL, verb, subject, "made of")
    pointed = subject.lower() in ("this", "that", "it", "these", "those", "they")
    if noun in BRANDS | {"flavor", "flavour", "breed", "language"} and noun in ATTRIBUTES:
        return None if pointed else Frame(Slot.NAME, "is", f"the {noun} of {subject}")
    return None


def _time(noun: Words, verb: str, rest: Words) -> Frame | None:
    """What time is it?, What time of day is it?, What time does the clock show?"""
    asked = " ".join(noun)
    if asked not in ("time", "time of day", "time of year", "season"):
        return None
    if verb in BE and " ".join(rest).lower() in ("it", "this"):
        return Frame(Slot.MEASURE, verb, rest[0], noun="time")
    found = split_at_verb(rest) if verb in ("does", "do", "did") else None
    if found is not None and found[1] in ("say", "show", "read", "display") and asked == "time":
        return Frame(Slot.MEASURE, verb, found[0], found[1], " ".join(found[2]), noun="time")
    return None
