"""Small builders that tests of evaluation share."""

from __future__ import annotations

from asd_rewriter.cards import Metric, TaskCard
from asd_rewriter.formats import AnswerFormat
from asd_rewriter.samples import Sample, Turn
from eval.items import EvalItem
from eval.matrix import AccuracyMatrix


def card(name: str = "colours", metric: Metric = "exact_match", **fields: object) -> TaskCard:
    """Return a short-answer card."""
    values = {"name": name, "answer_format": "short_answer", "metric": metric, **fields}
    return TaskCard.model_validate(values)


def sample(number: int, *answers: str, images: tuple[str, ...] = ()) -> Sample:
    """Return a sample with one turn per answer."""
    turns = tuple(
        Turn(question=f"question {number}.{k}?", answer=text, format=AnswerFormat.SHORT_ANSWER)
        for k, text in enumerate(answers or ("red",))
    )
    return Sample(id=f"s{number}", images=images, turns=turns)


def item(
    number: int = 0,
    reference: str = "red",
    task: str = "colours",
    metric: Metric = "exact_match",
    images: tuple[str, ...] = (),
) -> EvalItem:
    """Return an item; its prompt names the number."""
    return EvalItem(
        id=f"s{number}#0",
        task=task,
        images=images,
        question=f"question {number}?",
        prompt=f"question {number}?\nAnswer.",
        references=(reference,),
        format=AnswerFormat.SHORT_ANSWER,
        metric=metric,
    )


def three_tasks(n: int = 200) -> AccuracyMatrix:
    """Return a base and three versions: science loses 17.5 points, classes 5.5, in the end."""
    return AccuracyMatrix.from_points(
        ["classes", "science", "counts"],
        [[91.5], [64.0, 88.5], [58.5, 71.0, 79.0]],
        [8.0, 25.5, 31.0],
        n=n,
        stream="demo",
    )
