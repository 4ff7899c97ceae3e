"""Evaluate: the servable is asked; answers are kept, so none is asked for twice."""

from __future__ import annotations

from typing import Any

from service.db.tables import VersionRow
from service.versions.operations import lineage
from service.workflow import measuring
from service.workflow.context import Context
from service.workflow.evaluating import Evaluation


def run(ctx: Context) -> dict[str, Any]:
    """Fill the row of the new version, and what is missing above it; return its cells."""
    facts = ctx.facts()
    with ctx.tools.db.read() as session:
        version = session.get_one(VersionRow, facts.job.version_id)
        chain, limit = lineage(session, version), facts.plan.eval_limit
        wanted = measuring.plan_measurements(session, ctx.tools.blobs, chain, limit)
    ctx.progress(0, None, "answers", "the model is being made ready")
    with Evaluation(ctx, facts, sum(len(it.items) for it in wanted)) as evaluation:
        for measurement in wanted:
            evaluation.fill(measurement)
    with ctx.tools.db.read() as session:
        cells = measuring.accuracies(session, version)
    return {"cells": cells, "answers": evaluation.asked}
