"""Request ids, access metrics and the body cap, as one plain ASGI middleware."""

from __future__ import annotations

import re
import time

import structlog
from prometheus_client import CollectorRegistry, Counter, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.ids import new_id

_CLIENT_ID = re.compile(r"^[A-Za-z0-9._-]{1,100}$")


class RequestMetrics:
    """Requests by route, method and status; labels are bounded by the routes that exist."""

    def __init__(self, registry: CollectorRegistry) -> None:
        labels = ["route", "method", "status"]
        self.count = Counter("retain_requests", "Requests", labels, registry=registry)
        self.seconds = Histogram(
            "retain_request_seconds", "Seconds until the answer ended", ["route"], registry=registry
        )


class RequestContext:
    """Give every request an `x-request-id`, bind it to the logs, and count the answer."""

    def __init__(self, app: ASGIApp, metrics: RequestMetrics) -> None:
        self.app = app
        self.metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id = _request_id(scope)
        status = 500

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message.setdefault("headers", []).append((b"x-request-id", request_id.encode()))
            await send(message)

        started = time.perf_counter()
        with structlog.contextvars.bound_contextvars(request_id=request_id):
            try:
                await self.app(scope, receive, send_with_id)
            finally:
                self._count(scope, status, time.perf_counter() - started)

    def _count(self, scope: Scope, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", "unmatched")
        self.metrics.count.labels(route, scope["method"], str(status)).inc()
        self.metrics.seconds.labels(route).observe(seconds)


def _request_id(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _CLIENT_ID.match(value.decode("latin-1")):
            return str(value.decode("latin-1"))
    return new_id("req")
