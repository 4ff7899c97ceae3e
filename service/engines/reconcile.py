"""Which adapters an engine should let go of so that the needed ones fit. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Resident:
    """A loaded adapter: when it was last used (any clock), how many requests hold it now."""

    name: str
    last_used: float
    pins: int = 0


@dataclass(frozen=True)
class LoadPlan:
    """Names to unload first, then names to load."""

    unload: tuple[str, ...]
    load: tuple[str, ...]


def plan_loads(residents: Iterable[Resident], wanted: Sequence[str], capacity: int) -> LoadPlan:
    """Return what to unload and load so that all of `wanted` are loaded.

    Beyond `capacity` the least recently used ones go, but never one that is wanted or held: the
    engine may therefore hold more than `capacity` for a while (it swaps them from disk itself).
    """
    loaded = {resident.name: resident for resident in residents}
    load = tuple(name for name in dict.fromkeys(wanted) if name not in loaded)
    free = [
        resident
        for resident in sorted(loaded.values(), key=lambda it: (it.last_used, it.name))
        if resident.pins == 0 and resident.name not in wanted
    ]
    excess = len(loaded) + len(load) - capacity
    return LoadPlan(tuple(resident.name for resident in free[: max(0, excess)]), load)
