"""Streams and their tasks over REST."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse

from service.deps import Operator, Reader, ServicesDep
from service.idempotency import IdempotencyKey, once
from service.jobs.schemas import JobRead
from service.pagination import After, Limit, Page
from service.streams import intake, operations
from service.streams.schemas import PlanRead, StreamCreate, StreamRead, TaskRead
from service.streams.submission import SubmitQuery, submit

router = APIRouter(tags=["streams"])

DryRun = Annotated[bool, Query(description="return the plan; keep nothing")]
Wait = Annotated[
    float, Query(ge=0, le=600, description="seconds to wait for validation before answering")
]

_TEXT = {"type": "string", "contentMediaType": "application/json"}
_FORM: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["card", "archive"],
                    "properties": {
                        "card": {**_TEXT, "description": "the task card"},
                        "archive": {
                            "type": "string",
                            "format": "binary",
                            "description": "zip, tar or tar.gz with LLaVA-format JSON or JSONL "
                            "and images",
                        },
                        "options": {
                            **_TEXT,
                            "description": "method_config, hyperparameters, x_percent, asd, "
                            "seed, parent, eval_limit, probe_limit, future_tasks",
                        },
                    },
                }
            }
        },
    }
}


@router.post("/v1/streams", status_code=201)
def create_stream(
    body: StreamCreate, services: ServicesDep, caller: Operator, key: IdempotencyKey
) -> StreamRead:
    """Create a stream on a base model; its version 0 is the base."""
    request = {"path": "/v1/streams", "body": body.model_dump(mode="json")}
    intention = once(caller.key_id, key, request)
    return operations.create_stream(services.db, body, services.settings, intention)


@router.get("/v1/streams")
def list_streams(
    services: ServicesDep, caller: Reader, limit: Limit = 50, after: After = None
) -> Page[StreamRead]:
    """List streams by name."""
    return operations.list_streams(services.db, after, limit)


@router.get("/v1/streams/{stream}")
def read_stream(stream: str, services: ServicesDep, caller: Reader) -> StreamRead:
    """Return a stream."""
    return operations.read_stream(services.db, stream)


@router.get("/v1/streams/{stream}/tasks")
def list_tasks(
    stream: str, services: ServicesDep, caller: Reader, limit: Limit = 50, after: After = None
) -> Page[TaskRead]:
    """List a stream's tasks, oldest first."""
    return intake.list_tasks(services.db, stream, after, limit)


@router.post(
    "/v1/streams/{stream}/tasks",
    status_code=202,
    response_model=JobRead,
    responses={200: {"model": PlanRead, "description": "with `dry_run`: the plan"}},
    openapi_extra=_FORM,
)
async def submit_task(
    stream: str,
    request: Request,
    services: ServicesDep,
    caller: Operator,
    key: IdempotencyKey,
    dry_run: DryRun = False,
    wait: Wait = 0.0,
) -> JSONResponse:
    """Submit a dataset: it is validated, rewritten, trained, evaluated, gated and promoted.

    The archive streams to disk; card and archive structure are checked before the answer.
    """
    query = SubmitQuery(stream, caller.key_id, key, dry_run, wait)
    return await submit(services, request, query)
