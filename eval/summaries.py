"""The summaries of an accuracy matrix: each is a weighted sum of cells, in points.

One definition gives a summary's value, its interval and its n. `a[t][i]` is the accuracy on task i
after training task t, row 0 the base's (zero-shot), T the number of learned tasks. Only
forward transfer, Transfer and Average look above the diagonal, at tasks before they are learned.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict

from eval.intervals import Interval

MEANINGS: Mapping[str, str] = {
    "mft": "mean accuracy just after learning each task",
    "mfn": "mean accuracy now, over all learned tasks",
    "maa": "mean over stages of the mean accuracy on the tasks seen so far",
    "bwt": "backward transfer, divided by T (SEFE, CoIN): mfn - mft",
    "bwt_t_minus_1": "backward transfer, divided by T - 1: mean change over old tasks",
    "forgetting_last": "mean loss of old tasks since each was just learned",
    "forgetting_max": "mean loss of old tasks since each one's best stage",
    "last": "ZSCL's Last: another name of mfn",
    "forward_transfer": "mean gain over zero-shot on each task just before it is learned",
    "transfer": "ZSCL's Transfer: mean accuracy on tasks that are not learned yet",
    "average": "ZSCL's Avg: mean over all stages and tasks, those not learned yet included",
}

NEEDS_FUTURE_TASKS = frozenset({"forward_transfer", "transfer", "average"})
"""Summaries of cells above the diagonal. Where one of those is not measured they are absent."""


class Estimate(BaseModel):
    """A summary in points, with its 95 % interval and what it rests on.

    `n` counts each task's items once: the fewest behind any of the task's cells that it weighs,
    summed over these `num_tasks` tasks. Both are 0 where one learned task leaves nothing to lose.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    points: float
    interval: Interval
    n: int
    num_tasks: int


class Term(NamedTuple):
    """The weight of a[stage][task] in a summary."""

    stage: int
    task: str
    weight: float


Tasks = Sequence[str]
Points = Callable[[int, str], float]


def fewest_tasks(name: str) -> int:
    """Return how many tasks must be learned before a summary has a meaning (1 or 2)."""
    return 2 if name in ("forward_transfer", "transfer") else 1


def terms_of(name: str, tasks: Tasks, points: Points) -> list[Term]:
    """Return a summary's weighted cells; none where there is nothing to sum up.

    Args:
        name: of `MEANINGS`.
        tasks: the T >= 1 learned tasks, in order.
        points: gives a[stage][task]; only `forgetting_max` looks, for the best stage.
    """
    if name == "forgetting_max":
        return forgetting_max(tasks, points)
    return _DEFINITIONS[name](tasks)


def mft(tasks: Tasks) -> list[Term]:
    """Mean just-learned accuracy, (1/T) sum_i a[i][i] (SEFE, arXiv 2505.02486)."""
    return [Term(i, task, 1 / len(tasks)) for i, task in enumerate(tasks, start=1)]


def mfn(tasks: Tasks) -> list[Term]:
    """Mean final accuracy, (1/T) sum_i a[T][i] (SEFE); ZSCL's and UCIT's Last is the same."""
    return [Term(len(tasks), task, 1 / len(tasks)) for task in tasks]


def maa(tasks: Tasks) -> list[Term]:
    """Mean average accuracy, (1/T) sum_j (1/j) sum_{i<=j} a[j][i] (CoIN, arXiv 2403.08350)."""
    stages = range(1, len(tasks) + 1)
    return [Term(j, task, 1 / (len(tasks) * j)) for j in stages for task in tasks[:j]]


def bwt(tasks: Tasks) -> list[Term]:
    """Backward transfer, (1/T) sum_i (a[T][i] - a[i][i]): SEFE's and CoIN's divisor."""
    return _changes(tasks, 1 / len(tasks))


def bwt_t_minus_1(tasks: Tasks) -> list[Term]:
    """Backward transfer, (1/(T-1)) sum_{i<T} (a[T][i] - a[i][i]).

    Lopez-Paz and Ranzato (arXiv 1706.08840) and MCITlib (arXiv 2508.07307).
    """
    return _changes(tasks, 1 / max(len(tasks) - 1, 1))


def forgetting_last(tasks: Tasks) -> list[Term]:
    """Mean loss since just learned, (1/(T-1)) sum_{i<T} (a[i][i] - a[T][i])."""
    return _changes(tasks, -1 / max(len(tasks) - 1, 1))


def forgetting_max(tasks: Tasks, points: Points) -> list[Term]:
    """Mean loss since the best stage, (1/(T-1)) sum_{i<T} (max_{i<=l<T} a[l][i] - a[T][i]).

    Chaudhry et al. (arXiv 1801.10112), over the stages that had learned the task. The stage that
    measured best is taken for the best: with noisy cells the value and its interval lie too high.
    """
    last = len(tasks)
    terms = []
    for i, task in enumerate(tasks[:-1], start=1):
        best = max(range(i, last), key=lambda stage: points(stage, task))
        terms += [Term(best, task, 1 / (last - 1)), Term(last, task, -1 / (last - 1))]
    return terms


def forward_transfer(tasks: Tasks) -> list[Term]:
    """Forward transfer, (1/(T-1)) sum_{i>1} (a[i-1][i] - a[0][i]).

    Lopez-Paz and Ranzato (arXiv 1706.08840), with the zero-shot row in place of a model at random
    initialisation. Needs T >= 2.
    """
    terms = []
    for i, task in enumerate(tasks[1:], start=2):
        weight = 1 / (len(tasks) - 1)
        terms += [Term(i - 1, task, weight), Term(0, task, -weight)]
    return terms


def transfer(tasks: Tasks) -> list[Term]:
    """Transfer, (1/(T-1)) sum_{i>1} (1/(i-1)) sum_{1<=j<i} a[j][i] (ZSCL, arXiv 2303.06628).

    The zero-shot row does not count; every task weighs the same. Needs T >= 2.
    """
    return [
        Term(j, task, 1 / ((len(tasks) - 1) * (i - 1)))
        for i, task in enumerate(tasks[1:], start=2)
        for j in range(1, i)
    ]


def average(tasks: Tasks) -> list[Term]:
    """Average, (1/T) sum_i (1/T) sum_{1<=j<=T} a[j][i] (ZSCL's Avg): the whole square."""
    stages = range(1, len(tasks) + 1)
    return [Term(j, task, 1 / len(tasks) ** 2) for j in stages for task in tasks]


def _changes(tasks: Tasks, weight: float) -> list[Term]:
    """Return weight * (a[T][i] - a[i][i]) over old tasks: the last one has not changed yet."""
    old = list(enumerate(tasks[:-1], start=1))
    now = [Term(len(tasks), task, weight) for _, task in old]
    return now + [Term(i, task, -weight) for i, task in old]


_DEFINITIONS: Mapping[str, Callable[[Tasks], list[Term]]] = {
    "mft": mft,
    "mfn": mfn,
    "maa": maa,
    "bwt": bwt,
    "bwt_t_minus_1": bwt_t_minus_1,
    "forgetting_last": forgetting_last,
    "last": mfn,
    "forward_transfer": forward_transfer,
    "transfer": transfer,
    "average": average,
}
