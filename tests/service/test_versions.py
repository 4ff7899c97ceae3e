"""Versions, aliases, the gate in front of `production`, and the journal."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete
from starlette.testclient import TestClient

from service.db.tables import AliasMoveRow, RecordRow, StreamRow, VersionRow
from service.errors import EngineUnavailable, NotFound, PermanentConflict, PromotionRefused
from service.reports.operations import get_report
from service.versions import views
from service.versions.moves import AliasMovedMeanwhile
from service.versions.operations import (
    create_base_version,
    get_version,
    lineage,
    move_alias,
    resolve_reference,
)
from tests.fakes.world import World, make_world


class Engines:
    """Engines that are ready at once, or not at all."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error

    def ensure_ready(self, version: Any, check: Any = None) -> None:
        if self.error is not None:
            raise self.error

    def close(self) -> None:
        """Nothing runs."""


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with make_world(tmp_path) as world:
        world.engines = Engines()  # type: ignore[assignment]
        yield world


@pytest.fixture
def client(world: World) -> Iterator[TestClient]:
    with TestClient(world.app(), headers=world.key("admin")) as client:
        yield client


def move(
    world: World, version: int | str, alias: str = "production", **fields: Any
) -> AliasMoveRow:
    wish = {"actor": "me", "reason": "because", **fields}
    return move_alias(
        world.db, world.engines, stream_name="demo", alias=alias, version_number=version, **wish
    ).entry


def current(world: World, selector: str = "production") -> int:
    with world.db.read() as session:
        return get_version(session, "demo", selector).number


def test_a_new_stream_serves_its_base(world: World) -> None:
    with world.db.write() as session:
        stream, version = resolve_reference(session, "demo")
        assert version.number == 0
        assert version.servable_by == "base"
        assert create_base_version(session, stream).id == version.id


def test_names_of_versions(world: World) -> None:
    world.add_version(1)
    move(world, 1, "blue")
    with world.db.read() as session:
        for reference, number in {"demo": 0, "demo@1": 1, "demo@blue": 1, "demo@0": 0}.items():
            assert resolve_reference(session, reference)[1].number == number
        for unknown in ("nope", "nope@1", "demo@7", "demo@green", "demo@", "demo@-1", "@", ""):
            with pytest.raises(NotFound):
                resolve_reference(session, unknown)


def test_a_lineage_begins_with_the_base(world: World) -> None:
    version = world.add_version(1)
    with world.db.read() as session:
        assert [row.number for row in lineage(session, version)] == [0, 1]


def test_a_version_that_passed_is_promoted(world: World) -> None:
    world.add_version(1)
    row = move(world, 1)
    assert row.kind == "promote"
    assert row.switch_ms is not None
    assert current(world) == 1


@pytest.mark.parametrize("outcome", ["block", "need_more_samples", None])
def test_a_version_that_did_not_pass_is_refused_with_the_way_out(
    world: World, outcome: str | None
) -> None:
    world.add_version(1, outcome)
    with pytest.raises(PromotionRefused, match="override") as refusal:
        move(world, 1)
    assert "/v1/streams/demo/versions/1/report" in refusal.value.message
    assert current(world) == 0
    assert move(world, 1, "candidate").kind == "manual"
    assert move(world, 1, override=True).kind == "override"


def test_what_no_engine_can_serve_is_not_promoted_and_the_reason_is_named(world: World) -> None:
    world.add_version(1, outcome=None, servable_by="offline")
    for wish in ({}, {"override": True}):
        with pytest.raises(PermanentConflict, match="version 1 is served offline") as refusal:
            move(world, 1, **wish)
        assert refusal.value.status == 422
    assert current(world) == 0


def test_other_aliases_may_name_what_no_engine_can_serve(world: World) -> None:
    world.add_version(1, servable_by="offline")
    world.engines = Engines(AssertionError("no engine may be asked"))  # type: ignore[assignment]
    assert move(world, 1, "candidate").kind == "manual"
    assert current(world, "candidate") == 1


def test_a_move_to_where_it_is_says_that_nothing_moved(world: World, client: TestClient) -> None:
    world.add_version(1)
    body = {"version": 1, "reason": "first"}
    first = client.post("/v1/streams/demo/aliases/production", json=body).json()
    key = {"idempotency-key": "again"}
    for _ in range(2):
        again = client.post(
            "/v1/streams/demo/aliases/production", json=body | {"reason": "second"}, headers=key
        ).json()
        assert (again["id"], again["reason"]) == (first["id"], "first")
        assert (first["moved"], again["moved"]) == (True, False)


def test_a_version_withdrawn_while_its_engine_starts_is_not_named(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = world.add_version(1)

    def withdraw(row: Any, check: Any = None) -> None:
        with world.db.write() as session:
            session.delete(session.get_one(VersionRow, version.id))

    with world.db.write() as session:
        session.execute(delete(RecordRow).where(RecordRow.version_id == version.id))
    monkeypatch.setattr(world.engines, "ensure_ready", withdraw)
    with pytest.raises(NotFound, match="withdrawn meanwhile"):
        move(world, 1, "candidate")
    assert current(world) == 0


def test_rolling_back_is_never_gated(world: World) -> None:
    world.add_version(1, "block")
    world.add_version(2)
    move(world, 1, override=True)
    move(world, 2)
    assert move(world, 1).kind == "rollback"
    assert move(world, 0).kind == "rollback"
    assert move(world, "previous").kind == "restore"
    assert current(world) == 1


def test_an_alias_does_not_move_unless_the_engine_is_ready(world: World) -> None:
    world.add_version(1)
    world.engines = Engines(EngineUnavailable("no engine"))  # type: ignore[assignment]
    with pytest.raises(EngineUnavailable):
        move(world, 1)
    assert current(world) == 0


def test_the_journal_is_a_chain(world: World) -> None:
    for number in (1, 2):
        world.add_version(number)
        move(world, number)
    move(world, "previous", reason="worse")
    with world.db.read() as session:
        rows = list(session.query(AliasMoveRow).order_by(AliasMoveRow.id))
    assert [row.kind for row in rows] == ["manual", "promote", "promote", "rollback"]
    for before, after in itertools.pairwise(rows):
        assert after.previous_id == before.id
        assert after.from_version_id == before.to_version_id
    assert rows[-1].reason == "worse"


def test_a_job_moves_an_alias_once(world: World) -> None:
    version = world.add_version(1)
    first = move(world, 1, job_id=version.job_id)
    move(world, 0)
    assert move(world, 1, job_id=version.job_id).id == first.id
    assert current(world) == 0


def test_naming_what_is_named_already_changes_nothing(world: World) -> None:
    world.add_version(1)
    first = move(world, 1)
    assert move(world, 1).id == first.id


def test_versions_over_rest(client: TestClient, world: World) -> None:
    for number in (1, 2, 3):
        world.add_version(number, "block" if number == 2 else "pass")
    page = client.get("/v1/streams/demo/versions", params={"limit": 3}).json()
    assert [row["name"] for row in page["data"]] == ["demo@3", "demo@2", "demo@1"]
    assert page["data"][1]["verdict"] == "block"
    assert page["has_more"]
    rest = client.get("/v1/streams/demo/versions", params={"after": page["next_cursor"]}).json()
    assert [row["aliases"] for row in rest["data"]] == [["production"]]
    one = client.get("/v1/streams/demo/versions/2").json()
    assert one["lineage"] == ["demo@0", "demo@2"]
    assert one["records"]["verdict"]["outcome"] == "block"
    assert one["task"] == "task-2"
    for refused in ("x", "", "9" * 30):
        answer = client.get("/v1/streams/demo/versions", params={"after": refused})
        assert answer.status_code == 422


def test_aliases_over_rest(client: TestClient, world: World) -> None:
    world.add_version(1)
    body = {"version": 1, "reason": "better"}
    moved = client.post("/v1/streams/demo/aliases/production", json=body)
    assert moved.status_code == 200
    assert (moved.json()["from"], moved.json()["to"]) == ("demo@0", "demo@1")
    assert moved.json()["actor"] == "admin"
    back = {"version": "previous", "reason": "worse"}
    rolled = client.post("/v1/streams/demo/aliases/production", json=back)
    assert rolled.json()["kind"] == "rollback"
    alias = client.get("/v1/streams/demo/aliases/production", params={"limit": 2}).json()
    assert alias["version"] == 0
    assert [row["reason"] for row in alias["journal"]["data"]] == ["worse", "better"]
    older = {"after": alias["journal"]["next_cursor"]}
    rest = client.get("/v1/streams/demo/aliases/production", params=older).json()
    assert rest["journal"]["data"][0]["previous_id"] is None
    assert client.get("/v1/streams/demo/aliases").json()["data"][0]["version_name"] == "demo@0"


def test_an_idempotency_key_moves_once(client: TestClient, world: World) -> None:
    world.add_version(1)
    headers = {"idempotency-key": "k"}
    body = {"version": 1, "reason": "better"}
    path = "/v1/streams/demo/aliases/production"
    first = client.post(path, json=body, headers=headers).json()
    client.post(path, json={"version": 0, "reason": "back"})
    assert client.post(path, json=body, headers=headers).json() == first
    assert current(world) == 0
    other = client.post(path, json={**body, "reason": "else"}, headers=headers)
    assert other.status_code == 422


def test_a_crash_after_the_move_does_not_move_twice(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.add_version(1)
    move(world, 1)
    headers = {**world.key("admin"), "idempotency-key": "k"}
    body = {"version": "previous", "reason": "worse"}
    path = "/v1/streams/demo/aliases/production"
    with TestClient(world.app(), headers=headers, raise_server_exceptions=False) as client:
        with monkeypatch.context() as crash:
            crash.setattr(views, "read_move", None)
            assert client.post(path, json=body).status_code == 500
        again = client.post(path, json=body).json()
    assert (again["from"], again["to"]) == ("demo@1", "demo@0")
    assert current(world) == 0


def test_a_key_also_remembers_that_nothing_had_to_move(client: TestClient, world: World) -> None:
    world.add_version(1)
    move(world, 1)
    path = "/v1/streams/demo/aliases/production"
    body = {"version": 1, "reason": "again"}
    first = client.post(path, json=body, headers={"idempotency-key": "k"}).json()
    move(world, 0)
    assert client.post(path, json=body, headers={"idempotency-key": "k"}).json() == first
    assert current(world) == 0


def test_an_alias_that_is_not_where_expected_stays(world: World) -> None:
    expected = world.add_version(1)
    world.add_version(2)
    with pytest.raises(AliasMovedMeanwhile, match="demo@2"):
        move(world, 2, expected_from_id=expected.id)
    assert current(world) == 0


def test_a_version_without_a_report_says_where_to_look(world: World) -> None:
    with world.db.read() as session, pytest.raises(NotFound, match="/v1/streams/demo/versions"):
        get_report(session, "demo", "0")


@pytest.mark.parametrize(
    ("path", "body", "status", "word"),
    [
        ("demo/aliases/production", {"version": 9, "reason": "r"}, 404, "demo@9"),
        ("nope/aliases/production", {"version": 0, "reason": "r"}, 404, "nope"),
        ("demo/aliases/previous", {"version": 0, "reason": "r"}, 422, "previous"),
        ("demo/aliases/7", {"version": 0, "reason": "r"}, 422, "'7'"),
        ("demo/aliases/production", {"version": "previous", "reason": "r"}, 422, "previous"),
        ("demo/aliases/production", {"version": 10**30, "reason": "r"}, 422, "2147483648"),
        ("demo/aliases/production", {"version": -1, "reason": "r"}, 422, "version"),
        ("demo/aliases/production", {"version": 0}, 422, "reason"),
        ("demo/aliases/production", {"version": 0, "reason": ""}, 422, "reason"),
        ("demo/aliases/production", {"version": 0, "reason": "r", "x": 1}, 422, "x"),
    ],
)
def test_moves_that_make_no_sense_are_refused(
    client: TestClient, path: str, body: dict[str, Any], status: int, word: str
) -> None:
    answer = client.post(f"/v1/streams/{path}", json=body)
    assert answer.status_code == status
    assert word in answer.json()["error"]["message"]


def test_roles(client: TestClient, world: World) -> None:
    world.add_version(1, "block")
    path = "/v1/streams/demo/aliases/production"
    body = {"version": 1, "reason": "r"}
    reader, operator = world.key("reader"), world.key("operator")
    assert client.get(path, headers=reader).status_code == 200
    assert client.post(path, json=body, headers=reader).status_code == 403
    assert client.post(path, json=body, headers=operator).json()["error"]["code"] == (
        "promotion_refused"
    )
    forced = {**body, "override": True}
    assert client.post(path, json=forced, headers=operator).status_code == 403
    assert client.post(path, json=forced).json()["kind"] == "override"


def test_unknown_streams_are_404(client: TestClient) -> None:
    for path in ("versions", "versions/1", "aliases", "aliases/production"):
        answer = client.get(f"/v1/streams/nope/{path}")
        assert answer.status_code == 404
        assert "'nope'" in answer.json()["error"]["message"]
    assert client.get("/v1/streams/demo/aliases/blue").status_code == 404


def test_streams_are_found_by_name_only(world: World) -> None:
    with world.db.read() as session:
        stream = session.query(StreamRow).one()
        with pytest.raises(NotFound):
            get_version(session, stream.id, 0)
