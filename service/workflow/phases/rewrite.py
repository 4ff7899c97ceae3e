"""Rewrite: answer style diversification of the training split, by rules, seeded."""

from __future__ import annotations

import time
from typing import Any

from asd_rewriter.mix import RewriteStream, Stage, Tell
from asd_rewriter.plan import RewritePlan
from asd_rewriter.samples import SampleFile, write_samples
from service.db.tables import TaskRow
from service.workflow.context import Context
from service.workflow.leaks import refuse_leaks

TELL_SECONDS = 1.0


def run(ctx: Context) -> dict[str, Any]:
    """Store the corpus that is trained on; return its digest and the report.

    Raises LeakedRows for rows that the lineage is evaluated on.
    """
    facts = ctx.facts()
    assert facts.task.train_digest is not None, "only validated jobs are queued"
    refuse_leaks(ctx, facts)
    ctx.progress(0, None, "rows", f"rewriting {facts.plan.x_percent:g} % of the turns")
    plan = RewritePlan(x_percent=facts.plan.x_percent, seed=facts.plan.seed)
    source = SampleFile(ctx.tools.blobs.path(facts.task.train_digest))
    stream = RewriteStream(source, facts.card, plan, tell=_teller(ctx))
    path = ctx.work_dir / "corpus.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = write_samples(path, (it.sample for it in stream))
    digest = ctx.tools.blobs.put_file(path)
    path.unlink()
    with ctx.tools.db.write() as session:
        session.get_one(TaskRow, facts.task.id).corpus_digest = digest
    report = stream.report
    ctx.progress(rows, rows, "rows", f"{report.converted} of {report.turns} turns rewritten")
    return {"corpus_digest": digest, "rows": rows, "report": report.model_dump(mode="json")}


def _teller(ctx: Context) -> Tell:
    """Return what tells of progress, and ends the phase when the job is to stop."""
    last = time.monotonic()

    def tell(stage: Stage, done: int, total: int | None) -> None:
        nonlocal last
        ctx.check()
        if time.monotonic() - last >= TELL_SECONDS:
            last = time.monotonic()
            doing = "learning the task's answers" if stage == "read" else "rewriting"
            ctx.progress(done, total, "rows", doing)

    return tell
