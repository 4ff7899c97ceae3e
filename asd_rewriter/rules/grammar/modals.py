"""What should he do?, What can you see?, Which object would sink?, What is he trying to do?"""

from __future__ import annotations

from asd_rewriter.rules.grammar.frames import Frame, Slot, joined
from asd_rewriter.rules.grammar.lexicon import is_gerund, is_verb
from asd_rewriter.rules.grammar.tokens import (
    Words,
    around_object,
    is_state,
    read_subject,
    split_at_base,
)
from asd_rewriter.rules.grammar.words import DETERMINERS, PREPOSITIONS, PRONOUNS, word_set

MODALS = word_set("can could should would might may will must")
_GOING = word_set("trying going about supposed allowed preparing ready likely able not required")


def read_modal(verb: str, rest: Words, noun: str, kind: str) -> Frame | None:
    """Return the frame of "What (noun) can rest?"; `verb` in small letters."""
    small = [word.lower() for word in rest]
    ends = small[-1] in PREPOSITIONS | DETERMINERS | {"what"}
    if small[0] not in DETERMINERS | PRONOUNS and (is_verb(small[0]) or small[0] == "be"):
        passive = small[0] == "be" and len(small) > 1 and is_state(small[1])
        if ends or not (passive or small[0] not in ("be", "happen", "do")):
            return None
        return Frame(Slot.THING, verb, None, after=" ".join(rest), noun=noun, kind=kind)
    found = split_at_base(rest)
    if found is None:
        return None
    subject, base, after = found
    if base == "do":
        place = not after or (after[0].lower() in PREPOSITIONS and len(after) > 1)
        return Frame(Slot.VERB, verb, subject, after=" ".join(after)) if place else None
    return _with_object(verb, subject, [base, *after], noun, kind)


def _with_object(verb: str, subject: str, doing: Words, noun: str, kind: str) -> Frame | None:
    """Read: you see on the sign, the man be holding."""
    size = 2 if doing[0] == "be" and len(doing) > 1 and is_gerund(doing[1]) else 1
    if size == 1 and doing[0] in ("be", "have", "happen"):
        return None
    if doing[size - 1] == "doing":
        if noun or (size < len(doing) and doing[size] not in PREPOSITIONS):
            return None
        after = " ".join(doing[size:])
        return Frame(Slot.ACTIVITY, verb, subject, "be", after)
    around = around_object(doing[size:])
    if around is None:
        return None
    before = joined(*doing[:size], around[0])
    return Frame(Slot.THING, verb, subject, before, around[1], noun, kind, verb=doing[0])


def read_to_do(verb: str, rest: Words) -> Frame | None:
    """Return the frame of "What is the boy trying to do (with it)?" or "... about to hit?"."""
    small = [word.lower() for word in rest]
    start = next((at for at, word in enumerate(small) if at and word in _GOING), None)
    if start is None or "to" not in small[start:-1]:
        return None
    at = small.index("to", start) + 1
    subject = read_subject(rest[:start]) or ("you" if small[:start] == ["you"] else None)
    if subject is None or not set(small[start : at - 1]) <= _GOING | {"getting", "be"}:
        return None
    before, after = " ".join(small[start : at + 1]), rest[at + 1 :]
    if small[at] != "do":
        plain = is_verb(small[at]) and (not after or small[at + 1] in PREPOSITIONS)
        around = around_object(after) if plain else None
        if around is None:
            return None
        return Frame(
            Slot.THING, verb, subject, joined(before, around[0]), around[1], verb=small[at]
        )
    if after and small[at + 1] != "here" and (small[at + 1] not in PREPOSITIONS or not after[1:]):
        return None
    return Frame(Slot.VERB, verb, subject, before.removesuffix(" do"), " ".join(after))
