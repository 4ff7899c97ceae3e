"""Versions and aliases over REST."""

from __future__ import annotations

from fastapi import APIRouter

from service.deps import Operator, Reader, ServicesDep
from service.idempotency import IdempotencyKey, once
from service.pagination import After, Limit, Page
from service.versions import commands, views
from service.versions.schemas import (
    AliasDetail,
    AliasMove,
    AliasMoveRead,
    AliasRead,
    VersionDetail,
    VersionRead,
)

router = APIRouter(tags=["versions"])


@router.get("/v1/streams/{stream}/versions")
def list_versions(
    stream: str, services: ServicesDep, caller: Reader, limit: Limit = 20, after: After = None
) -> Page[VersionRead]:
    """List a stream's versions, newest first; version 0 is the base."""
    with services.db.read() as session:
        return views.list_versions(session, stream, limit, after)


@router.get("/v1/streams/{stream}/versions/{number}")
def read_version(stream: str, number: str, services: ServicesDep, caller: Reader) -> VersionDetail:
    """Return a version (by number or alias) with its aliases, lineage and records."""
    with services.db.read() as session:
        return views.read_version(session, stream, number)


@router.get("/v1/streams/{stream}/aliases")
def list_aliases(stream: str, services: ServicesDep, caller: Reader) -> Page[AliasRead]:
    """List a stream's aliases and the versions they name now."""
    with services.db.read() as session:
        return views.list_aliases(session, stream)


@router.get("/v1/streams/{stream}/aliases/{alias}")
def read_alias(
    stream: str,
    alias: str,
    services: ServicesDep,
    caller: Reader,
    limit: Limit = 20,
    after: After = None,
) -> AliasDetail:
    """Return an alias with its journal, newest entry first."""
    with services.db.read() as session:
        return views.read_alias(session, stream, alias, limit, after)


@router.post("/v1/streams/{stream}/aliases/{alias}")
def move_alias(
    stream: str,
    alias: str,
    body: AliasMove,
    services: ServicesDep,
    caller: Operator,
    key: IdempotencyKey,
) -> AliasMoveRead:
    """Move an alias: promote, roll back or name a version. Answers once it is proven and moved.

    Promoting to a version that its gate did not pass needs `override` and an admin key; rolling
    back to a version that the alias named before, or to the base, is never gated.
    """
    request = {"path": f"{stream}/{alias}", **body.model_dump()}
    return commands.move_alias(
        services, caller, stream, alias, body, once(caller.key_id, key, request)
    )
