"""Requests whose body is read only up to the service's limit."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute

from service.errors import PayloadTooLarge
from service.settings import Settings


class CappedRequest(Request):
    """A request that refuses a body over `settings.max_request_bytes` while reading it."""

    async def body(self) -> bytes:
        """Return the body; raises PayloadTooLarge."""
        if not hasattr(self, "_body"):
            settings: Settings = self.app.state.settings
            chunks, size = [], 0
            async for chunk in self.stream():
                size += len(chunk)
                if size > settings.max_request_bytes:
                    raise PayloadTooLarge(
                        f"the request is over {settings.max_request_bytes:,} bytes. "
                        "Send fewer or smaller images."
                    )
                chunks.append(chunk)
            self._body = b"".join(chunks)
        return self._body


class CappedRoute(APIRoute):
    """A route whose requests are `CappedRequest`s."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler, reading the body before FastAPI does."""
        handle = super().get_route_handler()

        async def read_and_handle(request: Request) -> Response:
            capped = CappedRequest(request.scope, request.receive)
            await capped.body()
            return await handle(capped)

        return read_and_handle
