"""How long metrics and report take for 50 tasks and 50 versions: `report_s` of `make bench-eval`.

Timed is what follows the answers: paired tests of all old tasks, summaries with intervals, gate,
report, and its JSON, Markdown, HTML and CSV. Scoring and splitting are measured by others.
"""

from __future__ import annotations

import time
from random import Random
from statistics import median

from asd_rewriter.formats import AnswerFormat
from eval.compliance import FormatCompliance, Kept
from eval.export import accuracy_csv, figures_csv
from eval.forgetting import task_changes
from eval.gate import GatePolicy, GateVerdict, TaskEvidence, judge
from eval.intervals import paired_changes
from eval.matrix import AccuracyMatrix, Cell, MatrixRow
from eval.probes import ProbeKind
from eval.recovery import recovery_of
from eval.report import build_report
from eval.report_markdown import to_markdown
from eval.report_page import report_html
from eval.split import TaskSplit

TASKS, ITEMS, PROBED, REPEATS = 50, 200, 64, 3
Scores = dict[str, dict[str, float]]


def report_seconds() -> float:
    """Return the median seconds of three rounds, from item scores to all forms of the report."""
    matrix, learned, before, now = _measured()
    splits, compliance = _splits(), _compliance()
    return median(_round(matrix, learned, before, now, splits, compliance) for _ in range(REPEATS))


def _round(
    matrix: AccuracyMatrix,
    learned: Scores,
    before: Scores,
    now: Scores,
    splits: list[TaskSplit],
    compliance: list[FormatCompliance],
) -> float:
    started = time.perf_counter()
    since_parent, since_learned = paired_changes(before, now), paired_changes(learned, now)
    report = build_report(
        matrix,
        _verdict(matrix, before, now),
        changes=task_changes(matrix, since_parent, since_learned),
        since_learned=since_learned,
        splits=splits,
        compliance=compliance,
    )
    report.model_dump_json()
    to_markdown(report)
    report_html(report)
    accuracy_csv(matrix)
    figures_csv(report)
    return time.perf_counter() - started


def _verdict(matrix: AccuracyMatrix, before: Scores, now: Scores) -> GateVerdict:
    evidence = {
        task: TaskEvidence([*scores.values()], [*now[task].values()])
        for task, scores in before.items()
    }
    version, parent = matrix.rows[-1].version, matrix.rows[-2].version
    return judge(evidence, GatePolicy(), version=version, parent=parent)


def _measured() -> tuple[AccuracyMatrix, Scores, Scores, Scores]:
    """A whole square, future tasks too: the most that a lineage can hold."""
    rng = Random(0)
    names = [f"task-{number:02d}" for number in range(TASKS)]
    scores = [_scores(rng, names) for _ in range(TASKS + 1)]
    rows = [
        MatrixRow(
            version=f"stream@{stage}",
            task=names[stage - 1] if stage else None,
            cells={name: _cell(found) for name, found in scores[stage].items()},
        )
        for stage in range(TASKS + 1)
    ]
    old = names[:-1]
    learned = {name: scores[stage][name] for stage, name in enumerate(old, start=1)}
    before, now = ({name: scores[stage][name] for name in old} for stage in (-2, -1))
    return AccuracyMatrix(tasks=tuple(names), rows=tuple(rows)), learned, before, now


def _scores(rng: Random, names: list[str]) -> Scores:
    return {name: {f"i{k}": float(rng.random() < 0.7) for k in range(ITEMS)} for name in names}


def _cell(scores: dict[str, float]) -> Cell:
    accuracy = 100 * sum(scores.values()) / len(scores)
    return Cell(accuracy=accuracy, n=len(scores), metric="exact_match")


def _splits() -> list[TaskSplit]:
    rng = Random(1)

    def recovery() -> list[list[bool]]:
        return [[rng.random() < share for _ in range(PROBED)] for share in (0.6, 0.2)]

    return [
        TaskSplit(
            task=f"task-{number:02d}",
            rules="1",
            compared=ITEMS,
            learned=150,
            lost=PROBED,
            probed=PROBED,
            by_kind={kind: recovery_of(*recovery()) for kind in ProbeKind},
            overall=recovery_of(*recovery()),
            recovered_by={f"{number}-{k}": (ProbeKind.FORCED,) for k in range(PROBED)},
        )
        for number in range(TASKS - 1)
    ]


def _compliance() -> list[FormatCompliance]:
    kept = Kept(kept=ITEMS - 10, n=ITEMS)
    return [
        FormatCompliance(
            task=f"task-{number:02d}", format=AnswerFormat.SHORT_ANSWER, now=kept, learned=kept
        )
        for number in range(TASKS)
    ]
