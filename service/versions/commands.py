"""Changes that clients ask for: who may, once per `Idempotency-Key`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from service.errors import PermissionDenied
from service.idempotency import Once
from service.keys.operations import Caller
from service.versions import views
from service.versions.moves import move_alias as move
from service.versions.schemas import AliasMove, AliasMoveRead

if TYPE_CHECKING:
    from service.deps import Services


def move_alias(
    services: Services,
    caller: Caller,
    stream: str,
    alias: str,
    body: AliasMove,
    intention: Once | None,
) -> AliasMoveRead:
    """Move an alias for a caller and return the journal entry.

    Raises PermissionDenied for an override without the admin role, and what a move raises.
    """
    _check_override(caller, body)
    made = move(
        services.db,
        services.engines,
        stream_name=stream,
        alias=alias,
        version_number=body.version,
        actor=caller.name,
        reason=body.reason,
        override=body.override,
        intention=intention,
    )
    with services.db.read() as session:
        return views.read_move(session, made.entry, moved=made.moved)


def _check_override(caller: Caller, body: AliasMove) -> None:
    if body.override and caller.role != "admin":
        raise PermissionDenied(
            f"an override needs the role 'admin'; key {caller.name!r} has {caller.role!r}. "
            "Ask an admin to promote this version, or leave `override` out."
        )
