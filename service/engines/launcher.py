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

ADOPT_SECONDS = 30.0


def adopt_or_start(settings: Settings, base: Base, stopped: Callable[[], bool]) -> EngineProcess:
    """Return an engine that answers for the base. Waits until then or until `stopped`.

    Raises EngineUnavailable; then no engine is left running.
    """
    _check_not(stopped)
    process = _adopt(settings, base, stopped)
    if process is None:
        _check_not(stopped)
        process = _start(settings, base)
        _wait_for(process, settings, settings.engine_start_timeout_seconds, stopped)
    return process


def _check_not(stopped: Callable[[], bool]) -> None:
    if stopped():
        raise EngineUnavailable("the service is stopping.")


def _wait_for(
    process: EngineProcess, settings: Settings, timeout: float, stopped: Callable[[], bool]
) -> None:
    """Return once the engine answers for its base; end it and raise EngineUnavailable if not."""
    try:
        process.wait_until_healthy(timeout, stopped)
        if process.base.name not in process.client.models():
            raise EngineUnavailable(f"the engine does not serve {process.base.name}.")
    except EngineUnavailable:
        process.end()
        forget_process(settings.folder("engine"))
        raise


def _adopt(settings: Settings, base: Base, stopped: Callable[[], bool]) -> EngineProcess | None:
    """Return the engine left running, if it is what we would start and answers soon; else end it.

    One that hangs must not take the time that a start may take.
    """
    process = find_process(settings.folder("engine"))
    if process is None:
        return None
    try:
        build = find_build(settings.engine_python)
    except EngineUnavailable:
        process.end()
        raise
    launch = make_launch(settings, build, base, process.record.port)
    if process.base != base or process.record.fingerprint != launch.fingerprint:
        process.end()
        return None
    try:
        timeout = min(ADOPT_SECONDS, settings.engine_start_timeout_seconds)
        _wait_for(process, settings, timeout, stopped)
    except EngineUnavailable as error:
        log.warning("engine.not_adopted", pid=process.record.pid, error=error.message)
        return None
    log.info("engine.adopted", pid=process.record.pid, base=base.name)
    return process


def _start(settings: Settings, base: Base) -> EngineProcess:
    build = find_build(settings.engine_python)
    port = free_port()
    launch = make_launch(settings, build, base, port)
    return start_process(settings.folder("engine"), launch, base, build, port)
