"""The life of the one engine: adopted or started when needed, watched, started again, ended.

`_busy` is held through everything slow (a start takes about a minute), `_engine` is swapped at
once. An engine counts as running only after what its predecessor served is proven in it again.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import structlog

from service.engines.adapters import Servable
from service.engines.command import Base
from service.engines.launcher import adopt_or_start
from service.engines.process import EngineProcess, find_process, forget_process
from service.engines.serving import ServingEngine
from service.errors import EngineUnavailable, RetainError
from service.settings import Settings

log = structlog.get_logger()

_WATCH_SECONDS = 0.5
_HEALTH_EVERY = 10  # watch rounds
_UNHEALTHY_LIMIT = 3
_IDLE_SECONDS = 60.0
_FAILURE_SECONDS = 10.0
_POLL_SECONDS = 0.05

Check = Callable[[], None]


def never() -> None:
    """Go on waiting."""


@dataclass(frozen=True)
class _Failure:
    base: Base
    error: RetainError
    at: float


class Lifecycle:
    """Keeps at most one engine process, for the base asked for last."""

    def __init__(
        self, settings: Settings, make_serving: Callable[[EngineProcess], ServingEngine]
    ) -> None:
        self._settings = settings
        self._make_serving = make_serving
        self._folder = settings.folder("engine")
        self._busy = threading.RLock()
        self._starting = threading.Lock()
        self._stopped = threading.Event()
        self._engine: ServingEngine | None = None
        self._watcher: threading.Thread | None = None
        self._state = "stopped"
        self._failure: _Failure | None = None
        self._restarts = 0

    def ensure(self, base: Base, check: Check = never) -> ServingEngine:
        """Return the base's engine once it runs. Waits; raises EngineUnavailable.

        `check` is called now and then while waiting and may raise to stop waiting; the engine
        starts all the same.
        """
        asked_at = time.monotonic()
        while (engine := self._running(base)) is None:
            check()
            self._raise_failure(base, asked_at)
            self.begin(base)
            time.sleep(_POLL_SECONDS)
        return engine

    def running(self, base: Base) -> ServingEngine:
        """Return the base's engine if it runs; else have it started and raise EngineUnavailable."""
        engine = self._running(base)
        if engine is not None:
            return engine
        self._raise_failure(base, time.monotonic() - _FAILURE_SECONDS)
        self.begin(base)
        raise EngineUnavailable(
            "the engine for this model is starting, which takes about a minute: try again shortly."
        )

    def begin(self, base: Base) -> None:
        """Have the base's engine started in the background, unless a start is under way."""
        if self._starting.acquire(blocking=False):
            start = threading.Thread(target=self._begin, args=(base,), name="engine-start")
            start.daemon = True
            start.start()

    def _begin(self, base: Base) -> None:
        try:
            with self._busy:
                if self._running(base) is None:
                    self._bring_up(base)
        except RetainError as error:
            self._fail(base, error)
        except Exception as error:
            log.exception("engine.start_crashed")
            self._fail(base, EngineUnavailable(f"the engine cannot be started: {error!r}"))
        finally:
            self._starting.release()

    def _fail(self, base: Base, error: RetainError) -> None:
        log.error("engine.start_failed", base=base.name, error=error.message)
        self._failure = _Failure(base, error, time.monotonic())
        if self._engine is None:
            self._state = "failed"

    def _raise_failure(self, base: Base, since: float) -> None:
        if self._stopped.is_set():
            raise EngineUnavailable("the service is stopping.")
        failure = self._failure
        if failure is not None and failure.base == base and failure.at >= since:
            raise failure.error

    def status(self) -> dict[str, Any]:
        """Return the engine's state, its process and what it serves."""
        engine = self._engine
        status: dict[str, Any] = {"state": self._state, "restarts": self._restarts}
        if engine is not None:
            record = engine.process.record
            status |= {
                "pid": record.pid,
                "port": record.port,
                "base": engine.process.base.name,
                "engine_version": record.engine_version,
                "serves": [servable.name for servable in engine.table.servables()],
                "in_use": engine.table.in_use(),
            }
        return status

    def close(self) -> None:
        """End the engine and whatever an earlier service left running. Waits."""
        self._stopped.set()
        with self._busy:
            engine, self._engine = self._engine, None
            process = engine.process if engine is not None else find_process(self._folder)
            if process is not None:
                process.end()
            forget_process(self._folder)
            self._state = "stopped"
        if self._watcher is not None:
            self._watcher.join()

    def _running(self, base: Base) -> ServingEngine | None:
        engine = self._engine
        if engine is None or engine.process.base != base or not engine.process.alive():
            return None
        return engine

    def _bring_up(self, base: Base) -> ServingEngine:
        restore = self._put_down(base)
        self._state = "starting"
        engine = self._make_serving(adopt_or_start(self._settings, base, self._stopped.is_set))
        for servable in reversed(restore):
            if not self._stopped.is_set():
                self._restore(engine, servable)
        self._engine, self._state, self._failure = engine, "running", None
        self._watch()
        return engine

    def _put_down(self, base: Base) -> list[Servable]:
        """End what runs now; return what the base's new engine has to serve again."""
        engine = self._engine
        if engine is None:
            return []
        same = engine.process.base == base
        restore = engine.table.servables() if same else []
        if not same and engine.process.alive():
            _wait_until_idle(engine)
        self._engine = None
        engine.process.end()
        return restore

    def _restore(self, engine: ServingEngine, servable: Servable) -> None:
        try:
            engine.make_ready(servable)
        except Exception as error:  # it will be made ready, or refused, when it is asked for
            log.error("engine.not_restored", servable=servable.name, error=str(error))

    def _watch(self) -> None:
        if self._watcher is None:
            self._watcher = threading.Thread(
                target=self._watch_loop, name="engine-watch", daemon=True
            )
            self._watcher.start()

    def _watch_loop(self) -> None:
        rounds = unhealthy = 0
        while not self._stopped.wait(_WATCH_SECONDS):
            engine, rounds = self._engine, rounds + 1
            if engine is None:
                continue
            try:
                if rounds % _HEALTH_EVERY == 0:
                    unhealthy = 0 if engine.process.client.is_healthy() else unhealthy + 1
                if not engine.process.alive() or unhealthy >= _UNHEALTHY_LIMIT:
                    unhealthy = 0
                    self._restart(engine)
            except Exception:  # whatever it is, the next engine has to be watched too
                log.exception("engine.watch_failed")

    def _restart(self, engine: ServingEngine) -> None:
        if not self._busy.acquire(blocking=False):
            return  # someone sees to it already
        try:
            if engine is not self._engine or self._stopped.is_set():
                return
            self._restarts += 1
            log.error("engine.died", base=engine.process.base.name, log=engine.process.log_tail())
            if engine.process.alive():  # but not well: it must not be found running
                engine.process.end()
        finally:
            self._busy.release()
        self.begin(engine.process.base)


def _wait_until_idle(engine: ServingEngine) -> None:
    deadline = time.monotonic() + _IDLE_SECONDS
    while not engine.table.close_if_idle():
        if time.monotonic() > deadline:
            raise EngineUnavailable(
                "the engine is busy with another base model; only one runs at a time. Try again "
                "when its jobs and chats have ended."
            )
        time.sleep(0.05)
