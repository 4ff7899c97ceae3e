"""Process trees on Linux: who descends from whom, and dying together. Torch-free."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def die_with_parent() -> None:
    """Ask the kernel to SIGKILL this process when its parent ends (Linux)."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def adopt_orphans() -> None:
    """Make this process the parent of descendants whose own parent ends (Linux)."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def children_of(pid: int) -> list[int]:
    """Return the pids whose parent is `pid`, zombies left out; empty without /proc."""
    return [child for child, parent in _parents().items() if parent == pid]


def descendants_of(pid: int) -> list[int]:
    """Return all pids below `pid`, parents before children, zombies left out."""
    parents = _parents()
    found, border = [], [pid]
    while border:
        border = [child for child, parent in parents.items() if parent in border]
        found.extend(border)
    return found


def kill_descendants(within_seconds: float = 5.0) -> None:
    """SIGKILL and reap everything below this process; give up after `within_seconds`."""
    deadline = time.monotonic() + within_seconds
    while (left := descendants_of(os.getpid())) and time.monotonic() < deadline:
        for pid in left:
            send(pid, signal.SIGKILL)
        _reap()
        time.sleep(0.02)
    _reap()


def send(pid: int, number: int) -> None:
    """Send a signal; a process that is already gone is no error."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def _reap() -> None:
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return


def _parents() -> dict[int, int]:
    parents = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent = entry.read_text(errors="replace").rpartition(")")[2].split()[:2]
        except (OSError, ValueError):
            continue
        if state not in "ZX":
            parents[int(entry.parent.name)] = int(parent)
    return parents
