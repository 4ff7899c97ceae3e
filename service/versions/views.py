"""Rows of versions, aliases and moves in their wire shapes."""

from __future__ import annotations

from sqlalchemy.orm import Session

from service.db.tables import AliasMoveRow, AliasRow, StreamRow, VersionRow
from service.errors import NotFound
from service.pagination import Page, cursor_number, page_of
from service.streams.queries import get_stream
from service.versions import queries
from service.versions.operations import get_version, lineage
from service.versions.schemas import (
    AliasDetail,
    AliasMoveRead,
    AliasRead,
    VersionDetail,
    VersionRead,
)


def list_versions(
    session: Session, stream_name: str, limit: int, after: str | None
) -> Page[VersionRead]:
    """Return a page of a stream's versions, newest first."""
    stream = get_stream(session, stream_name)
    rows = queries.page_of_versions(session, stream.id, cursor_number(after), limit + 1)
    reads = versions_read(session, stream, rows)
    return page_of(reads, limit, lambda read: str(read.number))


def read_version(session: Session, stream_name: str, selector: str) -> VersionDetail:
    """Return one version with its lineage and records; raises NotFound."""
    version = get_version(session, stream_name, selector)
    stream = session.get_one(StreamRow, version.stream_id)
    read = versions_read(session, stream, [version])[0]
    records = queries.records_of(session, version.id)
    return VersionDetail(
        **read.model_dump(),
        lineage=[f"{stream.name}@{row.number}" for row in lineage(session, version)],
        records={kind: {**row.data, "created_at": row.created_at} for kind, row in records.items()},
    )


def versions_read(session: Session, stream: StreamRow, rows: list[VersionRow]) -> list[VersionRead]:
    """Return versions of one stream in their wire shape."""
    aliases = queries.alias_names(session, stream.id)
    verdicts = queries.verdicts(session, [row.id for row in rows])
    tasks = queries.task_names(session, stream.id)
    numbers = queries.version_numbers(session, stream.id)
    return [
        VersionRead(
            id=row.id,
            name=f"{stream.name}@{row.number}",
            number=row.number,
            digest=row.digest,
            parent=numbers.get(row.parent_id or ""),
            task=tasks.get(row.task_id or ""),
            job=row.job_id,
            aliases=aliases.get(row.id, []),
            verdict=verdicts.get(row.id),
            servable_by=row.servable_by,
            servable_digest=row.servable_digest,
            rank=row.rank,
            created_at=row.created_at,
        )
        for row in rows
    ]


def list_aliases(session: Session, stream_name: str) -> Page[AliasRead]:
    """Return a stream's aliases by name."""
    stream = get_stream(session, stream_name)
    numbers = queries.version_numbers(session, stream.id)
    rows = queries.list_aliases(session, stream.id)
    return Page(data=[_alias_read(stream, row, numbers) for row in rows])


def read_alias(
    session: Session, stream_name: str, alias: str, limit: int, after: str | None
) -> AliasDetail:
    """Return an alias with a page of its journal; raises NotFound."""
    stream = get_stream(session, stream_name)
    row = session.get(AliasRow, (stream.id, alias))
    if row is None:
        raise NotFound(
            f"stream {stream.name!r} has no alias {alias[:80]!r}. "
            f"List them with GET /v1/streams/{stream.name}/aliases."
        )
    numbers = queries.version_numbers(session, stream.id)
    moves = queries.journal(session, stream.id, alias, cursor_number(after), limit + 1)
    page = page_of(
        [move_read(stream, move, numbers) for move in moves], limit, lambda move: str(move.id)
    )
    return AliasDetail(**_alias_read(stream, row, numbers).model_dump(), journal=page)


def read_move(session: Session, move: AliasMoveRow, *, moved: bool) -> AliasMoveRead:
    """Return one journal entry in its wire shape."""
    stream = session.get_one(StreamRow, move.stream_id)
    read = move_read(stream, move, queries.version_numbers(session, stream.id))
    return read.model_copy(update={"moved": moved})


def move_read(stream: StreamRow, move: AliasMoveRow, numbers: dict[str, int]) -> AliasMoveRead:
    """Return a journal entry in its wire shape; `numbers` are the stream's versions' by id."""
    origin = move.from_version_id
    return AliasMoveRead(
        id=move.id,
        stream=stream.name,
        alias=move.alias,
        kind=move.kind,
        from_=f"{stream.name}@{numbers[origin]}" if origin else None,
        to=f"{stream.name}@{numbers[move.to_version_id]}",
        actor=move.actor,
        reason=move.reason,
        job=move.job_id,
        previous_id=move.previous_id,
        switch_ms=move.switch_ms,
        at=move.at,
    )


def _alias_read(stream: StreamRow, row: AliasRow, numbers: dict[str, int]) -> AliasRead:
    number = numbers[row.version_id]
    return AliasRead(
        name=row.name,
        version=number,
        version_name=f"{stream.name}@{number}",
        moved_at=row.moved_at,
    )
