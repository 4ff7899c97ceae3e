"""Reviews that are cut short: deaths, cancels and retries lose no decision and apply none twice."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NoReturn

import pytest

from service.db.tables import TaskRow
from service.workflow import execution
from service.workflow.context import Stopping
from service.workflow.phases import PHASE_FUNCTIONS, rewrite
from tests.service.harness import Json, Plane
from tests.service.reviewing import REVIEWED, corpus_of, decide, held, look, phase_of


def die(plane: Plane) -> NoReturn:
    """End the runner as SIGKILL would: nothing more is written."""
    plane.runner._stopping.set()
    raise Stopping


def test_a_death_after_rewriting_does_not_skip_the_review(
    plane: Plane, monkeypatch: pytest.MonkeyPatch
) -> None:
    plane.create_stream()
    died: list[bool] = []
    hold = execution._hold

    def mortal(ctx: Any, reason: Any) -> None:
        if not died:
            died.append(True)
            die(plane)
        hold(ctx, reason)

    monkeypatch.setattr(execution, "_hold", mortal)
    job_id = plane.submitted(options=REVIEWED)
    plane.wait_until(lambda: died)
    plane.restart()

    job = plane.wait(job_id, "paused")
    assert job["reason"].startswith("waits for review")
    assert plane.executor.starts == []


@pytest.mark.parametrize("moment", ["before the corpus", "after the corpus", "after the phase"])
def test_a_death_while_a_review_is_applied_applies_it_once(
    plane: Plane, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    job_id = held(plane)
    rows = look(plane, job_id)["data"]
    decide(plane, job_id, {row["key"]: "reject" for row in rows[:2]})
    died: list[bool] = []
    keep, work = rewrite._keep_corpus, PHASE_FUNCTIONS["rewrite"]

    def mortal_keep(*args: Any) -> str:
        if not died and moment == "before the corpus":
            died.append(True)
            die(plane)
        digest = keep(*args)
        if not died and moment == "after the corpus":
            died.append(True)
            die(plane)
        return digest

    def mortal(ctx: Any) -> Json:
        result = work(ctx)
        if not died:
            died.append(True)
            die(plane)
        return result

    monkeypatch.setattr(rewrite, "_keep_corpus", mortal_keep)
    monkeypatch.setitem(PHASE_FUNCTIONS, "rewrite", mortal)
    plane.control(job_id, "resume")
    plane.wait_until(lambda: died)
    for digest in plane.blobs.digests():  # the review took days
        os.utime(plane.blobs.path(digest), (0, 0))
    plane.restart()
    job = plane.wait(job_id)

    assert job["state"] == "succeeded"
    native = [s for s in corpus_of(plane, job_id).values() if s.turns[0].format == "short_answer"]
    assert {s.id for s in native} == {row["sample"] for row in rows[:2]}
    assert plane.executor.starts == ["train"]


def test_an_interrupted_rewriting_leaves_no_half_and_is_the_same_again(
    plane: Plane, monkeypatch: pytest.MonkeyPatch
) -> None:
    plane.create_stream()
    died: list[Path] = []
    put = plane.blobs.put_file

    def mortal(path: Path) -> str:
        if path.name == "corpus.jsonl" and not died:
            died.append(path)
            die(plane)
        return put(path)

    monkeypatch.setattr(plane.blobs, "put_file", mortal)
    job_id = plane.submitted("colours")
    plane.wait_until(lambda: died)
    plane.runner.stop()
    assert not died[0].exists()
    plane.restart()
    plane.wait(job_id)
    plane.create_stream("other")
    other = plane.wait(plane.submitted("colours", stream="other"))["id"]

    assert phase_of(plane, job_id).result["changes_digest"] is not None
    assert phase_of(plane, other).result == phase_of(plane, job_id).result


def test_changes_live_as_long_as_the_corpus(plane: Plane) -> None:
    job_id = held(plane)
    result = phase_of(plane, job_id).result
    blobs = {result["corpus_digest"], result["changes_digest"]}
    plane.runner.stop()
    for digest in plane.blobs.digests():
        os.utime(plane.blobs.path(digest), (0, 0))
    orphan = plane.blobs.put_bytes(b"orphan")
    os.utime(plane.blobs.path(orphan), (0, 0))
    plane.restart()
    plane.wait_until(lambda: not plane.blobs.exists(orphan))
    assert blobs <= set(plane.blobs.digests())

    plane.control(job_id, "cancel")
    plane.wait(job_id)

    assert not blobs & set(plane.blobs.digests())
    assert plane.client.get(f"/v1/jobs/{job_id}/rewrites").status_code == 404


def test_changes_that_another_job_made_too_survive_a_cancel(plane: Plane) -> None:
    first = held(plane)
    plane.create_stream("other")
    second = plane.submitted("colours", stream="other", options=REVIEWED)
    plane.wait(second, "paused")
    digest = phase_of(plane, first).result["changes_digest"]
    assert digest == phase_of(plane, second).result["changes_digest"]

    plane.control(second, "cancel")
    plane.wait(second)

    assert plane.blobs.exists(digest)
    assert look(plane, first)["total"] == 8


def test_a_retry_asks_for_the_review_again_and_remembers_it(plane: Plane) -> None:
    job_id = held(plane)
    key = look(plane, job_id)["data"][0]["key"]
    decide(plane, job_id, {key: "reject"})
    plane.executor.endings = ["nan_loss"]
    plane.control(job_id, "resume")
    assert plane.wait(job_id)["state"] == "failed"

    plane.control(job_id, "retry")
    plane.wait(job_id, "paused")
    page = look(plane, job_id)
    plane.control(job_id, "resume")
    job = plane.wait(job_id)

    assert (page["reviewing"], page["rejected"]) == (True, 1)
    assert job["state"] == "succeeded"
    assert corpus_of(plane, job_id)[key.rpartition("#")[0]].turns[0].format == "short_answer"


def test_a_cancel_wins_over_the_wait_for_a_review(
    plane: Plane, monkeypatch: pytest.MonkeyPatch
) -> None:
    plane.create_stream()
    work = PHASE_FUNCTIONS["rewrite"]

    def cancelled_late(ctx: Any) -> Json:
        try:
            return work(ctx)
        finally:
            plane.control(ctx.job_id, "cancel")

    monkeypatch.setitem(PHASE_FUNCTIONS, "rewrite", cancelled_late)
    job = plane.wait(plane.submitted(options=REVIEWED))

    assert job["state"] == "cancelled"
    with plane.db.read() as session:
        assert session.query(TaskRow).one().corpus_digest is None
