"""Boxes in words: the expression that a box belongs to, where it lies and how large it is.

Everything said about a region follows from its box and from the question's own words.
"""

from __future__ import annotations

import re

from asd_rewriter.answers import Box
from asd_rewriter.facts import Fact
from asd_rewriter.formats import AnswerFormat
from asd_rewriter.rewriter import TEMPLATE_EXPLANATION, Declined, Rewritten
from asd_rewriter.rules.grammar.nouns import Number, noun_number
from asd_rewriter.rules.grammar.words import DETERMINERS, PREPOSITIONS, PRONOUNS
from asd_rewriter.samples import Turn

NO_EXPRESSION = "no_expression_to_name"
_ASKED = re.compile(
    r"(?:where (?:is|are)|(?:please )?(?:find|locate|point to|show|detect|mark)(?: me)?) (.+?)"
    r"(?: in (?:the|this) (?:picture|image|photo))?[?.!]?",
    re.I,
)
_UNFIT = re.compile(r"[\n\"?]")
_FINITE = re.compile(r" (?:is|are|was|were) ")
_LONGEST = 120


def expression(question: str) -> str | None:
    """Return the words that name the region, or None when the question names none."""
    text = question.strip()
    found = _ASKED.fullmatch(text)
    text = (found[1] if found else text).rstrip(" .")
    return None if not text or len(text) > _LONGEST or _UNFIT.search(text) else text


def show_question(fact: Fact, claim: str) -> tuple[str, str] | None:
    """Ask whether a box shows the region's expression."""
    named = expression(fact.question)
    if named is None:
        return None
    verb = f"show {_small(named)}" if _has_article(named) else f'match "{named}"'
    return f"Does the box {claim} {verb}?", claim


def which_question(fact: Fact) -> str:
    """Ask which of several boxes shows the region's expression."""
    named = expression(fact.question)
    if named is None:
        return fact.question
    if _has_article(named):
        return f"Which box shows {_small(named)}?"
    return f'Which box matches "{named}"?'


def to_expression(fact: Fact) -> Rewritten | Declined:
    """Ask what a box shows; the answer is the expression."""
    named = expression(fact.question)
    if named is None:
        return Declined(NO_EXPRESSION)
    question = f"What does the box {fact.answer} show?"
    return Rewritten(Turn(question=question, answer=named, format=AnswerFormat.SHORT_ANSWER))


def to_description(fact: Fact, answer_format: AnswerFormat) -> Rewritten | Declined:
    """Describe where the region is, in about 20 words (brief) or 50 (detailed)."""
    if fact.box is None:
        return Declined(NO_EXPRESSION)
    named = expression(fact.question)
    name, verb, question = _names(named, fact.question)
    part, area = _part(fact.box), _area(fact.box)
    text = f"{name} {verb} in the {part} of the picture, at {fact.answer}, {area}."
    if answer_format is AnswerFormat.DETAILED_EXPLANATION:
        left, top, right, bottom = (round(100 * it) for it in fact.box)
        text += (
            f" Seen from the left edge, the box begins at {left} % of the picture's width and ends "
            f"at {right} %. Seen from the top edge, it begins at {top} % of the picture's height "
            f"and ends at {bottom} %."
        )
    turn = Turn(question=question, answer=text, format=answer_format)
    return Rewritten(turn, notes=(TEMPLATE_EXPLANATION,))


def _names(named: str | None, question: str) -> tuple[str, str, str]:
    """Return the region's name, its verb, and the question that asks for a description."""
    if named is None:
        return "The region that is asked for", "is", question
    number = _number(named) if _has_article(named) else None
    if number is None:
        wanted = f'Describe where the region that matches "{named}" is in the picture.'
        return f'The region that matches "{named}"', "is", wanted
    verb = "are" if number is Number.MANY else "is"
    name = named[0].upper() + named[1:]
    return name, verb, f"Describe where {_small(named)} {verb} in the picture."


def _has_article(named: str) -> bool:
    small = named.lower()
    return small.startswith(("the ", "a ", "an ")) and not _is_sentence(small)


def _is_sentence(small: str) -> bool:
    """Whether a text is like "a woman is cutting a cake", not "the cake the woman is cutting"."""
    found = _FINITE.search(small)
    words = small[: found.start()].split() if found else []
    relative = any(
        word in ("who", "which", "that")
        or (word in DETERMINERS | PRONOUNS and words[at] not in PREPOSITIONS)
        for at, word in enumerate(words[1:])
    )
    return found is not None and not relative


def _small(named: str) -> str:
    return named[0].lower() + named[1:]


def _number(named: str) -> Number | None:
    words = named.lower().split()[1:]
    end = next((at for at, word in enumerate(words) if at and word in PREPOSITIONS), len(words))
    return noun_number(words[end - 1]) if words[:end] else None


def _part(box: Box) -> str:
    across = _third((box[0] + box[2]) / 2, "left", "right")
    down = _third((box[1] + box[3]) / 2, "upper", "lower")
    words = [word for word in (down, across) if word]
    return f"{' '.join(words)} part" if words else "middle"


def _third(middle: float, low: str, high: str) -> str:
    if middle < 1 / 3:
        return low
    return high if middle > 2 / 3 else ""


def _area(box: Box) -> str:
    percent = round(100 * (box[2] - box[0]) * (box[3] - box[1]))
    return f"covering about {percent} % of it" if percent else "covering less than 1 % of it"
