"""Rewritten rows over REST: look, and decide while the job waits for it."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Response

from asd_rewriter.formats import AnswerFormat
from service.deps import Operator, Reader, ServicesDep
from service.idempotency import IdempotencyKey, once
from service.pagination import Limit
from service.rewrites import operations
from service.rewrites.images import image_response
from service.rewrites.operations import Look
from service.rewrites.schemas import Decisions, DecisionsRead, RewritePage

router = APIRouter(tags=["rewrites"])

Only = Annotated[
    AnswerFormat | None, Query(alias="format", description="only turns that got this format")
]
Seed = Annotated[int, Query(ge=0, lt=2**31, description="draws another order")]
Offset = Annotated[int, Query(ge=0, lt=2**31, description="leave out so many of the order")]

_CLOSED: dict[int | str, dict[str, Any]] = {
    409: {"description": "the job does not wait for decisions; repeating does not help"}
}


@router.get("/v1/jobs/{job_id}/rewrites")
def list_rewrites(
    job_id: str,
    services: ServicesDep,
    caller: Reader,
    only: Only = None,
    seed: Seed = 0,
    offset: Offset = 0,
    limit: Limit = 20,
) -> RewritePage:
    """List turns before and after rewriting, in an order drawn by `seed`: a sample of them."""
    return operations.list_rewrites(services, job_id, Look(only, seed, offset, limit))


@router.post("/v1/jobs/{job_id}/rewrites/decisions", responses=_CLOSED)
def decide(
    job_id: str,
    body: Decisions,
    services: ServicesDep,
    caller: Operator,
    key: IdempotencyKey,
) -> DecisionsRead:
    """Accept or reject rewritten turns, by key: `{"train-17#0": "reject"}`.

    Possible while a job with `asd.review` waits for it; then `resume` puts rejected turns back
    into their native format and trains. The last decision on a turn counts.
    """
    request = {"path": f"/v1/jobs/{job_id}/rewrites/decisions", "body": body.root}
    intention = once(caller.key_id, key, request)
    return operations.decide(services, caller.name, job_id, body.root, intention)


@router.get(
    "/v1/images/{digest}",
    response_class=Response,
    responses={200: {"content": {"image/png": {}, "image/jpeg": {}, "image/webp": {}}}},
)
def read_image(digest: str, services: ServicesDep, caller: Reader) -> Response:
    """Return an image of a task by its SHA-256, as it was submitted."""
    return image_response(services.settings.folder("blobs"), digest)
