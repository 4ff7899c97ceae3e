"""The one place where an exception becomes an answer, in OpenAI's error shape."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from sqlalchemy import exc
from starlette.exceptions import HTTPException
from starlette.routing import Match

from adapters_store.errors import StoreError
from asd_rewriter.errors import AsdError
from eval.errors import EvalError
from service.errors import RetainError
from service.problems import MAX_SHOWN_CHARS, describe, shown
from service.workflow.failures import is_disk_full

log = structlog.get_logger()

_TYPES = {401: "authentication_error", 403: "permission_error", 404: "not_found_error"}
_RETRIED_BY_CLIENTS = (408, 409, 429)

MAX_MESSAGE_CHARS = 4000
_ENDLESS = re.compile(rf"(\S{{{MAX_SHOWN_CHARS}}})\S{{220,}}")
_SOURCES = frozenset({"body", "query", "path", "header", "cookie"})
_SEND_JSON = "Send a JSON object with content-type application/json"


class ErrorDetail(BaseModel):
    """What was refused, the value seen, the limit and the way out; `param` is the field."""

    message: str
    type: str
    code: str
    param: str | None


class ErrorBody(BaseModel):
    """The body of every error, in OpenAI's shape."""

    error: ErrorDetail


RESPONSES: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorBody, "description": description}
    for status, description in {
        401: "no API key, or one that is unknown or revoked",
        403: "the API key's role does not allow this call",
        404: "what the path or a field names does not exist",
        413: "the request is over the size limit",
        422: "something in the request cannot be accepted; repeating it does not help",
        503: "the database or an engine does not answer yet; `retry-after` says when to try again",
    }.items()
}
"""The errors that any call of the API may answer, for its description."""


def error_body(status: int, code: str, message: str, param: str | None = None) -> dict[str, Any]:
    """Return OpenAI's error object; what a client sent without end is cut."""
    kind = _TYPES.get(status, "invalid_request_error" if status < 500 else "server_error")
    param = _sayable(param) if param else None
    return {"error": {"message": _sayable(message), "type": kind, "code": code, "param": param}}


def _sayable(text: str) -> str:
    short = _ENDLESS.sub(r"\1…", text)[:MAX_MESSAGE_CHARS]
    return short.encode("utf-8", "backslashreplace").decode()  # halves of characters


def error_response(error: Exception) -> JSONResponse:
    """Return the answer for an error that carries `status` and `code`."""
    status = int(getattr(error, "status", 500))
    code = str(getattr(error, "code", "internal_error"))
    headers = {}
    if getattr(error, "retryable", False):
        headers["retry-after"] = "2"
    elif status >= 500 or status in _RETRIED_BY_CLIENTS:
        headers["x-should-retry"] = "false"
    message = str(getattr(error, "message", None) or error)
    body = error_body(status, code, message, getattr(error, "param", None))
    return JSONResponse(body, status, headers)


def install(app: FastAPI) -> None:
    """Register the handlers on an app."""
    for tree in (RetainError, StoreError, AsdError, EvalError):
        app.add_exception_handler(tree, _known)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(OSError, _system)
    for failure in (exc.OperationalError, exc.InterfaceError, exc.TimeoutError):
        app.add_exception_handler(failure, _database)
    app.add_exception_handler(exc.DataError, _data)
    app.add_exception_handler(Exception, _unknown)


async def _known(request: Request, error: Exception) -> JSONResponse:
    return error_response(error)


async def _invalid(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    problems = error.errors()
    message, param = describe({**it, "loc": _inside(it["loc"])} for it in problems)
    if param is None:  # the body as a whole
        came_as = _came_as(request) if _is_raw(problems[0]) else ""
        message = f"{message.rstrip('.')}. {_SEND_JSON}{came_as}."
    return JSONResponse(error_body(422, "invalid_request", message, param), 422)


def _inside(loc: Sequence[Any]) -> Sequence[Any]:
    return loc[1:] if loc and loc[0] in _SOURCES else loc


def _is_raw(problem: Any) -> bool:
    """Return whether FastAPI left a body as bytes, because its content type is not JSON's."""
    return problem["type"] != "json_invalid" and isinstance(problem.get("input"), bytes)


def _came_as(request: Request) -> str:
    kind = request.headers.get("content-type")
    return f"; it came {f'as {shown(kind)}' if kind else 'without one'}"


async def _http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    status, message = error.status_code, str(error.detail)
    asked = f"{request.method[:MAX_SHOWN_CHARS]} {request.url.path[:MAX_SHOWN_CHARS]}"
    if status == 404:
        message = f"there is nothing at {asked}. See /docs."
    elif status == 405:
        return _not_allowed(request, asked)
    elif status == 400 and error.__cause__ is not None:  # FastAPI's word for an unreadable body
        message = f"body: {_unreadable(error.__cause__)}. {_SEND_JSON}."
        return JSONResponse(error_body(422, "invalid_request", message), 422)
    return JSONResponse(error_body(status, "http_error", message), status, error.headers)


def _not_allowed(request: Request, asked: str) -> JSONResponse:
    allowed = ", ".join(_methods(request))
    message = f"{asked} is not allowed: use {allowed}. See /docs."
    return JSONResponse(error_body(405, "method_not_allowed", message), 405, {"allow": allowed})


def _methods(request: Request) -> list[str]:
    """Return the methods of all routes at a request's path."""
    at_path = (it for it in request.app.routes if it.matches(request.scope)[0] != Match.NONE)
    return sorted({method for it in at_path for method in getattr(it, "methods", None) or ()})


def _unreadable(cause: BaseException) -> str:
    if isinstance(cause, UnicodeDecodeError):
        return f"it is not UTF-8 text (byte {cause.start})"
    if isinstance(cause, RecursionError):
        return "it is nested too deeply"
    if isinstance(cause, ValueError):
        return "a number in it has too many digits"
    return "it ended before it was complete"


async def _system(request: Request, error: Exception) -> JSONResponse:
    if not is_disk_full(error):
        return await _unknown(request, error)
    message = "the service's disk is full; nothing was kept. Free some space, then ask again."
    return JSONResponse(error_body(507, "storage_full", message), 507, {"x-should-retry": "false"})


async def _database(request: Request, error: Exception) -> JSONResponse:
    if is_disk_full(error):
        return await _system(request, error)
    log.error("service.database_unavailable", path=request.url.path, exc_info=error)
    message = "the service's database does not answer. Try again shortly."
    return JSONResponse(error_body(503, "database_unavailable", message), 503, {"retry-after": "2"})


async def _data(request: Request, error: Exception) -> JSONResponse:
    log.warning("service.unstorable_value", path=request.url.path, exc_info=error)
    message = "the database refuses a value of this request, such as a text with a NUL character."
    return JSONResponse(error_body(422, "invalid_request", message), 422)


async def _unknown(request: Request, error: Exception) -> JSONResponse:
    log.error("service.unhandled_error", path=request.url.path, exc_info=error)
    body = error_body(500, "internal_error", "an internal error occurred; see the service's log.")
    return JSONResponse(body, 500, {"x-should-retry": "false"})
