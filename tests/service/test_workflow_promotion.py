"""What happens while a promotion waits for its engine: people's moves and wishes come first."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from service.engines.lifecycle import never
from tests.service.harness import Plane, Route


def during_promotion(plane: Plane, act: Callable[[], Any]) -> None:
    """Act once while a job's alias move waits for the engine."""
    plain = plane.engines.ensure_ready
    acted: list[bool] = []

    def ensure_ready(version: Any, check: Any = None) -> Route:
        if check is not None and check is not never and not acted:
            acted.append(True)
            act()
            check()
        return plain(version)

    plane.engines.ensure_ready = ensure_ready  # type: ignore[method-assign]


def test_a_rollback_during_the_promotion_is_not_undone(plane: Plane) -> None:
    plane.create_stream()
    plane.wait(plane.submitted("colours"))
    body = {"version": 0, "reason": "it misbehaves"}
    path = "/v1/streams/demo/aliases/production"
    during_promotion(plane, lambda: plane.client.post(path, json=body))

    job = plane.wait(plane.submitted("shapes"))

    assert job["state"] == "succeeded"
    assert "moved by somebody else meanwhile" in job["reason"]
    assert plane.production() == 0
    assert plane.client.get("/v1/streams/demo/versions/candidate").json()["number"] == 2


def test_a_promotion_can_be_paused_while_the_engine_starts(plane: Plane) -> None:
    plane.create_stream()
    jobs: list[str] = []

    def pause() -> None:
        plane.wait_until(lambda: jobs)
        plane.control(jobs[0], "pause")

    during_promotion(plane, pause)
    jobs.append(plane.submitted())

    assert plane.wait(jobs[0], "paused")["phase"] == "promote"
    assert plane.production() == 0
    plane.control(jobs[0], "resume")
    assert plane.wait(jobs[0])["state"] == "succeeded"
    assert plane.production() == 1
