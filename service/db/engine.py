"""Engine and sessions. SQLite runs in WAL; writers begin IMMEDIATE so that none waits half-way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, sessionmaker

Made = TypeVar("Made")
_TRIES = 5


class Database:
    """One engine with read and write sessions. Each session is one short transaction."""

    def __init__(self, url: str) -> None:
        self.engine = _make_engine(url)
        self._read = sessionmaker(self.engine, expire_on_commit=False)
        self._write = sessionmaker(
            self.engine.execution_options(retain_writer=True), expire_on_commit=False
        )

    @contextmanager
    def read(self) -> Iterator[Session]:
        """Open a session for reading; nothing is committed."""
        with self._read() as session:
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """Open a session for writing; commits at the end, rolls back on any error."""
        with self._write.begin() as session:
            yield session

    def commit(self, work: Callable[[Session], Made]) -> Made:
        """Do `work` in one write session; again when a parallel one took a unique value first.

        Looking again, `work` finds what the other made, and answers or refuses accordingly.
        """
        for _ in range(_TRIES - 1):
            try:
                with self.write() as session:
                    return work(session)
            except IntegrityError:
                continue
        with self.write() as session:
            return work(session)

    def close(self) -> None:
        """Return all connections."""
        self.engine.dispose()


def _make_engine(url: str) -> Engine:
    if not url.startswith("sqlite"):
        return create_engine(url, pool_pre_ping=True)
    engine = create_engine(url, connect_args={"timeout": 30, "check_same_thread": False})
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # SQLAlchemy's own BEGIN below is the only one
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=30000"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Any) -> None:
    writer = connection.get_execution_options().get("retain_writer")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writer else "BEGIN")
