"""Why a trainer ended: a pure reading of its last word, its exit status and its log."""

from __future__ import annotations

import re
import signal
from dataclasses import dataclass
from datetime import UTC, datetime

from trainer.spec import EXIT_RESUME, ExitReason, ExitRecord, Outcome

LOG_TAIL_LINES = 40

_OUT_OF_MEMORY = re.compile(
    r"OutOfMemoryError|MemoryError|std::bad_alloc|can't allocate memory|out of memory",
    re.IGNORECASE,
)
_RANK_EXIT = re.compile(r"exitcode\s*:\s*(-?\d+)")  # torchrun's failure summary


@dataclass(frozen=True)
class Evidence:
    """What a supervisor knows when the trainer is gone.

    `returncode` is torchrun's (negative: the signal that ended it); `oom_kills` counts
    processes that the kernel's memory limit ended in our control group meanwhile.
    """

    returncode: int
    complete: bool
    stop_requested: bool
    outcome: Outcome | None
    log: str
    oom_kills: int = 0


def classify(evidence: Evidence) -> ExitRecord:
    """Return the exit record for the evidence. Only a complete attempt has succeeded."""
    code, killed_by = _status(evidence)
    return ExitRecord(
        code=code,
        signal=killed_by,
        reason=_reason(evidence, code, killed_by),
        ended_at=datetime.now(UTC).isoformat(timespec="milliseconds"),
        log_tail=tuple(evidence.log.splitlines()[-LOG_TAIL_LINES:]),
        message=evidence.outcome.message if evidence.outcome else None,
    )


def _status(evidence: Evidence) -> tuple[int | None, int | None]:
    if evidence.complete:
        return 0, None
    if evidence.outcome is not None:
        return evidence.outcome.code, None
    codes = [int(code) for code in _RANK_EXIT.findall(evidence.log)]
    # Ranks that torchrun ends after the first failure carry SIGTERM: the cause is another's.
    first = next((code for code in codes if code != -signal.SIGTERM), evidence.returncode)
    return (None, -first) if first < 0 else (first, None)


def _reason(evidence: Evidence, code: int | None, killed_by: int | None) -> ExitReason:
    if evidence.complete:
        return "succeeded"
    outcome = evidence.outcome
    # When one rank is killed the others fail in the next collective and say so.
    misled = outcome is not None and outcome.reason == "crashed" and evidence.oom_kills > 0
    if outcome is not None and not misled:
        return outcome.reason
    if code == EXIT_RESUME:
        return "checkpointed"
    if evidence.stop_requested and not misled and killed_by != signal.SIGKILL:
        return "checkpointed"  # stopped before it had anything to save
    if evidence.oom_kills > 0:
        return "out_of_memory"
    if killed_by in (signal.SIGKILL, signal.SIGTERM, signal.SIGINT):
        return "killed"
    return "out_of_memory" if _OUT_OF_MEMORY.search(evidence.log) else "crashed"
