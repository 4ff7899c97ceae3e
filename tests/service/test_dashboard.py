"""The pages: nobody sees them unasked, and they show what the API says."""

from __future__ import annotations

import pytest
from starlette.testclient import TestClient

from service.dashboard import routes as dashboard
from service.dashboard.sessions import Sessions
from service.keys.operations import Caller, create_key, revoke_key
from service.reports import routes as reports
from tests.service.harness import Plane


@pytest.fixture
def browser(plane: Plane) -> TestClient:
    for module in (dashboard, reports):
        plane.app.include_router(module.router)
    return TestClient(plane.app)


@pytest.fixture
def signed_in(plane: Plane, browser: TestClient) -> TestClient:
    path = plane.client.post("/v1/login-links").json()["path"]
    assert browser.get(path).status_code == 200
    return browser


@pytest.mark.parametrize("path", ["/", "/ui/streams/demo", "/ui/jobs/job_x"])
def test_a_stranger_is_sent_to_the_sign_in_page(browser: TestClient, path: str) -> None:
    answer = browser.get(path)
    assert answer.url.path == "/ui/login"
    assert 'name="key"' in answer.text


def test_an_api_key_signs_in_and_a_wrong_one_does_not(plane: Plane, browser: TestClient) -> None:
    assert "unknown or revoked" in browser.post("/ui/login", data={"key": "rtk_no"}).text
    answer = browser.post("/ui/login", data={"key": plane.key})
    assert answer.url.path == "/"
    assert "Streams" in answer.text


def test_a_login_link_works_once(plane: Plane, browser: TestClient) -> None:
    path = plane.client.post("/v1/login-links").json()["path"]
    assert browser.get(path).url.path == "/"
    browser.cookies.clear()
    assert "was used or has expired" in browser.get(path).text


def test_the_stream_page_shows_versions_matrix_and_journal(
    plane: Plane, signed_in: TestClient
) -> None:
    plane.create_stream()
    job = plane.wait(plane.submitted("colours"))
    assert job["state"] == "succeeded", job
    page = signed_in.get("/ui/streams/demo").text
    for text in ("demo@1", "production", "colours", "MFT", "n=", "promote"):
        assert text in page
    assert job["id"] in signed_in.get("/").text
    assert "promote" in signed_in.get(f"/ui/jobs/{job['id']}").text
    report = signed_in.get("/ui/streams/demo/versions/1/report")
    assert "demo@1" in report.text
    assert "script-src" in report.headers["content-security-policy"]


def test_text_from_tasks_is_shown_as_text(plane: Plane, signed_in: TestClient) -> None:
    plane.create_stream(name="demo")
    answer = signed_in.get("/ui/streams/%3Cscript%3Ealert(1)%3C%2Fscript%3E")
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/json"
    assert "default-src 'self'" in signed_in.get("/").headers["content-security-policy"]


def test_pages_load_nothing_from_elsewhere(signed_in: TestClient) -> None:
    page = signed_in.get("/").text
    assert "//" not in page.replace("<!doctype html>", "")
    assert signed_in.get("/static/retain.css").status_code == 200
    assert signed_in.get("/static/..%2Froutes.py").status_code == 404


def test_sessions_end(monkeypatch: pytest.MonkeyPatch) -> None:
    sessions, clock = Sessions(), [100.0]
    monkeypatch.setattr("service.dashboard.sessions.time.monotonic", lambda: clock[0])
    secret = sessions.open(Caller("key_a", "laptop", "reader"), seconds=10)
    assert sessions.find(secret) == Caller("key_a", "laptop", "reader")
    clock[0] = 111.0
    assert sessions.find(secret) is None
    assert sessions.find(None) is None


def test_a_link_is_taken_once_however_close_the_two_are() -> None:
    sessions = Sessions()
    secret = sessions.open(Caller("key_a", "laptop", "reader"), kind="link")
    others: list[Caller | None] = []

    class OtherComesNext:
        """A lock behind which another browser waits with the same link."""

        def __enter__(self) -> None:
            return

        def __exit__(self, *_error: object) -> None:
            if not others:
                others.append(None)
                others.append(sessions.take(secret))

    sessions._lock = OtherComesNext()  # type: ignore[assignment]
    assert sessions.take(secret) == Caller("key_a", "laptop", "reader")
    assert others == [None, None]


def test_a_session_is_no_link_and_a_link_no_session() -> None:
    sessions, caller = Sessions(), Caller("key_a", "laptop", "reader")
    assert sessions.take(sessions.open(caller)) is None
    assert sessions.find(sessions.open(caller, kind="link")) is None


def test_a_revoked_key_sees_no_page(plane: Plane, browser: TestClient) -> None:
    row, secret = create_key(plane.db, "guest", "reader")
    assert browser.post("/ui/login", data={"key": secret}).url.path == "/"
    revoke_key(plane.db, row.id)
    assert browser.get("/").url.path == "/ui/login"
