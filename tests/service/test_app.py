"""The whole application on an empty state folder: manners every route shares."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

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


def test_unknown_fields_are_refused_by_name(client: TestClient) -> None:
    answer = client.post("/v1/streams", json={"name": "a", "base": ".", "rnak": 3})
    assert answer.status_code == 422
    assert "rnak" in answer.json()["error"]["message"]


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
    client.delete(f"/v1/keys/{made['id']}")
    assert client.get("/v1/streams", headers=reader).status_code == 401
