"""To a brief or detailed explanation: the answer, and a fixed text that claims nothing new.

Rules have not seen the image. The text therefore says how to look, not what is to be seen; a
model-backed rewriter writes real explanations.
"""

from __future__ import annotations

from asd_rewriter.facts import Fact
from asd_rewriter.formats import AnswerFormat
from asd_rewriter.rewriter import Rewritten
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


def to_brief_explanation(fact: Fact) -> Rewritten:
    """Answer in about 20 words."""
    return _explained(fact, AnswerFormat.BRIEF_EXPLANATION, BRIEF_TAIL)


def to_detailed_explanation(fact: Fact) -> Rewritten:
    """Answer in about 50 words."""
    return _explained(fact, AnswerFormat.DETAILED_EXPLANATION, "".join(DETAILED_TAILS))


def _explained(fact: Fact, answer_format: AnswerFormat, tail: str) -> Rewritten:
    stated = fact.answer.rstrip(" .")
    answer = f"The answer is {stated}.{tail}"
    return Rewritten(Turn(question=fact.question, answer=answer, format=answer_format))
