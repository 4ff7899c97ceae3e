"""What this package refuses. Each class fixes HTTP status and code; the message tells the rest.

AsdError                           500
├── ArchiveRefused                 422  NotAnArchive, EncryptedArchive, UnsafeMember,
│                                       DuplicateMember, ArchiveTooLarge (413),
│                                       SuspiciousCompression, CorruptArchive
├── MemberNotFound                 422
├── InvalidRows                    422  carries the validation report
├── CacheRefused                   422  a file that cannot keep a model's answers
├── OutputRefused                  422  a folder that is not written to, or rows that do not fit it
├── RowCheckFailed                 500  the helper process for images cannot run
└── EndpointDown                   503  the model that rewrites cannot be asked

A message says what was refused, the value seen, the limit and the way out. It never repeats an
image decoder's own text. Every class survives pickling.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from asd_rewriter.problems import ValidationReport


class AsdError(Exception):
    """Base of the tree: `status` is an HTTP status, `code` a stable machine-readable word."""

    status: int = 500
    code: str = "asd_error"
    retryable: bool = False

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class ArchiveRefused(AsdError, ValueError):
    """An archive that is not read at all."""

    status = 422
    code = "invalid_archive"


class NotAnArchive(ArchiveRefused):
    """Neither zip nor tar nor tar.gz, or one without any file."""

    code = "not_an_archive"


class EncryptedArchive(ArchiveRefused):
    """A zip with at least one encrypted member."""

    code = "encrypted_archive"


class UnsafeMember(ArchiveRefused):
    """A member with a dangerous name, or one that is a link, a device or a sparse file."""

    code = "unsafe_member"


class DuplicateMember(ArchiveRefused):
    """Two members with one name, or with names equal up to case and Unicode form."""

    code = "duplicate_member"


class ArchiveTooLarge(ArchiveRefused):
    """Too many members, too large a member or too large a sum."""

    status = 413
    code = "archive_too_large"


class SuspiciousCompression(ArchiveRefused):
    """A compression ratio, or overlapping members, that only a bomb has."""

    code = "suspicious_compression"


class CorruptArchive(ArchiveRefused):
    """Damaged or truncated data."""

    code = "corrupt_archive"


class MemberNotFound(AsdError, LookupError):
    """A file that the card or a row names and the archive does not hold."""

    status = 422
    code = "member_not_found"


class InvalidRows(AsdError, ValueError):
    """A task with at least one invalid row; `report` lists the problems."""

    status = 422
    code = "invalid_rows"

    def __init__(self, message: str, report: ValidationReport) -> None:
        super().__init__(message)
        self.report = report

    def __reduce__(self) -> tuple[type[InvalidRows], tuple[str, ValidationReport]]:
        return type(self), (self.message, self.report)


class CacheRefused(AsdError, ValueError):
    """A file that cannot keep a model's answers: not writable, or something else."""

    status = 422
    code = "invalid_cache"


class OutputRefused(AsdError, ValueError):
    """A folder that is not written to, or a format that the rows cannot have."""

    status = 422
    code = "invalid_output"


class RowCheckFailed(AsdError, RuntimeError):
    """The helper process that decodes images cannot be started; a later try may succeed."""

    status = 500
    code = "image_checker_failed"
    retryable = True


class EndpointDown(AsdError, ConnectionError):
    """The endpoint of the rewriting model does not do its part; what it answered before is kept."""

    status = 503
    code = "llm_endpoint_down"
    retryable = True
