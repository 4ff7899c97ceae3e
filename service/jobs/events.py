"""The event log of a job: appended inside the transaction that makes the event true."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import anyio
from anyio.to_thread import run_sync
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from service.db.engine import Database
from service.db.tables import JobEventRow, JobRow
from service.ids import now
from service.jobs.schemas import EventRead
from service.workflow.states import TERMINAL

POLL_SECONDS = 0.25
KEEP_ALIVE_SECONDS = 15.0
_BATCH = 200


def append_event(session: Session, job_id: str, kind: str, data: dict[str, Any]) -> None:
    """Append an event; the job's row is locked so that numbers have neither gap nor duplicate."""
    session.execute(select(JobRow.id).where(JobRow.id == job_id).with_for_update())
    query = select(func.max(JobEventRow.seq)).where(JobEventRow.job_id == job_id)
    seq = (session.scalar(query) or 0) + 1
    session.add(JobEventRow(job_id=job_id, seq=seq, at=now(), kind=kind, data=data))
    session.flush()


def events_after(session: Session, job_id: str, after: int, limit: int) -> list[EventRead]:
    """Return up to `limit` events with a number above `after`, in order."""
    query = (
        select(JobEventRow)
        .where(JobEventRow.job_id == job_id, JobEventRow.seq > after)
        .order_by(JobEventRow.seq)
        .limit(limit)
    )
    return [EventRead.model_validate(row) for row in session.scalars(query)]


def warnings_of(session: Session, job_id: str) -> set[str]:
    """Return the messages of a job's warnings."""
    query = select(JobEventRow.data).where(
        JobEventRow.job_id == job_id, JobEventRow.kind == "warning"
    )
    return {str(data["message"]) for data in session.scalars(query)}


def last_progress(session: Session, job_id: str) -> dict[str, Any] | None:
    """Return the data of the job's newest progress event."""
    query = (
        select(JobEventRow.data)
        .where(JobEventRow.job_id == job_id, JobEventRow.kind == "progress")
        .order_by(JobEventRow.seq.desc())
        .limit(1)
    )
    return session.scalar(query)


async def stream_events(db: Database, job_id: str, after: int) -> AsyncIterator[str]:
    """Yield events above `after` as server-sent events, as they come, until the job has ended."""
    silent = 0.0
    while True:
        events, ended = await run_sync(_next_events, db, job_id, after)
        for event in events:
            after = event.seq
            yield f"id: {event.seq}\ndata: {json.dumps(event.model_dump(mode='json'))}\n\n"
        if ended:
            return
        silent = 0.0 if events else silent + POLL_SECONDS
        if silent >= KEEP_ALIVE_SECONDS:
            silent = 0.0
            yield ": keep-alive\n\n"
        if len(events) < _BATCH:
            await anyio.sleep(POLL_SECONDS)


def _next_events(db: Database, job_id: str, after: int) -> tuple[list[EventRead], bool]:
    """Return the next events, and whether they are the last: one snapshot says both."""
    with db.read() as session:
        state = session.scalar(select(JobRow.state).where(JobRow.id == job_id))
        events = events_after(session, job_id, after, _BATCH)
    return events, state in TERMINAL and len(events) < _BATCH
