"""How endings are read, checkpoints judged, canaries chosen, runs planned: no model needed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.trainer.attempts import ROOT
from trainer import checkpoints
from trainer.endings import Evidence, classify
from trainer.events import EventLog
from trainer.plan import count_steps, plan_training
from trainer.spec import (
    EXIT_RESUME,
    ExitReason,
    Hyperparameters,
    Outcome,
    TrainResult,
    process_start_time,
)

CRASHED = Outcome(code=1, reason="crashed", message="RuntimeError: Connection closed by peer")
REFUSED = Outcome(code=1, reason="invalid_input", message="InputError: no image")
RANK_KILLED = "  exitcode  : -15 (pid: 8)\n  exitcode  : -9 (pid: 7)\n"


@pytest.mark.parametrize(
    ("evidence", "reason", "code", "signal"),
    [
        (Evidence(0, True, False, None, ""), "succeeded", 0, None),
        (Evidence(1, True, True, None, "teardown failed"), "succeeded", 0, None),
        (Evidence(0, False, False, None, ""), "crashed", 0, None),
        (
            Evidence(1, False, True, Outcome(code=75, reason="checkpointed", message=""), ""),
            "checkpointed",
            EXIT_RESUME,
            None,
        ),
        (
            Evidence(1, False, False, Outcome(code=1, reason="nan_loss", message=""), ""),
            "nan_loss",
            1,
            None,
        ),
        (Evidence(1, False, False, None, RANK_KILLED), "killed", None, 9),
        (Evidence(1, False, False, None, RANK_KILLED, 1), "out_of_memory", None, 9),
        (Evidence(-9, False, True, None, ""), "killed", None, 9),
        (Evidence(-15, False, True, None, ""), "checkpointed", None, 15),
        # Rank 0 was killed, rank 1 saw a broken connection and said so first.
        (Evidence(1, False, False, CRASHED, RANK_KILLED, 1), "out_of_memory", 1, None),
        (Evidence(1, False, True, CRASHED, RANK_KILLED, 1), "out_of_memory", 1, None),
        (Evidence(1, False, False, CRASHED, RANK_KILLED, 0), "crashed", 1, None),
        (Evidence(1, False, False, REFUSED, "", 1), "invalid_input", 1, None),
        (Evidence(-15, False, True, None, "", 1), "checkpointed", None, 15),
        (Evidence(1, False, False, None, "", 1), "out_of_memory", 1, None),
        (Evidence(1, False, False, None, "torch.OutOfMemoryError: x"), "out_of_memory", 1, None),
        (Evidence(1, False, False, None, "Segmentation"), "crashed", 1, None),
    ],
)
def test_endings_are_classified(
    evidence: Evidence, reason: ExitReason, code: int | None, signal: int | None
) -> None:
    record = classify(evidence)

    assert (record.reason, record.code, record.signal) == (reason, code, signal)


def test_the_record_keeps_the_trainers_own_word() -> None:
    outcome = Outcome(code=1, reason="invalid_input", message="no linear layer fits 'x'")

    assert classify(Evidence(1, False, False, outcome, "")).message == "no linear layer fits 'x'"


def test_the_record_keeps_the_last_forty_lines() -> None:
    log = "\n".join(str(number) for number in range(100))

    assert classify(Evidence(1, False, False, None, log)).log_tail == tuple(
        str(number) for number in range(60, 100)
    )


def _checkpoint(root: Path, step: int) -> Path:
    folder = checkpoints.checkpoint_folder(root, step)
    (folder / "part").mkdir(parents=True)
    (folder / "part" / "weights.pt").write_bytes(b"x" * step)
    checkpoints.mark_complete(folder)
    return folder


def test_torn_checkpoints_are_ignored_and_removed(tmp_path: Path) -> None:
    good = _checkpoint(tmp_path, 10)
    (_checkpoint(tmp_path, 20) / "part" / "weights.pt").write_bytes(b"short")
    (_checkpoint(tmp_path, 30) / "complete.json").unlink()

    assert checkpoints.find_latest(tmp_path) == good
    checkpoints.prune(tmp_path)
    assert sorted(tmp_path.iterdir()) == [good]


def test_the_two_newest_checkpoints_stay(tmp_path: Path) -> None:
    for step in (8, 16, 100):
        _checkpoint(tmp_path, step)

    checkpoints.prune(tmp_path)

    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint-100", "checkpoint-16"]
    assert checkpoints.step_of(checkpoints.find_latest(tmp_path) or tmp_path) == 100


def test_events_are_sparse_but_the_last_step_is_always_there(tmp_path: Path) -> None:
    events = EventLog(tmp_path)
    for step in range(1, 101):
        events.step(step=step, total_steps=100, loss=1.0 / step, penalty=None)
    lines = (tmp_path / "events.jsonl").read_text(encoding="utf-8").splitlines()
    steps = [json.loads(line)["step"] for line in lines]

    assert steps[0] == 1
    assert steps[-1] == 100
    assert len(steps) <= 4
    assert events.last_losses() == (0.01, None)
    events.close()


def test_a_result_without_a_known_loss_can_be_read_back(tmp_path: Path) -> None:
    events = EventLog(tmp_path)
    loss, penalty = events.last_losses()
    events.close()
    result = TrainResult(
        steps=6,
        seconds=1.0,
        peak_memory_bytes=1,
        final_loss=loss,
        final_penalty=penalty,
        trained_parameters=1,
        files={},
    )

    assert loss is None
    assert TrainResult.model_validate_json(result.model_dump_json()) == result


STOP = """
import os, signal, sys
from pathlib import Path
from trainer.errors import Stopped
from trainer.stopping import StopRequest

stop = StopRequest(Path(sys.argv[1]))
stop.training = True
if sys.argv[2] == "late":  # while the last step is taken
    os.kill(os.getpid(), signal.SIGTERM)
try:
    stop.end_training()
except Stopped as stopped:
    sys.exit(f"{stopped.reason}: {stopped}")
os.kill(os.getpid(), signal.SIGTERM)
"""


def _stop(folder: Path, when: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", STOP, str(folder / "outcome.json"), when]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


def test_a_stop_after_training_ends_the_process_at_once(tmp_path: Path) -> None:
    ended = _stop(tmp_path, "after")

    assert ended.returncode == EXIT_RESUME, ended.stderr
    outcome = Outcome.model_validate_json((tmp_path / "outcome.json").read_text(encoding="utf-8"))
    assert (outcome.code, outcome.reason) == (EXIT_RESUME, "checkpointed")


def test_a_stop_in_the_last_step_is_obeyed_before_the_export(tmp_path: Path) -> None:
    assert "checkpointed: stopped outside training" in _stop(tmp_path, "late").stderr


@pytest.mark.parametrize(
    ("rows", "options", "steps"),
    [
        (24, {"batch_size": 4}, (6, 6)),
        (25, {"batch_size": 4}, (7, 7)),
        (24, {"batch_size": 2, "gradient_accumulation": 5, "epochs": 2.0}, (3, 6)),
        (24, {"batch_size": 4, "ranks": 2, "epochs": 0.5}, (3, 2)),
        (1, {"batch_size": 64}, (1, 1)),
    ],
)
def test_steps_are_counted_with_short_last_windows(
    rows: int, options: dict[str, float], steps: tuple[int, int]
) -> None:
    assert count_steps(rows, Hyperparameters.model_validate(options)) == steps


def test_a_plan_grows_with_the_model() -> None:
    hyper = Hyperparameters()
    small, large = (
        plan_training(100, hyper, base_parameters=size, trained_parameters=size // 100)
        for size in (10**6, 10**9)
    )

    assert small.steps == large.steps == 7
    assert small.memory_bytes < large.memory_bytes
    assert small.seconds < large.seconds


def test_the_supervisor_needs_no_torch() -> None:
    code = (
        "import sys, trainer.supervisor, trainer.plan, trainer.catalog, trainer.__main__;"
        "sys.exit(bool({'torch', 'transformers', 'numpy'} & set(sys.modules)))"
    )

    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


@pytest.mark.parametrize("arguments", [["--help"], ["methods"]])
def test_the_command_line_explains_itself(arguments: list[str]) -> None:
    command = [sys.executable, "-m", "trainer", *arguments]

    shown = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout

    assert "reglora" in shown or "supervise attempt/spec.json" in shown


def test_a_process_that_is_gone_has_no_start_time() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        assert process_start_time(process.pid) is not None
    assert process_start_time(process.pid) is None
