"""Two tasks, a few steps, one method, for real: the trainer's own code, one launch, cells."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.console import Console

from tests.bench.minicoin_runs.cells import Cells
from tests.bench.minicoin_runs.command import write_table
from tests.bench.minicoin_runs.driving import drive
from tests.bench.minicoin_runs.plan import Budget, Plan

PLAN = Plan(
    tasks=("signs", "classes"),
    methods=("reglora",),
    without_twin=("reglora",),
    multitask=False,
    budget=Budget(num_train=48, num_eval=8, epochs=3.0, rows_per_step=24),
)


@pytest.mark.conformance
def test_two_tasks_in_one_launch(tmp_path: Path) -> None:
    cells = Cells(tmp_path, PLAN)
    drive(cells, Console(stderr=True), threads=1)
    (run,) = PLAN.runs()
    first, second = cells.read(run, 0), cells.read(run, 1)
    assert first is not None
    assert second is not None
    assert (first.steps, second.steps) == (6, 6)
    assert first.penalty is None
    assert second.penalty is not None  # the first task's places reached the second
    assert set(second.scores) == {"signs", "classes"}
    assert not cells.work(run, 0).exists()
    assert set(write_table(cells)["reglora"]["per_task"]) == {"signs", "classes"}
    before = cells.path(run, 1).stat().st_mtime_ns
    drive(cells, Console(stderr=True), threads=1)
    assert cells.path(run, 1).stat().st_mtime_ns == before
