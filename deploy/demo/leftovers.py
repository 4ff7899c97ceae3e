"""What a service that was killed leaves running: trainers and an engine, ended for certain."""

from __future__ import annotations

import sys
from pathlib import Path

from service.engines.process import find_process, forget_process
from service.executors.local import SPEC_FILE, LocalExecutor
from service.lock import StateLock

CHECKPOINT_SECONDS = 30.0


def end_leftovers(state_dir: Path) -> None:
    """End every trainer (it writes a checkpoint first) and engine of a state folder. Waits.

    Raises PermanentConflict while a service works in the folder: they are that service's.
    """
    lock = StateLock(state_dir / "service.lock")
    try:
        executor = LocalExecutor(sys.executable, CHECKPOINT_SECONDS)
        for spec in state_dir.glob(f"attempts/*/*/{SPEC_FILE}"):
            executor.stop(spec.parent, CHECKPOINT_SECONDS)
        engine = find_process(state_dir / "engine")
        if engine is not None:
            engine.end()
        forget_process(state_dir / "engine")
    finally:
        lock.release()
