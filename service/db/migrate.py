"""Bring a database to the newest schema; make a new migration from the tables."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection

from service.db.engine import Database
from service.db.tables import Base

FOLDER = Path(__file__).parent / "migrations"


def upgrade(db: Database) -> None:
    """Apply all missing migrations, in one transaction where the database can."""
    with db.engine.execution_options(retain_writer=True).connect() as connection:
        command.upgrade(_config(connection), "head")
        connection.commit()


def drift(db: Database) -> list[object]:
    """Return what the migrations lack of the tables; empty when they agree."""
    with db.engine.connect() as connection:
        return list(compare_metadata(MigrationContext.configure(connection), Base.metadata))


def new_revision(db: Database, message: str, revision_id: str) -> None:
    """Write a migration that brings the current schema to the tables."""
    with db.engine.connect() as connection:
        command.revision(
            _config(connection), message=message, autogenerate=True, rev_id=revision_id
        )


def _config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(FOLDER))
    config.set_main_option("file_template", "%%(rev)s_%%(slug)s")
    config.attributes["connection"] = connection
    return config
