"""The forgetting report of a version, as data and as Markdown. No number without its n."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from pydantic import BaseModel, ConfigDict, JsonValue

from eval.forgetting import TaskChange, WorstItem, task_changes
from eval.gate import GateVerdict
from eval.matrix import SUMMARY_MEANINGS, AccuracyMatrix, Cell
from eval.split import TaskSplit

MAX_WORST_ITEMS = 12


class Summary(BaseModel):
    """A summary of the matrix in points; `n` counts the final row's items, all learned tasks."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    value: float
    meaning: str
    num_tasks: int
    n: int


class ForgettingReport(BaseModel):
    """Everything measured about one version when it was made.

    `training` says what was trained and how: method, hyper-parameters, counts per answer format.
    `verdict` is None where the version was not judged, as of a matrix without item scores.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: str
    parent: str
    task: str
    created_at: datetime | None = None
    matrix: AccuracyMatrix
    summaries: tuple[Summary, ...]
    changes: tuple[TaskChange, ...]
    verdict: GateVerdict | None = None
    splits: tuple[TaskSplit, ...] = ()
    worst_items: tuple[WorstItem, ...] = ()
    training: dict[str, JsonValue] = {}


def build_report(
    matrix: AccuracyMatrix,
    verdict: GateVerdict | None,
    *,
    changes: Sequence[TaskChange] | None = None,
    splits: Sequence[TaskSplit] = (),
    worst_items: Sequence[WorstItem] = (),
    training: Mapping[str, JsonValue] | None = None,
    created_at: datetime | None = None,
) -> ForgettingReport:
    """Return the report of the matrix's last version.

    Args:
        matrix: of the version's lineage; its last row is the version, the one before its parent.
        verdict: of the gate on this version; None where it was not judged.
        changes: from `task_changes`, with paired changes where there are any; None: without.
        splits: of the old tasks, from `split_task`.
        worst_items: from `find_worst_items`; the first 12 are kept.
        training: what was trained and how, as JSON values.
        created_at: when the version was evaluated.

    Raises:
        MatrixHole: if only the base was measured, or a cell that a number needs was not.
    """
    summaries = _summaries(matrix)
    return ForgettingReport(
        version=matrix.rows[-1].version,
        parent=matrix.rows[-2].version,
        task=matrix.learned_tasks[-1],
        created_at=created_at,
        matrix=matrix,
        summaries=summaries,
        changes=tuple(task_changes(matrix) if changes is None else changes),
        verdict=verdict,
        splits=tuple(splits),
        worst_items=tuple(worst_items[:MAX_WORST_ITEMS]),
        training=dict(training or {}),
    )


def _summaries(matrix: AccuracyMatrix) -> tuple[Summary, ...]:
    matrix.estimate("mft")  # a matrix of the base alone has no report: says so
    n = sum(matrix.cell(matrix.num_learned, task).n for task in matrix.learned_tasks)
    return tuple(
        Summary(
            name=name,
            value=value,
            meaning=SUMMARY_MEANINGS[name],
            num_tasks=matrix.num_learned,
            n=n,
        )
        for name, value in matrix.summaries().items()
    )


def to_markdown(report: ForgettingReport) -> str:
    """Return the report as Markdown (GitHub tables); text from data sets is escaped."""
    sections = [
        f"# Forgetting report: {_md(report.version)}",
        f"Parent {_md(report.parent)}, task learned: {_md(report.task)}{_when(report)}.",
        _gate(report.verdict),
        "## Change per task\n\nPoints; negative is a loss.\n\n" + _changes_table(report.changes),
        "## Accuracy matrix\n\nPoints (n items). Row: version. Column: task.\n\n"
        + _matrix_table(report.matrix),
        "## Summaries\n\n" + _summary_table(report.summaries),
        "## Right before, wrong now\n\n" + _worst(report),
        "## What was trained\n\n" + _training_list(report.training),
    ]
    return "\n\n".join(sections) + "\n"


NOT_JUDGED = "Not judged: the gate needs the scores of single items."
NO_ANSWERS = "Not known: the answers to single items are not at hand."


def _gate(verdict: GateVerdict | None) -> str:
    if verdict is None:
        return f"## Gate\n\n{NOT_JUDGED}"
    return f"## Gate: {verdict.outcome}\n\n{_md(verdict.explanation)}"


def _when(report: ForgettingReport) -> str:
    moment = report.created_at
    return f", evaluated {moment:%Y-%m-%d %H:%M %Z}".rstrip() if moment else ""


def _changes_table(changes: Sequence[TaskChange]) -> str:
    rows = (
        [
            _md(change.task),
            _points(change.now),
            _points(change.parent),
            _signed(change.since_parent),
            _points(change.just_learned),
            _signed(change.since_learned),
        ]
        for change in changes
    )
    head = ["task", "now", "parent", "change", "just learned", "change"]
    return _table(head, rows)


def _matrix_table(matrix: AccuracyMatrix) -> str:
    rows = (
        [_md(row.version), *(_points(row.cells.get(task)) for task in matrix.tasks)]
        for row in matrix.rows
    )
    return _table(["version", *map(_md, matrix.tasks)], rows)


def _summary_table(summaries: Sequence[Summary]) -> str:
    rows = (
        [entry.name, f"{entry.value:.2f}", str(entry.num_tasks), str(entry.n), entry.meaning]
        for entry in summaries
    )
    return _table(["name", "points", "tasks", "n", "meaning"], rows)


def _worst(report: ForgettingReport) -> str:
    return NO_ANSWERS if report.verdict is None else _worst_table(report.worst_items)


def _worst_table(items: Sequence[WorstItem]) -> str:
    if not items:
        return "None found."
    rows = ([_md(text) or "(empty)" for text in _worst_texts(item)] for item in items)
    return _table(["task", "question", "before", "now", "reference"], rows)


def _worst_texts(item: WorstItem) -> tuple[str, ...]:
    return item.task, item.question, item.before, item.after, item.reference


def _training_list(training: Mapping[str, JsonValue]) -> str:
    lines = [f"- {_md(name)}: {_md(value)}" for name, value in flatten(training)]
    return "\n".join(lines) or "Not recorded."


def flatten(values: Mapping[str, JsonValue], prefix: str = "") -> list[tuple[str, str]]:
    """Return nested JSON as (dotted name, text) pairs, for display."""
    pairs: list[tuple[str, str]] = []
    for name, value in values.items():
        if isinstance(value, dict):
            pairs += flatten(value, f"{prefix}{name}.")
        elif isinstance(value, list):
            pairs.append((f"{prefix}{name}", ", ".join(map(str, value))))
        else:
            pairs.append((f"{prefix}{name}", str(value)))
    return pairs


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _points(cell: Cell | None) -> str:
    return "-" if cell is None else f"{cell.accuracy:.1f} (n={cell.n})"


def _signed(change: float | None) -> str:
    return "-" if change is None else f"{round(change, 1) + 0.0:+.1f}"


def _md(text: str) -> str:
    """Return text that Markdown shows as it is, on one line."""
    return re.sub(r"([\\`*_\[\]<>|#~])", r"\\\1", " ".join(text.split()))
