"""Intake: a task is in order or leaves nothing behind."""

from __future__ import annotations

import errno
import io
import json
import threading
import zipfile
from typing import Any

import pytest
from sqlalchemy import func, select

from service.db.tables import JobRow, PhaseRow, StreamRow, TaskRow
from service.streams import submission
from service.streams.schemas import TaskPlan
from tests.service.harness import (
    Json,
    Plane,
    make_archive,
    make_card,
    make_image,
    make_rows,
    make_tar,
)


def nothing_is_left(plane: Plane) -> None:
    with plane.db.read() as session:
        assert session.scalar(select(func.count()).select_from(JobRow)) == 0
        assert session.scalar(select(func.count()).select_from(TaskRow)) == 0
    assert list(plane.settings.folder("staging").iterdir()) == []
    assert list(plane.blobs.digests()) == []


def encrypted_zip() -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr("train.json", "[]")
    data = bytearray(target.getvalue())
    data[6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1
    return bytes(data)


REFUSED: list[tuple[Json, int, str, str]] = [
    ({"archive": b"not an archive"}, 422, "not_an_archive", "zip, tar or tar.gz"),
    ({"archive": make_tar({"../evil": b"x"})}, 422, "unsafe_member", "../evil"),
    ({"archive": encrypted_zip()}, 422, "encrypted_archive", ""),
    ({"archive": make_tar({"other.json": b"[]"})}, 422, "member_not_found", "train.json"),
    ({"card": "no json"}, 422, "invalid_request", "card"),
    ({"card": make_card("x", colour=1)}, 422, "invalid_request", "colour"),
    ({"card": make_card("Bad Name")}, 422, "invalid_request", "card.name"),
    ({"card": make_card("x", metric="iou")}, 422, "invalid_request", "card: metric 'iou' scores"),
    ({"options": {"epochz": 1}}, 422, "invalid_request", "epochz"),
    ({"options": {"method_config": {"rnk": 1}}}, 422, "invalid_request", "rnk"),
    ({"options": {"hyperparameters": {"epochs": 0}}}, 422, "invalid_request", "epochs"),
    ({"card": make_card("x", labels=[1, 2])}, 422, "invalid_request",
     "card.labels.0: must be text (got 1); card.labels.1: must be text (got 2)"),
    ({"card": make_card("x", labels=["a", " "])}, 422, "invalid_request", "label 2 (' ')"),
    ({"card": make_card("x", labels=["Cat", "b", "cat "])}, 422, "invalid_request", "'cat '"),
    ({"card": make_card("x", instructions={"foo": "1"})}, 422, "invalid_request",
     "card.instructions.foo: its name must be 'short_answer'"),
    ({"options": {"parent": [1]}}, 422, "invalid_request",
     "options.parent: must be a whole number or text (got [1])"),
    ({"options": {"parent": True}}, 422, "invalid_request", "options.parent: must be"),
    ({"options": {"seed": True}}, 422, "invalid_request", "options.seed: must be a whole number"),
    ({"options": {"method_config": {"target_modules": ["nope"]}}}, 422, "invalid_request", "nope"),
    ({"options": {"parent": 7}}, 404, "not_found", "'7'"),
    ({"options": {"method_config": {"rank": 129}}}, 422, "rank_limit_exceeded", "129"),
    ({"stream": "nobody"}, 404, "not_found", "nobody"),
]  # fmt: skip


@pytest.mark.parametrize(("request_", "status", "code", "word"), REFUSED)
def test_a_refusal_names_the_cause_and_leaves_nothing(
    plane: Plane, request_: Json, status: int, code: str, word: str
) -> None:
    plane.create_stream()

    answer = plane.submit(**request_)

    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (status, code), answer.text
    assert word in error["message"]
    nothing_is_left(plane)


@pytest.mark.parametrize(
    ("fields", "files", "word"),
    [
        ({}, {"archive": b"x"}, "'card'"),
        ({"card": "{}"}, {}, "'archive'"),
        ({"card": "{}", "extra": "1"}, {"archive": b"x"}, "'extra'"),
    ],
)
def test_the_form_is_checked(
    plane: Plane, fields: dict[str, str], files: dict[str, Any], word: str
) -> None:
    plane.create_stream()
    parts = {name: (name, data) for name, data in files.items()}
    texts = {name: (None, text) for name, text in fields.items()}

    answer = plane.client.post("/v1/streams/demo/tasks", files={**texts, **parts})

    assert answer.status_code == 422
    assert word in answer.json()["error"]["message"]
    nothing_is_left(plane)


def test_no_form_and_half_a_form_are_refused(plane: Plane) -> None:
    plane.create_stream()
    url = "/v1/streams/demo/tasks"
    kind = {"content-type": "multipart/form-data; boundary=b"}
    half = b'--b\r\ncontent-disposition: form-data; name="archive"; filename="a"\r\n\r\nPK'

    assert plane.client.post(url, json={}).status_code == 422
    assert plane.client.post(url, content=half, headers=kind).status_code == 422
    assert plane.client.post(url, content=b"\x00" * 99, headers=kind).status_code == 422
    nothing_is_left(plane)


def test_an_archive_over_the_limit_is_413(plane: Plane) -> None:
    plane.create_stream()
    plane.settings.max_upload_bytes = 1000

    answer = plane.submit()

    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "payload_too_large")
    nothing_is_left(plane)


def test_a_full_disk_is_507(plane: Plane, monkeypatch: pytest.MonkeyPatch) -> None:
    plane.create_stream()

    def full(*_args: Any, **_more: Any) -> None:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(submission, "receive_upload", full)
    answer = plane.submit()

    assert (answer.status_code, answer.json()["error"]["code"]) == (507, "storage_full")
    nothing_is_left(plane)


def test_without_a_key_the_body_is_not_even_read(plane: Plane) -> None:
    plane.create_stream()

    answer = plane.submit(headers={"authorization": "Bearer wrong"})

    assert answer.status_code == 401
    nothing_is_left(plane)


def test_wait_returns_the_rows_that_are_wrong(plane: Plane) -> None:
    plane.create_stream()
    rows = make_rows("colours", "train", 3)
    rows[1]["image"] = "missing.png"
    rows[2]["conversations"][1]["value"] = ""

    answer = plane.submit(rows=rows, params={"wait": 20})

    body = answer.json()
    assert (answer.status_code, body["error"]["code"]) == (422, "invalid_rows")
    problems = body["validation"]["problems"]
    assert {problem["row_id"] for problem in problems} == {"train-1", "train-2"}
    job = plane.job(body["validation"]["job"])
    assert (job["state"], job["error"]["code"]) == ("failed", "invalid_rows")
    assert plane.client.get(f"/v1/jobs/{job['id']}/validation").json() == body["validation"]
    assert plane.versions() == [0]
    assert list(plane.settings.folder("staging").iterdir()) == []
    assert list(plane.blobs.digests()) == []
    assert plane.client.get("/v1/streams/demo/tasks").json()["data"][0]["state"] == "failed"


def test_wait_returns_the_job_when_the_rows_are_right(plane: Plane) -> None:
    plane.create_stream()
    plane.executor.hold = True

    answer = plane.submit(params={"wait": 20})

    assert answer.status_code == 202
    assert answer.json()["state"] in ("queued", "running")
    report = plane.client.get(f"/v1/jobs/{answer.json()['id']}/validation").json()
    assert (report["valid"], report["counts"]["train"], report["counts"]["eval"]) == (True, 8, 4)


def test_a_failed_name_is_free_again(plane: Plane) -> None:
    plane.create_stream()
    plane.wait(plane.submitted(rows=[]))

    job = plane.wait(plane.submitted())

    assert job["state"] == "succeeded"


def test_a_name_pending_or_live_is_refused(plane: Plane) -> None:
    plane.create_stream()
    plane.executor.hold = True
    job_id = plane.submitted()

    pending = plane.submit()
    plane.executor.release()
    plane.wait(job_id)
    live = plane.submit()

    assert [it.json()["error"]["code"] for it in (pending, live)] == ["task_exists"] * 2
    assert job_id in pending.json()["error"]["message"]
    assert "demo@1" in live.json()["error"]["message"]


def test_pending_jobs_count_for_the_rank(plane: Plane) -> None:
    plane.create_stream(method_config={"rank": 60})
    plane.executor.hold = True
    plane.submitted("one")
    plane.submitted("two")

    answer = plane.submit("three")

    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (422, "rank_limit_exceeded")
    assert "0 more tasks" in error["message"]
    assert "Way out" in error["message"]


def test_a_dry_run_plans_and_keeps_nothing(plane: Plane) -> None:
    plane.create_stream()

    answer = plane.submit(params={"dry_run": True}, options={"hyperparameters": {"batch_size": 2}})

    plan = answer.json()
    assert answer.status_code == 200
    assert (plan["rows"], plan["steps"], plan["rank_after"], plan["tasks_left"]) == (8, 4, 4, 31)
    assert plan["seconds_estimate"] > 0
    assert plan["seconds_from"] == "rough"
    assert plan["memory_bytes_estimate"] > 0
    nothing_is_left(plane)


def test_a_dry_run_refuses_what_training_would(plane: Plane) -> None:
    plane.create_stream()
    (plane.base / "model.safetensors").write_bytes(b"damaged")

    damaged = plane.submit(params={"dry_run": True}).json()["error"]

    assert (damaged["code"], damaged["param"]) == ("invalid_request", "base")
    assert "model.safetensors' is damaged" in damaged["message"]
    nothing_is_left(plane)


def test_a_dry_run_scales_what_the_last_training_took(plane: Plane) -> None:
    plane.create_stream()
    job = plane.wait(plane.submitted("one"))
    with plane.db.write() as session:
        row = session.get_one(PhaseRow, (job["id"], "train"))
        row.result = {**row.result, "seconds": 30.0, "steps": 10, "resumed_from_step": None}

    plan = plane.submit("two", params={"dry_run": True}).json()

    assert plan["seconds_from"] == "measured"
    assert plan["seconds_estimate"] == pytest.approx(3.0 * plan["steps"], abs=0.1)


def test_options_override_the_stream(plane: Plane) -> None:
    plane.create_stream()
    options = {
        "method_config": {"alpha": 8}, "hyperparameters": {"epochs": 2}, "x_percent": 0,
        "seed": 5, "eval_limit": 2,
    }  # fmt: skip

    job = plane.wait(plane.submitted(options=options))

    plan = job["plan"]
    assert plan["method_config"]["alpha"] == 8
    assert plan["method_config"]["rank"] == 4
    assert (plan["hyperparameters"]["epochs"], plan["hyperparameters"]["seed"]) == (2, 5)
    rewrite = plane.client.get(f"/v1/jobs/{job['id']}/rewrite").json()
    assert rewrite["converted"] == 0
    assert len(plane.asked) == 4  # two items, asked of the version and of the base


def test_asd_options_override_the_streams_one_by_one(plane: Plane) -> None:
    shares = {"yes_no": 0.5, "multiple_choice": 0.5}
    made = plane.create_stream(asd={"formats": shares, "unit": "sample"}, x_percent=100)
    plain = {"formats": None, "unit": "turn", "engine": "rules", "review": False}
    assert made["asd"] == plain | {"formats": shares, "unit": "sample"}

    one = plane.wait(plane.submitted("one"))
    two = plane.wait(plane.submitted("two", options={"asd": {"formats": None}}))
    bad = plane.submit("three", options={"asd": {"formats": {"yes_no": 0.3}}})

    assert one["plan"]["asd"] == made["asd"]
    assert two["plan"]["asd"] == plain | {"unit": "sample"}
    reports = [plane.client.get(f"/v1/jobs/{job['id']}/rewrite").json() for job in (one, two)]
    assert set(reports[0]["converted_by_format"]) == set(shares)
    assert len(reports[1]["converted_by_format"]) == 4
    assert (bad.status_code, bad.json()["error"]["param"]) == (422, "asd.formats")


def test_streams_and_jobs_from_before_have_the_defaults(plane: Plane) -> None:
    plane.create_stream()
    with plane.db.write() as session:
        row = session.query(StreamRow).one()
        row.rewrite = {"x_percent": 20.0, "seed": 0}
    asd = plane.client.get("/v1/streams/demo").json()["asd"]
    assert asd == {"formats": None, "unit": "turn", "engine": "rules", "review": False}
    job = plane.wait(plane.submitted())
    assert (job["state"], job["plan"]["asd"]) == ("succeeded", asd)
    old = {name: value for name, value in job["plan"].items() if name != "asd"}
    assert TaskPlan.model_validate(old).asd.engine == "rules"


def test_the_same_key_makes_one_job(plane: Plane) -> None:
    plane.create_stream()
    plane.executor.hold = True
    archive, headers = make_archive("colours"), {"idempotency-key": "k"}

    first = plane.submit(archive=archive, headers=headers)
    again = plane.submit(archive=archive, headers=headers)
    other = plane.submit(archive=make_archive("colours", num_eval=5), headers=headers)

    assert (first.status_code, again.status_code, other.status_code) == (202, 202, 422)
    assert first.json()["id"] == again.json()["id"]
    assert len(plane.client.get("/v1/jobs").json()["data"]) == 1


def test_parallel_posts_with_one_key_make_one_job(plane: Plane) -> None:
    plane.create_stream()
    plane.executor.hold = True
    archive, headers = make_archive("colours"), {"idempotency-key": "k"}
    answers: list[Any] = []

    def post() -> None:
        answers.append(plane.submit(archive=archive, headers=headers))

    threads = [threading.Thread(target=post) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["id"] for answer in answers}) == 1


def test_earlier_evaluation_rows_are_refused_by_name(plane: Plane) -> None:
    plane.create_stream()
    plane.wait(plane.submitted("colours"))
    members = {
        "train.json": json.dumps(make_rows("colours", "eval", 2)).encode(),
        "eval.json": json.dumps(make_rows("shapes", "eval", 2)).encode(),
    }
    members["eval.png"] = make_image("colours eval")

    answer = plane.submit("shapes", archive=make_tar(members), params={"wait": 20})

    assert answer.status_code == 422
    problems = answer.json()["validation"]["problems"]
    assert {problem["rule"] for problem in problems} == {"leaks_eval"}
    assert "'colours'" in problems[0]["message"]


def test_orphaned_staging_is_cleared_at_the_next_start(plane: Plane) -> None:
    orphan = plane.settings.folder("staging") / "job_unanswered"
    orphan.mkdir()

    plane.restart()

    assert not orphan.exists()


def test_tasks_are_listed_with_their_jobs(plane: Plane) -> None:
    plane.create_stream()
    jobs = [plane.wait(plane.submitted(name))["id"] for name in ("one", "two")]

    first = plane.client.get("/v1/streams/demo/tasks", params={"limit": 1}).json()
    rest = plane.client.get("/v1/streams/demo/tasks", params={"after": first["next_cursor"]}).json()

    listed = first["data"] + rest["data"]
    assert [(it["name"], it["state"], it["job"]) for it in listed] == [
        ("one", "live", jobs[0]), ("two", "live", jobs[1]),
    ]  # fmt: skip


def test_a_boundary_that_is_too_long_is_refused(plane: Plane) -> None:
    plane.create_stream()
    headers = {"content-type": f"multipart/form-data; boundary={'a' * 257}"}

    answer = plane.client.post("/v1/streams/demo/tasks", content=b"x", headers=headers)

    assert answer.status_code == 422
    assert "257 characters, the limit is 70" in answer.json()["error"]["message"]


def test_captions_that_could_not_be_scored_are_refused_before_training(
    plane: Plane, monkeypatch: pytest.MonkeyPatch
) -> None:
    plane.create_stream()
    card = make_card("colours", metric="caption", answer_format="caption")
    monkeypatch.setattr("eval.scorers.caption._PACKAGES", ("no_such_scorer",))

    answer = plane.submit("colours", card=card)

    assert answer.status_code == 501
    assert answer.json()["error"]["code"] == "caption_part_missing"
    assert "no_such_scorer" in answer.json()["error"]["message"]
    assert "retain[captions]" in answer.json()["error"]["message"]
