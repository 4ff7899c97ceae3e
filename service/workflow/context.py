"""What a phase is given: the services, its job, a way to tell progress and to be interrupted."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapters_store.backends import LocalBlobStore
from adapters_store.store import VersionStore
from asd_rewriter.cards import TaskCard
from eval.decoding import Decoding
from eval.predictors import Predictor
from service.db.engine import Database
from service.db.tables import JobRow, StreamRow, TaskRow, VersionRow
from service.executors.local import Executor
from service.executors.workers import Workers
from service.jobs.events import append_event, warnings_of
from service.settings import Settings
from service.streams.schemas import TaskPlan

if TYPE_CHECKING:
    from service.engines.manager import EngineManager, EngineRoute

PROGRESS_SECONDS = 0.5

MakePredictor = Callable[["EngineRoute", Path, Decoding], Predictor]
"""An engine's route, the folder of blobs and the decoding make a predictor."""


class Interrupted(Exception):
    """The phase shall stop here; what it did so far stays for the next time."""


class Paused(Interrupted):
    """Someone asked to pause the job."""


class Cancelled(Interrupted):
    """Someone asked to cancel the job."""


class Stopping(Interrupted):
    """The service is about to end."""


class Held(Interrupted):
    """The phase pauses the job by itself, until someone resumes it; `reason` says why.

    `kept` is stored as the phase's result so far: the phase finds it when it runs again.
    """

    def __init__(self, reason: str, kept: dict[str, Any] | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.kept = kept or {}


@dataclass(frozen=True)
class Tools:
    """What all jobs share."""

    settings: Settings
    db: Database
    blobs: LocalBlobStore
    store: VersionStore
    engines: EngineManager
    executor: Executor
    make_predictor: MakePredictor
    workers: Workers


@dataclass(frozen=True)
class Facts:
    """A job's rows as they were when read."""

    job: JobRow
    stream: StreamRow
    task: TaskRow
    parent: VersionRow | None

    @property
    def card(self) -> TaskCard:
        """The task's card."""
        return TaskCard.model_validate(self.task.card)

    @property
    def plan(self) -> TaskPlan:
        """The job's resolved request."""
        return TaskPlan.model_validate(self.job.plan)


class Context:
    """One job at work. Phases are functions of it."""

    def __init__(self, tools: Tools, job_id: str, stopping: threading.Event) -> None:
        self.tools = tools
        self.job_id = job_id
        self.phase = ""
        self._stopping = stopping
        self._checked_at = 0.0
        self._progress_at = 0.0
        self._told: dict[str, Any] = {}

    def enter(self, phase: str) -> None:
        """Say which phase the job is in now; its first progress is told at once."""
        self.phase = phase
        self._progress_at = 0.0

    def facts(self) -> Facts:
        """Return the job's rows, read now."""
        with self.tools.db.read() as session:
            job = session.get_one(JobRow, self.job_id)
            return Facts(
                job,
                session.get_one(StreamRow, job.stream_id),
                session.get_one(TaskRow, job.task_id),
                session.get(VersionRow, job.parent_version_id) if job.parent_version_id else None,
            )

    @property
    def stopping(self) -> bool:
        """Whether the service is about to end."""
        return self._stopping.is_set()

    @property
    def work_dir(self) -> Path:
        """The job's own folder: training attempts and what they read."""
        return self.tools.settings.folder("attempts") / self.job_id

    @property
    def attempt_dir(self) -> Path:
        """The folder of the current training attempt: `train`, after a retry `train-2`."""
        number = int(self.facts().job.plan.get("attempt", 1))
        return self.work_dir / ("train" if number == 1 else f"train-{number}")

    def check(self, max_age_seconds: float = 0.0) -> None:
        """Raise Paused, Cancelled or Stopping when the job is not wanted to go on now.

        In hot loops an answer of `max_age_seconds` ago will do.
        """
        if self._stopping.is_set():
            raise Stopping
        if time.monotonic() - self._checked_at < max_age_seconds:
            return
        with self.tools.db.read() as session:
            desired = session.get_one(JobRow, self.job_id).desired
        if desired == "pause":
            raise Paused
        if desired == "cancel":
            raise Cancelled
        self._checked_at = time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait, unless the job is interrupted meanwhile."""
        until = time.monotonic() + seconds
        while True:
            self.check()
            left = until - time.monotonic()
            if left <= 0 or self._stopping.wait(min(left, 0.2)):
                break
        self.check()

    def progress(
        self, done: float, total: float | None, unit: str, message: str = "", **more: Any
    ) -> None:
        """Tell how far the phase is: at most twice a second, the end always."""
        at_end = total is not None and done >= total
        if not at_end and time.monotonic() - self._progress_at < PROGRESS_SECONDS:
            return
        data = {"phase": self.phase, "done": done, "total": total, "unit": unit}
        data |= {"message": message, **more}
        if data != self._told:
            self._progress_at, self._told = time.monotonic(), data
            self._append("progress", data)

    def log(self, message: str) -> None:
        """Tell something worth knowing."""
        self._append("log", {"phase": self.phase, "message": message})

    def warn(self, message: str) -> None:
        """Tell something that should not be overlooked."""
        self._append("warning", {"phase": self.phase, "message": message})

    def warn_once(self, message: str) -> None:
        """As `warn`, unless the job was told so before: the service may have started anew."""
        with self.tools.db.read() as session:
            told = warnings_of(session, self.job_id)
        if message not in told:
            self.warn(message)

    def _append(self, kind: str, data: dict[str, Any]) -> None:
        with self.tools.db.write() as session:
            append_event(session, self.job_id, kind, data)
