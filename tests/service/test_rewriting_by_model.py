"""Rewriting by a model: where it is, what happens while it is away, and that nothing is lost."""

from __future__ import annotations

import json
import os
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from service.db.tables import TaskRow
from service.errors import EngineUnavailable
from service.settings import Settings
from service.workflow.phases import train
from tests.asd_rewriter.llm.endpoint import Endpoint, Request, Say, good
from tests.service.harness import Plane, Route
from tests.service.reviewing import changes_of, phase_of

BY_MODEL = {"x_percent": 100, "asd": {"engine": "llm"}}
MakePlane = Callable[..., Plane]


@pytest.fixture
def make_plane(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MakePlane]:
    monkeypatch.setattr(train, "POLL_SECONDS", 0.02)
    monkeypatch.setattr(os, "fsync", lambda _file: None)
    made: list[Plane] = []

    def make(url: str | None, **settings: Any) -> Plane:
        model = None if url in (None, "self") else "m"
        known = {"asd_llm_model": model, "asd_llm_concurrency": 2, "asd_llm_retries": 0}
        plane = Plane(tmp_path, asd_llm_url=url, **{**known, **settings})
        made.append(plane)
        plane.runner.start()
        plane.create_stream()
        return plane

    yield make
    for plane in made:
        plane.close()


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    with Endpoint() as found:
        yield found


def nothing_is_kept(plane: Plane) -> bool:
    """Neither a corpus nor half of one."""
    with plane.db.read() as session:
        digests = [row.corpus_digest for row in session.query(TaskRow)]
    return digests == [None] and not list(plane.settings.folder("attempts").rglob("*.jsonl"))


def test_a_model_rewrites_and_the_same_task_asks_nothing_again(
    make_plane: MakePlane, endpoint: Endpoint
) -> None:
    plane = make_plane(endpoint.url, asd_llm_api_key="sk-model")
    job = plane.wait(plane.submitted(options=BY_MODEL))
    calls = endpoint.calls
    plane.create_stream("other")
    again = plane.wait(plane.submitted("colours", stream="other", options=BY_MODEL))

    assert (job["state"], again["state"]) == ("succeeded", "succeeded")
    report = plane.client.get(f"/v1/jobs/{job['id']}/rewrite").json()
    assert (report["converted"], report["rejects"]) == (8, {})
    assert report["distractors"]["model"] == 4
    assert calls == len(endpoint.requests) > 0
    assert {request.headers["authorization"] for request in endpoint.requests} == {
        "Bearer sk-model"
    }
    images = [it for r in endpoint.requests for it in r.body["messages"][1]["content"][:-1]]
    assert all(it["image_url"]["url"].startswith("data:image/png;base64,") for it in images)
    assert endpoint.calls == calls
    assert changes_of(plane, again["id"]) == changes_of(plane, job["id"])
    said = json.dumps([plane.job(job["id"]), plane.events(job["id"])])
    assert "sk-model" not in said


def test_an_endpoint_that_is_away_pauses_the_job_until_it_is_back(make_plane: MakePlane) -> None:
    endpoint = Endpoint()
    with endpoint:
        pass  # it has a port now, and is away
    plane = make_plane(endpoint.url)

    job_id = plane.submitted(options=BY_MODEL)
    paused = plane.wait(job_id, "paused", "failed")

    assert (paused["state"], paused["phase"], paused["error"]) == ("paused", "rewrite", None)
    for words in (endpoint.url, "cannot be asked", "kept", f"retain job resume {job_id}",
                  f"POST /v1/jobs/{job_id}/resume"):  # fmt: skip
        assert words in paused["reason"]
    last = [e["data"] for e in plane.events(job_id) if e["kind"] == "state"][-1]
    assert last == {"state": "paused", "reason": paused["reason"]}
    assert nothing_is_kept(plane)

    plane.control(job_id, "resume")
    assert plane.wait(job_id, "paused", "failed")["state"] == "paused"  # still away
    with endpoint:
        plane.control(job_id, "resume")
        job = plane.wait(job_id)
    assert (job["state"], job["version"]) == ("succeeded", 1)


def test_what_was_answered_before_the_endpoint_went_is_not_asked_again(
    make_plane: MakePlane, endpoint: Endpoint
) -> None:
    plane = make_plane(endpoint.url, asd_llm_concurrency=1)
    answered: Counter[str] = Counter()
    gone = threading.Event()

    def three_then_gone(request: Request) -> Say:
        if len(answered) == 3 and not gone.is_set():
            return Say(status=403, body="no more")
        answered[request.text] += 1
        return Say(json.dumps(good(request)))

    endpoint.script = three_then_gone
    job_id = plane.submitted(options=BY_MODEL)
    plane.wait(job_id, "paused")
    assert nothing_is_kept(plane)
    assert answered.total() == 3

    gone.set()
    plane.restart()
    plane.control(job_id, "resume")
    plane.wait(job_id)

    assert answered.total() == len(answered) == 8
    assert len(changes_of(plane, job_id)) == 8


@pytest.mark.parametrize("action", ["pause", "cancel"])
def test_a_job_can_be_stopped_while_the_model_is_asked(
    make_plane: MakePlane, endpoint: Endpoint, action: str
) -> None:
    plane = make_plane(endpoint.url, asd_llm_concurrency=1)
    endpoint.script = lambda request: Say(json.dumps(good(request)), delay=0.7)

    job_id = plane.submitted(options=BY_MODEL)
    plane.wait_until(lambda: endpoint.calls)
    plane.control(job_id, action)
    job = plane.wait(job_id, "paused", "cancelled", "failed", "succeeded")

    assert job["state"] == {"pause": "paused", "cancel": "cancelled"}[action]
    assert endpoint.calls < 8
    assert nothing_is_kept(plane)


def test_a_budget_is_one_jobs_and_what_it_does_not_cover_stays_native(
    make_plane: MakePlane, endpoint: Endpoint
) -> None:
    plane = make_plane(endpoint.url, asd_llm_max_calls=3, asd_llm_concurrency=1)
    job = plane.wait(plane.submitted(options=BY_MODEL))
    report = plane.client.get(f"/v1/jobs/{job['id']}/rewrite").json()
    assert job["state"] == "succeeded"
    assert endpoint.calls == report["converted"] == 3
    assert sum(n for k, n in report["rejects"].items() if k.endswith(":budget_spent")) == 5


def test_the_own_engine_is_asked_as_the_base(
    make_plane: MakePlane, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    plane = make_plane("self")
    root = endpoint.url.removesuffix("/v1")
    used: list[int] = []

    def ensure_ready(version: Any, check: Any = None) -> Route:
        if plane.engines.error is not None:
            raise plane.engines.error
        used.append(version.number)
        return Route(root, "m")

    monkeypatch.setattr(plane.engines, "ensure_ready", ensure_ready)
    plane.engines.error = EngineUnavailable("the engine does not start.")
    job_id = plane.submitted(options=BY_MODEL)
    paused = plane.wait(job_id, "paused", "failed")
    plane.engines.error = None
    plane.control(job_id, "resume")
    job = plane.wait(job_id)

    assert "the engine does not start" in paused["reason"]
    assert "retain job resume" in paused["reason"]
    assert job["state"] == "succeeded"
    assert used[0] == 0
    assert {request.body["model"] for request in endpoint.requests} == {"m"}
    assert len(changes_of(plane, job_id)) == 8


def test_without_a_model_its_engine_is_refused_at_once(make_plane: MakePlane) -> None:
    plane = make_plane(None)
    body = {"name": "two", "base": str(plane.base), "asd": {"engine": "llm"}}
    answers = [
        plane.submit(options=BY_MODEL),
        plane.submit(options=BY_MODEL, params={"dry_run": True}),
        plane.client.post("/v1/streams", json=body),
    ]
    for answer in answers:
        error = answer.json()["error"]
        assert (answer.status_code, error["param"]) == (422, "asd.engine")
        assert "RETAIN_ASD_LLM_URL and RETAIN_ASD_LLM_MODEL are not set" in error["message"]
    assert plane.client.get("/v1/jobs").json()["data"] == []


def test_a_model_that_is_no_longer_set_is_waited_for(make_plane: MakePlane) -> None:
    plane = make_plane("http://127.0.0.1:9/v1")
    job_id = plane.submitted(options=BY_MODEL)
    plane.wait(job_id, "paused")
    plane.settings.asd_llm_url = None
    plane.control(job_id, "resume")
    plane.wait_until(lambda: "RETAIN_ASD_LLM_URL" in (plane.job(job_id)["reason"] or ""))
    assert plane.job(job_id)["state"] == "paused"


def test_a_review_shows_what_the_model_wrote(make_plane: MakePlane, endpoint: Endpoint) -> None:
    plane = make_plane(endpoint.url)
    options = {"x_percent": 100, "asd": {"engine": "llm", "review": True}}
    job_id = plane.submitted(options=options)
    plane.wait(job_id, "paused")
    calls = endpoint.calls
    page = plane.client.get(f"/v1/jobs/{job_id}/rewrites").json()
    body = {page["data"][0]["key"]: "reject"}
    plane.client.post(f"/v1/jobs/{job_id}/rewrites/decisions", json=body)
    plane.control(job_id, "resume")
    plane.wait(job_id)
    assert phase_of(plane, job_id).result["report"]["rejected_by_review"] == 1
    assert endpoint.calls == calls


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"asd_llm_url": "nonsense"}, "like http://host:8000/v1"),
        ({"asd_llm_url": "http://me:secret@host/v1"}, "like http://host:8000/v1"),
        ({"asd_llm_max_cost": 3.0}, "while both prices are 0"),
        ({"asd_llm_extra": {"model": "x"}}, "not set elsewhere"),
        ({"asd_llm_concurrency": 0}, "greater than or equal to 1"),
    ],
)
def test_settings_that_cannot_work_are_refused_at_the_start(
    fields: dict[str, Any], words: str
) -> None:
    with pytest.raises(ValidationError, match=words):
        Settings(**fields)


def test_the_own_engine_needs_no_models_name() -> None:
    assert Settings(asd_llm_url="self").missing_for_llm() == []
    assert Settings(asd_llm_url="http://a/v1").missing_for_llm() == ["RETAIN_ASD_LLM_MODEL"]
    priced = Settings(
        asd_llm_url="http://a/v1", asd_llm_model="m", asd_llm_max_cost=3, asd_llm_prompt_price=1
    )
    assert priced.llm().max_cost == 3
