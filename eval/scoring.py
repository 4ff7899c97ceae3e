"""From answers to scores and to a cell of the matrix: every item, never a part of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from threading import Lock

from pydantic import BaseModel, ConfigDict, Field

from asd_rewriter.cards import Metric
from eval.errors import InvalidItems, PredictionsMissing
from eval.items import EvalItem
from eval.matrix import Cell
from eval.scorers import MAX_ANSWER_CHARS, bind_scorer, scorer_name
from eval.scorers.binding import Bound, Mode
from eval.scorers.caption import published_scores

REMEMBERED_ITEMS = 65_536
"""Items whose normalised references are kept, over all modes; the oldest go first."""

_remembered: dict[tuple[Mode, Metric, str], Bound] = {}
_remembering = Lock()


class TaskScores(BaseModel):
    """Scores of one task's items.

    Args:
        task: its name.
        metric: how it was scored.
        scorer: name, rule version and mode, such as `vqa_soft-2-fixed`.
        scores: in [0, 1], by item digest; items that ask the same share one entry.
        accuracy: in points, 0 to 100: the mean over the items, or the whole set's figure up to 100.
        n: the number of items.
        whole_set: for published captions the figure of the whole set, which may exceed 100 and is
            no mean of the items' scores.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    task: str
    metric: Metric
    scorer: str
    scores: dict[str, float]
    accuracy: float = Field(ge=0, le=100, allow_inf_nan=False)
    n: int = Field(ge=1)
    whole_set: float | None = None

    @property
    def cell(self) -> Cell:
        """The matrix's cell: accuracy, n and metric."""
        return Cell(accuracy=self.accuracy, n=self.n, metric=self.metric)


def score_item(
    item: EvalItem, answer: str, mode: Mode = "fixed", rivals: Collection[str] = ()
) -> float:
    """Return the item's score in [0, 1] by its own metric.

    `rivals`: other answers of the task, for `lenient`: no text that names one is accepted.
    """
    if rivals:
        return _score(bind_scorer(item, mode, rivals), answer, mode)
    return _score(_bound(item, mode), answer, mode)


def score_items(
    items: Sequence[EvalItem], answers: Mapping[str, str], mode: Mode = "fixed"
) -> TaskScores:
    """Return the scores of all items of one task.

    Args:
        items: the task's items, at least one.
        answers: texts by item digest; more than needed is fine.
        mode: whose rules, see `eval.scorers.binding.Mode`.

    Raises:
        PredictionsMissing: if there is no item, or an item has no answer.
        InvalidItems: if items are of several tasks or metrics, or an id is there twice.
        CaptionPartMissing: if captions are scored without what that needs.
    """
    _check(items, answers)
    first, said = items[0], [answers[item.digest] for item in items]
    whole_set = None
    if first.metric == "caption" and mode == "published":
        each, whole_set = published_scores(items, said)
    else:
        each = [
            _score(_bound(item, mode), text, mode) for item, text in zip(items, said, strict=True)
        ]
    points = 100.0 * sum(each) / len(each) if whole_set is None else whole_set
    return TaskScores(
        task=first.task,
        metric=first.metric,
        scorer=scorer_name(first.metric, mode),
        scores={item.digest: score for item, score in zip(items, each, strict=True)},
        accuracy=min(100.0, points),
        n=len(items),
        whole_set=whole_set,
    )


def _score(bound: Bound, answer: str, mode: Mode) -> float:
    if len(answer) > MAX_ANSWER_CHARS and mode != "published":
        return 0.0
    return bound(answer)


def _bound(item: EvalItem, mode: Mode) -> Bound:
    key = (mode, item.metric, item.digest)
    found = _remembered.get(key)
    if found is None:
        found = bind_scorer(item, mode)
        with _remembering:
            _remembered[key] = found
            if len(_remembered) > REMEMBERED_ITEMS:
                del _remembered[next(iter(_remembered))]
    return found


def _check(items: Sequence[EvalItem], answers: Mapping[str, str]) -> None:
    if not items:
        raise PredictionsMissing("there is no item to score. Give the task an evaluation split.")
    kinds = {(item.task, item.metric) for item in items}
    if len(kinds) > 1:
        raise InvalidItems(
            f"items of {len(kinds)} tasks or metrics were given as one task: {sorted(kinds)[:4]}. "
            "Score each task by itself."
        )
    times = Counter(item.id for item in items)
    if len(times) < len(items):
        twice = [name for name, count in times.items() if count > 1]
        raise InvalidItems(
            f"{len(twice)} of {len(times)} ids of task {items[0].task!r} are there more than once, "
            f"the first is {twice[0]!r}. Give every question an id of its own."
        )
    missing = [item.id for item in items if item.digest not in answers]
    if missing:
        raise PredictionsMissing(
            f"{len(missing)} of {len(items)} items of task {items[0].task!r} have no answer, the "
            f"first is {missing[0]!r}. Run the evaluation again; it continues where it stopped."
        )
