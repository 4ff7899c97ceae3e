"""Errors a client can meet. Each class fixes HTTP status, OpenAI error type and code.

A message says what was refused, the value seen, the limit and the way out. The packages below
(`asd_rewriter`, `adapters_store`, `eval`, `trainer`) have trees of their own whose classes carry
the same `status` and `code`; `service.app` renders them all alike.
"""

from __future__ import annotations


class RetainError(Exception):
    """Base of the tree."""

    status = 500
    code = "internal_error"
    param: str | None = None
    retryable = False

    def __init__(self, message: str, *, param: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        if param is not None:
            self.param = param


class InvalidRequest(RetainError):
    """A field or body that cannot be accepted as it is."""

    status = 422
    code = "invalid_request"


class NotFound(RetainError):
    """An object that does not exist."""

    status = 404
    code = "not_found"


class NotAuthenticated(RetainError):
    """No API key, or one that is not valid."""

    status = 401
    code = "invalid_api_key"


class PermissionDenied(RetainError):
    """A valid key without the role this call needs."""

    status = 403
    code = "permission_denied"


class PermanentConflict(RetainError):
    """A state that a retry cannot change (422: OpenAI's clients retry 409 by themselves)."""

    status = 422
    code = "conflict"


class PromotionRefused(PermanentConflict):
    """The forgetting report does not clear the stream's gate."""

    code = "promotion_refused"


class PayloadTooLarge(RetainError):
    """A body over its limit."""

    status = 413
    code = "payload_too_large"


class EngineUnavailable(RetainError):
    """No engine is ready for this version now; retrying helps."""

    status = 503
    code = "engine_unavailable"
    retryable = True


class EngineProofFailed(RetainError):
    """The engine does not reproduce the version's canary, so it may not serve it."""

    status = 503
    code = "engine_proof_failed"
