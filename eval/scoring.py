"""From answers to a cell of the matrix: score every item, refuse to score a part of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from eval.errors import PredictionsMissing
from eval.items import EvalItem
from eval.matrix import Cell
from eval.scorers import SCORERS


def score_item(item: EvalItem, answer: str) -> float:
    """Return the item's score in [0, 1] by its own metric."""
    return SCORERS[item.metric](answer, item.references)


def score_task(items: Sequence[EvalItem], answers: Mapping[str, str]) -> Cell:
    """Return accuracy (points, 0 to 100), n and metric over all items of one task.

    Args:
        items: the task's items, at least one.
        answers: texts by item digest; more than needed is fine.

    Raises:
        PredictionsMissing: if there is no item, or an item has no answer.
    """
    if not items:
        raise PredictionsMissing("there is no item to score. Give the task an evaluation split.")
    missing = [item.id for item in items if item.digest not in answers]
    if missing:
        raise PredictionsMissing(
            f"{len(missing)} of {len(items)} items of task {items[0].task!r} have no answer, the "
            f"first is {missing[0]!r}. Run the evaluation again; it continues where it stopped."
        )
    total = sum(score_item(item, answers[item.digest]) for item in items)
    return Cell(accuracy=100.0 * total / len(items), n=len(items), metric=items[0].metric)
