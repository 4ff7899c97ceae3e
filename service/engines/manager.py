"""The engines of a service: one vLLM process at a time, for the base that is needed now.

Waiting callers (jobs, alias moves) use `ensure_ready` and `use`; the gateway uses `lease`, which
never waits for an engine to start: it raises EngineUnavailable (503, retryable) and has it
started. A version is only ever answered by an engine that has reproduced its canary.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import structlog
from sqlalchemy import select

from adapters_store.backends import LocalBlobStore
from service.db.engine import Database
from service.db.tables import AliasRow, StreamRow, VersionRow
from service.engines.adapters import Servable
from service.engines.command import Base
from service.engines.lifecycle import Check, Lifecycle, never
from service.engines.serving import ServingEngine
from service.errors import EngineUnavailable, PermanentConflict
from service.settings import Settings

log = structlog.get_logger()

_PIN_ATTEMPTS = 5  # another thread may unload it between being made ready and being held


@dataclass(frozen=True)
class EngineInfo:
    """A running engine: where it answers, its base's model name there, its version, its pid."""

    base_url: str
    base_name: str
    engine_version: str
    pid: int


@dataclass(frozen=True)
class EngineRoute:
    """Where a version answers, and its model name there."""

    base_url: str
    model_name: str
    engine_version: str


@dataclass(frozen=True, eq=False)
class Lease:
    """A route held for one request: engine and adapter stay until it is released."""

    route: EngineRoute
    engine: ServingEngine
    name: str


class EngineManager:
    """Starts, adopts, watches and ends the engine, and makes versions ready in it.

    Nothing runs until a version is needed. Thread-safe; methods that wait say so.
    """

    def __init__(self, settings: Settings, db: Database, blobs: LocalBlobStore) -> None:
        self._db = db
        self._bases: dict[str, Base] = {}  # of streams, by id: they never change
        self._lifecycle = Lifecycle(
            settings,
            lambda process: ServingEngine(process, db, blobs, settings.engine_max_cpu_loras),
        )

    def ensure_running(self, base_path: str, base_digest: str, check: Check = never) -> EngineInfo:
        """Return the engine of a base, once it runs. Waits; raises EngineUnavailable.

        `check` is called while waiting for a start and may raise to stop waiting.
        """
        process = self._lifecycle.ensure(Base(base_path, base_digest), check).process
        record = process.record
        return EngineInfo(process.client.url, process.base.name, record.engine_version, record.pid)

    def ensure_ready(self, version: VersionRow, check: Check = never) -> EngineRoute:
        """Return where a version answers, once it is loaded and proven.

        Waits; raises EngineUnavailable, EngineProofFailed, or PermanentConflict for a version
        that no engine can serve.
        """
        with self.use(version, check) as route:
            return route

    @contextmanager
    def use(self, version: VersionRow, check: Check = never) -> Iterator[EngineRoute]:
        """As `ensure_ready`; engine and adapter are held until the block ends."""
        base = self._base_of(version)
        engine = self._lifecycle.ensure(base, check)
        lease = self._pin(engine, Servable.of(version, base.name))
        try:
            yield lease.route
        finally:
            self.release(lease)

    def lease(self, version: VersionRow) -> Lease:
        """Return a held route for one request; does not wait for an engine to start.

        Raises EngineUnavailable, also while the engine starts or starts again (which this call
        sees to), EngineProofFailed, and PermanentConflict as `ensure_ready`.
        """
        base = self._base_of(version)
        engine = self._lifecycle.running(base)
        servable = Servable.of(version, base.name)
        engine.refuse_if_failed(servable)
        return self._pin(engine, servable)

    def release(self, lease: Lease) -> None:
        """Let go of a leased route; short."""
        lease.engine.table.unpin(lease.name)

    def forget(self, lease: Lease) -> None:
        """Note that the engine does not know the leased model any more: load it anew next time."""
        lease.engine.table.remove(lease.name)

    def warm_up(self) -> None:
        """Adopt or start, in the background, the engine of the stream whose `production` moved
        last; a stream that still serves its base gets none."""
        with self._db.read() as session:
            version = session.scalar(
                select(VersionRow)
                .join(AliasRow, AliasRow.version_id == VersionRow.id)
                .where(AliasRow.name == "production", VersionRow.number > 0)
                .order_by(AliasRow.moved_at.desc())
                .limit(1)
            )
        if version is not None:
            self._lifecycle.begin(self._base_of(version))

    def status(self) -> dict[str, Any]:
        """Return the engine's state, its process and what it serves."""
        return self._lifecycle.status()

    def close(self) -> None:
        """End the engine, also one that was never adopted, and all its workers. Waits."""
        self._lifecycle.close()

    def _pin(self, engine: ServingEngine, servable: Servable) -> Lease:
        for _attempt in range(_PIN_ATTEMPTS):
            if engine.table.pin(servable.name):
                break
            engine.make_ready(servable)
        else:
            raise EngineUnavailable("the engine is being replaced: try again shortly.")
        process = engine.process
        version = process.record.engine_version
        return Lease(EngineRoute(process.client.url, servable.name, version), engine, servable.name)

    def _base_of(self, version: VersionRow) -> Base:
        if version.servable_by in ("plugin", "offline"):
            raise PermanentConflict(
                f"this version is served {version.servable_by}: no engine here can answer for it. "
                "Chat with another version of its lineage."
            )
        if version.servable_by == "merged":
            return Base(version.servable_path, version.servable_digest)
        if version.stream_id not in self._bases:
            with self._db.read() as session:
                stream = session.get_one(StreamRow, version.stream_id)
            self._bases[stream.id] = Base(stream.base_path, stream.base_digest)
        return self._bases[version.stream_id]
