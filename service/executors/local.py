"""Training attempts as local processes that outlive the service.

A supervisor (`python -m trainer supervise`) runs in a session of its own and holds a lock on its
attempt's folder for as long as it lives; the kernel releases it, however the supervisor ends. So
"does it still run" has one answer, before and after a restart of the service, and two
supervisors never share a folder. Whether an attempt succeeded is for `result.json` alone to say.
"""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from pydantic import ValidationError

from trainer.spec import ExitRecord, ProcessRecord

SPEC_FILE = "spec.json"
_LOCK_FILE = "supervisor.lock"
_LOG_FILE = "supervisor.log"
_KILL_SECONDS = 5.0
_POLL_SECONDS = 0.1
_TAIL_LINES = 40


@dataclass(frozen=True)
class AttemptStatus:
    """Where an attempt stands.

    `complete`: `result.json` is there. `ended`: the supervisor wrote how it ended (`exit`).
    `gone`: neither, and nothing runs; it was never started, or killed without a last word.
    """

    state: Literal["running", "complete", "ended", "gone"]
    exit: ExitRecord | None = None


class Executor(Protocol):
    """Starts, watches and stops training attempts, each a folder with a `spec.json`."""

    def start(self, attempt_dir: Path) -> None:
        """Start or resume an attempt; nothing happens when it runs or is complete."""
        ...

    def poll(self, attempt_dir: Path) -> AttemptStatus:
        """Return where an attempt stands."""
        ...

    def stop(self, attempt_dir: Path, grace_seconds: float) -> None:
        """End an attempt; within the grace it may write a checkpoint. Returns when it is gone."""
        ...


class LocalExecutor:
    """Runs attempts on this machine."""

    def __init__(self, python: str, checkpoint_seconds: float) -> None:
        """Start supervisors with `python`; a trainer has `checkpoint_seconds` after SIGTERM."""
        self._python = python
        self._checkpoint_seconds = checkpoint_seconds
        self._children: list[subprocess.Popen[bytes]] = []

    def start(self, attempt_dir: Path) -> None:
        """Start a supervisor unless one runs; it resumes from the attempt's last checkpoint."""
        self._reap()
        if (attempt_dir / "result.json").exists():
            return
        lock = _try_lock(attempt_dir)
        if lock is None:
            return
        try:
            (attempt_dir / "exit.json").unlink(missing_ok=True)
            with (attempt_dir / _LOG_FILE).open("ab") as log:
                child = subprocess.Popen(
                    self._command(attempt_dir),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    cwd=attempt_dir,
                    env=trainer_environment(),
                    start_new_session=True,
                    pass_fds=[lock],
                )
        finally:
            os.close(lock)  # from here on the supervisor alone holds it
        self._children.append(child)

    def poll(self, attempt_dir: Path) -> AttemptStatus:
        """Return where an attempt stands; a held lock outweighs whatever files say."""
        self._reap()
        if _is_locked(attempt_dir):
            return AttemptStatus("running")
        if (attempt_dir / "result.json").exists():
            return AttemptStatus("complete")
        record = _read_exit(attempt_dir / "exit.json")
        return AttemptStatus("ended", record) if record else AttemptStatus("gone")

    def stop(self, attempt_dir: Path, grace_seconds: float) -> None:
        """SIGTERM once (checkpoint), after the grace again (no more waiting), then SIGKILL."""
        steps = ((signal.SIGTERM, grace_seconds), (signal.SIGTERM, _KILL_SECONDS),
                 (signal.SIGKILL, _KILL_SECONDS))  # fmt: skip
        for number, seconds in steps:
            if not _is_locked(attempt_dir):
                break
            _signal_supervisor(attempt_dir, number)
            _wait_unlocked(attempt_dir, seconds)
        self._reap()

    def _command(self, attempt_dir: Path) -> list[str]:
        grace = str(self._checkpoint_seconds)
        spec = str(attempt_dir / SPEC_FILE)
        return [self._python, "-m", "trainer", "supervise", spec, "--grace", grace]

    def _reap(self) -> None:
        self._children = [child for child in self._children if child.poll() is None]


def supervisor_log(attempt_dir: Path) -> list[str]:
    """Return the supervisor's own last lines: what it says when it cannot even begin."""
    try:
        text = (attempt_dir / _LOG_FILE).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    return text.splitlines()[-_TAIL_LINES:]


def _try_lock(attempt_dir: Path) -> int | None:
    lock = os.open(attempt_dir / _LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        return None
    return lock


def _is_locked(attempt_dir: Path) -> bool:
    if not (attempt_dir / _LOCK_FILE).exists():
        return False
    lock = _try_lock(attempt_dir)
    if lock is None:
        return True
    os.close(lock)
    return False


def _wait_unlocked(attempt_dir: Path, seconds: float) -> None:
    until = time.monotonic() + seconds
    while _is_locked(attempt_dir) and time.monotonic() < until:
        time.sleep(_POLL_SECONDS)


def _signal_supervisor(attempt_dir: Path, number: signal.Signals) -> None:
    """Signal the process in `process.json`, if it is still that very process."""
    until = time.monotonic() + _KILL_SECONDS  # a supervisor writes the file soon after it began
    while _is_locked(attempt_dir) and time.monotonic() < until:
        record = _read_process(attempt_dir / "process.json")
        if record is not None and record.alive():
            os.kill(record.pid, number)
            return
        time.sleep(_POLL_SECONDS)


def _read_exit(path: Path) -> ExitRecord | None:
    try:
        return ExitRecord.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, ValidationError):
        return None


def _read_process(path: Path) -> ProcessRecord | None:
    try:
        return ProcessRecord.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, ValidationError):
        return None


def trainer_environment() -> dict[str, str]:
    """Return an environment in which `-m trainer` is this very code."""
    root = str(Path(__file__).resolve().parents[2])
    search = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    # Safe path: a trainer.py where the service was started is not taken for ours.
    return {**os.environ, "PYTHONPATH": search, "PYTHONSAFEPATH": "1"}
