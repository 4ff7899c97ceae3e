"""What kind of answer an answer is, and how a question begins: what makes wrong ones plausible."""

from __future__ import annotations

import re
from functools import lru_cache

from asd_rewriter.answers import normalise
from asd_rewriter.facts import Fact
from asd_rewriter.language import is_english, script_of
from asd_rewriter.rules.grammar.amounts import UNITS
from asd_rewriter.rules.grammar.classes import class_of
from asd_rewriter.rules.grammar.words import COLOURS, PLACE_PREPOSITIONS, SHADES, UNSURE

_OPEN = frozenset(("is", "are", "was", "were", "does", "do", "did"))
_ANYONE = frozenset(
    ("man", "woman", "boy", "girl", "person", "people", "child", "lady", "men", "women")
)
_NUMBERS = (
    ("count", re.compile(r"\d{1,3}")),
    ("price", re.compile(r"[$€£] ?\d[\d.,]*.*|\d[\d.,]* ?(?:[€£¢]|dollars|cents)")),
    ("clock", re.compile(r"\d{1,2}[:.]\d{2}(?: ?[ap]\.?m\.?)?|\d{1,2} ?[ap]\.?m\.?", re.I)),
    ("percent", re.compile(r"\d[\d.]* ?(?:%|percent)")),
    ("year", re.compile(r"1\d{3}|20\d{2}")),
    ("measure", re.compile(rf"(?:[a-z]+ )?\d[\d.,]* ?(?:{UNITS})(?: [a-z]+)?")),
)
_TINTS = COLOURS | SHADES
_JOB = re.compile(r"\b(?:job|occupation|profession)\b")
_ASKED = re.compile(r"(?:what|which) (?:\w+ of )?(?:an? )?(.*)", re.S)
_OPEN_HEADS = frozenset(
    f"{word} {verb}" for word in ("what", "who", "which", "where") for verb in _OPEN
)
_SHORT_IS = {
    f"{word}{end}": [word, "is"] for word in ("what", "who", "where") for end in ("'s", "s")
}
_COLOUR = frozenset(("color", "colour"))
_COLOUR_LAST = (" color?", " colour?")
_HEAD_NOUN = frozenset(("kind", "type", "sort", "piece", "item", "brand"))


def kind_of(answer: str) -> str:
    """Return number, colour, capitals, doing, name, phrase or word."""
    first, _, rest = answer.partition(" ")
    if any(map(str.isdigit, answer)):
        return "number"
    if first.casefold() in _TINTS and class_of(answer.casefold()) == "colour":
        return "colour"
    if answer.isupper():
        return "capitals"
    if first.endswith("ing"):
        return "doing"
    if answer[:1].isupper() and not rest.islower():
        return "name"
    return "phrase" if " " in rest else "word"


def sort_of(answer: str) -> str:
    """Return a finer kind, or "": animal, person, price, clock time, place ..."""
    if any(map(str.isdigit, answer)):
        return next((sort for sort, like in _NUMBERS if like.fullmatch(answer)), "")
    first, _, rest = answer.partition(" ")
    if rest and first.lower() in PLACE_PREPOSITIONS:
        return "placed"
    sort = class_of(answer)
    return f"{sort}s by name" if sort and answer[0].isupper() else sort


def head_of(question: str) -> str:
    """Return what a question begins with: its first words, and what tells its answers' kind."""
    small = question.casefold()
    words = small.split(None, 5)[:5]
    if words and (short := _SHORT_IS.get(words[0])):
        words[:1] = short
    if len(words) < 3:
        return " ".join(words)
    if "colo" in small and (not _COLOUR.isdisjoint(words) or small.endswith(_COLOUR_LAST)):
        return "what color"
    first, second, third = words[:3]
    if second in _HEAD_NOUN and len(words) > 3:
        return f"{first} {second} {words[3]}"
    if second in _OPEN and first == "what":
        if third in ("the", "this") and len(words) > 4 and words[4] == "of":
            return f"{first} {second} {words[3]}"
        last = question.rstrip(" ?.").rpartition(" ")[2]
        return f"{first} {second} {last}" if last.endswith("ing") else f"{first} {second}"
    return f"{first} {second}"


def is_open(head: str) -> bool:
    """Whether a question's head tells nothing of its answers: what is."""
    return head in _OPEN_HEADS


def fits(fact: Fact, name: str) -> bool:
    """Whether a normalised answer is a good wrong one: an answer at all, in the same language.

    A man is no wrong answer to who it is, unless the right one is as general; meat is none to
    which sort of meat it is.
    """
    right = normalise(fact.answer)
    if name in UNSURE and right not in UNSURE:
        return False
    asked, for_someone = _asked(fact.question)
    if asked.startswith((f"{name} ", f"{name}s ", f"{name}?")):
        return False
    if for_someone and name in _ANYONE and right not in _ANYONE:
        return False
    return is_english(name) == is_english(right) and script_of(name) == script_of(right)


@lru_cache(maxsize=64)
def _asked(question: str) -> tuple[str, bool]:
    """Return a question from the noun that it asks for on, and whether it asks who someone is."""
    small = question.casefold()
    found = _ASKED.match(small)
    return found[1] if found else "", small.startswith("who") or _JOB.search(small) is not None
