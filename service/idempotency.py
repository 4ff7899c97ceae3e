"""`Idempotency-Key`: the first answer is remembered in the transaction that made the object."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Header
from sqlalchemy.orm import Session

from service.db.tables import IdempotencyRow
from service.errors import PermanentConflict
from service.ids import now

KeyHeader = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=200,
        description="repeating a POST with the same key returns the first answer",
    ),
]


def _header(idempotency_key: KeyHeader = None) -> str | None:
    return idempotency_key


IdempotencyKey = Annotated[str | None, Depends(_header)]


@dataclass(frozen=True)
class Once:
    """One client's intention: its key and a digest of what it asks for."""

    owner: str
    key: str
    request_digest: str


def once(owner: str, key: str | None, request: Any) -> Once | None:
    """Return the intention behind a request, or None when no key was sent.

    `request` is any JSON-able description of the call, its path included.
    """
    if key is None:
        return None
    canonical = json.dumps(request, sort_keys=True, separators=(",", ":"), default=str)
    return Once(owner, key, hashlib.sha256(canonical.encode()).hexdigest())


def replay(session: Session, intention: Once | None) -> dict[str, Any] | None:
    """Return the remembered answer, if there is one.

    Raises PermanentConflict when the key was used before for a different request.
    """
    if intention is None:
        return None
    row = session.get(IdempotencyRow, (intention.owner, intention.key))
    if row is None:
        return None
    if row.request_digest != intention.request_digest:
        raise PermanentConflict(
            f"Idempotency-Key {intention.key!r} was used before for a different request. "
            "Repeat that request unchanged, or send a new key."
        )
    return row.response


def remember(session: Session, intention: Once | None, response: dict[str, Any]) -> None:
    """Store the answer, in the same transaction as the object it describes."""
    if intention is not None:
        session.add(
            IdempotencyRow(
                owner=intention.owner,
                key=intention.key,
                request_digest=intention.request_digest,
                status=200,
                response=response,
                created_at=now(),
            )
        )
