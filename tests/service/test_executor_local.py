"""The local executor: one supervisor per attempt, found again, stopped in steps."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.executors.local import LocalExecutor, supervisor_log, trainer_environment

SUPERVISOR = '''#!{python}
"""Stands for `python -m trainer supervise SPEC --grace S`; does what the attempt's plan says."""
import json, os, signal, sys, time
from pathlib import Path
from trainer.spec import ExitRecord, ProcessRecord, process_start_time

assert sys.argv[1:4] == ["-m", "trainer", "supervise"]
folder = Path(sys.argv[4]).parent
plan = json.loads((folder / "spec.json").read_text())
stops = 0

def on_stop(number, frame):
    global stops
    stops += 1

signal.signal(signal.SIGTERM, on_stop)
with (folder / "starts").open("a") as file:
    file.write(f"{{os.getpid()}}\\n")
pid = os.getpid()
record = ProcessRecord(pid=pid, start_time=process_start_time(pid), pgid=os.getpgid(0))
(folder / "process.json").write_text(record.model_dump_json())
if plan.get("complains"):
    sys.exit("cannot use the spec")
until = time.monotonic() + plan.get("seconds", 60)
while time.monotonic() < until and stops < plan.get("stops", 1):
    time.sleep(0.01)
if stops == 0:
    (folder / "result.json").write_text("{{}}")
reason = "checkpointed" if stops else "succeeded"
end = ExitRecord(code=0, signal=None, reason=reason, ended_at="now")
(folder / "exit.json").write_text(end.model_dump_json())
'''


@pytest.fixture
def executor(tmp_path: Path) -> Iterator[LocalExecutor]:
    script = tmp_path / "python"
    script.write_text(SUPERVISOR.format(python=sys.executable))
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    executor = LocalExecutor(str(script), checkpoint_seconds=1.0)
    yield executor
    for folder in tmp_path.glob("attempt*"):
        executor.stop(folder, 0.1)


def test_a_module_where_the_service_was_started_is_not_run(tmp_path: Path) -> None:
    (tmp_path / "trainer.py").write_text("raise SystemExit('somebody else')")
    command = [sys.executable, "-m", "trainer", "--help"]

    done = subprocess.run(
        command, cwd=tmp_path, env=trainer_environment(), capture_output=True, text=True
    )

    assert (done.returncode, "supervise" in done.stdout) == (0, True), done.stderr


def attempt(tmp_path: Path, name: str = "attempt", **plan: float) -> Path:
    folder = tmp_path / name
    folder.mkdir()
    (folder / "spec.json").write_text(json.dumps(plan))
    return folder


def starts(folder: Path) -> list[int]:
    until = time.monotonic() + 20
    while not (folder / "process.json").exists():
        assert time.monotonic() < until
        time.sleep(0.02)
    return [int(line) for line in (folder / "starts").read_text().split()]


def poll_until(executor: LocalExecutor, folder: Path, state: str) -> None:
    until = time.monotonic() + 20
    while (status := executor.poll(folder)).state != state:
        assert time.monotonic() < until, status
        time.sleep(0.02)


def test_an_attempt_runs_to_its_result(executor: LocalExecutor, tmp_path: Path) -> None:
    folder = attempt(tmp_path, seconds=0.2)
    assert executor.poll(folder).state == "gone"

    executor.start(folder)
    assert executor.poll(folder).state == "running"
    poll_until(executor, folder, "complete")
    executor.start(folder)

    assert len(starts(folder)) == 1


def test_a_second_start_and_a_new_service_find_the_one_that_runs(
    executor: LocalExecutor, tmp_path: Path
) -> None:
    folder = attempt(tmp_path)

    executor.start(folder)
    executor.start(folder)
    other = LocalExecutor("/no/such/python", 1.0)  # as after a restart: it must not start another
    other.start(folder)

    assert other.poll(folder).state == "running"
    assert len(starts(folder)) == 1
    other.stop(folder, 5.0)
    assert executor.poll(folder).state == "ended"


def test_a_stop_gives_time_for_a_checkpoint_and_a_start_resumes(
    executor: LocalExecutor, tmp_path: Path
) -> None:
    folder = attempt(tmp_path)
    executor.start(folder)
    starts(folder)

    executor.stop(folder, 5.0)
    status = executor.poll(folder)
    executor.start(folder)

    assert status.exit is not None
    assert status.exit.reason == "checkpointed"
    assert executor.poll(folder).state == "running"


def test_whoever_ignores_the_first_signal_gets_a_second(
    executor: LocalExecutor, tmp_path: Path
) -> None:
    folder = attempt(tmp_path, stops=2)
    executor.start(folder)
    starts(folder)

    began = time.monotonic()
    executor.stop(folder, 0.3)

    assert executor.poll(folder).state == "ended"
    assert 0.3 < time.monotonic() - began < 5


def test_a_killed_supervisor_is_gone_and_another_process_is_not_signalled(
    executor: LocalExecutor, tmp_path: Path
) -> None:
    folder = attempt(tmp_path)
    executor.start(folder)
    (pid,) = starts(folder)
    os.kill(pid, signal.SIGKILL)
    poll_until(executor, folder, "gone")
    record = json.loads((folder / "process.json").read_text())
    (folder / "process.json").write_text(json.dumps(record | {"pid": os.getpid()}))

    executor.stop(folder, 0.1)  # would end this very process, were the start time not compared

    assert executor.poll(folder).state == "gone"


def test_a_supervisor_that_cannot_begin_leaves_its_words(
    executor: LocalExecutor, tmp_path: Path
) -> None:
    folder = attempt(tmp_path, complains=1)

    executor.start(folder)
    poll_until(executor, folder, "gone")

    assert supervisor_log(folder) == ["cannot use the spec"]
