"""Jobs over REST: read, watch, steer."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Query, Response
from fastapi.responses import JSONResponse, StreamingResponse

from service.deps import Operator, Reader, ServicesDep
from service.idempotency import IdempotencyKey, once
from service.jobs import operations
from service.jobs.events import stream_events
from service.jobs.schemas import EventRead, JobRead, ValidationRead
from service.pagination import After, Limit, Page

router = APIRouter(tags=["jobs"])

Action = Literal["pause", "resume", "cancel", "retry"]
Accept = Annotated[str, Header(description="`text/event-stream` for a live stream")]
LastEventId = Annotated[
    int, Header(alias="Last-Event-ID", ge=0, lt=2**31, description="resume after this")
]
State = Annotated[str | None, Query(description="only jobs in this state")]
StreamName = Annotated[str | None, Query(description="only jobs of this stream")]


@router.get("/v1/jobs")
def list_jobs(
    services: ServicesDep,
    caller: Reader,
    stream: StreamName = None,
    state: State = None,
    limit: Limit = 50,
    after: After = None,
) -> Page[JobRead]:
    """List jobs, newest first."""
    return operations.list_jobs(services.db, stream, state, after, limit)


@router.get("/v1/jobs/{job_id}")
def read_job(job_id: str, services: ServicesDep, caller: Reader) -> JobRead:
    """Return a job: state, phase, place in the queue and reason, errors, phases."""
    return operations.read_job(services.db, job_id)


@router.get(
    "/v1/jobs/{job_id}/events",
    response_model=Page[EventRead],
    responses={200: {"content": {"text/event-stream": {}}}},
)
def job_events(
    job_id: str,
    services: ServicesDep,
    caller: Reader,
    limit: Limit = 50,
    after: After = None,
    accept: Accept = "application/json",
    last_event_id: LastEventId = 0,
) -> Response:
    """List a job's events, or stream them (`Accept: text/event-stream`) until the job has ended.

    A stream resumes behind `Last-Event-ID` and leaves nothing out.
    """
    if "text/event-stream" not in accept:
        page = operations.list_events(services.db, job_id, after, limit)
        return JSONResponse(page.model_dump(mode="json"))
    with services.db.read() as session:
        operations.get_job(session, job_id)
    return StreamingResponse(
        stream_events(services.db, job_id, last_event_id),
        media_type="text/event-stream",
        headers={"cache-control": "no-store", "x-accel-buffering": "no"},
    )


@router.get("/v1/jobs/{job_id}/validation")
def read_validation(job_id: str, services: ServicesDep, caller: Reader) -> ValidationRead:
    """Return what validation found: each problem with line, field, rule and a hint to fix it."""
    return operations.read_validation(services.db, job_id)


@router.get("/v1/jobs/{job_id}/rewrite")
def read_rewrite(job_id: str, services: ServicesDep, caller: Reader) -> dict[str, Any]:
    """Return what answer style diversification did: counts per format, rejects, examples."""
    return operations.read_rewrite(services.db, job_id)


@router.post("/v1/jobs/{job_id}/{action}")
def control_job(
    job_id: str, action: Action, services: ServicesDep, caller: Operator, key: IdempotencyKey
) -> JobRead:
    """Pause, resume, cancel or retry a job.

    A paused training run writes a checkpoint and continues from it; a cancelled job leaves no
    version; a retry runs again on the stored, validated data.
    """
    intention = once(caller.key_id, key, {"path": f"/v1/jobs/{job_id}/{action}"})
    limit = services.settings.engine_max_lora_rank
    job = operations.control(services.db, job_id, action, limit, intention)
    services.runner.wake()
    return job
