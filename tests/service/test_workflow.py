"""The workflow: the whole path, its refusals on the way, and every restart finishing it once."""

from __future__ import annotations

import errno
import json
import os
import sqlite3
from collections import Counter
from pathlib import Path
from typing import Any, NoReturn

import pytest
from sqlalchemy import func, select
from sqlalchemy.exc import OperationalError

from eval.items import EvalItem
from service.db.tables import AliasMoveRow, CellRow, PredictionRow, RecordRow, TaskRow, VersionRow
from service.errors import EngineUnavailable
from service.workflow import execution
from service.workflow.context import Stopping
from service.workflow.failures import is_disk_full, training_failure
from service.workflow.phases import PHASE_FUNCTIONS, promote, register
from service.workflow.states import PHASES
from tests.service.harness import Json, Plane
from tests.service.rows import count, record
from trainer.spec import ExitRecord, read_spec


def test_a_task_becomes_production_with_a_report(plane: Plane) -> None:
    plane.create_stream()

    job = plane.wait(plane.submitted())

    assert (job["state"], job["parent"], job["version"]) == ("succeeded", 0, 1)
    assert [phase["phase"] for phase in job["phases"]] == list(PHASES)
    assert {phase["state"] for phase in job["phases"]} == {"succeeded"}
    assert plane.production() == 1
    assert record(plane, 1, "verdict")["outcome"] == "pass"
    report = record(plane, 1, "report")
    assert report["version"] == "demo@1"
    assert report["training"]["rewriting"]["x_percent"] == 20
    assert count(plane, CellRow) == 2  # its own, and the base's zero-shot one
    left = plane.settings.folder("attempts") / job["id"]
    assert sorted(path.name for path in left.rglob("*")) == [
        "canary.json", "events.jsonl", "result.json", "spec.json", "train",
    ]  # fmt: skip


def test_a_second_task_stands_on_the_first(plane: Plane) -> None:
    plane.create_stream()
    plane.wait(plane.submitted("colours"))

    job = plane.wait(plane.submitted("shapes"))

    assert (job["parent"], job["version"]) == (1, 2)
    folder = plane.settings.folder("attempts") / job["id"] / "train"
    spec = read_spec(folder / "spec.json")
    assert [path.rsplit("/", 1)[-1] for path in spec.lineage] == ["delta-1"]
    assert spec.state_dir is not None
    assert spec.state_dir.endswith("state-1")
    assert plane.store.get("demo", 2).parent == plane.store.get("demo", 1).digest
    with plane.db.read() as session:
        version = session.scalars(select(VersionRow).where(VersionRow.number == 2)).one()
    assert version.rank == 8
    assert count(plane, CellRow) == 6  # both by base, @1 and @2


def forget_old_tasks(plane: Plane) -> None:
    def answer(model: str, item: EvalItem) -> str:
        with plane.db.read() as session:
            newest = session.scalar(select(func.max(VersionRow.number)))
            query = select(VersionRow).where(VersionRow.servable_digest == model)
            version = session.scalar(query)
        forgotten = version is not None and version.number == newest and item.task == "colours"
        return "no idea" if forgotten and newest == 2 else item.references[0]

    plane.answer = answer


def test_a_version_that_forgets_is_blocked_and_stays_addressable(plane: Plane) -> None:
    plane.create_stream()
    plane.wait(plane.submitted("colours"))
    forget_old_tasks(plane)

    job = plane.wait(plane.submitted("shapes"))

    assert job["state"] == "succeeded"
    assert job["reason"].startswith("blocked by gate: demo@2 is blocked against demo@1")
    assert plane.production() == 1
    candidate = plane.client.get("/v1/streams/demo/versions/candidate").json()
    assert candidate["number"] == 2
    worst = record(plane, 2, "report")["worst_items"]
    assert {item["task"] for item in worst} == {"colours"}


def test_a_blocked_task_may_be_submitted_again(plane: Plane) -> None:
    plane.create_stream()
    plane.wait(plane.submitted("colours"))
    forget_old_tasks(plane)
    plane.wait(plane.submitted("shapes"))

    job = plane.wait(plane.submitted("shapes"))

    assert (job["state"], job["parent"], job["version"]) == ("succeeded", 1, 3)
    assert plane.production() == 3


def test_a_rollback_during_a_job_is_not_undone(plane: Plane) -> None:
    plane.create_stream()
    plane.wait(plane.submitted("colours"))
    plane.executor.hold = True
    job_id = plane.submitted("shapes")
    plane.wait_until(lambda: plane.executor.running)
    body = {"version": 0, "reason": "it misbehaves"}
    assert plane.client.post("/v1/streams/demo/aliases/production", json=body).is_success
    plane.executor.release()

    job = plane.wait(job_id)

    assert job["state"] == "succeeded"
    assert "production is demo@0" in job["reason"]
    assert plane.production() == 0


def test_a_task_can_branch_off_an_older_version(plane: Plane) -> None:
    plane.create_stream()
    plane.wait(plane.submitted("colours"))

    job = plane.wait(plane.submitted("shapes", options={"parent": 0}))

    assert (job["parent"], job["version"]) == (0, 2)
    assert plane.production() == 1


def test_jobs_of_a_stream_run_in_the_order_they_came(plane: Plane) -> None:
    plane.create_stream()
    ids = [plane.submitted(name) for name in ("one", "two", "three")]

    jobs = [plane.wait(job_id) for job_id in ids]

    assert [(job["parent"], job["version"]) for job in jobs] == [(0, 1), (1, 2), (2, 3)]


@pytest.mark.parametrize(
    ("ending", "code"),
    [("out_of_memory", "out_of_memory"), ("nan_loss", "nan_loss"), ("crashed", "trainer_crashed")],
)
def test_a_trainer_that_fails_fails_its_job_alone(plane: Plane, ending: str, code: str) -> None:
    plane.create_stream()
    plane.executor.endings = [ending]

    job = plane.wait(plane.submitted("one"))
    after = plane.wait(plane.submitted("two"))

    assert (job["state"], job["error"]["code"], job["error"]["phase"]) == ("failed", code, "train")
    assert job["error"]["log_tail"] == ["first", f"last: {ending}"]
    assert after["state"] == "succeeded"
    assert plane.production() == 1
    kinds = [event["kind"] for event in plane.events(job["id"])][-2:]
    assert kinds == ["error", "state"]


def test_a_killed_trainer_is_resumed_and_gives_up_in_the_end(plane: Plane) -> None:
    plane.create_stream()
    plane.executor.endings = ["killed", "checkpointed"]
    resumed = plane.wait(plane.submitted("one"))
    plane.executor.endings = ["killed"] * 9
    given_up = plane.wait(plane.submitted("two"))

    assert resumed["state"] == "succeeded"
    warnings = [e for e in plane.events(resumed["id"]) if e["kind"] == "warning"]
    assert len(warnings) == 2
    assert given_up["error"]["code"] == "trainer_killed"


def test_an_engine_that_is_away_fails_the_job_and_a_retry_goes_on(
    plane: Plane, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(execution, "_RETRY_SECONDS", 0.01)
    plane.create_stream()
    plane.engines.error = EngineUnavailable("the engine does not start")

    failed = plane.wait(plane.submitted())
    plane.engines.error = None
    plane.control(failed["id"], "retry")
    job = plane.wait(failed["id"])

    assert failed["error"]["code"] == "engine_unavailable"
    assert failed["error"]["phase"] == "evaluate"
    assert (job["state"], job["version"]) == ("succeeded", 1)
    assert plane.executor.starts == ["train"]  # the registered version was kept
    assert plane.versions() == [0, 1]


def test_a_full_disk_and_a_bug_are_told_apart(
    plane: Plane, monkeypatch: pytest.MonkeyPatch
) -> None:
    plane.create_stream()

    def failing(error: Exception) -> Any:
        def run(ctx: Any) -> Json:
            raise error

        return run

    monkeypatch.setitem(PHASE_FUNCTIONS, "rewrite", failing(OSError(errno.ENOSPC, "full")))
    full = plane.wait(plane.submitted("one"))
    assert is_disk_full(
        OperationalError("", {}, sqlite3.OperationalError("database or disk is full"))
    )
    assert not is_disk_full(
        OperationalError("", {}, sqlite3.OperationalError("database is locked"))
    )
    monkeypatch.setitem(PHASE_FUNCTIONS, "rewrite", failing(ZeroDivisionError("secret")))
    bug = plane.wait(plane.submitted("two"))

    assert full["error"]["code"] == "storage_full"
    assert bug["error"]["code"] == "internal_error"
    assert "secret" not in bug["error"]["message"]


def test_a_version_that_is_being_evaluated_leaves_the_matrix_alone(plane: Plane) -> None:
    plane.create_stream()
    plane.wait(plane.submitted("colours"))
    before = plane.client.get("/v1/streams/demo/matrix").json()
    plane.wait(plane.submitted("shapes"))
    with plane.db.write() as session:
        version = session.scalars(select(VersionRow).where(VersionRow.number == 2)).one()
        session.delete(session.get_one(RecordRow, (version.id, "report")))
        colours = session.scalars(select(TaskRow).where(TaskRow.name == "colours")).one()
        session.delete(session.get_one(CellRow, (version.id, colours.id)))

    answer = plane.client.get("/v1/streams/demo/matrix")

    assert "rows" in before, before
    assert answer.json() == before
    found = plane.client.get("/v1/streams/demo/matrix", params={"version": "2"}).json()
    assert (len(found["rows"]), found["summaries"]) == (3, {})
    assert "demo@2 on task 'colours' is needed but was not measured" in found["hole"]


def test_a_base_that_changed_is_not_trained_on(plane: Plane) -> None:
    plane.create_stream()
    (plane.base / "config.json").write_text('{"model_type": "another"}')

    job = plane.wait(plane.submitted())

    assert job["error"]["code"] == "base_changed"
    assert plane.executor.starts == []


def test_a_trainers_warning_reaches_the_job_once(plane: Plane) -> None:
    plane.create_stream()
    plane.executor.hold = True
    job = plane.submitted()
    plane.wait(job, "running")
    folder = plane.settings.folder("attempts") / job / "train"
    plane.wait_until(lambda: (folder / "events.jsonl").exists())
    with (folder / "events.jsonl").open("a") as file:
        file.write(json.dumps({"kind": "warning", "message": "3 rows were cut"}) + "\n")

    def told() -> int:
        return sum(event["kind"] == "warning" for event in plane.events(job))

    plane.wait_until(lambda: told() == 1)
    plane.restart()
    plane.executor.release()
    plane.wait(job)
    assert told() == 1


def test_a_stop_checkpoints_and_the_next_start_goes_on(plane: Plane) -> None:
    plane.create_stream()
    plane.executor.hold = True
    job_id = plane.submitted()
    plane.wait_until(lambda: plane.executor.running)

    plane.runner.stop()
    stopped = plane.job(job_id)
    plane.executor.hold = False
    plane.restart()
    job = plane.wait(job_id)

    assert (stopped["state"], stopped["phase"]) == ("running", "train")
    assert plane.executor.stops == [1.0]
    assert (job["state"], plane.executor.starts) == ("succeeded", ["train", "train"])


def die(plane: Plane) -> NoReturn:
    """End the runner as SIGKILL would: nothing more is written."""
    plane.runner._stopping.set()
    raise Stopping


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("phase", PHASES)
def test_a_death_at_any_phase_boundary_finishes_the_job_once(
    plane: Plane, monkeypatch: pytest.MonkeyPatch, phase: str, moment: str
) -> None:
    plane.create_stream()
    work = PHASE_FUNCTIONS[phase]
    died: list[str] = []

    def mortal(ctx: Any) -> Json:
        if not died and moment == "before":
            died.append(ctx.job_id)
            die(plane)
        result = work(ctx)
        if not died:
            died.append(ctx.job_id)
            die(plane)
        return result

    monkeypatch.setitem(PHASE_FUNCTIONS, phase, mortal)
    job_id = plane.submitted()
    plane.wait_until(lambda: died)
    plane.restart()
    job = plane.wait(job_id)

    assert (job["state"], job["version"]) == ("succeeded", 1)
    finished_once(plane, job_id, num_tasks=1, num_cells=2)


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize(
    ("module", "step"),
    [(register, "compose_servable"), (register, "register_version"), (promote, "move_alias")],
)
def test_a_death_inside_a_phase_finishes_the_job_once(
    plane: Plane, monkeypatch: pytest.MonkeyPatch, module: Any, step: str, moment: str
) -> None:
    plane.create_stream()
    work: Any = getattr(module, step)
    died: list[bool] = []

    def mortal(*args: Any, **kwargs: Any) -> Any:
        if died:
            return work(*args, **kwargs)
        died.append(True)
        if moment == "after":
            work(*args, **kwargs)
        die(plane)

    monkeypatch.setattr(module, step, mortal)
    job_id = plane.submitted()
    plane.wait_until(lambda: died)
    plane.restart()

    assert plane.wait(job_id)["state"] == "succeeded"
    finished_once(plane, job_id, num_tasks=1, num_cells=2)


def test_deaths_in_a_row_finish_the_job_once(plane: Plane, monkeypatch: pytest.MonkeyPatch) -> None:
    plane.create_stream()
    plane.wait(plane.submitted("colours"))
    deaths: Counter[str] = Counter()
    for name, work in list(PHASE_FUNCTIONS.items()):

        def mortal(ctx: Any, name: str = name, work: Any = work) -> Json:
            result: Json = work(ctx)
            deaths[name] += 1
            if deaths[name] <= 2:
                die(plane)
            return result

        monkeypatch.setitem(PHASE_FUNCTIONS, name, mortal)
    job_id = plane.submitted("shapes")
    for _ in range(2 * len(PHASES)):
        plane.wait_until(plane.runner._stopping.is_set)
        plane.restart()

    assert plane.wait(job_id)["state"] == "succeeded"
    finished_once(plane, job_id, num_tasks=2, num_cells=6)


def finished_once(plane: Plane, job_id: str, num_tasks: int, num_cells: int) -> None:
    """Nothing is there twice: versions, journal, cells, answers, events, processes."""
    numbers = list(range(1, num_tasks + 1))
    assert plane.versions() == [0, *numbers]
    assert plane.production() == num_tasks
    assert [manifest.number for manifest in plane.store.list("demo")] == numbers
    assert count(plane, AliasMoveRow) == num_tasks + 1  # the first one named the base
    assert count(plane, CellRow) == num_cells
    asked = Counter(plane.asked)
    assert set(asked.values()) == {1}
    assert count(plane, PredictionRow) == len(asked)
    assert plane.executor.starts == ["train"] * num_tasks
    events = plane.events(job_id)
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert [e["data"]["state"] for e in events if e["kind"] == "state"].count("succeeded") == 1
    assert list(plane.settings.folder("staging").iterdir()) == []
    assert plane.store.fsck() == ()


def test_an_interrupted_evaluation_asks_only_for_the_rest(plane: Plane) -> None:
    plane.create_stream()
    seen: list[str] = []

    def answer(model: str, item: EvalItem) -> str:
        seen.append(item.digest)
        if len(seen) == 3:
            plane.runner._stopping.set()
        return item.references[0]

    plane.answer = answer
    job_id = plane.submitted()
    plane.wait_until(lambda: len(seen) >= 3 and plane.runner._stopping.is_set())
    plane.restart()

    assert plane.wait(job_id)["state"] == "succeeded"
    assert len(plane.asked) == 8


def test_a_failed_job_keeps_logs_but_no_weights(
    plane: Plane, monkeypatch: pytest.MonkeyPatch
) -> None:
    plane.create_stream()

    def train(ctx: Any) -> NoReturn:
        (ctx.attempt_dir / "checkpoints").mkdir(parents=True)
        (ctx.attempt_dir / "exit.json").touch()
        ended = ExitRecord(code=1, signal=None, reason="crashed", ended_at="", message="no 'x'")
        raise training_failure(ended)

    monkeypatch.setitem(PHASE_FUNCTIONS, "train", train)
    job = plane.wait(plane.submitted())
    folder = plane.settings.folder("attempts") / job["id"] / "train"

    assert job["error"]["message"].endswith("It said: no 'x'")
    plane.wait_until(lambda: not (folder / "checkpoints").exists())
    assert (folder / "exit.json").exists()


def test_only_old_unused_blobs_go_at_the_next_start(plane: Plane) -> None:
    plane.create_stream()
    plane.executor.endings = ["nan_loss"]
    plane.wait(plane.submitted())
    kept = set(plane.blobs.digests())
    orphan, young = plane.blobs.put_bytes(b"orphan"), plane.blobs.put_bytes(b"young")
    plane.runner.stop()
    for digest in kept | {orphan}:
        os.utime(plane.blobs.path(digest), (0, 0))

    plane.restart()
    plane.wait_until(lambda: not plane.blobs.exists(orphan))

    assert set(plane.blobs.digests()) == kept | {young}


def test_an_error_while_splits_are_stored_leaves_no_blobs(
    plane: Plane, monkeypatch: pytest.MonkeyPatch
) -> None:
    plane.create_stream()
    put = plane.blobs.put_file

    def full_for_eval(path: Path) -> str:
        if "eval" in path.name:
            raise OSError(errno.ENOSPC, "full")
        return put(path)

    monkeypatch.setattr(plane.blobs, "put_file", full_for_eval)

    assert plane.wait(plane.submitted())["error"]["code"] == "storage_full"
    assert list(plane.blobs.digests()) == []
