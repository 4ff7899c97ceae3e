"""The phases by name: each a small function that may be run again after a crash at any point."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from service.workflow.context import Context
from service.workflow.phases import evaluate, gate, promote, register, rewrite, train, validate

PHASE_FUNCTIONS: dict[str, Callable[[Context], dict[str, Any]]] = {
    "validate": validate.run,
    "rewrite": rewrite.run,
    "train": train.run,
    "register": register.run,
    "evaluate": evaluate.run,
    "gate": gate.run,
    "promote": promote.run,
}
