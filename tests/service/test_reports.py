"""Reports over REST: every form, CSV, and the link by digest."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from types import SimpleNamespace

import pytest
from starlette.testclient import TestClient

from eval.forgetting import find_worst_items
from eval.report import build_report
from service.dashboard import routes as dashboard
from service.reports import operations
from tests.eval.factories import answered, item, three_tasks
from tests.service.harness import Plane

PATH = "/v1/streams/demo/versions/1/report"


@pytest.fixture
def evaluated(plane: Plane) -> Plane:
    plane.create_stream()
    assert plane.wait(plane.submitted("colours"))["state"] == "succeeded"
    return plane


def test_a_report_comes_in_every_form_and_by_its_digest(evaluated: Plane) -> None:
    client = evaluated.client
    digest = client.get("/v1/streams/demo/versions/1").json()["digest"]
    kinds = {
        "json": "application/json", "markdown": "text/markdown; charset=utf-8",
        "html": "text/html; charset=utf-8", "csv": "text/csv; charset=utf-8",
    }  # fmt: skip
    for form, kind in kinds.items():
        by_name = client.get(PATH, params={"format": form})
        by_digest = client.get(f"/v1/reports/{digest}", params={"format": form})
        assert (by_name.status_code, by_name.headers["content-type"]) == (200, kind)
        assert by_digest.text == by_name.text
        assert form == "csv" or digest in by_name.text
    assert client.get(PATH).json()["digest"] == digest


def test_only_the_images_that_the_page_shows_are_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[str] = []
    monkeypatch.setattr(
        operations,
        "image_data_url",
        lambda _folder, digest: loaded.append(digest) or f"data:image/png;base64,{digest}",
    )
    one = item(images=("a" * 64, "b" * 64))
    then, now = (answered([one], {one.digest: text}) for text in ("red", "blue"))
    report = build_report(three_tasks(), worst_items=find_worst_items([one], then, now))
    services = SimpleNamespace(settings=SimpleNamespace(folder=Path))

    page = operations.as_html(services, report)  # type: ignore[arg-type]

    assert loaded == ["a" * 64]
    assert f"base64,{'a' * 64}" in page


def test_csv_has_two_tables(evaluated: Plane) -> None:
    def read(**params: str) -> list[dict[str, str]]:
        answer = evaluated.client.get(PATH, params={"format": "csv", **params})
        return list(csv.DictReader(io.StringIO(answer.text)))

    measured = [it for it in read() if it["version"] == "demo@1"]
    assert [(it["task"], it["accuracy"]) for it in measured] == [("colours", "100")]
    assert {it["measure"] for it in read(table="figures")} >= {"mft", "mfn", "bwt"}
    answer = evaluated.client.get(PATH, params={"format": "csv", "table": "x"})
    assert answer.status_code == 422


def test_a_digest_without_a_report_says_where_to_look(evaluated: Plane) -> None:
    base = evaluated.client.get("/v1/streams/demo/versions/0").json()["digest"]
    for digest in (base, "0" * 64, "nonsense"):
        answer = evaluated.client.get(f"/v1/reports/{digest}")
        assert answer.status_code == 404
        assert "lists every version's digest" in answer.json()["error"]["message"]


def test_a_stranger_sees_no_report(evaluated: Plane) -> None:
    stranger = evaluated.client.get(f"/v1/reports/{'0' * 64}", headers={"authorization": ""})
    assert stranger.status_code == 401


def test_the_dashboard_has_the_same_link(evaluated: Plane) -> None:
    evaluated.app.include_router(dashboard.router)
    browser = TestClient(evaluated.app)
    digest = evaluated.client.get("/v1/streams/demo/versions/1").json()["digest"]
    assert browser.get(f"/ui/reports/{digest}").url.path == "/ui/login"
    browser.get(evaluated.client.post("/v1/login-links").json()["path"])
    page = browser.get(f"/ui/reports/{digest}")
    assert digest in page.text
    assert "script-src" in page.headers["content-security-policy"]
