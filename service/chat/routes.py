"""Chat over REST, in OpenAI's shape.

The event loop here touches neither the database nor the JSON of a request, which may be large; the
body is read only after the key is checked.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from fastapi import APIRouter, FastAPI, Request, Response
from starlette.requests import ClientDisconnect

from service.chat import operations
from service.chat.proxy import Proxy, make_client
from service.chat.schemas import ModelList, ModelRead, request_schema
from service.deps import Reader, ServicesDep
from service.errors import InvalidRequest

THREADS = 16
"""Chats that may wait at once for an adapter to be loaded; apart from the rest of the API's."""


@asynccontextmanager
async def _connections(app: FastAPI) -> AsyncIterator[None]:
    async with make_client() as client:
        app.state.chat_client = client
        app.state.chat_threads = CapacityLimiter(THREADS)
        yield


router = APIRouter(tags=["chat"], lifespan=_connections)


_CONTENT = {"application/json": {"schema": request_schema()}}


@router.post(
    "/v1/chat/completions",
    response_model=None,
    openapi_extra={"requestBody": {"required": True, "content": _CONTENT}},
)
async def create_chat_completion(
    request: Request, services: ServicesDep, caller: Reader
) -> Response:
    """Answer a chat with one exact version, named in the answer and in `x-retain-version`.

    `model` is `stream` (its production version), `stream@7`, `stream@0` (its base) or
    `stream@alias`. Images are data URLs. With `stream: true` the answer comes as events.
    """
    try:
        content = await request.body()
    except ClientDisconnect as error:
        raise InvalidRequest("the request ended before it was complete.") from error
    threads = request.app.state.chat_threads
    ticket = await run_sync(operations.open_ticket, services, content, limiter=threads)
    proxy = Proxy(request.app.state.chat_client, services.engines, ticket)
    respond = {True: proxy.stream, False: proxy.answer}[ticket.stream]
    return await respond(request)


@router.get("/v1/models")
def list_models(services: ServicesDep, caller: Reader) -> ModelList:
    """List every name that `model` may have, with the version behind it now."""
    with services.db.read() as session:
        return ModelList(data=operations.list_models(session))


@router.get("/v1/models/{model}")
def read_model(model: str, services: ServicesDep, caller: Reader) -> ModelRead:
    """Return which version a name stands for now."""
    with services.db.read() as session:
        return operations.read_model(session, model)
