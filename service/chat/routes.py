"""Chat over REST, in OpenAI's shape. The event loop here never touches the database."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from anyio.to_thread import run_sync
from fastapi import APIRouter, FastAPI, Request, Response

from service.chat import operations
from service.chat.bodies import CappedRoute
from service.chat.proxy import Proxy, make_client
from service.chat.schemas import ChatCreate, ModelList, ModelRead
from service.deps import Reader, ServicesDep


@asynccontextmanager
async def _connections(app: FastAPI) -> AsyncIterator[None]:
    async with make_client() as client:
        app.state.chat_client = client
        yield


router = APIRouter(tags=["chat"], lifespan=_connections, route_class=CappedRoute)


@router.post("/v1/chat/completions", response_model=None)
async def create_chat_completion(
    body: ChatCreate, request: Request, services: ServicesDep, caller: Reader
) -> Response:
    """Answer a chat with one exact version, named in the answer and in `x-retain-version`.

    `model` is `stream` (its production version), `stream@7`, `stream@0` (its base) or
    `stream@alias`. Images are data URLs. With `stream: true` the answer comes as events.
    """
    ticket = await run_sync(operations.open_ticket, services, body)
    proxy = Proxy(request.app.state.chat_client, services.engines, ticket)
    respond = {True: proxy.stream, False: proxy.answer}[body.stream]
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
