"""API keys over REST."""

from __future__ import annotations

from fastapi import APIRouter

from service.deps import Admin, ServicesDep
from service.keys import operations
from service.keys.schemas import KeyCreate, KeyCreated, KeyRead
from service.pagination import Page

router = APIRouter(tags=["keys"])


@router.post("/v1/keys", status_code=201)
def create_key(body: KeyCreate, services: ServicesDep, caller: Admin) -> KeyCreated:
    """Make an API key. The secret is in this answer only."""
    row, secret = operations.create_key(services.db, body.name, body.role)
    return KeyCreated(**KeyRead.model_validate(row).model_dump(), secret=secret)


@router.get("/v1/keys")
def list_keys(services: ServicesDep, caller: Admin) -> Page[KeyRead]:
    """List API keys, newest first."""
    return Page(data=[KeyRead.model_validate(row) for row in operations.list_keys(services.db)])


@router.delete("/v1/keys/{key_id}")
def revoke_key(key_id: str, services: ServicesDep, caller: Admin) -> KeyRead:
    """Revoke an API key at once."""
    return KeyRead.model_validate(operations.revoke_key(services.db, key_id))
