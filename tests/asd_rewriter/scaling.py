"""How a function's time grows with its text: judged by a ratio of processor time."""

from __future__ import annotations

from collections.abc import Callable
from time import process_time

SHORT, LONG = 8_000, 32_000
NOTHING_SECONDS = 0.002
"""Below this a time is noise, whatever its growth."""


def growth(call: Callable[[str], object], text_of: Callable[[int], str]) -> float:
    """Return how much longer the call takes on four times the text: 4 is linear, 16 quadratic."""
    short, long = (_best(call, text_of(size)) for size in (SHORT, LONG))
    return max(long, NOTHING_SECONDS) / max(short, NOTHING_SECONDS)


def _best(call: Callable[[str], object], text: str) -> float:
    return min(_seconds(call, text) for _ in range(3))


def _seconds(call: Callable[[str], object], text: str) -> float:
    began = process_time()
    call(text)
    return process_time() - began
