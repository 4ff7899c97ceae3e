"""What is loaded in one engine, what is proven, and who holds it. Every call is short."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

from service.db.tables import VersionRow
from service.engines.reconcile import LoadPlan, Resident, plan_loads
from service.errors import PermanentConflict, RetainError


def is_servable(version: VersionRow) -> bool:
    """Say whether an engine here can load a version."""
    return version.servable_by not in ("plugin", "offline")


def refuse_unservable(version: VersionRow) -> None:
    """Raise PermanentConflict (422) for a version that no engine here can load."""
    if not is_servable(version):
        raise PermanentConflict(
            f"version {version.number} is served {version.servable_by}: its method adds parts "
            "that neither a LoRA nor a merged base can hold, so no engine here can answer for "
            "it. Use another version of its lineage, or a method that is served by lora or merged."
        )


@dataclass(frozen=True)
class Servable:
    """What an engine shall serve: its name there, an adapter's folder (None: the base itself),
    and the version that it belongs to with its canary."""

    name: str
    path: str | None
    version_id: str
    canary_digest: str | None

    @classmethod
    def of(cls, version: VersionRow, base_name: str) -> Servable:
        """Return a version's servable in the engine whose base is called `base_name`."""
        if version.servable_by != "lora":
            return cls(base_name, None, version.id, version.canary_digest)
        path = version.servable_path
        return cls(version.servable_digest, path, version.id, version.canary_digest)


@dataclass
class _Entry:
    servable: Servable
    last_used: float
    pins: int = 0
    proven: bool = False


@dataclass(frozen=True, eq=False)
class Hold:
    """One hold on one loading of a servable: loaded again under its name, that is another one."""

    entry: _Entry


@dataclass(frozen=True)
class _Failure:
    error: RetainError
    at: float


class AdapterTable:
    """One engine's servables by name. Safe for many threads; never waits for an engine.

    A pinned servable is in use and stays loaded; only proven ones can be pinned.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._lock = threading.Lock()
        self._entries: dict[str, _Entry] = {}
        self._failures: dict[str, _Failure] = {}
        self._closed = False

    def pin(self, name: str) -> Hold | None:
        """Hold a servable, if it is loaded and proven."""
        with self._lock:
            entry = self._entries.get(name)
            if entry is None or not entry.proven:
                return None
            entry.pins += 1
            entry.last_used = time.monotonic()
            return Hold(entry)

    def unpin(self, hold: Hold) -> None:
        """Let go; once per hold."""
        with self._lock:
            hold.entry.pins -= 1

    def add(self, servable: Servable) -> None:
        """Note that a servable is loaded, not proven yet."""
        with self._lock:
            if not self._closed:
                self._entries.setdefault(servable.name, _Entry(servable, time.monotonic()))

    def set_proven(self, name: str) -> None:
        """Note that the engine reproduced the servable's canary."""
        with self._lock:
            if name in self._entries:
                self._entries[name].proven = True
            self._failures.pop(name, None)

    def remove(self, name: str) -> None:
        """Note that a servable is not loaded any more."""
        with self._lock:
            self._entries.pop(name, None)

    def fail(self, name: str, error: RetainError) -> None:
        """Remember why a servable could not be proven."""
        with self._lock:
            self._entries.pop(name, None)
            self._failures[name] = _Failure(error, time.monotonic())

    def recent_failure(self, name: str, within_seconds: float) -> RetainError | None:
        """Return why a servable could not be proven a short while ago."""
        with self._lock:
            failure = self._failures.get(name)
        if failure is None or time.monotonic() - failure.at > within_seconds:
            return None
        return failure.error

    def has(self, name: str) -> bool:
        """Say whether a servable is loaded."""
        with self._lock:
            return name in self._entries

    def is_proven(self, name: str) -> bool:
        """Say whether a servable is loaded and proven."""
        with self._lock:
            return name in self._entries and self._entries[name].proven

    def in_use(self) -> int:
        """Return how many holds there are on this engine."""
        with self._lock:
            return sum(entry.pins for entry in self._entries.values())

    @property
    def closed(self) -> bool:
        """Whether the engine had to make room for another base's."""
        return self._closed

    def close_if_idle(self) -> bool:
        """Forget everything unless something is in use; say whether that was so."""
        with self._lock:
            if any(entry.pins for entry in self._entries.values()):
                return False
            self._entries.clear()
            self._closed = True
            return True

    def servables(self) -> list[Servable]:
        """Return what is loaded, the most recently used first."""
        with self._lock:
            entries = sorted(self._entries.values(), key=lambda entry: -entry.last_used)
            return [entry.servable for entry in entries]

    def plan(self, wanted: Sequence[str]) -> LoadPlan:
        """Return what to unload and load so that adapters called `wanted` are loaded.

        What is to be unloaded is forgotten at once, so that nobody can pin it any more.
        """
        with self._lock:
            residents = [
                Resident(name, entry.last_used, entry.pins)
                for name, entry in self._entries.items()
                if entry.servable.path is not None
            ]
            plan = plan_loads(residents, wanted, self._capacity)
            for name in plan.unload:
                del self._entries[name]
            return plan
