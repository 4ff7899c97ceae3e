"""Wire shapes of jobs."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from asd_rewriter.problems import ValidationReport


class PhaseRead(BaseModel):
    """One phase that has begun: running, paused, succeeded or failed, and how long it took."""

    phase: str
    state: str
    attempt: int
    started_at: datetime
    finished_at: datetime | None
    seconds: float | None


class JobRead(BaseModel):
    """A job. `queue_position` 1 is next; `reason` says why it waits or why it ended.

    `desired` is what was asked last (run, pause, cancel) and may be ahead of `state`. `parent`
    and `version` are version numbers; `progress` is the last progress seen.
    """

    object: Literal["job"] = "job"
    id: str
    stream: str
    task: str
    state: str
    desired: str
    phase: str
    queue_position: int | None
    reason: str | None
    error: dict[str, Any] | None
    plan: dict[str, Any]
    parent: int | None
    version: int | None
    phases: list[PhaseRead]
    progress: dict[str, Any] | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


class EventRead(BaseModel):
    """One event; `seq` counts from 1 without gaps."""

    model_config = ConfigDict(from_attributes=True)

    object: Literal["job.event"] = "job.event"
    seq: int
    at: datetime
    kind: str
    data: dict[str, Any]


class ValidationRead(ValidationReport):
    """What validation found in a job's data."""

    object: Literal["validation_report"] = "validation_report"
    job: str
    task: str
