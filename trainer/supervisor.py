"""The small process above a training run. It imports no torch and outlives the service.

It starts torchrun, passes SIGTERM on to the ranks first (torchrun would give them less say),
ends whatever is left of the tree and writes down how it went. Should it be killed itself, the
kernel ends torchrun and the ranks with it: no trainer runs unsupervised.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType

from pydantic import ValidationError

from trainer.endings import Evidence, classify
from trainer.files import write_atomically
from trainer.processes import (
    adopt_orphans,
    children_of,
    descendants_of,
    die_with_parent,
    kill_descendants,
    send,
)
from trainer.spec import (
    EXIT_RESUME,
    ExitRecord,
    Outcome,
    ProcessRecord,
    TrainSpec,
    process_start_time,
    read_spec,
)

STOP_GRACE_SECONDS = 30.0
"""Time the ranks have between SIGTERM and SIGKILL to write a checkpoint."""
_POLL_SECONDS = 0.2
_LOG_TAIL_BYTES = 64 * 1024


class Supervisor:
    """Runs one attempt from start to `exit.json`."""

    def __init__(self, spec: TrainSpec, spec_path: Path, grace_seconds: float) -> None:
        """Prepare to run the attempt whose folder is `spec.output_dir`."""
        self._spec = spec
        self._spec_path = spec_path
        self._grace_seconds = grace_seconds
        self._folder = Path(spec.output_dir)
        self._stops = 0

    def run(self) -> ExitRecord:
        """Start the trainer, wait for its end, clean up, and return (and write) the record."""
        self._folder.mkdir(parents=True, exist_ok=True)
        for name in ("exit.json", "outcome.json"):
            (self._folder / name).unlink(missing_ok=True)
        log_path = self._folder / "trainer.log"
        oom_kills = _oom_kills()
        with log_path.open("ab") as log:
            log_start = log.tell()
            returncode = 0 if self._complete() else self._run_trainer(log.fileno())
        record = classify(
            Evidence(
                returncode=returncode,
                complete=self._complete(),
                stop_requested=self._stops > 0,
                outcome=_read_outcome(self._folder / "outcome.json"),
                log=_tail(log_path, log_start),
                oom_kills=_oom_kills() - oom_kills,
            )
        )
        write_atomically(self._folder / "exit.json", record.model_dump_json(indent=1))
        return record

    def _complete(self) -> bool:
        return (self._folder / "result.json").exists()

    def _run_trainer(self, log: int) -> int:
        adopt_orphans()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_stop)
        trainer = subprocess.Popen(
            _command(self._spec, self._spec_path),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=_environment(self._spec.hyperparameters.ranks),
            process_group=0,
            preexec_fn=die_with_parent,
        )
        self._write_process_record(trainer.pid)
        try:
            return self._wait(trainer)
        finally:
            kill_descendants()

    def _write_process_record(self, pgid: int) -> None:
        pid = os.getpid()
        record = ProcessRecord(pid=pid, start_time=process_start_time(pid) or 0, pgid=pgid)
        write_atomically(self._folder / "process.json", record.model_dump_json())

    def _on_stop(self, number: int, frame: FrameType | None) -> None:
        self._stops += 1

    def _wait(self, trainer: subprocess.Popen[bytes]) -> int:
        deadline = None
        while True:
            try:
                return trainer.wait(timeout=_POLL_SECONDS)
            except subprocess.TimeoutExpired:
                pass
            if self._stops and deadline is None:
                deadline = time.monotonic() + self._grace_seconds
                for pid in children_of(trainer.pid) or [trainer.pid]:
                    send(pid, signal.SIGTERM)
            elif deadline and (self._stops > 1 or time.monotonic() > deadline):
                for pid in [*descendants_of(trainer.pid), trainer.pid]:
                    send(pid, signal.SIGKILL)


def supervise(spec_path: Path, grace_seconds: float = STOP_GRACE_SECONDS) -> int:
    """Run the attempt of a spec; return 0 (succeeded), 75 (resume me) or 1 (read `exit.json`)."""
    try:
        spec = read_spec(spec_path)
    except (OSError, ValidationError) as error:
        sys.stderr.write(f"Cannot use the training spec {spec_path}: {error}\n")
        return 1
    if os.getpid() != os.getsid(0):
        os.setsid()  # the service's terminal or death must not reach the trainer
    record = Supervisor(spec, spec_path.resolve(), grace_seconds).run()
    return {"succeeded": 0, "checkpointed": EXIT_RESUME}.get(record.reason, 1)


def _command(spec: TrainSpec, spec_path: Path) -> list[str]:
    ranks = f"--nproc-per-node={spec.hyperparameters.ranks}"
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    return [*torchrun, "--local-addr=127.0.0.1", ranks, "-m", "trainer", "run", str(spec_path)]


def _environment(ranks: int) -> dict[str, str]:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    root = str(Path(__file__).resolve().parents[1])
    wanted = {
        "OMP_NUM_THREADS": str(max(1, (cores or 1) // ranks)),
        # Threads that spin while they wait made steps 4 to 9 times slower on a shared CPU.
        "OMP_WAIT_POLICY": "PASSIVE",
        "PYTHONUNBUFFERED": "1",
        "TOKENIZERS_PARALLELISM": "false",
    }
    if sys.platform == "linux":
        wanted["GLOO_SOCKET_IFNAME"] = "lo"  # ranks of one machine talk on loopback only
    search = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    return {**wanted, **os.environ, "PYTHONPATH": search}


def _read_outcome(path: Path) -> Outcome | None:
    try:
        return Outcome.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, ValidationError):
        return None


def _tail(path: Path, start: int) -> str:
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(start, size - _LOG_TAIL_BYTES))
        return file.read().decode("utf-8", errors="replace")


def _oom_kills() -> int:
    try:
        events = Path("/sys/fs/cgroup/memory.events").read_text(encoding="ascii")
    except OSError:
        return 0
    counts = dict(line.split() for line in events.splitlines())
    return int(counts.get("oom_kill", 0))
