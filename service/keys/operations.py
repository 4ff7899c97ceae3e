"""API keys carry 256 random bits, so a plain SHA-256 at rest is enough to keep them safe."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from adapters_store.disk import Disk
from service.db.engine import Database
from service.db.tables import ApiKeyRow
from service.errors import (
    InvalidRequest,
    NotAuthenticated,
    NotFound,
    PermanentConflict,
    PermissionDenied,
)
from service.idempotency import Once, remember, replay
from service.ids import new_id, now

ROLES = ("reader", "operator", "admin")  # each may do what the ones before it may
_SECRET = re.compile(rb"rtk_[A-Za-z0-9_-]{43}")


class KeyMadeBefore(PermanentConflict):
    """An `Idempotency-Key` that has made an API key already, whose secret nobody has any more."""

    code = "key_made_before"


class LastAdminKey(PermanentConflict):
    """The only key left that can make and revoke keys."""

    code = "last_admin_key"


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
    secret = bearer_secret(authorization)
    with db.read() as session:
        row = session.scalar(select(ApiKeyRow).where(ApiKeyRow.hash == hash_key(secret)))
    if row is None or row.revoked_at is not None:
        raise NotAuthenticated("this API key is unknown or revoked. Use one that is valid.")
    caller = Caller(row.id, row.name, row.role)
    check_role(caller, role)
    return caller


def check_role(caller: Caller, role: str) -> None:
    """Raise PermissionDenied for a caller whose role is below `role`."""
    if ROLES.index(caller.role) < ROLES.index(role):
        raise PermissionDenied(
            f"this call needs the role {role!r}; key {caller.name!r} has {caller.role!r}. "
            "Ask an admin for a key with that role."
        )


def bearer_secret(authorization: str | None) -> str:
    """Return what an `Authorization: Bearer …` header holds; raises NotAuthenticated."""
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


def create_key(
    db: Database, name: str, role: str, intention: Once | None = None
) -> tuple[ApiKeyRow, str]:
    """Make a key; return its row and the secret, which is shown this once only.

    The secret is not kept, so a repeated `intention` raises KeyMadeBefore with the first key's id.
    """
    if role not in ROLES:
        raise InvalidRequest(f"unknown role {role!r}: use one of {', '.join(ROLES)}.", param="role")
    secret = _new_secret()

    def work(session: Session) -> ApiKeyRow:
        _check_not_made(session, intention)
        row = _row(name, role, secret)
        session.add(row)
        remember(session, intention, {"id": row.id})
        return row

    return db.commit(work), secret


def _check_not_made(session: Session, intention: Once | None) -> None:
    first = replay(session, intention)
    if first is not None:
        raise KeyMadeBefore(
            f"this Idempotency-Key was used before and made the key {first['id']}. Its secret was "
            "in that answer only. If it is lost, revoke the key and make another under a new "
            "Idempotency-Key."
        )


def _new_secret() -> str:
    return f"rtk_{secrets.token_urlsafe(32)}"


def _row(name: str, role: str, secret: str) -> ApiKeyRow:
    return ApiKeyRow(
        id=new_id("key"), name=name, role=role, hash=hash_key(secret), created_at=now()
    )


def _insert(db: Database, name: str, role: str, secret: str) -> None:
    with db.write() as session:
        session.add(_row(name, role, secret))


def is_live(db: Database, key_id: str) -> bool:
    """Return whether a key exists and is not revoked."""
    with db.read() as session:
        row = session.get(ApiKeyRow, key_id)
    return row is not None and row.revoked_at is None


def list_keys(db: Database) -> list[ApiKeyRow]:
    """Return all keys, newest first, revoked ones included."""
    with db.read() as session:
        return list(session.scalars(select(ApiKeyRow).order_by(ApiKeyRow.created_at.desc())))


def revoke_key(db: Database, key_id: str) -> ApiKeyRow:
    """Revoke a key at once; raises NotFound, and LastAdminKey when no admin key would be left."""
    with db.write() as session:
        admins = _lock_live_admins(session)
        row = session.get(ApiKeyRow, key_id)
        if row is None:
            raise NotFound(f"there is no API key {key_id[:80]!r}. List them with GET /v1/keys.")
        if [admin.id for admin in admins] == [row.id]:
            raise LastAdminKey(
                f"key {row.name!r} ({row.id}) is the last admin key: without it nobody could make "
                "or revoke keys. Make another admin key first, then revoke this one with it."
            )
        row.revoked_at = row.revoked_at or now()
        return row


def _lock_live_admins(session: Session) -> list[ApiKeyRow]:
    """Return the live admin keys; two calls that revoke the last two come one after the other."""
    live = select(ApiKeyRow).where(ApiKeyRow.role == "admin", ApiKeyRow.revoked_at.is_(None))
    return list(session.scalars(live.order_by(ApiKeyRow.id).with_for_update()))


def ensure_admin_key(db: Database, path: Path) -> None:
    """On the first start, make an admin key and write it to `path` (mode 0600).

    The file comes first: a start that is killed before the row is there leaves a key that the
    next start puts into the database.
    """
    rows = list_keys(db)
    secret = _written_secret(path)
    if secret is not None and hash_key(secret) not in {row.hash for row in rows}:
        _insert(db, "admin", "admin", secret)
    elif not any(row.role == "admin" and row.revoked_at is None for row in rows):
        secret = _new_secret()
        _write_secret(path, secret)
        _insert(db, "admin", "admin", secret)
    if path.exists():
        path.chmod(0o600)


def _written_secret(path: Path) -> str | None:
    if not path.is_file():
        return None
    found = _SECRET.fullmatch(path.read_bytes().strip())
    return found.group().decode() if found else None


def _write_secret(path: Path, secret: str) -> None:
    disk, unfinished = Disk(), path.with_name(f"{path.name}.tmp")
    unfinished.unlink(missing_ok=True)
    with open(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        disk.write(file, f"{secret}\n".encode())
        disk.sync(file)
    disk.rename(unfinished, path)
    disk.sync_folder(path.parent)
