"""Driving real attempts: the supervisor as a process, watched through its files."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from trainer.processes import descendants_of
from trainer.spec import ExitRecord, TrainResult, TrainSpec

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_SECONDS = 120.0


def start(spec: TrainSpec) -> subprocess.Popen[bytes]:
    """Start the supervisor for a spec written by `make_spec`."""
    command = [sys.executable, "-m", "trainer", "supervise", f"{spec.output_dir}.json"]
    return subprocess.Popen(command, cwd=ROOT, start_new_session=True)


def finish(process: subprocess.Popen[bytes], spec: TrainSpec) -> ExitRecord:
    """Wait for the supervisor's end; return what it recorded."""
    process.wait(timeout=PATIENCE_SECONDS)
    text = (Path(spec.output_dir) / "exit.json").read_text(encoding="utf-8")
    return ExitRecord.model_validate_json(text)


def run(spec: TrainSpec) -> ExitRecord:
    """Run an attempt to its end."""
    return finish(start(spec), spec)


def wait_for_step(spec: TrainSpec, step: int) -> None:
    """Return once the newest event of the attempt is at `step` or later."""
    events = Path(spec.output_dir) / "events.jsonl"
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        if events.exists() and any(
            event.get("step", -1) >= step for event in map(json.loads, _whole_lines(events))
        ):
            return
        time.sleep(0.02)
    raise TimeoutError(f"{events} never reached step {step}")


def _whole_lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").rpartition("\n")[0].splitlines()


def rank_pids(supervisor: int) -> list[int]:
    """Return the pids of the rank processes below a supervisor."""
    return [pid for pid in descendants_of(supervisor) if b"run" in _arguments(pid)[-2:]]


def _arguments(pid: int) -> list[bytes]:
    arguments = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[:-1]
    return [] if b"torch.distributed.run" in arguments else arguments


def kill_ranks(supervisor: int, number: int = signal.SIGKILL) -> None:
    """Send a signal to every rank."""
    for pid in rank_pids(supervisor):
        os.kill(pid, number)


def result_of(spec: TrainSpec) -> TrainResult:
    """Return a complete attempt's result."""
    text = (Path(spec.output_dir) / "result.json").read_text(encoding="utf-8")
    return TrainResult.model_validate_json(text)
