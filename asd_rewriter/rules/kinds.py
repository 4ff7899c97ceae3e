"""What kind of answer an answer is, and how a question begins: what makes wrong ones plausible."""

from __future__ import annotations

from asd_rewriter.answers import normalise
from asd_rewriter.facts import Fact
from asd_rewriter.language import is_english, script_of
from asd_rewriter.rules.grammar.words import COLOURS, UNSURE

_OPEN = frozenset(("is", "are", "was", "were", "does", "do", "did"))
_ANYONE = frozenset(
    ("man", "woman", "boy", "girl", "person", "people", "child", "lady", "men", "women")
)
_HEAD_NOUN = frozenset(("kind", "type", "sort", "piece", "item", "brand"))


def kind_of(answer: str) -> str:
    """Return number, colour, capitals, doing, name, phrase or word."""
    first, space, rest = answer.partition(" ")
    if any(map(str.isdigit, answer)):
        return "number"
    if not space and answer.casefold() in COLOURS:
        return "colour"
    if answer.isupper():
        return "capitals"
    if first.endswith("ing"):
        return "doing"
    if answer[:1].isupper() and not rest.islower():
        return "name"
    return "phrase" if " " in rest else "word"


def head_of(question: str) -> str:
    """Return what a question begins with: its first words, and what tells its answers' kind."""
    words = question.casefold().split(None, 5)[:5]
    if len(words) < 3:
        return " ".join(words)
    first, second, third = words[:3]
    if second in _HEAD_NOUN and len(words) > 3:
        return f"{first} {second} {words[3]}"
    if second in _OPEN and first == "what":
        if third in ("the", "this") and len(words) > 4 and words[4] == "of":
            return f"{first} {second} {words[3]}"
        last = question.rstrip(" ?.").rpartition(" ")[2]
        return f"{first} {second} {last}" if last.endswith("ing") else f"{first} {second}"
    return f"{first} {second}"


def fits(fact: Fact, name: str) -> bool:
    """Whether a normalised answer is a good wrong one: an answer at all, in the same language.

    A man is no wrong answer to who it is, unless the right one is as general.
    """
    right = normalise(fact.answer)
    if name in UNSURE and right not in UNSURE:
        return False
    if name in _ANYONE and right not in _ANYONE and fact.question[:3].casefold() == "who":
        return False
    return is_english(name) == is_english(right) and script_of(name) == script_of(right)
