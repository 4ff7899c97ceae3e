"""To a brief or detailed explanation: the answer, and a fixed text that claims nothing new.

The answer is stated in the question's own words where the grammar is certain: "The bus is red."

Rules have not seen the image. The text therefore says how to look, not what is to be seen; a
model-backed rewriter writes real explanations.
"""

from __future__ import annotations

import re

from asd_rewriter.answers import is_yes_no
from asd_rewriter.facts import Fact
from asd_rewriter.formats import AnswerFormat
from asd_rewriter.reading import says
from asd_rewriter.rewriter import TEMPLATE_EXPLANATION, Declined, Rewritten
from asd_rewriter.rules.grammar.words import DETERMINERS, PREPOSITIONS, UNSURE
from asd_rewriter.rules.regions import to_description
from asd_rewriter.rules.wording import state
from asd_rewriter.samples import Turn

BRIEF_TAIL = (
    " It is what the picture shows when the question is read together with all of its visible"
    " parts."
)
DETAILED_TAILS = (
    " To answer, look at the whole picture first, then find the part the question asks about.",
    " The shapes, colours, words and places that are visible there support this answer,"
    " and nothing else in the picture speaks against it when all parts are compared with care.",
)
"""The sentences of a detailed explanation; `retain-tiny` learns each as one token."""


BRIEF_TAIL_TEXT = (
    " It is what follows when the question is read together with all of the facts that it gives."
)
DETAILED_TAIL_TEXT = (
    " To answer, read the whole question first, then find the part that says what is asked for."
    " The facts that are given there support this answer, together with what is known about the"
    " matter, and nothing else in the question speaks against it when all parts are compared."
)
"""The same for a question without a picture."""

_UNANSWERED = (
    "unanswerable", "unsuitable", "unsuitable image", "unknown", "unclear", "unreadable",
    "can't tell", "cannot tell",
)  # fmt: skip
MOST_WORDS = 14
"""A longer statement would make a brief explanation too long."""
_SENTENCE = re.compile(
    r"[A-Z].* .* .*|.*[;:!?].*| ?.*, .*"
    r"|(?:i|he|she|it|they|we|you|there|(?:the|a|an|his|her|its|their) \w+) "
    r"(?:\w{3,}ed|(?:is|are|was|were|has|had|can|could|will|would|should|might|did|does) .*)"
    r"|(?:not|none|all|itself|himself|herself|themselves) .*"
)


def to_brief_explanation(fact: Fact, pictured: bool = True) -> Rewritten | Declined:
    """Answer in about 20 words. `pictured`: the question is about an image."""
    tail = BRIEF_TAIL if pictured else BRIEF_TAIL_TEXT
    return _explained(fact, AnswerFormat.BRIEF_EXPLANATION, tail)


def to_detailed_explanation(fact: Fact, pictured: bool = True) -> Rewritten | Declined:
    """Answer in about 50 words. `pictured`: the question is about an image."""
    tail = "".join(DETAILED_TAILS) if pictured else DETAILED_TAIL_TEXT
    return _explained(fact, AnswerFormat.DETAILED_EXPLANATION, tail)


def _explained(fact: Fact, answer_format: AnswerFormat, tail: str) -> Rewritten | Declined:
    if fact.native is AnswerFormat.BOX:
        return to_description(fact, answer_format)
    turn = Turn(question=fact.question, answer=f"{_stated(fact)}{tail}", format=answer_format)
    return Rewritten(turn, notes=(TEMPLATE_EXPLANATION,))


def _stated(fact: Fact) -> str:
    natural = state(fact)
    if natural is not None and natural.count(" ") < MOST_WORDS and says(natural, fact.answer):
        return natural
    bare = fact.answer.rstrip(" .") or fact.answer
    if is_yes_no(bare):
        return f"The answer is {bare.lower()}."
    if bare.casefold() in _UNANSWERED:
        return f'The question cannot be answered: the answer is "{bare}".'
    if _is_quoted(bare):
        return f'The answer is "{bare}"{"" if bare[-1] in "?!" else "."}'
    return f"The answer is {bare}."


def _is_quoted(answer: str) -> bool:
    """Whether an answer would not read as the complement of "is".

    Sentences, places and none would not, nor words that may lack an article ("jockey").
    """
    small = answer.casefold()
    first, _, rest = small.partition(" ")
    digits = any(map(str.isdigit, answer))
    worded = answer.rpartition(" ")[2].islower() and (answer.islower() or rest) and not digits
    bare = worded and first not in DETERMINERS
    placed = first in PREPOSITIONS and rest and not digits
    unsure = rest and small in UNSURE
    quoted = bare or placed or unsure or _SENTENCE.fullmatch(answer)
    return bool(quoted) and '"' not in answer
