"""Rewrite: answer style diversification of the training split, by rules, seeded."""

from __future__ import annotations

from typing import Any

from asd_rewriter.mix import RewritePlan, rewrite
from asd_rewriter.samples import read_samples, write_samples
from service.db.tables import TaskRow
from service.workflow.context import Context
from service.workflow.leaks import refuse_leaks


def run(ctx: Context) -> dict[str, Any]:
    """Store the corpus that is trained on; return its digest and the report.

    Raises LeakedRows for rows that the lineage is evaluated on.
    """
    facts = ctx.facts()
    assert facts.task.train_digest is not None, "only validated jobs are queued"
    refuse_leaks(ctx, facts)
    ctx.progress(0, None, "turns", f"rewriting {facts.plan.x_percent:g} % of the turns")
    plan = RewritePlan(x_percent=facts.plan.x_percent, seed=facts.plan.seed)
    source = ctx.tools.blobs.path(facts.task.train_digest)
    result = rewrite(read_samples(source), facts.card, plan)
    ctx.check()
    path = ctx.work_dir / "corpus.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_samples(path, result.samples)
    digest = ctx.tools.blobs.put_file(path)
    path.unlink()
    with ctx.tools.db.write() as session:
        session.get_one(TaskRow, facts.task.id).corpus_digest = digest
    report = result.report.model_dump(mode="json")
    ctx.progress(result.report.turns, result.report.turns, "turns",
                 f"{result.report.converted} of {result.report.turns} turns rewritten")  # fmt: skip
    return {"corpus_digest": digest, "rows": len(result.samples), "report": report}
