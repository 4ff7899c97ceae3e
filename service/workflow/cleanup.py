"""What goes when a job is cancelled or done: never anything that somebody else refers to."""

from __future__ import annotations

import math
import shutil

from sqlalchemy import delete, exists, or_, select
from sqlalchemy.orm import Session

from adapters_store.errors import BlobNotFound, VersionNotFound
from adapters_store.servable import discard_servable, servables_of
from service.db.tables import (
    AliasMoveRow,
    AliasRow,
    CellRow,
    JobRow,
    PhaseRow,
    PredictionRow,
    RecordRow,
    ScoreRow,
    TaskRow,
    VersionRow,
)
from service.ids import now
from service.rewrites.queries import is_used_by_rewriting
from service.settings import Settings
from service.workflow.context import Tools

_SCRATCH = ("checkpoints", "delta", "state")


def discard_attempts(settings: Settings, job_id: str) -> None:
    """Remove everything that a job's training left behind."""
    shutil.rmtree(settings.folder("attempts") / job_id, ignore_errors=True)


def discard_scratch(settings: Settings, job_id: str) -> None:
    """Remove what a finished job no longer needs, or the store holds; logs and figures stay."""
    folder = settings.folder("attempts") / job_id
    parts = [path for name in _SCRATCH for path in folder.glob(f"*/{name}")]
    for path in [*parts, folder / "lineage"]:
        shutil.rmtree(path, ignore_errors=True)


def discard_corpus(tools: Tools, job: JobRow) -> None:
    """Delete a task's rewritten corpus and its changes; a retry makes the same ones again."""
    with tools.db.write() as session:
        task = session.get_one(TaskRow, job.task_id)
        digest, task.corpus_digest = task.corpus_digest, None
        row = session.get(PhaseRow, (job.id, "rewrite"))
        changes = row.result.get("changes_digest") if row is not None else None
    for unused in (digest, changes):
        if unused is not None:
            delete_unused(tools, unused)


def discard_unregistered(tools: Tools, stream: str, job: JobRow) -> None:
    """Take what an ended job published and composed, but never registered, out of the store."""
    if job.version_id is not None or "number" not in job.plan:
        return
    number, servables = int(job.plan["number"]), tools.settings.folder("servable")
    try:
        manifest = tools.store.get(stream, number)
    except VersionNotFound:
        return
    for digest in servables_of(servables, manifest.digest):  # first: the manifest leads to them
        discard_servable(servables, digest)
    for digest in tools.store.withdraw(stream, number):
        delete_unused(tools, digest)


def delete_unused(tools: Tools, digest: str) -> None:
    """Delete a blob unless a version or a task refers to it, or somebody puts it meanwhile."""
    if digest in tools.store.referenced():
        return
    with tools.db.read() as session:
        if _is_used(session, digest):
            return
    try:
        delete_unless_touched(tools, digest, tools.blobs.touched_at(digest))
    except BlobNotFound:
        return


def delete_unless_touched(tools: Tools, digest: str, touched_at: float) -> None:
    """Delete a blob that nobody has put again since `touched_at`."""
    tools.blobs.delete(digest, not_touched_since=math.nextafter(touched_at, math.inf))


def withdraw_version(session: Session, job: JobRow) -> bool:
    """Take back the version of a cancelled job; return False when something refers to it.

    Its phases no longer count as done, so that a retry trains anew under a new number.
    """
    version = session.scalar(select(VersionRow).where(VersionRow.job_id == job.id))
    if version is not None:
        if _is_referred_to(session, version):
            return False
        session.execute(delete(CellRow).where(CellRow.version_id == version.id))
        session.execute(delete(RecordRow).where(RecordRow.version_id == version.id))
        answers = PredictionRow.servable_digest == version.servable_digest
        keys = select(PredictionRow.key).where(answers)
        session.execute(delete(ScoreRow).where(ScoreRow.prediction_key.in_(keys)))
        session.execute(delete(PredictionRow).where(answers))
        job.version_id = None
        session.delete(version)
    for phase in session.scalars(select(PhaseRow).where(PhaseRow.job_id == job.id)):
        if phase.phase != "validate":
            phase.state, phase.finished_at = "cancelled", phase.finished_at or now()
    session.flush()
    return True


def _is_referred_to(session: Session, version: VersionRow) -> bool:
    return bool(
        session.scalar(
            select(
                or_(
                    exists().where(AliasRow.version_id == version.id),
                    exists().where(AliasMoveRow.to_version_id == version.id),
                    exists().where(VersionRow.parent_id == version.id),
                    exists().where(JobRow.parent_version_id == version.id),
                )
            )
        )
    )


def _is_used(session: Session, digest: str) -> bool:
    used = or_(
        TaskRow.corpus_digest == digest,
        TaskRow.train_digest == digest,
        TaskRow.eval_digest == digest,
    )
    of_task = session.scalar(select(TaskRow.id).where(used).limit(1)) is not None
    return of_task or is_used_by_rewriting(session, digest)
