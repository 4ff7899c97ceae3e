"""Rewritten rows: kept beside the corpus, looked at, decided on, put back where rejected."""

from __future__ import annotations

import threading
from collections import Counter
from typing import Any

import pytest
from starlette.testclient import TestClient

from service.keys.operations import create_key
from tests.service.harness import Plane, make_image
from tests.service.reviewing import REVIEWED, changes_of, corpus_of, decide, held, look, phase_of


def test_every_change_is_kept_beside_the_corpus(plane: Plane) -> None:
    plane.create_stream()

    job = plane.wait(plane.submitted(options={"x_percent": 50}))

    report = plane.client.get(f"/v1/jobs/{job['id']}/rewrite").json()
    changes, corpus = changes_of(plane, job["id"]), corpus_of(plane, job["id"])
    assert len(changes) == report["converted"] == 4
    for change in changes:
        assert corpus[change.sample].turns[change.turn] == change.after
        assert corpus[change.sample].images == change.images
        assert change.key == f"{change.sample}#{change.turn}"
        assert change.before.format == "short_answer"
        assert change.format == change.after.format != change.before.format
    assert list((plane.settings.folder("attempts") / job["id"]).glob("*.jsonl")) == []


def test_without_review_rows_are_looked_at_only(plane: Plane) -> None:
    plane.create_stream()
    job = plane.wait(plane.submitted(options={"x_percent": 100}))

    page = look(plane, job["id"])
    refused = decide(plane, job["id"], {page["data"][0]["key"]: "reject"})

    assert (page["total"], page["reviewing"], page["task"]) == (8, False, "colours")
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "review_closed")
    assert "without asd.review" in refused.json()["error"]["message"]
    assert refused.headers["x-should-retry"] == "false"


def test_a_job_waits_for_its_review_and_says_what_comes_next(plane: Plane) -> None:
    job = plane.job(held(plane))

    assert (job["state"], job["phase"], job["desired"]) == ("paused", "rewrite", "pause")
    assert [(it["phase"], it["state"]) for it in job["phases"]][-1] == ("rewrite", "paused")
    assert job["reason"].startswith("waits for review of 8 rewritten turns")
    for word in (f"retain rewrites {job['id']}", "the next step is training", "/resume"):
        assert word in job["reason"]
    assert plane.executor.starts == []
    state = [e["data"] for e in plane.events(job["id"]) if e["kind"] == "state"][-1]
    assert state == {"state": "paused", "reason": job["reason"]}


def test_rejected_rows_are_trained_on_as_they_came(plane: Plane) -> None:
    job_id = held(plane)
    before = corpus_of(plane, job_id)
    rows = look(plane, job_id)["data"]
    decisions = {rows[0]["key"]: "reject", rows[1]["key"]: "accept", rows[2]["key"]: "reject"}

    answer = decide(plane, job_id, decisions)
    plane.control(job_id, "resume")
    job = plane.wait(job_id)

    assert answer.json() == {
        "object": "rewrite_decisions", "job": job_id, "changed": 3, "accepted": 1, "rejected": 2,
    }  # fmt: skip
    assert job["state"] == "succeeded"
    after = corpus_of(plane, job_id)
    native = {rows[0]["sample"], rows[2]["sample"]}
    for sample_id, sample in after.items():
        back = [it for it in rows if it["sample"] == sample_id and sample_id in native]
        expected = back[0]["before"] if back else before[sample_id].turns[0].model_dump(mode="json")
        assert sample.turns[0].model_dump(mode="json") == expected
    assert list(after) == list(before)
    spec = (plane.settings.folder("attempts") / job_id / "train" / "spec.json").read_text()
    assert phase_of(plane, job_id).result["corpus_digest"] in spec
    manifest = plane.store.get("demo", 1)
    assert manifest.data.train == phase_of(plane, job_id).result["corpus_digest"]


def test_the_report_counts_what_the_review_rejected(plane: Plane) -> None:
    job_id = held(plane)
    first = plane.client.get(f"/v1/jobs/{job_id}/rewrite").json()
    rows = look(plane, job_id)["data"]
    gone = rows[:3]
    decide(plane, job_id, {row["key"]: "reject" for row in gone})
    plane.control(job_id, "resume")
    plane.wait(job_id)

    report = plane.client.get(f"/v1/jobs/{job_id}/rewrite").json()

    formats = Counter(row["after"]["format"] for row in rows[3:])
    assert "rejected_by_review" not in first
    assert (report["rejected_by_review"], report["converted"]) == (3, first["converted"] - 3)
    assert report["converted_by_format"] == formats
    assert report["counts"] == formats | {"short_answer": 3}
    answers = Counter(r["after"]["answer"] for r in rows[3:] if r["after"]["format"] == "yes_no")
    assert report["yes_no"] == answers
    shown = [it["key"] for examples in report["examples"].values() for it in examples]
    assert not {row["key"] for row in gone} & set(shown)
    version = plane.client.get("/v1/streams/demo/versions/1/report").json()
    assert version["training"]["rewriting"]["rejected_by_review"] == 3


def test_who_decided_what_is_journaled_and_the_last_word_counts(plane: Plane) -> None:
    job_id = held(plane)
    key = look(plane, job_id)["data"][0]["key"]
    _row, secret = create_key(plane.db, "second reader", "operator")
    other = {"headers": {"authorization": f"Bearer {secret}"}}

    answers = [
        decide(plane, job_id, {key: "reject"}).json(),
        decide(plane, job_id, {key: "reject"}).json(),
        decide(plane, job_id, {key: "accept"}, **other).json(),
    ]

    assert [it["changed"] for it in answers] == [1, 0, 1]
    assert (answers[-1]["accepted"], answers[-1]["rejected"]) == (1, 0)
    events = [e["data"] for e in plane.events(job_id) if e["kind"] == "review"]
    assert [(e["by"], e["accept"], e["reject"]) for e in events] == [
        ("tests", [], [key]), ("second reader", [key], []),
    ]  # fmt: skip
    row = look(plane, job_id)["data"][0]
    assert (row["decision"]["verdict"], row["decision"]["by"]) == ("accept", "second reader")
    plane.control(job_id, "resume")
    plane.wait(job_id)
    logs = [e["data"]["message"] for e in plane.events(job_id) if e["kind"] == "log"]
    assert any("0 of 8" in it and "decided by second reader" in it for it in logs)


def test_a_repeated_request_is_answered_as_the_first(plane: Plane) -> None:
    job_id = held(plane)
    key = look(plane, job_id)["data"][0]["key"]
    once = {"headers": {"idempotency-key": "k"}}
    first = decide(plane, job_id, {key: "reject"}, **once)
    plane.control(job_id, "resume")
    plane.wait(job_id)

    assert decide(plane, job_id, {key: "reject"}, **once).json() == first.json()
    assert decide(plane, job_id, {key: "accept"}, **once).status_code == 422


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"train-1#7": "reject"}, "1 of 1 keys name no rewritten turn"),
        ({"train-1#0": "maybe"}, "must be 'accept' or 'reject'"),
        ({"train-1#0": True}, "must be 'accept' or 'reject'"),
        ({}, "at least 1"),
        ({f"k{n}": "accept" for n in range(1001)}, "at most 1000"),
        ({"": "accept"}, "at least 1 character"),
        (["train-1#0"], "JSON object"),
    ],
)
def test_decisions_that_make_no_sense_are_refused(plane: Plane, body: Any, words: str) -> None:
    job_id = held(plane)
    answer = decide(plane, job_id, body)
    assert answer.status_code == 422
    assert words in answer.json()["error"]["message"]
    assert not [e for e in plane.events(job_id) if e["kind"] == "review"]


def test_nothing_is_decided_once_training_has_begun(plane: Plane) -> None:
    job_id = held(plane)
    key = look(plane, job_id)["data"][0]["key"]
    plane.executor.hold = True
    plane.control(job_id, "resume")
    plane.wait_until(lambda: plane.executor.running)

    running = decide(plane, job_id, {key: "reject"})
    plane.control(job_id, "pause")
    plane.wait(job_id, "paused")
    paused = decide(plane, job_id, {key: "reject"})

    for answer in (running, paused):
        assert (answer.status_code, answer.json()["error"]["code"]) == (409, "review_closed")
    assert look(plane, job_id)["reviewing"] is False


def test_a_decision_and_a_resume_at_once_come_one_after_the_other(plane: Plane) -> None:
    plane.create_stream()
    for number in range(4):
        task = f"task-{number}"
        job_id = held(plane, task)
        key = look(plane, job_id)["data"][0]["key"]
        barrier, answers = threading.Barrier(2), list[int]()

        def vote(
            job_id: str = job_id, key: str = key, go: Any = barrier, to: Any = answers
        ) -> None:
            go.wait()
            to.append(decide(plane, job_id, {key: "reject"}).status_code)

        thread = threading.Thread(target=vote)
        thread.start()
        barrier.wait()
        plane.control(job_id, "resume")
        thread.join()
        plane.wait(job_id)

        report = plane.client.get(f"/v1/jobs/{job_id}/rewrite").json()
        assert (answers[0], report["rejected_by_review"]) in ((200, 1), (409, 0))


def test_a_review_can_be_reopened_until_it_is_applied(
    plane: Plane, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = held(plane)
    rows = look(plane, job_id)["data"]
    decide(plane, job_id, {rows[0]["key"]: "reject"})
    plane.executor.hold = True
    other = plane.create_stream("other") and plane.submitted("shapes", stream="other")
    plane.wait_until(lambda: plane.executor.running)  # the only slot is taken

    plane.control(job_id, "resume")
    queued = decide(plane, job_id, {rows[1]["key"]: "reject"})
    plane.control(job_id, "pause")
    again = decide(plane, job_id, {rows[1]["key"]: "reject"})
    plane.control(job_id, "resume")
    plane.executor.release()
    plane.wait(other)
    plane.wait(job_id)

    assert queued.status_code == 409
    assert "Pause it to decide again" in queued.json()["error"]["message"]
    assert again.json()["rejected"] == 2
    report = plane.client.get(f"/v1/jobs/{job_id}/rewrite").json()
    assert report["rejected_by_review"] == 2


def test_nothing_rewritten_is_nothing_to_review(plane: Plane) -> None:
    plane.create_stream()
    job = plane.wait(plane.submitted(options=REVIEWED | {"x_percent": 0}))
    assert job["state"] == "succeeded"
    assert look(plane, job["id"])["total"] == 0


def test_a_sample_is_drawn_by_its_seed_and_read_page_by_page(plane: Plane) -> None:
    job_id = held(plane)
    whole = [row["key"] for row in look(plane, job_id)["data"]]
    pages = [look(plane, job_id, limit=3, offset=offset) for offset in (0, 3, 6, 9)]
    drawn = {tuple(r["key"] for r in look(plane, job_id, seed=s)["data"]) for s in range(5)}

    assert [row["key"] for page in pages for row in page["data"]] == whole
    assert [page["has_more"] for page in pages] == [True, True, False, False]
    assert {tuple(sorted(order)) for order in drawn} == {tuple(sorted(whole))}
    assert len(drawn) > 1
    one = look(plane, job_id, format="yes_no")
    assert one["total"] == len(one["data"]) > 0
    assert {row["after"]["format"] for row in one["data"]} == {"yes_no"}
    assert look(plane, job_id, format="caption")["total"] == 0
    bad = plane.client.get(f"/v1/jobs/{job_id}/rewrites", params={"format": "haiku"})
    assert (bad.status_code, bad.json()["error"]["param"]) == (422, "format")


def test_before_rewriting_there_is_nothing_to_look_at(plane: Plane) -> None:
    plane.create_stream()
    plane.executor.hold = True
    first, second = plane.submitted("colours"), plane.submitted("shapes")
    plane.wait_until(lambda: plane.executor.running)
    assert look(plane, first)["total"] == 2
    for job_id in (second, "job_none"):
        answer = plane.client.get(f"/v1/jobs/{job_id}/rewrites")
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")
        assert decide(plane, job_id, {"a": "accept"}).status_code == 404


def test_roles_look_or_decide(plane: Plane) -> None:
    job_id = held(plane)
    _row, secret = create_key(plane.db, "guest", "reader")
    guest = {"authorization": f"Bearer {secret}"}
    page = plane.client.get(f"/v1/jobs/{job_id}/rewrites", headers=guest)
    key = page.json()["data"][0]["key"]
    assert page.status_code == 200
    assert decide(plane, job_id, {key: "accept"}, headers=guest).status_code == 403


def test_images_are_linked_and_nothing_else_is_given_out(plane: Plane) -> None:
    job_id = held(plane)
    image = look(plane, job_id)["data"][0]["images"][0]
    answer = plane.client.get(image["url"])
    assert answer.content == make_image("colours train")
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["x-content-type-options"] == "nosniff"
    corpus = phase_of(plane, job_id).result["corpus_digest"]
    for digest in (corpus, "0" * 64, "..%2Fservice.lock"):
        assert plane.client.get(f"/v1/images/{digest}").status_code == 404
    stranger = TestClient(plane.app)
    assert stranger.get(image["url"]).status_code == 401
