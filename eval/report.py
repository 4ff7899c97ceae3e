"""The forgetting report of a version, as data. How it is told: `findings`, `report_markdown`,
`report_page`, `export`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from pydantic import BaseModel, ConfigDict, JsonValue

from eval.compliance import FormatCompliance
from eval.forgetting import TaskChange, WorstItem, task_changes
from eval.gate import GateVerdict
from eval.intervals import Interval, PairedChange
from eval.matrix import SUMMARY_MEANINGS, AccuracyMatrix
from eval.split import TaskSplit

MAX_WORST_ITEMS = 12


class Summary(BaseModel):
    """A summary of the matrix in points, with its 95 % interval; n and tasks as in `Estimate`.

    Reports stored without intervals have None, and an n that counts the final row's items.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    value: float
    meaning: str
    num_tasks: int
    n: int
    interval: Interval | None = None


class ForgettingReport(BaseModel):
    """Everything measured about one version when it was made.

    Args:
        version: its name; `digest` is the one by which it can always be found.
        parent: name of the version it was trained from.
        task: the task it learned.
        created_at: when it was evaluated.
        matrix: of its lineage.
        summaries: of the matrix.
        changes: of every learned task.
        splits: per old task, what it lost, divided; empty where no lost answer was asked again.
        compliance: per task and format, whether answers keep to it; empty where not measured.
        verdict: of the gate; None where it was not judged, as of a matrix without item scores.
        worst_items: answers that were right and are wrong now.
        training: what was trained and how: method, hyper-parameters, counts per answer format.
        notes: what a reader must know, as images that could not be shown to the model.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: str
    digest: str | None = None
    parent: str
    task: str
    created_at: datetime | None = None
    matrix: AccuracyMatrix
    summaries: tuple[Summary, ...]
    changes: tuple[TaskChange, ...]
    splits: tuple[TaskSplit, ...] = ()
    compliance: tuple[FormatCompliance, ...] = ()
    verdict: GateVerdict | None = None
    worst_items: tuple[WorstItem, ...] = ()
    training: dict[str, JsonValue] = {}
    notes: tuple[str, ...] = ()


def build_report(
    matrix: AccuracyMatrix,
    verdict: GateVerdict | None = None,
    *,
    changes: Sequence[TaskChange] | None = None,
    since_learned: Mapping[str, PairedChange] | None = None,
    splits: Sequence[TaskSplit] = (),
    compliance: Sequence[FormatCompliance] = (),
    worst_items: Sequence[WorstItem] = (),
    training: Mapping[str, JsonValue] | None = None,
    created_at: datetime | None = None,
    digest: str | None = None,
    notes: Sequence[str] = (),
) -> ForgettingReport:
    """Return the report of the matrix's last version.

    Args:
        matrix: of the version's lineage; its last row is the version, the one before its parent.
        verdict: of the gate on this version; None where it was not judged.
        changes: from `task_changes` with paired tests; None takes them from the cells alone.
        since_learned: by old task, the paired change since it was learned; gives BWT and
            forgetting narrower intervals.
        splits: from `split_task`, of the old tasks.
        compliance: from `format_compliance`.
        worst_items: from `find_worst_items`; the first 12 are kept.
        training: what was trained and how, as JSON values.
        created_at: when the version was evaluated.
        digest: of the version.
        notes: sentences that a reader must know.

    Raises:
        MatrixHole: if only the base was measured, or a cell that a number needs was not.
    """
    return ForgettingReport(
        summaries=_summaries(matrix, since_learned),
        version=matrix.rows[-1].version,
        digest=digest,
        parent=matrix.rows[-2].version,
        task=matrix.learned_tasks[-1],
        created_at=created_at,
        matrix=matrix,
        changes=tuple(task_changes(matrix) if changes is None else changes),
        splits=tuple(splits),
        compliance=tuple(compliance),
        verdict=verdict,
        worst_items=tuple(worst_items[:MAX_WORST_ITEMS]),
        training=dict(training or {}),
        notes=tuple(notes),
    )


def _summaries(
    matrix: AccuracyMatrix, since_learned: Mapping[str, PairedChange] | None
) -> tuple[Summary, ...]:
    matrix.estimate("mft")  # a matrix of the base alone has no report: says so
    return tuple(
        Summary(
            name=name,
            value=found.points,
            meaning=SUMMARY_MEANINGS[name],
            num_tasks=found.num_tasks,
            n=found.n,
            interval=found.interval,
        )
        for name, found in matrix.estimates(since_learned).items()
    )


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
