"""How many ...?"""

from __future__ import annotations

from asd_rewriter.rules.grammar.frames import Frame, Slot, joined
from asd_rewriter.rules.grammar.lexicon import is_adjective, is_gerund, is_verb, singular
from asd_rewriter.rules.grammar.tokens import (
    Words,
    around_object,
    is_state,
    read_subject,
    split_at_gerund,
    split_at_verb,
)
from asd_rewriter.rules.grammar.words import (
    AUXILIARIES,
    BE,
    DETERMINERS,
    PLURAL_ONLY,
    POINTS,
    PREPOSITIONS,
)


def read_count(words: Words) -> Frame | None:
    """Return the frame of a question, from the words after "How many"."""
    small = [word.lower() for word in words]
    at = next((at for at, word in enumerate(small) if word in AUXILIARIES), None)
    if at is None:
        return _acting(words)
    noun, verb, rest = " ".join(words[:at]), small[at], words[at + 1 :]
    if noun and not _countable(small[:at]):
        return None
    if verb in BE:
        return _with_be(noun, verb, rest)
    if verb in ("do", "does", "did"):
        return _with_do(noun, verb, rest)
    if verb in ("can", "could"):
        return _with_can(noun, verb, rest)
    if verb in ("has", "have") and rest and noun:
        return Frame(Slot.COUNT, "do", None, after=joined("have", *rest), noun=noun)
    return None


def _acting(words: Words) -> Frame | None:
    """How many steps lead up to the door?"""
    small = [word.lower() for word in words]
    for at in range(1, len(words) - 1):
        follows = small[at + 1] in PREPOSITIONS | DETERMINERS
        if is_verb(small[at]) and follows and singular(small[at - 1]) and _countable(small[:at]):
            ends = small[-1] in PREPOSITIONS
            after, noun = " ".join(words[at:]), " ".join(words[:at])
            return None if ends else Frame(Slot.COUNT, "do", None, after=after, noun=noun)
    return None


def _countable(noun: Words) -> bool:
    text = " ".join(noun)
    if "than" in noun:
        return False
    if noun[0] == "of":
        return read_subject(noun[1:]) is not None
    head = text.partition(" of ")[0].split()[-1]
    if head in PREPOSITIONS or len(noun) > 5:
        return False
    return head in PLURAL_ONLY or singular(head) is not None


def _with_be(noun: str, verb: str, rest: Words) -> Frame | None:
    small = [word.lower() for word in rest]
    if not rest or small[-1] in PREPOSITIONS - {"inside", "outside"}:
        return _object(noun, verb, rest) if rest else None
    if small[0] == "there":
        return Frame(Slot.COUNT, verb, "there", after=" ".join(rest[1:]), noun=noun)
    if not noun:
        return None
    points = len(small) > 2 and small[0] in POINTS and small[1] == "of"
    states = points or small[0] in PREPOSITIONS or is_gerund(small[0]) or is_state(small[0])
    if states and not noun.startswith("of "):
        return Frame(Slot.COUNT, verb, "there", after=" ".join(rest), noun=noun)
    if states or (len(rest) == 1 and is_adjective(small[0])):
        return Frame(Slot.COUNT, verb, None, after=" ".join(rest), noun=noun)
    return _object(noun, verb, rest)


def _object(noun: str, verb: str, rest: Words) -> Frame | None:
    found = split_at_gerund(rest)
    around = around_object(found[2]) if found else None
    if not found or not around or not noun:
        return None
    before = joined(found[1], around[0])
    return Frame(Slot.COUNT, verb, found[0], before, around[1], noun=noun)


def _with_do(noun: str, verb: str, rest: Words) -> Frame | None:
    found = split_at_verb(rest)
    if found is None:
        # How many people wear glasses?
        wanted = bool(rest) and is_verb(rest[0].lower())
        return Frame(Slot.COUNT, verb, None, after=" ".join(rest), noun=noun) if wanted else None
    around = around_object(found[2])
    if around is None or not noun:
        return None
    before = joined(found[1], around[0])
    return Frame(Slot.COUNT, verb, found[0], before, around[1], noun=noun)


def _with_can(noun: str, verb: str, rest: Words) -> Frame | None:
    small = [word.lower() for word in rest]
    if small[:2] == ["be", "seen"] or small[:1] == ["be"]:
        return Frame(Slot.COUNT, verb, None, after=" ".join(rest), noun=noun)
    if small[:2] in (["you", "see"], ["you", "count"], ["we", "see"]):
        return Frame(Slot.COUNT, verb, small[0], small[1], " ".join(rest[2:]), noun=noun)
    return None
