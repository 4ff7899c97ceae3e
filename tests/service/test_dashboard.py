"""The pages: nobody sees them unasked, and they show what the API says."""

from __future__ import annotations

from html import unescape

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


@pytest.mark.parametrize("typed", ["/ui", "/ui/"])
def test_what_people_type_leads_home(signed_in: TestClient, typed: str) -> None:
    page = signed_in.get(typed)
    assert (page.status_code, page.url.path) == (200, "/")


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


def reviewed(plane: Plane) -> str:
    plane.create_stream()
    options = {"x_percent": 100, "asd": {"review": True}}
    job_id = plane.submitted(options=options)
    plane.wait(job_id, "paused")
    return job_id


def test_the_job_page_shows_rewritten_rows_side_by_side(
    plane: Plane, signed_in: TestClient
) -> None:
    job_id = reviewed(plane)
    rows = plane.client.get(f"/v1/jobs/{job_id}/rewrites").json()["data"]
    answer = signed_in.get(f"/ui/jobs/{job_id}")
    page = unescape(answer.text)
    for row in rows:
        for text in (row["key"], row["before"]["question"], row["after"]["question"]):
            assert text in page
    for text in ("Rewritten rows", "Yes and no", "Right letters", "Wrong answers from",
                 "template explanations", "fallback wordings", "End the review"):  # fmt: skip
        assert text in page
    assert 'data-refresh="no"' in page
    image = signed_in.get(f"/ui/images/{rows[0]['images'][0]['digest']}")
    assert (image.status_code, image.headers["content-type"]) == (200, "image/png")
    assert "//" not in page.replace("<!doctype html>", "")


def test_rows_are_decided_on_from_the_page(plane: Plane, signed_in: TestClient) -> None:
    job_id = reviewed(plane)
    key = plane.client.get(f"/v1/jobs/{job_id}/rewrites").json()["data"][0]["key"]
    form = {"key": key, "verdict": "reject", "back": "format=&seed=3&offset=0"}

    page = signed_in.post(f"/ui/jobs/{job_id}/rewrites", data=form)
    assert page.url.query == b"format=&seed=3&offset=0"
    assert "rejected by tests" in page.text
    assert signed_in.post(f"/ui/jobs/{job_id}/resume").status_code == 200
    plane.wait(job_id)

    page = signed_in.get(f"/ui/jobs/{job_id}")
    assert "by review, native again" in page.text
    assert "End the review" not in page.text
    late = signed_in.post(f"/ui/jobs/{job_id}/rewrites", data=form)
    assert late.status_code == 409


def test_a_filter_and_a_page_of_rows(plane: Plane, signed_in: TestClient) -> None:
    job_id = reviewed(plane)
    some = signed_in.get(f"/ui/jobs/{job_id}", params={"format": "yes_no"}).text
    none = signed_in.get(f"/ui/jobs/{job_id}", params={"format": "caption"}).text
    past = signed_in.get(f"/ui/jobs/{job_id}", params={"offset": 10}).text
    assert some.count("<article") == 2
    assert none.count("<article") == past.count("<article") == 0
    assert "earlier" in past


def test_readers_look_and_strangers_do_not(plane: Plane, browser: TestClient) -> None:
    job_id = reviewed(plane)
    row = plane.client.get(f"/v1/jobs/{job_id}/rewrites").json()["data"][0]
    form, image = {"key": row["key"], "verdict": "reject"}, row["images"][0]["digest"]
    for path in (f"/ui/jobs/{job_id}/rewrites", f"/ui/jobs/{job_id}/resume"):
        assert browser.post(path, data=form).status_code == 401
    assert browser.get(f"/ui/images/{image}").url.path == "/ui/login"
    _row, secret = create_key(plane.db, "guest", "reader")
    browser.post("/ui/login", data={"key": secret})
    page = browser.get(f"/ui/jobs/{job_id}").text
    assert "may look only" in page
    assert "<button" not in page
    for path in (f"/ui/jobs/{job_id}/rewrites", f"/ui/jobs/{job_id}/resume"):
        assert browser.post(path, data=form).status_code == 403
    assert plane.job(job_id)["state"] == "paused"
