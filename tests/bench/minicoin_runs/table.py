"""The table from finished cells: per-task final accuracy, MFT, MFN, MAA, BWT, with intervals.

Point values are means over seeds. A task's interval is Wilson's over the items of all seeds. Those
of summaries are 95 % percentile bootstraps over the items of each task, one draw for all stages
and all runs of a seed, so that differences between stages and runs are paired; seeds are drawn too
where there are several. With one seed an interval says nothing of how another training would have
gone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eval.intervals import wilson
from tests.bench.minicoin_runs.cells import Cells
from tests.bench.minicoin_runs.plan import MULTITASK, Run, seen_tasks

DRAWS = 2000
SUMMARIES = ("mft", "mfn", "maa", "bwt")
Draws = NDArray[np.float64]


@dataclass(frozen=True)
class Row:
    """One run's figures in points, over `seeds`; `draws` are the bootstrap's, by figure.

    `items` is how many items of a task were asked, all seeds together.
    """

    name: str
    seeds: tuple[int, ...]
    items: int
    per_task: dict[str, float]
    summaries: dict[str, float]
    draws: dict[str, Draws] = field(repr=False)

    def interval(self, figure: str) -> tuple[float, float]:
        """Return the 95 % interval of a summary, or of a task by its name."""
        if figure in self.per_task:
            found = wilson(self.per_task[figure], self.items)
            return found.low, found.high
        return interval_of(self.draws[figure])

    def as_json(self) -> dict[str, Any]:
        """Return plain numbers: figures, their intervals, and the seeds."""
        intervals = {name: [_round(it) for it in self.interval(name)] for name in self.draws}
        return {
            **{name: _round(value) for name, value in self.summaries.items()},
            "per_task": {task: _round(value) for task, value in self.per_task.items()},
            "interval_95": intervals,
            "seeds": list(self.seeds),
        }


@dataclass(frozen=True)
class Table:
    """All rows that are complete on at least one seed, in the plan's order."""

    tasks: tuple[str, ...]
    items_per_task: int
    rows: dict[str, Row]

    def as_json(self) -> dict[str, Any]:
        """Return the rows by name, with tasks, seeds, n and the paired differences."""
        seeds = sorted({seed for row in self.rows.values() for seed in row.seeds})
        return {
            **{name: row.as_json() for name, row in self.rows.items()},
            "seeds": seeds,
            "tasks": list(self.tasks),
            "items_per_task": self.items_per_task,
            "differences": differences(self.rows),
        }


def make_table(cells: Cells) -> Table:
    """Return the table of what is finished; unfinished runs are left out."""
    by_name: dict[str, list[Run]] = {}
    for run in cells.plan.runs():
        if cells.complete(run):
            by_name.setdefault(run.name, []).append(run)
    rows = {name: _row(cells, name, runs) for name, runs in by_name.items()}
    return Table(cells.plan.tasks, cells.plan.budget.num_eval, rows)


def _row(cells: Cells, name: str, runs: list[Run]) -> Row:
    tasks = cells.plan.tasks
    points, drawn = [], []
    for run in runs:
        scores = scores_of(cells, run)
        points.append(_figures(tasks, {at: np.array([it.mean()]) for at, it in scores.items()}))
        drawn.append(_figures(tasks, _resampled(scores, tasks, run.seed)))
    values = {key: float(np.mean([it[key] for it in points])) for key in points[0]}
    return Row(
        name=name,
        seeds=tuple(run.seed for run in runs),
        items=cells.plan.budget.num_eval * len(runs),
        per_task={task: values[task] for task in tasks},
        summaries={key: values[key] for key in SUMMARIES},
        draws={key: _over_seeds([it[key] for it in drawn]) for key in values},
    )


Scores = dict[tuple[int, str], Draws]
"""By stage (from 1) and task: items' scores, or means of them, in points."""


def scores_of(cells: Cells, run: Run) -> Scores:
    """Return a run's item scores; `multitask` counts as having learned each task at its turn."""
    found = {}
    tasks = cells.plan.tasks
    for stage in range(len(tasks)):
        cell = cells.read(run, 0 if run.method == MULTITASK else stage)
        assert cell is not None, "asked of complete runs only"
        seen = tasks[: stage + 1] if run.method == MULTITASK else seen_tasks(cells.plan, run, stage)
        for task in seen:
            found[stage + 1, task] = 100.0 * np.array(cell.scores[task].scores)
    return found


def _resampled(scores: Scores, tasks: tuple[str, ...], seed: int) -> Scores:
    """Return means over items drawn with replacement, `DRAWS` of them for each entry."""
    last = len(tasks)
    chosen = {}
    for task in tasks:
        count = len(scores[last, task])
        generator = np.random.default_rng(Random(f"{seed} {task}").getrandbits(64))
        chosen[task] = generator.integers(count, size=(DRAWS, count))
    return {key: values[chosen[key[1]]].mean(axis=1) for key, values in scores.items()}


def _figures(tasks: tuple[str, ...], means: Mapping[tuple[int, str], Draws]) -> dict[str, Draws]:
    """Return all figures of SEFE's table from accuracies a[stage, task] (BWT divided by T)."""
    last = len(tasks)
    final = {task: means[last, task] for task in tasks}
    learned = [means[at, task] for at, task in enumerate(tasks, 1)]
    stages = [
        np.mean([means[at, task] for task in tasks[:at]], axis=0) for at in range(1, last + 1)
    ]
    mft, mfn = np.mean(learned, axis=0), np.mean(list(final.values()), axis=0)
    return {**final, "mft": mft, "mfn": mfn, "maa": np.mean(stages, axis=0), "bwt": mfn - mft}


def _over_seeds(drawn: list[Draws]) -> Draws:
    """Return the mean over seeds, which are drawn with replacement for each bootstrap draw."""
    stacked = np.stack(drawn)
    generator = np.random.default_rng(0)
    picks = generator.integers(len(drawn), size=(len(drawn), DRAWS))
    averaged: Draws = np.take_along_axis(stacked, picks, axis=0).mean(axis=0)
    return averaged


def differences(rows: Mapping[str, Row]) -> dict[str, dict[str, list[float]]]:
    """Return what ASD and RegLoRA add: [difference, low, high] of MFN and BWT, paired by item."""
    pairs = [(f"{name}+asd", name) for name in rows if f"{name}+asd" in rows]
    for name in rows:
        if name.startswith("reglora"):
            pairs.append((name, "lora+asd" if name.endswith("+asd") else "lora"))
    pairs.append(("lora", "full"))
    return {
        f"{one} - {other}": _difference(rows[one], rows[other])
        for one, other in pairs
        if one in rows and other in rows and rows[one].seeds == rows[other].seeds
    }


def _difference(one: Row, other: Row) -> dict[str, list[float]]:
    found = {}
    for key in ("mfn", "bwt"):
        low, high = interval_of(one.draws[key] - other.draws[key])
        change = one.summaries[key] - other.summaries[key]
        found[key] = [_round(it) for it in (change, low, high)]
    return found


def interval_of(draws: Draws) -> tuple[float, float]:
    """Return the 2.5 and 97.5 percentiles."""
    low, high = np.percentile(draws, [2.5, 97.5])
    return float(low), float(high)


def _round(value: float) -> float:
    return round(float(value), 2)
