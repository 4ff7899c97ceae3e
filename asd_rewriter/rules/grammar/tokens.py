"""Splitting a question's words: where its subject ends and its verb begins."""

from __future__ import annotations

import re
from collections.abc import Sequence

from asd_rewriter.rules.grammar.frames import joined
from asd_rewriter.rules.grammar.lexicon import is_gerund, is_participle, is_verb, lemmas
from asd_rewriter.rules.grammar.nouns import Number, noun_number
from asd_rewriter.rules.grammar.words import (
    AUXILIARIES,
    DETERMINERS,
    PREPOSITIONS,
    PRONOUNS,
    word_set,
)

Words = Sequence[str]
_SUBJECT = re.compile(r"[\w'&. \"-]{1,110}")
_BARE = PRONOUNS - {"you", "we"}
_LAST_PARTS = word_set("made full top front filled covered next out instead")
_SMALL = word_set("and or who which that where what to not as than doing")


def read_subject(words: Words) -> str | None:
    """Return words as a subject (the bus, it, the man's shoes), or None if they may not be one."""
    if not words:
        return None
    first, last = words[0].lower(), words[-1].lower()
    text = " ".join(words)
    if len(words) == 1:
        plural = words[0].islower() and noun_number(first) is Number.MANY
        return text if first in _BARE or plural else None
    if first not in DETERMINERS or first == "some" or not _SUBJECT.fullmatch(text):
        return None
    inner = [word.lower() for word in words[1:]]
    if any(word in AUXILIARIES or word in _SMALL - {"to"} or word == "and" for word in inner):
        return None
    lying = last in ("down", "up") and len(inner) > 2 and is_gerund(inner[-2])
    ends = last in PREPOSITIONS and not lying
    if inner[0] in PREPOSITIONS or ends or last in DETERMINERS or last in PRONOUNS:
        return None
    return text


def read_long_subject(words: Words) -> str | None:
    """Return words as a subject, also with a clause: the shirt that the man is wearing."""
    if subject := read_subject(words):
        return subject
    small = [word.lower() for word in words]
    at = next((at for at in range(2, len(small)) if _starts_clause(small, at)), None)
    if at is None or len(small) < at + 3 or read_subject(words[:at]) is None:
        return None
    rest = small[at:]
    unfit = rest[-1] in DETERMINERS | AUXILIARIES or {"and", "or", "what", "if"} & set(rest)
    if unfit or not any("VERB" in lemmas(word) or word in AUXILIARIES for word in rest[1:]):
        return None
    return " ".join(words)


def _starts_clause(small: Words, at: int) -> bool:
    if small[at] in ("that", "who", "which", "whose"):
        return True
    bare = small[at] in DETERMINERS | PRONOUNS and small[at - 1] not in PREPOSITIONS | DETERMINERS
    return bare and any(word in AUXILIARIES for word in small[at + 1 :])


def split_at_gerund(words: Words) -> tuple[str, str, list[str]] | None:
    """Return subject, -ing verb and what follows it, where there is one way to split."""
    places = [
        at
        for at, word in enumerate(words)
        if at and is_gerund(word.lower()) and not _names_a_thing(words, at) and _ends(words, at)
    ]
    if not places:
        return None
    at = places[-1]
    if len(places) > 1 and not _ends_clause(words[at + 1 :]):
        return None
    subject = read_subject(words[:at])
    return None if subject is None else (subject, words[at].lower(), list(words[at + 1 :]))


def _ends(words: Words, at: int) -> bool:
    """Whether a subject may end before a place: not after "the abnormal"."""
    word = words[at - 1].lower()
    return at != 2 or "ADJ" not in lemmas(word) or noun_number(word) is not None


def _names_a_thing(words: Words, at: int) -> bool:
    before = words[at - 1].lower()
    pronoun = at == 1 and before in PRONOUNS
    return before in PREPOSITIONS or (before in DETERMINERS and not pronoun)


def _ends_clause(words: Words) -> bool:
    return all(word.lower() in PREPOSITIONS for word in words)


def around_object(rest: Words) -> tuple[str, str] | None:
    """Return what comes before and after a verb's object, given what follows the verb."""
    small = [word.lower() for word in rest]
    if len(small) == 1 and small[0] in _HERE:
        return "", rest[0]
    if len(small) > 1 and small[-1] == "next":
        before = around_object(rest[:-1])
        return (before[0], joined(before[1], rest[-1])) if before else None
    if all(word in PREPOSITIONS or word in _LAST_PARTS for word in small):
        return (" ".join(rest), "") if "like" not in small else None
    if small[0] == "to" and len(small) > 2 and is_verb(small[1]) and small[-1] not in PREPOSITIONS:
        return None if "do" in small else ("", " ".join(rest))
    if small[0] not in PREPOSITIONS or small[-1] in PREPOSITIONS | DETERMINERS | PRONOUNS:
        return None
    if (
        len(small) < 2
        or (small[1] in PREPOSITIONS - {"of"} and small[:2] != ["next", "to"])
        or _SMALL & set(small[1:]) - {"to"}
    ):
        return None
    if any(word in AUXILIARIES or is_gerund(word) for word in small):
        return None
    return "", " ".join(rest)


def split_at_verb(words: Words) -> tuple[str, str, list[str]] | None:
    """Return subject, base verb and what follows it: the man / have / in his hand."""
    small = [word.lower() for word in words]
    last = len(words) - 1
    for at in (last, *range(1, last)):
        rest = words[at + 1 :]
        starts = not rest or small[at + 1] in PREPOSITIONS | _HERE
        if not starts or not is_verb(small[at]) or small[at] in PREPOSITIONS | _PARTICLES:
            continue
        subject = read_subject(words[:at]) or ("you" if small[:at] == ["you"] else None)
        if subject is not None and not _names_a_thing(words, at):
            return subject, small[at], list(rest)
    return None


def split_at_base(words: Words) -> tuple[str, str, list[str]] | None:
    """Return subject, base verb and what follows it, an object too: you / see / on the sign."""
    small = [word.lower() for word in words]
    for at in range(1, len(words)):
        after = small[at + 1 : at + 2]
        ends = not after or after[0] in PREPOSITIONS | DETERMINERS | PRONOUNS | {"here", "there"}
        helps = small[at] in ("be", "have")
        if not helps and not (ends and is_verb(small[at])):
            continue
        subject = read_subject(words[:at]) or (words[0] if small[:at] in _PERSONS else None)
        if subject is not None and not _names_a_thing(words, at):
            return subject, small[at], list(words[at + 1 :])
    return None


_PERSONS = (["you"], ["we"], ["i"])


def split_at_end(words: Words, endings: Words) -> tuple[str, str] | None:
    """Return subject and ending, where the words end in one of these endings.

    A state belongs to the ending: the bike / parked on.
    """
    text = " ".join(words)
    for ending in endings:
        if text.lower().endswith(f" {ending}"):
            before = words[: len(words) - len(ending.split())]
            last = before[-1].lower()
            states = is_state(last) and (ending in PREPOSITIONS or ending in _BESIDE)
            if len(before) > 1 and (states or (is_gerund(last) and ending in _PICTURED)):
                before, ending = before[:-1], f"{before[-1].lower()} {ending}"
            read = read_long_subject if ending in _AFTER_CLAUSE else read_subject
            subject = read(before)
            if subject is not None:
                return subject, ending
    return None


_HERE = {"here", "there", "outside", "next"}
_PARTICLES = {"back", "away", "together", "apart"}
_BESIDE = ("next to", "in front of", "on top of")
_PICTURED = ("a picture of", "a photo of")
_AFTER_CLAUSE = ("called", "made of", "made out of", "made from")


def is_state(word: str) -> bool:
    """Whether a word tells the state of the thing before it: shown, parked, visible."""
    return word in _STATES or is_participle(word)


_STATES = ("visible", "present", "lit", "cut", "set", "hit", "shut")
