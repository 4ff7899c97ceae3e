"""The workflow of versions served merged, offline, or by a continued adapter."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from safetensors.numpy import load_file
from sqlalchemy import select

from service.db.tables import AliasMoveRow, CellRow, VersionRow
from service.errors import EngineProofFailed
from service.workflow.phases import PHASE_FUNCTIONS, register
from tests.service import harness
from tests.service.harness import Json, Plane
from tests.service.rows import count, record


def test_full_fine_tuning_is_served_as_a_merged_base(plane: Plane) -> None:
    plane.create_stream(method="full", method_config={})
    plane.wait(plane.submitted("colours"))

    job = plane.wait(plane.submitted("shapes"))

    assert (job["state"], job["version"]) == ("succeeded", 2)
    with plane.db.read() as session:
        version = session.scalars(select(VersionRow).where(VersionRow.number == 2)).one()
    assert (version.servable_by, version.rank) == ("merged", 0)
    merged = load_file(Path(version.servable_path) / "model.safetensors")
    assert merged["model.q_proj.weight"].tolist() == [[2.0] * 6] * 5
    assert plane.store.get("demo", 2).delta.kind == "weights"


EXPERTS = {"method": "moelora", "method_config": {"rank": 4, "experts": 2}}


def test_experts_are_judged_by_a_worker_and_stay_the_candidate(plane: Plane) -> None:
    plane.create_stream(**EXPERTS)

    job = plane.wait(plane.submitted("colours"))

    assert (job["state"], job["version"]) == ("succeeded", 1)
    assert record(plane, 1, "verdict")["outcome"] == "pass"
    assert record(plane, 1, "report")["version"] == "demo@1"
    (spec,) = plane.workers.made
    assert [Path(folder).name for folder in spec.lineage] == ["delta-0000"]
    assert (spec.base.path, spec.precision) == (str(plane.base), "fp32")
    with plane.db.read() as session:
        version = session.scalars(select(VersionRow).where(VersionRow.number == 1)).one()
        cell = session.scalars(select(CellRow).where(CellRow.version_id == version.id)).one()
        moves = session.scalars(select(AliasMoveRow).where(AliasMoveRow.alias == "candidate")).all()
    assert (version.servable_by, cell.accuracy, cell.n) == ("offline", 100.0, 4)
    assert [(move.to_version_id, move.job_id) for move in moves] == [(version.id, job["id"])]
    assert "passed the gate, but demo@1 is served offline" in moves[0].reason
    assert plane.production() == 0
    body = {"version": 1, "reason": "by hand", "override": True}
    refused = plane.client.post("/v1/streams/demo/aliases/production", json=body)
    assert refused.status_code == 422
    assert "served offline" in refused.json()["error"]["message"]


def test_a_second_task_of_experts_asks_each_version_through_one_worker(plane: Plane) -> None:
    plane.create_stream(**EXPERTS)
    plane.wait(plane.submitted("colours"))

    job = plane.wait(plane.submitted("shapes", options={"parent": 1}))

    assert (job["state"], job["parent"]) == ("succeeded", 1)
    assert len(plane.workers.made) == 3  # @1 of the first job; @1 on the new task; @2 on both
    assert count(plane, CellRow) == 6
    assert plane.production() == 0


def test_a_worker_that_cannot_answer_fails_the_job_and_a_retry_goes_on(plane: Plane) -> None:
    plane.create_stream(**EXPERTS)
    command = plane.workers.command
    plane.workers.command = [sys.executable, "-c", "raise SystemExit('no torch here')"]

    job = plane.wait(plane.submitted("colours"))

    assert (job["state"], job["error"]["phase"]) == ("failed", "evaluate")
    assert job["error"]["code"] == "offline_worker_failed"
    assert "no torch here" in job["error"]["message"]
    plane.workers.command = command
    assert plane.control(job["id"], "retry").status_code < 300
    assert plane.wait(job["id"])["state"] == "succeeded"


def test_a_job_is_cancelled_while_its_worker_loads(plane: Plane) -> None:
    plane.create_stream(**EXPERTS)
    plane.workers.command = [sys.executable, "-c", "import time; time.sleep(600)"]
    job_id = plane.submitted("colours")
    plane.wait_until(lambda: plane.workers.made)

    plane.control(job_id, "cancel")

    assert plane.wait(job_id, seconds=30)["state"] == "cancelled"
    assert plane.versions() == [0]


def test_a_worker_that_misses_the_canary_is_not_asked(
    plane: Plane, monkeypatch: pytest.MonkeyPatch
) -> None:
    plane.create_stream(**EXPERTS)
    monkeypatch.setattr(harness, "make_canary", partial(harness.make_canary, number=2))

    job = plane.wait(plane.submitted("colours"))

    assert (job["state"], job["error"]["phase"]) == ("failed", "evaluate")
    assert job["error"]["code"] == EngineProofFailed.code
    with plane.db.read() as session:
        version = session.scalars(select(VersionRow).where(VersionRow.number == 1)).one()
        assert not session.scalars(select(CellRow).where(CellRow.version_id == version.id)).all()


def test_a_changed_servable_is_not_asked(plane: Plane, monkeypatch: pytest.MonkeyPatch) -> None:
    plane.create_stream(**EXPERTS)

    def register_and_damage(ctx: Any) -> Json:
        result = register.run(ctx)
        folder = plane.settings.folder("servable") / result["servable_digest"]
        next(folder.glob("delta-0000/*.safetensors")).write_bytes(b"damaged")
        return result

    monkeypatch.setitem(PHASE_FUNCTIONS, "register", register_and_damage)

    job = plane.wait(plane.submitted("colours"))

    assert (job["state"], job["error"]["phase"]) == ("failed", "evaluate")
    assert plane.workers.made == []


def test_a_continued_adapter_keeps_its_rank(plane: Plane) -> None:
    plane.create_stream(method_config={"rank": 4, "carry_over": "continue"})
    plane.wait(plane.submitted("colours"))

    plane.wait(plane.submitted("shapes"))

    with plane.db.read() as session:
        version = session.scalars(select(VersionRow).where(VersionRow.number == 2)).one()
    assert version.rank == 4
    assert plane.store.get("demo", 2).delta.kind == "replace"
