"""What failures leave: nothing unregistered, no leaked row, no trainer, no lost job."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NoReturn

import pytest
from sqlalchemy import select
from sqlalchemy.exc import OperationalError

from service.db.tables import JobRow
from service.workflow import execution
from service.workflow.phases import PHASE_FUNCTIONS, register
from service.workflow.phases import train as train_phase
from tests.service.harness import Json, Plane, make_image, make_tar


def task_with(train: list[str], evaluation: list[str]) -> bytes:
    """An archive whose rows ask these questions about one image."""

    def rows(split: str, questions: list[str]) -> bytes:
        return json.dumps(
            [
                {"id": f"{split}-{n}", "image": "x.png", "conversations": [
                    {"from": "human", "value": f"<image>\n{question}"},
                    {"from": "gpt", "value": "yes"},
                ]}
                for n, question in enumerate(questions)
            ]
        ).encode()  # fmt: skip

    return make_tar({
        "train.json": rows("train", train), "eval.json": rows("eval", evaluation),
        "x.png": make_image("x"),
    })  # fmt: skip


def test_a_retry_does_not_train_on_what_was_learned_meanwhile(
    plane: Plane, monkeypatch: pytest.MonkeyPatch
) -> None:
    plane.create_stream()
    shared = [f"shared {n}?" for n in range(4)]
    first = task_with(shared, ["a?", "b?"])
    plane.executor.endings = ["nan_loss"]
    job = plane.submitted("first", archive=first)
    assert plane.wait(job)["state"] == "failed"
    second = plane.submitted("second", archive=task_with(["c?", "d?"], shared))
    assert plane.wait(second)["state"] == "succeeded"

    plane.control(job, "retry")

    error = plane.wait(job)["error"]
    assert error["code"] == "leaked_rows"
    assert "'train-0' (of 'second')" in error["message"]
    assert plane.production() == 1


def test_a_database_that_is_away_for_a_moment_fails_no_job(
    plane: Plane, monkeypatch: pytest.MonkeyPatch
) -> None:
    plane.create_stream()
    gone = iter([True])
    train = PHASE_FUNCTIONS["train"]

    def away_once(ctx: Any) -> Json:
        if next(gone, False):
            raise OperationalError("SELECT 1", {}, Exception("database is locked"))
        return train(ctx)

    monkeypatch.setitem(PHASE_FUNCTIONS, "train", away_once)
    job = plane.wait(plane.submitted())
    assert job["state"] == "succeeded"


def test_a_failed_job_stops_its_trainer_before_it_counts_as_failed(
    plane: Plane, monkeypatch: pytest.MonkeyPatch
) -> None:
    plane.create_stream()
    plane.executor.hold = True
    states: list[str] = []
    stop = plane.executor.stop

    def note(attempt_dir: Path, grace_seconds: float) -> None:
        with plane.db.read() as session:
            states.append(session.scalars(select(JobRow.state)).one())
        stop(attempt_dir, grace_seconds)

    def fail(self: Any) -> None:
        raise RuntimeError("a bug while the trainer runs")

    monkeypatch.setattr(plane.executor, "stop", note)
    monkeypatch.setattr(train_phase.TrainingProgress, "report", fail)
    job = plane.wait(plane.submitted())
    assert (job["state"], states[0]) == ("failed", "running")
    assert not plane.executor.running


@pytest.mark.parametrize("killed", [False, True])
def test_what_was_published_but_never_registered_goes(
    plane: Plane, monkeypatch: pytest.MonkeyPatch, killed: bool
) -> None:
    plane.create_stream()

    def fail(*_: Any, **__: Any) -> NoReturn:
        raise RuntimeError("after publishing and composing")

    with monkeypatch.context() as patch:
        patch.setattr(register, "register_version", fail)
        if killed:
            patch.setattr(execution.cleanup, "discard_unregistered", lambda *_: None)
        job = plane.wait(plane.submitted())
        assert job["state"] == "failed"
        if killed:
            assert len(plane.store.list("demo")) == 1
    plane.restart()
    assert plane.store.list("demo") == ()
    assert list(plane.settings.folder("servable").iterdir()) == []

    plane.control(job["id"], "retry")
    plane.wait(job["id"])
    assert [manifest.number for manifest in plane.store.list("demo")] == [2]
    assert plane.versions() == [0, 2]
