"""The Python client: one method per REST call, used by the command line and the demo alike."""

from __future__ import annotations

import base64
import ipaddress
import json
import mimetypes
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote
from uuid import uuid4

import httpx

from service.workflow.states import TERMINAL

Json = dict[str, Any]
SLOW = httpx.Timeout(600.0, connect=30.0)  # an engine starts, or a base model is downloaded
RESTART_SECONDS = 60.0  # how long `watch` waits for the service to come back
ENGINE_SECONDS = 90.0  # how long chat and alias moves go on asking a service that is not ready


class ApiError(Exception):
    """An error answer: HTTP status, code, message, request id, and whether asking again helps."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        request_id: str | None = None,
        *,
        retryable: bool = False,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.request_id = request_id
        self.retryable = retryable


def is_loopback(host: str) -> bool:
    """Return whether a host names this machine: localhost, 127.0.0.0/8 or ::1."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def part(name: str | int) -> str:
    """Return a name as one part of a URL's path, whatever it holds."""
    return quote(str(name), safe="@")


class Patience:
    """Waits before the next attempt, longer each time, for a limited time in all."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.renew()

    def renew(self) -> None:
        """Begin anew: an attempt has succeeded."""
        self._pause = 0.25
        self._until: float | None = None

    def wait(self, error: Exception) -> None:
        """Wait a little after a failed attempt; raises its error when the time is over."""
        now = time.monotonic()
        if self._until is None:
            self._until = now + self.seconds
        if now >= self._until:
            raise error
        time.sleep(min(self._pause, self._until - now))
        self._pause = min(2 * self._pause, 4.0)


class RetainClient:
    """A connection to one service. POSTs carry an Idempotency-Key of their own.

    Every method raises `ApiError` for an error answer and httpx's errors when nobody answers.
    """

    def __init__(
        self,
        url: str,
        key: str | None = None,
        timeout: float = 120.0,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        headers = {"authorization": f"Bearer {key}"} if key else {}
        self.http = httpx.Client(
            base_url=url,
            headers=headers,
            timeout=timeout,
            transport=transport,
            trust_env=not is_loopback(httpx.URL(url).host),  # no proxy sees the key on its way here
        )

    def close(self) -> None:
        """Close the connections."""
        self.http.close()

    def get(self, path: str, **params: Any) -> Json:
        """Return the JSON answer of a GET."""
        query = {key: value for key, value in params.items() if value is not None}
        return _json(self.http.get(path, params=query))

    def post(self, path: str, body: Json | None = None, *, slow: bool = False) -> Json:
        """Return the JSON answer of a POST, which has its effect once however often it is sent.

        A `slow` one may take ten minutes, and is repeated for a while when no engine is ready.
        """
        headers = {"idempotency-key": uuid4().hex}
        if not slow:
            return _json(self.http.post(path, json=body or {}, headers=headers))
        patience = Patience(ENGINE_SECONDS)
        while True:
            try:
                return _json(self.http.post(path, json=body or {}, headers=headers, timeout=SLOW))
            except ApiError as error:
                if not error.retryable:
                    raise
                patience.wait(error)

    def delete(self, path: str) -> Json:
        """Return the JSON answer of a DELETE."""
        return _json(self.http.delete(path))

    def text(self, path: str, **params: Any) -> str:
        """Return the text of a GET (Markdown or HTML reports)."""
        answer = self.http.get(path, params=params)
        _raise_for_error(answer)
        return answer.text

    def list_all(self, path: str, **params: Any) -> list[Json]:
        """Return all items of a list, page after page."""
        items: list[Json] = []
        while True:
            page = self.get(path, limit=200, **params)
            items += page["data"]
            if not page["has_more"]:
                return items
            params["after"] = page["next_cursor"]

    def create_stream(self, **fields: Any) -> Json:
        """Create a stream: name, base, method and whatever else `POST /v1/streams` takes."""
        return self.post("/v1/streams", fields, slow=True)

    def submit_task(
        self,
        stream: str,
        card: Json,
        archive: Path,
        options: Json | None = None,
        *,
        dry_run: bool = False,
        wait: float | None = None,
    ) -> Json:
        """Submit a task; return the job (or, with `dry_run`, the plan)."""
        data = {"card": json.dumps(card), "options": json.dumps(options or {})}
        params: Json = {"dry_run": "true"} if dry_run else {}
        if wait is not None:
            params["wait"] = wait
        with archive.open("rb") as file:
            answer = self.http.post(
                f"/v1/streams/{part(stream)}/tasks",
                params=params,
                data=data,
                files={"archive": (archive.name, file)},
                headers={"idempotency-key": uuid4().hex},
                timeout=None,
            )
        return _json(answer)

    def job(self, job_id: str) -> Json:
        """Return a job."""
        return self.get(f"/v1/jobs/{part(job_id)}")

    def control(self, job_id: str, action: str) -> Json:
        """Pause, resume, cancel or retry a job; return it."""
        return self.post(f"/v1/jobs/{part(job_id)}/{action}")

    def rewrites(self, job_id: str, **look: Any) -> Json:
        """Return rewritten turns before and after; `look`: format, seed, offset, limit."""
        return self.get(f"/v1/jobs/{part(job_id)}/rewrites", **look)

    def decide(self, job_id: str, decisions: Json) -> Json:
        """Accept or reject rewritten turns by key, while their job waits for it."""
        return self.post(f"/v1/jobs/{part(job_id)}/rewrites/decisions", decisions)

    def watch(self, job_id: str) -> Iterator[Json]:
        """Yield a job's events as they happen, reconnecting without gaps, until it has ended."""
        last, patience = 0, Patience(RESTART_SECONDS)
        while True:
            try:
                for event in self._stream_events(job_id, last):
                    last = event["seq"]
                    patience.renew()
                    yield event
                if self.job(job_id)["state"] in TERMINAL:
                    yield from self.list_all(f"/v1/jobs/{part(job_id)}/events", after=last)
                    return
                patience.renew()
            except httpx.TransportError as error:  # the service restarts
                patience.wait(error)

    def _stream_events(self, job_id: str, last: int) -> Iterator[Json]:
        headers = {"accept": "text/event-stream", "last-event-id": str(last)}
        path = f"/v1/jobs/{part(job_id)}/events"
        with self.http.stream("GET", path, headers=headers, timeout=60.0) as answer:
            if answer.is_error:
                answer.read()
            _raise_for_error(answer)
            for line in answer.iter_lines():
                if line.startswith("data: "):
                    yield cast("Json", json.loads(line[6:]))

    def chat(self, model: str, question: str, image: Path | None = None, **fields: Any) -> Json:
        """Ask one question, with an image if given; return OpenAI's chat completion."""
        content: list[Json] = [{"type": "text", "text": question}]
        if image is not None:
            content.insert(0, {"type": "image_url", "image_url": {"url": data_url(image)}})
        messages = [{"role": "user", "content": content}]
        body = {"model": model, "messages": messages, "temperature": 0, **fields}
        return self.post("/v1/chat/completions", body, slow=True)

    def move_alias(
        self,
        stream: str,
        version: int | str,
        reason: str,
        *,
        alias: str = "production",
        override: bool = False,
    ) -> Json:
        """Point an alias at a version (or at "previous"); return the journal entry."""
        body = {"version": version, "reason": reason, "override": override}
        return self.post(f"/v1/streams/{part(stream)}/aliases/{part(alias)}", body, slow=True)


def data_url(image: Path) -> str:
    """Return an image file as a data URL."""
    kind = mimetypes.guess_type(image.name)[0] or "image/png"
    return f"data:{kind};base64,{base64.b64encode(image.read_bytes()).decode()}"


def _json(answer: httpx.Response) -> Json:
    _raise_for_error(answer)
    try:
        return cast("Json", answer.json())
    except ValueError as error:
        message = f"{answer.url} answers, but not with JSON. Is this the address of the service?"
        raise ApiError(answer.status_code, "http_error", message) from error


def _raise_for_error(answer: httpx.Response) -> None:
    if not answer.is_error:
        return
    try:
        error = answer.json()["error"]
        code, message = str(error["code"]), str(error["message"])
    except (ValueError, KeyError, TypeError):
        code, message = "http_error", f"HTTP {answer.status_code}: {answer.text[:300]}"
    headers = answer.headers
    retryable = answer.status_code == 503 and "retry-after" in headers
    request_id = headers.get("x-request-id")
    raise ApiError(answer.status_code, code, message, request_id, retryable=retryable)
