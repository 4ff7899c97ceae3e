"""Request ids, access metrics, the body cap and the last resort, as one plain ASGI middleware."""

from __future__ import annotations

import re
import time

import structlog
from prometheus_client import CollectorRegistry, Counter, Histogram
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.error_handlers import error_response
from service.errors import PayloadTooLarge, RetainError
from service.ids import new_id
from service.keys.operations import bearer_secret

log = structlog.get_logger()

MAX_BODY_BYTES = 2**20
_CHAT = "/v1/chat/completions"
_UPLOAD = re.compile(r"/v1/streams/[^/]+/tasks")  # streams to disk under a cap of its own
_METHODS = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})
_CLIENT_ID = re.compile(r"^[A-Za-z0-9._-]{1,100}$")


class RequestMetrics:
    """Requests by route, method and status; no label is a client's own text."""

    def __init__(self, registry: CollectorRegistry) -> None:
        labels = ["route", "method", "status"]
        self.count = Counter("retain_requests", "Requests", labels, registry=registry)
        self.seconds = Histogram(
            "retain_request_seconds", "Seconds until the answer ended", ["route"], registry=registry
        )


class RequestContext:
    """Give every request an `x-request-id` and a body limit, bind the id to the logs, and count.

    Calls of the API without a key are refused before their body is read; an error that nobody
    handled becomes a 500 here, so that it too carries the id.
    """

    def __init__(self, app: ASGIApp, metrics: RequestMetrics, max_chat_bytes: int) -> None:
        self.app = app
        self.metrics = metrics
        self.max_chat_bytes = max_chat_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        exchange = _Exchange(scope, receive, send, self._max_bytes(scope))
        started = time.perf_counter()
        with structlog.contextvars.bound_contextvars(request_id=exchange.request_id):
            try:
                await self._serve(scope, exchange)
            finally:
                self._count(scope, exchange.status, time.perf_counter() - started)

    async def _serve(self, scope: Scope, exchange: _Exchange) -> None:
        try:
            exchange.check_headers()
        except RetainError as error:
            await exchange.answer(error)
            return
        try:
            await self.app(scope, exchange.receive, exchange.send)
        except Exception as error:
            if exchange.refused:
                return
            log.error("service.unhandled_error", path=scope["path"], exc_info=error)
            if exchange.begun:
                raise
            message = "an internal error occurred; see the service's log."
            await exchange.answer(RetainError(message))

    def _max_bytes(self, scope: Scope) -> int | None:
        if scope["path"] == _CHAT:
            return self.max_chat_bytes
        upload = scope["method"] == "POST" and _UPLOAD.fullmatch(scope["path"])
        return None if upload else MAX_BODY_BYTES

    def _count(self, scope: Scope, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", "unmatched")
        method = scope["method"] if scope["method"] in _METHODS else "OTHER"
        self.metrics.count.labels(route, method, str(status)).inc()
        self.metrics.seconds.labels(route).observe(seconds)


class _Exchange:
    """One request and its answer: the body counted while it is read, the answer marked."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, max_bytes: int | None) -> None:
        self.begun = False
        self.refused = False
        self.status = 500
        self._scope = scope
        self._headers = Headers(scope=scope)
        self._receive = receive
        self._send = send
        self._max_bytes = max_bytes
        self._read = 0
        client_id = self._headers.get("x-request-id", "")
        self.request_id = client_id if _CLIENT_ID.match(client_id) else new_id("req")

    def check_headers(self) -> None:
        """Raise NotAuthenticated or PayloadTooLarge if the headers alone are reason enough."""
        if self._scope["path"].startswith("/v1/"):
            bearer_secret(self._headers.get("authorization"))
        length = self._headers.get("content-length", "")
        if length.isdecimal():
            self._check_size(int(length))

    async def receive(self) -> Message:
        """Pass the body on; over the limit, answer at once and tell the app that nobody listens."""
        message = await self._receive()
        self._read += len(message.get("body", b""))
        try:
            self._check_size(self._read)
        except PayloadTooLarge as error:
            if not self.begun:
                await self.answer(error)
            self.refused = True
            return {"type": "http.disconnect"}
        return message

    async def send(self, message: Message) -> None:
        """Pass the answer on with the request's id, unless the request was refused meanwhile."""
        if self.refused:
            return
        if message["type"] == "http.response.start":
            self.begun = True
            self.status = message["status"]
            header = (b"x-request-id", self.request_id.encode())
            message.setdefault("headers", []).append(header)
        await self._send(message)

    async def answer(self, error: RetainError) -> None:
        """Answer with an error."""
        await error_response(error)(self._scope, self._receive, self.send)

    def _check_size(self, size: int) -> None:
        if self._max_bytes is not None and size > self._max_bytes:
            raise PayloadTooLarge(
                f"the request is over {self._max_bytes:,} bytes, which is the limit here. "
                "Send less, in a chat fewer or smaller images."
            )
