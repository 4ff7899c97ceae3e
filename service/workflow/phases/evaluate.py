"""Evaluate: the servable is asked, until the gate can tell and what was lost has been asked again.

Answers are kept, so none is asked for twice.
"""

from __future__ import annotations

from typing import Any

from service.db.tables import VersionRow
from service.versions.operations import lineage
from service.workflow import measuring
from service.workflow.comparing import Comparison, Standing
from service.workflow.context import Context, Facts
from service.workflow.evaluating import Evaluation


def run(ctx: Context) -> dict[str, Any]:
    """Fill the row of the new version, and what is missing above it; return its cells."""
    facts = ctx.facts()
    with ctx.tools.db.read() as session:
        version = session.get_one(VersionRow, facts.job.version_id)
        chain = lineage(session, version)
        wanted = measuring.plan_measurements(
            session, ctx.tools.blobs, chain, facts.plan.eval_limit, facts.plan.future_tasks
        )
        comparison = Comparison.read(session, ctx.tools.blobs, version)
    ctx.progress(0, None, "answers", "the model is being made ready")
    with Evaluation(ctx, facts, sum(len(it.items) for it in wanted)) as evaluation:
        for measurement in wanted:
            evaluation.fill(measurement)
        _draw_more(ctx, facts, evaluation, comparison)
        _ask_again(ctx, facts, evaluation, comparison)
    with ctx.tools.db.read() as session:
        cells = measuring.accuracies(session, version)
    return {"cells": cells, "answers": evaluation.asked}


def _draw_more(ctx: Context, facts: Facts, evaluation: Evaluation, comparison: Comparison) -> None:
    """Ask both versions further items of old tasks while the gate could decide by them."""
    while True:
        with ctx.tools.db.read() as session:
            verdict = Standing(session, comparison).judge(facts.stream, facts.plan.eval_limit)
        if not verdict.wanted:
            return
        ctx.log(verdict.explanation)
        for old in comparison.old:
            number = verdict.wanted.get(old.task.name, 0)
            for side in (comparison.parent, comparison.version) if number else ():
                evaluation.expect(number)
                evaluation.fill(old.measurement(side, number))


def _ask_again(ctx: Context, facts: Facts, evaluation: Evaluation, comparison: Comparison) -> None:
    """Ask lost items in other ways, also of the version before their task, see `eval.split`."""
    for old in comparison.old:
        with ctx.tools.db.read() as session:
            probes = Standing(session, comparison).probes(old, facts.plan.probe_limit)
        for side in (comparison.version, old.before) if probes else ():
            evaluation.expect(len(probes))
            what = f"lost answers of {old.task.name}, asked again"
            evaluation.answers(side, probes, measuring.decoding_of(old.task), what)
