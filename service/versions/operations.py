"""Versions: made once, found by number or alias, never changed."""

from __future__ import annotations

import re

from sqlalchemy.orm import Session

from service.db.tables import AliasMoveRow, AliasRow, JobRow, StreamRow, TaskRow, VersionRow
from service.errors import NotFound
from service.ids import new_id, now
from service.streams.queries import get_stream
from service.versions import queries
from service.versions.moves import PREVIOUS, PRODUCTION, move_alias

__all__ = [
    "PREVIOUS",
    "PRODUCTION",
    "create_base_version",
    "get_version",
    "lineage",
    "move_alias",
    "register_version",
    "resolve_reference",
]

_NUMBER = re.compile(r"[0-9]{1,9}")


def create_base_version(session: Session, stream: StreamRow) -> VersionRow:
    """Make a stream's version 0, its base, and let `production` name it. Idempotent."""
    existing = queries.find_version(session, stream.id, 0)
    if existing is not None:
        return existing
    version = VersionRow(
        id=new_id("ver"),
        stream_id=stream.id,
        number=0,
        digest=stream.base_digest,
        servable_by="base",
        servable_digest=stream.base_digest,
        servable_path=stream.base_path,
        created_at=now(),
    )
    session.add(version)
    session.flush()
    _begin_production(session, version)
    return version


def _begin_production(session: Session, version: VersionRow) -> None:
    session.add(
        AliasRow(
            stream_id=version.stream_id,
            name=PRODUCTION,
            version_id=version.id,
            moved_at=version.created_at,
        )
    )
    session.add(
        AliasMoveRow(
            stream_id=version.stream_id,
            alias=PRODUCTION,
            kind="manual",
            to_version_id=version.id,
            actor="service",
            reason="a new stream serves its base",
            at=version.created_at,
        )
    )
    session.flush()


def register_version(
    session: Session,
    *,
    stream: StreamRow,
    job: JobRow,
    task: TaskRow,
    parent: VersionRow,
    number: int,
    digest: str,
    servable_digest: str,
    servable_path: str,
    canary_digest: str | None,
    rank: int,
    servable_by: str,
) -> VersionRow:
    """Make a job's version, without an alias. A second call for the job returns the first's."""
    existing = queries.find_version_of_job(session, job.id)
    if existing is not None:
        return existing
    version = VersionRow(
        id=new_id("ver"),
        stream_id=stream.id,
        number=number,
        digest=digest,
        parent_id=parent.id,
        task_id=task.id,
        job_id=job.id,
        servable_by=servable_by,
        servable_digest=servable_digest,
        servable_path=servable_path,
        canary_digest=canary_digest,
        rank=rank,
        created_at=now(),
    )
    session.add(version)
    session.flush()
    return version


def lineage(session: Session, version: VersionRow) -> list[VersionRow]:
    """Return a version's path from the base, the base first."""
    chain = [version]
    while chain[-1].parent_id is not None:
        chain.append(session.get_one(VersionRow, chain[-1].parent_id))
    return chain[::-1]


def get_version(session: Session, stream_name: str, selector: int | str) -> VersionRow:
    """Return a stream's version by number (7 or "7") or alias name; raises NotFound."""
    return find_in_stream(session, get_stream(session, stream_name), str(selector))


def find_in_stream(session: Session, stream: StreamRow, selector: str) -> VersionRow:
    """Return a version of a stream by number or alias name; raises NotFound."""
    if _NUMBER.fullmatch(selector):
        version = queries.find_version(session, stream.id, int(selector))
    else:
        version_id = queries.find_alias(session, stream.id, selector)
        version = session.get(VersionRow, version_id) if version_id else None
    if version is None:
        raise NotFound(
            f"stream {stream.name!r} has no version or alias {selector[:80]!r}. "
            f"List them with GET /v1/streams/{stream.name}/versions and …/aliases."
        )
    return version


def resolve_reference(session: Session, reference: str) -> tuple[StreamRow, VersionRow]:
    """Return what `stream`, `stream@7` or `stream@alias` names now; raises NotFound.

    A bare stream name means its `production` alias.
    """
    name, at, selector = reference.partition("@")
    stream = get_stream(session, name)
    return stream, find_in_stream(session, stream, selector if at else PRODUCTION)
