"""API keys and idempotency keys."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from service.db import migrate
from service.db.engine import Database
from service.db.tables import ApiKeyRow
from service.errors import InvalidRequest, NotAuthenticated, PermanentConflict, PermissionDenied
from service.idempotency import once, remember, replay
from service.ids import now
from service.keys import operations
from service.keys.schemas import KeyCreate


@pytest.fixture
def db(tmp_path: Path) -> Database:
    database = Database(f"sqlite:///{tmp_path / 'retain.db'}")
    migrate.upgrade(database)
    return database


def test_a_key_opens_what_its_role_allows(db: Database) -> None:
    _row, secret = operations.create_key(db, "laptop", "operator")
    assert operations.authenticate(db, f"Bearer {secret}", "reader").name == "laptop"
    assert operations.authenticate(db, f"bearer {secret}", "operator").role == "operator"
    with pytest.raises(PermissionDenied, match="admin"):
        operations.authenticate(db, f"Bearer {secret}", "admin")


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer nope", "Basic abc"])
def test_anything_else_is_refused(db: Database, header: str | None) -> None:
    with pytest.raises(NotAuthenticated):
        operations.authenticate(db, header, "reader")


def test_a_revoked_key_is_dead_at_once(db: Database) -> None:
    row, secret = operations.create_key(db, "laptop", "operator")
    operations.revoke_key(db, row.id)
    with pytest.raises(NotAuthenticated):
        operations.authenticate(db, f"Bearer {secret}", "reader")


def test_the_last_admin_key_stays(db: Database) -> None:
    first, _ = operations.create_key(db, "first", "admin")
    operations.create_key(db, "ci", "operator")
    with pytest.raises(operations.LastAdminKey, match="Make another admin key first"):
        operations.revoke_key(db, first.id)
    second, secret = operations.create_key(db, "second", "admin")
    assert operations.revoke_key(db, first.id).revoked_at is not None
    assert operations.revoke_key(db, first.id).revoked_at is not None  # no change, no refusal
    with pytest.raises(operations.LastAdminKey, match=second.id):
        operations.revoke_key(db, second.id)
    assert operations.authenticate(db, f"Bearer {secret}", "admin").name == "second"


def test_a_repeated_call_makes_no_second_key_and_names_the_first(db: Database) -> None:
    first, _ = operations.create_key(db, "ci", "reader", once("key_a", "k", {"name": "ci"}))
    with pytest.raises(operations.KeyMadeBefore, match=first.id):
        operations.create_key(db, "ci", "reader", once("key_a", "k", {"name": "ci"}))
    with pytest.raises(PermanentConflict, match="different request"):
        operations.create_key(db, "other", "reader", once("key_a", "k", {"name": "other"}))
    assert [row.id for row in operations.list_keys(db)] == [first.id]


def test_unknown_roles_are_refused(db: Database) -> None:
    with pytest.raises(InvalidRequest, match="'root'"):
        operations.create_key(db, "laptop", "root")


def test_the_secret_is_nowhere_in_the_database(db: Database, tmp_path: Path) -> None:
    _row, secret = operations.create_key(db, "laptop", "admin")
    assert all(secret.encode() not in path.read_bytes() for path in tmp_path.iterdir())


def test_the_first_start_writes_an_admin_key_that_only_the_owner_reads(
    db: Database, tmp_path: Path
) -> None:
    path = tmp_path / "admin.key"
    operations.ensure_admin_key(db, path)
    secret = path.read_text().strip()
    operations.ensure_admin_key(db, path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.read_text().strip() == secret
    assert operations.authenticate(db, f"Bearer {secret}", "admin").role == "admin"


def test_a_start_killed_before_the_row_is_there_loses_no_key(
    db: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "admin.key"
    with monkeypatch.context() as patch:
        patch.setattr(operations, "_insert", _killed)
        with pytest.raises(KeyboardInterrupt):
            operations.ensure_admin_key(db, path)
    operations.ensure_admin_key(db, path)
    secret = path.read_text().strip()
    assert operations.authenticate(db, f"Bearer {secret}", "admin").role == "admin"


def test_a_start_killed_before_the_file_is_there_leaves_no_row(
    db: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "admin.key"
    with monkeypatch.context() as patch:
        patch.setattr(operations.Disk, "rename", _killed)
        with pytest.raises(KeyboardInterrupt):
            operations.ensure_admin_key(db, path)
    operations.ensure_admin_key(db, path)
    secret = path.read_text().strip()
    assert operations.authenticate(db, f"Bearer {secret}", "admin").role == "admin"


def _killed(*_values: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("old", ["", "no key\n", "revoked"])
def test_a_file_without_a_working_key_is_replaced_and_ends_private(
    db: Database, tmp_path: Path, old: str
) -> None:
    path = tmp_path / "admin.key"
    if old == "revoked":
        row, old = operations.create_key(db, "admin", "admin")
        with db.write() as session:  # the service itself lets the last admin key be
            session.get_one(ApiKeyRow, row.id).revoked_at = now()
    path.write_text(old)
    path.chmod(0o644)
    operations.ensure_admin_key(db, path)
    secret = path.read_text().strip()
    assert operations.authenticate(db, f"Bearer {secret}", "admin").role == "admin"
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o644)
    operations.ensure_admin_key(db, path)
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_repeated_request_gets_the_first_answer(db: Database) -> None:
    with db.write() as session:
        assert replay(session, once("key_a", "k", {"x": 1})) is None
        remember(session, once("key_a", "k", {"x": 1}), {"id": "job_1"})
    with db.write() as session:
        assert replay(session, once("key_a", "k", {"x": 1})) == {"id": "job_1"}
        assert replay(session, once("key_b", "k", {"x": 1})) is None
        assert replay(session, None) is None


def test_the_same_key_for_another_request_is_refused(db: Database) -> None:
    with db.write() as session:
        remember(session, once("key_a", "k", {"x": 1}), {"id": "job_1"})
    with db.write() as session, pytest.raises(PermanentConflict, match="'k'"):
        replay(session, once("key_a", "k", {"x": 2}))


@pytest.mark.parametrize("name", ["a\0", "two\nlines", "\x1b[31m", ""])
def test_a_keys_name_is_one_line_of_text(name: str) -> None:
    with pytest.raises(ValidationError):
        KeyCreate(name=name)
