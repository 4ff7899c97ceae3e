"""SQL of streams and tasks."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import func, literal, select, tuple_
from sqlalchemy.orm import Session

from service.db.tables import JobRow, PhaseRow, StreamRow, TaskRow, UtcDateTime
from service.errors import NotFound
from service.workflow.states import TERMINAL
from trainer.spec import Hyperparameters

_RECENT_RUNS = 20
_QUEUE_LOCK = 0x72657461696E_01  # "retain", 1: this service's advisory locks in PostgreSQL


def find_stream(session: Session, name: str) -> StreamRow | None:
    """Return a stream by name."""
    return session.scalar(select(StreamRow).where(StreamRow.name == name))


def get_stream(session: Session, name: str) -> StreamRow:
    """Return a stream by name; raises NotFound."""
    row = find_stream(session, name)
    if row is None:
        raise NotFound(f"there is no stream {name[:80]!r}. List them with GET /v1/streams.")
    return row


def list_streams(session: Session, after: str | None, limit: int) -> list[StreamRow]:
    """Return up to `limit` streams by name, those behind `after`."""
    query = select(StreamRow).order_by(StreamRow.name).limit(limit)
    if after is not None:
        query = query.where(StreamRow.name > after)
    return list(session.scalars(query))


def list_tasks(session: Session, stream_id: str, after: str | None, limit: int) -> list[TaskRow]:
    """Return up to `limit` tasks of a stream, oldest first, those behind the task `after`."""
    query = select(TaskRow).where(TaskRow.stream_id == stream_id)
    query = query.order_by(TaskRow.created_at, TaskRow.id).limit(limit)
    last = session.get(TaskRow, after) if after else None
    if last is not None:
        place = tuple_(TaskRow.created_at, TaskRow.id)
        query = query.where(place > tuple_(literal(last.created_at, UtcDateTime), last.id))
    return list(session.scalars(query))


def newest_jobs(session: Session, task_ids: Sequence[str]) -> dict[str, str]:
    """Return the newest job's id of each task."""
    query = (
        select(JobRow.task_id, JobRow.id)
        .where(JobRow.task_id.in_(task_ids))
        .order_by(JobRow.queue_position)
    )
    return {task_id: job_id for task_id, job_id in session.execute(query)}


def pending_jobs(session: Session, stream_id: str) -> list[tuple[JobRow, TaskRow]]:
    """Return the stream's jobs that have not ended, with their tasks, in queue order."""
    query = (
        select(JobRow, TaskRow)
        .join(TaskRow, JobRow.task_id == TaskRow.id)
        .where(JobRow.stream_id == stream_id, JobRow.state.not_in(TERMINAL))
        .order_by(JobRow.queue_position)
    )
    return [(job, task) for job, task in session.execute(query)]


def measured_pace(session: Session, base_digest: str, method: str) -> float | None:
    """Return the seconds per row of the newest uninterrupted training with a base and method."""
    query = (
        select(JobRow.plan, PhaseRow.result)
        .join(PhaseRow, PhaseRow.job_id == JobRow.id)
        .join(StreamRow, StreamRow.id == JobRow.stream_id)
        .where(StreamRow.base_digest == base_digest, StreamRow.method == method)
        .where(PhaseRow.phase == "train", PhaseRow.state == "succeeded")
        .order_by(PhaseRow.finished_at.desc())
        .limit(_RECENT_RUNS)
    )
    for plan, result in session.execute(query):
        if result.get("resumed_from_step") is None:
            used = Hyperparameters.model_validate(plan["hyperparameters"])
            seconds, steps = float(result["seconds"]), int(result["steps"])
            return seconds / (steps * used.rows_per_step)
    return None


def next_queue_position(session: Session) -> int:
    """Return the place behind every job there ever was; who asks holds it until commit."""
    if session.get_bind().dialect.name == "postgresql":  # SQLite has one writer at a time
        session.execute(select(func.pg_advisory_xact_lock(_QUEUE_LOCK)))
    return (session.scalar(select(func.max(JobRow.queue_position))) or 0) + 1
