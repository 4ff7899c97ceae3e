"""What is ...?, What does ...?, What can ...?: questions without a noun after the what."""

from __future__ import annotations

from asd_rewriter.rules.grammar.frames import Frame, Slot, joined
from asd_rewriter.rules.grammar.lexicon import is_gerund, lemmas
from asd_rewriter.rules.grammar.tokens import (
    Words,
    around_object,
    is_state,
    read_subject,
    split_at_end,
    split_at_gerund,
    split_at_verb,
)
from asd_rewriter.rules.grammar.words import (
    ATTRIBUTES,
    BE,
    PREPOSITIONS,
    PRONOUNS,
    UNCERTAIN_HEADS,
    word_set,
)

_TEXTS = word_set("written printed engraved spelled typed painted handwritten inscribed")
_SAYING = word_set("say read spell")
_NOT_DOING = word_set("do mean look stand represent call like think suggest want use go")
_PROPERTIES = word_set("shape pattern condition gender size texture design")
_DONE_TO = word_set("to about for")
_MEANS = word_set("with on in into onto from under")
_RESTING = word_set("lying laying sitting standing sleeping resting leaning being walking running")
"""Verbs without an object of their own."""
_LIKE_TAILS = ("", "in the picture", "in this picture", "in the photo", "in this photo", "outside")
_ENDINGS = (
    "made out of", "made of", "made from", "on top of", "in front of", "next to", "full of",
    "filled with", "covered in", "covered with", "covered by", "attached to", "used for",
    "a picture of", "a photo of", "an image of", "called", "on", "in", "under", "behind", "above",
    "near", "beside", "inside", "against", "between", "with", "holding",
)  # fmt: skip


def read_what(verb: str, rest: Words, noun: str = "", kind: bool = False) -> Frame | None:
    """Return the frame of "What (noun) verb rest?"; `verb` in small letters."""
    if not rest:
        return None
    if verb in BE:
        return _with_be(verb, rest, noun, kind)
    if verb in ("do", "does", "did"):
        return _with_do(verb, rest, noun, kind)
    if verb in ("can", "could"):
        return _with_can(verb, rest, noun, kind)
    return None


def _with_be(verb: str, rest: Words, noun: str, kind: bool) -> Frame | None:
    small = [word.lower() for word in rest]
    text = " ".join(rest)
    first, last = small[0], small[-1]
    if first in PREPOSITIONS:
        ends = last in PREPOSITIONS | PRONOUNS and last not in ("it", "this", "them")
        thing = Frame(Slot.THING, verb, "there", after=text, noun=noun, kind=kind)
        return None if ends or first in ("like", "about", "for", "with") else thing
    if first in _TEXTS and len(rest) > 2 and not noun:
        return Frame(Slot.QUOTE, verb, None, after=text)
    if is_gerund(first) or is_state(first):
        ends = last in PREPOSITIONS and len(rest) > 1
        doing = small[1] if first == "being" and len(small) > 1 else first
        active = _verb_of(doing) if is_gerund(first) else ""
        thing = Frame(Slot.THING, verb, None, after=text, noun=noun, kind=kind, verb=active)
        return None if ends or first in ("called", "wrong") else thing
    return _with_gerund(verb, rest, noun, kind) or _with_subject(verb, rest, noun, kind)


def _verb_of(word: str) -> str:
    return lemmas(word).get("VERB", (word,))[0]


def _with_gerund(verb: str, rest: Words, noun: str, kind: bool) -> Frame | None:
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


def _with_subject(verb: str, rest: Words, noun: str, kind: bool) -> Frame | None:
    if found := split_at_end(rest, _ENDINGS):
        return _ended(verb, *found, noun, kind)
    looks = _before_like(rest)
    if looks is not None and (subject := read_subject(looks)) and not noun:
        return Frame(Slot.PROPERTY, verb, subject) if "weather" in subject else None
    subject = read_subject(rest)
    if subject is None:
        return None
    if noun:
        return Frame(Slot.THING, verb, subject, noun=noun, kind=kind, names=True)
    return _named(verb, subject, head_of(rest))


def _before_like(rest: Words) -> Words | None:
    small = [word.lower() for word in rest]
    at = small.index("like") if "like" in small else -1
    tail = " ".join(small[at + 1 :])
    return rest[:at] if at > 0 and tail in _LIKE_TAILS else None


def _ended(verb: str, subject: str, ending: str, noun: str, kind: bool) -> Frame | None:
    if ending == "called":
        return Frame(Slot.THING, verb, subject, noun=noun or head_of(subject.split()), names=True)
    if ending.startswith("made"):
        return Frame(Slot.MATERIAL, verb, subject, ending)
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
        return Frame(Slot.PROPERTY, verb, subject, noun=head, names=True)
    if head in ("title", "name", "word", "letter", "phrase"):
        return Frame(Slot.QUOTE, verb, subject)
    if head in ATTRIBUTES:
        return Frame(Slot.NAME, verb, subject)
    if head in UNCERTAIN_HEADS and subject.lower() not in PRONOUNS:
        return None
    return Frame(Slot.THING, verb, subject, noun=head, names=True)


def head_of(words: Words) -> str:
    """Return the noun that a noun phrase is about, in small letters: name in the man's name."""
    head = words[0].lower()
    for at, word in enumerate(words):
        small = word.lower()
        if at > 1 and (small in PREPOSITIONS or is_state(small) or is_gerund(small)):
            break
        head = small
    return head


def _with_do(verb: str, rest: Words, noun: str, kind: bool) -> Frame | None:
    found = split_at_verb(rest)
    around = around_object(found[2]) if found else None
    if found is None or around is None or found[1] in _NOT_DOING:
        return None
    subject, base, _ = found
    before, after = joined(base, around[0]), around[1]
    if base in _SAYING:
        if noun not in ("", "word", "words", "letters", "letter", "name", "number"):
            return None
        return Frame(Slot.QUOTE, verb, subject, before, after)
    slot = Slot.COLOUR if noun.startswith("colour ") else Slot.THING
    noun = noun.removeprefix("colour ")
    return Frame(slot, verb, subject, before, after, noun, kind, verb=base)


def _with_can(verb: str, rest: Words, noun: str, kind: bool) -> Frame | None:
    small = [word.lower() for word in rest]
    if small[:2] == ["be", "seen"] and small[-1] not in PREPOSITIONS:
        return Frame(Slot.THING, verb, None, after=" ".join(rest), noun=noun, kind=kind)
    if small[:2] in (["you", "see"], ["we", "see"]) and small[-1] not in PREPOSITIONS:
        after = " ".join(rest[2:])
        return Frame(Slot.THING, verb, small[0], small[1], after, noun=noun, kind=kind)
    return None
