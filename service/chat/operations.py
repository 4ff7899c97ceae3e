"""From a request to a held route: the model's name is resolved once, its version pinned."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError

from service.chat.images import check_images
from service.chat.schemas import ChatCreate, ModelRead
from service.engines.manager import Lease
from service.errors import NotFound
from service.versions import queries
from service.versions.operations import resolve_reference

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from service.db.tables import StreamRow, VersionRow
    from service.deps import Services


class ModelNotFound(NotFound):
    """A `model` that names no version."""

    code = "model_not_found"


@dataclass(frozen=True, eq=False)
class Ticket:
    """One request's exact version and the engine route held for it."""

    name: str  # "stream@7"
    digest: str
    lease: Lease
    stream: bool
    content: bytes  # what the engine is sent


def open_ticket(services: Services, content: bytes) -> Ticket:
    """Read a request, resolve its model, and hold a route. The caller releases the lease.

    Raises RequestValidationError, ModelNotFound, InvalidRequest, and what the engines raise.
    """
    body = _parse(content)
    check_images([url for message in body.messages for url in message.image_urls])
    with services.db.read() as session:
        stream, version = _resolve(session, body.model)
    lease = services.engines.lease(version)
    sent = body.model_copy(update={"model": lease.route.model_name}).model_dump_json(
        by_alias=True, exclude_none=True, exclude={"user"}
    )
    name = f"{stream.name}@{version.number}"
    return Ticket(name, version.digest, lease, body.stream, sent.encode())


def _parse(content: bytes) -> ChatCreate:
    try:
        return ChatCreate.model_validate_json(content)
    except ValidationError as error:
        problems = [{**it, "loc": ("body", *it["loc"])} for it in error.errors()]
        raise RequestValidationError(problems) from error


def _resolve(session: Session, model: str) -> tuple[StreamRow, VersionRow]:
    try:
        return resolve_reference(session, model)
    except NotFound as error:
        raise ModelNotFound(
            f"the model {model!r} does not exist: {error.message} "
            "A model is 'stream', 'stream@7', 'stream@0' (its base) or 'stream@alias'; "
            "GET /v1/models lists them.",
            param="model",
        ) from error


def list_models(session: Session) -> list[ModelRead]:
    """Return every name that `model` may have: streams, aliases, versions."""
    return [model for stream in queries.all_streams(session) for model in _models(session, stream)]


def read_model(session: Session, name: str) -> ModelRead:
    """Return what one name stands for now; raises ModelNotFound."""
    stream, version = _resolve(session, name)
    return _model(stream, version, name, queries.alias_names(session, stream.id))


def _models(session: Session, stream: StreamRow) -> list[ModelRead]:
    versions = {version.id: version for version in queries.all_versions(session, stream.id)}
    aliases = queries.alias_names(session, stream.id)
    named = {
        alias: versions[version_id] for version_id, names in aliases.items() for alias in names
    }
    found = [(f"{stream.name}@{alias}", version) for alias, version in sorted(named.items())]
    found += [(f"{stream.name}@{version.number}", version) for version in versions.values()]
    if "production" in named:
        found.insert(0, (stream.name, named["production"]))
    return [_model(stream, version, name, aliases) for name, version in found]


def _model(
    stream: StreamRow, version: VersionRow, name: str, aliases: dict[str, list[str]]
) -> ModelRead:
    return ModelRead(
        id=name,
        created=int(version.created_at.timestamp()),
        stream=stream.name,
        version=version.number,
        digest=version.digest,
        aliases=aliases.get(version.id, []),
    )
