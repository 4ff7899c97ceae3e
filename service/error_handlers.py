"""The one place where an exception becomes an answer, in OpenAI's error shape."""

from __future__ import annotations

from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import ValidationError
from starlette.exceptions import HTTPException

from adapters_store.errors import StoreError
from asd_rewriter.errors import AsdError
from eval.errors import EvalError
from service.errors import RetainError
from service.workflow.failures import is_disk_full

log = structlog.get_logger()

_TYPES = {401: "authentication_error", 403: "permission_error", 404: "not_found_error"}
_RETRIED_BY_CLIENTS = (408, 409, 429)


def error_body(status: int, code: str, message: str, param: str | None = None) -> dict[str, Any]:
    """Return OpenAI's error object."""
    kind = _TYPES.get(status, "invalid_request_error" if status < 500 else "server_error")
    return {"error": {"message": message, "type": kind, "code": code, "param": param}}


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
    app.add_exception_handler(ValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(OSError, _system)
    app.add_exception_handler(Exception, _unknown)


async def _known(request: Request, error: Exception) -> JSONResponse:
    return error_response(error)


async def _invalid(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError | ValidationError)
    problems = error.errors()
    first = problems[0]
    where = ".".join(str(part) for part in first["loc"] if part not in ("body", "query", "path"))
    message = "; ".join(
        f"{'.'.join(str(p) for p in problem['loc'])}: {problem['msg']}" for problem in problems[:10]
    )
    return JSONResponse(error_body(422, "invalid_request", message, where or None), 422)


async def _http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    message = str(error.detail)
    if error.status_code == 404:
        message = f"there is nothing at {request.method} {request.url.path}. See /docs."
    return JSONResponse(
        error_body(error.status_code, "http_error", message), error.status_code, error.headers
    )


async def _system(request: Request, error: Exception) -> JSONResponse:
    if not is_disk_full(error):
        return await _unknown(request, error)
    message = "the service's disk is full; nothing was kept. Free some space, then ask again."
    return JSONResponse(error_body(507, "storage_full", message), 507, {"x-should-retry": "false"})


async def _unknown(request: Request, error: Exception) -> JSONResponse:
    log.error("service.unhandled_error", path=request.url.path, exc_info=error)
    body = error_body(500, "internal_error", "an internal error occurred; see the service's log.")
    return JSONResponse(body, 500, {"x-should-retry": "false"})
