"""Splitting a question's words: where its subject ends and its verb begins."""

from __future__ import annotations

import re
from collections.abc import Sequence

from asd_rewriter.rules.grammar.lexicon import is_gerund, is_participle, is_verb
from asd_rewriter.rules.grammar.words import (
    AUXILIARIES,
    DETERMINERS,
    PREPOSITIONS,
    PRONOUNS,
    word_set,
)

Words = Sequence[str]
_SUBJECT = re.compile(r"[\w'&. -]{1,90}")
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
        return text if first in _BARE else None
    if first not in DETERMINERS or first == "some" or not _SUBJECT.fullmatch(text):
        return None
    inner = [word.lower() for word in words[1:]]
    if any(word in AUXILIARIES or word in _SMALL - {"to"} or word == "and" for word in inner):
        return None
    if inner[0] in PREPOSITIONS or last in PREPOSITIONS or last in DETERMINERS or last in PRONOUNS:
        return None
    return text


def split_at_gerund(words: Words) -> tuple[str, str, list[str]] | None:
    """Return subject, -ing verb and what follows it, where there is one way to split."""
    places = [
        at
        for at, word in enumerate(words)
        if at and is_gerund(word.lower()) and not _names_a_thing(words, at)
    ]
    if not places:
        return None
    at = places[-1]
    if len(places) > 1 and not _ends_clause(words[at + 1 :]):
        return None
    subject = read_subject(words[:at])
    return None if subject is None else (subject, words[at].lower(), list(words[at + 1 :]))


def _names_a_thing(words: Words, at: int) -> bool:
    before = words[at - 1].lower()
    pronoun = at == 1 and before in PRONOUNS
    return before in PREPOSITIONS or (before in DETERMINERS and not pronoun)


def _ends_clause(words: Words) -> bool:
    return all(word.lower() in PREPOSITIONS for word in words)


def around_object(rest: Words) -> tuple[str, str] | None:
    """Return what comes before and after a verb's object, given what follows the verb."""
    small = [word.lower() for word in rest]
    if all(word in PREPOSITIONS or word in _LAST_PARTS for word in small):
        return (" ".join(rest), "") if "like" not in small else None
    if small[0] == "to" and len(small) > 2 and is_verb(small[1]) and small[-1] not in PREPOSITIONS:
        return None if "do" in small else ("", " ".join(rest))
    if small[0] not in PREPOSITIONS or small[-1] in PREPOSITIONS | DETERMINERS | PRONOUNS:
        return None
    if (
        len(small) < 2
        or small[1] in PREPOSITIONS - {"of", "to"}
        or _SMALL & set(small[1:]) - {"to"}
    ):
        return None
    if any(word in AUXILIARIES or is_gerund(word) for word in small):
        return None
    return "", " ".join(rest)


def split_at_verb(words: Words) -> tuple[str, str, list[str]] | None:
    """Return subject, base verb and what follows it: the man / have / in his hand."""
    small = [word.lower() for word in words]
    for at in range(1, len(words)):
        rest = words[at + 1 :]
        starts = not rest or small[at + 1] in PREPOSITIONS
        if not starts or not is_verb(small[at]):
            continue
        subject = read_subject(words[:at]) or ("you" if small[:at] == ["you"] else None)
        if subject is not None and not _names_a_thing(words, at):
            return subject, small[at], list(rest)
    return None


def split_at_end(words: Words, endings: Words) -> tuple[str, str] | None:
    """Return subject and ending, where the words end in one of these endings."""
    text = " ".join(words)
    for ending in endings:
        if text.lower().endswith(f" {ending}"):
            subject = read_subject(words[: len(words) - len(ending.split())])
            if subject is not None:
                return subject, ending
    return None


def is_state(word: str) -> bool:
    """Whether a word tells the state of the thing before it: shown, parked, visible."""
    return word in ("visible", "present") or is_participle(word)
