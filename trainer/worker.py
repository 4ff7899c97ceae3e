"""One rank's outer shell: signals, environment, and how every ending is reported."""

from __future__ import annotations

import os
import sys
import traceback
from pathlib import Path

from pydantic import ValidationError

from trainer.errors import Stopped, TrainerError, reason_of
from trainer.processes import die_with_parent
from trainer.spec import EXIT_RESUME, BaseModelSpec, TrainSpec, read_spec
from trainer.stopping import StopRequest, report


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
    prepare_environment(spec.base)
    code = _run(spec, StopRequest(outcome_path), outcome_path)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # nothing is left to save; tearing the libraries down takes a second


def _run(spec: TrainSpec, stop: StopRequest, outcome_path: Path) -> int:
    try:
        from trainer.run import run

        run(spec, stop)
    except Stopped as stopped:
        report(outcome_path, EXIT_RESUME, stopped.reason, str(stopped))
        return EXIT_RESUME
    except BaseException as error:
        message = f"{type(error).__name__}: {error}"
        if isinstance(error, TrainerError):  # expected: the message says it all
            sys.stderr.write(message + "\n")
        else:
            traceback.print_exc()
        report(outcome_path, 1, reason_of(error), message)
        return 1
    return 0


def prepare_environment(base: BaseModelSpec) -> None:
    """Set what the libraries read when they are imported."""
    if Path(base.path).is_dir():
        os.environ.setdefault("HF_HUB_OFFLINE", "1")  # everything needed lies here
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("TORCHDYNAMO_DISABLE", "1")  # nothing is compiled; its import is slow
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
