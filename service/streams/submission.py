"""One upload from the first byte to the answer; nothing stays behind unless a job owns it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import anyio
from anyio.to_thread import run_sync
from fastapi import Request
from fastapi.responses import JSONResponse
from starlette.requests import ClientDisconnect

from service.deps import Services
from service.error_handlers import error_body
from service.errors import InvalidRequest, NotFound
from service.idempotency import once
from service.ids import new_id
from service.jobs.operations import read_job, read_validation
from service.jobs.schemas import JobRead
from service.streams import intake
from service.streams.operations import read_stream
from service.streams.staging import discard_staging, staging_folder
from service.streams.uploads import Upload, receive_upload

_POLL_SECONDS = 0.1


@dataclass(frozen=True)
class SubmitQuery:
    """Who submits to which stream, and how the answer is wanted."""

    stream: str
    owner: str
    key: str | None
    dry_run: bool
    wait_seconds: float


async def submit(services: Services, request: Request, query: SubmitQuery) -> JSONResponse:
    """Take a task in; answer with its job (202), its plan (200), or what was refused."""
    await run_sync(read_stream, services.db, query.stream)
    job_id = new_id("job")
    folder = staging_folder(services.settings, job_id)
    try:
        upload = await receive_upload(request, folder, services.settings.max_upload_bytes)
    except BaseException as error:
        with anyio.CancelScope(shield=True):
            await run_sync(discard_staging, services.settings, job_id)
        if isinstance(error, ClientDisconnect):
            raise InvalidRequest("the upload ended before it was complete.") from error
        raise
    answer = await run_sync(_admit_or_discard, services, job_id, upload, query)
    if not isinstance(answer, JobRead):
        return JSONResponse(answer.model_dump(mode="json"), 200)
    services.runner.wake()
    return await _answer(services, answer, query.wait_seconds)


def _admit_or_discard(services: Services, job_id: str, upload: Upload, query: SubmitQuery) -> Any:
    """Decide in one thread, to the end: who waits for it may be cancelled meanwhile."""
    kept = False
    try:
        answer = _admit(services, job_id, upload, query)
        kept = isinstance(answer, JobRead) and answer.id == job_id
        return answer
    finally:
        if not kept:
            discard_staging(services.settings, job_id)


def _admit(services: Services, job_id: str, upload: Upload, query: SubmitQuery) -> Any:
    submission = intake.check_upload(
        job_id, query.stream, upload, services.settings.max_upload_bytes, count=query.dry_run
    )
    if query.dry_run:
        return intake.plan_only(services, submission)
    request = {
        "path": f"/v1/streams/{query.stream}/tasks",
        "card": submission.card.model_dump(mode="json"),
        "options": submission.options.model_dump(mode="json"),
        "archive": upload.archive_digest,
    }
    return intake.enqueue(services, submission, once(query.owner, query.key, request))


async def _answer(services: Services, job: JobRead, wait_seconds: float) -> JSONResponse:
    until = time.monotonic() + wait_seconds
    while job.state == "validating_files" and time.monotonic() < until:
        await anyio.sleep(_POLL_SECONDS)
        job = await run_sync(read_job, services.db, job.id)
    if wait_seconds and job.state == "failed" and job.phase == "validate":
        return await run_sync(_refusal, services, job)
    return JSONResponse(job.model_dump(mode="json"), 202)


def _refusal(services: Services, job: JobRead) -> JSONResponse:
    error = job.error or {"code": "invalid_rows", "message": "the task has invalid rows."}
    body = error_body(422, error["code"], error["message"])
    try:
        report = read_validation(services.db, job.id)
    except NotFound:
        return JSONResponse(body, 422)
    return JSONResponse({**body, "validation": report.model_dump(mode="json")}, 422)
