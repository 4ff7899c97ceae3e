"""The rewriter of a job: rules, or a model behind an endpoint, which may be the own engine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from asd_rewriter.rewriter import Rewriter
from asd_rewriter.rules.rewriter import RuleRewriter
from service.workflow.context import Context, Facts


@contextmanager
def open_rewriter(ctx: Context, facts: Facts) -> Iterator[Rewriter]:
    """Yield what rewrites the task's rows, as its plan wants."""
    if facts.plan.asd.engine == "rules":
        yield RuleRewriter(facts.card, facts.plan.seed)
        return
    raise NotImplementedError
