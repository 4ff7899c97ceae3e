"""Sessions of processes: an engine and its workers, found and ended together.

Engines carry the folder they were started for in their environment. So one is found even if the
service was killed before it could write the engine's record.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import structlog

from trainer.spec import process_start_time

log = structlog.get_logger()

_MARKER = "_RETAIN_ENGINE_OF"
_ORPHAN_GRACE_SECONDS = 10.0


def marker(folder: Path) -> dict[str, str]:
    """Return the environment variables by which `end_marked_sessions` knows an engine."""
    # SPT_NOENV: a worker that gives itself a title must not overwrite its environment with it.
    return {_MARKER: str(folder), "SPT_NOENV": "1"}


def end_marked_sessions(folder: Path, keep: int | None) -> None:
    """End every session started for an engine folder, except the one led by `keep` and our own."""
    wanted = os.fsencode(f"{_MARKER}={folder}")
    found = {_session_of(pid) for pid in _all_pids() if wanted in _environment_of(pid)}
    for leader in found - {None, keep, os.getsid(0)}:
        assert leader is not None
        log.warning("engine.orphan_ended", pid=leader)
        end_session(leader, process_start_time(leader), _ORPHAN_GRACE_SECONDS)


def end_session(leader: int, start_time: int | None, grace_seconds: float) -> None:
    """End a session's leader and members: SIGTERM to the leader, then SIGKILL to all.

    A session's number is not given away while it has members, so another process under the
    leader's pid means that the session is gone; `start_time` None says that the leader is gone.
    """
    if start_time is not None and process_start_time(leader) == start_time:
        _send(leader, signal.SIGTERM)
        _wait_for_end(leader, start_time, grace_seconds)
    while members := _members(leader, start_time):
        for pid in members:
            _send(pid, signal.SIGKILL)
        time.sleep(0.02)


def _wait_for_end(leader: int, start_time: int | None, grace_seconds: float) -> None:
    deadline = time.monotonic() + grace_seconds
    while _members(leader, start_time) and time.monotonic() < deadline:
        time.sleep(0.05)


def _members(leader: int, start_time: int | None) -> list[int]:
    if process_start_time(leader) not in (None, start_time):
        return []
    return [pid for pid in _all_pids() if _session_of(pid) == leader]


def _all_pids() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def _session_of(pid: int) -> int | None:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else int(fields[3])


def _environment_of(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return []  # it has ended, or is someone else's


def _send(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
