"""What handlers receive: the services, and a caller whose role was checked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from service.keys.operations import Caller, authenticate

if TYPE_CHECKING:
    from adapters_store.backends import LocalBlobStore
    from adapters_store.store import VersionStore
    from service.db.engine import Database
    from service.engines.manager import EngineManager
    from service.settings import Settings
    from service.workflow.runner import JobRunner


@dataclass(frozen=True)
class Services:
    """Everything with a life of its own, made once by `create_app`."""

    settings: Settings
    db: Database
    blobs: LocalBlobStore
    store: VersionStore
    engines: EngineManager
    runner: JobRunner


def get_services(request: Request) -> Services:
    """Return the app's services."""
    services: Services = request.app.state.services
    return services


ServicesDep = Annotated[Services, Depends(get_services)]


# Names the scheme in the API docs, so that they can send a key; the check itself is ours.
_Scheme = Annotated[
    HTTPAuthorizationCredentials | None,
    Depends(HTTPBearer(auto_error=False, scheme_name="API key")),
]


def _caller(role: str) -> Callable[..., Caller]:
    def check(request: Request, services: ServicesDep, _scheme: _Scheme) -> Caller:
        return authenticate(services.db, request.headers.get("authorization"), role)

    return check


Reader = Annotated[Caller, Depends(_caller("reader"))]
Operator = Annotated[Caller, Depends(_caller("operator"))]
Admin = Annotated[Caller, Depends(_caller("admin"))]
