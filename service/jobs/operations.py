"""Reading and steering jobs. A wish is one column; the runner fulfils it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy.orm import Session

from asd_rewriter.problems import ValidationReport
from service.db.engine import Database
from service.db.tables import JobRow, PhaseRow, StreamRow, TaskRow
from service.errors import InvalidRequest, NotFound, PermanentConflict
from service.idempotency import Once, remember, replay
from service.jobs import events, queries
from service.jobs.schemas import EventRead, JobRead, PhaseRead, ValidationRead
from service.pagination import Page, cursor_number, page_of
from service.streams import admission
from service.streams.queries import next_queue_position
from service.streams.schemas import TaskPlan
from service.workflow.states import PHASES, STATES, STATES_ALLOWING, TERMINAL


def read_job(db: Database, job_id: str) -> JobRead:
    """Return a job; raises NotFound."""
    with db.read() as session:
        return job_read(session, get_job(session, job_id))


def get_job(session: Session, job_id: str) -> JobRow:
    """Return a job's row; raises NotFound."""
    job = session.get(JobRow, job_id)
    if job is None:
        raise _no_job(job_id)
    return job


def _no_job(job_id: str) -> NotFound:
    return NotFound(f"there is no job {job_id!r}. List them with GET /v1/jobs.")


def list_jobs(
    db: Database, stream: str | None, state: str | None, after: str | None, limit: int
) -> Page[JobRead]:
    """Return a page of jobs, newest first; raises InvalidRequest for an unknown state."""
    if state is not None and state not in STATES:
        raise InvalidRequest(
            f"unknown state {state!r}: use one of {', '.join(STATES)}.", param="state"
        )
    before = cursor_number(after)
    with db.read() as session:
        rows = queries.list_jobs(session, stream, state, before, limit + 1)
        places = {row.id: str(row.queue_position) for row in rows}
        jobs = [job_read(session, row) for row in rows]
    return page_of(jobs, limit, lambda job: places[job.id])


def list_events(db: Database, job_id: str, after: str | None, limit: int) -> Page[EventRead]:
    """Return a page of a job's events, oldest first; raises NotFound."""
    start = cursor_number(after) or 0
    with db.read() as session:
        get_job(session, job_id)
        found = events.events_after(session, job_id, start, limit + 1)
    return page_of(found, limit, lambda event: str(event.seq))


def read_validation(db: Database, job_id: str) -> ValidationRead:
    """Return what validation found; raises NotFound before it has ended."""
    with db.read() as session:
        job = get_job(session, job_id)
        result = _phase_result(session, job, "validate")
        _stream, task = queries.names_of(session, job)
        report = ValidationReport.model_validate(result["report"])
    return ValidationRead(job=job_id, task=task, **report.model_dump())


def read_rewrite(db: Database, job_id: str) -> dict[str, Any]:
    """Return the report of answer style diversification; raises NotFound before it exists."""
    with db.read() as session:
        job = get_job(session, job_id)
        result = _phase_result(session, job, "rewrite")
        _stream, task = queries.names_of(session, job)
    return {"object": "rewrite_report", "job": job_id, "task": task, **result["report"]}


def control(
    db: Database, job_id: str, action: str, rank_limit: int, intention: Once | None = None
) -> JobRead:
    """Pause, resume, cancel or retry a job; return it as it is then.

    Raises NotFound, and PermanentConflict for a state in which the wish is impossible.
    """

    def work(session: Session) -> JobRead:
        job = queries.lock_job(session, job_id)  # first: an equal request waits, then replays
        first = replay(session, intention)
        if first is not None:
            return JobRead.model_validate(first)
        if job is None:
            raise _no_job(job_id)
        _check_possible(job, action)
        _WISHES[action](session, job, rank_limit)
        answer = job_read(session, job)
        remember(session, intention, answer.model_dump(mode="json"))
        return answer

    return db.commit(work)


def change_state(session: Session, job: JobRow, state: str, reason: str | None = None) -> None:
    """Move a job to a state, with the event that tells of it."""
    job.state, job.reason = state, reason
    events.append_event(session, job.id, "state", {"state": state, "reason": reason})


def waiting_state(session: Session, job: JobRow) -> str:
    """Return the state in which a job waits for work: its data may still need validation."""
    row = queries.find_phase(session, job.id, "validate")
    return "queued" if row is not None and row.state == "succeeded" else "validating_files"


def job_read(session: Session, job: JobRow) -> JobRead:
    """Return a row's wire shape."""
    stream, task = queries.names_of(session, job)
    return JobRead(
        id=job.id,
        stream=stream,
        task=task,
        state=job.state,
        desired=job.desired,
        phase=job.phase,
        queue_position=queries.place_in_queue(session, job),
        reason=job.reason,
        error=job.error,
        plan=job.plan,
        parent=queries.version_number(session, job.parent_version_id),
        version=queries.version_number(session, job.version_id),
        phases=[_phase_read(job, row) for row in queries.phases_of(session, job.id)],
        progress=events.last_progress(session, job.id),
        created_at=job.created_at,
        started_at=job.started_at,
        finished_at=job.finished_at,
    )


def _pause(session: Session, job: JobRow, rank_limit: int) -> None:
    if job.state == "paused":
        return
    job.desired = "pause"
    if job.state == "queued":
        change_state(session, job, "paused", "paused while it waited")
    else:
        job.reason = "pausing: a running trainer writes a checkpoint first"
        events.append_event(session, job.id, "log", {"message": "pause requested"})


def _resume(session: Session, job: JobRow, rank_limit: int) -> None:
    if job.desired == "run":
        return
    job.desired, job.reason = "run", None
    events.append_event(session, job.id, "log", {"message": "resume requested"})
    if job.state == "paused":
        change_state(session, job, waiting_state(session, job))


def _cancel(session: Session, job: JobRow, rank_limit: int) -> None:
    if job.state in ("cancelling", "cancelled"):
        return
    job.desired = "cancel"
    change_state(session, job, "cancelling", "cancel requested")


def _retry(session: Session, job: JobRow, rank_limit: int) -> None:
    stream = session.get_one(StreamRow, job.stream_id)
    task = session.get_one(TaskRow, job.task_id)
    if task.train_digest is None:
        raise PermanentConflict(
            f"the data of {job.id} was never stored, because validation did not succeed. Submit "
            "the corrected task again."
        )
    registered = queries.find_phase(session, job.id, "register")
    job.queue_position = next_queue_position(session)
    if registered is None or registered.state != "succeeded":
        _check_still_admissible(session, stream, task, job, rank_limit)
        _forget_phases(session, job, keep=("validate",))
        attempt = int(job.plan.get("attempt", 1)) + 1
        job.plan = {k: v for k, v in job.plan.items() if k != "number"} | {"attempt": attempt}
        job.parent_version_id, task.state = None, "pending"
    else:
        done = [row.phase for row in queries.phases_of(session, job.id) if row.state == "succeeded"]
        _forget_phases(session, job, keep=tuple(done))
    job.desired, job.error, job.started_at, job.finished_at = "run", None, None, None
    change_state(session, job, "queued", "retried on the stored data")


def _check_still_admissible(
    session: Session, stream: StreamRow, task: TaskRow, job: JobRow, rank_limit: int
) -> None:
    plan = TaskPlan.model_validate(job.plan)
    parent = admission.find_parent(session, stream, plan.parent)
    admission.check_task_name(session, stream, task.name, parent, job.id)
    admission.check_room(session, stream, parent, plan, rank_limit, job)


def _forget_phases(session: Session, job: JobRow, keep: tuple[str, ...]) -> None:
    for row in queries.phases_of(session, job.id):
        if row.phase not in keep:
            session.delete(row)
    job.phase = next(phase for phase in PHASES if phase not in keep)
    session.flush()


_WISHES: dict[str, Callable[[Session, JobRow, int], None]] = {
    "pause": _pause,
    "resume": _resume,
    "cancel": _cancel,
    "retry": _retry,
}


def _check_possible(job: JobRow, action: str) -> None:
    if job.state in STATES_ALLOWING[action]:
        return
    hint = "it has ended" if job.state in TERMINAL else "it has not ended"
    if job.state == "cancelling":
        hint = "it is being cancelled"
    raise PermanentConflict(
        f"cannot {action} {job.id}: its state is {job.state!r} ({hint}). {action} is possible in "
        f"the states {', '.join(STATES_ALLOWING[action])}."
    )


def _phase_result(session: Session, job: JobRow, phase: str) -> dict[str, Any]:
    row = queries.find_phase(session, job.id, phase)
    if row is None or "report" not in row.result:
        raise NotFound(
            f"{job.id} has no {phase} report: its state is {job.state!r} in phase {job.phase!r}. "
            "Ask again when that phase has ended."
        )
    return row.result


def _phase_read(job: JobRow, row: PhaseRow) -> PhaseRead:
    seconds = (row.finished_at - row.started_at).total_seconds() if row.finished_at else None
    return PhaseRead(
        phase=row.phase,
        state=queries.phase_state(job, row),
        attempt=row.attempt,
        started_at=row.started_at,
        finished_at=row.finished_at,
        seconds=seconds,
    )
