"""The accuracy matrix of a lineage, and every summary that derives from it.

`accuracy[t][i]` is the score on task i after training task t, in points 0..100. Row 0 is the
base (zero-shot); row t >= 1 is the version that learned task t. T is the number of learned tasks.
Forgetting shows as BWT < 0; papers divide it by T or by T - 1, so both are named.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from eval.errors import InvalidMatrix, MatrixHole

SUMMARY_MEANINGS: Mapping[str, str] = {
    "mft": "mean accuracy just after learning each task",
    "mfn": "mean accuracy now, over all learned tasks",
    "maa": "mean over stages of the mean accuracy on the tasks seen so far",
    "bwt": "backward transfer, divided by T (SEFE, CoIN): mfn - mft",
    "bwt_t_minus_1": "backward transfer, divided by T - 1: mean change over old tasks",
    "forgetting_last": "mean loss of old tasks since each was just learned",
    "forgetting_max": "mean loss of old tasks since each one's best stage",
}


class Cell(BaseModel):
    """A measured accuracy in points (0 to 100), over n items, by the named metric."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    accuracy: float = Field(ge=0, le=100, allow_inf_nan=False)
    n: int = Field(ge=1)
    metric: str


class MatrixRow(BaseModel):
    """What one version scores. `task` is the task it learned: None for the base.

    A task without a cell is a hole: it was not measured.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: str
    task: str | None = None
    cells: dict[str, Cell] = Field(default_factory=dict)


class AccuracyMatrix(BaseModel):
    """Rows are versions of one lineage, base first; columns are tasks in the order of learning.

    More tasks than learned ones are allowed: their cells show transfer to the future.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    tasks: tuple[str, ...]
    rows: tuple[MatrixRow, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _fits_together(self) -> AccuracyMatrix:
        problem = _misfit(self.tasks, self.rows)
        if problem:
            raise InvalidMatrix(problem)
        return self

    @property
    def num_learned(self) -> int:
        """T: how many tasks the last version has learned."""
        return len(self.rows) - 1

    @property
    def learned_tasks(self) -> tuple[str, ...]:
        """The T learned tasks, in order."""
        return self.tasks[: self.num_learned]

    @property
    def old_tasks(self) -> tuple[str, ...]:
        """The tasks learned before the last version's own."""
        return self.tasks[: max(self.num_learned - 1, 0)]

    def cell(self, stage: int, task: str) -> Cell:
        """Return accuracy[stage][task]; raises MatrixHole if it was not measured."""
        row = self.rows[stage]
        if task not in row.cells:
            raise MatrixHole(
                f"the accuracy of {row.version} on task {task!r} is needed but was not measured "
                f"(row {stage} of 0..{self.num_learned}). Evaluate {row.version} on it first."
            )
        return row.cells[task]

    def points(self, stage: int, task: str) -> float:
        """Return accuracy[stage][task] in points; raises MatrixHole."""
        return self.cell(stage, task).accuracy

    def mft(self) -> float:
        """Mean just-learned accuracy, (1/T) sum_i a[i][i], in points (SEFE, section 4.1)."""
        return _mean([self.points(i, task) for i, task in self._diagonal()])

    def mfn(self) -> float:
        """Mean final accuracy, (1/T) sum_i a[T][i], in points."""
        return _mean([self.points(self.num_learned, task) for _, task in self._diagonal()])

    def maa(self) -> float:
        """Mean average accuracy, (1/T) sum_j (1/j) sum_{i<=j} a[j][i], in points."""
        stages = range(1, self.num_learned + 1)
        self._diagonal()
        return _mean([_mean([self.points(j, i) for i in self.tasks[:j]]) for j in stages])

    def bwt(self, divisor: Literal["T", "T-1"] = "T") -> float:
        """Backward transfer, sum_i (a[T][i] - a[i][i]) / divisor, in points; < 0 is forgetting.

        Args:
            divisor: "T" as in SEFE's and CoIN's tables (then it is mfn - mft), or "T-1" as in
                MCITlib's. With one learned task both are 0: there was nothing to lose.
        """
        last = self.num_learned
        changes = [self.points(last, task) - self.points(i, task) for i, task in self._diagonal()]
        return sum(changes) / (last if divisor == "T" else max(last - 1, 1))

    def forgetting_last(self) -> float:
        """Mean over old tasks of a[i][i] - a[T][i], in points; 0 if there is no old task."""
        return self._forgetting(lambda i, task: self.points(i, task))

    def forgetting_max(self) -> float:
        """Mean over old tasks of max_{i<=l<T} a[l][i] - a[T][i], in points (arXiv 1801.10112)."""
        return self._forgetting(
            lambda i, task: max(self.points(stage, task) for stage in range(i, self.num_learned))
        )

    def summaries(self) -> dict[str, float]:
        """Return all summaries by the names of `SUMMARY_MEANINGS`; empty before the first task.

        `bwt` has divisor T, `bwt_t_minus_1` the other. Raises MatrixHole.
        """
        if self.num_learned == 0:
            return {}
        return {
            "mft": self.mft(),
            "mfn": self.mfn(),
            "maa": self.maa(),
            "bwt": self.bwt("T"),
            "bwt_t_minus_1": self.bwt("T-1"),
            "forgetting_last": self.forgetting_last(),
            "forgetting_max": self.forgetting_max(),
        }

    def _diagonal(self) -> list[tuple[int, str]]:
        if self.num_learned == 0:
            raise MatrixHole("this matrix holds the base alone: no summary exists before task 1.")
        return list(enumerate(self.learned_tasks, start=1))

    def _forgetting(self, best: Callable[[int, str], float]) -> float:
        old = self._diagonal()[:-1]
        losses = [best(i, task) - self.points(self.num_learned, task) for i, task in old]
        return _mean(losses) if losses else 0.0


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _misfit(tasks: Sequence[str], rows: Sequence[MatrixRow]) -> str | None:
    if len(set(tasks)) != len(tasks):
        return f"tasks must be unique: got {list(tasks)}."
    if len(rows) > len(tasks) + 1:
        return f"{len(rows)} rows for {len(tasks)} tasks: a lineage has a base and one row a task."
    versions = [row.version for row in rows]
    if len(set(versions)) != len(versions):
        return f"versions must be unique: got {versions}."
    for stage, row in enumerate(rows):
        expected = tasks[stage - 1] if stage else None
        if row.task != expected:
            return f"row {stage} ({row.version}) learned {row.task!r}, expected {expected!r}."
        unknown = sorted(set(row.cells) - set(tasks))
        if unknown:
            return f"row {stage} ({row.version}) has cells for unknown tasks {unknown}."
    return _mixed_metrics(tasks, rows)


def _mixed_metrics(tasks: Sequence[str], rows: Sequence[MatrixRow]) -> str | None:
    for task in tasks:
        metrics = sorted({row.cells[task].metric for row in rows if task in row.cells})
        if len(metrics) > 1:
            return f"task {task!r} was scored by {metrics}: score every version by one metric."
    return None
