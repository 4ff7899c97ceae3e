"""The scheduler: one thread that starts jobs, and a thread for each job at work.

Nothing here is remembered across a restart but the rows: a job that is `running` without a thread
is taken up at its first unfinished phase, one in `validating_files` is validated anew, one in
`cancelling` is cleaned up. A service that dies at any moment therefore finishes its jobs once.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from adapters_store.backends import LocalBlobStore
from adapters_store.store import VersionStore
from eval.decoding import Decoding
from eval.engine import EnginePredictor
from eval.predictors import Predictor
from service.db.engine import Database
from service.db.tables import JobRow, StreamRow
from service.executors.local import Executor, LocalExecutor
from service.executors.workers import LocalWorkers, Workers
from service.ids import now
from service.jobs.operations import change_state, waiting_state
from service.jobs.queries import jobs_in, lock_job
from service.settings import Settings
from service.streams.staging import discard_staging
from service.workflow import housekeeping
from service.workflow.context import Context, MakePredictor, Tools
from service.workflow.execution import run_job, settle, validate_job
from service.workflow.scheduling import Decision, Entry, may_be_validated, schedule
from service.workflow.states import STATES, TERMINAL

if TYPE_CHECKING:
    from service.engines.manager import EngineManager, EngineRoute

log = structlog.get_logger()

VALIDATORS = 2
_TICK_SECONDS = 1.0
_UNFINISHED = tuple(state for state in STATES if state not in TERMINAL)
_STOP_SLACK_SECONDS = 10.0
_WORK: dict[str, Callable[[Context], None]] = {
    "validating_files": validate_job,
    "running": run_job,
    "cancelling": settle,
}


class JobRunner:
    """Runs the jobs of one state folder between `start` and `stop`."""

    def __init__(
        self,
        settings: Settings,
        db: Database,
        blobs: LocalBlobStore,
        store: VersionStore,
        engines: EngineManager,
        *,
        executor: Executor | None = None,
        make_predictor: MakePredictor | None = None,
        workers: Workers | None = None,
        before_work: Callable[[], None] = lambda: None,
    ) -> None:
        """Prepare; by default trainers and workers are local processes, predictors ask engines.

        `before_work` is called before jobs are looked at; while it raises, none is begun.
        """
        local = LocalExecutor(settings.trainer_python, settings.stop_grace_seconds)
        self._tools = Tools(
            settings, db, blobs, store, engines, executor or local,
            make_predictor or predictor_of_engine, workers or LocalWorkers(settings.trainer_python),
        )  # fmt: skip
        self._before_work = before_work
        self._stopping = threading.Event()
        self._wake = threading.Event()
        self._guard = threading.Lock()
        self._active: dict[str, tuple[str, threading.Thread]] = {}
        self._scheduler: threading.Thread | None = None
        self._cleaner: threading.Thread | None = None

    @property
    def alive(self) -> bool:
        """Whether the scheduler runs."""
        return self._scheduler is not None and self._scheduler.is_alive()

    def start(self) -> None:
        """Clear what a crash left behind, then take all unfinished jobs up again."""
        self._clear_staging()
        housekeeping.clear_leftovers(self._tools)
        self._cleaner = threading.Thread(
            target=housekeeping.collect_garbage,
            args=(self._tools, self._stopping),
            name="housekeeping",
            daemon=True,
        )
        self._cleaner.start()
        self._scheduler = threading.Thread(target=self._loop, name="job-scheduler", daemon=True)
        self._scheduler.start()

    def wake(self) -> None:
        """Look at the jobs now: something has changed."""
        self._wake.set()

    def stop(self) -> None:
        """Interrupt all work: a trainer writes its checkpoint; the next start goes on from it."""
        self._stopping.set()
        self._wake.set()
        if self._scheduler is not None:
            self._scheduler.join()
        with self._guard:
            threads = [thread for _kind, thread in self._active.values()]
        if self._cleaner is not None:
            threads.append(self._cleaner)
        for thread in threads:
            thread.join(self._tools.settings.stop_grace_seconds + _STOP_SLACK_SECONDS)

    def _loop(self) -> None:
        while not self._stopping.is_set():
            self._wake.clear()
            try:
                self._tick()
            except Exception:  # a database that is locked or away now may be back next time
                log.exception("scheduler.tick_failed")
            self._wake.wait(_TICK_SECONDS)

    def _tick(self) -> None:
        self._before_work()
        with self._tools.db.read() as session:
            jobs = jobs_in(session, _UNFINISHED)
            names = {job.stream_id: session.get_one(StreamRow, job.stream_id).name for job in jobs}
        entries = [
            Entry(job.id, names[job.stream_id], job.state, job.started_at is not None)
            for job in jobs
        ]
        for job_id in may_be_validated(entries):
            if self._count("validating_files") < VALIDATORS:
                self._launch(job_id, "validating_files")
        for job in jobs:
            if job.state in ("running", "cancelling"):
                self._launch(job.id, job.state)
        self._apply(schedule(entries, self._tools.settings.trainer_slots), jobs)

    def _apply(self, decision: Decision, jobs: list[JobRow]) -> None:
        for job_id in decision.start:
            if self._claim(job_id):
                self._launch(job_id, "running")
        known = {job.id: job.reason for job in jobs}
        changed = {k: why for k, why in decision.reasons.items() if known[k] != why}
        if changed:
            self._write_reasons(changed)

    def _claim(self, job_id: str) -> bool:
        """Move a queued job to running; False when it was paused or cancelled meanwhile."""
        with self._tools.db.write() as session:
            job = lock_job(session, job_id)
            if job is None or job.state != "queued" or job.desired != "run":
                return False
            job.started_at = job.started_at or now()
            change_state(session, job, "running")
        return True

    def _write_reasons(self, reasons: dict[str, str]) -> None:
        with self._tools.db.write() as session:
            for job_id, reason in reasons.items():
                job = lock_job(session, job_id)
                if job is not None and job.state == "queued":
                    job.reason = reason

    def _count(self, state: str) -> int:
        with self._guard:
            return sum(active == state for active, _thread in self._active.values())

    def _launch(self, job_id: str, state: str) -> None:
        with self._guard:
            if job_id in self._active or self._stopping.is_set():
                return
            thread = threading.Thread(
                target=self._work, args=(job_id, state), name=job_id, daemon=True
            )
            self._active[job_id] = (state, thread)
        thread.start()

    def _work(self, job_id: str, state: str) -> None:
        ctx = Context(self._tools, job_id, self._stopping)
        with structlog.contextvars.bound_contextvars(job_id=job_id):
            try:
                # The scheduler may have seen a state that a thread has left since.
                if ctx.facts().job.state == state:
                    _WORK[state](ctx)
            except Exception:  # not even the outcome could be written: the next tick tries again
                log.exception("job.lost")
                self._stopping.wait(_TICK_SECONDS)
            finally:
                with self._guard:
                    del self._active[job_id]
                self._wake.set()

    def _clear_staging(self) -> None:
        """Remove uploads that no job needs: not answered, or validated, when the service ended."""
        with self._tools.db.read() as session:
            owned = {
                job.id
                for job in jobs_in(session, _UNFINISHED)
                if waiting_state(session, job) == "validating_files"
            }
        for folder in self._tools.settings.folder("staging").iterdir():
            if folder.name not in owned:
                discard_staging(self._tools.settings, folder.name)


def predictor_of_engine(route: EngineRoute, blob_dir: Path, decoding: Decoding) -> Predictor:
    """Return a predictor that asks the engine behind a route."""
    return EnginePredictor(route.base_url, route.model_name, blob_dir, decoding)
