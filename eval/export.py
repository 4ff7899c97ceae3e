"""A report's figures as CSV, one tidy table for the accuracies and one for everything else."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence

from eval.compliance import FormatCompliance
from eval.findings import change_since_parent, count_of_change
from eval.forgetting import TaskChange
from eval.intervals import Interval
from eval.matrix import AccuracyMatrix
from eval.recovery import Recovery, Share
from eval.report import ForgettingReport
from eval.split import TaskSplit

ACCURACY_COLUMNS = (
    "stage", "version", "learned", "task", "accuracy", "low", "high", "n", "metric",
)  # fmt: skip
FIGURE_COLUMNS = (
    "version", "parent", "task", "measure", "part", "value", "low", "high", "n", "p", "p_adjusted",
)  # fmt: skip
_FORMULA = ("=", "+", "-", "@", "＝", "＋", "－", "＠")
"""Spreadsheets run what begins so; in some languages full-width signs too."""
_LINE_ENDS = str.maketrans("\r\n", "  ")

Row = tuple[str | None, str, str, float, Interval | Share | None, int, float | None, float | None]


def accuracy_csv(matrix: AccuracyMatrix) -> str:
    """Return the matrix, a line a measured cell: points (0 to 100) with 95 % interval and n.

    `stage` counts from 0, the base; `learned` is the task that the version learned.
    """
    return _csv(
        ACCURACY_COLUMNS,
        (
            (
                stage, row.version, row.task, task, cell.accuracy, cell.interval.low,
                cell.interval.high, cell.n, cell.metric,
            )
            for stage, row in enumerate(matrix.rows)
            for task in matrix.tasks
            if (cell := row.cells.get(task))
        ),
    )  # fmt: skip


def figures_csv(report: ForgettingReport) -> str:
    """Return changes, splits, compliance and summaries: a line a figure, with interval and n.

    `measure` is `since_parent` or `since_learned` (points), `came_back`, `by_chance`,
    `superficial` or `essential` (percent of the lost answers asked again; `part` is the kind of
    probe, `any` for all), `format_when_learned` or `format_now` (percent of answers; `part` is the
    format), or a summary's name (points; no task). What cannot be told has no line.
    """
    rows = [
        *_changes(report.changes),
        *(row for split in report.splits for row in _split(split)),
        *(row for found in report.compliance for row in _compliance(found)),
        *((None, it.name, "", it.value, it.interval, it.n, None, None) for it in report.summaries),
    ]
    return _csv(
        FIGURE_COLUMNS,
        (
            (
                report.version, report.parent, task, measure, part, value,
                bounds.low if bounds else None, bounds.high if bounds else None, n, p, adjusted,
            )
            for task, measure, part, value, bounds, n, p, adjusted in rows
        ),
    )  # fmt: skip


def _changes(changes: Sequence[TaskChange]) -> Iterator[Row]:
    for it in changes:
        points = change_since_parent(it)
        if points is not None:
            tested = (it.paired.p_value, it.paired.p_adjusted) if it.paired else (None, None)
            bounds, n = it.since_parent_interval, count_of_change(it)
            yield it.task, "since_parent", "", points, bounds, n, *tested
    for it in changes[:-1]:  # the last has only just been learned
        bounds, n = it.since_learned_interval, min(it.now.n, it.just_learned.n)
        yield it.task, "since_learned", "", it.since_learned, bounds, n, None, None


def _split(split: TaskSplit) -> Iterator[Row]:
    yield from _recovery(split, "any", split.overall)
    for kind, found in split.by_kind.items():
        yield from _recovery(split, str(kind), found)


def _recovery(split: TaskSplit, part: str, found: Recovery) -> Iterator[Row]:
    shares = {
        "came_back": found.raw,
        "by_chance": found.chance,
        "superficial": found.corrected,
        "essential": split.gone(found),
    }
    for measure, share in shares.items():
        if share is not None:
            yield split.task, measure, part, share.percent, share, found.n, None, None


def _compliance(found: FormatCompliance) -> Iterator[Row]:
    tested = (found.change.p_value, found.change.p_adjusted) if found.change else (None, None)
    sides = (
        ("format_when_learned", found.learned, (None, None)),
        ("format_now", found.now, tested),
    )
    for measure, kept, p_values in sides:
        if kept is not None:
            part = str(found.format)
            yield found.task, measure, part, kept.percent, kept.interval, kept.n, *p_values


def _csv(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_text(value) for value in row] for row in rows)
    return file.getvalue()


def _text(value: object) -> str:
    """Return a value as text on one line; what a spreadsheet would run gets an apostrophe."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.6g}"
    text = str(value).translate(_LINE_ENDS)
    return f"'{text}" if text.lstrip().startswith(_FORMULA) else text
