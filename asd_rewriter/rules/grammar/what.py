"""What is ...?, What does ...?: questions without a noun after the what."""

from __future__ import annotations

from asd_rewriter.rules.grammar.frames import Frame, Slot, joined
from asd_rewriter.rules.grammar.lexicon import is_gerund, is_verb, lemmas
from asd_rewriter.rules.grammar.modals import MODALS, read_modal, read_to_do
from asd_rewriter.rules.grammar.tokens import (
    Words,
    around_object,
    is_state,
    read_long_subject,
    read_subject,
    split_at_end,
    split_at_gerund,
    split_at_verb,
)
from asd_rewriter.rules.grammar.words import (
    ATTRIBUTES,
    BE,
    DETERMINERS,
    POINTS,
    PREPOSITIONS,
    PRONOUNS,
    RELATIVES,
    ROLES,
    UNCERTAIN_HEADS,
    word_set,
)

_TEXTS = word_set("written printed engraved spelled typed painted handwritten inscribed")
_SAYING = word_set("say read spell")
_NOT_DOING = word_set("do look stand call think suggest use go")
_MEANING = word_set("mean represent indicate signify symbolize symbolise stand")
_LOOKING = word_set("look feel taste smell sound")
_WANTING = word_set("like want need have love prefer")
_OFTEN = word_set("usually often typically normally commonly currently mainly also being")
_WRITTEN = word_set(
    "title name word letter phrase heading header label caption subtitle slogan headline message"
    " motto captcha text sentence letters words"
)
_PROPERTIES = word_set("shape pattern condition gender size texture design weather mood")
_DONE_TO = word_set("to about for")
_MEANS = word_set("with on in into onto from under")
_RESTING = word_set("lying laying sitting standing sleeping resting leaning being walking running")
"""Verbs without an object of their own."""
_ENDINGS = (
    "made out of", "made of", "made from", "constructed of", "constructed from",
    "constructed out of", "built of", "built from", "built out of", "best classified as",
    "classified as", "best described as", "described as", "known as", "native to", "on top of",
    "in front of", "next to", "full of", "filled with", "covered in", "covered with",
    "covered by", "attached to", "used for", "a picture of", "a photo of", "an image of", "called",
    "on", "in", "under", "behind", "above", "near", "beside", "inside", "against", "between",
    "with", "holding", "from", "to", "for",
)  # fmt: skip


def read_what(verb: str, rest: Words, noun: str = "", kind: str = "") -> Frame | None:
    """Return the frame of "What (noun) verb rest?"; `verb` in small letters."""
    if not rest:
        return None
    if verb in BE:
        return _with_be(verb, rest, noun, kind)
    if verb in ("do", "does", "did"):
        return _with_do(verb, rest, noun, kind)
    if verb in MODALS:
        return read_modal(verb, rest, noun, kind)
    return None


def _with_be(verb: str, rest: Words, noun: str, kind: str) -> Frame | None:
    small = [word.lower() for word in rest]
    text = " ".join(rest)
    first, last = small[0], small[-1]
    if len(small) > 1 and first in _OFTEN and is_state(small[1]):
        first = small[1]
    if first in PREPOSITIONS or small[:2] in _ALL_AROUND or _is_near(small):
        ends = last in PREPOSITIONS | PRONOUNS and last not in ("it", "this", "them")
        thing = Frame(Slot.THING, verb, "there", after=text, noun=noun, kind=kind)
        return None if ends or first in ("like", "about", "for", "with") else thing
    if first in _TEXTS and len(rest) > 2 and not noun:
        return Frame(Slot.QUOTE, verb, None, after=text)
    compares = "than" in small and (first.endswith("er") or first in ("more", "less"))
    compares = compares or (first in ("closest", "nearest") and small[1:2] == ["to"])
    if is_gerund(first) or is_state(first) or compares:
        ends = last in PREPOSITIONS and len(rest) > 1
        doing = small[1] if first == "being" and len(small) > 1 else first
        active = _verb_of(doing) if is_gerund(first) else ""
        thing = Frame(Slot.THING, verb, None, after=text, noun=noun, kind=kind, verb=active)
        return None if ends or first in ("called", "wrong") else thing
    if not noun and (frame := read_to_do(verb, rest)):
        return frame
    return _with_gerund(verb, rest, noun, kind) or _with_subject(verb, rest, noun, kind)


def _is_near(small: Words) -> bool:
    """Whether words tell a place: north of the lake."""
    return "of" in small and (small[0] in POINTS or small[0] == "ahead")


_ALL_AROUND = (["all", "over"], ["all", "around"])


def _verb_of(word: str) -> str:
    return lemmas(word).get("VERB", (word,))[0]


def _with_gerund(verb: str, rest: Words, noun: str, kind: str) -> Frame | None:
    found = split_at_gerund(rest)
    if found is None:
        return None
    subject, doing, after = found
    if doing == "doing" and not noun:
        first = after[0].lower() if after else ""
        ends = after and (first not in PREPOSITIONS - _DONE_TO or len(after) < 2)
        return None if ends else Frame(Slot.ACTIVITY, verb, subject, after=" ".join(after))
    around = around_object(after) or _with_means(after)
    if doing in _RESTING and around is not None and not around[0]:
        return None
    if around is None or doing in ("trying", "going", "getting", "doing", "being"):
        return None
    if doing == "saying":
        return Frame(Slot.QUOTE, verb, subject, "saying", around[1])
    slot = Slot.COLOUR if noun.startswith("colour ") else Slot.THING
    noun = noun.removeprefix("colour ")
    before = joined(doing, around[0])
    return Frame(slot, verb, subject, before, around[1], noun, kind, verb=_verb_of(doing))


def _with_means(after: Words) -> tuple[str, str] | None:
    """What is he cutting the paper with? The verb has its object; the preposition has none."""
    used = len(after) > 2 and after[-1].lower() in _MEANS and read_subject(after[:-1]) is not None
    return (" ".join(after), "") if used else None


def _with_subject(verb: str, rest: Words, noun: str, kind: str) -> Frame | None:
    if found := split_at_end(rest, _ENDINGS):
        return _ended(verb, *found, noun, kind)
    looks, place = _around_like(rest)
    if looks and (subject := read_subject(looks)) and not noun:
        return Frame(Slot.PROPERTY, verb, subject, after=place)
    subject = read_subject(rest) if noun else read_long_subject(rest)
    if subject is None:
        return None
    if noun:
        return Frame(Slot.THING, verb, subject, noun=noun, kind=kind, names=True)
    return _named(verb, subject, head_of(rest))


def _around_like(rest: Words) -> tuple[Words, str]:
    """Return the subject and the place of "What is the weather like in the picture?"."""
    small = [word.lower() for word in rest]
    at = small.index("like") if "like" in small else 0
    place = small[at + 1 :]
    fits = not place or place == ["outside"] or (len(place) > 1 and place[0] in PREPOSITIONS)
    return (rest[:at], " ".join(rest[at + 1 :])) if at and fits else ((), "")


def _ended(verb: str, subject: str, ending: str, noun: str, kind: str) -> Frame | None:
    if ending == "called":
        named = noun or head_of(subject.split())
        return Frame(Slot.THING, verb, subject, noun=named, names=True, quotes=True)
    if ending.startswith(("made", "constructed", "built")):
        return Frame(Slot.MATERIAL, verb, subject, ending)
    if ending in ("to", "for"):
        return None
    if ending == "used for":
        return Frame(Slot.ACTIVITY, verb, subject, ending)
    return Frame(Slot.THING, verb, subject, ending, noun=noun, kind=kind)


def _named(verb: str, subject: str, head: str) -> Frame | None:
    if head in ("color", "colour"):
        return Frame(Slot.COLOUR, verb, subject)
    if head == "time":
        return Frame(Slot.MEASURE, verb, subject, noun="time")
    if head == "material":
        return Frame(Slot.MATERIAL, verb, subject)
    if head in _PROPERTIES:
        return Frame(Slot.PROPERTY, verb, subject, noun=head, names=True, quotes=True)
    if head in _WRITTEN:
        return Frame(Slot.QUOTE, verb, subject)
    if head in ATTRIBUTES:
        return Frame(Slot.NAME, verb, subject, noun=head)
    if head == "location":
        return Frame(Slot.PLACE, verb, subject, quotes=True)
    if subject.lower() in PRONOUNS:
        return Frame(Slot.THING, verb, subject, noun=head, names=True)
    if head in UNCERTAIN_HEADS:
        return None
    if head in ROLES:
        return Frame(Slot.QUOTE, verb, subject, quotes=True)
    return Frame(Slot.THING, verb, subject, noun=head, names=True, quotes=True)


def head_of(words: Words) -> str:
    """Return the noun that a noun phrase is about, in small letters: name in the man's name."""
    head = words[0].lower()
    for at, word in enumerate(words):
        small = word.lower()
        ends = small in PREPOSITIONS | RELATIVES or is_state(small) or is_gerund(small)
        if at > 1 and (ends or (at > 2 and small in DETERMINERS)):
            break
        head = small
    return head


def _with_do(verb: str, rest: Words, noun: str, kind: str) -> Frame | None:
    if not noun and (frame := _appearing(verb, rest)):
        return frame
    found = split_at_verb(rest)
    around = around_object(found[2]) if found else None
    if found is None or around is None:
        return None
    subject, base, _ = found
    if base in _MEANING and not noun and around[0] == ("for" if base == "stand" else ""):
        return Frame(Slot.MEANING, verb, subject, joined(base, around[0]), around[1])
    if base in _NOT_DOING | _MEANING:
        return None
    before, after = joined(base, around[0]), around[1]
    if base in _SAYING:
        if noun not in ("", "word", "words", "letters", "letter", "name", "number"):
            return None
        return Frame(Slot.QUOTE, verb, subject, before, after)
    slot = Slot.COLOUR if noun.startswith("colour ") else Slot.THING
    noun = noun.removeprefix("colour ")
    return Frame(slot, verb, subject, before, after, noun, kind, verb=base)


def _appearing(verb: str, rest: Words) -> Frame | None:
    """What does it look like?, What does he seem to be doing?, What does it like to eat?"""
    small = [word.lower() for word in rest]
    if small[-1] == "like" and small[-2] in _LOOKING and (subject := read_subject(rest[:-2])):
        return Frame(Slot.LOOKS, verb, subject, small[-2])
    if small[-3:] == ["to", "be", "doing"] and small[-4] in ("appear", "seem"):
        subject = read_subject(rest[:-4])
        return Frame(Slot.ACTIVITY, verb, subject, f"{small[-4]} to be") if subject else None
    at = len(small) - 3
    if at < 1 or small[at] not in _WANTING or small[at + 1] != "to" or not is_verb(small[-1]):
        return None
    subject = read_subject(rest[:at])
    if subject is None:
        return None
    if small[-1] == "do":
        return Frame(Slot.VERB, verb, subject, f"{small[at]} to")
    return Frame(Slot.THING, verb, subject, " ".join(small[at:]), verb=small[-1])
