"""The application: services made once, routers mounted, one life from lock to clean stop."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

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
from service.lock import DatabaseLock, StateLock
from service.middleware import RequestContext, RequestMetrics
from service.reports import routes as reports
from service.rewrites import routes as rewrites
from service.settings import Settings
from service.streams import routes as streams
from service.versions import routes as versions
from service.workflow.runner import JobRunner

ROUTERS = (streams, jobs, rewrites, versions, reports, chat, keys, dashboard, system)

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
        responses = None if module is system else error_handlers.RESPONSES
        app.include_router(module.router, responses=responses)
    return app


def make_services(settings: Settings, db: Database, lock: DatabaseLock) -> Services:
    """Bring database and store of a state folder up to date; nothing runs yet."""
    migrate.upgrade(db)
    ensure_admin_key(db, settings.folder("") / "admin.key")
    blobs = LocalBlobStore(settings.folder("blobs"))
    store = VersionStore(settings.folder("versions"), blobs)
    engines = EngineManager(settings, db, blobs)
    runner = JobRunner(settings, db, blobs, store, engines, before_work=lock.renew)
    return Services(settings, db, blobs, store, engines, runner)


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    settings: Settings = app.state.settings
    async with AsyncExitStack() as stack:  # undone from the last to the first, come what may
        stack.callback(StateLock(settings.folder("") / "service.lock").release)
        db = Database(settings.resolved_database_url)
        stack.callback(db.close)
        lock = DatabaseLock(db)  # before anything is written there
        stack.callback(lock.release)
        app.state.services = services = make_services(settings, db, lock)
        stack.push_async_callback(run_sync, services.engines.close)
        stack.push_async_callback(run_sync, services.runner.stop)
        services.runner.start()
        services.engines.warm_up()
        yield
