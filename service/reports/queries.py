"""The accuracy matrix of a lineage, built from the stored cells."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from eval.matrix import AccuracyMatrix, Cell, MatrixRow
from service.db.tables import CellRow, RecordRow, StreamRow, TaskRow, VersionRow
from service.versions.operations import lineage


def matrix_of(session: Session, stream: StreamRow, head: VersionRow) -> AccuracyMatrix:
    """Return the matrix of the lineage that ends in `head`: a row per version, the base first."""
    chain = lineage(session, head)
    tasks = {row.id: row.name for row in _tasks(session, chain)}
    cells = list(
        session.scalars(select(CellRow).where(CellRow.version_id.in_([v.id for v in chain])))
    )
    rows = [
        MatrixRow(
            version=f"{stream.name}@{version.number}",
            task=tasks.get(version.task_id or ""),
            cells={
                tasks[cell.task_id]: Cell(accuracy=cell.accuracy, n=cell.n, metric=cell.metric)
                for cell in cells
                if cell.version_id == version.id and cell.task_id in tasks
            },
        )
        for version in chain
    ]
    return AccuracyMatrix(tasks=tuple(tasks.values()), rows=tuple(rows))


def current_matrix(session: Session, stream: StreamRow) -> AccuracyMatrix | None:
    """Return the matrix of the newest evaluated version's lineage, or None before the first."""
    newest = session.scalar(
        select(VersionRow)
        .join(RecordRow, RecordRow.version_id == VersionRow.id)
        .where(VersionRow.stream_id == stream.id, VersionRow.number > 0)
        .where(RecordRow.kind == "report")  # written last: every cell is there
        .order_by(VersionRow.number.desc())
        .limit(1)
    )
    return None if newest is None else matrix_of(session, stream, newest)


def find_record(session: Session, version: VersionRow, kind: str) -> RecordRow | None:
    """Return a version's record of one kind, if it has it."""
    return session.get(RecordRow, (version.id, kind))


def find_version(session: Session, digest: str) -> VersionRow | None:
    """Return the version with a digest, if there is one; stream and number are part of it."""
    return session.scalar(select(VersionRow).where(VersionRow.digest == digest).limit(1))


def _tasks(session: Session, chain: list[VersionRow]) -> list[TaskRow]:
    return [session.get_one(TaskRow, version.task_id) for version in chain if version.task_id]
