"""What or which with a noun: What colour ...?, What kind of dog ...?, Which side ...?"""

from __future__ import annotations

from asd_rewriter.rules.grammar.doers import read_doer, read_having
from asd_rewriter.rules.grammar.frames import Frame, Slot, joined
from asd_rewriter.rules.grammar.lexicon import is_gerund, known
from asd_rewriter.rules.grammar.others import read_when
from asd_rewriter.rules.grammar.tokens import (
    Words,
    around_object,
    is_state,
    read_long_subject,
    read_subject,
    split_at_gerund,
    split_at_verb,
)
from asd_rewriter.rules.grammar.what import read_what
from asd_rewriter.rules.grammar.words import (
    AUXILIARIES,
    BE,
    BRANDS,
    KINDS,
    PREPOSITIONS,
    WRITTEN_NOUNS,
    word_set,
)

_COLOURS = ("color", "colour", "colors", "colours")
_NUMBERED = ("number", "year", "time", "price", "score", "date")
_SIDED = ("hand", "side", "foot", "arm", "leg", "eye", "ear", "wrist", "shoulder")
_PARTS = word_set("fraction percentage percent portion part proportion")
_HEADING = ("looking", "facing", "going", "heading", "pointing", "headed", "moving", "traveling",
            "travelling", "walking", "running", "flying", "driving", "blowing")  # fmt: skip
_LONGEST = 5


def read_which(words: Words) -> Frame | None:
    """Return the frame of a question, from the words after "What" or "Which"."""
    small = [word.lower() for word in words]
    at = next((at for at, word in enumerate(small) if word in AUXILIARIES), None)
    if at is None:
        return read_doer(words)
    if at == 0 and small[0] in ("has", "have"):
        return read_having((), small[0], words[1:])
    if at == 0 or at > _LONGEST + 2 or at + 1 == len(words):
        return None
    noun, verb, rest = small[:at], small[at], words[at + 1 :]
    if verb in ("has", "have", "had"):
        return read_having(noun, verb, rest)
    if noun[0] in _PARTS and noun[1:2] == ["of"]:
        return _part(words[1:at], verb, rest)
    if at > _LONGEST:
        return None
    if noun[0] in KINDS | BRANDS and noun[1:2] == ["of"] and len(noun) > 2:
        return _kind(noun[0], _bare(noun[2:]), verb, rest)
    if noun[0] in _COLOURS:
        return _colour(noun[2:] if noun[1:2] == ["of"] else noun[1:], verb, rest)
    head = noun[-1]
    if words[0].lower() == "year's" and at == 2 and " ".join(rest).lower() == "this":
        return Frame(Slot.NUMBERED, verb, "this", f"the {noun[1]} of", noun="year")
    if noun[0] in _SIDED and verb in BE:
        return _side(noun, verb, rest) or read_what(verb, rest, " ".join(noun))
    if noun[0] in _PARTS:
        return None
    if not all(known(word) and word not in PREPOSITIONS for word in noun):
        return _time(noun, verb, rest)
    if len(noun) == 1 and (frame := _attribute(head, verb, rest)) is not None:
        return frame
    if head in ("direction", "way"):
        return _direction(verb, rest)
    if head in _NUMBERED and head != "number":
        return None
    return read_what(verb, rest, " ".join(noun))


def _part(of: Words, verb: str, rest: Words) -> Frame | None:
    """What fraction of the shape is shaded?"""
    states = is_state(rest[0].lower()) or rest[0].lower() in PREPOSITIONS
    if read_subject(of[1:]) is None or verb not in BE or not states:
        return None
    return Frame(Slot.COUNT, verb, None, after=" ".join(rest), noun=" ".join(of))


def _direction(verb: str, rest: Words) -> Frame | None:
    """Which direction is the cow facing?"""
    found = split_at_gerund(rest) if verb in BE else None
    if found is None or found[1] not in _HEADING or found[2] not in ([], ["in"]):
        return None
    return Frame(Slot.DIRECTION, verb, found[0], found[1])


def _bare(noun: Words) -> list[str]:
    return list(noun[1:] if noun[0] in ("a", "an", "the") else noun)


def _kind(word: str, noun: Words, verb: str, rest: Words) -> Frame | None:
    text = " ".join(noun)
    if not noun or noun[-1] in PREPOSITIONS or not all(known(it) for it in noun):
        return None
    if word in BRANDS:
        pointed = " ".join(rest).lower()
        pointed = "this" if pointed == "it" else pointed
        if verb in BE and pointed in ("this", "that"):
            return Frame(Slot.NAME, "is", f"the {word} of {pointed} {text}")
        frame = read_what(verb, rest, text)
        wearing = frame is not None and frame.slot is Slot.THING and not frame.names
        if frame is None or not wearing:
            return None
        return Frame(Slot.NAME, verb, frame.subject, frame.before, frame.after, text, kind=word)
    if text == "book" and verb in BE and " ".join(rest).lower() in ("this", "it"):
        return Frame(Slot.QUOTE, verb, "this book", f"of the {word}")
    return read_what(verb, rest, text, kind=word)


def _colour(noun: Words, verb: str, rest: Words) -> Frame | None:
    if noun:
        known_noun = all(known(word) for word in noun) and noun[0] != "of"
        frame = read_what(verb, rest, f"colour {' '.join(noun)}") if known_noun else None
        return frame if frame is not None and frame.slot is Slot.COLOUR else None
    if verb in BE:
        found = split_at_gerund(rest)
        if found is not None and not found[2] and found[1] in ("wearing", "showing"):
            return Frame(Slot.COLOUR, verb, found[0], found[1])
        ends = is_gerund(rest[-1].lower()) and len(rest) > 1 and read_subject(rest)
        subject = None if ends else read_long_subject(rest)
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
    if noun in ("time", "year", "day", "month", "date") and verb in ("do", "does", "did"):
        if frame := _time([noun], verb, rest):
            return frame
        says = rest[-1].lower() in ("say", "read")
        return read_what(verb, rest, "number") if says else read_when([verb, *rest])
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
    if noun in _OWNED and not pointed:
        return Frame(Slot.NAME, "is", f"the {noun} of {subject}")
    return None


_OWNED = BRANDS | word_set("flavor flavour language denomination gender age size")


def _time(noun: Words, verb: str, rest: Words) -> Frame | None:
    """What time is it?, What time of day is it?, What time does the clock show?"""
    asked = " ".join(noun)
    if asked not in ("time", "time of day", "time of year", "season"):
        return None
    place = rest[1:]
    located = not place or (len(place) > 1 and place[0].lower() in PREPOSITIONS)
    if verb in BE and rest[0].lower() in ("it", "this") and located:
        return Frame(Slot.MEASURE, verb, rest[0], after=" ".join(place), noun="time")
    found = split_at_verb(rest) if verb in ("does", "do", "did") else None
    if found is not None and found[1] in ("say", "show", "read", "display") and asked == "time":
        return Frame(Slot.MEASURE, verb, found[0], found[1], " ".join(found[2]), noun="time")
    return None
