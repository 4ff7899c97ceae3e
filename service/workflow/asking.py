"""The rewriter of a job: rules, or a model behind an endpoint, which may be the own engine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from asd_rewriter.llm.asking import LoadImage
from asd_rewriter.llm.asking import Tell as AskTell
from asd_rewriter.llm.budget import Spent
from asd_rewriter.llm.rewriter import LlmRewriter
from asd_rewriter.llm.settings import LlmSettings
from asd_rewriter.rewriter import Rewriter
from asd_rewriter.rules.rewriter import RuleRewriter
from service.settings import OWN_ENGINE
from service.versions.operations import get_version
from service.workflow.context import Context, Facts, Held

CACHE = "answers.sqlite"
CHECK_SECONDS = 0.5


@contextmanager
def open_rewriter(ctx: Context, facts: Facts) -> Iterator[Rewriter]:
    """Yield what rewrites the task's rows, as its plan wants.

    What a model answers is kept in one file for all jobs, so that nothing is asked twice; a budget
    is one job's, however often it is resumed. Raises EngineUnavailable, and Held for a model that
    the settings no longer name.
    """
    if facts.plan.asd.engine == "rules":
        yield RuleRewriter(facts.card, facts.plan.seed)
        return
    cache = ctx.tools.settings.folder("rewriting") / CACHE
    with (
        _endpoint(ctx, facts) as endpoint,
        LlmRewriter(
            facts.card, facts.plan.seed, endpoint, _image_of(ctx), cache,
            run=ctx.job_id, tell=_teller(ctx),
        ) as rewriter,
    ):  # fmt: skip
        yield rewriter


@contextmanager
def _endpoint(ctx: Context, facts: Facts) -> Iterator[LlmSettings]:
    settings = ctx.tools.settings
    if missing := settings.missing_for_llm():
        raise Held(
            f"waits for a model to ask: {' and '.join(missing)} no longer set. Set it, start the "
            f"service again, then 'retain job resume {ctx.job_id}' (POST /v1/jobs/{ctx.job_id}"
            "/resume)"
        )
    if settings.asd_llm_url != OWN_ENGINE:
        yield settings.llm()
        return
    with ctx.tools.db.read() as session:
        base = get_version(session, facts.stream.name, "0")
    with ctx.tools.engines.use(base, ctx.check) as route:
        yield settings.llm(f"{route.base_url}/v1", route.model_name, facts.stream.base_digest)


def _image_of(ctx: Context) -> LoadImage:
    def load(digest: str) -> bytes:
        with ctx.tools.blobs.open(digest) as file:
            return file.read()

    return load


def _teller(ctx: Context) -> AskTell:
    def tell(done: int, spent: Spent) -> None:
        ctx.check(CHECK_SECONDS)
        ctx.progress(done, None, "turns", f"asking the model: {spent.calls} calls so far")

    return tell
