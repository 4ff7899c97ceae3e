"""Register: the attempt's files, verified, become a version without an alias."""

from __future__ import annotations

from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, cast

from adapters_store.lineage import lineage_of
from adapters_store.manifest import BaseRef, DataRef, DeltaKind, VersionFields, VersionManifest
from adapters_store.servable import Servable, compose_servable
from service.db.tables import JobRow, StreamRow, TaskRow
from service.versions.operations import register_version
from service.workflow.context import Context, Facts
from trainer.catalog import METHODS


def run(ctx: Context) -> dict[str, Any]:
    """Publish, compose, register; doing it again finds what was done and changes nothing."""
    number = _reserve_number(ctx)
    facts = ctx.facts()
    manifest = ctx.tools.store.publish(ctx.attempt_dir, _fields(ctx, facts, number))
    servable = _compose(ctx, manifest)
    with ctx.tools.db.write() as session:
        job = session.get_one(JobRow, ctx.job_id)
        task = session.get_one(TaskRow, facts.task.id)
        assert facts.parent is not None
        made = register_version(
            session,
            stream=session.get_one(StreamRow, facts.stream.id),
            job=job,
            task=task,
            parent=facts.parent,
            number=number,
            digest=manifest.digest,
            servable_digest=servable.digest,
            servable_path=str(servable.path),
            canary_digest=manifest.canary.sha256,
            rank=servable.rank,
            servable_by=METHODS[facts.plan.method].servable_by,
        )
        job.version_id, task.state = made.id, "live"
    return {
        "version": number,
        "digest": manifest.digest,
        "servable_digest": servable.digest,
        "rank": servable.rank,
    }


def _reserve_number(ctx: Context) -> int:
    """Return the job's version number; a number is given once, even when its job fails."""
    with ctx.tools.db.write() as session:
        job = session.get_one(JobRow, ctx.job_id)
        if "number" not in job.plan:
            stream = session.get_one(StreamRow, job.stream_id, with_for_update=True)
            job.plan = {**job.plan, "number": stream.next_version}
            stream.next_version += 1
        return int(job.plan["number"])


def _fields(ctx: Context, facts: Facts, number: int) -> VersionFields:
    stream, task, parent = facts.stream, facts.task, facts.parent
    assert parent is not None
    assert task.corpus_digest is not None
    return VersionFields(
        stream=stream.name,
        number=number,
        parent=parent.digest if parent.number else None,
        base=BaseRef(
            source=stream.base_source, revision=stream.base_revision, digest=stream.base_digest
        ),
        task=task.name,
        data=DataRef(train=task.corpus_digest, evaluation=task.eval_digest),
        method=facts.plan.method,
        method_config=facts.plan.method_config,
        hyperparameters=facts.plan.hyperparameters,
        seed=facts.plan.hyperparameters["seed"],
        delta_kind=cast("DeltaKind", METHODS[facts.plan.method].delta_kind),
        code_version=_code_version(),
    )


def _compose(ctx: Context, manifest: VersionManifest) -> Servable:
    root: Path = ctx.tools.settings.folder("servable")
    limit = ctx.tools.settings.engine_max_lora_rank
    chain = lineage_of(ctx.tools.store, manifest)
    return compose_servable(chain, ctx.tools.store, root, limit)


@cache
def _code_version() -> str:
    try:
        return f"retain {version('retain')}"
    except PackageNotFoundError:
        return "retain, run from a source tree"
