"""Rewrite: answer style diversification of the training split, seeded, looked at where asked for.

What was rewritten is kept beside the corpus, before and after. With `review` the job is held then;
resumed, it puts what was rejected back into its native format, and only that corpus is trained on.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asd_rewriter.errors import AsdError
from asd_rewriter.mix import RewriteStream, Stage, Tell
from asd_rewriter.samples import Sample, SampleFile, write_samples
from service.db.tables import TaskRow
from service.errors import RetainError
from service.jobs.queries import find_phase
from service.rewrites.changes import ChangeFile, with_native, write_changes
from service.rewrites.operations import is_draft
from service.rewrites.queries import decisions_of
from service.rewrites.review import revised
from service.streams.plans import rewrite_plan
from service.workflow.asking import open_rewriter
from service.workflow.context import Context, Facts, Held
from service.workflow.leaks import refuse_leaks

TELL_SECONDS = 1.0
CHECK_SECONDS = 0.5


def run(ctx: Context) -> dict[str, Any]:
    """Store the corpus that is trained on, and its changes; return their digests and the report.

    Raises LeakedRows for rows that the lineage is evaluated on, and Held while a review or a model
    that does not answer is waited for.
    """
    facts = ctx.facts()
    draft = _draft(ctx)
    if draft is not None:
        return _apply_review(ctx, facts, draft)
    refuse_leaks(ctx, facts)
    result = _rewrite(ctx, facts)
    converted = result["report"]["converted"]
    if facts.plan.asd.review and converted:
        raise Held(_please_review(ctx.job_id, converted), {**result, "review": "open"})
    return result


def _draft(ctx: Context) -> dict[str, Any] | None:
    """Return what was made before the job was held for its review; it was resumed then."""
    with ctx.tools.db.read() as session:
        row = find_phase(session, ctx.job_id, "rewrite")
    return dict(row.result) if row is not None and is_draft(row) else None


def _rewrite(ctx: Context, facts: Facts) -> dict[str, Any]:
    assert facts.task.train_digest is not None, "only validated jobs are queued"
    ctx.progress(0, None, "rows", f"rewriting {facts.plan.x_percent:g} % of the turns")
    source = _Watched(ctx, SampleFile(ctx.tools.blobs.path(facts.task.train_digest)))
    with _scratch(ctx) as (corpus, changes):
        with _held_while_away(ctx), open_rewriter(ctx, facts) as rewriter:
            plan = rewrite_plan(facts.plan)
            stream = RewriteStream(source, facts.card, plan, rewriter, _teller(ctx))
            with changes.open("w", encoding="utf-8") as file:
                rows = write_samples(corpus, write_changes(file, stream))
        changes_digest = ctx.tools.blobs.put_file(changes)
        digest = _keep_corpus(ctx, facts, corpus)
    report = stream.report
    ctx.progress(rows, rows, "rows", f"{report.converted} of {report.turns} turns rewritten")
    return {
        "corpus_digest": digest,
        "changes_digest": changes_digest,
        "rows": rows,
        "report": report.model_dump(mode="json"),
    }


def _apply_review(ctx: Context, facts: Facts, draft: dict[str, Any]) -> dict[str, Any]:
    """Return the outcome of a review that is over: the job was resumed."""
    with ctx.tools.db.read() as session:
        decisions = decisions_of(session, ctx.job_id, draft["changes_digest"])
    rejected = {key: it for key, it in decisions.items() if it.verdict == "reject"}
    changes = ChangeFile(ctx.tools.blobs.path(draft["changes_digest"])).find(rejected)
    source = _Watched(ctx, SampleFile(ctx.tools.blobs.path(draft["corpus_digest"])))
    native = {key: change.before for key, change in changes.items()}
    with _scratch(ctx) as (corpus, _changes):
        write_samples(corpus, with_native(source, native))
        digest = _keep_corpus(ctx, facts, corpus)
    deciders = ", ".join(sorted({it.by for it in decisions.values()})) or "nobody"
    ctx.log(
        f"review over: {len(rejected)} of {draft['report']['converted']} rewritten turns rejected, "
        f"{len(decisions) - len(rejected)} accepted by name; decided by {deciders}"
    )
    report = revised(draft["report"], changes.values())
    return {**draft, "corpus_digest": digest, "report": report, "review": "closed"}


def _keep_corpus(ctx: Context, facts: Facts, path: Path) -> str:
    digest = ctx.tools.blobs.put_file(path)
    with ctx.tools.db.write() as session:
        session.get_one(TaskRow, facts.task.id).corpus_digest = digest
    return digest


@contextmanager
def _scratch(ctx: Context) -> Iterator[tuple[Path, Path]]:
    """Yield paths of a corpus and of changes; no half of one is left behind."""
    paths = ctx.work_dir / "corpus.jsonl", ctx.work_dir / "changes.jsonl"
    ctx.work_dir.mkdir(parents=True, exist_ok=True)
    try:
        yield paths
    finally:
        for path in paths:
            path.unlink(missing_ok=True)


@contextmanager
def _held_while_away(ctx: Context) -> Iterator[None]:
    """Hold the job for a failure that time may mend: a model that does not answer."""
    try:
        yield
    except (AsdError, RetainError) as error:
        if not error.retryable:
            raise
        raise Held(
            f"paused: {error.message.rstrip('.')}. What was answered so far is kept and not asked "
            f"for again. When it answers again: 'retain job resume {ctx.job_id}' (POST "
            f"/v1/jobs/{ctx.job_id}/resume)"
        ) from error


def _please_review(job_id: str, converted: int) -> str:
    return (
        f"waits for review of {converted} rewritten turns: look with 'retain rewrites {job_id}' or "
        f"on the job's page and reject what is wrong; the next step is training, which 'retain job "
        f"resume {job_id}' (POST /v1/jobs/{job_id}/resume) begins"
    )


@dataclass(frozen=True)
class _Watched:
    """A file of samples whose reading ends when the job is to stop."""

    ctx: Context
    samples: SampleFile

    def __iter__(self) -> Iterator[Sample]:
        for sample in self.samples:
            self.ctx.check(CHECK_SECONDS)
            yield sample


def _teller(ctx: Context) -> Tell:
    """Return what tells of progress."""
    last = time.monotonic()

    def tell(stage: Stage, done: int, total: int | None) -> None:
        nonlocal last
        if time.monotonic() - last >= TELL_SECONDS:
            last = time.monotonic()
            doing = "learning the task's answers" if stage == "read" else "rewriting"
            ctx.progress(done, total, "rows", doing)

    return tell
