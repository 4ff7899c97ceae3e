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
    return {"cells": cells, "answers": evaluation.needed, "engines": evaluation.engines}


def _draw_more(ctx: Context, facts: Facts, evaluation: Evaluation, comparison: Comparison) -> None:
    """Ask both versions further items of old tasks while the gate could decide by them."""
    while True:
        with ctx.tools.db.read() as session:
            standing = Standing(session, comparison, evaluation.engines)
            verdict = standing.judge(facts.stream, facts.plan.eval_limit)
        if not verdict.wanted:
            return
        ctx.log(verdict.explanation)
        for old in comparison.old:
            number = verdict.wanted.get(old.task.name, 0)
            for side in (comparison.parent, comparison.version) if number else ():
                more = old.measurement(side, number)
                evaluation.expect(side, more.items, more.decoding)
                evaluation.fill(more)


def _ask_again(ctx: Context, facts: Facts, evaluation: Evaluation, comparison: Comparison) -> None:
    """Ask lost items in other ways, also of the version before their task, see `eval.split`."""
    for old in comparison.old:
        with ctx.tools.db.read() as session:
            standing = Standing(session, comparison, evaluation.engines)
            probes = standing.probes(old, facts.plan.probe_limit)
        decoding = measuring.decoding_of(old.task)
        for side in (comparison.version, old.before) if probes else ():
            evaluation.expect(side, probes, decoding)
            what = f"lost answers of {old.task.name}, asked again"
            evaluation.answers(side, probes, decoding, what)
