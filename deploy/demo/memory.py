"""Peak memory of a process and all its descendants, as the sum of their PSS."""

from __future__ import annotations

import threading

import psutil


class MemoryPeak:
    """Sample the summed PSS of this process's tree in the background.

    PSS counts a page shared by n processes 1/n in each, so the sum counts it once.
    """

    def __init__(self, interval_seconds: float = 1.0) -> None:
        self.peak_bytes = 0
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
            self.peak_bytes = max(self.peak_bytes, tree_pss(psutil.Process()))


def tree_pss(root: psutil.Process) -> int:
    """Return the summed PSS in bytes of a process and its descendants."""
    return sum(_pss(process) for process in [root, *root.children(recursive=True)])


def _pss(process: psutil.Process) -> int:
    try:
        return int(process.memory_full_info().pss)
    except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
        return 0
