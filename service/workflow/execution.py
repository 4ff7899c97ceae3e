"""Taking one job through its phases; every outcome is a row before the next phase begins."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import structlog
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.orm import Session

from asd_rewriter.errors import InvalidRows
from service.db.tables import JobRow, PhaseRow, StreamRow, TaskRow
from service.ids import now
from service.jobs.events import append_event
from service.jobs.operations import change_state, waiting_state
from service.jobs.queries import find_phase, lock_job
from service.streams import admission
from service.streams.schemas import TaskPlan
from service.streams.staging import discard_staging
from service.workflow import cleanup
from service.workflow.context import Context, Held, Interrupted, Stopping
from service.workflow.failures import describe_failure, is_known
from service.workflow.phases import PHASE_FUNCTIONS
from service.workflow.states import PHASES

log = structlog.get_logger()

_TRIES = 3
_RETRY_SECONDS = 2.0
Then = Callable[[Session, JobRow, dict[str, Any]], None]


def validate_job(ctx: Context) -> None:
    """Validate a job's data; it then waits in the queue, or has failed."""

    def work() -> None:
        _run_phase(ctx, "validate", _enter_queue)
        discard_staging(ctx.tools.settings, ctx.job_id)

    _guarded(ctx, work)


def run_job(ctx: Context) -> None:
    """Take a job from its first unfinished phase to its end."""

    def work() -> None:
        ctx.enter("rewrite")
        _fix_parent(ctx)
        for phase in PHASES[1:]:
            _run_phase(ctx, phase, _succeed if phase == PHASES[-1] else _nothing)
        cleanup.discard_scratch(ctx.tools.settings, ctx.job_id)

    _guarded(ctx, work)


def settle(ctx: Context) -> None:
    """Bring an interrupted job to rest: paused, cancelled, or (resumed meanwhile) waiting."""
    ctx.tools.executor.stop(ctx.attempt_dir, ctx.tools.settings.stop_grace_seconds)
    with ctx.tools.db.write() as session:
        job = _locked(session, ctx.job_id)
        if job.desired == "pause":
            change_state(session, job, "paused", f"paused in phase {job.phase}")
        elif job.desired == "run" and job.state != "cancelling":
            change_state(session, job, waiting_state(session, job))
        cancelled = job.desired == "cancel"
    if cancelled:
        _cancel(ctx)


def _guarded(ctx: Context, work: Callable[[], None]) -> None:
    try:
        work()
    except Stopping:
        return
    except Held as held:
        _hold(ctx, held)
    except Interrupted:
        settle(ctx)
    except (OperationalError, InterfaceError):  # the database, not the job: taken up again
        raise
    except Exception as error:
        if ctx.stopping:  # the engine or the database went away under it: the next start goes on
            return
        if not is_known(error):
            log.exception("job.phase_crashed", job_id=ctx.job_id, phase=ctx.phase)
        _fail(ctx, error)


def _hold(ctx: Context, held: Held) -> None:
    """Pause a job for its phase's own reason, with what the phase keeps, in one step."""
    with ctx.tools.db.write() as session:
        job = _locked(session, ctx.job_id)
        cancelled = job.desired == "cancel"
        if not cancelled:
            row = find_phase(session, job.id, ctx.phase)
            assert row is not None
            row.result = {**row.result, **held.kept}
            job.desired = "pause"
            change_state(session, job, "paused", held.reason)
    if cancelled:
        settle(ctx)


def _run_phase(ctx: Context, phase: str, then: Then) -> None:
    ctx.enter(phase)
    with ctx.tools.db.read() as session:
        row = find_phase(session, ctx.job_id, phase)
    if row is not None and row.state == "succeeded":
        return
    ctx.check()
    with ctx.tools.db.write() as session:
        _begin(session, ctx.job_id, phase)
    result = _with_retries(ctx, phase)
    with ctx.tools.db.write() as session:
        job = _locked(session, ctx.job_id)
        _finish(session, job, phase, result)
        then(session, job, result)


def _with_retries(ctx: Context, phase: str) -> dict[str, Any]:
    for left in reversed(range(_TRIES)):
        try:
            return PHASE_FUNCTIONS[phase](ctx)
        except Exception as error:
            if left == 0 or isinstance(error, Interrupted) or not getattr(error, "retryable", 0):
                raise
            ctx.warn(f"{error}; trying again")
            ctx.sleep(_RETRY_SECONDS)
    raise AssertionError


def _begin(session: Session, job_id: str, phase: str) -> None:
    job = _locked(session, job_id)
    row = find_phase(session, job_id, phase)
    if row is None:
        row = PhaseRow(job_id=job_id, phase=phase, attempt=0, started_at=now())
        session.add(row)
    row.state, row.finished_at = "running", None
    row.attempt += 1
    job.phase = phase
    session.flush()
    append_event(
        session, job_id, "phase", {"phase": phase, "state": "running", "attempt": row.attempt}
    )


def _finish(session: Session, job: JobRow, phase: str, result: dict[str, Any]) -> None:
    row = find_phase(session, job.id, phase)
    assert row is not None
    row.state, row.result, row.finished_at = "succeeded", result, now()
    seconds = round((row.finished_at - row.started_at).total_seconds(), 3)
    append_event(
        session, job.id, "phase", {"phase": phase, "state": "succeeded", "seconds": seconds}
    )


def _nothing(session: Session, job: JobRow, result: dict[str, Any]) -> None:
    return


def _enter_queue(session: Session, job: JobRow, result: dict[str, Any]) -> None:
    task = session.get_one(TaskRow, job.task_id)
    task.train_digest, task.eval_digest = result["train_digest"], result["eval_digest"]
    task.counts = {**result["report"]["counts"], "eval_items": result["num_items"]}
    if job.desired == "pause":
        change_state(session, job, "paused", "paused after validation")
    elif job.desired == "run":
        change_state(session, job, "queued", "validated, waiting to be scheduled")


def _succeed(session: Session, job: JobRow, result: dict[str, Any]) -> None:
    job.finished_at = now()
    job.desired = "run"  # what was asked too late no longer counts
    change_state(session, job, "succeeded", str(result["reason"]))


def _fix_parent(ctx: Context) -> None:
    """Fix the parent when the job first runs: production then, unless a version was named."""
    with ctx.tools.db.write() as session:
        job = _locked(session, ctx.job_id)
        if job.parent_version_id is not None:
            return
        stream = session.get_one(StreamRow, job.stream_id)
        task = session.get_one(TaskRow, job.task_id)
        plan = TaskPlan.model_validate(job.plan)
        parent = admission.find_parent(session, stream, plan.parent)
        admission.check_task_name(session, stream, task.name, parent, job.id)
        limit = ctx.tools.settings.engine_max_lora_rank
        admission.check_room(session, stream, parent, plan, limit, job)
        job.parent_version_id = parent.id
        message = f"parent is {stream.name}@{parent.number}"
        append_event(session, job.id, "log", {"phase": "rewrite", "message": message})


def _fail(ctx: Context, error: Exception) -> None:
    failure = describe_failure(error, ctx.phase)
    if ctx.phase != "validate":  # before the job counts as failed: then nobody looks after it
        ctx.tools.executor.stop(ctx.attempt_dir, ctx.tools.settings.stop_grace_seconds)
    facts = ctx.facts()  # as the job stands now: a retry may change it right after
    with ctx.tools.db.write() as session:
        job = _locked(session, ctx.job_id)
        cancelled = job.desired == "cancel"
        if not cancelled:
            _record_failure(session, job, failure, error)
    if cancelled:
        settle(ctx)
    elif ctx.phase == "validate":
        discard_staging(ctx.tools.settings, ctx.job_id)
    else:  # a retry trains anew, or goes on with what is registered
        cleanup.discard_scratch(ctx.tools.settings, ctx.job_id)
        cleanup.discard_unregistered(ctx.tools, facts.stream.name, facts.job)


def _record_failure(
    session: Session, job: JobRow, failure: dict[str, Any], error: Exception
) -> None:
    row = find_phase(session, job.id, failure["phase"])
    if row is not None:
        row.state, row.finished_at = "failed", now()
        if isinstance(error, InvalidRows):
            row.result = {"report": error.report.model_dump(mode="json")}
    job.error, job.finished_at, job.desired = failure, now(), "run"
    _end_task(session, job)
    append_event(session, job.id, "error", failure)
    change_state(session, job, "failed", failure["message"])


def _cancel(ctx: Context) -> None:
    """Remove what the job made, then say so: after a crash in between it is removed again."""
    settings = ctx.tools.settings
    discard_staging(settings, ctx.job_id)
    cleanup.discard_attempts(settings, ctx.job_id)
    with ctx.tools.db.write() as session:
        withdrawn = cleanup.withdraw_version(session, _locked(session, ctx.job_id))
    if withdrawn:
        facts = ctx.facts()
        cleanup.discard_unregistered(ctx.tools, facts.stream.name, facts.job)
        cleanup.discard_corpus(ctx.tools, facts.job)
    with ctx.tools.db.write() as session:
        job = _locked(session, ctx.job_id)
        job.finished_at, job.desired = now(), "run"
        _end_task(session, job)
        kept = "" if withdrawn else "; its version stays, because something refers to it"
        change_state(session, job, "cancelled", f"cancelled in phase {job.phase}{kept}")


def _end_task(session: Session, job: JobRow) -> None:
    """A task without a version is failed, however its job ended."""
    task = session.get_one(TaskRow, job.task_id)
    task.state = "live" if job.version_id else "failed"


def _locked(session: Session, job_id: str) -> JobRow:
    job = lock_job(session, job_id)
    assert job is not None
    return job
