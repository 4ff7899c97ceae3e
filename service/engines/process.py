"""One engine process: started, found again after a restart of the service, ended for certain.

It leads a session of its own, so that Ctrl-C in a terminal does not reach it and all its workers
can be found and ended with it. `engine.json` in the engine folder says which process it is.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import structlog
from pydantic import BaseModel, ConfigDict

from service.engines.client import EngineClient
from service.engines.command import Base, EngineBuild, Launch
from service.errors import EngineUnavailable
from trainer.spec import process_start_time

log = structlog.get_logger()

RECORD_FILE = "engine.json"
_LOG_LINES = 20
_KEPT_LOGS = 5
_POLL_SECONDS = 0.1


class EngineRecord(BaseModel):
    """`engine.json`: the process (pid and start time in ticks), its base, port and flags.

    A `lent` engine belongs to someone else: it is used while it fits, and never ended from here.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    pid: int
    start_time: int
    base_path: str
    base_digest: str
    port: int
    fingerprint: str
    engine_version: str
    log_file: str
    lent: bool = False


@dataclass(eq=False)
class EngineProcess:
    """A running (or just started) engine; `child` is None for an adopted one."""

    record: EngineRecord
    client: EngineClient
    child: subprocess.Popen[bytes] | None

    @property
    def base(self) -> Base:
        """The base that it serves."""
        return Base(self.record.base_path, self.record.base_digest)

    def alive(self) -> bool:
        """Say whether that very process still runs."""
        if self.child is not None:
            self.child.poll()  # reaps it
        return process_start_time(self.record.pid) == self.record.start_time

    def wait_until_healthy(self, timeout: float, stopped: Callable[[], bool]) -> None:
        """Return once it answers; raises EngineUnavailable with its last log lines otherwise."""
        deadline = time.monotonic() + timeout
        while not self.client.is_healthy():
            if not self.alive():
                raise EngineUnavailable(f"the engine ended while starting: {self.log_tail()}")
            if stopped():
                raise EngineUnavailable("the service is stopping.")
            if time.monotonic() > deadline:
                raise EngineUnavailable(
                    f"the engine was not ready within {timeout:.0f} s; raise "
                    f"RETAIN_ENGINE_START_TIMEOUT_SECONDS if it is slow: {self.log_tail()}"
                )
            time.sleep(_POLL_SECONDS)

    def log_tail(self) -> str:
        """Return its last log lines."""
        try:
            text = Path(self.record.log_file).read_text(encoding="utf-8", errors="replace")
        except OSError:
            return "(no log)"
        return "\n".join(text.splitlines()[-_LOG_LINES:])

    def end(self, grace_seconds: float = 10.0) -> None:
        """End it and all its workers: SIGTERM, then SIGKILL; returns when none is left."""
        self.client.close()
        if self.record.lent:
            return
        end_session(self.record.pid, self.record.start_time, grace_seconds)
        if self.child is not None:
            self.child.wait()


def start_process(
    folder: Path, launch: Launch, base: Base, build: EngineBuild, port: int
) -> EngineProcess:
    """Start an engine and write its record; it is not healthy yet."""
    log_file = _new_log(folder)
    with log_file.open("wb") as output:
        child = subprocess.Popen(
            launch.command,
            env=launch.environment,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    record = EngineRecord(
        pid=child.pid,
        start_time=process_start_time(child.pid) or 0,
        base_path=base.path,
        base_digest=base.digest,
        port=port,
        fingerprint=launch.fingerprint,
        engine_version=build.version,
        log_file=str(log_file),
    )
    _write_record(folder, record)
    log.info("engine.started", pid=child.pid, base=base.name, port=port)
    return EngineProcess(record, EngineClient(_url(port)), child)


def find_process(folder: Path) -> EngineProcess | None:
    """Return the engine that an earlier service left running, if there is one."""
    record = read_record(folder)
    if record is None:
        return None
    found = EngineProcess(record, EngineClient(_url(record.port)), None)
    if found.alive():
        return found
    found.end()  # its workers may have outlived it
    return None


def read_record(folder: Path) -> EngineRecord | None:
    """Return the record in the engine folder, or None when there is none that can be read."""
    try:
        return EngineRecord.model_validate_json((folder / RECORD_FILE).read_bytes())
    except (OSError, ValueError):
        return None


def forget_process(folder: Path) -> None:
    """Remove the record: no engine of this folder runs any more."""
    (folder / RECORD_FILE).unlink(missing_ok=True)


def free_port() -> int:
    """Return a loopback port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def end_session(leader: int, start_time: int, grace_seconds: float) -> None:
    """End a session's leader and members: SIGTERM to the leader, then SIGKILL to all.

    A session's number is not given away while it has members, so another process under the
    leader's pid means that the session is gone.
    """
    if process_start_time(leader) == start_time:
        _send(leader, signal.SIGTERM)
        _wait_for_end(leader, start_time, grace_seconds)
    while members := _members(leader, start_time):
        for pid in members:
            _send(pid, signal.SIGKILL)
        time.sleep(0.02)


def _wait_for_end(leader: int, start_time: int, grace_seconds: float) -> None:
    deadline = time.monotonic() + grace_seconds
    while _members(leader, start_time) and time.monotonic() < deadline:
        time.sleep(0.05)


def _members(leader: int, start_time: int) -> list[int]:
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


def _send(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def _url(port: int) -> str:
    return f"http://127.0.0.1:{port}"


def _write_record(folder: Path, record: EngineRecord) -> None:
    temporary = folder / f"{RECORD_FILE}.new"
    temporary.write_text(record.model_dump_json(indent=1), encoding="utf-8")
    temporary.replace(folder / RECORD_FILE)


def _new_log(folder: Path) -> Path:
    logs = sorted(folder.glob("engine-*.log"))
    for old in logs[: -(_KEPT_LOGS - 1)]:
        old.unlink(missing_ok=True)
    return folder / f"engine-{time.time_ns()}.log"
