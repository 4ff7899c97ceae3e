"""One service per state folder and per database, kept by locks that die with its process."""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from pathlib import Path

from sqlalchemy import Connection, func, select
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from service.db.engine import Database
from service.errors import PermanentConflict

_SERVICE_LOCK = 0x72657461696E_02  # "retain", 2: this service's advisory locks in PostgreSQL


class StateLock:
    """An exclusive lock on a state folder; raises PermanentConflict when it is taken."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a+")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._file.seek(0)
            owner = self._file.read().strip() or "unknown"
            self._file.close()
            raise PermanentConflict(
                f"another service (process {owner}) uses the state folder {path.parent}. "
                "Stop it, or set RETAIN_STATE_DIR to a folder of its own."
            ) from error
        self._file.truncate(0)
        self._file.write(str(os.getpid()))
        self._file.flush()

    def release(self) -> None:
        """Let the next service have the folder."""
        self._file.close()


class DatabaseLock:
    """An exclusive lock on a PostgreSQL database; raises PermanentConflict when it is taken.

    Two services on one database would run every job twice. An SQLite file needs none: it lies in
    the state folder.
    """

    def __init__(self, db: Database) -> None:
        self._engine = db.engine
        self._connection: Connection | None = None
        self.renew()

    def renew(self) -> None:
        """Take the lock again where the database has dropped its connection, and the lock with it.

        Raises PermanentConflict when another service was quicker.
        """
        if self._engine.dialect.name == "postgresql" and not self._is_held():
            self.release()
            self._take()

    def release(self) -> None:
        """Let the next service have the database."""
        if self._connection is not None:
            with suppress(SQLAlchemyError):  # free once this returns, not a moment later
                self._connection.scalar(select(func.pg_advisory_unlock(_SERVICE_LOCK)))
            self._connection.invalidate()  # ends the session, and with it a lock that is left
            self._connection.close()
            self._connection = None

    def _is_held(self) -> bool:
        if self._connection is None:
            return False
        try:
            self._connection.scalar(select(1))
        except DBAPIError:
            return False
        return True

    def _take(self) -> None:
        connection = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        if not connection.scalar(select(func.pg_try_advisory_lock(_SERVICE_LOCK))):
            connection.close()
            url = self._engine.url.render_as_string()
            raise PermanentConflict(
                f"another service uses the database {url}. Stop it, or set RETAIN_DATABASE_URL to "
                "a database of its own."
            )
        self._connection = connection
