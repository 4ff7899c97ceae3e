"""Steps of tests in which someone looks at rewritten rows."""

from __future__ import annotations

from typing import Any

from asd_rewriter.samples import Sample, read_samples
from service.db.tables import PhaseRow
from service.rewrites.changes import Change, ChangeFile
from tests.service.harness import Json, Plane

REVIEWED = {"x_percent": 100, "asd": {"review": True}}


def held(plane: Plane, task: str = "colours", **options: Any) -> str:
    """Submit a task that waits for review; return its job's id."""
    if plane.client.get("/v1/streams/demo").status_code == 404:
        plane.create_stream()
    job_id = plane.submitted(task, options=REVIEWED | options)
    plane.wait(job_id, "paused")
    return job_id


def look(plane: Plane, job_id: str, **params: Any) -> Json:
    answer = plane.client.get(f"/v1/jobs/{job_id}/rewrites", params=params)
    assert answer.status_code == 200, answer.text
    page: Json = answer.json()
    return page


def decide(plane: Plane, job_id: str, decisions: Json, **more: Any) -> Any:
    return plane.client.post(f"/v1/jobs/{job_id}/rewrites/decisions", json=decisions, **more)


def phase_of(plane: Plane, job_id: str) -> PhaseRow:
    with plane.db.read() as session:
        return session.get_one(PhaseRow, (job_id, "rewrite"))


def corpus_of(plane: Plane, job_id: str) -> dict[str, Sample]:
    digest = phase_of(plane, job_id).result["corpus_digest"]
    return {sample.id: sample for sample in read_samples(plane.blobs.path(digest))}


def changes_of(plane: Plane, job_id: str) -> list[Change]:
    digest = phase_of(plane, job_id).result["changes_digest"]
    return list(ChangeFile(plane.blobs.path(digest)))
