"""The whole application on an empty state folder: manners every route shares."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
import structlog
from starlette.testclient import TestClient
from starlette.types import Message

from service.app import create_app
from service.settings import Settings


@pytest.fixture
def client(tmp_path: Path) -> Iterator[TestClient]:
    app = create_app(Settings(state_dir=tmp_path))
    with TestClient(app, raise_server_exceptions=False) as client:
        key = (tmp_path / "admin.key").read_text().strip()
        client.headers["authorization"] = f"Bearer {key}"
        yield client


OPEN_PATHS = {"/healthz", "/readyz", "/metrics"}


def test_every_route_but_the_system_ones_wants_a_key(client: TestClient) -> None:
    del client.headers["authorization"]
    paths = client.get("/openapi.json").json()["paths"]
    refused = {
        (method, path): client.request(method, path.replace("{action}", "pause")).status_code
        for path, methods in paths.items()
        for method in methods
        if path not in OPEN_PATHS
    }
    assert len(refused) > 20
    assert set(refused.values()) == {401}, refused


def test_the_system_routes_answer_anybody(client: TestClient) -> None:
    del client.headers["authorization"]
    assert client.get("/healthz").json() == {"status": "ok"}
    assert client.get("/readyz").json()["ready"] is True
    assert "retain_requests_total" in client.get("/metrics").text


def test_errors_have_the_openai_shape_and_a_request_id(client: TestClient) -> None:
    answer = client.get("/v1/streams/nothing", headers={"x-request-id": "mine-1"})
    assert answer.status_code == 404
    assert answer.headers["x-request-id"] == "mine-1"
    assert set(answer.json()["error"]) == {"message", "type", "code", "param"}
    assert client.get("/nowhere").json()["error"]["message"].endswith("See /docs.")
    assert client.get("/nowhere").headers["x-request-id"].startswith("req_")


@pytest.mark.parametrize("path", ["/v1/streams", "/v1/chat/completions", "/v1/nothing"])
def test_without_a_key_nothing_of_a_body_is_looked_at(client: TestClient, path: str) -> None:
    del client.headers["authorization"]
    for content in (b"{no json", b" " * 60 * 2**20):
        kind = {"content-type": "application/json"}
        answer = client.post(path, content=content, headers=kind)
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, "invalid_api_key")


@pytest.mark.parametrize("with_length", [True, False])
@pytest.mark.parametrize(
    ("path", "megabytes"),
    [("/v1/streams", 2), ("/v1/chat/completions", 33), ("/ui/login", 2)],
)
def test_a_body_over_the_limit_is_413(
    client: TestClient, path: str, megabytes: int, with_length: bool
) -> None:
    body = b" " * megabytes * 2**20
    content = body if with_length else iter([body])
    kind = {"content-type": "application/x-www-form-urlencoded"}
    answer = client.post(path, content=content, headers=kind)
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "payload_too_large")
    assert answer.headers["x-request-id"].startswith("req_")


def test_a_body_over_the_limit_is_not_read_to_its_end() -> None:
    read: list[int] = []
    answers: list[Message] = []

    async def receive() -> Message:
        read.append(2**19)
        return {"type": "http.request", "body": b" " * 2**19, "more_body": len(read) < 120}

    async def send(message: Message) -> None:
        answers.append(message)

    app = create_app(Settings())
    headers = [(b"authorization", b"Bearer x"), (b"content-type", b"application/json")]
    scope = {
        "type": "http", "method": "POST", "path": "/v1/streams", "query_string": b"",
        "headers": headers,
    }  # fmt: skip
    anyio.run(app, scope, receive, send)
    assert [message.get("status") for message in answers] == [413, None]
    assert sum(read) <= 2 * 2**20


def test_chats_and_uploads_may_be_larger_than_other_bodies(client: TestClient) -> None:
    body = b" " * 2**21
    assert client.post("/v1/chat/completions", content=body).status_code == 422
    assert client.post("/v1/streams/none/tasks", content=body).status_code == 404


def test_an_unhandled_error_is_a_500_with_a_request_id(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_values: object) -> None:
        raise ZeroDivisionError("secret detail")

    monkeypatch.setattr("service.keys.routes.operations.list_keys", fail)
    with structlog.testing.capture_logs([structlog.contextvars.merge_contextvars]) as logs:
        answer = client.get("/v1/keys", headers={"x-request-id": "mine-2"})
    assert answer.status_code == 500
    assert answer.headers["x-request-id"] == "mine-2"
    assert answer.headers["x-should-retry"] == "false"
    assert answer.json()["error"]["code"] == "internal_error"
    assert "secret" not in answer.text
    unhandled = [log for log in logs if log["event"] == "service.unhandled_error"]
    assert [log["request_id"] for log in unhandled] == ["mine-2"]


def test_unknown_fields_are_refused_by_name(client: TestClient) -> None:
    answer = client.post("/v1/streams", json={"name": "a", "base": ".", "rnak": 3})
    assert answer.status_code == 422
    assert "rnak" in answer.json()["error"]["message"]


JSON = {"content-type": "application/json"}
UNREADABLE = [
    (b"{no json", JSON, "not JSON: Expecting property name"),
    (b"", JSON, "is required"),
    (b"[]", JSON, "must be a JSON object (got [])"),
    ("{'name': 'é'}".encode("latin-1"), JSON, "not UTF-8"),
    (b"[" * 100_000, JSON, "nested too deeply"),
    (b'{"seed": ' + b"1" * 6000 + b"}", JSON, "too many digits"),
    (b"name=demo", {"content-type": "text/plain"}, "it came as 'text/plain'"),
    (b"{}", {}, "it came without one"),
]


@pytest.mark.parametrize(("content", "headers", "words"), UNREADABLE)
def test_a_body_that_is_no_json_object_is_refused_with_the_way_out(
    client: TestClient, content: bytes, headers: dict[str, str], words: str
) -> None:
    answer = client.post("/v1/streams", content=content, headers=headers)
    error = answer.json()["error"]
    assert (answer.status_code, error["param"], error["code"]) == (422, None, "invalid_request")
    assert words in error["message"]
    assert "Send a JSON object with content-type application/json" in error["message"]


def test_another_method_is_refused_with_those_that_are_allowed(client: TestClient) -> None:
    answer = client.put("/v1/streams")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, POST")
    assert "PUT /v1/streams is not allowed: use GET, POST" in answer.json()["error"]["message"]


@pytest.mark.parametrize("version", [True, "3", 3.0, "latest", [1], None])
def test_a_version_is_a_number_or_previous(client: TestClient, version: Any) -> None:
    body = {"version": version, "reason": "x"}
    error = client.post("/v1/streams/demo/aliases/production", json=body).json()["error"]
    assert error["param"] == "version"
    assert error["message"] == (
        f"version: must be a version's number or 'previous' (got {version!r})"
    )


@pytest.mark.parametrize(("version", "limit"), [(-1, "to 0 (got -1)"), (2**31, "2147483648 (got")])
def test_a_versions_number_has_limits(client: TestClient, version: int, limit: str) -> None:
    body = {"version": version, "reason": "x"}
    error = client.post("/v1/streams/demo/aliases/production", json=body).json()["error"]
    assert error["param"] == "version"
    assert limit in error["message"]


@pytest.mark.parametrize("version", [1, 0, "previous"])
def test_a_versions_number_and_previous_are_taken(client: TestClient, version: Any) -> None:
    body = {"version": version, "reason": "x"}
    assert client.post("/v1/streams/demo/aliases/production", json=body).status_code == 404


def test_an_error_shows_no_key_and_repeats_nothing_long(client: TestClient) -> None:
    made = client.post("/v1/keys", json={"name": "ci", "role": "reader"}).json()
    secret = made["secret"]
    body = {"name": [secret], "role": f"{'x' * 70}{secret}", "secret": secret}
    message = client.post("/v1/keys", json=body).json()["error"]["message"]
    assert "rtk_" in message
    assert secret[4:14] not in message
    login = client.post("/ui/login", data={"keys": secret}).json()["error"]
    assert (login["message"], login["param"]) == ("key: is required", "key")
    for path in (f"/v1/streams/{'n' * 6000}", f"/v1/jobs/{'j' * 6000}", f"/v1/{'p' * 6000}"):
        assert len(client.get(path).json()["error"]["message"]) < 250
    body = {"name": "demo", "base": "/", "method": "m" * 10_000}
    error = client.post("/v1/streams", json=body).json()["error"]
    assert error["message"].startswith("unknown method 'mmm")
    assert len(error["message"]) < 200


def test_a_body_with_countless_errors_is_refused_at_once(client: TestClient) -> None:
    names = {f"field{number}": 1 for number in range(50_000)}
    error = client.post("/v1/streams", json=names).json()["error"]
    assert error["message"].count("; ") == 10
    assert error["message"].endswith("; and more")


def test_half_a_character_in_a_name_is_no_error_of_ours(client: TestClient) -> None:
    answer = client.post("/v1/streams", content=b'{"\\ud800": 1}', headers=JSON)
    assert answer.status_code == 422
    assert "\\ud800" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("query", "words"), [("limit=abc", "whole number (got 'abc')"), ("limit=0", "(got '0')")]
)
def test_a_query_that_is_refused_shows_its_value(
    client: TestClient, query: str, words: str
) -> None:
    error = client.get(f"/v1/jobs?{query}").json()["error"]
    assert error["param"] == "limit"
    assert error["message"].startswith("limit: must be ")
    assert words in error["message"]


@pytest.mark.parametrize(("key", "words"), [("", "at least 1"), ("k" * 201, "at most 200")])
def test_an_idempotency_key_has_a_length(client: TestClient, key: str, words: str) -> None:
    body = {"name": "ci", "role": "reader"}
    answer = client.post("/v1/keys", json=body, headers={"idempotency-key": key})
    assert (answer.status_code, answer.json()["error"]["param"]) == (422, "Idempotency-Key")
    assert words in answer.json()["error"]["message"]


def test_the_api_description_shows_the_errors_as_they_are(client: TestClient) -> None:
    description = client.get("/openapi.json").json()
    assert "HTTPValidationError" not in str(description)
    error = description["components"]["schemas"]["ErrorDetail"]["properties"]
    assert set(error) == {"message", "type", "code", "param"}
    assert "/v1/login-links" in description["paths"]
    for path, methods in description["paths"].items():
        for operation in methods.values():
            documented = set(operation["responses"])
            assert path in OPEN_PATHS or {"401", "403", "404", "413", "422", "503"} <= documented
            assert "/ui/" not in path


def test_a_metric_never_carries_a_method_that_a_client_made_up(client: TestClient) -> None:
    client.request("BREW" * 50, "/healthz")
    metrics = client.get("/metrics").text
    assert "BREW" not in metrics
    assert 'method="OTHER"' in metrics


def test_the_api_docs_load_nothing_from_elsewhere(client: TestClient) -> None:
    page = client.get("/docs").text
    assert "http" not in page.replace("HTTP", "").split("<script>")[0].split("openapi")[0]
    assert "cdn" not in page


def test_keys_are_made_used_and_revoked(client: TestClient) -> None:
    made = client.post("/v1/keys", json={"name": "ci", "role": "reader"}).json()
    reader = {"authorization": f"Bearer {made['secret']}"}
    assert client.get("/v1/streams", headers=reader).status_code == 200
    assert client.post("/v1/keys", json={"name": "x"}, headers=reader).status_code == 403
    assert "secret" not in client.get("/v1/keys").text
    again = {"idempotency-key": "once"}
    first = client.post("/v1/keys", json={"name": "x"}, headers=again)
    repeated = client.post("/v1/keys", json={"name": "x"}, headers=again)
    assert (first.status_code, repeated.status_code) == (201, 422)
    assert first.json()["id"] in repeated.json()["error"]["message"]
    client.delete(f"/v1/keys/{made['id']}")
    assert client.get("/v1/streams", headers=reader).status_code == 401


def test_a_new_state_folder_is_its_owners_alone(tmp_path: Path) -> None:
    folder = Settings(state_dir=tmp_path / "state").folder("blobs")
    assert folder.parent.stat().st_mode & 0o777 == 0o700
