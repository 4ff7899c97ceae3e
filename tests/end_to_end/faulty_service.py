"""Run the real service, but SIGKILL it in the middle of one phase of the first job that gets there.

The kill comes from a wrapper around a call that the phase makes half-way, so that the phase has
begun, has had effects, and has not stored its outcome.
"""

from __future__ import annotations

import argparse
import importlib
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

HALF_WAY = {
    "validate": "service.workflow.phases.validate:validate_task",
    "rewrite": "service.workflow.phases.rewrite:write_samples",
    "train": "service.executors.local:LocalExecutor.poll",
    "register": "adapters_store.store:VersionStore.publish",
    "evaluate": "service.workflow.evaluating:predict_all",
    "gate": "service.workflow.phases.gate:find_worst_items",
    "promote": "service.workflow.phases.promote:move_alias",
}
"""What a phase calls half-way; the process dies right after that call returned."""


def arm(phase: str, calls_before: int) -> None:
    """Replace a phase's half-way call by one that kills this process after it returned."""
    module_name, _, path = HALF_WAY[phase].partition(":")
    owner: Any = importlib.import_module(module_name)
    *parents, name = path.split(".")
    for parent in parents:
        owner = getattr(owner, parent)
    setattr(owner, name, _deadly(getattr(owner, name), calls_before))


def _deadly(call: Callable[..., Any], calls_before: int) -> Callable[..., Any]:
    left = calls_before

    def wrapper(*args: Any, **kwargs: Any) -> Any:
        nonlocal left
        result = call(*args, **kwargs)
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    return wrapper


def main() -> None:
    """Arm the fault, then run `retain serve` with the remaining arguments."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kill-in", choices=sorted(HALF_WAY), required=True)
    parser.add_argument("--calls-before", type=int, default=0)
    options, rest = parser.parse_known_args()
    arm(options.kill_in, options.calls_before)
    from service.cli import main as retain

    sys.argv = ["retain", *rest]
    retain()


if __name__ == "__main__":
    main()
