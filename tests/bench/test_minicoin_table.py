"""The minicoin table from finished cells: values, intervals, differences, pages."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from eval.matrix import Cell
from tests.bench.minicoin_runs.cells import Cells, StageCell, TaskScores
from tests.bench.minicoin_runs.command import main, write_table
from tests.bench.minicoin_runs.pages import markdown
from tests.bench.minicoin_runs.plan import MULTITASK, Budget, Plan, Run, seen_tasks
from tests.bench.minicoin_runs.table import SUMMARIES, make_table

ITEMS = 40
PLAN = Plan(
    tasks=("signs", "classes", "counts"),
    methods=("lora",),
    budget=Budget(num_train=8, num_eval=ITEMS),
)
KEPT = {"lora": 0.25, "lora+asd": 0.75, MULTITASK: 1.0}
"""Which share of an old task's items stays right after each further task."""


def _scores(right: int) -> TaskScores:
    scores = tuple(float(at < right) for at in range(ITEMS))
    cell = Cell(accuracy=100.0 * right / ITEMS, n=ITEMS, metric="exact_match")
    return TaskScores(cell=cell, scores=scores)


def _stage(plan: Plan, run: Run, stage: int) -> StageCell:
    seen = seen_tasks(plan, run, stage)
    ages = {task: 0 if run.method == MULTITASK else stage - at for at, task in enumerate(seen)}
    return StageCell(
        fingerprint=plan.fingerprint(run), run=run, stage=stage, task=seen[-1], steps=1, loss=0.1,
        penalty=None, train_seconds=1.0, eval_seconds=1.0,
        scores={task: _scores(int(36 * KEPT[run.name] ** age)) for task, age in ages.items()},
    )  # fmt: skip


def _finish(cells: Cells, run: Run) -> None:
    for stage in range(len(cells.plan.stages(run))):
        cells.write(_stage(cells.plan, run, stage))


@pytest.fixture
def cells(tmp_path: Path) -> Cells:
    """A table's folder with every run finished."""
    found = Cells(tmp_path, PLAN)
    for run in PLAN.runs():
        _finish(found, run)
    return found


def test_values_are_those_of_the_matrix(cells: Cells) -> None:
    row = make_table(cells).rows["lora"]
    matrix = cells.matrix(Run(method="lora", asd=False, seed=0))
    for name in SUMMARIES:
        assert row.summaries[name] == pytest.approx(matrix.summaries()[name])
    assert row.per_task == {task: matrix.points(3, task) for task in PLAN.tasks}


def test_intervals_hold_the_values(cells: Cells) -> None:
    for row in make_table(cells).rows.values():
        for name in SUMMARIES:
            low, high = row.interval(name)
            assert low <= row.summaries[name] <= high
    low, high = make_table(cells).rows["lora"].interval("signs")
    assert (low, high) == pytest.approx((1.38, 16.50), abs=0.02)  # 2 of 40 right


def test_upper_bound_forgets_nothing(cells: Cells) -> None:
    row = make_table(cells).rows[MULTITASK]
    assert row.summaries["bwt"] == 0
    assert row.summaries["mft"] == row.summaries["mfn"] == row.summaries["maa"] == 90


def test_differences_are_paired_by_item(cells: Cells) -> None:
    (name, found), *_ = make_table(cells).as_json()["differences"].items()
    assert name == "lora+asd - lora"
    change, low, high = found["mfn"]
    assert low > 0  # the same items stay right, and more
    assert low < change < high


def test_seeds_are_averaged_and_drawn(tmp_path: Path) -> None:
    plan = PLAN.model_copy(update={"seeds": (0, 1)})
    cells = Cells(tmp_path, plan)
    for run in plan.runs():
        _finish(cells, run)
    table = make_table(cells).as_json()
    assert table["seeds"] == [0, 1]
    assert table["lora"]["mft"] == 90
    assert table["lora"]["seeds"] == [0, 1]


def test_unfinished_runs_are_left_out(tmp_path: Path) -> None:
    cells = Cells(tmp_path, PLAN)
    first, second, *_ = PLAN.runs()
    _finish(cells, first)
    cells.write(_stage(PLAN, second, 0))
    assert list(make_table(cells).rows) == ["lora"]
    assert "differences" in write_table(cells)


def test_markdown_has_a_line_per_run_and_lists_the_settings(cells: Cells) -> None:
    page = markdown(make_table(cells), PLAN)
    assert "| run | signs | classes | counts | MFT | MFN | MAA | BWT | seeds |" in page
    assert "| lora+asd | " in page
    assert "n = 40" in page
    assert "| reglora | 0.002 | rank 16" in page


def test_finished_table_is_printed_without_another_run(
    cells: Cells, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = PLAN.model_copy(update={"multitask": False})
    Cells(cells.root, plan)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(main.__globals__["FORMS"], "quick", plan)
        assert main("quick", ["--out", str(cells.root)]) == 0
    figures = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert figures["tasks"] == list(PLAN.tasks)
    assert {*SUMMARIES, "per_task"} <= set(figures["lora+asd"])
    assert json.loads((cells.root / "table.json").read_text()) == figures
    page = (cells.root / "table.html").read_text()
    assert "<script src=" not in page
