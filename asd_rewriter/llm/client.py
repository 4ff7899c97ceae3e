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
from urllib.request import getproxies, proxy_bypass

import aiohttp

from asd_rewriter.errors import EndpointDown
from asd_rewriter.llm.budget import Budget
from asd_rewriter.llm.settings import LlmSettings

ENDPOINT_FAILED = "endpoint_failed"
REQUEST_REFUSED = "request_refused"

_MAX_BODY_BYTES = 4 * 2**20
_MAX_WAIT_SECONDS = 120.0
_CONNECT_SECONDS = 10.0
_RETRIED = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
_REFUSED = frozenset({400, 413, 415, 422})
_OPTIONAL = ("response_format", "seed", "temperature")


@dataclass(frozen=True)
class Answer:
    """A completion's text; `cut_off`: it ended at the length limit."""

    text: str
    cut_off: bool


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
        key, longest = self.settings.key, self.settings.timeout_s
        self._http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),  # the workers bound the calls
            headers={"Authorization": f"Bearer {key}"} if key else None,
            timeout=aiohttp.ClientTimeout(longest, sock_connect=min(longest, _CONNECT_SECONDS)),
            cookie_jar=aiohttp.DummyCookieJar(),
            proxy=_proxy(self.settings.base_url),
        )
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
        content = json.dumps(self._spoken(body)).encode()
        held = await self.budget.hold(*allowance)
        used, sent = held, True  # an answer that never came may have been paid for
        try:
            status, headers, text = await self._send(content)
            used = (0, 0)
            if status == 200:
                answer, used = _read(text, held)
                return answer
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            used, sent = (0, 0), False
            raise _TryAgain(f"no connection ({error})", connected=False) from None
        except TimeoutError:
            raise _TryAgain(f"no answer within {self.settings.timeout_s:g} s") from None
        except aiohttp.ClientError as error:
            raise _TryAgain(f"the connection broke ({type(error).__name__})") from None
        finally:
            self.budget.settle(held, used, sent)
            self.tell_spent()
        return await self._refusal(status, headers, text, body, allowance)

    async def _send(self, content: bytes) -> tuple[int, Mapping[str, str], str]:
        url = f"{self.settings.base_url}/chat/completions"
        kind = {"Content-Type": "application/json"}
        async with self._http.post(
            url, data=content, headers=kind, allow_redirects=False
        ) as response:
            chunks, size = [], 0
            async for chunk in response.content.iter_any():
                chunks.append(chunk)
                size += len(chunk)
                if size > _MAX_BODY_BYTES:
                    raise _TryAgain(f"the answer exceeds {_MAX_BODY_BYTES:,} bytes")
            text = b"".join(chunks).decode(errors="replace")
        return response.status, response.headers, self._redacted(text)

    async def _refusal(
        self,
        status: int,
        headers: Mapping[str, str],
        text: str,
        body: dict[str, Any],
        allowance: tuple[int, int],
    ) -> Answer:
        said = f"HTTP {status}: {' '.join(text.split())[:300]}"
        if status in _RETRIED:
            wait = _retry_after(headers.get("retry-after"))
            if wait is not None:  # the others have to wait as well
                self._quiet_until = max(self._quiet_until, time.monotonic() + wait)
            raise _TryAgain(said, wait)
        if status in _REFUSED:
            if self._gives_up_a_parameter(body, text):
                return await self._try(body, allowance)
            raise CallFailed(REQUEST_REFUSED, said)
        raise self._down(f"it answered {said}", 1)

    def _gives_up_a_parameter(self, body: dict[str, Any], text: str) -> bool:
        named = [it for it in _OPTIONAL if it in self._spoken(body) and it in text]
        if "response_format" in self._spoken(body) and "json_schema" in text:
            named.append("response_format")
        if "max_tokens" not in self._dropped and "max_completion_tokens" in text:
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
    return EndpointDown(
        f"The model {settings.model!r} at {settings.base_url} cannot be asked: {what} "
        f"({tries} {'try' if tries == 1 else 'tries'}, time limit {settings.timeout_s:g} s each). "
        "Answers received so far are kept. Check address, model name and API key, or start the "
        "endpoint, then run again: it goes on where it stopped."
    )


def _proxy(url: str) -> str | None:
    """Return the environment's proxy for a URL."""
    parts, known = urlsplit(url), getproxies()
    if proxy_bypass(parts.hostname or ""):
        return None
    return known.get(parts.scheme) or known.get("all")


def _read(text: str, held: tuple[int, int]) -> tuple[Answer, tuple[int, int]]:
    try:
        found = json.loads(text)
        choice = found["choices"][0]
        message = choice["message"]
        content = message.get("content") or message.get("refusal") or ""
        finish = choice.get("finish_reason")
        if message.get("refusal") or finish == "content_filter":
            content = content if content.startswith("I") else "I cannot answer this."
        usage = found.get("usage") or {}
        used = (
            int(usage.get("prompt_tokens", held[0])),
            int(usage.get("completion_tokens", held[1])),
        )
    except (ValueError, LookupError, TypeError, AttributeError):
        raise _TryAgain(f"no chat completion but {' '.join(text.split())[:120]!r}") from None
    if not isinstance(content, str) or min(used) < 0:
        raise _TryAgain("no chat completion: its content or usage is malformed")
    return Answer(content, finish == "length"), used


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
