"""API keys carry 256 random bits, so a plain SHA-256 at rest is enough to keep them safe."""

from __future__ import annotations

import hashlib
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import select

from service.db.engine import Database
from service.db.tables import ApiKeyRow
from service.errors import InvalidRequest, NotAuthenticated, NotFound, PermissionDenied
from service.ids import new_id, now

ROLES = ("reader", "operator", "admin")  # each may do what the ones before it may


@dataclass(frozen=True)
class Caller:
    """Who is calling: the key's id and name, and its role."""

    key_id: str
    name: str
    role: str


def authenticate(db: Database, authorization: str | None, role: str) -> Caller:
    """Return the caller behind an `Authorization: Bearer …` header.

    Raises NotAuthenticated for a missing, unknown or revoked key, PermissionDenied for a key
    whose role is below `role`.
    """
    secret = _bearer(authorization)
    with db.read() as session:
        row = session.scalar(select(ApiKeyRow).where(ApiKeyRow.hash == hash_key(secret)))
    if row is None or row.revoked_at is not None:
        raise NotAuthenticated("this API key is unknown or revoked. Use one that is valid.")
    if ROLES.index(row.role) < ROLES.index(role):
        raise PermissionDenied(
            f"this call needs the role {role!r}; key {row.name!r} has {row.role!r}. "
            "Ask an admin for a key with that role."
        )
    return Caller(row.id, row.name, row.role)


def _bearer(authorization: str | None) -> str:
    scheme, _, secret = (authorization or "").partition(" ")
    if scheme.lower() != "bearer" or not secret:
        raise NotAuthenticated(
            "no API key given. Send it as 'Authorization: Bearer <key>'; the first start of the "
            "service writes an admin key to admin.key in its state folder."
        )
    return secret.strip()


def hash_key(secret: str) -> str:
    """Return the form in which a key is stored."""
    return hashlib.sha256(secret.encode()).hexdigest()


def create_key(db: Database, name: str, role: str) -> tuple[ApiKeyRow, str]:
    """Make a key; return its row and the secret, which is shown this once only."""
    if role not in ROLES:
        raise InvalidRequest(f"unknown role {role!r}: use one of {', '.join(ROLES)}.", param="role")
    secret = f"rtk_{secrets.token_urlsafe(32)}"
    row = ApiKeyRow(id=new_id("key"), name=name, role=role, hash=hash_key(secret), created_at=now())
    with db.write() as session:
        session.add(row)
    return row, secret


def list_keys(db: Database) -> list[ApiKeyRow]:
    """Return all keys, newest first, revoked ones included."""
    with db.read() as session:
        return list(session.scalars(select(ApiKeyRow).order_by(ApiKeyRow.created_at.desc())))


def revoke_key(db: Database, key_id: str) -> ApiKeyRow:
    """Revoke a key at once; raises NotFound."""
    with db.write() as session:
        row = session.get(ApiKeyRow, key_id)
        if row is None:
            raise NotFound(f"there is no API key {key_id!r}. List them with GET /v1/keys.")
        row.revoked_at = row.revoked_at or now()
        return row


def ensure_admin_key(db: Database, path: Path) -> None:
    """On the first start, make an admin key and write it to `path` (mode 0600)."""
    if any(row.role == "admin" and row.revoked_at is None for row in list_keys(db)):
        return
    _row, secret = create_key(db, "admin", "admin")
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(secret + "\n")
