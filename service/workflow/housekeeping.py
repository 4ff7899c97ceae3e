"""What broken-off work left behind goes when the service starts; what a job may need stays."""

from __future__ import annotations

import threading

import structlog
from sqlalchemy import select

from adapters_store import gc
from adapters_store.servable import clear_unfinished
from asd_rewriter.samples import read_samples
from service.db.tables import StreamRow, TaskRow
from service.jobs.queries import jobs_in
from service.rewrites.queries import blobs_of_rewriting
from service.workflow import cleanup
from service.workflow.context import Tools
from service.workflow.states import TERMINAL

log = structlog.get_logger()


def clear_leftovers(tools: Tools) -> None:
    """Remove what a kill left between two steps of a job's end; only before jobs may run."""
    with tools.db.read() as session:
        jobs = jobs_in(session, (*TERMINAL, "cancelling"))
        names = {job.stream_id: session.get_one(StreamRow, job.stream_id).name for job in jobs}
    for job in jobs:
        try:
            if job.state in TERMINAL:
                cleanup.discard_scratch(tools.settings, job.id)
            cleanup.discard_unregistered(tools, names[job.stream_id], job)
        except Exception:  # what cannot be cleared stays; the service starts all the same
            log.exception("housekeeping.not_cleared", job_id=job.id)


def collect_garbage(tools: Tools, stopping: threading.Event) -> None:
    """Delete old unfinished writes and blobs that nothing refers to; a failure is only logged."""
    try:
        tools.blobs.clear_incoming()
        clear_unfinished(tools.settings.folder("servable"))
        referenced = _referenced(tools, stopping)
        if not stopping.is_set():
            report = gc.collect(tools.blobs, referenced)
            if report.deleted:
                log.info("housekeeping.done", blobs=len(report.deleted), bytes=report.freed_bytes)
    except Exception:  # a blob that cannot be read: then nothing is known to be unused
        log.exception("housekeeping.failed")


def _referenced(tools: Tools, stopping: threading.Event) -> set[str]:
    """Return what versions and tasks keep alive, also failed ones: they can be retried."""
    found = set(tools.store.referenced())
    query = select(TaskRow.train_digest, TaskRow.eval_digest, TaskRow.corpus_digest)
    with tools.db.read() as session:
        rows = session.execute(query).all()
        found |= blobs_of_rewriting(session)
    for digest in {digest for row in rows for digest in row if digest is not None}:
        if stopping.is_set():
            break
        found.add(digest)
        for sample in read_samples(tools.blobs.path(digest)):
            found.update(sample.images)
    return found
