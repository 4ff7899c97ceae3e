"""Gate: a pure judgement over stored answers, recorded with the report beside the version."""

from __future__ import annotations

from typing import Any

from sqlalchemy.orm import Session

from eval.compliance import FormatCompliance, format_compliance
from eval.forgetting import Answered, WorstItem, find_worst_items, task_changes
from eval.gate import GateVerdict
from eval.report import ForgettingReport, build_report
from service.db.tables import RecordRow, VersionRow
from service.ids import now
from service.jobs.queries import find_phase
from service.reports.queries import matrix_of
from service.workflow.comparing import Comparison, Standing
from service.workflow.context import Context, Facts


def run(ctx: Context) -> dict[str, Any]:
    """Record verdict and report; return the outcome."""
    facts = ctx.facts()
    with ctx.tools.db.read() as session:
        version = session.get_one(VersionRow, facts.job.version_id)
        evaluated = find_phase(session, facts.job.id, "evaluate")
        assert evaluated is not None, "the phase before"
        comparison = Comparison.read(session, ctx.tools.blobs, version)
        standing = Standing(session, comparison, evaluated.result["engines"])
        verdict = standing.judge(facts.stream, facts.plan.eval_limit)
        report = _report(session, facts, standing, verdict)
    with ctx.tools.db.write() as session:
        for kind, data in (("verdict", verdict), ("report", report)):
            session.merge(
                RecordRow(
                    version_id=version.id,
                    kind=kind,
                    data=data.model_dump(mode="json"),
                    created_at=now(),
                )
            )
    ctx.log(verdict.explanation)
    return {"outcome": verdict.outcome, "explanation": verdict.explanation}


def _report(
    session: Session, facts: Facts, standing: Standing, verdict: GateVerdict
) -> ForgettingReport:
    comparison, limit = standing.comparison, facts.plan.probe_limit
    matrix = matrix_of(session, facts.stream, comparison.version)
    since_learned = standing.changes(lambda old: old.learned)
    since_parent = standing.changes(lambda _old: comparison.parent)
    return build_report(
        matrix,
        verdict,
        changes=task_changes(matrix, since_parent, since_learned),
        since_learned=since_learned,
        splits=[standing.split(old, limit) for old in comparison.old],
        compliance=_compliance(standing),
        worst_items=_worst_items(standing),
        training=_training(session, facts),
        created_at=now(),
        notes=_other_builds(standing),
    )


def _other_builds(standing: Standing) -> list[str]:
    """Say where answers of two builds of the engine are compared: with when a task was learned."""
    version, notes = standing.comparison.version, []
    for old in standing.comparison.old:
        then, now = standing.engine(old.learned, old.task), standing.engine(version, old.task)
        if then != now:
            notes.append(
                f"{old.task.name}: when it was learned another build of the engine answered "
                f"({then}, now {now}): changes since then may be the build's"
            )
    return notes


def _compliance(standing: Standing) -> list[FormatCompliance]:
    """Say which formats the version keeps: on old tasks beside what it was, and on its own."""
    version, old_tasks = standing.comparison.version, standing.comparison.old
    items = [item for old in old_tasks for item in standing.asked(old)]
    now = {old.task.name: standing.answers(version, old) for old in old_tasks}
    learned = {old.task.name: standing.answers(old.learned, old) for old in old_tasks}
    own = standing.own_answers()
    return [
        *format_compliance(items, now, learned),
        *format_compliance(standing.comparison.own, {standing.comparison.task.name: own}),
    ]


def _worst_items(standing: Standing) -> list[WorstItem]:
    comparison = standing.comparison
    items = [item for old in comparison.old for item in standing.asked(old)]
    return find_worst_items(
        items, _answered(standing, comparison.parent), _answered(standing, comparison.version)
    )


def _answered(standing: Standing, version: VersionRow) -> dict[str, Answered]:
    return {
        old.task.name: Answered(
            standing.answers(version, old), standing.scores(version, old).scores
        )
        for old in standing.comparison.old
    }


def _training(session: Session, facts: Facts) -> dict[str, Any]:
    rewritten = find_phase(session, facts.job.id, "rewrite")
    trained = find_phase(session, facts.job.id, "train")
    report = rewritten.result.get("report", {}) if rewritten else {}
    names = (
        "turns", "requested", "converted", "counts", "converted_by_format", "rejects",
        "rejected_by_review",
    )  # fmt: skip
    return {
        "method": facts.plan.method,
        "method_config": facts.plan.method_config,
        "hyperparameters": facts.plan.hyperparameters,
        "rewriting": {
            "x_percent": facts.plan.x_percent,
            **{name: report[name] for name in names if name in report},
        },
        "run": dict(trained.result) if trained else {},
    }
