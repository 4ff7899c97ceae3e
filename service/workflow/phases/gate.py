"""Gate: a pure judgement over the matrix, recorded with the report beside the version."""

from __future__ import annotations

from typing import Any

from sqlalchemy.orm import Session

from eval.forgetting import WorstItem, find_worst_items
from eval.gate import GatePolicy, judge_last
from eval.report import build_report
from service.db.tables import RecordRow, VersionRow
from service.ids import now
from service.jobs.queries import find_phase
from service.reports.queries import matrix_of
from service.streams.admission import lineage_tasks
from service.workflow.context import Context, Facts
from service.workflow.measuring import items_of, stored_answers


def run(ctx: Context) -> dict[str, Any]:
    """Record verdict and report; return the outcome."""
    facts = ctx.facts()
    with ctx.tools.db.read() as session:
        version = session.get_one(VersionRow, facts.job.version_id)
        matrix = matrix_of(session, facts.stream, version)
        worst = _worst_items(ctx, session, facts, version)
        training = _training(session, facts)
    verdict = judge_last(matrix, GatePolicy.model_validate(facts.stream.gate))
    report = build_report(matrix, verdict, worst_items=worst, training=training, created_at=now())
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


def _worst_items(
    ctx: Context, session: Session, facts: Facts, version: VersionRow
) -> list[WorstItem]:
    assert facts.parent is not None
    old = lineage_tasks(session, facts.parent)
    items = [item for task in old for item in items_of(ctx.tools.blobs, task)]
    before = stored_answers(session, facts.parent.servable_digest)
    after = stored_answers(session, version.servable_digest)
    return find_worst_items(items, before, after)


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
