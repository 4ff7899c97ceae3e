"""API keys over REST."""

from __future__ import annotations

from fastapi import APIRouter

from service.deps import Admin, ServicesDep
from service.idempotency import IdempotencyKey, once
from service.keys import operations
from service.keys.schemas import KeyCreate, KeyCreated, KeyRead
from service.pagination import Page

router = APIRouter(tags=["keys"])


@router.post("/v1/keys", status_code=201)
def create_key(
    body: KeyCreate, services: ServicesDep, caller: Admin, key: IdempotencyKey
) -> KeyCreated:
    """Make an API key. The secret is in this answer only.

    It is not kept, so repeating the call with its `Idempotency-Key` is refused and names the key
    that the first call made.
    """
    request = {"path": "/v1/keys", "body": body.model_dump(mode="json")}
    intention = once(caller.key_id, key, request)
    row, secret = operations.create_key(services.db, body.name, body.role, intention)
    return KeyCreated(**KeyRead.model_validate(row).model_dump(), secret=secret)


@router.get("/v1/keys")
def list_keys(services: ServicesDep, caller: Admin) -> Page[KeyRead]:
    """List API keys, newest first."""
    return Page(data=[KeyRead.model_validate(row) for row in operations.list_keys(services.db)])


@router.delete("/v1/keys/{key_id}")
def revoke_key(key_id: str, services: ServicesDep, caller: Admin) -> KeyRead:
    """Revoke an API key at once; the last admin key stays."""
    return KeyRead.model_validate(operations.revoke_key(services.db, key_id))
