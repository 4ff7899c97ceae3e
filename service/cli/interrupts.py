"""Commands that write, ended early: what is unfinished goes, and the command says so."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from rich.text import Text

from service.cli import context

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def ended_cleanly(*outputs: Path | None) -> Iterator[None]:
    """Let Ctrl-C, a signal to end and a closed terminal pass by what removes unfinished outputs.

    The exit code is 128 and the signal's number. What is ignored, as under nohup, stays ignored.
    """

    def end(signal_number: int, frame: FrameType | None) -> None:
        for it in before:  # a second Ctrl-C must not stop the removal
            signal.signal(it, signal.SIG_IGN)
        raise SystemExit(128 + signal_number)

    before = {it: signal.getsignal(it) for it in _SIGNALS}
    for it, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(it, end)
    try:
        yield
    except SystemExit:
        context.errors.print(Text(_interrupted(outputs)), soft_wrap=True)
        raise
    finally:
        for it, handler in before.items():
            signal.signal(it, handler)


def _interrupted(outputs: tuple[Path | None, ...]) -> str:
    missing = [str(it) for it in outputs if it and not _is_written(it)]
    return "interrupted" + (f": nothing was written to {' and '.join(missing)}" if missing else "")


def _is_written(path: Path) -> bool:
    return any(path.iterdir()) if path.is_dir() else path.exists()
