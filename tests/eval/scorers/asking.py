"""Items for scorers, and the score of an answer to one."""

from __future__ import annotations

from asd_rewriter.cards import Metric
from asd_rewriter.formats import AnswerFormat
from eval.items import EvalItem
from eval.scoring import score_item


def ask(metric: Metric, *references: str, question: str = "What is it?") -> EvalItem:
    """Return an item with this metric and these references."""
    return EvalItem(
        id="q#0",
        task="task",
        question=question,
        prompt=f"{question}\nAnswer.",
        references=references,
        format=AnswerFormat.SHORT_ANSWER,
        metric=metric,
    )


def scores(item: EvalItem, answer: str) -> tuple[float, float, float]:
    """Return the published, the fixed and the lenient score of an answer."""
    return (
        score_item(item, answer, "published"),
        score_item(item, answer, "fixed"),
        score_item(item, answer, "lenient"),
    )
