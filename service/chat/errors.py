"""An engine's refusals in the service's own words, without its internal names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx
import structlog

from service.errors import EngineUnavailable, InvalidRequest, RetainError

log = structlog.get_logger()


class EngineRefused(InvalidRequest):
    """A request that the model cannot take, e.g. a prompt over its context."""

    status = 400
    code = "engine_refused"


class EngineGone(EngineUnavailable):
    """The engine went away during the request."""

    def body(self) -> dict[str, Any]:
        """Return OpenAI's error object, for an answer that has begun already."""
        error = {"message": self.message, "type": "server_error", "code": self.code, "param": None}
        return {"error": error}


def gone(error: Exception) -> EngineGone:
    """Return what a broken connection to an engine means for the client."""
    log.warning("chat.engine_gone", error=repr(error))
    return EngineGone("the engine stopped answering; it is started again. Try again shortly.")


def engine_error(answer: httpx.Response, names: Mapping[str, str]) -> RetainError:
    """Return the error for an engine's error answer; `names` maps internal names to public ones."""
    message = _message(answer)
    for internal, public in names.items():
        message = message.replace(internal, public)
    log.warning("chat.engine_refused", status=answer.status_code, message=message[:300])
    if answer.status_code == 404 or answer.status_code >= 500:
        return EngineUnavailable("the engine could not answer for this version. Try again shortly.")
    return EngineRefused(f"the model cannot take this request: {message[:1000]}")


def _message(answer: httpx.Response) -> str:
    try:
        found = answer.json()
        return str(found.get("error", found).get("message", ""))
    except (ValueError, AttributeError):
        return answer.text
