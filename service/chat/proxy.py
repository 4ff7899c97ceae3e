"""Passing a chat to its engine and the answer back, under the exact version's name."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import httpx
from fastapi import Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from service.chat.errors import as_event, broken, engine_error, event_error
from service.chat.operations import Ticket

if TYPE_CHECKING:
    from service.engines.manager import EngineManager

# The answer may take long to begin and pauses between tokens; connecting to loopback may not.
TIMEOUT = httpx.Timeout(600.0, connect=5.0, pool=60.0)
LIMITS = httpx.Limits(max_connections=512, max_keepalive_connections=64, keepalive_expiry=30.0)
_INTERNAL = frozenset({
    "ec_transfer_params", "kv_transfer_params", "prompt_logprobs", "prompt_text",
    "prompt_token_ids", "routed_experts", "stop_reason", "system_fingerprint", "token_ids",
})  # fmt: skip
_CLIENT_GONE = 499
_JSON = {"content-type": "application/json"}


def make_client() -> httpx.AsyncClient:
    """Return the pool of connections to engines (loopback only, no proxies)."""
    return httpx.AsyncClient(timeout=TIMEOUT, limits=LIMITS, trust_env=False)


class Proxy:
    """Sends one ticket's chat to its engine. The lease is released however the request ends."""

    def __init__(self, client: httpx.AsyncClient, engines: EngineManager, ticket: Ticket) -> None:
        self._client = client
        self._engines = engines
        self._ticket = ticket
        self._headers = {"x-retain-version": ticket.name, "x-retain-digest": ticket.digest}

    async def answer(self, request: Request) -> Response:
        """Return the whole answer; a client that goes away ends the engine's work."""
        try:
            work = asyncio.create_task(self._whole())
            watch = asyncio.create_task(_disconnected(request))
            await asyncio.wait({work, watch}, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                return Response(status_code=_CLIENT_GONE)
            return JSONResponse(work.result(), headers=self._headers)
        finally:
            await _cancel(work, watch)
            self._engines.release(self._ticket.lease)

    async def stream(self, request: Request) -> Response:
        """Return the answer as server-sent events, once the engine has accepted the request."""
        try:
            upstream = await self._send()
        except BaseException:
            self._engines.release(self._ticket.lease)
            raise
        return _LeasedStream(self, upstream, self._headers)

    async def events(self, upstream: httpx.Response) -> AsyncIterator[str]:
        """Yield the engine's events under the version's name; an error is the last one."""
        try:
            async for line in upstream.aiter_lines():
                if not line.startswith("data:"):
                    continue
                content, is_last = self._event(line[5:].strip())
                yield f"data: {content}\n\n"
                if is_last:
                    return
        except (httpx.HTTPError, ValueError) as error:
            yield f"data: {json.dumps(as_event(broken(error)))}\n\n"

    async def finish(self, upstream: httpx.Response) -> None:
        """Close the engine's answer and release the lease."""
        try:
            await upstream.aclose()
        finally:
            self._engines.release(self._ticket.lease)

    async def _whole(self) -> dict[str, Any]:
        upstream = await self._send()
        try:
            return self._rename(_object(await upstream.aread()))
        except (httpx.HTTPError, ValueError) as error:
            raise broken(error) from error
        finally:
            await upstream.aclose()

    async def _send(self) -> httpx.Response:
        url = f"{self._ticket.lease.route.base_url}/v1/chat/completions"
        try:
            request = self._client.build_request(
                "POST", url, content=self._ticket.content, headers=_JSON
            )
            upstream = await self._client.send(request, stream=True)
            if upstream.is_success:
                return upstream
            await upstream.aread()
            await upstream.aclose()
        except httpx.HTTPError as error:
            raise broken(error) from error
        raise self._refusal(upstream)

    def _refusal(self, upstream: httpx.Response) -> Exception:
        if upstream.status_code == 404:
            self._engines.forget(self._ticket.lease)
        return engine_error(upstream, self._names)

    @property
    def _names(self) -> dict[str, str]:
        return {self._ticket.lease.route.model_name: self._ticket.name}

    def _event(self, data: str) -> tuple[str, bool]:
        """Return an event as the client sees it, and whether it is the last one."""
        if data == "[DONE]":
            return data, True
        event = _object(data)
        if "error" in event:
            return json.dumps(as_event(event_error(event, self._names)), ensure_ascii=False), True
        return json.dumps(self._rename(event), ensure_ascii=False), False

    def _rename(self, answer: dict[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = _without_internals(answer)
        if "model" in found:
            found["model"] = self._ticket.name
        if isinstance(found.get("choices"), list):
            found["choices"] = [_without_internals(choice) for choice in found["choices"]]
        return found


def _object(content: str | bytes) -> dict[str, Any]:
    found = json.loads(content)
    if not isinstance(found, dict):
        raise ValueError(f"the engine sent {str(found)[:80]!r}, which is no object")
    return found


def _without_internals(part: Any) -> Any:
    if not isinstance(part, dict):
        return part
    return {name: value for name, value in part.items() if name not in _INTERNAL}


class _LeasedStream(StreamingResponse):
    """A stream that closes the engine's answer and the lease even if it is never begun."""

    def __init__(self, proxy: Proxy, upstream: httpx.Response, headers: dict[str, str]) -> None:
        super().__init__(
            proxy.events(upstream),
            media_type="text/event-stream",
            headers={**headers, "cache-control": "no-cache", "x-accel-buffering": "no"},
        )
        self._proxy = proxy
        self._upstream = upstream

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            await asyncio.shield(self._proxy.finish(self._upstream))


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _cancel(*tasks: asyncio.Task[Any]) -> None:
    for task in tasks:
        task.cancel()
    for task in tasks:
        with suppress(asyncio.CancelledError, Exception):
            await task
