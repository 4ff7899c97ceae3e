"""What the tables hold, for assertions."""

from __future__ import annotations

from typing import Any

from sqlalchemy import func, select

from service.db.tables import RecordRow, VersionRow
from tests.service.harness import Json, Plane


def count(plane: Plane, table: Any) -> int:
    with plane.db.read() as session:
        return session.scalar(select(func.count()).select_from(table)) or 0


def record(plane: Plane, number: int, kind: str) -> Json:
    with plane.db.read() as session:
        version = session.scalars(select(VersionRow).where(VersionRow.number == number)).one()
        return dict(session.get_one(RecordRow, (version.id, kind)).data)
