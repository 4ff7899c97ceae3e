"""One engine process: started, found again after a restart of the service, ended for certain.

It leads a session of its own, so that Ctrl-C in a terminal does not reach it and all its workers
can be found and ended with it. `engine.json` in the engine folder says which process it is.
"""

from __future__ import annotations

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
from service.engines.sessions import end_marked_sessions, end_session, marker
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
    dtype: str = "float32"
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
            env=launch.environment | marker(folder),
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
        dtype=launch.dtype,
    )
    _write_record(folder, record)
    log.info("engine.started", pid=child.pid, base=base.name, port=port)
    return EngineProcess(record, EngineClient(_url(port)), child)


def find_process(folder: Path) -> EngineProcess | None:
    """Return the engine that an earlier service left running, if there is one.

    Others that were started for this folder, but never got into its record, are ended.
    """
    record = read_record(folder)
    end_marked_sessions(folder, keep=record.pid if record else None)
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
