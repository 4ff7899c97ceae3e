"""The accuracy matrix of a lineage, and every summary that derives from it.

`accuracy[t][i]` is the score on task i after training task t, in points 0..100. Row 0 is the
base (zero-shot); row t >= 1 is the version that learned task t. T is the number of learned tasks.
Forgetting shows as BWT < 0; papers divide it by T or by T - 1, so both are named.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence

from pydantic import BaseModel, ConfigDict, Field, model_validator

from eval.errors import InvalidMatrix, MatrixHole
from eval.intervals import Interval, PairedChange, Part, spread, wilson
from eval.summaries import MEANINGS as SUMMARY_MEANINGS
from eval.summaries import NEEDS_FUTURE_TASKS, Estimate, Term, fewest_tasks, terms_of

__all__ = ["SUMMARY_MEANINGS", "AccuracyMatrix", "Cell", "MatrixRow"]

_ROUNDING = 1e-6  # points


class Cell(BaseModel):
    """A measured accuracy in points (0 to 100), over n items, by the named metric."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    accuracy: float = Field(ge=0, le=100, allow_inf_nan=False)
    n: int = Field(ge=1)
    metric: str

    @property
    def interval(self) -> Interval:
        """95 % interval of the accuracy (Wilson; wider than needed for soft scores)."""
        return wilson(self.accuracy, self.n)


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

    def summaries(self) -> dict[str, float]:
        """Return all measured summaries in points, by the names of `SUMMARY_MEANINGS`.

        Those in `NEEDS_FUTURE_TASKS` are absent, never 0, where a cell above the diagonal was not
        measured. Empty before the first task. Raises MatrixHole.
        """
        return {name: self._total(self._terms(name)) for name in self._measured()}

    def estimates(self, paired: Mapping[str, PairedChange] | None = None) -> dict[str, Estimate]:
        """Return the summaries with interval and n; which are there is as in `summaries`.

        Raises:
            MatrixHole: if a cell on or below the diagonal was not measured.
        """
        return {name: self.estimate(name, paired) for name in self._measured()}

    def estimate(self, name: str, paired: Mapping[str, PairedChange] | None = None) -> Estimate:
        """Return one summary with its 95 % interval and n.

        Tasks are taken as independent: each has its own items. Cells of one task are measured on
        the same items; how much they move together is not known from cells, so the worst is
        assumed (see `eval.intervals.spread`), unless `paired` tells.

        Args:
            name: of `SUMMARY_MEANINGS`.
            paired: by old task, the change from the version that learned it to the last one, from
                item scores. It gives BWT and forgetting their narrower intervals where it is the
                difference of the two cells; a change over other items than theirs is left out.

        Raises:
            MatrixHole: if a cell that it needs was not measured, or too few tasks are learned.
        """
        terms = self._terms(name)
        value = self._total(terms)
        by_task: dict[str, list[Term]] = defaultdict(list)
        for term in terms:
            by_task[term.task].append(term)
        changes = paired or {}
        below, above = spread(self._parts(of, changes.get(task)) for task, of in by_task.items())
        return Estimate(
            points=value,
            interval=Interval(low=value - below, high=value + above),
            n=sum(
                min(self.cell(stage, of).n for stage, of, _ in some) for some in by_task.values()
            ),
            num_tasks=len(by_task),
        )

    def _measured(self) -> list[str]:
        """Return the names of all summaries, less those that may be absent and are."""
        possible = [name for name in SUMMARY_MEANINGS if self.num_learned >= fewest_tasks(name)]
        return [
            name
            for name in possible
            if name not in NEEDS_FUTURE_TASKS
            or all(term.task in self.rows[term.stage].cells for term in self._terms(name))
        ]

    def _terms(self, name: str) -> list[Term]:
        if self.num_learned < fewest_tasks(name):
            raise MatrixHole(
                f"{name} needs {fewest_tasks(name)} learned tasks: {self.rows[-1].version} has "
                f"learned {self.num_learned}. It exists after more training."
            )
        return terms_of(name, self.learned_tasks, self.points)

    def _total(self, terms: Sequence[Term]) -> float:
        return sum((weight * self.points(stage, task) for stage, task, weight in terms), 0.0)

    def _parts(self, terms: Sequence[Term], change: PairedChange | None) -> list[Part]:
        """Return one task's terms as parts: one if they are a change since learning that is known.

        Such terms are w * a[T][i] - w * a[i][i], and the cells differ by just that change.
        """
        if change is not None:
            weights = {stage: weight for stage, _, weight in terms}
            weight = weights.get(self.num_learned, 0.0)
            learned = self.tasks.index(terms[0].task) + 1
            if weights == {self.num_learned: weight, learned: -weight} and math.isclose(
                self._total(terms), weight * change.change, abs_tol=_ROUNDING
            ):
                return [Part(weight, change.change, change.interval)]
        cells = ((weight, self.cell(stage, task)) for stage, task, weight in terms)
        return [Part(weight, cell.accuracy, cell.interval) for weight, cell in cells]


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
