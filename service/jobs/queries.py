"""SQL of jobs."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from service.db.tables import JobRow, PhaseRow, StreamRow, TaskRow, VersionRow


def lock_job(session: Session, job_id: str) -> JobRow | None:
    """Return a job, locked until commit."""
    return session.get(JobRow, job_id, with_for_update=True)


def list_jobs(
    session: Session, stream: str | None, state: str | None, before: int | None, limit: int
) -> list[JobRow]:
    """Return up to `limit` jobs, newest first, those queued before position `before`."""
    query = select(JobRow).order_by(JobRow.queue_position.desc()).limit(limit)
    if stream is not None:
        query = query.join(StreamRow, JobRow.stream_id == StreamRow.id)
        query = query.where(StreamRow.name == stream)
    if state is not None:
        query = query.where(JobRow.state == state)
    if before is not None:
        query = query.where(JobRow.queue_position < before)
    return list(session.scalars(query))


def names_of(session: Session, job: JobRow) -> tuple[str, str]:
    """Return the names of a job's stream and task."""
    stream = session.get_one(StreamRow, job.stream_id)
    return stream.name, session.get_one(TaskRow, job.task_id).name


def phases_of(session: Session, job_id: str) -> list[PhaseRow]:
    """Return the phases of a job that have begun, in order."""
    query = select(PhaseRow).where(PhaseRow.job_id == job_id).order_by(PhaseRow.started_at)
    return list(session.scalars(query))


def phase_state(job: JobRow, phase: PhaseRow) -> str:
    """Return a phase's state for people: what a paused job has begun is paused."""
    return "paused" if (job.state, phase.state) == ("paused", "running") else phase.state


def find_phase(session: Session, job_id: str, phase: str) -> PhaseRow | None:
    """Return one phase of a job, if it has begun."""
    return session.get(PhaseRow, (job_id, phase))


def version_number(session: Session, version_id: str | None) -> int | None:
    """Return a version's number."""
    return session.scalar(select(VersionRow.number).where(VersionRow.id == version_id))


def place_in_queue(session: Session, job: JobRow) -> int | None:
    """Return how many queued jobs come up to and including this one; None unless queued."""
    if job.state != "queued":
        return None
    query = select(func.count()).where(
        JobRow.state == "queued", JobRow.queue_position <= job.queue_position
    )
    return session.scalar(query)


def jobs_in(session: Session, states: Sequence[str]) -> list[JobRow]:
    """Return the jobs in any of `states`, in queue order."""
    query = select(JobRow).where(JobRow.state.in_(states)).order_by(JobRow.queue_position)
    return list(session.scalars(query))
