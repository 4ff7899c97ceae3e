"""Why a job failed: a code to act on, a message for people, the last log lines."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from typing import Any

from sqlalchemy.exc import OperationalError

from adapters_store.errors import StoreError
from asd_rewriter.errors import AsdError
from eval.errors import EvalError
from service.errors import RetainError
from trainer.spec import ExitRecord

_KNOWN = (RetainError, StoreError, AsdError, EvalError)

_FULL = ("database or disk is full", "No space left on device")  # SQLite's words, PostgreSQL's
_TRAINER = {
    "out_of_memory": (
        "out_of_memory",
        "the trainer ran out of memory. Use a smaller batch_size with more "
        "gradient_accumulation, a shorter max_length or a lower rank, then submit again.",
    ),
    "nan_loss": (
        "nan_loss",
        "the loss became NaN or infinite. Use a lower learning_rate, more warmup, or precision "
        "fp32, then submit again.",
    ),
    "invalid_input": (
        "invalid_input",
        "the trainer cannot use what it was given. Correct it, then submit again.",
    ),
    "killed": (
        "trainer_killed",
        "the trainer was killed from outside, again and again. Find out by whom (memory limit, "
        "operator), then retry the job: it continues on the stored data.",
    ),
    "crashed": (
        "trainer_crashed",
        "the trainer crashed; its last log lines are attached. Correct the cause, then retry.",
    ),
}


class TrainingFailed(RetainError):
    """A training attempt that will not succeed by itself."""

    code = "trainer_crashed"

    def __init__(self, code: str, message: str, log_tail: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.code = code
        self.log_tail = tuple(log_tail)


def training_failure(record: ExitRecord) -> TrainingFailed:
    """Return the failure behind a trainer's exit record."""
    code, message = _TRAINER.get(record.reason, _TRAINER["crashed"])
    how = f" (signal {record.signal})" if record.signal else f" (exit code {record.code})"
    said = f" It said: {record.message}" if record.message else ""
    return TrainingFailed(code, message + how + said, record.log_tail)


def is_known(error: Exception) -> bool:
    """Say whether an error was foreseen: it then carries a code and a message for people."""
    return isinstance(error, _KNOWN) or is_disk_full(error)


def describe_failure(error: Exception, phase: str) -> dict[str, Any]:
    """Return a job's error record: code, message, phase, log_tail."""
    code = str(getattr(error, "code", "internal_error"))
    message = str(getattr(error, "message", error))
    if is_disk_full(error):
        code = "storage_full"
        message = "the disk is full. Free some space, then retry the job."
    elif not is_known(error):
        code = "internal_error"
        message = f"phase {phase} failed with {type(error).__name__}; see the service's log."
    tail = [str(line) for line in getattr(error, "log_tail", ())]
    return {"code": code, "message": message, "phase": phase, "log_tail": tail}


def is_disk_full(error: Exception) -> bool:
    """Say whether an error is the system's or the database's word for a full disk or quota."""
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT)
    return isinstance(error, OperationalError) and any(it in str(error.orig) for it in _FULL)
