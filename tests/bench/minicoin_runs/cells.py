"""Cells: what one stage of one run measured, a JSON file each. What is there is not run again."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict

from eval.matrix import AccuracyMatrix, Cell, MatrixRow
from tests.bench.minicoin_runs.plan import Plan, Run, seen_tasks
from trainer.export import RESULT_FILE
from trainer.files import write_atomically

PLAN_FILE = "plan.json"


class TaskScores(BaseModel):
    """A task's accuracy at a stage, and each item's score (0 to 1) in the items' order."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    cell: Cell
    scores: tuple[float, ...]


class StageCell(BaseModel):
    """One cell (method, ASD, seed, task): the scores on all tasks seen so far, and the cost."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    fingerprint: str
    run: Run
    stage: int
    task: str
    steps: int
    loss: float | None
    penalty: float | None
    train_seconds: float
    eval_seconds: float
    scores: dict[str, TaskScores]


class OtherPlan(SystemExit):
    """The folder holds a cell of other settings."""


class Cells:
    """The folder of a table: `cells/` to keep, `work/` with deltas of unfinished runs."""

    def __init__(self, root: Path, plan: Plan) -> None:
        """Open or make the folder; raises OtherPlan when cells were made by another."""
        self.root, self.plan = root, plan
        root.mkdir(parents=True, exist_ok=True)
        for run in plan.runs():
            for stage in range(len(plan.stages(run))):
                self._check(run, stage)
        write_atomically(root / PLAN_FILE, plan.model_dump_json(indent=1))

    def _check(self, run: Run, stage: int) -> None:
        cell = self.read(run, stage)
        if cell is not None and cell.fingerprint != self.plan.fingerprint(run):
            raise OtherPlan(
                f"{self.path(run, stage)} was measured with other settings: choose another --out, "
                f"or remove {self.path(run, stage).parent}."
            )

    def path(self, run: Run, stage: int) -> Path:
        """Return a cell's file: `cells/seed-0/lora+asd/03-compose.json`."""
        group = self.plan.stages(run)[stage]
        name = group[0] if len(group) == 1 else "all"
        return self.root / "cells" / run.folder / f"{stage:02d}-{name}.json"

    def work(self, run: Run, stage: int) -> Path:
        """Return the attempt folder of a stage."""
        return self.root / "work" / run.folder / f"{stage:02d}"

    def read(self, run: Run, stage: int) -> StageCell | None:
        """Return a finished cell, None where there is none."""
        path = self.path(run, stage)
        if not path.exists():
            return None
        return StageCell.model_validate_json(path.read_text(encoding="utf-8"))

    def write(self, cell: StageCell) -> None:
        """Keep a cell; from then on it is finished."""
        path = self.path(cell.run, cell.stage)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, cell.model_dump_json() + "\n")

    def finished(self, run: Run) -> int:
        """Return how many stages of a run are measured, from the first on without a gap."""
        count = len(self.plan.stages(run))
        return next((at for at in range(count) if not self.path(run, at).exists()), count)

    def complete(self, run: Run) -> bool:
        """Tell whether every stage is measured."""
        return self.finished(run) == len(self.plan.stages(run))

    def next_stage(self, run: Run) -> int:
        """Return where to go on: the first stage not measured, or whose delta is gone before it."""
        done = self.finished(run)
        trained = (at for at in range(done) if not (self.work(run, at) / RESULT_FILE).exists())
        return done if self.complete(run) else next(trained, done)

    def matrix(self, run: Run) -> AccuracyMatrix:
        """Return a complete sequence's accuracy matrix; the base's row is not measured."""
        rows = [MatrixRow(version="base")]
        for stage, task in enumerate(self.plan.tasks):
            cell = self.read(run, stage)
            assert cell is not None, "asked of complete runs only"
            scores = {name: cell.scores[name].cell for name in seen_tasks(self.plan, run, stage)}
            rows.append(MatrixRow(version=f"@{stage + 1}", task=task, cells=scores))
        return AccuracyMatrix(tasks=self.plan.tasks, rows=tuple(rows))
