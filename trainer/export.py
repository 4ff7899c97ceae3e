"""What a finished attempt leaves behind: `result.json`, written last, names every file."""

from __future__ import annotations

import resource
import sys
from pathlib import Path

from safetensors import safe_open

from trainer.errors import NonFiniteLoss
from trainer.files import sha256_of, write_atomically
from trainer.spec import TrainResult

DELTA = "delta"
STATE = "state"
CANARY_FILE = "canary.json"
RESULT_FILE = "result.json"


def digest_files(folder: Path) -> dict[str, str]:
    """Return SHA-256 hex digests of delta, state and canary by path relative to `folder`."""
    roots = [folder / DELTA, folder / STATE]
    files = [path for root in roots for path in sorted(root.rglob("*")) if path.is_file()]
    return {
        path.relative_to(folder).as_posix(): sha256_of(path)
        for path in [*files, folder / CANARY_FILE]
    }


def refuse_non_finite(folder: Path) -> None:
    """Raise NonFiniteLoss if an exported tensor, of delta or state, holds NaN or infinity.

    The loss of a step tells of the gradients before it: only this sees the last ones.
    """
    for path in sorted(folder.rglob("*.safetensors")):
        with safe_open(path, framework="pt") as file:
            for name in file.keys():  # noqa: SIM118 (it is no mapping)
                tensor = file.get_tensor(name)
                if tensor.is_floating_point() and not tensor.isfinite().all():
                    raise NonFiniteLoss(
                        f"{name} in {path.name} is not finite after the last step. Lower "
                        "learning_rate or the method's coefficient, or check the rows of this task."
                    )


def write_result(folder: Path, result: TrainResult) -> None:
    """Write `result.json`; from then on the attempt counts as complete."""
    write_atomically(folder / RESULT_FILE, result.model_dump_json(indent=1))


def peak_memory_bytes() -> int:
    """Return the largest resident size that this process has had."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
