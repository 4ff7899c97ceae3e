"""Job control: every wish in every state, and events without gaps."""

from __future__ import annotations

import json
import random
import time
from itertools import pairwise
from typing import Any

import pytest

from service.workflow.phases import PHASE_FUNCTIONS
from service.workflow.states import PHASES
from tests.service.harness import Json, Plane


def training(plane: Plane, task: str = "colours", **more: Any) -> str:
    """Return a job whose trainer runs and holds."""
    plane.executor.hold = True
    job_id = plane.submitted(task, **more)
    plane.wait_until(lambda: plane.executor.running)
    return job_id


def states(events: list[Json]) -> list[str]:
    return [event["data"]["state"] for event in events if event["kind"] == "state"]


def test_pause_checkpoints_and_resume_goes_on(plane: Plane) -> None:
    plane.create_stream()
    job_id = training(plane)

    plane.control(job_id, "pause")
    paused = plane.wait(job_id, "paused")
    assert plane.executor.stops == [1.0]
    assert not plane.executor.running
    plane.executor.hold = False
    plane.control(job_id, "resume")
    job = plane.wait(job_id)

    assert paused["reason"] == "paused in phase train"
    assert job["state"] == "succeeded"
    assert plane.executor.starts == ["train", "train"]
    assert plane.versions() == [0, 1]
    assert states(plane.events(job_id)) == [
        "validating_files", "queued", "running", "paused", "queued", "running", "succeeded",
    ]  # fmt: skip


def test_pause_and_resume_at_once_lose_nothing(plane: Plane) -> None:
    plane.create_stream()
    job_id = training(plane)

    for _ in range(5):
        assert plane.control(job_id, "pause").status_code == 200
        assert plane.control(job_id, "resume").status_code == 200
    plane.wait_until(lambda: plane.executor.running or plane.job(job_id)["state"] == "running")
    plane.executor.release()

    assert plane.wait(job_id)["state"] == "succeeded"
    assert plane.versions() == [0, 1]


def test_cancel_in_training_leaves_nothing_but_the_data(plane: Plane) -> None:
    plane.create_stream()
    job_id = training(plane)

    assert plane.control(job_id, "cancel").json()["state"] == "cancelling"
    job = plane.wait(job_id)

    assert (job["state"], job["version"]) == ("cancelled", None)
    assert job["reason"] == "cancelled in phase train"
    assert plane.versions() == [0]
    assert not (plane.settings.folder("attempts") / job_id).exists()
    assert list(plane.settings.folder("staging").iterdir()) == []
    task = plane.client.get("/v1/streams/demo/tasks").json()["data"][0]
    assert task["state"] == "failed"


@pytest.mark.parametrize("phase", PHASES)
def test_cancel_in_every_phase_leaves_no_version(
    plane: Plane, monkeypatch: pytest.MonkeyPatch, phase: str
) -> None:
    plane.create_stream()
    work = PHASE_FUNCTIONS[phase]
    jobs: list[str] = []

    def cancelled_meanwhile(ctx: Any) -> Json:
        jobs.append(ctx.job_id)
        plane.control(ctx.job_id, "cancel")
        return work(ctx)

    monkeypatch.setitem(PHASE_FUNCTIONS, phase, cancelled_meanwhile)
    job = plane.wait(plane.submitted())

    assert job["state"] == "cancelled"
    assert plane.versions() == [0]
    assert plane.production() == 0
    assert plane.store.streams() == ()
    assert list(plane.settings.folder("servable").iterdir()) == []
    assert not (plane.settings.folder("attempts") / job["id"]).exists()
    assert list(plane.settings.folder("staging").iterdir()) == []
    monkeypatch.setitem(PHASE_FUNCTIONS, phase, work)
    retried = plane.control(job["id"], "retry")
    if phase == "validate":
        assert list(plane.blobs.digests()) == []
        assert (retried.status_code, retried.json()["error"]["code"]) == (422, "conflict")
    else:
        assert retried.status_code == 200
        assert plane.wait(job["id"])["state"] == "succeeded"
        assert len(plane.versions()) == 2


def test_a_cancelled_corpus_goes_unless_another_task_has_the_same(plane: Plane) -> None:
    plane.create_stream("one")
    plane.create_stream("two")
    first = plane.wait(plane.submitted(stream="one"))
    before = set(plane.blobs.digests())
    shared = training(plane, stream="two")
    plane.control(shared, "cancel")
    plane.wait(shared)
    assert set(plane.blobs.digests()) == before
    assert first["state"] == "succeeded"

    own = training(plane, "shapes", stream="two")
    rewritten = set(plane.blobs.digests())
    plane.control(own, "cancel")
    plane.wait(own)

    assert len(rewritten - set(plane.blobs.digests())) == 2  # and its changes


def test_a_queued_job_waits_with_a_reason_and_can_be_paused_and_cancelled(plane: Plane) -> None:
    plane.create_stream("one")
    plane.create_stream("two")
    first = training(plane, stream="one")
    second = plane.submitted(stream="two")
    third = plane.submitted("shapes", stream="one")
    plane.wait(second, "queued")
    plane.wait_until(lambda: first in (plane.job(third)["reason"] or ""))

    waiting = plane.job(second)
    assert waiting["queue_position"] == 1
    assert waiting["reason"] == f"waiting for {first} of stream 'one': 1 trainer slot"
    assert plane.job(third)["reason"] == (
        f"waiting for {first} of stream 'one': a stream runs one job at a time"
    )
    assert plane.control(second, "pause").json()["state"] == "paused"
    assert plane.job(third)["queue_position"] == 1
    assert plane.control(second, "resume").json()["state"] == "queued"
    plane.control(third, "cancel")
    assert plane.wait(third)["state"] == "cancelled"
    plane.executor.release()
    assert plane.wait(second)["state"] == "succeeded"


def test_retry_trains_anew_on_the_stored_data(plane: Plane) -> None:
    plane.create_stream()
    plane.executor.endings = ["nan_loss"]
    failed = plane.wait(plane.submitted())

    answer = plane.control(failed["id"], "retry").json()
    job = plane.wait(failed["id"])

    assert (failed["state"], failed["error"]["code"]) == ("failed", "nan_loss")
    assert (answer["state"], answer["error"]) == ("queued", None)
    assert (job["state"], job["version"], job["error"]) == ("succeeded", 1, None)
    assert plane.executor.starts == ["train", "train-2"]
    phases = {phase["phase"]: phase["attempt"] for phase in job["phases"]}
    assert phases["validate"] == 1
    assert plane.client.get("/v1/streams/demo/tasks").json()["data"][0]["state"] == "live"


@pytest.mark.parametrize("state", ["succeeded", "failed", "cancelled"])
def test_what_cannot_be_is_refused_and_says_what_can(plane: Plane, state: str) -> None:
    plane.create_stream()
    plane.executor.endings = ["crashed"] if state == "failed" else []
    if state == "cancelled":
        job_id = training(plane)
        plane.control(job_id, "cancel")
    else:
        job_id = plane.submitted()
    plane.wait(job_id, state)

    refused = {
        action: plane.control(job_id, action) for action in ("pause", "resume", "cancel", "retry")
    }

    allowed = {"succeeded": set(), "failed": {"retry"}, "cancelled": {"cancel", "retry"}}[state]
    assert {name for name, it in refused.items() if it.status_code == 200} == allowed
    for name, answer in refused.items():
        if name not in allowed:
            assert (answer.status_code, answer.json()["error"]["code"]) == (422, "conflict")
            assert state in answer.json()["error"]["message"]


def test_unknown_jobs_and_states(plane: Plane) -> None:
    assert plane.client.get("/v1/jobs/job_x").status_code == 404
    assert plane.client.get("/v1/jobs/job_x/events").status_code == 404
    assert plane.control("job_x", "cancel").status_code == 404
    assert plane.control("job_x", "dance").status_code == 422
    answer = plane.client.get("/v1/jobs", params={"state": "lost"})
    assert "validating_files" in answer.json()["error"]["message"]


def test_jobs_are_listed_newest_first_by_stream_and_state(plane: Plane) -> None:
    plane.create_stream("one")
    plane.create_stream("two")
    ids = [plane.wait(plane.submitted(f"t{n}", stream="one"))["id"] for n in range(3)]
    other = plane.wait(plane.submitted(stream="two"))["id"]

    def listed(**params: Any) -> list[str]:
        page = plane.client.get("/v1/jobs", params=params).json()
        return [job["id"] for job in page["data"]]

    page = plane.client.get("/v1/jobs", params={"limit": 2}).json()
    assert [job["id"] for job in page["data"]] == [other, ids[2]]
    assert listed(after=page["next_cursor"]) == [ids[1], ids[0]]
    assert listed(stream="two") == [other]
    assert listed(state="failed") == []


def read_stream(plane: Plane, job_id: str, last: int = 0) -> list[Json]:
    headers = {"accept": "text/event-stream", "last-event-id": str(last)}
    answer = plane.client.get(f"/v1/jobs/{job_id}/events", headers=headers)
    assert answer.headers["content-type"].startswith("text/event-stream")
    return [json.loads(line[6:]) for line in answer.text.splitlines() if line.startswith("data: ")]


def test_the_event_stream_resumes_without_gap_and_ends(plane: Plane) -> None:
    plane.create_stream()
    job_id = plane.submitted()  # the stream below is read while the job works

    live = read_stream(plane, job_id)
    listed = plane.events(job_id)

    assert [event["seq"] for event in live] == list(range(1, len(live) + 1))
    assert live == listed
    assert live[-1]["data"]["state"] == "succeeded"
    for last in range(0, len(live) + 1, 5):
        assert read_stream(plane, job_id, last) == listed[last:]


def test_events_are_listed_in_pages(plane: Plane) -> None:
    plane.create_stream()
    job_id = plane.wait(plane.submitted())["id"]
    found: list[int] = []
    after = None
    while True:
        params = {"limit": 7} | ({"after": after} if after else {})
        page = plane.client.get(f"/v1/jobs/{job_id}/events", params=params).json()
        found += [event["seq"] for event in page["data"]]
        after = page["next_cursor"]
        if not page["has_more"]:
            break

    assert found == list(range(1, len(found) + 1))


def test_the_stream_of_a_retried_job_goes_on_behind_the_failure(plane: Plane) -> None:
    plane.create_stream()
    plane.executor.endings = ["crashed"]
    job_id = plane.wait(plane.submitted())["id"]
    plane.control(job_id, "retry")

    ends = states(read_stream(plane, job_id))

    assert ends[-1] == "succeeded"
    assert "failed" in ends


def test_reports_exist_once_their_phase_has_ended(plane: Plane) -> None:
    plane.create_stream()
    plane.executor.hold = True
    first = training(plane)
    second = plane.submitted("shapes")
    plane.wait(second, "queued")

    assert plane.client.get(f"/v1/jobs/{first}/rewrite").json()["turns"] == 8
    assert plane.client.get(f"/v1/jobs/{second}/validation").json()["valid"] is True
    early = plane.client.get(f"/v1/jobs/{second}/rewrite")
    assert (early.status_code, early.json()["error"]["code"]) == (404, "not_found")


@pytest.mark.parametrize("seed", range(2))
def test_whatever_is_asked_every_job_ends_and_nothing_is_doubled(plane: Plane, seed: int) -> None:
    """A random walk over two streams with restarts; then everything is resumed and released."""
    draw = random.Random(seed)
    plane.create_stream("one")
    plane.create_stream("two")
    plane.executor.hold = True
    ids = [plane.submitted(f"t{n}", stream=draw.choice(["one", "two"])) for n in range(5)]
    for _ in range(40):
        job_id = draw.choice(ids)
        action = draw.choices(["pause", "resume", "cancel", "retry", "release", "restart"],
                              [6, 6, 1, 3, 2, 1])[0]  # fmt: skip
        if action == "restart":
            plane.restart()
        elif action == "release":
            plane.executor.release()
            plane.executor.hold = True
        else:
            answer = plane.control(job_id, action)
            assert answer.status_code in (200, 422), answer.text
        time.sleep(draw.random() * 0.05)

    plane.executor.release()
    for job_id in ids:
        plane.control(job_id, "resume")
    jobs = [plane.wait(job_id) for job_id in ids]

    for job in jobs:
        assert job["state"] in ("succeeded", "cancelled"), job
        assert (job["version"] is not None) == (job["state"] == "succeeded")
        events = plane.events(job["id"])
        assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
        assert_legal([event["data"]["state"] for event in events if event["kind"] == "state"])
    for stream in ("one", "two"):
        made = [job["version"] for job in jobs if job["stream"] == stream and job["version"]]
        assert plane.versions(stream) == [0, *sorted(made)]
    assert not plane.executor.running


FOLLOWS = {
    "validating_files": {"queued", "paused", "cancelling", "validating_files"},
    "queued": {"running", "paused", "cancelling"},
    "running": {"succeeded", "paused", "cancelling", "queued", "failed"},
    "paused": {"queued", "validating_files", "cancelling"},
    "cancelling": {"cancelled", "succeeded"},
    "cancelled": {"queued"},
    "succeeded": set(),
    "failed": {"queued"},
}


def assert_legal(seen: list[str]) -> None:
    assert seen[0] == "validating_files"
    for before, after in pairwise(seen):
        assert after in FOLLOWS[before], seen
