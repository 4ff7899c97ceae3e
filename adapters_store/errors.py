"""What this package refuses. Each class fixes HTTP status and code; the message tells the rest.

StoreError
├── UnknownObject            404  BlobNotFound, VersionNotFound
├── Refused                  422  InvalidDigest, UnsafeFile, IncompleteAttempt, VersionConflict,
│                                 LineageBroken, NotComposable, RankLimitExceeded,
│                                 DestinationTaken
└── Damaged                  500  CorruptContent

A message says what was refused, the value seen, the limit and the way out. Permanent conflicts
are 422 because OpenAI's clients retry 409 by themselves. Every class survives pickling: it holds
its message and nothing else.
"""

from __future__ import annotations


class StoreError(Exception):
    """Base of the tree: `status` is an HTTP status, `code` a stable machine-readable word."""

    status: int = 500
    code: str = "store_error"
    retryable: bool = False

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class UnknownObject(StoreError, LookupError):
    """A name or digest the store does not hold."""

    status = 404
    code = "not_found"


class BlobNotFound(UnknownObject):
    """No blob has this digest."""

    code = "blob_not_found"


class VersionNotFound(UnknownObject):
    """No complete version has this stream and number."""

    code = "version_not_found"


class Refused(StoreError, ValueError):
    """Something that cannot be accepted as it is; retrying does not help."""

    status = 422
    code = "refused"


class InvalidDigest(Refused):
    """Not 64 lower-case hexadecimal digits."""

    code = "invalid_digest"


class UnsafeFile(Refused):
    """A file that is neither well-formed JSON nor well-formed safetensors, or a bad path."""

    code = "unsafe_file"


class IncompleteAttempt(Refused):
    """An attempt folder without all its parts, or changed after its result was written."""

    code = "incomplete_attempt"


class VersionConflict(Refused):
    """The number already names a version with another content."""

    code = "version_conflict"


class LineageBroken(Refused):
    """A parent that is missing, is not older, or stands on another base."""

    code = "lineage_broken"


class NotComposable(Refused):
    """A delta that cannot be part of an exact rank concatenation."""

    code = "not_composable"


class RankLimitExceeded(Refused):
    """The summed rank of a lineage is over the engine's fixed limit."""

    code = "rank_limit_exceeded"


class DestinationTaken(Refused):
    """The destination folder exists with another content."""

    code = "destination_taken"


class Damaged(StoreError):
    """The store's own content is not what it was."""

    status = 500
    code = "store_damaged"


class CorruptContent(Damaged):
    """Stored bytes no longer match their digest."""

    code = "corrupt_content"
