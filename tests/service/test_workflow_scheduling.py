"""Scheduling is a pure function: FIFO, bounded, one job per stream, every wait explained."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from service.workflow.scheduling import Entry, may_be_validated, schedule


def entry(number: int, stream: str, state: str, started: bool = False) -> Entry:
    return Entry(f"job_{number}", stream, state, started or state == "running")


def test_first_come_first_served_within_the_slots() -> None:
    decision = schedule([entry(n, f"s{n}", "queued") for n in range(3)], slots=2)

    assert decision.start == ("job_0", "job_1")
    assert decision.reasons == {"job_2": "waiting for job_0 of stream 's0': 2 trainer slots"}


def test_one_job_of_a_stream_at_a_time() -> None:
    jobs = [entry(0, "a", "running"), entry(1, "a", "queued"), entry(2, "b", "queued")]

    decision = schedule(jobs, slots=2)

    assert decision.start == ("job_2",)
    assert decision.reasons["job_1"].startswith("waiting for job_0 of stream 'a': a stream runs")


def test_a_paused_job_that_started_keeps_its_stream_but_no_slot() -> None:
    jobs = [entry(0, "a", "paused", True), entry(1, "a", "queued"), entry(2, "b", "queued")]

    decision = schedule(jobs, slots=1)

    assert decision.start == ("job_2",)
    assert "resume or cancel it" in decision.reasons["job_1"]


def test_a_job_paused_in_the_queue_is_overtaken_and_one_in_validation_is_not() -> None:
    paused = [entry(0, "a", "paused"), entry(1, "a", "queued")]
    validating = [entry(0, "a", "validating_files"), entry(1, "a", "queued")]

    assert schedule(paused, slots=1).start == ("job_1",)
    assert "still being validated" in schedule(validating, slots=1).reasons["job_1"]


def test_a_resumed_job_goes_before_those_that_came_after_it() -> None:
    jobs = [entry(1, "a", "queued"), entry(5, "a", "queued", True)]

    assert schedule(jobs, slots=1).start == ("job_5",)


def test_a_stream_is_validated_in_order() -> None:
    jobs = [entry(n, "aab"[n], "validating_files") for n in range(3)]

    assert may_be_validated(jobs) == ("job_0", "job_2")


STATES = ("validating_files", "queued", "running", "paused", "cancelling")
ENTRIES = st.lists(
    st.tuples(st.sampled_from("abc"), st.sampled_from(STATES), st.booleans()), max_size=12
)


@given(ENTRIES, st.integers(1, 3))
def test_whatever_the_jobs(drawn: list[tuple[str, str, bool]], slots: int) -> None:
    jobs: list[Entry] = []
    for number, (stream, state, started) in enumerate(drawn):
        held = any(job.stream == stream and job.started for job in jobs)
        may_start = not held and state != "validating_files"
        if state == "running" and not may_start:
            state = "queued"
        jobs.append(entry(number, stream, state, started and may_start))

    decision = schedule(jobs, slots)

    queued = {job.id for job in jobs if job.state == "queued"}
    assert set(decision.start) | set(decision.reasons) == queued
    assert not set(decision.start) & set(decision.reasons)
    at_work = [job for job in jobs if job.state == "running" or job.id in decision.start]
    working = sum(job.state == "running" for job in jobs)
    assert len(at_work) <= max(slots, working)
    streams = [job.stream for job in at_work]
    assert len(streams) == len(set(streams))
