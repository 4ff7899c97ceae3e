"""What a version lost: change per old task, and the answers that went from right to wrong."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict

from eval.intervals import Interval, PairedChange, Part, spread
from eval.items import EvalItem
from eval.matrix import AccuracyMatrix, Cell

RIGHT = 0.5
"""From this score on an answer counts as right in a before-and-after comparison."""


class TaskChange(BaseModel):
    """How one task stands now. Changes are in points, now minus then; negative is a loss.

    `parent` is None where the parent was not measured, as on a task it had not learned. `paired`
    is the test against the parent, None where no item scores were at hand. `since_learned` and the
    95 % intervals are of the pairs where there are any, else of the two cells: these may be over
    unequal numbers of items, and their interval is wider.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    task: str
    now: Cell
    just_learned: Cell
    parent: Cell | None
    since_learned: float
    since_parent: float | None
    since_learned_interval: Interval | None = None
    since_parent_interval: Interval | None = None
    paired: PairedChange | None = None


@dataclass(frozen=True)
class Answered:
    """One version's answers to a task and their scores in [0, 1], both by item digest."""

    answers: Mapping[str, str]
    scores: Mapping[str, float]


class WorstItem(BaseModel):
    """A question that was answered right before and is answered wrong now."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    task: str
    item_id: str
    question: str
    images: tuple[str, ...]
    before: str
    after: str
    reference: str


def task_changes(
    matrix: AccuracyMatrix,
    since_parent: Mapping[str, PairedChange] | None = None,
    since_learned: Mapping[str, PairedChange] | None = None,
) -> list[TaskChange]:
    """Return the change of every learned task of the last version, in order of learning.

    The last one is the version's own task: it changed since the parent, not since learning.

    Args:
        matrix: of the version's lineage.
        since_parent: by task, from `eval.intervals.paired_changes` on the parent's item scores.
        since_learned: the same against the version that learned the task.

    Raises:
        MatrixHole: if a learned task was not measured now or when it was just learned.
    """
    parent, learned = since_parent or {}, since_learned or {}
    return [
        _change(matrix, stage, task, parent.get(task), learned.get(task))
        for stage, task in enumerate(matrix.learned_tasks, start=1)
    ]


def _change(
    matrix: AccuracyMatrix,
    stage: int,
    task: str,
    paired: PairedChange | None,
    paired_learned: PairedChange | None,
) -> TaskChange:
    now, learned = matrix.cell(matrix.num_learned, task), matrix.cell(stage, task)
    parent = matrix.rows[-2].cells.get(task)
    is_new = stage == matrix.num_learned
    return TaskChange(
        task=task,
        now=now,
        just_learned=learned,
        parent=parent,
        since_learned=_difference(learned, now, paired_learned),
        since_parent=None if parent is None else now.accuracy - parent.accuracy,
        since_learned_interval=None if is_new else _interval(learned, now, paired_learned),
        since_parent_interval=None if parent is None else _interval(parent, now, paired),
        paired=paired,
    )


def _difference(before: Cell, after: Cell, paired: PairedChange | None) -> float:
    return after.accuracy - before.accuracy if paired is None else paired.change


def _interval(before: Cell, after: Cell, paired: PairedChange | None) -> Interval:
    if paired is not None:
        return paired.interval
    parts = [Part(sign, cell.accuracy, cell.interval) for sign, cell in ((-1, before), (1, after))]
    below, above = spread([parts])
    change = after.accuracy - before.accuracy
    return Interval(low=change - below, high=change + above)


def find_worst_items(
    items: Iterable[EvalItem],
    before: Mapping[str, Answered],
    after: Mapping[str, Answered],
    limit: int = 12,
) -> list[WorstItem]:
    """Return items that were right before and are wrong now, taking turns among the tasks.

    The choice is deterministic: within a task the largest loss first, then by item digest.

    Args:
        items: of old tasks; those without a score on either side are passed over.
        before: by task, of the version compared with, usually the parent.
        after: by task, of the version reported on, scored by the same rules.
        limit: at most this many (>= 0).
    """
    lost: dict[str, list[tuple[float, str, WorstItem]]] = defaultdict(list)
    for item in items:
        sides = before[item.task], after[item.task]  # two tasks may ask the same item
        then, now = (side.scores.get(item.digest) for side in sides)
        if then is not None and now is not None and then >= RIGHT > now:
            lost[item.task].append((now - then, item.digest, _worst(item, *sides)))
    queues = [[entry[2] for entry in sorted(rows, key=_order)] for rows in lost.values()]
    return _take_turns(queues)[:limit]


def _order(entry: tuple[float, str, WorstItem]) -> tuple[float, str]:
    return entry[0], entry[1]


def _worst(item: EvalItem, before: Answered, after: Answered) -> WorstItem:
    return WorstItem(
        task=item.task,
        item_id=item.id,
        question=item.question,
        images=item.images,
        before=before.answers[item.digest],
        after=after.answers[item.digest],
        reference=Counter(item.references).most_common(1)[0][0],
    )


def _take_turns(queues: Sequence[list[WorstItem]]) -> list[WorstItem]:
    longest = max(map(len, queues), default=0)
    return [queue[turn] for turn in range(longest) for queue in queues if turn < len(queue)]
