"""Sessions, migrations and the lock of a state folder."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import insert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from service.db import migrate
from service.db.engine import Database
from service.db.tables import ApiKeyRow
from service.errors import PermanentConflict
from service.lock import StateLock


def key_row(key_id: str) -> ApiKeyRow:
    return ApiKeyRow(id=key_id, name="n", role="reader", hash=key_id, created_at=datetime.now(UTC))


def _write_twice(db: Database) -> None:
    with db.write() as session:
        session.add(key_row("key_a"))
        session.flush()
        session.execute(insert(ApiKeyRow).values(id="key_a", name="n", role="r", hash="h"))


@pytest.fixture
def db(tmp_path: Path) -> Database:
    database = Database(f"sqlite:///{tmp_path / 'retain.db'}")
    migrate.upgrade(database)
    return database


def test_migrations_make_exactly_the_tables(db: Database) -> None:
    assert migrate.drift(db) == []


def test_upgrade_twice_changes_nothing(db: Database) -> None:
    migrate.upgrade(db)
    assert migrate.drift(db) == []


def test_a_failed_write_leaves_nothing(db: Database) -> None:
    with pytest.raises(IntegrityError):
        _write_twice(db)
    with db.read() as session:
        assert session.get(ApiKeyRow, "key_a") is None


def test_moments_come_back_aware_and_in_utc(db: Database) -> None:
    with db.write() as session:
        session.add(key_row("key_a"))
    with db.read() as session:
        assert session.get_one(ApiKeyRow, "key_a").created_at.tzinfo is UTC


def test_writers_that_read_first_wait_instead_of_failing(db: Database) -> None:
    """A deferred transaction would fail at once when it turns from reading to writing."""
    failures: list[Exception] = []

    def add(number: int) -> None:
        try:
            for turn in range(20):
                with db.write() as session:
                    session.get(ApiKeyRow, "key_none")
                    session.add(key_row(f"key_{number}_{turn}"))
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=add, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_a_second_service_on_the_same_folder_is_refused(tmp_path: Path) -> None:
    lock = StateLock(tmp_path / "service.lock")
    with pytest.raises(PermanentConflict, match="RETAIN_STATE_DIR"):
        StateLock(tmp_path / "service.lock")
    lock.release()
    StateLock(tmp_path / "service.lock").release()


def test_a_commit_that_lost_a_race_looks_again(db: Database) -> None:
    tried: list[str] = []

    def work(session: Session) -> str:
        tried.append("key_a" if not tried else "key_b")
        session.add(key_row(tried[-1]))
        return tried[-1]

    with db.write() as session:
        session.add(key_row("key_a"))
    assert db.commit(work) == "key_b"


def test_a_commit_that_can_never_be_says_why(db: Database) -> None:
    with db.write() as session:
        session.add(key_row("key_a"))
    with pytest.raises(IntegrityError):
        db.commit(lambda session: session.add(key_row("key_a")))
