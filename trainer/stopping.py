"""How a rank is asked to stop, and how it says why it ends."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from types import FrameType

from trainer.errors import Stopped
from trainer.spec import EXIT_RESUME, ExitReason, Outcome

_OUTSIDE = "stopped outside training: a resume continues from the last checkpoint"


class StopRequest:
    """Remembers that SIGTERM arrived; outside training it ends the process at once."""

    def __init__(self, outcome_path: Path) -> None:
        """Install the handler; `outcome_path` is written if a stop comes outside training."""
        self.requested = False
        self.training = False
        self._outcome_path = outcome_path
        signal.signal(signal.SIGTERM, self._on_stop)

    def _on_stop(self, number: int, frame: FrameType | None) -> None:
        self.requested = True
        if not self.training:
            report(self._outcome_path, EXIT_RESUME, "checkpointed", _OUTSIDE)
            os._exit(EXIT_RESUME)

    def end_training(self) -> None:
        """Note that the last step's checkpoint is written; raise `Stopped` if a stop came late.

        What follows is not worth saving: a resume does it again from that checkpoint.
        """
        self.training = False
        if self.requested:
            raise Stopped(_OUTSIDE)


def report(path: Path, code: int, reason: ExitReason, message: str) -> None:
    """Write `outcome.json`, unless another rank has: the first to end knows the cause."""
    outcome = Outcome(code=code, reason=reason, message=message[:2000])
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(outcome.model_dump_json())
    except FileExistsError:
        return
