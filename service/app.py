"""The application: services made once, routers mounted, one life from lock to clean stop."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from anyio.to_thread import run_sync
from fastapi import FastAPI
from fastapi_offline import FastAPIOffline
from prometheus_client import CollectorRegistry, Gauge

from adapters_store.backends import LocalBlobStore
from adapters_store.store import VersionStore
from service import error_handlers, system
from service.chat import routes as chat
from service.dashboard import routes as dashboard
from service.db import migrate
from service.db.engine import Database
from service.deps import Services
from service.engines.manager import EngineManager
from service.jobs import routes as jobs
from service.keys import routes as keys
from service.keys.operations import ensure_admin_key
from service.lock import StateLock
from service.middleware import RequestContext, RequestMetrics
from service.reports import routes as reports
from service.settings import Settings
from service.streams import routes as streams
from service.versions import routes as versions
from service.workflow.runner import JobRunner

ROUTERS = (streams, jobs, versions, reports, chat, keys, dashboard, system)

DESCRIPTION = """
Continual instruction tuning for multimodal LLMs: submit tasks to a *stream*, watch the *job*,
read what the new *version* forgot, chat with any version, move the `production` alias back.

Send `Authorization: Bearer <key>`; the first start writes an admin key to `admin.key` in the
state folder. POSTs take an `Idempotency-Key`. Errors have OpenAI's shape.
"""


def create_app(settings: Settings) -> FastAPI:
    """Return the application for one state folder; services start with its lifespan."""
    app = FastAPIOffline(title="Retain", description=DESCRIPTION, lifespan=_lifespan)
    app.state.settings = settings
    app.state.registry = registry = CollectorRegistry()
    app.state.jobs_gauge = Gauge("retain_jobs", "Jobs by state", ["state"], registry=registry)
    app.add_middleware(
        RequestContext,
        metrics=RequestMetrics(registry),
        max_chat_bytes=settings.max_request_bytes,
    )
    error_handlers.install(app)
    for module in ROUTERS:
        app.include_router(module.router)
    return app


def make_services(settings: Settings) -> Services:
    """Open database and store of a state folder; nothing runs yet."""
    db = Database(settings.resolved_database_url)
    migrate.upgrade(db)
    ensure_admin_key(db, settings.folder("") / "admin.key")
    blobs = LocalBlobStore(settings.folder("blobs"))
    store = VersionStore(settings.folder("versions"), blobs)
    engines = EngineManager(settings, db, blobs)
    runner = JobRunner(settings, db, blobs, store, engines)
    return Services(settings, db, blobs, store, engines, runner)


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    settings: Settings = app.state.settings
    lock = StateLock(settings.folder("") / "service.lock")
    app.state.services = services = make_services(settings)
    services.runner.start()
    services.engines.warm_up()
    try:
        yield
    finally:
        await run_sync(services.runner.stop)
        await run_sync(services.engines.close)
        services.db.close()
        lock.release()
