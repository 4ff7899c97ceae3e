"""Reading versions, aliases and journal entries."""

from __future__ import annotations

from collections import defaultdict

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from service.db.tables import (
    AliasMoveRow,
    AliasRow,
    RecordRow,
    StreamRow,
    TaskRow,
    VersionRow,
)


def all_streams(session: Session) -> list[StreamRow]:
    """Return all streams by name."""
    return list(session.scalars(select(StreamRow).order_by(StreamRow.name)))


def find_version(session: Session, stream_id: str, number: int) -> VersionRow | None:
    """Return a stream's version by number."""
    return session.scalar(
        select(VersionRow).where(VersionRow.stream_id == stream_id, VersionRow.number == number)
    )


def find_version_of_job(session: Session, job_id: str) -> VersionRow | None:
    """Return the version that a job made, if it has made one."""
    return session.scalar(select(VersionRow).where(VersionRow.job_id == job_id))


def page_of_versions(
    session: Session, stream_id: str, before: int | None, limit: int
) -> list[VersionRow]:
    """Return up to `limit` versions, newest first, with numbers below `before`."""
    query = select(VersionRow).where(VersionRow.stream_id == stream_id)
    if before is not None:
        query = query.where(VersionRow.number < before)
    return list(session.scalars(query.order_by(VersionRow.number.desc()).limit(limit)))


def all_versions(session: Session, stream_id: str) -> list[VersionRow]:
    """Return all versions of a stream, oldest first."""
    query = select(VersionRow).where(VersionRow.stream_id == stream_id)
    return list(session.scalars(query.order_by(VersionRow.number)))


def find_alias(session: Session, stream_id: str, name: str) -> str | None:
    """Return the id of the version an alias names."""
    return session.scalar(
        select(AliasRow.version_id).where(AliasRow.stream_id == stream_id, AliasRow.name == name)
    )


def list_aliases(session: Session, stream_id: str) -> list[AliasRow]:
    """Return a stream's aliases by name."""
    query = select(AliasRow).where(AliasRow.stream_id == stream_id).order_by(AliasRow.name)
    return list(session.scalars(query))


def alias_names(session: Session, stream_id: str) -> dict[str, list[str]]:
    """Return the aliases of each version id of a stream."""
    names: dict[str, list[str]] = defaultdict(list)
    for alias in list_aliases(session, stream_id):
        names[alias.version_id].append(alias.name)
    return names


def last_move(session: Session, stream_id: str, alias: str) -> AliasMoveRow | None:
    """Return the newest journal entry of an alias."""
    return session.scalar(_moves(stream_id, alias).order_by(AliasMoveRow.id.desc()).limit(1))


def move_of_job(session: Session, stream_id: str, alias: str, job_id: str) -> AliasMoveRow | None:
    """Return the move of an alias that a job made, if it has made one."""
    return session.scalar(_moves(stream_id, alias).where(AliasMoveRow.job_id == job_id).limit(1))


def was_held(session: Session, stream_id: str, alias: str, version_id: str) -> bool:
    """Say whether an alias ever named a version."""
    query = _moves(stream_id, alias).where(AliasMoveRow.to_version_id == version_id).limit(1)
    return session.scalar(query) is not None


def journal(
    session: Session, stream_id: str, alias: str, before: int | None, limit: int
) -> list[AliasMoveRow]:
    """Return up to `limit` journal entries, newest first, with ids below `before`."""
    query = _moves(stream_id, alias)
    if before is not None:
        query = query.where(AliasMoveRow.id < before)
    return list(session.scalars(query.order_by(AliasMoveRow.id.desc()).limit(limit)))


def records_of(session: Session, version_id: str) -> dict[str, RecordRow]:
    """Return a version's records by kind."""
    query = select(RecordRow).where(RecordRow.version_id == version_id)
    return {record.kind: record for record in session.scalars(query)}


def verdicts(session: Session, version_ids: list[str]) -> dict[str, str]:
    """Return the gate's outcome for each version that was judged."""
    query = select(RecordRow).where(
        RecordRow.version_id.in_(version_ids), RecordRow.kind == "verdict"
    )
    return {row.version_id: str(row.data.get("outcome")) for row in session.scalars(query)}


def task_names(session: Session, stream_id: str) -> dict[str, str]:
    """Return the names of a stream's tasks by id."""
    query = select(TaskRow.id, TaskRow.name).where(TaskRow.stream_id == stream_id)
    return {key: value for key, value in session.execute(query)}


def version_numbers(session: Session, stream_id: str) -> dict[str, int]:
    """Return the numbers of a stream's versions by id."""
    query = select(VersionRow.id, VersionRow.number).where(VersionRow.stream_id == stream_id)
    return {key: value for key, value in session.execute(query)}


def _moves(stream_id: str, alias: str) -> Select[AliasMoveRow]:
    return select(AliasMoveRow).where(
        AliasMoveRow.stream_id == stream_id, AliasMoveRow.alias == alias
    )
