"""An engine's refusals in the service's own words, without its internal names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx
import structlog

from service.error_handlers import error_body
from service.errors import EngineUnavailable, InvalidRequest, RetainError

log = structlog.get_logger()

_DYING = ("EngineCore", "EngineDead")  # vLLM's words when it is the engine that ends


class EngineRefused(InvalidRequest):
    """A request that the model cannot take, e.g. a prompt over its context."""

    status = 400
    code = "engine_refused"


class EngineFailed(RetainError):
    """A request at which the engine failed, though it runs: the same would fail again."""

    status = 502
    code = "engine_failed"


def as_event(error: RetainError) -> dict[str, Any]:
    """Return OpenAI's error object, for an answer that has begun already."""
    return error_body(error.status, error.code, error.message, error.param)


def broken(error: Exception) -> EngineUnavailable:
    """Return what a lost connection to an engine, or an unreadable answer, means for the client."""
    log.warning("chat.engine_gone", error=repr(error))
    if isinstance(error, httpx.HTTPError):
        what = "the engine stopped answering; it is started again."
    else:
        what = "the engine's answer could not be read."
    return EngineUnavailable(f"{what} Try again shortly.")


def engine_error(answer: httpx.Response, names: Mapping[str, str]) -> RetainError:
    """Return the error for an engine's error answer; `names` maps internal names to public ones."""
    return _error(answer.status_code, _message(answer), names)


def event_error(event: Mapping[str, Any], names: Mapping[str, str]) -> RetainError:
    """Return the error for an engine's error event within a stream."""
    found = event["error"]
    known = found if isinstance(found, dict) else {"message": found}
    status = known.get("code")
    return _error(status if isinstance(status, int) else 500, str(known.get("message", "")), names)


def _error(status: int, message: str, names: Mapping[str, str]) -> RetainError:
    for internal, public in names.items():
        message = message.replace(internal, public)
    log.warning("chat.engine_refused", status=status, message=message[:300])
    if status >= 500 and not any(word in message for word in _DYING):
        return EngineFailed(
            "the engine failed on this request. If it does so again, change the request: a JSON "
            "schema that refers to itself, or that no text can fit, does this."
        )
    if status == 404 or status >= 500:
        return EngineUnavailable("the engine could not answer for this version. Try again shortly.")
    return EngineRefused(f"the model cannot take this request: {message[:1000]}")


def _message(answer: httpx.Response) -> str:
    try:
        found = answer.json()
        return str(found.get("error", found).get("message", ""))
    except (ValueError, AttributeError):
        return answer.text
