"""One chat completion over HTTP: tries, waits, the endpoint's dialect, and what each try spends."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from asd_rewriter.errors import EndpointDown
from asd_rewriter.llm.budget import Budget
from asd_rewriter.llm.completions import Answer, NoCompletion, read_completion
from asd_rewriter.llm.connecting import Trip, find_proxy, open_session
from asd_rewriter.llm.settings import LlmSettings

ENDPOINT_FAILED = "endpoint_failed"
REQUEST_REFUSED = "request_refused"

_MAX_BODY_BYTES = 4 * 2**20
_MAX_WAIT_SECONDS = 120.0
_RETRIED = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
_REFUSED = frozenset({400, 413, 415, 422})
_OPTIONAL = ("response_format", "seed", "temperature")


class CallFailed(Exception):
    """A call that came to nothing; `reason` is a stable word, the text is for people."""

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason


class _TryAgain(Exception):
    def __init__(self, text: str, wait: float | None = None, connected: bool = True) -> None:
        super().__init__(text)
        self.wait = wait
        self.connected = connected


@dataclass
class ChatClient:
    """Asks one endpoint; used within one event loop and closed by `async with`.

    Parameters that the endpoint refuses by name (`response_format`, `seed`, `temperature`,
    `max_tokens` for `max_completion_tokens`) are given up for good.
    """

    settings: LlmSettings
    budget: Budget
    tell_spent: Callable[[], None]
    _dropped: set[str] = field(default_factory=set)
    _quiet_until: float = 0.0

    async def __aenter__(self) -> ChatClient:
        self._http = open_session(self.settings)
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self._http.close()

    async def ask(self, body: dict[str, Any], allowance: tuple[int, int]) -> Answer:
        """Return the answer to a request body.

        Raises:
            BudgetSpent: if a try does not fit.
            CallFailed: if the endpoint refuses this request, or fails it to the last try.
            EndpointDown: if it cannot be reached, or refuses whoever asks.
        """
        tries = 0
        while True:
            try:
                return await self._try(body, allowance)
            except _TryAgain as error:
                tries += 1
                if tries > self.settings.retries:
                    raise self._gave_up(error, tries) from None
                await self._wait(tries, error.wait)

    async def _try(self, body: dict[str, Any], allowance: tuple[int, int]) -> Answer:
        await asyncio.sleep(max(0.0, self._quiet_until - time.monotonic()))
        asked = self._spoken(body)
        content = json.dumps(asked).encode()
        held = await self.budget.hold(*allowance)
        used, trip = held, Trip()  # an answer that never came may have been paid for
        try:
            status, headers, text = await self._send(content, trip)
            if status == 200:
                answer, used = read_completion(text, held)
                return answer
            used = (0, 0)
        except NoCompletion as error:
            used = error.used
            raise _TryAgain(str(error)) from None
        except (aiohttp.ClientError, TimeoutError) as error:
            if trip.was_stale(error):
                used = (0, 0)
            raise self._broken(error, trip) from None
        finally:
            self.budget.settle(held, used if trip.sent else (0, 0), trip.sent)
            self.tell_spent()
        self._check_refusal(status, headers, text, asked)
        return await self._try(body, allowance)  # without the parameter that was refused

    async def _send(self, content: bytes, trip: Trip) -> tuple[int, Mapping[str, str], str]:
        url = f"{self.settings.base_url}/chat/completions"
        kind = {"Content-Type": "application/json"}
        async with self._http.post(
            url, data=content, headers=kind, allow_redirects=False, trace_request_ctx=trip
        ) as response:
            chunks, size = [], 0
            async for chunk in response.content.iter_any():
                chunks.append(chunk)
                size += len(chunk)
                if size > _MAX_BODY_BYTES:
                    raise _TryAgain(f"the answer exceeds {_MAX_BODY_BYTES:,} bytes")
            text = b"".join(chunks).decode(errors="replace")
        return response.status, response.headers, self._redacted(text)

    def _broken(self, error: Exception, trip: Trip) -> _TryAgain:
        if not trip.sent:
            why = str(error) or f"none within {self.settings.timeout_s:g} s"
            return _TryAgain(f"no connection ({why})", connected=False)
        if isinstance(error, TimeoutError):
            return _TryAgain(f"no answer within {self.settings.timeout_s:g} s")
        return _TryAgain(f"the connection broke ({type(error).__name__})")

    def _check_refusal(
        self, status: int, headers: Mapping[str, str], text: str, asked: dict[str, Any]
    ) -> None:
        """Raise what a refusal means; nothing if the request can be put without a parameter."""
        said = f"HTTP {status}: {' '.join(text.split())[:300]}"
        if status in _RETRIED:
            wait = _retry_after(headers.get("retry-after"))
            if wait is not None:  # the others have to wait as well
                self._quiet_until = max(self._quiet_until, time.monotonic() + wait)
            raise _TryAgain(said, wait)
        if status not in _REFUSED:
            raise self._down(f"it answered {said}", 1)
        if not self._gives_up_a_parameter(asked, text):
            raise CallFailed(REQUEST_REFUSED, said)

    def _gives_up_a_parameter(self, asked: dict[str, Any], text: str) -> bool:
        """Drop a parameter that was sent and is named; another call may have dropped it already."""
        named = [it for it in _OPTIONAL if it in asked and it in text]
        if "response_format" in asked and "json_schema" in text:
            named.append("response_format")
        if "max_tokens" in asked and "max_completion_tokens" in text:
            named.append("max_tokens")
        self._dropped.update(named[:1])
        return bool(named)

    def _spoken(self, body: dict[str, Any]) -> dict[str, Any]:
        if not self._dropped:
            return body
        spoken = {name: value for name, value in body.items() if name not in self._dropped}
        if "max_tokens" in self._dropped:
            spoken["max_completion_tokens"] = body["max_tokens"]
        return spoken

    async def _wait(self, tries: int, wanted: float | None) -> None:
        longest = min(self.settings.backoff_s * 2 ** (tries - 1), 30.0)
        jitter = random.uniform(0.5, 1.0)  # timing only: results do not depend on it
        await asyncio.sleep(longest * jitter + (wanted or 0.0))

    def _gave_up(self, error: _TryAgain, tries: int) -> Exception:
        if not error.connected:
            return self._down(str(error), tries)
        return CallFailed(ENDPOINT_FAILED, str(error))

    def _down(self, what: str, tries: int) -> EndpointDown:
        return endpoint_down(self.settings, self._redacted(what), tries)

    def _redacted(self, text: str) -> str:
        key = self.settings.key
        return text.replace(key, "[api key]") if key else text


def endpoint_down(settings: LlmSettings, what: str, tries: int) -> EndpointDown:
    """Return the error that says which endpoint is down, what was tried, and the way out."""
    proxy = find_proxy(settings)
    through = f" through the proxy {urlsplit(proxy).netloc.rpartition('@')[2]}" if proxy else ""
    return EndpointDown(
        f"The model {settings.model!r} at {settings.base_url} cannot be asked{through}: {what} "
        f"({tries} {'try' if tries == 1 else 'tries'}, time limit {settings.timeout_s:g} s each). "
        "Answers received so far are kept. Check address, model name and API key, or start the "
        "endpoint, then run again: it goes on where it stopped."
    )


def _retry_after(value: str | None) -> float | None:
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(value).timestamp() - time.time()
        except (ValueError, TypeError):
            return None
    return min(max(seconds, 0.0), _MAX_WAIT_SECONDS) if seconds == seconds else None
