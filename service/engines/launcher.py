"""An engine for a base: the one that an earlier service left running, or a new one."""

from __future__ import annotations

from collections.abc import Callable

import structlog

from service.engines.command import Base, find_build, make_launch
from service.engines.process import (
    EngineProcess,
    find_process,
    forget_process,
    free_port,
    start_process,
)
from service.errors import EngineUnavailable
from service.settings import Settings

log = structlog.get_logger()


def adopt_or_start(settings: Settings, base: Base, stopped: Callable[[], bool]) -> EngineProcess:
    """Return an engine that answers for the base. Waits until then or until `stopped`.

    Raises EngineUnavailable; then no engine is left running.
    """
    if stopped():
        raise EngineUnavailable("the service is stopping.")
    process = _adopt(settings, base) or _start(settings, base)
    try:
        process.wait_until_healthy(settings.engine_start_timeout_seconds, stopped)
        if base.name not in process.client.models():
            raise EngineUnavailable(f"the engine does not serve {base.name}.")
    except EngineUnavailable:
        process.end()
        forget_process(settings.folder("engine"))
        raise
    return process


def _adopt(settings: Settings, base: Base) -> EngineProcess | None:
    """Return the engine left running, if it is what we would start; end it if it is not."""
    process = find_process(settings.folder("engine"))
    if process is None:
        return None
    build = find_build(settings.engine_python)
    launch = make_launch(settings, build, base, process.record.port)
    if process.base == base and process.record.fingerprint == launch.fingerprint:
        log.info("engine.adopted", pid=process.record.pid, base=base.name)
        return process
    process.end()
    return None


def _start(settings: Settings, base: Base) -> EngineProcess:
    build = find_build(settings.engine_python)
    port = free_port()
    launch = make_launch(settings, build, base, port)
    return start_process(settings.folder("engine"), launch, base, build, port)
