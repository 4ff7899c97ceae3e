"""Register: the attempt's files, verified, become a version without an alias."""

from __future__ import annotations

from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from adapters_store.lineage import lineage_of
from adapters_store.manifest import BaseRef, DataRef, VersionFields, VersionManifest
from adapters_store.servable import (
    Servable,
    compose_merged,
    compose_offline,
    compose_servable,
)
from service.db.tables import JobRow, StreamRow, TaskRow
from service.versions.operations import register_version
from service.workflow.context import Context, Facts
from trainer.catalog import declared

_FORMS = ("lora", "merged", "plugin", "offline")
"""What serves a version, from what every engine can do to what none can."""


def run(ctx: Context) -> dict[str, Any]:
    """Publish, compose, register; doing it again finds what was done and changes nothing."""
    number = _reserve_number(ctx)
    facts = ctx.facts()
    manifest = ctx.tools.store.publish(ctx.attempt_dir, _fields(ctx, facts, number))
    form = _servable_by(facts)
    servable = _compose(ctx, manifest, form)
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
            servable_by=form,
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
        delta_kind=declared(facts.plan.method, facts.plan.method_config).delta_kind,
        code_version=_code_version(),
    )


def _servable_by(facts: Facts) -> str:
    """Return what can serve the version: its own form, or its parent's where that needs more."""
    own = declared(facts.plan.method, facts.plan.method_config).servable_by
    assert facts.parent is not None
    below = facts.parent.servable_by if facts.parent.number else "lora"
    return max(own, below, key=_FORMS.index)


def _compose(ctx: Context, manifest: VersionManifest, form: str) -> Servable:
    store, settings = ctx.tools.store, ctx.tools.settings
    root: Path = settings.folder("servable")
    chain = lineage_of(store, manifest)
    if form == "lora":
        return compose_servable(chain, store, root, settings.engine_max_lora_rank)
    if form == "merged":
        return compose_merged(chain, store, root, Path(ctx.facts().stream.base_path))
    return compose_offline(chain, store, root)


@cache
def _code_version() -> str:
    try:
        return f"retain {version('retain')}"
    except PackageNotFoundError:
        return "retain, run from a source tree"
