"""Cursors and event numbers of jobs that no list has given out."""

from __future__ import annotations

import pytest

from tests.service.harness import Plane


@pytest.mark.parametrize("after", ["x", "-1", "9" * 30])
def test_cursors_that_no_page_gave_are_refused(plane: Plane, after: str) -> None:
    for path in ("/v1/jobs", "/v1/jobs/job-1/events"):
        answer = plane.client.get(path, params={"after": after})
        assert answer.status_code == 422
        assert answer.json()["error"]["param"] == "after"


def test_an_event_number_out_of_range_is_refused(plane: Plane) -> None:
    headers = {"accept": "text/event-stream", "last-event-id": "9" * 30}
    assert plane.client.get("/v1/jobs/job-1/events", headers=headers).status_code == 422


def test_the_stream_of_an_unknown_job_is_404(plane: Plane) -> None:
    headers = {"accept": "text/event-stream"}
    assert plane.client.get("/v1/jobs/job-1/events", headers=headers).status_code == 404
