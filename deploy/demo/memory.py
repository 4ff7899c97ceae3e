"""Peak memory of all that works on one state folder, as the sum of the processes' PSS."""

from __future__ import annotations

import threading
from pathlib import Path

import psutil

_MARKS = ("RETAIN_STATE_DIR", "_RETAIN_ENGINE_OF")


class MemoryPeak:
    """Sample in the background: this process, its descendants, and what works on `state_dir`.

    The last finds services, trainers and engines that an earlier demo left running. PSS counts a
    page shared by n processes 1/n in each, so the sum counts it once.
    """

    def __init__(self, state_dir: Path, interval_seconds: float = 1.0) -> None:
        self.peak_bytes = 0
        self._state_dir = state_dir.resolve()
        self._interval = interval_seconds
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="memory-peak", daemon=True)
        self._thread.start()

    def stop(self) -> int:
        """End sampling; return the peak in bytes."""
        self._stop.set()
        self._thread.join()
        return self.peak_bytes

    def _run(self) -> None:
        while not self._stop.wait(self._interval):
            found = sum(_pss(process) for process in working_on(self._state_dir))
            self.peak_bytes = max(self.peak_bytes, found)


def working_on(state_dir: Path) -> set[psutil.Process]:
    """Return this process, its descendants and every process started for a state folder."""
    own = psutil.Process()
    marked = [process for process in psutil.process_iter() if _is_marked(process, state_dir)]
    return {own, *own.children(recursive=True), *marked}


def _is_marked(process: psutil.Process, state_dir: Path) -> bool:
    try:
        environment = process.environ()
    except (psutil.Error, OSError):
        return False
    values = [Path(environment[name]) for name in _MARKS if environment.get(name)]
    return any(value == state_dir or state_dir in value.parents for value in values)


def _pss(process: psutil.Process) -> int:
    try:
        return int(process.memory_full_info().pss)
    except psutil.Error:
        return 0
