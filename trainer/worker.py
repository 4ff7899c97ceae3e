"""One rank's outer shell: signals, environment, and how every ending is reported."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from pathlib import Path
from types import FrameType

from pydantic import ValidationError

from trainer.errors import Stopped, TrainerError
from trainer.processes import die_with_parent
from trainer.spec import EXIT_RESUME, ExitReason, Outcome, TrainSpec, read_spec


class StopRequest:
    """Remembers that SIGTERM arrived; before training began it ends the process at once."""

    def __init__(self, outcome_path: Path) -> None:
        """Install the handler; `outcome_path` is written if a stop comes before training."""
        self.requested = False
        self.training = False
        self._outcome_path = outcome_path
        signal.signal(signal.SIGTERM, self._on_stop)

    def _on_stop(self, number: int, frame: FrameType | None) -> None:
        self.requested = True
        if not self.training:
            _report(self._outcome_path, EXIT_RESUME, "checkpointed", "stopped before training")
            os._exit(EXIT_RESUME)

    def check(self) -> None:
        """Raise `Stopped` if a stop was requested. For work between training and the result."""
        if self.requested:
            raise Stopped("stopped while exporting: a resume continues after the last step")


def work(spec_path: Path) -> int:
    """Run one rank of the spec's attempt; return its exit code."""
    die_with_parent()
    try:
        spec = read_spec(spec_path)
    except (OSError, ValidationError) as error:
        sys.stderr.write(f"Cannot use the training spec {spec_path}: {error}\n")
        return 1
    outcome_path = Path(spec.output_dir) / "outcome.json"
    outcome_path.parent.mkdir(parents=True, exist_ok=True)
    _prepare_environment(spec)
    code = _run(spec, StopRequest(outcome_path), outcome_path)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # nothing is left to save; tearing the libraries down takes a second


def _run(spec: TrainSpec, stop: StopRequest, outcome_path: Path) -> int:
    try:
        from trainer.run import run

        run(spec, stop)
    except Stopped as stopped:
        _report(outcome_path, EXIT_RESUME, stopped.reason, str(stopped))
        return EXIT_RESUME
    except BaseException as error:
        message = f"{type(error).__name__}: {error}"
        if isinstance(error, TrainerError):  # expected: the message says it all
            sys.stderr.write(message + "\n")
        else:
            traceback.print_exc()
        _report(outcome_path, 1, _reason(error), message)
        return 1
    return 0


def _reason(error: BaseException) -> ExitReason:
    if isinstance(error, TrainerError):
        return error.reason
    torch_says_so = type(error).__name__ == "OutOfMemoryError" or "allocate memory" in str(error)
    if isinstance(error, MemoryError) or torch_says_so:
        return "out_of_memory"
    return "crashed"


def _report(path: Path, code: int, reason: ExitReason, message: str) -> None:
    outcome = Outcome(code=code, reason=reason, message=message[:2000])
    try:
        with path.open("x", encoding="utf-8") as file:  # the first rank to end knows the cause
            file.write(outcome.model_dump_json())
    except FileExistsError:
        return


def _prepare_environment(spec: TrainSpec) -> None:
    if Path(spec.base.path).is_dir():
        os.environ.setdefault("HF_HUB_OFFLINE", "1")  # everything needed lies here
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("TORCHDYNAMO_DISABLE", "1")  # nothing is compiled; its import is slow
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
