"""The report as Markdown (GitHub tables). No number without its n; data and answers are escaped."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from pydantic import JsonValue

from eval.compliance import RULES, FormatCompliance, Kept
from eval.findings import (
    OUTCOMES,
    bounds_of,
    bracketed,
    change_in_words,
    change_since_parent,
    count_of_change,
    findings,
)
from eval.forgetting import TaskChange, WorstItem
from eval.matrix import AccuracyMatrix, Cell
from eval.pooling import how_asked
from eval.recovery import Recovery, Share
from eval.report import ForgettingReport, Summary, flatten
from eval.split import TaskSplit

NO_ANSWERS = "None found, or the answers to single items are not at hand."


def to_markdown(report: ForgettingReport) -> str:
    """Return the report as Markdown, what matters first; 95 % intervals in brackets."""
    sections = [
        f"# Forgetting report: {_md(report.version)}",
        f"Parent {_md(report.parent)}, task learned: {_md(report.task)}{_when(report)}.",
        *([f"Version digest `{report.digest}`."] if report.digest else []),
        *(f"> {_md(note)}" for note in report.notes),
        _findings(report),
        "## Change per task\n\nPoints, now minus then; negative is a loss. In brackets: 95 % "
        "interval, n.\n\n" + _changes_table(report),
        "## Lost style or lost knowledge\n\n" + _splits(report.splits),
        "## Kept to the format asked for\n\n" + _compliance(report.compliance),
        "## Right before, wrong now\n\n" + _worst_table(report.worst_items),
        "## Accuracy matrix\n\nPoints (95 % interval, n items). Row: version. Column: task.\n\n"
        + _matrix_table(report.matrix),
        "## Summaries\n\n" + _summary_table(report.summaries),
        "## What was trained\n\n" + _training_list(report.training),
    ]
    return "\n\n".join(sections) + "\n"


def _when(report: ForgettingReport) -> str:
    moment = report.created_at
    return f", evaluated {moment:%Y-%m-%d %H:%M %Z}".rstrip() if moment else ""


def _findings(report: ForgettingReport) -> str:
    found = findings(report)
    outcome = OUTCOMES[report.verdict.outcome].lower() if report.verdict else "not judged"
    lines = [
        f"## Gate: {outcome}",
        _md(found.gate),
        f"**Lost.** {_md(found.lost)}",
        *([f"**Style or knowledge.** {_md(found.style)}"] if found.style else []),
        f"**What to do.** {_md(found.advice)}",
    ]
    return "\n\n".join(lines)


def _changes_table(report: ForgettingReport) -> str:
    rows = (
        [
            _md(change.task),
            _points(change.now),
            _points(change.parent),
            _since_parent(change),
            change_in_words(change),
            _points(change.just_learned),
            _since_learned(change) if change.task != report.task else "-",
        ]
        for change in report.changes
    )
    head = ["task", "now", "parent", "change", "what it means", "just learned", "change"]
    return _table(head, rows)


def _since_parent(change: TaskChange) -> str:
    points, bounds = change_since_parent(change), change.since_parent_interval
    return bracketed(points, bounds, count_of_change(change))


def _since_learned(change: TaskChange) -> str:
    n = min(change.now.n, change.just_learned.n)
    return bracketed(change.since_learned, change.since_learned_interval, n)


def _splits(splits: Sequence[TaskSplit]) -> str:
    if not splits:
        return "Not measured: no lost answer was asked again."
    rows = [row for split in splits for row in _split_rows(split)]
    head = ["task", "lost", "how", "came back", "by chance", "style", "knowledge"]
    return (
        f"Answers that were right when their task was learned and are wrong now were "
        f"{how_asked(splits)}. Style: came back, "
        "corrected for chance, (r - c) / (1 - c). Percent (95 % interval, n of them). "
        f"Rules {splits[0].rules}.\n\n" + _table(head, rows)
    )


def _split_rows(split: TaskSplit) -> list[list[str]]:
    lost = f"{split.lost} of {split.learned}"
    rows = [[_md(split.task), lost, "any way", *_recovery(split, split.overall)]]
    return rows + [["", "", str(kind), *_recovery(split, it)] for kind, it in split.by_kind.items()]


def _recovery(split: TaskSplit, found: Recovery) -> list[str]:
    shares = (found.raw, found.chance, found.corrected, split.gone(found))
    return [_share(share, found.n) for share in shares]


def _share(share: Share | None, n: int) -> str:
    if share is None:
        return f"cannot be told (n={n})"
    return f"{share.percent:.0f} ({share.low:.0f} to {share.high:.0f}, n={n})"


def _compliance(found: Sequence[FormatCompliance]) -> str:
    if not found:
        return "Not measured."
    rows = (
        [
            _md(it.task),
            str(it.format),
            _kept(it.learned),
            _kept(it.now),
            bracketed(it.change.change, it.change.interval, it.change.n) if it.change else "-",
            RULES[it.format],
        ]
        for it in found
    )
    head = ["task", "format", "when learned", "now", "change", "kept if"]
    return "Percent of answers (95 % interval, n). Right or wrong plays no part.\n\n" + _table(
        head, rows
    )


def _kept(kept: Kept | None) -> str:
    return "-" if kept is None else f"{kept.percent:.1f} ({bounds_of(kept.interval)}, n={kept.n})"


def _matrix_table(matrix: AccuracyMatrix) -> str:
    rows = (
        [_md(row.version), *(_points(row.cells.get(task)) for task in matrix.tasks)]
        for row in matrix.rows
    )
    return _table(["version", *map(_md, matrix.tasks)], rows)


def _summary_table(summaries: Sequence[Summary]) -> str:
    rows = (
        [
            entry.name,
            f"{entry.value:.2f}",
            bounds_of(entry.interval),
            str(entry.num_tasks),
            str(entry.n),
            entry.meaning,
        ]
        for entry in summaries
    )
    return _table(["name", "points", "95 % interval", "tasks", "n", "meaning"], rows)


def _worst_table(items: Sequence[WorstItem]) -> str:
    if not items:
        return NO_ANSWERS
    rows = ([_md(text) or "(empty)" for text in _worst_texts(item)] for item in items)
    return _table(["task", "question", "before", "now", "reference"], rows)


def _worst_texts(item: WorstItem) -> tuple[str, ...]:
    return item.task, item.question, item.before, item.after, item.reference


def _training_list(training: Mapping[str, JsonValue]) -> str:
    lines = [f"- {_md(name)}: {_md(value)}" for name, value in flatten(training)]
    return "\n".join(lines) or "Not recorded."


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _points(cell: Cell | None) -> str:
    return "-" if cell is None else f"{cell.accuracy:.1f} ({bounds_of(cell.interval)}, n={cell.n})"


def _md(text: str) -> str:
    """Return text that Markdown shows as it is, on one line."""
    return re.sub(r"([\\`*_\[\]<>|#~&])", r"\\\1", " ".join(text.split()))
