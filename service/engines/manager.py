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
from service.engines.adapters import Hold, Servable, refuse_unservable
from service.engines.command import Base
from service.engines.lifecycle import Check, Lifecycle, never
from service.engines.serving import ServingEngine
from service.errors import EngineUnavailable
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
    hold: Hold


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
        return self._running(Base(base_path, base_digest), check)

    def ensure_running_for(self, version: VersionRow, check: Check = never) -> EngineInfo:
        """As `ensure_running`, of the base that a version needs: its stream's, or its own merged
        one. Raises PermanentConflict as `ensure_ready`."""
        return self._running(self._base_of(version), check)

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
        lease = self._wait_and_pin(base, Servable.of(version, base.name), check)
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
        lease.engine.table.unpin(lease.hold)

    def forget(self, lease: Lease) -> None:
        """Note that the engine does not know the leased model any more: load it anew next time."""
        lease.engine.table.remove(lease.route.model_name)

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

    def _running(self, base: Base, check: Check) -> EngineInfo:
        process = self._lifecycle.ensure(base, check).process
        record = process.record
        return EngineInfo(process.client.url, process.base.name, record.engine_version, record.pid)

    def _wait_and_pin(self, base: Base, servable: Servable, check: Check) -> Lease:
        while True:
            engine = self._lifecycle.ensure(base, check)
            try:
                return self._pin(engine, servable)
            except EngineUnavailable:
                if not engine.table.closed:  # it died, perhaps of this very version
                    raise
            check()  # another base has taken the engine's place: wait for our turn again

    def _pin(self, engine: ServingEngine, servable: Servable) -> Lease:
        for _attempt in range(_PIN_ATTEMPTS):
            hold = engine.table.pin(servable.name)
            if hold is not None:
                record = engine.process.record
                url = engine.process.client.url
                return Lease(EngineRoute(url, servable.name, record.engine_version), engine, hold)
            engine.make_ready(servable)
        raise EngineUnavailable("the engine is being replaced: try again shortly.")

    def _base_of(self, version: VersionRow) -> Base:
        refuse_unservable(version)
        if version.servable_by == "merged":
            return Base(version.servable_path, version.servable_digest)
        if version.stream_id not in self._bases:
            with self._db.read() as session:
                stream = session.get_one(StreamRow, version.stream_id)
            self._bases[stream.id] = Base(stream.base_path, stream.base_digest)
        return self._bases[version.stream_id]
